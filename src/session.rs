//! The clients: one dense slot each, the same slot that the carrier uses.

use std::num::NonZeroU32;

use hecs::Entity;
use ninefold_protocol::frame::Message;
use ninefold_protocol::link::Link;
use ninefold_protocol::time::Instant;
use ninefold_world::{ChunkCoord, Mover, Position};

use crate::carrier::ConnectionId;
use crate::happened::Events;
use crate::inputs::InputBuffer;
use crate::rules::Rules;
use crate::sending::Token;
use crate::snapshots::SentSnapshots;
use crate::telemetry::{ClientCost, Counters};
use crate::view::View;

/// One client.
#[derive(Debug)]
pub struct Session {
    // who
    /// Its session at the carrier.
    pub connection: ConnectionId,
    /// Chunk fragments that its carrier wants in a tick at most.
    pub carrier_room: usize,
    /// What its token calls it.
    pub client_id: u64,
    /// How far it has come.
    pub stage: Stage,
    // the conversation
    /// The link.
    pub link: Link<Receipt>,
    /// Packets taken this tick.
    pub packets_this_tick: u32,
    /// Requests for chunks taken this tick.
    pub requests_this_tick: u32,
    // the player
    /// Its inputs that wait for their tick.
    pub inputs: InputBuffer,
    /// Ticks since an input was there to be taken.
    pub silent_ticks: u32,
    /// What the game made for it.
    pub entity: Option<Entity>,
    /// Where it is and how it falls, as its entity's body has it after the inputs of this tick.
    pub mover: Mover,
    /// Where it is heading: the wish of its last step.
    pub heading: (f64, f64),
    // the world around it
    /// What it has of the world.
    pub view: View,
    /// Chunks that it said it would offer and has not yet, and until when they are waited for.
    pub offers_awaited: (u16, Instant),
    // what it is told of
    /// Snapshots that it was sent.
    pub snapshots: SentSnapshots,
    /// Ticks for which snapshots are still repeated after the last change in its ring.
    pub repeats_left: u32,
    /// What happened around it.
    pub events: Events,
    // what it costs
    /// Time and bytes.
    pub cost: ClientCost,
}

/// What a packet carried, to know what its acknowledgement means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The low half of the tick whose snapshot it was.
    snapshot: Option<NonZeroU32>,
    fragment: Option<Token>,
}

impl Receipt {
    /// It carried the snapshot of this tick. There is a receipt for each packet in flight, so it is short: at one tick in
    /// two years a snapshot is as good as lost.
    pub fn with_snapshot(self, tick: u64) -> Receipt {
        Receipt { snapshot: NonZeroU32::new(tick as u32), ..self }
    }

    /// It carried this fragment of a chunk.
    pub fn with_fragment(self, token: Token) -> Receipt {
        Receipt { fragment: Some(token), ..self }
    }

    /// The fragment that it carried.
    pub fn fragment(&self) -> Option<Token> {
        self.fragment
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
            connection,
            carrier_room: usize::MAX,
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

    /// Whether it is in the world.
    pub fn is_playing(&self) -> bool {
        self.stage == Stage::Playing
    }
}

/// All clients by slot.
#[derive(Debug, Default)]
pub struct Sessions {
    slots: Vec<Option<Box<Session>>>,
    count: usize,
}

impl Sessions {
    /// Clients.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Slots, used or not.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Takes a client in; one that was left in its slot comes back.
    pub fn insert(&mut self, session: Session) -> Option<Session> {
        let slot = session.connection.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.count += 1;
        let old = self.slots[slot].replace(Box::new(session));
        self.count -= usize::from(old.is_some());
        old.map(|session| *session)
    }

    /// Takes a client out.
    pub fn remove(&mut self, connection: ConnectionId) -> Option<Session> {
        self.get_mut(connection)?;
        self.count -= 1;
        self.slots[connection.slot as usize].take().map(|session| *session)
    }

    /// The client of this very session.
    pub fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut Session> {
        self.slots.get_mut(connection.slot as usize)?.as_deref_mut().filter(|s| s.connection == connection)
    }

    /// The client in a slot.
    pub fn in_slot(&mut self, slot: usize) -> Option<&mut Session> {
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    /// The client in a slot, to look at.
    pub fn look(&self, slot: usize) -> Option<&Session> {
        self.slots.get(slot)?.as_deref()
    }

    /// All clients, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().flatten().map(|s| s.as_ref())
    }

    /// All clients, in the order of their slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().flatten().map(|s| s.as_mut())
    }
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
    fn a_receipt_knows_the_snapshots_tick_and_the_fragment() {
        let token = Token { sending: 7, index: 3 };
        let both = Receipt::default().with_snapshot(5_000_000_005).with_fragment(token);
        assert_eq!((both.snapshot(5_000_000_020), both.fragment()), (Some(5_000_000_005), Some(token)));
        let early = Receipt::default().with_snapshot((1 << 32) - 1);
        assert_eq!((early.snapshot((1 << 32) + 9), early.fragment()), (Some((1 << 32) - 1), None));
        assert_eq!(Receipt::default().snapshot(9), None);
        assert_eq!(size_of::<Option<Receipt>>(), 16);
    }
}
