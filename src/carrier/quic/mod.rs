//! The QUIC carrier: one endpoint, one thread, a current-thread runtime.
//!
//! Everything that the link says travels in unreliable datagrams, one packet each. The one stream of a
//! connection is for its token, which the [`roster`](super::roster) judges as it does on UDP.
//!
//! ```text
//!   connection -> TLS 1.3, ninefold/1 -> token in the stream -> roster -> session
//!       | too many, too fast  | failed       | refused: closed with a reason
//! ```
//!
//! QUIC's congestion window is the only one: the link's own flow, which is of the same kind, keeps to the ceiling alone on
//! this carrier. So that packets do not pile up in front of the window, the tick is told each client's
//! [`Room`](super::Arrival::Room): what its line takes in one tick.

mod attend;
mod certificate;
mod congestion;
pub mod core;
mod gate;
#[cfg(test)]
mod line;
mod peers;
mod report;
mod transport;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration as StdDuration;

use ahash::RandomState;
use ninefold_protocol::connection::{CloseReason, DisconnectReason};
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::link::congestion::CongestionConfig;
use ninefold_protocol::time::Duration;
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime, VarInt};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::MissedTickBehavior;

use self::certificate::KeyLogTo;
use self::congestion::FlowFactory;
use self::gate::{Comer, Gate, Pass};
use self::peers::{Peers, close};
use self::transport::{Congestion, Qlogs, transport};
use super::roster::{Door, Entry};
use super::{Arrival, CarrierEnd, ConnectionId, Departure, socket};
use crate::clock::Monotonic;
use crate::telemetry::Live;

pub use self::certificate::{Identity, IdentityError};
pub use self::gate::GateConfig;
pub use self::report::QuicReport;

/// Departures before anything else gets its turn.
const DEPARTURES_PER_TURN_MAX: usize = 4_096;
/// How often every session is looked at.
const SWEEP_EVERY: StdDuration = StdDuration::from_millis(250);
/// Bytes kept of a connection that is not looked at yet, and of all of them.
const INCOMING_BYTES_MAX: u64 = 8 << 10;
const INCOMING_BYTES_ALL_MAX: u64 = 4 << 20;
/// Time that farewells have to get out at the end.
const FAREWELL_MAX: StdDuration = StdDuration::from_millis(250);

/// What the carrier is told at its start.
#[derive(Debug)]
pub struct QuicConfig {
    /// Who the server is.
    pub identity: Identity,
    /// How many connections are attended to.
    pub gate: GateConfig,
    /// A tick takes so long at most.
    pub tick: Duration,
    /// How each client's share of its line is found.
    pub congestion: CongestionConfig,
    /// Where session keys and qlogs are written; `None` for not at all.
    pub debug_dir: Option<PathBuf>,
}

