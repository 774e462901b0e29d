//! What a chunk costs: made from its seed, built from its grid, encoded, decoded and asked.
//!
//! `cargo bench -p ninefold --bench world`; one figure per biome, over a few chunks of it in turn, so
//! that no branch predictor learns one of them by heart.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ninefold_world::{
    Biome, BspWorld, Chunk, ChunkCoord, Generator, Grid, HalfExtents, Loaded, LocalPoint, Mesh, Mover,
    PLAYER_HEIGHT_UNITS, Position, Scratch, Topology, build, contents, decode, encode, encode_recipe, slide,
    trace,
};

const SEED: u64 = 9;
const CHUNKS_PER_BIOME: usize = 32;
const BIOMES: [Biome; 3] = [Biome::Dungeon, Biome::Courtyard, Biome::Exterior];

/// The first chunks of a biome, row by row.
fn grids(world: &BspWorld, biome: Biome) -> Vec<Grid> {
    let coords = (0..4_096).map(|i| ChunkCoord { cx: i % 64 - 32, cz: i / 64 - 32 });
    let grids = coords.map(|coord| world.grid(coord)).filter(|grid| grid.biome == biome);
    grids.step_by(7).take(CHUNKS_PER_BIOME).collect()
}

fn chunk_costs(c: &mut Criterion) {
    let world = BspWorld::new(SEED);
    for biome in BIOMES {
        let mut scratch = Scratch::default();
        let grids = grids(&world, biome);
        let chunks: Vec<Chunk> = grids.iter().map(|grid| build(grid, &mut scratch)).collect();
        let encoded: Vec<Vec<u8>> = chunks.iter().map(encode).collect();
        let recipe = |(grid, chunk)| encode_recipe(grid, chunk).expect("a few styles");
        let recipes: Vec<Vec<u8>> = grids.iter().zip(&chunks).map(recipe).collect();
        let mut group = c.benchmark_group(format!("{biome:?}").to_lowercase());
        let mut turn = (0..CHUNKS_PER_BIOME).cycle();
        let mut next = move || turn.next().expect("a cycle does not end");
        group.bench_function("grid", |b| b.iter(|| world.grid(grids[next()].coord)));
        group.bench_function("build", |b| b.iter(|| build(&grids[next()], &mut scratch)));
        group.bench_function("generate", |b| b.iter(|| world.generate(grids[next()].coord, &mut scratch)));
        group.bench_function("generate_and_encode", |b| {
            b.iter(|| encode(&world.generate(grids[next()].coord, &mut scratch)));
        });
        group.bench_function("encode", |b| b.iter(|| encode(&chunks[next()])));
        group.bench_function("encode_recipe", |b| {
            b.iter(|| {
                let at = next();
                encode_recipe(&grids[at], &chunks[at])
            });
        });
        group.bench_function("build_from_recipe", |b| {
            b.iter(|| Chunk::from_recipe(&recipes[next()], &mut scratch));
        });
        group.bench_function("mesh", |b| b.iter(|| Mesh::of(&chunks[next()])));
        group.bench_function("decode", |b| b.iter(|| decode(&encoded[next()])));
        group.bench_function("contents", |b| {
            let mut step = 0_u32;
            b.iter(|| {
                step = step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (x, z) = ((step >> 8) as i16 & 0x1fff, (step >> 19) as i16 & 0x1fff);
                chunks[next()].contents(black_box(LocalPoint { x, y: 400, z }))
            });
        });
        group.bench_function("column", |b| {
            let mut step = 0_u32;
            b.iter(|| {
                step = step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (x, z) = ((step >> 8) as i16 & 0x1fff, (step >> 19) as i16 & 0x1fff);
                chunks[next()].column(black_box(x), black_box(z))
            });
        });
        group.finish();
    }
}

/// Nine chunks around one of the biome, and places in its middle chunk at which a player stands free.
struct Ring {
    chunks: Vec<Chunk>,
    places: Vec<Position>,
}

impl Ring {
    fn new(world: &BspWorld, centre: ChunkCoord) -> Ring {
        let mut scratch = Scratch::default();
        let chunks: Vec<Chunk> =
            Topology::Plane.ring(centre).map(|coord| world.generate(coord, &mut scratch)).collect();
        let mut ring = Ring { places: Vec::new(), chunks };
        for salt in 0..256 {
            let mut at = ring.chunks[0].spawn(salt);
            // Not all in the middle of a cell.
            at.x += (salt % 33) as f64 - 16.0;
            at.z += (salt % 31) as f64 - 15.0;
            at.y += f64::from(PLAYER_HEIGHT_UNITS) / 2.0;
            if !trace(&|c| ring.at(c), at, at, HalfExtents::PLAYER).started_inside {
                ring.places.push(at);
            }
        }
        assert!(ring.places.len() > 100);
        ring
    }

    /// As the server finds them: nine to look through.
    fn at(&self, coord: ChunkCoord) -> Option<Loaded<'_>> {
        self.chunks.iter().find(|c| c.coord() == coord).map(Loaded::from)
    }
}

fn collision_costs(c: &mut Criterion) {
    let world = BspWorld::new(SEED);
    for biome in BIOMES {
        let centres = grids(&world, biome).into_iter().map(|grid| grid.coord).take(8);
        let rings: Vec<Ring> = centres.map(|centre| Ring::new(&world, centre)).collect();
        let mut group = c.benchmark_group(format!("{biome:?}").to_lowercase());
        let mut turn = 0_u32;
        // Another ring, place and direction each time.
        let mut next = || {
            turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let ring = &rings[(turn >> 8) as usize % rings.len()];
            let place = ring.places[(turn >> 12) as usize % ring.places.len()];
            let (x, z) = DIRECTIONS[(turn >> 24) as usize % DIRECTIONS.len()];
            (ring, place, x, z)
        };
        let ahead = |at: Position, x: f64, z: f64, units: f64| Position {
            x: at.x + x * units,
            y: at.y,
            z: at.z + z * units,
        };
        group.bench_function("trace_move_6", |b| {
            b.iter(|| {
                let (ring, at, x, z) = next();
                trace(&|c| ring.at(c), at, ahead(at, x, z, 6.0), HalfExtents::PLAYER)
            });
        });
        group.bench_function("trace_sight_300", |b| {
            b.iter(|| {
                let (ring, at, x, z) = next();
                trace(&|c| ring.at(c), at, ahead(at, x, z, 300.0), HalfExtents::POINT)
            });
        });
        group.bench_function("slide", |b| {
            b.iter(|| {
                let (ring, at, x, z) = next();
                let feet = Position { y: at.y - f64::from(PLAYER_HEIGHT_UNITS) / 2.0, ..at };
                slide(&|c| ring.at(c), Mover::standing(feet), (x * 6.0, z * 6.0), 16_666)
            });
        });
        group.bench_function("contents_of_a_place", |b| {
            b.iter(|| {
                let (ring, at, x, z) = next();
                contents(&|c| ring.at(c), ahead(at, x, z, 20.0))
            });
        });
        group.finish();
    }
}

/// Of length 1, eight ways that are along no axis.
const DIRECTIONS: [(f64, f64); 8] = [
    (0.96, 0.28),
    (0.6, 0.8),
    (-0.28, 0.96),
    (-0.8, 0.6),
    (-0.96, -0.28),
    (-0.6, -0.8),
    (0.28, -0.96),
    (0.8, -0.6),
];

criterion_group!(benches, chunk_costs, collision_costs);
criterion_main!(benches);
