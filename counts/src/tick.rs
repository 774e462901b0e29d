//! Whole ticks, told per client: standing, walking, choosing fragments of nine chunks, crossing a border.
//!
//! The clients are those of the tests: they speak the link as real ones do. What they do themselves is not counted.

use std::sync::Arc;

use ninefold::config::Config;
use ninefold_client::world::{BspWorld, ChunkCoord, Plain};

use crate::counted::{Case, counted};

#[path = "../../tests/common/puppets.rs"]
mod puppets;
use puppets::Stage;

pub const CASES: [Case; 4] = [
    Case { name: "tick.standing", times: CLIENTS * TICKS, run: standing },
    Case { name: "tick.walking", times: CLIENTS * TICKS, run: walking },
    Case { name: "tick.streaming", times: CLIENTS * TICKS, run: streaming },
    Case { name: "tick.crossing", times: CLIENTS, run: crossing },
];

const CLIENTS: u32 = 40;
/// Ticks that are counted.
const TICKS: u32 = 8;
/// Ticks until every ring is whole.
const WARM_UP_TICKS: usize = 120;
/// Bytes of the chunks of which fragments are chosen.
const LONG_CHUNK_BYTES: usize = 32 << 10;
/// Chunks from the spawn to where players are put: nobody's ring has any of them yet.
const FAR_CHUNKS: i32 = 40;

fn config() -> Config {
    Config { spawn_radius_chunks: 2, ..Config::default() }
}

/// Clients whose rings are whole.
fn warm(mut stage: Stage) -> Stage {
    (0..CLIENTS).for_each(|_| {
        stage.join();
    });
    stage.steps(WARM_UP_TICKS);
    assert!(stage.puppets.iter().all(|puppet| puppet.chunks.len() >= 9));
    stage
}

fn stage() -> Stage {
    warm(Stage::new(config().rules(0), Arc::new(BspWorld::new(9)), 1))
}

/// One tick, of which the clients' part is not counted.
fn step(stage: &mut Stage) {
    stage.before();
    counted(&mut || {
        stage.run(&|| 0);
    });
    stage.after();
}

fn standing(_: u32) {
    let mut stage = stage();
    (0..TICKS).for_each(|_| step(&mut stage));
}

fn walking(_: u32) {
    let mut stage = stage();
    for (n, puppet) in stage.puppets.iter_mut().enumerate() {
        puppet.wish = if n % 2 == 0 { (8_000, 3_000) } else { (-3_000, 8_000) };
    }
    // From standing to walking is another matter.
    stage.steps(8);
    (0..TICKS).for_each(|_| step(&mut stage));
}

fn streaming(_: u32) {
    let world = Arc::new(Plain::new(0));
    let mut stage = warm(Stage::with_chunk_bytes(config().rules(0), world, 1, LONG_CHUNK_BYTES));
    put(&mut stage, FAR_CHUNKS);
    // The chunks are made, and the line's answers are under way.
    stage.steps(8);
    let before = stage.tick.counters().fragments_sent;
    (0..TICKS).for_each(|_| step(&mut stage));
    let sent = stage.tick.counters().fragments_sent - before;
    assert!(sent > u64::from(CLIENTS * TICKS), "only {sent} fragments");
}

/// All of them find themselves in the next chunk: three chunks enter each ring, and three leave it.
fn crossing(_: u32) {
    let mut stage = stage();
    put(&mut stage, FAR_CHUNKS);
    stage.steps(WARM_UP_TICKS);
    put(&mut stage, FAR_CHUNKS + 1);
    step(&mut stage);
    let there = Some(ChunkCoord { cx: FAR_CHUNKS + 1, cz: 0 });
    assert!(stage.tick.sessions().all(|session| session.view.active() == there), "they all crossed");
}

/// Puts everybody into one chunk.
fn put(stage: &mut Stage, cx: i32) {
    for client in 0..u64::from(CLIENTS) {
        assert!(stage.tick.teleport(client, ChunkCoord { cx, cz: 0 }), "client {client} plays");
    }
}
