//! The clients: one dense slot each, the same slot that the carrier uses.

use std::num::{NonZeroU16, NonZeroU32};

use hecs::Entity;
use ninefold_protocol::frame::Message;
use ninefold_protocol::limits::{FRAGMENTS_PER_CHUNK_MAX, PARITY_PER_CHUNK_MAX};
use ninefold_protocol::link::Link;
use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::{ChunkCoord, Mover, Position};

use crate::cache_line::CacheLine;
use crate::carrier::ConnectionId;
use crate::happened::Events;
use crate::inputs::InputBuffer;
use crate::rules::Rules;
use crate::sending::Token;
use crate::sight::Sight;
use crate::snapshots::SentSnapshots;
use crate::telemetry::{ClientCost, Counters};
use crate::view::View;

/// One client.
///
/// The order of the fields is that of memory: what every phase looks at comes first, what few do comes last, so that a
/// phase can have the lines that it needs fetched while it is busy with another client ([`crate::ahead`]).
#[derive(Debug)]
#[repr(C)]
pub struct Session {
    pub(crate) start: [CacheLine; 0],
    // who
    /// Its session at the carrier.
    pub connection: ConnectionId,
    /// Ticks for which snapshots are still repeated after the last change in its ring.
    pub repeats_left: u32,
    /// How far it has come.
    pub stage: Stage,
    /// What its token calls it.
    pub client_id: u64,
    // the player
    /// What the game made for it.
    pub entity: Option<Entity>,
    /// Where it is and how it falls, as its entity's body has it after the inputs of this tick.
    pub mover: Mover,
    /// Where it is heading: the wish of its last step.
    pub heading: (f64, f64),
    /// Ticks since an input was there to be taken.
    pub silent_ticks: u32,
    // what it is told of
    /// Snapshots that it was sent.
    pub snapshots: SentSnapshots,
    /// What happened around it.
    pub events: Events,
    /// Its inputs that wait for their tick.
    pub inputs: InputBuffer,
    // the conversation
    /// The link.
    pub link: Link<Receipt>,
    /// Packets taken this tick.
    pub packets_this_tick: u32,
    /// Requests for chunks taken this tick.
    pub requests_this_tick: u32,
    /// Chunk fragments that its carrier wants in a tick at most.
    pub carrier_room: usize,
    /// So long after the tick its packets leave.
    pub leaves_late_by: Duration,
    // the world around it
    /// What it has of the world.
    pub view: View,
    /// Chunks that it said it would offer and has not yet, and until when they are waited for.
    pub offers_awaited: (u16, Instant),
    /// What it saw when it last looked round; `None` until that is asked for.
    pub sight: Option<Box<Sight>>,
    // what it costs
    /// Time and bytes.
    pub cost: ClientCost,
}

/// What a packet carried, to know what its acknowledgement means. There is one for each packet in flight, so it is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The low half of the tick whose snapshot it was.
    snapshot: Option<NonZeroU32>,
    /// Of fragments: [`Token::sending`], and [`Token::index`] and one more, or [`NO_FRAGMENT`].
    sendings: [u32; Receipt::FRAGMENTS_MAX],
    indices: [NonZeroU16; Receipt::FRAGMENTS_MAX],
}

/// No chunk has so many fragments, parity and all.
const NO_FRAGMENT: NonZeroU16 = NonZeroU16::MAX;
const _: () = assert!(FRAGMENTS_PER_CHUNK_MAX + PARITY_PER_CHUNK_MAX < NO_FRAGMENT.get() - 1);

impl Default for Receipt {
    fn default() -> Self {
        Receipt { snapshot: None, sendings: Default::default(), indices: [NO_FRAGMENT; _] }
    }
}

impl Receipt {
    /// Fragments of chunks that one packet may carry.
    pub const FRAGMENTS_MAX: usize = 2;

    /// It carried the snapshot of this tick. Of the tick it has the half: once in two years a snapshot is as good as lost.
    pub fn with_snapshot(self, tick: u64) -> Receipt {
        Receipt { snapshot: NonZeroU32::new(tick as u32), ..self }
    }

