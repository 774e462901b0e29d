//! The client's side of NETCODE 1.02: a state machine that tries the token's servers in turn.
//!
//! ```text
//!   sending request -> sending response -> connected -> disconnected
//!         |  denied, silence      |             | silence
//!         v                       v             v
//!     the next server, or the state that says why not
//! ```

use std::net::SocketAddr;

use super::counters::ClientCounters;
use super::crypto::Cipher;
use super::extension::{ConnectionIdBytes, Extensions, aes_key, connection_id};
use super::limits::{
    CHALLENGE_TOKEN_LEN, DATAGRAM_LEN_MAX, FAREWELLS, KEEP_ALIVE, PACKET_OVERHEAD, PATH_TOKEN_LEN,
    PAYLOAD_LEN_MAX,
};
use super::packet::{Kind, Request, Sealed, seal_named};
use super::replay::ReplayWindow;
use super::sequence::{SessionSequence, WallClock};
use super::server::slow_keep_alive;
use super::token::ConnectToken;
use super::{SealError, Transmit};
use crate::time::{Duration, Instant};

/// Where a client is (NETCODE 1.02, Client State Machine). The standard's "invalid connect token" is not
/// among them: a [`ConnectToken`] that could be read is valid, and one that could not makes no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientState {
    /// The token expired before a server let us in.
    TokenExpired,
    /// The session fell silent.
    TimedOut,
    /// A server did not answer the response.
    ResponseTimedOut,
    /// No server answered the request.
    RequestTimedOut,
    /// The server has no room.
    ConnectionDenied,
    /// The session was ended by one side.
    Disconnected,
    /// Asking to be let in.
    SendingRequest,
    /// Repeating the server's challenge.
    SendingResponse,
    /// In.
    Connected,
}

impl ClientState {
    /// Whether nothing follows.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::SendingRequest | Self::SendingResponse | Self::Connected)
    }
}

/// Why a client could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A token without servers.
    #[error("the connect token lists no server")]
    NoServer,
}

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientReceived<'a> {
    /// Not for us: from elsewhere, not authentic, or received before.
    Nothing,
    /// The connection's own affairs.
    Handled,
    /// A packet from the server, decrypted in place.
    Payload(&'a [u8]),
}

/// A client. After each call that takes `now`, drain [`Client::poll_transmit`].
pub struct Client {
    token: ConnectToken,
    receive: Cipher,
    send: Cipher,
    /// Receive and send, where the token allows AES for payloads.
    aes: Option<(Cipher, Cipher)>,
    /// Where the token allows one.
    connection_id: Option<ConnectionIdBytes>,
    /// How long we may be silent once connected.
    keep_alive: Duration,
    /// The server asks whether we are where it sees us.
    path_token: Option<[u8; PATH_TOKEN_LEN]>,
    sequence: SessionSequence,
    replay: ReplayWindow,
    state: ClientState,
    /// Index into the token's servers.
    server: usize,
    /// What the server wants repeated: its sequence and its token.
    challenge: Option<(u64, Box<[u8; CHALLENGE_TOKEN_LEN]>)>,
    slot: Option<(u32, u32)>,
    /// When this state began or something authentic came, whichever is later.
    heard_at: Instant,
    /// When the last packet left; `None` when one is due at once.
    sent_at: Option<Instant>,
    farewells_left: u8,
    /// When the attempt must have succeeded. Measured from its start by the token's lifetime, as the
    /// standard has it: our clock need not agree with the matchmaker's.
    expires_at: Instant,
    counters: ClientCounters,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({:?}, {:?})", self.state, self.server())
    }
}

impl Client {
    /// A client that begins to connect. `unix_s_at_origin`: seconds since the Unix epoch at
    /// [`Instant::ZERO`].
    pub fn new(now: Instant, unix_s_at_origin: u64, token: &ConnectToken) -> Result<Self, ClientError> {
        if token.server_addresses.is_empty() {
            return Err(ClientError::NoServer);
        }
        let clock = WallClock::new(unix_s_at_origin);
        let (up, down) = (&token.client_to_server, &token.server_to_client);
        let Extensions { aes_payloads, connection_id: has_id, slow_keep_alives } = token.extensions;
        let timeout = (token.timeout_s > 0).then(|| Duration::from_secs(token.timeout_s as u64));
        let aes = || (Cipher::aes_128(&aes_key(down)), Cipher::aes_128(&aes_key(up)));
        let lifetime_s = token.expire_unix_s.saturating_sub(token.create_unix_s);
        Ok(Client {
            token: token.clone(),
            receive: Cipher::new(down),
            send: Cipher::new(up),
            aes: aes_payloads.then(aes),
            connection_id: has_id.then(|| connection_id(up)),
            keep_alive: if slow_keep_alives { slow_keep_alive(timeout) } else { KEEP_ALIVE },
            path_token: None,
            sequence: SessionSequence::new(clock, now),
            replay: ReplayWindow::new(),
            state: ClientState::SendingRequest,
            server: 0,
            challenge: None,
            slot: None,
            heard_at: now,
            sent_at: None,
            farewells_left: 0,
            expires_at: now + Duration::from_secs(lifetime_s),
            counters: ClientCounters::default(),
        })
    }

