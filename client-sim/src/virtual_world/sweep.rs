//! Many seeds of one plan, each with kinds of faults switched off at random, on as many threads as one likes.
//!
//! A world lives on one thread from its beginning to its end, so a seed gives the same whatever the number of threads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use super::plan::Plan;
use super::run::{Manner, Nobody, Outcome, run};

/// What became of many seeds.
#[derive(Debug, Default)]
pub struct Swept {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those in which something was that must not be, the lowest first.
    pub failed: Vec<Outcome>,
    /// Virtual microseconds of all.
    pub virtual_us: u64,
    /// CPU time of all, nanoseconds.
    pub cpu_ns: u64,
    /// Chunks delivered, sessions, sessions lost, looks of the checks.
    pub chunks_delivered: u64,
    /// Sessions of all.
    pub sessions: u64,
    /// Those that ended without their client's wish.
    pub lost: u64,
    /// Looks that the checks took.
    pub looks: u64,
}

/// Runs all seeds on so many threads. `tell` hears of each, in the order in which they end; it says whether to go on.
pub fn sweep(
    plan: &Plan,
    seeds: Range<u64>,
    jobs: usize,
    mut tell: impl FnMut(&Outcome, &[&'static str]) -> bool,
) -> Swept {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let mut swept = Swept::default();
    std::thread::scope(|scope| {
        let (outcomes_in, outcomes) = mpsc::channel();
        for _ in 0..jobs.max(1) {
            let (outcomes, next, stop, end) = (outcomes_in.clone(), &next, &stop, seeds.end);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let (plan, options) = plan.swarm(seed);
                    let manner = Manner { seed, ..Manner::default() };
                    if outcomes.send((run(&plan, manner, &mut Nobody), options)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(outcomes_in);
        for (outcome, options) in outcomes {
            swept.take(&outcome);
            if !tell(&outcome, &options) {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    swept.failed.sort_by_key(|outcome| outcome.seed);
    swept
}

impl Swept {
    fn take(&mut self, outcome: &Outcome) {
        let figures = &outcome.figures;
        self.seeds += 1;
        self.virtual_us += figures.virtual_us;
        self.cpu_ns += figures.cpu_ns;
        self.chunks_delivered += figures.chunks_delivered;
        self.sessions += figures.sessions;
        self.lost += figures.lost;
        self.looks += figures.looks;
        if outcome.violation.is_some() {
            self.failed.push(outcome.clone());
        }
    }
}
