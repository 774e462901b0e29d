//! The world in virtual time: the same from the same seed, and the checks that look at it can fail.

use ninefold_sim::virtual_world::digest::Digest;
use ninefold_sim::virtual_world::plan::Plan;
use ninefold_sim::virtual_world::world::World;

/// The hash after each virtual second.
fn hashes(plan: &Plan, seed: u64) -> Vec<Digest> {
    let mut world = World::new(plan, seed, false);
    let (mut hashes, mut next_us) = (Vec::new(), 1_000_000);
    while world.step().is_some() {
        if world.elapsed_us() >= next_us {
            hashes.push(Digest::of(&world));
            next_us += 1_000_000;
        }
    }
    hashes
}

#[test]
fn a_seed_gives_the_same_hashes_twice_and_on_any_thread() {
    let plan = Plan::walk(8, 6);
    let here = hashes(&plan, 7);
    let there = std::thread::spawn({
        let plan = plan.clone();
        move || hashes(&plan, 7)
    });
    assert_eq!(here, there.join().unwrap());
    assert_ne!(here, hashes(&plan, 8));
    assert!(here.windows(2).all(|w| w[0] != w[1]));
}
