//! What is shown of a run.

use ninefold_client::protocol::time::Duration;

use crate::outcome::{Limits, Second};
use crate::run::Glimpse;
use crate::scenario::{Metric, Objective, StageKind, Unit};

/// A warning of the audit comes from such a part of its limit on.
const WARN_FROM: f64 = 0.5;
/// Seconds that charts look back at most.
pub(super) const LOOK_BACK_S: usize = 240;

/// A run as it is shown.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The scenario's name.
    pub name: String,
    /// The stage, and where it stands among all.
    pub stage: String,
    /// How much has passed.
    pub elapsed: Duration,
    /// How long it takes.
    pub length: Duration,
    /// Clients that can play.
    pub playing: u64,
    /// Clients that are to be there.
    pub wanted: u64,
    /// The last seconds, the oldest first.
    pub seconds: Vec<Second>,
    /// Counts of the whole run so far.
    pub sums: Sums,
    /// Objectives as they stand.
    pub standings: Vec<Standing>,
    /// What the generator's audit may come to.
    pub warnings: Vec<String>,
    /// The next faults, the nearest first: in how long, and what.
    pub faults: Vec<(Duration, String)>,
    /// Whether it was asked to end.
    pub is_ending: bool,
    /// Seconds that were taken already.
    taken: usize,
    worst: Worst,
}

/// Counts so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Sessions that came to play.
    pub joined: u64,
    /// Sessions that were lost.
    pub lost: u64,
    /// Chunks received.
    pub chunks: u64,
    /// Moves over a border.
    pub crossings: u64,
    /// Those into a chunk that was not there.
    pub crossings_without_chunk: u64,
    /// Corrections.
    pub corrections: u64,
    /// Overruns.
    pub overruns: u64,
    /// Bytes.
    pub bytes_down: u64,
    /// Bytes.
    pub bytes_up: u64,
}

/// The worst second of each figure so far.
#[derive(Debug, Clone, Copy, Default)]
struct Worst {
    input_state_p50_us: Option<f64>,
    input_state_p99_us: Option<f64>,
    snapshot_late_p99_us: Option<f64>,
    edge_min_us: Option<f64>,
    rtt_p50_us: Option<f64>,
    tick_p50_us: Option<f64>,
    tick_p99_us: Option<f64>,
    tick_max_us: Option<f64>,
    loss_down: Option<f64>,
    loss_up: Option<f64>,
    generator_late_p99_us: Option<f64>,
    generator_cpu: Option<f64>,
}

/// An objective before the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// As it was written.
    pub objective: String,
    /// What is known of it.
    pub shown: String,
    /// Whether it would be met; `None` where only the end tells.
    pub holds: Option<bool>,
}

fn most(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.map_or(b, |a| Some(b.map_or(a, |b| a.max(b))))
}

fn least(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.map_or(b, |a| Some(b.map_or(a, |b| a.min(b))))
}

impl Scene {
    /// Takes what is new.
    pub fn take(&mut self, glimpse: &Glimpse<'_>) {
        let Glimpse { scenario, elapsed, length, playing, wanted, seconds, .. } = *glimpse;
        self.name.clone_from(&scenario.name);
        (self.elapsed, self.length, self.playing, self.wanted) = (elapsed, length, playing, wanted);
        for second in seconds.iter().skip(self.taken) {
            self.sums.add(second);
            self.worst.add(second);
        }
        self.taken = seconds.len();
        self.seconds = seconds[seconds.len().saturating_sub(LOOK_BACK_S)..].to_vec();
        self.stage = stage(glimpse);
        let to_come = scenario.faults.iter().filter(|fault| fault.at.0 >= elapsed);
        self.faults = to_come.map(|f| (f.at.0 - elapsed, f.kind.name().to_owned())).collect();
        self.faults.sort_by_key(|(after, _)| *after);
        self.standings = scenario.objectives.iter().map(|objective| self.standing(objective)).collect();
        self.warnings = self.warnings();
    }

    /// How long it still takes.
    pub fn left(&self) -> Duration {
        self.length - self.elapsed
    }

    fn standing(&self, objective: &Objective) -> Standing {
        let (value, whose) = self.so_far(&objective.name);
        let Some(value) = value else {
            return Standing { objective: objective.to_string(), shown: "at the end".into(), holds: None };
        };
        Standing {
            objective: objective.to_string(),
            shown: format!("{}{whose}", unit_of(&objective.name).show(value)),
            holds: Some(objective.op.holds(value, objective.value)),
        }
    }

