//! The checks can fail: each bug that was planted is found. `cargo test -p ninefold-sim --features planted-bugs --test
//! planted_bugs`.
#![cfg(feature = "planted-bugs")]

use std::path::Path;

use ninefold::planted;
use ninefold_sim::scenario::Scenario;
use ninefold_sim::virtual_world::plan::Plan;
use ninefold_sim::virtual_world::sweep::sweep;

/// So many seeds have to suffice.
const SEEDS: u64 = 200;

/// One test for all: which bug is planted, holds for the whole process.
#[test]
fn each_planted_bug_is_found_within_two_hundred_seeds_by_the_check_that_is_meant_to() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/mixed-faults.toml");
    let plan = Plan::of_scenario(&Scenario::load(&path).unwrap());
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    for (name, check, says) in [
        ("lose-forgets", "conservation", "for known"),
        ("apply-stale-results", "conservation", "nobody waited for any more, is shown"),
        ("skip-queue-bound", "bounds", "asked for and not in the making"),
    ] {
        planted::plant(Some(name));
        let swept = sweep(&plan, 0..SEEDS, jobs, |outcome, _| outcome.violation.is_none());
        planted::plant(None);
        let found = swept.failed.first().and_then(|outcome| outcome.violation.clone());
        let found = found.unwrap_or_else(|| panic!("{name} was not found in {SEEDS} seeds"));
        println!("{name}: seed {}: {found}", swept.failed[0].seed);
        assert!(found.check == check && found.what.contains(says), "{name} was found as {found}");
    }
}
