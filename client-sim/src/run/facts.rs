//! From what was counted to the outcome: the server's meter, and the figures under their names.

use std::collections::BTreeMap;

use ninefold::telemetry::State;
use ninefold::telemetry::state::Figures;
use ninefold_client::protocol::time::Duration;

use super::board::Seconds;
use crate::outcome::{
    FaultFacts, FrameBytes, GroupOutcome, PhaseTable, Recorder, ScenarioFacts, ServerTable, Spread,
    StageFacts,
};
use crate::player::{Counts, Spreads, Tally};
use crate::scenario::{Cast, Fault, FaultKind, Scenario};
use crate::swarm::Carrier;

/// What the server told in the course of a run, over all times that it was started.
#[derive(Debug)]
pub struct Meter {
    /// The first state of the server as it runs now; what it had counted by then was not ours.
    base: Option<State>,
    latest: Option<State>,
    tick_ns: Recorder,
    late_us: Recorder,
    ticks: u64,
    overruns: u64,
    overruns_in_a_row: u64,
    overruns_in_a_row_max: u64,
    client_ticks: u64,
    skipped: u64,
    last_tick: u64,
    counters: BTreeMap<String, u64>,
    cpu_s: BTreeMap<String, f64>,
    /// Whether the server began with the run.
    is_fresh: bool,
}

impl Meter {
    /// `is_fresh`: the server begins with the run, and all that it has counted counts.
    pub fn new(is_fresh: bool) -> Meter {
        Meter {
            base: None,
            latest: None,
            // Nanoseconds, told in microseconds.
            tick_ns: Recorder::thousandths(),
            late_us: Recorder::default(),
            ticks: 0,
            overruns: 0,
            overruns_in_a_row: 0,
            overruns_in_a_row_max: 0,
            client_ticks: 0,
            skipped: 0,
            last_tick: 0,
            counters: BTreeMap::new(),
            cpu_s: BTreeMap::new(),
            is_fresh,
        }
    }

    /// The last tick that it knows of.
    pub fn last_tick(&self) -> u64 {
        self.last_tick
    }

    /// Takes a state that was asked for at `elapsed` of the run.
    pub fn take(&mut self, state: State, elapsed: Duration, seconds: &mut Seconds) {
        let uptime_us = (state.server.uptime_s * 1e6) as u64;
        for tick in state.ticks.recent.iter().filter(|tick| tick.number > self.last_tick) {
            let ago_us = uptime_us.saturating_sub(tick.began_us);
            let Some(at_us) = elapsed.as_us().checked_sub(ago_us) else { continue };
            let ns = (tick.total_us * 1e3) as u64;
            let is_overrun = tick.total_us > state.server.budget_us as f64;
            self.tick_ns.record(ns);
            self.late_us.record(tick.lateness_us);
            self.ticks += 1;
            self.client_ticks += u64::from(tick.clients);
            self.overruns += u64::from(is_overrun);
            self.overruns_in_a_row = if is_overrun { self.overruns_in_a_row + 1 } else { 0 };
            self.overruns_in_a_row_max = self.overruns_in_a_row_max.max(self.overruns_in_a_row);
            seconds.tick(Duration::from_us(at_us), ns, is_overrun);
        }
        self.last_tick = state.ticks.recent.last().map_or(self.last_tick, |tick| tick.number);
        if self.base.is_none() && !self.is_fresh {
            self.base = Some(state.clone());
        }
        self.latest = Some(state);
    }

    /// The server is gone: another one will count from zero.
    pub fn server_has_gone(&mut self) {
        let (base, latest) = (self.base.take().unwrap_or_default(), self.latest.clone().unwrap_or_default());
        let before = flat(&base);
        for (name, count) in flat(&latest) {
            let since = count.saturating_sub(before.get(&name).copied().unwrap_or(0));
            *self.counters.entry(name).or_default() += since;
        }
        for (thread, cpu_s) in &latest.server.cpu_s {
            let since = cpu_s - base.server.cpu_s.get(thread).copied().unwrap_or(0.0);
            *self.cpu_s.entry(thread.clone()).or_default() += since.max(0.0);
        }
        self.skipped += latest.ticks.skipped.saturating_sub(base.ticks.skipped);
        (self.last_tick, self.is_fresh) = (0, true);
    }

