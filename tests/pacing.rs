//! The pace on real sockets: the carrier holds packets until they are due.

mod common;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use common::{Player, config, start, until};
use ninefold::config::Config;
use ninefold_client::protocol::link::congestion::Mode;

#[test]
fn a_slow_pace_is_kept_and_spread_over_the_ticks() {
    let config = Config { congestion_control: Mode::Fixed, client_rate_max_bytes_s: 60_000, ..config() };
    let server = start(&config);
    let mut players = [Player::join_for_trees(&server, &config, 1)];
    until("it plays", 5, &mut players, |p| p[0].client.is_playable());
    let began = Instant::now();
    let bytes_before = players[0].client.stats().bytes_in;
    until("the ring is whole", 5, &mut players, |p| p[0].has_ring());
    let bytes = players[0].client.stats().bytes_in - bytes_before;
    let bytes_s = bytes as f64 / began.elapsed().as_secs_f64();
    assert!(bytes_s < 90_000.0, "{bytes_s} bytes a second");
    let shown = || server.live().book().clients.into_iter().flatten().collect::<Vec<_>>();
    until("a second has passed", 3, &mut players, |_| !shown().is_empty());
    let line = shown()[0].clone();
    assert_eq!((line.client_id, line.rate_bytes_s, line.loss_permille), (1, 60_000, 0));
    assert!(line.rtt_us.is_some_and(|rtt_us| rtt_us < 50_000), "{line:?}");
    players[0].leave();
    assert!(server.live().datagrams_out.load(Relaxed) > 20);
    let summary = server.stop().unwrap();
    assert!(summary.udp.departures_held >= 5, "{:?}", summary.udp);
    assert!(summary.tick.counters.clients_held_back > 5);
}
