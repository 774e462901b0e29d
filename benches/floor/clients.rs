//! A thousand callers on one thread, each with a socket, spread over the tick. They do as little as a server lets them.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ninefold::clock::thread_cpu_ns;
use quinn_udp::{RecvMeta, UdpSocketState};

use crate::bare::{BYTES_IN, BareCaller};
use crate::game::Player;

/// Callers take their turns in so many groups, evenly over the tick.
const GROUPS: usize = 16;
const TRAIN_BYTES: usize = 65_536;
/// What the server may send before a caller looks.
const SOCKET_BYTES: usize = 1 << 20;
const SERVER_SOCKET_BYTES: usize = 8 << 20;

/// A socket of either side.
pub fn bind() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(SERVER_SOCKET_BYTES);
    let _ = socket2::SockRef::from(&socket).set_send_buffer_size(SERVER_SOCKET_BYTES);
    socket
}

/// What callers do beside being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// They stand.
    Nothing,
    /// They walk about and want each chunk around them again once they have it.
    Explore,
    /// They stand and want chunks again, so many of their own ticks apart.
    Fetch {
        /// How many.
        every_ticks: u64,
        /// Which.
        what: Fetched,
    },
}

/// Chunks that are wanted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// That in which they stand.
    Active,
    /// The eight around it.
    Neighbours,
}

/// What the callers count.
#[derive(Default)]
pub struct Counts {
    cpu_ns: AtomicU64,
    datagrams: AtomicU64,
    pub chunk_bytes: AtomicU64,
    pub playing: AtomicUsize,
}

enum Side {
    Bare(Box<BareCaller>),
    Ours(Box<Player>),
}

/// One of them.
pub struct Caller {
    socket: UdpSocket,
    /// With GRO, as clients have it.
    state: UdpSocketState,
    server: SocketAddr,
    side: Side,
}

impl Caller {
    pub fn bare(socket: UdpSocket, server: SocketAddr, caller: BareCaller) -> Caller {
        Caller::new(socket, server, Side::Bare(Box::new(caller)))
    }

    pub fn ours(socket: UdpSocket, server: SocketAddr, player: Player) -> Caller {
        Caller::new(socket, server, Side::Ours(Box::new(player)))
    }

    fn new(socket: UdpSocket, server: SocketAddr, side: Side) -> Caller {
        let state = UdpSocketState::new((&socket).into()).unwrap();
        let _ = state.set_recv_buffer_size((&socket).into(), SOCKET_BYTES);
        Caller { socket, state, server, side }
    }

    /// Takes what came and sends what is to be sent.
    fn turn(&mut self, train: &mut [u8], wish: Wish, counts: &Counts) {
        let mut metas = [RecvMeta::default()];
        while let Ok(1) = self.state.recv((&self.socket).into(), &mut [IoSliceMut::new(train)], &mut metas) {
            let RecvMeta { len, stride, .. } = metas[0];
            for datagram in train[..len].chunks_mut(stride.max(1)) {
                counts.datagrams.fetch_add(1, Relaxed);
                if let Side::Ours(player) = &mut self.side {
                    player.take(self.server, datagram, wish, counts);
                }
            }
        }
        let send = |datagram: &[u8]| drop(self.socket.send_to(datagram, self.server));
        match &mut self.side {
            Side::Bare(caller) => {
                let mut datagram = [0; BYTES_IN];
                caller.call(&mut datagram);
                send(&datagram);
            }
            Side::Ours(player) => player.tick(wish, send),
        }
    }
}

/// All of them.
pub struct Crowd {
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Crowd {
    pub fn start(callers: Vec<Caller>, wish: Wish, hz: u32) -> Crowd {
        let counts = Arc::new(Counts::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (counted, stopped) = (Arc::clone(&counts), Arc::clone(&stop));
        let thread = std::thread::spawn(move || run(callers, wish, hz, &counted, &stopped));
        Crowd { counts, stop, thread }
    }

    pub fn cpu_ns(&self) -> u64 {
        self.counts.cpu_ns.load(Relaxed)
    }

    pub fn datagrams(&self) -> u64 {
        self.counts.datagrams.load(Relaxed)
    }

    pub fn chunk_bytes(&self) -> u64 {
        self.counts.chunk_bytes.load(Relaxed)
    }

    pub fn playing(&self) -> usize {
        self.counts.playing.load(Relaxed)
    }

    pub fn stop(self) {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap();
    }
}

fn run(mut callers: Vec<Caller>, wish: Wish, hz: u32, counts: &Counts, stop: &AtomicBool) {
    let mut train = vec![0; TRAIN_BYTES];
    let turn = Duration::from_secs(1) / (hz * GROUPS as u32);
    let mut next = Instant::now();
    let mut group = 0;
    while !stop.load(Relaxed) {
        for caller in callers.iter_mut().skip(group).step_by(GROUPS) {
            caller.turn(&mut train, wish, counts);
        }
        counts.cpu_ns.store(thread_cpu_ns(), Relaxed);
        group = (group + 1) % GROUPS;
        next += turn;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
