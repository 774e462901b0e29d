//! How long ticks take, tick by tick: what a mean hides.
//!
//! cargo bench --bench crowd -- walking | looking | idle | growth | storm | chunks | lateness | steps | replayed
//!
//! The whole tick as the server runs it, with profiler, book and recorder, on a thread of its own, as it has in the
//! server. Its clients live on another thread and in virtual time, each on a line of 50 ms round trip; they run while
//! the tick does not, and wait by spinning, so that each thread has a core and keeps its caches. Chunks are made between
//! ticks, as workers make them beside it.
//!
//! The density is that of the figures in docs/numbers.md: about 1.6 players a chunk, so some fourteen others in a ring.

#[path = "../tests/common/puppets.rs"]
mod puppets;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant as Wall;

use ninefold::clock::{Monotonic, thread_cpu_ns, wake_on_time};
use ninefold::config::Config;
use ninefold::recorder::Recorder;
use ninefold::telemetry::{Bookkeeper, Live, Phase, TickSample};
use ninefold_client::protocol::time::Duration;
use ninefold_client::world::{BspWorld, Plain};
use ninefold_netem::Profile;
use puppets::Stage;

const PERIOD: Duration = Duration::from_us(16_666);
/// One way.
const DELAY_US: u64 = 25_000;
/// Ticks from the last client's coming until every ring is whole.
const WARM_UP_TICKS: usize = 180;
/// Clients that come in a tick while a stage is made ready.
const JOINS_PER_TICK: usize = 50;
/// Who walks turns after so many ticks.
const TURN_TICKS: u64 = 90;

/// What clients do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Walks and turns its head, a new way every second and a half.
    Walk,
    /// Stands and turns its head in every tick.
    Look,
    /// Stands; its inputs say that it wants nothing.
    Idle,
}

/// What a tick took, nanoseconds.
#[derive(Clone, Copy)]
struct Took {
    wall_ns: u64,
    /// Of its thread: what others on the machine take is not in it.
    cpu_ns: u64,
    phases_ns: [u64; Phase::ALL.len()],
}

/// A stage, and what the server has around its tick.
struct Server {
    stage: Stage,
    does: Does,
    random: fastrand::Rng,
    ticks: u64,
    clock: Monotonic,
    recorder: Recorder,
    book: Bookkeeper,
    /// The ticks since this was cleared.
    took: Vec<Took>,
}

impl Server {
    fn new(spawn_radius_chunks: u32, does: Does) -> Server {
        let config = Config { spawn_radius_chunks, ..Config::default() };
        let world = Arc::new(BspWorld::new(config.world_seed));
        let mut stage = Stage::new(config.rules(0), world, 1);
        stage.make_beside();
        Server::around(stage, does)
    }

    fn around(mut stage: Stage, does: Does) -> Server {
        let config = Config::default();
        stage.set_line(Profile { delay_us: DELAY_US, ..Profile::default() });
        let clock = Monotonic::start();
        let live: Arc<Live> = Arc::default();
        let (recorder, _) = Recorder::new(clock, config.tick_rate_hz, None, None, None, Arc::clone(&live));
        let book = Bookkeeper::new(live, config.tick_rate_hz, PERIOD);
        let (random, took) = (fastrand::Rng::with_seed(3), Vec::with_capacity(1 << 16));
        Server { stage, does, random, ticks: 0, clock, recorder, book, took }
    }

    /// With so many clients whose rings are whole.
    fn full(clients: usize, spawn_radius_chunks: u32, does: Does) -> Server {
        let mut server = Server::new(spawn_radius_chunks, Does::Idle);
        server.fill(clients, Server::step);
        server.does = does;
        server.took.clear();
        server
    }

    fn fill(&mut self, clients: usize, step: fn(&mut Server)) {
        while self.stage.puppets.len() < clients {
            let missing = clients - self.stage.puppets.len();
            (0..missing.min(JOINS_PER_TICK)).for_each(|_| _ = self.stage.join());
            step(self);
        }
        (0..WARM_UP_TICKS).for_each(|_| step(self));
        let whole = self.stage.puppets.iter().filter(|p| p.position.is_some()).count();
        assert_eq!(whole, clients, "all are in the world");
    }

