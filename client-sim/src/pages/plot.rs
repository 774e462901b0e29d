//! What the page's script draws: lines over time, over quantiles or over a number.

use maud::{Markup, html};
use serde::Serialize;

use crate::outcome::{Outcome, Spread};
use crate::scenario::{QUANTILES, Unit};

/// Points of one curve at most: what is between is not seen.
const CURVE_POINTS_MAX: usize = 400;

/// What lies along a plot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Along {
    /// Seconds.
    #[default]
    Time,
    /// Parts of all values, 0 to 1.
    Quantile,
    /// Any number.
    Number,
}

/// A plot.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Plot {
    pub title: String,
    pub about: String,
    /// How values are shown: see [`unit_name`].
    pub unit: &'static str,
    /// What lies along it.
    pub x: Along,
    /// What that is called, where it is a number.
    pub xlabel: &'static str,
    /// Whether only whole numbers lie along it.
    pub whole: bool,
    /// Plots with the same name zoom and point together.
    pub sync: &'static str,
    pub series: Vec<Series>,
    pub bands: Vec<Band>,
    pub marks: Vec<Mark>,
    pub limit: Option<Limit>,
    /// Whether it begins with logarithmic values.
    pub log: bool,
    /// Whether values near the whole are looked at closely.
    pub near: bool,
    /// Whether quantiles are counted from the largest value down: what is bad when it is small has its nines there.
    pub low: bool,
}

/// A line of a plot.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Series {
    pub label: String,
    /// Which of two runs; it then has the colour of its run.
    pub run: Option<usize>,
    /// Which line of several: its colour, or its dashes.
    pub tone: usize,
    pub x: Vec<f64>,
    /// Where nothing was measured there is a gap.
    pub y: Vec<Option<f64>>,
    pub dash: bool,
    pub fill: bool,
    pub faint: bool,
    pub dots: bool,
    pub step: bool,
}

/// A span with a name behind the lines.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Band {
    pub from: f64,
    pub to: f64,
    pub label: String,
}

/// A moment with a name.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Mark {
    pub at: f64,
    pub label: String,
}

/// A value that is not to be passed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Limit {
    pub value: f64,
    pub label: String,
}

impl Plot {
    /// Where it is drawn: `index` is its place among the page's plots.
    pub fn place(index: usize) -> Markup {
        html! { div.card.plot data-plot=(index) {} }
    }

    /// Whether there is anything to see.
    pub fn has_values(&self) -> bool {
        self.series.iter().any(|series| series.y.iter().any(Option::is_some))
    }
}

/// What the script calls a unit.
pub(crate) const fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Time => "time",
        Unit::Share => "share",
        Unit::Bytes => "bytes",
        Unit::BytesPerSecond => "rate",
        Unit::BytesPerHour => "growth",
        Unit::Length => "length",
        Unit::Count => "count",
    }
}

/// Five digits: nobody sees more, and the file is half as large.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10_f64.powi(4 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// Which part of all values is at most so large, from the least to the largest.
pub(crate) fn curve(spread: &Spread) -> (Vec<f64>, Vec<Option<f64>>) {
    let all = spread.count.max(1) as f64;
    let mut points: Vec<(f64, f64)> = spread.quantile("min").map(|min| (0.0, min)).into_iter().collect();
    if spread.buckets.is_empty() {
        let known = QUANTILES.iter().filter(|(_, q)| *q > 0.0 && *q < 1.0);
        points.extend(known.filter_map(|(name, q)| Some((*q, spread.quantile(name)?))));
    } else {
        let mut below = 0;
        // The last is the largest, in full.
        for (end, count) in &spread.buckets[..spread.buckets.len() - 1] {
            below += count;
            points.push((below as f64 / all, *end));
        }
    }
    // The largest of n values stands for the last n-th.
    points.extend(spread.quantile("max").map(|max| (1.0 - 0.5 / all, max)));
    // Quantiles are of three digits, buckets of two: a curve never falls.
    let mut highest = f64::NEG_INFINITY;
    for (_, value) in &mut points {
        highest = highest.max(*value);
        *value = highest;
    }
    let step = points.len().div_ceil(CURVE_POINTS_MAX).max(1);
    let last = points.len().saturating_sub(1);
    let kept = points.iter().enumerate().filter(|(n, _)| n % step == 0 || *n == last || last - n < 50);
    // Parts need all their digits: 0.99999 is not 1.
    kept.map(|(_, (q, value))| (*q, Some(rounded(*value)))).unzip()
}

