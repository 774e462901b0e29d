//! Conducting a run: starts the server, the lines and the crews, lets faults and teleports happen, and draws up the outcome.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::{io, thread};

use anyhow::{Context, anyhow, bail};
use ninefold::clock::Monotonic;
use ninefold::server::unix_s;
use ninefold::telemetry::resident_bytes;
use ninefold_client::protocol::time::{Duration, Instant};

use super::audit::{Evidence, SocketDrops, audit};
use super::board::{Board, Glimpse, Seconds};
use super::crew::{Crew, ORDERS_MAX, Ports, Shared, Teleport, address_changes};
use super::facts::{self, Meter};
use super::growth::server_memory_growth;
use super::host::{Change, Host};
use super::lines::Lines;
use super::mint::{Minter, Tokens};
use super::order::{Order, Target};
use super::{quic, udp};
use crate::line::LineReport;
use crate::outcome::{LineFacts, Machine, OUTCOME_VERSION, Outcome, RunFacts};
use crate::player::{Seat, Tally};
use crate::scenario::Cast;
use crate::swarm::Carrier;

/// From the start of the threads to the beginning of the run.
const LEAD: Duration = Duration::from_ms(200);
/// The main thread looks at everything this often.
const LOOK_EVERY: Duration = Duration::from_ms(20);
/// The server's state and the kernel's tables are asked for this often.
const STATE_EVERY: Duration = Duration::from_ms(1_000);
/// Threads have so long after the end to come home.
const HOMECOMING: Duration = Duration::from_secs(10);
/// Files that a run needs beside its clients' sockets.
const FILES_BESIDE: u64 = 256;

/// Who is shown how a run goes.
pub type LookFn<'l> = dyn FnMut(&Glimpse<'_>) -> ControlFlow<()> + 'l;
/// A thread with its clients.
type CrewThread = JoinHandle<io::Result<Tally>>;

/// Runs it. `look` is shown how it goes, some fifty times a second; where it breaks, clients say goodbye and the run ends
/// before its time.
pub fn execute(order: &Order, look: &mut LookFn<'_>) -> anyhow::Result<Outcome> {
    order.check()?;
    let cast = order.scenario.cast();
    allow_files(2 * cast.parts.len() as u64 + FILES_BESIDE)?;
    let began_unix_s = unix_s();
    let (shared, host, lines, orders) = prepare(order, began_unix_s)?;
    let rss_before = resident_bytes();
    let crews = muster(&cast, &shared, order.threads)?;
    let threads = crews.len() as u64;
    let mut watch = Watch {
        meter: Meter::new(!matches!(order.target, Target::Outer(_))),
        shared: &shared,
        host,
        orders,
        cast: &cast,
        seconds: Seconds::default(),
        drops: SocketDrops::default(),
        rss_peak: rss_before,
        next_state: shared.origin,
    };
    let conducted = watch.conduct(&crews, look);
    let ended_early = shared.stop.swap(true, Ordering::Relaxed);
    let tally = come_home(crews);
    conducted?;
    let tally = tally?;
    let elapsed = watch.finish(look);
    // A server in the same process has memory of its own, which cannot be told apart.
    let grown = watch.rss_peak.saturating_sub(rss_before) / order.scenario.clients().max(1);
    let run = RunFacts {
        began_unix_s,
        took_s: elapsed.as_us() as f64 / 1e6,
        command: order.command.clone(),
        server: watch.host.name(),
        threads,
        memory_bytes_per_client: if watch.host.is_apart() { grown } else { 0 },
        cpu_s: tally.cpu_ns as f64 / 1e9,
        ended_early,
    };
    let Watch { meter, host, seconds, drops, .. } = watch;
    let lines = lines.stop(&order.scenario)?;
    host.stop()?;
    Ok(draw_up(order, &cast, run, &tally, meter, seconds, drops.sum(), lines))
}

/// What everybody shares, the server, the lines before it, and where teleports come in.
type Stage = (Arc<Shared>, Host, Lines, Receiver<Teleport>);

fn prepare(order: &Order, began_unix_s: u64) -> anyhow::Result<Stage> {
    let scenario = &order.scenario;
    let clock = Monotonic::start();
    let origin = clock.now() + LEAD;
    let host = Host::start(order, clock, origin)?;
    let cut = match &host {
        Host::Own(own) => Arc::clone(&own.cut),
        Host::Program(_) | Host::Outer(_) => Arc::new(AtomicBool::new(false)),
    };
    let ports = Ports::default();
    let lines = Lines::start(scenario, host.place(), &cut, &ports, clock, origin)?;
    let (teleports, orders) = sync_channel(ORDERS_MAX);
    let shared = Arc::new(Shared {
        scenario: scenario.clone(),
        clock,
        origin,
        stop: AtomicBool::new(false),
        board: Board::default(),
        minter: minter(order),
        place: Mutex::new(host.place()),
        dial: lines.dial.clone(),
        teleports,
        ports,
        unix_s_at_origin: began_unix_s,
        cache_chunks: order.cache_chunks,
        address_changes: address_changes(scenario, origin),
    });
    Ok((shared, host, lines, orders))
}

