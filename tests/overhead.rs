//! What profiling and recording cost a tick, in pairs within one run.
//!
//! cargo test --release --test overhead -- --ignored --nocapture
//!
//! A thousand clients that walk, as in `benches/tick.rs`. Blocks of ticks run with the profiler (phases, clients,
//! frames, the book with its histograms) and the recorder on, and with all of it off, in turns. What counts is the CPU time of the thread, so that others on the
//! machine disturb it less, and the median of the blocks' ratios.

#[path = "common/puppets.rs"]
mod puppets;

use std::hint::black_box;
use std::sync::Arc;

use ninefold::clock::{Monotonic, thread_cpu_ns};
use ninefold::config::Config;
use ninefold::recorder::{Event, Notes, Recorder, Tape, TickRecord, memory_bytes};
use ninefold::telemetry::{Bookkeeper, Live, TickSample};
use ninefold_client::protocol::time::Duration;
use ninefold_client::world::BspWorld;
use puppets::Stage;

/// Ticks until every ring is whole.
const WARM_UP_TICKS: usize = 240;
const BLOCK_TICKS: usize = 10;
/// So many pairs of blocks, or as many as fit into so much time.
const PAIRS_MAX: usize = 400;
const MEASURED: std::time::Duration = std::time::Duration::from_secs(150);
/// A walker turns after so many ticks.
const TURN_TICKS: usize = 90;
const PERIOD: Duration = Duration::from_us(16_666);
/// What must hold.
const RATIO_MAX: f64 = 1.02;

struct Paired {
    stage: Stage,
    random: fastrand::Rng,
    ticks: usize,
    clock: Monotonic,
    recorder: Recorder,
    book: Bookkeeper,
}

impl Paired {
    fn new(clients: usize) -> Paired {
        let config = Config { spawn_radius_chunks: 12, ..Config::default() };
        let mut stage = Stage::new(config.rules(0), Arc::new(BspWorld::new(config.world_seed)), 1);
        (0..clients).for_each(|_| {
            stage.join();
        });
        stage.steps(WARM_UP_TICKS);
        let clock = Monotonic::start();
        let live: Arc<Live> = Arc::default();
        let (recorder, _) = Recorder::new(clock, config.tick_rate_hz, None, None, None, Arc::clone(&live));
        let book = Bookkeeper::new(live, config.tick_rate_hz, PERIOD);
        Paired { stage, random: fastrand::Rng::with_seed(3), ticks: 0, clock, recorder, book }
    }

    fn turn(&mut self) {
        if self.ticks.is_multiple_of(TURN_TICKS) {
            for puppet in &mut self.stage.puppets {
                puppet.wish = (self.random.i16(..), self.random.i16(..));
                puppet.chunks.clear();
                puppet.fragments.clear();
            }
        }
        self.ticks += 1;
    }

    /// A tick as the server runs it.
    fn observed(&mut self) {
        let clock = self.clock;
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
    }

    /// The median CPU time of a block's ticks, nanoseconds.
    fn block(&mut self, is_on: bool) -> u64 {
        self.stage.tick.keep_notes(is_on);
        self.stage.tick.profile(is_on);
        let mut took = Vec::with_capacity(BLOCK_TICKS);
        for _ in 0..BLOCK_TICKS {
            self.turn();
            self.stage.before();
            let began_ns = thread_cpu_ns();
            if is_on {
                self.observed();
            } else {
                black_box(self.stage.run(&|| 0));
            }
            took.push(thread_cpu_ns() - began_ns);
            self.stage.after();
        }
        median(&mut took)
    }
}

fn median<T: Copy + PartialOrd>(values: &mut [T]) -> T {
    quantile(values, 0.5)
}

fn quantile<T: Copy + PartialOrd>(values: &mut [T], q: f64) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("no value is NaN"));
    values[((values.len() - 1) as f64 * q) as usize]
}

#[test]
#[ignore = "minutes, and a figure only in the release profile"]
fn profiler_and_recorder_cost_less_than_two_percent_of_a_tick() {
    let mut paired = Paired::new(1_000);
    let (mut ratios, mut on, mut off) = (Vec::new(), Vec::new(), Vec::new());
    let began = std::time::Instant::now();
    for pair in 0..PAIRS_MAX {
        if began.elapsed() > MEASURED {
            break;
        }
        // Who goes first takes turns.
        let first = paired.block(pair % 2 == 0);
        let second = paired.block(pair % 2 == 1);
        let (with, without) = if pair % 2 == 0 { (first, second) } else { (second, first) };
        ratios.push(with as f64 / without as f64);
        on.push(with);
        off.push(without);
    }
    let (low, middle, high) =
        (quantile(&mut ratios, 0.25), quantile(&mut ratios, 0.5), quantile(&mut ratios, 0.75));
    let pairs = ratios.len();
    let us = |ns: u64| ns as f64 / 1_000.0;
    println!(
        "tick p50 of 1,000 walking clients: {:.1} us on, {:.1} us off; ratio {middle:.4} (quartiles {low:.4} to \
         {high:.4}, {pairs} pairs of {BLOCK_TICKS} ticks)",
        us(median(&mut on)),
        us(median(&mut off)),
    );
    assert!(middle <= RATIO_MAX, "{middle:.4}");
}

#[test]
#[ignore = "a figure only in the release profile"]
fn handing_a_full_tape_over_takes_microseconds() {
    let mut tape = Tape::new(60);
    let mut notes = Notes::new(64);
    (0..34).for_each(|client_id| notes.push(Event::Joined { client_id }));
    let mut took = Vec::new();
    for number in 1..=6_000 {
        tape.push(TickRecord { number, ..TickRecord::default() }, &[&notes]);
        // The youngest segment is as full as it gets.
        if number % 60 == 59 {
            let began_ns = thread_cpu_ns();
            let shared = black_box(tape.share());
            took.push(thread_cpu_ns() - began_ns);
            drop(shared);
        }
    }
    let (middle, most) = (median(&mut took), quantile(&mut took, 1.0));
    println!("handing over: {middle} ns, at most {most} ns; memory {} bytes at 60 Hz", memory_bytes(60));
    assert!(middle < 200_000, "{middle} ns");
}
