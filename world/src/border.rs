//! The border contract: what happens on an edge is computed from the seed and the edge alone.
//!
//! An edge fixes both rows of cells that face each other over it, so two neighbours agree without
//! having seen each other. The corner cells lie on two edges of their chunk; both take them from the
//! corner, which four chunks share.
//!
//! ```text
//!   both in the open       every cell open, the ground equal on both sides, steps along it <= 32
//!   one or none            one or two openings, 1 to 3 wide, floors equal on both sides; in the
//!                          open the other cells stay open and the wall is the neighbour's
//! ```

use crate::biome::{Biome, Biomes};
use crate::cell::{Cell, OpenCell, STEP_FIXED};
use crate::coord::{CELLS_PER_CHUNK, ChunkCoord, FIXED_PER_UNIT, HEIGHT_FIXED};
use crate::hash::{Random, Tag, hash};
use crate::terrain::{HEIGHT_STEP, Terrain};
use crate::topology::Topology;

/// The highest floor on a border between two chunks in the open.
const OPEN_MAX: i16 = HEIGHT_FIXED;
/// The highest floor on any other border: leaves a player's height below the highest ceiling.
const FLOOR_MAX: i16 = 64 * FIXED_PER_UNIT as i16;
/// The highest floor of an opening between two indoor chunks.
const INDOOR_FLOOR_STEPS: i32 = 4;
/// An opening keeps away from corners by so many cells.
const FROM_CORNER: i32 = 2;
/// The widest opening, in cells.
const OPENING_CELLS_MAX: i32 = 3;
/// Ceiling over an opening with a low and with a high floor.
const CEILING_LOW: i16 = 104 * FIXED_PER_UNIT as i16;
const CEILING_HIGH: i16 = 128 * FIXED_PER_UNIT as i16;

/// One of the four sides of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Side {
    /// Where x grows.
    East = 0,
    /// Where z grows.
    South = 1,
    /// Where x shrinks.
    West = 2,
    /// Where z shrinks.
    North = 3,
}

impl Side {
    /// All four, in the order of their numbers.
    pub const ALL: [Side; 4] = [Side::East, Side::South, Side::West, Side::North];

    /// The side across.
    pub fn opposite(self) -> Side {
        match self {
            Side::East => Side::West,
            Side::South => Side::North,
            Side::West => Side::East,
            Side::North => Side::South,
        }
    }

    /// The step to the neighbour.
    pub fn step(self) -> (i32, i32) {
        match self {
            Side::East => (1, 0),
            Side::South => (0, 1),
            Side::West => (-1, 0),
            Side::North => (0, -1),
        }
    }

    /// The border cell at a place along the side.
    pub fn cell(self, along: usize) -> (usize, usize) {
        const LAST: usize = CELLS_PER_CHUNK - 1;
        match self {
            Side::East => (LAST, along),
            Side::South => (along, LAST),
            Side::West => (0, along),
            Side::North => (along, 0),
        }
    }
}

/// The cells of one side of an edge, or of both.
pub(crate) type Row = [Cell; CELLS_PER_CHUNK];

/// What the borders of a world are computed from.
#[derive(Debug, Clone)]
pub(crate) struct Borders {
    world_seed: u64,
    pub biomes: Biomes,
    pub terrain: Terrain,
}

/// An edge: the chunk to its west or north, and whether the other one lies east of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edge {
    low: ChunkCoord,
    is_east: bool,
}

impl Borders {
    pub fn new(world_seed: u64) -> Self {
        Borders { world_seed, biomes: Biomes::new(world_seed), terrain: Terrain::new(world_seed) }
    }

    /// A chunk's own row of cells along a side, and its neighbour's row facing it; `None` where the
    /// grid of chunks ends and nobody is there to agree with.
    pub fn rows(&self, coord: ChunkCoord, side: Side) -> Option<(Row, Row)> {
        let (dx, dz) = side.step();
        let neighbour = Topology::Plane.neighbour(coord, dx, dz)?;
        let is_east = dx != 0;
        let is_low = dx + dz > 0;
        let edge = Edge { low: if is_low { coord } else { neighbour }, is_east };
        let high = if is_low { neighbour } else { coord };
        let (low, high) = self.edge(edge, self.biomes.at(edge.low), self.biomes.at(high));
        Some(if is_low { (low, high) } else { (high, low) })
    }

    /// The cell that lies across a corner of a chunk: where it is in the open, it has the corner's height.
    pub fn across_corner(&self, coord: ChunkCoord, east: bool, south: bool) -> Cell {
        let step = |high: bool| if high { 1 } else { -1 };
        match Topology::Plane.neighbour(coord, step(east), step(south)) {
            Some(there) if self.biomes.at(there) == Biome::Exterior => {
                Cell::Open(OpenCell::outdoor(self.corner(coord, east, south), 0))
            }
            _ => Cell::Solid,
        }
    }

    fn edge(&self, edge: Edge, low: Biome, high: Biome) -> (Row, Row) {
        let in_the_open = |biome| biome == Biome::Exterior;
        let ground =
            self.profile(edge, if in_the_open(low) && in_the_open(high) { OPEN_MAX } else { FLOOR_MAX });
        let openings = self.openings(edge);
        let floor = |along: usize| {
            if in_the_open(low) || in_the_open(high) { ground[along] } else { openings.floor }
        };
        let row = |own: Biome| -> Row {
            std::array::from_fn(|along| {
                if own == Biome::Exterior {
                    Cell::Open(OpenCell::outdoor(ground[along], 0))
                } else if openings.contains(along) {
                    let floor = floor(along);
                    let ceiling = if floor > STEP_FIXED { CEILING_HIGH } else { CEILING_LOW };
                    Cell::Open(OpenCell::indoor(own, floor, ceiling))
                } else {
                    Cell::Solid
                }
            })
        };
        (row(low), row(high))
    }