    /// It carried this fragment of a chunk, too.
    ///
    /// # Panics
    /// When it has carried [`Receipt::FRAGMENTS_MAX`] of them already.
    pub fn with_fragment(mut self, token: Token) -> Receipt {
        let place =
            self.indices.iter().position(|index| *index == NO_FRAGMENT).expect("there is room for it");
        self.sendings[place] = token.sending;
        self.indices[place] = NonZeroU16::MIN.saturating_add(token.index);
        self
    }

    /// The fragments that it carried.
    pub fn fragments(&self) -> impl Iterator<Item = Token> {
        let places = self.sendings.into_iter().zip(self.indices);
        places
            .filter(|(_, index)| *index != NO_FRAGMENT)
            .map(|(sending, index)| Token { sending, index: index.get() - 1 })
    }

    /// The tick of the snapshot that it carried, which was not after `now_tick`.
    pub fn snapshot(&self, now_tick: u64) -> Option<u64> {
        let low = self.snapshot?.get();
        Some(now_tick.saturating_sub((now_tick as u32).wrapping_sub(low).into()))
    }
}

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Authenticated; its hello has not come.
    Greeting,
    /// Welcome; waits for the chunk that it will stand in.
    Spawning(ChunkCoord),
    /// In the world.
    Playing,
    /// Told to go; leaves when that was acknowledged or at this time.
    Leaving(Instant),
}

impl Session {
    /// A client that has just connected.
    pub fn new(now: Instant, connection: ConnectionId, client_id: u64, rules: &Rules) -> Self {
        Session {
            start: [],
            connection,
            carrier_room: usize::MAX,
            leaves_late_by: Duration::ZERO,
            client_id,
            stage: Stage::Greeting,
            link: Link::with_congestion(now, rules.congestion_on(connection.carrier)),
            packets_this_tick: 0,
            requests_this_tick: 0,
            inputs: InputBuffer::default(),
            silent_ticks: 0,
            entity: None,
            mover: Mover::standing(Position { x: 0.0, y: 0.0, z: 0.0 }),
            heading: (0.0, 0.0),
            view: View::new(rules.known_chunks_max),
            offers_awaited: (0, now),
            snapshots: SentSnapshots::default(),
            repeats_left: 0,
            events: Events::default(),
            sight: None,
            cost: ClientCost::default(),
        }
    }

    /// The player's index on the wire: its slot.
    pub fn player(&self) -> u32 {
        self.connection.slot
    }

    /// Queues a reliable message. A client that has left too many unanswered is told to go.
    pub fn send(&mut self, now: Instant, message: &Message, counters: &mut Counters) {
        let leaving = matches!(self.stage, Stage::Leaving(_));
        if self.link.send_message(message).is_err() && !leaving {
            counters.clients_unresponsive += 1;
            self.stage = Stage::Leaving(now);
        }
    }

    /// Whether chunks that it may have are still to be told; what it has need not be sent.
    pub fn awaits_offers(&self, now: Instant) -> bool {
        let (awaited, until) = self.offers_awaited;
        awaited > 0 && now < until
    }

    /// Bytes of memory, without those of its link and its snapshots, which tell themselves.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Session>()
            + self.view.memory_bytes()
            + self.sight.as_ref().map_or(0, |_| size_of::<Sight>())
    }

    /// Whether it is in the world.
    pub fn is_playing(&self) -> bool {
        self.stage == Stage::Playing
    }
}

/// All clients: found by slot; a crowd is kept in the order of the places where they stand, fewer in that of their slots.
///
/// A phase takes one after the other, and neighbours need the same of the world: the same cells, entities and trees.
/// Side by side they find it in the cache, and so do the threads that share them out.
#[derive(Debug, Default)]
pub struct Sessions {
    seats: Vec<Seat>,
    /// By slot: which seat.
    seat_of: Vec<Option<u32>>,
    /// Whether anybody has come or changed places since all were lined up.
    have_moved: bool,
}

