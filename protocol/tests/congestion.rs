//! Congestion control over emulated lines, in virtual time, each promise over twenty seeds: they choose the
//! phases of the ticks and the fates of packets.
//!
//! With `-- --nocapture` each test prints its figures: docs/numbers.md has them.

#[path = "common/dumbbell.rs"]
mod dumbbell;

use dumbbell::{Demand, Dumbbell, Received, TICK_US, bytes_in, percentile};
use ninefold_netem::{Bottleneck, Loss, Profile, Ratio};
use ninefold_protocol::link::congestion::{CongestionConfig, INITIAL_WINDOW_BYTES, Mode};

const SECOND_US: u64 = 1_000_000;
const SEEDS: u64 = 20;
/// 5 Mbit/s.
const RATE: u64 = 625_000;

fn line(rate: u64, buffer_ms: u64, one_way_ms: u64) -> Profile {
    Profile {
        delay_us: one_way_ms * 1_000,
        bottleneck: Some(Bottleneck { bytes_per_s: rate, queue_bytes_max: rate * buffer_ms / 1_000 }),
        ..Profile::default()
    }
}

fn back(one_way_ms: u64) -> Profile {
    Profile { delay_us: one_way_ms * 1_000, ..Profile::default() }
}

fn copa() -> CongestionConfig {
    CongestionConfig::default()
}

/// Percent of the line that arrived between two seconds.
fn used(received: &[Received], from_s: u64, to_s: u64) -> u64 {
    bytes_in(received, from_s * SECOND_US, to_s * SECOND_US) * 100 / ((to_s - from_s) * RATE)
}

/// Milliseconds that packets waited at the bottleneck, those that arrived after `from_s`.
fn queue_ms(received: &[Received], from_s: u64, one_way_ms: u64) -> impl Iterator<Item = u64> {
    let since = received.iter().filter(move |r| r.at_us >= from_s * SECOND_US);
    since.map(move |r| (r.delay_us - one_way_ms * 1_000) / 1_000)
}

/// The smallest and the largest of a figure over all seeds.
fn over_seeds<const N: usize>(what: &str, mut figures: impl FnMut(u64) -> [u64; N]) -> [(u64, u64); N] {
    let mut ranges = [(u64::MAX, 0); N];
    for seed in 0..SEEDS {
        for (range, figure) in ranges.iter_mut().zip(figures(seed)) {
            *range = (range.0.min(figure), range.1.max(figure));
        }
    }
    println!("{what}: {ranges:?}");
    ranges
}

#[test]
fn a_line_with_a_deep_buffer_is_used_and_its_buffer_is_not() {
    let [use_percent, queue_max] =
        over_seeds("5 Mbit/s, 100 ms, 500 ms of buffer: use %, queue ms", |seed| {
            let mut net = Dumbbell::new(line(RATE, 500, 50), back(50), seed);
            net.pair(0, Demand::Endless, copa());
            net.run_until(20 * SECOND_US);
            let received = &net.pairs[0].received;
            [used(received, 1, 20), queue_ms(received, 1, 50).max().unwrap()]
        });
    assert!(use_percent.0 >= 85 && queue_max.1 <= 60);
}

#[test]
fn jitter_is_not_taken_for_a_queue_for_long() {
    let [use_percent, queue_max] = over_seeds("5 Mbit/s, 50 ms, 20 ms of jitter: use %, queue ms", |seed| {
        let profile = Profile { jitter_us: 20_000, ..line(RATE, 250, 25) };
        let mut net = Dumbbell::new(profile, Profile { jitter_us: 10_000, ..back(25) }, seed);
        net.pair(0, Demand::Endless, copa());
        net.run_until(20 * SECOND_US);
        let received = &net.pairs[0].received;
        [used(received, 1, 20), percentile(queue_ms(received, 1, 25), 99.0)]
    });
    assert!(use_percent.0 >= 60 && queue_max.1 <= 80);
}

#[test]
fn random_loss_of_five_percent_costs_little_more_than_itself() {
    for (name, rate) in [("5 Mbit/s", RATE), ("40 Mbit/s", 8 * RATE)] {
        let [kept] = over_seeds(&format!("{name}, 80 ms, 5 % loss: goodput in % of that without"), |seed| {
            let goodput = |loss| {
                let profile = Profile { loss: Loss::Independent(loss), ..line(rate, 250, 40) };
                let mut net = Dumbbell::new(profile, back(40), seed);
                net.pair(0, Demand::Endless, copa());
                net.run_until(20 * SECOND_US);
                bytes_in(&net.pairs[0].received, SECOND_US, 20 * SECOND_US)
            };
            [goodput(Ratio::percent(5)) * 100 / goodput(Ratio::NEVER)]
        });
        assert!(kept.0 >= 80);
    }
}

