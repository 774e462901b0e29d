//! The server's side of NETCODE 1.02.
//!
//! ```text
//!   request  (private token, sealed by the matchmaker)   ->  challenge, and the keys are kept a while
//!   response (the challenge repeated, sealed with a key) ->  a slot, keep-alive
//!   payload, keep-alive                                  <-> payload, keep-alive
//!   disconnect or silence                                ->  the slot is free
//! ```
//!
//! Slots are dense indices that are used again; a datagram finds its slot by address in constant time.
//! An answer is never longer than its question. A token works from one address, for one session.

mod guests;
mod handshake;
mod handshakes;
mod roaming;
mod slots;
mod used_tokens;

use std::collections::VecDeque;
use std::net::SocketAddr;

use ahash::RandomState;

use self::handshakes::Handshakes;
pub(super) use self::roaming::slow_keep_alive;
use self::slots::{Occupant, Slots};
use self::used_tokens::UsedTokens;
use super::counters::Counters;
use super::crypto::{Cipher, Key};
use super::limits::{
    ANSWER_LEN_MAX, DATAGRAM_LEN_MAX, EVENTS_MAX, FAREWELLS, FAREWELLS_WAITING_MIN, FORGET_STEPS, KEY_LEN,
    PACKET_OVERHEAD, PACKETS_PER_CLIENT_BURST, PACKETS_PER_CLIENT_S, PAYLOAD_LEN_MAX, REQUESTS_BURST_S,
    REQUESTS_PER_NETWORK_S, USED_TOKENS_MIN, USED_TOKENS_PER_SLOT, USER_DATA_LEN,
};
use super::packet::{Kind, Sealed, seal};
use super::rate::{NetworkRates, Rate, Spent};
use super::sequence::{BeforeSlotSequence, SessionSequence, WallClock};
use super::{SealError, Transmit};
use crate::time::{Duration, Instant};

/// Timers are looked at no more often than this; a keep-alive leaves at most this much late.
const TIMER_STEP: Duration = Duration::from_ms(10);
/// What is taken of one client.
const PACKETS: Rate = Rate::new(PACKETS_PER_CLIENT_S, PACKETS_PER_CLIENT_BURST);
const NEVER: Instant = Instant::from_us(u64::MAX);

/// What a server is told at its start.
#[derive(Clone)]
pub struct ServerConfig {
    /// Which game and version of it.
    pub protocol_id: u64,
    /// The key that private tokens are sealed with.
    pub private_key: [u8; KEY_LEN],
    /// The server's addresses; a token must list one of them.
    pub public_addresses: Vec<SocketAddr>,
    /// Clients at once; further ones are denied.
    pub clients_max: u32,
    /// Seconds since the Unix epoch at [`Instant::ZERO`].
    pub unix_s_at_origin: u64,
    /// Fresh random bytes: challenges of another process are worthless.
    pub challenge_key: [u8; KEY_LEN],
    /// Fresh random bytes: nobody can choose addresses that collide.
    pub hash_seed: [u8; KEY_LEN],
    /// What the operator says of the way in.
    pub limits: HandshakeLimits,
}

/// What a server's operator knows better than its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// Requests from one IPv4 address or IPv6 /64 network whose private token is opened each second; four
    /// seconds' worth may come at once. Loopback is not limited.
    pub requests_per_network_s: u32,
    /// Seconds that every token lives from its making. A token that expires later than so far ahead is
    /// refused, and so is one that was made before the server started. 0: they live as they like, up to a
    /// day, and their making cannot be told.
    pub token_lifetime_s: u64,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        HandshakeLimits { requests_per_network_s: REQUESTS_PER_NETWORK_S, token_lifetime_s: 0 }
    }
}

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Nothing for the layer above; events may have come of it.
    Nothing,
    /// A packet from a connected client.
    Payload {
        /// Whose.
        slot: u32,
        /// Decrypted in place.
        bytes: &'a [u8],
    },
}

