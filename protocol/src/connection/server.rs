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
//! An answer is never longer than its question. A token works once: whoever answers its challenge
//! first has it, and after that session's end it is refused until it expires.

use std::collections::VecDeque;
use std::net::SocketAddr;

use ahash::{AHashMap, RandomState};

use super::counters::Counters;
use super::crypto::{Cipher, Key, Tag};
use super::limits::{
    ANSWER_LEN_MAX, ANSWERS_MAX, CHALLENGE_TOKEN_LEN, FAREWELLS, HANDSHAKE_TIME_MAX, HANDSHAKES_MAX,
    KEEP_ALIVE, KEY_LEN, PACKET_OVERHEAD, PAYLOAD_LEN_MAX, REQUEST_OPENS_MAX, REQUEST_WINDOW,
    TOKEN_LIFETIME_S_MAX, USED_TOKENS_MIN, USED_TOKENS_PER_SLOT, USER_DATA_LEN, VERSION,
};
use super::packet::{Kind, Request, Sealed, seal};
use super::replay::ReplayWindow;
use super::sequence::{BeforeSlotSequence, SessionSequence, WallClock};
use super::token::{ChallengeToken, PrivateToken, tag_of};
use super::{SealError, Transmit};
use crate::time::{Duration, Instant};

/// How often timers are looked at; a keep-alive leaves at most this much late.
const TIMER_STEP: Duration = Duration::from_ms(25);

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
    /// The same client came again with a new token.
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
    // sessions
    slots: Vec<Option<Box<Session>>>,
    free: Vec<u32>,
    by_address: AHashMap<SocketAddr, u32>,
    by_client: AHashMap<u64, u32>,
    // who is on the way in
    handshakes: AHashMap<SocketAddr, Box<Handshake>>,
    used: AHashMap<Tag, u64>,
    opens_left: u32,
    opens_until: Instant,
    // out
    events: VecDeque<Event>,
    answers: VecDeque<Answer>,
    keep_alives: VecDeque<u32>,
    farewells: VecDeque<Farewell>,
    next_timers: Instant,
    next_sweep: Instant,
    counters: Counters,
}

struct Keys {
    receive: Cipher,
    send: Cipher,
}

struct Handshake {
    client_id: u64,
    keys: Keys,
    timeout_s: i32,
    tag: Tag,
    expire_unix_s: u64,
    began_at: Instant,
}