    /// What is known of a figure, and whose it is: a quantile of the whole run is not known before its end, that of
    /// its worst second is.
    fn so_far(&self, name: &str) -> (Option<f64>, &'static str) {
        let (sums, worst) = (&self.sums, &self.worst);
        let count = |n: u64| (Some(n as f64), "");
        let second = |value: Option<f64>| (value, ", worst second");
        match name {
            "crossings" => count(sums.crossings),
            "crossings_without_chunk" => count(sums.crossings_without_chunk),
            "crossings_with_chunk" => {
                let with = sums.crossings.saturating_sub(sums.crossings_without_chunk);
                ((sums.crossings > 0).then(|| with as f64 / sums.crossings as f64), "")
            }
            "corrections" => count(sums.corrections),
            "clients_lost" => count(sums.lost),
            "bytes_down" => count(sums.bytes_down),
            "bytes_up" => count(sums.bytes_up),
            "overruns" => count(sums.overruns),
            "input_state_p50" => second(worst.input_state_p50_us),
            "input_state_p99" => second(worst.input_state_p99_us),
            "snapshot_late_p99" => second(worst.snapshot_late_p99_us),
            "edge_min" | "edge_p1" => second(worst.edge_min_us),
            "rtt_p50" => second(worst.rtt_p50_us),
            "tick_p50" => second(worst.tick_p50_us),
            "tick_p99" => second(worst.tick_p99_us),
            "tick_max" => second(worst.tick_max_us),
            "loss_down" => second(worst.loss_down),
            "loss_up" => second(worst.loss_up),
            _ => (None, ""),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let limits = Limits::USUAL;
        let mut look = |what: &str, unit: Unit, value: Option<f64>, limit: f64| {
            if let Some(value) = value.filter(|value| *value > limit * WARN_FROM) {
                let (value, limit) = (unit.show(value), unit.show(limit));
                warnings.push(format!("{what} {value} in one second; in all {limit} at most"));
            }
        };
        let late = self.worst.generator_late_p99_us;
        look("ticks late by", Unit::Time, late, limits.late_p99_us);
        // A thread is busy well before it is too busy.
        let cpu = self.worst.generator_cpu.filter(|cpu| *cpu > limits.thread_cpu_share * 0.85);
        look("busiest thread at", Unit::Share, cpu, limits.thread_cpu_share);
        warnings
    }
}

impl Sums {
    fn add(&mut self, second: &Second) {
        self.joined += second.joined;
        self.lost += second.lost;
        self.chunks += second.chunks;
        self.crossings += second.crossings;
        self.crossings_without_chunk += second.crossings_without_chunk;
        self.corrections += second.corrections;
        self.overruns += second.overruns.unwrap_or(0);
        self.bytes_down += second.bytes_down;
        self.bytes_up += second.bytes_up;
    }
}

impl Worst {
    fn add(&mut self, s: &Second) {
        *self = Worst {
            input_state_p50_us: most(self.input_state_p50_us, s.input_state_p50_us),
            input_state_p99_us: most(self.input_state_p99_us, s.input_state_p99_us),
            snapshot_late_p99_us: most(self.snapshot_late_p99_us, s.snapshot_late_p99_us),
            edge_min_us: least(self.edge_min_us, s.edge_min_us),
            rtt_p50_us: most(self.rtt_p50_us, s.rtt_p50_us),
            tick_p50_us: most(self.tick_p50_us, s.tick_p50_us),
            tick_p99_us: most(self.tick_p99_us, s.tick_p99_us),
            tick_max_us: most(self.tick_max_us, s.tick_max_us),
            loss_down: most(self.loss_down, s.loss_down),
            loss_up: most(self.loss_up, s.loss_up),
            generator_late_p99_us: most(self.generator_late_p99_us, s.generator_late_p99_us),
            generator_cpu: most(self.generator_cpu, s.generator_cpu),
        };
    }
}

fn unit_of(name: &str) -> Unit {
    Metric::of(name).map_or(Unit::Count, |(metric, _)| metric.unit)
}

fn stage(glimpse: &Glimpse<'_>) -> String {
    let stages = &glimpse.scenario.stages;
    let mut until = Duration::ZERO;
    for (n, stage) in stages.iter().enumerate() {
        until = until + stage.seconds.0;
        if glimpse.elapsed < until {
            let word = match stage.kind {
                StageKind::Ramp => "ramp",
                StageKind::Hold => "hold",
                StageKind::Spike => "spike",
                StageKind::Drain => "drain",
            };
            return format!("{word} {}/{}", n + 1, stages.len());
        }
    }
    "coming home".into()
}