/// Who came and who went.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A client has a slot.
    Connected {
        /// Which.
        slot: u32,
        /// What its token calls it.
        client_id: u64,
        /// What the matchmaker had to say.
        user_data: Box<[u8; USER_DATA_LEN]>,
    },
    /// A session has followed its client to another address.
    Moved {
        /// Which.
        slot: u32,
        /// Where it was.
        from: SocketAddr,
        /// Where it is now.
        to: SocketAddr,
    },
    /// A slot is free again.
    Disconnected {
        /// Which.
        slot: u32,
        /// Who had it.
        client_id: u64,
        /// Why.
        reason: DisconnectReason,
    },
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectReason {
    /// Nothing came for as long as its token says.
    TimedOut,
    /// The client said goodbye.
    ByPeer,
    /// The same client, or another one from the same address, came with a new token.
    Replaced,
    /// We said goodbye.
    ByServer,
}

/// The server. After [`Server::handle`] and [`Server::handle_timeout`], drain [`Server::poll_event`] and
/// [`Server::poll_transmit`].
pub struct Server {
    config: ServerConfig,
    clock: WallClock,
    private_key: Key,
    challenge: Cipher,
    challenge_sequence: u64,
    before_slot: BeforeSlotSequence,
    slots: Slots,
    // who is on the way in
    handshakes: Handshakes,
    used: UsedTokens,
    started_unix_s: u64,
    requests: NetworkRates,
    request_opens: Spent,
    response_opens: Spent,
    // out
    events: VecDeque<Event>,
    answers: VecDeque<Answer>,
    /// Slots whose sessions say that a keep-alive waits; others in here have ended since.
    keep_alives: VecDeque<u32>,
    farewells: VecDeque<Farewell>,
    next_timers: Instant,
    counters: Counters,
}

/// A packet for someone without a slot.
struct Answer {
    to: SocketAddr,
    length: u16,
    bytes: [u8; ANSWER_LEN_MAX],
}

/// The last words to somebody who has no slot any more.
struct Farewell {
    to: SocketAddr,
    send: Cipher,
    sequence: SessionSequence,
    left: u8,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({} connected, {} on the way in)", self.connected(), self.handshakes.len())
    }
}

