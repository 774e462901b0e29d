//! Sessions in slots: dense indices that are used again, the lowest free one first. A slot may also be held
//! by a guest, whom another carrier serves.
//!
//! An address and a client id each lead to at most one session, in constant time, through hashes that
//! nobody outside can predict; those maps are never iterated. When a session next needs attention is kept
//! beside it in an array of its own: looking for what is due at ten thousand idle clients reads 80 KB.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::slice;

use ahash::{AHashMap, RandomState};
use prefetch_index::prefetch_index;

use super::Shard;
use super::roaming::Extended;
use crate::connection::crypto::{Cipher, Tag};
use crate::connection::extension::ConnectionIdBytes;
use crate::connection::rate::Spent;
use crate::connection::replay::ReplayWindow;
use crate::connection::sequence::SessionSequence;
use crate::time::{Duration, Instant};

/// A client that is in.
pub(super) struct Session {
    pub address: SocketAddr,
    pub client_id: u64,
    /// The token that it came with.
    pub tag: Tag,
    pub receive: Cipher,
    pub send: Cipher,
    pub sequence: SessionSequence,
    pub replay: ReplayWindow,
    /// Packets that were taken of it.
    pub packets: Spent,
    /// What its token allows beyond the standard.
    pub extended: Option<Box<Extended>>,
    /// `None` for a token that names no timeout.
    pub timeout: Option<Duration>,
    pub received_at: Instant,
    pub sent_at: Instant,
    /// The client has shown that it knows of its slot.
    pub is_confirmed: bool,
    /// A keep-alive waits to be sent.
    pub keep_alive_waits: bool,
}

impl Session {
    /// Has what sealing looks at, beside the key, fetched from memory.
    pub fn fetch(&self) {
        prefetch_index(slice::from_ref(&self.address), 0);
        prefetch_index(slice::from_ref(&self.extended), 0);
        prefetch_index(slice::from_ref(&self.sequence), 0);
        prefetch_index(slice::from_ref(&self.sent_at), 0);
    }

    /// The same for what chooses the key.
    pub fn fetch_extensions(&self) {
        self.extended.as_ref().inspect(|extended| extended.fetch());
    }

    /// When silence ends it.
    pub fn ends_at(&self) -> Instant {
        self.timeout.map_or(Instant::from_us(u64::MAX), |timeout| self.received_at + timeout)
    }

    pub fn connection_id(&self) -> Option<ConnectionIdBytes> {
        self.extended.as_ref()?.connection_id
    }

    /// When it next needs attention if nothing happens.
    fn due_at(&self) -> Instant {
        self.ends_at().min(self.sent_at + self.keep_alive())
    }
}

/// A client whom another carrier or shard serves. Its slot, its client id and its token are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    pub client_id: u64,
    /// The token that it came with.
    pub tag: Tag,
    /// Where its session is; `None`: with another carrier, and nothing that comes here is ever its.
    pub seat: Option<Seat>,
}

/// How the session of another shard is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub shard: Shard,
    pub address: SocketAddr,
    pub connection_id: Option<ConnectionIdBytes>,
}

/// Who has a slot.
pub(super) enum Occupant {
    Session(Box<Session>),
    Guest(Guest),
}

impl Occupant {
    pub fn client_id(&self) -> u64 {
        match self {
            Occupant::Session(session) => session.client_id,
            Occupant::Guest(guest) => guest.client_id,
        }
    }

