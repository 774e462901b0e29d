//! What one client has of the world: the chunk it stands in, the ring around it, the chunks it is known
//! to hold, and those on their way.
//!
//! Known means acknowledged whole and not forgotten since. The client tells what it throws away, so
//! known never claims a chunk that the client has lost; where a claim is in doubt it is dropped, which
//! costs a sending and never a hole.

use std::mem::offset_of;
use std::ops::Range;
use std::sync::Arc;

use ahash::AHashMap;
use ninefold_protocol::chunk::Fragmenter;
use ninefold_protocol::frame::ChunkKey;
use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::{CHUNK_KIND_BSP, Chunk, ChunkCoord, ENCODING_BSP, ENCODING_RECIPE, Position, Topology};
use prefetch_index::prefetch_index;
use smallvec::SmallVec;

use crate::chunk::ReadyChunk;
use crate::game::KnownChunks;
use crate::sending::{Sending, Token};

/// Chunks of a ring.
pub const RING_CHUNKS: usize = 9;
/// Chunks that may be on their way to one client: the ring, and as many that it has just left whose
/// last fragments wait for their acknowledgement.
pub const SENDINGS_MAX: usize = 2 * RING_CHUNKS;

/// One chunk of the ring.
#[derive(Debug, Clone)]
pub struct RingChunk {
    /// Which.
    pub coord: ChunkCoord,
    /// What stands there.
    pub state: RingState,
}

impl RingChunk {
    fn chunk(&self) -> Option<&Chunk> {
        match &self.state {
            RingState::Ready(ready) => Some(&ready.chunk),
            RingState::Unavailable(chunk) => Some(chunk),
            RingState::Missing => None,
        }
    }
}

/// What stands in a place of the ring.
#[derive(Debug, Clone)]
pub enum RingState {
    /// Not made yet.
    Missing,
    /// Made.
    Ready(ReadyChunk),
    /// Could not be made; this safe chunk stands in.
    Unavailable(Arc<Chunk>),
}

/// One client's view.
#[derive(Debug)]
#[repr(C)]
pub struct View {
    active: Option<ChunkCoord>,
    missing: usize,
    sendings: Vec<Sending>,
    known: AHashMap<ChunkCoord, u32>,
    known_max: usize,
    next_sending: u32,
    /// Whether it takes recipes instead of compiled trees.
    takes_recipes: bool,
    /// Chunks that it says it has from an earlier session, by the low half of their
    /// content hash.
    offered: AHashMap<ChunkCoord, u64>,
    ring: SmallVec<[RingChunk; RING_CHUNKS]>,
}

/// Bytes at its beginning that are looked at in every tick.
pub const VIEW_HEAD_BYTES: usize = offset_of!(View, known);

/// Where it has the chunk in which the client stands, the first of the ring.
pub const VIEW_GROUND: Range<usize> =
    offset_of!(View, ring)..offset_of!(View, ring) + size_of::<usize>() * 2 + size_of::<RingChunk>();

/// What a change of the active chunk did to the ring.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RingChange {
    /// Chunks that came into the ring.
    pub entered: SmallVec<[ChunkCoord; RING_CHUNKS]>,
    /// Chunks that left it.
    pub left: SmallVec<[ChunkCoord; RING_CHUNKS]>,
}

/// What becomes of a client's request for a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// It is sent, or made and then sent.
    Coming,
    /// It cannot be made.
    Unavailable,
    /// A client may ask for chunks of its ring only.
    NotInRing,
}

/// What an acknowledged fragment did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    /// More are missing, or nobody waits for it any more.
    Nothing,
    /// The client has the whole chunk now.
    Whole {
        /// Which.
        coord: ChunkCoord,
        /// Own fragments that parity stood in for.
        by_parity: usize,
    },
}

impl View {
    /// A view without a ring; [`View::enter`] gives it one. At most `known_max` chunks are known.
    pub fn new(known_max: usize) -> Self {
        View {
            active: None,
            ring: SmallVec::new(),
            missing: 0,
            known: AHashMap::new(),
            known_max: known_max.max(RING_CHUNKS),
            sendings: Vec::new(),
            next_sending: 0,
            takes_recipes: false,
            offered: AHashMap::new(),
        }
    }

