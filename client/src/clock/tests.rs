//! The clock against a server that takes an input a tick, over lines of many kinds.

use super::*;
use proptest::prelude::*;

/// Numbers as they come, from a seed (xorshift).
pub struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Draw {
        Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }
}

fn at(us: u64) -> Instant {
    Instant::from_us(us)
}

#[derive(Debug, Clone, Copy)]
struct Line {
    one_way_us: u64,
    jitter_us: u64,
    loss_of_100: u64,
    /// By how much the server's clock is faster, parts per million.
    drift_ppm: i64,
    /// How far off the first input comes.
    begins_us: i64,
}

/// What the server saw of a run.
#[derive(Debug, Default)]
struct Run {
    /// The lead of each input, by number.
    leads_us: Vec<i64>,
    /// The steering at each report.
    steering_ppm: Vec<i64>,
}

/// So many seconds of a client at 60 Hz whose every packet repeats what was lost before it. The server tells
/// the least lead of its last second in every tick.
fn run(seed: u64, line: Line, seconds: u64) -> Run {
    let mut draw = Draw::new(seed);
    let mut clock = TickClock::new(at(1_000_000), 60);
    let period_us = 1_000_000.0 / 60.0;
    let server_period_us = period_us * (1.0 - line.drift_ppm as f64 / 1e6);
    // Input n is due at the server at `first + n * server_period`.
    let first_us = 1_000_000 + line.one_way_us as i64 + line.begins_us;
    let mut run = Run::default();
    let mut came: VecDeque<(u64, i64)> = VecDeque::new(); // when, lead
    let mut reports: VecDeque<(u64, i64)> = VecDeque::new(); // when it comes to the client, lead
    let mut next_tick_us = 1_000_000.0;
    let (mut number, mut lost) = (0_u64, Vec::new());
    for now_us in (1_000_000..1_000_000 + seconds * 1_000_000).step_by(250) {
        while clock.due(at(now_us)).is_some() {
            let arrives_us = now_us + line.one_way_us + draw.below(line.jitter_us + 1);
            lost.push(number);
            number += 1;
            if draw.below(100) >= line.loss_of_100 {
                for number in lost.drain(..) {
                    let due_us = first_us + (number as f64 * server_period_us) as i64;
                    let lead_us = due_us - arrives_us as i64;
                    run.leads_us.push(lead_us);
                    came.push_back((arrives_us, lead_us));
                }
            }
        }
        if now_us as f64 >= next_tick_us {
            next_tick_us += server_period_us;
            let second = now_us.saturating_sub(1_000_000)..=now_us;
            let least = came.iter().filter(|c| second.contains(&c.0)).map(|c| c.1).min();
            came.retain(|c| c.0 >= *second.start());
            if let Some(least) = least
                && draw.below(100) >= line.loss_of_100
            {
                let told = (least / 500).clamp(-128, 127) * 500;
                reports.push_back((now_us + line.one_way_us + draw.below(line.jitter_us + 1), told));
            }
        }
        while reports.front().is_some_and(|r| r.0 <= now_us) {
            let (_, lead_us) = reports.pop_front().unwrap();
            clock.steer(at(now_us), lead_us, Duration::from_us(2 * line.one_way_us + line.jitter_us));
            run.steering_ppm.push(clock.steering_ppm());
        }
    }
    run
}

/// The least lead of each second of inputs after the first ten.
fn leasts_us(run: &Run) -> Vec<i64> {
    run.leads_us.chunks(60).skip(10).map(|second| *second.iter().min().unwrap()).collect()
}

