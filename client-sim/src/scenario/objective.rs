//! Objectives: what a run must have met, as `name op value`.

use std::fmt;
use std::str::FromStr;

use super::metric::{Metric, QUANTILES, Unit};

/// Something that must hold: `tick_p99 < 8ms`.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// The figure, as an objective names it.
    pub name: String,
    /// How it must compare.
    pub op: Op,
    /// To what, in the unit in which the figure is kept.
    pub value: f64,
    /// As it was written, after the name.
    pub text: String,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Op {
    /// The longer ones first, so that `<=` is not read as `<`.
    const ALL: [(&'static str, Op); 6] = [
        ("<=", Op::AtMost),
        (">=", Op::AtLeast),
        ("==", Op::Equal),
        ("!=", Op::NotEqual),
        ("<", Op::Less),
        (">", Op::More),
    ];

    /// Whether `left op right` holds. What is no number meets nothing.
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Op::Less => left < right,
            Op::AtMost => left <= right,
            Op::More => left > right,
            Op::AtLeast => left >= right,
            Op::Equal => left == right,
            Op::NotEqual => left != right && !left.is_nan(),
        }
    }
}

/// Why an objective cannot be understood. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectiveError {
    /// No comparison.
    #[error(
        "objective {0:?} has no comparison; write it as in \"tick_p99<8ms\", with <, <=, >, >=, == or !="
    )]
    NoComparison(String),
    /// A name that does not exist.
    #[error("unknown figure {name:?}{}; known: {}; p99 stands for any of {}", nearest(.name), known(), quantiles())]
    Unknown {
        /// What was said.
        name: String,
    },
    /// A spread without a quantile.
    #[error("`{name}` is a spread; say which value of it, as in `{name}_p99`: {}", quantiles())]
    NoQuantile {
        /// The spread.
        name: String,
    },
    /// The value is none, or has another unit.
    #[error("`{name}` is compared with {}, not with {value:?}", wanted(*.unit))]
    Value {
        /// The figure.
        name: String,
        /// What it counts.
        unit: Unit,
        /// What was said.
        value: String,
    },
}

fn known() -> String {
    Metric::names().collect::<Vec<_>>().join(", ")
}

fn quantiles() -> String {
    QUANTILES.map(|(name, _)| name).join(", ")
}

fn nearest(name: &str) -> String {
    let spread = |known: &str| known.strip_suffix("_p99").map(str::to_owned);
    let likely = Metric::names().find(|known| match spread(known) {
        Some(spread) => name.starts_with(&spread) || strip(name) == strip(&spread),
        None => strip(name) == strip(known),
    });
    likely.map_or(String::new(), |known| format!(" (did you mean `{known}`?)"))
}

fn strip(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase()
}

fn wanted(unit: Unit) -> String {
    let suffixes = unit.suffixes().iter().map(|(suffix, _)| *suffix).filter(|suffix| !suffix.is_empty());
    match suffixes.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "a plain number".into(),
        some => format!("a number of {some}"),
    }
}

impl Objective {
    /// From the name and what follows it, as in a file: `tick_p99`, `< 8ms`.
    pub fn new(name: &str, comparison: &str) -> Result<Objective, ObjectiveError> {
        let text = comparison.trim();
        let name = name.trim();
        let Some((unit, _)) = Metric::of(name).map(|(metric, quantile)| (metric.unit, quantile)) else {
            let name = name.to_owned();
            let is_spread = super::METRICS.iter().any(|metric| metric.name == name);
            return Err(if is_spread {
                ObjectiveError::NoQuantile { name }
            } else {
                ObjectiveError::Unknown { name }
            });
        };
        let op = Op::ALL.into_iter().find(|(sign, _)| text.starts_with(sign));
        let (sign, op) = op.ok_or_else(|| ObjectiveError::NoComparison(format!("{name} {text}")))?;
        let value = value(&text[sign.len()..], unit).ok_or_else(|| ObjectiveError::Value {
            name: name.to_owned(),
            unit,
            value: text[sign.len()..].trim().to_owned(),
        })?;
        Ok(Objective { name: name.to_owned(), op, value, text: text.to_owned() })
    }

    /// What its figure counts.
    pub fn unit(&self) -> Unit {
        Metric::of(&self.name).map_or(Unit::Count, |(metric, _)| metric.unit)
    }
}

/// A number with the unit's suffix; 0 needs none.
fn value(text: &str, unit: Unit) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || "._-+".contains(c))).unwrap_or(text.len());
    let (number, suffix) = (text[..split].replace('_', ""), text[split..].trim());
    let number: f64 = number.parse().ok()?;
    let factor = unit.suffixes().iter().find(|(known, _)| *known == suffix).map(|(_, factor)| *factor);
    let factor = factor.or((number == 0.0 && suffix.is_empty()).then_some(1.0))?;
    number.is_finite().then_some(number * factor)
}

impl FromStr for Objective {
    type Err = ObjectiveError;

    /// As on the command line: `tick_p99<8ms`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = text.find(['<', '>', '=', '!']).ok_or_else(|| ObjectiveError::NoComparison(text.into()))?;
        Objective::new(&text[..at], &text[at..])
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Objective>().expect_err(text).to_string()
    }

    #[test]
    fn an_objective_is_a_name_a_comparison_and_a_value_with_its_unit() {
        let cases = [
            ("tick_p99<8ms", "tick_p99", Op::Less, 8_000.0),
            (" tick_p9999 <= 0.5 s ", "tick_p9999", Op::AtMost, 500_000.0),
            ("crossings_without_chunk==0", "crossings_without_chunk", Op::Equal, 0.0),
            ("snapshots_on_time >= 99.5%", "snapshots_on_time", Op::AtLeast, 0.995),
            ("client_down_p50<65kB/s", "client_down_p50", Op::Less, 65_000.0),
            ("crossings>1_000", "crossings", Op::More, 1_000.0),
            ("edge_p1 > 0", "edge_p1", Op::More, 0.0),
        ];
        for (text, name, op, value) in cases {
            let objective: Objective = text.parse().unwrap();
            assert_eq!((objective.name.as_str(), objective.op), (name, op), "{text}");
            assert!((objective.value - value).abs() < 1e-9, "{text}: {}", objective.value);
        }
    }

    #[test]
    fn what_cannot_be_understood_says_what_can() {
        assert!(error("tick_p99").contains("tick_p99<8ms"));
        let unknown = error("tickp99 < 8ms");
        assert!(
            unknown.contains("unknown figure \"tickp99\"") && unknown.contains("crossings_without_chunk"),
            "{unknown}"
        );
        assert!(error("tick < 8ms").contains("tick_p99"));
        assert!(error("tick_p99 < 8").contains("us, ms, s"));
        assert!(error("tick_p99 < 8MB").contains("8MB"));
        assert!(error("overruns < many").contains("a plain number"));
        assert!(error("crossings == 5 %").contains("plain number"));
        assert!(!error("tick_p99 < x\ny").contains('\n'));
    }

    #[test]
    fn what_is_no_number_meets_nothing() {
        for (_, op) in Op::ALL {
            assert!(!op.holds(f64::NAN, 1.0), "{op:?}");
        }
        assert!(Op::NotEqual.holds(2.0, 1.0) && Op::AtMost.holds(1.0, 1.0) && !Op::Less.holds(1.0, 1.0));
    }
}
