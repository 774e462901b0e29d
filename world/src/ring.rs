//! The chunks around a place, and what of them can be seen from it.
//!
//! A straight line that leaves a chunk never comes back, so sight goes from the chunk in the middle over
//! one side into a neighbour, and from there over another into the one across the corner. Over each side
//! it passes an opening: the leaves that see it from one side and those that are seen through it on the
//! other are in the two chunks' tables, and what is seen through it from the eye itself lies in a wedge.

use crate::border::Side;
use crate::chunk::{Axis, Child, Chunk};
use crate::coord::{
    CELL_UNITS, CELLS_PER_CHUNK, CHUNK_UNITS, ChunkCoord, FIXED_PER_UNIT, LocalPoint, Position,
};
use crate::frustum::Frustum;
use crate::topology::Topology;
use crate::visibility::{LeafSet, Visibility};

/// The 3x3 chunks around a place, as far as they are there.
#[derive(Debug, Clone, Copy)]
pub struct Ring<'a> {
    centre: ChunkCoord,
    /// Row by row, from north-west to south-east.
    chunks: [Option<&'a Chunk>; 9],
}

/// What of one chunk is to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibleChunk {
    /// Which chunk.
    pub coord: ChunkCoord,
    /// Its leaves, from front to back.
    pub leaves: Vec<u16>,
}

/// What of a ring is to be drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visible {
    /// Chunk by chunk, the nearest first.
    pub chunks: Vec<VisibleChunk>,
    /// Leaves that are to be drawn.
    pub drawn: usize,
    /// Leaves that are out of view.
    pub outside_view: usize,
    /// Leaves in view that something hides.
    pub hidden: usize,
}

impl<'a> Ring<'a> {
    /// The ring around a chunk, of the chunks that `chunk_at` knows.
    pub fn around(centre: ChunkCoord, chunk_at: impl Fn(ChunkCoord) -> Option<&'a Chunk>) -> Ring<'a> {
        let mut chunks = [None; 9];
        for coord in Topology::Plane.ring(centre) {
            let (dx, dz) = Topology::Plane.offset(centre, coord).expect("it is in the ring");
            chunks[index(dx, dz)] = chunk_at(coord);
        }
        Ring { centre, chunks }
    }

    /// The chunk so many columns and rows from the middle, -1 to 1 each.
    pub fn chunk(&self, dx: i32, dz: i32) -> Option<&'a Chunk> {
        self.chunks[index(dx, dz)]
    }

    /// The leaves that can be seen by an eye in the chunk in the middle.
    pub fn visible(&self, eye: Position, frustum: &Frustum) -> Visible {
        let eye = self.local(eye);
        let mut visible = Visible::default();
        let mut order: Vec<(i32, i32)> = (-1..=1).flat_map(|dz| (-1..=1).map(move |dx| (dx, dz))).collect();
        order.sort_by(|a, b| apart(eye, *a).total_cmp(&apart(eye, *b)));
        for (dx, dz) in order {
            let Some(chunk) = self.chunk(dx, dz) else { continue };
            let local = [eye[0] - f64::from(dx * CHUNK_UNITS), eye[1], eye[2] - f64::from(dz * CHUNK_UNITS)];
            let unhidden = self.unhidden_in(chunk, eye, (dx, dz));
            let mut leaves = Vec::new();
            front_to_back(chunk, local, |leaf| {
                let (min, max) = leaf_box(chunk, leaf);
                let relative = |corner: [f64; 3]| [0, 1, 2].map(|i| corner[i] - local[i]);
                if !frustum.sees(relative(min), relative(max)) {
                    visible.outside_view += 1;
                } else if !unhidden.contains(usize::from(leaf)) {
                    visible.hidden += 1;
                } else {
                    leaves.push(leaf);
                }
            });
            visible.drawn += leaves.len();
            visible.chunks.push(VisibleChunk { coord: chunk.coord(), leaves });
        }
        visible
    }

    /// The leaves of one chunk of the ring that nothing hides from an eye in the chunk in the middle,
    /// wherever it looks.
    pub fn unhidden(&self, eye: Position, coord: ChunkCoord) -> LeafSet {
        let at = Topology::Plane.offset(self.centre, coord);
        let chunk = at.and_then(|(dx, dz)| Some((self.chunk(dx, dz)?, (dx, dz))));
        chunk.map_or(LeafSet::NONE, |(chunk, at)| self.unhidden_in(chunk, self.local(eye), at))
    }

    /// In units from the corner of the chunk in the middle.
    fn local(&self, at: Position) -> [f64; 3] {
        let (x0, z0) = self.centre.origin();
        [at.x - x0, at.y, at.z - z0]
    }

