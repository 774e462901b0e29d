//! A run for people: the line while it goes, and the summary with the verdict on its last line.

use std::fmt::{self, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::board::Glimpse;
use crate::outcome::{GroupOutcome, Outcome, ServerTable, Spread, Verdict};
use crate::scenario::{METRICS, Unit};

/// The quantiles of a row of spreads, and what stands over them.
const TAIL: [(&str, &str); 6] =
    [("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p999", "p99.9"), ("p9999", "p99.99"), ("max", "max")];
/// The same for what is bad when it is small.
const HEAD: [(&str, &str); 6] =
    [("min", "min"), ("p1", "p1"), ("p10", "p10"), ("p50", "p50"), ("p75", "p75"), ("p90", "p90")];
const NAME_WIDTH: usize = 24;
const VALUE_WIDTH: usize = 10;

/// A line that tells how far a run is; nothing where nobody looks.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `quiet`: nothing at all.
    pub fn new(quiet: bool) -> Progress {
        let bar = ProgressBar::new(0);
        if quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{elapsed:>4} {bar:24} {msg}");
        bar.set_style(style.expect("the template is a constant").progress_chars("━╸─"));
        Progress { bar }
    }

    /// Draws it.
    pub fn look(&mut self, glimpse: &Glimpse<'_>) {
        self.bar.set_length(glimpse.length.as_ms());
        self.bar.set_position(glimpse.elapsed.as_ms().min(glimpse.length.as_ms()));
        self.bar.set_message(line(glimpse));
    }

    /// Takes it away.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn line(glimpse: &Glimpse<'_>) -> String {
    let left = glimpse.length.as_ms().saturating_sub(glimpse.elapsed.as_ms()).div_ceil(1_000);
    let mut line = format!("{left} s left, {}/{} play", glimpse.playing, glimpse.wanted);
    let Some(second) = glimpse.seconds.last() else { return line };
    let time = |value: Option<f64>| value.map_or("-".to_owned(), |us| Unit::Time.show(us));
    let _ = write!(
        line,
        ", input to state {} / {}, tick p99 {}, down {}, {} crossings",
        time(second.input_state_p50_us),
        time(second.input_state_p99_us),
        time(second.tick_p99_us),
        Unit::BytesPerSecond.show(second.bytes_down as f64),
        second.crossings,
    );
    line
}

/// The whole summary.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_asked(f)?;
        self.write_spreads(f)?;
        self.write_counts(f)?;
        if self.groups.len() > 1 {
            write_groups(f, &self.groups)?;
        }
        if let Some(table) = &self.server {
            write_server(f, table)?;
        }
        self.write_verdict(f)
    }
}

impl Outcome {
    fn write_asked(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (asked, run, machine) = (&self.scenario, &self.run, &self.machine);
        writeln!(f, "{}: {}", asked.name, asked.about)?;
        let groups = self.groups.iter().map(|group| {
            let line = if group.link == "none" { String::new() } else { format!(" over {}", group.link) };
            format!("{} {} ({}{line})", group.clients, group.behaviour, group.carrier)
        });
        let time = |seconds: f64| Unit::Time.show(seconds * 1e6);
        writeln!(f, "  asked    {}; seed {}, {}", list(groups), asked.seed, time(asked.length_s))?;
        for fault in &asked.faults {
            let group = fault.group.as_ref().map_or(String::new(), |group| format!(" of {group}"));
            let long = if fault.for_s > 0.0 { format!(" for {}", time(fault.for_s)) } else { String::new() };
            writeln!(f, "           at {}: {}{group}{long}", time(fault.at_s), fault.kind)?;
        }
        let build = if machine.optimised { "optimised" } else { "NOT optimised: its times say little" };
        writeln!(f, "  server   {}; clients on {} threads", run.server, run.threads)?;
        writeln!(f, "  machine  {}, {} cores, {}; {build}", machine.cpu, machine.cores, machine.os)
    }

