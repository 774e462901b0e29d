//! Hills, terraces and cliffs under the sky.
//!
//! The border's heights are the contract's; inside, the terrain is taken as it is and then every pit is
//! raised until it can be left: a cell is never more than one step below the cell through which the
//! border is reached best. That is the priority-flood of Barnes, Lehman and Mulla (2014) with a step
//! allowed on the way up.

use super::{CELLS, Grid};
use crate::cell::{Cell, OpenCell, STEP_FIXED};
use crate::coord::{CELLS_PER_CHUNK, HEIGHT_FIXED};
use crate::terrain::{HEIGHT_STEP, Terrain};

const LAST: usize = CELLS_PER_CHUNK - 1;

pub(super) fn fill(grid: &mut Grid, terrain: &Terrain) {
    let mut heights = [0_i16; CELLS];
    for (i, height) in heights.iter_mut().enumerate() {
        let (x, z) = (i % CELLS_PER_CHUNK, i / CELLS_PER_CHUNK);
        *height = match grid.at(x, z) {
            Cell::Open(open) => open.floor,
            Cell::Solid => terrain.height(grid.coord, 2 * x as i32 + 1, 2 * z as i32 + 1),
        };
    }
    let walls: [bool; CELLS] = std::array::from_fn(|i| is_border(i) && grid.is_solid(i % 16, i / 16));
    raise_pits(&mut heights, &walls);
    for i in (0..CELLS).filter(|i| !walls[*i]) {
        let drop = neighbours(i).map(|n| heights[i] - heights[n]).max().unwrap_or(0);
        // The border's cells are the contract's: it knows nothing of what lies further in.
        let open = OpenCell::outdoor(heights[i], if is_border(i) { 0 } else { drop });
        grid.set(i % CELLS_PER_CHUNK, i / CELLS_PER_CHUNK, Cell::Open(open));
    }
}

fn raise_pits(heights: &mut [i16; CELLS], walls: &[bool; CELLS]) {
    let mut done = *walls;
    let mut levels = Levels::new();
    for i in (0..CELLS).filter(|i| is_border(*i) && !walls[*i]) {
        done[i] = true;
        levels.push(heights[i], i);
    }
    while let Some((height, i)) = levels.pop() {
        for n in neighbours(i) {
            if !std::mem::replace(&mut done[n], true) {
                heights[n] = heights[n].max(height - STEP_FIXED);
                levels.push(heights[n], n);
            }
        }
    }
}

/// Cells by height, the lowest first: a stack for each of the few heights that there are.
struct Levels {
    tops: [u16; LEVELS],
    below: [u16; CELLS],
}

/// Heights are multiples of a step, from 0 to the chunk's height.
const LEVELS: usize = (HEIGHT_FIXED / HEIGHT_STEP) as usize + 1;
const NOBODY: u16 = u16::MAX;

impl Levels {
    fn new() -> Self {
        Levels { tops: [NOBODY; LEVELS], below: [NOBODY; CELLS] }
    }

    fn push(&mut self, height: i16, cell: usize) {
        let top = &mut self.tops[(height / HEIGHT_STEP) as usize];
        self.below[cell] = std::mem::replace(top, cell as u16);
    }

    fn pop(&mut self) -> Option<(i16, usize)> {
        let level = self.tops.iter().position(|top| *top != NOBODY)?;
        let cell = usize::from(self.tops[level]);
        self.tops[level] = self.below[cell];
        Some((level as i16 * HEIGHT_STEP, cell))
    }
}

fn is_border(i: usize) -> bool {
    let (x, z) = (i % CELLS_PER_CHUNK, i / CELLS_PER_CHUNK);
    x == 0 || z == 0 || x == LAST || z == LAST
}

fn neighbours(i: usize) -> impl Iterator<Item = usize> {
    let (x, z) = (i % CELLS_PER_CHUNK, i / CELLS_PER_CHUNK);
    let west = (x > 0).then(|| i - 1);
    let east = (x < LAST).then(|| i + 1);
    let north = (z > 0).then(|| i - CELLS_PER_CHUNK);
    let south = (z < LAST).then(|| i + CELLS_PER_CHUNK);
    [west, east, north, south].into_iter().flatten()
}
