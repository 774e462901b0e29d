//! What goes wrong stays where it goes wrong: panicking and hanging generators, vanished clients, a full
//! server, a teleport that leaves old work behind.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration as StdDuration;

use common::{Player, Trouble, config, pass, start, start_with, until};
use ninefold_client::protocol::connection::ClientState;
use ninefold_client::world::ChunkCoord;
use ninefold_client::{EndReason, Event};

/// The spawn chunk of every client when the spawn radius is zero.
const ORIGIN: ChunkCoord = ChunkCoord { cx: 0, cz: 0 };
const BESIDE: ChunkCoord = ChunkCoord { cx: 1, cz: 0 };

fn was_told_unavailable(player: &Player, coord: ChunkCoord) -> bool {
    let mut events = player.events.iter();
    events.any(|e| matches!(e, Event::ChunkUnavailable { chunk } if chunk.coord() == coord))
}

#[test]
fn a_generator_that_panics_on_one_chunk_costs_that_chunk_alone() {
    let mut config = config();
    config.spawn_radius_chunks = 0;
    let generator = Trouble::new(config.world_seed, |coord| assert_ne!(coord, BESIDE, "planted"));
    let server = start_with(&config, Arc::new(generator));
    let mut players = [Player::join(&server, &config, 1), Player::join(&server, &config, 2)];
    until("all but one chunk are there", 10, &mut players, |p| p.iter().all(Player::has_ring));
    assert!(players.iter().all(|p| was_told_unavailable(p, BESIDE)));
    assert!(players.iter().all(|p| p.client.ended().is_none()));
    let summary = server.stop().unwrap();
    assert_eq!(summary.tick.chunks.panics, u64::from(config.generate_attempts));
    assert_eq!((summary.tick.chunks.failed, summary.tick.counters.chunks_unavailable), (1, 2));
    // Whoever stops the server reads of it.
    let told = summary.to_string();
    for line in ["chunks.panics 3", "chunks.failed 1", "tick.chunks_unavailable 2", "connection.connected 2"]
    {
        assert!(told.contains(line), "{line} is missing:\n{told}");
    }
}

#[test]
fn a_generator_that_hangs_on_the_spawn_chunk_gives_a_safe_one() {
    let mut config = config();
    config.spawn_radius_chunks = 0;
    config.generate_deadline_ms = 200;
    config.generate_workers = 1;
    let generator = Trouble::new(config.world_seed, |coord| {
        if coord == ORIGIN {
            std::thread::sleep(StdDuration::from_secs(4));
        }
    });
    let server = start_with(&config, Arc::new(generator));
    let mut players = [Player::join(&server, &config, 1)];
    until("the player stands on safe ground", 3, &mut players, |p| {
        p[0].client.is_playable() && p[0].has_ring()
    });
    assert!(was_told_unavailable(&players[0], ORIGIN));
    // The late result is not shown: the hung worker comes back to nobody waiting.
    players[0].wish = (1.0, 0.0);
    until("it walks on", 3, &mut players, |p| p[0].position().unwrap().x > 600.0);
    let summary = server.stop().unwrap();
    assert_eq!((summary.tick.chunks.failed, summary.tick.telemetry.overruns), (1, 0));
}

#[test]
fn a_teleport_over_ten_thousand_chunks_leaves_the_old_work_behind() {
    let mut config = config();
    config.spawn_radius_chunks = 0;
    config.generate_workers = 1;
    // Slow enough that the first ring is still being made when the player has gone.
    let generator = Trouble::new(config.world_seed, |coord| {
        if coord.cx.abs() <= 1 && coord != ORIGIN {
            std::thread::sleep(StdDuration::from_millis(40));
        }
    });
    let server = start_with(&config, Arc::new(generator));
    let mut players = [Player::join(&server, &config, 7)];
    until("it plays", 5, &mut players, |p| p[0].client.is_playable());
    let far = ChunkCoord { cx: 10_000, cz: -10_000 };
    assert!(server.teleport(7, far));
    until("the far ring is whole", 5, &mut players, |p| {
        p[0].client.ring().active() == Some(far) && p[0].has_ring()
    });
    assert_eq!(players[0].position().unwrap().chunk(), Some(far));
    pass(60, &mut players); // the old work comes back
    // Nothing of the old ring came after the new one was entered.
    let entered =
        players[0].events.iter().position(|e| matches!(e, Event::Entered { coord, .. } if *coord == far));
    let late = players[0].events[entered.unwrap()..]
        .iter()
        .any(|e| matches!(e, Event::ChunkReady { chunk, .. } if chunk.coord().cx.abs() <= 1));
    assert!(!late);
    let summary = server.stop().unwrap();
    assert!(summary.tick.chunks.stale > 0, "{:?}", summary.tick.chunks);
}

#[test]
fn a_client_that_vanishes_is_timed_out_and_forgotten() {
    let config = config();
    let server = start(&config);
    let mut players = vec![Player::join(&server, &config, 1), Player::join(&server, &config, 2)];
    until("both play", 5, &mut players, |p| p.iter().all(|p| p.client.is_playable()));
    players.truncate(1); // the second one's socket closes without a word
    let live = Arc::clone(server.live());
    until("the server notices", 5, &mut players, |_| live.clients.load(Ordering::Relaxed) == 1);
    assert!(players[0].client.ended().is_none());
    players[0].leave();
    until("nobody is left", 2, &mut players, |_| live.clients.load(Ordering::Relaxed) == 0);
    std::thread::sleep(StdDuration::from_millis(50));
    let summary = server.stop().unwrap();
    assert_eq!((summary.tick.clients, summary.tick.chunks_pinned), (0, 0));
}

#[test]
fn a_full_server_denies_and_lets_in_again_when_there_is_room() {
    let mut config = config();
    config.clients_max = 1;
    let server = start(&config);
    let mut players = vec![Player::join(&server, &config, 1)];
    until("the first plays", 5, &mut players, |p| p[0].client.is_playable());
    players.push(Player::join(&server, &config, 2));
    until("the second is denied", 5, &mut players, |p| p[1].client.ended().is_some());
    let denied = EndReason::Connection(ClientState::ConnectionDenied);
    assert_eq!(players[1].client.ended(), Some(denied));
    assert!(players[0].client.ended().is_none());
    players[0].leave();
    std::thread::sleep(StdDuration::from_millis(100));
    players.push(Player::join(&server, &config, 3));
    until("the third gets in", 5, &mut players, |p| p[2].client.is_playable());
    server.stop().unwrap();
}

#[test]
fn the_port_of_a_running_server_cannot_be_had_twice() {
    let mut config = config();
    let server = start(&config);
    config.listen = server.address();
    let generator = Arc::new(ninefold_client::world::BspWorld::new(1));
    let error = ninefold::server::Server::start(&config, generator).unwrap_err().to_string();
    assert!(error.contains(&server.address().to_string()) && error.contains("in use"), "{error}");
    server.stop().unwrap();
}
