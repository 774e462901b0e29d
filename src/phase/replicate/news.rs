//! What became of an entity since a tick whose state some clients have: found out and put into bits once, for all of
//! them.
//!
//! Who stand together are told of the same entities, and most of them from the same few ticks: a round trip decides. So
//! what was found out is kept for the tick, in one of [`WAYS`] places of the entity. Two ticks that share a place cost
//! the work again and nothing else.

use ninefold_protocol::snapshot::CodedChange;

use super::compose::Around;
use crate::replicas::Replicas;

/// Places of an entity, by the tick whose state a client has.
const WAYS: usize = 8;

/// What became of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing.
    Same,
    /// It is another way now, which takes so many bits to tell.
    Changed { bits: usize },
    /// It is gone or another entity, or what the client has is no longer known.
    Gone,
}

/// What was found out.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// In which tick; what is from another one is over.
    tick: u64,
    /// Since the state of this tick, for who has a baseline of that one.
    as_of: u64,
    base_tick: u64,
    came: Came,
    change: CodedChange,
}

const NOTHING: Found =
    Found { tick: 0, as_of: 0, base_tick: 0, came: Came::Gone, change: CodedChange::NOTHING };

/// What was found out in this tick.
#[derive(Debug, Default)]
pub(super) struct News {
    tick: u64,
    /// Each by index.
    ways: [Vec<Found>; WAYS],
}

impl News {
    /// Forgets the last tick.
    pub fn begin_tick(&mut self, tick: u64, replicas: &Replicas) {
        self.tick = tick;
        if self.ways[0].len() < replicas.indices() {
            self.ways.iter_mut().for_each(|way| way.resize(replicas.indices(), NOTHING));
        }
    }

    /// What became of an entity since the tick `as_of`, for who has the snapshot of `base_tick`.
    pub fn of(&mut self, around: &Around<'_>, index: u32, as_of: u64, base_tick: u64) -> Came {
        let Some(found) = self.ways[way(as_of)].get_mut(index as usize) else { return Came::Gone };
        if (found.tick, found.as_of, found.base_tick) != (self.tick, as_of, base_tick) {
            let (came, change) = find_out(around, index, as_of, base_tick);
            *found = Found { tick: self.tick, as_of, base_tick, came, change };
        }
        found.came
    }

    /// The bits of what was just found out to be changed.
    ///
    /// # Panics
    /// When nothing was ever found out of this index.
    pub fn change(&self, index: u32, as_of: u64) -> &CodedChange {
        let found = &self.ways[way(as_of)][index as usize];
        debug_assert!((found.tick, found.as_of) == (self.tick, as_of), "another client asked in between");
        &found.change
    }

    /// Bytes of memory, counted from capacities.
    pub fn memory_bytes(&self) -> usize {
        self.ways.iter().map(|way| way.capacity() * size_of::<Found>()).sum()
    }
}

fn way(as_of: u64) -> usize {
    as_of as usize % WAYS
}

fn find_out(around: &Around<'_>, index: u32, as_of: u64, base_tick: u64) -> (Came, CodedChange) {
    let replica = around.replicas.get(index).filter(|replica| replica.born <= as_of);
    let Some(replica) = replica else { return (Came::Gone, CodedChange::NOTHING) };
    if replica.changed_in <= as_of {
        return (Came::Same, CodedChange::NOTHING);
    }
    let Some(base) = around.replicas.state_in(around.tick, as_of, index) else {
        return (Came::Gone, CodedChange::NOTHING);
    };
    let age = (around.tick - base_tick) as u32;
    let change = CodedChange::new(around.rules.tick_rate_hz as u16, age, base, &replica.state);
    (Came::Changed { bits: change.bits() }, change)
}
