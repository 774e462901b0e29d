//! The packets that were sent and what became of them.
//!
//! A dense window indexed by packet number: the front is always still in flight, so memory follows what
//! is unanswered. It moves back to the beginning of its memory again and again instead of going round in it: what is
//! in flight is little, and so stays in the cache. Loss is found as RFC 9002 §6.1 says: a packet is lost when one sent
//! three later, or one sent 9/8 round trip later, has been acknowledged.

use prefetch_index::prefetch_index;

use super::congestion::{AckedPacket, PacketState};
use crate::limits::SENT_PACKETS_MAX;
use crate::time::{Duration, Instant};

/// RFC 9002 §6.1.1 `kPacketThreshold`.
const PACKET_THRESHOLD: u64 = 3;
/// Fewer gone packets than this at the front are not worth moving the others for.
const GONE_MIN: usize = 16;

/// So many packets a tick's acknowledgements answer, mostly.
const FETCHED: usize = 6;

/// One packet that was sent.
#[derive(Debug)]
pub(super) struct Sent<T> {
    pub at: Instant,
    /// What the delivery-rate estimator wants to know of it again.
    pub delivery: PacketState,
    /// Its own acknowledgement told of everything remembered below this number.
    pub acks_below: u64,
    pub token: Option<T>,
    pub bytes: u16,
    /// Whether the peer has to acknowledge it. Others are never lost and do not count as in flight.
    pub eliciting: bool,
    /// Whether it carried reliable messages.
    pub reliable: bool,
    /// Whether it is known what became of it.
    settled: bool,
}

impl<T> Sent<T> {
    /// An empty packet that leaves at this time.
    pub fn new(at: Instant) -> Self {
        Sent {
            at,
            delivery: PacketState::default(),
            acks_below: 0,
            token: None,
            bytes: 0,
            eliciting: false,
            reliable: false,
            settled: false,
        }
    }

    /// What congestion control wants to know of it when it was acknowledged.
    pub fn acked(&self) -> AckedPacket {
        AckedPacket { sent_at: self.at, bytes: self.bytes.into(), state: self.delivery }
    }
}

/// What a packet became.
#[derive(Debug)]
pub(super) struct Settled<T> {
    pub number: u64,
    pub acked: bool,
    pub sent: Sent<T>,
}

/// A packet in a line of memory of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Slot<T>(Sent<T>);

/// The window.
#[derive(Debug)]
pub(super) struct SentPackets<T> {
    /// Number of the front slot.
    base: u64,
    /// Those before `gone` are over, the front is there.
    slots: Vec<Slot<T>>,
    gone: usize,
    /// Bytes of unsettled eliciting packets.
    bytes_in_flight: usize,
    /// Unsettled eliciting packets.
    packets_in_flight: usize,
    /// The first number that took the present path, and the bytes of those before that are in flight.
    path_from: u64,
    other_path_bytes: usize,
    /// The newest number that was acknowledged.
    largest_acked: Option<u64>,
}

impl<T> Default for SentPackets<T> {
    fn default() -> Self {
        SentPackets {
            base: 0,
            slots: Vec::new(),
            gone: 0,
            bytes_in_flight: 0,
            packets_in_flight: 0,
            path_from: 0,
            other_path_bytes: 0,
            largest_acked: None,
        }
    }
}

impl<T> SentPackets<T> {
    /// The number of the next packet.
    pub fn next_number(&self) -> u64 {
        self.base + self.len() as u64
    }

