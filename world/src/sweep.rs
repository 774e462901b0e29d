//! A box that moves through the chunks: the exact core of [`trace`](crate::trace()) and
//! [`slide`](crate::slide()), on the lattice.
//!
//! Solids are open sets: touching is not colliding. A box meets a solid from the moment in which its last
//! axis begins to overlap it until its first axis has left it. Each plane that the box passes cuts that span of time
//! for the two sides of it, so that at rock the span is the answer. Cells are passed one after the other; most say at once
//! where their floor and ceiling are, and those of a stranger tree are gone down: nearer sides go first, and what begins
//! after the best answer so far is left out.
//!
//! Moments are quotients of whole numbers below 2^23 by lengths of at most 2^21. Two different ones are
//! at least 2^-42 apart and a division is off by at most 2^-54 of one, so comparing the rounded quotients
//! compares the exact ones.

use smallvec::SmallVec;

use crate::chunk::{Axis, Child, Chunk};
use crate::coord::CELLS_PER_CHUNK;
use crate::coord::ChunkCoord;
use crate::door::OpenDoors;
use crate::entries::CellColumn;
use crate::lattice::{CELL_GRAINS, CHUNK_GRAINS, Frame, GRAINS_PER_FIXED, GRAINS_PER_UNIT};

/// The longest sweep along an axis, in units.
pub const REACH_UNITS: i32 = 2_048;
/// The largest half of a box along an axis, in units.
pub const HALF_EXTENT_UNITS_MAX: i32 = 1_024;
pub(crate) const REACH_GRAINS: i64 = REACH_UNITS as i64 * GRAINS_PER_UNIT;

/// Sides of planes that can wait without memory from the heap. A tree of cells is at most 32 deep; one
/// that somebody made up may be as deep as it has nodes, and then waits on the heap.
const WAITING_INLINE: usize = 64;

/// A chunk that is there, and which of its doors stand open.
#[derive(Debug, Clone, Copy)]
pub struct Loaded<'a> {
    /// The chunk.
    pub chunk: &'a Chunk,
    /// Which of its doors are out of the way.
    pub open_doors: OpenDoors,
}

impl<'a> From<&'a Chunk> for Loaded<'a> {
    /// With all its doors closed.
    fn from(chunk: &'a Chunk) -> Self {
        Loaded { chunk, open_doors: OpenDoors::NONE }
    }
}

/// What is in the way. Of several that are met in the same moment, the first in this order is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hit {
    /// A closed door of a chunk: its index in [`Chunk::doors`].
    Door(ChunkCoord, usize),
    /// Rock of a chunk: under a floor, over a ceiling, or a solid cell.
    Rock(ChunkCoord),
    /// A chunk that is not there.
    Missing(ChunkCoord),
    /// The end of the grid of chunks, or a place that is in no world.
    Outside,
    /// Nothing: the sweep was longer than [`REACH_UNITS`] and ended there.
    Reach,
}

/// The direction in which a surface faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Normal {
    /// Along which axis.
    pub axis: Axis,
    /// 1 where it faces along the axis, -1 where it faces back.
    pub sign: i8,
}

/// Where a sweep ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contact {
    /// Of the way that was gone, 0 to 1.
    pub fraction: f64,
    /// Middle of the box there, in grains.
    pub end: [i64; 3],
    pub normal: Option<Normal>,
    pub hit: Option<Hit>,
    pub started_inside: bool,
}

/// A box on its way, in grains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sweep {
    pub frame: Frame,
    /// Its middle.
    pub from: [i64; 3],
    /// Its way, along each axis at most [`REACH_GRAINS`].
    pub delta: [i64; 3],
    /// From its middle to its sides: at least one grain.
    pub half: [i64; 3],
}

/// The time in which the box overlaps a part of the world; 0 to 1 is the sweep.
#[derive(Debug, Clone, Copy)]
struct Span {
    enter: f64,
    exit: f64,
    /// The axes on which it begins to overlap in the moment of entering, a bit each.
    axes: u8,
}

/// Entered before the sweep began.
const BEFORE: f64 = -1.0;

impl Span {
    /// Begins no earlier than when one more axis begins to overlap.
    #[inline]
    fn enter_at(&mut self, moment: f64, axis: usize) {
        if moment >= 0.0 && moment >= self.enter {
            self.axes = if moment > self.enter { 0 } else { self.axes } | 1 << axis;
            self.enter = moment;
        }
    }
}

