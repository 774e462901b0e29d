//! The plain fallback: one rate, whatever the line says.

use super::controller::{AckSample, Controller, LossSample};
use crate::limits::PACKET_BYTES_MAX;
use crate::time::{Duration, Instant};

/// The window holds what the rate sends in a round trip and this much longer: an outage stops the flow, a
/// slow acknowledgement does not.
const WINDOW_SLACK: Duration = Duration::from_ms(250);
/// However slow, a few packets may be in flight.
const WINDOW_MIN_BYTES: u64 = 4 * PACKET_BYTES_MAX as u64;
/// Taken for the round trip until one was measured, and at most.
const LOOP_MAX: Duration = Duration::from_ms(1_000);

/// Sends at its rate. The only thing that it learns is how much of it is in flight in a round trip.
#[derive(Debug, Clone)]
pub struct FixedRate {
    rate_bytes_s: u64,
    loop_time: Duration,
}

impl FixedRate {
    /// At so many bytes a second.
    pub fn new(rate_bytes_s: u64) -> Self {
        FixedRate { rate_bytes_s, loop_time: LOOP_MAX }
    }
}

impl Controller for FixedRate {
    fn on_sent(&mut self, _: Instant, _: u64, _: u64) {}

    fn on_ack(&mut self, ack: &AckSample) {
        self.loop_time = ack.loop_time.min(LOOP_MAX);
    }

    fn on_lost(&mut self, _: &LossSample) {}

    fn on_silence(&mut self, _: Instant) {}

    fn rate_bytes_s(&self) -> u64 {
        self.rate_bytes_s
    }

    fn knows_line(&self) -> bool {
        true // it was told
    }

    fn window_bytes(&self) -> u64 {
        let us = (self.loop_time + WINDOW_SLACK).as_us();
        let bytes = (u128::from(self.rate_bytes_s) * u128::from(us) / 1_000_000) as u64;
        bytes.max(WINDOW_MIN_BYTES)
    }

    fn standing_rtt(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_delays_change_nothing_but_the_window() {
        let mut fixed = FixedRate::new(1_000_000);
        assert_eq!((fixed.rate_bytes_s(), fixed.window_bytes()), (1_000_000, 1_250_000));
        fixed.on_lost(&LossSample { sent_at: Instant::ZERO, bytes: 1_000_000 });
        fixed.on_silence(Instant::ZERO);
        fixed.on_ack(&AckSample {
            now: Instant::ZERO,
            acked_bytes: 1_200,
            path_rtt: Some(Duration::from_ms(40)),
            loop_time: Duration::from_ms(50),
            delivery: None,
            in_flight_bytes: 0,
            is_limited: true,
        });
        assert_eq!((fixed.rate_bytes_s(), fixed.window_bytes()), (1_000_000, 300_000));
    }
}
