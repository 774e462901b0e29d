//! What each client costs: nanoseconds of the tick, and bytes both ways.
//!
//! Reading the clock for every client in every phase would cost more than some of what it measures. So clients take turns:
//! in each tick those of one slot in [`CLIENT_TURN_TICKS`] are timed and looked at, and in so many ticks all of them.

use std::sync::atomic::{AtomicU64, Ordering};

use ninefold_protocol::limits::{FRAME_HEADER_BYTES, PACKET_HEADER_BYTES};

use super::frames::FrameCounts;
use crate::carrier::Carrier;

/// Every so many ticks a client is timed and looked at.
pub const CLIENT_TURN_TICKS: u64 = 64;
/// What a client takes is the median of so many turns: one in which the machine took the thread away says nothing of it.
const TURNS_KEPT: usize = 8;

/// The account of one client.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientCost {
    /// Of the tick in which it is timed, so far.
    turn_ns: u64,
    /// The last turns, in no order.
    turns_ns: [u64; TURNS_KEPT],
    max_ns: u64,
    turns: usize,
    /// Bytes of the last snapshot of a turn.
    pub snapshot_bytes: u32,
    bytes_before: (u64, u64),
}

/// Bytes of the packets of the client in one slot.
///
/// They are side by side and not with the sessions: those are large, and for each packet another cold line of memory
/// would cost more than all else that the profiler does. One thread at a time has a client, so they are read and written
/// and never added to in one step, which would be dear.
#[derive(Debug, Default)]
pub struct SlotBytes {
    arrived: AtomicU64,
    sent: AtomicU64,
}

fn count(bytes: &AtomicU64, more: usize) {
    bytes.store(bytes.load(Ordering::Relaxed) + more as u64, Ordering::Relaxed);
}

/// Slots that may come into use within one tick; of those beyond, the bytes of that first tick are nobody's.
const FRESH_SLOTS: usize = 1_024;

/// Makes room for the slots that there are, and those that may come.
pub fn make_room(bytes: &mut Vec<SlotBytes>, slots: usize) {
    if bytes.len() < slots + FRESH_SLOTS {
        bytes.resize_with((slots + FRESH_SLOTS).next_multiple_of(2 * FRESH_SLOTS), SlotBytes::default);
    }
}

/// Counts nanoseconds from any origin.
pub type ClockNs<'c> = dyn Fn() -> u64 + Sync + 'c;

/// Times the work for those clients whose turn it is.
#[derive(Clone, Copy)]
pub struct TurnClock<'c> {
    clock_ns: &'c ClockNs<'c>,
    /// `None` where nobody is timed.
    turn: Option<u64>,
    bytes: &'c [SlotBytes],
}

/// When work for a client began, if it is timed.
#[derive(Debug, Clone, Copy)]
#[must_use = "time that is not stopped is not counted"]
pub struct Began(Option<u64>);

/// The slots whose turn it is.
pub fn slots_in_turn(tick: u64, slots: usize) -> impl Iterator<Item = usize> {
    let first = (CLIENT_TURN_TICKS - tick % CLIENT_TURN_TICKS) % CLIENT_TURN_TICKS;
    (first as usize..slots).step_by(CLIENT_TURN_TICKS as usize)
}

