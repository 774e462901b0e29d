//! The outermost layer: sockets, clocks, threads, secrets.
//!
//! ```text
//!   ninefold-tick   owns the simulation, wakes at each deadline; where tick_threads says so it waits for
//!                   ninefold-tick-*, which do so together
//!   ninefold-udp    owns its socket, the sessions' keys, and who is there; ninefold-udp-1 and so on, where
//!                   udp_threads says so, own sockets of the same port and the keys of a share of the sessions
//!   ninefold-quic   owns its socket and the QUIC connections, where QUIC is on
//!   workers         make chunks
//!   ninefold-traces writes what the flight recorder hands over
//!   ninefold-metrics  answers over HTTP, where metrics_listen says so
//! ```

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, bounded};
use ninefold_protocol::chunk::warm_up_parity;
use ninefold_protocol::connection::{DEVELOPMENT_KEY, Fingerprint, ServerConfig};
use ninefold_protocol::link::congestion::{CongestionConfig, Mode};
use ninefold_protocol::time::Duration;
use ninefold_world::{ChunkCoord, Generator};
use tokio::sync::Notify;

use crate::carrier::doorbell::Doorbell;
use crate::carrier::quic::{BoundQuic, Identity, QuicConfig, QuicError, RunningQuic};
use crate::carrier::roster::Door;
use crate::carrier::udp::{BoundUdp, RunningUdp, ShardEnd, Surroundings};
use crate::carrier::{self, CarrierEnd, Shard, TickEnd};
use crate::chunk::{ChunkService, Pool};
use crate::clock::{Beat, Due, Monotonic, TickClock, thread_cpu_ns, wake_on_time};
use crate::config::Config;
use crate::game::Game;
use crate::game::explore::Explore;
use crate::key_file;
use crate::metrics::{BoundMetrics, RunningMetrics};
use crate::recorder::{About, Event, Folder, RecordError, Recorder, RecorderHandle, Why, Writer};
use crate::rules::Rules;
use crate::summary::{Summary, TickReport};
use crate::telemetry::{Asked, Bookkeeper, Live, State, TickSample, TickTimes};
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
    /// The port cannot be shared among threads.
    #[error("udp_threads: {0}; with udp_threads = 1 the port needs no sharing")]
    Share(io::Error),
    /// The address for the metrics cannot be had.
    #[error("metrics_listen {address}: {error}; choose another with --metrics-listen")]
    Metrics {
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
    clock: Monotonic,
    stop: Arc<AtomicBool>,
    commands: Sender<Command>,
    tick: JoinHandle<TickReport>,
    udp: RunningUdp,
    quic: Option<Quic>,
    recorder: RecorderHandle,
    traces: Option<Writer>,
    metrics: Option<RunningMetrics>,
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
        let unix_s_at_origin = unix_s();
        let private_key = private_key(config)?;
        let (mut tick_end, carrier_end) = carrier::ends();
        let bound = bind_udp(config, &mut tick_end)?;
        let address = bound.address();
        let bound_quic = config.quic_listen.map(|listen| bind_quic(config, listen)).transpose()?;
        let bound_metrics = config.metrics_listen.map(bind_metrics).transpose()?;
        let own_addresses = || std::iter::once(address).chain(bound_quic.as_ref().map(|q| q.0.address()));
        let public_addresses = if config.public_addrs.is_empty() {
            own_addresses().collect()
        } else {
            config.public_addrs.clone()
        };
        let udp_config = udp_config(config, private_key, public_addresses, unix_s_at_origin)?;
        let live = Arc::new(Live::default());
        let guests_max = config.clients_max as usize + config.quic_handshakes_max as usize;
        let beat = Arc::new(Beat::default());
        let surroundings = Surroundings {
            guests_max,
            clock,
            beat: Arc::clone(&beat),
            gather: Duration::from_us(config.gather_us.into()),
            live: Arc::clone(&live),
        };
        let mut udp = bound.serve(udp_config, carrier_end, surroundings)?;
        let quic = match bound_quic.zip(udp.take_door()) {
            Some(((bound, identity), door)) => {
                let end = tick_end.add();
                Some(serve_quic(config, bound, identity, door, end, clock, Arc::clone(&live))?)
            }
            None => None,
        };
        let rules = config.rules(generator.world_id());
        let mut pool = Pool::start(generator, config.workers(), config.chunk_limits().making_max)?;
        let (tape, recorder, traces) = start_recorder(config, &mut pool, clock, &live)?;
        let chunks = ChunkService::new(config.chunk_limits(), pool);
        let stop = Arc::new(AtomicBool::new(false));
        let (commands, orders) = bounded(COMMANDS_MAX);
        let rules_period = rules.period();
        let world = TickThread {
            tick: Tick::new(rules.clone(), chunks, game),
            rules,
            catch_up_ticks_max: config.catch_up_ticks_max,
            end: tick_end,
            doorbells: udp.doorbells(),
            beat,
            quic_doorbell: quic.as_ref().map(|quic| quic.carrier.doorbell()),
            orders,
            recorder: tape,
            live: Arc::clone(&live),
            book: Bookkeeper::new(Arc::clone(&live), config.tick_rate_hz, rules_period),
        };
        let metrics = bound_metrics.map(|bound| bound.serve(clock, Arc::clone(&live))).transpose()?;
        let stopped = Arc::clone(&stop);
        let tick_pool = tick_pool(config.tick_threads as usize)?;
        let tick =
            std::thread::Builder::new().name("ninefold-tick".into()).spawn(move || match tick_pool {
                Some(pool) => pool.install(|| world.run(clock, &stopped)),
                None => world.run(clock, &stopped),
            })?;
        Ok(Server { address, live, clock, stop, commands, tick, udp, quic, recorder, traces, metrics })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for QUIC, and the fingerprint of its certificate.
    pub fn quic(&self) -> Option<(SocketAddr, Fingerprint)> {
        self.quic.as_ref().map(|quic| (quic.address, quic.fingerprint))
    }

    /// Where it shows its figures over HTTP.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(RunningMetrics::address)
    }

    /// What can be watched.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// All that it knows of itself, as `GET /state` tells it.
    pub fn state(&self, asked: &Asked) -> State {
        self.live.state(self.clock.now(), asked)
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
        self.metrics.into_iter().for_each(RunningMetrics::stop);
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
    /// Of the UDP threads.
    doorbells: Vec<Arc<Doorbell>>,
    beat: Arc<Beat>,
    quic_doorbell: Option<Arc<Notify>>,
    orders: Receiver<Command>,
    recorder: Recorder,
    live: Arc<Live>,
    book: Bookkeeper,
}

