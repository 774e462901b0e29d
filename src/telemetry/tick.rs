//! Where the microseconds of a tick went.

use ninefold_protocol::time::Duration;

use super::histogram::Histogram;

/// The phases of a tick, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Packets that arrived become session state and inputs.
    Ingress,
    /// Inputs become moved players.
    Simulate,
    /// Who stands in which chunk; ring changes.
    Interest,
    /// Ask for missing chunks, take in finished ones.
    Generate,
    /// What is around each client, as a difference to what it has.
    Replicate,
    /// Pick chunk fragments.
    Stream,
    /// Write packets and hand them over.
    Egress,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Phase; 7] = [
        Phase::Ingress,
        Phase::Simulate,
        Phase::Interest,
        Phase::Generate,
        Phase::Replicate,
        Phase::Stream,
        Phase::Egress,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Ingress => "ingress",
            Phase::Simulate => "simulate",
            Phase::Interest => "interest",
            Phase::Generate => "generate",
            Phase::Replicate => "replicate",
            Phase::Stream => "stream",
            Phase::Egress => "egress",
        }
    }
}

/// The times of one tick, nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TickTimes {
    /// Each phase.
    pub phases_ns: [u64; Phase::ALL.len()],
}

impl TickTimes {
    /// The whole tick.
    pub fn total_ns(&self) -> u64 {
        self.phases_ns.iter().sum()
    }
}

/// All ticks since the start.
#[derive(Debug, Clone, Default)]
pub struct TickTelemetry {
    /// Whole ticks.
    pub tick: Histogram,
    /// Each phase, in the order of [`Phase::ALL`].
    pub phases: [Histogram; Phase::ALL.len()],
    /// How late ticks started after their deadline.
    pub lateness: Histogram,
    /// Clients' round trips, each once a second.
    pub round_trip: Histogram,
    /// Ticks run.
    pub ticks: u64,
    /// Ticks that took longer than their period.
    pub overruns: u64,
    /// The longest run of overruns.
    pub overruns_in_a_row_max: u64,
    overruns_in_a_row: u64,
}

impl TickTelemetry {
    /// Takes the times of one tick that had `period` for its work.
    pub fn record(&mut self, times: &TickTimes, lateness: Duration, period: Duration) {
        self.ticks += 1;
        self.tick.record_ns(times.total_ns());
        self.lateness.record_us(lateness.as_us());
        for (histogram, ns) in self.phases.iter_mut().zip(times.phases_ns) {
            histogram.record_ns(ns);
        }
        if times.total_ns() / 1_000 > period.as_us() {
            self.overruns += 1;
            self.overruns_in_a_row += 1;
            self.overruns_in_a_row_max = self.overruns_in_a_row_max.max(self.overruns_in_a_row);
        } else {
            self.overruns_in_a_row = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overruns_are_counted_with_their_longest_run() {
        let mut telemetry = TickTelemetry::default();
        let period = Duration::from_ms(16);
        for ms in [1, 20, 20, 1, 20] {
            let mut times = TickTimes::default();
            times.phases_ns[Phase::Stream as usize] = ms * 1_000_000;
            telemetry.record(&times, Duration::ZERO, period);
        }
        assert_eq!((telemetry.ticks, telemetry.overruns, telemetry.overruns_in_a_row_max), (5, 3, 2));
        assert!(telemetry.phases[Phase::Stream as usize].percentiles().max >= 19_900.0);
    }
}
