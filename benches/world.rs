//! What a chunk costs: made from its seed, built from its grid, encoded, decoded and asked.
//!
//! `cargo bench -p ninefold --bench world`; one figure per biome, over a few chunks of it in turn, so
//! that no branch predictor learns one of them by heart.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ninefold_world::{
    Biome, BspWorld, Chunk, ChunkCoord, Generator, Grid, LocalPoint, Scratch, build, decode, encode,
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

criterion_group!(benches, chunk_costs);
criterion_main!(benches);
