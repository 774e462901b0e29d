//! The snapshots that a client holds: the newest one, and those from which the next may lead.
//!
//! A snapshot that had no room for all that changed is incomplete: what it does not mention is held as its baseline
//! has it, which may be older than what came since. So each entity is held with the tick as of which it is so:
//! that of the snapshot which mentioned it, or which was complete.
//!
//! One that comes late is not shown, but held like the others: the server may lead from it.

use std::collections::VecDeque;

use ninefold_protocol::snapshot::{BASELINE_TICKS_MAX, Snapshot, SnapshotError, decode, peek_ticks};

/// Snapshots that are held at most: one for each tick that a baseline may be old, and the newest.
pub(crate) const SNAPSHOTS_MAX: usize = BASELINE_TICKS_MAX as usize + 1;
/// A tick so far ahead of the newest one is none.
const TICKS_AHEAD_MAX: u32 = 1 << 20;

/// A snapshot and how old what it says is. Its ticks count from the first snapshot.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub snapshot: Snapshot,
    /// Its own tick.
    pub tick: i64,
    /// As of which tick each entity is as it says.
    pub as_of: Vec<i64>,
    /// As of which tick nobody else is there ...
    pub whole_as_of: i64,
    /// ... and, ascending, the indices of whom the baseline held and this one does not.
    pub gone: Vec<u32>,
}

/// What was held and is held, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    held: VecDeque<Held>,
    /// One that is no longer held, for its memory.
    spare: Option<Held>,
}

/// Why a snapshot was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is not newer than the newest, or far ahead of it. If it may be led from, it is held all the same.
    Old,
    /// It leads from one that is not held.
    BaselineGone,
    /// It is no snapshot.
    Malformed,
}

impl Held {
    /// Sets the ages, from the snapshot that this one leads from.
    fn date(&mut self, base: Option<&Held>) {
        let Held { snapshot, tick, as_of, whole_as_of, gone } = self;
        let base = base.filter(|_| snapshot.incomplete);
        *whole_as_of = base.map_or(*tick, |base| base.whole_as_of);
        as_of.clear();
        gone.clear();
        let was = base.map_or(&[][..], |base| &base.snapshot.entities);
        let mut at = 0;
        // Both ascend by index.
        for entity in &snapshot.entities {
            while was.get(at).is_some_and(|was| was.index < entity.index) {
                gone.push(was[at].index);
                at += 1;
            }
            let is_as_it_was = was.get(at) == Some(entity);
            let before = base.and_then(|base| base.as_of.get(at)).filter(|_| is_as_it_was);
            as_of.push(before.copied().unwrap_or(*tick));
            at += usize::from(was.get(at).is_some_and(|was| was.index == entity.index));
        }
        gone.extend(was[at..].iter().map(|was| was.index));
    }
}

impl Snapshots {
    /// The newest.
    pub fn newest(&self) -> Option<&Held> {
        self.held.back()
    }

    /// One by the low bits of its tick.
    fn at(&self, tick: u32) -> Option<&Held> {
        let newest = self.newest()?.snapshot.tick;
        let age = newest.wrapping_sub(tick);
        // There is one for each tick at most, so it stands here or, by as many as are missing, further on.
        let first = self.held.len().saturating_sub((age as usize).saturating_add(1));
        let mut near = self.held.range(first..);
        near.find(|held| newest.wrapping_sub(held.snapshot.tick) <= age)
            .filter(|held| held.snapshot.tick == tick)
    }

    /// Takes a snapshot's body. `hz` is ticks a second.
    pub fn take(&mut self, body: &[u8], hz: u16) -> Result<&Held, Unusable> {
        let (tick, base) = peek_ticks(body).map_err(|_| Unusable::Malformed)?;
        let mut number = 0;
        let mut is_late = false;
        if let Some(newest) = self.newest() {
            let (ahead, behind) =
                (tick.wrapping_sub(newest.snapshot.tick), newest.snapshot.tick.wrapping_sub(tick));
            is_late = behind <= BASELINE_TICKS_MAX && self.at(tick).is_none();
            if !is_late && !(1..TICKS_AHEAD_MAX).contains(&ahead) {
                return Err(Unusable::Old);
            }
            let off = if is_late { -i64::from(behind) } else { i64::from(ahead) };
            number = newest.tick.saturating_add(off);
        }
        let mut held = self.spare.take().unwrap_or_default();
        let decoded = decode(body, hz, |tick| self.at(tick).map(|held| &held.snapshot), &mut held.snapshot);
        if let Err(error) = decoded {
            self.spare = Some(held);
            return Err(match error {
                SnapshotError::BaselineGone(_) => Unusable::BaselineGone,
                _ => Unusable::Malformed,
            });
        }
        held.tick = number;
        held.date(base.and_then(|tick| self.at(tick)));
        if is_late {
            let place = self.held.partition_point(|before| before.tick < number);
            self.held.insert(place, held);
            return Err(Unusable::Old);
        }
        Ok(self.keep(held))
    }

