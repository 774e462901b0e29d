//! One chunk on its way to one client: which of its fragments were sent, lost and acknowledged.
//!
//! It is whole once so many different fragments were acknowledged as it has, parity among them. So much is kept
//! under way that this is to be expected: as much as is still missing, and on a line that loses a margin that
//! its loss asks for ([`parity_for_loss`]). What was lost is made up for with fresh parity, whichever it was; the
//! very fragments go out again only when there is no more of that. Losses come in bursts: a margin that did not suffice
//! is doubled, and when nothing is heard of what should have been answered, a margin's worth is taken for lost. A chunk of one fragment has copies of it for parity:
//! they are shorter and need no work.
//!
//! What a packet carried is known again by a [`Token`]; a token of an earlier sending of the same chunk is told
//! apart by its id and ignored.

use std::mem::offset_of;

use bytes::Bytes;
use ninefold_protocol::chunk::{Fragmenter, parity_for_loss, parity_max};
use ninefold_protocol::frame::FragmentHeader;
use ninefold_protocol::limits::{FRAGMENT_PAYLOAD_BYTES, FRAGMENTS_PER_CHUNK_MAX, PARITY_PER_CHUNK_MAX};
use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::ChunkCoord;

use crate::cache_line::{self, CacheLine};
use crate::chunk::{ParityBench, SharedParity};

/// What a packet carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// [`Sending::id`].
    pub sending: u32,
    /// Which fragment; parity is counted on from the chunk's own.
    pub index: u16,
}

/// One chunk on its way. What is looked at in every tick comes first, in a line of memory.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct Sending {
    start: [CacheLine; 0],
    /// Unique among this client's sendings.
    pub id: u32,
    /// Which chunk.
    pub coord: ChunkCoord,
    /// As the fragmenter has it.
    count: u16,
    /// Own fragments below this were sent at least once.
    next: u16,
    /// The same for parity.
    parity_next: u16,
    /// How many are taken for lost, though nobody has said so.
    suspected: u16,
    /// When the last fragment was picked.
    picked_at: Instant,
    /// More was lost than the margin covered.
    is_short: bool,
    fates: Fates,
    /// Its fragments.
    pub fragmenter: Fragmenter,
    parity: SharedParity,
}

/// A fragment that was picked to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picked {
    /// Which.
    pub index: u16,
    /// Whether it is parity, or a copy.
    pub is_parity: bool,
    /// Whether it makes up for something lost.
    pub again: bool,
}

impl Sending {
    /// Nothing of the chunk was sent yet.
    pub fn new(id: u32, coord: ChunkCoord, fragmenter: Fragmenter, parity: SharedParity) -> Self {
        Sending {
            start: [],
            id,
            coord,
            count: fragmenter.count(),
            next: 0,
            parity_next: 0,
            suspected: 0,
            picked_at: Instant::ZERO,
            is_short: false,
            fates: Fates::default(),
            fragmenter,
            parity,
        }
    }

    /// Has what picking and writing fragments looks at fetched from memory.
    pub fn fetch(&self) {
        const USED_BYTES: usize = offset_of!(Sending, fragmenter) + size_of::<Fragmenter>();
        cache_line::fetch(&self.start, 0..USED_BYTES);
    }

    /// Fragments that wait to be sent to a client whose line loses so much; 0 leaves the margin out.
    pub fn waiting(&self, loss_permille: u32) -> usize {
        usize::from(self.count - self.next) + self.beyond_own(loss_permille)
    }

    /// Fragments that wait beside those never sent. What is lost and the margin together are wanted, and all parity
    /// so far was sent for one or the other.
    fn beyond_own(&self, loss_permille: u32) -> usize {
        let margin = usize::from(parity_for_loss(loss_permille, self.missing()));
        let margin = if self.is_short { margin * 2 } else { margin };
        (margin + usize::from(self.taken_for_lost())).saturating_sub(self.parity_next.into())
    }

    /// Fragments that are still to arrive.
    fn missing(&self) -> u16 {
        self.count.saturating_sub(self.fates.acked)
    }

    fn taken_for_lost(&self) -> u16 {
        self.fates.lost.max(self.suspected)
    }

    /// Takes a margin's worth for lost if all was sent and what was sent last should have been answered within
    /// `answer_max`.
    pub fn suspect_overdue(&mut self, now: Instant, answer_max: Duration, loss_permille: u32) {
        if self.picked_at + answer_max > now || self.waiting(loss_permille) > 0 {
            return;
        }
        self.suspected = self.taken_for_lost() + parity_for_loss(loss_permille, self.missing());
    }

