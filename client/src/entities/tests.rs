//! What is shown of entities, snapshot by snapshot.

use super::track::JUMP_UNITS;
use super::*;
use crate::snapshots::Snapshots;
use ninefold_protocol::snapshot::{EntityState, Snapshot, encode};
use ninefold_protocol::time::Duration;
use proptest::prelude::*;
use std::collections::BTreeMap;

const HZ: u16 = 50;
const TICK_US: u64 = 20_000;

fn walker(index: u32, x: f64, speed: f64) -> SnapshotEntity {
    let (x, velocity_x) = ((x * 64.0) as i64, (speed * 16.0) as i16);
    let state = EntityState { kind: 3, x, velocity_x, ..EntityState::default() };
    SnapshotEntity { index, id: u64::from(index) + 100, state }
}

/// A client's side of snapshots, each of which comes a tick after the last unless a test says otherwise.
struct Stage {
    snapshots: Snapshots,
    playback: Playback,
    entities: Entities,
    sent: Vec<Snapshot>,
    now: Instant,
    changes: Vec<Change>,
}

impl Stage {
    fn new() -> Stage {
        let now = Instant::from_us(5_000_000);
        let mut entities = Entities::default();
        entities.set_walking_speed(320.0);
        let playback = Playback::new(now, HZ);
        Stage {
            snapshots: Snapshots::default(),
            playback,
            entities,
            sent: Vec::new(),
            now,
            changes: Vec::new(),
        }
    }

    fn arrive(&mut self, tick: u32, baseline: Option<usize>, incomplete: bool, entities: &[SnapshotEntity]) {
        let snapshot = Snapshot { tick, incomplete, entities: entities.to_vec(), ..Snapshot::default() };
        let mut body = vec![0; 60_000];
        let length = encode(&mut body, HZ, baseline.map(|at| &self.sent[at]), &snapshot);
        let held = self.snapshots.take(&body[..length], HZ).unwrap();
        assert_eq!(held.snapshot, snapshot);
        self.playback.arrived(self.now, held.tick, self.entities.moves());
        self.entities.take(self.now, &mut self.playback, held, |change| self.changes.push(change));
        self.sent.push(snapshot);
    }

    /// The next tick's snapshot, whole, against the last one.
    fn next(&mut self, entities: &[SnapshotEntity]) {
        self.now += Duration::from_us(TICK_US);
        let tick = self.sent.last().map_or(0, |s| s.tick.wrapping_add(1));
        self.arrive(tick, self.sent.len().checked_sub(1), false, entities);
    }

    fn shown(&self, after_us: u64) -> Vec<EntityView> {
        self.entities.views(self.now + Duration::from_us(after_us), Some(&self.playback)).collect()
    }

    fn x(&self, after_us: u64) -> f64 {
        self.shown(after_us)[0].position.x
    }
}

#[test]
fn who_enters_is_at_its_place_and_then_walks() {
    let mut stage = Stage::new();
    (0..10).for_each(|_| stage.next(&[]));
    stage.next(&[walker(7, 100.0, 200.0)]);
    assert_eq!(stage.changes, [Change::Entered { index: 7, id: 107, kind: 3 }]);
    assert_eq!((stage.x(0), stage.x(5_000)), (100.0, 100.0));
    for step in 1..20 {
        stage.next(&[walker(7, 100.0 + 4.0 * f64::from(step), 200.0)]);
    }
    // Behind by the delay, and as fast as it is.
    let behind = 100.0 + 4.0 * 19.0 - stage.x(0);
    assert!((4.0..6.0).contains(&behind), "{behind}");
    assert!((stage.x(10_000) - stage.x(0) - 2.0).abs() < 0.3);
    assert!((stage.shown(0)[0].velocity[0] - 200.0).abs() < 0.1);
}

#[test]
fn who_leaves_for_a_moment_comes_back_without_a_jump() {
    let mut stage = Stage::new();
    let at = |step: u32| [walker(1, 6.4 * f64::from(step), 320.0)];
    (0..30).for_each(|step| stage.next(&at(step)));
    let before = stage.x(0);
    stage.changes.clear();
    stage.next(&[]);
    stage.next(&at(31));
    let (left, entered) =
        (Change::Left { index: 1, id: 101 }, Change::Entered { index: 1, id: 101, kind: 3 });
    assert_eq!(stage.changes, [left, entered]);
    // Two ticks later it is two ticks further.
    assert!((stage.x(0) - before - 12.8).abs() < 2.0, "{} after {before}", stage.x(0));
}

