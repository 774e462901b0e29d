//! A spread of values: recorded in a histogram, told as quantiles and buckets.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::scenario::QUANTILES;

/// The largest value that is told apart: an hour in microseconds, or 3.6 GB.
const VALUE_MAX: u64 = 3_600_000_000;
/// Significant digits that are recorded.
const DIGITS: u8 = 3;
/// Significant digits of the buckets in the file.
const BUCKET_DIGITS: u8 = 2;

/// Why recording cannot fail.
const GROWS: &str = "a histogram that grows takes any value";

/// Takes values, three digits of each.
#[derive(Debug, Clone)]
pub struct Recorder {
    histogram: Histogram<u64>,
    /// Values have so many parts to one.
    parts: f64,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder::with_digits(DIGITS, 1.0)
    }
}

impl Recorder {
    /// For values that are recorded in thousandths.
    pub fn thousandths() -> Recorder {
        Recorder::with_digits(DIGITS, 1_000.0)
    }

    fn with_digits(digits: u8, parts: f64) -> Recorder {
        // It grows as far as it is used: there is one for each group and thread.
        let mut histogram = Histogram::new_with_max(2, digits).expect("the bounds are constants that fit");
        histogram.auto(true);
        Recorder { histogram, parts }
    }

    /// Takes a value; larger ones count as the largest that is told apart.
    pub fn record(&mut self, value: u64) {
        self.histogram.record(value.min(VALUE_MAX)).expect(GROWS);
    }

    /// Takes all values of another one.
    pub fn merge(&mut self, other: &Recorder) {
        self.histogram.add(&other.histogram).expect(GROWS);
    }

    /// Forgets all values and keeps the memory.
    pub fn clear(&mut self) {
        self.histogram.reset();
    }

    /// Values taken.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The value below which such a part of all lies; `None` without any.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        if self.histogram.is_empty() {
            return None;
        }
        let value = match quantile {
            q if q <= 0.0 => self.histogram.min(),
            q if q >= 1.0 => self.histogram.max(),
            q => self.histogram.value_at_quantile(q).min(self.histogram.max()),
        };
        Some(value as f64 / self.parts)
    }

    /// What the file tells of it.
    pub fn spread(&self) -> Spread {
        let quantiles = QUANTILES
            .iter()
            .filter_map(|(name, quantile)| Some(((*name).to_owned(), self.quantile(*quantile)?)))
            .collect();
        let mut coarse = Recorder::with_digits(BUCKET_DIGITS, self.parts);
        for step in self.histogram.iter_recorded() {
            let (value, count) = (step.value_iterated_to(), step.count_at_value());
            coarse.histogram.record_n(value, count).expect(GROWS);
        }
        let bucket = |value: u64, count: u64| (value as f64 / self.parts, count);
        Spread {
            count: self.histogram.len(),
            mean: self.histogram.mean() / self.parts,
            quantiles,
            buckets: (coarse.histogram.iter_recorded())
                .map(|step| bucket(step.value_iterated_to(), step.count_at_value()))
                .collect(),
        }
    }
}

/// A spread as the file has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Values.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// By name: min, p1, p10, p50, p75, p90, p95, p99, p999, p9999, max. What was not measured is not there.
    pub quantiles: BTreeMap<String, f64>,
    /// Upper ends of buckets with two significant digits, ascending, and how many values lie in each; empty where only
    /// quantiles are known.
    pub buckets: Vec<(f64, u64)>,
}

impl Spread {
    /// One of its quantiles by name.
    pub fn quantile(&self, name: &str) -> Option<f64> {
        self.quantiles.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_tells_its_quantiles_and_its_buckets_hold_every_value() {
        let mut recorder = Recorder::default();
        (1..=10_000).for_each(|value| recorder.record(value));
        let spread = recorder.spread();
        for (name, expected) in
            [("min", 1.0), ("p1", 100.0), ("p50", 5_000.0), ("p9999", 9_999.0), ("max", 10_000.0)]
        {
            let value = spread.quantile(name).unwrap();
            assert!((value / expected - 1.0).abs() < 0.002, "{name}: {value}");
        }
        assert_eq!(spread.buckets.iter().map(|bucket| bucket.1).sum::<u64>(), 10_000);
        assert!(spread.buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(spread.buckets.len() < 1_000 && (spread.mean - 5_000.0).abs() < 20.0);
    }

    #[test]
    fn nothing_recorded_has_no_quantiles() {
        let spread = Recorder::default().spread();
        assert_eq!((spread.count, spread.quantile("p50"), spread.buckets.len()), (0, None, 0));
    }

    #[test]
    fn parts_are_put_together_and_the_largest_value_is_a_bound() {
        let (mut all, mut other) = (Recorder::thousandths(), Recorder::thousandths());
        other.record(1_500);
        all.merge(&other);
        all.record(u64::MAX);
        let near = |value: Option<f64>, wanted: f64| value.is_some_and(|v| (v / wanted - 1.0).abs() < 0.001);
        assert!(near(all.quantile(0.0), 1.5) && near(all.quantile(1.0), VALUE_MAX as f64 / 1e3));
        other.clear();
        assert_eq!((all.count(), other.count()), (2, 0));
    }
}