    fn keep(&mut self, newest: Held) -> &Held {
        let is_old = |held: &Held| newest.tick - held.tick > i64::from(BASELINE_TICKS_MAX);
        while self.held.front().is_some_and(is_old) {
            self.spare = self.held.pop_front();
        }
        debug_assert!(self.held.len() < SNAPSHOTS_MAX, "one for each tick");
        self.held.push_back(newest);
        self.held.back().expect("it was just pushed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_protocol::snapshot::{EntityState, SnapshotEntity, encode};

    fn snapshot(tick: u32) -> Snapshot {
        let state = EntityState { x: i64::from(tick % 1_000), ..EntityState::default() };
        let entities = vec![SnapshotEntity { index: 3, id: 9, state }];
        Snapshot { tick, input: 7, entities, ..Snapshot::default() }
    }

    fn body(baseline: Option<u32>, tick: u32) -> Vec<u8> {
        let mut bytes = [0; 1_200];
        let length = encode(&mut bytes, 60, baseline.map(snapshot).as_ref(), &snapshot(tick));
        bytes[..length].to_vec()
    }

    #[test]
    fn a_snapshot_leads_from_one_that_is_held() {
        let mut held = Snapshots::default();
        held.take(&body(None, 10), 60).unwrap();
        for (base, tick) in [(10, 12), (10, 14), (12, 15)] {
            assert_eq!(held.take(&body(Some(11), tick), 60).err(), Some(Unusable::BaselineGone));
            let taken = held.take(&body(Some(base), tick), 60).unwrap();
            assert_eq!((&taken.snapshot, taken.tick), (&snapshot(tick), i64::from(tick) - 10));
        }
    }

    #[test]
    fn what_is_old_or_doubled_or_from_the_far_future_is_refused() {
        let mut held = Snapshots::default();
        held.take(&body(None, 10), 60).unwrap();
        for tick in [10, 10_u32.wrapping_sub(64), 10 + TICKS_AHEAD_MAX, u32::MAX / 2] {
            assert_eq!(held.take(&body(None, tick), 60).err(), Some(Unusable::Old), "{tick}");
        }
        assert_eq!(held.take(&[1, 2, 3], 60).err(), Some(Unusable::Malformed));
        assert_eq!(held.take(&body(None, 11)[..9], 60).err(), Some(Unusable::Malformed));
        assert_eq!(held.newest().map(|held| &held.snapshot), Some(&snapshot(10)));
    }

    #[test]
    fn one_that_comes_late_is_not_shown_and_may_be_led_from() {
        let mut held = Snapshots::default();
        for (base, tick) in [(None, 10), (Some(10), 14)] {
            held.take(&body(base, tick), 60).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(held.take(&body(Some(10), 12), 60).err(), Some(Unusable::Old));
            assert_eq!((held.held.len(), held.newest().map(|held| held.tick)), (3, Some(4)));
        }
        let taken = held.take(&body(Some(12), 15), 60).unwrap();
        assert_eq!((&taken.snapshot, taken.tick), (&snapshot(15), 5));
    }

    #[test]
    fn no_more_are_held_than_a_baseline_may_be_old_and_ticks_may_wrap() {
        let mut held = Snapshots::default();
        let first = u32::MAX - 100;
        held.take(&body(None, first), 60).unwrap();
        for tick in (1..300).map(|n| first.wrapping_add(n)) {
            held.take(&body(Some(tick.wrapping_sub(1)), tick), 60).unwrap();
            let oldest = tick.wrapping_sub(BASELINE_TICKS_MAX);
            assert!(held.held.len() <= SNAPSHOTS_MAX);
            assert_eq!(held.at(tick).map(|held| held.snapshot.tick), Some(tick));
            if tick.wrapping_sub(first) >= BASELINE_TICKS_MAX {
                assert_eq!(held.at(oldest).map(|held| held.snapshot.tick), Some(oldest));
                assert!(held.at(oldest.wrapping_sub(1)).is_none());
            }
        }
        // After a long silence nothing old is held.
        let late = first.wrapping_add(10_000);
        held.take(&body(None, late), 60).unwrap();
        assert_eq!(held.held.len(), 1);
    }
    /// A snapshot of entities by index, and the place of each.
    fn places(tick: u32, incomplete: bool, places: &[(u32, i64)]) -> Snapshot {
        let entity = |&(index, x): &(u32, i64)| {
            let state = EntityState { x, ..EntityState::default() };
            SnapshotEntity { index, id: index.into(), state }
        };
        let entities = places.iter().map(entity).collect();
        Snapshot { tick, incomplete, entities, ..Snapshot::default() }
    }

    #[test]
    fn what_an_incomplete_snapshot_does_not_mention_is_as_old_as_its_baseline_has_it() {
        let sent = [
            (None, places(10, false, &[(1, 0), (2, 0), (3, 0)]), vec![0, 0, 0], 0),
            // Of 1 and 2 it says nothing.
            (Some(0), places(11, true, &[(1, 0), (2, 0), (3, 5)]), vec![0, 0, 1], 0),
            // 3 is as the older baseline had it; 2 has gone and 4 has come.
            (Some(0), places(12, true, &[(1, 7), (3, 0), (4, 1)]), vec![2, 0, 2], 0),
            (Some(2), places(13, true, &[(1, 7), (3, 0), (4, 1)]), vec![2, 0, 2], 0),
            // Complete: all of it is so now.
            (Some(1), places(14, false, &[(1, 0), (3, 5)]), vec![4, 4], 4),
            (Some(4), places(15, true, &[(1, 0), (3, 6)]), vec![4, 5], 4),
        ];
        let mut held = Snapshots::default();
        for (base, snapshot, as_of, whole_as_of) in &sent {
            let mut bytes = [0; 1_200];
            let length = encode(&mut bytes, 60, base.map(|base: usize| &sent[base].1), snapshot);
            let taken = held.take(&bytes[..length], 60).unwrap();
            assert_eq!((&taken.snapshot, &taken.as_of, taken.whole_as_of), (snapshot, as_of, *whole_as_of));
            assert_eq!(taken.gone, if taken.tick == 2 { &[2][..] } else { &[] });
        }
    }
}
