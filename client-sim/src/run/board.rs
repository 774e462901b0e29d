//! The seconds of a run: every thread puts its own there, and the main thread draws up what is complete.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ninefold_client::protocol::time::{Duration, Instant};

use crate::outcome::{Recorder, Second};
use crate::player::{Counts, SecondTally};
use crate::scenario::Scenario;

/// A second is complete when so much of the next ones has passed.
const SETTLED_AFTER_S: u64 = 2;

/// What threads measured, by second.
#[derive(Debug, Default)]
pub struct Board {
    open: Mutex<BTreeMap<u64, SecondTally>>,
    playing: AtomicU64,
}

/// A run as it is just now.
#[derive(Debug)]
pub struct Glimpse<'r> {
    /// What is run.
    pub scenario: &'r Scenario,
    /// How much of it has passed.
    pub elapsed: Duration,
    /// How long it takes.
    pub length: Duration,
    /// Clients that can play.
    pub playing: u64,
    /// Clients that are to be there.
    pub wanted: u64,
    /// The seconds that are complete.
    pub seconds: &'r [Second],
    /// Whether a new one has just become complete.
    pub is_new_second: bool,
}

/// The server's ticks of one second.
#[derive(Debug, Clone, Default)]
pub struct TickSecond {
    /// Times, nanoseconds.
    pub time_ns: Recorder,
    /// Those over the period.
    pub overruns: u64,
    /// Memory of the server's process, if it has one of its own.
    pub resident_bytes: Option<u64>,
    /// Memory that the server counts itself.
    pub counted_bytes: Option<u64>,
}

/// The seconds that are complete.
#[derive(Debug, Default)]
pub struct Seconds {
    /// They.
    pub complete: Vec<Second>,
    ticks: BTreeMap<u64, TickSecond>,
    /// Clients that could play and that were to, when a second was last looked at.
    clients: BTreeMap<u64, (u64, u64)>,
    /// The busiest thread's part of a core in each, in thousandths.
    pub cpu_permille: Vec<u64>,
}

impl Board {
    /// A thread's second.
    pub fn put(&self, second: u64, tally: &SecondTally) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(second).or_default().merge(tally);
    }

    /// One client more, or one fewer, can play.
    pub fn plays(&self, does: bool) {
        match does {
            true => self.playing.fetch_add(1, Ordering::Relaxed),
            false => self.playing.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// Clients that can play.
    pub fn playing(&self) -> u64 {
        self.playing.load(Ordering::Relaxed)
    }

    fn take(&self, second: u64) -> SecondTally {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tally = open.remove(&second).unwrap_or_default();
        // What came even later belongs to no other second.
        while let Some(entry) = open.first_entry().filter(|entry| *entry.key() < second) {
            tally.counts.add(&entry.remove().counts);
        }
        tally
    }
}

impl Seconds {
    /// A tick of the server, by the run's time.
    pub fn tick(&mut self, at: Duration, ns: u64, is_overrun: bool) {
        let second = self.ticks.entry(at.as_us() / 1_000_000).or_default();
        second.time_ns.record(ns);
        second.overruns += u64::from(is_overrun);
    }

    /// What the server takes of memory: its process, and what it counts itself.
    pub fn memory(&mut self, at: Duration, resident_bytes: Option<u64>, counted_bytes: u64) {
        let second = self.ticks.entry(at.as_us() / 1_000_000).or_default();
        (second.resident_bytes, second.counted_bytes) = (resident_bytes, Some(counted_bytes));
    }

    /// Notes how many clients can play and how many are to.
    pub fn note(&mut self, elapsed: Duration, playing: u64, wanted: u64) {
        self.clients.insert(elapsed.as_us() / 1_000_000, (playing, wanted));
    }

    /// Draws up what is complete by now; says whether there was something.
    pub fn draw_up(&mut self, board: &Board, elapsed: Duration, is_over: bool) -> bool {
        let now_s = elapsed.as_us() / 1_000_000;
        let until =
            if is_over { elapsed.as_us().div_ceil(1_000_000) } else { now_s.saturating_sub(SETTLED_AFTER_S) };
        let before = self.complete.len();
        for at_s in self.complete.len() as u64..until {
            let tally = board.take(at_s);
            let ticks = self.ticks.remove(&at_s);
            let clients = self.clients.remove(&at_s).unwrap_or_default();
            self.cpu_permille.push(tally.cpu_permille);
            self.complete.push(second(at_s, &tally, ticks.as_ref(), clients));
        }
        self.complete.len() > before
    }
}

fn second(at_s: u64, tally: &SecondTally, ticks: Option<&TickSecond>, clients: (u64, u64)) -> Second {
    let Counts { joined, lost, chunks, crossings, crossings_without_chunk, corrections, .. } = tally.counts;
    let counts = &tally.counts;
    let share = |part: u64, of: u64| (of > 0).then(|| part.min(of) as f64 / of as f64);
    let tick = |quantile: f64| ticks.and_then(|ticks| ticks.time_ns.quantile(quantile)).map(|ns| ns / 1e3);
    let generator_cpu = (tally.cpu_permille > 0).then(|| tally.cpu_permille as f64 / 1e3);
    Second {
        at_s,
        clients: clients.0,
        clients_wanted: clients.1,
        joined,
        lost,
        input_state_p50_us: tally.input_state.quantile(0.5),
        input_state_p99_us: tally.input_state.quantile(0.99),
        snapshot_late_p99_us: tally.snapshot_late.quantile(0.99),
        edge_min_us: tally.edge_min_us.map(|us| us as f64),
        rtt_p50_us: tally.rtt.quantile(0.5),
        chunks,
        crossings,
        crossings_without_chunk,
        corrections,
        bytes_down: counts.bytes_down,
        bytes_up: counts.bytes_up,
        loss_down: share(counts.packets_down.saturating_sub(counts.packets_down_came), counts.packets_down),
        loss_up: share(counts.packets_up_lost, counts.packets_up),
        tick_p50_us: tick(0.5),
        tick_p99_us: tick(0.99),
        tick_max_us: tick(1.0),
        overruns: ticks.map(|ticks| ticks.overruns),
        server_resident_bytes: ticks.and_then(|ticks| ticks.resident_bytes).map(|bytes| bytes as f64),
        server_counted_bytes: ticks.and_then(|ticks| ticks.counted_bytes).map(|bytes| bytes as f64),
        generator_late_p99_us: tally.late.quantile(0.99),
        generator_cpu,
    }
}

/// When a second of the run ends.
pub fn end_of_second(origin: Instant, second: u64) -> Instant {
    origin + Duration::from_secs(second + 1)
}