    /// The client builds chunks from recipes, which are smaller than compiled trees.
    pub fn take_recipes(&mut self) {
        self.takes_recipes = true;
    }

    /// The chunk that the client stands in; `None` before the first [`View::enter`].
    pub fn active(&self) -> Option<ChunkCoord> {
        self.active
    }

    /// The ring, the active chunk first.
    pub fn ring(&self) -> &[RingChunk] {
        &self.ring
    }

    /// Chunks of the ring that are not made yet.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// Chunks that the client holds.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Bytes of memory beside the view itself; chunks are shared, and not its own.
    pub fn memory_bytes(&self) -> usize {
        // A table keeps a byte beside each place.
        let known = self.known.capacity() * (size_of::<(ChunkCoord, u32)>() + 1);
        let offered = self.offered.capacity() * (size_of::<(ChunkCoord, u64)>() + 1);
        let ring = if self.ring.spilled() { self.ring.capacity() * size_of::<RingChunk>() } else { 0 };
        known + offered + ring + self.sendings.capacity() * size_of::<Sending>()
    }

    /// Those chunks with their versions, in no order that means anything.
    pub fn known_chunks(&self) -> impl Iterator<Item = (ChunkCoord, u32)> {
        self.known.iter().map(|(coord, version)| (*coord, *version))
    }

    /// The version of a chunk that the client holds, if it does.
    pub fn knows(&self, coord: ChunkCoord) -> Option<u32> {
        self.known.get(&coord).copied()
    }

    /// The made chunk at a place of the ring.
    pub fn chunk(&self, coord: ChunkCoord) -> Option<&Chunk> {
        self.place(coord).and_then(RingChunk::chunk)
    }

    /// The client stands in another chunk now.
    pub fn enter(&mut self, topology: Topology, active: ChunkCoord) -> RingChange {
        let mut old = std::mem::take(&mut self.ring);
        let mut change = RingChange::default();
        self.active = Some(active);
        self.missing = 0;
        for coord in topology.ring(active) {
            let kept = old.iter().position(|r| r.coord == coord).map(|at| old.swap_remove(at));
            let place = kept.unwrap_or_else(|| {
                change.entered.push(coord);
                RingChunk { coord, state: RingState::Missing }
            });
            self.missing += usize::from(matches!(place.state, RingState::Missing));
            self.ring.push(place);
        }
        change.left.extend(old.into_iter().map(|r| r.coord));
        // What has left is not sent on; what was sent whole waits for its acknowledgement.
        let ring = &self.ring;
        self.sendings.retain(|s| s.waiting(0) == 0 || ring.iter().any(|r| r.coord == s.coord));
        self.shed_sendings();
        self.shed_known();
        change
    }

    /// The client says that it has a chunk from an earlier session. At most
    /// [`ninefold_protocol::frame::OFFERS_MAX`] of them: the caller counts.
    pub fn offer(&mut self, coord: ChunkCoord, content_hash: u64) {
        self.offered.insert(coord, content_hash);
    }

    /// A missing chunk of the ring was made. It is sent unless the client holds it; tells the version of one that it
    /// has offered with just this content, which it is to be told of.
    pub fn on_ready(&mut self, ready: &ReadyChunk) -> Option<u32> {
        let coord = ready.chunk.coord();
        let place = self.place_missing(coord)?;
        place.state = RingState::Ready(ready.clone());
        self.missing -= 1;
        if self.offered.remove(&coord) == Some(ready.chunk.content_hash().0 as u64) {
            self.known.insert(coord, ready.version);
            return Some(ready.version);
        }
        self.want(coord);
        None
    }

    /// A missing chunk of the ring cannot be made; says whether it was missing.
    pub fn on_unavailable(&mut self, coord: ChunkCoord, safe: Arc<Chunk>) -> bool {
        let Some(place) = self.place_missing(coord) else { return false };
        place.state = RingState::Unavailable(safe);
        self.missing -= 1;
        true
    }