    pub fn tag(&self) -> Tag {
        match self {
            Occupant::Session(session) => session.tag,
            Occupant::Guest(guest) => guest.tag,
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        match self {
            Occupant::Session(session) => Some(session.address),
            Occupant::Guest(guest) => Some(guest.seat?.address),
        }
    }

    fn connection_id(&self) -> Option<ConnectionIdBytes> {
        match self {
            Occupant::Session(session) => session.connection_id(),
            Occupant::Guest(guest) => guest.seat?.connection_id,
        }
    }
}

/// The sessions.
pub(super) struct Slots {
    occupants: Vec<Option<Occupant>>,
    /// Not later than [`Session::due_at`], often earlier: what is sent or received is not noted here.
    due: Vec<Instant>,
    /// `None` where another shard says who has which slot.
    free: Option<BinaryHeap<Reverse<u32>>>,
    count: usize,
    by_address: AHashMap<SocketAddr, u32>,
    by_client: AHashMap<u64, u32>,
    by_connection_id: AHashMap<ConnectionIdBytes, u32>,
    sessions_max: u32,
}

impl Slots {
    /// Slots that are given away here.
    pub fn new(sessions_max: u32, hasher: RandomState) -> Self {
        Slots { free: Some(BinaryHeap::new()), ..Slots::told(sessions_max, hasher) }
    }

    /// Slots that are given away by another shard: [`Slots::put`].
    pub fn told(sessions_max: u32, hasher: RandomState) -> Self {
        Slots {
            occupants: Vec::new(),
            due: Vec::new(),
            free: None,
            count: 0,
            by_address: AHashMap::with_hasher(hasher.clone()),
            by_client: AHashMap::with_hasher(hasher.clone()),
            by_connection_id: AHashMap::with_hasher(hasher),
            sessions_max,
        }
    }

    /// Sessions.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether every slot is taken.
    pub fn is_full(&self) -> bool {
        self.count() >= self.sessions_max as usize
    }

    /// Slots that were ever used: all sessions are in `0..extent`.
    pub fn extent(&self) -> u32 {
        self.occupants.len() as u32
    }

    pub fn is_taken(&self, slot: u32) -> bool {
        self.occupants.get(slot as usize).is_some_and(Option::is_some)
    }

    pub fn get(&self, slot: u32) -> Option<&Session> {
        match self.occupants.get(slot as usize)?.as_ref()? {
            Occupant::Session(session) => Some(session),
            Occupant::Guest(_) => None,
        }
    }