struct Session {
    address: SocketAddr,
    client_id: u64,
    keys: Keys,
    sequence: SessionSequence,
    replay: ReplayWindow,
    /// `None` for a token that names no timeout.
    timeout: Option<Duration>,
    received_at: Instant,
    sent_at: Instant,
    /// The client has shown that it knows of its slot.
    is_confirmed: bool,
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
        Server {
            clock: WallClock::new(config.unix_s_at_origin),
            private_key: Key(config.private_key),
            challenge: Cipher::new(&Key(config.challenge_key)),
            challenge_sequence: 0,
            before_slot: BeforeSlotSequence::new(),
            slots: Vec::new(),
            free: Vec::new(),
            by_address: AHashMap::with_hasher(hasher.clone()),
            by_client: AHashMap::with_hasher(hasher.clone()),
            handshakes: AHashMap::with_hasher(hasher.clone()),
            used: AHashMap::with_hasher(hasher),
            opens_left: REQUEST_OPENS_MAX,
            opens_until: now + REQUEST_WINDOW,
            events: VecDeque::new(),
            answers: VecDeque::new(),
            keep_alives: VecDeque::new(),
            farewells: VecDeque::new(),
            next_timers: now + TIMER_STEP,
            next_sweep: now + HANDSHAKE_TIME_MAX,
            counters: Counters::default(),
            config,
        }
    }

    /// Clients with a slot.
    pub fn connected(&self) -> usize {
        self.slots.len() - self.free.len()
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
        if datagram.first() == Some(&(Kind::Request as u8)) {
            self.handle_request(now, from, datagram);
            return Received::Nothing;
        }
        let Some(sealed) = Sealed::parse(datagram) else {
            self.counters.malformed += 1;
            return Received::Nothing;
        };
        if sealed.kind == Kind::Response {
            self.handle_response(now, from, sealed);
            return Received::Nothing;
        }
        let Some(&slot) = self.by_address.get(&from) else {
            self.counters.from_nobody += 1;
            return Received::Nothing;
        };
        self.handle_sealed(now, slot, sealed)
    }

    /// Ends sessions that have fallen silent, forgets handshakes and expired tokens, finds who needs a
    /// keep-alive.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.next_timers {
            return;
        }
        self.next_timers = now + TIMER_STEP;
        if now >= self.opens_until {
            (self.opens_left, self.opens_until) = (REQUEST_OPENS_MAX, now + REQUEST_WINDOW);
        }
        for slot in 0..self.slots.len() as u32 {
            let Some(session) = &self.slots[slot as usize] else { continue };
            if session.timeout.is_some_and(|t| now.since(session.received_at) >= t) {
                self.counters.timed_out += 1;
                self.end(slot, DisconnectReason::TimedOut);
            } else if now.since(session.sent_at) >= KEEP_ALIVE {
                self.keep_alives.push_back(slot);
            }
        }
        self.handshakes.retain(|_, h| now.since(h.began_at) < HANDSHAKE_TIME_MAX);
        if now >= self.next_sweep {
            self.next_sweep = now + HANDSHAKE_TIME_MAX;
            let unix_s = self.clock.unix_s(now);
            self.used.retain(|_, expire_unix_s| *expire_unix_s > unix_s);
        }
    }

    /// The next coming or going.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next packet that the connection itself has to send, written to the front of `out`.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
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
            let clients_max = self.config.clients_max;
            let Some(session) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { continue };
            let Some(sequence) = session.sequence.take() else { continue };
            session.sent_at = now;
            let body = [slot.to_le_bytes(), clients_max.to_le_bytes()].concat();
            let bytes = seal(Kind::KeepAlive, sequence, &session.keys.send, protocol_id, &[&body], out);
            return Some(Transmit { to: session.address, bytes });
        }
        None
    }

    /// Seals one payload to the front of `out`; its `parts` are put together there, copied once.
    pub fn seal(
        &mut self,
        now: Instant,
        slot: u32,
        parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<(SocketAddr, usize), SealError> {
        let session = self.slots.get_mut(slot as usize).and_then(Option::as_mut);
        let session = session.ok_or(SealError::NotConnected)?;
        let length = parts.iter().map(|p| p.len()).sum();
        if !(1..=PAYLOAD_LEN_MAX).contains(&length) {
            return Err(SealError::Length(length));
        }
        let sequence = session.sequence.take().ok_or(SealError::Exhausted)?;
        // Until the client has shown that it knows of its slot, the timers go on telling it.
        if session.is_confirmed {
            session.sent_at = now;
        }
        let bytes = seal(Kind::Payload, sequence, &session.keys.send, self.config.protocol_id, parts, out);
        debug_assert_eq!(bytes, length + PACKET_OVERHEAD);
        Ok((session.address, bytes))
    }

    /// Says goodbye to a client; says whether there was one.
    pub fn disconnect(&mut self, slot: u32) -> bool {
        let is_there = self.slots.get(slot as usize).is_some_and(Option::is_some);
        if is_there {
            self.end(slot, DisconnectReason::ByServer);
        }
        is_there
    }

    /// Says goodbye to everybody.
    pub fn disconnect_all(&mut self) {
        for slot in 0..self.slots.len() as u32 {
            self.disconnect(slot);
        }
    }

    /// NETCODE 1.02, Processing Connection Requests: the cheap checks first.
    fn handle_request(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let Some(request) = Request::parse(datagram) else {
            self.counters.malformed += 1;
            return;
        };
        let unix_s = self.clock.unix_s(now);
        let Request { version, protocol_id, expire_unix_s, nonce, private_token } = request;
        if version != VERSION || protocol_id != self.config.protocol_id {
            self.counters.request_protocol += 1;
        } else if expire_unix_s <= unix_s || expire_unix_s > unix_s + TOKEN_LIFETIME_S_MAX {
            self.counters.request_expired += 1;
        } else if self.used.contains_key(&tag_of(private_token)) {
            self.counters.request_used_token += 1;
        } else if self.opens_left == 0 {
            self.counters.request_over_limit += 1;
        } else {
            self.opens_left -= 1;
            let tag = tag_of(private_token);
            let key = &self.private_key;
            match PrivateToken::open(private_token, key, protocol_id, expire_unix_s, &nonce) {
                Ok(token) => self.begin_handshake(now, from, token, tag, expire_unix_s),
                Err(_) => self.counters.request_forged += 1,
            }
        }
    }

    fn begin_handshake(
        &mut self,
        now: Instant,
        from: SocketAddr,
        token: PrivateToken,
        tag: Tag,
        expire_unix_s: u64,
    ) {
        if !token.server_addresses.iter().any(|a| self.config.public_addresses.contains(a)) {
            self.counters.request_other_server += 1;
            return;
        }
        let keys = Keys {
            receive: Cipher::new(&token.client_to_server),
            send: Cipher::new(&token.server_to_client),
        };
        if self.is_full_for(token.client_id) {
            self.counters.denied += 1;
            self.answer(now, from, Kind::Denied, &keys.send, &[]);
            return;
        }
        let again = self.handshakes.get(&from).is_some_and(|h| h.tag == tag);
        if !again && self.handshakes.len() >= HANDSHAKES_MAX {
            self.counters.handshakes_over_limit += 1;
            return;
        }
        let sequence = self.challenge_sequence;
        self.challenge_sequence += 1;
        let challenge = ChallengeToken { client_id: token.client_id, user_data: token.user_data };
        let sealed = challenge.seal(&self.challenge, sequence);
        self.answer(now, from, Kind::Challenge, &keys.send, &[&sequence.to_le_bytes(), &sealed]);
        if !again {
            let (client_id, timeout_s) = (token.client_id, token.timeout_s);
            let handshake = Handshake { client_id, keys, timeout_s, tag, expire_unix_s, began_at: now };
            self.handshakes.insert(from, Box::new(handshake));
        }
    }

    /// NETCODE 1.02, Processing Connection Response Packet.
    fn handle_response(&mut self, now: Instant, from: SocketAddr, sealed: Sealed<'_>) {
        let Some(handshake) = self.handshakes.get(&from) else {
            // A client that has not heard of its slot yet repeats itself; the timers will tell it.
            self.counters.from_nobody += 1;
            return;
        };
        let opened = sealed.open(&handshake.keys.receive, self.config.protocol_id).and_then(|body| {
            let (sequence, token) = body.split_first_chunk_mut::<8>()?;
            let token: &mut [u8; CHALLENGE_TOKEN_LEN] = token.try_into().ok()?;
            ChallengeToken::open(token, &self.challenge, u64::from_le_bytes(*sequence))
        });
        let Some(challenge) = opened.filter(|c| c.client_id == handshake.client_id) else {
            self.counters.response_forged += 1;
            return;
        };
        let (client_id, tag) = (handshake.client_id, handshake.tag);
        if self.used.contains_key(&tag) {
            self.counters.request_used_token += 1;
            self.handshakes.remove(&from);
            return;
        }
        if self.is_full_for(client_id) {
            self.counters.denied += 1;
            let handshake = self.handshakes.remove(&from).expect("it was just there");
            self.answer(now, from, Kind::Denied, &handshake.keys.send, &[]);
            return;
        }
        let used_max = USED_TOKENS_MIN.max(USED_TOKENS_PER_SLOT * self.config.clients_max as usize);
        if self.used.len() >= used_max {
            self.counters.used_tokens_over_limit += 1;
            return;
        }
        let handshake = self.handshakes.remove(&from).expect("it was just there");
        self.used.insert(tag, handshake.expire_unix_s);
        self.connect(now, from, *handshake, challenge.user_data);
    }

    /// A fresh token for a client or from an address that has a session replaces it.
    fn connect(
        &mut self,
        now: Instant,
        from: SocketAddr,
        handshake: Handshake,
        user_data: Box<[u8; USER_DATA_LEN]>,
    ) {
        let Handshake { client_id, keys, timeout_s, .. } = handshake;
        let old = [self.by_client.get(&client_id).copied(), self.by_address.get(&from).copied()];
        for slot in old.into_iter().flatten() {
            if self.slots[slot as usize].is_some() {
                self.counters.replaced += 1;
                self.end(slot, DisconnectReason::Replaced);
            }
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some(Box::new(Session {
            address: from,
            client_id,
            keys,
            sequence: SessionSequence::new(self.clock, now),
            replay: ReplayWindow::new(),
            timeout: (timeout_s > 0).then(|| Duration::from_secs(timeout_s as u64)),
            received_at: now,
            sent_at: now,
            is_confirmed: false,
        }));
        self.by_address.insert(from, slot);
        self.by_client.insert(client_id, slot);
        self.counters.connected += 1;
        self.keep_alives.push_back(slot);
        self.events.push_back(Event::Connected { slot, client_id, user_data });
    }

    fn handle_sealed<'a>(&mut self, now: Instant, slot: u32, sealed: Sealed<'a>) -> Received<'a> {
        let session = self.slots[slot as usize].as_mut().expect("an address leads to a session");
        let (kind, sequence) = (sealed.kind, sealed.sequence);
        if !kind.is_protected() {
            self.counters.unexpected += 1; // what only a server says
            return Received::Nothing;
        }
        if session.replay.is_stale(sequence) {
            self.counters.replayed += 1;
            return Received::Nothing;
        }
        let Some(body) = sealed.open(&session.keys.receive, self.config.protocol_id) else {
            self.counters.forged += 1;
            return Received::Nothing;
        };
        session.replay.enter(sequence);
        session.received_at = now;
        session.is_confirmed = true;
        match kind {
            Kind::Payload if (1..=PAYLOAD_LEN_MAX).contains(&body.len()) => {
                Received::Payload { slot, bytes: body }
            }
            Kind::KeepAlive => Received::Nothing,
            Kind::Disconnect => {
                self.counters.left += 1;
                self.end(slot, DisconnectReason::ByPeer);
                Received::Nothing
            }
            _ => {
                self.counters.malformed += 1;
                Received::Nothing
            }
        }
    }

    /// Whether there is no slot for this client, which keeps the one that it has.
    fn is_full_for(&self, client_id: u64) -> bool {
        self.connected() >= self.config.clients_max as usize && !self.by_client.contains_key(&client_id)
    }

    fn end(&mut self, slot: u32, reason: DisconnectReason) {
        let session = self.slots[slot as usize].take().expect("the caller found it there");
        self.free.push(slot);
        self.by_address.remove(&session.address);
        if self.by_client.get(&session.client_id) == Some(&slot) {
            self.by_client.remove(&session.client_id);
        }
        let Session { address, client_id, keys, sequence, .. } = *session;
        if reason != DisconnectReason::ByPeer {
            self.farewells.push_back(Farewell { to: address, send: keys.send, sequence, left: FAREWELLS });
        }
        self.events.push_back(Event::Disconnected { slot, client_id, reason });
    }

    fn answer(&mut self, now: Instant, to: SocketAddr, kind: Kind, cipher: &Cipher, parts: &[&[u8]]) {
        if self.answers.len() >= ANSWERS_MAX {
            self.counters.answers_over_limit += 1;
            return;
        }
        let Some(sequence) = self.before_slot.take(self.clock, now) else { return };
        let mut bytes = [0; ANSWER_LEN_MAX];
        let length = seal(kind, sequence, cipher, self.config.protocol_id, parts, &mut bytes) as u16;
        self.answers.push_back(Answer { to, length, bytes });
    }
}
