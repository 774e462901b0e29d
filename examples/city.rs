//! A world of one's own: a city without end, written outside ninefold and served by it.
//!
//! `cargo run --example city` serves it on loopback for ten seconds; any client can join with a
//! development token. A generator writes the grid of a chunk: cells, doors, lights. Streaming, caching,
//! the tree, visibility, collision and both encodings come with it.

use std::sync::Arc;
use std::time::Duration;

use ninefold::config::Config;
use ninefold::server::Server;
use ninefold_world::{
    Axis, Biome, CELL_FIXED, Cell, ChunkCoord, Generator, Grid, Hinge, Light, LocalPoint, OpenCell,
};

/// Cells from one street to the next.
const BLOCK_CELLS: i64 = 4;
/// Heights in 1/8 unit: the kerb of the houses' floors and their ceilings.
const SILL: i16 = 8 * 8;
const CEILING: i16 = 96 * 8;

/// Streets in a grid, a house in most blocks.
pub struct City {
    /// Which blocks are squares.
    pub seed: u64,
}

/// What stands at a place of the world, in cells.
enum Lot {
    Street,
    Rock,
    Hall,
}

impl City {
    fn lot(&self, x: i64, z: i64) -> Lot {
        let (in_x, in_z) = (x.rem_euclid(BLOCK_CELLS), z.rem_euclid(BLOCK_CELLS));
        let (block_x, block_z) = (x.div_euclid(BLOCK_CELLS), z.div_euclid(BLOCK_CELLS));
        // Any function that is the same everywhere will do; this one is small.
        let mixed = (block_x as u64).wrapping_mul(0x9e37_79b9) ^ (block_z as u64).wrapping_mul(0x85eb_ca6b);
        let is_built = !(mixed ^ self.seed).wrapping_mul(0xc2b2_ae35).rotate_right(7).is_multiple_of(5);
        match (in_x, in_z) {
            (0, _) | (_, 0) => Lot::Street,
            _ if !is_built => Lot::Street, // a square
            (2, 1 | 2) => Lot::Hall,       // a house of two cells, its door to the north
            _ => Lot::Rock,
        }
    }

    fn cell(&self, x: i64, z: i64) -> Cell {
        let (floor, ceiling) = match self.lot(x, z) {
            Lot::Rock => return Cell::Solid,
            Lot::Street => (0, None),
            Lot::Hall => (SILL, Some(CEILING)),
        };
        let (floor_material, ceiling_material) = if ceiling.is_some() { (4, 6) } else { (7, 0) };
        let (wall_material, cliff_material) = (5, 5);
        Cell::Open(OpenCell {
            floor,
            ceiling,
            floor_material,
            wall_material,
            cliff_material,
            ceiling_material,
        })
    }
}

impl Generator for City {
    fn grid(&self, coord: ChunkCoord) -> Grid {
        let mut grid = Grid::from_cells(coord, Biome::Courtyard, |x, z| self.cell(x, z));
        // Blocks never cross a chunk's edge: 16 is a multiple of 4.
        for (x, z) in (0..4).flat_map(|row| (0..4).map(move |column| (4 * column + 2, 4 * row + 1))) {
            if let Cell::Open(OpenCell { ceiling: Some(ceiling), .. }) = grid.at(x, z) {
                let door = grid.door_at(x, z - 1, Axis::Z, Hinge::Low, -90);
                grid.doors.extend(door);
                let at = |cell: usize| cell as i16 * CELL_FIXED + CELL_FIXED / 2;
                let at = LocalPoint { x: at(x), y: ceiling - 64, z: at(z + 1) };
                grid.lights.push(Light { at, colour: [255, 214, 150], radius_units: 200 });
            }
        }
        grid
    }

    fn world_id(&self) -> u64 {
        self.seed ^ 0xc17f
    }
}

#[allow(dead_code)] // a test takes the city in without its main
fn main() -> anyhow::Result<()> {
    let config = Config::default();
    let server = Server::start(&config, Arc::new(City { seed: config.world_seed }))?;
    println!("a city without end on {}", server.address());
    std::thread::sleep(Duration::from_secs(10));
    server.stop()?;
    Ok(())
}