    fn write_spreads(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        heads(f, "", &TAIL)?;
        let rows = [
            ("input to state, ms", "input_state", 1e3, 1),
            ("snapshot late, ms", "snapshot_late", 1e3, 1),
            ("chunk complete, ms", "chunk_complete", 1e3, 1),
            ("crossing to usable, ms", "enter_usable", 1e3, 1),
            ("teleport to usable, ms", "teleport_usable", 1e3, 1),
            ("join to playable, ms", "join", 1e3, 1),
            ("round trip, ms", "rtt", 1e3, 1),
            ("correction, units", "correction", 1.0, 2),
            ("down a client, kB/s", "client_down", 1e3, 1),
            ("up a client, kB/s", "client_up", 1e3, 1),
        ];
        for (name, metric, unit, digits) in rows {
            debug_assert!(METRICS.iter().any(|known| known.name == metric), "{metric}");
            if let Some(spread) = self.spreads.get(metric) {
                row(f, name, spread, &TAIL, unit, digits)?;
            }
        }
        if let Some(edge) = self.spreads.get("edge") {
            writeln!(f)?;
            heads(f, "", &HEAD)?;
            row(f, "edge of the world in, s", edge, &HEAD, 1e6, 2)?;
        }
        Ok(())
    }

    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |name: &str| Unit::Count.show(self.counts.get(name).copied().unwrap_or(0.0));
        let share =
            |name: &str| self.counts.get(name).map_or("-".to_owned(), |share| Unit::Share.show(*share));
        writeln!(f)?;
        writeln!(
            f,
            "  sessions   {} begun, {} played, {} failed to, {} lost",
            n("sessions"),
            n("joined"),
            n("joins_failed"),
            n("clients_lost")
        )?;
        for (why, times) in &self.ends {
            writeln!(f, "             {times} times: {why}")?;
        }
        writeln!(
            f,
            "  crossings  {}, {} of them with the chunk there; {} client ticks without one",
            n("crossings"),
            share("crossings_with_chunk"),
            n("ticks_without_chunk")
        )?;
        writeln!(
            f,
            "  chunks     {} received, {} wrong, {} not to be had; {} fragments again, {} made up by parity",
            n("chunks"),
            n("chunks_wrong"),
            n("chunks_unavailable"),
            n("fragments_resent"),
            n("parity_used")
        )?;
        writeln!(
            f,
            "  snapshots  {}, {} of them at most a tick late; {} corrections in {} inputs",
            n("snapshots"),
            share("snapshots_on_time"),
            n("corrections"),
            n("inputs")
        )?;
        writeln!(
            f,
            "  packets    {} of those down were lost, {} of those up",
            share("loss_down"),
            share("loss_up")
        )?;
        let bytes = |name: &str| Unit::Bytes.show(self.counts.get(name).copied().unwrap_or(0.0));
        writeln!(f, "  bytes      {} down: {}", bytes("bytes_down"), self.shares(|frame| frame.down))?;
        writeln!(f, "             {} up: {}", bytes("bytes_up"), self.shares(|frame| frame.up))?;
        if self.run.memory_bytes_per_client > 0 {
            let memory = Unit::Bytes.show(self.run.memory_bytes_per_client as f64);
            writeln!(f, "  memory     {memory} a client")?;
        }
        Ok(())
    }

    /// Types of frame with their part of all bytes.
    fn shares(&self, bytes: impl Fn(&crate::outcome::FrameBytes) -> u64) -> String {
        let all: u64 = self.frames.iter().map(&bytes).sum();
        let shares = self.frames.iter().filter(|frame| bytes(frame) > 0).map(|frame| {
            format!("{} {}", frame.name, Unit::Share.show(bytes(frame) as f64 / all.max(1) as f64))
        });
        list(shares)
    }

    fn write_verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |ok: bool| if ok { "✓" } else { "✗" };
        if !self.objectives.is_empty() {
            writeln!(f, "\n  objectives")?;
        }
        for judged in &self.objectives {
            writeln!(f, "    {} {:<36} {}", mark(judged.met), judged.objective, judged.shown)?;
        }
        writeln!(f, "\n  the generator itself")?;
        for check in &self.audit.checks {
            writeln!(f, "    {} {:<16} {}", mark(check.ok), check.name, check.shown)?;
        }
        writeln!(f)?;
        match self.verdict {
            Verdict::Passed if self.objectives.is_empty() => write!(f, "PASSED: no objectives were set"),
            Verdict::Passed => write!(f, "PASSED: all {} objectives were met", self.objectives.len()),
            Verdict::Missed => write!(f, "MISSED: {}", self.reasons.join("; ")),
            Verdict::Invalid => {
                write!(f, "INVALID: the generator cannot be believed: {}", self.reasons.join("; "))
            }
        }
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn heads(f: &mut fmt::Formatter<'_>, name: &str, quantiles: &[(&str, &str)]) -> fmt::Result {
    write!(f, "  {name:<NAME_WIDTH$}")?;
    quantiles.iter().try_for_each(|(_, head)| write!(f, "{head:>VALUE_WIDTH$}"))?;
    writeln!(f)
}

