//! What is in the way, and what is at a point: over chunk borders, through closed doors, exact.
//!
//! Both sides of a connection get the same answer to the bit: places are rounded to the lattice of 1/1024
//! unit once, and everything after that is whole numbers. Rock reaches down for ever under a floor and
//! up for ever over a ceiling; a chunk that is not there is solid.

use crate::chunk::{Child, Chunk, Contents, Face, Leaf, Plane};
use crate::coord::{ChunkCoord, FIXED_PER_UNIT, LocalPoint, Position};
use crate::lattice::{Frame, GRAINS_PER_UNIT, grains};
use crate::sweep::{Contact, HALF_EXTENT_UNITS_MAX, Hit, Loaded, Normal, REACH_GRAINS, Sweep};

/// From the middle of a box to its sides, in units. Along each axis at least 1/1024 and at most
/// [`HALF_EXTENT_UNITS_MAX`] are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HalfExtents {
    /// Eastward.
    pub x: f64,
    /// Upward.
    pub y: f64,
    /// Southward.
    pub z: f64,
}

impl HalfExtents {
    /// The smallest box: for sight lines.
    pub const POINT: HalfExtents = HalfExtents { x: 0.0, y: 0.0, z: 0.0 };

    fn grains(self) -> [i64; 3] {
        let most = i64::from(HALF_EXTENT_UNITS_MAX) * GRAINS_PER_UNIT;
        [self.x, self.y, self.z].map(|half| grains(half).clamp(1, most))
    }
}

/// How far a box came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trace {
    /// Of the way that was asked for, 0 to 1.
    pub fraction: f64,
    /// Where the middle of the box came to rest: on the lattice, touching what it hit.
    pub end: Position,
    /// The way that the hit surface faces; `None` when nothing was hit or the box started inside.
    pub normal: Option<Normal>,
    /// What was in the way.
    pub hit: Option<Hit>,
    /// Whether it overlapped something at once; then it goes nowhere, and `hit` says what that is.
    pub started_inside: bool,
}

/// Moves a box with its middle at `from` towards `to`, among the chunks that `chunk_at` knows.
///
/// ```
/// use ninefold_world::{Chunk, ChunkCoord, HalfExtents, Hit, Loaded, Position, trace};
///
/// let chunk = Chunk::safe(ChunkCoord::new(0, 0)); // flat ground at height 0
/// let chunk_at = |coord| (coord == chunk.coord()).then_some(Loaded::from(&chunk));
/// let (from, to) = (Position { x: 8.0, y: 8.0, z: 8.0 }, Position { x: 8.0, y: -8.0, z: 8.0 });
/// let trace = trace(&chunk_at, from, to, HalfExtents { x: 1.0, y: 4.0, z: 1.0 });
/// assert_eq!((trace.fraction, trace.end.y), (0.25, 4.0));
/// assert_eq!(trace.hit, Some(Hit::Rock(chunk.coord())));
/// ```
///
/// A way longer than [`REACH_UNITS`](crate::REACH_UNITS) along an axis is cut off there. Where `from` is in no
/// world, or `to` is not finite, the box stays at `from` and [`Hit::Outside`] says so.
pub fn trace<'a>(
    chunk_at: &impl Fn(ChunkCoord) -> Option<Loaded<'a>>,
    from: Position,
    to: Position,
    half_extents: HalfExtents,
) -> Trace {
    let is_finite = [to.x, to.y, to.z].into_iter().all(f64::is_finite);
    let Some(frame) = Frame::of(from).filter(|_| is_finite) else {
        let hit = Some(Hit::Outside);
        return Trace { fraction: 0.0, end: from, normal: None, hit, started_inside: true };
    };
    let (from, to) = (frame.grains(from), frame.grains(to));
    let whole: [i64; 3] = std::array::from_fn(|i| to[i] - from[i]);
    let longest = whole.iter().fold(0, |longest, d| d.abs().max(longest));
    let half = half_extents.grains();
    if longest <= REACH_GRAINS {
        return finish(frame, Sweep { frame, from, delta: whole, half }.run(chunk_at));
    }
    let cut = |d: i64| (i128::from(d) * i128::from(REACH_GRAINS) / i128::from(longest)) as i64;
    let mut contact = Sweep { frame, from, delta: whole.map(cut), half }.run(chunk_at);
    contact.fraction *= REACH_GRAINS as f64 / longest as f64;
    contact.hit = contact.hit.or(Some(Hit::Reach));
    finish(frame, contact)
}

fn finish(frame: Frame, contact: Contact) -> Trace {
    let Contact { fraction, end, normal, hit, started_inside } = contact;
    Trace { fraction, end: frame.position(end), normal, hit, started_inside }
}

