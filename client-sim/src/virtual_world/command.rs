//! `ninefold-sim virtual`: one seed, many seeds, or the place where two builds part.

use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::Context;
use clap::{Args, value_parser};

use super::bisect::{Comparison, Log};
use super::digest::Digest;
use super::plan::Plan;
use super::run::{Manner, Nobody, Outcome, Witness, run};
use super::sweep::{Swept, sweep};
use super::world::World;
use crate::scenario::Scenario;

/// Something was that must not be, or two builds part.
const EXIT_VIOLATED: u8 = 1;
/// Failing seeds that are told in full.
const FAILURES_TOLD_MAX: usize = 8;

/// Run a scenario in virtual time: server, clients, lines and cryptography in one thread, from a seed.
///
/// Exit code 0: nothing was that must not be; 1: something was, and how to see it again, or --bisect found where two
/// builds part; 2: bad arguments or file.
#[derive(Debug, Args)]
pub struct Order {
    /// The scenario file.
    scenario: PathBuf,
    /// Chooses everything that is by chance; the scenario's own if it is not given.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run these seeds, the last one not included, each with kinds of faults switched off at random.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// Threads for --seeds, one seed each at a time; 0 for as many as there are cores.
    #[arg(long, default_value_t = 0, requires = "seeds", value_parser = value_parser!(u16).range(0..=512))]
    jobs: u16,
    /// With --seed: what --seeds makes of the scenario for that seed.
    #[arg(long)]
    swarm: bool,
    /// As many clients in all, the groups in their proportions.
    #[arg(long)]
    clients: Option<u32>,
    /// Make the scenario take so many virtual seconds.
    #[arg(long, value_parser = value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Write the hashes of all state after each tick to this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "bisect"])]
    log: Option<PathBuf>,
    /// Compare with the file that another build wrote with --log: in which tick, and in what, do they part?
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    bisect: Option<PathBuf>,
    /// Let each tick take as long as it really took here, so that overload shows. Then no run is like another.
    #[arg(long, conflicts_with_all = ["seeds", "bisect", "log"])]
    charge: bool,
    /// Do not look whether all is as it must be.
    #[arg(long, conflicts_with = "seeds")]
    unchecked: bool,
    /// No hashes of the seconds, no progress.
    #[arg(long)]
    quiet: bool,
    /// Plant a bug, to see that it is found.
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(ninefold::planted::NAMES))]
    planted_bug: Option<String>,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let wants = || format!("\"{text}\" is no range of seeds; give one as 0..200");
    let (from, to) = text.split_once("..").ok_or_else(wants)?;
    let range = from.parse().map_err(|_| wants())?..to.parse().map_err(|_| wants())?;
    if range.is_empty() { Err(format!("\"{text}\" has no seed in it")) } else { Ok(range) }
}

