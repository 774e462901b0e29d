//! Connected clients that do their worst, in virtual time: what it is counted as, how much work it makes, and
//! that the others get what they would have got without it, in the same tick.

#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;

use ninefold::config::Config;
use ninefold::rules::{CHUNK_REQUESTS_PER_TICK_MAX, PACKETS_PER_TICK_MAX, Rules};
use ninefold::telemetry::Counters;
use ninefold_client::protocol::frame::{ChunkAt, ChunkKey, Message, frame_header, kind};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::link::Link;
use ninefold_client::world::BspWorld;
use puppets::Stage;

const HONEST: usize = 20;
/// The one that misbehaves comes last.
const WORST: usize = HONEST;
const TICKS: u64 = 300;
const EAST: (i16, i16) = (i16::MAX, 0);

fn rules() -> Rules {
    Config { spawn_radius_chunks: 2, ..Config::default() }.rules(77)
}

/// What the honest clients saw: chunks and position, for each client and tick.
type Story = Vec<(usize, Option<(i32, i32, u16, u16)>)>;

/// Twenty clients walk and one more does as it is told in each tick.
fn run(mut misbehave: impl FnMut(&mut Stage, u64)) -> (Story, Counters, Stage) {
    let mut stage = Stage::new(rules(), Arc::new(BspWorld::new(9)), 1);
    for _ in 0..=HONEST {
        let me = stage.join();
        stage.puppets[me].wish = if me == WORST { (0, 0) } else { EAST };
    }
    let mut story = Story::new();
    for tick in 0..TICKS {
        misbehave(&mut stage, tick);
        stage.step();
        story.extend(stage.puppets[..HONEST].iter().map(|p| (p.chunks.len(), p.position)));
    }
    (story, *stage.tick.counters(), stage)
}

/// What the honest ones see, and what is counted, without anybody misbehaving.
fn without() -> (Story, Counters) {
    let (story, counters, _) = run(|_, _| {});
    (story, counters)
}

/// A whole packet with one frame, numbered so that the client's own do not meet it.
fn packet(number: u32, kind: u8, body: &[u8]) -> Vec<u8> {
    [&number.to_le_bytes()[..], &frame_header(kind, body.len()), body].concat()
}

#[test]
fn one_that_never_acknowledges_is_sent_its_share_and_then_waits() {
    let (story, counters) = without();
    let (seen, abused, stage) = run(|stage, tick| {
        // It greets, and from then on every packet of it is a first one.
        if tick > 3 {
            stage.puppets[WORST].link = Link::new(stage.now);
        }
    });
    assert!(seen == story, "the others saw something else");
    assert_eq!(stage.tick.clients(), HONEST + 1);
    let more = abused.fragments_sent - counters.fragments_sent;
    let share = rules().in_flight_bytes_max / PACKET_BYTES_MAX;
    assert!(more <= share as u64 + TICKS, "{more} fragments more, its share is {share}");
    assert!(abused.packets_duplicate > 200, "{}", abused.packets_duplicate);
}

#[test]
fn one_that_acknowledges_what_was_never_sent_is_not_believed() {
    let (story, counters) = without();
    let (seen, abused, _) = run(|stage, tick| {
        for n in 0..10 {
            let ack = [0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0xff, 0xff];
            stage.inject(WORST, &packet(1 << 20 | (10 * tick as u32 + n), kind::ACK, &ack));
        }
    });
    assert!(seen == story, "the others saw something else");
    assert_eq!(abused.packets_refused - counters.packets_refused, 10 * TICKS);
    assert_eq!(abused.chunks_delivered, counters.chunks_delivered, "nothing counts as delivered for it");
}

