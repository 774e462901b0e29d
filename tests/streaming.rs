//! What a client is sent and when, in virtual time.

#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;

use ninefold::config::Config;
use ninefold::rules::{PACKETS_PER_TICK_MAX, Rules};
use ninefold_client::protocol::frame::{ChunkAt, ChunkKey, Message, PROTOCOL_VERSION, RefuseReason};
use ninefold_client::world::{BspWorld, Plain, decode};
use ninefold_netem::{Loss, Profile, Ratio};
use puppets::Stage;

const WORLD_ID: u64 = 77;
const EAST: (i16, i16) = (i16::MAX, 0);

fn rules() -> Rules {
    Config { spawn_radius_chunks: 0, ..Config::default() }.rules(WORLD_ID)
}

fn stage() -> Stage {
    Stage::new(rules(), Arc::new(BspWorld::new(9)), 1)
}

fn key(cx: i32, cz: i32) -> ChunkKey {
    ChunkKey { cx, cy: 0, cz }
}

#[test]
fn a_client_that_joins_gets_its_ring_the_active_chunk_first() {
    let mut stage = stage();
    let me = stage.join();
    stage.steps(30);
    let puppet = &stage.puppets[me];
    assert_eq!(puppet.chunks.len(), 9);
    assert!(puppet.chunks.values().all(|(version, bytes)| *version == 1 && decode(bytes).is_ok()));
    assert_eq!(puppet.active(), Some((0, 0)));
    // Once it is there, the active chunk's fragments go before all others.
    let active: Vec<usize> =
        (0..puppet.fragments.len()).filter(|i| puppet.fragments[*i].0 == key(0, 0)).collect();
    assert!(active.iter().enumerate().all(|(n, at)| n == *at), "{:?}", puppet.fragments);
    assert!(matches!(puppet.messages[0], Message::Welcome(w) if w.world_id == WORLD_ID));
}

#[test]
fn what_is_known_is_not_sent_again_until_it_is_forgotten() {
    let mut stage = stage();
    let me = stage.join();
    stage.steps(30);
    let sent = stage.tick.counters().fragments_sent;
    stage.steps(60);
    assert_eq!(stage.tick.counters().fragments_sent, sent);
    let forgotten = ChunkAt { key: key(1, 0), version: 1 };
    stage.puppets[me].link.send_message(&Message::ChunkForget(forgotten)).unwrap();
    stage.puppets[me].chunks.remove(&key(1, 0));
    stage.steps(10);
    // It is in the ring, so it comes back at once.
    assert!(stage.puppets[me].chunks.contains_key(&key(1, 0)));
    assert_eq!(stage.tick.counters().chunks_forgotten, 1);
    // Forgetting another version says nothing of this one.
    let older = ChunkAt { key: key(1, 0), version: 0 };
    let sent = stage.tick.counters().fragments_sent;
    stage.puppets[me].link.send_message(&Message::ChunkForget(older)).unwrap();
    stage.steps(10);
    assert_eq!(stage.tick.counters().fragments_sent, sent);
}

#[test]
fn a_chunk_of_the_ring_can_be_asked_for_again_and_no_other() {
    let mut stage = stage();
    let me = stage.join();
    stage.steps(30);
    stage.puppets[me].chunks.clear();
    for wanted in [key(0, 1), key(5, 5), ChunkKey { cy: 1, ..key(0, 0) }] {
        stage.puppets[me].link.send_message(&Message::ChunkRequest(wanted)).unwrap();
    }
    stage.steps(10);
    assert_eq!(stage.puppets[me].chunks.keys().collect::<Vec<_>>(), [&key(0, 1)]);
    let counters = stage.tick.counters();
    assert_eq!((counters.chunks_requested, counters.chunk_requests_refused), (1, 2));
}

#[test]
fn more_requests_than_a_tick_takes_are_refused_and_counted() {
    let mut stage = stage();
    let me = stage.join();
    stage.steps(30);
    for _ in 0..12 {
        stage.puppets[me].link.send_message(&Message::ChunkRequest(key(0, 1))).unwrap();
    }
    stage.steps(5);
    let counters = stage.tick.counters();
    assert_eq!((counters.chunks_requested, counters.chunk_requests_refused), (9, 3));
}

