//! What happened in a tick, noted where it happened: a list with a bound.

use ninefold_world::ChunkCoord;

use crate::chunk::Job;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A client authenticated.
    Joined {
        /// Who.
        client_id: u64,
    },
    /// A client's session ended.
    Left {
        /// Who.
        client_id: u64,
    },
    /// A player was taken elsewhere.
    Teleported {
        /// Who.
        client_id: u64,
        /// Where to.
        to: ChunkCoord,
    },
    /// A chunk was asked of the workers.
    ChunkAsked(Job),
    /// A chunk was taken in.
    ChunkMade(Job),
    /// A result came that nobody waits for any more.
    ChunkStale(Job),
    /// The generator panicked.
    ChunkPanicked(Job),
    /// A worker took longer than the deadline.
    ChunkOverdue(Job),
    /// A chunk cannot be had.
    ChunkFailed(ChunkCoord),
    /// One of the counters of what should not happen went up.
    Counted {
        /// Which: a place in the list of those that are watched.
        counter: u16,
        /// By how much.
        n: u32,
    },
    /// Ticks were given up because the loop was too far behind.
    Skipped {
        /// How many.
        ticks: u32,
    },
}

/// The events of a tick. Noting never allocates; what is beyond the bound is counted.
#[derive(Debug)]
pub struct Notes {
    events: Vec<Event>,
    max: usize,
    lost: u32,
    are_kept: bool,
}

impl Notes {
    /// Room for so many.
    pub fn new(max: usize) -> Self {
        Notes { events: Vec::with_capacity(max), max, lost: 0, are_kept: true }
    }

    /// Notes an event.
    pub fn push(&mut self, event: Event) {
        if !self.are_kept {
            return;
        }
        if self.events.len() < self.max {
            self.events.push(event);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Whether anything is noted; it is unless this says otherwise.
    pub fn keep(&mut self, are_kept: bool) {
        self.are_kept = are_kept;
    }

    /// Forgets the last tick's.
    pub fn clear(&mut self) {
        self.events.clear();
        self.lost = 0;
    }

    /// What was noted, in its order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Events that found no room.
    pub fn lost(&self) -> u32 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted() {
        let mut notes = Notes::new(2);
        for client_id in 0..5 {
            notes.push(Event::Joined { client_id });
        }
        assert_eq!((notes.events().len(), notes.lost()), (2, 3));
        notes.clear();
        assert_eq!((notes.events().len(), notes.lost()), (0, 0));
    }
}
