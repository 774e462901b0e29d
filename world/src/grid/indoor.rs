//! What dungeon and courtyard share: rooms, corridors, and ways from the openings inward.
//!
//! All floors under a roof lie within one step of each other, so whatever touches can be walked both
//! ways; only openings to high ground outside are higher, and the cell behind such an opening is
//! raised to one step below it.

use super::Grid;
use crate::border::Side;
use crate::cell::{Cell, OpenCell, STEP_FIXED};
use crate::coord::{CELL_FIXED, CELL_UNITS, CELLS_PER_CHUNK, FIXED_PER_UNIT, LocalPoint};
use crate::hash::Random;
use crate::light::{LIGHTS_MAX, Light};
use crate::terrain::HEIGHT_STEP;

/// Floors under a roof are 0 to this many steps of 8 units high: one player's step.
pub(super) const FLOOR_STEPS: i32 = 4;
/// Ceilings under a roof, in units: lowest, highest; multiples of 8 between them.
const CEILING_UNITS: (i32, i32) = (96, 128);
/// The ceiling of a corridor.
const CORRIDOR_CEILING: i16 = 96 * FIXED_PER_UNIT as i16;
/// The ceiling behind an opening to high ground.
const GATE_CEILING: i16 = 128 * FIXED_PER_UNIT as i16;

/// A lamp hangs so far below the ceiling.
const LAMP_DROP: i16 = 16 * FIXED_PER_UNIT as i16;
/// A room's light reaches this far beyond its longer side, in units.
const LIGHT_BEYOND_UNITS: usize = 96;

/// A rectangle of cells, `x1` and `z1` not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub x0: usize,
    pub z0: usize,
    pub x1: usize,
    pub z1: usize,
}

impl Room {
    pub fn centre(&self) -> (usize, usize) {
        ((self.x0 + self.x1) / 2, (self.z0 + self.z1) / 2)
    }

    pub fn contains(&self, x: usize, z: usize) -> bool {
        (self.x0..self.x1).contains(&x) && (self.z0..self.z1).contains(&z)
    }

    /// Whether less than one cell of rock lies between the two.
    pub fn is_near(&self, other: &Room) -> bool {
        self.x0 <= other.x1 && other.x0 <= self.x1 && self.z0 <= other.z1 && other.z0 <= self.z1
    }

    /// Cells between a cell of the room and its nearest wall.
    pub fn depth_of(&self, x: usize, z: usize) -> usize {
        (x - self.x0).min(self.x1 - 1 - x).min(z - self.z0).min(self.z1 - 1 - z)
    }

    pub fn cells(self) -> impl Iterator<Item = (usize, usize)> {
        (self.z0..self.z1).flat_map(move |z| (self.x0..self.x1).map(move |x| (x, z)))
    }
}

/// A floor height under a roof.
pub(super) fn random_floor(random: &mut Random) -> i16 {
    random.range(0, FLOOR_STEPS) as i16 * HEIGHT_STEP
}

/// An open cell under a roof.
pub(super) fn roofed(grid: &Grid, floor: i16, ceiling: i16) -> Cell {
    Cell::Open(OpenCell::indoor(grid.biome, floor, ceiling))
}

/// Opens a room with a floor and a ceiling of its own.
pub(super) fn carve_room(grid: &mut Grid, random: &mut Random, room: Room) {
    let floor = random_floor(random);
    let (low, high) = (CEILING_UNITS.0 / 8, CEILING_UNITS.1 / 8);
    let ceiling = random.range(low, high) as i16 * HEIGHT_STEP;
    let cell = roofed(grid, floor, ceiling);
    for (x, z) in room.cells() {
        grid.set(x, z, cell);
    }
}

/// Opens a way of one cell's width from one cell to another, along x or along z first. What is open
/// stays as it is; the border is never touched.
pub(super) fn carve_way(
    grid: &mut Grid,
    random: &mut Random,
    from: (usize, usize),
    to: (usize, usize),
    x_first: bool,
) {
    carve_way_at(grid, random_floor(random), from, to, x_first);
}

fn carve_way_at(grid: &mut Grid, floor: i16, from: (usize, usize), to: (usize, usize), x_first: bool) {
    let cell = roofed(grid, floor, CORRIDOR_CEILING);
    let (mut x, mut z) = from;
    loop {
        let inside = |c: usize| (1..CELLS_PER_CHUNK - 1).contains(&c);
        if grid.is_solid(x, z) && inside(x) && inside(z) {
            grid.set(x, z, cell);
        }
        if (x, z) == to {
            return;
        }
        let along_x = if x_first { x != to.0 } else { z == to.1 };
        let toward = |c: usize, t: usize| if c < t { c + 1 } else { c - 1 };
        if along_x { x = toward(x, to.0) } else { z = toward(z, to.1) }
    }
}

/// Joins every opening of the border to `hub`, which must be open; the ways from one side have one floor.
pub(super) fn join_openings(
    grid: &mut Grid,
    random: &mut Random,
    hub: impl Fn((usize, usize)) -> (usize, usize),
) {
    for side in Side::ALL {
        let (dx, dz) = side.step();
        let floor = random_floor(random);
        for along in 1..CELLS_PER_CHUNK - 1 {
            let (x, z) = side.cell(along);
            let Some(gate) = grid.at(x, z).open().copied() else { continue };
            let inner = ((x as i32 - dx) as usize, (z as i32 - dz) as usize);
            // First straight inward, so that the way never runs along the border.
            carve_way_at(grid, floor, inner, hub(inner), dx != 0);
            if gate.floor > STEP_FIXED {
                let behind = grid.open_at_mut(inner.0, inner.1).expect("the way begins here");
                behind.floor = behind.floor.max(gate.floor - STEP_FIXED);
                behind.ceiling = behind.ceiling.map(|_| GATE_CEILING);
            }
        }
    }
}

/// Hangs a lamp in the open cell of a room that is nearest to its middle.
pub(super) fn light_room(grid: &mut Grid, room: Room, colour: [u8; 3]) {
    let (x, z) = room.centre();
    let nearest = (room.cells())
        .filter_map(|at| Some((at, *grid.at(at.0, at.1).open()?)))
        .min_by_key(|(at, _)| at.0.abs_diff(x) + at.1.abs_diff(z));
    let Some((at, OpenCell { ceiling: Some(ceiling), .. })) = nearest else { return };
    if grid.lights.len() < LIGHTS_MAX {
        let middle = |c: usize| c as i16 * CELL_FIXED + CELL_FIXED / 2;
        let side = (room.x1 - room.x0).max(room.z1 - room.z0) * CELL_UNITS as usize;
        grid.lights.push(Light {
            at: LocalPoint { x: middle(at.0), y: ceiling - LAMP_DROP, z: middle(at.1) },
            colour,
            radius_units: (side + LIGHT_BEYOND_UNITS) as u16,
        });
    }
}