    /// Sends a made chunk of the ring unless the client holds it or it is on its way.
    fn want(&mut self, coord: ChunkCoord) {
        let Some(RingState::Ready(ready)) = self.place(coord).map(|r| &r.state) else { return };
        if self.known.get(&coord).is_some_and(|v| *v >= ready.version) {
            return;
        }
        if self.sendings.iter().any(|s| s.coord == coord && s.fragmenter.version() >= ready.version) {
            return;
        }
        let key = ChunkKey { cx: coord.cx, cy: 0, cz: coord.cz };
        let encoded = &ready.encoded;
        let (encoding, bytes, parity) = match &encoded.recipe {
            Some(recipe) if self.takes_recipes => (ENCODING_RECIPE, recipe, &encoded.recipe_parity),
            _ => (ENCODING_BSP, &encoded.bsp, &encoded.bsp_parity),
        };
        let fragmenter = Fragmenter::new(key, ready.version, CHUNK_KIND_BSP, encoding, bytes.clone())
            .expect("the chunk service takes no chunk that is too large to send");
        let sending = Sending::new(self.next_sending, coord, fragmenter, parity.clone());
        self.sendings.retain(|s| s.coord != coord);
        self.sendings.push(sending);
        self.next_sending = self.next_sending.wrapping_add(1);
    }

    /// The client says that it threw this away. If it came back into the ring meanwhile, it is sent.
    pub fn forget(&mut self, coord: ChunkCoord, version: u32) {
        if self.known.get(&coord).is_some_and(|v| *v <= version) {
            self.known.remove(&coord);
        }
        // It was whole at the client although not all acknowledgements are here yet.
        self.sendings.retain(|s| s.coord != coord || s.fragmenter.version() > version);
        self.want(coord);
    }

    /// The client asks for a chunk of its ring again.
    pub fn request(&mut self, coord: ChunkCoord) -> Requested {
        match self.place(coord).map(|r| &r.state) {
            None => return Requested::NotInRing,
            Some(RingState::Missing) => return Requested::Coming,
            Some(RingState::Unavailable(_)) => return Requested::Unavailable,
            Some(RingState::Ready(_)) => {}
        }
        self.known.remove(&coord);
        self.sendings.retain(|s| s.coord != coord);
        self.want(coord);
        Requested::Coming
    }

    /// A fragment arrived.
    pub fn on_acked(&mut self, token: Token) -> Acked {
        let Some(at) = self.sendings.iter().position(|s| s.id == token.sending) else {
            return Acked::Nothing;
        };
        if !self.sendings[at].on_acked(token.index) {
            return Acked::Nothing;
        }
        let sending = self.sendings.remove(at);
        self.known.insert(sending.coord, sending.fragmenter.version());
        Acked::Whole { coord: sending.coord, by_parity: sending.parity_acked() }
    }

    /// A fragment was lost. It is made up for if its chunk is still wanted; else the sending ends, unless what is
    /// under way may be enough.
    pub fn on_lost(&mut self, token: Token) {
        let Some(at) = self.sendings.iter().position(|s| s.id == token.sending) else { return };
        self.sendings[at].on_lost(token.index);
        if self.sendings[at].waiting(0) > 0 && self.place(self.sendings[at].coord).is_none() {
            self.sendings.remove(at);
        }
    }

    /// The chunks on their way.
    pub fn sendings(&self) -> &[Sending] {
        &self.sendings
    }

    /// Has what acknowledgements change of them fetched from memory, see [`crate::ahead`].
    pub fn fetch_sendings(&self) {
        (0..self.sendings.len()).for_each(|at| prefetch_index(&self.sendings, at));
    }

    /// The same for the chunk that the client stands in; [`View::fetch_cells`] comes later.
    pub fn fetch_ground(&self) {
        self.ground().inspect(|chunk| chunk.fetch());
    }

    /// The same for the cells around a place of it.
    pub fn fetch_cells(&self, at: Position) {
        self.ground().inspect(|chunk| chunk.fetch_cells(at));
    }

