//! What a run measured, as a table for people and as JSON with stable field names.

use std::fmt;

use hdrhistogram::Histogram;
use ninefold::telemetry::Percentiles;
use serde::{Serialize, Serializer};

use crate::swarm::Carrier;

/// A run. The field names are a promise: see `docs/report.md`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Clients that were started.
    pub clients: usize,
    /// What their packets rode on.
    pub carrier: Carrier,
    /// The emulated line between each of them and the server.
    pub line: Option<&'static str>,
    /// How long they walked, seconds.
    pub seconds: f64,
    /// The server's tick rate.
    pub tick_rate_hz: u32,
    /// Ticks run.
    pub ticks: u64,
    /// Time of a tick, microseconds.
    pub tick_us: Percentiles,
    /// Time of each phase, microseconds, in the order in which they run.
    #[serde(serialize_with = "as_map")]
    pub phases_us: Vec<(&'static str, Percentiles)>,
    /// How late ticks started, microseconds.
    pub tick_lateness_us: Percentiles,
    /// Ticks that took longer than their period.
    pub overruns: u64,
    /// Ticks that were given up because the loop was too far behind.
    pub ticks_skipped: u64,
    /// Chunks made.
    pub chunks_generated: u64,
    /// Time to make and encode a chunk, microseconds.
    pub generate_us: Percentiles,
    /// Chunks that clients have whole and right.
    pub chunks_delivered: u64,
    /// Chunks whose content hash was wrong.
    pub chunks_hash_failed: u64,
    /// Moves over a chunk border.
    pub crossings: u64,
    /// Those after which the client stood in a chunk that it did not have.
    pub crossings_without_chunk: u64,
    /// Client ticks spent in a chunk that the client did not have, after it could first play.
    pub client_ticks_without_chunk: u64,
    /// From a chunk's entering the ring to its being complete, milliseconds.
    pub chunk_complete_ms: Percentiles,
    /// From a move over a border to a usable chunk under the player, milliseconds.
    pub enter_usable_ms: Percentiles,
    /// From the first datagram to standing in a chunk that is there, milliseconds.
    pub join_ms: Percentiles,
    /// Size of an encoded chunk, bytes.
    pub encoded_bytes_per_chunk: Percentiles,
    /// Fragments sent, including again.
    pub fragments_sent: u64,
    /// Fragments sent again.
    pub fragments_resent: u64,
    /// Datagrams that the server sent.
    pub datagrams_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Datagrams that the server received.
    pub datagrams_in: u64,
    /// CPU time of all the server's threads per client and tick, microseconds.
    pub server_cpu_us_per_client_tick: f64,
    /// That of the carriers' threads alone.
    pub carriers_cpu_us_per_client_tick: f64,
    /// Clients that never got in or lost their session.
    pub clients_lost: u64,
    /// Panics of the generator that were caught.
    pub panics_caught: u64,
    /// Results of generation that nobody waited for any more.
    pub stale_results: u64,
    /// Hash over the coordinates and content hashes of every chunk that any client received.
    pub world_hash: String,
}