    /// Picks the next fragment and marks it as sent. Parity that `bench` has no time to make waits.
    pub fn pick(&mut self, now: Instant, loss_permille: u32, bench: &mut ParityBench) -> Option<Picked> {
        let picked = self.next_pick(loss_permille, bench);
        if picked.is_some() {
            self.picked_at = now;
        }
        picked
    }

    fn next_pick(&mut self, loss_permille: u32, bench: &mut ParityBench) -> Option<Picked> {
        let count = self.count;
        if self.next < count {
            self.next += 1;
            return Some(Picked { index: self.next - 1, is_parity: false, again: false });
        }
        if self.beyond_own(loss_permille) == 0 {
            return None;
        }
        let again = self.taken_for_lost() > 0;
        if self.parity_next < parity_max(count) {
            if count > 1 && !bench.ensure(self.coord, &self.fragmenter, &self.parity) {
                return None;
            }
            self.parity_next += 1;
            return Some(Picked { index: count + self.parity_next - 1, is_parity: true, again });
        }
        let index = self.fates.pop_lost()?;
        Some(Picked { index, is_parity: index >= count, again })
    }

    /// Whether a picked fragment and the one before it are neighbours in the chunk's own bytes.
    pub fn follows(&self, index: u16, before: u16) -> bool {
        index < self.count && index == before + 1
    }

    /// What so many picked fragments carry that follow each other.
    pub fn payloads(&self, index: u16, fragments: u16) -> Bytes {
        if fragments > 1 { self.fragmenter.payloads(index, fragments) } else { self.fragment(index).1 }
    }

    /// The header of a picked fragment.
    pub fn header(&self, index: u16) -> FragmentHeader {
        if index < self.count { self.fragmenter.header(index) } else { self.fragment(index).0 }
    }

    /// A picked fragment: its header and its slice of the shared bytes.
    ///
    /// # Panics
    /// When it was never picked.
    pub fn fragment(&self, index: u16) -> (FragmentHeader, Bytes) {
        match index.checked_sub(self.count) {
            None => self.fragmenter.fragment(index),
            Some(_) if self.count == 1 => self.fragmenter.fragment(0),
            Some(index) => self.parity.get().expect("it was made when it was picked").fragment(index),
        }
    }

    /// Bytes that a fragment carries, without its header.
    pub fn payload_bytes(&self, index: u16) -> usize {
        match self.count {
            1 => self.fragmenter.payload_bytes(0),
            count if index < count => self.fragmenter.payload_bytes(index),
            _ => FRAGMENT_PAYLOAD_BYTES,
        }
    }

    /// A fragment arrived; says whether enough have now.
    pub fn on_acked(&mut self, index: u16) -> bool {
        debug_assert!(self.was_sent(index), "what was never sent cannot be acknowledged");
        self.fates.arrived(index);
        self.fates.acked >= self.count
    }

    /// A fragment was lost: something else is wanted for it unless another copy of it arrived.
    pub fn on_lost(&mut self, index: u16) {
        debug_assert!(self.was_sent(index), "what was never sent cannot be lost");
        if self.fates.was_lost(index) {
            self.is_short |= self.parity_next > 0 && self.fates.lost > self.parity_next;
        }
    }

    /// Fragments that were sent and of which nobody knows yet whether they arrived.
    pub fn under_way(&self) -> usize {
        usize::from(self.next + self.parity_next - self.fates.lost - self.fates.acked)
    }

    /// Parity that arrived: so many own fragments it stood in for, once the chunk is whole.
    pub fn parity_acked(&self) -> usize {
        usize::from(self.fates.acked) - self.fates.acked_below(self.count)
    }

    fn was_sent(&self, index: u16) -> bool {
        let count = self.count;
        if index < count { index < self.next } else { index - count < self.parity_next }
    }
}

/// Fragments that one chunk may have, parity included.
const FRAGMENTS_MAX: usize = FRAGMENTS_PER_CHUNK_MAX as usize + PARITY_PER_CHUNK_MAX as usize;

/// In the first line of memory: the state of a chunk, and what became of its first 64 fragments.
const _: () = assert!(offset_of!(Sending, fates) + offset_of!(Fates, words) + size_of::<Word>() <= 64);

/// What became of 64 fragments, a bit each; of none both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Word {
    lost: u64,
    acked: u64,
}