    /// The table of all of it; `None` where the server never told anything.
    pub fn table(mut self) -> Option<ServerTable> {
        let mut latest = self.latest.clone()?;
        self.server_has_gone();
        let client_ticks = self.client_ticks.max(1) as f64;
        let phases = latest.ticks.phases.iter();
        let phases = phases
            .map(|phase| PhaseTable { name: phase.name.clone(), time_us: spread(&phase.time_us) })
            .collect();
        let (tick_rate_hz, generate_us) = (latest.server.tick_rate_hz, spread(&latest.chunks.generate_us));
        // They are in the spreads already.
        latest.ticks.recent.clear();
        Some(ServerTable {
            tick_rate_hz,
            ticks: self.ticks,
            overruns: self.overruns,
            overruns_in_a_row_max: self.overruns_in_a_row_max,
            skipped: self.skipped,
            tick_us: self.tick_ns.spread(),
            late_us: self.late_us.spread(),
            phases,
            generate_us,
            cpu_us_per_client_tick: (self.cpu_s.into_iter())
                .map(|(thread, cpu_s)| (thread, cpu_s * 1e6 / client_ticks))
                .collect(),
            counters: self.counters.into_iter().filter(|(_, count)| *count > 0).collect(),
            state: serde_json::to_value(&latest).ok(),
        })
    }
}

fn flat(state: &State) -> BTreeMap<String, u64> {
    let parts = state.counters.iter();
    parts.flat_map(|(part, all)| all.iter().map(move |(name, n)| (format!("{part}.{name}"), *n))).collect()
}

/// Figures of the server as a spread without buckets.
fn spread(figures: &Figures) -> Spread {
    let Figures { count, mean, p50, p90, p99, p999, p9999, max } = *figures;
    if count == 0 {
        return Spread::default();
    }
    let named = [("p50", p50), ("p90", p90), ("p99", p99), ("p999", p999), ("p9999", p9999), ("max", max)];
    let quantiles = named.map(|(name, value)| (name.to_owned(), value)).into();
    Spread { count, mean, quantiles, buckets: Vec::new() }
}

/// Spreads by name; those without any value are left out.
pub fn named_spreads(spreads: &Spreads) -> BTreeMap<String, Spread> {
    let each = spreads.each().filter(|(_, recorder)| recorder.count() > 0);
    each.map(|(name, recorder)| (name.to_owned(), recorder.spread())).collect()
}

