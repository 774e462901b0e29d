//! Rooms of differing size and height, corridors between them, pillars in the large ones, doors where
//! corridors meet rooms.

use smallvec::SmallVec;

use super::Grid;
use super::doorway::hang_doors;
use super::indoor::{Room, carve_room, carve_way, join_openings, light_room};
use crate::cell::Cell;
use crate::hash::Random;

/// Rooms of a dungeon.
const ROOMS: (i32, i32) = (4, 9);
const ROOMS_MAX: usize = ROOMS.1 as usize;
/// Cells along one side of a room.
const ROOM_CELLS: (i32, i32) = (2, 5);
/// Places that are tried for a room that touches no other.
const PLACE_TRIES: usize = 12;
/// A room of at least so many cells along both sides has pillars.
const PILLAR_FROM: usize = 4;
/// Corridors beyond those that join all rooms: ways around.
const LOOPS: (i32, i32) = (0, 2);
/// The light of a dungeon's rooms: torches, embers, and now and then something colder.
const LIGHTS: [[u8; 3]; 8] = [
    [255, 176, 96],
    [255, 148, 64],
    [255, 196, 128],
    [255, 170, 88],
    [255, 160, 80],
    [255, 186, 110],
    [150, 190, 255],
    [170, 235, 160],
];

type Rooms = SmallVec<[Room; ROOMS_MAX]>;

pub(super) fn fill(grid: &mut Grid, random: &mut Random) {
    let rooms = place_rooms(random);
    for room in &rooms {
        carve_room(grid, random, *room);
    }
    join_rooms(grid, random, &rooms);
    join_openings(grid, random, |from| nearest(&rooms, from).centre());
    for room in &rooms {
        stand_pillars(grid, random, *room);
    }
    hang_doors(grid, random, |x, z| rooms.iter().any(|room| room.contains(x, z)));
    for room in &rooms {
        let colour = LIGHTS[random.range(0, LIGHTS.len() as i32 - 1) as usize];
        light_room(grid, *room, colour);
    }
}

/// Rooms apart from each other where there is place for them; the first ones stand in any case.
fn place_rooms(random: &mut Random) -> Rooms {
    let mut rooms = Rooms::new();
    for _ in 0..random.range(ROOMS.0, ROOMS.1) {
        let is_needed = rooms.len() < ROOMS.0 as usize;
        let mut room = random_room(random);
        let mut tries = 1;
        while tries < PLACE_TRIES && rooms.iter().any(|other| other.is_near(&room)) {
            room = random_room(random);
            tries += 1;
        }
        if is_needed || tries < PLACE_TRIES {
            rooms.push(room);
        }
    }
    rooms
}

fn random_room(random: &mut Random) -> Room {
    let mut side = || random.range(ROOM_CELLS.0, ROOM_CELLS.1);
    let (width, depth) = (side(), side());
    let (x0, z0) = (random.range(1, 15 - width) as usize, random.range(1, 15 - depth) as usize);
    Room { x0, z0, x1: x0 + width as usize, z1: z0 + depth as usize }
}

/// Each room to the nearest one before it, so all are joined; then a few ways around.
fn join_rooms(grid: &mut Grid, random: &mut Random, rooms: &Rooms) {
    for (i, room) in rooms.iter().enumerate().skip(1) {
        let other = nearest(&rooms[..i], room.centre());
        let x_first = random.one_in(2);
        carve_way(grid, random, room.centre(), other.centre(), x_first);
    }
    for _ in 0..random.range(LOOPS.0, LOOPS.1) {
        let mut any = || rooms[random.range(0, rooms.len() as i32 - 1) as usize].centre();
        let (from, to) = (any(), any());
        let x_first = random.one_in(2);
        carve_way(grid, random, from, to, x_first);
    }
}

fn nearest(rooms: &[Room], from: (usize, usize)) -> Room {
    let far = |room: &&Room| {
        let (x, z) = room.centre();
        x.abs_diff(from.0) + z.abs_diff(from.1)
    };
    *rooms.iter().min_by_key(far).expect("a dungeon has rooms")
}

/// One in the middle, or four, each with open floor all around it, so that they part nothing.
fn stand_pillars(grid: &mut Grid, random: &mut Random, room: Room) {
    let (width, depth) = (room.x1 - room.x0, room.z1 - room.z0);
    if width < PILLAR_FROM || depth < PILLAR_FROM {
        return;
    }
    if width == ROOM_CELLS.1 as usize && depth == ROOM_CELLS.1 as usize && random.one_in(2) {
        for (x, z) in [(1, 1), (3, 1), (1, 3), (3, 3)] {
            stand_pillar(grid, (room.x0 + x, room.z0 + z));
        }
    } else {
        stand_pillar(grid, room.centre());
    }
}

fn stand_pillar(grid: &mut Grid, (x, z): (usize, usize)) {
    let around = (z - 1..=z + 1).flat_map(|z| (x - 1..=x + 1).map(move |x| (x, z)));
    if around.clone().all(|(x, z)| !grid.is_solid(x, z)) {
        grid.set(x, z, Cell::Solid);
    }
}
