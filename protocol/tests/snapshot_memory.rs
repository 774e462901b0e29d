//! Writing a snapshot allocates nothing, nor does reading one into a snapshot that has been read into before.

use ninefold_protocol::snapshot::{
    ENTITIES_PER_SNAPSHOT_MAX, EntityState, OwnState, Snapshot, SnapshotEntity, decode, encode,
};

const HZ: u16 = 60;

fn snapshot(tick: u32, entities: u32) -> Snapshot {
    let entity = |index: u32| SnapshotEntity {
        index: 2 * index,
        id: index.into(),
        state: EntityState { x: i64::from(tick * index), velocity_x: 500, ..EntityState::default() },
    };
    let own = OwnState { x: 1_000 + tick, ..OwnState::default() };
    Snapshot { tick, own, entities: (0..entities).map(entity).collect(), ..Snapshot::default() }
}

#[test]
fn neither_end_allocates_once_it_is_warm() {
    let (base, now) = (snapshot(10, 60), snapshot(17, 64));
    let mut body = [0; 1_180];
    let mut into = snapshot(1, ENTITIES_PER_SNAPSHOT_MAX as u32);
    let count = allocation_counter::measure(|| {
        let bytes = encode(&mut body, HZ, Some(&base), &now);
        decode(&body[..bytes], HZ, |_| Some(&base), &mut into).expect("it was just written");
    });
    assert_eq!(into, now);
    assert_eq!((count.count_total, count.bytes_total), (0, 0));
}

/// As many entities as there may be, and the same cut off anywhere.
#[test]
fn hostile_bytes_take_no_more_memory_than_the_bound_on_entities() {
    let many = snapshot(1, ENTITIES_PER_SNAPSHOT_MAX as u32);
    let mut body = vec![0; 64 << 10];
    let bytes = encode(&mut body, HZ, None, &many);
    for cut in (0..bytes).step_by(97).chain([bytes]) {
        let count = allocation_counter::measure(|| {
            let mut into = Snapshot::default();
            let _ = decode(&body[..cut], HZ, |_| None, &mut into);
        });
        let most = 2 * ENTITIES_PER_SNAPSHOT_MAX * size_of::<SnapshotEntity>();
        assert!(count.bytes_max as usize <= most, "{} bytes", count.bytes_max);
    }
}
