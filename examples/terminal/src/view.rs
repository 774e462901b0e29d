//! [`View`]: everything that one picture shows. What draws it looks at nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use ninefold_client::protocol::time::Duration;
use ninefold_client::world::{Biome, CHUNK_UNITS, Chunk, ChunkCoord, FIXED_PER_UNIT, OpenDoors, Position};
use ninefold_client::{EntityView, Measures, OwnView};

/// Chunks to each side of the player that are drawn at most, however large the screen.
pub const CHUNKS_ASIDE_MAX: i32 = 6;

/// One picture.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Where the server is.
    pub server: String,
    /// How long it has been since the client began to connect.
    pub waited: Duration,
    /// Whether the server has let us in.
    pub is_in: bool,
    /// The player; `None` until the server has said where it is.
    pub own: Option<OwnView>,
    /// The others.
    pub entities: Vec<EntityView>,
    /// The chunks that are here.
    pub ground: Ground,
    /// The ring: the chunk that the player stands in, and what is still awaited and for how long.
    pub active: Option<ChunkCoord>,
    pub wanted: Vec<(ChunkCoord, Duration)>,
    pub measures: Measures,
    /// Chunks that the client keeps.
    pub chunks_kept: usize,
    pub units_per_pixel: i32,
    pub shows_ids: bool,
    /// What happened, the newest last, and how long ago.
    pub lines: Vec<(String, Duration)>,
}

/// The chunks of a picture and their doors.
#[derive(Debug, Clone, Default)]
pub struct Ground {
    chunks: BTreeMap<ChunkCoord, (Arc<Chunk>, OpenDoors)>,
}

/// What is at a place, seen from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// No chunk is here.
    Unknown,
    Rock,
    /// A floor.
    Floor {
        /// Its height, 1/8 unit.
        height: i16,
        is_roofed: bool,
        biome: Biome,
    },
}

impl Ground {
    /// Adds a chunk.
    pub fn insert(&mut self, chunk: Arc<Chunk>, open: OpenDoors) {
        self.chunks.insert(chunk.coord(), (chunk, open));
    }

    /// A chunk that is here.
    pub fn chunk(&self, coord: ChunkCoord) -> Option<&Chunk> {
        self.chunks.get(&coord).map(|(chunk, _)| chunk.as_ref())
    }

    /// All chunks with the doors that stand open.
    pub fn chunks(&self) -> impl Iterator<Item = (&Chunk, OpenDoors)> {
        self.chunks.values().map(|(chunk, open)| (chunk.as_ref(), *open))
    }

    /// What is at a place: in whole units from the north-western corner of a chunk, as far as one likes.
    pub fn place(&self, origin: ChunkCoord, x: i32, z: i32) -> Place {
        let (x_chunk, z_chunk) = (x.div_euclid(CHUNK_UNITS), z.div_euclid(CHUNK_UNITS));
        let beside = (origin.cx.checked_add(x_chunk), origin.cz.checked_add(z_chunk));
        let (Some(cx), Some(cz)) = beside else { return Place::Unknown };
        let Some(chunk) = self.chunk(ChunkCoord { cx, cz }) else { return Place::Unknown };
        let fixed = |units: i32| (units.rem_euclid(CHUNK_UNITS) * FIXED_PER_UNIT) as i16;
        match chunk.column(fixed(x), fixed(z)) {
            None => Place::Rock,
            Some(column) => Place::Floor {
                height: column.floor,
                is_roofed: column.ceiling.is_some(),
                biome: chunk.biome(),
            },
        }
    }
}

/// A place relative to a chunk's north-western corner, in units: small numbers wherever in the world it is.
pub fn relative(origin: ChunkCoord, at: Position) -> (f64, f64) {
    let (x0, z0) = origin.origin();
    (at.x - x0, at.z - z0)
}
