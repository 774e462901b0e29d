//! The search: which number of clients to try next, from what earlier runs came to.
//!
//! ```text
//!   double    from, 2 from, 4 from ... until a run misses or `to` is reached
//!   halve     between the most that met and the least that missed, down to a step
//!   repeat    at the edge: the majority of some runs decides a level, and it moves a step down or up until a level
//!             that meets lies under one that does not
//! ```
//!
//! It runs nothing and asks no clock: [`Search::poll`] says what to try, [`Search::took`] hears what came of it.
//! A run at the edge is noise, so one that missed does not end anything: only majorities do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Runs of one search at most.
pub const RUNS_MAX: u32 = 200;
/// The step between levels is such a part of the number of clients.
pub const STEP_PART: u32 = 20;

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Came {
    /// Every objective was met.
    Met,
    /// Some objective was not.
    Missed,
    /// The generator could not keep up.
    Invalid,
}

/// Where to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The fewest clients.
    pub from: u32,
    /// The most.
    pub to: u32,
    /// Runs that decide a level at the edge.
    pub repeats: u32,
}

/// Why a range cannot be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// It has no level.
    #[error("--from {from} --to {to}: the first is at least 1 and at most the second")]
    Empty {
        /// The fewest.
        from: u32,
        /// The most.
        to: u32,
    },
    /// A level would never be decided, or take too long.
    #[error("--repeats {0}: 1 to 25")]
    Repeats(u32),
}

/// What kept the number from being larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitedBy {
    /// With more, objectives were missed.
    Server,
    /// With more, the generator could not keep up: the server may well take more.
    Generator,
    /// More were not to be tried.
    Range,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The most clients with which most runs met the objectives; 0 if not even the fewest did.
    pub clients: u32,
    /// Up to so many every run met them.
    pub always: u32,
    /// From so many on no run did; `None` if some did with the most that were tried.
    pub never: Option<u32>,
    /// Why not more.
    pub limited_by: LimitedBy,
    /// Whether the edge was settled before the runs were used up.
    pub settled: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Run with so many clients.
    Try(u32),
    /// It is over.
    Done(Answer),
}

/// A search.
#[derive(Debug, Clone)]
pub struct Search {
    range: Range,
    levels: BTreeMap<u32, Votes>,
    runs: u32,
    /// The level that is decided now, and the step to its neighbours; before that, none.
    edge: Option<(u32, u32)>,
}

/// What runs with one number of clients came to.
#[derive(Debug, Clone, Copy, Default)]
struct Votes {
    met: u32,
    missed: u32,
    invalid: u32,
}

impl Votes {
    fn runs(self) -> u32 {
        self.met + self.missed + self.invalid
    }

    /// More than half met: a tie is no majority.
    fn most_met(self) -> bool {
        2 * self.met > self.runs()
    }
}

impl Search {
    /// A search in which nothing was run.
    pub fn new(range: Range) -> Result<Search, RangeError> {
        let Range { from, to, repeats } = range;
        if from == 0 || from > to {
            return Err(RangeError::Empty { from, to });
        }
        if !(1..=25).contains(&repeats) {
            return Err(RangeError::Repeats(repeats));
        }
        Ok(Search { range, levels: BTreeMap::new(), runs: 0, edge: None })
    }

    /// Runs so far.
    pub fn runs(&self) -> u32 {
        self.runs
    }

    /// Hears what a run came to.
    pub fn took(&mut self, clients: u32, came: Came) {
        debug_assert!((self.range.from..=self.range.to).contains(&clients), "{clients} was not asked for");
        let votes = self.levels.entry(clients).or_default();
        match came {
            Came::Met => votes.met += 1,
            Came::Missed => votes.missed += 1,
            Came::Invalid => votes.invalid += 1,
        }
        self.runs += 1;
    }

    /// What to do next.
    pub fn poll(&mut self) -> Next {
        if self.runs >= RUNS_MAX {
            return Next::Done(self.answer_so_far());
        }
        if self.edge.is_none() {
            match self.approach() {
                Some(clients) => return Next::Try(clients),
                None => self.edge = Some(self.first_edge()),
            }
        }
        self.decide()
    }

    /// What is known if it ends here.
    pub fn answer_so_far(&self) -> Answer {
        self.answer(self.best(), false)
    }

    /// Doubling, then halving, one run each; `None` once the edge is within a step.
    fn approach(&self) -> Option<u32> {
        let Range { from, to, .. } = self.range;
        let met = self.levels.iter().rev().find(|(_, votes)| votes.most_met()).map(|(clients, _)| *clients);
        let Some(low) = met else {
            return self.levels.is_empty().then_some(from);
        };
        let over = self.levels.range(low + 1..).next().map(|(clients, _)| *clients);
        let Some(high) = over else {
            return (low < to).then(|| low.saturating_mul(2).min(to));
        };
        (high - low > step_at(low)).then(|| low + (high - low) / 2)
    }