impl Server {
    /// A server without clients.
    pub fn new(config: ServerConfig, now: Instant) -> Self {
        let (words, _) = config.hash_seed.as_chunks::<8>();
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| u64::from_le_bytes(words[i]));
        let hasher = RandomState::with_seeds(a, b, c, d);
        let limits = config.limits;
        let burst = limits.requests_per_network_s.saturating_mul(REQUESTS_BURST_S);
        let requests = Rate::new(limits.requests_per_network_s, burst);
        let used_max = USED_TOKENS_MIN.max(USED_TOKENS_PER_SLOT * config.clients_max as usize);
        Server {
            clock: WallClock::new(config.unix_s_at_origin),
            private_key: Key(config.private_key),
            challenge: Cipher::new(&Key(config.challenge_key)),
            challenge_sequence: 0,
            before_slot: BeforeSlotSequence::new(),
            slots: Slots::new(config.clients_max, hasher.clone()),
            handshakes: Handshakes::new(hasher.clone()),
            used: UsedTokens::new(used_max, hasher.clone()),
            started_unix_s: WallClock::new(config.unix_s_at_origin).unix_s(now),
            requests: NetworkRates::new(requests, hasher),
            request_opens: Spent::default(),
            response_opens: Spent::default(),
            events: VecDeque::new(),
            answers: VecDeque::new(),
            keep_alives: VecDeque::new(),
            farewells: VecDeque::new(),
            next_timers: NEVER,
            counters: Counters::default(),
            config,
        }
    }

    /// Clients with a slot.
    pub fn connected(&self) -> usize {
        self.slots.count()
    }

    /// Handshakes under way.
    pub fn handshakes(&self) -> usize {
        self.handshakes.len()
    }

    /// The counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// When [`Server::handle_timeout`] has something to do.
    pub fn next_deadline(&self) -> Instant {
        self.next_timers
    }

    /// Takes one datagram; it is decrypted in place.
    pub fn handle<'a>(&mut self, now: Instant, from: SocketAddr, datagram: &'a mut [u8]) -> Received<'a> {
        if self.events.len() >= EVENTS_MAX {
            self.counters.events_over_limit += 1;
            return Received::Nothing;
        }
        if datagram.first() == Some(&(Kind::Request as u8)) {
            self.handle_request(now, from, datagram);
            return Received::Nothing;
        }
        let asked_len = datagram.len();
        let Some(sealed) = Sealed::parse(datagram) else {
            self.counters.malformed += 1;
            return Received::Nothing;
        };
        match sealed.kind {
            Kind::Response => self.handle_response(now, from, sealed),
            Kind::Request | Kind::Denied | Kind::Challenge | Kind::PathChallenge => {
                self.counters.unexpected += 1;
            }
            _ => return self.handle_sealed(now, from, asked_len, sealed),
        }
        Received::Nothing
    }

    /// NETCODE 1.02, Connected Clients.
    fn handle_sealed<'a>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        asked_len: usize,
        sealed: Sealed<'a>,
    ) -> Received<'a> {
        let slot = match &sealed.connection_id {
            Some(id) => self.slots.of_connection_id(id),
            None => self.slots.of_address(from),
        };
        let Some((slot, session)) = slot.and_then(|slot| Some((slot, self.slots.get_mut(slot)?))) else {
            self.counters.from_nobody += 1;
            return Received::Nothing;
        };
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
        let Some(body) = sealed.open(cipher, self.config.protocol_id) else {
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

    /// Ends sessions that have fallen silent, forgets handshakes and expired tokens, finds who needs a
    /// keep-alive.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.next_timers {
            return;
        }
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
        let (ended, first_end) = self.handshakes.forget_ended(now);
        self.counters.handshakes_expired += ended as u64;
        self.used.forget_expired(self.clock.unix_s(now), FORGET_STEPS);
        self.next_timers = self.slots.first_due_at().min(first_end.unwrap_or(NEVER)).max(now + TIMER_STEP);
    }

    /// The next coming or going.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next packet that the connection itself has to send, written to the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`DATAGRAM_BYTES_MAX`](super::DATAGRAM_BYTES_MAX).
    pub fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
        assert!(out.len() >= DATAGRAM_LEN_MAX, "room for a datagram, not {} bytes", out.len());
        if let Some(answer) = self.answers.pop_front() {
            let bytes = usize::from(answer.length);
            out[..bytes].copy_from_slice(&answer.bytes[..bytes]);
            return Some(Transmit { to: answer.to, bytes });
        }
        let protocol_id = self.config.protocol_id;
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
            let [index, clients_max] = [slot, self.config.clients_max].map(u32::to_le_bytes);
            let bytes =
                seal(Kind::KeepAlive, sequence, &session.send, protocol_id, &[&index, &clients_max], out);
            return Some(Transmit { to: session.address, bytes });
        }
        None
    }

    /// Seals one payload to the front of `out`; its `parts` are put together there, copied once.
    ///
    /// Until the client has shown that it knows of its slot, each payload also has a keep-alive queued for
    /// [`Server::poll_transmit`], at most one at a time: without having seen one, the client would drop it.
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
        let bytes = seal(kind, sequence, cipher, self.config.protocol_id, parts, out);
        debug_assert_eq!(bytes, needed);
        session.sent_at = now;
        if !session.is_confirmed {
            self.queue_keep_alive(slot);
        }
        Ok((address, bytes))
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
            if self.keep_alives.len() >= 2 * self.config.clients_max as usize {
                let slots = &self.slots;
                self.keep_alives.retain(|s| *s != slot && slots.get(*s).is_some_and(|s| s.keep_alive_waits));
            }
            self.keep_alives.push_back(slot);
        }
    }

    fn end(&mut self, slot: u32, reason: DisconnectReason, says_farewell: bool) {
        let occupant = self.slots.remove(slot).expect("the caller found it there");
        self.used.end(&occupant.tag());
        let client_id = occupant.client_id();
        // A guest hears it from its own carrier.
        if let Occupant::Session(session) = occupant
            && says_farewell
        {
            let slots::Session { address, send, sequence, .. } = *session;
            self.farewells.push_back(Farewell { to: address, send, sequence, left: FAREWELLS });
            if self.farewells.len() > FAREWELLS_WAITING_MIN.max(self.config.clients_max as usize) {
                self.farewells.pop_front();
                self.counters.farewells_over_limit += 1;
            }
        }
        self.events.push_back(Event::Disconnected { slot, client_id, reason });
    }
}
