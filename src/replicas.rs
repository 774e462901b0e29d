//! What clients may be told of: every replicated entity as it goes over the wire, now and in the last ticks, and which
//! of them are in which chunk.
//!
//! ```text
//!   game: Body, Replicated ──gather──▶ replicas[index]   id, born, changed, state
//!                                      frames[tick % 64] all states of a tick: what differences lead from
//!                                      cells[chunk]      indices: telling a client of its ring costs what is in it
//! ```
//!
//! An index is used again when its entity has gone. Who remembers an index and a tick knows by [`Replica::born`]
//! whether it is still the same entity.

use ahash::AHashMap;
use ninefold_protocol::snapshot::{BASELINE_TICKS_MAX, EntityState};
use ninefold_world::ChunkCoord;
use smallvec::SmallVec;

use crate::game::{Body, Replicated, chunk_of};

/// Ticks whose states are kept.
const FRAMES: usize = BASELINE_TICKS_MAX as usize + 1;

/// Indices of a chunk that need no memory of their own.
const CELL_INDICES_INLINE: usize = 6;

/// A replicated entity.
#[derive(Debug, Clone, Copy)]
pub struct Replica {
    /// Who it is.
    pub id: u64,
    /// The tick in which it came.
    pub born: u64,
    /// The tick in which anything of it last changed.
    pub changed_in: u64,
    /// How it is.
    pub state: EntityState,
    /// The tick in which it was last seen in the world; 0 for a free index.
    seen_in: u64,
}

/// The replicas of one chunk.
#[derive(Debug, Default)]
pub struct Cell {
    /// Beside the rest as long as they are few: each neighbour looks at them in every tick.
    indices: SmallVec<[u32; CELL_INDICES_INLINE]>,
    changed_in: u64,
}

/// All replicas.
#[derive(Debug)]
pub struct Replicas {
    replicas: Vec<Replica>,
    free: Vec<u32>,
    frames: Vec<Vec<EntityState>>,
    cells: AHashMap<ChunkCoord, Cell>,
}

impl Default for Replicas {
    fn default() -> Self {
        Replicas {
            replicas: Vec::new(),
            free: Vec::new(),
            frames: (0..FRAMES).map(|_| Vec::new()).collect(),
            cells: AHashMap::new(),
        }
    }
}

impl Cell {
    /// Its replicas, in no order that means anything.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The tick in which anything in it last changed.
    pub fn changed_in(&self) -> u64 {
        self.changed_in
    }
}

impl Replicas {
    /// Takes over how everything is in this tick, and forgets what is no longer there.
    pub fn gather(&mut self, tick: u64, entities: &mut hecs::World) {
        for (body, replicated) in entities.query_mut::<(&Body, &mut Replicated)>() {
            let Some(state) = body.state(replicated) else { continue };
            match replicated.replica {
                Some(index) => self.update(tick, index, state),
                None => replicated.replica = Some(self.insert(tick, replicated.id, state)),
            }
        }
        for index in 0..self.replicas.len() {
            let Replica { seen_in, state, .. } = self.replicas[index];
            if seen_in != 0 && seen_in != tick {
                self.leave(tick, index as u32, chunk_of(&state));
                self.replicas[index].seen_in = 0;
                self.free.push(index as u32);
            }
        }
        let frame = &mut self.frames[tick as usize % FRAMES];
        frame.clear();
        frame.extend(self.replicas.iter().map(|replica| replica.state));
    }

    fn update(&mut self, tick: u64, index: u32, state: EntityState) {
        let replica = &mut self.replicas[index as usize];
        replica.seen_in = tick;
        if replica.state == state {
            return;
        }
        let (from, to) = (chunk_of(&replica.state), chunk_of(&state));
        replica.state = state;
        replica.changed_in = tick;
        if from != to {
            self.leave(tick, index, from);
            self.cells.entry(to).or_default().indices.push(index);
        }
        self.touch(tick, to);
    }

    fn insert(&mut self, tick: u64, id: u64, state: EntityState) -> u32 {
        let replica = Replica { id, born: tick, changed_in: tick, state, seen_in: tick };
        let index = match self.free.pop() {
            Some(index) => {
                self.replicas[index as usize] = replica;
                index
            }
            None => {
                self.replicas.push(replica);
                self.replicas.len() as u32 - 1
            }
        };
        let chunk = chunk_of(&state);
        self.cells.entry(chunk).or_default().indices.push(index);
        self.touch(tick, chunk);
        index
    }

    fn leave(&mut self, tick: u64, index: u32, chunk: ChunkCoord) {
        let Some(cell) = self.cells.get_mut(&chunk) else { return };
        if let Some(at) = cell.indices.iter().position(|i| *i == index) {
            cell.indices.swap_remove(at);
        }
        cell.changed_in = tick;
    }

    /// Something in a chunk has changed that its clients should hear of.
    pub fn touch(&mut self, tick: u64, chunk: ChunkCoord) {
        self.cells.entry(chunk).or_default().changed_in = tick;
    }

