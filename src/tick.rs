//! The tick: seven phases in a fixed order, each timed.
//!
//! [`Tick`] owns the simulation and nothing else does. It asks no clock, opens no socket and spawns
//! nothing: `now`, a nanosecond counter for the timings and the carrier's lanes come in as arguments, so
//! that the same tick runs under a server, in a benchmark and in virtual time.

use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::time::Instant;
use ninefold_world::{ChunkCoord, OpenDoors};

use crate::carrier::TickEnd;
use crate::chunk::{ChunkService, Workshop};
use crate::game::{Game, Living};
use crate::phase::{self, Clerks, Plan, Post, Scribes};
use crate::recorder::{EVENTS_PER_TICK_MAX, Event, Notes};
use crate::replicas::Replicas;
use crate::rules::Rules;
use crate::session::{Session, Sessions, Stage};
use crate::telemetry::{
    ClientRow, ClockNs, Counters, Phase, SlotBytes, TickTimes, TurnClock, make_room, survey,
};
use crate::tracy::Zone;

/// Every so many ticks the replicas' cells give back what they no longer need.
const SWEEP_TICKS: u64 = 600;
/// So many clients are kept in the order of their places. What fewer share is in the cache anyway, and the order of memory
/// serves them better: 1,000 idle ones take 0.9 instead of 1.7 us each.
const CROWD_MIN: usize = 2_048;
/// Every so many ticks clients are brought into the order of their places: few cross a border in so short a time.
const LINE_UP_TICKS: u64 = 64;

/// The simulation of one world.
#[derive(Debug)]
pub struct Tick<W: Workshop> {
    // for the life of the world
    rules: Rules,
    chunks: ChunkService<W>,
    living: Living,
    replicas: Replicas,
    counters: Counters,
    /// Ticks since the world began.
    number: u64,
    /// When the last tick ran.
    now: Instant,
    // for the life of a client
    sessions: Sessions,
    // for one tick, kept for their memory
    departed: Vec<Session>,
    plan: Plan,
    post: Post,
    scribes: Scribes,
    clerks: Clerks,
    notes: Notes,
    is_profiled: bool,
    /// By slot.
    bytes: Vec<SlotBytes>,
    /// The clients whose turn it was to be looked at.
    surveyed: Vec<(usize, Option<ClientRow>)>,
}

impl<W: Workshop> Tick<W> {
    /// A world in which nothing has happened, and the rules of the game that is played in it.
    pub fn new(rules: Rules, chunks: ChunkService<W>, game: Box<dyn Game>) -> Self {
        Tick {
            rules,
            chunks,
            living: Living::new(game),
            replicas: Replicas::default(),
            counters: Counters::default(),
            number: 0,
            now: Instant::ZERO,
            sessions: Sessions::default(),
            departed: Vec::new(),
            plan: Plan::default(),
            post: Post::default(),
            scribes: Scribes::default(),
            clerks: Clerks::default(),
            notes: Notes::new(EVENTS_PER_TICK_MAX),
            is_profiled: true,
            bytes: Vec::new(),
            surveyed: Vec::new(),
        }
    }

    /// Runs one tick. `clock_ns` counts nanoseconds from any origin.
    pub fn run(&mut self, now: Instant, carrier: &mut TickEnd, clock_ns: &ClockNs<'_>) -> TickTimes {
        let Tick { rules, chunks, living, replicas, counters, sessions, departed, plan, .. } = self;
        let Tick { post, scribes, clerks, notes, .. } = self;
        self.number += 1;
        self.now = now;
        let tick = self.number;
        let mut lap = Lap::start(clock_ns);
        make_room(&mut self.bytes, sessions.slots());
        let turns = match self.is_profiled {
            true => TurnClock::new(tick, clock_ns, &self.bytes),
            false => TurnClock::off(clock_ns),
        };
        plan.clear();
        notes.clear();

        let arrivals = &mut carrier.arrivals;
        phase::ingress((now, tick), (rules, turns), arrivals, sessions, post, departed, counters, notes);
        // Those whose time to leave came in the last tick's egress, too.
        departed.iter().for_each(|session| notes.push(Event::Left { client_id: session.client_id }));
        lap.end(Phase::Ingress);
        phase::simulate(tick, rules, turns, sessions, chunks, living, replicas, counters);
        lap.end(Phase::Simulate);
        if tick.is_multiple_of(LINE_UP_TICKS) {
            sessions.line_up(CROWD_MIN);
        }
        phase::interest(now, (tick, rules), sessions, departed, chunks, living, replicas, counters);
        lap.end(Phase::Interest);
        phase::generate(now, tick, rules, clock_ns, sessions, chunks, living, counters);
        lap.end(Phase::Generate);
        phase::replicate((tick, turns), rules, sessions, living, replicas, scribes, plan, counters);
        lap.end(Phase::Replicate);
        let mut rooms = carrier.departures.rooms(PACKET_BYTES_MAX, sessions.len());
        phase::stream(now, tick, rules, turns, &mut rooms, sessions, plan, counters);
        plan.parity.made().iter().for_each(|made| chunks.count_parity(made));
        lap.end(Phase::Stream);
        let departures = &mut carrier.departures;
        phase::egress((now, tick), (rules, turns), plan, sessions, clerks, departures, departed, counters);
        if tick.is_multiple_of(SWEEP_TICKS) {
            replicas.sweep(tick, SWEEP_TICKS);
        }
        if self.is_profiled {
            survey(tick, sessions, &self.bytes, &mut self.surveyed);
        }
        lap.end(Phase::Egress);
        lap.times
    }