    fn first_edge(&self) -> (u32, u32) {
        let low = self.best().max(self.range.from);
        (low, step_at(low))
    }

    /// Repeats at the edge until a level that meets lies under one that does not.
    fn decide(&mut self) -> Next {
        let Range { from, to, .. } = self.range;
        loop {
            let (level, step) = self.edge.expect("the edge was found before it is decided");
            let Some(met) = self.decided(level) else { return Next::Try(level) };
            if !met {
                if level == from {
                    return Next::Done(self.answer(0, true));
                }
                self.edge = Some((self.below(level, step).max(from), step));
                continue;
            }
            let above = level.saturating_add(step).min(to);
            if above == level {
                return Next::Done(self.answer(level, true));
            }
            match self.decided(above) {
                None => return Next::Try(above),
                // Upward only to what met: it never comes back, so this ends.
                Some(true) => self.edge = Some((above, step)),
                Some(false) => return Next::Done(self.answer(level, true)),
            }
        }
    }

    /// Where to go from a level that did not meet: to the next one that did, if it is within a step.
    fn below(&self, level: u32, step: u32) -> u32 {
        let lower = level.saturating_sub(step);
        let met = self.levels.range(lower..level).rev().find(|(_, votes)| votes.most_met());
        met.map_or(lower, |(clients, _)| *clients)
    }

    /// Whether most runs with so many clients met the objectives, once there were enough of them.
    fn decided(&self, clients: u32) -> Option<bool> {
        let votes = self.levels.get(&clients).copied().unwrap_or_default();
        let left = self.range.repeats.saturating_sub(votes.runs());
        // What is left cannot change it: at the edge runs are dear.
        let is_clear = votes.met > votes.missed + votes.invalid + left
            || votes.missed + votes.invalid >= votes.met + left;
        (left == 0 || (is_clear && votes.runs() > self.range.repeats / 2)).then(|| votes.most_met())
    }

    /// The most clients of which more than half of the runs met.
    fn best(&self) -> u32 {
        self.levels.iter().rev().find(|(_, votes)| votes.most_met()).map_or(0, |(clients, _)| *clients)
    }

    fn answer(&self, clients: u32, settled: bool) -> Answer {
        let failed = |votes: &Votes| votes.missed + votes.invalid > 0;
        let first_failed = self.levels.iter().find(|(_, votes)| failed(votes)).map(|(clients, _)| *clients);
        let always = self.levels.range(..first_failed.unwrap_or(u32::MAX)).next_back().map_or(0, |(n, _)| *n);
        let always = always.min(clients);
        let last_met = self.levels.iter().rev().find(|(_, votes)| votes.met > 0).map_or(0, |(n, _)| *n);
        let never = self.levels.range(last_met + 1..).next().map(|(clients, _)| *clients);
        let limited_by = match self.levels.range(clients + 1..).next() {
            None if clients == self.range.to => LimitedBy::Range,
            Some((_, votes)) if votes.invalid >= votes.missed.max(1) => LimitedBy::Generator,
            _ => LimitedBy::Server,
        };
        Answer { clients, always, never, limited_by, settled }
    }
}

