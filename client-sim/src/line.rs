//! An emulated line in real time: a relay on loopback between the clients' sockets and the server.
//!
//! Each client that calls gets a socket of its own towards the server, so that the server sees as many addresses, and two
//! links of [`ninefold_netem`], one for each way, with a seed of their own. Whatever the datagrams carry goes through
//! unread. Datagrams come out to about a millisecond of their time: a poll waits in whole ones; how much later they came
//! out is kept.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use ninefold::clock::Monotonic;
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_netem::{Link, Path, Stats};
use socket2::SockRef;

use crate::outcome::Recorder;

const FRONT: Token = Token(0);
const DOORBELL: Token = Token(1);
/// Tokens from here on are callers.
const CALLERS_FROM: usize = 2;
/// Clients that may call; datagrams of further ones are dropped and counted.
pub const CALLERS_MAX: usize = 20_000;
/// Bytes that the kernel keeps of what comes, asked for.
const BUFFER_BYTES: usize = 4 << 20;
/// Datagrams read from one socket before others get their turn.
const READS_MAX: usize = 256;
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// It looks at the time at least this often.
const WAIT_MAX: Duration = Duration::from_ms(50);

/// What went over the line.
#[derive(Debug, Clone, Default)]
pub struct LineReport {
    /// Towards the clients.
    pub down: Stats,
    /// From them.
    pub up: Stats,
    /// Clients that called.
    pub callers: usize,
    /// Datagrams of clients beyond [`CALLERS_MAX`].
    pub refused: u64,
    /// Datagrams that the kernel did not take.
    pub send_errors: u64,
    /// Datagrams of either way that were cut off or picked out.
    pub cut: u64,
    /// How much later than its time each datagram came out, microseconds.
    pub late: Recorder,
}

/// What happens to a line beside what its path does.
#[derive(Debug, Clone, Default)]
pub struct Interference {
    /// While it is set, nothing gets through.
    pub cut: Arc<AtomicBool>,
    /// Datagrams that are picked out of each client's.
    pub picks: Vec<Pick>,
    /// The ports of the line's own sockets are put here, for who watches what the kernel drops at them.
    pub ports: Arc<Mutex<HashSet<u16>>>,
}

/// The `nth` datagram from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// From when on.
    pub from: Instant,
    /// Counted from 0.
    pub nth: u64,
    /// Towards the client, or from it.
    pub is_down: bool,
}

/// A relay that has its address and no server yet.
#[derive(Debug)]
pub struct BoundLine {
    front: UdpSocket,
    address: SocketAddr,
}

/// A relay at work; dropping it ends it.
#[derive(Debug)]
pub struct Line {
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<io::Result<LineReport>>>,
}

impl BoundLine {
    /// On any free port of the loopback.
    pub fn bind() -> io::Result<Self> {
        let front = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        enlarge(&front);
        let address = front.local_addr()?;
        Ok(BoundLine { front, address })
    }

    /// Where clients call instead of at the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Relays to `server` over lines like `path`, whose fates follow from `seed`.
    pub fn serve(self, server: SocketAddr, path: &Path, seed: u64, clock: Monotonic) -> io::Result<Line> {
        self.serve_with(server, path, seed, clock, Interference::default())
    }

    /// The same, with something in between.
    pub fn serve_with(
        mut self,
        server: SocketAddr,
        path: &Path,
        seed: u64,
        clock: Monotonic,
        interference: Interference,
    ) -> io::Result<Line> {
        let poll = Poll::new()?;
        poll.registry().register(&mut self.front, FRONT, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), DOORBELL)?);
        interference.own(self.address);
        let stop = Arc::new(AtomicBool::new(false));
        let relay = Relay {
            front: self.front,
            server,
            path: path.clone(),
            seed,
            interference,
            callers: Vec::new(),
            by_address: HashMap::new(),
            report: LineReport::default(),
        };
        let stopped = Arc::clone(&stop);
        let body = move || relay.run(poll, clock, &stopped);
        let thread = std::thread::Builder::new().name("sim-line".into()).spawn(body)?;
        Ok(Line { stop, waker, thread: Some(thread) })
    }
}

impl Interference {
    fn own(&self, address: SocketAddr) {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).insert(address.port());
    }
}

impl Line {
    /// Ends it; what is under way is lost.
    pub fn stop(mut self) -> io::Result<LineReport> {
        self.end().unwrap_or_else(|| Ok(LineReport::default()))
    }

