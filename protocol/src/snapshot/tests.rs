//! Both ways, against any baseline, and with bytes that nobody meant.

use proptest::prelude::*;

use super::*;

const HZ: u16 = 60;
/// Bytes that hold the largest snapshot of these tests.
const BODY_BYTES: usize = 8_192;
/// Broken bodies that every run reads, and those of the long one.
const BROKEN_BODIES: u32 = 4_000;
const MANY_BROKEN_BODIES: u32 = 1_000_000;

fn any_state() -> impl Strategy<Value = EntityState> {
    let place = || prop_oneof![-70_000..70_000_i64, -(1_i64 << 47)..1 << 47];
    let upward = || prop_oneof![-10_000..10_000_i32, any::<i32>()];
    let said = || prop_oneof![0..4_u32, any::<u32>()];
    let parts = (0..3_u16, place(), upward(), place(), any::<[i16; 3]>(), 0..1_024_u16, said());
    parts.prop_map(|(kind, x, y, z, [velocity_x, velocity_y, velocity_z], yaw, state)| EntityState {
        kind,
        x,
        y,
        z,
        velocity_x,
        velocity_y,
        velocity_z,
        yaw,
        state,
    })
}

fn any_own() -> impl Strategy<Value = OwnState> {
    let chunk = || prop_oneof![-2..2_i32, any::<i32>()];
    let upward = || prop_oneof![Just(0), -99_999..99_999, any::<i32>()];
    let parts =
        (chunk(), chunk(), 0..1_u32 << 20, upward(), 0..1_u32 << 20, upward(), any::<bool>(), 0..3_u32);
    parts.prop_map(|(cx, cz, x, y, z, velocity_y, on_ground, state)| OwnState {
        cx,
        cz,
        x,
        y,
        z,
        velocity_y,
        on_ground,
        state,
    })
}

fn any_doors() -> impl Strategy<Value = [u32; 9]> {
    prop_oneof![
        Just([0; 9]),
        any::<[u32; 9]>(),
        (0..9_usize, 0..32_u32)
            .prop_map(|(chunk, door)| { std::array::from_fn(|at| u32::from(at == chunk) << door) })
    ]
}

fn any_entities() -> impl Strategy<Value = Vec<SnapshotEntity>> {
    let index = prop_oneof![0..50_u32, any::<u32>()];
    let id = prop_oneof![0..100_u64, any::<u64>()];
    proptest::collection::btree_map(index, (id, any_state()), 0..20).prop_map(|all| {
        all.into_iter().map(|(index, (id, state))| SnapshotEntity { index, id, state }).collect()
    })
}

prop_compose! {
    fn any_snapshot()(
        tick: u32,
        input: u16,
        lead_half_ms: i8,
        own in any_own(),
        open_doors in any_doors(),
        entities in any_entities(),
    ) -> Snapshot {
        let incomplete = input % 5 == 0;
        Snapshot { tick, input, lead_half_ms, incomplete, own, open_doors, entities }
    }
}

/// What becomes of an entity.
#[derive(Debug, Clone)]
enum Fate {
    Stays,
    Moves([i16; 2]),
    Becomes(EntityState),
    Goes,
    /// Goes, and another one has its index.
    Follows(u64, EntityState),
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Stays),
        any::<[i16; 2]>().prop_map(|by| Fate::Moves(by.map(|v| v >> 6))),
        any_state().prop_map(Fate::Becomes),
        Just(Fate::Goes),
        (any::<u64>(), any_state()).prop_map(|(id, state)| Fate::Follows(id, state)),
    ]
}