    fn unhidden_in(&self, chunk: &Chunk, eye: [f64; 3], (dx, dz): (i32, i32)) -> LeafSet {
        let centre = self.chunk(0, 0);
        let eye_leaf = centre.and_then(|centre| leaf_of(centre, eye));
        let all = LeafSet::first(chunk.leaves().len());
        if (dx, dz) == (0, 0) {
            return match (chunk.visibility(), eye_leaf) {
                (Visibility::Table(table), Some(leaf)) => table.from_leaf(leaf.into()),
                _ => all,
            };
        }
        // An eye in rock, or in a chunk that is not there, might see everything.
        let sees = |from: LeafSet| eye_leaf.is_none_or(|leaf| from.contains(leaf.into()));
        let plan = [eye[0], eye[2]];
        let mut seen = LeafSet::NONE;
        let mut see = |to: LeafSet, wedge: Wedge| {
            for leaf in (0..chunk.leaves().len()).filter(|leaf| to.contains(*leaf)) {
                let (min, max) = leaf_box(chunk, leaf as u16);
                let shift = |corner: [f64; 3]| {
                    [corner[0] + f64::from(dx * CHUNK_UNITS), corner[2] + f64::from(dz * CHUNK_UNITS)]
                };
                if wedge.meets(plan, shift(min), shift(max)) {
                    seen.insert(leaf);
                }
            }
        };
        for (first, second) in routes(dx, dz) {
            let (step_x, step_z) = first.step();
            let between = self.chunk(step_x, step_z);
            for way in ways(centre, between, first).filter(|way| sees(way.from)) {
                let wedge = Wedge::through(plan, way.ends(first, (0, 0)));
                let Some(second) = second else {
                    see(way.to, wedge);
                    continue;
                };
                for next in ways(between, Some(chunk), second) {
                    let narrow = wedge.within(Wedge::through(plan, next.ends(second, (step_x, step_z))));
                    if !way.to.intersection(next.from).is_empty() && !narrow.is_empty() {
                        see(next.to, narrow);
                    }
                }
            }
        }
        seen
    }
}

fn index(dx: i32, dz: i32) -> usize {
    debug_assert!((-1..=1).contains(&dx) && (-1..=1).contains(&dz));
    ((dz + 1) * 3 + dx + 1) as usize
}

/// The sides over which a line may go to a chunk: one, or two in either order.
fn routes(dx: i32, dz: i32) -> impl Iterator<Item = (Side, Option<Side>)> {
    let along_x = if dx > 0 { Side::East } else { Side::West };
    let along_z = if dz > 0 { Side::South } else { Side::North };
    let routes = match (dx, dz) {
        (_, 0) => [Some((along_x, None)), None],
        (0, _) => [Some((along_z, None)), None],
        _ => [Some((along_x, Some(along_z))), Some((along_z, Some(along_x)))],
    };
    routes.into_iter().flatten()
}

/// A way for sight over a side from one chunk into the next.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Its first cell along the side, and the one after its last.
    start: u8,
    end: u8,
    /// The leaves that see it.
    from: LeafSet,
    /// The leaves that are seen through it.
    to: LeafSet,
}

impl Way {
    /// Its two ends in plan, in units, for a side of the chunk so many columns and rows from the middle.
    fn ends(&self, side: Side, (dx, dz): (i32, i32)) -> [[f64; 2]; 2] {
        let (step_x, step_z) = side.step();
        [self.start, self.end].map(|cell| {
            let along = f64::from(i32::from(cell) * CELL_UNITS);
            let far = f64::from(if step_x + step_z > 0 { CHUNK_UNITS } else { 0 });
            let [x, z] = if step_x == 0 { [along, far] } else { [far, along] };
            [x + f64::from(dx * CHUNK_UNITS), z + f64::from(dz * CHUNK_UNITS)]
        })
    }
}