impl Order {
    /// Does it.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let mut scenario = Scenario::load(&self.scenario)?;
        if let Some(clients) = self.clients {
            scenario = scenario.with_clients(clients)?;
        }
        if let Some(seconds) = self.seconds {
            scenario = scenario.with_length(ninefold_client::protocol::time::Duration::from_secs(seconds));
        }
        let plan = Plan::of_scenario(&scenario);
        self.plant();
        match &self.seeds {
            Some(seeds) => self.sweep(&plan, seeds.clone()),
            None => self.one(&plan, self.seed.unwrap_or(scenario.seed)),
        }
    }

    #[cfg(feature = "planted-bugs")]
    fn plant(&self) {
        ninefold::planted::plant(self.planted_bug.as_deref());
    }

    #[cfg(not(feature = "planted-bugs"))]
    fn plant(&self) {}

    /// How this run is called: two builds are compared in the same one.
    fn name(&self, plan: &Plan, seed: u64) -> String {
        let Order { swarm, clients, seconds, .. } = self;
        format!("{} seed {seed} swarm {swarm} clients {clients:?} seconds {seconds:?}", plan.name)
    }

    fn one(&self, plan: &Plan, seed: u64) -> anyhow::Result<ExitCode> {
        let (plan, options) = if self.swarm { plan.swarm(seed) } else { (plan.clone(), Vec::new()) };
        println!(
            "{}, seed {seed}{}",
            plan.name,
            if options.is_empty() { "" } else { ": " }.to_owned() + &options.join(", ")
        );
        let manner = Manner { seed, charges: self.charge, unchecked: self.unchecked };
        let run_name = self.name(&plan, seed);
        if let Some(path) = &self.bisect {
            return bisect(&plan, manner, path, &run_name);
        }
        let outcome = match &self.log {
            None if self.quiet => run(&plan, manner, &mut Nobody),
            None => run(&plan, manner, &mut Seconds),
            Some(path) => {
                let named = || path.display().to_string();
                let file = File::create(path).with_context(named)?;
                let mut log = Log::begin(BufWriter::new(file), &run_name).with_context(named)?;
                let outcome = run(&plan, manner, &mut log);
                log.end().with_context(named)?;
                outcome
            }
        };
        println!("end {} ({})", outcome.digest, parts(&outcome.digest));
        println!("{}", outcome.figures);
        Ok(self.verdict(&outcome))
    }

    fn verdict(&self, outcome: &Outcome) -> ExitCode {
        match &outcome.violation {
            None => ExitCode::SUCCESS,
            Some(violation) => {
                println!("violated {violation}");
                ExitCode::from(EXIT_VIOLATED)
            }
        }
    }

    /// The command that shows a seed again.
    fn replay(&self, seed: u64) -> String {
        let mut command = format!("ninefold-sim virtual {} --seed {seed} --swarm", self.scenario.display());
        if let Some(clients) = self.clients {
            command += &format!(" --clients {clients}");
        }
        if let Some(seconds) = self.seconds {
            command += &format!(" --seconds {seconds}");
        }
        #[cfg(feature = "planted-bugs")]
        if let Some(bug) = &self.planted_bug {
            command += &format!(" --planted-bug {bug}");
        }
        command
    }

    fn sweep(&self, plan: &Plan, seeds: Range<u64>) -> anyhow::Result<ExitCode> {
        let cores = available_parallelism().map_or(1, |n| n.get());
        let jobs = if self.jobs == 0 { cores } else { self.jobs.into() };
        let began = Instant::now();
        let bar = (!self.quiet && std::io::stderr().is_terminal())
            .then(|| indicatif::ProgressBar::new(seeds.end - seeds.start));
        let mut told = 0;
        let swept = sweep(plan, seeds, jobs, |outcome, options| {
            if let Some(bar) = &bar {
                bar.inc(1);
            }
            if let Some(violation) = &outcome.violation {
                println!("seed {}: {}", outcome.seed, options.join(", "));
                println!("violated {violation}");
                println!("see it again: {}", self.replay(outcome.seed));
                told += 1;
            }
            told < FAILURES_TOLD_MAX
        });
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        println!("{}", summary(&plan.name, &swept, began.elapsed().as_secs_f64()));
        Ok(if swept.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_VIOLATED) })
    }
}

fn summary(name: &str, swept: &Swept, wall_s: f64) -> String {
    let Swept { seeds, failed, virtual_us, cpu_ns, chunks_delivered, sessions, lost, looks } = swept;
    let (virtual_s, cpu_s) = (*virtual_us as f64 / 1e6, *cpu_ns as f64 / 1e9);
    format!(
        "{name}: {seeds} seeds, {} violated; {virtual_s:.0} virtual seconds in {cpu_s:.0} s of CPU time \
         ({:.1} to one), {wall_s:.0} s on the clock; {sessions} sessions, {lost} lost, {chunks_delivered} chunks \
         delivered, {looks} looks of the checks",
        failed.len(),
        virtual_s / cpu_s.max(1e-9)
    )
}

fn parts(digest: &Digest) -> String {
    let named = Digest::PARTS.into_iter().zip(digest.parts());
    named.map(|(name, part)| format!("{name} {part:016x}")).collect::<Vec<_>>().join(", ")
}

/// Prints the hash of each second.
struct Seconds;

impl Witness for Seconds {
    fn second(&mut self, second: u64, digest: &Digest) {
        println!("second {second} {digest}");
    }

    fn tick(&mut self, _: &World) {}
}

fn bisect(plan: &Plan, manner: Manner, path: &Path, run_name: &str) -> anyhow::Result<ExitCode> {
    let named = || path.display().to_string();
    let file = BufReader::new(File::open(path).with_context(named)?);
    let mut comparison = Comparison::begin(file, run_name).with_context(named)?;
    run(plan, Manner { unchecked: true, ..manner }, &mut comparison);
    if let Some(error) = comparison.error {
        return Err(error).with_context(named);
    }
    match comparison.parting {
        Some(parting) => {
            println!("the builds part in {parting}; the {} ticks before are the same", comparison.same);
            Ok(ExitCode::from(EXIT_VIOLATED))
        }
        None => {
            println!("the builds are the same in all {} ticks", comparison.same);
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_seeds_is_read_and_what_is_none_is_named() {
        assert_eq!(seeds("3..50"), Ok(3..50));
        for wrong in ["3", "a..b", "3..3", "9..2", ".."] {
            assert!(seeds(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
