//! What is asked of a workshop and what it reports back.

use std::sync::Arc;

use bytes::Bytes;
use ninefold_protocol::time::Duration;
use ninefold_world::{Chunk, ChunkCoord};

use super::parity::SharedParity;

/// The number of one attempt to make one chunk, never given twice by a service. A result counts only
/// while its chunk still waits for just this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenerationId(pub u64);

/// Why a chunk is wanted, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// A player stands in it.
    Active,
    /// It is in a player's ring.
    Neighbour,
    /// A player may come to it.
    Prefetch,
}

/// How urgently a chunk is needed; the smaller value first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Urgency {
    /// What for. It decides before any distance does.
    pub need: Need,
    /// The square of the player's distance to the chunk, in world units.
    pub distance_squared_units: u64,
}

impl Urgency {
    /// What a request has until a player's is known.
    pub const LEAST: Urgency = Urgency::prefetch(u64::MAX);

    /// A player stands in the chunk.
    pub const fn active() -> Self {
        Urgency { need: Need::Active, distance_squared_units: 0 }
    }

    /// The chunk is in a player's ring, that far away.
    pub const fn neighbour(distance_squared_units: u64) -> Self {
        Urgency { need: Need::Neighbour, distance_squared_units }
    }

    /// The chunk is on a player's way, that far away.
    pub const fn prefetch(distance_squared_units: u64) -> Self {
        Urgency { need: Need::Prefetch, distance_squared_units }
    }
}

/// One chunk to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which chunk.
    pub coord: ChunkCoord,
    /// Which attempt.
    pub generation_id: GenerationId,
}

/// A worker of a workshop: a place in the pool's table, given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub u32);

/// What a workshop says about a job. `Started` comes before the other two, which come once per job.
#[derive(Debug)]
pub enum Report {
    /// A worker took the job; its deadline runs from when this is read.
    Started {
        /// The job.
        job: Job,
        /// Who took it.
        worker: WorkerId,
    },
    /// The chunk is made and encoded.
    Made {
        /// The job.
        job: Job,
        /// The result.
        made: Made,
    },
    /// There is no chunk. The workshop has logged why, in words.
    NotMade {
        /// The job.
        job: Job,
        /// Why.
        why: NotMade,
    },
}

/// Why a job brought no chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMade {
    /// The generator panicked; another attempt may do better.
    Panicked,
    /// It has more bytes than the wire carries, or none; another attempt would bring the same.
    WrongSize {
        /// Encoded bytes.
        bytes: usize,
    },
}

/// A chunk's bytes for the wire, shared by all who send them.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The compiled tree, which every client understands.
    pub bsp: Bytes,
    /// What it is built from, for clients that build it themselves; a few grids have too many styles.
    pub recipe: Option<Bytes>,
    /// Parity of the tree.
    pub bsp_parity: SharedParity,
    /// Parity of the recipe.
    pub recipe_parity: SharedParity,
}

impl Encoded {
    /// A chunk's encodings, of which no parity was made yet.
    pub fn new(bsp: Bytes, recipe: Option<Bytes>) -> Self {
        let (bsp_parity, recipe_parity) = Default::default();
        Encoded { bsp, recipe, bsp_parity, recipe_parity }
    }

    /// Bytes of all encodings, without parity.
    pub fn len(&self) -> usize {
        self.bsp.len() + self.recipe.as_ref().map_or(0, Bytes::len)
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A finished chunk on its way to the tick.
#[derive(Clone, Debug)]
pub struct Made {
    /// The chunk itself.
    pub chunk: Arc<Chunk>,
    /// Its bytes for the wire.
    pub encoded: Encoded,
    /// What generating and encoding took; zero from a workshop that asks no clock.
    pub generate_time: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_needed_for_decides_before_distance() {
        assert!(Urgency::active() < Urgency::neighbour(0));
        assert!(Urgency::neighbour(1) < Urgency::neighbour(2));
        assert!(Urgency::neighbour(u64::MAX) < Urgency::prefetch(0));
        assert!(Urgency::prefetch(0) < Urgency::LEAST);
    }
}
