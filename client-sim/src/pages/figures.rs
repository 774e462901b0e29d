//! Which way a figure is better, and how two of them differ.

use maud::{Markup, html};

use crate::scenario::{Metric, Unit};

/// Below it a difference says nothing.
const DIFFERENCE_MIN: f64 = 0.02;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
    /// It depends.
    Neither,
}

/// Which way a figure is better.
pub(crate) fn better(metric: &str) -> Better {
    match metric {
        "edge" | "snapshots_on_time" | "crossings_with_chunk" => Better::More,
        "crossings" | "parity_used" | "loss_down" | "loss_up" => Better::Neither,
        _ => Better::Less,
    }
}

/// A figure of the second run next to that of the first.
pub(crate) fn difference(metric: &str, unit: Unit, before: Option<f64>, now: Option<f64>) -> Markup {
    let (Some(before), Some(now)) = (before, now) else { return html! { span.none { "–" } } };
    let by = now - before;
    if by == 0.0 {
        return html! { span.none { "same" } };
    }
    let part = by / before.abs();
    let is_small = part.abs() < DIFFERENCE_MIN;
    let class = match better(metric) {
        _ if is_small => "none",
        Better::Neither => "soft",
        Better::Less if by < 0.0 => "better",
        Better::More if by > 0.0 => "better",
        _ => "worse",
    };
    let sign = if by > 0.0 { "+" } else { "−" };
    let text = match unit {
        // Of parts of a whole people want the points.
        Unit::Share => format!("{sign}{:.2} pp", by.abs() * 100.0),
        _ if before == 0.0 => format!("{sign}{}", unit.show(by.abs())),
        _ if part.abs() >= 10.0 => format!("× {:.0}", now / before),
        _ => format!("{sign}{:.1} %", part.abs() * 100.0),
    };
    html! { span class=(class) { (text) } }
}

/// A figure for people.
pub(crate) fn shown(unit: Unit, value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| unit.show(value))
}

/// What a figure counts, by the name that an objective uses.
pub(crate) fn unit_of(name: &str) -> Unit {
    Metric::of(name).map_or(Unit::Count, |(metric, _)| metric.unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::METRICS;

    fn text(metric: &str, unit: Unit, before: f64, now: f64) -> String {
        difference(metric, unit, Some(before), Some(now)).into_string()
    }

    #[test]
    fn a_difference_says_whether_it_is_one_for_the_better() {
        for (metric, unit, before, now, words) in [
            ("tick", Unit::Time, 100.0, 150.0, ["worse", "+50.0 %"]),
            ("tick", Unit::Time, 150.0, 100.0, ["better", "−33.3 %"]),
            ("edge", Unit::Time, 100.0, 150.0, ["better", "+50.0 %"]),
            ("tick", Unit::Time, 100.0, 101.0, ["none", "+1.0 %"]),
            ("overruns", Unit::Count, 0.0, 3.0, ["worse", "+3"]),
            ("overruns", Unit::Count, 2.0, 300.0, ["worse", "× 150"]),
            ("crossings", Unit::Count, 100.0, 300.0, ["soft", "+200.0 %"]),
            ("snapshots_on_time", Unit::Share, 0.99, 0.9, ["worse", "−9.00 pp"]),
            ("tick", Unit::Time, 7.0, 7.0, ["none", "same"]),
        ] {
            let shown = text(metric, unit, before, now);
            assert!(words.iter().all(|word| shown.contains(word)), "{metric} {before} {now}: {shown}");
        }
        assert!(difference("tick", Unit::Time, None, Some(1.0)).into_string().contains('–'));
    }

    #[test]
    fn every_figure_that_is_better_when_larger_is_one_that_exists() {
        let more: Vec<_> =
            METRICS.iter().filter(|m| better(m.name) == Better::More).map(|m| m.name).collect();
        assert_eq!(more, ["edge", "snapshots_on_time", "crossings_with_chunk"]);
    }
}
