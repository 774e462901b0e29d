//! The page of a run, or of two that are compared.

use maud::{Markup, html};

use super::figures::shown;
use super::plot::Plot;
use super::sections::{over_time, spreads};
use super::versus::{audit, counters, figures, frames, groups, lines, objectives, server, spread_table};
use super::{Page, page};
use crate::outcome::{Outcome, Verdict};
use crate::scenario::Unit;

/// A run and what it is called on the page.
#[derive(Debug, Clone)]
pub struct Run<'r> {
    /// What tells it from the other one: its file's name.
    pub label: String,
    /// What it measured.
    pub outcome: &'r Outcome,
}

/// The page of one run, or of two: the second is compared with the first.
///
/// # Panics
/// Without a run, and with more than two.
pub fn report(runs: &[Run<'_>]) -> String {
    assert!(matches!(runs.len(), 1 | 2), "one run, or two");
    let first = runs[0].outcome;
    let mut plots = over_time(runs);
    let timed = plots.len();
    plots.extend(spreads(runs));
    let title = match runs {
        [a, b] => format!("{}: {} against {}", first.scenario.name, b.label, a.label),
        _ => format!("{} {}", first.scenario.name, verdict_word(first.verdict).to_lowercase()),
    };
    let body = html! {
        (head(runs))
        (objectives(runs))
        (tiles(runs))
        @if timed > 0 {
            h2 #time { "Over time" small { "each second" } }
            p.hint { "Drag to zoom all of these, double-click for everything; arrows, + and − when one is selected." }
            div.plots { @for n in 0..timed { (Plot::place(n)) } }
        }
        @if plots.len() > timed {
            h2 #spreads { "How it spreads" small { "the value that so many stay below; each nine has the same width" } }
            div.plots { @for n in timed..plots.len() { (Plot::place(n)) } }
        }
        (spread_table(runs))
        (figures(runs))
        (groups(runs))
        (frames(runs))
        (lines(runs))
        (server(runs))
        (audit(runs))
        (counters(runs))
        (asked(runs))
    };
    let places = [
        ("objectives", "Objectives"),
        ("time", "Over time"),
        ("spreads", "Spreads"),
        ("figures", "Figures"),
        ("groups", "Groups"),
        ("server", "Server"),
        ("audit", "Audit"),
        ("asked", "Scenario"),
    ];
    page(&Page { title: &title, places: &places, body, plots: &plots })
}

pub(super) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "Passed",
        Verdict::Missed => "Missed",
        Verdict::Invalid => "Invalid",
    }
}

