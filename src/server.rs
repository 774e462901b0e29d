//! The outermost layer: sockets, clocks, threads, secrets.
//!
//! ```text
//!   ninefold-tick   owns the simulation, wakes at each deadline
//!   ninefold-udp    owns its socket, the sessions' keys, and who is there
//!   ninefold-quic   owns its socket and the QUIC connections, where QUIC is on
//!   workers         make chunks
//!   ninefold-traces writes what the flight recorder hands over
//! ```

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, bounded};
use mio::Waker;
use ninefold_protocol::chunk::warm_up_parity;
use ninefold_protocol::connection::{DEVELOPMENT_KEY, Fingerprint, ServerConfig};
use ninefold_protocol::link::congestion::{CongestionConfig, Mode};
use ninefold_protocol::time::Duration;
use ninefold_world::{ChunkCoord, Generator};
use tokio::sync::Notify;

use crate::carrier::quic::{BoundQuic, Identity, QuicConfig, QuicError, RunningQuic};
use crate::carrier::roster::Door;
use crate::carrier::udp::{BoundUdp, RunningUdp};
use crate::carrier::{self, CarrierEnd, TickEnd};
use crate::chunk::{ChunkService, Pool};
use crate::clock::{Due, Monotonic, TickClock, thread_cpu_ns};
use crate::config::Config;
use crate::game::Game;
use crate::game::explore::Explore;
use crate::key_file;
use crate::recorder::{About, Event, Folder, RecordError, Recorder, RecorderHandle, Why, Writer};
use crate::rules::Rules;
use crate::summary::{Summary, TickReport};
use crate::telemetry::{Line, Live, TickTelemetry, TickTimes};
use crate::tick::Tick;
use crate::tracy;

