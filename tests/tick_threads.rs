//! A tick does the same on any number of threads.

mod common;
#[path = "common/puppets.rs"]
mod puppets;

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use common::{Player, config, start, until};
use ninefold::config::Config;
use ninefold::telemetry::Counters;
use ninefold_client::world::BspWorld;
use ninefold_netem::{Loss, Profile, Ratio};
use puppets::Stage;

/// So many that three threads are worth it.
const CLIENTS: usize = 420;
const TICKS: usize = 150;

/// A crowd on bad lines that comes, walks, moves to other addresses, goes and comes back; with so little room in a
/// snapshot that not everything fits. What the server said, in its order, and what it counted.
fn run(tick_threads: u32) -> (u64, Counters) {
    let config =
        Config { spawn_radius_chunks: 3, snapshot_bytes_max: 300, tick_threads, ..Config::default() };
    let mut stage = Stage::new(config.rules(0), Arc::new(BspWorld::new(5)), 1);
    stage.departed = Some(DefaultHasher::new());
    let loss = Loss::Independent(Ratio::percent(3));
    let line = Profile { delay_us: 30_000, jitter_us: 9_000, loss, ..Profile::default() };
    stage.set_line(line.clone());
    let mut random = fastrand::Rng::with_seed(7);
    for tick in 0..TICKS {
        if stage.puppets.len() < CLIENTS {
            (0..35).for_each(|_| _ = stage.join());
        }
        if tick.is_multiple_of(20) {
            for puppet in &mut stage.puppets {
                puppet.wish = (random.i16(..), random.i16(..));
                puppet.buttons = random.u16(..2);
            }
            let somebody = random.usize(..stage.puppets.len());
            stage.move_to(somebody, line.clone(), true);
            let somebody = random.usize(..stage.puppets.len());
            stage.leave(somebody);
            stage.join_again(somebody);
        }
        stage.step();
    }
    (stage.departed.take().expect("it was asked for").finish(), *stage.tick.counters())
}

#[test]
fn the_same_packets_leave_in_the_same_order_on_any_number_of_threads() {
    let alone = run(1);
    assert!(alone.1.clients_spawned > CLIENTS as u64 && alone.1.changes_left_out > 0, "{:?}", alone.1);
    for threads in [2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let shared = pool.install(|| run(threads as u32));
        assert_eq!(shared, alone, "{threads} threads");
    }
}

#[test]
fn a_server_whose_tick_has_two_threads_lets_players_in_and_stops() {
    let config = Config { tick_threads: 2, ..config() };
    let server = start(&config);
    let mut players = [Player::join(&server, &config, 1), Player::join(&server, &config, 2)];
    until("their rings are there", 10, &mut players, |p| p.iter().all(Player::has_ring));
    let summary = server.stop().unwrap();
    assert_eq!(summary.tick.counters.clients_spawned, 2);
    assert!(summary.tick.cpu_ns > 0, "the thread that ran the ticks was looked at");
}
