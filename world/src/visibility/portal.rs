//! Portals: the parts of a leaf's sides that are open to other air, in plan.
//!
//! Everything stands upright, so a portal is a stretch of a cell boundary. Its corners are small whole
//! numbers of cells; `left` and `right` are as one sees them who walks through it.

use super::{OPENINGS_MAX, Opening};
use crate::border::Side;
use crate::cell::Cell;
use crate::chunk::Leaf;
use crate::coord::{CELL_FIXED, CELLS_PER_CHUNK, HEIGHT_FIXED};
use crate::grid::Grid;

/// A corner of the grid of cells: x and z, 0 to 16.
pub(crate) type Corner = [i32; 2];

/// Where a portal leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    Leaf(u16),
    /// Out of the chunk.
    Opening(u8),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Portal {
    pub beyond: Beyond,
    pub side: Side,
    pub left: Corner,
    pub right: Corner,
}

/// The portals of a chunk, leaf by leaf; kept from chunk to chunk.
#[derive(Debug, Default)]
pub(crate) struct Portals {
    portals: Vec<Portal>,
    /// Where each leaf's portals begin, and where the last one's end.
    first: Vec<u32>,
    pub openings: Vec<Opening>,
}

impl Portals {
    /// Finds the portals of the leaves that were built from a grid. `leaf_at` says which leaf a cell is in.
    pub fn find(&mut self, grid: &Grid, leaves: &[Leaf], leaf_at: &[u16]) {
        self.portals.clear();
        self.first.clear();
        self.openings.clear();
        for (index, leaf) in leaves.iter().enumerate() {
            self.first.push(self.portals.len() as u32);
            for side in Side::ALL {
                self.find_along(grid, leaves, leaf_at, index, leaf, side);
            }
        }
        self.first.push(self.portals.len() as u32);
    }

    pub fn of(&self, leaf: u16) -> &[Portal] {
        let at = |index: usize| self.first[index] as usize;
        &self.portals[at(usize::from(leaf))..at(usize::from(leaf) + 1)]
    }

    fn find_along(
        &mut self,
        grid: &Grid,
        leaves: &[Leaf],
        leaf_at: &[u16],
        index: usize,
        leaf: &Leaf,
        side: Side,
    ) {
        let along = along_side(leaf, side);
        let mut run: Option<(Across, i32)> = None;
        for at in along.clone() {
            let across = across(grid, leaves, leaf_at, leaf, side, at);
            if run.map(|(before, _)| before) != across {
                self.end_run(run.take(), at, leaf, side, index);
                run = across.map(|across| (across, at));
            }
        }
        self.end_run(run, along.end, leaf, side, index);
    }

    fn end_run(&mut self, run: Option<(Across, i32)>, end: i32, leaf: &Leaf, side: Side, index: usize) {
        let Some((across, start)) = run else { return };
        let beyond = match across {
            Across::Leaf(other) => Beyond::Leaf(other),
            Across::Out { bottom, top } => {
                debug_assert!(self.openings.len() < OPENINGS_MAX);
                let (start, end) = (start as u8, end as u8);
                self.openings.push(Opening { side, start, end, bottom, top, leaf: index as u16 });
                Beyond::Opening((self.openings.len() - 1) as u8)
            }
        };
        let boundary = boundary(leaf, side);
        let (left, right) = match side {
            Side::East => ([boundary, end], [boundary, start]),
            Side::West => ([boundary, start], [boundary, end]),
            Side::South => ([start, boundary], [end, boundary]),
            Side::North => ([end, boundary], [start, boundary]),
        };
        self.portals.push(Portal { beyond, side, left, right });
    }
}

/// What air lies across a cell of a leaf's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Across {
    Leaf(u16),
    Out { bottom: i16, top: i16 },
}

fn across(
    grid: &Grid,
    leaves: &[Leaf],
    leaf_at: &[u16],
    leaf: &Leaf,
    side: Side,
    along: i32,
) -> Option<Across> {
    let edge = boundary(leaf, side) - i32::from(matches!(side, Side::West | Side::North));
    let (x, z) = if matches!(side, Side::East | Side::West) { (edge, along) } else { (along, edge) };
    let inside = |c: i32| (0..CELLS_PER_CHUNK as i32).contains(&c);
    let Cell::Open(other) = grid.at_or_beyond(x, z) else { return None };
    let (bottom, top) =
        (other.floor.max(leaf.min[1]), other.ceiling.unwrap_or(HEIGHT_FIXED).min(leaf.max[1]));
    if bottom >= top {
        return None;
    }
    if inside(x) && inside(z) {
        let other = leaf_at[z as usize * CELLS_PER_CHUNK + x as usize];
        debug_assert!(usize::from(other) < leaves.len());
        return Some(Across::Leaf(other));
    }
    Some(Across::Out { bottom, top })
}

fn boundary(leaf: &Leaf, side: Side) -> i32 {
    let fixed = match side {
        Side::East => leaf.max[0],
        Side::South => leaf.max[2],
        Side::West => leaf.min[0],
        Side::North => leaf.min[2],
    };
    i32::from(fixed / CELL_FIXED)
}

fn along_side(leaf: &Leaf, side: Side) -> std::ops::Range<i32> {
    let axis = if matches!(side, Side::East | Side::West) { 2 } else { 0 };
    i32::from(leaf.min[axis] / CELL_FIXED)..i32::from(leaf.max[axis] / CELL_FIXED)
}
