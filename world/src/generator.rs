//! Who makes chunks. The BSP world is the first generator; a game can bring its own, and it inherits
//! streaming, caching and collision.

use crate::border::Borders;
use crate::bsp::{self, BuildScratch};
use crate::chunk::Chunk;
use crate::coord::ChunkCoord;
use crate::grid::{self, Grid};
use crate::hash::{Tag, hash};

/// Makes chunks: the same chunk for the same coordinates, always.
pub trait Generator: Send + Sync {
    /// The chunk at a place. `scratch` is the worker's own.
    fn generate(&self, coord: ChunkCoord, scratch: &mut Scratch) -> Chunk;
}

/// Buffers that a worker uses again for each chunk.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) build: BuildScratch,
    pub(crate) content: Vec<u8>,
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

    /// Names this world: chunks of another one are not its chunks.
    pub fn id(&self) -> u64 {
        hash(Tag::World, self.world_seed, i32::from(crate::codec::FORMAT_VERSION), 0, 0)
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
}
