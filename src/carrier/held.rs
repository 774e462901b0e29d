//! Packets that wait for their departure time.
//!
//! The tick decides on a tick's packets at once and spreads a slow client's over the tick; the carrier holds them
//! until they are due. Packets of one time leave in the order in which they were decided on, so that a client's
//! bursts stay runs. Heads are copied into buffers that are used again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use ninefold_protocol::time::Instant;

use super::ConnectionId;

/// Packets that wait at most. The lane behind them keeps what comes then.
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
}

/// One packet that waits.
#[derive(Debug)]
pub struct Place {
    /// Whose.
    pub connection: ConnectionId,
    /// When it is to leave.
    pub at: Instant,
    /// Its first bytes.
    pub head: Vec<u8>,
    /// The shared bytes behind them.
    pub tail: Bytes,
}

impl Held {
    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// When the next one leaves.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Keeps a packet until its time.
    pub fn push(&mut self, at: Instant, connection: ConnectionId, head: &[u8], tail: Bytes) {
        debug_assert!(self.len() < HELD_MAX, "the caller leaves what has no room in the lane");
        let index = self.free.pop().unwrap_or_else(|| {
            let head = Vec::with_capacity(head.len());
            self.places.push(Place { connection, at, head, tail: Bytes::new() });
            self.places.len() - 1
        });
        let place = &mut self.places[index];
        (place.connection, place.at, place.tail) = (connection, at, tail);
        place.head.clear();
        place.head.extend_from_slice(head);
        self.heap.push(Reverse((at, self.next_order, index)));
        self.next_order += 1;
    }

    /// The next packet that leaves by `until`. It is to be used before the next call of anything.
    pub fn pop(&mut self, until: Instant) -> Option<&mut Place> {
        self.next_at().filter(|at| *at <= until)?;
        let Reverse((_, _, index)) = self.heap.pop()?;
        self.free.push(index);
        Some(&mut self.places[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::Carrier;

    fn at(us: u64) -> Instant {
        Instant::from_us(us)
    }

    fn slot(slot: u32) -> ConnectionId {
        ConnectionId { slot, generation: 1, carrier: Carrier::Udp }
    }

    fn pop(held: &mut Held, until_us: u64) -> Option<(u32, Vec<u8>)> {
        held.pop(at(until_us)).map(|p| (p.connection.slot, p.head.clone()))
    }

    #[test]
    fn packets_leave_by_time_and_those_of_one_time_in_order() {
        let mut held = Held::default();
        for (us, client, byte) in [(20, 1, 1), (40, 1, 2), (20, 2, 3), (20, 2, 4), (10, 3, 5)] {
            held.push(at(us), slot(client), &[byte], Bytes::new());
        }
        assert_eq!((held.len(), held.next_at()), (5, Some(at(10))));
        assert_eq!(pop(&mut held, 9), None);
        let left: Vec<_> = std::iter::from_fn(|| pop(&mut held, 39)).collect();
        assert_eq!(left, [(3, vec![5]), (1, vec![1]), (2, vec![3]), (2, vec![4])]);
        assert_eq!((pop(&mut held, 39), pop(&mut held, 40)), (None, Some((1, vec![2]))));
    }

    #[test]
    fn places_are_used_again() {
        let mut held = Held::default();
        for round in 0..100 {
            held.push(at(round), slot(0), &[7; 40], Bytes::from_static(b"tail"));
            held.push(at(round), slot(0), &[8; 50], Bytes::new());
            assert_eq!(held.pop(at(round)).map(|p| (p.head.len(), p.tail.len())), Some((40, 4)));
            assert_eq!(held.pop(at(round)).map(|p| (p.head.len(), p.tail.len())), Some((50, 0)));
        }
        assert_eq!((held.places.len(), held.is_empty()), (2, true));
    }
}
