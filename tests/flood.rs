//! Garbage from one address changes a counter and nothing else.

mod common;

use std::net::UdpSocket;

use common::{Player, config, start, until};

const GARBAGE_DATAGRAMS: u64 = 100_000;
const REQUESTS: u64 = 30_000;

#[test]
fn a_flood_of_garbage_changes_nothing_but_a_counter() {
    let config = config();
    let server = start(&config);
    let mut players: Vec<_> = (1..=4).map(|id| Player::join(&server, &config, id)).collect();
    until("all play", 5, &mut players, |p| p.iter().all(|p| p.client.is_playable() && p.has_ring()));
    let flood = std::thread::spawn({
        let to = server.address();
        move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut random = fastrand::Rng::with_seed(9);
            let mut buffer = [0; 1_300];
            for n in 0..GARBAGE_DATAGRAMS {
                let length = random.usize(1..buffer.len());
                random.fill(&mut buffer[..length]);
                socket.send_to(&buffer[..length], to).unwrap();
                // Not faster than a thin pipe could: the point is the server, not the kernel's queue.
                if n % 256 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        }
    });
    for player in &mut players {
        player.wish = (0.5, 0.5);
    }
    until("the flood is over", 60, &mut players, |_| flood.is_finished());
    flood.join().unwrap();
    until("the clients still play", 5, &mut players, |p| p.iter().all(Player::has_ring));
    for player in &players {
        assert!(player.client.ended().is_none());
        let stats = player.client.stats();
        assert_eq!((stats.crossings_without_chunk, stats.chunks_hash_failed), (0, 0));
    }
    let summary = server.stop().unwrap();
    assert_eq!(summary.tick.counters.packets_refused, 0);
    assert_eq!(summary.tick.counters.clients_connected, 4);
    let refused = summary.udp.connection.refused();
    // What the kernel's buffer dropped never came; most of it did.
    assert!(refused > GARBAGE_DATAGRAMS / 2 && refused <= GARBAGE_DATAGRAMS, "{refused} refused");
}

/// Well-formed requests whose token does not open, as many as a sender gets rid of: what is opened is
/// limited, and a client that comes in the middle of them gets in.
#[test]
fn a_flood_of_forged_requests_neither_disturbs_who_plays_nor_keeps_others_out_for_long() {
    let config = config();
    let server = start(&config);
    let mut players: Vec<_> = (1..=2).map(|id| Player::join(&server, &config, id)).collect();
    until("all play", 5, &mut players, |p| p.iter().all(|p| p.client.is_playable() && p.has_ring()));
    let mut forged = vec![0; 1_078];
    forged[1..14].copy_from_slice(b"NETCODE 1.02\0");
    forged[14..22].copy_from_slice(&config.protocol_id.to_le_bytes());
    forged[22..30].copy_from_slice(&(ninefold::server::unix_s() + 60).to_le_bytes());
    let flood = std::thread::spawn({
        let to = server.address();
        move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for n in 0..REQUESTS {
                forged[1_070..].copy_from_slice(&n.to_le_bytes());
                socket.send_to(&forged, to).unwrap();
                if n % 64 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        }
    });
    let late = Player::join(&server, &config, 3);
    players.push(late);
    until("the newcomer plays", 10, &mut players, |p| p[2].client.is_playable() && p[2].has_ring());
    until("the flood is over", 60, &mut players, |_| flood.is_finished());
    flood.join().unwrap();
    for player in &players {
        assert!(player.client.ended().is_none());
        assert_eq!(player.client.stats().crossings_without_chunk, 0);
    }
    let counters = server.stop().unwrap().udp.connection;
    assert_eq!((counters.connected, counters.timed_out, counters.moved), (3, 0, 0));
    // What the kernel's buffer dropped never came; of the rest each was counted.
    let counted = counters.request_forged + counters.request_over_limit;
    assert!(counted > REQUESTS / 2 && counted <= REQUESTS, "{counters:?}");
}
