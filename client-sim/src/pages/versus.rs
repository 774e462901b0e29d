//! The tables: of one run, or of two with their differences.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::figures::{difference, shown};
use super::report::{Run, dot};
use crate::outcome::{Judged, Outcome, Spread};
use crate::scenario::{METRICS, Metric, Objective, Op, Unit};

/// The quantiles that tables have.
const SHOWN: [(&str, &str); 9] = [
    ("min", "min"),
    ("p1", "p1"),
    ("p50", "p50"),
    ("p90", "p90"),
    ("p99", "p99"),
    ("p999", "p99.9"),
    ("p9999", "p99.99"),
    ("max", "max"),
    ("mean", "mean"),
];
/// Those of which the differences are told.
const COMPARED: [(&str, &str); 4] = [("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max")];

fn value_of(spread: &Spread, quantile: &str) -> Option<f64> {
    if quantile == "mean" { (spread.count > 0).then_some(spread.mean) } else { spread.quantile(quantile) }
}

fn met(judged: Option<&Judged>) -> Markup {
    match judged {
        Some(judged) if judged.met => html! { span.badge.good { "met" } },
        Some(judged) if judged.value.is_none() => html! { span.badge.warn { "not measured" } },
        Some(_) => html! { span.badge.bad { "missed" } },
        None => html! { span.badge { "not asked" } },
    }
}

/// How much of its limit a figure uses, where there is such a thing.
fn gauge(judged: &Judged) -> Markup {
    let objective = judged.objective.parse::<Objective>().ok();
    let is_ceiling = objective.is_some_and(|o| matches!(o.op, Op::Less | Op::AtMost));
    let Some(part) = judged.value.filter(|_| is_ceiling && judged.limit > 0.0).map(|v| v / judged.limit)
    else {
        return html! {};
    };
    let width = format!("width:{:.1}%", part.clamp(0.0, 1.0) * 100.0);
    html! { span.gauge title={ (format!("{:.0}", part * 100.0)) " % of what is allowed" } { i.over[!judged.met] style=(width) {} } }
}

/// Each objective, and how it changed.
pub(super) fn objectives(runs: &[Run<'_>]) -> Markup {
    let mut asked: Vec<&str> = Vec::new();
    for judged in runs.iter().flat_map(|run| &run.outcome.objectives) {
        if !asked.contains(&judged.objective.as_str()) {
            asked.push(&judged.objective);
        }
    }
    let of = |run: &Run<'_>, text: &str| run.outcome.objectives.iter().position(|j| j.objective == text);
    let row = |text: &&str| {
        let judged: Vec<Option<&Judged>> =
            runs.iter().map(|run| of(run, text).map(|n| &run.outcome.objectives[n])).collect();
        let one = judged.iter().flatten().next().expect("some run has it");
        let (metric, unit) = Metric::of(&one.name).map_or(("", Unit::Count), |(m, _)| (m.name, m.unit));
        let changed = judged.len() == 2 && judged[0].map(|j| j.met) != judged[1].map(|j| j.met);
        html! {
            tr.changed[changed] {
                td.name { code { (text) } }
                @for (n, run) in runs.iter().enumerate() {
                    @let value = judged[n].and_then(|j| j.value).or_else(|| run.outcome.figure(&one.name));
                    td { (shown(unit, value)) }
                    @if runs.len() == 1 { td.left { (gauge(one)) } }
                    td { (met(judged[n])) }
                }
                @if let [before, now] = runs {
                    td { (difference(metric, unit, before.outcome.figure(&one.name), now.outcome.figure(&one.name))) }
                    td { (change(judged[0], judged[1])) }
                }
            }
        }
    };
    let changes = asked.iter().filter(|text| {
        let met: Vec<_> =
            runs.iter().map(|run| of(run, text).map(|n| run.outcome.objectives[n].met)).collect();
        met.windows(2).any(|pair| pair[0] != pair[1])
    });
    let changes = changes.count();
    html! {
        h2 #objectives {
            "Objectives"
            @if runs.len() > 1 { small { (changes) " of " (asked.len()) " came out differently" } }
        }
        @if asked.is_empty() { p.soft { "None were asked for: such a run passes if its generator kept up." } }
        @else {
            div.card.scroll { table {
                thead { tr {
                    th { "objective" }
                    @for (n, run) in runs.iter().enumerate() {
                        th { (dot(runs, n)) @if runs.len() > 1 { (run.label) } @else { "measured" } }
                        @if runs.len() == 1 { th.left style="width:26%" { "of what is allowed" } }
                        th {}
                    }
                    @if runs.len() > 1 { th { "difference" } th {} }
                } }
                tbody { @for text in &asked { (row(text)) } }
            } }
        }
    }
}

