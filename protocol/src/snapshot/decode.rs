//! Reads a snapshot's body into a whole snapshot. Bytes are hostile here: any are read or refused.

use super::bits::BitReader;
use super::coding::*;
use super::state::{EntityState, OwnState, RING_CHUNKS, Snapshot, SnapshotEntity};
use super::{BASELINE_TICKS_MAX, ENTITIES_PER_SNAPSHOT_MAX};
use crate::codec::Reader;

/// Why a snapshot was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The body ends inside a field.
    #[error("the snapshot ends inside `{field}`")]
    Truncated {
        /// Which.
        field: &'static str,
    },
    /// It leads from a snapshot that the receiver does not have (any more).
    #[error("the snapshot leads from tick {0}, which is not there")]
    BaselineGone(u32),
    /// A field has a value that it cannot have.
    #[error("the snapshot's {field} is {value}")]
    Value {
        /// Which field.
        field: &'static str,
        /// The value.
        value: i64,
    },
}

/// The ticks of a snapshot and its baseline, without reading more of it.
pub fn peek_ticks(body: &[u8]) -> Result<(u32, Option<u32>), SnapshotError> {
    let mut r = Reader::new(body);
    let tick = r.u32("tick").map_err(|_| SnapshotError::Truncated { field: "tick" })?;
    let age = r.u8("baseline").map_err(|_| SnapshotError::Truncated { field: "baseline" })? & !INCOMPLETE;
    if u32::from(age) > BASELINE_TICKS_MAX {
        return Err(SnapshotError::Value { field: "baseline", value: age.into() });
    }
    Ok((tick, (age > 0).then(|| tick.wrapping_sub(age.into()))))
}

/// Reads a body into a whole snapshot; `hz` is ticks a second, `baseline(tick)` finds an earlier one.
///
/// `into` is overwritten; where the body is refused it holds nothing of use. Its entities never are more
/// than [`ENTITIES_PER_SNAPSHOT_MAX`]. Bytes behind the last one are a newer version's and are ignored.
pub fn decode<'s>(
    body: &[u8],
    hz: u16,
    baseline: impl FnOnce(u32) -> Option<&'s Snapshot>,
    into: &mut Snapshot,
) -> Result<(), SnapshotError> {
    decode_with(&mut BitReader::new(body, HEAD_BYTES), body, hz, baseline, into)
}

/// The same with a reader that stands behind the head.
pub(super) fn decode_with<'s>(
    r: &mut BitReader<'_>,
    body: &[u8],
    hz: u16,
    baseline: impl FnOnce(u32) -> Option<&'s Snapshot>,
    into: &mut Snapshot,
) -> Result<(), SnapshotError> {
    let nothing = Snapshot::default();
    let (tick, base_tick) = peek_ticks(body)?;
    let base = match base_tick {
        Some(tick) => baseline(tick).ok_or(SnapshotError::BaselineGone(tick))?,
        None => &nothing,
    };
    let head: &[u8; HEAD_BYTES] = body.first_chunk().ok_or(SnapshotError::Truncated { field: "head" })?;
    let [_, _, _, _, age, input_low, input_high, lead] = *head;
    into.tick = tick;
    into.incomplete = age & INCOMPLETE != 0;
    into.input = u16::from_le_bytes([input_low, input_high]);
    into.lead_half_ms = lead as i8;

    into.own = read_own(r, &base.own)?;
    let chunk = chunk_of(&into.own);
    into.open_doors = doors_in_ring(&base.open_doors, chunk_of(&base.own), chunk);
    read_doors(r, &mut into.open_doors)?;

    let elapsed = Elapsed::new(base_tick.map_or(0, |base| tick.wrapping_sub(base)), hz);
    into.entities.clear();
    read_known(r, elapsed, &base.entities, &mut into.entities)?;
    read_entered(r, chunk, &mut into.entities)?;
    if !r.is_padded() {
        return Err(SnapshotError::Value { field: "padding", value: 1 });
    }
    Ok(())
}

fn read_own(r: &mut BitReader<'_>, base: &OwnState) -> Result<OwnState, SnapshotError> {
    if !r.flag("own changed")? {
        return Ok(*base);
    }
    let [dx] = r.signed(&OWN_PLACE, "own x")?;
    let [dz] = r.signed(&OWN_PLACE, "own z")?;
    let split = |place: i64| {
        let in_chunk = place & ((1 << OWN_IN_CHUNK_BITS) - 1);
        ((place >> OWN_IN_CHUNK_BITS) as i32, in_chunk as u32)
    };
    let (cx, x) = split(own_place(base.cx, base.x) + dx);
    let (cz, z) = split(own_place(base.cz, base.z) + dz);
    let on_ground = r.flag("own on_ground")?;
    let (mut y, mut velocity_y) = (base.y, base.velocity_y);
    if r.flag("own upward")? {
        let [dy] = r.signed(&OWN_HEIGHT, "own y")?;
        let [change] = r.signed(&OWN_HEIGHT, "own velocity_y")?;
        y = y.wrapping_add(dy as i32);
        velocity_y = velocity_y.wrapping_add(change as i32);
    }
    let state = base.state ^ r.unsigned(&STATE, "own state")? as u32;
    Ok(OwnState { cx, cz, x, y, z, velocity_y, on_ground, state })
}