    /// What the clients do before the tick, and the workers.
    fn before(&mut self) {
        let turns = self.ticks.is_multiple_of(TURN_TICKS);
        for puppet in &mut self.stage.puppets {
            // They keep no chunk: it is the server that is measured.
            puppet.chunks.clear();
            puppet.fragments.clear();
            puppet.snapshot_bytes.clear();
            match self.does {
                Does::Walk if turns => {
                    puppet.wish = (self.random.i16(..), self.random.i16(..));
                    puppet.yaw = puppet.yaw.wrapping_add(1_000);
                }
                Does::Look => puppet.yaw = puppet.yaw.wrapping_add(300),
                Does::Walk | Does::Idle => {}
            }
        }
        self.ticks += 1;
        self.stage.before();
    }

    /// The tick, with all that the server does for it on its thread.
    fn tick(&mut self) {
        let clock = self.clock;
        let (began_ns, began_cpu_ns) = (clock.now_ns(), thread_cpu_ns());
        let begun = self.recorder.begin(self.stage.end());
        self.book.note_waiting(&self.stage.end().arrivals, 0, 64);
        let times = self.stage.run(&|| clock.now_ns());
        self.book.note_left(&self.stage.end().departures);
        let tick = &self.stage.tick;
        let sample = TickSample {
            number: tick.number(),
            began: self.stage.now,
            lateness: Duration::ZERO,
            times,
            clients: tick.clients() as u32,
        };
        if sample.number.is_multiple_of(60) {
            self.book.take_stock(tick, 0);
        }
        self.book.record(sample, 0, tick);
        self.recorder.end(begun, Duration::ZERO, 0, &times, tick);
        let (wall_ns, cpu_ns) = (clock.now_ns() - began_ns, thread_cpu_ns() - began_cpu_ns);
        self.took.push(Took { wall_ns, cpu_ns, phases_ns: times.phases_ns });
    }

    /// The clients again; the workers have the time of one period.
    fn after(&mut self) {
        self.stage.after();
        let began = Wall::now();
        self.stage.work(&|| began.elapsed().as_micros() < PERIOD.as_us().into());
    }

    fn step(&mut self) {
        self.before();
        self.tick();
        self.after();
    }

    /// A step whose outcome depends on no clock.
    fn step_unhurried(&mut self) {
        self.before();
        self.stage.run(&|| 0);
        self.stage.after();
    }

    fn others_each(&self) -> f64 {
        let others: usize = self.stage.puppets.iter().map(|p| p.others).sum();
        others as f64 / self.stage.puppets.len() as f64
    }
}

const CLIENTS_TURN: usize = 0;
const TICKS_TURN: usize = 1;
const OVER: usize = 2;

/// Runs so many ticks of each server in turns, on a thread named `tick`.
fn run_apart(servers: &mut [&mut Server], ticks: usize, mut each: impl FnMut(&mut Server)) {
    let turn = AtomicUsize::new(CLIENTS_TURN);
    let wait = |whose: usize| loop {
        match turn.load(Ordering::Acquire) {
            now if now == whose || now == OVER => return now,
            _ => std::thread::yield_now(),
        }
    };
    let shared = Mutex::new((servers, 0));
    std::thread::scope(|scope| {
        let ticking = std::thread::Builder::new().name("tick".into());
        let spawned = ticking.spawn_scoped(scope, || {
            while wait(TICKS_TURN) != OVER {
                let mut guard = shared.lock().expect("the other thread has not panicked");
                let (servers, at) = &mut *guard;
                servers[*at].tick();
                drop(guard);
                turn.store(CLIENTS_TURN, Ordering::Release);
            }
        });
        spawned.expect("a thread");
        let count = shared.lock().expect("nobody else has it").0.len();
        for step in 0..ticks * count {
            let with = |f: &mut dyn FnMut(&mut Server)| {
                let mut guard = shared.lock().expect("the tick's thread has not panicked");
                let (servers, at) = &mut *guard;
                *at = step % count;
                f(servers[step % count]);
            };
            with(&mut |server| {
                each(server);
                server.before();
            });
            turn.store(TICKS_TURN, Ordering::Release);
            wait(CLIENTS_TURN);
            with(&mut |server| server.after());
        }
        turn.store(OVER, Ordering::Release);
    });
}

