//! Snapshots as differences: written and read.

use std::hint::black_box;

use ninefold_client::protocol::snapshot::{EntityState, Snapshot, SnapshotEntity, decode, encode};

use crate::counted::{Case, counted};

pub const CASES: [Case; 2] = [
    Case { name: "snapshot.encode", times: 256, run: written },
    Case { name: "snapshot.decode", times: 256, run: read },
];

const HZ: u16 = 60;
const BYTES_MAX: usize = 1_200;
/// Others around a player; two of three walk.
const ENTITIES: u32 = 24;
/// Ticks from a baseline to what is told against it.
const BASELINE_TICKS: u32 = 6;

/// A world in which all walk their own way, at a tick.
fn snapshot(tick: u32) -> Snapshot {
    let entity = |index: u32| {
        let walks = !index.is_multiple_of(3);
        let (way_x, way_z) = ((index as i16 * 37) % 160 - 80, (index as i16 * 91) % 160 - 80);
        let walked = |way: i16| if walks { i64::from(way) * i64::from(tick) / 15 } else { 0 };
        SnapshotEntity {
            index,
            id: u64::from(index) * 7_919,
            state: EntityState {
                kind: 1,
                x: i64::from(index) * 1_300 + walked(way_x),
                y: 4_096,
                z: i64::from(index) * 900 + walked(way_z),
                velocity_x: if walks { way_x } else { 0 },
                velocity_z: if walks { way_z } else { 0 },
                // Who turns is not where a straight line leads.
                yaw: if walks { (index * 40 + tick / 20) as u16 % 1_024 } else { 0 },
                ..EntityState::default()
            },
        }
    };
    let mut snapshot = Snapshot { tick, input: tick as u16, ..Snapshot::default() };
    (snapshot.own.x, snapshot.own.z, snapshot.own.on_ground) = (1_000 + tick * 50, 90_000, true);
    snapshot.entities = (0..ENTITIES).map(entity).collect();
    snapshot
}

fn written(times: u32) {
    let all: Vec<Snapshot> = (1..=times + BASELINE_TICKS).map(snapshot).collect();
    let mut buffer = [0; BYTES_MAX];
    counted(&mut || {
        for (base, now) in all.iter().zip(&all[BASELINE_TICKS as usize..]) {
            black_box(encode(&mut buffer, HZ, Some(base), now));
        }
    });
}

fn read(times: u32) {
    let all: Vec<Snapshot> = (1..=times + BASELINE_TICKS).map(snapshot).collect();
    let pairs: Vec<(&Snapshot, &Snapshot)> = all.iter().zip(&all[BASELINE_TICKS as usize..]).collect();
    let body = |(base, now): &(&Snapshot, &Snapshot)| {
        let mut buffer = [0; BYTES_MAX];
        let bytes = encode(&mut buffer, HZ, Some(base), now);
        buffer[..bytes].to_vec()
    };
    let bodies: Vec<Vec<u8>> = pairs.iter().map(body).collect();
    let mut into = Snapshot::default();
    let mut right = 0;
    counted(&mut || {
        for (body, (base, now)) in bodies.iter().zip(&pairs) {
            let found = decode(body, HZ, |tick| (tick == base.tick).then_some(*base), &mut into);
            right += usize::from(found.is_ok() && into.tick == now.tick);
        }
    });
    assert_eq!(right, times as usize);
}