/// A client in the order of places.
#[derive(Debug)]
pub struct Seat {
    /// Where it stood when all were last lined up.
    place: u64,
    /// As the session has it, so that it need not be looked at.
    connection: ConnectionId,
    /// Who.
    pub session: Box<Session>,
}

impl Sessions {
    /// Clients.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Slots, used or not.
    pub fn slots(&self) -> usize {
        self.seat_of.len()
    }

    /// Takes a client in; one that was left in its slot comes back.
    pub fn insert(&mut self, session: Session) -> Option<Session> {
        let slot = session.connection.slot;
        let old = self.take_out(slot as usize);
        if self.seat_of.len() <= slot as usize {
            self.seat_of.resize(slot as usize + 1, None);
        }
        self.seat_of[slot as usize] = Some(self.seats.len() as u32);
        let connection = session.connection;
        self.have_moved = true;
        self.seats.push(Seat { place: 0, connection, session: Box::new(session) });
        old
    }

    /// Takes a client out.
    pub fn remove(&mut self, connection: ConnectionId) -> Option<Session> {
        self.get_mut(connection)?;
        self.take_out(connection.slot as usize)
    }

    fn take_out(&mut self, slot: usize) -> Option<Session> {
        let at = self.seat_of.get_mut(slot)?.take()?;
        let seat = self.seats.swap_remove(at as usize);
        if let Some(moved) = self.seats.get(at as usize) {
            self.seat_of[moved.connection.slot as usize] = Some(at);
        }
        Some(*seat.session)
    }

    /// The client of this very session.
    pub fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut Session> {
        self.in_slot(connection.slot as usize).filter(|s| s.connection == connection)
    }

    /// Whether this very session is there.
    pub fn is_there(&self, connection: ConnectionId) -> bool {
        let at = self.seat_of.get(connection.slot as usize).copied().flatten();
        at.is_some_and(|at| self.seats[at as usize].connection == connection)
    }

    /// The client in a slot.
    pub fn in_slot(&mut self, slot: usize) -> Option<&mut Session> {
        let at = (*self.seat_of.get(slot)?)?;
        Some(&mut self.seats[at as usize].session)
    }

    /// The client in a slot, to look at.
    pub fn look(&self, slot: usize) -> Option<&Session> {
        let at = (*self.seat_of.get(slot)?)?;
        Some(&self.seats[at as usize].session)
    }

    /// All clients, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.seat_of.iter().flatten().map(|at| &*self.seats[*at as usize].session)
    }

    /// All clients; in a crowd neighbours are side by side.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.seats.iter_mut().map(|seat| &mut *seat.session)
    }

    /// The same, with what tells where they sit.
    pub fn seats_mut(&mut self) -> &mut [Seat] {
        &mut self.seats
    }

    /// Somebody stands in another chunk than before.
    pub fn note_moved(&mut self) {
        self.have_moved = true;
    }

    /// Brings neighbours together again, if anybody has moved. Not every tick: it looks at all, and players are slow. Fewer
    /// than `crowd_min` stay in the order of their slots, which is nearly that of memory.
    pub fn line_up(&mut self, crowd_min: usize) {
        if !std::mem::take(&mut self.have_moved) {
            return;
        }
        let is_crowd = self.seats.len() >= crowd_min;
        for seat in &mut self.seats {
            seat.place = seat.session.view.active().filter(|_| is_crowd).map_or(0, place);
        }
        self.seats.sort_unstable_by_key(|seat| (seat.place, seat.connection.slot));
        for (at, seat) in self.seats.iter().enumerate() {
            self.seat_of[seat.connection.slot as usize] = Some(at as u32);
        }
    }
}