#[test]
fn unknown_frames_and_messages_are_skipped_and_what_is_behind_them_counts() {
    let mut stage = stage();
    let me = stage.join();
    stage.steps(30);
    let mut buffer = [0; ninefold_client::protocol::limits::PACKET_BYTES_MAX];
    let link = &mut stage.puppets[me].link;
    link.send_message(&Message::Unknown(200)).unwrap();
    link.send_message(&Message::ChunkRequest(key(0, 1))).unwrap();
    let mut packet = link.packet(stage.now, &mut buffer);
    packet.push(0xee, &[b"from the future"]);
    let built = packet.finish().unwrap();
    stage.inject(me, &buffer[..built.head_bytes]);
    stage.step();
    let counters = stage.tick.counters();
    assert_eq!((counters.frames_unknown, counters.chunks_requested, counters.packets_refused), (2, 1, 0));
}

#[test]
fn ceilings_hold_in_every_tick() {
    let rules = Rules { active_fragments_per_tick: 1, neighbour_fragments_per_tick: 2, ..rules() };
    let mut stage = Stage::new(rules.clone(), Arc::new(BspWorld::new(9)), 1);
    let me = stage.join();
    stage.puppets[me].records = true;
    stage.steps(60);
    let period_us = rules.period().as_us();
    for tick in 0..60 {
        let fragments = stage.puppets[me].came.iter().filter(|c| c.fragment_of.is_some());
        let left = fragments.filter(|c| c.left_us / period_us == tick);
        let (active, neighbours): (Vec<&puppets::Came>, Vec<_>) =
            left.partition(|c| c.fragment_of == Some(key(0, 0)));
        assert!(active.len() <= 1 && neighbours.len() <= 2, "{active:?} {neighbours:?}");
    }
    assert_eq!(stage.puppets[me].chunks.len(), 9);
}

#[test]
fn unacknowledged_bytes_hold_fragments_back() {
    let rules = Rules { in_flight_bytes_max: 2_400, ..rules() };
    let mut stage = Stage::new(rules, Arc::new(BspWorld::new(9)), 1);
    let me = stage.join();
    stage.steps(3);
    // Silent from here on: no more than two packets of fragments are under way.
    let before = stage.tick.counters().fragments_sent;
    for _ in 0..20 {
        stage.now += ninefold_client::protocol::time::Duration::from_ms(16);
        stage.run(&|| 0);
    }
    assert!(stage.tick.counters().fragments_sent - before <= 2);
    stage.after();
    stage.steps(200);
    assert_eq!(stage.puppets[me].chunks.len(), 9);
}

#[test]
fn a_line_that_loses_every_third_packet_delivers_everything() {
    for seed in 0..20 {
        let mut stage = Stage::new(rules(), Arc::new(BspWorld::new(9)), seed);
        stage.set_line(Profile { loss: Loss::Independent(Ratio::new(1, 3)), ..Profile::default() });
        let me = stage.join();
        stage.steps(400);
        stage.set_line(Profile::default());
        stage.steps(60);
        let puppet = &stage.puppets[me];
        assert_eq!(puppet.chunks.len(), 9, "seed {seed}");
        let enters = puppet.messages.iter().filter(|m| matches!(m, Message::ChunkEnter { .. })).count();
        assert_eq!((enters, stage.tick.counters().chunks_delivered), (1, 9), "seed {seed}");
    }
}

/// 50 ms round trip, 10 % loss in bursts, 30 ms jitter, reordering and doubles, for two minutes of walking.
/// After that the line is healed, and everything must have come.
#[test]
fn a_bad_line_costs_time_and_nothing_else() {
    let bad = Profile {
        delay_us: 25_000,
        jitter_us: 30_000,
        loss: Loss::bursts(10, 3),
        reordered: Ratio::percent(2),
        held_back_us: 40_000,
        duplicated: Ratio::percent(1),
        ..Profile::default()
    };
    let rules = Config { spawn_radius_chunks: 2, ..Config::default() }.rules(WORLD_ID);
    let mut stage = Stage::new(rules, Arc::new(BspWorld::new(9)), 3);
    stage.set_line(bad);
    (0..20).for_each(|_| {
        stage.join();
    });
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..120 {
        stage.puppets.iter_mut().for_each(|p| p.wish = (random.i16(..), random.i16(..)));
        stage.steps(60);
    }
    let rtt = stage.puppets[0].link.rtt();
    assert!((50..150).contains(&rtt.smoothed().as_ms()), "{rtt:?}");
    stage.set_line(Profile::default());
    stage.puppets.iter_mut().for_each(|p| p.wish = (0, 0));
    stage.steps(300);
    let counters = *stage.tick.counters();
    assert_eq!((stage.tick.clients(), counters.packets_refused), (20, 0));
    assert!(counters.crossings > 20 && counters.fragments_resent > 100, "{counters:?}");
    for (session, puppet) in stage.tick.sessions().zip(&stage.puppets) {
        for place in session.view.ring() {
            let (_, bytes) = &puppet.chunks[&key(place.coord.cx, place.coord.cz)];
            assert!(decode(bytes).is_ok());
        }
        // Every move over a border was told of, in order, to the last.
        let active = session.view.active().map(|c| (c.cx, c.cz));
        assert_eq!(puppet.active(), active);
        assert!(session.link.reliable_is_settled() && session.view.sendings().is_empty());
    }
    let enters =
        |p: &puppets::Puppet| p.messages.iter().filter(|m| matches!(m, Message::ChunkEnter { .. })).count();
    assert_eq!(stage.puppets.iter().map(enters).sum::<usize>() as u64, counters.crossings + 20);
}