fn change(before: Option<&Judged>, now: Option<&Judged>) -> Markup {
    match (before.map(|j| j.met), now.map(|j| j.met)) {
        (Some(true), Some(false)) => html! { span.badge.bad { "newly missed" } },
        (Some(false), Some(true)) => html! { span.badge.good { "now met" } },
        (None, Some(_)) => html! { span.badge { "newly asked" } },
        (Some(_), None) => html! { span.badge { "no longer asked" } },
        _ => html! {},
    }
}

/// Quantiles of every spread.
pub(super) fn spread_table(runs: &[Run<'_>]) -> Markup {
    let known = METRICS.iter().filter(|m| m.is_spread);
    let rows: Vec<&Metric> = known
        .filter(|m| runs.iter().any(|r| r.outcome.spreads.get(m.name).is_some_and(|s| s.count > 0)))
        .collect();
    let empty = Spread::default();
    let of = |run: &Run<'_>, metric: &Metric, quantile: &str| {
        value_of(run.outcome.spreads.get(metric.name).unwrap_or(&empty), quantile)
    };
    html! {
        p {}
        div.card.scroll { table {
            @if let [before, now] = runs {
                thead { tr {
                    th { "spread" }
                    @for (_, words) in COMPARED { th { (dot(runs, 0)) (words) } th { (dot(runs, 1)) } th { "difference" } }
                } }
                tbody { @for metric in rows { tr {
                    td.name { (metric.name.replace('_', " ")) }
                    @for (name, _) in COMPARED {
                        @let (a, b) = (of(before, metric, name), of(now, metric, name));
                        td { (shown(metric.unit, a)) } td { (shown(metric.unit, b)) }
                        td { (difference(metric.name, metric.unit, a, b)) }
                    }
                } } }
            } @else {
                thead { tr { th { "spread" } @for (_, words) in SHOWN { th { (words) } } th { "values" } } }
                tbody { @for metric in rows { tr {
                    td.name { (metric.name.replace('_', " ")) span.about { (metric.about) } }
                    @for (name, _) in SHOWN { td { (shown(metric.unit, of(&runs[0], metric, name))) } }
                    td.soft { (Unit::Count.show(runs[0].outcome.spreads[metric.name].count as f64)) }
                } } }
            }
        } }
    }
}