fn percentile(sorted: &[u64], permille: usize) -> f64 {
    sorted[(sorted.len() * permille / 1_000).min(sorted.len() - 1)] as f64 / 1_000.0
}

fn sorted(server: &Server, what: impl Fn(&Took) -> u64) -> Vec<u64> {
    let mut all: Vec<u64> = server.took.iter().map(what).collect();
    all.sort_unstable();
    all
}

/// Prints the distribution and gives the median of the CPU time in microseconds.
fn tell(what: &str, server: &Server) -> f64 {
    tell_of(what, server, server.others_each())
}

fn tell_of(what: &str, server: &Server, others_each: f64) -> f64 {
    let clients = server.stage.tick.clients();
    println!("{what}: {clients} clients among {others_each:.1} others each, {} ticks", server.took.len());
    let all = [("clock", sorted(server, |t| t.wall_ns)), ("CPU", sorted(server, |t| t.cpu_ns))];
    for (which, all) in &all {
        let [p50, p99, p999, most] = [500, 990, 999, 1_000].map(|permille| percentile(all, permille));
        println!("    {which}, us: p50 {p50:.0}, p99 {p99:.0}, p99.9 {p999:.0}, most {most:.0}");
    }
    let median = percentile(&all[1].1, 500);
    println!("    {:.3} us a client", median / clients as f64);
    let phase = |phase: &Phase| percentile(&sorted(server, |took| took.phases_ns[*phase as usize]), 500);
    let each = |of: &dyn Fn(&Phase) -> f64| -> String {
        let phases: Vec<_> = Phase::ALL.iter().map(|p| format!("{} {:.0}", p.name(), of(p))).collect();
        phases.join(", ")
    };
    println!("    p50 of each phase, us: {}", each(&phase));
    let mut dear: Vec<&Took> = server.took.iter().collect();
    dear.sort_unstable_by_key(|took| std::cmp::Reverse(took.cpu_ns));
    dear.truncate(server.took.len().div_ceil(100) * 2);
    let dear = |phase: &Phase| {
        dear.iter().map(|took| took.phases_ns[*phase as usize]).sum::<u64>() as f64
            / dear.len() as f64
            / 1_000.0
    };
    println!("    mean of each in the dearest fiftieth: {}", each(&dear));
    let (at, worst) = server.took.iter().enumerate().max_by_key(|(_, t)| t.cpu_ns).expect("there was a tick");
    let worst = |phase: &Phase| worst.phases_ns[*phase as usize] as f64 / 1_000.0;
    println!("    the dearest, of {} ticks the {}th: {}", server.took.len(), at + 1, each(&worst));
    let counters = server.stage.tick.counters();
    println!(
        "    {} crossings, {} fragments, {} snapshots of {:.0} bytes",
        counters.crossings,
        counters.fragments_sent,
        counters.snapshots_sent,
        counters.snapshot_bytes_out as f64 / counters.snapshots_sent.max(1) as f64
    );
    median
}

fn one(what: &str, clients: usize, spawn_radius_chunks: u32, does: Does, ticks: usize) {
    let mut server = Server::full(clients, spawn_radius_chunks, does);
    run_apart(&mut [&mut server], ticks, |_| {});
    tell(what, &server);
}

/// 500 and 5,000 in turns.
fn growth(what: &str, does: Does) {
    let mut few = Server::full(500, 8, does);
    let mut many = Server::full(5_000, 27, does);
    run_apart(&mut [&mut few, &mut many], 300, |_| {});
    let (few_us, many_us) = (tell(what, &few), tell(what, &many));
    println!("    a client at 5,000 against one at 500: {:.2}", many_us / 5_000.0 / (few_us / 500.0));
}