/// What fills a point; `None` is air. Low bounds belong to a solid, high bounds do not.
pub fn contents<'a>(chunk_at: &impl Fn(ChunkCoord) -> Option<Loaded<'a>>, at: Position) -> Option<Hit> {
    let Some(coord) = at.chunk().filter(|_| at.y.is_finite()) else { return Some(Hit::Outside) };
    let Some(loaded) = chunk_at(coord) else { return Some(Hit::Missing(coord)) };
    let (x0, z0) = coord.origin();
    // A cast keeps what is too high or too deep at the ends of its range.
    let fixed = |units: f64| (units * f64::from(FIXED_PER_UNIT)).floor() as i16;
    let [x, y, z] = [at.x - x0, at.y, at.z - z0].map(fixed);
    if loaded.chunk.contents(LocalPoint { x, y, z }) == Contents::Solid {
        return Some(Hit::Rock(coord));
    }
    let is_in_door = |index: &usize| {
        let (low, high) = loaded.chunk.doors()[*index].solid_box();
        let within = (low[0]..high[0]).contains(&x) && (low[1]..high[1]).contains(&y);
        !loaded.open_doors.contains(*index) && within && (low[2]..high[2]).contains(&z)
    };
    (0..loaded.chunk.doors().len()).find(is_in_door).map(|index| Hit::Door(coord, index))
}

/// What a surface is made of: that of the face at a place, looked at from the side to which `normal` points.
/// A place up to 1/16 unit off the surface will do, so the end of a sight line does. `None` where no face
/// is: in the air, in rock, on a door, in a chunk that is not there, over the chunk's height.
///
/// ```
/// use ninefold_world::{Axis, Chunk, ChunkCoord, Loaded, Normal, Position, material};
///
/// let chunk = Chunk::safe(ChunkCoord::new(0, 0));
/// let up = Normal { axis: Axis::Y, sign: 1 };
/// let feet = Position { x: 8.0, y: 0.0, z: 8.0 };
/// assert_eq!(material(&|_| Some(Loaded::from(&chunk)), feet, up), Some(9)); // grass
/// ```
pub fn material<'a>(
    chunk_at: &impl Fn(ChunkCoord) -> Option<Loaded<'a>>,
    at: Position,
    normal: Normal,
) -> Option<u8> {
    let axis = normal.axis as usize;
    let faces_back = normal.sign < 0;
    // The chunk and the box of air in front of it: a wall on an edge belongs to the chunk that sees it.
    let mut air = [at.x, at.y, at.z];
    let surface = (air[axis] * f64::from(FIXED_PER_UNIT)).round();
    air[axis] = (surface + if faces_back { -0.5 } else { 0.5 }) / f64::from(FIXED_PER_UNIT);
    let [x, y, z] = air;
    let chunk = chunk_at(Position { x, y, z }.chunk()?)?.chunk;
    let (x0, z0) = chunk.coord().origin();
    let local = [x - x0, y, z - z0].map(|units| (units * f64::from(FIXED_PER_UNIT)).floor() as i16);
    let leaf = leaf_at(chunk, local)?;
    let distance = local[axis] + i16::from(faces_back);
    let wanted = Plane { axis: normal.axis, faces_back, distance };
    let faces = &chunk.faces()[usize::from(leaf.first_face)..][..usize::from(leaf.faces)];
    let is_there = |face: &&Face| {
        let corners = face.vertices.map(|vertex| chunk.vertices()[usize::from(vertex)]);
        chunk.planes()[usize::from(face.plane)] == wanted
            && (0..3).filter(|i| *i != axis).all(|i| {
                let along = corners.map(|corner| corner[i]);
                let low = along.into_iter().min().expect("a face has corners");
                let high = along.into_iter().max().expect("a face has corners");
                (low..high).contains(&local[i])
            })
    };
    faces.iter().find(is_there).map(|face| face.material)
}

/// The box of air that a point of the chunk is in.
fn leaf_at(chunk: &Chunk, at: [i16; 3]) -> Option<&Leaf> {
    let mut child = chunk.nodes().first().map_or(Child::Solid, |_| Child::Node(0));
    // A child comes after its parent, so this ends.
    loop {
        match child {
            Child::Solid => return None,
            Child::Leaf(index) => return chunk.leaves().get(usize::from(index)),
            Child::Node(index) => {
                let node = &chunk.nodes()[usize::from(index)];
                let plane = chunk.planes()[usize::from(node.plane)];
                child = if at[plane.axis as usize] < plane.distance { node.back } else { node.front };
            }
        }
    }
}

#[cfg(test)]
mod tests;