/// Every figure that is one number.
pub(super) fn figures(runs: &[Run<'_>]) -> Markup {
    let known = METRICS.iter().filter(|m| !m.is_spread);
    let rows: Vec<&Metric> =
        known.filter(|m| runs.iter().any(|r| r.outcome.counts.contains_key(m.name))).collect();
    let of = |run: &Run<'_>, metric: &Metric| run.outcome.counts.get(metric.name).copied();
    html! {
        h2 #figures { "Figures" }
        div.card.scroll { table {
            thead { tr {
                th { "figure" }
                @for (n, run) in runs.iter().enumerate() { th { (dot(runs, n)) @if runs.len() > 1 { (run.label) } } }
                @if runs.len() > 1 { th { "difference" } } @else { th.left { "what it is" } }
            } }
            tbody { @for metric in rows { tr {
                td.name { (metric.name.replace('_', " ")) }
                @for run in runs { td { (shown(metric.unit, of(run, metric))) } }
                @if let [before, now] = runs {
                    td { (difference(metric.name, metric.unit, of(before, metric), of(now, metric))) }
                } @else { td.wrap { (metric.about) } }
            } } }
        } }
        @let ends: BTreeSet<&String> = runs.iter().flat_map(|run| run.outcome.ends.keys()).collect();
        @if !ends.is_empty() {
            h2 { "Sessions that ended unwanted" }
            div.card.scroll { table {
                thead { tr { th { "why" } @for (n, run) in runs.iter().enumerate() { th { (dot(runs, n)) @if runs.len() > 1 { (run.label) } } } } }
                tbody { @for why in ends { tr {
                    td.name { (why) }
                    @for run in runs { td { (run.outcome.ends.get(why).copied().unwrap_or(0)) } }
                } } }
            } }
        }
    }
}

/// Each group by itself.
pub(super) fn groups(runs: &[Run<'_>]) -> Markup {
    const COLUMNS: [(&str, &str); 7] = [
        ("input_state", "p50"),
        ("input_state", "p99"),
        ("snapshot_late", "p99"),
        ("edge", "p1"),
        ("join", "p99"),
        ("rtt", "p50"),
        ("client_down", "p50"),
    ];
    let figure = |spreads: &std::collections::BTreeMap<String, Spread>, (metric, quantile): (&str, &str)| {
        let unit = METRICS.iter().find(|m| m.name == metric).map_or(Unit::Count, |m| m.unit);
        shown(unit, spreads.get(metric).and_then(|spread| spread.quantile(quantile)))
    };
    html! {
        h2 #groups { "Groups" }
        div.card.scroll { table {
            thead { tr {
                th { "group" } th.left { "behaviour" } th.left { "carrier" } th.left { "line" } th { "clients" } th { "sessions" }
                @for (metric, quantile) in COLUMNS { th { (metric.replace('_', " ")) " " (quantile) } }
                th { "without chunk" }
            } }
            tbody { @for (n, run) in runs.iter().enumerate() { @for group in &run.outcome.groups { tr {
                td.name { (dot(runs, n)) (group.name) }
                td.left { (group.behaviour) } td.left { (group.carrier) } td.left { (group.link) }
                td { (group.clients) } td { (group.sessions) }
                @for column in COLUMNS { td { (figure(&group.spreads, column)) } }
                td { (shown(Unit::Count, group.counts.get("crossings_without_chunk").copied())) }
            } } } }
        } }
    }
}

/// Bytes by type of frame.
pub(super) fn frames(runs: &[Run<'_>]) -> Markup {
    let most =
        runs.iter().flat_map(|run| &run.outcome.frames).map(|f| f.down.max(f.up)).max().unwrap_or(0).max(1);
    let bar = |bytes: u64| format!("width:{:.2}%", bytes as f64 / most as f64 * 100.0);
    let names: BTreeSet<&String> = runs.iter().flat_map(|r| &r.outcome.frames).map(|f| &f.name).collect();
    let of = |run: &Run<'_>, name: &str| {
        let frame = run.outcome.frames.iter().find(|frame| frame.name == name);
        frame.map_or((0, 0), |frame| (frame.down, frame.up))
    };
    html! { @if !names.is_empty() {
        h2 #traffic { "Traffic" small { "bytes by type of frame, as clients counted them" } }
        div.card.scroll { table {
            thead { tr {
                th { "frame" } th style="width:30%" { "" }
                @for (n, _) in runs.iter().enumerate() { th { (dot(runs, n)) "down" } th { (dot(runs, n)) "up" } }
                @if runs.len() > 1 { th { "down" } th { "up" } }
            } }
            tbody { @for name in names { tr {
                td.name { (name) }
                td { @for (n, run) in runs.iter().enumerate() {
                    @let (down, up) = of(run, name);
                    div class={ "bar r" (n) } title="down" { i style=(bar(down)) {} }
                    @if runs.len() == 1 { div.bar.up title="up" { i style=(bar(up)) {} } }
                } }
                @for run in runs { @let (down, up) = of(run, name); td { (Unit::Bytes.show(down as f64)) } td { (Unit::Bytes.show(up as f64)) } }
                @if let [before, now] = runs {
                    @let (a, b) = (of(before, name), of(now, name));
                    td { (difference("bytes_down", Unit::Bytes, Some(a.0 as f64), Some(b.0 as f64))) }
                    td { (difference("bytes_up", Unit::Bytes, Some(a.1 as f64), Some(b.1 as f64))) }
                }
            } } }
        } }
    } }
}

/// What the emulated lines did.
pub(super) fn lines(runs: &[Run<'_>]) -> Markup {
    const COLUMNS: [&str; 6] = ["in", "out", "lost", "queue full", "outage", "picked"];
    html! { @if runs.iter().any(|run| !run.outcome.lines.is_empty()) {
        h2 #lines { "Emulated lines" small { "packets" } }
        div.card.scroll { table {
            thead { tr { th { "group" } th.left { "line" } th.left { "way" } @for name in COLUMNS { th { (name) } } } }
            tbody { @for (n, run) in runs.iter().enumerate() { @for line in &run.outcome.lines {
                @for (way, counts) in [("down", line.down), ("up", line.up)] { tr {
                    td.name { (dot(runs, n)) (line.group) } td.left { (line.line) } td.left { (way) }
                    @for count in counts { td { (Unit::Count.show(count as f64)) } }
                } }
            } } }
        } }
    } }
}

/// The server's tick table.
pub(super) fn server(runs: &[Run<'_>]) -> Markup {
    html! {
        h2 #server { "The server's own table" }
        @if runs.iter().all(|run| run.outcome.server.is_none()) {
            p.soft { "The server was not asked, or did not answer: start it with " code { "--metrics" } "." }
        }
        @for (n, Run { label, outcome }) in runs.iter().enumerate() { @if let Some(table) = &outcome.server {
            @if runs.len() > 1 { p { (dot(runs, n)) b { (label) } } }
            @let phases: Vec<(&str, &Spread, bool)> = std::iter::once(("tick", &table.tick_us, true))
                .chain(table.phases.iter().map(|phase| (phase.name.as_str(), &phase.time_us, false)))
                .chain([("starts late", &table.late_us, true), ("generate a chunk", &table.generate_us, true)])
                .collect();
            @let whole = table.tick_us.mean.max(1e-9);
            div.card.scroll { table {
                thead { tr { th { "phase" } th.left style="width:26%" { "of the mean tick" } @for (_, words) in &SHOWN[2..] { th { (words) } } } }
                tbody { @for (name, spread, is_own) in phases { tr {
                    td.name { @if !is_own { span.none { "└ " } } (name) }
                    td { @if !is_own || name == "tick" {
                        div class={ "bar r" (n) } { i style=(format!("width:{:.2}%", (spread.mean / whole).clamp(0.0, 1.0) * 100.0)) {} }
                    } }
                    @for (quantile, _) in &SHOWN[2..] { td { (shown(Unit::Time, value_of(spread, quantile))) } }
                } } }
            } }
            div.facts {
                span { b { (Unit::Count.show(table.ticks as f64)) } " ticks at " b { (table.tick_rate_hz) } " Hz" }
                span { b { (table.overruns) } " overruns, " (table.overruns_in_a_row_max) " in a row at most" }
                span { b { (table.skipped) } " skipped" }
                @for (thread, us) in &table.cpu_us_per_client_tick {
                    span { "CPU " (thread) " " b { (Unit::Time.show(*us)) } " a client and tick" }
                }
            }
            p {}
        } }
    }
}

/// Whether the generator can be believed.
pub(super) fn audit(runs: &[Run<'_>]) -> Markup {
    html! {
        h2 #audit { "Audit of the generator" small { "a run whose generator was late or lost datagrams says nothing of the server" } }
        div.card.scroll { table {
            thead { tr { th { "check" } th.left { "what it is" } th { "measured" } th {} } }
            tbody { @for (n, run) in runs.iter().enumerate() { @for check in &run.outcome.audit.checks { tr {
                td.name { (dot(runs, n)) (check.name.replace('_', " ")) }
                td.wrap { (check.about) }
                td { (check.shown) }
                td { @if !check.ok { span.badge.bad { "failed" } } @else if check.value.is_none() { span.badge { "unknown" } } @else { span.badge.good { "ok" } } }
            } } } }
        } }
    }
}

/// The server's counters, for whoever looks for one.
pub(super) fn counters(runs: &[Run<'_>]) -> Markup {
    let of =
        |outcome: &Outcome, name: &str| outcome.server.as_ref().and_then(|s| s.counters.get(name)).copied();
    let names: BTreeSet<&String> =
        runs.iter().filter_map(|run| run.outcome.server.as_ref()).flat_map(|s| s.counters.keys()).collect();
    html! { @if !names.is_empty() {
        p {}
        details.card {
            summary { "The server's counters, " (names.len()) " that counted something" }
            div.scroll { table {
                thead { tr {
                    th { "counter" }
                    @for (n, run) in runs.iter().enumerate() { th { (dot(runs, n)) @if runs.len() > 1 { (run.label) } } }
                    @if runs.len() > 1 { th { "difference" } }
                } }
                tbody { @for name in names { tr {
                    td.name { code { (name) } }
                    @for run in runs { td { (shown(Unit::Count, of(run.outcome, name).map(|n| n as f64))) } }
                    @if let [before, now] = runs {
                        @let (a, b) = (of(before.outcome, name).unwrap_or(0), of(now.outcome, name).unwrap_or(0));
                        td { (difference("crossings", Unit::Count, Some(a as f64), Some(b as f64))) }
                    }
                } } }
            } }
        }
    } }
}
