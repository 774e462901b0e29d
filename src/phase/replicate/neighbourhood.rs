//! The entities around a chunk: looked up once in a tick, for all clients that stand in it.

use std::ops::Range;

use ahash::AHashMap;
use ninefold_world::ChunkCoord;

use crate::replicas::Replicas;
use crate::snapshots::TOLD_INDEX_MAX;
use crate::view::View;

/// What was found around one chunk.
#[derive(Debug, Clone)]
struct Neighbourhood {
    /// The newest tick in which anything changed.
    changed_in: u64,
    /// Its entities in [`Neighbourhoods::indices`], once somebody asked for them.
    entities: Option<Range<usize>>,
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
        self.look(active, view, replicas).changed_in
    }

    /// The entities of a client's ring, its own among them, by index, ascending.
    pub fn entities(&mut self, view: &View, replicas: &Replicas) -> &[u32] {
        let Some(active) = view.active() else { return &[] };
        if let Some(found) = self.look(active, view, replicas).entities.clone() {
            return &self.indices[found];
        }
        let start = self.indices.len();
        for cell in view.ring().iter().filter_map(|place| replicas.cell(place.coord)) {
            self.indices.extend(cell.indices().iter().filter(|index| **index <= TOLD_INDEX_MAX));
        }
        self.indices[start..].sort_unstable();
        let found = start..self.indices.len();
        self.look(active, view, replicas).entities = Some(found.clone());
        &self.indices[found]
    }

    /// Bytes of memory, counted from capacities.
    pub fn memory_bytes(&self) -> usize {
        // A table keeps a byte beside each place.
        let around = self.around.capacity() * (size_of::<(ChunkCoord, Neighbourhood)>() + 1);
        around + self.indices.capacity() * size_of::<u32>()
    }

    fn look(&mut self, active: ChunkCoord, view: &View, replicas: &Replicas) -> &mut Neighbourhood {
        self.around.entry(active).or_insert_with(|| {
            let cells = view.ring().iter().filter_map(|place| replicas.cell(place.coord));
            let changed_in = cells.map(|cell| cell.changed_in()).max().unwrap_or(0);
            Neighbourhood { changed_in, entities: None }
        })
    }
}
