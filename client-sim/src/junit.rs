//! The verdict of a run as JUnit XML, which every CI system shows: objectives and checks of the generator are test cases.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite, XmlString};

use crate::outcome::{Outcome, Verdict};

/// The XML of a run.
///
/// An objective that was missed is a failure. In an invalid run the objectives are skipped, since nothing can be said
/// of them, and the checks that failed are failures.
pub fn junit(outcome: &Outcome) -> Result<String, quick_junit::SerializeError> {
    let name = match outcome.scenario.name.as_str() {
        "" => "run",
        name => name,
    };
    let mut suite = TestSuite::new(name);
    suite.set_time(Duration::try_from_secs_f64(outcome.run.took_s).unwrap_or_default());
    for judged in &outcome.objectives {
        let status = match (outcome.verdict, judged.met) {
            (Verdict::Invalid, _) => skipped("the generator cannot be believed in this run"),
            (_, true) => TestCaseStatus::success(),
            (_, false) => failed(&format!("{}: {}", judged.objective, judged.shown)),
        };
        let mut case = TestCase::new(judged.objective.as_str(), status);
        case.set_classname(format!("{name}.objectives"));
        case.set_system_out(format!("measured: {}", judged.shown));
        suite.add_test_case(case);
    }
    for check in &outcome.audit.checks {
        let status = if check.ok { TestCaseStatus::success() } else { failed(&check.shown) };
        let mut case = TestCase::new(check.name.as_str(), status);
        case.set_classname(format!("{name}.generator"));
        case.set_system_out(format!("{}: {}", check.about, check.shown));
        suite.add_test_case(case);
    }
    let mut report = Report::new("ninefold-sim");
    report.add_test_suite(suite);
    report.to_string()
}

fn failed(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(XmlString::new(message));
    status
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(XmlString::new(message));
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Audit;
    use crate::scenario::Unit;

    fn outcome(late_us: f64) -> Outcome {
        let mut outcome = Outcome { audit: Audit::new(), ..Outcome::default() };
        outcome.scenario.name = "a \"wild\" <one> & \u{1}more".into();
        outcome.run.took_s = 1.5;
        outcome.counts.insert("crossings_without_chunk".into(), 2.0);
        outcome.audit.check("late_p99", Unit::Time, Some(late_us), 8_000.0, "how late <it> was");
        let objectives = ["crossings_without_chunk <= 2", "crossings_without_chunk == 0", "tick_p99 < 8ms"];
        outcome.judge(&objectives.map(|text| text.parse().unwrap()));
        outcome
    }

    /// Each case's name, and what stands in it: nothing, "failure" or "skipped".
    fn cases(xml: &str) -> Vec<(String, String)> {
        let document = roxmltree::Document::parse(xml).expect("it is well-formed");
        let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
        let inside = |case: roxmltree::Node<'_, '_>| {
            let status = case.children().find(|n| n.has_tag_name("failure") || n.has_tag_name("skipped"));
            status.map_or(String::new(), |n| n.tag_name().name().to_owned())
        };
        cases.map(|case| (case.attribute("name").unwrap().to_owned(), inside(case))).collect()
    }

    #[test]
    fn objectives_and_checks_are_cases_and_what_was_missed_fails() {
        let xml = junit(&outcome(100.0)).unwrap();
        let expected = [
            ("crossings_without_chunk <= 2", ""),
            ("crossings_without_chunk == 0", "failure"),
            ("tick_p99 < 8ms", "failure"),
            ("late_p99", ""),
        ];
        assert_eq!(cases(&xml), expected.map(|(name, status)| (name.to_owned(), status.to_owned())));
        let document = roxmltree::Document::parse(&xml).unwrap();
        let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
        // What XML has no way to say is left out.
        assert_eq!(suite.attribute("name"), Some("a \"wild\" <one> & more"));
        assert_eq!((suite.attribute("tests"), suite.attribute("failures")), (Some("4"), Some("2")));
        assert_eq!(suite.attribute("time"), Some("1.500"));
        let missed = document.descendants().filter(|node| node.has_tag_name("failure"));
        let messages: Vec<_> = missed.filter_map(|node| node.attribute("message")).collect();
        assert_eq!(messages, ["crossings_without_chunk == 0: 2", "tick_p99 < 8ms: was not measured"]);
    }

    #[test]
    fn in_an_invalid_run_the_generator_fails_and_objectives_are_skipped() {
        let statuses: Vec<String> =
            cases(&junit(&outcome(20_000.0)).unwrap()).into_iter().map(|c| c.1).collect();
        assert_eq!(statuses, ["skipped", "skipped", "skipped", "failure"]);
    }

    #[test]
    fn a_run_without_a_name_or_objectives_is_a_suite() {
        assert_eq!(cases(&junit(&Outcome::default()).unwrap()), []);
    }
}
