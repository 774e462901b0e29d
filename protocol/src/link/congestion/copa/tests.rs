//! The controller alone, fed by hand.

use super::*;
use crate::link::congestion::DeliverySample;

const TICK_MS: u64 = 16;

fn at(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_ms(ms)
}

fn copa() -> Copa {
    Copa::new(32_000, 100_000_000)
}

/// A tick in which ten packets were acknowledged.
fn ack(now_ms: u64, rtt_ms: u64) -> AckSample {
    AckSample {
        now: at(now_ms),
        acked_bytes: 10 * PACKET,
        path_rtt: Some(Duration::from_ms(rtt_ms)),
        loop_time: Duration::from_ms(rtt_ms + TICK_MS),
        delivery: Some(DeliverySample { rate_bytes_s: 10 * PACKET * 1_000 / TICK_MS, app_limited: false }),
        in_flight_bytes: 2 * PACKET,
        is_limited: true,
    }
}

/// So many ticks of it, from tick `from` on; gives the next.
fn ticks(copa: &mut Copa, from: u64, count: u64, rtt_ms: u64) -> u64 {
    for n in from..from + count {
        copa.on_ack(&ack(n * TICK_MS, rtt_ms));
    }
    from + count
}

#[test]
fn an_unknown_line_gets_the_first_window_at_the_first_pace() {
    let copa = copa();
    assert_eq!((copa.window_bytes(), copa.rate_bytes_s()), (INITIAL_WINDOW_BYTES, INITIAL_RATE_BYTES_S));
}

#[test]
fn it_doubles_until_there_is_a_queue() {
    let mut copa = copa();
    let next = ticks(&mut copa, 0, 4, 50);
    assert_eq!(copa.window_bytes(), INITIAL_WINDOW_BYTES + 40 * PACKET);
    ticks(&mut copa, next, 2, 80);
    assert_eq!(copa.phase, Phase::Steering);
    // 750,000 bytes a second over 66 ms, and a quarter: what the line carries, not what was tried.
    assert!(copa.window_bytes() <= 67_000, "{}", copa.window_bytes());
    assert!(copa.rate_bytes_s() <= 750_000 * 5 / 4);
}

#[test]
fn a_queue_closes_the_window_and_an_empty_one_opens_it() {
    let mut copa = copa();
    let next = ticks(&mut copa, 0, 10, 50);
    let next = ticks(&mut copa, next, 5, 60);
    let full = copa.window_bytes();
    let next = ticks(&mut copa, next, 40, 90);
    let closed = copa.window_bytes();
    assert!(closed < full * 3 / 4, "{full} {closed}");
    ticks(&mut copa, next, 40, 50);
    assert!(copa.window_bytes() > closed * 5 / 4, "{closed} {}", copa.window_bytes());
}

#[test]
fn a_flow_that_is_not_held_back_learns_nothing_and_forgets_in_time() {
    let mut copa = copa();
    let next = ticks(&mut copa, 0, 60, 50);
    let window = copa.window_bytes();
    assert!(window > INITIAL_WINDOW_BYTES);
    for n in next..next + 600 {
        copa.on_ack(&AckSample { is_limited: false, ..ack(n * TICK_MS, 500) });
        assert_eq!(copa.window_bytes(), window, "tick {n}");
    }
    for n in next + 600..next + 700 {
        copa.on_ack(&AckSample { is_limited: false, ..ack(n * TICK_MS, 50) });
    }
    assert_eq!(copa.window_bytes(), INITIAL_WINDOW_BYTES);
}

#[test]
fn a_line_that_becomes_too_slow_for_what_is_offered_closes_the_window_all_the_same() {
    let mut copa = copa();
    let mut next = ticks(&mut copa, 0, 60, 50);
    let window = copa.window_bytes();
    // Half a window is offered and no more; the queue grows.
    for n in next..next + 30 {
        let ack = AckSample { is_limited: false, in_flight_bytes: window / 2, ..ack(n * TICK_MS, 90) };
        copa.on_ack(&ack);
    }
    next += 30;
    assert!(copa.window_bytes() < window / 2, "{window} {}", copa.window_bytes());
    // It is held back now, and opens again with the line.
    let closed = copa.window_bytes();
    ticks(&mut copa, next, 40, 50);
    assert!(copa.window_bytes() > closed);
}

