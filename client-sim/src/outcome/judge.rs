//! The verdict: each objective with what was measured, and what all of it comes to.

use serde::{Deserialize, Serialize};

use super::file::Outcome;
use crate::scenario::{Metric, Objective, QUANTILES};

/// An objective and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The objective, as it was written: `tick_p99 < 8ms`.
    pub objective: String,
    /// The figure's name.
    pub name: String,
    /// What was measured, in the figure's own unit; `None` where nothing was.
    pub value: Option<f64>,
    /// The same for people.
    pub shown: String,
    /// What it was compared with.
    pub limit: f64,
    /// Whether it was met. What was not measured is not met.
    pub met: bool,
}

/// What a run comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All objectives were met.
    #[default]
    Passed,
    /// Some objective was not.
    Missed,
    /// The generator was late, lost datagrams or was saturated: nothing can be said of the server.
    Invalid,
}

impl Verdict {
    /// The code that the program ends with.
    pub const fn exit_code(self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Missed => 99,
            Verdict::Invalid => 98,
        }
    }
}

impl Outcome {
    /// A figure by the name that an objective uses, in the figure's own unit.
    pub fn figure(&self, name: &str) -> Option<f64> {
        let (metric, quantile) = Metric::of(name)?;
        let Some(quantile) = quantile else { return self.counts.get(metric.name).copied() };
        let (quantile, _) = QUANTILES.into_iter().find(|(_, q)| *q == quantile)?;
        self.spreads.get(metric.name)?.quantile(quantile)
    }

    /// Judges the run by these objectives and its audit, and writes the verdict down.
    pub fn judge(&mut self, objectives: &[Objective]) {
        self.objectives = objectives.iter().map(|objective| self.judged(objective)).collect();
        let missed = self.objectives.iter().filter(|judged| !judged.met);
        let missed: Vec<String> =
            missed.map(|judged| format!("{}: {}", judged.objective, judged.shown)).collect();
        self.verdict = match (self.audit.ok, missed.is_empty()) {
            (false, _) => Verdict::Invalid,
            (true, false) => Verdict::Missed,
            (true, true) => Verdict::Passed,
        };
        self.reasons = if self.audit.ok { missed } else { self.audit.reasons().collect() };
    }

    fn judged(&self, objective: &Objective) -> Judged {
        let value = self.figure(&objective.name);
        Judged {
            objective: objective.to_string(),
            name: objective.name.clone(),
            value,
            shown: value.map_or("was not measured".to_owned(), |value| objective.unit().show(value)),
            limit: objective.value,
            met: value.is_some_and(|value| objective.op.holds(value, objective.value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Audit, Recorder};
    use crate::scenario::Unit;

    fn outcome() -> Outcome {
        let mut outcome = Outcome { audit: Audit::new(), ..Outcome::default() };
        let mut ticks = Recorder::default();
        (1..=1_000).for_each(|us| ticks.record(us * 10));
        outcome.spreads.insert("tick".into(), ticks.spread());
        outcome.counts.insert("crossings_without_chunk".into(), 2.0);
        outcome
    }

    fn judged(objectives: &[&str]) -> Outcome {
        let objectives: Vec<Objective> = objectives.iter().map(|text| text.parse().unwrap()).collect();
        let mut outcome = outcome();
        outcome.judge(&objectives);
        outcome
    }

    #[test]
    fn a_run_passes_when_each_objective_is_met() {
        let outcome = judged(&["tick_p99<10ms", "tick_p50>=5ms", "crossings_without_chunk<=2"]);
        assert_eq!((outcome.verdict, outcome.verdict.exit_code()), (Verdict::Passed, 0));
        assert!(outcome.objectives.iter().all(|judged| judged.met) && outcome.reasons.is_empty());
    }

    #[test]
    fn one_that_is_missed_or_not_measured_misses_the_run_and_is_told_with_its_value() {
        let outcome =
            judged(&["tick_max < 9ms", "crossings_without_chunk == 0", "tick_p50 < 9ms", "rtt_p50 < 1s"]);
        assert_eq!((outcome.verdict, outcome.verdict.exit_code()), (Verdict::Missed, 99));
        let reasons =
            ["tick_max < 9ms: 10", "crossings_without_chunk == 0: 2", "rtt_p50 < 1s: was not measured"];
        assert_eq!(outcome.reasons.len(), reasons.len());
        for (reason, expected) in outcome.reasons.iter().zip(reasons) {
            assert!(reason.starts_with(expected), "{reason}");
        }
    }

    #[test]
    fn a_generator_that_was_late_makes_it_invalid_whatever_was_measured() {
        let mut outcome = outcome();
        outcome.audit.check("late_p99", Unit::Time, Some(20_000.0), 8_000.0, "ticks");
        outcome.judge(&["tick_p99<1ms".parse().unwrap()]);
        assert_eq!((outcome.verdict, outcome.verdict.exit_code()), (Verdict::Invalid, 98));
        assert!(outcome.reasons[0].starts_with("late_p99: 20 ms"), "{:?}", outcome.reasons);
    }
}
