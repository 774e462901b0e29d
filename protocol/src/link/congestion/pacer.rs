//! When packets leave.
//!
//! A tick decides sixty times a second; the line would rather have its packets evenly. So each packet gets a
//! departure time within the tick: the pacer keeps when the next one would be due at the exact rate, and
//! packets that are due within [`PACER_BURST_MAX`] of each other leave together. A fast flow's packets thus
//! stay runs that one system call sends, a slow flow's leave one by one.

use crate::time::{Duration, Instant};

/// Packets that are due within this leave in one burst.
pub const PACER_BURST_MAX: Duration = Duration::from_ms(2);
/// What is sent whether it is due or not (acknowledgements, snapshots) puts off the rest by at most this.
const DEBT_MAX: Duration = Duration::from_ms(100);

/// What may be planned for a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Budget {
    /// Bytes that are due. The last packet may overdraw them: the next ones are due later for it.
    pub paced_bytes: u64,
    /// Bytes that fit into the window. They are not overdrawn.
    pub window_bytes: u64,
}

impl Budget {
    /// Whether a packet of so many bytes may be planned.
    pub fn allows(&self, bytes: u64) -> bool {
        self.paced_bytes > 0 && self.window_bytes >= bytes
    }

    /// So many bytes are planned.
    pub fn spend(&mut self, bytes: u64) {
        self.paced_bytes = self.paced_bytes.saturating_sub(bytes);
        self.window_bytes = self.window_bytes.saturating_sub(bytes);
    }
}

/// The departure times of one flow.
#[derive(Debug, Clone, Copy)]
pub struct Pacer {
    /// When the next packet is due at the exact rate.
    next_at: Instant,
}

impl Pacer {
    /// A packet may leave at once.
    pub fn new(now: Instant) -> Self {
        Pacer { next_at: now }
    }

    /// Bytes that are due before `until`. Time that has passed unused is lost.
    pub fn budget_bytes(&self, now: Instant, until: Instant, rate_bytes_s: u64) -> u64 {
        let us = until.since(self.next_at.max(now)).as_us();
        (u128::from(us) * u128::from(rate_bytes_s) / 1_000_000) as u64
    }

    /// When a packet leaves that is decided on now.
    pub fn departure(&self, now: Instant) -> Instant {
        let bursts = self.next_at.since(now).as_us() / PACER_BURST_MAX.as_us();
        now + Duration::from_us(bursts * PACER_BURST_MAX.as_us())
    }

    /// How long it takes at this rate until so many bytes have left behind what left already.
    pub fn time_for(&self, now: Instant, bytes: u64, rate_bytes_s: u64) -> Duration {
        self.next_at.since(now) + Duration::from_us(bytes.saturating_mul(1_000_000) / rate_bytes_s.max(1))
    }

    /// A packet of `bytes` leaves at `at`.
    pub fn on_sent(&mut self, at: Instant, bytes: u64, rate_bytes_s: u64) {
        let us = bytes.saturating_mul(1_000_000) / rate_bytes_s.max(1);
        self.next_at = (self.next_at.max(at) + Duration::from_us(us)).min(at + DEBT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_us(16_667);

    /// Departures of a tick's packets, in microseconds after it.
    fn tick(pacer: &mut Pacer, now: Instant, rate: u64, bytes: u64) -> Vec<u64> {
        let mut left = pacer.budget_bytes(now, now + TICK, rate) as i64;
        let mut departures = Vec::new();
        while left > 0 {
            let at = pacer.departure(now);
            departures.push(at.since(now).as_us());
            pacer.on_sent(at, bytes, rate);
            left -= bytes as i64;
        }
        departures
    }

    #[test]
    fn a_slow_flow_leaves_one_by_one_and_a_fast_one_in_bursts_of_two_milliseconds() {
        let now = Instant::from_us(1_000_000);
        let slow = tick(&mut Pacer::new(now), now, 300_000, 1_200);
        assert_eq!(slow, [0, 4_000, 8_000, 12_000, 16_000]);
        let fast = tick(&mut Pacer::new(now), now, 6_000_000, 1_200);
        assert_eq!(fast.len(), 84);
        for slot in 0..8 {
            let burst = fast.iter().filter(|at| **at == slot * 2_000).count();
            assert_eq!(burst, 10, "{fast:?}"); // 12,000 bytes: 2 ms at that rate
        }
    }

    #[test]
    fn over_many_ticks_the_rate_is_kept_and_time_unused_is_lost() {
        let mut pacer = Pacer::new(Instant::ZERO);
        let mut now = Instant::ZERO;
        let mut packets = 0;
        for _ in 0..600 {
            packets += tick(&mut pacer, now, 100_000, 1_200).len() as u64;
            now += TICK;
        }
        assert!((990_000..1_010_000).contains(&(packets * 1_200)), "{packets}");
        now += Duration::from_secs(60);
        assert_eq!(tick(&mut pacer, now, 100_000, 1_200).len(), 2);
    }

    #[test]
    fn what_goes_out_anyway_is_a_bounded_debt() {
        let mut pacer = Pacer::new(Instant::ZERO);
        for _ in 0..100 {
            pacer.on_sent(Instant::ZERO, 1_200, 32_000);
        }
        assert_eq!(pacer.budget_bytes(Instant::ZERO, Instant::ZERO + TICK, 32_000), 0);
        let later = Instant::ZERO + DEBT_MAX;
        assert!(pacer.budget_bytes(later, later + TICK, 32_000) > 0);
    }

    #[test]
    fn what_has_left_and_is_not_through_comes_first() {
        let mut pacer = Pacer::new(Instant::ZERO);
        assert_eq!(pacer.time_for(Instant::ZERO, 1_200, 1_200_000), Duration::from_ms(1));
        pacer.on_sent(Instant::ZERO, 6_000, 1_200_000);
        assert_eq!(
            pacer.time_for(Instant::ZERO + Duration::from_ms(2), 1_200, 1_200_000),
            Duration::from_ms(4)
        );
        assert_eq!(pacer.time_for(Instant::ZERO + TICK, 0, 1_200_000), Duration::ZERO);
    }
}