/// The ways over a side. A chunk that is not there hides nothing.
fn ways(from: Option<&Chunk>, to: Option<&Chunk>, side: Side) -> impl Iterator<Item = Way> {
    let whole =
        Part { start: 0, end: CELLS_PER_CHUNK as u8, bottom: i16::MIN, top: i16::MAX, seen: LeafSet::ALL };
    let parts = move |chunk: Option<&Chunk>, side: Side| -> Vec<Part> {
        let Some(Visibility::Table(table)) = chunk.map(Chunk::visibility) else { return vec![whole] };
        let openings = table.openings().iter().enumerate().filter(|(_, opening)| opening.side == side);
        openings
            .map(|(i, o)| Part {
                start: o.start,
                end: o.end,
                bottom: o.bottom,
                top: o.top,
                seen: table.of_opening(i),
            })
            .collect()
    };
    let there = parts(to, side.opposite());
    parts(from, side).into_iter().flat_map(move |a| {
        let there = there.clone();
        there.into_iter().filter_map(move |b| {
            let (start, end) = (a.start.max(b.start), a.end.min(b.end));
            let meet = start < end && a.bottom.max(b.bottom) < a.top.min(b.top);
            meet.then_some(Way { start, end, from: a.seen, to: b.seen })
        })
    })
}

/// An opening as one of its two chunks knows it.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: u8,
    end: u8,
    bottom: i16,
    top: i16,
    seen: LeafSet,
}

/// Directions in plan between two others, less than half a turn apart.
#[derive(Debug, Clone, Copy)]
struct Wedge {
    left: [f64; 2],
    right: [f64; 2],
}

/// Positive where `b` is to the left of `a`.
fn turn(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

impl Wedge {
    fn through(eye: [f64; 2], ends: [[f64; 2]; 2]) -> Wedge {
        let [a, b] = ends.map(|end| [end[0] - eye[0], end[1] - eye[1]]);
        if turn(a, b) >= 0.0 { Wedge { left: b, right: a } } else { Wedge { left: a, right: b } }
    }

    fn within(self, other: Wedge) -> Wedge {
        let left = if turn(self.left, other.left) < 0.0 { other.left } else { self.left };
        let right = if turn(self.right, other.right) > 0.0 { other.right } else { self.right };
        Wedge { left, right }
    }

    fn is_empty(self) -> bool {
        turn(self.right, self.left) < 0.0
    }

    /// Whether a box in plan is partly in it; the box lies beyond the opening, so never behind the eye.
    fn meets(self, eye: [f64; 2], min: [f64; 2], max: [f64; 2]) -> bool {
        let corners = [[min[0], min[1]], [max[0], min[1]], [min[0], max[1]], [max[0], max[1]]];
        let towards = corners.map(|corner| [corner[0] - eye[0], corner[1] - eye[1]]);
        !towards.iter().all(|corner| turn(self.left, *corner) > 0.0)
            && !towards.iter().all(|corner| turn(self.right, *corner) < 0.0)
    }
}

/// How far a chunk is from the eye, squared.
fn apart(eye: [f64; 3], (dx, dz): (i32, i32)) -> f64 {
    let away = |along: f64, steps: i32| {
        let low = f64::from(steps * CHUNK_UNITS);
        (low - along).max(along - low - f64::from(CHUNK_UNITS)).max(0.0)
    };
    let (x, z) = (away(eye[0], dx), away(eye[2], dz));
    x * x + z * z
}

/// The leaf in which an eye is.
fn leaf_of(chunk: &Chunk, eye: [f64; 3]) -> Option<u16> {
    let fixed = |along: f64| (along * f64::from(FIXED_PER_UNIT)).floor() as i16; // saturates
    chunk.leaf_at(LocalPoint { x: fixed(eye[0]), y: fixed(eye[1]), z: fixed(eye[2]) })
}

/// A leaf's box in units.
fn leaf_box(chunk: &Chunk, leaf: u16) -> ([f64; 3], [f64; 3]) {
    let leaf = &chunk.leaves()[usize::from(leaf)];
    let units = |corner: [i16; 3]| corner.map(|along| f64::from(along) / f64::from(FIXED_PER_UNIT));
    (units(leaf.min), units(leaf.max))
}

/// Visits the leaves of a chunk, those that can hide before those that can be hidden; the eye is in
/// units from the chunk's corner.
fn front_to_back(chunk: &Chunk, eye: [f64; 3], mut visit: impl FnMut(u16)) {
    let mut open = vec![Child::Node(0)];
    while let Some(child) = open.pop() {
        match child {
            Child::Solid => {}
            Child::Leaf(leaf) => visit(leaf),
            Child::Node(index) => {
                let node = &chunk.nodes()[usize::from(index)];
                let plane = chunk.planes()[usize::from(node.plane)];
                let distance = f64::from(plane.distance) / f64::from(FIXED_PER_UNIT);
                let along = match plane.axis {
                    Axis::X => eye[0],
                    Axis::Y => eye[1],
                    Axis::Z => eye[2],
                };
                let nearer = if along < distance { [node.front, node.back] } else { [node.back, node.front] };
                open.extend(nearer);
            }
        }
    }
}

#[cfg(test)]
mod tests;
