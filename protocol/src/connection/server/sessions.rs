//! The clients that are in: their keys, their packets, their timers.
//!
//! One thread may serve them all, or several a shard each. Only the first has the way in: a [`super::Server`], whose
//! own sessions these are, too. Another shard has sessions alone. It takes over those whom the first let in on its socket
//! ([`Sessions::adopt`]), and says who has gone; what it knows no session for is the first one's to judge.

use std::collections::VecDeque;
use std::net::SocketAddr;

use ahash::RandomState;

use super::slots::{Occupant, Session, Slots};
use super::{DisconnectReason, Event, Received, ServerConfig, Shard};
use crate::connection::counters::Counters;
use crate::connection::crypto::{Cipher, Key, Tag};
use crate::connection::limits::{
    ANSWER_LEN_MAX, DATAGRAM_LEN_MAX, EVENTS_MAX, FAREWELLS, FAREWELLS_WAITING_MIN, KEEP_ALIVE, KEY_LEN,
    PACKET_OVERHEAD, PACKETS_PER_CLIENT_BURST, PACKETS_PER_CLIENT_S, PAYLOAD_LEN_MAX, REQUEST_LEN,
};
use crate::connection::packet::{Kind, Sealed, seal};
use crate::connection::rate::Rate;
use crate::connection::sequence::{SessionSequence, WallClock};
use crate::connection::{SealError, Transmit};
use crate::time::{Duration, Instant};

/// Timers are looked at no more often than this; a keep-alive leaves at most this much late.
const TIMER_STEP: Duration = Duration::from_ms(10);
/// What is taken of one client.
const PACKETS: Rate = Rate::new(PACKETS_PER_CLIENT_S, PACKETS_PER_CLIENT_BURST);
const NEVER: Instant = Instant::from_us(u64::MAX);

/// What is fetched from memory, step by step: [`Sessions::fetch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// The session.
    Session,
    /// What it leads to that chooses the key.
    Extensions,
    /// The key.
    Key,
}

/// The sessions of one thread. After [`Sessions::handle`] and [`Sessions::handle_timeout`], drain
/// [`Sessions::poll_event`] and [`Sessions::poll_transmit`].
pub struct Sessions {
    pub(super) protocol_id: u64,
    pub(super) clients_max: u32,
    pub(super) clock: WallClock,
    /// Seals challenges, each under a number of its own.
    pub(super) challenge: Cipher,
    pub(super) challenge_sequence: u64,
    pub(super) slots: Slots,
    /// What happened, and whose token it concerns.
    pub(super) events: VecDeque<(Tag, Event)>,
    pub(super) answers: VecDeque<Answer>,
    /// Slots whose sessions say that a keep-alive waits; others in here have ended since.
    keep_alives: VecDeque<u32>,
    farewells: VecDeque<Farewell>,
    pub(super) next_timers: Instant,
    pub(super) counters: Counters,
}

/// A packet for someone without a slot.
pub(super) struct Answer {
    pub to: SocketAddr,
    pub length: u16,
    pub bytes: [u8; ANSWER_LEN_MAX],
}

/// The last words to somebody who has no slot any more.
struct Farewell {
    to: SocketAddr,
    send: Cipher,
    sequence: SessionSequence,
    left: u8,
}

/// A session on its way to the shard that is to serve it.
pub struct Newcomer(pub(super) Box<Session>);

impl std::fmt::Debug for Newcomer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Newcomer(client {} at {})", self.0.client_id, self.0.address)
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sessions({})", self.connected())
    }
}

impl Sessions {
    /// A shard without sessions, of a server that was told the same. Its keys are fresh random bytes of its own: no two
    /// shards may seal challenges with one key.
    pub fn new(config: &ServerConfig, challenge_key: [u8; KEY_LEN], hash_seed: [u8; KEY_LEN]) -> Self {
        let slots = Slots::told(config.clients_max, hasher(&hash_seed));
        Sessions::with_slots(config, challenge_key, slots)
    }

    /// Those of the first shard.
    pub(super) fn of_first(config: &ServerConfig) -> Self {
        let slots = Slots::new(config.clients_max, hasher(&config.hash_seed));
        Sessions::with_slots(config, config.challenge_key, slots)
    }

