//! `ninefold-sim capacity`.

use std::path::PathBuf;

use clap::{Args, value_parser};
use ninefold_client::protocol::time::Duration;

use super::file::{Capacity, Trial};
use super::find::{Quest, find};
use super::search::{Came, LimitedBy, RUNS_MAX, Range, Search};
use crate::pages::{self, command::write};
use crate::run::{Order, RunArguments, Target, execute};
use crate::watch::Look;

/// What to search, and where to write what was found.
#[derive(Debug, Clone, Args)]
pub struct CapacityArguments {
    /// What each run is.
    #[command(flatten)]
    pub run: RunArguments,
    /// The fewest clients.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = value_parser!(u32).range(1..))]
    pub from: u32,
    /// The most clients.
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = value_parser!(u32).range(1..))]
    pub to: u32,
    /// Runs that decide a number at the edge.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=25))]
    pub repeats: u32,
    /// How long each run takes, seconds; without it, as long as the scenario.
    #[arg(long, value_name = "N", conflicts_with = "duration", value_parser = value_parser!(u32).range(1..=86_400))]
    pub seconds: Option<u32>,
    /// Write what was found and every run to this file.
    #[arg(long, value_name = "FILE", default_value = "capacity.json")]
    pub out: PathBuf,
    /// Write a page with the knee.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Only the answer.
    #[arg(long)]
    pub quiet: bool,
}

impl CapacityArguments {
    /// What cannot be, before anything is run.
    pub fn order(&self) -> anyhow::Result<Order> {
        anyhow::ensure!(
            self.run.clients.is_none(),
            "--clients is what is searched for; say --from and --to instead"
        );
        Search::new(self.range())?;
        let mut run = self.run.clone();
        run.duration = self.seconds.map(|s| Duration::from_secs(s.into())).or(run.duration);
        let order = run.order()?;
        // The largest first: what is too large for the scenario is told now.
        order.scenario.clone().with_clients(self.to)?;
        order.scenario.clone().with_clients(self.from)?;
        Ok(order)
    }

    fn range(&self) -> Range {
        Range { from: self.from, to: self.to, repeats: self.repeats }
    }

    /// Searches and writes what was found.
    pub fn search(&self, order: &Order) -> anyhow::Result<Capacity> {
        let mut look = Look::line(self.quiet)?;
        let server = match &order.target {
            Target::InProcess => "in process".to_owned(),
            Target::Program(path) => path.display().to_string(),
            Target::Outer(outer) => outer.address.to_string(),
        };
        let quest = Quest {
            scenario: order.scenario.clone(),
            range: self.range(),
            server,
            command: order.command.clone(),
        };
        let mut run = |clients, seed| {
            if look.is_asked_to_end() {
                return Ok(None);
            }
            let mut scenario = order.scenario.clone().with_clients(clients)?;
            scenario.seed = seed;
            let order = Order { scenario, ..order.clone() };
            let outcome = execute(&order, &mut |glimpse| look.look(glimpse))?;
            // A part of a run says nothing of the whole.
            Ok((!outcome.run.ended_early).then_some(outcome))
        };
        let found = find(&quest, &mut run, &mut |trial, runs| self.tell(trial, runs))?;
        look.finish();
        found.save(&self.out)?;
        if let Some(path) = &self.html {
            write(path, &pages::capacity(&found))?;
        }
        Ok(found)
    }

    fn tell(&self, trial: &Trial, runs: u32) {
        if self.quiet {
            return;
        }
        let came = match trial.came {
            Came::Met => "met".to_owned(),
            Came::Missed => format!("missed: {}", trial.reasons.join("; ")),
            Came::Invalid => format!("invalid: {}", trial.reasons.join("; ")),
        };
        eprintln!("run {runs} of at most {RUNS_MAX}: {} clients {came}", trial.clients);
    }
}

impl Capacity {
    /// The code that the program ends with: 0 for a number, 99 if there is none, 98 if the generator was the limit.
    pub fn exit_code(&self) -> u8 {
        match (self.answer.clients, self.answer.limited_by) {
            (_, LimitedBy::Generator) => 98,
            (0, _) => 99,
            _ => 0,
        }
    }
}
