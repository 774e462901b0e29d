//! What the profiler costs: a thousand walking clients, one tick with it and one without, in turns.
//!
//! cargo bench --bench profiler
//!
//! With it: clients are timed and looked at in turns, frames are counted, the book is kept. Without it phases are
//! timed all the same. The clients speak the link as real ones do; only the tick's own time is counted, and of that the
//! CPU time of its thread, so that it can be measured beside other work.

#[path = "../tests/common/puppets.rs"]
mod puppets;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use ninefold::clock::thread_cpu_ns;
use ninefold::config::Config;
use ninefold::telemetry::{Bookkeeper, Live, TickSample};
use ninefold_client::protocol::time::Duration;
use ninefold_client::world::BspWorld;
use puppets::Stage;

const CLIENTS: usize = 1_000;
/// Ticks until every ring is whole.
const WARM_UP_TICKS: usize = 240;
/// A walker turns after so many ticks.
const TURN_TICKS: usize = 90;
/// Pairs of ticks in a round, and rounds.
const PAIRS: usize = 900;
const ROUNDS: usize = 5;

fn main() {
    let config = Config { spawn_radius_chunks: 12, ..Config::default() };
    let rules = config.rules(0);
    let mut stage = Stage::new(rules.clone(), Arc::new(BspWorld::new(config.world_seed)), 1);
    (0..CLIENTS).for_each(|_| {
        stage.join();
    });
    stage.steps(WARM_UP_TICKS);
    let live = Arc::new(Live::default());
    let mut book = Bookkeeper::new(Arc::clone(&live), rules.tick_rate_hz, rules.period());
    let mut random = fastrand::Rng::with_seed(3);
    let origin = Instant::now();
    let clock_ns = || origin.elapsed().as_nanos() as u64;
    let mut differences = Vec::new();
    for round in 0..ROUNDS {
        let mut times = [Vec::new(), Vec::new()];
        for n in 0..2 * PAIRS {
            if n % TURN_TICKS == 0 {
                stage.puppets.iter_mut().for_each(|p| p.wish = (random.i16(..), random.i16(..)));
            }
            // Which of a pair comes first changes, too.
            let is_on = (n + n / 2) % 2 == 0;
            stage.tick.profile(is_on);
            stage.before();
            let began_ns = thread_cpu_ns();
            let times_of_tick = black_box(stage.run(&clock_ns));
            if is_on {
                let number = stage.tick.number();
                let (clients, lateness) = (CLIENTS as u32, Duration::ZERO);
                let sample = TickSample { number, began: stage.now, lateness, times: times_of_tick, clients };
                book.record(sample, 0, &stage.tick);
            }
            times[usize::from(is_on)].push(thread_cpu_ns() - began_ns);
            stage.after();
        }
        let [off, on] = times.map(|mut ns| {
            ns.sort_unstable();
            ns[ns.len() / 2] as f64 / 1e3
        });
        differences.push(100.0 * (on - off) / off);
        println!("round {round}: p50 without {off:.1} us, with {on:.1} us: {:+.2} %", differences[round]);
    }
    differences.sort_by(f64::total_cmp);
    println!("median of {ROUNDS} rounds: {:+.2} %", differences[ROUNDS / 2]);
    assert!(live.book().telemetry.ticks > 0, "the book was kept");
}
