//! Packets that wait for their departure time.
//!
//! The tick decides on a tick's packets at once and spreads a slow client's over the tick; the carrier holds them
//! until they are due. Packets of one time leave in the order in which they were decided on, so that a client's
//! bursts stay runs. Heads are copied into buffers that are used again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ninefold_protocol::time::Instant;

use super::Packets;

/// Packets that wait at most, and the rest of the last run. The lane behind them keeps what comes then.
pub const HELD_MAX: usize = super::DEPARTURES_MAX;

/// The packets, the next one to leave first.
#[derive(Debug, Default)]
pub struct Held {
    /// By time, then by order.
    heap: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    places: Vec<Place>,
    /// Places that are free.
    free: Vec<usize>,
    next_order: u64,
    /// Packets that wait.
    packets: usize,
}

/// Packets of one client that wait for one time.
#[derive(Debug)]
pub struct Place {
    /// Whose, how many, until when, and their shared bytes.
    pub packets: Packets,
    /// Their heads.
    pub heads: Vec<u8>,
}

impl Held {
    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.packets
    }

    /// Whether there is room for more of them.
    pub fn has_room(&self) -> bool {
        self.packets < HELD_MAX
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// When the next one leaves.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Keeps packets until their time.
    pub fn push(&mut self, packets: Packets, heads: &[u8]) {
        debug_assert!(self.has_room(), "the caller leaves what has no room in the lane");
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { packets: packets.clone(), heads: Vec::with_capacity(heads.len()) });
            self.places.len() - 1
        });
        self.heap.push(Reverse((packets.at, self.next_order, index)));
        self.next_order += 1;
        self.packets += usize::from(packets.count);
        let place = &mut self.places[index];
        place.packets = packets;
        place.heads.clear();
        place.heads.extend_from_slice(heads);
    }

    /// The next ones that leave by `until`. They are to be used before the next call of anything.
    pub fn pop(&mut self, until: Instant) -> Option<&mut Place> {
        self.next_at().filter(|at| *at <= until)?;
        let Reverse((_, _, index)) = self.heap.pop()?;
        self.free.push(index);
        let place = &mut self.places[index];
        self.packets -= usize::from(place.packets.count);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::{Carrier, ConnectionId};
    use bytes::Bytes;

    fn at(us: u64) -> Instant {
        Instant::from_us(us)
    }

    fn packet(us: u64, slot: u32, tail: &'static [u8]) -> Packets {
        let connection = ConnectionId { slot, generation: 1, carrier: Carrier::Udp };
        Packets::one(connection, at(us), Bytes::from_static(tail))
    }

    fn pop(held: &mut Held, until_us: u64) -> Option<(u32, Vec<u8>)> {
        held.pop(at(until_us)).map(|p| (p.packets.connection.slot, p.heads.clone()))
    }

    #[test]
    fn packets_leave_by_time_and_those_of_one_time_in_order() {
        let mut held = Held::default();
        for (us, client, byte) in [(20, 1, 1), (40, 1, 2), (20, 2, 3), (20, 2, 4), (10, 3, 5)] {
            held.push(packet(us, client, b""), &[byte]);
        }
        assert_eq!((held.len(), held.next_at()), (5, Some(at(10))));
        assert_eq!(pop(&mut held, 9), None);
        let left: Vec<_> = std::iter::from_fn(|| pop(&mut held, 39)).collect();
        assert_eq!(left, [(3, vec![5]), (1, vec![1]), (2, vec![3]), (2, vec![4])]);
        assert_eq!((pop(&mut held, 39), pop(&mut held, 40)), (None, Some((1, vec![2]))));
    }

    #[test]
    fn there_is_room_by_packets_and_not_by_runs() {
        let mut held = Held::default();
        let run = |count| Packets { count, ..packet(1, 0, b"") };
        held.push(run(60_000), &[]);
        assert!(held.has_room());
        held.push(run((HELD_MAX - 60_000) as u16), &[]);
        assert!(!held.has_room());
        assert!(held.pop(at(1)).is_some() && held.has_room());
    }

    #[test]
    fn places_are_used_again() {
        let mut held = Held::default();
        for round in 0..100 {
            held.push(packet(round, 0, b"tail"), &[7; 40]);
            held.push(Packets { count: 5, ..packet(round, 0, b"") }, &[8; 50]);
            assert_eq!(held.len(), 6);
            let next = |held: &mut Held| held.pop(at(round)).map(|p| (p.heads.len(), p.packets.tail.len()));
            assert_eq!((next(&mut held), next(&mut held)), (Some((40, 4)), Some((50, 0))));
        }
        assert_eq!((held.places.len(), held.is_empty()), (2, true));
    }
}