/// The same from the largest value down to the least: which part of all is larger.
pub(crate) fn curve_down(spread: &Spread) -> (Vec<f64>, Vec<Option<f64>>) {
    let (x, y) = curve(spread);
    let mut x: Vec<f64> = x.iter().rev().map(|q| 1.0 - q).collect();
    if let [largest, .., least] = x.as_mut_slice() {
        // The least of n values stands for the first n-th.
        (*largest, *least) = (0.0, 1.0 - 0.5 / spread.count.max(1) as f64);
    }
    (x, y.into_iter().rev().collect())
}

/// The stages of a run as bands, its faults as marks.
pub(crate) fn scenery(outcome: &Outcome) -> (Vec<Band>, Vec<Mark>) {
    let stages = outcome.scenario.stages.iter();
    let bands = stages.map(|s| Band { from: s.from_s, to: s.to_s, label: s.kind.clone() }).collect();
    let faults = outcome.scenario.faults.iter();
    let marks = faults.map(|f| Mark { at: f.at_s, label: f.kind.clone() }).collect();
    (bands, marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Recorder;

    #[test]
    fn a_curve_rises_from_the_least_to_the_largest_value() {
        let mut recorder = Recorder::default();
        (1..=100_000).for_each(|value| recorder.record(value));
        let (x, y) = curve(&recorder.spread());
        assert!(x.len() < CURVE_POINTS_MAX + 60 && x.len() == y.len());
        assert!(x.is_sorted() && y.is_sorted(), "{y:?}");
        assert_eq!((x[0], y[0]), (0.0, Some(1.0)));
        let at = x.iter().position(|q| *q >= 0.5).unwrap();
        assert!((48_000.0..=53_000.0).contains(&y[at].unwrap()), "{:?}", y[at]);
        assert!(
            (99_900.0..=100_100.0).contains(&y.last().unwrap().unwrap()) && *x.last().unwrap() > 0.999_99
        );
    }

    #[test]
    fn what_is_bad_when_small_falls_to_its_least() {
        let mut recorder = Recorder::default();
        (1..=100_000).for_each(|value| recorder.record(value));
        let (x, y) = curve_down(&recorder.spread());
        assert!(x.is_sorted() && y.is_sorted_by(|a, b| a >= b), "{x:?}");
        assert_eq!((x[0], y.last()), (0.0, Some(&Some(1.0))));
        let one_percent = x.iter().position(|q| *q >= 0.99).unwrap();
        assert!((900.0..=1_100.0).contains(&y[one_percent].unwrap()), "{:?}", y[one_percent]);
        assert_eq!(curve_down(&Spread::default()).0.len(), 0);
    }

    #[test]
    fn a_spread_of_quantiles_alone_and_one_of_nothing_have_curves_too() {
        let mut spread = Spread { count: 9, ..Spread::default() };
        assert_eq!(curve(&Spread::default()).0.len(), 0);
        for (name, value) in [("min", 1.0), ("p50", 5.0), ("p99", 9.0), ("max", 9.5)] {
            spread.quantiles.insert(name.into(), value);
        }
        assert_eq!(curve(&spread).1, [Some(1.0), Some(5.0), Some(9.0), Some(9.5)]);
    }

    #[test]
    fn five_digits_are_kept() {
        assert_eq!(
            [0.0, 123_456.7, 0.001_234_567, -99.999_99].map(rounded),
            [0.0, 123_460.0, 0.001_234_6, -100.0]
        );
        assert_eq!(rounded(f64::NAN), 0.0);
    }
}