    /// Ticks since the world began.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When the last tick ran.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What happened in the last tick, beside its chunks, which [`ChunkService::notes`] has.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Whether [`Tick::notes`] and those of the chunks are kept; they are unless this says otherwise.
    pub fn keep_notes(&mut self, are_kept: bool) {
        self.notes.keep(are_kept);
        self.chunks.keep_notes(are_kept);
    }

    /// What the last tick sent.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who is in a slot.
    pub fn client_in(&self, slot: usize) -> Option<u64> {
        self.sessions.look(slot).map(|session| session.client_id)
    }

    /// Clients.
    pub fn clients(&self) -> usize {
        self.sessions.len()
    }

    /// All clients, in the order of their slots.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter()
    }

    /// Whether clients are timed and frames counted; they are, unless somebody measures what that costs. Phases are
    /// timed in any case.
    pub fn profile(&mut self, is_profiled: bool) {
        self.is_profiled = is_profiled;
    }

    /// The clients whose turn to be looked at the last tick was, by slot; `None` where there is nobody.
    pub fn surveyed(&self) -> &[(usize, Option<ClientRow>)] {
        &self.surveyed
    }

    /// Bytes of memory of the entities, and of what is kept to tell clients of them.
    pub fn entities_memory_bytes(&self) -> (usize, usize) {
        (self.living.memory_bytes(), self.replicas.memory_bytes() + self.scribes.memory_bytes())
    }

    /// The chunks.
    pub fn chunks(&self) -> &ChunkService<W> {
        &self.chunks
    }

    /// The chunks, to hand them on when the world ends.
    pub fn into_chunks(self) -> ChunkService<W> {
        self.chunks
    }

    /// What clients are told of, as it is now.
    pub fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// The doors of a chunk that stand open.
    pub fn open_doors(&self, chunk: ChunkCoord) -> OpenDoors {
        self.living.doors.open_in(chunk)
    }

    /// The counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes a player out of where it is and puts it into another chunk, as soon as that is made. Says
    /// whether there is such a player.
    pub fn teleport(&mut self, client_id: u64, to: ChunkCoord) -> bool {
        let player = self.sessions.iter_mut().find(|s| s.client_id == client_id && s.is_playing());
        let Some(session) = player else { return false };
        session.stage = Stage::Spawning(to);
        true
    }
}

/// Times the phases.
struct Lap<'c> {
    clock_ns: &'c ClockNs<'c>,
    began_ns: u64,
    times: TickTimes,
    zone: Zone,
}

impl<'c> Lap<'c> {
    fn start(clock_ns: &'c ClockNs<'c>) -> Self {
        let zone = Zone::of(Phase::ALL[0]);
        Lap { clock_ns, began_ns: clock_ns(), times: TickTimes::default(), zone }
    }

    fn end(&mut self, phase: Phase) {
        let now_ns = (self.clock_ns)();
        self.times.phases_ns[phase as usize] = now_ns.saturating_sub(self.began_ns);
        self.began_ns = now_ns;
        // One ends before the next begins.
        self.zone.end();
        if let Some(next) = Phase::ALL.get(phase as usize + 1) {
            self.zone = Zone::of(*next);
        }
    }
}
