//! A client whose address changes keeps its session, on real sockets, and walks on.

mod common;

use common::{Player, config, pass, start, until};

const MOVES: u64 = 5;

#[test]
fn a_client_that_changes_its_address_again_and_again_plays_on() {
    let config = config();
    let server = start(&config);
    let mut players: Vec<_> = (1..=3).map(|id| Player::join(&server, &config, id)).collect();
    until("all play", 5, &mut players, |p| p.iter().all(|p| p.client.is_playable() && p.has_ring()));
    players.iter_mut().for_each(|player| player.wish = (1.0, 0.3));
    for _ in 0..MOVES {
        players[0].change_address();
        // What was under way to the old address is gone with its socket.
        let before = players[0].client.stats().datagrams_in;
        pass(2, &mut players);
        until("the server's word comes to the new address", 2, &mut players, |p| {
            p[0].client.stats().datagrams_in > before + 5
        });
    }
    until("everybody has a ring", 5, &mut players, |p| p.iter().all(Player::has_ring));
    for player in &players {
        assert!(player.client.ended().is_none());
        assert_eq!(player.client.stats().crossings_without_chunk, 0);
    }
    let connection = server.stop().unwrap().udp.connection;
    assert_eq!((connection.connected, connection.moved, connection.timed_out), (3, MOVES, 0));
    assert_eq!((connection.replaced, connection.paths_refused), (0, 0));
}
