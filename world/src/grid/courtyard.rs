//! An open centre with its own ground, a colonnade around it, rooms along the wings, doors to them.

use smallvec::SmallVec;

use super::Grid;
use super::doorway::hang_doors;
use super::indoor::{Room, carve_room, carve_way, join_openings, light_room, random_floor, roofed};
use crate::cell::{Cell, OpenCell};
use crate::coord::{CELLS_PER_CHUNK, FIXED_PER_UNIT};
use crate::hash::Random;
use crate::terrain::HEIGHT_STEP;

/// Ground and walls of the open centre.
const GROUND_MATERIAL: u8 = 9;
const WALL_MATERIAL: u8 = 5;
/// Cells between the border and the centre.
const MARGIN: (i32, i32) = (4, 5);
/// Length of a wing room along its side.
const WING_CELLS: (i32, i32) = (2, 4);
/// Wing rooms: two along each side.
const WINGS_MAX: usize = 8;
/// The roof of the colonnade, in steps of 8 units: lowest, highest.
const ARCADE_STEPS: (i32, i32) = (11, 14);
/// Cells from a tower to the centre's walls: the walk, the columns and a path.
const TOWER_DEPTH: usize = 3;
/// The light of candles and lamps.
const LIGHTS: [[u8; 3]; 3] = [[255, 205, 140], [255, 190, 120], [255, 222, 170]];

pub(super) fn fill(grid: &mut Grid, random: &mut Random) {
    let mut margin = || random.range(MARGIN.0, MARGIN.1) as usize;
    let last = CELLS_PER_CHUNK;
    let centre = Room { x0: margin(), z0: margin(), x1: last - margin(), z1: last - margin() };
    open_centre(grid, random, centre);
    let mut rooms: SmallVec<[Room; WINGS_MAX]> = SmallVec::new();
    for wing in 0..4 {
        for half in 0..2 {
            if random.one_in(4) {
                continue; // some wings have one room
            }
            let room = wing_room(random, centre, wing, half);
            carve_room(grid, random, room);
            carve_way(grid, random, room.centre(), centre.centre(), wing % 2 == 0);
            rooms.push(room);
        }
    }
    join_openings(grid, random, |_| centre.centre());
    if !random.one_in(4) {
        stand_columns(grid, centre);
    }
    if !random.one_in(3) {
        stand_tower(grid, centre);
    }
    let in_a_room = |x, z| centre.contains(x, z) || rooms.iter().any(|room| room.contains(x, z));
    hang_doors(grid, random, in_a_room);
    for room in &rooms {
        let colour = LIGHTS[random.range(0, LIGHTS.len() as i32 - 1) as usize];
        light_room(grid, *room, colour);
    }
}

/// Ground under the sky, and a roofed walk around it.
fn open_centre(grid: &mut Grid, random: &mut Random, centre: Room) {
    let ground = OpenCell {
        floor: random_floor(random),
        ceiling: None,
        floor_material: GROUND_MATERIAL,
        wall_material: WALL_MATERIAL,
        cliff_material: WALL_MATERIAL,
        ceiling_material: 0,
    };
    let roof = random.range(ARCADE_STEPS.0, ARCADE_STEPS.1) as i16 * HEIGHT_STEP;
    let walk = roofed(grid, random_floor(random), roof);
    for (x, z) in centre.cells() {
        let is_walk = centre.depth_of(x, z) == 0;
        grid.set(x, z, if is_walk { walk } else { Cell::Open(ground) });
    }
}

/// Columns between the walk and the open ground: at its corners, and every second cell between them.
/// Two cells of them never touch the walk's outer wall, so the walk goes all the way around.
fn stand_columns(grid: &mut Grid, centre: Room) {
    for (x, z) in centre.cells().filter(|(x, z)| centre.depth_of(*x, *z) == 1) {
        let odd = |c: usize, low: usize, high: usize| (c - low).min(high - 1 - c) % 2 == 1;
        if odd(x, centre.x0, centre.x1) && odd(z, centre.z0, centre.z1) {
            grid.set(x, z, Cell::Solid);
        }
    }
}

/// A tower in the middle of the ground, with a way around it.
fn stand_tower(grid: &mut Grid, centre: Room) {
    for (x, z) in centre.cells().filter(|(x, z)| centre.depth_of(*x, *z) >= TOWER_DEPTH) {
        grid.set(x, z, Cell::Solid);
    }
}

/// A room in the strip between a side and the centre, in the first or second half of that side; one
/// cell of rock stays between it and the centre.
fn wing_room(random: &mut Random, centre: Room, wing: usize, half: i32) -> Room {
    const LAST: usize = CELLS_PER_CHUNK - 1;
    let length = random.range(WING_CELLS.0, WING_CELLS.1);
    let start = (1 + half * 7 + random.range(0, 7 - length)) as usize;
    let end = start + length as usize;
    match wing {
        0 => Room { x0: centre.x1 + 1, z0: start, x1: LAST, z1: end },
        1 => Room { x0: start, z0: centre.z1 + 1, x1: end, z1: LAST },
        2 => Room { x0: 1, z0: start, x1: centre.x0 - 1, z1: end },
        _ => Room { x0: start, z0: 1, x1: end, z1: centre.z0 - 1 },
    }
}

const _: () = assert!(ARCADE_STEPS.1 * HEIGHT_STEP as i32 <= 128 * FIXED_PER_UNIT);