/// The step between levels of about so many clients.
pub fn step_at(clients: u32) -> u32 {
    clients.div_ceil(STEP_PART).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches with an oracle, and gives every number that was tried.
    fn searched(range: Range, mut oracle: impl FnMut(u32) -> Came) -> (Answer, Vec<u32>) {
        let (mut search, mut tried) = (Search::new(range).unwrap(), Vec::new());
        loop {
            match search.poll() {
                Next::Done(answer) => return (answer, tried),
                Next::Try(clients) => {
                    tried.push(clients);
                    assert!(tried.len() <= RUNS_MAX as usize, "it does not end");
                    search.took(clients, oracle(clients));
                }
            }
        }
    }

    fn sharp(most: u32) -> impl FnMut(u32) -> Came {
        move |clients| if clients <= most { Came::Met } else { Came::Missed }
    }

    #[test]
    fn ranges_that_cannot_be_are_refused() {
        let range = |from, to, repeats| Search::new(Range { from, to, repeats }).err();
        assert_eq!(range(0, 5, 3), Some(RangeError::Empty { from: 0, to: 5 }));
        assert_eq!(range(6, 5, 3), Some(RangeError::Empty { from: 6, to: 5 }));
        assert_eq!(
            (range(5, 5, 0), range(5, 5, 26)),
            (Some(RangeError::Repeats(0)), Some(RangeError::Repeats(26)))
        );
        assert_eq!(range(5, 5, 1), None);
    }

    #[test]
    fn the_ends_of_the_range_are_told_apart() {
        let range = Range { from: 10, to: 400, repeats: 3 };
        let (answer, _) = searched(range, sharp(5));
        assert_eq!((answer.clients, answer.always, answer.never), (0, 0, Some(10)));
        assert_eq!((answer.limited_by, answer.settled), (LimitedBy::Server, true));
        let (answer, tried) = searched(range, sharp(9_999));
        assert_eq!((answer.clients, answer.never, answer.limited_by), (400, None, LimitedBy::Range));
        assert_eq!(tried[..7], [10, 20, 40, 80, 160, 320, 400]);
        let (answer, _) = searched(range, |_| Came::Invalid);
        assert_eq!((answer.clients, answer.limited_by), (0, LimitedBy::Generator));
    }

    #[test]
    fn one_unlucky_run_ends_nothing() {
        let mut runs = 0;
        let (answer, _) = searched(Range { from: 10, to: 1_000, repeats: 3 }, |clients| {
            runs += 1;
            // The third run of all would have met.
            if runs == 3 || clients > 300 { Came::Missed } else { Came::Met }
        });
        assert!((285..=300).contains(&answer.clients) || answer.always < 40, "{answer:?}");
        assert!(answer.clients >= 40, "{answer:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Without noise the answer is exact to a step, and few runs find it.
        #[test]
        fn a_sharp_edge_is_found(from in 1_u32..50, span in 0_u32..20_000, most in 0_u32..25_000, repeats in 1_u32..6) {
            let range = Range { from, to: from + span, repeats };
            let (answer, tried) = searched(range, sharp(most));
            prop_assert!(tried.iter().all(|clients| (from..=range.to).contains(clients)));
            prop_assert!(tried.len() <= 40 + 2 * repeats as usize, "{} runs", tried.len());
            prop_assert!(answer.settled);
            if most < from {
                prop_assert_eq!((answer.clients, answer.always), (0, 0));
            } else {
                prop_assert!(answer.clients <= most && answer.always == answer.clients);
                let reached = answer.clients + step_at(answer.clients);
                prop_assert!(reached > most.min(range.to) || answer.clients == range.to, "{:?}", answer);
                prop_assert_eq!(answer.limited_by == LimitedBy::Range, answer.clients == range.to);
            }
        }

        /// Where runs near the edge come out as they like, the answer lies within the noise, and what is said to be sure
        /// was.
        #[test]
        fn a_noisy_edge_is_found_within_its_noise(
            most in 40_u32..4_000, noise_percent in 1_u32..20, repeats in 3_u32..8, seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let noise = (most * noise_percent / 100).max(1);
            let (low, high) = (most - noise, most + noise);
            let range = Range { from: 10, to: 20_000, repeats };
            let (answer, _) = searched(range, |clients| match clients {
                c if c <= low => Came::Met,
                c if c > high => Came::Missed,
                c if random.u32(low..=high) >= c => Came::Met,
                _ => Came::Missed,
            });
            prop_assert!(answer.settled);
            let slack = step_at(high);
            prop_assert!((low.saturating_sub(slack)..=high).contains(&answer.clients), "{:?} of {}..{}", answer, low, high);
            prop_assert!(answer.always <= answer.clients);
            prop_assert!(answer.never.is_none_or(|never| never > low && never > answer.clients), "{:?}", answer);
        }

        /// A generator that gives out before the server does is said to.
        #[test]
        fn the_generators_limit_is_told_from_the_servers(most in 20_u32..5_000, generator in 20_u32..5_000) {
            prop_assume!(most.abs_diff(generator) > 2 * step_at(most.max(generator)));
            let range = Range { from: 10, to: 20_000, repeats: 3 };
            let (answer, _) = searched(range, |clients| match clients {
                c if c > generator => Came::Invalid,
                c if c > most => Came::Missed,
                _ => Came::Met,
            });
            let expected = if generator < most { LimitedBy::Generator } else { LimitedBy::Server };
            prop_assert_eq!(answer.limited_by, expected);
            prop_assert!(answer.clients <= most.min(generator));
            prop_assert!(answer.clients + step_at(answer.clients) > most.min(generator));
        }

        /// Whatever comes, it ends, and within the range.
        #[test]
        fn any_answers_end(from in 1_u32..100, span in 0_u32..9_000, repeats in 1_u32..26, seed: u64) {
            let mut random = fastrand::Rng::with_seed(seed);
            let range = Range { from, to: from + span, repeats };
            let (answer, tried) = searched(range, |_| [Came::Met, Came::Missed, Came::Invalid][random.usize(..3)]);
            prop_assert!(tried.iter().all(|clients| (from..=range.to).contains(clients)));
            prop_assert!(answer.clients == 0 || (from..=range.to).contains(&answer.clients));
        }
    }
}