/// Chunks in the order of a Z curve: what is near in the world is near in it, most of the time.
fn place(chunk: ChunkCoord) -> u64 {
    let spread = |axis: i32| {
        let halves = [(16, 0x0000_ffff_0000_ffff), (8, 0x00ff_00ff_00ff_00ff), (4, 0x0f0f_0f0f_0f0f_0f0f)];
        let pairs = [(2, 0x3333_3333_3333_3333), (1, 0x5555_5555_5555_5555)];
        // From the least to the greatest: negative ones come first.
        let from_least = u64::from(axis.wrapping_sub(i32::MIN) as u32);
        halves.into_iter().chain(pairs).fold(from_least, |bits, (by, mask)| (bits | bits << by) & mask)
    };
    spread(chunk.cx) | spread(chunk.cz) << 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::Carrier;

    fn id(slot: u32, generation: u32) -> ConnectionId {
        ConnectionId { slot, generation, carrier: Carrier::Udp }
    }

    fn session(slot: u32, generation: u32) -> Session {
        let rules = crate::config::Config::default().rules(0);
        Session::new(Instant::ZERO, id(slot, generation), 7, &rules)
    }

    #[test]
    fn a_session_of_an_earlier_generation_is_nobody() {
        let mut sessions = Sessions::default();
        assert!(sessions.insert(session(3, 2)).is_none());
        assert!(sessions.get_mut(id(3, 1)).is_none());
        assert!(sessions.remove(id(3, 1)).is_none());
        assert_eq!(sessions.len(), 1);
        assert!(sessions.remove(id(3, 2)).is_some());
        assert_eq!((sessions.len(), sessions.iter().count()), (0, 0));
    }

    #[test]
    fn a_slot_used_again_gives_the_old_client_back() {
        let mut sessions = Sessions::default();
        sessions.insert(session(0, 1));
        assert_eq!(sessions.insert(session(0, 2)).unwrap().connection.generation, 1);
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn neighbours_are_side_by_side_and_still_found_by_their_slots() {
        let mut sessions = Sessions::default();
        let places = [(-1, -1), (700, 3), (0, 0), (-1, 0), (701, 3), (-700, -9), (0, -1)];
        for (slot, (cx, cz)) in places.into_iter().enumerate() {
            let mut session = session(slot as u32, 1);
            session.view.enter(ninefold_world::Topology::Plane, ChunkCoord { cx, cz });
            sessions.insert(session);
        }
        let mut lined_up = |crowd_min| {
            sessions.note_moved();
            sessions.line_up(crowd_min);
            sessions.iter_mut().map(|s| s.connection.slot).collect::<Vec<_>>()
        };
        assert_eq!(lined_up(7), [5, 0, 6, 3, 2, 1, 4]);
        assert_eq!(lined_up(8), [0, 1, 2, 3, 4, 5, 6]);
        assert!(sessions.remove(id(6, 1)).is_some() && sessions.look(6).is_none());
        let slots: Vec<_> = sessions.iter().map(|s| s.connection.slot).collect();
        assert_eq!(slots, [0, 1, 2, 3, 4, 5]);
        assert!(slots.iter().all(|slot| sessions.in_slot(*slot as usize).unwrap().connection.slot == *slot));
    }

    #[test]
    fn the_curve_keeps_every_chunk_apart() {
        let ends = [i32::MIN, -1, 0, 1, i32::MAX];
        let mut places: Vec<_> =
            ends.iter().flat_map(|cx| ends.map(|cz| place(ChunkCoord { cx: *cx, cz }))).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 25);
        assert_eq!([places[0], places[24]], [0, u64::MAX]);
    }

    #[test]
    fn a_receipt_knows_the_snapshots_tick_and_the_fragments() {
        let tokens = [Token { sending: 7, index: 0 }, Token { sending: u32::MAX, index: 383 }];
        let both = Receipt::default().with_snapshot(5_000_000_005).with_fragment(tokens[0]);
        assert_eq!(both.snapshot(5_000_000_020), Some(5_000_000_005));
        assert_eq!(both.fragments().collect::<Vec<_>>(), tokens[..1]);
        assert_eq!(both.with_fragment(tokens[1]).fragments().collect::<Vec<_>>(), tokens);
        let early = Receipt::default().with_snapshot((1 << 32) - 1);
        assert_eq!((early.snapshot((1 << 32) + 9), early.fragments().count()), (Some((1 << 32) - 1), 0));
        assert_eq!(Receipt::default().snapshot(9), None);
        assert_eq!(size_of::<Option<Receipt>>(), 16);
    }
}
