//! What a snapshot costs: written with every entity changed, and read again.
//!
//! cargo bench -p ninefold-protocol --bench snapshot

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ninefold_protocol::snapshot::{
    Encoder, EntityState, Head, OwnState, Snapshot, SnapshotEntity, changed_bits, decode, encode,
};

const HZ: u16 = 60;
const AGE_TICKS: u32 = 7;
const BODY_BYTES: usize = 1_180;
/// One in so many turns.
const TURNS: u32 = 3;

/// A baseline of `count` walkers and what became of them.
fn pair(count: u32) -> (Snapshot, Snapshot) {
    let own =
        |x: u32| OwnState { cx: 4, cz: -9, x, y: 1_024, z: 90_000, on_ground: true, ..OwnState::default() };
    let walker = |index: u32| {
        let (x, z) = (4 * 65_536 + i64::from(index) * 999, -9 * 65_536 + i64::from(index) * 77);
        let state = EntityState { kind: 1, x, y: 64, z, velocity_x: 5_120, ..EntityState::default() };
        SnapshotEntity { index: index * 3, id: 1_000 + u64::from(index), state }
    };
    let entities = (0..count).map(walker).collect();
    let base = Snapshot { tick: 1_000, own: own(500_000), entities, ..Snapshot::default() };
    let mut now = Snapshot { tick: 1_000 + AGE_TICKS, own: own(540_000), ..base.clone() };
    for entity in &mut now.entities {
        entity.state.x += 320 * 64 * i64::from(AGE_TICKS) / i64::from(HZ);
        if entity.index.is_multiple_of(TURNS * 3) {
            (entity.state.velocity_x, entity.state.velocity_z, entity.state.yaw) = (4_400, 2_600, 80);
            entity.state.z += 700;
        }
    }
    (base, now)
}

/// As the server calls it: it has both states at hand.
fn write(body: &mut [u8], base: &Snapshot, now: &Snapshot) -> usize {
    let head = Head {
        tick: now.tick,
        baseline: Some(base.tick),
        input: now.input,
        lead_half_ms: now.lead_half_ms,
        incomplete: false,
    };
    let mut encoder = Encoder::new(body, HZ, &head);
    encoder.own(&base.own, &now.own).open_doors(
        &base.open_doors,
        (base.own.cx, base.own.cz),
        &now.open_doors,
    );
    for (was, is) in base.entities.iter().zip(&now.entities) {
        encoder.changed(&was.state, &is.state);
    }
    encoder.finish()
}

fn snapshots(c: &mut Criterion) {
    let mut body = [0; BODY_BYTES];
    for count in [16, 64] {
        let (base, now) = pair(count);
        let mut group = c.benchmark_group(format!("snapshot/{count} changed"));
        group.bench_function("encode", |b| b.iter(|| write(&mut body, black_box(&base), black_box(&now))));
        group.bench_function("count bits", |b| {
            b.iter(|| {
                let pairs = black_box(&base).entities.iter().zip(&now.entities);
                pairs.map(|(was, is)| changed_bits(HZ, AGE_TICKS, &was.state, &is.state)).sum::<usize>()
            });
        });
        let bytes = write(&mut body, &base, &now);
        let mut read = Snapshot::default();
        group.bench_function("decode", |b| {
            b.iter(|| decode(black_box(&body[..bytes]), HZ, |_| Some(&base), &mut read));
        });
        assert_eq!(read, now);
        let full = encode(&mut body, HZ, None, &now);
        group.bench_function("decode, all of them new", |b| {
            b.iter(|| decode(black_box(&body[..full]), HZ, |_| None, &mut read));
        });
        group.finish();
    }
}

criterion_group!(benches, snapshots);
criterion_main!(benches);