/// A baseline and what follows it: some of it the same, some not, some of it new.
fn any_pair() -> impl Strategy<Value = (Snapshot, Snapshot)> {
    let fates = proptest::collection::vec(any_fate(), 20);
    let age = 1..=BASELINE_TICKS_MAX;
    (any_snapshot(), any_snapshot(), fates, age, any::<[bool; 2]>()).prop_map(
        |(base, mut now, fates, age, [own_stays, doors_stay])| {
            now.tick = base.tick.wrapping_add(age);
            if own_stays {
                now.own = base.own;
            }
            if doors_stay {
                now.open_doors = base.open_doors;
            }
            now.entities.retain(|e| base.entities.iter().all(|b| b.index != e.index));
            for (was, fate) in base.entities.iter().zip(fates) {
                let mut is = *was;
                match fate {
                    Fate::Stays => {}
                    Fate::Moves([x, z]) => {
                        is.state.x = coding::place(was.state.x + i64::from(x));
                        is.state.z = coding::place(was.state.z + i64::from(z));
                    }
                    Fate::Becomes(state) => is.state = EntityState { kind: was.state.kind, ..state },
                    Fate::Goes => continue,
                    Fate::Follows(id, state) => (is.id, is.state) = (id, state),
                }
                now.entities.push(is);
            }
            now.entities.sort_by_key(|e| e.index);
            (base, now)
        },
    )
}

fn encoded(baseline: Option<&Snapshot>, now: &Snapshot) -> Vec<u8> {
    let mut body = vec![0xa5; BODY_BYTES];
    let bytes = encode(&mut body, HZ, baseline, now);
    body.truncate(bytes);
    body
}

fn decoded(baseline: Option<&Snapshot>, body: &[u8]) -> Result<Snapshot, SnapshotError> {
    // What was in it before must not matter.
    let mut into = Snapshot { tick: 9, entities: vec![SnapshotEntity::default(); 3], ..Snapshot::default() };
    decode(body, HZ, |tick| baseline.filter(|b| b.tick == tick), &mut into)?;
    Ok(into)
}

/// A walker at a place, in 1/64 unit.
fn walker(index: u32, x: i64, z: i64) -> SnapshotEntity {
    let state = EntityState { kind: 1, x, y: 64, z, velocity_x: 5_120, ..EntityState::default() };
    SnapshotEntity { index, id: u64::from(index) + 1_000, state }
}

fn scene() -> Snapshot {
    let own = OwnState { cx: 3, cz: -2, x: 500_000, y: 1_024, z: 77, on_ground: true, ..OwnState::default() };
    let entities = (0..5).map(|n| walker(4 * n, 200_000 + i64::from(n) * 999, -70_000)).collect();
    Snapshot { tick: 1_000, input: 40, lead_half_ms: -3, own, entities, ..Snapshot::default() }
}

#[test]
fn standing_still_is_nine_bytes_whoever_is_there() {
    let base = scene();
    let now = Snapshot { tick: 1_007, input: 47, ..base.clone() };
    let body = encoded(Some(&base), &now);
    assert_eq!(body, [0xef, 3, 0, 0, 7, 47, 0, 0xfd, 0]);
    assert_eq!(decoded(Some(&base), &body), Ok(now));
}

#[test]
fn who_walks_on_straight_costs_one_byte() {
    let base = scene();
    let mut now = Snapshot { tick: 1_006, ..base.clone() };
    for entity in &mut now.entities {
        entity.state.x += 320 * 64 * 6 / 60;
    }
    let body = encoded(Some(&base), &now);
    assert_eq!(body.len(), HEAD_BYTES + (3 + 5 * 8 + 1_usize).div_ceil(8));
    assert_eq!(changed_bits(HZ, 6, &base.entities[0].state, &now.entities[0].state), 8);
    assert_eq!(decoded(Some(&base), &body), Ok(now));
}

#[test]
fn another_entity_at_the_same_index_goes_and_enters() {
    let base = scene();
    let mut now = Snapshot { tick: 1_001, ..base.clone() };
    now.entities[2].id = 77;
    let body = encoded(Some(&base), &now);
    assert_eq!(decoded(Some(&base), &body), Ok(now));
}

