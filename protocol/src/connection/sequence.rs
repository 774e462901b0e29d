//! Where packet sequence numbers start, so that a key never meets a nonce twice.
//!
//! A sequence number is the nonce of its packet. NETCODE 1.02 puts the server's packets before a slot
//! is assigned (challenge, denied) at 2^63 and above. Ours start each range at the wall time of its
//! first packet, 1,024 numbers to the microsecond, which no sender can use up:
//!
//! ```text
//!  bit 63  62  61                                    10 9          0
//!      1   0   microseconds since 1970 (52 bits)        packet      before a slot
//!      0   1   microseconds since 1970 (52 bits)        packet      a session, either direction
//! ```
//!
//! So a server that restarts, and two servers that one token names, draw different numbers under that
//! token's key. And every number takes eight bytes, hence equal payloads make equal datagrams.

use crate::time::Instant;

const BEFORE_SLOT: u64 = 1 << 63;
const SESSION: u64 = 1 << 62;
const PACKETS_PER_US_LOG2: u32 = 10;
const CLOCK_MASK: u64 = SESSION - 1;

/// Wall time, kept as the wall time of our own time's origin.
#[derive(Debug, Clone, Copy)]
pub(super) struct WallClock {
    unix_s_at_origin: u64,
}

impl WallClock {
    pub const fn new(unix_s_at_origin: u64) -> Self {
        WallClock { unix_s_at_origin }
    }

    /// Seconds since 1970.
    pub const fn unix_s(self, now: Instant) -> u64 {
        self.unix_s_at_origin.saturating_add(now.as_us() / 1_000_000)
    }

    const fn sequence(self, now: Instant) -> u64 {
        let us = self.unix_s_at_origin.wrapping_mul(1_000_000).wrapping_add(now.as_us());
        (us << PACKETS_PER_US_LOG2) & CLOCK_MASK
    }
}

/// The sequence numbers of one direction of one session.
#[derive(Debug)]
pub(super) struct SessionSequence {
    next: u64,
}

impl SessionSequence {
    /// Those of a session that starts now.
    pub const fn new(clock: WallClock, now: Instant) -> Self {
        SessionSequence { next: SESSION | clock.sequence(now) }
    }

    /// The next number; `None` when they are used up, which takes longer than anyone lives.
    pub fn take(&mut self) -> Option<u64> {
        let sequence = self.next;
        (sequence < BEFORE_SLOT).then(|| {
            self.next += 1;
            sequence
        })
    }
}

/// The sequence numbers of the server's packets to those who have no slot.
#[derive(Debug)]
pub(super) struct BeforeSlotSequence {
    next: u64,
}

impl BeforeSlotSequence {
    /// Those of a server that starts.
    pub const fn new() -> Self {
        BeforeSlotSequence { next: BEFORE_SLOT }
    }

    /// The next number: never one that was given before, and never behind the clock.
    pub fn take(&mut self, clock: WallClock, now: Instant) -> Option<u64> {
        let sequence = self.next.max(BEFORE_SLOT | clock.sequence(now));
        self.next = sequence.checked_add(1)?;
        Some(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_us(5);
    const CLOCK: WallClock = WallClock::new(1_800_000_000);

    #[test]
    fn every_number_takes_eight_bytes() {
        let clocks = [WallClock::new(0), CLOCK, WallClock::new(u64::MAX)];
        for clock in clocks {
            for now in [Instant::ZERO, NOW, Instant::from_us(u64::MAX)] {
                let session = SessionSequence::new(clock, now).take().unwrap();
                let before = BeforeSlotSequence::new().take(clock, now).unwrap();
                assert!((SESSION..BEFORE_SLOT).contains(&session) && before >= BEFORE_SLOT);
            }
        }
    }

    #[test]
    fn a_session_counts_up_from_the_clock() {
        let mut sequence = SessionSequence::new(CLOCK, NOW);
        let first = SESSION + (1_800_000_000_000_005 << 10);
        assert_eq!([sequence.take(), sequence.take()], [Some(first), Some(first + 1)]);
    }

    #[test]
    fn a_microsecond_later_is_a_range_of_its_own() {
        let mut old = SessionSequence::new(CLOCK, NOW);
        let new = SessionSequence::new(CLOCK, Instant::from_us(6)).take();
        assert!((0..1_024).all(|_| old.take() < new));
        assert_eq!(old.take(), new);
    }

    #[test]
    fn packets_before_a_slot_never_repeat_even_if_the_clock_stands() {
        let mut sequence = BeforeSlotSequence::new();
        let numbers: Vec<_> = (0..5_000).map(|_| sequence.take(CLOCK, NOW).unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b));
        assert!(sequence.take(CLOCK, Instant::ZERO).unwrap() > numbers[4_999]);
    }

    #[test]
    fn a_used_up_range_gives_nothing() {
        let mut sequence = SessionSequence { next: BEFORE_SLOT - 1 };
        assert_eq!((sequence.take(), sequence.take()), (Some(BEFORE_SLOT - 1), None));
        let mut sequence = BeforeSlotSequence { next: u64::MAX };
        assert_eq!(sequence.take(CLOCK, NOW), None);
        assert_eq!(sequence.take(CLOCK, NOW), None);
    }
}
