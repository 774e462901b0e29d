//! A thin line and much to send, in virtual time: 5 Mbit/s, 250 ms of buffer, all nine chunks of 32 KiB wanted at
//! once. Each promise over twenty seeds, which choose the line's delay and so its phase to the ticks; with
//! `-- --nocapture` the figures are printed.

#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;

use ninefold::config::Config;
use ninefold_client::world::BspWorld;
use ninefold_netem::{Bottleneck, Loss, Profile, Ratio};
use puppets::{Came, Stage};

const SEEDS: u64 = 20;
/// Of the long tests.
const SEEDS_LONG: u64 = 400;
/// 5 Mbit/s.
const RATE: u64 = 625_000;
const CHUNK_BYTES: usize = 32 << 10;

/// 10 to 29 ms, each with another phase to the ticks.
fn one_way_us(seed: u64) -> u64 {
    10_000 + 1_000 * (seed % 20) + 47 * (seed / 20)
}

fn thin(seed: u64) -> Profile {
    Profile {
        delay_us: one_way_us(seed),
        bottleneck: Some(Bottleneck { bytes_per_s: RATE, queue_bytes_max: RATE / 4 }),
        ..Profile::default()
    }
}

/// Clients that walk slowly, so that there are positions in every tick.
fn stage(seed: u64, clients: usize) -> Stage {
    let rules = Config { spawn_radius_chunks: 0, ..Config::default() }.rules(0);
    let mut stage = Stage::with_chunk_bytes(rules, Arc::new(BspWorld::new(seed)), seed, CHUNK_BYTES);
    stage.set_line(thin(seed));
    for _ in 0..clients {
        let me = stage.join();
        stage.puppets[me].wish = (1_000, 0);
        stage.puppets[me].records = true;
    }
    stage
}

/// Asks for the whole ring again.
fn ask_again(stage: &mut Stage, index: usize) {
    stage.puppets[index].came.clear();
    stage.puppets[index].ask_for_ring();
}

/// What of the line was used while chunks were on their way, percent.
fn used_percent(came: &[Came], one_way_us: u64) -> u64 {
    let fragments = || came.iter().filter(|c| c.fragment_of.is_some());
    let began = fragments().map(|c| c.left_us).min().unwrap() + one_way_us;
    let ended = fragments().map(|c| c.came_us).max().unwrap();
    let bytes: u64 = came.iter().filter(|c| (began..=ended).contains(&c.came_us)).map(|c| c.bytes).sum();
    bytes * 100 * 1_000_000 / ((ended - began) * RATE)
}

/// What snapshots took above the line's own delay, microseconds, while chunks were on their way.
fn snapshot_delays(came: &[Came], one_way_us: u64) -> impl Iterator<Item = u64> {
    let began = came.iter().find(|c| c.fragment_of.is_some()).unwrap().left_us;
    let ended = came.iter().rfind(|c| c.fragment_of.is_some()).unwrap().came_us;
    let during = came.iter().filter(move |c| c.fragment_of.is_none() && (began..=ended).contains(&c.left_us));
    during.map(move |c| c.came_us - c.left_us - one_way_us)
}

fn p99_ms(mut delays_us: Vec<u64>) -> u64 {
    delays_us.sort_unstable();
    delays_us[(delays_us.len() - 1) * 99 / 100].div_ceil(1_000)
}

/// Runs until the client has its nine chunks.
fn until_whole(stage: &mut Stage, index: usize) {
    for _ in 0..600 {
        if stage.puppets[index].chunks.len() == 9 {
            return;
        }
        stage.step();
    }
    panic!("nine chunks did not come in ten seconds");
}

fn active_came_first(stage: &Stage, index: usize) -> bool {
    let (cx, cz) = stage.puppets[index].active().unwrap();
    let fragments = CHUNK_BYTES.div_ceil(1_150);
    let first = &stage.puppets[index].fragments[..fragments];
    first.iter().all(|(key, _)| (key.cx, key.cz) == (cx, cz))
}

/// When the nine chunks are asked for.
#[derive(Debug, Clone, Copy)]
enum When {
    Joining,
    /// So many ticks after all of them came.
    Later(usize),
}

/// What a burst of nine chunks was like.
struct Burst {
    used_percent: u64,
    snapshot_delays_us: Vec<u64>,
}

fn burst(seed: u64, when: When) -> Burst {
    let mut stage = stage(seed, 1);
    until_whole(&mut stage, 0);
    if let When::Later(ticks) = when {
        stage.steps(ticks);
        ask_again(&mut stage, 0);
        until_whole(&mut stage, 0);
    }
    assert!(active_came_first(&stage, 0), "{when:?}, seed {seed}");
    let came = &stage.puppets[0].came;
    Burst {
        used_percent: used_percent(came, one_way_us(seed)),
        snapshot_delays_us: snapshot_delays(came, one_way_us(seed)).collect(),
    }
}