#[test]
fn walking_over_borders_enters_each_chunk_once_and_in_order() {
    let mut stage = Stage::new(rules(), Arc::new(Plain::new(0)), 1);
    let me = stage.join();
    stage.steps(10);
    stage.puppets[me].wish = EAST;
    stage.steps(1_200); // 20 s at 320 units a second: six chunks
    let entered: Vec<i32> = (stage.puppets[me].messages.iter())
        .filter_map(|m| if let Message::ChunkEnter { cx, cz: 0 } = m { Some(*cx) } else { None })
        .collect();
    assert_eq!(entered, (0..=6).collect::<Vec<_>>());
    assert_eq!(stage.tick.counters().crossings, 6);
    // 9 at first, 3 for each crossing; nothing twice.
    assert_eq!(stage.tick.counters().chunks_delivered, 9 + 3 * 6);
    let (cx, _, _, _) = stage.puppets[me].position.unwrap();
    assert_eq!(cx, 6);
}

#[test]
fn walking_back_sends_nothing() {
    let mut stage = Stage::new(rules(), Arc::new(Plain::new(0)), 1);
    let me = stage.join();
    stage.steps(10);
    stage.puppets[me].wish = EAST;
    stage.steps(300);
    let sent = stage.tick.counters().fragments_sent;
    stage.puppets[me].wish = (-i16::MAX, 0);
    stage.steps(300);
    assert_eq!(stage.puppets[me].active(), Some((0, 0)));
    assert_eq!(stage.tick.counters().fragments_sent, sent);
}

#[test]
fn players_are_told_of_those_in_their_ring_and_of_no_others() {
    let mut stage = Stage::new(rules(), Arc::new(Plain::new(0)), 1);
    let (near, far) = (stage.join(), stage.join());
    stage.join();
    stage.steps(10);
    assert_eq!(stage.puppets[near].others, 2);
    stage.puppets[far].wish = EAST;
    stage.steps(800);
    assert_eq!((stage.puppets[near].others, stage.puppets[far].others), (1, 0));
    stage.leave(2);
    stage.steps(20);
    assert_eq!(stage.puppets[near].others, 0);
}

#[test]
fn nobody_moves_faster_than_walking_speed() {
    let mut stage = Stage::new(rules(), Arc::new(Plain::new(0)), 1);
    let me = stage.join();
    stage.steps(10);
    stage.puppets[me].wish = (i16::MAX, i16::MAX); // longer than full speed
    let at = |stage: &Stage| {
        let (cx, cz, x, z) = stage.puppets[me].position.unwrap();
        (f64::from(cx) * 1024.0 + f64::from(x) / 64.0, f64::from(cz) * 1024.0 + f64::from(z) / 64.0)
    };
    let before = at(&stage);
    stage.steps(60);
    let after = at(&stage);
    let way = (after.0 - before.0).hypot(after.1 - before.1);
    assert!((300.0..=322.0).contains(&way), "{way} units in a second");
}

#[test]
fn a_client_that_leaves_gives_everything_back() {
    let mut stage = stage();
    for _ in 0..5 {
        stage.join();
    }
    stage.steps(30);
    assert_eq!(stage.tick.chunks().gauges(stage.now).pinned, 9);
    (0..5).for_each(|index| stage.leave(index));
    stage.puppets.clear();
    stage.steps(1_300);
    assert_eq!((stage.tick.clients(), stage.tick.chunks().gauges(stage.now).pinned), (0, 0));
    // The ready chunks stay in the cache for the next one.
    let made = stage.tick.chunks().counters().made;
    stage.join();
    stage.steps(30);
    assert_eq!(stage.tick.chunks().counters().made, made);
}

