//! Rooms of differing size and height, corridors between them, pillars in the large ones.

use super::Grid;
use super::indoor::{Room, carve_room, carve_way, join_openings};
use crate::cell::Cell;
use crate::hash::Random;

/// Rooms of a dungeon.
const ROOMS: (i32, i32) = (4, 7);
/// Cells along one side of a room.
const ROOM_CELLS: (i32, i32) = (2, 5);
/// A room of at least so many cells along both sides has a pillar.
const PILLAR_FROM: usize = 5;

pub(super) fn fill(grid: &mut Grid, random: &mut Random) {
    let mut rooms: Vec<Room> = Vec::with_capacity(ROOMS.1 as usize);
    for _ in 0..random.range(ROOMS.0, ROOMS.1) {
        let mut side = || random.range(ROOM_CELLS.0, ROOM_CELLS.1);
        let (width, depth) = (side(), side());
        let (x0, z0) = (random.range(1, 15 - width) as usize, random.range(1, 15 - depth) as usize);
        rooms.push(Room { x0, z0, x1: x0 + width as usize, z1: z0 + depth as usize });
    }
    for room in &rooms {
        carve_room(grid, random, *room);
    }
    for pair in rooms.windows(2) {
        let x_first = random.one_in(2);
        carve_way(grid, random, pair[0].centre(), pair[1].centre(), x_first);
    }
    let nearest = |from: (usize, usize)| {
        let far = |room: &&Room| {
            let (x, z) = room.centre();
            x.abs_diff(from.0) + z.abs_diff(from.1)
        };
        rooms.iter().min_by_key(far).expect("a dungeon has rooms").centre()
    };
    join_openings(grid, random, nearest);
    for room in &rooms {
        if room.x1 - room.x0 >= PILLAR_FROM && room.z1 - room.z0 >= PILLAR_FROM {
            stand_pillar(grid, room.centre());
        }
    }
}

/// A pillar stands only where all around it is open, so that it parts nothing.
fn stand_pillar(grid: &mut Grid, (x, z): (usize, usize)) {
    let around = (z - 1..=z + 1).flat_map(|z| (x - 1..=x + 1).map(move |x| (x, z)));
    if around.clone().all(|(x, z)| !grid.is_solid(x, z)) {
        grid.set(x, z, Cell::Solid);
    }
}
