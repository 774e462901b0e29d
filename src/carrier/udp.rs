//! The UDP carrier: one socket, one thread, NETCODE 1.02 sessions.
//!
//! The thread waits for datagrams, the tick's doorbell or the next timer. It opens what comes, hands
//! packets to the tick, seals what the tick wrote when it is due, and sends runs of equally long datagrams to one client
//! with one call (GSO) where the kernel can. It also keeps the [`roster`] of all carriers. What it does with datagrams,
//! and when, is its [`core`]'s, which knows no socket.

pub mod core;

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use ninefold_protocol::connection::{self, DATAGRAM_BYTES_MAX, DisconnectReason, ServerConfig};
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::time::{Duration, Instant};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};

use self::core::{Outlet, UdpCore, WAITING_MAX};
use super::held::HELD_MAX;
use super::roster::{self, Ask, Desk, Door, Entry, Order};
use super::{CarrierEnd, socket};
use crate::clock::Monotonic;
use crate::telemetry::{CARRIER_SHOWN_EVERY, Live, Mark, UdpShown};

const SOCKET: Token = Token(0);
const DOORBELL: Token = Token(1);
/// Bytes of one receive buffer: a whole GRO train.
const TRAIN_BYTES: usize = 65_536;
/// Receive calls before departures get their turn.
const RECEIVE_CALLS_MAX: usize = 16;
/// Datagrams after which departures get their turn, however many more have come: what a flood can delay
/// others by is this many refusals and one batch.
const ARRIVALS_PER_TURN_MAX: u64 = 1_024;
/// The kernel's bound on one GSO send: 65,535 bytes less the IP and UDP headers.
const RUN_BYTES_MAX: usize = 65_535 - 48;
/// Orders of other carriers before anything else gets its turn.
const ORDERS_PER_TURN_MAX: usize = 256;
/// The thread looks at its timers at least this often.
const WAIT_MAX: Duration = Duration::from_ms(100);

/// A socket that is bound and not served yet.
#[derive(Debug)]
pub struct BoundUdp {
    socket: UdpSocket,
    state: UdpSocketState,
    address: SocketAddr,
}

/// A carrier that is served by its thread.
#[derive(Debug)]
pub struct RunningUdp {
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<UdpReport>,
    door: Option<Door>,
}

/// What the carrier did.
#[derive(Debug, Clone, Copy, Default)]
pub struct UdpReport {
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Bytes of those.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Calls that sent them.
    pub send_calls: u64,
    /// Datagrams that the kernel did not take.
    pub send_errors: u64,
    /// Packets dropped because the tick was behind.
    pub arrivals_dropped: u64,
    /// Packets for sessions that had ended.
    pub departures_stale: u64,
    /// Packets that were held until they were due.
    pub departures_held: u64,
    /// Held packets that left more than 2 ms after their time.
    pub departures_late: u64,
    /// Failed receive calls.
    pub receive_errors: u64,
    /// What the connection layer counted.
    pub connection: connection::Counters,
    /// CPU time of the thread, nanoseconds.
    pub cpu_ns: u64,
}

impl UdpReport {
    /// Every count of the carrier itself with its name.
    pub fn each(&self) -> [(&'static str, u64); 11] {
        [
            ("datagrams_in", self.datagrams_in),
            ("bytes_in", self.bytes_in),
            ("datagrams_out", self.datagrams_out),
            ("bytes_out", self.bytes_out),
            ("send_calls", self.send_calls),
            ("send_errors", self.send_errors),
            ("arrivals_dropped", self.arrivals_dropped),
            ("departures_stale", self.departures_stale),
            ("departures_held", self.departures_held),
            ("departures_late", self.departures_late),
            ("receive_errors", self.receive_errors),
        ]
    }
}

impl BoundUdp {
    /// Binds `listen` and asks the kernel for buffers of `buffer_bytes` each way. What it gave is logged,
    /// with the remedy where that is less.
    pub fn bind(listen: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket::bind(listen, buffer_bytes)?);
        let state = UdpSocketState::new((&socket).into())?;
        let address = socket.local_addr()?;
        Ok(BoundUdp { socket, state, address })
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the socket on a thread of its own. `guests_max` is how many clients another carrier can have
    /// at once, on their way in included.
    pub fn serve(
        self,
        config: ServerConfig,
        guests_max: usize,
        end: CarrierEnd,
        clock: Monotonic,
        live: Arc<Live>,
    ) -> io::Result<RunningUdp> {
        let BoundUdp { mut socket, state, .. } = self;
        let poll = Poll::new()?;
        poll.registry().register(&mut socket, SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), DOORBELL)?);
        let stop = Arc::new(AtomicBool::new(false));
        let (door, desk) = roster::open(guests_max, Arc::clone(&waker));
        let mut udp = Udp {
            sender: Sender::new(socket, state),
            core: UdpCore::new(config, end, clock.now()),
            desk,
            live,
            shown_at: Instant::ZERO,
            held_mark: Mark::default(),
            comings_mark: Mark::default(),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("ninefold-udp".into())
            .spawn(move || udp.run(poll, clock, &stopped))?;
        Ok(RunningUdp { waker, stop, thread, door: Some(door) })
    }
}

