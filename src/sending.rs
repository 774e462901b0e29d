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

use bytes::Bytes;
use ninefold_protocol::chunk::{Fragmenter, parity_for_loss, parity_max};
use ninefold_protocol::frame::FragmentHeader;
use ninefold_protocol::limits::{FRAGMENT_PAYLOAD_BYTES, FRAGMENTS_PER_CHUNK_MAX, PARITY_PER_CHUNK_MAX};
use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::ChunkCoord;

use crate::chunk::{ParityBench, SharedParity};

/// What a packet carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// [`Sending::id`].
    pub sending: u32,
    /// Which fragment; parity is counted on from the chunk's own.
    pub index: u16,
}

/// One chunk on its way.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Unique among this client's sendings.
    pub id: u32,
    /// Which chunk.
    pub coord: ChunkCoord,
    /// Its fragments.
    pub fragmenter: Fragmenter,
    parity: SharedParity,
    /// Own fragments below this were sent at least once.
    next: u16,
    /// The same for parity.
    parity_next: u16,
    /// What was sent is in one of these, or under way.
    lost: FragmentSet,
    acked: FragmentSet,
    /// How many are taken for lost, though nobody has said so.
    suspected: usize,
    /// More was lost than the margin covered.
    is_short: bool,
    /// When the last fragment was picked.
    picked_at: Instant,
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
        let (lost, acked) = (FragmentSet::default(), FragmentSet::default());
        Sending {
            id,
            coord,
            fragmenter,
            parity,
            next: 0,
            parity_next: 0,
            lost,
            acked,
            suspected: 0,
            is_short: false,
            picked_at: Instant::ZERO,
        }
    }

    /// Fragments that wait to be sent to a client whose line loses so much; 0 leaves the margin out.
    pub fn waiting(&self, loss_permille: u32) -> usize {
        usize::from(self.fragmenter.count() - self.next) + self.beyond_own(loss_permille)
    }

    /// Fragments that wait beside those never sent. What is lost and the margin together are wanted, and all parity
    /// so far was sent for one or the other.
    fn beyond_own(&self, loss_permille: u32) -> usize {
        let missing = self.fragmenter.count().saturating_sub(self.acked.len() as u16);
        let margin = usize::from(parity_for_loss(loss_permille, missing));
        let margin = if self.is_short { margin * 2 } else { margin };
        (margin + self.lost.len().max(self.suspected)).saturating_sub(self.parity_next.into())
    }

    /// Takes a margin's worth for lost if all was sent and what was sent last should have been answered within
    /// `answer_max`.
    pub fn suspect_overdue(&mut self, now: Instant, answer_max: Duration, loss_permille: u32) {
        if self.picked_at + answer_max > now || self.waiting(loss_permille) > 0 {
            return;
        }
        let missing = self.fragmenter.count().saturating_sub(self.acked.len() as u16);
        let more = parity_for_loss(loss_permille, missing);
        self.suspected = self.lost.len().max(self.suspected) + usize::from(more);
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
        let count = self.fragmenter.count();
        if self.next < count {
            self.next += 1;
            return Some(Picked { index: self.next - 1, is_parity: false, again: false });
        }
        if self.beyond_own(loss_permille) == 0 {
            return None;
        }
        let again = self.lost.len().max(self.suspected) > 0;
        if self.parity_next < parity_max(count) {
            if count > 1 && !bench.ensure(self.coord, &self.fragmenter, &self.parity) {
                return None;
            }
            self.parity_next += 1;
            return Some(Picked { index: count + self.parity_next - 1, is_parity: true, again });
        }
        let index = self.lost.pop_first()?;
        Some(Picked { index, is_parity: index >= count, again })
    }

    /// A picked fragment: its header and its slice of the shared bytes.
    ///
    /// # Panics
    /// When it was never picked.
    pub fn fragment(&self, index: u16) -> (FragmentHeader, Bytes) {
        match index.checked_sub(self.fragmenter.count()) {
            None => self.fragmenter.fragment(index),
            Some(_) if self.fragmenter.count() == 1 => self.fragmenter.fragment(0),
            Some(index) => self.parity.get().expect("it was made when it was picked").fragment(index),
        }
    }

    /// Bytes that a fragment carries, without its header.
    pub fn payload_bytes(&self, index: u16) -> usize {
        match self.fragmenter.count() {
            1 => self.fragmenter.payload_bytes(0),
            count if index < count => self.fragmenter.payload_bytes(index),
            _ => FRAGMENT_PAYLOAD_BYTES,
        }
    }

    /// A fragment arrived; says whether enough have now.
    pub fn on_acked(&mut self, index: u16) -> bool {
        debug_assert!(self.was_sent(index), "what was never sent cannot be acknowledged");
        self.acked.insert(index);
        self.lost.remove(index);
        self.acked.len() >= usize::from(self.fragmenter.count())
    }

    /// A fragment was lost: something else is wanted for it unless another copy of it arrived.
    pub fn on_lost(&mut self, index: u16) {
        debug_assert!(self.was_sent(index), "what was never sent cannot be lost");
        if !self.acked.contains(index) {
            self.lost.insert(index);
            let parity = usize::from(self.parity_next);
            self.is_short |= parity > 0 && self.lost.len() > parity;
        }
    }

    /// Fragments that were sent and of which nobody knows yet whether they arrived.
    pub fn under_way(&self) -> usize {
        let settled = self.lost.union(&self.acked).len();
        usize::from(self.next + self.parity_next) - settled
    }

    /// Parity that arrived: so many own fragments it stood in for, once the chunk is whole.
    pub fn parity_acked(&self) -> usize {
        self.acked.len() - self.acked.len_below(self.fragmenter.count())
    }

    fn was_sent(&self, index: u16) -> bool {
        let count = self.fragmenter.count();
        if index < count { index < self.next } else { index - count < self.parity_next }
    }
}

/// Fragments that one chunk may have, parity included.
const FRAGMENTS_MAX: usize = FRAGMENTS_PER_CHUNK_MAX as usize + PARITY_PER_CHUNK_MAX as usize;

/// A set of fragment indices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct FragmentSet {
    words: [u64; FRAGMENTS_MAX / 64],
}

impl FragmentSet {
    fn contains(&self, index: u16) -> bool {
        self.words[usize::from(index) / 64] & (1 << (index % 64)) != 0
    }

    fn insert(&mut self, index: u16) {
        self.words[usize::from(index) / 64] |= 1 << (index % 64);
    }

    fn remove(&mut self, index: u16) {
        self.words[usize::from(index) / 64] &= !(1 << (index % 64));
    }

    fn pop_first(&mut self) -> Option<u16> {
        let word = self.words.iter().position(|w| *w != 0)?;
        let index = word as u16 * 64 + self.words[word].trailing_zeros() as u16;
        self.remove(index);
        Some(index)
    }

    fn union(&self, other: &FragmentSet) -> FragmentSet {
        FragmentSet { words: std::array::from_fn(|at| self.words[at] | other.words[at]) }
    }

    fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    fn len_below(&self, end: u16) -> usize {
        let (word, bit) = (usize::from(end) / 64, end % 64);
        let whole: u32 = self.words[..word].iter().map(|w| w.count_ones()).sum();
        let rest = self.words.get(word).map_or(0, |w| (w & ((1 << bit) - 1)).count_ones());
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