    /// Where it is.
    pub fn state(&self) -> ClientState {
        self.state
    }

    /// The server that it talks to or tries.
    pub fn server(&self) -> SocketAddr {
        self.token.server_addresses[self.server]
    }

    /// Its slot at the server and the slots that there are, once connected.
    pub fn slot(&self) -> Option<(u32, u32)> {
        self.slot
    }

    /// The counts.
    pub fn counters(&self) -> &ClientCounters {
        &self.counters
    }

    /// When [`Client::handle_timeout`] or [`Client::poll_transmit`] has something to do.
    pub fn next_deadline(&self) -> Instant {
        match self.sent_at {
            _ if self.state.is_final() => Instant::from_us(u64::MAX),
            _ if self.path_token.is_some() => Instant::ZERO,
            Some(sent_at) => sent_at + self.keep_alive(),
            None => Instant::ZERO,
        }
    }

    /// Takes one datagram; it is decrypted in place.
    pub fn handle<'a>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &'a mut [u8],
    ) -> ClientReceived<'a> {
        if self.state.is_final() {
            self.counters.after_the_end += 1;
            return ClientReceived::Nothing;
        }
        if from != self.server() {
            self.counters.from_elsewhere += 1;
            return ClientReceived::Nothing;
        }
        let Some(sealed) = Sealed::parse(datagram) else {
            self.counters.malformed += 1;
            return ClientReceived::Nothing;
        };
        let (kind, sequence) = (sealed.kind, sealed.sequence);
        let cipher = match kind {
            Kind::Request | Kind::Response => None,
            Kind::AesPayload => self.aes.as_ref().map(|(receive, _)| receive),
            Kind::PathChallenge if self.connection_id.is_none() => None,
            _ if kind.is_named() => None,
            _ => Some(&self.receive),
        };
        let Some(cipher) = cipher else {
            self.counters.unexpected += 1;
            return ClientReceived::Nothing;
        };
        if kind.is_protected() && self.replay.is_stale(sequence) {
            self.counters.replayed += 1;
            return ClientReceived::Nothing;
        }
        let Some(body) = sealed.open(cipher, self.token.protocol_id) else {
            self.counters.forged += 1;
            return ClientReceived::Nothing;
        };
        if kind.is_protected() {
            self.replay.enter(sequence);
        }
        self.take(now, kind, body)
    }

    /// Lets time pass: silence ends states, the token expires.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.state.is_final() {
            return;
        }
        let connecting = self.state != ClientState::Connected;
        if connecting && now >= self.expires_at {
            self.state = ClientState::TokenExpired;
            return;
        }
        let timeout_s = self.token.timeout_s;
        if timeout_s > 0 && now.since(self.heard_at) >= Duration::from_secs(timeout_s as u64) {
            match self.state {
                ClientState::SendingRequest => self.try_next(now, ClientState::RequestTimedOut),
                ClientState::SendingResponse => self.try_next(now, ClientState::ResponseTimedOut),
                _ => self.state = ClientState::TimedOut,
            }
        }
    }

    /// The next packet that the connection itself has to send, written to the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`DATAGRAM_BYTES_MAX`](super::DATAGRAM_BYTES_MAX).
    pub fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
        assert!(out.len() >= DATAGRAM_LEN_MAX, "room for a datagram, not {} bytes", out.len());
        let to = self.server();
        if self.farewells_left > 0 {
            self.farewells_left -= 1;
            let bytes = self.seal_kind(Kind::Disconnect, &[], out)?;
            return Some(Transmit { to, bytes });
        }
        if let Some(token) = self.path_token.take().filter(|_| self.state == ClientState::Connected) {
            let bytes = self.seal_kind(Kind::PathResponse, &[&token], out)?;
            return Some(Transmit { to, bytes });
        }
        let is_due = self.sent_at.is_none_or(|sent_at| now.since(sent_at) >= self.keep_alive());
        if self.state.is_final() || !is_due {
            return None;
        }
        self.sent_at = Some(now);
        let bytes = match self.state {
            ClientState::SendingRequest => {
                let ConnectToken { protocol_id, expire_unix_s, nonce, private, .. } = &self.token;
                Request::write(*protocol_id, *expire_unix_s, nonce, private, out)
            }
            ClientState::SendingResponse => {
                let (sequence, challenge) = self.challenge.clone()?;
                self.seal_kind(Kind::Response, &[&sequence.to_le_bytes(), &challenge[..]], out)?
            }
            _ => {
                let (slot, slots) = self.slot.unwrap_or_default();
                self.seal_kind(Kind::KeepAlive, &[&slot.to_le_bytes(), &slots.to_le_bytes()], out)?
            }
        };
        Some(Transmit { to, bytes })
    }

    /// Seals one payload to the front of `out`; its `parts` are put together there.
    pub fn seal(
        &mut self,
        now: Instant,
        parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<(SocketAddr, usize), SealError> {
        if self.state != ClientState::Connected {
            return Err(SealError::NotConnected);
        }
        let length = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        if !(1..=PAYLOAD_LEN_MAX).contains(&length) {
            return Err(SealError::Length(length));
        }
        let id_len = self.connection_id.map_or(0, |id| id.len());
        let (needed, room) = (length + PACKET_OVERHEAD + id_len, out.len());
        if room < needed {
            return Err(SealError::NoRoom { needed, room });
        }
        let kind = if self.aes.is_some() { Kind::AesPayload } else { Kind::Payload };
        let bytes = self.seal_kind(kind, parts, out).ok_or(SealError::Exhausted)?;
        debug_assert_eq!(bytes, needed);
        self.sent_at = Some(now);
        Ok((self.server(), bytes))
    }

    /// Ends the session or the attempt.
    pub fn disconnect(&mut self) {
        if self.state.is_final() {
            return;
        }
        // Who answers the challenge may have a slot already and not know it.
        if matches!(self.state, ClientState::SendingResponse | ClientState::Connected) {
            self.farewells_left = FAREWELLS;
        }
        self.state = ClientState::Disconnected;
    }

    /// What an authentic packet means in each state.
    fn take<'a>(&mut self, now: Instant, kind: Kind, body: &'a mut [u8]) -> ClientReceived<'a> {
        use ClientState::{Connected, SendingRequest, SendingResponse};
        match (self.state, kind) {
            (SendingRequest | SendingResponse, Kind::Denied) => {
                self.try_next(now, ClientState::ConnectionDenied)
            }
            (SendingRequest, Kind::Challenge) => {
                let (sequence, token) = body.split_first_chunk::<8>().expect("a challenge has 308 bytes");
                let token = <[u8; CHALLENGE_TOKEN_LEN]>::try_from(token).expect("a challenge has 308 bytes");
                self.challenge = Some((u64::from_le_bytes(*sequence), Box::new(token)));
                self.enter(now, SendingResponse);
            }
            (SendingResponse, Kind::KeepAlive) => {
                let (words, _) = body.as_chunks::<4>();
                let [slot, slots] = [0, 1].map(|i| u32::from_le_bytes(words[i]));
                self.slot = Some((slot, slots));
                self.enter(now, Connected);
            }
            (Connected, Kind::KeepAlive) => self.heard_at = now,
            (Connected, Kind::PathChallenge) => {
                self.heard_at = now;
                self.path_token = body.first_chunk().copied();
            }
            (Connected, Kind::Payload | Kind::AesPayload) => {
                self.heard_at = now;
                return ClientReceived::Payload(body);
            }
            (Connected, Kind::Disconnect) => self.state = ClientState::Disconnected,
            (SendingRequest | SendingResponse, Kind::Payload) => {
                self.counters.early += 1;
                return ClientReceived::Nothing;
            }
            // A late challenge or denial.
            _ => {
                self.counters.unexpected += 1;
                return ClientReceived::Nothing;
            }
        }
        ClientReceived::Handled
    }

    fn enter(&mut self, now: Instant, state: ClientState) {
        self.state = state;
        self.heard_at = now;
        self.sent_at = None;
    }

    fn try_next(&mut self, now: Instant, otherwise: ClientState) {
        if self.server + 1 == self.token.server_addresses.len() {
            self.state = otherwise;
            return;
        }
        self.counters.servers_passed_over += 1;
        self.server += 1;
        self.challenge = None;
        self.replay = ReplayWindow::new();
        self.enter(now, ClientState::SendingRequest);
    }

    fn seal_kind(&mut self, kind: Kind, parts: &[&[u8]], out: &mut [u8]) -> Option<usize> {
        let sequence = self.sequence.take()?;
        let cipher = match &self.aes {
            Some((_, send)) if kind.is_aes() => send,
            _ => &self.send,
        };
        let kind = if self.connection_id.is_some() { kind.named() } else { kind };
        let id = self.connection_id.as_ref().filter(|_| kind.is_named());
        Some(seal_named(kind, id, sequence, cipher, self.token.protocol_id, parts, out))
    }

    /// How long we may be silent.
    fn keep_alive(&self) -> Duration {
        if self.state == ClientState::Connected { self.keep_alive } else { KEEP_ALIVE }
    }
}