#[test]
fn absurd_sizes_are_refused_whole() {
    let (story, counters) = without();
    let (seen, abused, _) = run(|stage, tick| {
        let number = |n: u32| 1 << 20 | (10 * tick as u32 + n);
        // A frame longer than its packet, ranges that are not there, a range below zero.
        stage.inject(WORST, &[&number(0).to_le_bytes()[..], &[0x20, 0xff, 0xff, 1, 2, 3]].concat());
        stage.inject(WORST, &packet(number(1), kind::ACK, &[0, 0, 0, 0, 0, 0, 255, 0, 0]));
        stage.inject(WORST, &packet(number(2), kind::ACK, &[0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]));
        // A message longer than any, and one further ahead than is kept.
        stage.inject(WORST, &packet(number(3), kind::RELIABLE, &[0xff; 1_100]));
        stage.inject(WORST, &packet(number(4), kind::RELIABLE, &[0xff, 0xff, 0xff, 0x7f, 7, 0, 0]));
        // Nothing, and less than a number.
        stage.inject(WORST, &[]);
        stage.inject(WORST, &[1, 2, 3]);
    });
    assert!(seen == story, "the others saw something else");
    assert_eq!(abused.packets_refused - counters.packets_refused, 7 * TICKS);
}

#[test]
fn more_packets_than_a_tick_takes_are_the_senders_loss() {
    let (story, counters) = without();
    let (seen, abused, _) = run(|stage, _| (0..256).for_each(|_| stage.inject(WORST, &[0xff; 1_200])));
    assert!(seen == story, "the others saw something else");
    let over = abused.packets_over_limit - counters.packets_over_limit;
    assert_eq!(over, TICKS * (256 + 1 - u64::from(PACKETS_PER_TICK_MAX)), "its own input among them");
}

#[test]
fn requests_without_end_are_answered_at_the_pace_of_any_client() {
    let (story, counters) = without();
    let (seen, abused, _) = run(|stage, tick| {
        let Some((cx, cz)) = stage.puppets[WORST].active() else { return };
        let link = &mut stage.puppets[WORST].link;
        for n in 0..3 * CHUNK_REQUESTS_PER_TICK_MAX as i32 {
            let far = if n % 3 == 2 { 1_000_000 } else { 0 };
            let key = ChunkKey { cx: cx + n % 3 - 1 + far, cy: (n == 9).into(), cz: cz + n / 9 - 1 };
            // Its queue is full as soon as the server is behind.
            let _ = link.send_message(&Message::ChunkRequest(key));
        }
        let _ = link.send_message(&Message::ChunkForget(ChunkAt {
            key: ChunkKey { cx: i32::MIN, cy: 0, cz: i32::MAX },
            version: tick as u32,
        }));
    });
    assert!(seen == story, "the others saw something else");
    let (taken, refused) = (abused.chunks_requested, abused.chunk_requests_refused);
    assert!(taken <= TICKS * u64::from(CHUNK_REQUESTS_PER_TICK_MAX), "{taken}");
    assert!(refused > TICKS, "{refused}");
    let more = abused.fragments_sent - counters.fragments_sent;
    let pace = rules().active_fragments_per_tick + rules().neighbour_fragments_per_tick;
    assert!(more <= TICKS * pace as u64, "{more} fragments more");
}

#[test]
fn one_that_comes_and_goes_all_the_time_leaves_nothing_behind() {
    let (story, counters) = without();
    let (seen, abused, mut stage) = run(|stage, tick| {
        // It leaves in the middle of what it was about to get, and comes again.
        match tick % 5 {
            0 if tick > 0 => stage.join_again(WORST),
            4 => stage.leave(WORST),
            _ => {}
        }
    });
    assert!(seen == story, "the others saw something else");
    assert_eq!(abused.clients_disconnected, TICKS / 5);
    assert_eq!(abused.clients_connected - counters.clients_connected, TICKS / 5 - 1);
    assert_eq!(stage.tick.clients(), HONEST);
    (0..HONEST).for_each(|n| stage.leave(n));
    stage.puppets.clear();
    stage.steps(5);
    assert_eq!((stage.tick.clients(), stage.tick.chunks().gauges(stage.now).pinned), (0, 0));
}