#[test]
fn doors_keep_their_chunk_when_the_ring_moves() {
    let mut base = scene();
    base.open_doors = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let mut now = Snapshot { tick: 1_001, ..base.clone() };
    now.own.cx += 1;
    now.open_doors = [2, 3, 0, 5, 6, 0, 8, 9, 0];
    let moved = encoded(Some(&base), &now);
    now.open_doors[2] = 1 << 31;
    let opened = encoded(Some(&base), &now);
    assert_eq!(opened.len(), moved.len() + 2, "a door's bit in nine chunks");
    assert_eq!(decoded(Some(&base), &opened), Ok(now));
}

#[test]
fn a_baseline_that_is_gone_is_an_error_of_its_own() {
    let base = scene();
    let body = encoded(Some(&base), &Snapshot { tick: 1_007, ..base.clone() });
    assert_eq!(decoded(None, &body), Err(SnapshotError::BaselineGone(1_000)));
    assert_eq!(peek_ticks(&body), Ok((1_007, Some(1_000))));
    let old = [&body[..4], &[64][..], &body[5..]].concat();
    assert_eq!(decoded(None, &old), Err(SnapshotError::Value { field: "baseline", value: 64 }));
}

#[test]
fn a_cut_body_names_the_field() {
    let mut now = scene();
    now.open_doors[0] = 5;
    let body = encoded(None, &now);
    let fields: Vec<String> =
        (0..body.len()).map(|cut| decoded(None, &body[..cut]).unwrap_err().to_string()).collect();
    assert_eq!(fields[0], "the snapshot ends inside `tick`");
    for field in ["head", "own x", "own y", "doors toggled", "index", "velocity", "yaw"] {
        assert!(fields.iter().any(|f| f.contains(&format!("`{field}`"))), "{field}: {fields:?}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let base = scene();
    let mut body = encoded(Some(&base), &Snapshot { tick: 1_007, ..base.clone() });
    *body.last_mut().unwrap() |= 0x80;
    assert_eq!(decoded(Some(&base), &body), Err(SnapshotError::Value { field: "padding", value: 1 }));

    let mut buffer = [0; 100];
    let head = Head { tick: 1_001, baseline: Some(1_000), ..Head::default() };
    let mut twice = Encoder::new(&mut buffer, HZ, &head);
    twice.own(&base.own, &base.own).open_doors(&[0; 9], (3, -2), &[0; 9]);
    base.entities.iter().for_each(|_| twice.same());
    twice.entered(&base.entities[1]);
    let bytes = twice.finish();
    let error = decoded(Some(&base), &buffer[..bytes]).unwrap_err();
    assert_eq!(error, SnapshotError::Value { field: "index there twice", value: 4 });
}

#[test]
fn there_is_room_for_as_many_entities_as_the_bound_says_and_no_more() {
    let many = |count: usize| {
        let entities = (0..count as u32).map(|n| walker(n, 200_000, -70_000)).collect();
        let mut body = vec![0; 64 << 10];
        let bytes = encode(&mut body, HZ, None, &Snapshot { entities, ..scene() });
        decoded(None, &body[..bytes]).map(|s| s.entities.len())
    };
    assert_eq!(many(ENTITIES_PER_SNAPSHOT_MAX), Ok(ENTITIES_PER_SNAPSHOT_MAX));
    assert_eq!(
        many(ENTITIES_PER_SNAPSHOT_MAX + 1),
        Err(SnapshotError::Value { field: "count", value: ENTITIES_PER_SNAPSHOT_MAX as i64 + 1 })
    );
}

#[test]
fn bytes_of_a_newer_version_are_ignored() {
    let now = scene();
    let mut body = encoded(None, &now);
    body.extend([1, 2, 3]);
    assert_eq!(decoded(None, &body), Ok(now));
}

#[test]
fn what_is_expected_is_rounded_to_the_nearest_with_halves_upward() {
    let distance = |ticks, hz, v0, v1| coding::Elapsed::new(ticks, hz).distance(v0, v1);
    assert_eq!(distance(1, 4, 1, 0), 1, "a half");
    assert_eq!(distance(1, 4, -1, 0), 0, "minus a half");
    assert_eq!(distance(1, 8, 1, 0), 0, "a quarter");
    assert_eq!(distance(6, 60, 5_120, 5_120), 2_048, "32 units");
    assert_eq!(distance(63, 0, i16::MIN, i16::MIN), -8_257_536, "a rate of nothing");
    assert_eq!(distance(63, u16::MAX, i16::MAX, i16::MAX), 126);
}

/// Broken bodies of one seed: a few bits of a valid one flipped, or its bytes shortened, doubled, made up.
fn read_broken_bodies(count: u32, seed: u64) {
    let mut random = seed;
    let mut draw = move |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((random >> 33) as usize) % below.max(1)
    };
    let base = scene();
    let mut next = Snapshot { tick: 1_009, ..base.clone() };
    next.entities.remove(1);
    next.entities[2].state.velocity_x = -900;
    next.entities.push(walker(99, 0, 0));
    next.open_doors[4] = 7;
    let valid = [encoded(Some(&base), &next), encoded(None, &next)];
    let (mut read, mut refused) = (0_u32, 0_u32);
    let mut into = Snapshot::default();
    for round in 0..count {
        let mut body = valid[round as usize % 2].clone();
        for _ in 0..=draw(3) {
            let at = draw(body.len());
            match draw(4) {
                0 => body.truncate(at),
                1 => body.extend_from_within(at..),
                2 if !body.is_empty() => body[at] = draw(256) as u8,
                _ if !body.is_empty() => body[at] ^= 1 << draw(8),
                _ => {}
            }
        }
        match decode(&body, HZ, |tick| Some(&base).filter(|b| b.tick == tick), &mut into) {
            Ok(()) => {
                read += 1;
                assert!(into.entities.is_sorted_by(|a, b| a.index < b.index), "seed {seed}, round {round}");
            }
            Err(_) => refused += 1,
        }
        assert!(into.entities.len() <= ENTITIES_PER_SNAPSHOT_MAX, "seed {seed}, round {round}");
    }
    assert!(read > count / 20 && refused > count / 20, "{read} read, {refused} refused");
}

#[test]
fn broken_bodies_are_read_or_refused() {
    read_broken_bodies(BROKEN_BODIES, 1);
}

#[test]
#[ignore = "long"]
fn a_million_broken_bodies_are_read_or_refused() {
    read_broken_bodies(MANY_BROKEN_BODIES, 2);
}

/// A body of the golden bytes, piece by piece, as a table.
pub(crate) fn worked_example() -> String {
    use std::fmt::Write as _;
    let (base, body) = crate::vectors::two_walk_straight_on();
    let mut reader = bits::BitReader::new(&body, HEAD_BYTES);
    let mut into = Snapshot::default();
    decode::decode_with(&mut reader, &body, HZ, |_| Some(&base), &mut into)
        .expect("golden bytes can be read");
    let hex: Vec<String> = body.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text =
        format!("`{}`\n\n| bits, the first on the left | value | field |\n|---|---|---|\n", hex.join(" "));
    let head = ["tick", "baseline", "input", "lead_half_ms"];
    let values = [into.tick, into.tick.wrapping_sub(base.tick), into.input.into(), into.lead_half_ms as u32];
    for ((name, value), bytes) in head.iter().zip(values).zip([4, 1, 2, 1]) {
        let _ = writeln!(text, "| {bytes} bytes | {value} | {name} |");
    }
    for (field, value, count) in reader.trace.iter().filter(|(.., count)| *count > 0) {
        let bits: String = (0..*count).map(|bit| if value >> bit & 1 == 1 { '1' } else { '0' }).collect();
        let _ = writeln!(text, "| {bits} | {value} | {field} |");
    }
    text
}

proptest! {
    #[test]
    fn a_full_snapshot_is_read_as_it_was(now in any_snapshot()) {
        prop_assert_eq!(decoded(None, &encoded(None, &now)), Ok(now));
    }

    #[test]
    fn a_difference_is_read_as_it_was((base, now) in any_pair()) {
        prop_assert_eq!(decoded(Some(&base), &encoded(Some(&base), &now)), Ok(now));
    }

    #[test]
    fn bits_made_before_are_those_that_are_written((base, now) in any_pair()) {
        let age = now.tick.wrapping_sub(base.tick);
        let head = Head { tick: now.tick, baseline: Some(base.tick), ..Head::default() };
        let pairs = base.entities.iter().zip(&now.entities);
        let pairs: Vec<_> = pairs.map(|(was, is)| (was.state, EntityState { kind: was.state.kind, ..is.state })).collect();
        let write = |is_coded: bool| {
            let mut buffer = [0; BODY_BYTES];
            let mut encoder = Encoder::new(&mut buffer, HZ, &head);
            encoder.own(&base.own, &now.own);
            for (was, is) in &pairs {
                let coded = CodedChange::new(HZ, age, was, is);
                assert_eq!(coded.bits(), changed_bits(HZ, age, was, is));
                if is_coded { encoder.changed_as(&coded) } else { encoder.changed(was, is) }
                encoder.same();
            }
            let bytes = encoder.finish();
            buffer[..bytes].to_vec()
        };
        prop_assert_eq!(write(true), write(false));
    }

    #[test]
    fn bits_are_told_before_they_are_written((base, now) in any_pair()) {
        let mut buffer = [0; BODY_BYTES];
        let head = Head { tick: now.tick, baseline: Some(base.tick), ..Head::default() };
        let age = now.tick.wrapping_sub(base.tick);
        let mut encoder = Encoder::new(&mut buffer, HZ, &head);
        encoder.own(&base.own, &now.own).open_doors(&base.open_doors, (base.own.cx, base.own.cz), &now.open_doors);
        prop_assert!(encoder.bits() <= 8 * HEAD_BYTES_MAX);
        let chunk = (now.own.cx, now.own.cz);
        encoder.changed(&EntityState::default(), &EntityState::default());
        for entity in &now.entities {
            let state = EntityState { kind: 0, ..entity.state };
            let (before, told) = (encoder.bits(), changed_bits(HZ, age, &EntityState::default(), &state));
            encoder.changed(&EntityState::default(), &state);
            prop_assert_eq!(encoder.bits() - before, told);
            prop_assert!(told <= CHANGED_BITS_MAX);
            let before = encoder.bits();
            encoder.gone();
            prop_assert_eq!(encoder.bits() - before, GONE_BITS);
            let before = encoder.bits();
            encoder.same();
            prop_assert_eq!(encoder.bits() - before, SAME_BITS);
        }
        for entity in &now.entities {
            let (before, told) = (encoder.bits(), entered_bits(chunk, entity));
            encoder.entered(entity);
            prop_assert!(encoder.bits() - before <= told);
            prop_assert!(told <= ENTERED_BITS_MAX);
        }
        let bits = encoder.bits();
        prop_assert_eq!(encoder.finish(), bits.div_ceil(8));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        (base, _) in any_pair(),
        mut body in proptest::collection::vec(any::<u8>(), 0..400),
        leads_from_it: bool,
        hz: u16,
    ) {
        if leads_from_it && body.len() > 4 {
            body[..4].copy_from_slice(&base.tick.wrapping_add(5).to_le_bytes());
            body[4] = 5;
        }
        let mut into = Snapshot::default();
        if decode(&body, hz, |_| Some(&base), &mut into).is_ok() {
            prop_assert!(into.entities.len() <= ENTITIES_PER_SNAPSHOT_MAX);
            prop_assert!(into.own.x < 1 << 20 && into.own.z < 1 << 20);
            let tick = peek_ticks(&body).unwrap().1;
            let base = tick.map(|tick| Snapshot { tick, ..base });
            let again = encoded(base.as_ref(), &into);
            prop_assert_eq!(decoded(base.as_ref(), &again), Ok(into));
        }
    }
}
