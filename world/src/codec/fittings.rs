//! Doors, lights, openings and the table of what sees what, as streams.

use super::DecodeError;
use super::streams::{self, Streams};
use crate::border::Side;
use crate::chunk::{Axis, Chunk};
use crate::coord::{CELLS_PER_CHUNK, CHUNK_FIXED, HEIGHT_FIXED, LocalPoint};
use crate::door::{Door, Hinge};
use crate::light::Light;
use crate::visibility::{LeafSet, Opening, Table, Visibility};

/// The widest that a door may open, either way.
const OPEN_DEGREES_MAX: i16 = 180;

pub(super) const DOOR_BYTES: usize = 3 + 2 + 4;
pub(super) const DOOR_PLACE_BYTES: usize = 3 + 2;
pub(super) const LIGHT_BYTES: usize = 6 + 3 + 2;
const OPENING_BYTES: usize = 3 + 6;

/// Bytes of the table of so many leaves and openings: a bit for each pair of leaves, and for each
/// opening and each leaf.
pub(super) const fn table_bytes(leaves: usize, openings: usize) -> usize {
    openings * OPENING_BYTES + (leaves * leaves.saturating_sub(1) / 2 + openings * leaves).div_ceil(8)
}

/// Where doors are and how they hang: what a grid needs to know of them.
pub(super) fn write_door_places(doors: &[Door], out: &mut Vec<u8>) {
    out.extend(doors.iter().map(|door| door.x));
    out.extend(doors.iter().map(|door| door.z));
    out.extend(doors.iter().map(|door| door.axis as u8 | u8::from(door.hinge == Hinge::High) << 2));
    streams::write(out, doors.iter().map(|door| door.open_degrees));
}

pub(super) fn write_doors(doors: &[Door], out: &mut Vec<u8>) {
    write_door_places(doors, out);
    streams::write(out, doors.iter().map(|door| door.bottom));
    streams::write(out, doors.iter().map(|door| door.top));
}

/// Doors without their heights.
pub(super) fn read_door_places(streams: &mut Streams<'_>, count: usize) -> Result<Vec<Door>, DecodeError> {
    let (xs, zs, bits) = (streams.bytes(count), streams.bytes(count), streams.bytes(count));
    let mut doors = Vec::with_capacity(count);
    for (index, open_degrees) in streams.values(count).enumerate() {
        let (x, z, bits) = (xs[index], zs[index], bits[index]);
        let axis = if bits & 3 == 0 { Axis::X } else { Axis::Z };
        let hinge = if bits & 4 == 0 { Hinge::Low } else { Hinge::High };
        let last = if axis == Axis::X { x } else { z };
        let inside = usize::from(x.max(z)) < CELLS_PER_CHUNK && usize::from(last) + 1 < CELLS_PER_CHUNK;
        let opens = (-OPEN_DEGREES_MAX..=OPEN_DEGREES_MAX).contains(&open_degrees);
        if !inside || !opens || ![0, 2, 4, 6].contains(&bits) {
            return Err(DecodeError::Invalid { what: "door", index });
        }
        doors.push(Door { x, z, axis, hinge, open_degrees, bottom: 0, top: 0 });
    }
    Ok(doors)
}

pub(super) fn read_doors(streams: &mut Streams<'_>, count: usize) -> Result<Vec<Door>, DecodeError> {
    let mut doors = read_door_places(streams, count)?;
    let (bottoms, tops) = (streams.values(count), streams.values(count));
    for (index, (door, (bottom, top))) in doors.iter_mut().zip(bottoms.zip(tops)).enumerate() {
        if !is_span(bottom, top) {
            return Err(DecodeError::Invalid { what: "height of door", index });
        }
        (door.bottom, door.top) = (bottom, top);
    }
    Ok(doors)
}

pub(super) fn write_lights(lights: &[Light], out: &mut Vec<u8>) {
    streams::write(out, lights.iter().map(|light| light.at.x));
    streams::write(out, lights.iter().map(|light| light.at.y));
    streams::write(out, lights.iter().map(|light| light.at.z));
    out.extend(lights.iter().flat_map(|light| light.colour));
    streams::write(out, lights.iter().map(|light| light.radius_units as i16));
}

