//! A client that goes to another address, and with it to a line that is three times as long, in virtual time: the link
//! begins anew there, and nothing is lost. Each promise over twenty seeds; with `-- --nocapture` the figures are printed.

#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;

use ninefold::config::Config;
use ninefold_client::protocol::frame::{ChunkKey, Message};
use ninefold_client::world::BspWorld;
use ninefold_netem::{Bottleneck, Profile};
use puppets::Stage;

const SEEDS: u64 = 20;
/// 5 Mbit/s.
const RATE: u64 = 625_000;
const CHUNK_BYTES: usize = 32 << 10;
const NEAR_US: u64 = 20_000;
const FAR_US: u64 = 60_000;

fn line(one_way_us: u64, seed: u64) -> Profile {
    Profile {
        delay_us: one_way_us + 800 * seed,
        bottleneck: Some(Bottleneck { bytes_per_s: RATE, queue_bytes_max: RATE / 4 }),
        ..Profile::default()
    }
}

/// Asks for the whole ring again.
fn ask_again(stage: &mut Stage) {
    let puppet = &mut stage.puppets[0];
    puppet.chunks.clear();
    let (cx, cz) = puppet.active().expect("it is in the world");
    for (dx, dz) in (-1..=1).flat_map(|dz| (-1..=1).map(move |dx| (dx, dz))) {
        let key = ChunkKey { cx: cx + dx, cy: 0, cz: cz + dz };
        puppet.link.send_message(&Message::ChunkRequest(key)).unwrap();
    }
}

/// Ticks until all nine chunks are there.
fn until_whole(stage: &mut Stage) -> u64 {
    for tick in 0..900 {
        if stage.puppets[0].chunks.len() == 9 {
            return tick;
        }
        stage.step();
    }
    panic!("nine chunks did not come in fifteen seconds");
}

/// Milliseconds that nine chunks take that are asked for half a second after the move, while which others were on their way.
fn burst_after_move_ms(seed: u64, is_told: bool) -> u64 {
    let rules = Config { spawn_radius_chunks: 0, ..Config::default() }.rules(0);
    let mut stage = Stage::with_chunk_bytes(rules, Arc::new(BspWorld::new(seed)), seed, CHUNK_BYTES);
    stage.set_line(line(NEAR_US, seed));
    stage.join();
    stage.puppets[0].wish = (1_000, 0);
    until_whole(&mut stage);
    stage.steps(60 + seed as usize);
    ask_again(&mut stage);
    // The first of them are on their way.
    stage.steps(12);
    stage.move_to(0, line(FAR_US, seed), is_told);
    until_whole(&mut stage);
    stage.steps(30);
    ask_again(&mut stage);
    until_whole(&mut stage) * 1_000 / 60
}

#[test]
fn a_client_that_moves_to_a_longer_line_is_served_there_as_a_new_one() {
    let bursts = |is_told| {
        let mut all: Vec<u64> = (0..SEEDS).map(|seed| burst_after_move_ms(seed, is_told)).collect();
        all.sort_unstable();
        all
    };
    let (told, untold) = (bursts(true), bursts(false));
    let ends = |all: &[u64]| (all[0], all[all.len() - 1]);
    println!(
        "nine chunks after a move from {} to {} ms: {:?} ms, where the link is not told {:?} ms",
        2 * NEAR_US / 1_000,
        2 * FAR_US / 1_000,
        ends(&told),
        ends(&untold)
    );
    // 500 ms at the line's rate, and 200 for the way there, the way back and ticks.
    assert!(ends(&told).1 <= 900, "{told:?}");
    assert!(told.iter().sum::<u64>() < untold.iter().sum(), "{told:?} {untold:?}");
}