/// Counts by the names that objectives use.
pub fn named_counts(counts: &Counts) -> BTreeMap<String, f64> {
    let n = |count: u64| count as f64;
    let share = |part: u64, of: u64| (of > 0).then(|| part.min(of) as f64 / of as f64);
    let mut named: BTreeMap<String, f64> = [
        ("crossings", n(counts.crossings)),
        ("crossings_without_chunk", n(counts.crossings_without_chunk)),
        ("ticks_without_chunk", n(counts.ticks_without_chunk)),
        ("corrections", n(counts.corrections)),
        ("clients_lost", n(counts.lost)),
        ("joins_failed", n(counts.joins_failed)),
        ("chunks_wrong", n(counts.chunks_wrong)),
        ("chunks_unavailable", n(counts.chunks_unavailable)),
        ("bytes_down", n(counts.bytes_down)),
        ("bytes_up", n(counts.bytes_up)),
        ("sessions", n(counts.sessions)),
        ("joined", n(counts.joined)),
        ("teleports", n(counts.teleports)),
        ("chunks", n(counts.chunks)),
        ("inputs", n(counts.inputs)),
        ("snapshots", n(counts.snapshots)),
        ("datagrams_down", n(counts.datagrams_in)),
        ("datagrams_up", n(counts.datagrams_out)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let with = counts.crossings - counts.crossings_without_chunk.min(counts.crossings);
    let lost_down = counts.packets_down.saturating_sub(counts.packets_down_came);
    for (name, value) in [
        ("crossings_with_chunk", share(with, counts.crossings)),
        ("snapshots_on_time", share(counts.snapshots_on_time, counts.snapshots + counts.snapshots_old)),
        ("loss_down", share(lost_down, counts.packets_down)),
        ("loss_up", share(counts.packets_up_lost, counts.packets_up)),
    ] {
        named.extend(value.map(|value| (name.to_owned(), value)));
    }
    named
}

/// What the server's table adds to the figures.
pub fn of_the_server(
    table: &ServerTable,
    spreads: &mut BTreeMap<String, Spread>,
    counts: &mut BTreeMap<String, f64>,
) {
    for (name, spread) in
        [("tick", &table.tick_us), ("tick_late", &table.late_us), ("generate", &table.generate_us)]
    {
        if spread.count > 0 {
            spreads.insert(name.to_owned(), spread.clone());
        }
    }
    let counter = |name: &str| table.counters.get(name).copied().unwrap_or(0) as f64;
    counts.extend(
        [
            ("overruns", table.overruns as f64),
            ("ticks_skipped", table.skipped as f64),
            ("server_cpu_per_client_tick", table.cpu_us_per_client_tick.values().sum()),
            ("parity_used", counter("tick.parity_used")),
            ("fragments_resent", counter("tick.fragments_resent")),
            ("panics", counter("chunks.panics")),
        ]
        .map(|(name, value): (&str, f64)| (name.to_owned(), value)),
    );
}

/// Bytes by type of frame.
pub fn frames(counts: &Counts) -> Vec<FrameBytes> {
    let Counts { fragment_bytes_in, snapshot_bytes_in, event_bytes_in, input_bytes_out, .. } = *counts;
    let known_down = fragment_bytes_in + snapshot_bytes_in + event_bytes_in;
    [
        ("fragment", fragment_bytes_in, 0),
        ("snapshot", snapshot_bytes_in, 0),
        ("event", event_bytes_in, 0),
        ("inputs", 0, input_bytes_out),
        (
            "other",
            counts.bytes_down.saturating_sub(known_down),
            counts.bytes_up.saturating_sub(input_bytes_out),
        ),
    ]
    .map(|(name, down, up)| FrameBytes { name: name.to_owned(), down, up })
    .into()
}

/// The groups with what each measured.
pub fn groups(scenario: &Scenario, cast: &Cast, tally: &Tally) -> Vec<GroupOutcome> {
    let groups = scenario.groups.iter().zip(&tally.groups).enumerate();
    let clients = |n: usize| cast.parts.iter().filter(|part| part.group == n).count() as u64;
    groups
        .map(|(n, (group, tally))| GroupOutcome {
            name: group.name.clone(),
            behaviour: group.behaviour.name().to_owned(),
            carrier: match group.carrier {
                Carrier::Udp => "udp",
                Carrier::Quic => "quic",
                Carrier::Mixed => "mixed",
            }
            .to_owned(),
            link: group.link.name().to_owned(),
            clients: clients(n),
            sessions: tally.counts.sessions,
            spreads: named_spreads(&tally.spreads),
            counts: named_counts(&tally.counts),
        })
        .collect()
}

/// What was asked.
pub fn scenario(scenario: &Scenario) -> ScenarioFacts {
    let seconds = |time: Duration| time.as_us() as f64 / 1e6;
    let mut at = Duration::ZERO;
    let stages = (scenario.stages.iter())
        .map(|stage| {
            let from = at;
            at = at + stage.seconds.0;
            StageFacts {
                kind: format!("{:?}", stage.kind).to_lowercase(),
                from_s: seconds(from),
                to_s: seconds(at),
                target: f64::from(stage.target().millionths()) / 1e6,
            }
        })
        .collect();
    let fault = |fault: &Fault| FaultFacts {
        at_s: seconds(fault.at.0),
        kind: fault.kind.name().to_owned(),
        group: fault.group.clone(),
        for_s: match fault.kind {
            FaultKind::Outage { seconds: long }
            | FaultKind::KillServer { seconds: long }
            | FaultKind::RestartServer { seconds: long }
            | FaultKind::SlowGenerator { seconds: long, .. }
            | FaultKind::PanickingGenerator { seconds: long, .. } => seconds(long.0),
            FaultKind::StalledTick { ms } | FaultKind::ClockJump { ms } => f64::from(ms) / 1e3,
            _ => 0.0,
        },
    };
    ScenarioFacts {
        name: scenario.name.clone(),
        about: scenario.about.clone(),
        seed: scenario.seed,
        clients: scenario.clients(),
        length_s: seconds(scenario.length()),
        stages,
        faults: scenario.faults.iter().map(fault).collect(),
        text: scenario.text.clone(),
    }
}
