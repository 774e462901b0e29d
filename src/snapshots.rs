//! The snapshots that a client was sent and may have: what the next one can lead from.
//!
//! A record says for each entity which tick's state the client has once it has that snapshot. From the newest
//! acknowledged one on all are kept, for at most [`BASELINE_TICKS_MAX`] ticks; after that the client is told
//! everything anew.

use std::collections::VecDeque;

use ninefold_protocol::snapshot::{BASELINE_TICKS_MAX, OwnState};

/// What a client knows of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The entity's index.
    pub index: u32,
    /// The low 32 bits of the tick whose state it has.
    pub as_of: u32,
}

/// A snapshot that was sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// When.
    pub tick: u64,
    /// The client itself, as told.
    pub own: OwnState,
    /// The open doors of the ring around [`OwnState::cx`], [`OwnState::cz`], as told.
    pub open_doors: [u32; 9],
    /// The entities that it knows with it, by index, ascending.
    pub told: Vec<Told>,
    acked: bool,
}

/// The snapshots of one client.
#[derive(Debug, Default)]
pub struct SentSnapshots {
    /// The oldest first; at most one for each tick that counts.
    sent: VecDeque<Sent>,
    /// Lists that are not in use, for their memory.
    spare: Vec<Vec<Told>>,
}

/// Lists that are kept for their memory.
const SPARE_MAX: usize = 4;

impl SentSnapshots {
    /// The newest one that the client has acknowledged, if it is not too old to lead from.
    pub fn baseline(&mut self, now: u64) -> Option<&Sent> {
        while self.sent.front().is_some_and(|sent| now - sent.tick > u64::from(BASELINE_TICKS_MAX)) {
            self.drop_first();
        }
        self.sent.front().filter(|sent| sent.acked)
    }

    /// The newest one that was sent.
    pub fn newest(&self) -> Option<&Sent> {
        self.sent.back()
    }

    /// An empty list, with the memory of one that is done.
    pub fn list(&mut self) -> Vec<Told> {
        self.spare.pop().unwrap_or_default()
    }

    /// One more was sent.
    pub fn push(&mut self, tick: u64, own: OwnState, open_doors: [u32; 9], told: Vec<Told>) {
        debug_assert!(self.sent.back().is_none_or(|sent| sent.tick < tick), "one a tick");
        self.sent.push_back(Sent { tick, own, open_doors, told, acked: false });
    }

    /// The client has the snapshot of this tick: all before it are done with.
    pub fn on_acked(&mut self, tick: u64) {
        // One that came late, or is forgotten, says nothing new.
        let Some(at) = self.sent.iter().position(|sent| sent.tick == tick) else { return };
        (0..at).for_each(|_| self.drop_first());
        self.sent[0].acked = true;
    }

    /// The client has been put elsewhere: it keeps what it has.
    pub fn len(&self) -> usize {
        self.sent.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    fn drop_first(&mut self) {
        if let Some(Sent { mut told, .. }) = self.sent.pop_front()
            && self.spare.len() < SPARE_MAX
        {
            told.clear();
            self.spare.push(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(ticks: std::ops::RangeInclusive<u64>) -> SentSnapshots {
        let mut snapshots = SentSnapshots::default();
        for tick in ticks {
            let list = snapshots.list();
            snapshots.push(tick, OwnState::default(), [0; 9], list);
        }
        snapshots
    }

    #[test]
    fn the_newest_acknowledged_one_is_the_baseline() {
        let mut snapshots = sent(1..=9);
        assert!(snapshots.baseline(10).is_none());
        snapshots.on_acked(4);
        snapshots.on_acked(7);
        snapshots.on_acked(5);
        assert_eq!(snapshots.baseline(10).map(|s| s.tick), Some(7));
        assert_eq!((snapshots.len(), snapshots.newest().map(|s| s.tick)), (3, Some(9)));
    }

    #[test]
    fn one_that_is_too_old_is_gone() {
        let mut snapshots = sent(1..=20);
        snapshots.on_acked(10);
        assert!(snapshots.baseline(73).is_some());
        assert!(snapshots.baseline(74).is_none());
        snapshots.on_acked(12);
        assert_eq!(snapshots.baseline(74).map(|s| s.tick), Some(12));
        assert!(snapshots.baseline(200).is_none() && snapshots.is_empty());
    }
}