#[test]
fn a_peer_that_looks_once_a_frame_is_no_queue() {
    let mut copa = copa();
    // It comes to look a little later each time, since its frames are a little longer than our ticks.
    let window = copa.window_bytes();
    for n in 0..400 {
        let rtt_ms = 1 + n / 10 % 17;
        copa.on_ack(&AckSample {
            is_limited: false,
            in_flight_bytes: 12 * PACKET,
            ..ack(n * TICK_MS, rtt_ms)
        });
        assert_eq!(copa.window_bytes(), window, "tick {n}");
    }
}

#[test]
fn a_long_flow_drains_now_and_then_and_a_short_burst_does_not() {
    let drains = |copa: &Copa| matches!(copa.phase, Phase::Draining { .. });
    let mut long = copa();
    let mut short = copa();
    let mut seen = [0, 0];
    for n in 0..600 {
        // Ten ticks of every two seconds, from the times on at which all drain.
        let is_limited = n % 125 < 10;
        long.on_ack(&ack(n * TICK_MS, 50 + 10 * u64::from(n > 20)));
        short.on_ack(&AckSample { is_limited, ..ack(n * TICK_MS, 50 + 10 * u64::from(n > 20)) });
        seen[0] += u32::from(drains(&long));
        seen[1] += u32::from(drains(&short));
    }
    assert!(seen[0] > 8 && seen[1] == 0, "{seen:?}");
}

#[test]
fn a_silence_starts_it_again_and_what_was_lost_in_it_does_not_count() {
    let mut copa = copa();
    ticks(&mut copa, 0, 60, 50);
    copa.on_silence(at(3_000));
    assert_eq!((copa.window_bytes(), copa.phase), (INITIAL_WINDOW_BYTES, Phase::SlowStart));
    for _ in 0..200 {
        copa.on_lost(&LossSample { sent_at: at(2_900), bytes: PACKET });
    }
    copa.on_ack(&ack(3_100, 50));
    assert!(copa.window_bytes() >= INITIAL_WINDOW_BYTES);
}

#[test]
fn a_little_loss_is_ignored_and_a_lot_is_not() {
    for (lost_of_ten, is_answered) in [(0, false), (1, false), (3, true)] {
        let mut copa = copa();
        let mut smaller = false;
        for n in 0..200 {
            let before = copa.window_bytes();
            // One in ten every other tick: 5 %.
            let lost = if lost_of_ten == 1 { n % 2 } else { lost_of_ten };
            for _ in 0..lost {
                copa.on_lost(&LossSample { sent_at: at(n * TICK_MS), bytes: PACKET });
            }
            copa.on_ack(&ack(n * TICK_MS, 50));
            // A drain closes the window too, and says so.
            let drains = matches!(copa.phase, Phase::Draining { .. });
            smaller |= !drains && copa.window_bytes() < before * 4 / 5;
        }
        assert_eq!(smaller, is_answered, "{lost_of_ten} of ten");
    }
}

#[test]
fn the_floor_holds_through_anything() {
    let mut copa = copa();
    let mut random = 1u64;
    for n in 0..5_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let rtt_ms = 1 + (random >> 40) % 3_000;
        if random.is_multiple_of(5) {
            copa.on_lost(&LossSample { sent_at: at(n * TICK_MS), bytes: 20 * PACKET });
        }
        let rate_bytes_s = (random >> 33) % 1_000;
        let delivery = Some(DeliverySample { rate_bytes_s, app_limited: false });
        copa.on_ack(&AckSample { delivery, ..ack(n * TICK_MS, rtt_ms) });
        assert!(copa.rate_bytes_s() >= 32_000 && copa.window_bytes() >= WINDOW_MIN_BYTES);
    }
}
