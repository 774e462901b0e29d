//! The 16 x 16 cells of a chunk, which a biome writes and the tree is built from, and the cells that face
//! them over the chunk's edges.

mod courtyard;
mod dungeon;
mod exterior;
mod indoor;

use smallvec::SmallVec;

use crate::biome::Biome;
use crate::border::{Borders, Side};
use crate::cell::{Cell, OpenCell};
use crate::coord::{CELLS_PER_CHUNK, ChunkCoord};
use crate::door::{DOORS_MAX, Door};
use crate::hash::{Random, Tag, hash};
use crate::light::{LIGHTS_MAX, Light};

/// Cells of a chunk.
pub const CELLS: usize = CELLS_PER_CHUNK * CELLS_PER_CHUNK;
/// A chunk's cells and the cells that face them over its edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Which chunk.
    pub coord: ChunkCoord,
    /// What it is like.
    pub biome: Biome,
    cells: [Cell; CELLS],
    /// The neighbours' rows: east, south, west, north.
    beyond: [[Cell; CELLS_PER_CHUNK]; 4],
    /// Doors between its cells.
    pub doors: SmallVec<[Door; DOORS_MAX]>,
    /// Lights in its rooms.
    pub lights: SmallVec<[Light; LIGHTS_MAX]>,
}

impl Grid {
    /// A grid of one cell everywhere, over its edges too.
    pub fn uniform(coord: ChunkCoord, biome: Biome, cell: Cell) -> Self {
        let (doors, lights) = (SmallVec::new(), SmallVec::new());
        Grid { coord, biome, cells: [cell; CELLS], beyond: [[cell; CELLS_PER_CHUNK]; 4], doors, lights }
    }

    /// The cell at a column and row of the chunk.
    pub fn at(&self, x: usize, z: usize) -> Cell {
        self.cells[z * CELLS_PER_CHUNK + x]
    }

    /// The same for one step outside the chunk too; the corners outside are solid.
    pub fn at_or_beyond(&self, x: i32, z: i32) -> Cell {
        let inside = |c: i32| usize::try_from(c).ok().filter(|c| *c < CELLS_PER_CHUNK);
        match (inside(x), inside(z)) {
            (Some(x), Some(z)) => self.at(x, z),
            (None, Some(z)) => self.beyond[if x > 0 { Side::East } else { Side::West } as usize][z],
            (Some(x), None) => self.beyond[if z > 0 { Side::South } else { Side::North } as usize][x],
            (None, None) => Cell::Solid,
        }
    }

    pub(crate) fn set(&mut self, x: usize, z: usize, cell: Cell) {
        self.cells[z * CELLS_PER_CHUNK + x] = cell;
    }

    pub(crate) fn open_at_mut(&mut self, x: usize, z: usize) -> Option<&mut OpenCell> {
        match &mut self.cells[z * CELLS_PER_CHUNK + x] {
            Cell::Open(open) => Some(open),
            Cell::Solid => None,
        }
    }

    fn is_solid(&self, x: usize, z: usize) -> bool {
        self.at(x, z) == Cell::Solid
    }
}