fn swings(run: &Run) -> usize {
    let signs: Vec<_> = run.steering_ppm.iter().map(|p| p.signum()).filter(|s| *s != 0).collect();
    signs.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

const CLEAN: Line = Line { one_way_us: 50_000, jitter_us: 0, loss_of_100: 0, drift_ppm: 0, begins_us: 0 };

#[test]
fn on_a_clean_line_the_lead_comes_to_rest_where_it_should_be() {
    for begins_us in [-300_000, -60_000, -20_000, -5_000, 0, 6_000, 12_000, 40_000, 90_000, 400_000] {
        for one_way_us in [100, 20_000, 50_000, 150_000, 400_000] {
            let line = Line { begins_us, one_way_us, ..CLEAN };
            let run = run(1, line, 40);
            let rest = &leasts_us(&run)[12..];
            assert!(rest.iter().all(|l| (3_400..=9_000).contains(l)), "{line:?}: {rest:?}");
            assert!(swings(&run) <= 1, "{line:?}: {} swings", swings(&run));
        }
    }
}

#[test]
fn a_clock_that_drifts_is_followed() {
    for drift_ppm in [-500, -50, 50, 500] {
        let run = run(2, Line { drift_ppm, ..CLEAN }, 120);
        let rest = leasts_us(&run);
        assert!(rest.iter().all(|l| (2_000..=10_000).contains(l)), "{drift_ppm}: {rest:?}");
    }
}

#[test]
fn jitter_and_loss_make_the_lead_larger_and_inputs_come_in_time() {
    let line = Line { jitter_us: 20_000, loss_of_100: 5, ..CLEAN };
    for seed in 0..8 {
        let run = run(seed, line, 120);
        let leads = &run.leads_us[600..];
        let late = leads.iter().filter(|l| **l < 0).count();
        assert!(late * 200 < leads.len(), "{late} of {} late, seed {seed}", leads.len());
        let mean = leads.iter().sum::<i64>() / leads.len() as i64;
        assert!((10_000..60_000).contains(&mean), "mean lead {mean} us, seed {seed}");
        let most = run.steering_ppm.iter().map(|p| p.abs()).max().unwrap();
        assert!(most <= STEER_PPM_MAX, "{most}");
    }
}

#[test]
fn after_a_pause_ticks_are_left_out_and_not_made_up_for() {
    let mut clock = TickClock::new(at(0), 60);
    assert_eq!(clock.due(at(0)), Some(at(0)));
    assert_eq!((clock.due(at(0)), clock.next_due()), (None, at(16_667)));
    let made = std::iter::from_fn(|| clock.due(at(10_000_000))).count();
    assert!((15..=16).contains(&made), "{made}");
    assert!((580..=586).contains(&clock.skipped()), "{}", clock.skipped());
    assert!(clock.next_due() > at(10_000_000));
    // A slow clock makes at least two.
    let mut slow = TickClock::new(at(0), 1);
    assert_eq!(std::iter::from_fn(|| slow.due(at(60_000_000))).count(), 3);
}

#[test]
fn without_reports_it_runs_at_the_plain_rate() {
    let mut clock = TickClock::new(at(0), 50);
    clock.steer(at(0), -10_000, Duration::from_ms(100));
    assert_eq!(clock.steering_ppm(), STEER_PPM_MAX);
    let mut dues = Vec::new();
    for ms in 0..2_000 {
        dues.extend(clock.due(at(ms * 1_000)));
    }
    assert_eq!(dues[2].since(dues[1]), Duration::from_us(19_400));
    assert_eq!(dues[90].since(dues[89]), Duration::from_ms(20));
}

proptest! {
    /// Whatever a server says: time goes on, no more ticks are made than time and jumps allow, memory is bounded.
    #[test]
    fn no_report_makes_it_run_away(
        hz: u16, reports in proptest::collection::vec((0..400_u64, -64_000..63_500_i64, 0..5_000_u64), 1..400),
    ) {
        let mut clock = TickClock::new(at(0), hz);
        let (mut now_us, mut ticks, mut last) = (0, 0_u64, at(0));
        for (ms, lead_us, rtt_ms) in &reports {
            now_us += ms * 1_000;
            while let Some(due) = clock.due(at(now_us)) {
                prop_assert!(due <= at(now_us) && due >= last - Duration::from_ms(200), "{due:?} after {last:?}");
                last = due;
                ticks += 1;
            }
            clock.steer(at(now_us), *lead_us, Duration::from_ms(*rtt_ms));
            prop_assert!(clock.steering_ppm().abs() <= STEER_PPM_MAX && clock.spans.len() <= SPANS_MAX);
        }
        let whole = now_us / clock.period().as_us().max(1) + 1;
        let jumps = 71_000 * reports.len() as u64 / clock.period().as_us().max(1);
        prop_assert!(ticks <= whole + whole / 30 + jumps + 1, "{ticks} ticks in {whole} periods");
    }
}