    fn end(&mut self) -> Option<io::Result<LineReport>> {
        self.stop.store(true, Ordering::Relaxed);
        // A waker that fails leaves the thread to its next look at the time.
        let _ = self.waker.wake();
        let joined = self.thread.take()?.join();
        Some(joined.unwrap_or_else(|_| Err(io::Error::other("the line's thread panicked"))))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Less than asked for is no error: what the kernel then drops is a loss more.
fn enlarge(socket: &UdpSocket) {
    let socket = SockRef::from(socket);
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
}

/// The thread's state.
struct Relay {
    front: UdpSocket,
    server: SocketAddr,
    path: Path,
    seed: u64,
    interference: Interference,
    callers: Vec<Caller>,
    by_address: HashMap<SocketAddr, usize>,
    report: LineReport,
}

/// A client.
struct Caller {
    address: SocketAddr,
    /// What the server takes for the client.
    back: UdpSocket,
    up: Link<Vec<u8>>,
    down: Link<Vec<u8>>,
    /// Datagrams since each pick's time.
    picked: Vec<u64>,
}

impl Relay {
    fn run(mut self, mut poll: Poll, clock: Monotonic, stop: &AtomicBool) -> io::Result<LineReport> {
        let mut events = Events::with_capacity(1_024);
        let mut more = false;
        while !stop.load(Ordering::Relaxed) {
            let wait = if more { Duration::ZERO } else { self.wait(clock.now()) };
            match poll.poll(&mut events, Some(wait.into())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            more = self.take_calls(clock, poll.registry())?;
            for at in events.iter().filter_map(|event| event.token().0.checked_sub(CALLERS_FROM)) {
                self.report.cut += self.callers[at].take_answers(clock, &self.interference);
            }
            self.hand_on(clock.now());
        }
        self.report.callers = self.callers.len();
        for caller in &self.callers {
            add(&mut self.report.up, caller.up.stats());
            add(&mut self.report.down, caller.down.stats());
        }
        Ok(self.report)
    }

    fn wait(&self, now: Instant) -> Duration {
        let due =
            self.callers.iter().flat_map(|c| [c.up.next_due_us(), c.down.next_due_us()]).flatten().min();
        due.map_or(WAIT_MAX, |us| Instant::from_us(us).since(now).min(WAIT_MAX))
    }

    /// Takes what clients sent; says whether there may be more.
    fn take_calls(&mut self, clock: Monotonic, registry: &Registry) -> io::Result<bool> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        for _ in 0..READS_MAX {
            let (bytes, from) = match self.front.recv_from(&mut buffer) {
                Ok(came) => came,
                // An answer to one who has gone says nothing of the others.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(_) => return Ok(false),
            };
            let at = match self.by_address.get(&from) {
                Some(at) => *at,
                None if self.callers.len() < CALLERS_MAX => self.meet(from, registry)?,
                None => {
                    self.report.refused += 1;
                    continue;
                }
            };
            let (now, caller) = (clock.now(), &mut self.callers[at]);
            match caller.is_cut(now, false, &self.interference) {
                true => self.report.cut += 1,
                false => _ = caller.up.send(now.as_us(), bytes, buffer[..bytes].to_vec()),
            }
        }
        Ok(true)
    }

    fn meet(&mut self, address: SocketAddr, registry: &Registry) -> io::Result<usize> {
        let at = self.callers.len();
        let mut back = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        enlarge(&back);
        back.connect(self.server)?;
        registry.register(&mut back, Token(CALLERS_FROM + at), Interest::READABLE)?;
        self.interference.own(back.local_addr()?);
        let seed = |way: u64| self.seed ^ (2 * at as u64 + way).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let up = Link::new(self.path.up.clone(), seed(0));
        let down = Link::new(self.path.down.clone(), seed(1));
        let picked = vec![0; self.interference.picks.len()];
        self.callers.push(Caller { address, back, up, down, picked });
        self.by_address.insert(address, at);
        Ok(at)
    }

    /// Hands on what has come out of the links.
    fn hand_on(&mut self, now: Instant) {
        let now_us = now.as_us();
        let (errors, late) = (&mut self.report.send_errors, &mut self.report.late);
        for caller in &mut self.callers {
            while let Some((due_us, datagram)) = due(&mut caller.up, now_us) {
                late.record(now_us - due_us);
                *errors += u64::from(caller.back.send(&datagram).is_err());
            }
            while let Some((due_us, datagram)) = due(&mut caller.down, now_us) {
                late.record(now_us - due_us);
                *errors += u64::from(self.front.send_to(&datagram, caller.address).is_err());
            }
        }
    }
}

/// What has come out of a link by now, and when it was to.
fn due(link: &mut Link<Vec<u8>>, now_us: u64) -> Option<(u64, Vec<u8>)> {
    let due_us = link.next_due_us().filter(|due| *due <= now_us)?;
    link.poll(now_us).map(|datagram| (due_us, datagram))
}

impl Caller {
    /// Takes what the server sent. All of it: the poll says only once that something came. Gives how many were cut off.
    fn take_answers(&mut self, clock: Monotonic, interference: &Interference) -> u64 {
        let (mut buffer, mut cut) = ([0; DATAGRAM_BYTES_MAX], 0);
        loop {
            match self.back.recv(&mut buffer) {
                Ok(bytes) => {
                    let now = clock.now();
                    match self.is_cut(now, true, interference) {
                        true => cut += 1,
                        false => _ = self.down.send(now.as_us(), bytes, buffer[..bytes].to_vec()),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return cut,
            }
        }
    }

    /// Whether a datagram that comes now is cut off or picked out.
    fn is_cut(&mut self, now: Instant, is_down: bool, interference: &Interference) -> bool {
        let mut is_picked = false;
        for (pick, seen) in interference.picks.iter().zip(&mut self.picked) {
            if pick.is_down == is_down && now >= pick.from {
                is_picked |= *seen == pick.nth;
                *seen += 1;
            }
        }
        is_picked || interference.cut.load(Ordering::Relaxed)
    }
}

fn add(sum: &mut Stats, stats: &Stats) {
    sum.sent += stats.sent;
    sum.delivered += stats.delivered;
    sum.duplicated += stats.duplicated;
    sum.held_back += stats.held_back;
    sum.drops.lost += stats.drops.lost;
    sum.drops.queue_full += stats.drops.queue_full;
    sum.drops.outage += stats.drops.outage;
    sum.drops.picked += stats.drops.picked;
    sum.drops.in_flight_full += stats.drops.in_flight_full;
    sum.queue_bytes_peak = sum.queue_bytes_peak.max(stats.queue_bytes_peak);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_netem::{Profile, Ratio};
    use std::net::UdpSocket as StdSocket;

    fn socket() -> StdSocket {
        let socket = StdSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        socket
    }

    /// A server that sends everything back, and a line to it.
    fn echo(path: &Path) -> (Line, SocketAddr) {
        let server = socket();
        let bound = BoundLine::bind().unwrap();
        let address = bound.address();
        let line = bound.serve(server.local_addr().unwrap(), path, 1, Monotonic::start()).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; DATAGRAM_BYTES_MAX];
            while let Ok((bytes, from)) = server.recv_from(&mut buffer) {
                let _ = server.send_to(&buffer[..bytes], from);
            }
        });
        (line, address)
    }

    #[test]
    fn a_datagram_takes_the_paths_time_each_way_and_each_client_hears_its_own() {
        let way = |delay_us| Profile { delay_us, ..Profile::default() };
        let (line, address) = echo(&Path { name: "test", down: way(40_000), up: way(20_000) });
        let clients = [socket(), socket()];
        let clock = Monotonic::start();
        for (n, client) in clients.iter().enumerate() {
            client.send_to(&[n as u8; 9], address).unwrap();
        }
        let mut buffer = [0; 100];
        for (n, client) in clients.iter().enumerate() {
            let (bytes, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..bytes], from), (&[n as u8; 9][..], address));
            assert!(clock.now().as_us() >= 60_000, "{:?}", clock.now());
        }
        let report = line.stop().unwrap();
        assert_eq!((report.callers, report.up.delivered, report.down.delivered), (2, 2, 2));
    }

    #[test]
    fn a_picked_datagram_does_not_come_and_the_next_one_does() {
        let server = socket();
        let bound = BoundLine::bind().unwrap();
        let address = bound.address();
        let path = Path { name: "test", down: Profile::default(), up: Profile::default() };
        let picks = vec![Pick { from: Instant::ZERO, nth: 1, is_down: false }];
        let interference = Interference { picks, ..Interference::default() };
        let cut = Arc::clone(&interference.cut);
        let to = server.local_addr().unwrap();
        let line = bound.serve_with(to, &path, 1, Monotonic::start(), interference).unwrap();
        let client = socket();
        let mut buffer = [0; 100];
        for n in 0..3 {
            client.send_to(&[n], address).unwrap();
        }
        let came = [(); 2].map(|()| {
            server.recv_from(&mut buffer).unwrap();
            buffer[0]
        });
        assert_eq!(came, [0, 2]);
        cut.store(true, Ordering::Relaxed);
        client.send_to(&[3], address).unwrap();
        server.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        assert!(server.recv_from(&mut buffer).is_err());
        assert_eq!(line.stop().unwrap().cut, 2);
    }

    #[test]
    fn what_the_line_loses_does_not_come() {
        let lost = Profile { loss: ninefold_netem::Loss::Independent(Ratio::ALWAYS), ..Profile::default() };
        let (line, address) = echo(&Path { name: "test", down: lost, up: Profile::default() });
        let client = socket();
        client.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        client.send_to(b"anybody?", address).unwrap();
        assert!(client.recv_from(&mut [0; 100]).is_err());
        let report = line.stop().unwrap();
        assert_eq!((report.up.delivered, report.down.drops.lost), (1, 1));
    }
}