#[test]
fn two_flows_share_a_bottleneck() {
    for one_way_ms in [10, 25, 50] {
        let what = format!("two flows, {} ms: share of the smaller %, use %, queue ms p99", 2 * one_way_ms);
        let [smaller, use_percent, queue] = over_seeds(&what, |seed| {
            let mut net = Dumbbell::new(line(RATE, 250, one_way_ms), back(one_way_ms), seed);
            net.pair(0, Demand::Endless, copa());
            net.pair(3 * SECOND_US, Demand::Endless, copa()); // comes to a line that is full already
            net.run_until(25 * SECOND_US);
            let shares = [0, 1].map(|i| used(&net.pairs[i].received, 5, 25));
            let total = shares[0] + shares[1];
            let queue = percentile(queue_ms(&net.pairs[1].received, 5, one_way_ms), 99.0);
            [shares[0].min(shares[1]) * 100 / total, total, queue]
        });
        assert!(smaller.0 >= 40 && use_percent.0 >= 85 && queue.1 <= 60);
    }
}

#[test]
fn a_greedy_flow_neither_starves_nor_is_starved() {
    for (name, cubic) in [("Reno", false), ("CUBIC", true)] {
        let what = format!("beside {name}, 50 ms, 250 ms of buffer: ours %, its %");
        let [ours, its] = over_seeds(&what, |seed| {
            let mut net = Dumbbell::new(line(RATE, 250, 25), back(25), seed);
            net.pair(0, Demand::Endless, copa());
            net.greedy(3 * SECOND_US + seed * 1_000, cubic);
            net.run_until(65 * SECOND_US);
            [used(&net.pairs[0].received, 5, 65), used(&net.greedy[0].received, 5, 65)]
        });
        assert!(ours.0 >= 25 && its.0 >= 25);
    }
}

#[test]
fn a_trickle_teaches_nothing_and_the_burst_after_it_fills_no_queue() {
    let [window, rate, queue, burst_ms] =
        over_seeds("30 s of a trickle: window, rate; then 100 KB: queue ms, time ms", |seed| {
            let mut net = Dumbbell::new(line(RATE, 500, 25), back(25), seed);
            net.pair(0, Demand::Bytes(0), copa());
            for second in 1..=30 {
                net.pairs[0].demand = Demand::Bytes(2_000);
                net.run_until(second * SECOND_US);
            }
            let flow = net.pairs[0].server.flow();
            net.pairs[0].demand = Demand::Bytes(100_000);
            net.run_until(33 * SECOND_US);
            let received = &net.pairs[0].received;
            let last = received.iter().rfind(|r| !r.snapshot).unwrap().at_us;
            let queue = queue_ms(received, 30, 25).max().unwrap();
            [flow.window_bytes, flow.rate_bytes_s, queue, (last - 30 * SECOND_US) / 1_000]
        });
    assert!(window.1 <= INITIAL_WINDOW_BYTES && rate.1 <= 2 * RATE);
    assert!(queue.1 <= 60 && burst_ms.1 <= 350); // 160 ms at the line's rate, 25 on the way
}

#[test]
fn a_flow_that_was_idle_starts_as_a_new_one() {
    let [window, queue, use_percent] =
        over_seeds("after 20 s idle: window; then: queue ms, use % of the first second", |seed| {
            let mut net = Dumbbell::new(line(4 * RATE, 500, 25), back(25), seed);
            net.pair(0, Demand::Endless, copa());
            net.run_until(10 * SECOND_US);
            net.pairs[0].demand = Demand::Bytes(0);
            net.run_until(30 * SECOND_US);
            let window = net.pairs[0].server.flow().window_bytes;
            net.pairs[0].demand = Demand::Endless;
            net.run_until(31 * SECOND_US);
            let received = &net.pairs[0].received;
            [window, queue_ms(received, 30, 25).max().unwrap(), used(received, 30, 31) / 4]
        });
    assert!(window.1 <= INITIAL_WINDOW_BYTES && queue.1 <= 60 && use_percent.0 >= 60);
}

#[test]
fn after_an_outage_the_flow_is_back_within_a_second() {
    let [during, after, queue] =
        over_seeds("2 s of outage: KB sent into it, use % from 1 s after, queue ms", |seed| {
            let outage = 5 * SECOND_US..7 * SECOND_US;
            let profile = Profile { outages_us: vec![outage.clone()], ..line(RATE, 500, 25) };
            let mut net = Dumbbell::new(profile, Profile { outages_us: vec![outage], ..back(25) }, seed);
            net.pair(0, Demand::Endless, copa());
            net.run_until(5 * SECOND_US);
            let before = net.pairs[0].server.stats().packets_sent;
            net.run_until(7 * SECOND_US);
            let during = (net.pairs[0].server.stats().packets_sent - before) * 1_200 / 1_000;
            net.run_until(12 * SECOND_US);
            let received = &net.pairs[0].received;
            [during, used(received, 8, 12), queue_ms(received, 7, 25).max().unwrap()]
        });
    // What goes into the outage is at most a window and the snapshots of 2 s.
    assert!(during.1 <= 250 && after.0 >= 80 && queue.1 <= 60);
}