/// Bursts in which the line is used and snapshots hardly wait, each from a seed.
fn bursts(name: &str, seeds: u64, when: impl Fn(u64) -> When) {
    let bursts: Vec<Burst> = (0..seeds).map(|seed| burst(seed, when(seed))).collect();
    let used = || bursts.iter().map(|b| b.used_percent);
    let (least, most) = (used().min().unwrap(), used().max().unwrap());
    let p99 = p99_ms(bursts.iter().flat_map(|b| &b.snapshot_delays_us).copied().collect());
    println!("nine chunks, {name}, {seeds} seeds: line used {least}..{most} %, snapshots p99 +{p99} ms");
    let thin: Vec<(u64, u64)> = (0..).zip(used()).filter(|(_, used)| *used < 85).collect();
    assert!(thin.is_empty() && p99 <= 50, "below 85 %: {thin:?}");
}

#[test]
fn nine_chunks_at_once_fill_the_line_and_snapshots_hardly_wait() {
    bursts("joining", SEEDS, |_| When::Joining);
    bursts("later", SEEDS, |seed| When::Later(60 + seed as usize));
}

#[test]
#[ignore = "long: the same over every phase of the controller's clock, `-- --ignored`"]
fn at_any_moment_nine_chunks_fill_the_line() {
    bursts("joining", SEEDS_LONG, |_| When::Joining);
    bursts("later", SEEDS_LONG, |seed| When::Later(1 + 3 * seed as usize % 720));
}

#[test]
fn two_clients_behind_one_bottleneck_share_it() {
    let mut shares = Vec::new();
    // Of the first nine chunks, for which both open their first windows at once, and of all others.
    let mut delays = [Vec::new(), Vec::new()];
    for seed in 0..SEEDS {
        let mut stage = stage(seed, 2);
        stage.share_line(thin(seed));
        stage.steps(10);
        let mut bytes = [0; 2];
        for _ in 0..1_200 {
            for (index, bytes) in bytes.iter_mut().enumerate() {
                if stage.puppets[index].chunks.len() == 9 {
                    let came = &stage.puppets[index].came;
                    let when = usize::from(*bytes > 0);
                    *bytes += came.iter().map(|c| c.bytes).sum::<u64>();
                    delays[when].extend(snapshot_delays(came, one_way_us(seed)));
                    ask_again(&mut stage, index);
                }
            }
            stage.step();
        }
        shares.push(bytes[0].min(bytes[1]) * 100 / (bytes[0] + bytes[1]));
    }
    let least = *shares.iter().min().unwrap();
    let [joining, later] = delays.map(p99_ms);
    println!(
        "two clients for 20 s: the smaller share {least} % at least, snapshots p99 +{joining} ms joining, \
         +{later} ms later"
    );
    assert!(least >= 40 && joining <= 150 && later <= 50);
}

#[test]
fn chunks_wait_and_snapshots_do_not_when_the_line_carries_hardly_more() {
    for seed in 0..SEEDS {
        // 300 kbit/s: the snapshots take a tenth of it.
        let bottleneck = Some(Bottleneck { bytes_per_s: 37_500, queue_bytes_max: 37_500 });
        let slow = Profile { bottleneck, ..thin(seed) };
        let mut stage = stage(seed, 1);
        stage.steps(2);
        stage.set_line(slow.clone());
        stage.steps(300);
        stage.puppets[0].came.clear();
        // To and fro, so that each tick has news.
        for way in 0..20 {
            stage.puppets[0].wish = (if way % 2 == 0 { 3_000 } else { -3_000 }, 0);
            stage.steps(30);
        }
        let came = &stage.puppets[0].came;
        let snapshots = came.iter().filter(|c| c.fragment_of.is_none()).count();
        assert!(snapshots >= 560, "seed {seed}: {snapshots} in 600 ticks");
        assert!(came.iter().any(|c| c.fragment_of.is_some()), "seed {seed}: the chunks starve");
        assert!(stage.tick.counters().clients_held_back > 300, "seed {seed}");
    }
}

#[test]
fn the_configured_ceiling_is_kept_by_every_client() {
    let config = Config { client_rate_max_bytes_s: 100_000, spawn_radius_chunks: 0, ..Config::default() };
    let world = Arc::new(BspWorld::new(9));
    let mut stage = Stage::with_chunk_bytes(config.rules(0), world, 1, CHUNK_BYTES);
    let me = stage.join();
    stage.puppets[me].records = true;
    stage.steps(60);
    let bytes: u64 = stage.puppets[me].came.iter().map(|c| c.bytes).sum();
    assert!((80_000..=103_000).contains(&bytes), "{bytes} in a second");
}

#[test]
fn an_outage_of_two_seconds_ends_in_everything_being_there() {
    for seed in 0..SEEDS {
        let loss = Loss::Independent(Ratio::percent(2));
        let mut stage = stage(seed, 1);
        let outage = 300_000..2_300_000;
        stage.set_line(Profile { outages_us: vec![outage], loss, ..thin(seed) });
        let began = stage.now;
        while stage.now.since(began).as_ms() < 4_500 {
            stage.step();
        }
        assert_eq!(stage.puppets[0].chunks.len(), 9, "seed {seed}");
    }
}