impl Sweep {
    /// Moves the box until it is in the way of something.
    pub fn run<'a>(&self, chunk_at: &impl Fn(ChunkCoord) -> Option<Loaded<'a>>) -> Contact {
        debug_assert!(self.delta.iter().all(|d| d.abs() <= REACH_GRAINS) && self.half.iter().all(|h| *h > 0));
        let swept = Swept::new(self);
        let mut nearest = Nearest { enter: 1.0, ties: 0, axis: 0, hit: None };
        // Chunks that the open box touches, front to back.
        let first = [0, 2].map(|axis| swept.low[axis].div_euclid(CHUNK_GRAINS));
        let last = [0, 2].map(|axis| (swept.high[axis] - 1).div_euclid(CHUNK_GRAINS));
        let place = |i: usize, axis: usize, n: i64| {
            if swept.sign[axis] < 0 { last[i] - n } else { first[i] + n }
        };
        for row in 0..=last[1] - first[1] {
            for column in 0..=last[0] - first[0] {
                let (column, row) = (place(0, 0, column), place(1, 2, row));
                let swept = swept.seen_from(column, row);
                let Some(span) = swept.chunk_span().filter(|s| s.enter <= nearest.enter) else { continue };
                match self.frame.chunk(column, row) {
                    None => nearest.offer(span, || Hit::Outside),
                    Some(coord) => match chunk_at(coord) {
                        None => nearest.offer(span, || Hit::Missing(coord)),
                        Some(loaded) => {
                            swept.through_cells(coord, loaded.chunk, span, &mut nearest);
                            swept.through_doors(coord, loaded, span, &mut nearest);
                        }
                    },
                }
            }
        }
        self.contact(&swept, &nearest)
    }

    fn contact(&self, swept: &Swept, nearest: &Nearest) -> Contact {
        let hit = nearest.hit;
        if hit.is_none() {
            let end = std::array::from_fn(|i| self.from[i] + self.delta[i]);
            return Contact { fraction: 1.0, end, normal: None, hit, started_inside: false };
        }
        if nearest.enter < 0.0 {
            return Contact { fraction: 0.0, end: self.from, normal: None, hit, started_inside: true };
        }
        let axis = nearest.axis;
        let length = self.delta[axis].abs();
        // The quotient's numerator: its rounding error is far below a half.
        let gone = (nearest.enter * swept.length[axis]).round() as i64;
        // Cut towards the start: a whole number that was not beyond a plane does not get beyond it.
        let end = std::array::from_fn(|i| self.from[i] + self.delta[i] * gone / length);
        let sign = if self.delta[axis] > 0 { -1 } else { 1 };
        let normal = Some(Normal { axis: [Axis::X, Axis::Y, Axis::Z][axis], sign });
        Contact { fraction: nearest.enter, end, normal, hit, started_inside: false }
    }
}

/// The best answer so far.
struct Nearest {
    enter: f64,
    /// Axes that it was entered on in the same moment.
    ties: u32,
    axis: usize,
    hit: Option<Hit>,
}

/// Of axes entered in the same moment the first of these counts: who falls onto an edge lands on it.
const AXIS_ORDER: [usize; 3] = [1, 0, 2];

impl Nearest {
    /// Takes it if it comes first. In the same moment what is entered on fewer axes goes first: a solid
    /// that lies flat against the box, before the edge of the next one. So the answer does not depend on
    /// how solids are cut into boxes.
    #[inline]
    fn offer(&mut self, span: Span, hit: impl FnOnce() -> Hit) {
        let Span { enter, axes, .. } = span;
        let ties = axes.count_ones();
        let entered = |rank: &usize| axes & (1 << AXIS_ORDER[*rank]) != 0;
        let axis = (0..3).find(entered).map_or(0, |rank| AXIS_ORDER[rank]);
        let rank = |axis: usize| AXIS_ORDER.iter().position(|a| *a == axis);
        if enter > self.enter || (enter == self.enter && (ties, rank(axis)) > (self.ties, rank(self.axis))) {
            return;
        }
        let hit = hit();
        let is_equal = enter == self.enter && (ties, axis) == (self.ties, self.axis);
        if !is_equal || self.hit.is_some_and(|h| hit < h) {
            *self = Nearest { enter, ties, axis, hit: Some(hit) };
        }
    }
}