#[test]
fn who_jumps_is_shown_at_no_place_in_between() {
    let mut stage = Stage::new();
    (0..10).for_each(|_| stage.next(&[walker(1, 50.0, 0.0)]));
    for _ in 0..10 {
        stage.next(&[walker(1, 50.0 + JUMP_UNITS + 1.0, 0.0)]);
        for after_us in (0..TICK_US).step_by(1_000) {
            let x = stage.x(after_us);
            assert!(x == 50.0 || x == 50.0 + JUMP_UNITS + 1.0, "{x}");
        }
    }
    assert_eq!(stage.x(0), 115.0);
}

#[test]
fn who_is_not_heard_of_goes_on_for_a_moment_and_then_waits() {
    let mut stage = Stage::new();
    for step in 0..50 {
        stage.next(&[walker(1, 6.4 * f64::from(step), 320.0)]);
    }
    let last = 6.4 * 49.0;
    let on = last + 320.0 * track::EXTRAPOLATED_S_MAX;
    assert!(stage.x(80_000) > last + 5.0);
    assert!((stage.x(300_000) - on).abs() < 0.01 && stage.x(500_000) <= stage.x(3_000_000));
    // What comes then is taken over smoothly.
    stage.now += Duration::from_us(300_000);
    let before = stage.x(0);
    stage.arrive(60, Some(49), false, &[walker(1, last, 0.0)]);
    assert!((stage.x(0) - before).abs() < 0.5, "{} after {before}", stage.x(0));
    assert!((stage.x(1_000_000) - last).abs() <= 1.0 / 64.0);
}

#[test]
fn who_is_in_the_air_and_not_heard_of_does_not_fall_through_the_floor() {
    let mut stage = Stage::new();
    let falling = |step: i32| {
        let mut entity = walker(1, 6.4 * f64::from(step), 320.0);
        (entity.state.y, entity.state.velocity_y) = (64 * (200 - 8 * step), -400 * 16);
        [entity]
    };
    (0..20).for_each(|step| stage.next(&falling(step)));
    let told = falling(19)[0].state;
    let shown = stage.shown(300_000)[0].position;
    assert_eq!((shown.x, shown.y), (told.x as f64 / 64.0, f64::from(told.y) / 64.0));
}

/// Who went round a corner while nothing was heard of it comes after on its way, not across.
#[test]
fn who_was_not_heard_of_comes_after_on_the_way_that_it_took() {
    let mut stage = Stage::new();
    let place = |step: i32| (6.4 * f64::from(step.min(50)), 6.4 * f64::from((step - 50).max(0)));
    let at = |step: i32| {
        let (x, z) = place(step);
        let mut entity = walker(1, x, if step < 50 { 320.0 } else { 0.0 });
        entity.state.z = (z * 64.0) as i64;
        entity.state.velocity_z = if step < 50 { 0 } else { 320 * 16 };
        [entity]
    };
    (0..51).for_each(|step| stage.next(&at(step)));
    // Four are lost.
    stage.now += Duration::from_us(4 * TICK_US);
    (51..55).for_each(|tick| stage.sent.push(Snapshot { tick, ..Snapshot::default() }));
    for step in 55..90 {
        stage.now += Duration::from_us(TICK_US);
        stage.arrive(step as u32, None, false, &at(step));
        for after_us in (0..TICK_US).step_by(4_000) {
            let shown = stage.shown(after_us)[0].position;
            let off = (320.0 - shown.x).min(shown.z).abs();
            assert!(off <= 320.0 * track::EXTRAPOLATED_S_MAX, "{shown:?} at {step}");
        }
    }
    let behind = place(89).1 - stage.shown(0)[0].position.z;
    assert!((0.0..60.0).contains(&behind), "{behind}");
}

#[test]
fn yaw_turns_the_short_way_round() {
    let mut stage = Stage::new();
    let looking = |yaw: u16| {
        let mut entity = walker(1, 0.0, 0.0);
        entity.state.yaw = yaw;
        [entity]
    };
    (0..10).for_each(|_| stage.next(&looking(1_000)));
    let mut seen = Vec::new();
    for _ in 0..5 {
        stage.next(&looking(24));
        seen.extend((0..20).map(|ms| stage.shown(ms * 1_000)[0].yaw));
    }
    assert_eq!((seen.first(), seen.last()), (Some(&(1_000 * 64)), Some(&(24 * 64))));
    assert!(seen.iter().all(|yaw| *yaw >= 1_000 * 64 || *yaw <= 24 * 64), "{seen:?}");
}

