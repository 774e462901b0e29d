//! An open centre with its own ground, rooms along the wings, ways between them.

use super::Grid;
use super::indoor::{Room, carve_room, carve_way, join_openings, random_floor};
use crate::cell::{Cell, OpenCell};
use crate::coord::CELLS_PER_CHUNK;
use crate::hash::Random;

/// Ground and walls of the open centre.
const GROUND_MATERIAL: u8 = 9;
const WALL_MATERIAL: u8 = 5;
/// Cells between the border and the centre.
const MARGIN: (i32, i32) = (4, 5);
/// Length of a wing room along its side.
const WING_CELLS: (i32, i32) = (2, 4);

pub(super) fn fill(grid: &mut Grid, random: &mut Random) {
    let mut margin = || random.range(MARGIN.0, MARGIN.1) as usize;
    let last = CELLS_PER_CHUNK;
    let centre = Room { x0: margin(), z0: margin(), x1: last - margin(), z1: last - margin() };
    let floor = random_floor(random);
    let ground = OpenCell {
        floor,
        ceiling: None,
        floor_material: GROUND_MATERIAL,
        wall_material: WALL_MATERIAL,
        cliff_material: WALL_MATERIAL,
        ceiling_material: 0,
    };
    for (x, z) in centre.cells() {
        grid.set(x, z, Cell::Open(ground));
    }
    for wing in 0..4 {
        for half in 0..2 {
            if random.one_in(4) {
                continue; // some wings have one room
            }
            let room = wing_room(random, wing, half);
            carve_room(grid, random, room);
            carve_way(grid, random, room.centre(), centre.centre(), wing % 2 == 0);
        }
    }
    join_openings(grid, random, |_| centre.centre());
}

/// A room in the strip between a side and the centre, in the first or second half of that side.
fn wing_room(random: &mut Random, wing: usize, half: i32) -> Room {
    let length = random.range(WING_CELLS.0, WING_CELLS.1);
    let start = (1 + half * 7 + random.range(0, 7 - length)) as usize;
    let length = length as usize;
    match wing {
        0 => Room { x0: 12, z0: start, x1: 15, z1: start + length },
        1 => Room { x0: start, z0: 12, x1: start + length, z1: 15 },
        2 => Room { x0: 1, z0: start, x1: 4, z1: start + length },
        _ => Room { x0: start, z0: 1, x1: start + length, z1: 4 },
    }
}