/// The dot that a run has all over the page.
pub(super) fn dot(runs: &[Run<'_>], number: usize) -> Markup {
    html! { @if runs.len() > 1 { i class={ "dot r" (number) } {} } }
}

fn head(runs: &[Run<'_>]) -> Markup {
    let first = runs[0].outcome;
    html! {
        header.top {
            h1 { (first.scenario.name) }
            p.soft { (first.scenario.about) }
        }
        div.verdicts { @for n in 0..runs.len() { (verdict(runs, n)) } }
    }
}

fn verdict(runs: &[Run<'_>], number: usize) -> Markup {
    let Run { label, outcome } = &runs[number];
    let (class, says) = match outcome.verdict {
        Verdict::Passed => ("passed", "every objective was met, and the generator can be believed"),
        Verdict::Missed => ("missed", "not every objective was met"),
        Verdict::Invalid => ("invalid", "the generator could not keep up: nothing is said of the server"),
    };
    let run = &outcome.run;
    html! {
        section class={ "verdict " (class) } {
            b { (verdict_word(outcome.verdict)) }
            div {
                @if runs.len() > 1 { div.who { (dot(runs, number)) (label) } }
                div { (says) }
                @if run.ended_early {
                    div { span.badge.warn { "ended early" } " after " (Unit::Time.show(run.took_s * 1e6)) " of " (Unit::Time.show(outcome.scenario.length_s * 1e6)) }
                }
                @if !outcome.reasons.is_empty() { ul { @for reason in &outcome.reasons { li { (reason) } } } }
                div.facts {
                    span { b { (Unit::Count.show(outcome.scenario.clients as f64)) } " clients" }
                    span { b { (Unit::Time.show(run.took_s * 1e6)) } }
                    span { "server " b { (run.server) } }
                    span { "seed " b { (outcome.scenario.seed) } }
                    span { b { (utc(run.began_unix_s)) } }
                }
            }
        }
    }
}

/// The figures that are looked at first.
const TILES: [(&str, &str, &str); 8] = [
    ("input_state_p99", "Input to state, p99", "input_state_p50"),
    ("snapshots_on_time", "Snapshots on time", "snapshot_late_p99"),
    ("tick_p99", "Server tick, p99", "tick_max"),
    ("edge_p1", "To the edge, p1", "edge_min"),
    ("crossings_with_chunk", "Crossings with the chunk", "crossings"),
    ("join_p99", "Join, p99", "join_p50"),
    ("client_down_p50", "Down, a client", "client_down_p99"),
    ("server_cpu_per_client_tick", "Server CPU, client and tick", "overruns"),
];

fn tiles(runs: &[Run<'_>]) -> Markup {
    let tile = |(name, words, more): (&str, &str, &str)| {
        let values: Vec<Option<f64>> = runs.iter().map(|run| run.outcome.figure(name)).collect();
        if values.iter().all(Option::is_none) {
            return html! {};
        }
        let unit = super::figures::unit_of(name);
        let others: Vec<String> =
            runs.iter().map(|run| shown(super::figures::unit_of(more), run.outcome.figure(more))).collect();
        html! {
            div.card.tile {
                div.name { (words) }
                @for (n, value) in values.iter().enumerate() {
                    div.value { (dot(runs, n)) (shown(unit, *value)) }
                }
                div.more { (more.replace('_', " ")) " " (others.join(" / ")) }
            }
        }
    };
    html! { h2 { "At a glance" } div.tiles { @for one in TILES { (tile(one)) } } }
}

/// What was asked, and where it ran.
fn asked(runs: &[Run<'_>]) -> Markup {
    html! {
        h2 #asked { "What was asked" }
        @for (n, Run { label, outcome }) in runs.iter().enumerate() {
            @let (run, machine) = (&outcome.run, &outcome.machine);
            div.facts {
                @if runs.len() > 1 { span { (dot(runs, n)) b { (label) } } }
                span { b { (machine.cpu) } ", " (machine.cores) " cores, " (Unit::Bytes.show(machine.memory_bytes as f64)) }
                span { (machine.os) }
                span { "ninefold-sim " b { (machine.version) } @if !machine.optimised { " " span.badge.warn { "not optimised" } } }
                span { (run.threads) " threads, CPU " (Unit::Time.show(run.cpu_s * 1e6)) }
                @if run.memory_bytes_per_client > 0 {
                    span { (Unit::Bytes.show(run.memory_bytes_per_client as f64)) " a client" }
                }
                @if !outcome.world_hash.is_empty() { span { "world " code { (outcome.world_hash) } } }
            }
            @if !run.command.is_empty() { p.soft { code { (run.command.join(" ")) } } }
        }
        p {}
        @for (n, Run { label, outcome }) in runs.iter().enumerate() {
            @if !outcome.scenario.text.is_empty() {
                details.card {
                    summary { (dot(runs, n)) "The scenario's file" @if runs.len() > 1 { " of " (label) } }
                    pre { (outcome.scenario.text) }
                }
            }
        }
    }
}

/// A moment as people write it, in UTC.
fn utc(unix_s: u64) -> String {
    let (days, s) = ((unix_s / 86_400) as i64, unix_s % 86_400);
    // Howard Hinnant's days-from-civil, backwards: eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", s / 3_600, s / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_by_its_date() {
        for (unix_s, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_795_284_000, "2026-11-21 18:00 UTC"),
        ] {
            assert_eq!(utc(unix_s), text);
        }
    }
}