    pub fn guest(&self, slot: u32) -> Option<&Guest> {
        match self.occupants.get(slot as usize)?.as_ref()? {
            Occupant::Guest(guest) => Some(guest),
            Occupant::Session(_) => None,
        }
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Session> {
        match self.occupants.get_mut(slot as usize)?.as_mut()? {
            Occupant::Session(session) => Some(session),
            Occupant::Guest(_) => None,
        }
    }

    pub fn of_address(&self, address: SocketAddr) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    pub fn of_connection_id(&self, id: &ConnectionIdBytes) -> Option<u32> {
        self.by_connection_id.get(id).copied()
    }

    pub fn of_client(&self, client_id: u64) -> Option<u32> {
        self.by_client.get(&client_id).copied()
    }

    /// The slot's session, if another shard has it.
    pub fn seat(&self, slot: u32) -> Option<&Seat> {
        self.guest(slot)?.seat.as_ref()
    }

    /// Gives a session a slot. The caller has made room and ended what had its address or client id.
    pub fn insert(&mut self, session: Box<Session>) -> u32 {
        debug_assert_eq!((self.of_address(session.address), self.of_client(session.client_id)), (None, None));
        let slot = self.take_slot();
        self.occupy(slot, Occupant::Session(session));
        slot
    }

    /// Gives a guest a slot. The caller has made room and ended what had its client id.
    pub fn insert_guest(&mut self, guest: Guest) -> u32 {
        debug_assert_eq!(self.of_client(guest.client_id), None);
        let slot = self.take_slot();
        self.occupy(slot, Occupant::Guest(guest));
        slot
    }

    /// Puts a session where another shard's slots say that it belongs. Who has its address here has moved there, and
    /// is known by its connection id from now on.
    pub fn put(&mut self, slot: u32, session: Box<Session>) {
        debug_assert!(!self.is_taken(slot) && self.free.is_none());
        let extent = self.occupants.len().max(slot as usize + 1);
        self.occupants.resize_with(extent, || None);
        self.due.resize(extent, Instant::from_us(u64::MAX));
        self.occupy(slot, Occupant::Session(session));
    }

    fn occupy(&mut self, slot: u32, occupant: Occupant) {
        self.by_client.insert(occupant.client_id(), slot);
        if let Some(address) = occupant.address() {
            self.by_address.insert(address, slot);
        }
        // Should two have the same, which takes luck, the later one is known by its address alone.
        if let Some(id) = occupant.connection_id() {
            self.by_connection_id.entry(id).or_insert(slot);
        }
        // A guest's timers are those of who serves it.
        self.due[slot as usize] = match &occupant {
            Occupant::Session(session) => session.due_at(),
            Occupant::Guest(_) => Instant::from_us(u64::MAX),
        };
        self.occupants[slot as usize] = Some(occupant);
        self.count += 1;
    }

    fn take_slot(&mut self) -> u32 {
        debug_assert!(!self.is_full());
        self.free.as_mut().and_then(BinaryHeap::pop).map_or_else(
            || {
                self.occupants.push(None);
                self.due.push(Instant::ZERO);
                self.extent() - 1
            },
            |Reverse(slot)| slot,
        )
    }

    /// Frees a slot.
    pub fn remove(&mut self, slot: u32) -> Option<Occupant> {
        let occupant = self.occupants.get_mut(slot as usize)?.take()?;
        self.due[slot as usize] = Instant::from_us(u64::MAX);
        self.count -= 1;
        if let Some(address) = occupant.address() {
            self.unfile(slot, address);
        }
        if let Some(id) = occupant.connection_id().filter(|id| self.of_connection_id(id) == Some(slot)) {
            self.by_connection_id.remove(&id);
        }
        if self.of_client(occupant.client_id()) == Some(slot) {
            self.by_client.remove(&occupant.client_id());
        }
        if let Some(free) = &mut self.free {
            free.push(Reverse(slot));
        }
        Some(occupant)
    }

    /// Moves a session to another address; says whether it could. An address of a session that is known by
    /// nothing else stays that one's.
    pub fn move_to(&mut self, slot: u32, address: SocketAddr) -> bool {
        if self.is_of_nameless(address, slot) {
            return false;
        }
        let Some(session) = self.get_mut(slot) else { return false };
        let before = std::mem::replace(&mut session.address, address);
        self.unfile(slot, before);
        self.by_address.insert(address, slot);
        true
    }

    /// Notes that the session of another shard is at another address, which that shard has seen to; says whose it is and
    /// where it was.
    pub fn reseat(&mut self, slot: u32, address: SocketAddr) -> Option<(Tag, SocketAddr)> {
        let is_of_nameless = self.is_of_nameless(address, slot);
        let Some(Occupant::Guest(guest)) = self.occupants.get_mut(slot as usize)? else { return None };
        let before = std::mem::replace(&mut guest.seat.as_mut()?.address, address);
        let tag = guest.tag;
        self.unfile(slot, before);
        // Two shards may have one address each for its own; here it stays with who is known by nothing else.
        if !is_of_nameless {
            self.by_address.insert(address, slot);
        }
        Some((tag, before))
    }

    /// Whether an address is that of another session which is known by nothing else.
    fn is_of_nameless(&self, address: SocketAddr, slot: u32) -> bool {
        let other = self.of_address(address).filter(|other| *other != slot);
        let occupant = other.and_then(|other| self.occupants[other as usize].as_ref());
        occupant.is_some_and(|other| other.connection_id().is_none())
    }

    /// An address leads to this slot no longer. Another session may have been found there since.
    fn unfile(&mut self, slot: u32, address: SocketAddr) {
        if self.of_address(address) == Some(slot) {
            self.by_address.remove(&address);
        }
    }

    /// The first slot at or behind `from` that may need attention.
    pub fn next_due(&self, from: u32, now: Instant) -> Option<u32> {
        let rest = self.due.get(from as usize..)?;
        rest.iter().position(|due| *due <= now).map(|index| from + index as u32)
    }

    /// Notes when a slot needs attention, after it has had some.
    pub fn settle(&mut self, slot: u32) {
        let due_at = self.get(slot).map(Session::due_at);
        if let Some(due_at) = due_at {
            self.due[slot as usize] = due_at;
        }
    }

    /// When the first slot may need attention.
    pub fn first_due_at(&self) -> Instant {
        self.due.iter().copied().min().unwrap_or(Instant::from_us(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::crypto::Key;
    use crate::connection::extension::Extensions;
    use crate::connection::limits::KEEP_ALIVE;
    use crate::connection::sequence::WallClock;

    fn session(client_id: u64, port: u16, now: Instant) -> Box<Session> {
        Box::new(Session {
            address: SocketAddr::from(([10, 0, 0, 1], port)),
            client_id,
            tag: [0; 16],
            receive: Cipher::new(&Key([1; 32])),
            send: Cipher::new(&Key([2; 32])),
            sequence: SessionSequence::new(WallClock::new(0), now),
            replay: ReplayWindow::new(),
            packets: Spent::default(),
            extended: None,
            timeout: Some(Duration::from_secs(5)),
            received_at: now,
            sent_at: now,
            is_confirmed: false,
            keep_alive_waits: false,
        })
    }

    fn slots(sessions_max: u32) -> Slots {
        Slots::new(sessions_max, RandomState::with_seeds(1, 2, 3, 4))
    }

    #[test]
    fn the_lowest_free_slot_is_used_again() {
        let mut slots = slots(4);
        for n in 0..4 {
            assert_eq!(slots.insert(session(u64::from(n), n, Instant::ZERO)), u32::from(n));
        }
        assert!(slots.is_full());
        for slot in [2, 0, 3] {
            assert_eq!(slots.remove(slot).unwrap().client_id(), u64::from(slot));
            assert!(slots.remove(slot).is_none());
        }
        assert_eq!(
            (slots.insert(session(8, 8, Instant::ZERO)), slots.insert(session(9, 9, Instant::ZERO))),
            (0, 2)
        );
        assert_eq!((slots.count(), slots.extent()), (3, 4));
    }

    #[test]
    fn address_and_client_lead_to_the_session_and_end_with_it() {
        let mut slots = slots(4);
        let slot = slots.insert(session(42, 1, Instant::ZERO));
        let address = slots.get(slot).unwrap().address;
        assert_eq!((slots.of_address(address), slots.of_client(42)), (Some(slot), Some(slot)));
        slots.remove(slot);
        assert_eq!((slots.of_address(address), slots.of_client(42)), (None, None));
    }

    /// A session that has a connection id, made of `key`.
    fn roaming(client_id: u64, port: u16, key: u8) -> Box<Session> {
        let key = Key([key; 32]);
        let extended = Extended::new(Extensions::ALL, None, &key, &key);
        Box::new(Session { extended, ..*session(client_id, port, Instant::ZERO) })
    }

    #[test]
    fn a_session_that_moves_is_found_where_it_is_and_leaves_nothing() {
        let mut slots = slots(4);
        let slot = slots.insert(roaming(1, 1, 1));
        let id = slots.get(slot).unwrap().connection_id().unwrap();
        let [old, new] = [1, 2].map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        assert!(slots.move_to(slot, new));
        assert_eq!([slots.of_address(old), slots.of_address(new)], [None, Some(slot)]);
        assert_eq!(slots.of_connection_id(&id), Some(slot));
        slots.remove(slot);
        assert_eq!((slots.of_address(new), slots.of_connection_id(&id)), (None, None));
    }

    #[test]
    fn sessions_may_swap_addresses_unless_one_is_known_by_its_address_alone() {
        let mut slots = slots(4);
        let [a, b] = [slots.insert(roaming(1, 1, 1)), slots.insert(roaming(2, 2, 2))];
        let plain = slots.insert(session(3, 3, Instant::ZERO));
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert!(slots.move_to(a, at(2)) && slots.move_to(b, at(1)));
        assert_eq!([1, 2, 3].map(|port| slots.of_address(at(port))), [Some(b), Some(a), Some(plain)]);
        assert!(!slots.move_to(a, at(3)));
        assert_eq!(slots.get(a).unwrap().address, at(2));
        // Who was overtaken and then ends takes nobody's address along.
        assert!(slots.move_to(b, at(2)));
        slots.remove(a);
        assert_eq!(slots.of_address(at(2)), Some(b));
    }

    #[test]
    fn a_session_of_another_shard_is_found_where_it_moved_unless_somebody_is_known_by_that_address_alone() {
        let mut slots = slots(4);
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let seat = Seat { shard: Shard(2), address: at(1), connection_id: Some([7; 6]) };
        let guest = slots.insert_guest(Guest { client_id: 1, tag: [9; 16], seat: Some(seat) });
        let plain = slots.insert(session(2, 2, Instant::ZERO));
        assert_eq!((slots.of_address(at(1)), slots.of_connection_id(&[7; 6])), (Some(guest), Some(guest)));
        assert_eq!(slots.reseat(guest, at(3)), Some(([9; 16], at(1))));
        assert_eq!([1, 2, 3].map(|port| slots.of_address(at(port))), [None, Some(plain), Some(guest)]);
        assert_eq!(slots.reseat(guest, at(2)), Some(([9; 16], at(3))));
        assert_eq!([1, 2, 3].map(|port| slots.of_address(at(port))), [None, Some(plain), None]);
        assert_eq!((slots.seat(guest).unwrap().address, slots.reseat(plain, at(4))), (at(2), None));
        slots.remove(guest);
        assert_eq!((slots.of_connection_id(&[7; 6]), slots.of_address(at(2))), (None, Some(plain)));
        assert_eq!((slots.by_address.len(), slots.count()), (1, 1));
    }

    #[test]
    fn two_with_the_same_connection_id_stay_apart() {
        let mut slots = slots(4);
        let [a, b] = [slots.insert(roaming(1, 1, 1)), slots.insert(roaming(2, 2, 1))];
        let id = slots.get(a).unwrap().connection_id().unwrap();
        slots.remove(b);
        assert_eq!(slots.of_connection_id(&id), Some(a));
    }

    #[test]
    fn a_guest_has_a_slot_and_a_client_id_and_is_never_found_as_a_session() {
        let mut slots = slots(2);
        let guest = slots.insert_guest(Guest { client_id: 42, tag: [9; 16], seat: None });
        let session = slots.insert(session(7, 1, Instant::ZERO));
        assert!(slots.is_full());
        assert_eq!((slots.of_client(42), slots.guest(guest).map(|g| g.client_id)), (Some(guest), Some(42)));
        assert!(slots.get(guest).is_none() && slots.get_mut(guest).is_none());
        assert!(slots.guest(session).is_none());
        assert_ne!(slots.next_due(0, Instant::from_us(u64::MAX - 1)), Some(guest));
        assert_eq!(slots.remove(guest).map(|o| o.tag()), Some([9; 16]));
        assert_eq!((slots.of_client(42), slots.count()), (None, 1));
    }

    #[test]
    fn what_is_due_is_found_and_settled() {
        let mut slots = slots(4);
        let now = Instant::from_us(1_000_000);
        for n in 0..3_u16 {
            slots.insert(session(u64::from(n), n, now + Duration::from_ms(u64::from(n))));
        }
        assert_eq!(slots.first_due_at(), now + KEEP_ALIVE);
        let later = now + KEEP_ALIVE + Duration::from_ms(1);
        assert_eq!((slots.next_due(0, later), slots.next_due(1, later)), (Some(0), Some(1)));
        assert_eq!((slots.next_due(2, later), slots.next_due(9, later)), (None, None));
        slots.get_mut(0).unwrap().sent_at = later;
        slots.settle(0);
        assert_eq!(slots.next_due(0, later), Some(1));
        slots.remove(1);
        assert_eq!(slots.next_due(0, later), None);
    }

    #[test]
    fn a_session_takes_less_than_two_kibibytes() {
        assert!(size_of::<Session>() <= 2_048, "{}", size_of::<Session>());
    }
}
