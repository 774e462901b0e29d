//! The plots of a run: each second, and how figures spread.

use super::figures::{Better, better};
use super::plot::{Along, Limit, Plot, Series, curve, curve_down, rounded, scenery, unit_name};
use super::report::Run;
use crate::outcome::{Outcome, Second, Spread};
use crate::scenario::{METRICS, Metric, Unit};

/// A value whose ninety-ninth of a hundred is so many times the middle one is looked at in powers of ten.
const LOG_FROM: f64 = 8.0;
/// Groups that have a curve of their own beside that of all.
const GROUP_CURVES_MAX: usize = 4;

/// A line of a plot over time.
struct Line {
    label: &'static str,
    of: fn(&Second) -> Option<f64>,
    /// Behind the others, or what was wanted.
    is_faint: bool,
    is_dashed: bool,
}

const fn line(label: &'static str, of: fn(&Second) -> Option<f64>) -> Line {
    Line { label, of, is_faint: false, is_dashed: false }
}

const fn faint(label: &'static str, of: fn(&Second) -> Option<f64>) -> Line {
    Line { label, of, is_faint: true, is_dashed: false }
}

const fn dashed(label: &'static str, of: fn(&Second) -> Option<f64>) -> Line {
    Line { label, of, is_faint: true, is_dashed: true }
}

/// A plot over time.
struct Track {
    title: &'static str,
    about: &'static str,
    unit: Unit,
    lines: &'static [Line],
    /// Objectives on this figure are shown as its limit.
    figure: &'static str,
}

const fn track(title: &'static str, about: &'static str, unit: Unit, lines: &'static [Line]) -> Track {
    Track { title, about, unit, lines, figure: "" }
}

impl Track {
    const fn of(self, figure: &'static str) -> Track {
        Track { figure, ..self }
    }
}

fn count(number: u64) -> Option<f64> {
    Some(number as f64)
}

const TRACKS: &[Track] = &[
    track(
        "Clients",
        "that can play",
        Unit::Count,
        &[line("there", |s| count(s.clients)), dashed("wanted", |s| count(s.clients_wanted))],
    ),
    track(
        "Input to state",
        "from the moment an input was due",
        Unit::Time,
        &[line("p50", |s| s.input_state_p50_us), line("p99", |s| s.input_state_p99_us)],
    )
    .of("input_state"),
    track("Snapshots late", "", Unit::Time, &[line("p99", |s| s.snapshot_late_p99_us)]).of("snapshot_late"),
    track(
        "Server tick",
        "",
        Unit::Time,
        &[line("p50", |s| s.tick_p50_us), line("p99", |s| s.tick_p99_us), faint("max", |s| s.tick_max_us)],
    )
    .of("tick"),
    track("Seconds to the edge", "the least of all clients", Unit::Time, &[line("min", |s| s.edge_min_us)])
        .of("edge"),
    track(
        "Crossings",
        "of chunk borders",
        Unit::Count,
        &[
            faint("all", |s| count(s.crossings)),
            line("chunk not there", |s| count(s.crossings_without_chunk)),
        ],
    ),
    track(
        "Traffic",
        "of all clients",
        Unit::BytesPerSecond,
        &[line("down", |s| count(s.bytes_down)), line("up", |s| count(s.bytes_up))],
    ),
    track("Chunks received", "", Unit::Count, &[line("chunks", |s| count(s.chunks))]),
    track("Loss", "of packets", Unit::Share, &[line("down", |s| s.loss_down), line("up", |s| s.loss_up)]),
    track("Round trip", "", Unit::Time, &[line("p50", |s| s.rtt_p50_us)]).of("rtt"),
    track("Corrections", "of predictions", Unit::Count, &[line("corrections", |s| count(s.corrections))]),
    track(
        "Sessions",
        "",
        Unit::Count,
        &[line("came to play", |s| count(s.joined)), line("lost", |s| count(s.lost))],
    ),
    track(
        "Overruns",
        "ticks beyond their period",
        Unit::Count,
        &[line("overruns", |s| s.overruns.map(|n| n as f64))],
    ),
    track(
        "Server memory",
        "of its process, and what it counts itself",
        Unit::Bytes,
        &[line("process", |s| s.server_resident_bytes), faint("counted", |s| s.server_counted_bytes)],
    ),
    track(
        "Generator late",
        "how late its own ticks began",
        Unit::Time,
        &[line("p99", |s| s.generator_late_p99_us)],
    ),
    track(
        "Generator CPU",
        "its busiest thread, of a core",
        Unit::Share,
        &[line("core", |s| s.generator_cpu)],
    ),
];

