//! The world: chunks of each biome, and what is in the way of who moves in them.

use std::hint::black_box;

use ninefold_client::world::{
    Biome, BspWorld, Chunk, ChunkCoord, Generator, HalfExtents, Loaded, Mover, PLAYER_HEIGHT_UNITS, Position,
    Scratch, Topology, encode, slide, trace,
};

use crate::counted::{Case, counted};

pub const CASES: [Case; 5] = [
    Case { name: "generate.dungeon", times: 8, run: |times| generate(Biome::Dungeon, times) },
    Case { name: "generate.courtyard", times: 8, run: |times| generate(Biome::Courtyard, times) },
    Case { name: "generate.exterior", times: 8, run: |times| generate(Biome::Exterior, times) },
    Case { name: "trace.sight_300", times: 512, run: sight },
    Case { name: "slide.step", times: 512, run: step },
];

const SEED: u64 = 9;
const TICK_US: u32 = 16_666;
/// Units that a walker goes in a tick.
const STEP_UNITS: f64 = 6.0;
const SIGHT_UNITS: f64 = 300.0;
/// Of length 1, along no axis.
const DIRECTIONS: [(f64, f64); 4] = [(0.96, 0.28), (-0.28, 0.96), (-0.96, -0.28), (0.28, -0.96)];

/// Where chunks of a biome are.
fn places(world: &BspWorld, biome: Biome) -> impl Iterator<Item = ChunkCoord> {
    let coords = (0..4_096).map(|i| ChunkCoord { cx: i % 64 - 32, cz: i / 64 - 32 });
    coords.filter(move |coord| world.grid(*coord).biome == biome).step_by(7)
}

/// From a seed to bytes for the wire.
fn generate(biome: Biome, times: u32) {
    let world = BspWorld::new(SEED);
    let coords: Vec<ChunkCoord> = places(&world, biome).take(times as usize).collect();
    assert_eq!(coords.len(), times as usize, "the world has so many of {biome:?}");
    let mut scratch = Scratch::default();
    counted(&mut || {
        for coord in &coords {
            black_box(encode(&world.generate(*coord, &mut scratch)));
        }
    });
}

/// Nine chunks, and places in the middle one at which a player stands free.
struct Ring {
    chunks: Vec<Chunk>,
    places: Vec<Position>,
}

impl Ring {
    fn new() -> Ring {
        let world = BspWorld::new(SEED);
        let mut scratch = Scratch::default();
        let centre = places(&world, Biome::Courtyard).next().expect("the world has courtyards");
        let chunks = Topology::Plane.ring(centre).map(|coord| world.generate(coord, &mut scratch)).collect();
        let mut ring = Ring { chunks, places: Vec::new() };
        for salt in 0..64 {
            let mut at = ring.chunks[0].spawn(salt);
            at.y += f64::from(PLAYER_HEIGHT_UNITS) / 2.0;
            if !trace(&|c| ring.at(c), at, at, HalfExtents::PLAYER).started_inside {
                ring.places.push(at);
            }
        }
        assert!(ring.places.len() > 30, "only {} places", ring.places.len());
        ring
    }

    /// As the server finds them: nine to look through.
    fn at(&self, coord: ChunkCoord) -> Option<Loaded<'_>> {
        self.chunks.iter().find(|chunk| chunk.coord() == coord).map(Loaded::from)
    }

    /// Another place and way each time.
    fn turns(&self, times: u32) -> impl Iterator<Item = (Position, (f64, f64))> + '_ {
        let place = |n| self.places[n as usize % self.places.len()];
        (0..times).map(move |n| (place(n), DIRECTIONS[(n / 7) as usize % DIRECTIONS.len()]))
    }
}

fn sight(times: u32) {
    let ring = Ring::new();
    counted(&mut || {
        for (at, (x, z)) in ring.turns(times) {
            let to = Position { x: at.x + x * SIGHT_UNITS, z: at.z + z * SIGHT_UNITS, ..at };
            black_box(trace(&|c| ring.at(c), at, to, HalfExtents::POINT));
        }
    });
}

fn step(times: u32) {
    let ring = Ring::new();
    counted(&mut || {
        for (at, (x, z)) in ring.turns(times) {
            let feet = Position { y: at.y - f64::from(PLAYER_HEIGHT_UNITS) / 2.0, ..at };
            let way = (x * STEP_UNITS, z * STEP_UNITS);
            black_box(slide(&|c| ring.at(c), Mover::standing(feet), way, TICK_US));
        }
    });
}