    /// Slots of the window.
    fn len(&self) -> usize {
        self.slots.len() - self.gone
    }

    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<T>>()
    }

    pub fn bytes_in_flight(&self) -> usize {
        self.bytes_in_flight
    }

    /// Bytes in flight on the present path.
    pub fn bytes_on_path(&self) -> usize {
        self.bytes_in_flight - self.other_path_bytes
    }

    /// The number of the first packet that took the present path.
    pub fn path_from(&self) -> u64 {
        self.path_from
    }

    /// What is sent from now on takes another path.
    pub fn path_changed(&mut self) {
        self.path_from = self.next_number();
        self.other_path_bytes = self.bytes_in_flight;
    }

    pub fn packets_in_flight(&self) -> usize {
        self.packets_in_flight
    }

    /// Has the packets that are likely to be acknowledged next fetched from memory.
    pub fn fetch(&self) {
        (self.gone..self.slots.len()).take(FETCHED).for_each(|at| prefetch_index(&self.slots, at));
    }

    /// Remembers the packet with number [`SentPackets::next_number`]. A full window gives its oldest
    /// packet up as lost.
    pub fn push(&mut self, sent: Sent<T>) -> Option<Settled<T>> {
        let is_full = self.len() >= SENT_PACKETS_MAX;
        let forced = if is_full { self.settle(self.base, false) } else { None };
        if is_full {
            self.drop_front();
        }
        if sent.eliciting {
            self.bytes_in_flight += usize::from(sent.bytes);
            self.packets_in_flight += 1;
        }
        if self.gone >= GONE_MIN || self.gone > 0 && self.slots.len() == self.slots.capacity() {
            self.move_back();
        }
        self.slots.push(Slot(sent));
        forced
    }

    /// Begins with the front again, where that is cheap for what it saves: each packet is moved about once, or thrice
    /// where there would be no room otherwise.
    fn move_back(&mut self) {
        let is_at_its_end = self.slots.len() == self.slots.capacity();
        if self.gone >= self.len() || is_at_its_end && self.gone >= self.len() / 3 {
            self.slots.drain(..self.gone);
            self.gone = 0;
        }
    }

    fn drop_front(&mut self) {
        self.gone += 1;
        self.base += 1;
    }

    /// The tokens of those of which it is not known what became of them.
    pub fn tokens(&self) -> impl Iterator<Item = &T> {
        let unsettled = self.slots[self.gone..].iter().filter(|slot| !slot.0.settled);
        unsettled.filter_map(|slot| slot.0.token.as_ref())
    }

    fn get(&self, number: u64) -> Option<&Sent<T>> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.slots.get(self.gone + index).map(|slot| &slot.0)
    }

    /// The packets of `start..=end` that this acknowledgement answers first.
    pub fn ack(&mut self, start: u64, end: u64, mut found: impl FnMut(Settled<T>)) {
        debug_assert!(end < self.next_number(), "the caller refuses what was never sent");
        self.largest_acked = self.largest_acked.max(Some(end));
        for number in start.max(self.base)..=end {
            if let Some(settled) = self.settle(number, true) {
                found(settled);
            }
        }
    }

    /// The packets that are lost by now.
    pub fn detect_lost(&mut self, now: Instant, loss_delay: Duration, mut found: impl FnMut(Settled<T>)) {
        let Some(largest) = self.largest_acked else { return };
        for number in self.base..largest {
            let Some(slot) = self.get(number) else { break };
            if slot.settled {
                continue;
            }
            let overtaken = largest - number >= PACKET_THRESHOLD;
            if !overtaken && now.since(slot.at) < loss_delay {
                break; // later ones are younger still
            }
            if let Some(settled) = self.settle(number, false) {
                found(settled);
            }
        }
        self.drop_settled_front();
    }

    /// Takes what the packet carried out of its slot, once.
    fn settle(&mut self, number: u64, acked: bool) -> Option<Settled<T>> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        let Slot(slot) = self.slots.get_mut(self.gone + index)?;
        if std::mem::replace(&mut slot.settled, true) {
            return None;
        }
        if slot.eliciting {
            self.bytes_in_flight -= usize::from(slot.bytes);
            self.packets_in_flight -= 1;
            if number < self.path_from {
                self.other_path_bytes -= usize::from(slot.bytes);
            }
        }
        let sent = Sent { token: slot.token.take(), ..*slot };
        Some(Settled { number, acked, sent })
    }

    /// Keeps the invariant that the front is in flight.
    pub fn drop_settled_front(&mut self) {
        while self.slots.get(self.gone).is_some_and(|Slot(s)| s.settled || !s.eliciting) {
            self.drop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(at_us: u64, token: u32) -> Sent<u32> {
        Sent { bytes: 100, eliciting: true, token: Some(token), ..Sent::new(Instant::from_us(at_us)) }
    }

    fn sent(count: u32) -> SentPackets<u32> {
        let mut packets = SentPackets::default();
        for i in 0..count {
            assert!(packets.push(packet(u64::from(i) * 10, i)).is_none());
        }
        packets
    }

    fn acked(packets: &mut SentPackets<u32>, start: u64, end: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        packets.ack(start, end, |s| numbers.push(s.number));
        numbers
    }

    fn lost(packets: &mut SentPackets<u32>, now_us: u64) -> Vec<u32> {
        let mut tokens = Vec::new();
        packets.detect_lost(Instant::from_us(now_us), Duration::from_us(1_000), |s| {
            assert!(!s.acked);
            tokens.extend(s.sent.token);
        });
        tokens
    }

    #[test]
    fn three_later_ones_make_it_lost() {
        let mut packets = sent(6);
        assert_eq!(acked(&mut packets, 3, 3), [3]);
        assert_eq!(lost(&mut packets, 60), [0]); // 1 and 2 are overtaken by two and one
        assert_eq!(packets.packets_in_flight(), 4);
    }

    #[test]
    fn time_makes_it_lost_once_a_later_one_arrived() {
        let mut packets = sent(3);
        assert_eq!(lost(&mut packets, 1_000_000), []); // nothing acknowledged: nothing to go by
        assert_eq!(acked(&mut packets, 1, 1), [1]);
        assert_eq!(lost(&mut packets, 999), []);
        assert_eq!(lost(&mut packets, 1_000), [0]);
    }

    #[test]
    fn an_answer_counts_once() {
        let mut packets = sent(3);
        assert_eq!(acked(&mut packets, 0, 2), [0, 1, 2]);
        assert_eq!(acked(&mut packets, 0, 2), []);
        packets.drop_settled_front();
        assert_eq!((packets.bytes_in_flight(), packets.next_number()), (0, 3));
    }

    #[test]
    fn what_took_another_path_is_in_flight_and_not_on_this_one() {
        let mut packets = sent(3);
        packets.path_changed();
        assert!(packets.push(packet(40, 3)).is_none());
        assert_eq!((packets.path_from(), packets.bytes_in_flight(), packets.bytes_on_path()), (3, 400, 100));
        assert_eq!(acked(&mut packets, 1, 1), [1]);
        assert_eq!(acked(&mut packets, 3, 3), [3]);
        assert_eq!((packets.bytes_in_flight(), packets.bytes_on_path()), (200, 0));
        assert_eq!(lost(&mut packets, 100_000), [0, 2]);
        assert_eq!((packets.bytes_in_flight(), packets.bytes_on_path()), (0, 0));
    }

    #[test]
    fn what_is_answered_soon_stays_in_little_memory() {
        let mut packets = sent(10);
        for number in 0..10_000 {
            assert!(packets.push(packet(number, 0)).is_none());
            assert_eq!(acked(&mut packets, number, number), [number]);
            packets.drop_settled_front();
            assert_eq!((packets.len(), packets.next_number()), (10, number + 11));
        }
        assert!(packets.slots.capacity() <= 2 * GONE_MIN, "{}", packets.slots.capacity());
    }

    #[test]
    fn a_full_window_gives_up_its_oldest() {
        let mut packets = sent(SENT_PACKETS_MAX as u32);
        let forced = packets.push(packet(0, 9)).unwrap();
        assert_eq!((forced.number, forced.acked), (0, false));
        assert_eq!(packets.packets_in_flight(), SENT_PACKETS_MAX);
    }
}
