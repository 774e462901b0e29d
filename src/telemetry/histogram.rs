//! Percentiles that an average would hide.

use serde::Serialize;

use super::state::Figures;

/// Largest value that is told apart, in nanoseconds: a minute.
const VALUE_MAX_NS: u64 = 60_000_000_000;
/// Significant digits that are kept.
const DIGITS: u8 = 3;

/// A high-dynamic-range histogram, of durations in nanoseconds unless its owner says otherwise. Recording does not
/// allocate.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: hdrhistogram::Histogram<u64>,
    /// Of all values, as they were recorded.
    sum: u64,
}

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
        let counts = hdrhistogram::Histogram::new_with_bounds(1, VALUE_MAX_NS, DIGITS);
        Histogram { counts: counts.expect("the bounds are constants that hdrhistogram accepts"), sum: 0 }
    }
}

impl Histogram {
    /// Takes a value in nanoseconds, or of whatever else this is a histogram of.
    pub fn record_ns(&mut self, ns: u64) {
        self.counts.saturating_record(ns.clamp(1, VALUE_MAX_NS));
        self.sum = self.sum.saturating_add(ns);
    }

    /// Takes a value in microseconds.
    pub fn record_us(&mut self, us: u64) {
        self.record_ns(us.saturating_mul(1_000));
    }

    /// Takes all values of another histogram.
    pub fn merge(&mut self, other: &Histogram) {
        self.counts.add(&other.counts).expect("all histograms have the same bounds");
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// The figures.
    pub fn percentiles(&self) -> Percentiles {
        let Figures { count, p50, p99, p999, max, .. } = self.figures(1_000.0);
        Percentiles { count, p50, p99, p999, max }
    }

    /// All figures, divided by `unit`: 1,000 tells nanoseconds in microseconds.
    pub fn figures(&self, unit: f64) -> Figures {
        if self.counts.is_empty() {
            return Figures::default();
        }
        let at = |quantile| self.counts.value_at_quantile(quantile) as f64 / unit;
        Figures {
            count: self.counts.len(),
            mean: self.sum as f64 / self.counts.len() as f64 / unit,
            p50: at(0.50),
            p90: at(0.90),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: self.counts.max() as f64 / unit,
        }
    }

    /// Values recorded.
    pub fn count(&self) -> u64 {
        self.counts.len()
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// How many values are at most as large as each of `bounds`, which ascend; exact to the histogram's digits.
    pub fn up_to(&self, bounds: &[u64]) -> Vec<u64> {
        let mut upto = vec![0; bounds.len()];
        for value in self.counts.iter_recorded() {
            let first = bounds.partition_point(|bound| *bound < value.value_iterated_to());
            if let Some(count) = upto.get_mut(first) {
                *count += value.count_at_value();
            }
        }
        upto.iter_mut().fold(0, |below, count| {
            *count += below;
            *count
        });
        upto
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.counts.distinct_values() * size_of::<u64>()
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
    fn values_are_counted_up_to_each_bound() {
        let mut histogram = Histogram::default();
        for us in [1, 5, 5, 900, 7_000] {
            histogram.record_us(us);
        }
        assert_eq!(histogram.up_to(&[1_010, 10_000, 1_000_000]), [1, 3, 4]);
        assert_eq!((histogram.count(), histogram.sum()), (5, 7_911_000));
        let figures = histogram.figures(1_000.0);
        assert!((1_582.0..1_583.0).contains(&figures.mean) && (6_990.0..7_010.0).contains(&figures.p9999));
    }

    #[test]
    fn nothing_recorded_is_zero_and_too_much_is_the_largest() {
        assert_eq!(Histogram::default().percentiles(), Percentiles::default());
        let mut histogram = Histogram::default();
        histogram.record_ns(u64::MAX);
        assert!(histogram.percentiles().max >= 59_000_000.0);
    }
}
