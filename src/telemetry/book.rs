//! The book: what the tick's thread writes down and others read.
//!
//! ```text
//!   tick ── record(), each tick: try_lock ──▶ Mutex<Book> ◀── copy() ── /state, /metrics, the end
//!             └─ locked by a reader: kept in `pending`, written next tick
//! ```
//!
//! The tick never waits for a reader. A reader holds the book as long as it takes to copy it, about a millisecond; ticks
//! of that time are written down with the next one. What no longer fits is counted in [`Book::unrecorded`].

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use ninefold_protocol::time::{Duration, Instant};

use super::client::ClientRow;
use super::counters::Counters;
use super::histogram::Histogram;
use super::live::Live;
use super::queues::{Queue, Queues};
use super::tick::{Phase, TickTelemetry, TickTimes};
use crate::carrier::{Arrivals, Departures};
use crate::chunk::{ChunkCounters, ChunkGauges, TakenIn, Workshop};
use crate::clock::thread_cpu_ns;
use crate::tick::Tick;

/// Ticks that the book shows one by one.
pub const RECENT_TICKS_MAX: usize = 600;
/// Ticks that wait for a reader at most.
const PENDING_TICKS_MAX: usize = 512;
/// Chunks whose times wait for a reader at most.
const PENDING_CHUNKS_MAX: usize = 8_192;

/// One tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TickSample {
    /// Ticks since the world began.
    pub number: u64,
    /// When it began.
    pub began: Instant,
    /// How late.
    pub lateness: Duration,
    /// What it took.
    pub times: TickTimes,
    /// Clients in it.
    pub clients: u32,
}

/// What is known of the server at the end of a tick.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// What a tick may take.
    pub budget: Duration,
    /// Ticks a second.
    pub tick_rate_hz: u32,
    /// Ticks that were given up.
    pub skipped: u64,
    /// What happened to clients' packets and chunks.
    pub counters: Counters,
    /// What happened to chunks.
    pub chunks: ChunkCounters,
    /// Chunks that are held.
    pub gauges: ChunkGauges,
    /// Bytes of ready chunks above which cached ones go.
    pub cache_bytes_max: u64,
    /// Workers that do not hang.
    pub workers: usize,
    /// What waits.
    pub queues: Queues,
    /// CPU time of the tick's thread, about once a second.
    pub cpu_ns: u64,
    /// Bytes of the lanes, the entities and the replicas, about once a second.
    pub lanes_bytes: usize,
    /// See [`Facts::lanes_bytes`].
    pub entities_bytes: usize,
    /// See [`Facts::lanes_bytes`].
    pub replicas_bytes: usize,
}

/// The book.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Ticks since the start.
    pub telemetry: TickTelemetry,
    /// The last of them.
    pub recent: VecDeque<TickSample>,
    /// Ticks and chunks whose times are missing because a reader kept the book.
    pub unrecorded: u64,
    /// As it is now.
    pub facts: Facts,
    /// The clients, by slot.
    pub clients: Vec<Option<ClientRow>>,
    /// What a client takes of a tick, nanoseconds.
    pub client_cost: Histogram,
    /// Entities that a client is told of.
    pub interest: Histogram,
    /// Bytes of a client's last snapshot.
    pub snapshot_bytes: Histogram,
    /// Time to make a chunk.
    pub generate: Histogram,
    /// Time from being wanted to being ready.
    pub ready: Histogram,
}

impl Book {
    fn tick(&mut self, sample: &TickSample) {
        self.telemetry.record(&sample.times, sample.lateness, self.facts.budget);
        if self.recent.len() == RECENT_TICKS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(*sample);
    }

    fn chunk(&mut self, taken: &TakenIn) {
        self.generate.record_us(taken.generate_us);
        taken.ready_us.iter().for_each(|us| self.ready.record_us(*us));
    }

    fn client(&mut self, slot: usize, row: Option<ClientRow>) {
        if self.clients.len() <= slot {
            self.clients.resize(slot + 1, None);
        }
        self.clients[slot] = row;
        let Some(row) = row else { return };
        self.client_cost.record_ns(row.turn_ns);
        row.rtt_us.iter().for_each(|us| self.telemetry.round_trip.record_us(*us));
        if row.stage == "playing" {
            self.interest.record_ns(row.entities.into());
            self.snapshot_bytes.record_ns(row.snapshot_bytes.into());
        }
    }

    /// Bytes of memory of the book itself.
    pub fn memory_bytes(&self) -> usize {
        let TickTelemetry { tick, phases, lateness, round_trip, .. } = &self.telemetry;
        let more = [&self.client_cost, &self.interest, &self.snapshot_bytes, &self.generate, &self.ready];
        let histograms = [tick, lateness, round_trip].into_iter().chain(phases).chain(more);
        histograms.map(Histogram::memory_bytes).sum::<usize>()
            + self.recent.capacity() * size_of::<TickSample>()
            + self.clients.capacity() * size_of::<Option<ClientRow>>()
    }
}

/// Keeps the book on the tick's thread.
#[derive(Debug)]
pub struct Bookkeeper {
    live: Arc<Live>,
    facts: Facts,
    ticks: Vec<TickSample>,
    chunks: Vec<TakenIn>,
    unrecorded: u64,
}

impl Bookkeeper {
    /// A bookkeeper for ticks that may take `budget` and come so many times a second.
    pub fn new(live: Arc<Live>, tick_rate_hz: u32, budget: Duration) -> Self {
        Bookkeeper {
            live,
            facts: Facts { budget, tick_rate_hz, ..Facts::default() },
            ticks: Vec::with_capacity(PENDING_TICKS_MAX),
            chunks: Vec::with_capacity(PENDING_CHUNKS_MAX),
            unrecorded: 0,
        }
    }

