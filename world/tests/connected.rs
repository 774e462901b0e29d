//! Everywhere can be walked to from everywhere: over whole areas of chunks, with steps up to a player's
//! height of step, falls of any depth, and doors open.

use std::collections::VecDeque;

use ninefold_world::{
    BspWorld, CELLS_PER_CHUNK, Cell, ChunkCoord, FIXED_PER_UNIT, Generator, PLAYER_HEIGHT_UNITS, STEP_UNITS,
};

/// Chunks along one side of an area.
const AREA_CHUNKS: usize = 24;
/// Cells along one side of it.
const SIDE: usize = AREA_CHUNKS * CELLS_PER_CHUNK;

/// The cells of an area, row by row.
struct Area {
    cells: Vec<Cell>,
}

impl Area {
    fn new(world: &BspWorld, corner: ChunkCoord) -> Area {
        let mut cells = vec![Cell::Solid; SIDE * SIDE];
        for chunk in 0..AREA_CHUNKS * AREA_CHUNKS {
            let (dx, dz) = (chunk % AREA_CHUNKS, chunk / AREA_CHUNKS);
            let grid = world.grid(ChunkCoord { cx: corner.cx + dx as i32, cz: corner.cz + dz as i32 });
            for cell in 0..CELLS_PER_CHUNK * CELLS_PER_CHUNK {
                let (x, z) = (cell % CELLS_PER_CHUNK, cell / CELLS_PER_CHUNK);
                let at = (dz * CELLS_PER_CHUNK + z) * SIDE + dx * CELLS_PER_CHUNK + x;
                cells[at] = grid.at(x, z);
            }
        }
        Area { cells }
    }

    fn can_step(&self, from: usize, to: usize) -> bool {
        let (Some(from), Some(to)) = (self.cells[from].open(), self.cells[to].open()) else { return false };
        let units = |fixed: i16| i32::from(fixed) / FIXED_PER_UNIT;
        let ceiling = from.ceiling.map_or(i32::MAX, units).min(to.ceiling.map_or(i32::MAX, units));
        let (from, to) = (units(from.floor), units(to.floor));
        to - from <= STEP_UNITS && ceiling - from.max(to) >= PLAYER_HEIGHT_UNITS
    }

    fn can_stand(&self, at: usize) -> bool {
        let units = |fixed: i16| i32::from(fixed) / FIXED_PER_UNIT;
        self.cells[at].open().is_some_and(|open| {
            open.ceiling.map_or(i32::MAX, units) - units(open.floor) >= PLAYER_HEIGHT_UNITS
        })
    }

    /// The cells that can be walked to from `start`, or those from which it can be walked to.
    fn flood(&self, start: usize, backwards: bool) -> Vec<bool> {
        let mut seen = vec![false; self.cells.len()];
        let mut open = VecDeque::from([start]);
        seen[start] = true;
        while let Some(at) = open.pop_front() {
            for next in neighbours(at) {
                let passes = if backwards { self.can_step(next, at) } else { self.can_step(at, next) };
                if passes && !std::mem::replace(&mut seen[next], true) {
                    open.push_back(next);
                }
            }
        }
        seen
    }

    /// The chunk that a cell is in, as a column and a row of the area.
    fn chunk(at: usize) -> (usize, usize) {
        (at % SIDE / CELLS_PER_CHUNK, at / SIDE / CELLS_PER_CHUNK)
    }
}

fn neighbours(at: usize) -> impl Iterator<Item = usize> {
    let (x, z) = (at % SIDE, at / SIDE);
    let east = (x + 1 < SIDE).then(|| at + 1);
    let west = (x > 0).then(|| at - 1);
    let south = (z + 1 < SIDE).then(|| at + SIDE);
    let north = (z > 0).then(|| at - SIDE);
    [east, west, south, north].into_iter().flatten()
}

#[test]
fn every_place_of_an_area_can_be_left_and_every_chunk_reached() {
    let corners = [(9, -12, -12), (9, 1_000_000, 77), (1, i32::MIN, i32::MAX - 23), (2_026, -5_000, 40_000)];
    for (seed, cx, cz) in corners {
        let area = Area::new(&BspWorld::new(seed), ChunkCoord { cx, cz });
        let start = (0..area.cells.len()).find(|at| area.can_stand(*at)).expect("an area has floors");
        let (there, back) = (area.flood(start, false), area.flood(start, true));
        let mut reached = [[false; AREA_CHUNKS]; AREA_CHUNKS];
        for at in (0..area.cells.len()).filter(|at| area.can_stand(*at)) {
            let (x, z) = Area::chunk(at);
            assert!(back[at], "seed {seed}, chunk {x} {z} of {cx} {cz}: cell {at} is a trap");
            reached[z][x] |= there[at];
        }
        assert!(reached.iter().flatten().all(|r| *r), "seed {seed}: a chunk of {cx} {cz} cannot be reached");
    }
}

#[test]
fn every_chunk_is_entered_over_every_side_and_leads_to_every_other() {
    for (seed, cx, cz) in [(9, -12, -12), (3, 70_000, -9)] {
        let area = Area::new(&BspWorld::new(seed), ChunkCoord { cx, cz });
        for z in 0..AREA_CHUNKS {
            for x in 0..AREA_CHUNKS {
                let last = CELLS_PER_CHUNK - 1;
                let cell = |cell_x: usize, cell_z: usize| {
                    (z * CELLS_PER_CHUNK + cell_z) * SIDE + x * CELLS_PER_CHUNK + cell_x
                };
                let crossing = |from: usize, to: usize| area.can_step(from, to) && area.can_step(to, from);
                let east = x + 1 == AREA_CHUNKS
                    || (0..CELLS_PER_CHUNK).any(|i| crossing(cell(last, i), cell(last, i) + 1));
                let south = z + 1 == AREA_CHUNKS
                    || (0..CELLS_PER_CHUNK).any(|i| crossing(cell(i, last), cell(i, last) + SIDE));
                assert!(east && south, "seed {seed}: chunk {x} {z} of {cx} {cz}");
            }
        }
    }
}