fn read_doors(r: &mut BitReader<'_>, doors: &mut [u32; RING_CHUNKS]) -> Result<(), SnapshotError> {
    if !r.flag("doors changed")? {
        return Ok(());
    }
    for mask in doors {
        if r.flag("chunk's doors changed")? {
            *mask ^= match r.flag("one door")? {
                true => 1 << r.take(DOOR_INDEX_BITS, "door index")?,
                false => r.take(32, "doors toggled")?,
            };
        }
    }
    Ok(())
}

/// What became of the baseline's entities.
fn read_known(
    r: &mut BitReader<'_>,
    elapsed: Elapsed,
    base: &[SnapshotEntity],
    into: &mut Vec<SnapshotEntity>,
) -> Result<(), SnapshotError> {
    if base.len() > ENTITIES_PER_SNAPSHOT_MAX {
        return Err(SnapshotError::Value { field: "baseline's count", value: base.len() as i64 });
    }
    if !r.flag("any mentioned")? {
        into.extend_from_slice(base);
        return Ok(());
    }
    for entity in base {
        if !r.flag("mentioned")? {
            into.push(*entity);
        } else if !r.flag("gone")? {
            into.push(SnapshotEntity { state: read_changed(r, elapsed, &entity.state)?, ..*entity });
        }
    }
    Ok(())
}

fn read_changed(
    r: &mut BitReader<'_>,
    elapsed: Elapsed,
    base: &EntityState,
) -> Result<EntityState, SnapshotError> {
    let mut now = *base;
    let mut up = 0;
    if !r.flag("steady")? {
        let [x, z] = r.signed(&VELOCITY, "velocity")?;
        now.velocity_x = base.velocity_x.wrapping_add(x as i16);
        now.velocity_z = base.velocity_z.wrapping_add(z as i16);
        if r.flag("upward")? {
            let [y] = r.signed(&VELOCITY, "velocity_y")?;
            now.velocity_y = base.velocity_y.wrapping_add(y as i16);
            [up] = r.signed(&HEIGHT, "y")?;
        }
        let [turned] = r.signed(&YAW, "yaw")?;
        now.yaw = base.yaw.wrapping_add(turned as u16) & ((1 << YAW_BITS) - 1);
        now.state = base.state ^ r.unsigned(&STATE, "state")? as u32;
    }
    let (x, y, z) = elapsed.expected(base, [now.velocity_x, now.velocity_y, now.velocity_z]);
    let [dx, dz] = r.signed(&PLACE, "place")?;
    now.x = place(x.wrapping_add(dx));
    now.y = y.wrapping_add(up as i32);
    now.z = place(z.wrapping_add(dz));
    Ok(now)
}

/// The new ones, and the order of all.
fn read_entered(
    r: &mut BitReader<'_>,
    chunk: (i32, i32),
    into: &mut Vec<SnapshotEntity>,
) -> Result<(), SnapshotError> {
    let known = into.len();
    let mut index_min = 0;
    while r.flag("more enter")? {
        if into.len() == ENTITIES_PER_SNAPSHOT_MAX {
            return Err(SnapshotError::Value { field: "count", value: into.len() as i64 + 1 });
        }
        let entity = read_one_entered(r, chunk, index_min)?;
        index_min = u64::from(entity.index) + 1;
        into.push(entity);
    }
    if into.len() > known {
        into.sort_unstable_by_key(|entity| entity.index);
        if let Some(twice) = into.windows(2).find(|pair| pair[0].index == pair[1].index) {
            return Err(SnapshotError::Value { field: "index there twice", value: twice[0].index.into() });
        }
    }
    Ok(())
}

fn read_one_entered(
    r: &mut BitReader<'_>,
    chunk: (i32, i32),
    index_min: u64,
) -> Result<SnapshotEntity, SnapshotError> {
    let index = index_min + r.unsigned(&INDEX_GAP, "index")?;
    let index =
        u32::try_from(index).map_err(|_| SnapshotError::Value { field: "index", value: index as i64 })?;
    let id = r.unsigned(&ID, "id")?;
    let kind = r.unsigned(&KIND, "kind")? as u16;
    let (x, z) = if r.flag("in ring")? {
        let x = i64::from(r.take(IN_RING_BITS, "x")?);
        let z = i64::from(r.take(IN_RING_BITS, "z")?);
        (place(ring_start(chunk.0) + x), place(ring_start(chunk.1) + z))
    } else {
        let x = r.wide(PLACE_BITS, "x")?;
        (place(x as i64), place(r.wide(PLACE_BITS, "z")? as i64))
    };
    let [y] = r.signed(&ENTERED_HEIGHT, "y")?;
    let velocity: [i64; 3] = r.signed(&ENTERED_VELOCITY, "velocity")?;
    let [velocity_x, velocity_y, velocity_z] = velocity.map(|v| v as i16);
    let yaw = r.take(YAW_BITS, "yaw")? as u16;
    let state = r.unsigned(&STATE, "state")? as u32;
    let state = EntityState { kind, x, y: y as i32, z, velocity_x, velocity_y, velocity_z, yaw, state };
    Ok(SnapshotEntity { index, id, state })
}