/// The threads that share out what a tick does, where there is more than one; the tick itself is run by one of them, so
/// that handing work to the others costs no detour.
fn tick_pool(threads: usize) -> io::Result<Option<rayon::ThreadPool>> {
    if threads <= 1 {
        return Ok(None);
    }
    let named = |at| format!("ninefold-tick-{at}");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(named).build();
    pool.map(Some).map_err(io::Error::other)
}

impl TickThread {
    fn run(mut self, clock: Monotonic, stop: &AtomicBool) -> TickReport {
        // No tick shall pay for the code's tables, nor who waits for the server to listen.
        warm_up_parity();
        wake_on_time();
        let mut deadlines = TickClock::new(clock.now(), self.rules.tick_rate_hz, self.catch_up_ticks_max);
        let mut client_ticks = 0;
        while !stop.load(Ordering::Relaxed) && !self.end.departures.is_abandoned() {
            match deadlines.poll(clock.now()) {
                Due::At(then) => {
                    self.beat.announce(then);
                    clock.sleep_until(then);
                }
                Due::Now { lateness } => {
                    let begun = self.recorder.begin(&self.end);
                    let times = self.run_once(clock, lateness, deadlines.skipped());
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
            telemetry: self.book.finish(),
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

    fn run_once(&mut self, clock: Monotonic, lateness: Duration, skipped: u64) -> TickTimes {
        self.book.note_waiting(&self.end.arrivals, self.orders.len(), COMMANDS_MAX);
        for Command::Teleport { client_id, to } in self.orders.try_iter() {
            if self.tick.teleport(client_id, to) {
                self.recorder.note(Event::Teleported { client_id, to });
            } else {
                tracing::warn!(client_id, "no such player to teleport");
            }
        }
        let began = clock.now();
        let times = self.tick.run(began, &mut self.end, &|| clock.now_ns());
        self.book.note_left(&self.end.departures);
        self.doorbells.iter().for_each(|doorbell| doorbell.ring());
        if let Some(doorbell) = &self.quic_doorbell {
            doorbell.notify_one();
        }
        self.note(
            TickSample {
                number: self.tick.number(),
                began,
                lateness,
                times,
                clients: self.tick.clients() as u32,
            },
            skipped,
        );
        times
    }

    /// Tells those who watch.
    fn note(&mut self, sample: TickSample, skipped: u64) {
        if sample.number % u64::from(self.rules.tick_rate_hz) == 1 {
            let lanes_bytes = self.end.arrivals.memory_bytes() + self.end.departures.memory_bytes();
            self.book.take_stock(&self.tick, lanes_bytes);
        }
        self.book.record(sample, skipped, &self.tick);
        let live = &self.live;
        live.clients.store(sample.clients.into(), Ordering::Relaxed);
        live.ticks.fetch_add(1, Ordering::Relaxed);
        live.tick_ns.store(sample.times.total_ns(), Ordering::Relaxed);
        let is_overrun = sample.times.total_ns() / 1_000 > self.rules.period().as_us();
        live.overruns.fetch_add(is_overrun.into(), Ordering::Relaxed);
        live.chunks_delivered.store(self.tick.counters().chunks_delivered, Ordering::Relaxed);
        live.chunks_generated.store(self.tick.chunks().counters().made, Ordering::Relaxed);
    }
}

/// The sockets of UDP's port, and lanes for those beside the first.
fn bind_udp(config: &Config, tick_end: &mut TickEnd) -> Result<BoundUdp, StartError> {
    let listen = |error| StartError::Listen { address: config.listen, error };
    let mut bound = BoundUdp::bind(config.listen, config.socket_buffer_bytes as usize).map_err(listen)?;
    for shard in (1..config.udp_threads as u8).map(Shard) {
        let end = tick_end.add_shard(shard);
        let shard = ShardEnd { end, challenge_key: random()?, hash_seed: random()? };
        bound.add_thread(shard).map_err(StartError::Share)?;
    }
    Ok(bound)
}

/// What the connection layer is told.
fn udp_config(
    config: &Config,
    private_key: [u8; 32],
    public_addresses: Vec<SocketAddr>,
    unix_s_at_origin: u64,
) -> Result<ServerConfig, StartError> {
    Ok(ServerConfig {
        protocol_id: config.protocol_id,
        private_key,
        public_addresses,
        clients_max: config.clients_max,
        unix_s_at_origin,
        challenge_key: random()?,
        hash_seed: random()?,
        limits: config.handshake_limits(),
    })
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

fn bind_metrics(listen: SocketAddr) -> Result<BoundMetrics, StartError> {
    if !listen.ip().is_loopback() {
        tracing::warn!(
            address = %listen,
            "the metrics are plain HTTP and open to whoever reaches that address; keep it inside your network"
        );
    }
    BoundMetrics::bind(listen).map_err(|error| StartError::Metrics { address: listen, error })
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
        gate: config.quic_gate(),
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
    live: &Arc<Live>,
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
        let (writer, dumps_in) = Writer::start(folder, about, Arc::clone(live))?;
        live.recorder.announce();
        (traces, dumps) = (Some(writer), Some(dumps_in));
    }
    let seconds = u64::from(config.trace_overrun_interval_s);
    let interval = (seconds > 0).then(|| Duration::from_secs(seconds));
    let (work_log, live) = (pool.take_work_log(), Arc::clone(live));
    let (recorder, handle) = Recorder::new(clock, config.tick_rate_hz, work_log, dumps, interval, live);
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
