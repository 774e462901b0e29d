//! What arrived in a tick, by client.
//!
//! Packets come in the order in which the carriers took them; read like that, each would fetch its client's memory
//! anew, and the client's timers once more. Sorted, all that concerns a client is done at once, and no client needs to
//! know of another.
//!
//! Bound: what the carriers' lanes hold.

use std::ops::Range;

use ninefold_protocol::time::{Duration, Instant};

/// What arrived for one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Letter {
    /// A packet: when it came, and which bytes of the mail it is.
    Packet { at: Instant, bytes: Range<u32> },
    /// So many fragments the carrier takes in a tick.
    Room(u32),
    /// So long after the tick its packets leave.
    Late(Duration),
    /// It is at another address.
    Moved,
}

/// The letters of a tick.
#[derive(Debug, Default)]
pub(super) struct Mail {
    bytes: Vec<u8>,
    letters: Vec<Sorted>,
    /// By slot.
    boxes: Vec<Pigeonhole>,
}

/// A letter, and where the next one of the same client is.
#[derive(Debug)]
struct Sorted {
    letter: Letter,
    slot: u32,
    next: u32,
}

/// The first and last letter of a client.
#[derive(Debug, Clone, Copy)]
struct Pigeonhole {
    first: u32,
    last: u32,
}

/// No letter.
const NONE: u32 = u32::MAX;
const EMPTY: Pigeonhole = Pigeonhole { first: NONE, last: NONE };

impl Mail {
    /// Forgets the last tick.
    pub fn clear(&mut self) {
        for sorted in self.letters.drain(..) {
            self.boxes[sorted.slot as usize] = EMPTY;
        }
        self.bytes.clear();
    }

    /// Keeps the bytes of a packet.
    pub fn keep(&mut self, packet: &[u8]) -> Range<u32> {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(packet);
        start..self.bytes.len() as u32
    }

    /// Those bytes.
    pub fn bytes(&self, bytes: &Range<u32>) -> &[u8] {
        &self.bytes[bytes.start as usize..bytes.end as usize]
    }

    /// One more letter for the client in a slot.
    pub fn push(&mut self, slot: u32, letter: Letter) {
        if self.boxes.len() <= slot as usize {
            self.boxes.resize(slot as usize + 1, EMPTY);
        }
        let (at, of) = (self.letters.len() as u32, &mut self.boxes[slot as usize]);
        match self.letters.get_mut(of.last as usize) {
            Some(last) => last.next = at,
            None => of.first = at,
        }
        of.last = at;
        self.letters.push(Sorted { letter, slot, next: NONE });
    }

    /// The letters of the client in a slot, in the order in which they came.
    pub fn of(&self, slot: u32) -> impl Iterator<Item = &Letter> {
        let mut next = self.boxes.get(slot as usize).map_or(NONE, |of| of.first);
        std::iter::from_fn(move || {
            let sorted = self.letters.get(next as usize)?;
            next = sorted.next;
            Some(&sorted.letter)
        })
    }

    /// Nothing waits for this slot any more.
    pub fn forget(&mut self, slot: u32) {
        if let Some(of) = self.boxes.get_mut(slot as usize) {
            *of = EMPTY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_gets_its_own_letters_in_order() {
        let mut mail = Mail::default();
        for tick in 0..3 {
            mail.clear();
            let first = mail.keep(b"first");
            mail.push(7, Letter::Packet { at: Instant::from_us(tick), bytes: first.clone() });
            mail.push(2, Letter::Room(9));
            mail.push(7, Letter::Moved);
            let last = mail.keep(b"last");
            mail.push(7, Letter::Packet { at: Instant::from_us(tick), bytes: last });
            let of = |slot| mail.of(slot).cloned().collect::<Vec<_>>();
            assert_eq!((of(7).len(), &of(7)[1]), (3, &Letter::Moved));
            assert_eq!((of(2), of(3), of(700)), (vec![Letter::Room(9)], vec![], vec![]));
            assert_eq!(mail.bytes(&first), b"first");
        }
        mail.forget(7);
        mail.forget(700);
        assert_eq!((mail.of(7).count(), mail.of(2).count()), (0, 1));
        mail.push(7, Letter::Room(1));
        assert_eq!(mail.of(7).cloned().collect::<Vec<_>>(), [Letter::Room(1)]);
    }
}