    fn ground(&self) -> Option<&Chunk> {
        self.ring.first().and_then(RingChunk::chunk)
    }

    /// The same for what picking and writing fragments looks at.
    pub fn fetch_fragments(&self) {
        self.sendings.iter().for_each(Sending::fetch);
    }

    /// One of the chunks on their way.
    pub fn sending_mut(&mut self, at: usize) -> &mut Sending {
        &mut self.sendings[at]
    }

    /// Takes something for lost of each chunk whose last fragment was not answered within `answer_max`.
    pub fn suspect_overdue(&mut self, now: Instant, answer_max: Duration, loss_permille: u32) {
        for sending in &mut self.sendings {
            sending.suspect_overdue(now, answer_max, loss_permille);
        }
    }

    /// Whether any fragment waits to be sent over a line that loses so much.
    pub fn has_waiting(&self, loss_permille: u32) -> bool {
        self.sendings.iter().any(|s| s.waiting(loss_permille) > 0)
    }

    fn place(&self, coord: ChunkCoord) -> Option<&RingChunk> {
        self.ring.iter().find(|r| r.coord == coord)
    }

    fn place_missing(&mut self, coord: ChunkCoord) -> Option<&mut RingChunk> {
        self.ring.iter_mut().find(|r| r.coord == coord && matches!(r.state, RingState::Missing))
    }

    /// Keeps the bound: the oldest sendings outside the ring go first.
    fn shed_sendings(&mut self) {
        while self.sendings.len() > RING_CHUNKS {
            let ring = &self.ring;
            let outside = self.sendings.iter().position(|s| ring.iter().all(|r| r.coord != s.coord));
            let Some(at) = outside else { break };
            self.sendings.remove(at);
        }
        debug_assert!(self.sendings.len() <= SENDINGS_MAX);
    }

    /// Keeps the bound against a client that never forgets: all claims outside the ring are dropped.
    fn shed_known(&mut self) {
        if self.known.len() > self.known_max {
            let ring = &self.ring;
            self.known.retain(|coord, _| ring.iter().any(|r| r.coord == *coord));
        }
    }
}

impl KnownChunks for View {
    fn known(&self, coord: ChunkCoord) -> Option<&Chunk> {
        self.chunk(coord)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ninefold_protocol::limits::FRAGMENT_PAYLOAD_BYTES;

    use crate::chunk::{Encoded, Made, ParityBench};

    const HERE: ChunkCoord = ChunkCoord { cx: 0, cz: 0 };
    const EAST: ChunkCoord = ChunkCoord { cx: 1, cz: 0 };
    const WHOLE: Acked = Acked::Whole { coord: HERE, by_parity: 0 };

    /// A chunk of two fragments.
    fn ready(coord: ChunkCoord, version: u32) -> ReadyChunk {
        let bsp = Bytes::from(vec![1; 2 * FRAGMENT_PAYLOAD_BYTES]);
        let encoded = Encoded::new(bsp, None);
        let made = Made { chunk: Arc::new(Chunk::safe(coord)), encoded, generate_time: Duration::ZERO };
        ReadyChunk::new(made, version)
    }

    /// A view in which only `HERE` was made and is on its way.
    fn view() -> View {
        let mut view = View::new(64);
        assert_eq!(view.enter(Topology::Plane, HERE).entered.len(), 9);
        view.on_ready(&ready(HERE, 1));
        view
    }

    /// Sends all that waits and gives its tokens.
    fn send_all(view: &mut View) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut bench = ParityBench::default();
        for at in 0..view.sendings().len() {
            let sending = view.sending_mut(at);
            while let Some(picked) = sending.pick(Instant::ZERO, 0, &mut bench) {
                tokens.push(Token { sending: sending.id, index: picked.index });
            }
        }
        tokens
    }