    /// A chunk's replicas; `None` when nobody was there lately.
    pub fn cell(&self, chunk: ChunkCoord) -> Option<&Cell> {
        self.cells.get(&chunk)
    }

    /// The replica of an index, if there is one now.
    pub fn get(&self, index: u32) -> Option<&Replica> {
        self.replicas.get(index as usize).filter(|replica| replica.seen_in != 0)
    }

    /// Indices that are in use or were: all are below this.
    pub fn indices(&self) -> usize {
        self.replicas.len()
    }

    /// All replicas, by index.
    pub fn iter(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.seen_in != 0)
    }

    /// How an index was in a tick, if that is still known.
    pub fn state_in(&self, now: u64, tick: u64, index: u32) -> Option<&EntityState> {
        let is_kept = tick <= now && now - tick <= u64::from(BASELINE_TICKS_MAX);
        self.frames.get(tick as usize % FRAMES).filter(|_| is_kept)?.get(index as usize)
    }

    /// Gives back the cells in which nothing has happened for `ticks`. Not every tick: it looks at all.
    pub fn sweep(&mut self, tick: u64, ticks: u64) {
        self.cells.retain(|_, cell| !cell.indices.is_empty() || cell.changed_in + ticks > tick);
    }

    /// Replicas.
    pub fn len(&self) -> usize {
        self.replicas.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory, counted from capacities. Not every tick: it looks at all cells.
    pub fn memory_bytes(&self) -> usize {
        let frames: usize = self.frames.iter().map(|frame| frame.capacity() * size_of::<EntityState>()).sum();
        let many = self.cells.values().filter(|cell| cell.indices.spilled());
        let indices: usize = many.map(|cell| cell.indices.capacity() * size_of::<u32>()).sum();
        // A table keeps a byte beside each place.
        let cells = self.cells.capacity() * (size_of::<(ChunkCoord, Cell)>() + 1);
        let replicas = self.replicas.capacity() * size_of::<Replica>();
        replicas + frames + indices + cells + self.free.capacity() * size_of::<u32>()
    }

    /// Chunks with a cell.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_world::{Mover, Position};

    fn body(x: f64) -> Body {
        Body::standing(Mover::standing(Position { x, y: 0.0, z: 5.0 }))
    }

    fn chunk(cx: i32) -> ChunkCoord {
        ChunkCoord::new(cx, 0)
    }

    #[test]
    fn a_replica_is_found_in_its_chunk_and_as_it_was() {
        let mut entities = hecs::World::new();
        let mut replicas = Replicas::default();
        let entity = entities.spawn((body(1_000.0), Replicated::new(7, 1)));
        replicas.gather(1, &mut entities);
        assert_eq!(replicas.cell(chunk(0)).unwrap().indices(), [0]);
        entities.get::<&mut Body>(entity).unwrap().mover.position.x = 1_030.0;
        for tick in 2..=64 {
            replicas.gather(tick, &mut entities);
        }
        let replica = replicas.get(0).unwrap();
        assert_eq!((replica.id, replica.born, replica.changed_in), (7, 1, 2));
        assert_eq!(replicas.state_in(64, 1, 0).unwrap().x, 64_000);
        assert_eq!(replicas.state_in(64, 2, 0), Some(&replica.state));
        assert_eq!((replicas.state_in(65, 1, 0), replicas.state_in(64, 65, 0)), (None, None));
        assert!(replicas.cell(chunk(0)).unwrap().indices().is_empty());
        assert_eq!(replicas.cell(chunk(1)).unwrap().indices(), [0]);
        assert_eq!(replicas.cell(chunk(1)).unwrap().changed_in(), 2);
    }

    #[test]
    fn an_index_is_used_again_and_its_birth_tells() {
        let mut entities = hecs::World::new();
        let mut replicas = Replicas::default();
        let first = entities.spawn((body(1.0), Replicated::new(7, 1)));
        entities.spawn((body(2.0), Replicated::new(8, 1)));
        replicas.gather(1, &mut entities);
        entities.despawn(first).unwrap();
        replicas.gather(2, &mut entities);
        assert!(replicas.get(0).is_none() && replicas.len() == 1);
        assert_eq!(replicas.cell(chunk(0)).unwrap().changed_in(), 2);
        entities.spawn((body(3.0), Replicated::new(9, 1)));
        replicas.gather(3, &mut entities);
        assert_eq!(replicas.get(0).map(|r| (r.id, r.born)), Some((9, 3)));
        assert_eq!(replicas.len(), 2);
    }

    #[test]
    fn cells_where_nothing_happens_are_given_back() {
        let mut entities = hecs::World::new();
        let mut replicas = Replicas::default();
        let entity = entities.spawn((body(1.0), Replicated::new(7, 1)));
        replicas.gather(1, &mut entities);
        entities.get::<&mut Body>(entity).unwrap().mover.position.x = 1_030.0;
        replicas.gather(2, &mut entities);
        replicas.sweep(12, 10);
        assert_eq!(replicas.cells(), 1);
    }
}