fn draw_up(
    order: &Order,
    cast: &Cast,
    run: RunFacts,
    tally: &Tally,
    meter: Meter,
    seconds: Seconds,
    socket_drops: Option<u64>,
    (line_facts, line_report): (Vec<LineFacts>, LineReport),
) -> Outcome {
    let scenario = &order.scenario;
    let counts = tally.counts();
    let evidence = Evidence {
        counts: &counts,
        late: &tally.late,
        lines: &line_report,
        socket_drops,
        cpu_permille: &seconds.cpu_permille,
    };
    let mut outcome = Outcome {
        version: OUTCOME_VERSION,
        scenario: facts::scenario(scenario),
        run,
        machine: Machine::here(),
        audit: audit(&evidence, &order.limits),
        spreads: facts::named_spreads(&tally.spreads()),
        counts: facts::named_counts(&counts),
        groups: facts::groups(scenario, cast, tally),
        frames: facts::frames(&counts),
        ends: tally.ends.clone(),
        lines: line_facts,
        series: seconds.complete,
        server: meter.table(),
        world_hash: tally.world_hash(),
        ..Outcome::default()
    };
    *outcome.counts.entry("chunks_wrong".into()).or_default() += tally.contradictions as f64;
    if let Some(growth) = server_memory_growth(&outcome) {
        outcome.counts.insert("server_memory_growth".into(), growth);
    }
    if let Some(table) = &outcome.server {
        facts::of_the_server(table, &mut outcome.spreads, &mut outcome.counts);
    }
    outcome.judge(&scenario.objectives);
    outcome
}

fn minter(order: &Order) -> Minter {
    let config = &order.scenario.server;
    match &order.target {
        Target::InProcess | Target::Program(_) => {
            Minter::new(Tokens::Development, config.protocol_id, config.token_lifetime_s.into())
        }
        Target::Outer(outer) => Minter::new(outer.tokens.clone(), outer.protocol_id, 0),
    }
}

/// Asks for as many open files as there are sockets.
fn allow_files(needed: u64) -> anyhow::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        let most = limit.maximum.unwrap_or_default();
        bail!("{needed} open files are needed and {most} allowed; raise `ulimit -n`, or take fewer clients");
    }
    let raised = rustix::process::Rlimit { current: Some(needed), ..limit };
    setrlimit(Resource::Nofile, raised).context("more open files are not allowed")
}

/// Starts the threads: some for either carrier, as many as its clients ask for.
fn muster(cast: &Cast, shared: &Arc<Shared>, threads: usize) -> anyhow::Result<Vec<CrewThread>> {
    let (mut udp_seats, mut quic_seats) = (Vec::new(), Vec::new());
    for (index, part) in cast.parts.iter().enumerate() {
        let seat = Seat::new(index as u64, part.clone(), &shared.scenario, shared.origin);
        let is_quic = part.carrier == Carrier::Quic;
        if is_quic { quic_seats.push(seat) } else { udp_seats.push(seat) }
    }
    let all = cast.parts.len().max(1);
    let quic_threads = match (udp_seats.is_empty(), quic_seats.is_empty()) {
        (_, true) => 0,
        (true, false) => threads,
        (false, false) => (threads * quic_seats.len() / all).clamp(1, threads.saturating_sub(1).max(1)),
    };
    let udp_threads = if udp_seats.is_empty() { 0 } else { threads.saturating_sub(quic_threads).max(1) };
    let mut crews = Vec::new();
    for (seats, threads, body, name) in [
        (udp_seats, udp_threads, udp::run as fn(Crew) -> io::Result<Tally>, "sim-udp"),
        (quic_seats, quic_threads, quic::run, "sim-quic"),
    ] {
        let mut hands: Vec<Vec<Seat>> = (0..threads).map(|_| Vec::new()).collect();
        for (n, seat) in seats.into_iter().enumerate() {
            hands[n % threads].push(seat);
        }
        for (n, seats) in hands.into_iter().enumerate().filter(|(_, seats)| !seats.is_empty()) {
            let crew = Crew { seats, shared: Arc::clone(shared) };
            let thread = thread::Builder::new().name(format!("{name}-{n}")).spawn(move || body(crew));
            crews.push(thread.context("cannot start the clients' threads")?);
        }
    }
    Ok(crews)
}

