//! Which cells can be walked to from which, for all rows at once: a bit for each cell.

use super::Grid;
use crate::cell::{Cell, STEP_FIXED};
use crate::chunk::Axis;
use crate::coord::{CELLS_PER_CHUNK, FIXED_PER_UNIT};
use crate::slide::PLAYER_HEIGHT_UNITS;

const HEADROOM: i16 = (PLAYER_HEIGHT_UNITS * FIXED_PER_UNIT) as i16;
const CELLS: usize = CELLS_PER_CHUNK;

/// A bit for each cell, a word for each row.
pub(super) type Cells = [u16; CELLS];

/// Whether a player can step from one cell to the one beside it: up to 32 units up, any depth down,
/// with room for its head.
pub(super) fn can_step(from: Cell, to: Cell) -> bool {
    let (Some(from), Some(to)) = (from.open(), to.open()) else { return false };
    let ceiling = from.ceiling.unwrap_or(i16::MAX).min(to.ceiling.unwrap_or(i16::MAX));
    let top = from.floor.max(to.floor);
    to.floor - from.floor <= STEP_FIXED && ceiling - top >= HEADROOM
}

/// From which cells one can step east, west, south and north.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    east: Cells,
    west: Cells,
    south: Cells,
    north: Cells,
}

impl Steps {
    /// The steps between the cells of a grid.
    pub fn of(grid: &Grid) -> Steps {
        let none = [0; CELLS];
        let mut steps = Steps { east: none, west: none, south: none, north: none };
        for z in 0..CELLS {
            for x in 0..CELLS {
                let (here, bit) = (grid.at(x, z), 1_u16 << x);
                if x + 1 < CELLS {
                    let there = grid.at(x + 1, z);
                    steps.east[z] |= if can_step(here, there) { bit } else { 0 };
                    steps.west[z] |= if can_step(there, here) { bit << 1 } else { 0 };
                }
                if z + 1 < CELLS {
                    let there = grid.at(x, z + 1);
                    steps.south[z] |= if can_step(here, there) { bit } else { 0 };
                    steps.north[z + 1] |= if can_step(there, here) { bit } else { 0 };
                }
            }
        }
        steps
    }

    /// Closes the way between a cell and the next one along an axis.
    pub fn block(&mut self, x: usize, z: usize, axis: Axis) {
        if axis == Axis::X {
            self.east[z] &= !(1 << x);
            self.west[z] &= !(1 << (x + 1));
        } else {
            self.south[z] &= !(1 << x);
            self.north[z + 1] &= !(1 << x);
        }
    }

    /// The cells that can be walked to from `start`.
    pub fn reach_of(&self, start: Cells) -> Cells {
        let Steps { east, west, south, north } = self;
        spread(start, |seen, z| {
            let above = if z > 0 { seen[z - 1] & south[z - 1] } else { 0 };
            let below = if z + 1 < CELLS { seen[z + 1] & north[z + 1] } else { 0 };
            (seen[z] & east[z]) << 1 | (seen[z] & west[z]) >> 1 | above | below
        })
    }

    /// The cells from which one can walk to `goal`.
    pub fn reach_to(&self, goal: Cells) -> Cells {
        let Steps { east, west, south, north } = self;
        spread(goal, |seen, z| {
            let above = if z > 0 { seen[z - 1] & north[z] } else { 0 };
            let below = if z + 1 < CELLS { seen[z + 1] & south[z] } else { 0 };
            (seen[z] >> 1) & east[z] | (seen[z] << 1) & west[z] | above | below
        })
    }

    /// Whether each of these cells can be walked to from each other.
    pub fn join_all(&self, cells: Cells) -> bool {
        let Some(first) = first_of(cells) else { return true };
        let holds_all = |seen: Cells| seen.iter().zip(cells).all(|(seen, cells)| seen & cells == cells);
        holds_all(self.reach_of(first)) && holds_all(self.reach_to(first))
    }
}

fn first_of(cells: Cells) -> Option<Cells> {
    let z = cells.iter().position(|row| *row != 0)?;
    let mut first = [0; CELLS];
    first[z] = 1 << cells[z].trailing_zeros();
    Some(first)
}

/// Adds to each row what `next` sees from the rows around it, until nothing is new.
fn spread(mut seen: Cells, next: impl Fn(&Cells, usize) -> u16) -> Cells {
    loop {
        let before = seen;
        for z in (0..CELLS).chain((0..CELLS).rev()) {
            seen[z] |= next(&seen, z);
        }
        if seen == before {
            return seen;
        }
    }
}
