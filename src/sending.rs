//! One chunk on its way to one client: which of its fragments were sent, lost and acknowledged.
//!
//! Fragments go out lost ones first, then in order. What a packet carried is known again by a
//! [`Token`]; a token of an earlier sending of the same chunk is told apart by its id and ignored.

use ninefold_protocol::chunk::Fragmenter;
use ninefold_protocol::limits::FRAGMENTS_PER_CHUNK_MAX;
use ninefold_world::ChunkCoord;

/// What a packet carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// [`Sending::id`].
    pub sending: u32,
    /// Which fragment.
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
    /// Fragments below this were sent at least once.
    next: u16,
    lost: FragmentSet,
    acked: FragmentSet,
}

/// A fragment that was picked to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picked {
    /// Which.
    pub index: u16,
    /// Whether it was sent before and lost.
    pub again: bool,
}

impl Sending {
    /// Nothing of the chunk was sent yet.
    pub fn new(id: u32, coord: ChunkCoord, fragmenter: Fragmenter) -> Self {
        let (lost, acked) = (FragmentSet::default(), FragmentSet::default());
        Sending { id, coord, fragmenter, next: 0, lost, acked }
    }

    /// Fragments that wait to be sent.
    pub fn waiting(&self) -> usize {
        usize::from(self.fragmenter.count() - self.next) + self.lost.len()
    }

    /// Picks the next fragment and marks it as sent.
    pub fn pick(&mut self) -> Option<Picked> {
        if let Some(index) = self.lost.pop_first() {
            return Some(Picked { index, again: true });
        }
        if self.next == self.fragmenter.count() {
            return None;
        }
        self.next += 1;
        Some(Picked { index: self.next - 1, again: false })
    }

    /// A fragment arrived; says whether all have now.
    pub fn on_acked(&mut self, index: u16) -> bool {
        debug_assert!(index < self.next, "what was never sent cannot be acknowledged");
        self.acked.insert(index);
        self.lost.remove(index);
        self.acked.len() == usize::from(self.fragmenter.count())
    }

    /// A fragment was lost: it waits again unless another copy of it arrived.
    pub fn on_lost(&mut self, index: u16) {
        if !self.acked.contains(index) {
            self.lost.insert(index);
        }
    }
}

/// A set of fragment indices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct FragmentSet {
    words: [u64; FRAGMENTS_PER_CHUNK_MAX as usize / 64],
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

    fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ninefold_protocol::frame::ChunkKey;
    use ninefold_protocol::limits::FRAGMENT_PAYLOAD_BYTES;

    fn sending(fragments: usize) -> Sending {
        let bytes = Bytes::from(vec![1; fragments * FRAGMENT_PAYLOAD_BYTES]);
        let fragmenter = Fragmenter::new(ChunkKey { cx: 0, cy: 0, cz: 0 }, 1, 0, 1, bytes).unwrap();
        Sending::new(1, ChunkCoord { cx: 0, cz: 0 }, fragmenter)
    }

    fn picks(sending: &mut Sending) -> Vec<(u16, bool)> {
        std::iter::from_fn(|| sending.pick()).map(|p| (p.index, p.again)).collect()
    }

    #[test]
    fn lost_fragments_go_first_then_the_rest_in_order() {
        let mut s = sending(200);
        for _ in 0..100 {
            s.pick();
        }
        s.on_lost(70);
        s.on_lost(3);
        assert_eq!(s.waiting(), 102);
        assert_eq!(picks(&mut s)[..3], [(3, true), (70, true), (100, false)]);
    }

    #[test]
    fn it_is_whole_when_every_fragment_arrived_in_any_order() {
        let mut s = sending(3);
        picks(&mut s);
        assert!(!s.on_acked(2) && !s.on_acked(0) && !s.on_acked(0));
        s.on_lost(1);
        s.on_lost(2); // another copy arrived
        assert_eq!(picks(&mut s), [(1, true)]);
        assert!(s.on_acked(1));
    }
}