/// Commands that may wait for the tick.
const COMMANDS_MAX: usize = 64;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {}", listen_advice(.error))]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The key file cannot be used.
    #[error("private_key_file {path}: {why}")]
    Key {
        /// Which file.
        path: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// Without a key anybody could connect.
    #[error(
        "listen {0} is not a loopback address and no private_key_file is set: anybody could connect with \
         the published development key; set private_key_file or listen on 127.0.0.1"
    )]
    NoKey(SocketAddr),
    /// The QUIC carrier.
    #[error(transparent)]
    Quic(#[from] QuicError),
    /// A thread or a system call failed.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The system has no random numbers.
    #[error("cannot start: no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Why a server ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {0} thread panicked; its message is above")]
pub struct Died(&'static str);

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    live: Arc<Live>,
    stop: Arc<AtomicBool>,
    commands: Sender<Command>,
    tick: JoinHandle<TickReport>,
    udp: RunningUdp,
    quic: Option<Quic>,
    recorder: RecorderHandle,
    traces: Option<Writer>,
}

/// The QUIC carrier and how clients find and know it.
#[derive(Debug)]
struct Quic {
    address: SocketAddr,
    fingerprint: Fingerprint,
    carrier: RunningQuic,
}

/// What can be asked of a running simulation.
#[derive(Debug, Clone, Copy)]
enum Command {
    Teleport { client_id: u64, to: ChunkCoord },
}

impl Server {
    /// Starts the threads. Clients can connect when this returns.
    ///
    /// The game is [`Explore`]; [`Server::start_game`] takes another.
    pub fn start(config: &Config, generator: Arc<dyn Generator>) -> Result<Server, StartError> {
        let game = Explore::new(config.world_seed, config.creatures_per_chunk);
        Server::start_game(config, generator, Box::new(game))
    }

    /// The same with a game of one's own.
    pub fn start_game(
        config: &Config,
        generator: Arc<dyn Generator>,
        game: Box<dyn Game>,
    ) -> Result<Server, StartError> {
        let clock = Monotonic::start();
        tracy::start();
        // No tick shall pay for the code's tables.
        warm_up_parity();
        let unix_s_at_origin = unix_s();
        let private_key = private_key(config)?;
        let bound = BoundUdp::bind(config.listen, config.socket_buffer_bytes as usize)
            .map_err(|error| StartError::Listen { address: config.listen, error })?;
        let address = bound.address();
        let bound_quic = config.quic_listen.map(|listen| bind_quic(config, listen)).transpose()?;
        let own_addresses = || std::iter::once(address).chain(bound_quic.as_ref().map(|q| q.0.address()));
        let public_addresses = if config.public_addrs.is_empty() {
            own_addresses().collect()
        } else {
            config.public_addrs.clone()
        };
        let udp_config = ServerConfig {
            protocol_id: config.protocol_id,
            private_key,
            public_addresses,
            clients_max: config.clients_max,
            unix_s_at_origin,
            challenge_key: random()?,
            hash_seed: random()?,
            limits: config.handshake_limits(),
        };
        let (mut tick_end, carrier_end) = carrier::ends();
        let live = Arc::new(Live::default());
        let guests_max = config.clients_max as usize + config.quic_handshakes_max as usize;
        let mut udp = bound.serve(udp_config, guests_max, carrier_end, clock, Arc::clone(&live))?;
        let quic = match bound_quic.zip(udp.take_door()) {
            Some(((bound, identity), door)) => {
                let end = tick_end.add();
                Some(serve_quic(config, bound, identity, door, end, clock, Arc::clone(&live))?)
            }
            None => None,
        };
        let rules = config.rules(generator.world_id());
        let mut pool = Pool::start(generator, config.workers(), config.chunk_limits().making_max)?;
        let (recorder, recorder_handle, traces) = start_recorder(config, &mut pool, clock)?;
        let chunks = ChunkService::new(config.chunk_limits(), pool);
        let stop = Arc::new(AtomicBool::new(false));
        let (commands, orders) = bounded(COMMANDS_MAX);
        let world = TickThread {
            tick: Tick::new(rules.clone(), chunks, game),
            rules,
            catch_up_ticks_max: config.catch_up_ticks_max,
            end: tick_end,
            doorbell: udp.waker(),
            quic_doorbell: quic.as_ref().map(|quic| quic.carrier.doorbell()),
            orders,
            recorder,
            live: Arc::clone(&live),
        };
        let stopped = Arc::clone(&stop);
        let tick = std::thread::Builder::new()
            .name("ninefold-tick".into())
            .spawn(move || world.run(clock, &stopped))?;
        Ok(Server { address, live, stop, commands, tick, udp, quic, recorder: recorder_handle, traces })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for QUIC, and the fingerprint of its certificate.
    pub fn quic(&self) -> Option<(SocketAddr, Fingerprint)> {
        self.quic.as_ref().map(|quic| (quic.address, quic.fingerprint))
    }

    /// What can be watched.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Puts a player into another chunk. Says whether the tick takes the order.
    pub fn teleport(&self, client_id: u64, to: ChunkCoord) -> bool {
        self.commands.try_send(Command::Teleport { client_id, to }).is_ok()
    }

    /// Writes the last ten seconds of ticks as a trace and gives its file. Waits for it, for ten seconds at most.
    pub fn record(&self) -> Result<PathBuf, RecordError> {
        self.recorder.record(Why::Asked)
    }

    /// What asks for traces from other threads.
    pub fn recorder(&self) -> RecorderHandle {
        self.recorder.clone()
    }

    /// Whether a thread has ended by itself, which none should.
    pub fn is_dead(&self) -> bool {
        self.tick.is_finished()
            || self.udp.is_finished()
            || self.quic.as_ref().is_some_and(|quic| quic.carrier.is_finished())
    }

    /// Ends the simulation, says goodbye to every client and tells what happened.
    pub fn stop(self) -> Result<Summary, Died> {
        self.stop.store(true, Ordering::Relaxed);
        let tick = self.tick.join().map_err(|_| Died("tick"));
        // Before the roster's thread, which it tells who has gone.
        let quic = self.quic.map(|quic| quic.carrier.stop().map_err(|_| Died("quic"))).transpose();
        let udp = self.udp.stop().map_err(|_| Died("udp"));
        // Its end of the tick's is gone, and what was due is written.
        self.traces.into_iter().for_each(Writer::stop);
        let udp = udp?;
        Ok(Summary { tick: tick?, udp, quic: quic? })
    }
}

/// The tick's thread.
struct TickThread {
    tick: Tick<Pool>,
    rules: Rules,
    catch_up_ticks_max: u32,
    end: TickEnd,
    doorbell: Arc<Waker>,
    quic_doorbell: Option<Arc<Notify>>,
    orders: Receiver<Command>,
    recorder: Recorder,
    live: Arc<Live>,
}

impl TickThread {
    fn run(mut self, clock: Monotonic, stop: &AtomicBool) -> TickReport {
        let mut deadlines = TickClock::new(clock.now(), self.rules.tick_rate_hz, self.catch_up_ticks_max);
        let mut telemetry = TickTelemetry::default();
        let mut client_ticks = 0;
        while !stop.load(Ordering::Relaxed) && !self.end.departures.is_abandoned() {
            match deadlines.poll(clock.now()) {
                Due::At(then) => clock.sleep_until(then),
                Due::Now { lateness } => {
                    let begun = self.recorder.begin(&self.end);
                    let times = self.run_once(clock, lateness, &mut telemetry);
                    tracy::frame();
                    self.recorder.end(begun, lateness, deadlines.skipped(), &times, &self.tick);
                    client_ticks += self.tick.clients() as u64;
                }
            }
        }
        let counters = *self.tick.counters();
        let ticks_skipped = deadlines.skipped();
        let clients = self.tick.clients();
        let world_ticks = self.tick.number();
        let chunks_pinned = self.tick.chunks().gauges(clock.now()).pinned;
        let chunks = self.tick.into_chunks();
        let (chunk_counters, generate) = (*chunks.counters(), chunks.generate_times().clone());
        let workers_cpu_ns = chunks.into_workshop().stop();
        TickReport {
            telemetry,
            ticks_skipped,
            counters,
            chunks: chunk_counters,
            generate,
            clients,
            chunks_pinned,
            world_ticks,
            client_ticks,
            cpu_ns: thread_cpu_ns(),
            workers_cpu_ns,
        }
    }

    fn run_once(&mut self, clock: Monotonic, lateness: Duration, telemetry: &mut TickTelemetry) -> TickTimes {
        for Command::Teleport { client_id, to } in self.orders.try_iter() {
            if self.tick.teleport(client_id, to) {
                self.recorder.note(Event::Teleported { client_id, to });
            } else {
                tracing::warn!(client_id, "no such player to teleport");
            }
        }
        let times = self.tick.run(clock.now(), &mut self.end, &|| clock.now_ns());
        // A doorbell that fails leaves the packets to the carrier's next timer.
        let _ = self.doorbell.wake();
        if let Some(doorbell) = &self.quic_doorbell {
            doorbell.notify_one();
        }
        telemetry.record(&times, lateness, self.rules.period());
        if self.tick.number().is_multiple_of(self.rules.tick_rate_hz.into()) {
            self.show_lines(telemetry);
        }
        self.live.clients.store(self.tick.clients() as u64, Ordering::Relaxed);
        self.live.ticks.store(telemetry.ticks, Ordering::Relaxed);
        self.live.tick_ns.store(times.total_ns(), Ordering::Relaxed);
        self.live.overruns.store(telemetry.overruns, Ordering::Relaxed);
        self.live.chunks_delivered.store(self.tick.counters().chunks_delivered, Ordering::Relaxed);
        self.live.chunks_generated.store(self.tick.chunks().counters().made, Ordering::Relaxed);
        times
    }
}

impl TickThread {
    /// Shows every client's line.
    fn show_lines(&self, telemetry: &mut TickTelemetry) {
        let lines = self.tick.sessions().map(|session| Line {
            client_id: session.client_id,
            flow: session.link.flow(),
            in_flight_bytes: session.link.bytes_in_flight() as u64,
        });
        for rtt in self.tick.sessions().filter_map(|s| s.link.flow().path_rtt) {
            telemetry.round_trip.record_us(rtt.as_us());
        }
        // Somebody reads: they have the last second's.
        if let Ok(mut shown) = self.live.lines.try_lock() {
            shown.clear();
            shown.extend(lines);
        }
    }
}

/// Seconds since the Unix epoch: connect tokens expire by the wall clock.
pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StartError::Random)?;
    Ok(bytes)
}