impl std::fmt::Debug for TurnClock<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnClock").field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl<'c> TurnClock<'c> {
    /// The clock of a tick.
    pub fn new(tick: u64, clock_ns: &'c ClockNs<'c>, bytes: &'c [SlotBytes]) -> Self {
        TurnClock { clock_ns, turn: Some(tick % CLIENT_TURN_TICKS), bytes }
    }

    /// A clock that times nobody and counts nothing, to measure what that costs.
    pub fn off(clock_ns: &'c ClockNs<'c>) -> Self {
        TurnClock { clock_ns, turn: None, bytes: &[] }
    }

    /// Another client has this slot now.
    pub fn begin(&self, slot: usize) {
        if let Some(bytes) = self.bytes.get(slot) {
            bytes.arrived.store(0, Ordering::Relaxed);
            bytes.sent.store(0, Ordering::Relaxed);
        }
    }

    /// A packet came from the client of this slot.
    pub fn arrived(&self, slot: usize, packet: &[u8], frames: &mut FrameCounts) {
        if self.turn.is_none() {
            return;
        }
        frames.packet(packet);
        if let Some(bytes) = self.bytes.get(slot) {
            count(&bytes.arrived, packet.len());
        }
    }

    /// A packet goes to the client of this slot; its last `tail_bytes`, which are a fragment's, are not in `head`.
    pub fn sent(&self, slot: usize, head: &[u8], tail_bytes: usize, frames: &mut FrameCounts) {
        if self.turn.is_none() {
            return;
        }
        frames.packet_with_tail(head, tail_bytes);
        self.count_sent(slot, head.len() + tail_bytes);
    }

    /// A packet with a fragment and nothing else goes to it; the fragment's body has so many bytes.
    pub fn sent_fragment(&self, slot: usize, body_bytes: usize, frames: &mut FrameCounts) {
        if self.turn.is_none() {
            return;
        }
        frames.fragment_packet(body_bytes);
        self.count_sent(slot, PACKET_HEADER_BYTES + FRAME_HEADER_BYTES + body_bytes);
    }

    fn count_sent(&self, slot: usize, packet_bytes: usize) {
        if let Some(bytes) = self.bytes.get(slot) {
            count(&bytes.sent, packet_bytes);
        }
    }

    /// Work for the client of this slot begins.
    pub fn start(&self, slot: usize) -> Began {
        let is_turn = self.turn.is_some_and(|turn| (slot as u64 + turn).is_multiple_of(CLIENT_TURN_TICKS));
        Began(is_turn.then(|| (self.clock_ns)()))
    }

    /// It is done.
    pub fn stop(&self, began: Began, cost: &mut ClientCost) {
        if let Began(Some(began_ns)) = began {
            cost.turn_ns += (self.clock_ns)().saturating_sub(began_ns);
        }
    }
}

impl Began {
    /// Whether it is the client's turn.
    pub fn is_turn(&self) -> bool {
        self.0.is_some()
    }
}

