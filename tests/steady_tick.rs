//! A steady tick allocates nothing, recorded as it is: counted by an allocator, in virtual time.

#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;

use ninefold::clock::Monotonic;
use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold::recorder::Recorder;
use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::protocol::time::Duration;
use ninefold_client::world::BspWorld;
use puppets::Stage;

/// Ticks until what grows has grown.
const WARM_UP_TICKS: usize = 100;

/// Allocations in the ticks of a thousand in which no chunk is new to anybody, and how many those are.
fn allocations(stage: &mut Stage, mut each: impl FnMut(&mut Stage, usize)) -> (u64, usize) {
    let config = Config::default();
    let (mut recorder, _handle) =
        Recorder::new(Monotonic::start(), config.tick_rate_hz, None, None, None, Arc::default());
    let (mut steady, mut ticks) = (0, 0);
    for tick in 0..1_000 {
        each(stage, tick);
        stage.before();
        let new_chunks = |stage: &Stage| {
            let counters = stage.tick.counters();
            (counters.crossings, counters.fragments_sent, counters.chunks_delivered)
        };
        let chunks_before = new_chunks(stage);
        let allocated = allocation_counter::measure(|| {
            let begun = recorder.begin(stage.end());
            let times = stage.run(&|| 0);
            recorder.end(begun, Duration::ZERO, 0, &times, &stage.tick);
        });
        // A crossing brings new chunks into a ring, and those are allowed to cost something.
        if new_chunks(stage) == chunks_before && tick >= WARM_UP_TICKS {
            steady += allocated.count_total;
            ticks += 1;
        }
        stage.after();
    }
    // The counter itself can count.
    assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(Box::new(7)))).count_total, 1);
    (steady, ticks)
}

/// Back and forth within a stone's throw: every ring stays whole.
fn wander(stage: &mut Stage, tick: usize, random: &mut fastrand::Rng) {
    if tick.is_multiple_of(20) {
        let sign = if (tick / 20).is_multiple_of(2) { 1 } else { -1 };
        for puppet in &mut stage.puppets {
            puppet.wish = (sign * 8_000, sign * random.i16(..4_000));
        }
    }
}

#[test]
fn two_hundred_walking_clients_cost_no_allocation() {
    let config = Config { spawn_radius_chunks: 2, ..Config::default() };
    let mut stage = Stage::new(config.rules(0), Arc::new(BspWorld::new(9)), 1);
    (0..200).for_each(|_| _ = stage.join());
    stage.steps(300);
    let mut random = fastrand::Rng::with_seed(1);
    let (steady, ticks) = allocations(&mut stage, |stage, tick| wander(stage, tick, &mut random));
    assert!(ticks > 500, "only {ticks} ticks without a crossing");
    assert_eq!(steady, 0, "allocations in {ticks} steady ticks");
}

#[test]
fn creatures_and_doors_cost_no_allocation_either() {
    let config = Config { spawn_radius_chunks: 2, ..Config::default() };
    let game = Box::new(Explore::new(9, 2));
    let mut stage = Stage::with_game(config.rules(0), Arc::new(BspWorld::new(9)), 1, 0, game);
    (0..200).for_each(|_| _ = stage.join());
    let mut random = fastrand::Rng::with_seed(1);
    // All look round and try whatever door is there; before the count begins, too.
    let mut use_doors = |stage: &mut Stage, tick: usize| {
        wander(stage, tick, &mut random);
        for (index, puppet) in stage.puppets.iter_mut().enumerate() {
            let is_held = (tick + index).is_multiple_of(8);
            puppet.buttons = if is_held { PlayerInput::USE } else { 0 };
            puppet.yaw = puppet.yaw.wrapping_add(3_000);
        }
    };
    for tick in 0..400 {
        use_doors(&mut stage, tick);
        stage.step();
    }
    let events_before = stage.tick.counters().events_sent;
    let (steady, ticks) = allocations(&mut stage, use_doors);
    let events = stage.tick.counters().events_sent - events_before;
    let creatures = stage.tick.replicas().len() - 200;
    assert!(events > 1_000 && creatures > 40, "{events} events of doors, {creatures} creatures");
    assert!(ticks > 500, "only {ticks} ticks without a crossing");
    assert_eq!(steady, 0, "allocations in {ticks} steady ticks");
}
