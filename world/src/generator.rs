//! Who makes chunks. The BSP world is the first generator; a game can bring its own, and it inherits
//! streaming, caching and collision.

use std::sync::Arc;

use crate::biome::Biome;
use crate::border::Borders;
use crate::bsp::build;
use crate::cell::{Cell, OpenCell};
use crate::chunk::Chunk;
use crate::codec::FORMAT_VERSION;
use crate::coord::ChunkCoord;
use crate::grid::{self, Grid};
use crate::hash::{Tag, hash};
use crate::scratch::Scratch;

/// Makes a world: the same grid for the same coordinates, always.
pub trait Generator: Send + Sync {
    /// The cells, doors and lights of a chunk, with the cells that face it over its edges as the
    /// neighbours' own grids have them.
    fn grid(&self, coord: ChunkCoord) -> Grid;

    /// Names the world that it makes: clients keep chunks, and those of another world are not its chunks.
    /// A generator whose chunks have changed makes another world.
    fn world_id(&self) -> u64;

    /// The chunk at a place. `scratch` is the worker's own.
    fn generate(&self, coord: ChunkCoord, scratch: &mut Scratch) -> Chunk {
        build(&self.grid(coord), scratch)
    }
}

/// The generators that come with ninefold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// [`BspWorld`].
    Bsp,
    /// [`Plain`].
    Plain,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [BuiltIn; 2] = [BuiltIn::Bsp, BuiltIn::Plain];

    /// The name by which it is chosen.
    pub const fn name(self) -> &'static str {
        match self {
            BuiltIn::Bsp => "bsp",
            BuiltIn::Plain => "plain",
        }
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<BuiltIn> {
        BuiltIn::ALL.into_iter().find(|generator| generator.name() == name)
    }

    /// The world of a seed.
    pub fn world(self, seed: u64) -> Arc<dyn Generator> {
        match self {
            BuiltIn::Bsp => Arc::new(BspWorld::new(seed)),
            BuiltIn::Plain => Arc::new(Plain::new(seed)),
        }
    }
}

/// Which worlds [`BspWorld`] has made so far: one more whenever the same seed gives other chunks.
const BSP_REVISION: i32 = 2;

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
}

impl Generator for BspWorld {
    fn grid(&self, coord: ChunkCoord) -> Grid {
        grid::generate(self.world_seed, &self.borders, coord)
    }

    fn world_id(&self) -> u64 {
        hash(Tag::World, self.world_seed, i32::from(FORMAT_VERSION), BSP_REVISION, 0)
    }
}

/// A flat plain of grass without end: nothing to see, and nothing in the way of a measurement.
#[derive(Debug, Clone)]
pub struct Plain {
    seed: u64,
}

impl Plain {
    /// The plain of a seed: every seed gives the same one, under another world's name.
    pub fn new(seed: u64) -> Self {
        Plain { seed }
    }
}

impl Generator for Plain {
    fn grid(&self, coord: ChunkCoord) -> Grid {
        Grid::uniform(coord, Biome::Exterior, Cell::Open(OpenCell::outdoor(0, 0)))
    }

    fn world_id(&self) -> u64 {
        hash(Tag::World, self.seed, i32::from(FORMAT_VERSION), 0, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visibility::Visibility;

    /// Written by `cargo test -p ninefold-world -- --ignored the_golden_hashes_are_written_anew`.
    const GOLDEN: &str = include_str!("../golden/chunks.txt");
    const GOLDEN_SEED: u64 = 9;

    /// A thousand chunks: around the origin, far away, and at all ends of the grid.
    fn golden_coords() -> impl Iterator<Item = ChunkCoord> {
        let ends = [-4, -1, 0, 3, 1_000_000, -77_777_777, i32::MIN, i32::MAX];
        let corners = ends.into_iter().flat_map(move |cx| ends.into_iter().map(move |cz| (cx, cz)));
        let around = |cx: i32, cz: i32| (0..312).map(move |i| (cx + i % 24 - 12, cz + i / 24 - 6));
        let places = corners.chain(around(0, 0)).chain(around(-2_000_000, 9)).chain(around(5, i32::MIN + 6));
        places.map(|(cx, cz)| ChunkCoord { cx, cz })
    }

    fn golden_line(world: &BspWorld, coord: ChunkCoord, scratch: &mut Scratch) -> String {
        let chunk = world.generate(coord, scratch);
        format!("{} {} {:?} {:032x}", coord.cx, coord.cz, chunk.biome(), chunk.content_hash().0)
    }

    fn golden_lines(world: &BspWorld) -> Vec<String> {
        let mut scratch = Scratch::default();
        golden_coords().map(|coord| golden_line(world, coord, &mut scratch)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_chunks_for_ever() {
        let golden: Vec<&str> = GOLDEN.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(golden.len(), 1_000);
        for (line, golden) in golden_lines(&BspWorld::new(GOLDEN_SEED)).iter().zip(&golden) {
            assert_eq!(line, golden);
        }
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
        for coord in golden_coords().step_by(3) {
            let chunk = world.generate(coord, &mut used);
            assert!(chunk == world.generate(coord, &mut Scratch::default()), "{coord:?}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // only here: to see that threads make no difference
    fn eight_threads_make_the_same_bytes_as_one() {
        let golden: Vec<&str> = GOLDEN.lines().filter(|l| !l.starts_with('#')).collect();
        std::thread::scope(|scope| {
            for first in 0..8 {
                let golden = &golden;
                scope.spawn(move || {
                    let (world, mut scratch) = (BspWorld::new(GOLDEN_SEED), Scratch::default());
                    let coords = golden_coords().zip(golden).skip(first).step_by(8);
                    coords.for_each(|(c, golden)| assert_eq!(golden_line(&world, c, &mut scratch), **golden));
                });
            }
        });
    }

    #[test]
    fn a_used_scratch_allocates_nothing_but_the_chunk() {
        let (world, mut scratch) = (BspWorld::new(5), Scratch::default());
        let coords: Vec<ChunkCoord> = golden_coords().collect();
        coords.iter().for_each(|coord| drop(world.generate(*coord, &mut scratch)));
        for coord in coords {
            let mut made = None;
            let info = allocation_counter::measure(|| made = Some(world.generate(coord, &mut scratch)));
            let chunk = made.expect("it was made");
            // One for each list that holds anything, and the entries.
            let lists = 6
                + u64::from(!chunk.doors().is_empty())
                + u64::from(!chunk.lights().is_empty())
                + match chunk.visibility() {
                    Visibility::All => 0,
                    Visibility::Table(table) => 1 + u64::from(!table.openings().is_empty()),
                };
            assert_eq!(info.count_total, lists, "{coord:?}");
            assert_eq!(info.count_current, lists as i64, "{coord:?}");
        }
    }

    #[test]
    fn generators_are_chosen_by_name() {
        for generator in BuiltIn::ALL {
            assert_eq!(BuiltIn::from_name(generator.name()), Some(generator));
            let coord = ChunkCoord { cx: -3, cz: 9 };
            assert_eq!(generator.world(1).generate(coord, &mut Scratch::default()).coord(), coord);
        }
        assert_eq!(BuiltIn::from_name("BSP"), None);
        let ids = BuiltIn::ALL.map(|generator| generator.world(1).world_id());
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn seeds_make_different_worlds() {
        let coord = ChunkCoord { cx: 0, cz: 0 };
        let hash = |seed| BspWorld::new(seed).generate(coord, &mut Scratch::default()).content_hash();
        assert_ne!(hash(1), hash(2));
        assert_ne!(BspWorld::new(1).world_id(), BspWorld::new(2).world_id());
    }
}