fn bind_quic(config: &Config, listen: SocketAddr) -> Result<(BoundQuic, Identity), StartError> {
    let is_development = config.quic_certificate_file.as_os_str().is_empty();
    let identity = if is_development {
        Identity::development()
    } else {
        Identity::from_files(&config.quic_certificate_file, &config.quic_key_file)
    };
    let identity = identity.map_err(QuicError::from)?;
    let bound = BoundQuic::bind(listen, config.socket_buffer_bytes as usize)
        .map_err(|error| StartError::Listen { address: listen, error })?;
    if is_development {
        tracing::warn!(
            address = %bound.address(),
            sha256 = %identity.fingerprint(),
            "QUIC with a certificate made for development; clients know it by its fingerprint alone"
        );
    } else {
        tracing::info!(address = %bound.address(), sha256 = %identity.fingerprint(), "QUIC");
    }
    Ok((bound, identity))
}

fn serve_quic(
    config: &Config,
    bound: BoundQuic,
    identity: Identity,
    door: Door,
    end: CarrierEnd,
    clock: Monotonic,
    live: Arc<Live>,
) -> Result<Quic, StartError> {
    let (address, fingerprint) = (bound.address(), identity.fingerprint());
    let debug_dir = &config.quic_debug_dir;
    let quic = QuicConfig {
        identity,
        handshakes_max: config.quic_handshakes_max as usize,
        tick: Duration::from_us(1_000_000 / u64::from(config.tick_rate_hz)),
        // Never without (RFC 9002 §7): a fixed rate is the link's, above it.
        congestion: CongestionConfig { mode: Mode::Copa, ..config.rules(0).congestion },
        debug_dir: (!debug_dir.as_os_str().is_empty()).then(|| debug_dir.clone()),
    };
    let carrier = bound.serve(quic, door, end, clock, live)?;
    Ok(Quic { address, fingerprint, carrier })
}

