//! What loss costs a chunk, in virtual time: from the tick in which it could leave to the moment in which it is whole.
//! Twenty seeds each; with `-- --nocapture` the figures are printed.
//!
//! The client has been playing for twenty seconds, walks and gets its chunk of 32 KiB again now and then, so that its
//! loss is measured and its line known. What a client pays that has just come is measured beside it.

#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;

use ninefold::config::Config;
use ninefold::telemetry::Counters;
use ninefold_client::protocol::frame::{ChunkKey, Message};
use ninefold_client::protocol::link::congestion::Mode;
use ninefold_client::protocol::time::Instant;
use ninefold_client::world::BspWorld;
use ninefold_netem::{Loss, Profile, Ratio};
use puppets::Stage;

const SEEDS: u64 = 20;
const RTT_US: u64 = 50_000;
const TICK_US: u64 = 16_667;
const LARGE: usize = 32 << 10;
/// As the generator makes it: two or three fragments.
const ORDINARY: usize = 0;
const PLAYED_TICKS: usize = 20 * 60;
const CHUNKS_PER_SEED: usize = 50;
/// From one chunk to the next, and a few more that the seed chooses.
const TICKS_BETWEEN: usize = 24;

fn line(loss: Loss) -> Profile {
    Profile { delay_us: RTT_US / 2, loss, ..Profile::default() }
}

fn random_loss(percent: u32) -> Loss {
    Loss::Independent(Ratio::percent(percent))
}

/// A client that walks slowly in the middle of nowhere.
fn stage(seed: u64, profile: Profile, chunk_bytes: usize, mode: Mode) -> Stage {
    let mut rules = Config { spawn_radius_chunks: 0, ..Config::default() }.rules(0);
    rules.congestion.mode = mode;
    let mut stage = Stage::with_chunk_bytes(rules, Arc::new(BspWorld::new(seed)), seed, chunk_bytes);
    stage.set_line(profile);
    let me = stage.join();
    stage.puppets[me].wish = (300, 0);
    stage
}

/// Asks for the active chunk again; gives the time of the tick in which it could leave and of its being whole.
fn fetch(stage: &mut Stage) -> (Instant, Instant) {
    let (cx, cz) = stage.puppets[0].active().expect("it is in the world");
    let key = ChunkKey { cx, cy: 0, cz };
    let asked = stage.tick.counters().chunks_requested;
    let puppet = &mut stage.puppets[0];
    puppet.chunks.remove(&key);
    puppet.whole.clear();
    puppet.link.send_message(&Message::ChunkRequest(key)).unwrap();
    let mut began = None;
    for _ in 0..600 {
        stage.step();
        if began.is_none() && stage.tick.counters().chunks_requested > asked {
            began = Some(stage.now);
        }
        if let Some((_, at)) = stage.puppets[0].whole.iter().find(|(whole, _)| *whole == key) {
            return (began.expect("what came was asked for"), *at);
        }
    }
    panic!("a chunk did not come in ten seconds");
}

#[derive(Default)]
struct Figures {
    times_us: Vec<u64>,
    counters: Counters,
}

impl Figures {
    fn percentile_ms(&self, permille: usize) -> f64 {
        let mut sorted = self.times_us.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() - 1) * permille / 1_000] as f64 / 1_000.0
    }

    fn p99_us(&self) -> u64 {
        (self.percentile_ms(990) * 1_000.0) as u64
    }

    /// Parity that was sent along, of a thousand own fragments.
    fn ahead_permille(&self) -> u64 {
        let c = &self.counters;
        let own = c.fragments_sent - c.parity_ahead - c.parity_in_answer;
        c.parity_ahead * 1_000 / own
    }

    fn print(&self, what: &str) {
        let c = &self.counters;
        let own = c.fragments_sent - c.parity_ahead - c.parity_in_answer;
        let [p50, p99, p999] = [500, 990, 999].map(|permille| self.percentile_ms(permille));
        println!(
            "{what}: {} chunks, whole after p50 {p50:.1}, p99 {p99:.1}, p99.9 {p999:.1} ms; parity ahead {:.1} %, in \
             answer {:.1} %, used {:.1} %",
            self.times_us.len(),
            self.ahead_permille() as f64 / 10.0,
            c.parity_in_answer as f64 * 100.0 / own as f64,
            c.parity_used as f64 * 100.0 / own as f64,
        );
    }
}

/// Adds what was counted between two moments.
fn add(sum: &mut Counters, before: &Counters, after: &Counters) {
    sum.fragments_sent += after.fragments_sent - before.fragments_sent;
    sum.fragments_resent += after.fragments_resent - before.fragments_resent;
    sum.parity_ahead += after.parity_ahead - before.parity_ahead;
    sum.parity_in_answer += after.parity_in_answer - before.parity_in_answer;
    sum.parity_used += after.parity_used - before.parity_used;
}