fn as_map<S: Serializer>(phases: &[(&'static str, Percentiles)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(phases.iter().copied())
}

/// Why a run failed; empty when it passed.
pub fn verdict(report: &Report) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut fail = |count: u64, what: &str| {
        if count > 0 {
            reasons.push(format!("{count} {what}"));
        }
    };
    fail(report.chunks_hash_failed, "chunks failed their content hash");
    fail(report.crossings_without_chunk, "times a client stood in a chunk that it did not have");
    fail(report.client_ticks_without_chunk, "client ticks were spent in a chunk that was not there");
    fail(report.clients_lost, "clients were lost");
    if report.join_ms.count < report.clients as u64 {
        let never = report.clients as u64 - report.join_ms.count;
        reasons.push(format!("{never} clients never got to stand in a chunk"));
    }
    reasons
}

/// Values of any unit with three significant digits.
#[derive(Debug, Clone)]
pub struct Values {
    histogram: Histogram<u64>,
    /// Steps of the histogram in one unit of the report.
    steps: f64,
}

impl Values {
    /// Times, recorded in microseconds and told in milliseconds.
    pub fn us_as_ms() -> Self {
        Self::new(1_000.0)
    }

    /// Plain numbers.
    pub fn plain() -> Self {
        Self::new(1.0)
    }

    fn new(steps: f64) -> Self {
        const VALUE_MAX: u64 = 600_000_000;
        let histogram = Histogram::new_with_bounds(1, VALUE_MAX, 3);
        Values { histogram: histogram.expect("the bounds are constants"), steps }
    }

    /// Takes a value.
    pub fn record(&mut self, value: u64) {
        self.histogram.saturating_record(value.max(1));
    }

    /// Takes all values of another one.
    pub fn merge(&mut self, other: &Values) {
        self.histogram.add(&other.histogram).expect("all have the same bounds");
    }

    /// The figures.
    pub fn percentiles(&self) -> Percentiles {
        let scaled = |value: u64| if self.histogram.is_empty() { 0.0 } else { value as f64 / self.steps };
        Percentiles {
            count: self.histogram.len(),
            p50: scaled(self.histogram.value_at_quantile(0.50)),
            p99: scaled(self.histogram.value_at_quantile(0.99)),
            p999: scaled(self.histogram.value_at_quantile(0.999)),
            max: scaled(self.histogram.max()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, p: &Percentiles, digits: usize| {
            writeln!(
                f,
                "  {name:<24}{:>10.digits$}{:>10.digits$}{:>10.digits$}{:>10.digits$}",
                p.p50, p.p99, p.p999, p.max
            )
        };
        writeln!(
            f,
            "{} clients over {}, {}{:.0} s, {} ticks at {} Hz",
            self.clients,
            self.carrier,
            self.line.map(|line| format!("line {line}, ")).unwrap_or_default(),
            self.seconds,
            self.ticks,
            self.tick_rate_hz
        )?;
        writeln!(f)?;
        writeln!(f, "  {:<24}{:>10}{:>10}{:>10}{:>10}", "", "p50", "p99", "p99.9", "max")?;
        row(f, "tick, us", &self.tick_us, 0)?;
        for (name, p) in &self.phases_us {
            row(f, &format!("  {name}, us"), p, 0)?;
        }
        row(f, "tick starts late, us", &self.tick_lateness_us, 0)?;
        row(f, "generate a chunk, us", &self.generate_us, 0)?;
        row(f, "encoded chunk, bytes", &self.encoded_bytes_per_chunk, 0)?;
        row(f, "join to playable, ms", &self.join_ms, 1)?;
        row(f, "chunk complete, ms", &self.chunk_complete_ms, 1)?;
        row(f, "enter to usable, ms", &self.enter_usable_ms, 1)?;
        writeln!(f)?;
        writeln!(
            f,
            "  overruns {} (skipped {}), panics {}, stale results {}, clients lost {}",
            self.overruns, self.ticks_skipped, self.panics_caught, self.stale_results, self.clients_lost
        )?;
        writeln!(
            f,
            "  chunks: {} made, {} delivered, {} with a wrong hash",
            self.chunks_generated, self.chunks_delivered, self.chunks_hash_failed
        )?;
        writeln!(f, "  crossings: {}, {} without the chunk", self.crossings, self.crossings_without_chunk)?;
        writeln!(f, "  fragments: {} sent, {} of them again", self.fragments_sent, self.fragments_resent)?;
        writeln!(
            f,
            "  datagrams: {} out ({:.1} MB), {} in",
            self.datagrams_out,
            self.bytes_out as f64 / 1e6,
            self.datagrams_in
        )?;
        writeln!(
            f,
            "  server CPU: {:.2} us per client and tick, {:.2} of it in the carriers",
            self.server_cpu_us_per_client_tick, self.carriers_cpu_us_per_client_tick
        )?;
        write!(f, "  world hash: {}", self.world_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two clients, both of which came to play.
    fn passed() -> Report {
        let join_ms = Percentiles { count: 2, ..Percentiles::default() };
        Report { clients: 2, join_ms, ..Report::default() }
    }

    #[test]
    fn a_run_in_which_everything_held_passes() {
        assert_eq!(verdict(&passed()), Vec::<String>::new());
    }

    #[test]
    fn every_reason_to_fail_is_told() {
        let report = Report {
            chunks_hash_failed: 1,
            crossings_without_chunk: 2,
            client_ticks_without_chunk: 3,
            clients_lost: 4,
            clients: 7,
            ..passed()
        };
        let reasons = verdict(&report);
        let expected = ["1 chunks", "2 times", "3 client ticks", "4 clients", "5 clients never"];
        assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
        for (reason, expected) in reasons.iter().zip(expected) {
            assert!(reason.starts_with(expected), "{reason}");
        }
    }

    #[test]
    fn values_are_told_in_their_unit() {
        let mut values = Values::us_as_ms();
        (1..=100).for_each(|ms| values.record(ms * 1_000));
        let p = values.percentiles();
        assert!((49.9..=50.1).contains(&p.p50) && (99.9..=100.1).contains(&p.max), "{p:?}");
        assert_eq!(Values::plain().percentiles(), Percentiles::default());
    }
}
