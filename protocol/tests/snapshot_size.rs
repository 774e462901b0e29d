//! How large snapshots of a crowd are: players that walk straight, turn smoothly and turn abruptly.
//!
//! The widths in `src/snapshot/coding.rs` were chosen by it. For the table in docs/numbers.md:
//! `cargo test -p ninefold-protocol --test snapshot_size -- --ignored --nocapture`

use std::f64::consts::TAU;

use ninefold_protocol::snapshot::{EntityState, OwnState, Snapshot, SnapshotEntity, decode, encode};

const HZ: u16 = 60;
const WALK_SPEED_UNITS_S: f64 = 320.0;
const PLACE_PER_UNIT: f64 = 64.0;
const OWN_PLACE_PER_UNIT: f64 = 1_024.0;
const SPEED_PER_UNIT_S: f64 = 16.0;
/// Where the crowd begins, so that places are not small numbers.
const START_UNITS: f64 = 5_000_000.0;
const SECONDS: u32 = 20;

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(bound)) as u32
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * f64::from(self.below(1 << 20)) / f64::from(1 << 20)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Gait {
    Straight,
    Curve { radians_s: f64 },
    Corners { ticks_to_next: u32 },
}

struct Walker {
    x: f64,
    z: f64,
    heading: f64,
    gait: Gait,
    ticks_left: u32,
}

impl Walker {
    fn new(random: &mut Random) -> Walker {
        let mut place = || START_UNITS + random.between(0.0, 3_000.0);
        let (x, z) = (place(), place());
        let (heading, ticks_left) = (random.between(0.0, TAU), 1 + random.below(84));
        Walker { x, z, heading, gait: Gait::Straight, ticks_left }
    }

    /// One tick; 1.4 s straight and 0.6 s of turning in the mean make 30 % of turning at any moment.
    fn step(&mut self, random: &mut Random) {
        self.ticks_left -= 1;
        if self.ticks_left == 0 {
            (self.gait, self.ticks_left) = match self.gait {
                Gait::Straight if random.below(2) == 0 => {
                    let side = if random.below(2) == 0 { 1.0 } else { -1.0 };
                    (Gait::Curve { radians_s: side * random.between(0.5, 5.0) }, 18 + random.below(37))
                }
                Gait::Straight => (Gait::Corners { ticks_to_next: 1 }, 18 + random.below(37)),
                _ => (Gait::Straight, 42 + random.below(85)),
            };
        }
        match &mut self.gait {
            Gait::Straight => {}
            Gait::Curve { radians_s } => self.heading += *radians_s / f64::from(HZ),
            Gait::Corners { ticks_to_next } => {
                *ticks_to_next -= 1;
                if *ticks_to_next == 0 {
                    self.heading += random.between(-TAU / 2.0, TAU / 2.0);
                    *ticks_to_next = 15 + random.below(26);
                }
            }
        }
        self.x += WALK_SPEED_UNITS_S / f64::from(HZ) * self.heading.cos();
        self.z += WALK_SPEED_UNITS_S / f64::from(HZ) * self.heading.sin();
    }

    fn state(&self) -> EntityState {
        EntityState {
            kind: 1,
            x: (self.x * PLACE_PER_UNIT).round() as i64,
            y: 64,
            z: (self.z * PLACE_PER_UNIT).round() as i64,
            velocity_x: (WALK_SPEED_UNITS_S * SPEED_PER_UNIT_S * self.heading.cos()).round() as i16,
            velocity_y: 0,
            velocity_z: (WALK_SPEED_UNITS_S * SPEED_PER_UNIT_S * self.heading.sin()).round() as i16,
            yaw: (self.heading.rem_euclid(TAU) / TAU * 1_024.0) as u16 % 1_024,
            state: 0,
        }
    }
}

fn own(walker: &Walker) -> OwnState {
    let split = |units: f64| {
        let place = (units * OWN_PLACE_PER_UNIT).round() as i64;
        ((place >> 20) as i32, (place & 0xf_ffff) as u32)
    };
    let ((cx, x), (cz, z)) = (split(walker.x), split(walker.z));
    OwnState { cx, cz, x, y: 1_024, z, on_ground: true, ..OwnState::default() }
}

fn snapshot(tick: u32, own_walker: &Walker, others: &[Walker]) -> Snapshot {
    let entities = (0..).zip(others).map(|(index, walker)| SnapshotEntity {
        index,
        id: 1_000 + u64::from(index),
        state: walker.state(),
    });
    let entities = entities.collect();
    Snapshot { tick, input: tick as u16, own: own(own_walker), entities, ..Snapshot::default() }
}

/// The bytes of every body that `others` walkers make, each against a baseline of an age of `ages`.
fn sizes(others: usize, ages: std::ops::RangeInclusive<u32>, seed: u64) -> Vec<usize> {
    let mut random = Random(seed);
    let mut walkers: Vec<Walker> = (0..=others).map(|_| Walker::new(&mut random)).collect();
    let mut history: Vec<Snapshot> = Vec::new();
    let (mut body, mut sizes, mut read) = ([0; 1_180], Vec::new(), Snapshot::default());
    for tick in 0..SECONDS * u32::from(HZ) {
        walkers.iter_mut().for_each(|walker| walker.step(&mut random));
        let now = snapshot(tick, &walkers[0], &walkers[1..]);
        let age = ages.start() + random.below(ages.end() - ages.start() + 1);
        if let Some(base) = tick.checked_sub(age).map(|tick| &history[tick as usize]) {
            let bytes = encode(&mut body, HZ, Some(base), &now);
            sizes.push(bytes);
            decode(&body[..bytes], HZ, |_| Some(base), &mut read).expect("what was written can be read");
            assert_eq!(read, now);
        }
        history.push(now);
    }
    sizes.sort_unstable();
    sizes
}

/// The share of `sizes` below which `percent` of them lie.
fn percentile(sizes: &[usize], percent: usize) -> usize {
    sizes[(sizes.len() - 1) * percent / 100]
}

#[test]
fn sixty_three_walkers_fit_into_330_bytes() {
    let sizes = sizes(63, 6..=9, 1);
    assert!(percentile(&sizes, 50) <= 230, "{} bytes at the median", percentile(&sizes, 50));
    assert!(percentile(&sizes, 100) <= 330, "{} bytes at most", percentile(&sizes, 100));
}

#[test]
fn at_twenty_a_second_they_fit_as_well() {
    let sizes = sizes(63, 9..=12, 1);
    assert!(percentile(&sizes, 100) <= 330, "{} bytes at most", percentile(&sizes, 100));
}

#[test]
#[ignore = "prints a table"]
fn the_table() {
    println!("| others | baseline's age, ticks | p50 | p99 | most | bits each |");
    println!("|---|---|---|---|---|---|");
    for others in [15, 63] {
        for ages in [1..=2, 6..=9, 9..=12, 18..=24] {
            let sizes = sizes(others, ages.clone(), 1);
            let mean = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
            let [p50, p99, most] = [50, 99, 100].map(|percent| percentile(&sizes, percent));
            let bits = mean * 8.0 / others as f64;
            println!(
                "| {others} | {} to {} | {p50} | {p99} | {most} | {bits:.1} |",
                ages.start(),
                ages.end()
            );
        }
    }
}