/// The sweep, as seen from one chunk.
#[derive(Debug, Clone, Copy)]
struct Swept {
    /// Bounds of all places that the box comes to.
    low: [i64; 3],
    high: [i64; 3],
    /// The side of the box that goes ahead on an axis, and the other one, at the start.
    lead: [i64; 3],
    trail: [i64; 3],
    /// Direction and length of the way.
    sign: [i64; 3],
    length: [f64; 3],
}

impl Swept {
    fn new(sweep: &Sweep) -> Self {
        let Sweep { from, delta, half, .. } = sweep;
        let sign = delta.map(i64::signum);
        let each = |of: &dyn Fn(usize) -> i64| [of(0), of(1), of(2)];
        Swept {
            low: each(&|i| from[i] - half[i] + delta[i].min(0)),
            high: each(&|i| from[i] + half[i] + delta[i].max(0)),
            lead: each(&|i| from[i] + sign[i] * half[i]),
            trail: each(&|i| from[i] - sign[i] * half[i]),
            sign,
            length: delta.map(|d| d.abs() as f64),
        }
    }

    fn seen_from(mut self, column: i64, row: i64) -> Self {
        for (axis, shift) in [(0, column * CHUNK_GRAINS), (2, row * CHUNK_GRAINS)] {
            for of in [&mut self.low, &mut self.high, &mut self.lead, &mut self.trail] {
                of[axis] -= shift;
            }
        }
        self
    }

    /// When the box, which passes a plane, leaves its nearer side, and when it enters the other one.
    #[inline]
    fn passes(&self, axis: usize, plane: i64) -> (f64, f64) {
        let sign = self.sign[axis];
        if sign == 0 {
            return (1.0, BEFORE);
        }
        let moment = |side: i64| ((plane - side) * sign) as f64 / self.length[axis];
        (moment(self.trail[axis]), moment(self.lead[axis]))
    }

    /// The part of a span in which the box overlaps one side of a plane.
    #[inline]
    fn clip(&self, mut span: Span, axis: usize, plane: i64, front: bool) -> Option<Span> {
        let (is_front, is_back) = (self.low[axis] >= plane, self.high[axis] <= plane);
        if is_front || is_back {
            return (is_front == front).then_some(span);
        }
        let (leaves, enters) = self.passes(axis, plane);
        if front == (self.sign[axis] > 0) {
            span.enter_at(enters, axis);
        } else {
            span.exit = span.exit.min(leaves);
        }
        (span.enter < span.exit).then_some(span)
    }

    /// When the box is over the chunk's square.
    fn chunk_span(&self) -> Option<Span> {
        let mut span = Span { enter: BEFORE, exit: 1.0, axes: 0 };
        for axis in [0, 2] {
            span = self.clip(span, axis, 0, true)?;
            span = self.clip(span, axis, CHUNK_GRAINS, false)?;
        }
        Some(span)
    }

    /// Through the cells that the box comes over, row by row; in each row only those that it can come over
    /// while it is in that row.
    fn through_cells(&self, coord: ChunkCoord, chunk: &Chunk, span: Span, nearest: &mut Nearest) {
        let cells = |low: i64, high: i64| {
            let last = CELLS_PER_CHUNK as i64 - 1;
            ((low.div_euclid(CELL_GRAINS)).max(0), (high - 1).div_euclid(CELL_GRAINS).min(last))
        };
        let rows = cells(self.low[2], self.high[2]);
        for n in 0..=rows.1 - rows.0 {
            let row = if self.sign[2] < 0 { rows.1 - n } else { rows.0 + n };
            let Some(span) = self.over_cell(span, 2, row) else { continue };
            if span.enter > nearest.enter {
                break;
            }
            let (low, high) = self.bounds_within(0, span);
            let columns = cells(low, high);
            for n in 0..=columns.1 - columns.0 {
                let column = if self.sign[0] < 0 { columns.1 - n } else { columns.0 + n };
                let Some(span) = self.over_cell(span, 0, column) else { continue };
                let (x, z) = (column as usize, row as usize);
                match chunk.column_of(x, z) {
                    CellColumn::Rock => nearest.offer(span, || Hit::Rock(coord)),
                    CellColumn::Air { floor, ceiling } => {
                        self.past_edges(coord, [(floor, false), (ceiling, true)], span, nearest);
                    }
                    CellColumn::Tree => self.through_tree(coord, chunk, chunk.entry(x, z), span, nearest),
                }
            }
        }
    }