pub(super) fn read_lights(streams: &mut Streams<'_>, count: usize) -> Result<Vec<Light>, DecodeError> {
    let places = streams.values(count).zip(streams.values(count)).zip(streams.values(count));
    let colours = streams.bytes(3 * count).chunks_exact(3);
    let mut lights = Vec::with_capacity(count);
    for (((x, y), z), (colour, radius)) in places.zip(colours.zip(streams.values(count))) {
        let across = |along: i16| (0..CHUNK_FIXED).contains(&along);
        if !across(x) || !across(z) || !(0..=HEIGHT_FIXED).contains(&y) {
            return Err(DecodeError::Invalid { what: "light", index: lights.len() });
        }
        let colour = [colour[0], colour[1], colour[2]];
        lights.push(Light { at: LocalPoint { x, y, z }, colour, radius_units: radius as u16 });
    }
    Ok(lights)
}

pub(super) fn write_visibility(chunk: &Chunk, out: &mut Vec<u8>) {
    let Visibility::Table(table) = &chunk.visibility else { return };
    let Table { rows, openings } = table;
    let leaves = chunk.leaves.len();
    out.extend(openings.iter().map(|opening| opening.side as u8));
    out.extend(openings.iter().map(|opening| opening.start));
    out.extend(openings.iter().map(|opening| opening.end));
    streams::write(out, openings.iter().map(|opening| opening.bottom));
    streams::write(out, openings.iter().map(|opening| opening.top));
    streams::write(out, openings.iter().map(|opening| opening.leaf as i16));
    // Sight goes both ways, and each leaf sees itself: a triangle of bits says all.
    let pairs = (0..leaves).flat_map(|a| (a + 1..leaves).map(move |b| (a, b)));
    let seers = (leaves..rows.len()).flat_map(|row| (0..leaves).map(move |leaf| (row, leaf)));
    let mut bits = pairs.chain(seers).map(|(row, leaf)| rows[row].contains(leaf)).peekable();
    while bits.peek().is_some() {
        out.push((0..8).map(|bit| u8::from(bits.next().unwrap_or(false)) << bit).sum());
    }
}

pub(super) fn read_visibility(
    streams: &mut Streams<'_>,
    leaves: usize,
    openings: usize,
) -> Result<Visibility, DecodeError> {
    let openings = read_openings(streams, leaves, openings)?;
    let mut rows = vec![LeafSet::NONE; leaves + openings.len()];
    let pairs = (0..leaves).flat_map(|a| (a + 1..leaves).map(move |b| (a, b)));
    let seers = (leaves..rows.len()).flat_map(|row| (0..leaves).map(move |leaf| (row, leaf)));
    let count = table_bytes(leaves, openings.len()) - openings.len() * OPENING_BYTES;
    let bytes = streams.bytes(count);
    let bit = |at: usize| bytes[at / 8] & (1 << (at % 8)) != 0;
    for (at, (row, leaf)) in pairs.chain(seers).enumerate().filter(|(at, _)| bit(*at)) {
        rows[row].insert(leaf);
        if row < leaves {
            rows[leaf].insert(row);
        }
        debug_assert!(at < 8 * bytes.len());
    }
    (0..leaves).for_each(|leaf| rows[leaf].insert(leaf));
    Ok(Visibility::Table(Table { rows, openings }))
}

fn read_openings(
    streams: &mut Streams<'_>,
    leaves: usize,
    count: usize,
) -> Result<Vec<Opening>, DecodeError> {
    let (sides, starts, ends) = (streams.bytes(count), streams.bytes(count), streams.bytes(count));
    let spans = streams.values(count).zip(streams.values(count));
    let mut openings = Vec::with_capacity(count);
    for (index, ((bottom, top), leaf)) in spans.zip(streams.values(count)).enumerate() {
        let (start, end, leaf) = (starts[index], ends[index], leaf as u16);
        let side = Side::ALL.get(usize::from(sides[index])).copied();
        let runs = start < end && usize::from(end) <= CELLS_PER_CHUNK;
        let (Some(side), true) = (side, runs && is_span(bottom, top) && usize::from(leaf) < leaves) else {
            return Err(DecodeError::Invalid { what: "opening", index });
        };
        openings.push(Opening { side, start, end, bottom, top, leaf });
    }
    Ok(openings)
}

fn is_span(bottom: i16, top: i16) -> bool {
    0 <= bottom && bottom < top && top <= HEIGHT_FIXED
}
