//! The 16 x 16 cells of a chunk, which a biome writes and the tree is built from, and the cells that face
//! them over the chunk's edges.

mod courtyard;
mod doorway;
mod dungeon;
mod exterior;
mod indoor;
mod reach;

use smallvec::SmallVec;

use crate::biome::Biome;
use crate::border::{Borders, Row, Side};
use crate::cell::{Cell, OpenCell};
use crate::chunk::Axis;
use crate::coord::{CELLS_PER_CHUNK, ChunkCoord, HEIGHT_FIXED};
use crate::door::{DOORS_MAX, Door, Hinge};
use crate::hash::{Random, Tag, hash};
use crate::light::{LIGHTS_MAX, Light};

/// Cells of a chunk.
pub const CELLS: usize = CELLS_PER_CHUNK * CELLS_PER_CHUNK;
/// Cells that a grid knows: the chunk's, those over its four edges and those across its corners.
pub(crate) const CELLS_KNOWN: usize = CELLS + 4 * CELLS_PER_CHUNK + 4;

/// A chunk's cells and the cells that face them over its edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Which chunk.
    pub coord: ChunkCoord,
    /// What it is like.
    pub biome: Biome,
    cells: [Cell; CELLS],
    /// The neighbours' rows: east, south, west, north.
    beyond: [Row; 4],
    /// The cells across the corners: north-west, north-east, south-west, south-east.
    corners: [Cell; 4],
    /// Doors between its cells.
    pub doors: SmallVec<[Door; DOORS_MAX]>,
    /// Lights in its rooms.
    pub lights: SmallVec<[Light; LIGHTS_MAX]>,
}

impl Grid {
    /// A grid of one cell everywhere, over its edges too.
    pub fn uniform(coord: ChunkCoord, biome: Biome, cell: Cell) -> Self {
        let (cells, beyond, corners) = ([cell; CELLS], [[cell; CELLS_PER_CHUNK]; 4], [cell; 4]);
        Grid { coord, biome, cells, beyond, corners, doors: SmallVec::new(), lights: SmallVec::new() }
    }

    /// The grid of a world that is a function of its cells: `cell_at` is asked for world columns and
    /// rows, which are those of the chunk and one around it, so neighbours agree by themselves.
    pub fn from_cells(coord: ChunkCoord, biome: Biome, cell_at: impl Fn(i64, i64) -> Cell) -> Grid {
        const SIDE: i64 = CELLS_PER_CHUNK as i64;
        let (x0, z0) = (i64::from(coord.cx) * SIDE, i64::from(coord.cz) * SIDE);
        let mut grid = Grid::uniform(coord, biome, Cell::Solid);
        for along in 0..CELLS_PER_CHUNK * CELLS_PER_CHUNK {
            let (x, z) = (along % CELLS_PER_CHUNK, along / CELLS_PER_CHUNK);
            grid.set(x, z, cell_at(x0 + x as i64, z0 + z as i64));
        }
        for side in Side::ALL {
            let (dx, dz) = side.step();
            for along in 0..CELLS_PER_CHUNK {
                let (x, z) = side.cell(along);
                let (x, z) = (x as i64 + i64::from(dx), z as i64 + i64::from(dz));
                grid.set_beyond(side, along, cell_at(x0 + x, z0 + z));
            }
        }
        for (east, south) in [(false, false), (true, false), (false, true), (true, true)] {
            let across = |high: bool| if high { SIDE } else { -1 };
            grid.set_corner(east, south, cell_at(x0 + across(east), z0 + across(south)));
        }
        grid
    }

    /// The cell at a column and row of the chunk.
    pub fn at(&self, x: usize, z: usize) -> Cell {
        self.cells[z * CELLS_PER_CHUNK + x]
    }

    /// The same for one step outside the chunk too.
    pub fn at_or_beyond(&self, x: i32, z: i32) -> Cell {
        let inside = |c: i32| usize::try_from(c).ok().filter(|c| *c < CELLS_PER_CHUNK);
        match (inside(x), inside(z)) {
            (Some(x), Some(z)) => self.at(x, z),
            (None, Some(z)) => self.beyond[if x > 0 { Side::East } else { Side::West } as usize][z],
            (Some(x), None) => self.beyond[if z > 0 { Side::South } else { Side::North } as usize][x],
            (None, None) => self.corners[2 * usize::from(z > 0) + usize::from(x > 0)],
        }
    }

    /// Sets a cell.
    pub fn set(&mut self, x: usize, z: usize, cell: Cell) {
        self.cells[z * CELLS_PER_CHUNK + x] = cell;
    }

    /// Sets a cell of the row that faces a side, which the neighbour there sets alike in its own grid.
    pub fn set_beyond(&mut self, side: Side, along: usize, cell: Cell) {
        self.beyond[side as usize][along] = cell;
    }

