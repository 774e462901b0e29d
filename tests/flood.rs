//! Garbage from one address changes a counter and nothing else.

mod common;

use std::net::UdpSocket;

use common::{Player, config, start, until};

const GARBAGE_DATAGRAMS: u64 = 100_000;

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