    /// Before the tick: what waits for it.
    pub fn note_waiting(&mut self, arrivals: &Arrivals, commands: usize, commands_max: usize) {
        let [udp, quic] = arrivals.depths();
        self.facts.queues.note(Queue::ArrivalsUdp, udp.waiting, udp.bound);
        self.facts.queues.note(Queue::ArrivalsQuic, quic.waiting, quic.bound);
        self.facts.queues.note(Queue::Commands, commands, commands_max);
    }

    /// After it: what it left to others.
    pub fn note_left(&mut self, departures: &Departures) {
        let [udp, quic] = departures.depths();
        self.facts.queues.note(Queue::DeparturesUdp, udp.waiting, udp.bound);
        self.facts.queues.note(Queue::DeparturesQuic, quic.waiting, quic.bound);
    }

    /// Looks at what is too dear to be looked at in each tick. About once a second.
    pub fn take_stock<W: Workshop>(&mut self, tick: &Tick<W>, lanes_bytes: usize) {
        self.facts.cpu_ns = thread_cpu_ns();
        self.facts.lanes_bytes = lanes_bytes;
        (self.facts.entities_bytes, self.facts.replicas_bytes) = tick.entities_memory_bytes();
    }

    /// Writes a tick down, now or with a later one.
    pub fn record<W: Workshop>(&mut self, sample: TickSample, skipped: u64, tick: &Tick<W>) {
        let chunks = tick.chunks();
        let (limits, gauges) = (chunks.limits(), chunks.gauges(sample.began));
        let facts = &mut self.facts;
        facts.skipped = skipped;
        (facts.counters, facts.chunks, facts.gauges) = (*tick.counters(), *chunks.counters(), gauges);
        (facts.cache_bytes_max, facts.workers) = (limits.cache_bytes_max, chunks.workshop().workers_alive());
        facts.queues.note(Queue::ChunksQueued, gauges.queued, limits.queued_max);
        facts.queues.note(Queue::ChunksMaking, gauges.making, limits.making_max);
        if self.ticks.len() < PENDING_TICKS_MAX {
            self.ticks.push(sample);
        } else {
            self.unrecorded += 1;
        }
        let taken = chunks.taken_in();
        let fit = taken.len().min(PENDING_CHUNKS_MAX - self.chunks.len());
        self.chunks.extend_from_slice(&taken[..fit]);
        self.unrecorded += (taken.len() - fit) as u64;
        self.write(tick.surveyed());
    }

    fn write(&mut self, surveyed: &[(usize, Option<ClientRow>)]) {
        // A reader has it: next tick. Clients whose turn it was have another one soon.
        let live = Arc::clone(&self.live);
        let Ok(mut book) = live.book.try_lock() else { return };
        self.write_pending(&mut book);
        surveyed.iter().for_each(|(slot, row)| book.client(*slot, *row));
    }
}

impl Bookkeeper {
    fn write_pending(&mut self, book: &mut Book) {
        book.facts = self.facts;
        book.unrecorded = self.unrecorded;
        self.ticks.drain(..).for_each(|sample| book.tick(&sample));
        self.chunks.drain(..).for_each(|taken| book.chunk(&taken));
    }

    /// There will be no more ticks, so this one may wait for a reader: nothing is left out of what it returns.
    pub fn finish(mut self) -> TickTelemetry {
        let live = Arc::clone(&self.live);
        let mut book = live.book.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_pending(&mut book);
        book.telemetry.clone()
    }
}

impl TickSample {
    /// The time of a phase, nanoseconds.
    pub fn phase_ns(&self, phase: Phase) -> u64 {
        self.times.phases_ns[phase as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{ChunkService, Inline};
    use crate::config::Config;
    use crate::game::explore::Explore;
    use ninefold_world::Plain;

    #[test]
    fn ticks_of_a_readers_time_are_written_down_later_and_what_does_not_fit_is_counted() {
        let config = Config::default();
        let chunks = ChunkService::new(config.chunk_limits(), Inline::new(Arc::new(Plain::new(0))));
        let tick = Tick::new(config.rules(0), chunks, Box::new(Explore::new(1, 0)));
        let live = Arc::new(Live::default());
        let mut keeper = Bookkeeper::new(Arc::clone(&live), 60, Duration::from_ms(16));
        let mut record = |count: u64| {
            (0..count)
                .for_each(|number| keeper.record(TickSample { number, ..TickSample::default() }, 0, &tick));
        };
        let told = || {
            let book = live.book();
            (book.telemetry.ticks, book.recent.len(), book.unrecorded)
        };
        let reader = live.book.lock().unwrap();
        record(3);
        drop(reader);
        assert_eq!(told(), (0, 0, 0));
        record(1);
        assert_eq!(told(), (4, 4, 0));
        let reader = live.book.lock().unwrap();
        record(PENDING_TICKS_MAX as u64 + 7);
        drop(reader);
        record(1);
        // The one that found the book free had no place to wait either.
        assert_eq!(told(), (4 + PENDING_TICKS_MAX as u64, 4 + PENDING_TICKS_MAX, 8));
        let reader = live.book.lock().unwrap();
        record(2);
        drop(reader);
        assert_eq!(keeper.finish().ticks, 6 + PENDING_TICKS_MAX as u64);
    }
}