    /// The ground where a chunk and three others meet.
    fn corner(&self, coord: ChunkCoord, east: bool, south: bool) -> i16 {
        let (dx, dz) = (if east { 1 } else { -1 }, if south { 1 } else { -1 });
        let is_open = |(dx, dz)| {
            let there = Topology::Plane.neighbour(coord, dx, dz);
            there.is_some_and(|there| self.biomes.at(there) == Biome::Exterior)
        };
        let all_open = [(0, 0), (dx, 0), (0, dz), (dx, dz)].into_iter().all(is_open);
        let half = |high: bool| if high { 32 } else { 0 };
        let height = self.terrain.height(coord, half(east), half(south));
        height.min(if all_open { OPEN_MAX } else { FLOOR_MAX })
    }

    /// The ground along an edge: the terrain, kept below `highest`, exact at the two corners, and with
    /// steps that a player can take.
    fn profile(&self, edge: Edge, highest: i16) -> [i16; CELLS_PER_CHUNK] {
        const LAST: usize = CELLS_PER_CHUNK - 1;
        let at = |half: i32| {
            let (half_x, half_z) = if edge.is_east { (32, half) } else { (half, 32) };
            self.terrain.height(edge.low, half_x, half_z).min(highest)
        };
        let first = self.corner(edge.low, edge.is_east, !edge.is_east);
        let last = self.corner(edge.low, true, true);
        let cone = |along: usize| {
            let reach = |corner: i16, cells: usize| corner - STEP_FIXED * cells as i16;
            reach(first, along).max(reach(last, LAST - along))
        };
        let mut raw: [i16; CELLS_PER_CHUNK] =
            std::array::from_fn(|along| at(2 * along as i32 + 1).max(cone(along)));
        raw[0] = first;
        raw[LAST] = last;
        // The largest profile below `raw` with steps of at most STEP_FIXED; the cones keep its ends.
        std::array::from_fn(|along| {
            let reach = |(other, height): (usize, &i16)| height + STEP_FIXED * along.abs_diff(other) as i16;
            raw.iter().enumerate().map(reach).min().expect("an edge has cells")
        })
    }

    fn openings(&self, edge: Edge) -> Openings {
        let bits = hash(Tag::Edge, self.world_seed, edge.low.cx, edge.low.cz, i32::from(edge.is_east));
        let mut random = Random::new(bits);
        let floor = random.range(0, INDOOR_FLOOR_STEPS) as i16 * HEIGHT_STEP;
        let mut cells = 0_u16;
        for _ in 0..random.range(1, 2) {
            let width = random.range(1, OPENING_CELLS_MAX);
            let start = random.range(FROM_CORNER, CELLS_PER_CHUNK as i32 - FROM_CORNER - width);
            cells |= ((1 << width) - 1) << start;
        }
        Openings { floor, cells }
    }
}

/// Where an edge can be passed.
#[derive(Debug, Clone, Copy)]
struct Openings {
    /// Floor between two indoor chunks.
    floor: i16,
    /// Bit per cell.
    cells: u16,
}

impl Openings {
    fn contains(&self, along: usize) -> bool {
        self.cells & (1 << along) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADROOM: i16 = 64 * FIXED_PER_UNIT as i16;

    /// Some biomes hardly ever meet on a map; their contract is held to all the same.
    #[test]
    fn every_pair_of_biomes_has_a_way_across() {
        let borders = Borders::new(9);
        let all = [Biome::Dungeon, Biome::Courtyard, Biome::Exterior];
        for (n, low, high) in
            (0..600).flat_map(|n| all.map(|low| (n, low))).flat_map(|(n, low)| all.map(|high| (n, low, high)))
        {
            let edge = Edge { low: ChunkCoord { cx: n * 7 - 900, cz: n * 1_000 }, is_east: n % 2 == 0 };
            let (own, facing) = borders.edge(edge, low, high);
            let ways =
                own.iter().zip(&facing).filter_map(|(own, facing)| Some((own.open()?, facing.open()?)));
            let mut count = 0;
            for (own, facing) in ways {
                let ceiling = own.ceiling.unwrap_or(i16::MAX).min(facing.ceiling.unwrap_or(i16::MAX));
                assert!(
                    own.floor == facing.floor && ceiling - own.floor >= HEADROOM,
                    "{edge:?}: {own:?} {facing:?}"
                );
                count += 1;
            }
            let is_open = low == Biome::Exterior && high == Biome::Exterior;
            assert!(
                if is_open { count == CELLS_PER_CHUNK } else { (1..=6).contains(&count) },
                "{edge:?} {low:?} {high:?}"
            );
        }
    }

    #[test]
    fn both_edges_at_a_corner_have_its_height() {
        let borders = Borders::new(9);
        for n in -500..500 {
            let here = ChunkCoord { cx: n * 3, cz: 500_000 - n };
            let east = borders.profile(Edge { low: here, is_east: true }, OPEN_MAX);
            let south = borders.profile(Edge { low: here, is_east: false }, FLOOR_MAX);
            assert_eq!(east[CELLS_PER_CHUNK - 1], south[CELLS_PER_CHUNK - 1], "{here:?}");
            assert!(east.windows(2).all(|p| p[0].abs_diff(p[1]) <= STEP_FIXED as u16), "{here:?}");
        }
    }
}
