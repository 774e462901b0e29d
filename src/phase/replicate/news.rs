//! What became of an entity since a tick whose state some clients have: found out and put into bits once, for all of
//! them.
//!
//! Who stand together are told of the same entities, and most of them from the same few ticks: a round trip decides. So
//! what was found out is kept for the tick, in one of [`WAYS`] places of the entity. Two ticks that share a place cost
//! the work again and nothing else.

use ninefold_protocol::snapshot::CodedChange;

use super::compose::Around;
use crate::replicas::Replicas;

/// Places of an entity, by how old the state is that a client has.
const WAYS: usize = 8;

/// What became of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing.
    Same,
    /// It is another way now.
    Changed,
    /// It is gone or another entity, or what the client has is no longer known.
    Gone,
}

/// What was found out. Small, since each client looks at one for each entity around it.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// In which tick, its low bits; what is from another one is over.
    tick: u32,
    /// How many ticks ago the state was that the client has.
    age: u16,
    came: Came,
    /// For who has a baseline of its age.
    change: CodedChange,
}

const NOTHING: Found = Found { tick: 0, age: 0, came: Came::Gone, change: CodedChange::nothing(0) };

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
    /// Tells how many bits that takes.
    pub fn of(&mut self, around: &Around<'_>, index: u32, as_of: u64, base_tick: u64) -> (Came, usize) {
        let age = (self.tick - as_of) as u16;
        let baseline = (self.tick - base_tick) as u8;
        let Some(found) = self.ways[way(age)].get_mut(index as usize) else { return (Came::Gone, 0) };
        if (found.tick, found.age, found.change.ticks()) != (self.tick as u32, age, baseline) {
            let (came, change) = find_out(around, index, as_of, baseline);
            *found = Found { tick: self.tick as u32, age, came, change };
        }
        (found.came, found.change.bits())
    }

    /// The bits of what was just found out to be changed.
    ///
    /// # Panics
    /// When nothing was ever found out of this index.
    pub fn change(&self, index: u32, as_of: u64) -> &CodedChange {
        let age = (self.tick - as_of) as u16;
        let found = &self.ways[way(age)][index as usize];
        debug_assert!((found.tick, found.age) == (self.tick as u32, age), "another client asked in between");
        &found.change
    }

    /// Bytes of memory, counted from capacities.
    pub fn memory_bytes(&self) -> usize {
        self.ways.iter().map(|way| way.capacity() * size_of::<Found>()).sum()
    }
}

fn way(age: u16) -> usize {
    usize::from(age) % WAYS
}

fn find_out(around: &Around<'_>, index: u32, as_of: u64, baseline: u8) -> (Came, CodedChange) {
    let nothing = CodedChange::nothing(baseline);
    let replica = around.replicas.get(index).filter(|replica| replica.born <= as_of);
    let Some(replica) = replica else { return (Came::Gone, nothing) };
    if replica.changed_in <= as_of {
        return (Came::Same, nothing);
    }
    let Some(base) = around.replicas.state_in(around.tick, as_of, index) else {
        return (Came::Gone, nothing);
    };
    let hz = around.rules.tick_rate_hz as u16;
    (Came::Changed, CodedChange::new(hz, baseline.into(), base, &replica.state))
}