/// What happened each second, of one run or of two over each other.
pub(super) fn over_time(runs: &[Run<'_>]) -> Vec<Plot> {
    let (bands, marks) = scenery(runs[0].outcome);
    let plot = |track: &Track| Plot {
        title: track.title.to_owned(),
        about: track.about.to_owned(),
        unit: unit_name(track.unit),
        sync: "time",
        near: track.unit == Unit::Share,
        series: runs.iter().enumerate().flat_map(|(n, run)| lines(track, n, run, runs.len() > 1)).collect(),
        bands: bands.clone(),
        marks: marks.clone(),
        limit: limit_of(track.figure, runs[0].outcome),
        ..Plot::default()
    };
    TRACKS.iter().map(plot).filter(Plot::has_values).collect()
}

fn lines<'t>(
    track: &'t Track,
    number: usize,
    run: &'t Run<'_>,
    is_one_of_two: bool,
) -> impl Iterator<Item = Series> + use<'t> {
    let series = &run.outcome.series;
    track.lines.iter().enumerate().map(move |(tone, line)| Series {
        label: if is_one_of_two { format!("{} {}", run.label, line.label) } else { line.label.to_owned() },
        run: is_one_of_two.then_some(number),
        tone: if line.is_dashed { 4 } else { tone },
        x: series.iter().map(|second| second.at_s as f64).collect(),
        y: series.iter().map(|second| (line.of)(second).map(rounded)).collect(),
        dash: line.is_dashed,
        faint: line.is_faint,
        fill: tone == 0 && !is_one_of_two && track.lines.len() < 3 && !line.is_faint,
        ..Series::default()
    })
}

/// How each figure spreads: the value that so many stay below.
pub(super) fn spreads(runs: &[Run<'_>]) -> Vec<Plot> {
    let plot = |metric: &Metric| {
        let own: Vec<(usize, &Run<'_>, &Spread)> = (runs.iter().enumerate())
            .filter_map(|(n, run)| {
                Some((n, run, run.outcome.spreads.get(metric.name).filter(|s| s.count > 0)?))
            })
            .collect();
        let mut series: Vec<Series> = own
            .iter()
            .map(|(n, run, spread)| {
                let is_one_of_two = runs.len() > 1;
                let label = if is_one_of_two { run.label.clone() } else { "all".to_owned() };
                of_spread(metric.name, label, is_one_of_two.then_some(*n), 0, spread)
            })
            .collect();
        if let [run] = runs {
            series.extend(of_groups(metric.name, run.outcome));
        }
        let first = own.first().map(|(_, _, spread)| *spread);
        Plot {
            title: metric.name.replace('_', " "),
            about: metric.about.to_owned(),
            unit: unit_name(metric.unit),
            x: Along::Quantile,
            sync: if is_low(metric.name) { "low" } else { "quantile" },
            low: is_low(metric.name),
            series,
            limit: first.and_then(|_| limit_of(metric.name, runs[0].outcome)),
            log: first.is_some_and(is_wide),
            ..Plot::default()
        }
    };
    METRICS.iter().filter(|metric| metric.is_spread).map(plot).filter(Plot::has_values).collect()
}

fn of_spread(metric: &str, label: String, run: Option<usize>, tone: usize, spread: &Spread) -> Series {
    let (x, y) = if is_low(metric) { curve_down(spread) } else { curve(spread) };
    Series { label, run, tone, x, y, step: true, ..Series::default() }
}

fn of_groups(metric: &str, outcome: &Outcome) -> Vec<Series> {
    if outcome.groups.len() < 2 {
        return Vec::new();
    }
    let known = outcome.groups.iter().filter_map(|group| Some((group, group.spreads.get(metric)?)));
    let some = known.filter(|(_, spread)| spread.count > 0).take(GROUP_CURVES_MAX).enumerate();
    some.map(|(n, (group, spread))| Series {
        dash: true,
        ..of_spread(metric, group.name.clone(), None, n + 1, spread)
    })
    .collect()
}

/// The objective on a quantile of this figure, if there is one.
fn limit_of(metric: &str, outcome: &Outcome) -> Option<Limit> {
    let is_of = |name: &str| name.rsplit_once('_').is_some_and(|(spread, _)| spread == metric);
    let judged = outcome.objectives.iter().find(|judged| is_of(&judged.name))?;
    Some(Limit { value: judged.limit, label: judged.objective.clone() })
}

/// Whether small values are the bad ones.
fn is_low(metric: &str) -> bool {
    better(metric) == Better::More
}

fn is_wide(spread: &Spread) -> bool {
    let quantiles = (spread.quantile("p50"), spread.quantile("p999").or(spread.quantile("max")));
    matches!(quantiles, (Some(middle), Some(high)) if middle > 0.0 && high / middle > LOG_FROM)
}