#[test]
fn a_client_of_another_version_is_told_both_and_leaves() {
    let mut stage = stage();
    let me = stage.join();
    stage.puppets[me].link = ninefold_client::protocol::link::Link::new(stage.now);
    let hello = ninefold_client::protocol::frame::Hello {
        version_min: 7,
        version_max: 9,
        encodings: 2,
        cache_chunks: 512,
        offers: 0,
    };
    stage.puppets[me].link.send_message(&Message::Hello(hello)).unwrap();
    stage.steps(10);
    let refusal = RefuseReason::Version { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION };
    assert_eq!(stage.puppets[me].messages, [Message::Refuse(refusal)]);
    assert_eq!((stage.tick.clients(), stage.tick.counters().clients_refused), (0, 1));
}

#[test]
fn more_packets_than_a_tick_takes_are_dropped_and_counted() {
    let mut stage = stage();
    let me = stage.join();
    stage.steps(5);
    for _ in 0..PACKETS_PER_TICK_MAX + 10 {
        stage.inject(me, &[1, 2, 3]);
    }
    stage.step();
    // The puppet's own input came behind them.
    let counters = stage.tick.counters();
    assert_eq!(counters.packets_refused, u64::from(PACKETS_PER_TICK_MAX));
    assert_eq!(counters.packets_over_limit, 11);
    stage.steps(10);
    assert_eq!((stage.tick.clients(), stage.tick.counters().packets_over_limit), (1, 11));
}

/// One message to the kernel holds equally long packets and a shorter one behind them.
#[test]
fn a_few_packets_leave_as_a_train_with_the_shorter_one_behind() {
    let mut stage = stage();
    let me = stage.join();
    stage.puppets[me].records = true;
    stage.steps(60);
    stage.puppets[me].came.clear();
    // It goes north, so that snapshots tell of it, and wants a chunk of its ring again.
    stage.puppets[me].wish = (0, i16::MAX);
    let forgotten = ChunkAt { key: key(1, 0), version: 1 };
    stage.puppets[me].link.send_message(&Message::ChunkForget(forgotten)).unwrap();
    stage.puppets[me].chunks.remove(&key(1, 0));
    stage.steps(20);
    let came = &stage.puppets[me].came;
    let left_us = came.iter().find(|packet| packet.fragment_of.is_some()).expect("it comes again").left_us;
    let train: Vec<_> = came.iter().filter(|packet| packet.left_us == left_us).collect();
    let (last, full) = train.split_last().unwrap();
    assert!(!full.is_empty() && full.iter().all(|packet| packet.bytes == full[0].bytes), "{train:?}");
    assert!(full.iter().all(|packet| packet.fragment_of == Some(key(1, 0))));
    assert!(last.bytes <= full[0].bytes, "{train:?}");
    assert!(stage.puppets[me].chunks.contains_key(&key(1, 0)));
}

/// Two chunks end in one tick: their ends share a packet with what else there is to say, or the one that is left over is
/// padded. Nothing but the last packet is shorter than the others.
#[test]
fn ends_of_several_chunks_leave_in_the_same_train() {
    const FULL: u64 = 1_186;
    for (end_bytes, packets) in [(100, 3), (450, 3), (800, 4), (900, 4), (1_120, 4)] {
        let chunk_bytes = 1_150 + end_bytes;
        let mut stage = Stage::with_chunk_bytes(rules(), Arc::new(Plain::new(0)), 1, chunk_bytes);
        let me = stage.join();
        stage.puppets[me].records = true;
        stage.steps(60);
        stage.puppets[me].came.clear();
        stage.puppets[me].wish = (0, i16::MAX);
        for key in [key(1, 0), key(-1, 0)] {
            stage.puppets[me].link.send_message(&Message::ChunkForget(ChunkAt { key, version: 1 })).unwrap();
            stage.puppets[me].chunks.remove(&key);
        }
        stage.puppets[me].whole.clear();
        stage.steps(20);
        let came = &stage.puppets[me].came;
        let left_us =
            came.iter().find(|packet| packet.fragment_of.is_some()).expect("it comes again").left_us;
        let train: Vec<_> = came.iter().filter(|packet| packet.left_us == left_us).collect();
        assert_eq!(train.len(), packets, "{end_bytes}: {train:?}");
        let (last, others) = train.split_last().unwrap();
        assert!(others.iter().all(|packet| packet.bytes == FULL), "{end_bytes}: {train:?}");
        assert!(last.bytes <= FULL, "{end_bytes}: {train:?}");
        assert_eq!(stage.puppets[me].whole.len(), 2, "{end_bytes}");
    }
}
