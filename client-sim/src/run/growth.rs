//! Whether the server's memory grows: the slope of a straight line through what its process takes.
//!
//! At first a server grows because it warms up: caches fill, tables reach the size of the load. At the end it has fewer
//! clients. What is between is to be level.

use crate::outcome::Outcome;

/// The part of a run after which a server counts as warm.
const WARM_AFTER: f64 = 1.0 / 3.0;
/// Seconds that a line needs; in fewer there is nothing but steps of the allocator.
const SECONDS_MIN: usize = 20;
const SECONDS_PER_H: f64 = 3_600.0;

/// Bytes an hour, from when the server is warm until its clients leave; `None` where its process does not tell or the time
/// is too short.
pub fn server_memory_growth(outcome: &Outcome) -> Option<f64> {
    let stages = &outcome.scenario.stages;
    let stays = stages.iter().rposition(|stage| stage.kind != "drain")?;
    let (from_s, to_s) = (outcome.scenario.length_s * WARM_AFTER, stages[stays].to_s);
    let points: Vec<(f64, f64)> = (outcome.series.iter())
        .map(|second| (second.at_s as f64, second.server_resident_bytes))
        .filter(|(at_s, _)| (from_s..to_s).contains(at_s))
        .filter_map(|(at_s, bytes)| Some((at_s, bytes?)))
        .collect();
    (points.len() >= SECONDS_MIN).then(|| slope(&points) * SECONDS_PER_H)
}

/// Of the line of least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x_mean, y_mean) = (mean(|p| p.0), mean(|p| p.1));
    let both: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let squares: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    both / squares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{ScenarioFacts, Second, StageFacts};

    /// A run of 300 seconds, the last 60 of which are a drain, with the server's memory in each.
    fn run(memory: impl Fn(u64) -> Option<f64>) -> Outcome {
        let stage = |kind: &str, from_s, to_s| StageFacts { kind: kind.into(), from_s, to_s, target: 1.0 };
        let second = |at_s| Second { at_s, server_resident_bytes: memory(at_s), ..Second::default() };
        Outcome {
            scenario: ScenarioFacts {
                length_s: 300.0,
                stages: vec![
                    stage("ramp", 0.0, 30.0),
                    stage("hold", 30.0, 240.0),
                    stage("drain", 240.0, 300.0),
                ],
                ..ScenarioFacts::default()
            },
            series: (0..300).map(second).collect(),
            ..Outcome::default()
        }
    }

    #[test]
    fn what_grows_by_a_kilobyte_a_second_grows_by_3600_an_hour() {
        let growth = server_memory_growth(&run(|at_s| Some(5e6 + 1e3 * at_s as f64)));
        assert!((growth.unwrap() - 3.6e6).abs() < 1.0, "{growth:?}");
        // Every second counts, also where some are missing.
        let growth = server_memory_growth(&run(|at_s| (at_s % 7 != 3).then_some(5e6 + 1e3 * at_s as f64)));
        assert!((growth.unwrap() - 3.6e6).abs() < 1.0, "{growth:?}");
    }

    #[test]
    fn warming_up_and_the_end_are_no_growth() {
        let memory = |at_s: u64| Some(if (100..240).contains(&at_s) { 5e6 } else { 1e3 * at_s as f64 });
        assert_eq!(server_memory_growth(&run(memory)), Some(0.0));
    }

    #[test]
    fn a_server_that_tells_nothing_or_too_little_has_no_growth() {
        assert_eq!(server_memory_growth(&run(|_| None)), None);
        assert_eq!(server_memory_growth(&run(|at_s| (at_s < 110).then_some(1.0))), None);
        assert_eq!(server_memory_growth(&Outcome::default()), None);
    }
}