/// The recorder as configured, and the thread that writes for it. A folder that cannot be written to is told; the
/// recorder then says so to who asks, and tries when something is due.
fn start_recorder(
    config: &Config,
    pool: &mut Pool,
    clock: Monotonic,
) -> Result<(Recorder, RecorderHandle, Option<Writer>), StartError> {
    if !config.recorder {
        let (recorder, handle) = Recorder::off(clock);
        return Ok((recorder, handle, None));
    }
    let mut traces = None;
    let mut dumps = None;
    if !config.trace_dir.as_os_str().is_empty() {
        let files_max = config.trace_files_max as usize;
        let folder = Folder::new(config.trace_dir.clone(), files_max, config.trace_bytes_max);
        if let Err(error) = folder.check() {
            tracing::warn!("no trace can be written: {error}; the server goes on without");
        }
        let about = About::new(config.tick_rate_hz, config.shown().collect());
        let (writer, dumps_in) = Writer::start(folder, about)?;
        (traces, dumps) = (Some(writer), Some(dumps_in));
    }
    let seconds = u64::from(config.trace_overrun_interval_s);
    let interval = (seconds > 0).then(|| Duration::from_secs(seconds));
    let (recorder, handle) = Recorder::new(clock, config.tick_rate_hz, pool.take_work_log(), dumps, interval);
    Ok((recorder, handle, traces))
}

fn private_key(config: &Config) -> Result<[u8; 32], StartError> {
    if config.private_key_file.as_os_str().is_empty() {
        let listens = std::iter::once(config.listen).chain(config.quic_listen);
        if let Some(open) = listens.into_iter().find(|address| !address.ip().is_loopback()) {
            return Err(StartError::NoKey(open));
        }
        tracing::warn!("development mode: tokens are signed with the published key; loopback only");
        return Ok(DEVELOPMENT_KEY);
    }
    key_file::read(&config.private_key_file).map_err(|e| StartError::Key {
        path: config.private_key_file.display().to_string(),
        why: e.to_string(),
    })
}

fn listen_advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the address is in use; choose another with --listen or stop the other server".into()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address; see --listen".into(),
        io::ErrorKind::PermissionDenied => "not permitted; choose a port over 1023 with --listen".into(),
        _ => error.to_string(),
    }
}