/// Chunk after chunk for a client that has been playing.
fn playing(loss: Loss, chunk_bytes: usize) -> Figures {
    playing_with(loss, chunk_bytes, TICKS_BETWEEN, CHUNKS_PER_SEED, Mode::Copa)
}

fn playing_with(loss: Loss, chunk_bytes: usize, ticks_between: usize, chunks: usize, mode: Mode) -> Figures {
    let mut figures = Figures::default();
    for seed in 0..SEEDS {
        let mut stage = stage(seed, line(loss), chunk_bytes, mode);
        let mut random = fastrand::Rng::with_seed(seed);
        for played in 0..PLAYED_TICKS {
            stage.step();
            if played % 300 == 299 {
                fetch(&mut stage);
            }
        }
        let before = *stage.tick.counters();
        for _ in 0..chunks {
            stage.steps(ticks_between + random.usize(0..12));
            let (began, whole) = fetch(&mut stage);
            figures.times_us.push(whole.since(began).as_us());
        }
        stage.steps(30);
        add(&mut figures.counters, &before, stage.tick.counters());
    }
    figures
}

#[test]
fn on_a_clean_line_a_chunk_is_whole_after_half_a_round_trip_and_two_ticks() {
    let figures = playing(random_loss(0), LARGE);
    figures.print("32 KiB, clean");
    assert!(figures.p99_us() <= RTT_US / 2 + 2 * TICK_US);
    assert_eq!((figures.counters.parity_ahead, figures.counters.parity_in_answer), (0, 0));
}

#[test]
fn at_five_percent_of_random_loss_no_round_trip_is_lost() {
    let figures = playing(random_loss(5), LARGE);
    figures.print("32 KiB, 5 % random");
    assert!(figures.p99_us() <= RTT_US / 2 + 3 * TICK_US);
    assert!(figures.ahead_permille() <= 180, "{} of 1,000", figures.ahead_permille());
    assert!(figures.counters.parity_used > 0);
}

#[test]
fn at_five_percent_in_bursts_a_chunk_takes_two_and_a_half_round_trips_at_most() {
    let figures = playing(Loss::bursts(5, 3), LARGE);
    figures.print("32 KiB, 5 % in bursts of 3");
    assert!(figures.p99_us() <= RTT_US * 5 / 2);
}

/// At a rate that does not depend on loss this is repair alone. Copa paces a chunk by what arrived of those before, so
/// that it takes a tick or two longer to leave.
#[test]
fn at_twenty_percent_in_bursts_everything_arrives() {
    let bursts = Loss::bursts(20, 3);
    let fixed = playing_with(bursts, LARGE, TICKS_BETWEEN, 4 * CHUNKS_PER_SEED, Mode::Fixed);
    fixed.print("32 KiB, 20 % in bursts of 3, a fixed rate");
    let copa = playing_with(bursts, LARGE, TICKS_BETWEEN, 4 * CHUNKS_PER_SEED, Mode::Copa);
    copa.print("the same with Copa");
    let seldom = playing_with(bursts, LARGE, 620, 30, Mode::Copa);
    seldom.print("the same with Copa, each ten seconds");
    assert!(fixed.p99_us() <= RTT_US * 3);
    assert!(copa.p99_us() <= RTT_US * 3);
    assert!(seldom.p99_us() <= RTT_US * 6);
}

#[test]
fn an_ordinary_chunk_of_three_fragments_loses_no_round_trip_either() {
    let figures = playing(random_loss(5), ORDINARY);
    figures.print("an ordinary chunk, 5 % random");
    assert!(figures.p99_us() <= RTT_US / 2 + 2 * TICK_US);
}

/// Whose loss nobody knows yet gets what it lost a round trip later.
#[test]
fn a_client_that_has_just_come_pays_a_round_trip_for_what_it_lost() {
    let mut figures = Figures::default();
    for seed in 0..10 * SEEDS {
        let mut stage = stage(seed, line(random_loss(5)), LARGE, Mode::Copa);
        let mut began = None;
        for _ in 0..600 {
            stage.step();
            if began.is_none() && stage.tick.counters().fragments_sent > 0 {
                began = Some(stage.now);
            }
            let active = stage.puppets[0].active().map(|(cx, cz)| ChunkKey { cx, cy: 0, cz });
            let whole = stage.puppets[0].whole.iter().find(|(key, _)| Some(*key) == active);
            if let (Some(began), Some((_, at))) = (began, whole) {
                figures.times_us.push(at.since(began).as_us());
                break;
            }
        }
        add(&mut figures.counters, &Counters::default(), stage.tick.counters());
    }
    assert_eq!(figures.times_us.len() as u64, 10 * SEEDS);
    figures.print("32 KiB on joining, 5 % random");
    assert!(figures.p99_us() <= RTT_US * 5);
}