    fn with_slots(config: &ServerConfig, challenge_key: [u8; KEY_LEN], slots: Slots) -> Self {
        Sessions {
            protocol_id: config.protocol_id,
            clients_max: config.clients_max,
            clock: WallClock::new(config.unix_s_at_origin),
            challenge: Cipher::new(&Key(challenge_key)),
            challenge_sequence: 0,
            slots,
            events: VecDeque::new(),
            answers: VecDeque::new(),
            keep_alives: VecDeque::new(),
            farewells: VecDeque::new(),
            next_timers: NEVER,
            counters: Counters::default(),
        }
    }

    /// Clients with a slot.
    pub fn connected(&self) -> usize {
        self.slots.count()
    }

    /// The counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// When [`Sessions::handle_timeout`] has something to do.
    pub fn next_deadline(&self) -> Instant {
        self.next_timers
    }

    /// Takes one datagram that came to the socket of a shard which is not the first; it is decrypted in place, unless it is
    /// for [`Received::Elsewhere`].
    ///
    /// Who stays at its address stays with its shard. So what is not named and has no session here has none anywhere, and
    /// only ways in and named packets, whose client may have moved, are the first one's to judge.
    pub fn handle<'a>(&mut self, now: Instant, from: SocketAddr, datagram: &'a mut [u8]) -> Received<'a> {
        if self.is_congested() {
            return Received::Nothing;
        }
        if datagram.first() == Some(&(Kind::Request as u8)) {
            if datagram.len() == REQUEST_LEN {
                return Received::Elsewhere(Shard::FIRST);
            }
            self.counters.malformed += 1;
            return Received::Nothing;
        }
        self.handle_packet(now, from, datagram, Some(Shard::FIRST))
    }

    /// Takes one datagram that the first has handed to this shard, whose session it says that it is for.
    pub fn handle_handed<'a>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &'a mut [u8],
    ) -> Received<'a> {
        if self.is_congested() {
            return Received::Nothing;
        }
        self.handle_packet(now, from, datagram, None)
    }

    /// `asked` is who may know of a session that is not here.
    fn handle_packet<'a>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &'a mut [u8],
        asked: Option<Shard>,
    ) -> Received<'a> {
        let asked_len = datagram.len();
        let Some(sealed) = Sealed::parse(datagram) else {
            self.counters.malformed += 1;
            return Received::Nothing;
        };
        // Whoever is at that address now, a response may be somebody's on the way in.
        let is_response = sealed.kind == Kind::Response;
        match self.find(from, &sealed).filter(|_| !is_response) {
            _ if !sealed.kind.is_of_clients() => self.counters.unexpected += 1,
            Some(slot) => return self.take(now, slot, from, asked_len, sealed),
            None => match asked.filter(|_| is_response || sealed.connection_id.is_some()) {
                Some(shard) => return Received::Elsewhere(shard),
                None => self.counters.from_nobody += 1,
            },
        }
        Received::Nothing
    }

    /// Whether so much waits to be polled that nothing more is taken; if so, one datagram is counted as lost.
    pub(super) fn is_congested(&mut self) -> bool {
        if self.events.len() < EVENTS_MAX {
            return false;
        }
        self.counters.events_over_limit += 1;
        true
    }

    /// The slot that a packet is for.
    pub(super) fn find(&self, from: SocketAddr, sealed: &Sealed<'_>) -> Option<u32> {
        match &sealed.connection_id {
            Some(id) => self.slots.of_connection_id(id),
            None => self.slots.of_address(from),
        }
    }

    /// NETCODE 1.02, Connected Clients.
    pub(super) fn take<'a>(
        &mut self,
        now: Instant,
        slot: u32,
        from: SocketAddr,
        asked_len: usize,
        sealed: Sealed<'a>,
    ) -> Received<'a> {
        let Some(session) = self.slots.get_mut(slot) else { return self.elsewhere(slot) };
        let (kind, sequence) = (sealed.kind, sealed.sequence);
        if session.replay.is_stale(sequence) {
            self.counters.replayed += 1;
            return Received::Nothing;
        }
        // What others send in its name is not held against it: only what it sealed is counted.
        if !PACKETS.allows(session.packets, now) {
            self.counters.packets_over_limit += 1;
            return Received::Nothing;
        }
        let Some(cipher) = session.opener(kind) else {
            self.counters.unexpected += 1;
            return Received::Nothing;
        };
        let Some(body) = sealed.open(cipher, self.protocol_id) else {
            self.counters.forged += 1;
            return Received::Nothing;
        };
        let has_moved = from != session.address && session.replay.is_newest(sequence);
        session.replay.enter(sequence);
        PACKETS.take(&mut session.packets, now);
        session.shown(kind);
        if kind.unnamed() == Kind::Disconnect {
            self.counters.left += 1;
            self.end(slot, DisconnectReason::ByPeer, false);
            return Received::Nothing;
        }
        session.received_at = now;
        session.is_confirmed = true;
        if kind == Kind::PathResponse {
            self.handle_path_response(now, slot, from, body);
            return Received::Nothing;
        }
        if has_moved {
            self.challenge_path(now, slot, from, asked_len);
        }
        match kind.unnamed() {
            Kind::Payload | Kind::AesPayload => Received::Payload { slot, bytes: body },
            _ => Received::Nothing,
        }
    }

    /// Who is to judge a packet for a slot without a session here.
    fn elsewhere<'a>(&mut self, slot: u32) -> Received<'a> {
        if let Some(seat) = self.slots.seat(slot) {
            return Received::Elsewhere(seat.shard);
        }
        self.counters.from_nobody += 1;
        Received::Nothing
    }

    /// Ends sessions that have fallen silent, finds who needs a keep-alive.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_timers {
            self.look_at_timers(now, NEVER);
        }
    }

    /// The same whether it is time or not; `others_at` is when somebody else's timer is due.
    pub(super) fn look_at_timers(&mut self, now: Instant, others_at: Instant) {
        let mut from = 0;
        while let Some(slot) = self.slots.next_due(from, now) {
            from = slot + 1;
            let Some(session) = self.slots.get(slot) else { continue };
            let is_silent = now >= session.ends_at();
            let is_quiet = now.since(session.sent_at) >= session.keep_alive();
            if is_silent {
                self.counters.timed_out += 1;
                self.end(slot, DisconnectReason::TimedOut, false);
            } else {
                if is_quiet {
                    self.queue_keep_alive(slot);
                }
                self.slots.settle(slot);
            }
        }
        self.next_timers = self.slots.first_due_at().min(others_at).max(now + TIMER_STEP);
    }

    /// Something is due at `at`.
    pub(super) fn wake_at(&mut self, at: Instant) {
        self.next_timers = self.next_timers.min(at);
    }

    /// The next going or move. Comings are the first one's to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front().map(|(_, event)| event)
    }

    /// Takes over a session in a slot that is free here, and tells its client that it is in.
    pub fn adopt(&mut self, now: Instant, slot: u32, newcomer: Newcomer) {
        let Newcomer(session) = newcomer;
        // Who has come back is not to hear that its last session is over.
        self.farewells.retain(|farewell| farewell.to != session.address);
        self.slots.put(slot, session);
        self.greet(now, slot);
    }

    /// A session has begun: its client is told.
    pub(super) fn greet(&mut self, now: Instant, slot: u32) {
        self.queue_keep_alive(slot);
        self.wake_at(now + KEEP_ALIVE);
    }

    /// Ends a session whose slot is no longer its own, which nobody needs to be told but its client.
    pub fn evict(&mut self, slot: u32) {
        if let Some(Occupant::Session(session)) = self.slots.remove(slot) {
            self.bid_farewell(*session);
        }
    }

    /// The next packet that the connection itself has to send, written to the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`DATAGRAM_BYTES_MAX`](crate::connection::DATAGRAM_BYTES_MAX).
    pub fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
        assert!(out.len() >= DATAGRAM_LEN_MAX, "room for a datagram, not {} bytes", out.len());
        if let Some(answer) = self.answers.pop_front() {
            let bytes = usize::from(answer.length);
            out[..bytes].copy_from_slice(&answer.bytes[..bytes]);
            return Some(Transmit { to: answer.to, bytes });
        }
        let protocol_id = self.protocol_id;
        while let Some(farewell) = self.farewells.front_mut() {
            let sequence = farewell.sequence.take().filter(|_| farewell.left > 0);
            let Some(sequence) = sequence else {
                self.farewells.pop_front();
                continue;
            };
            farewell.left -= 1;
            let bytes = seal(Kind::Disconnect, sequence, &farewell.send, protocol_id, &[], out);
            return Some(Transmit { to: farewell.to, bytes });
        }
        while let Some(slot) = self.keep_alives.pop_front() {
            let Some(session) = self.slots.get_mut(slot).filter(|s| s.keep_alive_waits) else { continue };
            session.keep_alive_waits = false;
            let Some(sequence) = session.sequence.take() else { continue };
            session.sent_at = now;
            let [index, clients_max] = [slot, self.clients_max].map(u32::to_le_bytes);
            let bytes =
                seal(Kind::KeepAlive, sequence, &session.send, protocol_id, &[&index, &clients_max], out);
            return Some(Transmit { to: session.address, bytes });
        }
        None
    }

    /// Seals one payload to the front of `out`; its `parts` are put together there, copied once.
    ///
    /// Until the client has shown that it knows of its slot, each payload also has a keep-alive queued for
    /// [`Sessions::poll_transmit`], at most one at a time: without having seen one, the client would drop it.
    pub fn seal(
        &mut self,
        now: Instant,
        slot: u32,
        parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<(SocketAddr, usize), SealError> {
        let session = self.slots.get_mut(slot).ok_or(SealError::NotConnected)?;
        let length = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        if !(1..=PAYLOAD_LEN_MAX).contains(&length) {
            return Err(SealError::Length(length));
        }
        let (needed, room) = (length + PACKET_OVERHEAD, out.len());
        if room < needed {
            return Err(SealError::NoRoom { needed, room });
        }
        let sequence = session.sequence.take().ok_or(SealError::Exhausted)?;
        let address = session.address;
        let (kind, cipher) = session.payload_sealer();
        let bytes = seal(kind, sequence, cipher, self.protocol_id, parts, out);
        debug_assert_eq!(bytes, needed);
        session.sent_at = now;
        if !session.is_confirmed {
            self.queue_keep_alive(slot);
        }
        Ok((address, bytes))
    }

    /// Has what sealing for a client needs fetched from memory, without waiting for it. One step leads to the next, which
    /// is for later.
    pub fn fetch(&self, slot: u32, step: Fetch) {
        let Some(session) = self.slots.get(slot) else { return };
        match step {
            Fetch::Session => session.fetch(),
            Fetch::Extensions => session.fetch_extensions(),
            Fetch::Key => session.payload_sealer().1.fetch(),
        }
    }

    /// Says goodbye to a client; says whether there was one.
    pub fn disconnect(&mut self, slot: u32) -> bool {
        let is_there = self.slots.get(slot).is_some();
        if is_there {
            self.end(slot, DisconnectReason::ByServer, true);
        }
        is_there
    }

    /// Says goodbye to everybody.
    pub fn disconnect_all(&mut self) {
        for slot in 0..self.slots.extent() {
            self.disconnect(slot);
        }
    }

    fn queue_keep_alive(&mut self, slot: u32) {
        if let Some(session) = self.slots.get_mut(slot).filter(|s| !s.keep_alive_waits) {
            session.keep_alive_waits = true;
            // What has ended since must not fill the queue: a slot then stands in it more than once.
            if self.keep_alives.len() >= 2 * self.clients_max as usize {
                let slots = &self.slots;
                self.keep_alives.retain(|s| *s != slot && slots.get(*s).is_some_and(|s| s.keep_alive_waits));
            }
            self.keep_alives.push_back(slot);
        }
    }

    pub(super) fn end(&mut self, slot: u32, reason: DisconnectReason, says_farewell: bool) {
        let occupant = self.slots.remove(slot).expect("the caller found it there");
        let (tag, client_id) = (occupant.tag(), occupant.client_id());
        // A guest hears it from who serves it.
        if let Occupant::Session(session) = occupant
            && says_farewell
        {
            self.bid_farewell(*session);
        }
        self.events.push_back((tag, Event::Disconnected { slot, client_id, reason }));
    }

    fn bid_farewell(&mut self, session: Session) {
        let Session { address, send, sequence, .. } = session;
        self.farewells.push_back(Farewell { to: address, send, sequence, left: FAREWELLS });
        if self.farewells.len() > FAREWELLS_WAITING_MIN.max(self.clients_max as usize) {
            self.farewells.pop_front();
            self.counters.farewells_over_limit += 1;
        }
    }
}

/// Hashes that nobody outside can predict.
pub(super) fn hasher(seed: &[u8; KEY_LEN]) -> RandomState {
    let (words, _) = seed.as_chunks::<8>();
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| u64::from_le_bytes(words[i]));
    RandomState::with_seeds(a, b, c, d)
}
