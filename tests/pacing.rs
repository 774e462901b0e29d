//! The pace on real sockets: the carrier holds packets until they are due.

mod common;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use common::{Player, config, start, until};
use ninefold::config::Config;
use ninefold::telemetry::Asked;
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
    let shown = || server.state(&Asked::default()).clients.dearest;
    until("its line is shown", 3, &mut players, |_| shown().iter().any(|client| client.rtt_us.is_some()));
    let client = &shown()[0];
    let line = (client.client_id, client.rate_bytes_s, client.loss_permille);
    assert_eq!(line, (1, 60_000, 0));
    assert!(client.rtt_us.is_some_and(|us| us < 50_000), "{client:?}");
    players[0].leave();
    assert!(server.live().datagrams_out.load(Relaxed) > 20);
    let summary = server.stop().unwrap();
    assert!(summary.udp.departures_held >= 5, "{:?}", summary.udp);
    assert!(summary.tick.counters.clients_held_back > 5);
}
