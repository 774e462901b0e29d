//! The entities around a chunk: looked up once in a tick, for all clients that stand in it.

use std::ops::Range;

use ahash::AHashMap;
use ninefold_world::{ChunkCoord, Topology};

use crate::replicas::Replicas;
use crate::snapshots::TOLD_INDEX_MAX;
use crate::view::View;

/// What was found around one chunk.
#[derive(Debug, Clone)]
struct Neighbourhood {
    /// The newest tick in which anything changed.
    changed_in: u64,
    /// Its entities in [`Neighbourhoods::indices`].
    entities: Range<usize>,
    /// Whether they are in order, which is made when somebody asks for them.
    is_ordered: bool,
}

/// What was found in this tick.
#[derive(Debug, Default)]
pub(super) struct Neighbourhoods {
    around: AHashMap<ChunkCoord, Neighbourhood>,
    indices: Vec<u32>,
}

impl Neighbourhoods {
    /// Forgets the last tick.
    pub fn begin_tick(&mut self) {
        self.around.clear();
        self.indices.clear();
    }

    /// The newest tick in which anything changed in a client's ring; 0 without a ring.
    pub fn changed_in(&mut self, view: &View, replicas: &Replicas) -> u64 {
        let Some(active) = view.active() else { return 0 };
        look(&mut self.around, &mut self.indices, active, replicas).changed_in
    }

    /// The entities of a client's ring, its own among them, by index, ascending.
    pub fn entities(&mut self, view: &View, replicas: &Replicas) -> &[u32] {
        let Some(active) = view.active() else { return &[] };
        let found = look(&mut self.around, &mut self.indices, active, replicas);
        let indices = &mut self.indices[found.entities.clone()];
        if !std::mem::replace(&mut found.is_ordered, true) {
            indices.sort_unstable();
        }
        indices
    }

    /// Bytes of memory, counted from capacities.
    pub fn memory_bytes(&self) -> usize {
        // A table keeps a byte beside each place.
        let around = self.around.capacity() * (size_of::<(ChunkCoord, Neighbourhood)>() + 1);
        around + self.indices.capacity() * size_of::<u32>()
    }
}

fn look<'a>(
    around: &'a mut AHashMap<ChunkCoord, Neighbourhood>,
    indices: &mut Vec<u32>,
    active: ChunkCoord,
    replicas: &Replicas,
) -> &'a mut Neighbourhood {
    around.entry(active).or_insert_with(|| {
        let start = indices.len();
        let mut changed_in = 0;
        for cell in Topology::Plane.ring(active).filter_map(|coord| replicas.cell(coord)) {
            changed_in = cell.changed_in().max(changed_in);
            indices.extend(cell.indices().iter().filter(|index| **index <= TOLD_INDEX_MAX));
        }
        Neighbourhood { changed_in, entities: start..indices.len(), is_ordered: false }
    })
}
