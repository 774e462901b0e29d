//! Percentiles that an average would hide.

use serde::Serialize;

/// Largest value that is told apart, in nanoseconds: a minute.
const VALUE_MAX_NS: u64 = 60_000_000_000;
/// Significant digits that are kept.
const DIGITS: u8 = 3;

/// A high-dynamic-range histogram of durations. Recording does not allocate.
#[derive(Debug, Clone)]
pub struct Histogram(hdrhistogram::Histogram<u64>);

/// The figures of a histogram in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Values recorded.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// One in a hundred is larger.
    pub p99: f64,
    /// One in a thousand is larger.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        let histogram = hdrhistogram::Histogram::new_with_bounds(1, VALUE_MAX_NS, DIGITS);
        Histogram(histogram.expect("the bounds are constants that hdrhistogram accepts"))
    }
}

impl Histogram {
    /// Takes a value in nanoseconds.
    pub fn record_ns(&mut self, ns: u64) {
        self.0.saturating_record(ns.clamp(1, VALUE_MAX_NS));
    }

    /// Takes a value in microseconds.
    pub fn record_us(&mut self, us: u64) {
        self.record_ns(us.saturating_mul(1_000));
    }

    /// Takes all values of another histogram.
    pub fn merge(&mut self, other: &Histogram) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// The figures.
    pub fn percentiles(&self) -> Percentiles {
        let us = |ns: u64| if self.0.is_empty() { 0.0 } else { ns as f64 / 1_000.0 };
        Percentiles {
            count: self.0.len(),
            p50: us(self.0.value_at_quantile(0.50)),
            p99: us(self.0.value_at_quantile(0.99)),
            p999: us(self.0.value_at_quantile(0.999)),
            max: us(self.0.max()),
        }
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Percentiles { p50, p99, p999, max, .. } = self;
        write!(f, "p50 {p50:.0}  p99 {p99:.0}  p99.9 {p999:.0}  max {max:.0} us")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_microseconds() {
        let mut histogram = Histogram::default();
        for us in 1..=1_000 {
            histogram.record_us(us);
        }
        let p = histogram.percentiles();
        assert_eq!(p.count, 1_000);
        assert!((499.0..=501.5).contains(&p.p50) && (989.0..=992.0).contains(&p.p99), "{p}");
        assert!((999.0..=1_002.0).contains(&p.max));
    }

    #[test]
    fn nothing_recorded_is_zero_and_too_much_is_the_largest() {
        assert_eq!(Histogram::default().percentiles(), Percentiles::default());
        let mut histogram = Histogram::default();
        histogram.record_ns(u64::MAX);
        assert!(histogram.percentiles().max >= 59_000_000.0);
    }
}
