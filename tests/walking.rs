//! Clients over real sockets: they get their ring, walk, see each other and leave.

mod common;

use std::sync::atomic::Ordering::Relaxed;

use common::{Player, config, pass, start, until};
use ninefold_client::Event;
use ninefold_client::world::BspWorld;

#[test]
fn one_client_gets_its_ring_and_every_chunk_is_right() {
    let config = config();
    let server = start(&config);
    let mut players = [Player::join(&server, &config, 1)];
    until("the ring is whole", 5, &mut players, |p| p[0].has_ring());
    let world = BspWorld::new(config.world_seed);
    for &coord in players[0].client.ring().coords() {
        let chunk = players[0].client.chunk(coord).unwrap();
        let made = ninefold_client::world::Generator::generate(&world, coord, &mut Default::default());
        assert_eq!(chunk.as_ref(), &made);
    }
    let stats = *players[0].client.stats();
    assert_eq!((stats.chunks_hash_failed, stats.chunks_undecodable, stats.frames_refused), (0, 0, 0));
    // The last acknowledgements are on their way.
    let live = std::sync::Arc::clone(server.live());
    until("all nine are acknowledged", 5, &mut players, |_| live.chunks_delivered.load(Relaxed) == 9);
    players[0].leave();
    let summary = server.stop().unwrap();
    assert_eq!(summary.tick.counters.chunks_delivered, 9);
    assert_eq!(summary.tick.counters.packets_refused, 0);
}

#[test]
fn two_clients_in_one_chunk_see_each_other_move() {
    let mut config = config();
    config.spawn_radius_chunks = 0;
    let server = start(&config);
    let mut players = [Player::join(&server, &config, 1), Player::join(&server, &config, 2)];
    until("each sees the other", 5, &mut players, |p| p.iter().all(|p| p.others().len() == 1));
    for wish in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)] {
        players[0].wish = wish;
        pass(30, &mut players);
    }
    players[0].wish = (0.0, 0.0);
    until("the last word is the same on both sides", 5, &mut players, |p| {
        p[1].others().first().copied() == p[0].own_place()
    });
    let start = players[0].events.iter().position(|e| matches!(e, Event::Entered { .. }));
    assert!(start.is_some());
    server.stop().unwrap();
}

#[test]
fn a_server_that_stops_says_goodbye() {
    let config = config();
    let server = start(&config);
    let mut players = [Player::join(&server, &config, 1), Player::join(&server, &config, 2)];
    until("both play", 5, &mut players, |p| p.iter().all(|p| p.client.is_playable()));
    server.stop().unwrap();
    // Well before their timeout of two seconds.
    until("both know", 1, &mut players, |p| p.iter().all(|p| p.client.ended().is_some()));
}
