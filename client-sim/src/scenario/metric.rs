//! What is measured, by name: the vocabulary of objectives and of the result.
//!
//! A spread is told by its quantiles and named with one of them, as in `tick_p99`; all else is one number.

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Time; kept in microseconds.
    Time,
    /// A part of a whole; kept as 0 to 1.
    Share,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Bytes an hour.
    BytesPerHour,
    /// World units.
    Length,
    /// Things.
    Count,
}

/// A figure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// Whether it is a spread of values.
    pub is_spread: bool,
    /// What it is.
    pub about: &'static str,
}

/// How a quantile is called behind a spread's name, and which it is.
pub const QUANTILES: [(&str, f64); 11] = [
    ("min", 0.0),
    ("p1", 0.01),
    ("p10", 0.10),
    ("p50", 0.50),
    ("p75", 0.75),
    ("p90", 0.90),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
    ("p9999", 0.9999),
    ("max", 1.0),
];

const fn spread(name: &'static str, unit: Unit, about: &'static str) -> Metric {
    Metric { name, unit, is_spread: true, about }
}

const fn one(name: &'static str, unit: Unit, about: &'static str) -> Metric {
    Metric { name, unit, is_spread: false, about }
}

/// Every figure that an objective can name.
pub const METRICS: &[Metric] = &[
    spread("input_state", Unit::Time, "from the moment an input was due to the snapshot that confirms it"),
    spread("snapshot_late", Unit::Time, "how much later a snapshot came than the least delayed ones"),
    spread("chunk_complete", Unit::Time, "from a chunk's entering the ring to its being whole"),
    spread("enter_usable", Unit::Time, "from a crossing to a usable chunk under the player"),
    spread("teleport_usable", Unit::Time, "from being put elsewhere to a usable chunk under the player"),
    spread("join", Unit::Time, "from the first datagram to standing in a chunk that is there"),
    spread(
        "edge",
        Unit::Time,
        "until a moving client comes to a chunk that is not there, asked ten times a second",
    ),
    spread("rtt", Unit::Time, "round trip of the line as clients measure it, once a second each"),
    spread("correction", Unit::Length, "how far a correction moved a client that had predicted otherwise"),
    spread("client_down", Unit::BytesPerSecond, "what one client received in a second"),
    spread("client_up", Unit::BytesPerSecond, "what one client sent in a second"),
    spread("tick", Unit::Time, "time of a tick of the server"),
    spread("tick_late", Unit::Time, "how late the server's ticks began"),
    spread("generate", Unit::Time, "time to make and encode a chunk"),
    one("snapshots_on_time", Unit::Share, "snapshots that came at most one tick late, of all that were sent"),
    one("crossings", Unit::Count, "moves over a border of chunks"),
    one("crossings_without_chunk", Unit::Count, "those into a chunk that was not there"),
    one("crossings_with_chunk", Unit::Share, "crossings into a chunk that was there"),
    one("ticks_without_chunk", Unit::Count, "client ticks spent in a chunk that was not there"),
    one("corrections", Unit::Count, "snapshots that said of a player what it had not predicted"),
    one("loss_down", Unit::Share, "packets from the server that were lost"),
    one("loss_up", Unit::Share, "packets to the server that were lost"),
    one("clients_lost", Unit::Count, "sessions that ended without being meant to"),
    one("joins_failed", Unit::Count, "sessions that never came to stand in a chunk though they had the time"),
    one(
        "chunks_wrong",
        Unit::Count,
        "chunks with a wrong content hash, or of which two clients saw different ones",
    ),
    one("chunks_unavailable", Unit::Count, "chunks that clients were told cannot be had"),
    one("bytes_down", Unit::Bytes, "what all clients received"),
    one("bytes_up", Unit::Bytes, "what all clients sent"),
    one("parity_used", Unit::Count, "fragments that parity stood in for"),
    one("fragments_resent", Unit::Count, "fragments sent because others were lost"),
    one("overruns", Unit::Count, "ticks of the server that took longer than their period"),
    one("ticks_skipped", Unit::Count, "ticks that the server gave up because it was too far behind"),
    one("server_cpu_per_client_tick", Unit::Time, "CPU time of the server's threads per client and tick"),
    one(
        "server_memory_growth",
        Unit::BytesPerHour,
        "slope of the memory of the server's process once it is warm; where it has one of its own",
    ),
    one("panics", Unit::Count, "panics of the generator that the server caught"),
];

