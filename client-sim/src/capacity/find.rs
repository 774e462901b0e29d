//! Runs of a search, one after the other.

use std::collections::BTreeSet;

use ninefold::server::unix_s;

use super::file::{CAPACITY_VERSION, Capacity, Trial};
use super::search::{Answer, Came, LimitedBy, Next, Range, RangeError, Search};
use crate::outcome::{Machine, Outcome, Verdict};
use crate::scenario::{Objective, Scenario};

/// Figures of every run that are kept besides those of objectives.
const KEPT: [&str; 5] =
    ["tick_p99", "input_state_p99", "snapshots_on_time", "server_cpu_per_client_tick", "join_p99"];

/// A search that was asked for.
#[derive(Debug, Clone)]
pub struct Quest {
    /// What is run.
    pub scenario: Scenario,
    /// Where.
    pub range: Range,
    /// What the server is called.
    pub server: String,
    /// The arguments of the command line, for the report.
    pub command: Vec<String>,
}

/// Why there is nothing to search for. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestError {
    /// Any number would do.
    #[error("scenario {0} has no objectives, so any number of clients meets them; add [objectives] or --slo")]
    NoObjectives(String),
    /// The range cannot be.
    #[error(transparent)]
    Range(#[from] RangeError),
}

/// Searches. `run` plays the scenario with so many clients and this seed, or gives `None` where somebody wants an end;
/// `told` hears of every run.
///
/// Each repeat has a seed of its own: what is measured is the server, not one walk of one crowd.
pub fn find(
    quest: &Quest,
    run: &mut dyn FnMut(u32, u64) -> anyhow::Result<Option<Outcome>>,
    told: &mut dyn FnMut(&Trial, u32),
) -> anyhow::Result<Capacity> {
    let Quest { scenario, range, .. } = quest;
    if scenario.objectives.is_empty() {
        return Err(QuestError::NoObjectives(scenario.name.clone()).into());
    }
    let began_unix_s = unix_s();
    let mut search = Search::new(*range).map_err(QuestError::from)?;
    let mut trials: Vec<Trial> = Vec::new();
    let answer = loop {
        let clients = match search.poll() {
            Next::Done(answer) => break answer,
            Next::Try(clients) => clients,
        };
        let seed = scenario.seed.wrapping_add(trials.iter().filter(|t| t.clients == clients).count() as u64);
        let Some(outcome) = run(clients, seed)? else {
            break search.answer_so_far();
        };
        let trial = trial(clients, seed, &outcome, &scenario.objectives);
        search.took(clients, trial.came);
        told(&trial, search.runs());
        trials.push(trial);
    };
    Ok(Capacity {
        version: CAPACITY_VERSION,
        answer,
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        objectives: scenario.objectives.iter().map(Objective::to_string).collect(),
        range: *range,
        run_s: scenario.length().as_us() as f64 / 1e6,
        server: quest.server.clone(),
        machine: Machine::here(),
        began_unix_s,
        command: quest.command.clone(),
        trials,
    })
}

fn trial(clients: u32, seed: u64, outcome: &Outcome, objectives: &[Objective]) -> Trial {
    let names: BTreeSet<&str> = objectives.iter().map(|o| o.name.as_str()).chain(KEPT).collect();
    let figures = names.into_iter().filter_map(|name| Some((name.to_owned(), outcome.figure(name)?)));
    Trial {
        clients,
        seed,
        came: match outcome.verdict {
            Verdict::Passed => Came::Met,
            Verdict::Missed => Came::Missed,
            Verdict::Invalid => Came::Invalid,
        },
        reasons: outcome.reasons.clone(),
        figures: figures.collect(),
    }
}

