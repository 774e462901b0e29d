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
mod sessions;
mod slots;
mod used_tokens;

use std::collections::VecDeque;
use std::net::SocketAddr;

use self::handshakes::Handshakes;
pub(super) use self::roaming::slow_keep_alive;
use self::sessions::hasher;
pub use self::sessions::{Fetch, Newcomer, Sessions};
use self::used_tokens::UsedTokens;
use super::counters::Counters;
use super::crypto::Key;
use super::limits::{
    FORGET_STEPS, KEY_LEN, REQUESTS_BURST_S, REQUESTS_PER_NETWORK_S, USED_TOKENS_MIN, USED_TOKENS_PER_SLOT,
    USER_DATA_LEN,
};
use super::packet::{Kind, Sealed};
use super::rate::{NetworkRates, Rate, Spent};
use super::sequence::BeforeSlotSequence;
use super::{SealError, Transmit};
use crate::time::Instant;

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

/// One of the threads that clients are spread over, each with a socket of the server's one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard(pub u8);

impl Shard {
    /// The one that has the way in, and the slots, client ids and tokens of all.
    pub const FIRST: Shard = Shard(0);
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
    /// As it came, for this shard to judge.
    Elsewhere(Shard),
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
/// [`Server::poll_transmit`]: a token counts as used up once the end of its session was polled.
pub struct Server {
    config: ServerConfig,
    private_key: Key,
    before_slot: BeforeSlotSequence,
    /// Those who are in.
    sessions: Sessions,
    // who is on the way in
    handshakes: Handshakes,
    used: UsedTokens,
    started_unix_s: u64,
    requests: NetworkRates,
    request_opens: Spent,
    response_opens: Spent,
    /// Those who are in and whom another shard is to serve, in the order in which they came.
    newcomers: VecDeque<(u32, Shard, Newcomer)>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({} connected, {} on the way in)", self.connected(), self.handshakes.len())
    }
}

impl Server {
    /// A server without clients.
    pub fn new(config: ServerConfig, now: Instant) -> Self {
        let hasher = hasher(&config.hash_seed);
        let limits = config.limits;
        let burst = limits.requests_per_network_s.saturating_mul(REQUESTS_BURST_S);
        let requests = Rate::new(limits.requests_per_network_s, burst);
        let used_max = USED_TOKENS_MIN.max(USED_TOKENS_PER_SLOT * config.clients_max as usize);
        let sessions = Sessions::of_first(&config);
        Server {
            private_key: Key(config.private_key),
            before_slot: BeforeSlotSequence::new(),
            handshakes: Handshakes::new(hasher.clone()),
            used: UsedTokens::new(used_max, hasher.clone()),
            started_unix_s: sessions.clock.unix_s(now),
            requests: NetworkRates::new(requests, hasher),
            request_opens: Spent::default(),
            response_opens: Spent::default(),
            newcomers: VecDeque::new(),
            sessions,
            config,
        }
    }

    /// Clients with a slot.
    pub fn connected(&self) -> usize {
        self.sessions.connected()
    }

    /// Handshakes under way.
    pub fn handshakes(&self) -> usize {
        self.handshakes.len()
    }

    /// The counts.
    pub fn counters(&self) -> &Counters {
        self.sessions.counters()
    }

    /// The sessions of the first shard, to seal for.
    pub fn sessions(&mut self) -> &mut Sessions {
        &mut self.sessions
    }

    /// When [`Server::handle_timeout`] has something to do.
    pub fn next_deadline(&self) -> Instant {
        self.sessions.next_deadline()
    }

    /// Takes one datagram; it is decrypted in place, unless it is for [`Received::Elsewhere`].
    pub fn handle<'a>(&mut self, now: Instant, from: SocketAddr, datagram: &'a mut [u8]) -> Received<'a> {
        self.handle_of(now, Shard::FIRST, from, datagram)
    }

    /// The same of a datagram that came to the socket of this shard. Who comes in there is served there:
    /// [`Server::poll_newcomer`].
    pub fn handle_of<'a>(
        &mut self,
        now: Instant,
        shard: Shard,
        from: SocketAddr,
        datagram: &'a mut [u8],
    ) -> Received<'a> {
        if self.sessions.is_congested() {
            return Received::Nothing;
        }
        if datagram.first() == Some(&(Kind::Request as u8)) {
            self.handle_request(now, from, datagram);
            return Received::Nothing;
        }
        let asked_len = datagram.len();
        let Some(sealed) = Sealed::parse(datagram) else {
            self.sessions.counters.malformed += 1;
            return Received::Nothing;
        };
        match sealed.kind {
            Kind::Response => self.handle_response(now, shard, from, sealed),
            kind if !kind.is_of_clients() => self.sessions.counters.unexpected += 1,
            _ => match self.sessions.find(from, &sealed) {
                Some(slot) => return self.sessions.take(now, slot, from, asked_len, sealed),
                None => self.sessions.counters.from_nobody += 1,
            },
        }
        Received::Nothing
    }

    /// Ends sessions that have fallen silent, forgets handshakes and expired tokens, finds who needs a
    /// keep-alive.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.next_deadline() {
            return;
        }
        let (ended, first_end) = self.handshakes.forget_ended(now);
        self.sessions.look_at_timers(now, first_end.unwrap_or(Instant::from_us(u64::MAX)));
        self.sessions.counters.handshakes_expired += ended as u64;
        self.used.forget_expired(self.sessions.clock.unix_s(now), FORGET_STEPS);
    }

    /// The next coming or going.
    pub fn poll_event(&mut self) -> Option<Event> {
        let (tag, event) = self.sessions.events.pop_front()?;
        match &event {
            Event::Connected { .. } => {}
            Event::Moved { to, .. } => self.used.rebind(&tag, *to),
            Event::Disconnected { .. } => self.used.end(&tag),
        }
        Some(event)
    }

    /// The client that has just connected in this slot, if another shard is to serve it: that one adopts it. To be asked
    /// for each [`Event::Connected`].
    pub fn poll_newcomer(&mut self, slot: u32) -> Option<(Shard, Newcomer)> {
        let (_, shard, newcomer) = self.newcomers.pop_front_if(|(of, ..)| *of == slot)?;
        Some((shard, newcomer))
    }

    /// The next packet that the connection itself has to send, written to the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`DATAGRAM_BYTES_MAX`](super::DATAGRAM_BYTES_MAX).
    pub fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
        self.sessions.poll_transmit(now, out)
    }

    /// Seals one payload to the front of `out`: [`Sessions::seal`].
    pub fn seal(
        &mut self,
        now: Instant,
        slot: u32,
        parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<(SocketAddr, usize), SealError> {
        self.sessions.seal(now, slot, parts, out)
    }

    /// Says goodbye to a client; says whether there was one.
    pub fn disconnect(&mut self, slot: u32) -> bool {
        self.sessions.disconnect(slot)
    }

    /// Says goodbye to everybody.
    pub fn disconnect_all(&mut self) {
        self.sessions.disconnect_all();
    }
}