impl SlotBytes {
    /// Bytes from the client and to it.
    pub fn both(&self) -> (u64, u64) {
        (self.arrived.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}

impl ClientCost {
    /// The client's turn is over; `bytes` are all from and to it. Tells what it took, and its bytes since the last turn.
    pub fn settle(&mut self, bytes: (u64, u64)) -> (u64, u64, u64) {
        let turn_ns = std::mem::take(&mut self.turn_ns);
        self.turns_ns[self.turns % TURNS_KEPT] = turn_ns;
        self.max_ns = self.max_ns.max(turn_ns);
        self.turns += 1;
        let before = std::mem::replace(&mut self.bytes_before, bytes);
        (turn_ns, bytes.0 - before.0, bytes.1 - before.1)
    }

    /// The median of its last turns; of an even number the higher one of the two.
    pub fn median_ns(&self) -> u64 {
        let mut turns = self.turns_ns;
        let kept = &mut turns[..self.turns.min(TURNS_KEPT)];
        let middle = kept.len() / 2;
        if kept.is_empty() { 0 } else { *kept.select_nth_unstable(middle).1 }
    }

    /// The most that a turn took.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }
}

/// A client as it was in its last turn.
#[derive(Debug, Clone, Copy)]
pub struct ClientRow {
    /// What its token calls it.
    pub client_id: u64,
    /// What it rides with.
    pub carrier: Carrier,
    /// How far it has come.
    pub stage: &'static str,
    /// What it took this turn, nanoseconds.
    pub turn_ns: u64,
    /// The median of its last turns.
    pub median_ns: u64,
    /// The most that a turn took.
    pub max_ns: u64,
    /// Round trip of its path, microseconds; `None` before the first.
    pub rtt_us: Option<u64>,
    /// Packets lost of a thousand.
    pub loss_permille: u64,
    /// Bytes a second that it is paced at.
    pub rate_bytes_s: u64,
    /// Bytes that may be unacknowledged.
    pub window_bytes: u64,
    /// Bytes that are.
    pub in_flight_bytes: u64,
    /// Bytes from it in all, and since its last turn.
    pub bytes_in: (u64, u64),
    /// Bytes to it in all, and since its last turn.
    pub bytes_out: (u64, u64),
    /// Packets to it that were lost.
    pub packets_lost: u64,
    /// Entities that it is told of.
    pub entities: u32,
    /// Bytes of its last snapshot.
    pub snapshot_bytes: u32,
    /// Chunks of its ring that are not made.
    pub missing_chunks: u32,
    /// Chunks on their way to it.
    pub sendings: u32,
    /// Bytes of its memory.
    pub memory: ClientMemory,
}

/// Bytes of memory that a client takes, counted from capacities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientMemory {
    /// The session and what it has of the world.
    pub session: u32,
    /// The link: packets that are not acknowledged, messages that wait.
    pub link: u32,
    /// Snapshots that are kept to lead from.
    pub snapshots: u32,
}

impl ClientMemory {
    /// All of it.
    pub fn bytes(&self) -> u64 {
        u64::from(self.session) + u64::from(self.link) + u64::from(self.snapshots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn each_slot_has_its_turn_once_and_is_timed_in_it() {
        let time = AtomicU64::new(0);
        let clock_ns = || time.fetch_add(10, Ordering::Relaxed) + 10;
        let mut costs = [ClientCost::default(); 100];
        let mut turns = [0; 100];
        for tick in 1_000..1_000 + CLIENT_TURN_TICKS {
            let clock = TurnClock::new(tick, &clock_ns, &[]);
            for (slot, cost) in costs.iter_mut().enumerate() {
                let began = clock.start(slot);
                clock.stop(began, cost);
            }
            for slot in slots_in_turn(tick, costs.len()) {
                turns[slot] += 1;
                assert_eq!(costs[slot].settle((0, 0)).0, 10);
            }
        }
        assert_eq!(turns, [1; 100]);
        assert_eq!(time.into_inner(), 2 * 10 * 100, "the clock is read for nobody else");
    }

    #[test]
    fn bytes_are_the_slots_until_another_client_has_it() {
        let mut bytes = Vec::new();
        make_room(&mut bytes, 3);
        let (mut arrived, mut sent) = (FrameCounts::default(), FrameCounts::default());
        let clock = TurnClock::new(1, &|| 0, &bytes);
        clock.arrived(2, &[0; 20], &mut arrived);
        clock.sent(2, &[0; 30], 0, &mut sent);
        clock.sent_fragment(2, 93, &mut sent);
        clock.sent(FRESH_SLOTS + 2_048, &[0; 30], 0, &mut sent);
        assert_eq!([&bytes[1], &bytes[2]].map(SlotBytes::both), [(0, 0), (20, 130)]);
        clock.begin(2);
        TurnClock::off(&|| 0).sent(2, &[0; 30], 0, &mut sent);
        assert_eq!((bytes[2].both(), sent.each().next()), ((0, 0), Some(("header", 3, 12))));
    }

    #[test]
    fn one_long_turn_makes_no_dear_client_and_bytes_are_those_since_the_last() {
        let mut cost = ClientCost { turn_ns: 800, ..ClientCost::default() };
        assert_eq!(cost.median_ns(), 0);
        assert_eq!(cost.settle((0, 50)), (800, 0, 50));
        cost.turn_ns = 400;
        assert_eq!(cost.settle((7, 75)), (400, 7, 25));
        assert_eq!((cost.median_ns(), cost.max_ns()), (800, 800));
        for turn_ns in [500, 9_000_000, 450, 420, 9_000_000, 410, 430, 440] {
            cost.turn_ns = turn_ns;
            cost.settle((7, 75));
        }
        assert_eq!((cost.median_ns(), cost.max_ns()), (450, 9_000_000));
    }
}