/// What became of fragments; of those without a fate nobody knows it yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
struct Fates {
    /// So many are lost.
    lost: u16,
    /// So many have arrived.
    acked: u16,
    words: [Word; FRAGMENTS_MAX / 64],
}

impl Fates {
    fn word(&mut self, index: u16) -> (&mut Word, u64) {
        (&mut self.words[usize::from(index) / 64], 1 << (index % 64))
    }

    fn arrived(&mut self, index: u16) {
        let (word, bit) = self.word(index);
        let (was_lost, is_new) = (word.lost & bit != 0, word.acked & bit == 0);
        (word.lost, word.acked) = (word.lost & !bit, word.acked | bit);
        self.lost -= u16::from(was_lost);
        self.acked += u16::from(is_new);
    }

    /// Says whether it is lost: a copy of it may have arrived.
    fn was_lost(&mut self, index: u16) -> bool {
        let (word, bit) = self.word(index);
        let (is_new, has_arrived) = (word.lost & bit == 0, word.acked & bit != 0);
        if has_arrived {
            return false;
        }
        word.lost |= bit;
        self.lost += u16::from(is_new);
        true
    }

    /// The first lost one, which is to be sent again.
    fn pop_lost(&mut self) -> Option<u16> {
        let at = self.words.iter().position(|word| word.lost != 0)?;
        let bit = self.words[at].lost.trailing_zeros() as u16;
        self.words[at].lost &= !(1 << bit);
        self.lost -= 1;
        Some(at as u16 * 64 + bit)
    }

