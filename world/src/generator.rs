//! Who makes chunks. The BSP world is the first generator; a game can bring its own, and it inherits
//! streaming, caching and collision.

use crate::border::Borders;
use crate::bsp;
use crate::chunk::Chunk;
use crate::coord::ChunkCoord;
use crate::grid::{self, Grid};
use crate::hash::{Tag, hash};
use crate::scratch::Scratch;

/// Makes chunks: the same chunk for the same coordinates, always.
pub trait Generator: Send + Sync {
    /// The chunk at a place. `scratch` is the worker's own.
    fn generate(&self, coord: ChunkCoord, scratch: &mut Scratch) -> Chunk;

    /// Names the world that it makes: clients keep chunks, and those of another world are not its chunks.
    /// A generator whose chunks have changed makes another world.
    fn world_id(&self) -> u64;
}

/// The world of dungeons, courtyards and open land.
#[derive(Debug, Clone)]
pub struct BspWorld {
    world_seed: u64,
    borders: Borders,
}

impl BspWorld {
    /// The world of a seed.
    pub fn new(world_seed: u64) -> Self {
        BspWorld { world_seed, borders: Borders::new(world_seed) }
    }

    /// The cells of a chunk.
    pub fn grid(&self, coord: ChunkCoord) -> Grid {
        grid::generate(self.world_seed, &self.borders, coord)
    }
}

impl Generator for BspWorld {
    fn generate(&self, coord: ChunkCoord, scratch: &mut Scratch) -> Chunk {
        bsp::build(&self.grid(coord), scratch)
    }

    fn world_id(&self) -> u64 {
        hash(Tag::World, self.world_seed, i32::from(crate::codec::FORMAT_VERSION), 0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode;

    /// Written by `cargo test -p ninefold-world -- --ignored the_golden_hashes_are_written_anew`.
    const GOLDEN: &str = include_str!("../golden/chunks.txt");
    const GOLDEN_SEED: u64 = 9;

    /// Near the origin, far away, and at all ends of the grid.
    fn golden_coords() -> impl Iterator<Item = ChunkCoord> {
        let ends = [-4, -1, 0, 3, 1_000_000, -77_777_777, i32::MIN, i32::MAX];
        ends.into_iter().flat_map(move |cx| ends.into_iter().map(move |cz| ChunkCoord { cx, cz }))
    }

    fn golden_lines(world: &BspWorld) -> Vec<String> {
        let mut scratch = Scratch::default();
        let line = |coord: ChunkCoord| {
            let chunk = world.generate(coord, &mut scratch);
            format!("{} {} {:?} {:032x}", coord.cx, coord.cz, chunk.biome(), chunk.content_hash().0)
        };
        golden_coords().map(line).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_chunks_for_ever() {
        let golden: Vec<&str> = GOLDEN.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(golden_lines(&BspWorld::new(GOLDEN_SEED)), golden);
        for biome in ["Dungeon", "Courtyard", "Exterior"] {
            assert!(golden.iter().any(|line| line.contains(biome)), "no golden {biome}");
        }
    }

    #[test]
    #[ignore = "writes golden/chunks.txt"]
    fn the_golden_hashes_are_written_anew() {
        let mut text = String::from(
            "# Content hashes of the world of seed 9: cx cz biome hash. Changing one changes every saved world.\n\
             # cargo test -p ninefold-world -- --ignored the_golden_hashes_are_written_anew\n",
        );
        for line in golden_lines(&BspWorld::new(GOLDEN_SEED)) {
            text += &line;
            text.push('\n');
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/chunks.txt");
        std::fs::write(path, text).expect("the golden file can be written");
    }

    #[test]
    fn a_used_scratch_changes_nothing() {
        let world = BspWorld::new(5);
        let mut used = Scratch::default();
        for coord in golden_coords() {
            let chunk = world.generate(coord, &mut used);
            assert_eq!(chunk, world.generate(coord, &mut Scratch::default()), "{coord:?}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // only here: to see that threads make no difference
    fn two_threads_make_the_same_bytes() {
        let bytes = || {
            let (world, mut scratch) = (BspWorld::new(5), Scratch::default());
            golden_coords().map(|c| encode(&world.generate(c, &mut scratch))).collect::<Vec<_>>()
        };
        let other = std::thread::spawn(bytes);
        assert_eq!(bytes(), other.join().expect("the other thread makes them too"));
    }

    #[test]
    fn seeds_make_different_worlds() {
        let coord = ChunkCoord { cx: 0, cz: 0 };
        let hash = |seed| BspWorld::new(seed).generate(coord, &mut Scratch::default()).content_hash();
        assert_ne!(hash(1), hash(2));
        assert_ne!(BspWorld::new(1).world_id(), BspWorld::new(2).world_id());
    }
}