impl RunningUdp {
    /// Rings the thread after departures were written.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Where another carrier asks for its clients to be let in. There is one.
    pub fn take_door(&mut self) -> Option<Door> {
        self.door.take()
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Sends what was written, says goodbye to every client and ends the thread.
    pub fn stop(self) -> std::thread::Result<UdpReport> {
        self.stop.store(true, Ordering::Relaxed);
        // A waker that fails leaves the thread to its next timer.
        let _ = self.waker.wake();
        self.thread.join()
    }
}

/// The thread's state.
struct Udp {
    sender: Sender,
    core: UdpCore,
    /// Where other carriers ask.
    desk: Desk,
    live: Arc<Live>,
    /// When it last showed what it has counted.
    shown_at: Instant,
    held_mark: Mark,
    comings_mark: Mark,
}

impl Udp {
    fn run(&mut self, mut poll: Poll, clock: Monotonic, stop: &AtomicBool) -> UdpReport {
        let mut events = Events::with_capacity(4);
        let mut buffers = vec![0; BATCH_SIZE * TRAIN_BYTES];
        let mut more = false;
        while !stop.load(Ordering::Relaxed) && !self.core.is_abandoned() {
            let wait = if more { Duration::ZERO } else { self.wait(clock.now()) };
            if let Err(error) = poll.poll(&mut events, Some(wait.into()))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "waiting for the socket failed; the carrier ends");
                break;
            }
            more = self.core.has_room() && self.receive(&clock, &mut buffers);
            more |= self.core.has_room() && self.serve_orders(clock.now());
            more |= self.core.depart(clock.now(), &mut self.sender);
            self.core.handle_timeout(clock.now());
            self.evict();
            self.core.flush(clock.now(), &mut self.sender);
            self.publish(clock.now());
        }
        self.core.say_goodbye(clock.now(), &mut self.sender);
        self.publish(clock.now() + CARRIER_SHOWN_EVERY);
        UdpReport { cpu_ns: crate::clock::thread_cpu_ns(), ..self.core.report() }
    }

    fn wait(&self, now: Instant) -> Duration {
        self.core.next_deadline().since(now).min(WAIT_MAX)
    }

    /// Takes what came; says whether there may be more.
    fn receive(&mut self, clock: &Monotonic, buffers: &mut [u8]) -> bool {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut received = 0;
        for _ in 0..RECEIVE_CALLS_MAX {
            if received >= ARRIVALS_PER_TURN_MAX {
                break;
            }
            let mut trains = buffers.chunks_exact_mut(TRAIN_BYTES);
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| IoSliceMut::new(trains.next().expect("one for each message")));
            let messages = match self.sender.receive(&mut slices, &mut metas) {
                Ok(messages) => messages,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // An error that stays must not keep the thread busy: the next doorbell tries again.
                Err(_) => {
                    self.core.report_mut().receive_errors += 1;
                    return false;
                }
            };
            let now = clock.now();
            for (meta, train) in metas[..messages].iter().zip(buffers.chunks_exact_mut(TRAIN_BYTES)) {
                for datagram in train[..meta.len].chunks_mut(meta.stride.max(1)) {
                    self.core.handle(now, meta.addr, datagram);
                    received += 1;
                }
            }
            self.core.flush(now, &mut self.sender);
        }
        true
    }

    /// Does what other carriers ask; says whether there may be more.
    fn serve_orders(&mut self, now: Instant) -> bool {
        for _ in 0..ORDERS_PER_TURN_MAX {
            let Ok(order) = self.desk.orders.try_recv() else { return false };
            match order {
                Order::Admit(ask) => self.admit(now, ask),
                Order::Release(connection, reason) => self.core.release(connection, reason),
            }
        }
        true
    }

    fn admit(&mut self, now: Instant, ask: Ask) {
        let Ask { from, mut shown, answer } = ask;
        let entry = self.core.admit(now, from, &mut shown);
        if let Err(Ok(Entry { connection, .. })) = answer.send(entry) {
            self.core.release(connection, DisconnectReason::ByPeer);
        }
    }

    /// Tells the other carrier who has to make way.
    fn evict(&mut self) {
        while let Some(connection) = self.core.poll_evicted() {
            self.desk.evict(connection);
        }
    }

    fn publish(&mut self, now: Instant) {
        let (held, comings) = self.core.waiting();
        self.held_mark.note(held, HELD_MAX);
        self.comings_mark.note(comings, WAITING_MAX);
        let UdpReport { datagrams_in, datagrams_out, bytes_out, .. } = *self.core.counts();
        self.live.datagrams_in.store(datagrams_in, Ordering::Relaxed);
        self.live.datagrams_out.store(datagrams_out, Ordering::Relaxed);
        self.live.bytes_out.store(bytes_out, Ordering::Relaxed);
        if now.since(self.shown_at) >= CARRIER_SHOWN_EVERY {
            self.shown_at = now;
            let report = UdpReport { cpu_ns: crate::clock::thread_cpu_ns(), ..self.core.report() };
            let shown = UdpShown { report, held: self.held_mark, comings: self.comings_mark };
            self.live.udp.show(now, shown);
        }
    }
}