/// Why the carrier did not start.
#[derive(Debug, thiserror::Error)]
pub enum QuicError {
    /// No usable certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The folder for debugging cannot be used.
    #[error("quic_debug_dir {path}: {error}")]
    DebugDir {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A thread or a system call failed.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// A socket that is bound and not served yet.
#[derive(Debug)]
pub struct BoundQuic {
    socket: UdpSocket,
    address: SocketAddr,
}

/// A carrier that is served by its thread.
#[derive(Debug)]
pub struct RunningQuic {
    doorbell: Arc<Notify>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<QuicReport>,
}

impl BoundQuic {
    /// Binds `listen` with buffers of `buffer_bytes` each way.
    pub fn bind(listen: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let socket = socket::bind(listen, buffer_bytes)?;
        let address = socket.local_addr()?;
        Ok(BoundQuic { socket, address })
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the socket on a thread of its own.
    pub fn serve(
        self,
        config: QuicConfig,
        door: Door,
        end: CarrierEnd,
        clock: Monotonic,
        live: Arc<Live>,
    ) -> Result<RunningQuic, QuicError> {
        let QuicConfig { identity, gate, tick, congestion, debug_dir } = config;
        let congestion: Congestion = Arc::new(FlowFactory { clock, config: congestion });
        let key_log = debug_dir.as_deref().map(open_debug_dir).transpose()?;
        let mut server = ServerConfig::with_crypto(Arc::new(identity.crypto(key_log)?));
        configure(&mut server, &congestion, gate.handshakes_max);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let endpoint = Endpoint::new(
            EndpointConfig::default(),
            Some(server.clone()),
            self.socket,
            Arc::new(TokioRuntime),
        )?;
        drop(entered);
        let (doorbell, stop) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let quic = Quic {
            server,
            qlogs: debug_dir.as_deref().map(|folder| Qlogs::to(folder, congestion)),
            endpoint,
            end,
            door,
            gate,
            tick,
            clock,
            live,
            doorbell: Arc::clone(&doorbell),
            stop: Arc::clone(&stop),
        };
        let thread =
            std::thread::Builder::new().name("ninefold-quic".into()).spawn(move || quic.run(runtime))?;
        Ok(RunningQuic { doorbell, stop, thread })
    }
}

/// What every server of ours allows.
fn configure(server: &mut ServerConfig, congestion: &Congestion, handshakes_max: usize) {
    server
        .transport_config(Arc::new(transport(Arc::clone(congestion))))
        .max_incoming(handshakes_max)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_ALL_MAX);
    server.validation_token.sent(0);
}

fn open_debug_dir(path: &Path) -> Result<KeyLogTo, QuicError> {
    let wrong = |error| QuicError::DebugDir { path: path.to_owned(), error };
    let key_log = KeyLogTo::open(&path.join("keys.log")).map_err(wrong)?;
    tracing::warn!(
        folder = %path.display(),
        "QUIC session keys and qlogs are written: whoever reads them can read all QUIC traffic"
    );
    Ok(key_log)
}

impl RunningQuic {
    /// Rings the thread after departures were written.
    pub fn doorbell(&self) -> Arc<Notify> {
        Arc::clone(&self.doorbell)
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Sends what was written, says goodbye to every client and ends the thread.
    pub fn stop(self) -> std::thread::Result<QuicReport> {
        self.stop.store(true, Ordering::Relaxed);
        self.doorbell.notify_one();
        self.thread.join()
    }
}

/// What the thread is made from.
struct Quic {
    server: ServerConfig,
    qlogs: Option<Qlogs>,
    endpoint: Endpoint,
    end: CarrierEnd,
    door: Door,
    gate: GateConfig,
    tick: Duration,
    clock: Monotonic,
    live: Arc<Live>,
    doorbell: Arc<Notify>,
    stop: Arc<AtomicBool>,
}

/// What the tasks of the thread share. No borrow is held over an await.
struct Shared {
    peers: RefCell<Peers<Connection>>,
    arrivals: RefCell<super::lane::Sender<Arrival>>,
    door: Door,
    report: RefCell<QuicReport>,
    /// Connections on their way in.
    attended: Cell<usize>,
    clock: Monotonic,
}

impl Quic {
    fn run(self, runtime: Runtime) -> QuicReport {
        let mut report = LocalSet::new().block_on(&runtime, self.serve());
        report.cpu_ns = crate::clock::thread_cpu_ns();
        report
    }

    async fn serve(self) -> QuicReport {
        let Quic { server, mut qlogs, endpoint, end, mut door, gate, tick, clock, live, .. } = self;
        let CarrierEnd { arrivals, mut departures } = end;
        let mut evictions = door.take_evicted().expect("the thread is the only one to listen");
        let shared = Rc::new(Shared {
            peers: RefCell::new(Peers::new(tick)),
            arrivals: RefCell::new(arrivals),
            door,
            report: RefCell::new(QuicReport::default()),
            attended: Cell::new(0),
            clock,
        });
        let mut gate = Gate::new(gate, RandomState::new(), clock.now());
        let mut sweeps = tokio::time::interval(SWEEP_EVERY);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.stop.load(Ordering::Relaxed) && !departures.is_abandoned() {
            tokio::select! {
                incoming = endpoint.accept() => {
                    let Some(incoming) = incoming else {
                        tracing::error!("the QUIC socket failed; the carrier ends");
                        break;
                    };
                    if let Some(incoming) = gate.pass(&shared, incoming) {
                        let config = qlogs.as_mut().and_then(|qlogs| with_qlog(&server, qlogs));
                        tokio::task::spawn_local(attend::attend(Rc::clone(&shared), incoming, config));
                    }
                }
                () = self.doorbell.notified() => {
                    if shared.depart(&mut departures) {
                        self.doorbell.notify_one();
                    }
                }
                Some(id) = evictions.recv() => shared.end(id, Some(CloseReason::Replaced), None),
                _ = sweeps.tick() => shared.sweep(&live),
            }
        }
        while shared.depart(&mut departures) {}
        shared.say_goodbye();
        endpoint
            .close(VarInt::from_u32(CloseReason::Stopping.code()), CloseReason::Stopping.text().as_bytes());
        // Who is still there after that has a timer of its own.
        let _ = tokio::time::timeout(FAREWELL_MAX, endpoint.wait_idle()).await;
        shared.publish(&live);
        *shared.report.borrow()
    }
}

/// The configuration of a connection that writes its qlog; none when there are enough of them.
fn with_qlog(server: &ServerConfig, qlogs: &mut Qlogs) -> Option<Arc<ServerConfig>> {
    let transport =
        qlogs.next()?.inspect_err(|error| tracing::warn!(%error, "no qlog can be written")).ok()?;
    let mut server = server.clone();
    server.transport_config(Arc::new(transport));
    Some(Arc::new(server))
}

impl Gate {
    fn pass(&mut self, shared: &Shared, incoming: Incoming) -> Option<Incoming> {
        let mut report = shared.report.borrow_mut();
        report.connections += 1;
        let comer = Comer { address: incoming.remote_address(), may_retry: incoming.may_retry() };
        match self.decide(shared.clock.now(), shared.attended.get(), comer, &mut report) {
            Pass::Attend => return Some(incoming),
            Pass::Refuse => incoming.refuse(),
            // What cannot be sent now is asked for again.
            Pass::Retry => drop(incoming.retry()),
            Pass::Ignore => incoming.ignore(),
        }
        None
    }
}

impl Shared {
    /// Sends what the tick wrote; says whether there is more.
    fn depart(&self, departures: &mut super::lane::Receiver<Departure>) -> bool {
        let now = self.clock.now();
        let mut buffer = [0; PACKET_BYTES_MAX];
        for _ in 0..DEPARTURES_PER_TURN_MAX {
            let Some((departure, heads)) = departures.pop(&mut buffer) else {
                let mut arrivals = self.arrivals.borrow_mut();
                let mut report = self.report.borrow_mut();
                let tell = |room| arrivals.push(room, &[]).is_ok();
                self.peers.borrow_mut().reckon_rooms(now, &mut report, tell);
                return false;
            };
            match departure {
                Departure::Packets(packets) => {
                    let mut report = self.report.borrow_mut();
                    let ended = self.peers.borrow_mut().send(now, &packets, heads, &mut report);
                    drop(report);
                    if let Some(reason) = ended {
                        self.end(packets.connection, Some(reason), Some(DisconnectReason::ByPeer));
                    }
                }
                Departure::Disconnect(id) => {
                    self.end(id, Some(CloseReason::Ended), Some(DisconnectReason::ByServer));
                }
            }
        }
        true
    }

    /// A session begins.
    fn begin(&self, entry: Entry, connection: Connection) {
        self.report.borrow_mut().sessions += 1;
        let old = self.peers.borrow_mut().insert(self.clock.now(), entry, connection);
        // Its eviction is on its way here, and the roster gave its slot away meanwhile.
        if let Some(old) = old {
            self.settle(*old, Some(CloseReason::Replaced));
        }
    }

    /// Ends a session, if it has not ended yet. Without a reason it is closed already. The roster is told `why` unless it knows.
    fn end(&self, id: ConnectionId, reason: Option<CloseReason>, why: Option<DisconnectReason>) {
        let peer = self.peers.borrow_mut().remove(id);
        let Some(peer) = peer else { return };
        self.settle(*peer, reason);
        if let Some(why) = why {
            self.door.release(id, why);
        }
    }

    fn settle(&self, mut peer: peers::Peer<Connection>, reason: Option<CloseReason>) {
        if let Some(reason) = reason {
            close(&peer.connection, reason);
        }
        let mut report = self.report.borrow_mut();
        peer.settle(&mut report);
        report.count_end(reason);
    }

    /// Hands a client's packet to the tick.
    fn packet(&self, id: ConnectionId, packet: &[u8]) {
        let mut report = self.report.borrow_mut();
        if !(1..=PACKET_BYTES_MAX).contains(&packet.len()) {
            report.packets_refused += 1;
            return;
        }
        let arrival = Arrival::Packet { connection: id, at: self.clock.now() };
        match self.arrivals.borrow_mut().push(arrival, packet) {
            Ok(()) => report.packets_in += 1,
            Err(_) => report.arrivals_dropped += 1,
        }
    }

    fn sweep(&self, live: &Live) {
        let mut arrivals = self.arrivals.borrow_mut();
        let tell = |moved| arrivals.push(moved, &[]).is_ok();
        let silent = self.peers.borrow_mut().sweep(self.clock.now(), &mut self.report.borrow_mut(), tell);
        drop(arrivals);
        for id in silent {
            self.end(id, Some(CloseReason::TimedOut), Some(DisconnectReason::TimedOut));
        }
        self.publish(live);
    }

    fn say_goodbye(&self) {
        let peers: Vec<_> = self.peers.borrow_mut().drain().collect();
        for peer in peers {
            self.settle(*peer, Some(CloseReason::Stopping));
        }
    }

    fn publish(&self, live: &Live) {
        let QuicReport { datagrams_in, datagrams_out, bytes_out, .. } = *self.report.borrow();
        live.quic_datagrams_in.store(datagrams_in, Ordering::Relaxed);
        live.quic_datagrams_out.store(datagrams_out, Ordering::Relaxed);
        live.quic_bytes_out.store(bytes_out, Ordering::Relaxed);
        let report = QuicReport { cpu_ns: crate::clock::thread_cpu_ns(), ..*self.report.borrow() };
        live.quic.show(self.clock.now(), report);
    }
}
