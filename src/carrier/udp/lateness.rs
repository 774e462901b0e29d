//! How long after the tick's word packets leave.
//!
//! A tick decides for all clients at one time; what it writes leaves once the tick has come to it and the thread has sealed what
//! stands before it. With a thousand clients that is ten milliseconds for the last one, which are the server's and no
//! line's: a round trip must not have them in it, nor congestion control take them for a queue. A slot's turn comes at
//! about the same time in each tick, so the tick is told of it when it has changed.

use ninefold_protocol::time::{Duration, Instant};

use crate::carrier::ConnectionId;

/// A change of so much is told.
const TOLD_FROM_US: u32 = 500;
/// More is a thread that was held up, and says nothing of the next tick.
const LATE_MAX_US: u32 = 50_000;
/// Smoothed over so many packets.
const SMOOTHING: u32 = 8;

/// That of each slot.
#[derive(Debug, Default)]
pub struct Lateness {
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    generation: u32,
    /// In parts of a microsecond, [`SMOOTHING`] of them.
    smoothed: u32,
    told_us: u32,
}

impl Lateness {
    /// A packet that was to leave at `at` leaves now. Gives what is to be told, if it is news.
    pub fn note(&mut self, of: ConnectionId, at: Instant, now: Instant) -> Option<Duration> {
        let index = of.slot as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, Slot::default());
        }
        let slot = &mut self.slots[index];
        if slot.generation != of.generation {
            *slot = Slot { generation: of.generation, ..Slot::default() };
        }
        let late_us = u32::try_from(now.since(at).as_us()).unwrap_or(u32::MAX).min(LATE_MAX_US);
        slot.smoothed = slot.smoothed - slot.smoothed / SMOOTHING + late_us;
        let by_us = slot.smoothed / SMOOTHING;
        (by_us.abs_diff(slot.told_us) >= TOLD_FROM_US).then(|| {
            slot.told_us = by_us;
            Duration::from_us(by_us.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::Carrier;

    fn id(slot: u32, generation: u32) -> ConnectionId {
        ConnectionId { slot, generation, carrier: Carrier::Udp }
    }

    /// What is told of so many packets that leave so late.
    fn told(lateness: &mut Lateness, of: ConnectionId, late_us: u64, packets: u64) -> Vec<u64> {
        let at = |n| Instant::from_us(n * 16_667);
        let notes = (0..packets).filter_map(|n| lateness.note(of, at(n), at(n) + Duration::from_us(late_us)));
        notes.map(|by| by.as_us()).collect()
    }

    #[test]
    fn what_is_told_follows_what_is_seen_and_is_told_when_it_has_changed() {
        let mut lateness = Lateness::default();
        assert_eq!(told(&mut lateness, id(3, 1), 400, 100), [0; 0]);
        let risen = told(&mut lateness, id(3, 1), 9_000, 100);
        assert!(risen.is_sorted() && risen.len() < 20, "{risen:?}");
        assert!(risen.last().is_some_and(|by| (8_400..=9_000).contains(by)), "{risen:?}");
        assert_eq!(told(&mut lateness, id(3, 1), 9_100, 100), [0; 0]);
        assert_eq!(told(&mut lateness, id(4, 1), 0, 9), [0; 0]);
    }

    #[test]
    fn a_thread_that_was_held_up_for_long_is_believed_little() {
        let mut lateness = Lateness::default();
        assert_eq!(told(&mut lateness, id(0, 1), 60_000_000, 1), [6_250]);
    }

    #[test]
    fn who_has_the_slot_next_begins_anew() {
        let mut lateness = Lateness::default();
        told(&mut lateness, id(0, 1), 9_000, 100);
        assert_eq!(told(&mut lateness, id(0, 2), 400, 9), [0; 0]);
    }
}
