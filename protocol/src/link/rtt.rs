//! Round-trip time, as RFC 9002 §5 estimates it.

use crate::time::Duration;

/// Taken for the round trip until one was measured (RFC 9002 §6.2.2).
const INITIAL_RTT: Duration = Duration::from_ms(333);
/// The timers' own resolution (RFC 9002 §6.1.2 `kGranularity`).
const GRANULARITY: Duration = Duration::from_ms(1);
/// How long a peer may keep an acknowledgement back: a little over one tick at the slowest usual rate.
pub(crate) const ACK_DELAY_MAX: Duration = Duration::from_ms(50);

/// The estimate of one path's round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtt {
    latest: Option<Duration>,
    min: Duration,
    smoothed: Duration,
    variation: Duration,
}

impl Default for Rtt {
    fn default() -> Self {
        let variation = INITIAL_RTT.scaled(1, 2);
        Rtt { latest: None, min: Duration::MAX, smoothed: INITIAL_RTT, variation }
    }
}

impl Rtt {
    /// Takes one measurement: the time from sending to the acknowledgement, of which the peer says
    /// that it kept it back for `ack_delay`.
    pub fn sample(&mut self, measured: Duration, ack_delay: Duration) {
        let first = self.latest.is_none();
        self.latest = Some(measured);
        self.min = self.min.min(measured);
        if first {
            self.smoothed = measured;
            self.variation = measured.scaled(1, 2);
            return;
        }
        let ack_delay = ack_delay.min(ACK_DELAY_MAX);
        let adjusted = if measured >= self.min + ack_delay { measured - ack_delay } else { measured };
        let off = self.smoothed.max(adjusted) - self.smoothed.min(adjusted);
        self.variation = self.variation.scaled(3, 4) + off.scaled(1, 4);
        self.smoothed = self.smoothed.scaled(7, 8) + adjusted.scaled(1, 8);
    }

    /// The last measurement.
    pub fn latest(&self) -> Option<Duration> {
        self.latest
    }

    /// The smallest measurement.
    pub fn min(&self) -> Option<Duration> {
        self.latest.map(|_| self.min)
    }

    /// The smoothed round trip.
    pub fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// Its mean deviation: the jitter.
    pub fn variation(&self) -> Duration {
        self.variation
    }

    /// A packet this much older than an acknowledged one is lost (RFC 9002 §6.1.2: 9/8 round trip).
    pub fn loss_delay(&self) -> Duration {
        self.smoothed.max(self.latest.unwrap_or_default()).scaled(9, 8).max(GRANULARITY)
    }

    /// After this long without any acknowledgement a probe is due (RFC 9002 §6.2.1).
    pub fn probe_timeout(&self) -> Duration {
        self.smoothed + self.variation.scaled(4, 1).max(GRANULARITY) + ACK_DELAY_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_sets_it() {
        let mut rtt = Rtt::default();
        assert_eq!((rtt.smoothed(), rtt.min()), (INITIAL_RTT, None));
        rtt.sample(Duration::from_ms(40), Duration::from_ms(20));
        assert_eq!((rtt.smoothed(), rtt.variation()), (Duration::from_ms(40), Duration::from_ms(20)));
    }

    #[test]
    fn later_samples_are_smoothed_and_the_peers_delay_taken_off() {
        let mut rtt = Rtt::default();
        rtt.sample(Duration::from_ms(40), Duration::ZERO);
        rtt.sample(Duration::from_ms(64), Duration::from_ms(16));
        // adjusted 48: smoothed 7/8 * 40 + 48/8 = 41, variation 3/4 * 20 + 8/4 = 17
        assert_eq!(rtt.smoothed(), Duration::from_ms(41));
        assert_eq!(rtt.variation(), Duration::from_ms(17));
    }

    #[test]
    fn a_delay_that_would_undercut_the_minimum_is_not_believed() {
        let mut rtt = Rtt::default();
        rtt.sample(Duration::from_ms(40), Duration::ZERO);
        rtt.sample(Duration::from_ms(41), Duration::from_ms(30));
        assert!(rtt.smoothed() >= Duration::from_ms(40));
    }
}