#[test]
fn what_an_incomplete_snapshot_leaves_out_changes_nothing() {
    let mut stage = Stage::new();
    let both = |x: f64| [walker(1, x, 0.0), walker(2, 50.0, 0.0)];
    stage.next(&both(0.0));
    stage.next(&both(4.0));
    stage.changes.clear();
    // Against the first: of 1 it says nothing, of 2 neither, and 3 has come.
    stage.now += Duration::from_us(TICK_US);
    stage.arrive(2, Some(0), true, &[walker(1, 0.0, 0.0), walker(2, 50.0, 0.0), walker(3, 9.0, 0.0)]);
    // Against the first: of 3 it says nothing.
    stage.now += Duration::from_us(TICK_US);
    stage.arrive(3, Some(0), true, &[walker(1, 8.0, 0.0), walker(2, 50.0, 0.0)]);
    assert_eq!(stage.changes, [Change::Entered { index: 3, id: 103, kind: 3 }]);
    assert_eq!(stage.entities.len(), 3);
    stage.now += Duration::from_us(1_000_000);
    assert_eq!((stage.x(0), stage.shown(0)[2].position.x), (8.0, 9.0));
    // 2 has gone, and comes back only when it is said to.
    stage.changes.clear();
    stage.arrive(4, Some(2), true, &[walker(1, 0.0, 0.0), walker(3, 9.0, 0.0)]);
    stage.arrive(5, Some(2), true, &[walker(1, 0.0, 0.0), walker(2, 50.0, 0.0), walker(3, 9.0, 0.0)]);
    assert_eq!(stage.changes, [Change::Left { index: 2, id: 102 }]);
    stage.arrive(6, Some(5), false, &[walker(2, 50.0, 0.0)]);
    let entered = Change::Entered { index: 2, id: 102, kind: 3 };
    assert!(stage.changes.contains(&entered) && stage.entities.len() == 1);
}

#[test]
fn who_is_left_out_for_too_long_is_not_there() {
    let mut stage = Stage::new();
    stage.next(&[]);
    stage.now += Duration::from_us(TICK_US);
    stage.arrive(1, Some(0), true, &[walker(1, 0.0, 0.0)]);
    for tick in 2..80 {
        stage.now += Duration::from_us(TICK_US);
        // The baseline never held it.
        let base = if tick == 2 { 0 } else { tick as usize - 1 };
        stage.arrive(tick, Some(base), true, &[]);
    }
    assert_eq!((stage.entities.len(), stage.changes.len()), (0, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Who walks one way is never shown going back, however late and however seldom snapshots come.
    #[test]
    fn who_walks_one_way_is_shown_going_one_way(arrivals in proptest::collection::vec((0..40_000_u64, 1..4_u32), 10..200)) {
        let mut stage = Stage::new();
        let (mut tick, mut last, mut due_us) = (0, f64::MIN, 5_000_000);
        for (late_us, ticks) in arrivals {
            tick += ticks;
            due_us += u64::from(ticks) * TICK_US;
            let arrives = Instant::from_us(due_us + late_us).max(stage.now);
            while stage.now + Duration::from_us(4_000) < arrives {
                stage.now += Duration::from_us(4_000);
                if let Some(view) = stage.shown(0).first() {
                    prop_assert!(view.position.x >= last - 0.02, "{} after {last}", view.position.x);
                    last = view.position.x;
                }
            }
            stage.now = arrives;
            stage.arrive(tick, None, false, &[walker(1, 4.0 * f64::from(tick), 200.0)]);
        }
    }

    /// Whatever snapshots say: nobody enters twice or leaves who was not there, and memory is bounded.
    #[test]
    fn comings_and_goings_add_up(
        snapshots in proptest::collection::vec(
            (proptest::collection::btree_map(0..12_u32, (0..3_u64, 0..5_i64), 0..12), any::<bool>(), 0..8_usize),
            1..100,
        ),
    ) {
        let mut stage = Stage::new();
        for (tick, (entities, incomplete, back)) in snapshots.into_iter().enumerate() {
            let entities: Vec<_> = (entities.into_iter())
                .map(|(index, (id, x))| SnapshotEntity { index, id, state: EntityState { x, ..EntityState::default() } })
                .collect();
            stage.now += Duration::from_us(TICK_US);
            let base = stage.sent.len().checked_sub(back + 1);
            stage.arrive(tick as u32, base, incomplete && base.is_some(), &entities);
            let mut there = BTreeMap::new();
            for change in &stage.changes {
                match *change {
                    Change::Entered { index, id, .. } => prop_assert_eq!(there.insert(index, id), None),
                    Change::Left { index, id } => prop_assert_eq!(there.remove(&index), Some(id)),
                }
            }
            let shown: Vec<_> = stage.shown(0).iter().map(|v| (v.index, v.id)).collect();
            prop_assert_eq!(shown, there.into_iter().collect::<Vec<_>>());
            if !stage.sent.last().unwrap().incomplete {
                prop_assert_eq!(stage.entities.len(), entities.len());
            }
        }
    }
}