/// Writes the grid of a chunk.
pub(crate) fn generate(world_seed: u64, borders: &Borders, coord: ChunkCoord) -> Grid {
    let biome = borders.biomes.at(coord);
    let mut grid = Grid::uniform(coord, biome, Cell::Solid);
    for side in Side::ALL {
        // At the end of the world the border stays the rock that it is.
        let Some((own, beyond)) = borders.rows(coord, side) else { continue };
        for (along, cell) in own.into_iter().enumerate() {
            let (x, z) = side.cell(along);
            grid.set(x, z, cell);
        }
        grid.beyond[side as usize] = beyond;
    }
    let mut random = Random::new(hash(Tag::Chunk, world_seed, coord.cx, coord.cz, 0));
    match biome {
        Biome::Dungeon => dungeon::fill(&mut grid, &mut random),
        Biome::Courtyard => courtyard::fill(&mut grid, &mut random),
        Biome::Exterior => exterior::fill(&mut grid, &borders.terrain),
    }
    grid
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cell::STEP_FIXED;
    use crate::coord::FIXED_PER_UNIT;
    use crate::topology::Topology;

    /// Chunks near the origin, far away and at the ends of the grid.
    pub(crate) fn coords(count: i32) -> impl Iterator<Item = ChunkCoord> {
        let centres = [(0, 0), (-40, 1_000), (1_000_000, -3), (i32::MIN + 8, i32::MAX - 8)];
        (0..count).map(move |i| {
            let (cx, cz) = centres[(i % 4) as usize];
            let n = i / 4;
            ChunkCoord { cx: cx + (n % 17 - 8), cz: cz + (n / 17 % 17 - 8) }
        })
    }

    fn can_step(from: Cell, to: Cell) -> bool {
        const HEADROOM: i16 = (crate::walk::PLAYER_HEIGHT_UNITS * FIXED_PER_UNIT) as i16;
        let (Some(from), Some(to)) = (from.open(), to.open()) else { return false };
        let ceiling = from.ceiling.unwrap_or(i16::MAX).min(to.ceiling.unwrap_or(i16::MAX));
        let top = from.floor.max(to.floor);
        to.floor - from.floor <= STEP_FIXED && ceiling - top >= HEADROOM
    }

    /// Cells that can be walked to from the start, or from which the start can be walked to.
    fn flood(grid: &Grid, start: (usize, usize), backwards: bool) -> Vec<bool> {
        let mut seen = vec![false; CELLS];
        let mut open = vec![start];
        seen[start.1 * 16 + start.0] = true;
        while let Some((x, z)) = open.pop() {
            for (dx, dz) in [(1_i32, 0_i32), (0, 1), (-1, 0), (0, -1)] {
                let (nx, nz) = (x as i32 + dx, z as i32 + dz);
                if !(0..16).contains(&nx) || !(0..16).contains(&nz) {
                    continue;
                }
                let (nx, nz) = (nx as usize, nz as usize);
                let (here, there) = (grid.at(x, z), grid.at(nx, nz));
                let passes = if backwards { can_step(there, here) } else { can_step(here, there) };
                if passes && !seen[nz * 16 + nx] {
                    seen[nz * 16 + nx] = true;
                    open.push((nx, nz));
                }
            }
        }
        seen
    }

    #[test]
    fn neighbours_agree_on_their_borders() {
        let borders = Borders::new(9);
        for coord in coords(1_200) {
            let grid = generate(9, &borders, coord);
            for side in Side::ALL {
                let (dx, dz) = side.step();
                let Some(there) = Topology::Plane.neighbour(coord, dx, dz) else { continue };
                let neighbour = generate(9, &borders, there);
                let mut passable = 0;
                for along in 0..16 {
                    let (x, z) = side.cell(along);
                    let facing = grid.at_or_beyond(x as i32 + dx, z as i32 + dz);
                    let (nx, nz) = ((x as i32 + dx) & 15, (z as i32 + dz) & 15);
                    assert_eq!(facing, neighbour.at(nx as usize, nz as usize), "{coord:?} {side:?} {along}");
                    if let (Some(here), Some(there)) = (grid.at(x, z).open(), facing.open()) {
                        assert_eq!(here.floor, there.floor, "{coord:?} {side:?} {along}");
                        passable += usize::from(can_step(grid.at(x, z), facing));
                    }
                }
                assert!(passable >= 1, "{coord:?} {side:?} cannot be passed");
                if grid.biome == Biome::Exterior && neighbour.biome == Biome::Exterior {
                    assert_eq!(passable, 16);
                }
            }
        }
    }

    #[test]
    fn every_open_cell_reaches_every_opening_and_back() {
        let borders = Borders::new(9);
        for coord in coords(4_000) {
            let grid = generate(9, &borders, coord);
            let on_border = |i: usize| [i % 16, i / 16].iter().any(|c| *c == 0 || *c == 15);
            let gates: Vec<_> =
                (0..CELLS).filter(|i| on_border(*i) && grid.at(i % 16, i / 16).open().is_some()).collect();
            let gate = *gates.first().expect("every chunk has an opening");
            let there = flood(&grid, (gate % 16, gate / 16), false);
            let back = flood(&grid, (gate % 16, gate / 16), true);
            for (i, back) in back.into_iter().enumerate() {
                let is_trap = grid.at(i % 16, i / 16).open().is_some() && !back;
                assert!(!is_trap, "{coord:?}: cell {i} is a trap ({:?})", grid.biome);
            }
            assert!(gates.iter().all(|g| there[*g]), "{coord:?}: an opening cannot be reached");
        }
    }

    /// The whole border of open land can be walked around, wherever its neighbours are.
    #[test]
    fn the_rim_of_open_land_is_a_path() {
        let borders = Borders::new(9);
        for coord in coords(1_200).filter(|c| borders.biomes.at(*c) == Biome::Exterior) {
            let grid = generate(9, &borders, coord);
            let has_neighbour = |side: &Side| {
                let (dx, dz) = side.step();
                Topology::Plane.neighbour(coord, dx, dz).is_some()
            };
            for side in Side::ALL.into_iter().filter(has_neighbour) {
                let cells = (0..16).map(|along| side.cell(along)).map(|(x, z)| grid.at(x, z));
                // The corners may be rock, at the end of the world alone.
                let row: Vec<Cell> = cells.filter(|c| c.open().is_some()).collect();
                assert!(row.len() >= CELLS_PER_CHUNK - 2);
                assert!(
                    row.windows(2).all(|p| can_step(p[0], p[1]) && can_step(p[1], p[0])),
                    "{coord:?} {side:?}"
                );
            }
        }
    }

    #[test]
    fn a_chunk_in_the_corner_of_the_world_has_rock_on_two_sides() {
        let borders = Borders::new(9);
        let grid = generate(9, &borders, ChunkCoord { cx: i32::MIN, cz: i32::MIN });
        for along in 0..15 {
            assert!(grid.is_solid(0, along) && grid.is_solid(along, 0));
        }
    }
}