/// Sends runs of equally long datagrams to one address with one call.
struct Sender {
    socket: UdpSocket,
    state: UdpSocketState,
    /// Sealed datagrams of one run, one behind the other.
    run: Vec<u8>,
    run_bytes: usize,
    run_datagrams: usize,
    segment_bytes: usize,
    to: SocketAddr,
}

impl Sender {
    fn new(socket: UdpSocket, state: UdpSocketState) -> Self {
        let to = SocketAddr::from(([0, 0, 0, 0], 0));
        let run = vec![0; RUN_BYTES_MAX + DATAGRAM_BYTES_MAX];
        Sender { socket, state, run, run_bytes: 0, run_datagrams: 0, segment_bytes: 0, to }
    }

    fn receive(&self, slices: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        self.state.recv((&self.socket).into(), slices, metas)
    }

    /// Sends `datagrams` datagrams of [`Sender::segment_bytes`] each, the last one perhaps shorter.
    fn transmit(&self, to: SocketAddr, contents: &[u8], datagrams: usize, report: &mut UdpReport) {
        let segment_size = (datagrams > 1).then_some(self.segment_bytes);
        let transmit = Transmit { destination: to, ecn: None, contents, segment_size, src_ip: None };
        report.send_calls += 1;
        match self.state.try_send((&self.socket).into(), &transmit) {
            Ok(()) => {
                report.datagrams_out += datagrams as u64;
                report.bytes_out += contents.len() as u64;
            }
            Err(_) => report.send_errors += datagrams as u64,
        }
    }
}

impl Outlet for Sender {
    /// Room for one more datagram behind the run.
    fn room(&mut self, report: &mut UdpReport, bytes: usize) -> &mut [u8] {
        if self.run_bytes + bytes + DATAGRAM_BYTES_MAX - PACKET_BYTES_MAX > RUN_BYTES_MAX {
            self.flush(report);
        }
        &mut self.run[self.run_bytes..]
    }

    /// The datagram that was just sealed into [`Sender::room`] is `bytes` long and goes to `to`.
    fn sealed(&mut self, to: SocketAddr, bytes: usize, report: &mut UdpReport) {
        let fits = self.run_datagrams > 0
            && to == self.to
            && bytes <= self.segment_bytes
            && self.run_datagrams < self.state.max_gso_segments();
        if !fits {
            let start = self.run_bytes;
            self.flush(report);
            self.run.copy_within(start..start + bytes, 0);
            self.to = to;
            self.segment_bytes = bytes;
        }
        self.run_bytes += bytes;
        self.run_datagrams += 1;
        // Only the last datagram of a run may be shorter.
        if bytes < self.segment_bytes {
            self.flush(report);
        }
    }

    /// Sends the run.
    fn flush(&mut self, report: &mut UdpReport) {
        if self.run_datagrams == 0 {
            return;
        }
        let bytes = std::mem::take(&mut self.run_bytes);
        let datagrams = std::mem::take(&mut self.run_datagrams);
        self.transmit(self.to, &self.run[..bytes], datagrams, report);
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8], report: &mut UdpReport) {
        self.transmit(to, datagram, 1, report);
    }
}