#[test]
fn a_client_that_lies_about_its_delay_gets_no_more_than_the_line_delivers() {
    let [rate, window, lost] = over_seeds("claims 524 ms of delay: rate, window, lost permille", |seed| {
        let mut net = Dumbbell::new(line(RATE, 250, 25), back(25), seed);
        net.pair(0, Demand::Endless, copa());
        net.pairs[0].claimed_delay = Some(u16::MAX);
        net.run_until(20 * SECOND_US);
        let trace = net.pairs[0].trace.iter().filter(|t| t.at_us > 2 * SECOND_US);
        let (rate, window) = trace.fold((0, 0), |m, t| (m.0.max(t.rate_bytes_s), m.1.max(t.window_bytes)));
        let stats = net.pairs[0].server.stats();
        [rate, window, stats.packets_lost * 1_000 / stats.packets_sent]
    });
    assert!(rate.1 <= RATE * 4 / 3, "a quarter above what is delivered, and noise");
    assert!(window.1 <= RATE / 4 && lost.1 <= 20);
}

#[test]
fn a_line_that_drops_what_is_too_fast_is_not_beaten() {
    // 6 ms of buffer: there is no delay to see, and only loss tells.
    let [lost, use_percent] = over_seeds("6 ms of buffer: lost permille, use %", |seed| {
        let mut net = Dumbbell::new(line(RATE, 6, 25), back(25), seed);
        net.pair(0, Demand::Endless, copa());
        net.run_until(20 * SECOND_US);
        let stats = net.pairs[0].server.stats();
        [stats.packets_lost * 1_000 / stats.packets_sent, used(&net.pairs[0].received, 1, 20)]
    });
    assert!(lost.1 <= 150 && use_percent.0 >= 70);
}

#[test]
fn the_floor_and_the_ceiling_hold() {
    let config = CongestionConfig { rate_min_bytes_s: 50_000, rate_max_bytes_s: 200_000, mode: Mode::Copa };
    let mut net = Dumbbell::new(line(RATE, 250, 25), back(25), 1);
    net.pair(0, Demand::Endless, config);
    net.run_until(10 * SECOND_US);
    let received = bytes_in(&net.pairs[0].received, SECOND_US, 10 * SECOND_US);
    assert!((9 * 185_000..=9 * 202_000).contains(&received), "{received}");
    // A line that carries less than the floor gets the floor all the same.
    let mut net = Dumbbell::new(line(25_000, 250, 25), back(25), 1);
    net.pair(0, Demand::Endless, config);
    net.run_until(10 * SECOND_US);
    assert!(net.pairs[0].trace.iter().all(|t| t.rate_bytes_s >= 50_000));
}

#[test]
fn a_fixed_rate_is_kept_whatever_the_line_does() {
    let config = CongestionConfig { rate_max_bytes_s: 100_000, mode: Mode::Fixed, ..copa() };
    let profile = Profile { loss: Loss::Independent(Ratio::percent(30)), ..line(RATE, 250, 100) };
    let mut net = Dumbbell::new(profile, back(100), 1);
    net.pair(0, Demand::Endless, config);
    net.run_until(10 * SECOND_US);
    let sent: u64 = bytes_in(&net.pairs[0].received, SECOND_US, 10 * SECOND_US) * 10 / 7;
    assert!((9 * 95_000..=9 * 105_000).contains(&sent), "{sent}");
}

#[test]
fn within_a_tick_no_burst_is_longer_than_two_milliseconds_of_the_rate() {
    let mut net = Dumbbell::new(line(8 * RATE, 250, 25), back(25), 3);
    net.pair(0, Demand::Endless, copa());
    net.run_until(5 * SECOND_US);
    let pair = &net.pairs[0];
    // A packet's departure is its arrival less what it took.
    let mut bursts = std::collections::BTreeMap::<u64, u64>::new();
    for r in pair.received.iter().filter(|r| !r.snapshot) {
        *bursts.entry(r.at_us - r.delay_us).or_default() += r.bytes;
    }
    for t in &pair.trace {
        let in_tick = bursts.range(t.at_us..t.at_us + TICK_US);
        let allowed = t.rate_bytes_s * 2 / 1_000 + 2 * 1_200;
        assert!(
            in_tick.clone().all(|(_, bytes)| *bytes <= allowed),
            "{:?}, {allowed}",
            in_tick.collect::<Vec<_>>()
        );
    }
}