/// A thousand come within a second, into a world in which no chunk was made.
fn storm() {
    const CLIENTS: usize = 1_000;
    const TICKS: usize = 150;
    let mut server = Server::new(Config::default().spawn_radius_chunks, Does::Walk);
    let mut came = Vec::new();
    let mut playable_ms = vec![None; CLIENTS];
    run_apart(&mut [&mut server], TICKS, |server| {
        let now = server.stage.now;
        for (puppet, (came, playable_ms)) in
            server.stage.puppets.iter().zip(came.iter().zip(&mut playable_ms))
        {
            let active = puppet.active().filter(|_| puppet.position.is_some());
            let holds = |at: (i32, i32)| puppet.whole.iter().any(|(key, _)| (key.cx, key.cz) == at);
            if playable_ms.is_none() && active.is_some_and(holds) {
                *playable_ms = Some(now.since(*came).as_us() / 1_000);
            }
        }
        let due = (CLIENTS * (server.ticks as usize + 1) / 60).min(CLIENTS);
        while came.len() < due {
            came.push(now);
            server.stage.join();
        }
    });
    let mut waited: Vec<u64> = playable_ms.iter().map(|ms| ms.expect("all got in") * 1_000).collect();
    waited.sort_unstable();
    println!(
        "storm: playable after p50 {:.0} ms, p99 {:.0}, last {:.0}; {} chunks made",
        percentile(&waited, 500),
        percentile(&waited, 990),
        percentile(&waited, 1_000),
        server.stage.tick.chunks().counters().made
    );
    tell("storm", &server);
}

/// Chunks of 32 KiB to everybody: what a fragment costs in the phases that send it, and its acknowledgement. The same
/// stage without a chunk under way is taken off. All ask for their ring again and again after they have got it, and that
/// is what is measured: a server that has sent before has its queues in memory.
fn chunks() {
    const CLIENTS: usize = 500;
    const ASK_EVERY_TICKS: u64 = 300;
    const TICKS: usize = 1_500;
    let config = Config { spawn_radius_chunks: 2, ..Config::default() };
    let plain = Arc::new(Plain::new(0));
    let mut stage = Stage::with_chunk_bytes(config.rules(0), plain, 1, 32 << 10);
    stage.make_beside();
    let mut server = Server::around(stage, Does::Idle);
    (0..CLIENTS).for_each(|_| _ = server.stage.join());
    let mut busy = ([0; 3], 0);
    let mut quiet = ([0; 3], 0);
    let mut fragments_before = 0;
    run_apart(&mut [&mut server], TICKS, |server| {
        if server.ticks > 0 && server.ticks.is_multiple_of(ASK_EVERY_TICKS) {
            server.stage.puppets.iter_mut().for_each(|puppet| puppet.ask_for_ring());
        }
        if server.ticks == ASK_EVERY_TICKS {
            fragments_before = server.stage.tick.counters().fragments_sent;
        }
        let Some(took) = server.took.pop().filter(|_| server.ticks > ASK_EVERY_TICKS) else { return };
        let phases = [Phase::Ingress, Phase::Stream, Phase::Egress].map(|p| took.phases_ns[p as usize]);
        let is_busy = server.stage.tick.sessions().any(|s| !s.view.sendings().is_empty());
        let sum = if is_busy { &mut busy } else { &mut quiet };
        sum.0.iter_mut().zip(phases).for_each(|(sum, ns)| *sum += ns);
        sum.1 += 1;
    });
    let fragments = server.stage.tick.counters().fragments_sent - fragments_before;
    let of = |at: usize| {
        let idle = quiet.0[at] * busy.1 / quiet.1.max(1);
        busy.0[at].saturating_sub(idle) as f64 / fragments as f64
    };
    println!(
        "chunks: {fragments} fragments in {} ticks; each ingress {:.0} ns, stream {:.0} ns, egress {:.0} ns",
        busy.1,
        of(0),
        of(1),
        of(2)
    );
}

