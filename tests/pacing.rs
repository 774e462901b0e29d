//! The pace on real sockets: the carrier holds packets until they are due.

mod common;
#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use common::{Player, config, start, until};
use ninefold::config::Config;
use ninefold::telemetry::Asked;
use ninefold_client::protocol::link::congestion::Mode;
use ninefold_client::world::BspWorld;
use puppets::{Came, Stage};

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

/// Of the ticks in which one client that walks got fragments and a snapshot at once: in how many a fragment was written
/// before the snapshot, and in how many not.
fn before_and_behind(rate_bytes_s: u64) -> (usize, usize) {
    let rate = Config { client_rate_max_bytes_s: rate_bytes_s, ..Config::default() };
    let config = Config { spawn_radius_chunks: 0, congestion_control: Mode::Fixed, ..rate };
    let mut stage = Stage::with_chunk_bytes(config.rules(0), Arc::new(BspWorld::new(9)), 1, 32 << 10);
    stage.join();
    stage.puppets[0].records = true;
    stage.puppets[0].wish = (1_000, 0);
    stage.steps(90);
    let came = &stage.puppets[0].came;
    let (mut before, mut behind) = (0, 0);
    for control in came.iter().filter(|c| c.fragment_of.is_none()) {
        let is_beside = |c: &&Came| c.fragment_of.is_some() && c.left_us == control.left_us;
        match came.iter().filter(is_beside).map(|c| c.number).min() {
            Some(first) if first < control.number => before += 1,
            Some(_) => behind += 1,
            None => {}
        }
    }
    (before, behind)
}

#[test]
fn fragments_go_before_the_snapshot_where_the_line_takes_them_in_no_time() {
    let (before, _) = before_and_behind(12_500_000);
    assert!(before >= 10, "{before}");
    let (before, behind) = before_and_behind(500_000);
    assert!(before == 0 && behind >= 10, "{before}, {behind}");
}