impl Metric {
    /// Every name that an objective can use; of a spread with one quantile, [`QUANTILES`] has the others.
    pub fn names() -> impl Iterator<Item = String> {
        METRICS.iter().map(|metric| match metric.is_spread {
            true => format!("{}_p99", metric.name),
            false => metric.name.to_owned(),
        })
    }

    /// The metric of a name, and which of its quantiles.
    pub fn of(name: &str) -> Option<(&'static Metric, Option<f64>)> {
        if let Some(metric) = METRICS.iter().find(|metric| metric.name == name && !metric.is_spread) {
            return Some((metric, None));
        }
        let (spread, quantile) = name.rsplit_once('_')?;
        let metric = METRICS.iter().find(|metric| metric.name == spread && metric.is_spread)?;
        let (_, quantile) = QUANTILES.into_iter().find(|(name, _)| *name == quantile)?;
        Some((metric, Some(quantile)))
    }
}

impl Unit {
    /// The suffixes that a value may have, and what they make of it.
    pub const fn suffixes(self) -> &'static [(&'static str, f64)] {
        match self {
            Unit::Time => &[("us", 1.0), ("ms", 1e3), ("s", 1e6), ("min", 60e6)],
            Unit::Share => &[("%", 0.01)],
            Unit::Bytes => &[("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9)],
            Unit::BytesPerSecond => &[("B/s", 1.0), ("kB/s", 1e3), ("MB/s", 1e6)],
            Unit::BytesPerHour => &[("B/h", 1.0), ("kB/h", 1e3), ("MB/h", 1e6)],
            Unit::Length => &[("", 1.0), ("units", 1.0)],
            Unit::Count => &[("", 1.0)],
        }
    }

    /// A value for people, with the suffix that suits it.
    pub fn show(self, value: f64) -> String {
        let short = |value: f64| match value.abs() {
            v if v >= 100.0 || v == v.trunc() => format!("{value:.0}"),
            v if v >= 10.0 => format!("{value:.1}"),
            v if v >= 0.01 || v == 0.0 => format!("{value:.2}"),
            _ => format!("{value:.4}"),
        };
        match self {
            Unit::Count => grouped(value),
            Unit::Share => format!("{} %", share(value * 100.0)),
            Unit::Length => format!("{} units", short(value)),
            _ => {
                let suffixes = self.suffixes();
                let fits = |(_, factor): &&(&str, f64)| value.abs() >= *factor;
                // A minute is for people who write objectives; seconds say more.
                let suffixes = if self == Unit::Time { &suffixes[..3] } else { suffixes };
                let (suffix, factor) = suffixes.iter().rev().find(fits).unwrap_or(&suffixes[0]);
                format!("{} {suffix}", short(value / factor))
            }
        }
    }
}

/// Enough digits that 99.96 % does not read as all of it.
fn share(percent: f64) -> String {
    match percent {
        0.0 => "0".into(),
        100.0 => "100".into(),
        p if !(0.1..=99.9).contains(&p) => format!("{p:.3}"),
        p => format!("{p:.1}"),
    }
}

/// A number with its thousands apart.
fn grouped(value: f64) -> String {
    if value != value.trunc() {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_said_once_and_found() {
        for (n, metric) in METRICS.iter().enumerate() {
            assert!(METRICS[..n].iter().all(|other| other.name != metric.name), "{}", metric.name);
            let name = if metric.is_spread { format!("{}_p99", metric.name) } else { metric.name.into() };
            assert_eq!(Metric::of(&name).map(|found| found.0), Some(metric));
        }
        assert_eq!(Metric::of("tick_p9999"), Metric::of("tick_max").map(|(tick, _)| (tick, Some(0.9999))));
        assert_eq!(
            (Metric::of("tick"), Metric::of("tick_p12"), Metric::of("overruns_p99")),
            (None, None, None)
        );
    }

    #[test]
    fn values_are_shown_in_the_unit_that_suits_them() {
        let shown = [
            (Unit::Time, 850.0, "850 us"),
            (Unit::Time, 8_430.0, "8.43 ms"),
            (Unit::Time, 75e6, "75 s"),
            (Unit::Share, 0.9996, "99.960 %"),
            (Unit::Share, 1.0, "100 %"),
            (Unit::BytesPerSecond, 65_000.0, "65 kB/s"),
            (Unit::BytesPerHour, 1.25e6, "1.25 MB/h"),
            (Unit::BytesPerHour, -300.0, "-300 B/h"),
            (Unit::Count, 1_234_567.0, "1,234,567"),
            (Unit::Length, 0.5, "0.50 units"),
        ];
        for (unit, value, text) in shown {
            assert_eq!(unit.show(value), text);
        }
    }
}