fn row(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    spread: &Spread,
    quantiles: &[(&str, &str)],
    unit: f64,
    digits: usize,
) -> fmt::Result {
    write!(f, "  {name:<NAME_WIDTH$}")?;
    for (quantile, _) in quantiles {
        match spread.quantile(quantile) {
            Some(value) => write!(f, "{:>VALUE_WIDTH$.digits$}", value / unit)?,
            None => write!(f, "{:>VALUE_WIDTH$}", "-")?,
        }
    }
    writeln!(f)
}

fn write_groups(f: &mut fmt::Formatter<'_>, groups: &[GroupOutcome]) -> fmt::Result {
    writeln!(f)?;
    let columns = ["clients", "lost", "input p50", "input p99", "chunk p99", "edge p1", "down p50"];
    write!(f, "  {:<NAME_WIDTH$}", "by group")?;
    columns.iter().try_for_each(|column| write!(f, "{column:>VALUE_WIDTH$}"))?;
    writeln!(f)?;
    for group in groups {
        write!(f, "  {:<NAME_WIDTH$}{:>VALUE_WIDTH$}", group.name, group.clients)?;
        let lost = group.counts.get("clients_lost").copied().unwrap_or(0.0);
        write!(f, "{:>VALUE_WIDTH$}", Unit::Count.show(lost))?;
        for (metric, quantile, unit) in [
            ("input_state", "p50", Unit::Time),
            ("input_state", "p99", Unit::Time),
            ("chunk_complete", "p99", Unit::Time),
            ("edge", "p1", Unit::Time),
            ("client_down", "p50", Unit::BytesPerSecond),
        ] {
            let value = group.spreads.get(metric).and_then(|spread| spread.quantile(quantile));
            write!(f, "{:>VALUE_WIDTH$}", value.map_or("-".into(), |value| unit.show(value)))?;
        }
        writeln!(f)?;
    }
    Ok(())
}

fn write_server(f: &mut fmt::Formatter<'_>, table: &ServerTable) -> fmt::Result {
    writeln!(f)?;
    heads(f, &format!("the server's {} ticks, us", Unit::Count.show(table.ticks as f64)), &TAIL)?;
    row(f, "tick", &table.tick_us, &TAIL, 1.0, 0)?;
    for phase in &table.phases {
        row(f, &format!("  {}", phase.name), &phase.time_us, &TAIL, 1.0, 0)?;
    }
    row(f, "starts late", &table.late_us, &TAIL, 1.0, 0)?;
    row(f, "generate a chunk", &table.generate_us, &TAIL, 1.0, 0)?;
    let cpu = table.cpu_us_per_client_tick.iter().map(|(thread, us)| format!("{thread} {us:.2}"));
    writeln!(
        f,
        "  {} overruns ({} in a row), {} ticks skipped; CPU us a client and tick: {}",
        Unit::Count.show(table.overruns as f64),
        table.overruns_in_a_row_max,
        table.skipped,
        list(cpu)
    )
}