    /// Past the rock below a floor and over a ceiling.
    #[inline]
    fn past_edges(
        &self,
        coord: ChunkCoord,
        edges: [(Option<i16>, bool); 2],
        span: Span,
        nearest: &mut Nearest,
    ) {
        for (edge, is_over) in edges {
            let rock = edge.and_then(|at| self.clip(span, 1, i64::from(at) * GRAINS_PER_FIXED, is_over));
            if let Some(span) = rock {
                nearest.offer(span, || Hit::Rock(coord));
            }
        }
    }

    #[inline]
    fn over_cell(&self, span: Span, axis: usize, cell: i64) -> Option<Span> {
        let span = self.clip(span, axis, cell * CELL_GRAINS, true)?;
        self.clip(span, axis, (cell + 1) * CELL_GRAINS, false)
    }

    /// Bounds of the box along an axis during a span, at most a grain too wide.
    #[inline]
    fn bounds_within(&self, axis: usize, span: Span) -> (i64, i64) {
        let (low, high) = (self.low[axis], self.high[axis]);
        let grains = |moment: f64| (moment * self.length[axis]) as i64;
        let (enter, exit) = (grains(span.enter.max(0.0)), grains(span.exit) + 1);
        match self.sign[axis] {
            0 => (low, high),
            1 => (low.max(self.trail[axis] + enter), high.min(self.lead[axis] + exit)),
            _ => (low.max(self.lead[axis] - exit), high.min(self.trail[axis] - enter)),
        }
    }

    fn through_tree(
        &self,
        coord: ChunkCoord,
        chunk: &Chunk,
        entry: Child,
        span: Span,
        nearest: &mut Nearest,
    ) {
        let (nodes, planes) = (chunk.nodes(), chunk.planes());
        let mut waiting: SmallVec<[(Child, Span); WAITING_INLINE]> = SmallVec::new();
        let mut next = Some((entry, span));
        // A node has one parent, so each is seen at most once.
        while let Some((mut child, mut span)) = next.take().or_else(|| waiting.pop()) {
            if span.enter > nearest.enter {
                continue;
            }
            while let Child::Node(index) = child {
                let node = &nodes[usize::from(index)];
                let plane = planes[usize::from(node.plane)];
                let (axis, at) = (plane.axis as usize, i64::from(plane.distance) * GRAINS_PER_FIXED);
                let (is_front, is_back) = (self.low[axis] >= at, self.high[axis] <= at);
                child = if is_front { node.front } else { node.back };
                if is_front | is_back {
                    continue;
                }
                let (leaves, enters) = self.passes(axis, at);
                let mut far = span;
                far.enter_at(enters, axis);
                span.exit = span.exit.min(leaves);
                let is_turned = self.sign[axis] < 0;
                let far_child = if is_turned { node.back } else { node.front };
                child = if is_turned { node.front } else { node.back };
                match (span.enter < span.exit, far.enter < far.exit && far.enter <= nearest.enter) {
                    (true, true) => waiting.push((far_child, far)),
                    (true, false) => {}
                    (false, true) => (child, span) = (far_child, far),
                    (false, false) => child = Child::Leaf(0),
                }
            }
            if child == Child::Solid {
                nearest.offer(span, || Hit::Rock(coord));
            }
        }
    }

    fn through_doors(&self, coord: ChunkCoord, loaded: Loaded<'_>, span: Span, nearest: &mut Nearest) {
        for (index, door) in loaded.chunk.doors().iter().enumerate() {
            if loaded.open_doors.contains(index) {
                continue;
            }
            let (low, high) = door.solid_box();
            // What stands out over the chunk's edge is cut off by the chunk's own span.
            let clip = |span: Span, axis: usize| {
                let span = self.clip(span, axis, i64::from(low[axis]) * GRAINS_PER_FIXED, true)?;
                self.clip(span, axis, i64::from(high[axis]) * GRAINS_PER_FIXED, false)
            };
            let met = clip(span, 0).and_then(|s| clip(s, 2)).and_then(|s| clip(s, 1));
            if let Some(span) = met {
                nearest.offer(span, || Hit::Door(coord, index));
            }
        }
    }
}