fn come_home(crews: Vec<CrewThread>) -> anyhow::Result<Tally> {
    let mut all: Option<Tally> = None;
    for crew in crews {
        let tally = crew.join().map_err(|_| anyhow!("a thread of the clients panicked"))?;
        let tally = tally.context("the clients' sockets failed")?;
        match &mut all {
            Some(all) => all.merge(&tally),
            None => all = Some(tally),
        }
    }
    all.context("there were no clients")
}

/// The main thread's work while the clients run.
struct Watch<'r> {
    meter: Meter,
    shared: &'r Shared,
    host: Host,
    orders: Receiver<Teleport>,
    cast: &'r Cast,
    seconds: Seconds,
    drops: SocketDrops,
    rss_peak: u64,
    next_state: Instant,
}

impl Watch<'_> {
    fn conduct(&mut self, crews: &[CrewThread], look: &mut LookFn<'_>) -> anyhow::Result<()> {
        let shared = self.shared;
        let end = shared.origin + self.cast.length + HOMECOMING;
        while !crews.iter().all(CrewThread::is_finished) {
            shared.clock.sleep_until(shared.clock.now() + LOOK_EVERY);
            let now = shared.clock.now();
            for order in self.orders.try_iter() {
                // Who has left by now stays where it was.
                let _ = self.host.teleport(order);
            }
            let (meter, seconds) = (&mut self.meter, &mut self.seconds);
            let change = self.host.poll(now, |host| ask(host, meter, seconds, shared))?;
            match change {
                Some(Change::Gone) => self.meter.server_has_gone(),
                Some(Change::Back(place)) => {
                    *shared.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
                }
                None => {}
            }
            if now >= self.next_state {
                self.next_state = now + STATE_EVERY;
                self.take_stock();
            }
            let elapsed = now.since(shared.origin);
            if elapsed < self.cast.length {
                let wanted = self.wanted(Instant::ZERO + elapsed);
                self.seconds.note(elapsed, shared.board.playing(), wanted);
            }
            let is_new = self.draw_up(elapsed, false);
            self.show(look, is_new);
            if self.host.is_dead() {
                bail!("the server died; its message is above");
            }
            if now > end {
                bail!("the clients' threads did not come to an end");
            }
        }
        Ok(())
    }

    fn take_stock(&mut self) {
        ask(&self.host, &mut self.meter, &mut self.seconds, self.shared);
        self.drops.look(&self.shared.ports.lock().unwrap_or_else(PoisonError::into_inner));
        self.rss_peak = self.rss_peak.max(resident_bytes());
    }

    /// Clients that are to be there at a moment of the run.
    fn wanted(&self, at: Instant) -> u64 {
        let is_there = |visit: &crate::scenario::Visit| visit.from <= at && at < visit.until;
        self.cast.parts.iter().filter(|part| part.visits.iter().any(is_there)).count() as u64
    }

    fn draw_up(&mut self, elapsed: Duration, is_over: bool) -> bool {
        self.seconds.draw_up(&self.shared.board, elapsed, is_over)
    }

    fn show(&self, look: &mut LookFn<'_>, is_new_second: bool) {
        let elapsed = self.shared.clock.now().since(self.shared.origin);
        let flow = look(&Glimpse {
            scenario: &self.shared.scenario,
            elapsed,
            length: self.cast.length,
            playing: self.shared.board.playing(),
            wanted: self.wanted(Instant::ZERO + elapsed),
            seconds: &self.seconds.complete,
            is_new_second,
        });
        if flow.is_break() {
            self.shared.stop.store(true, Ordering::Relaxed);
        }
    }

    /// All have come home: the last seconds, and the server's last word.
    fn finish(&mut self, look: &mut LookFn<'_>) -> Duration {
        self.take_stock();
        let elapsed = self.shared.clock.now().since(self.shared.origin);
        self.draw_up(elapsed.min(self.cast.length), true);
        self.show(look, true);
        elapsed
    }
}

/// Asks the server for its state, and takes down what is new.
fn ask(host: &Host, meter: &mut Meter, seconds: &mut Seconds, shared: &Shared) {
    if let Some(state) = host.state(meter.last_tick()) {
        let elapsed = shared.clock.now().since(shared.origin);
        let counted = state.memory.iter().map(|part| part.bytes).sum();
        seconds.memory(elapsed, host.is_apart().then_some(state.server.resident_bytes), counted);
        meter.take(state, elapsed, seconds);
    }
}