    fn acked_below(&self, end: u16) -> usize {
        let (word, bit) = (usize::from(end) / 64, end % 64);
        let whole: u32 = self.words[..word].iter().map(|w| w.acked.count_ones()).sum();
        let rest = self.words.get(word).map_or(0, |w| (w.acked & ((1 << bit) - 1)).count_ones());
        (whole + rest) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_protocol::frame::{ChunkKey, FLAG_PARITY};

    const CLEAN: u32 = 0;
    const LOSSY: u32 = 50;
    const NOW: Instant = Instant::ZERO;

    fn sending_of(bytes: usize) -> Sending {
        let key = ChunkKey { cx: 0, cy: 0, cz: 0 };
        let fragmenter = Fragmenter::new(key, 1, 0, 1, Bytes::from(vec![1; bytes])).unwrap();
        Sending::new(1, ChunkCoord { cx: 0, cz: 0 }, fragmenter, SharedParity::default())
    }

    fn sending(fragments: usize) -> Sending {
        sending_of(fragments * FRAGMENT_PAYLOAD_BYTES)
    }

    fn bench() -> ParityBench {
        let mut bench = ParityBench::default();
        bench.begin_tick();
        bench
    }

    /// All that waits, as (index, again).
    fn picks(sending: &mut Sending, loss_permille: u32) -> Vec<(u16, bool)> {
        let mut bench = bench();
        let waiting = sending.waiting(loss_permille);
        let picked: Vec<Picked> =
            std::iter::from_fn(|| sending.pick(NOW, loss_permille, &mut bench)).take(1_000).collect();
        assert_eq!(picked.len(), waiting);
        assert!(picked.iter().all(|p| p.is_parity == (p.index >= sending.fragmenter.count())));
        picked.into_iter().map(|p| (p.index, p.again)).collect()
    }

    #[test]
    fn a_clean_line_gets_the_chunk_in_order_and_fresh_parity_for_what_was_lost() {
        let mut s = sending(29);
        assert_eq!(picks(&mut s, CLEAN), (0..29).map(|i| (i, false)).collect::<Vec<_>>());
        s.on_lost(7);
        s.on_lost(3);
        assert_eq!(picks(&mut s, CLEAN), [(29, true), (30, true)]);
        // One of these is lost as well.
        s.on_lost(29);
        assert_eq!(picks(&mut s, CLEAN), [(31, true)]);
        let (header, payload) = s.fragment(31);
        assert_eq!((header.flags, header.index.get(), payload.len()), (FLAG_PARITY, 2, 1_150));
        assert_eq!(s.payload_bytes(31), 1_150);
    }

    #[test]
    fn a_line_that_loses_gets_a_margin_and_nothing_for_what_the_margin_covers() {
        let mut s = sending(29);
        assert_eq!(picks(&mut s, LOSSY).len(), 29 + 5);
        for index in 4..34 {
            let is_whole = s.on_acked(index);
            // Of 29 that are enough, 4 were lost and 5 are parity.
            assert_eq!(is_whole, index >= 32, "{index}");
            if index == 16 {
                (0..4).for_each(|lost| s.on_lost(lost));
                // 16 are missing and 17 under way: the margin for 16 are 4.
                assert_eq!(picks(&mut s, LOSSY).len(), 3);
            }
        }
        assert_eq!(s.parity_acked(), 5);
        assert_eq!(s.waiting(LOSSY), 0);
    }

    #[test]
    fn a_margin_that_did_not_suffice_is_doubled() {
        let mut s = sending(29);
        picks(&mut s, LOSSY);
        (0..5).for_each(|lost| s.on_lost(lost));
        // As if nothing were lost beyond the margin: a new margin for the 24 that are missing of 29.
        (5..10).for_each(|index| assert!(!s.on_acked(index)));
        assert_eq!(picks(&mut s, LOSSY).len(), 5);
        (10..16).for_each(|lost| s.on_lost(lost));
        assert_eq!(picks(&mut s, LOSSY).len(), 11 + 2 * 5 - 10);
    }

    #[test]
    fn silence_where_an_answer_is_due_is_taken_for_a_loss_once() {
        let mut s = sending(3);
        assert_eq!(picks(&mut s, LOSSY).len(), 3 + 2);
        let answer_max = Duration::from_ms(80);
        s.suspect_overdue(NOW + Duration::from_ms(79), answer_max, LOSSY);
        assert_eq!(s.waiting(LOSSY), 0);
        s.suspect_overdue(NOW + answer_max, answer_max, LOSSY);
        assert_eq!(picks(&mut s, LOSSY), [(5, true), (6, true)]);
        // What is lost then was suspected already.
        (0..2).for_each(|lost| s.on_lost(lost));
        assert_eq!(s.waiting(LOSSY), 0);
        // A clean line's answers are waited for.
        let mut s = sending(3);
        picks(&mut s, CLEAN);
        s.suspect_overdue(NOW + Duration::from_secs(9), answer_max, CLEAN);
        assert_eq!(s.waiting(CLEAN), 0);
    }

    #[test]
    fn the_very_fragments_go_again_when_there_is_no_more_parity() {
        let mut s = sending(2);
        assert_eq!(picks(&mut s, CLEAN), [(0, false), (1, false)]);
        (0..2).for_each(|i| s.on_lost(i));
        for parity in (2..10).step_by(2) {
            assert_eq!(picks(&mut s, CLEAN), [(parity, true), (parity + 1, true)]);
            (parity..parity + 2).for_each(|i| s.on_lost(i));
        }
        assert_eq!(picks(&mut s, CLEAN), [(0, true), (1, true)]);
        assert!(!s.on_acked(1) && s.on_acked(5));
        assert_eq!(s.parity_acked(), 1);
    }

    #[test]
    fn it_is_whole_when_enough_arrived_whichever_and_in_any_order() {
        let mut s = sending(3);
        picks(&mut s, CLEAN);
        assert!(!s.on_acked(2) && !s.on_acked(0) && !s.on_acked(0));
        s.on_lost(1);
        s.on_lost(2); // another copy arrived
        assert_eq!(picks(&mut s, CLEAN), [(3, true)]);
        // It was late, not lost.
        assert!(s.on_acked(1));
        assert_eq!(s.parity_acked(), 0);
    }

    #[test]
    fn a_chunk_of_one_fragment_is_sent_twice_where_a_larger_one_has_parity() {
        let mut s = sending_of(350);
        assert_eq!(picks(&mut s, LOSSY), [(0, false), (1, false)]);
        assert_eq!(s.payload_bytes(1), 350);
        let (copy, payload) = s.fragment(1);
        assert_eq!((copy.flags, copy.index.get(), payload), (0, 0, s.fragment(0).1));
        assert!(s.parity.get().is_none(), "no parity is made for it");
        s.on_lost(0);
        assert!(s.on_acked(1));
    }

    #[test]
    fn parity_that_the_tick_has_no_time_for_waits() {
        let mut s = sending(3);
        let mut busy = ParityBench::default();
        for _ in 0..3 {
            assert!(s.pick(NOW, LOSSY, &mut busy).is_some());
        }
        assert_eq!((s.pick(NOW, LOSSY, &mut busy), s.waiting(LOSSY)), (None, 2));
        assert_eq!(picks(&mut s, LOSSY), [(3, false), (4, false)]);
    }
}