/// How late a thread wakes that sleeps until each tick's time: as the system has it, without slack as the tick's thread
/// does, and where it spins for the last 100 us.
fn lateness() {
    const SPIN_US: u64 = 100;
    let clock = Monotonic::start();
    let ways = [
        ("as the system has it", 0),
        ("spinning", SPIN_US),
        ("without slack", 0),
        ("without slack, spinning", SPIN_US),
    ];
    for (at, (what, spin_us)) in ways.into_iter().enumerate() {
        if at == 2 {
            wake_on_time();
        }
        let mut due = clock.now() + PERIOD;
        let mut late_ns = Vec::new();
        let began_cpu_ns = thread_cpu_ns();
        for _ in 0..400 {
            clock.sleep_until(due - Duration::from_us(spin_us));
            while clock.now() < due {
                std::hint::spin_loop();
            }
            late_ns.push(clock.now_ns().saturating_sub(due.as_us() * 1_000));
            due += PERIOD;
        }
        let cpu_ms = (thread_cpu_ns() - began_cpu_ns) as f64 / 1e6;
        late_ns.sort_unstable();
        let [p50, p99, most] = [500, 990, 1_000].map(|permille| percentile(&late_ns, permille));
        println!(
            "{what}: late by p50 {p50:.1} us, p99 {p99:.1}, most {most:.1}; {cpu_ms:.1} ms of CPU in 6.7 s"
        );
    }
}

/// A crowd that looks, played to other servers from the tape of what its clients sent: nothing but the tick is at work,
/// and nobody's memory but its own passes through the caches. The same comes of it on any number of threads.
fn replayed(clients: usize, spawn_radius_chunks: u32) {
    const TICKS: usize = 400;
    let server = |tick_threads| {
        let config = Config { spawn_radius_chunks, tick_threads, ..Config::default() };
        let world = Arc::new(BspWorld::new(config.world_seed));
        Server::around(Stage::new(config.rules(0), world, 1), Does::Idle)
    };
    let mut live = server(1);
    live.stage.record();
    live.fill(clients, Server::step_unhurried);
    live.does = Does::Look;
    (0..TICKS).for_each(|_| live.step_unhurried());
    let (tape, counters, others) = (live.stage.recorded(), *live.stage.tick.counters(), live.others_each());
    drop(live);
    for threads in [1, 2] {
        let replay = || {
            let mut server = server(threads as u32);
            for tick in 0..tape.ticks() {
                server.stage.replay(&tape, tick);
                if tick + TICKS < tape.ticks() {
                    server.stage.run(&|| 0);
                } else {
                    server.tick();
                }
                server.stage.discard();
            }
            assert_eq!(*server.stage.tick.counters(), counters, "the same came of it");
            tell_of(&format!("replayed, threads of the tick: {threads}"), &server, others);
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(replay);
    }
}

/// For callgrind (`--toggle-collect='*Tick*::run*'`): a few ticks in one thread.
fn steps() {
    let mut server = Server::full(300, 6, Does::Walk);
    (0..30).for_each(|_| server.step());
    tell("steps", &server);
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_asked = |name: &str| asked.iter().any(|arg| arg == name);
    if asked.is_empty() {
        println!("which? walking | looking | idle | growth | storm | chunks | lateness | steps | replayed");
    }
    if is_asked("walking") {
        one("walking", 1_000, 12, Does::Walk, 2_000);
    }
    if is_asked("looking") {
        one("looking", 5_000, 27, Does::Look, 500);
    }
    if is_asked("idle") {
        one("idle", 5_000, 27, Does::Idle, 500);
    }
    if is_asked("growth") {
        growth("walking", Does::Walk);
        growth("looking", Does::Look);
    }
    if is_asked("storm") {
        storm();
    }
    if is_asked("chunks") {
        chunks();
    }
    if is_asked("lateness") {
        lateness();
    }
    if is_asked("replayed") {
        replayed(500, 8);
        replayed(5_000, 27);
    }
    if is_asked("steps") {
        steps();
    }
}
