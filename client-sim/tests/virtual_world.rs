//! The world in virtual time: the same from the same seed on any thread, and nothing in it that must not be.

use std::path::Path;

use ninefold_netem::Profile;
use ninefold_sim::scenario::Scenario;
use ninefold_sim::virtual_world::digest::Digest;
use ninefold_sim::virtual_world::plan::{Fault, FaultKind, Plan};
use ninefold_sim::virtual_world::run::{Manner, Outcome, Witness, run};
use ninefold_sim::virtual_world::sweep::sweep;
use ninefold_sim::virtual_world::world::World;

/// Seeds that every run of the tests looks at.
const SEEDS: u64 = 50;

fn scenario(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(name);
    Plan::of_scenario(&Scenario::load(&path).unwrap())
}

/// The hash after each virtual second.
#[derive(Default)]
struct Hashes(Vec<Digest>);

impl Witness for Hashes {
    fn second(&mut self, _: u64, digest: &Digest) {
        self.0.push(*digest);
    }

    fn tick(&mut self, _: &World) {}
}

fn hashes(plan: &Plan, seed: u64) -> (Vec<Digest>, Outcome) {
    let mut hashes = Hashes::default();
    let outcome = run(plan, Manner { seed, ..Manner::default() }, &mut hashes);
    (hashes.0, outcome)
}

#[test]
fn a_seed_gives_the_same_hashes_twice_and_on_any_thread() {
    // Both carriers with their cryptography, every kind of fault.
    let plan = scenario("mixed-faults.toml");
    let (here, outcome) = hashes(&plan, 7);
    assert_eq!(outcome.violation, None);
    let there = std::thread::spawn({
        let plan = plan.clone();
        move || hashes(&plan, 7).0
    });
    assert_eq!(here, there.join().unwrap());
    assert_ne!(here, hashes(&plan, 8).0);
    assert!(here.len() >= 29 && here.windows(2).all(|w| w[0] != w[1]));
}

#[test]
fn fifty_seeds_of_mixed_faults_have_nothing_in_them_that_must_not_be() {
    let plan = scenario("mixed-faults.toml");
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    let swept = sweep(&plan, 0..SEEDS, jobs, |outcome, options| {
        if let Some(violation) = &outcome.violation {
            println!("seed {}, {options:?}: {violation}", outcome.seed);
        }
        true
    });
    assert_eq!((swept.seeds, swept.failed.len()), (SEEDS, 0), "each has its line above");
    assert!(swept.chunks_delivered > 1_000 && swept.lost > 100, "{swept:?}");
}

/// A client of this world was on its way in over QUIC, on a line that had been slow, when its server was started again: it waited
/// for three probe timeouts, twelve seconds, and was still not in when all had long been well.
#[test]
fn who_is_on_its_way_in_when_the_server_goes_tries_again_in_time() {
    let swept = sweep(&scenario("mixed-faults.toml"), 784..785, 1, |_, _| true);
    assert_eq!((swept.seeds, swept.failed.len()), (1, 0));
}

/// Walkers who all ride with one carrier, over a line of 40 ms.
fn walkers(carrier: ninefold::carrier::Carrier, faults: Vec<Fault>) -> Plan {
    let mut plan = Plan::walk(4, 6);
    plan.heal_us = 9_000_000;
    plan.groups[0].carriers = vec![carrier];
    plan.groups[0].up = Profile { delay_us: 20_000, ..Profile::default() };
    plan.faults = faults;
    plan
}

#[test]
fn clients_of_either_carrier_notice_that_their_server_has_gone_and_come_again() {
    let kind = FaultKind::RestartServer { says_goodbye: false };
    for carrier in [ninefold::carrier::Carrier::Udp, ninefold::carrier::Carrier::Quic] {
        let fault = Fault { at_us: 4_000_000, for_us: 500_000, group: None, kind };
        let outcome = hashes(&walkers(carrier, vec![fault]), 1).1;
        assert_eq!(outcome.violation, None, "{carrier:?}");
        assert_eq!((outcome.figures.servers, outcome.figures.lost), (2, 4), "{carrier:?}");
    }
}

#[test]
fn a_thousand_who_come_at_once_all_come_to_play() {
    let kind = FaultKind::JoinBurst { clients: 1_000 };
    let fault = Fault { at_us: 1_000_000, for_us: u64::MAX / 4, group: None, kind };
    let mut plan = walkers(ninefold::carrier::Carrier::Udp, vec![fault]);
    (plan.play_us, plan.heal_us) = (2_000_000, 3_000_000);
    let outcome = hashes(&plan, 1).1;
    assert_eq!((outcome.violation, outcome.figures.clients), (None, 1_004));
}

#[test]
fn a_tick_that_is_charged_its_cost_takes_that_long() {
    let manner = Manner { seed: 1, charges: true, unchecked: false };
    let mut hashes = Hashes::default();
    let outcome = run(&walkers(ninefold::carrier::Carrier::Udp, Vec::new()), manner, &mut hashes);
    assert_eq!(outcome.violation, None);
    assert!(outcome.figures.charged_ns > 100 * outcome.figures.ticks, "{:?}", outcome.figures);
}
