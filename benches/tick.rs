//! One tick with a thousand clients, without sockets and without cryptography.
//!
//! cargo bench --bench tick
//!
//! The clients speak the link as real ones do; only the tick's own time is counted.

#[path = "../tests/common/puppets.rs"]
mod puppets;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ninefold::config::Config;
use ninefold::telemetry::Phase;
use ninefold_client::world::BspWorld;
use puppets::Stage;

const CLIENTS: usize = 1_000;
/// Ticks until every ring is whole.
const WARM_UP_TICKS: usize = 240;
/// Spawn radius with about thirteen others in a ring.
const SPREAD_CHUNKS: u32 = 12;
/// Spawn radius with about eighteen.
const DENSE_CHUNKS: u32 = 10;
/// A walker turns after so many ticks.
const TURN_TICKS: u64 = 90;

/// `CLIENTS` that came into the world within so many chunks of its middle.
fn stage(spawn_radius_chunks: u32) -> Stage {
    let config = Config { spawn_radius_chunks, ..Config::default() };
    let mut stage = Stage::new(config.rules(0), Arc::new(BspWorld::new(config.world_seed)), 1);
    (0..CLIENTS).for_each(|_| {
        stage.join();
    });
    stage.steps(WARM_UP_TICKS);
    stage
}

/// The tick's own time over `count` ticks.
fn time_ticks(stage: &mut Stage, count: u64, mut each: impl FnMut(&mut Stage)) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..count {
        each(stage);
        stage.before();
        let began = Instant::now();
        black_box(stage.run(&|| 0));
        total += began.elapsed();
        stage.after();
    }
    total
}

fn idle(c: &mut Criterion) {
    let mut stage = stage(SPREAD_CHUNKS);
    c.bench_function("tick/1000 idle clients", |b| {
        b.iter_custom(|count| time_ticks(&mut stage, count, |_| {}));
    });
}

fn walking(c: &mut Criterion) {
    let mut stage = stage(SPREAD_CHUNKS);
    let mut random = fastrand::Rng::with_seed(3);
    let mut ticks = 0;
    c.bench_function("tick/1000 walking clients", |b| {
        b.iter_custom(|count| {
            time_ticks(&mut stage, count, |stage| {
                if ticks % TURN_TICKS == 0 {
                    for puppet in &mut stage.puppets {
                        puppet.wish = (random.i16(..), random.i16(..));
                        puppet.chunks.clear();
                        puppet.fragments.clear();
                    }
                }
                ticks += 1;
            })
        });
    });
}

/// The snapshots alone: each client walks among sixteen others and more, all of them walking.
fn replicating(c: &mut Criterion) {
    let mut stage = stage(DENSE_CHUNKS);
    let mut random = fastrand::Rng::with_seed(3);
    let began = Instant::now();
    let clock_ns = || began.elapsed().as_nanos() as u64;
    c.bench_function("tick/snapshots of 1000 walking clients", |b| {
        b.iter_custom(|count| {
            let mut total_ns = 0;
            for tick in 0..count {
                if tick % TURN_TICKS == 0 {
                    stage.puppets.iter_mut().for_each(|p| p.wish = (random.i16(..), random.i16(..)));
                }
                stage.before();
                total_ns += stage.run(&clock_ns).phases_ns[Phase::Replicate as usize];
                stage.after();
            }
            Duration::from_nanos(total_ns)
        });
    });
    let entities: usize = stage.puppets.iter().map(|p| p.others).sum();
    println!("{:.1} others for each of {CLIENTS}", entities as f64 / CLIENTS as f64);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(Duration::from_secs(10));
    targets = idle, walking, replicating
}
criterion_main!(benches);
