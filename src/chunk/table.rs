//! The chunks that somebody pins, by slot and by coordinates.
//!
//! Slots are dense and reused, so that heaps can order them by number. A chunk that nobody pins is not
//! here: it is in the cache or it is forgotten.

use std::ops::{Index, IndexMut};

use ahash::AHashMap;
use ninefold_protocol::time::Instant;
use ninefold_world::ChunkCoord;

use super::cache::ReadyChunk;
use super::request::{GenerationId, Urgency};

/// How far a pinned chunk is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Wanted, and the queue was full.
    TurnedAway,
    /// In the queue of requests.
    Queued,
    /// In the queue of retries.
    BackingOff,
    /// With the workshop.
    Making,
    /// Made.
    Ready(ReadyChunk),
    /// Not to be had while anybody pins it.
    Failed,
}

/// A pinned chunk.
#[derive(Debug)]
pub(super) struct Entry {
    pub coord: ChunkCoord,
    /// Clients whose ring holds it; at least one.
    pub pins: u32,
    pub stage: Stage,
    /// The attempt it waits for; older ones are stale.
    pub generation_id: GenerationId,
    /// Attempts that have failed.
    pub attempts: u32,
    pub urgency: Urgency,
    /// The round in which the urgency was last said; the first saying of a round replaces it.
    pub urged_round: u64,
    /// When it was first wanted, to the tick.
    pub wanted_at: Instant,
}

/// Pinned chunks in slots.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    slots: AHashMap<ChunkCoord, u32>,
}

impl Table {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn slot(&self, coord: ChunkCoord) -> Option<u32> {
        self.slots.get(&coord).copied()
    }

    pub fn insert(&mut self, entry: Entry) -> u32 {
        debug_assert!(self.slot(entry.coord).is_none(), "{:?} is in the table already", entry.coord);
        let slot = self.free.pop().unwrap_or(self.entries.len() as u32);
        self.slots.insert(entry.coord, slot);
        if slot as usize == self.entries.len() {
            self.entries.push(Some(entry));
        } else {
            self.entries[slot as usize] = Some(entry);
        }
        slot
    }

    pub fn remove(&mut self, slot: u32) -> Entry {
        let entry = self.entries[slot as usize].take().expect(IN_USE);
        self.slots.remove(&entry.coord);
        self.free.push(slot);
        entry
    }

    /// The entry in a slot that may have been freed since.
    pub fn get(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(slot as usize)?.as_ref()
    }
}

/// Slots come from `insert` and are dropped from every queue before `remove`.
const IN_USE: &str = "the slot is in use";

impl Index<u32> for Table {
    type Output = Entry;
    fn index(&self, slot: u32) -> &Entry {
        self.entries[slot as usize].as_ref().expect(IN_USE)
    }
}

impl IndexMut<u32> for Table {
    fn index_mut(&mut self, slot: u32) -> &mut Entry {
        self.entries[slot as usize].as_mut().expect(IN_USE)
    }
}
