//! The snapshots that a client holds: the newest one, and those from which the next may lead.

use std::collections::VecDeque;

use ninefold_protocol::snapshot::{BASELINE_TICKS_MAX, Snapshot, SnapshotError, decode, peek_ticks};

/// Snapshots that are held at most: one for each tick that a baseline may be old, and the newest.
pub(crate) const SNAPSHOTS_MAX: usize = BASELINE_TICKS_MAX as usize + 1;
/// A tick so far ahead of the newest one is none.
const TICKS_AHEAD_MAX: u32 = 1 << 20;

/// What was held and is held, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    held: VecDeque<Snapshot>,
    /// Those that are no longer held, for their memory.
    spare: Vec<Snapshot>,
}

/// Why a snapshot was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is not newer than the newest, or far ahead of it.
    Old,
    /// It leads from one that is not held.
    BaselineGone,
    /// It is no snapshot.
    Malformed,
}

impl Snapshots {
    /// The newest.
    pub fn newest(&self) -> Option<&Snapshot> {
        self.held.back()
    }

    /// One by the low bits of its tick.
    pub fn at(&self, tick: u32) -> Option<&Snapshot> {
        // Ticks rise, and lie within less than half of their range of the newest one.
        let newest = self.newest()?.tick;
        let age = newest.wrapping_sub(tick);
        let index = self.held.partition_point(|held| newest.wrapping_sub(held.tick) > age);
        self.held.get(index).filter(|held| held.tick == tick)
    }

    /// Takes a snapshot's body and tells the tick of the snapshot that it leads from. `hz` is ticks a second.
    pub fn take(&mut self, body: &[u8], hz: u16) -> Result<Option<u32>, Unusable> {
        let (tick, baseline) = peek_ticks(body).map_err(|_| Unusable::Malformed)?;
        if let Some(newest) = self.newest()
            && !(1..TICKS_AHEAD_MAX).contains(&tick.wrapping_sub(newest.tick))
        {
            return Err(Unusable::Old);
        }
        let mut snapshot = self.spare.pop().unwrap_or_default();
        match decode(body, hz, |tick| self.at(tick), &mut snapshot) {
            Ok(()) => {
                self.keep(snapshot);
                Ok(baseline)
            }
            Err(error) => {
                self.spare.push(snapshot);
                Err(match error {
                    SnapshotError::BaselineGone(_) => Unusable::BaselineGone,
                    _ => Unusable::Malformed,
                })
            }
        }
    }

    fn keep(&mut self, snapshot: Snapshot) {
        let is_old = |held: &Snapshot| snapshot.tick.wrapping_sub(held.tick) > BASELINE_TICKS_MAX;
        while self.held.front().is_some_and(is_old) {
            // One at a time comes, so one at a time is wanted again.
            let old = self.held.pop_front();
            if self.spare.is_empty() {
                self.spare.extend(old);
            }
        }
        self.held.push_back(snapshot);
        debug_assert!(self.held.len() <= SNAPSHOTS_MAX);
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
        assert_eq!(held.take(&body(None, 10), 60), Ok(None));
        assert_eq!(held.take(&body(Some(10), 11), 60), Ok(Some(10)));
        assert_eq!(held.take(&body(Some(10), 14), 60), Ok(Some(10)));
        assert_eq!(held.newest(), Some(&snapshot(14)));
        assert_eq!(held.take(&body(Some(12), 15), 60), Err(Unusable::BaselineGone));
        assert_eq!(held.take(&body(Some(11), 15), 60), Ok(Some(11)));
        assert_eq!(held.newest(), Some(&snapshot(15)));
    }

    #[test]
    fn what_is_old_or_doubled_or_from_the_far_future_is_refused() {
        let mut held = Snapshots::default();
        assert_eq!(held.take(&body(None, 10), 60), Ok(None));
        for tick in [9, 10, 0, 10 + TICKS_AHEAD_MAX, u32::MAX] {
            assert_eq!(held.take(&body(None, tick), 60), Err(Unusable::Old), "{tick}");
        }
        assert_eq!(held.take(&[1, 2, 3], 60), Err(Unusable::Malformed));
        assert_eq!(held.take(&body(None, 11)[..9], 60), Err(Unusable::Malformed));
        assert_eq!(held.newest(), Some(&snapshot(10)));
    }

    #[test]
    fn no_more_are_held_than_a_baseline_may_be_old_and_ticks_may_wrap() {
        let mut held = Snapshots::default();
        let first = u32::MAX - 100;
        held.take(&body(None, first), 60).unwrap();
        for tick in (1..300).map(|n| first.wrapping_add(n)) {
            assert_eq!(
                held.take(&body(Some(tick.wrapping_sub(1)), tick), 60).ok().flatten(),
                Some(tick.wrapping_sub(1))
            );
            let oldest = tick.wrapping_sub(BASELINE_TICKS_MAX);
            assert!(held.held.len() <= SNAPSHOTS_MAX && held.spare.len() <= 1);
            assert_eq!(held.at(tick).map(|s| s.tick), Some(tick));
            if tick.wrapping_sub(first) >= BASELINE_TICKS_MAX {
                assert_eq!(held.at(oldest).map(|s| s.tick), Some(oldest));
                assert!(held.at(oldest.wrapping_sub(1)).is_none());
            }
        }
        // After a long silence nothing old is held.
        let late = first.wrapping_add(10_000);
        held.take(&body(None, late), 60).unwrap();
        assert_eq!(held.held.len(), 1);
    }
}
