//! A steady tick allocates nothing, recorded as it is: counted by an allocator, in virtual time.

#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;

use ninefold::clock::Monotonic;
use ninefold::config::Config;
use ninefold::recorder::Recorder;
use ninefold_client::protocol::time::Duration;
use ninefold_client::world::BspWorld;
use puppets::Stage;

#[test]
fn two_hundred_walking_clients_cost_no_allocation() {
    let config = Config { spawn_radius_chunks: 2, ..Config::default() };
    let mut stage = Stage::new(config.rules(0), Arc::new(BspWorld::new(9)), 1);
    (0..200).for_each(|_| {
        stage.join();
    });
    stage.steps(300);
    let (mut recorder, _handle) =
        Recorder::new(Monotonic::start(), config.tick_rate_hz, None, None, None, Arc::default());
    let mut random = fastrand::Rng::with_seed(1);
    let (mut steady, mut ticks) = (0, 0);
    for tick in 0..1_000 {
        // Back and forth within a stone's throw: every ring stays whole.
        if tick % 20 == 0 {
            let sign = if tick / 20 % 2 == 0 { 1 } else { -1 };
            for puppet in &mut stage.puppets {
                puppet.wish = (sign * 8_000, sign * random.i16(..4_000));
            }
        }
        stage.before();
        let new_chunks = |stage: &Stage| {
            let counters = stage.tick.counters();
            (counters.crossings, counters.fragments_sent, counters.chunks_delivered)
        };
        let chunks_before = new_chunks(&stage);
        let allocated = allocation_counter::measure(|| {
            let begun = recorder.begin(stage.end());
            let times = stage.run(&|| 0);
            recorder.end(begun, Duration::ZERO, 0, &times, &stage.tick);
        });
        // A crossing brings new chunks into a ring, and those are allowed to cost something.
        if new_chunks(&stage) == chunks_before && tick >= 100 {
            steady += allocated.count_total;
            ticks += 1;
        }
        stage.after();
    }
    // The counter itself can count.
    assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(Box::new(7)))).count_total, 1);
    assert!(ticks > 500, "only {ticks} ticks without a crossing");
    assert_eq!(steady, 0, "allocations in {ticks} steady ticks");
}