impl Answer {
    /// The number and how sure it is, in a line for people.
    pub fn in_words(&self) -> String {
        let until = self.never.map_or("no number that was tried is too many".to_owned(), |never| {
            format!("from {never} on no run did")
        });
        let why = match self.limited_by {
            LimitedBy::Server => "",
            LimitedBy::Generator => {
                "; with more the generator could not keep up, so this is its limit and not the server's"
            }
            LimitedBy::Range => "; more were not to be tried (--to)",
        };
        let settled = if self.settled { "" } else { "; it was ended before the edge was settled" };
        match self.clients {
            0 => format!("not even the fewest clients met the objectives{why}{settled}"),
            n => format!(
                "{n} clients; up to {} every run met the objectives, {until}{why}{settled}",
                self.always
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::outcome::{Audit, Recorder};
    use crate::scenario::Unit;

    fn quest(objectives: &str) -> Quest {
        let text = format!(
            "name = \"walk\"\nabout = \"walks\"\nseed = 7\n\
             [[group]]\nname = \"walkers\"\nclients = 10\nbehaviour = \"walk\"\n\
             [[stage]]\nkind = \"hold\"\nseconds = 4\n{objectives}"
        );
        let scenario = Scenario::parse(Path::new("walk.toml"), &text).unwrap();
        let range = Range { from: 10, to: 1_000, repeats: 3 };
        Quest { scenario, range, server: "in process".into(), command: Vec::new() }
    }

    /// A server whose ticks take 20 us a client, and a generator that is late beyond so many.
    fn played(quest: &Quest, clients: u32, generator: u32) -> Outcome {
        let mut outcome = Outcome { audit: Audit::new(), ..Outcome::default() };
        let mut ticks = Recorder::default();
        ticks.record(u64::from(clients) * 20);
        outcome.spreads.insert("tick".into(), ticks.spread());
        let late = if clients > generator { 20_000.0 } else { 100.0 };
        outcome.audit.check("late_p99", Unit::Time, Some(late), 8_000.0, "ticks");
        outcome.judge(&quest.scenario.objectives);
        outcome
    }

    #[test]
    fn the_number_is_found_and_every_run_is_kept() {
        let quest = quest("[objectives]\ntick_p99 = \"< 8ms\"\n");
        let (mut seeds, mut told) = (Vec::new(), 0);
        let mut run = |clients, seed| {
            seeds.push((clients, seed));
            Ok(Some(played(&quest, clients, 9_999)))
        };
        let found = find(&quest, &mut run, &mut |_, runs| told = runs).unwrap();
        assert!((380..400).contains(&found.answer.clients), "{:?}", found.answer);
        assert_eq!((found.trials.len(), found.answer.limited_by), (told as usize, LimitedBy::Server));
        let trial = found.trials.iter().find(|t| t.came == Came::Missed).unwrap();
        assert!(trial.figures["tick_p99"] > 8_000.0 && trial.reasons[0].starts_with("tick_p99 < 8ms"));
        // No two runs are the same one.
        seeds.sort_unstable();
        assert!(seeds.windows(2).all(|pair| pair[0] != pair[1]), "{seeds:?}");
        assert!(found.answer.in_words().starts_with(&format!("{} clients; up to", found.answer.clients)));
    }

    #[test]
    fn a_generator_that_gives_out_first_is_said_to_be_the_limit() {
        let quest = quest("[objectives]\ntick_p99 = \"< 8ms\"\n");
        let mut run = |clients, _| Ok(Some(played(&quest, clients, 200)));
        let answer = find(&quest, &mut run, &mut |_, _| {}).unwrap().answer;
        assert_eq!(answer.limited_by, LimitedBy::Generator);
        assert!((190..=200).contains(&answer.clients) && answer.in_words().contains("not the server's"));
    }

    #[test]
    fn an_end_that_is_wanted_gives_what_is_known() {
        let quest = quest("[objectives]\ntick_p99 = \"< 8ms\"\n");
        let mut run = |clients, _| Ok((clients < 100).then(|| played(&quest, clients, 9_999)));
        let answer = find(&quest, &mut run, &mut |_, _| {}).unwrap().answer;
        assert_eq!((answer.clients, answer.settled), (80, false));
    }

    #[test]
    fn without_objectives_there_is_nothing_to_search() {
        let error = find(&quest(""), &mut |_, _| unreachable!("nothing is run"), &mut |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("--slo"), "{error}");
    }
}