    #[test]
    fn a_chunk_is_known_once_all_of_it_was_acknowledged() {
        let mut view = view();
        let tokens = send_all(&mut view);
        assert_eq!((view.on_acked(tokens[1]), view.known()), (Acked::Nothing, 0));
        assert_eq!((view.on_acked(tokens[0]), view.known()), (WHOLE, 1));
        assert!(view.sendings().is_empty() && view.missing() == 8);
    }

    #[test]
    fn acknowledgements_that_come_after_the_forget_make_nothing_known() {
        let mut view = view();
        let early = send_all(&mut view);
        view.forget(HERE, 1); // it was whole there, and is gone; its acknowledgements are under way
        let again = send_all(&mut view);
        assert!(early.iter().all(|token| view.on_acked(*token) == Acked::Nothing));
        early.iter().for_each(|token| view.on_lost(*token));
        assert_eq!(view.known(), 0);
        assert_eq!((view.on_acked(again[0]), view.on_acked(again[1])), (Acked::Nothing, WHOLE));
    }

    #[test]
    fn what_leaves_the_ring_is_sent_no_further_and_what_was_sent_whole_may_still_become_known() {
        let mut view = view();
        view.on_ready(&ready(EAST, 1));
        let of_here = [0, 1].map(|index| Token { sending: view.sendings()[0].id, index });
        let mut bench = ParityBench::default();
        view.sending_mut(0).pick(Instant::ZERO, 0, &mut bench);
        view.sending_mut(0).pick(Instant::ZERO, 0, &mut bench);
        view.sending_mut(1).pick(Instant::ZERO, 0, &mut bench); // EAST is sent by half
        view.enter(Topology::Plane, ChunkCoord { cx: -5, cz: 0 });
        assert_eq!(view.sendings().iter().map(|s| s.coord).collect::<Vec<_>>(), [HERE]);
        assert_eq!(view.on_acked(of_here[0]), Acked::Nothing);
        assert_eq!(view.on_acked(of_here[1]), WHOLE);
    }

    #[test]
    fn a_loss_outside_the_ring_ends_the_sending() {
        let mut view = view();
        let tokens = send_all(&mut view);
        view.enter(Topology::Plane, ChunkCoord { cx: -5, cz: 0 });
        view.on_lost(tokens[0]);
        assert!(view.sendings().is_empty());
        assert_eq!((view.on_acked(tokens[1]), view.known()), (Acked::Nothing, 0));
    }

    #[test]
    fn what_is_known_is_not_sent_when_its_ring_comes_back() {
        let mut view = view();
        for token in send_all(&mut view) {
            let _ = view.on_acked(token);
        }
        view.enter(Topology::Plane, ChunkCoord { cx: -5, cz: 0 });
        view.enter(Topology::Plane, HERE);
        view.on_ready(&ready(HERE, 1));
        assert!(!view.has_waiting(0));
        view.forget(HERE, 0); // another version says nothing of this one
        assert!(!view.has_waiting(0));
        assert_eq!(view.request(HERE), Requested::Coming);
        assert!(view.has_waiting(0));
        assert_eq!(view.request(ChunkCoord { cx: 9, cz: 9 }), Requested::NotInRing);
    }

    #[test]
    fn a_client_that_never_forgets_does_not_fill_the_table() {
        let mut view = View::new(RING_CHUNKS);
        for cx in 0..100 {
            let coord = ChunkCoord { cx, cz: 0 };
            view.enter(Topology::Plane, coord);
            view.on_ready(&ready(coord, 1));
            for token in send_all(&mut view) {
                let _ = view.on_acked(token);
            }
            assert!(view.known() <= RING_CHUNKS + 1 && view.sendings().len() <= SENDINGS_MAX);
        }
    }

    #[test]
    fn an_unavailable_chunk_is_walked_on_and_not_sent() {
        let mut view = view();
        assert!(view.on_unavailable(EAST, Arc::new(Chunk::safe(EAST))));
        assert!(!view.on_unavailable(EAST, Arc::new(Chunk::safe(EAST))));
        assert!(view.chunk(EAST).is_some() && view.sendings().len() == 1);
        assert_eq!(view.request(EAST), Requested::Unavailable);
    }
}