    /// Sets the cell across a corner: east or west of the chunk, and south or north of it.
    pub fn set_corner(&mut self, east: bool, south: bool, cell: Cell) {
        self.corners[2 * usize::from(south) + usize::from(east)] = cell;
    }

    /// A door between a cell and the next one along `axis`; `None` where it would not fill a way between
    /// floor and lintel, or would stand on the chunk's edge.
    pub fn door_at(&self, x: usize, z: usize, axis: Axis, hinge: Hinge, open_degrees: i16) -> Option<Door> {
        let other = if axis == Axis::X { (x + 1, z) } else { (x, z + 1) };
        if axis == Axis::Y || x.max(z).max(other.0).max(other.1) >= CELLS_PER_CHUNK {
            return None;
        }
        let (here, there) = (self.at(x, z), self.at(other.0, other.1));
        let (here, there) = (here.open()?, there.open()?);
        let top = here.ceiling.unwrap_or(HEIGHT_FIXED).min(there.ceiling.unwrap_or(HEIGHT_FIXED));
        let bottom = here.floor.max(there.floor);
        let has_lintel = here.ceiling.is_some() || there.ceiling.is_some();
        let door = Door { x: x as u8, z: z as u8, axis, hinge, open_degrees, bottom, top };
        (has_lintel && bottom < top).then_some(door)
    }

    /// All cells that it knows: the chunk's row by row, then east, south, west and north, then the corners.
    pub(crate) fn known(&self) -> impl Iterator<Item = Cell> + Clone {
        self.cells.iter().chain(self.beyond.iter().flatten()).chain(&self.corners).copied()
    }

    /// The grid that knows these, without doors and lights.
    pub(crate) fn from_known(coord: ChunkCoord, biome: Biome, known: [Cell; CELLS_KNOWN]) -> Grid {
        let mut grid = Grid::uniform(coord, biome, Cell::Solid);
        let mut known = known.into_iter();
        let places = grid.cells.iter_mut().chain(grid.beyond.iter_mut().flatten()).chain(&mut grid.corners);
        for (place, cell) in places.zip(&mut known) {
            *place = cell;
        }
        grid
    }

    /// Whether there is a ceiling anywhere.
    pub(crate) fn has_roof(&self) -> bool {
        self.cells.iter().any(|cell| cell.open().is_some_and(|open| open.ceiling.is_some()))
    }

    /// The open cells of the border.
    fn gates(&self) -> reach::Cells {
        let is_open = |x: usize, z: usize| !self.is_solid(x, z);
        std::array::from_fn(|z| {
            let on_border = |x: &usize| [*x, z].into_iter().any(|c| c == 0 || c == CELLS_PER_CHUNK - 1);
            (0..CELLS_PER_CHUNK).filter(on_border).filter(|x| is_open(*x, z)).map(|x| 1 << x).sum()
        })
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
    for (south, east) in [(false, false), (false, true), (true, false), (true, true)] {
        grid.set_corner(east, south, borders.across_corner(coord, east, south));
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
    use super::reach::{Steps, can_step};
    use super::*;
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
            let (gates, steps) = (grid.gates(), Steps::of(&grid));
            assert!(gates != [0; 16], "{coord:?} has no opening");
            let is_open = |z: usize| (0..16).filter(|x| !grid.is_solid(*x, z)).map(|x| 1 << x).sum::<u16>();
            let leaves = steps.reach_to(gates);
            for (z, leaves) in leaves.into_iter().enumerate() {
                let traps = is_open(z) & !leaves;
                assert_eq!(traps, 0, "{coord:?}: row {z} has traps ({:?})", grid.biome);
            }
            assert!(steps.join_all(gates), "{coord:?}: an opening cannot be reached from another");
            let mut closed = steps;
            for door in &grid.doors {
                closed.block(door.x.into(), door.z.into(), door.axis);
            }
            assert!(closed.join_all(gates), "{coord:?}: a door seals a way through");
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
    fn a_world_that_is_a_function_agrees_with_itself() {
        let cell_at = |x: i64, z: i64| match (x * 7 + z * 3).rem_euclid(5) {
            0 => Cell::Solid,
            n => Cell::Open(OpenCell::outdoor(n as i16 * 64, 0)),
        };
        let grid = |cx, cz| Grid::from_cells(ChunkCoord { cx, cz }, Biome::Exterior, cell_at);
        for (cx, cz) in [(0, 0), (-1, i32::MAX - 1), (i32::MIN + 1, 7)] {
            let here = grid(cx, cz);
            for (x, z) in (-1..=16_i32).flat_map(|z| (-1..=16_i32).map(move |x| (x, z))) {
                let there = grid(cx + x.div_euclid(16), cz + z.div_euclid(16));
                let (inner_x, inner_z) = (x.rem_euclid(16) as usize, z.rem_euclid(16) as usize);
                assert_eq!(here.at_or_beyond(x, z), there.at(inner_x, inner_z), "{cx} {cz}: {x} {z}");
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
