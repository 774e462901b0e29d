//! [`Client`]: connection, link, reassembly, cache and ring behind one call order.

mod carried;
mod stored;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use ninefold_protocol::chunk::{Assembled, Outcome as Assembly, Reassembly, Refusal};
use ninefold_protocol::connection::{self, ClientReceived, ClientState, CloseReason, ConnectToken};
use ninefold_protocol::frame::{
    ChunkAt, ChunkKey, ENCODING_BSP_BIT, ENCODING_RECIPE_BIT, Fragment, Hello, Input, Message,
    PROTOCOL_VERSION, ParityFragment, Positions, RefuseReason, Welcome, is_parity, kind,
};
use ninefold_protocol::limits::{PACKET_BYTES_MAX, REASSEMBLY_BYTES_MAX};
use ninefold_protocol::link::Link;
use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::{
    CHUNK_KIND_BSP, Chunk, ChunkCoord, DecodeError, ENCODING_BSP, ENCODING_RECIPE, LocalPosition, Scratch,
    Topology, decode,
};

use crate::cache::ChunkCache;
use crate::others::Others;
use crate::ring::Ring;
use crate::stats::ClientStats;

use stored::Stored;
pub use stored::{Encoded, StoredKey};

/// Events that may wait to be polled; the oldest are dropped beyond it, and the game has stopped
/// listening long before.
const EVENTS_MAX: usize = 4_096;

/// What a client wants of its surroundings.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Chunks that it keeps.
    pub cache_chunks_max: usize,
    /// Whether it builds chunks from recipes: a third of the bytes on the wire, for a tenth of a
    /// millisecond of work a chunk.
    pub recipes: bool,
    /// Seconds since the Unix epoch at [`Instant::ZERO`]: connect tokens expire by the wall clock.
    pub unix_s_at_origin: u64,
}

/// Chunks that a client keeps if it does not say otherwise.
const CACHE_CHUNKS_MAX: usize = 512;

impl Default for ClientConfig {
    /// The ordinary client, whose time begins with the Unix epoch.
    fn default() -> Self {
        ClientConfig::new(0)
    }
}

impl ClientConfig {
    /// The ordinary client: 512 chunks kept, built from recipes.
    pub fn new(unix_s_at_origin: u64) -> ClientConfig {
        ClientConfig { cache_chunks_max: CACHE_CHUNKS_MAX, recipes: true, unix_s_at_origin }
    }
}

/// Something that the game may want to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The server let us in.
    Welcome(Welcome),
    /// The player stands in another chunk now.
    Entered {
        /// Which.
        coord: ChunkCoord,
        /// Whether it is here to stand on.
        present: bool,
    },
    /// A chunk is here.
    ChunkReady {
        /// The chunk.
        chunk: Arc<Chunk>,
        /// Its version.
        version: u32,
        /// Bytes that it had on the wire; 0 where it came out of the store.
        encoded_bytes: usize,
        /// How long it was wanted, if it is in the ring.
        waited: Option<Duration>,
    },
    /// A chunk cannot be had; a safe one stands in for it.
    ChunkUnavailable {
        /// The stand-in.
        chunk: Arc<Chunk>,
    },
    /// The session is over.
    Ended(EndReason),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The connection ended.
    #[error("the connection ended: {0:?}")]
    Connection(ClientState),
    /// The server closed the connection.
    #[error("the server closed the connection: {0}")]
    Closed(CloseReason),
    /// The server does not let us in.
    #[error(
        "the server {0}; this client speaks protocol version {PROTOCOL_VERSION} and the chunk encodings \
         {ENCODING_BSP_BIT:#b}"
    )]
    Refused(RefuseReason),
    /// The server chose a version that was not offered.
    #[error("the server chose protocol version {0}; this client speaks {PROTOCOL_VERSION}")]
    Version(u16),
    /// The server no longer acknowledges what we say.
    #[error("the server no longer acknowledges what this client says")]
    Unresponsive,
}

/// A datagram to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// Bytes at the front of the buffer.
    pub bytes: usize,
}

/// Why a client could not be made.
pub type ClientError = connection::ClientError;

/// A client. Call [`Client::handle_datagram`] for what came, [`Client::handle_timeout`] once per tick of
/// the game, [`Client::send_input`] when there is one, then [`Client::poll_transmit`] until it gives
/// nothing and [`Client::poll_event`] likewise.
#[derive(Debug)]
pub struct Client {
    way: Way,
    link: Link<()>,
    recipes: bool,
    greeted: bool,
    ended: Option<EndReason>,
    // the world
    topology: Topology,
    ring: Ring,
    cache: ChunkCache,
    reassembly: Reassembly,
    stored: Stored,
    // the player
    input: Option<Input>,
    next_input: u32,
    position: Option<LocalPosition>,
    position_tick: u32,
    others: Others,
    // out
    events: VecDeque<Event>,
    stats: ClientStats,
}

/// How packets reach the server.
#[derive(Debug)]
enum Way {
    /// As NETCODE datagrams, which are sealed and opened here.
    Netcode(Box<connection::Client>),
    /// As they are, over a carrier that its owner drives.
    Carried(ClientState),
}

impl Client {
    /// A client that begins to connect with this token.
    pub fn new(now: Instant, config: &ClientConfig, token: &ConnectToken) -> Result<Self, ClientError> {
        let connection = connection::Client::new(now, config.unix_s_at_origin, token)?;
        Ok(Self::with_way(now, config, Way::Netcode(Box::new(connection))))
    }

    fn with_way(now: Instant, config: &ClientConfig, way: Way) -> Self {
        Client {
            way,
            recipes: config.recipes,
            link: Link::new(now),
            greeted: false,
            ended: None,
            topology: Topology::Plane,
            ring: Ring::default(),
            cache: ChunkCache::new(config.cache_chunks_max),
            reassembly: Reassembly::new(REASSEMBLY_BYTES_MAX),
            stored: Stored::default(),
            input: None,
            next_input: 1,
            position: None,
            position_tick: 0,
            others: Others::default(),
            events: VecDeque::new(),
            stats: ClientStats::default(),
        }
    }

    fn state(&self) -> ClientState {
        match &self.way {
            Way::Netcode(connection) => connection.state(),
            Way::Carried(state) => *state,
        }
    }

    /// Why it ended, if it has.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// Whether the server has let us in.
    pub fn is_connected(&self) -> bool {
        self.state() == ClientState::Connected
    }

    /// The player's position as the server last said.
    pub fn position(&self) -> Option<LocalPosition> {
        self.position
    }

    /// The other players of the ring.
    pub fn others(&self) -> &Others {
        &self.others
    }

    /// The ring and what is awaited of it.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// A chunk that is here.
    pub fn chunk(&self, coord: ChunkCoord) -> Option<&Arc<Chunk>> {
        self.cache.peek(coord).map(|c| &c.chunk)
    }

    /// Chunks that are here.
    pub fn cache(&self) -> &ChunkCache {
        &self.cache
    }

    /// Whether the player can play: it is in the world and the chunk it stands in is here.
    pub fn is_playable(&self) -> bool {
        self.position.is_some() && self.ring.active().is_some_and(|c| self.cache.peek(c).is_some())
    }

    /// The counts.
    pub fn stats(&self) -> &ClientStats {
        &self.stats
    }

    /// The link, for its round trip and loss.
    pub fn link(&self) -> &Link<()> {
        &self.link
    }

    /// Takes one datagram; it is decrypted in place. Datagrams from elsewhere are ignored.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let bytes = datagram.len() as u64;
        let Way::Netcode(connection) = &mut self.way else { return };
        let received = connection.handle(now, from, datagram);
        if !matches!(received, ClientReceived::Nothing) {
            self.stats.datagrams_in += 1;
            self.stats.bytes_in += bytes;
        }
        if let ClientReceived::Payload(packet) = received {
            self.take_packet(now, packet);
        }
        self.follow_connection();
    }

    fn take_packet(&mut self, now: Instant, packet: &[u8]) {
        match self.link.handle_packet(now, packet) {
            Ok(frames) => {
                for (kind, body) in frames {
                    self.take_frame(now, kind, body);
                }
                self.drain_link(now);
            }
            Err(_) => self.stats.packets_refused += 1,
        }
    }

    /// Lets time pass: timers of the connection and the link, chunks that did not come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Way::Netcode(connection) = &mut self.way {
            connection.handle_timeout(now);
        }
        self.follow_connection();
        if !self.is_connected() {
            return;
        }
        self.link.handle_timeout(now);
        self.drain_link(now);
        self.stats.chunks_expired += self.reassembly.expire(now) as u64;
        while let Some(coord) = self.ring.poll_ask(now) {
            self.request(coord);
        }
    }

    /// Sends what the player wants to do: a wish of -1 to 1 along each axis, and where it looks (65,536
    /// to the full turn). Goes out with the next [`Client::poll_transmit`]; an input that has not gone
    /// out by then is replaced.
    pub fn send_input(&mut self, wish_x: f64, wish_z: f64, yaw: u16) {
        let axis = |wish: f64| (wish.clamp(-1.0, 1.0) * f64::from(Input::FULL_SPEED)) as i16;
        self.input = Some(Input {
            sequence: self.next_input.into(),
            move_x: axis(wish_x).into(),
            move_z: axis(wish_z).into(),
            yaw: yaw.into(),
            buttons: 0.into(),
        });
        self.next_input = self.next_input.wrapping_add(1);
    }

    /// Ends the session; the disconnect packets go out with [`Client::poll_transmit`].
    pub fn disconnect(&mut self) {
        match &mut self.way {
            Way::Netcode(connection) => connection.disconnect(),
            Way::Carried(state) if !state.is_final() => *state = ClientState::Disconnected,
            Way::Carried(_) => {}
        }
        self.follow_connection();
    }

    /// The next datagram to send, written to the front of `buffer`, which must hold
    /// [`connection::DATAGRAM_BYTES_MAX`] bytes.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        let transmit = self.next_datagram(now, buffer)?;
        self.stats.datagrams_out += 1;
        self.stats.bytes_out += transmit.bytes as u64;
        Some(transmit)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn next_datagram(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        let Way::Netcode(connection) = &mut self.way else { return None };
        if let Some(transmit) = connection.poll_transmit(now, buffer) {
            return Some(Transmit { to: transmit.to, bytes: transmit.bytes });
        }
        let mut scratch = [0; PACKET_BYTES_MAX];
        let bytes = self.next_packet(now, &mut scratch)?;
        let Way::Netcode(connection) = &mut self.way else { return None };
        let (to, bytes) = connection.seal(now, &[&scratch[..bytes]], buffer).ok()?;
        Some(Transmit { to, bytes })
    }

    /// The next packet of the link, written to the front of `buffer`.
    fn next_packet(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        if !self.is_connected() || (self.input.is_none() && !self.link.wants_to_send()) {
            return None;
        }
        let mut packet = self.link.packet(now, buffer);
        if let Some(input) = self.input
            && packet.fits(size_of::<Input>())
        {
            packet.push(kind::INPUT, &[zerocopy::IntoBytes::as_bytes(&input)]);
            self.input = None;
        }
        packet.finish().map(|built| built.head_bytes)
    }

    fn follow_connection(&mut self) {
        match self.state() {
            ClientState::Connected if !self.greeted => {
                self.greeted = true;
                self.send(&Message::Hello(Hello {
                    version_min: PROTOCOL_VERSION,
                    version_max: PROTOCOL_VERSION,
                    encodings: ENCODING_BSP_BIT | if self.recipes { ENCODING_RECIPE_BIT } else { 0 },
                    cache_chunks: u16::try_from(self.cache.chunks_max()).unwrap_or(u16::MAX),
                    offers: self.stored.offers(),
                }));
                for have in self.stored.haves() {
                    self.send(&have);
                }
            }
            state if state.is_final() => self.end(EndReason::Connection(state)),
            _ => {}
        }
    }

    fn end(&mut self, reason: EndReason) {
        if self.ended.is_none() {
            self.ended = Some(reason);
            self.tell(Event::Ended(reason));
        }
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn send(&mut self, message: &Message) {
        if self.link.send_message(message).is_err() {
            self.end(EndReason::Unresponsive);
        }
    }

    fn drain_link(&mut self, now: Instant) {
        while self.link.poll_outcome().is_some() {}
        while let Some(raw) = self.link.poll_message() {
            match Message::decode(&raw) {
                Ok(message) => self.take_message(now, message),
                Err(_) => self.stats.frames_refused += 1,
            }
        }
    }

    fn take_message(&mut self, now: Instant, message: Message) {
        match message {
            Message::Welcome(welcome) if welcome.version != PROTOCOL_VERSION => {
                self.end(EndReason::Version(welcome.version));
            }
            Message::Welcome(welcome) => self.tell(Event::Welcome(welcome)),
            Message::Refuse(reason) => self.end(EndReason::Refused(reason)),
            Message::ChunkEnter { cx, cz } => self.enter(now, ChunkCoord { cx, cz }),
            Message::ChunkUnavailable(at, _) if at.key.cy == 0 => {
                let coord = ChunkCoord { cx: at.key.cx, cz: at.key.cz };
                let chunk = Arc::new(Chunk::safe(coord));
                self.stats.chunks_unavailable += 1;
                self.reassembly.forget(at.key);
                self.keep(Arc::clone(&chunk), 0);
                self.ring.arrived(coord);
                self.tell(Event::ChunkUnavailable { chunk });
            }
            Message::ChunkKnown(at) => self.take_known(at),
            Message::Unknown(_) => self.stats.frames_unknown += 1,
            // What only a client says, and floors that this world does not have.
            _ => self.stats.frames_refused += 1,
        }
    }

    fn enter(&mut self, now: Instant, coord: ChunkCoord) {
        let is_crossing = self.ring.active().is_some();
        self.ring.enter(now, self.topology, coord, &mut self.cache);
        let present = self.cache.peek(coord).is_some();
        if is_crossing {
            self.stats.crossings += 1;
            self.stats.crossings_without_chunk += u64::from(!present);
        }
        self.tell(Event::Entered { coord, present });
    }

    fn take_frame(&mut self, now: Instant, kind: u8, body: &[u8]) {
        match kind {
            kind::FRAGMENT if is_parity(body) => match ParityFragment::parse(body) {
                Ok(fragment) => self.take_parity(now, &fragment),
                Err(_) => self.stats.frames_refused += 1,
            },
            kind::FRAGMENT => match Fragment::parse(body) {
                Ok(fragment) => self.take_fragment(now, &fragment),
                Err(_) => self.stats.frames_refused += 1,
            },
            kind::POSITIONS => match Positions::parse(body) {
                Ok(positions) => self.take_positions(&positions),
                Err(_) => self.stats.frames_refused += 1,
            },
            _ => self.stats.frames_unknown += 1,
        }
    }

    fn take_positions(&mut self, positions: &Positions<'_>) {
        let tick = positions.header.tick.get();
        let is_old = tick.wrapping_sub(self.position_tick) > u32::MAX / 2;
        if self.position.is_some() && is_old {
            return;
        }
        let own = positions.header.own;
        let chunk = ChunkCoord { cx: own.cx.get(), cz: own.cz.get() };
        self.position_tick = tick;
        self.position = Some(LocalPosition { chunk, x: own.x.get(), y: own.y.get(), z: own.z.get() });
        self.others.update(chunk, positions);
    }

    fn take_fragment(&mut self, now: Instant, fragment: &Fragment<'_>) {
        self.stats.fragments_in += 1;
        let Fragment { key, version, kind, encoding, .. } = *fragment;
        if self.wants(key, version, kind, encoding) {
            let outcome = self.reassembly.handle(now, fragment);
            self.assembled(now, key, outcome);
        }
    }

    /// Parity counts as a fragment: so many of either sort as a chunk has make it whole.
    fn take_parity(&mut self, now: Instant, fragment: &ParityFragment<'_>) {
        self.stats.fragments_in += 1;
        let ParityFragment { key, version, kind, encoding, .. } = *fragment;
        if self.wants(key, version, kind, encoding) {
            let outcome = self.reassembly.handle_parity(now, fragment);
            self.assembled(now, key, outcome);
        }
    }

    /// Whether a fragment is of a chunk that can be used and is not here.
    fn wants(&mut self, key: ChunkKey, version: u32, kind: u8, encoding: u8) -> bool {
        let coord = ChunkCoord { cx: key.cx, cz: key.cz };
        let understood = encoding == ENCODING_BSP || self.recipes && encoding == ENCODING_RECIPE;
        if key.cy != 0 || kind != CHUNK_KIND_BSP || !understood {
            self.stats.fragments_refused += 1;
            return false;
        }
        let is_here = self.cache.peek(coord).is_some_and(|c| c.version >= version);
        self.stats.fragments_duplicate += u64::from(is_here);
        !is_here
    }

    fn assembled(&mut self, now: Instant, key: ChunkKey, outcome: Assembly) {
        let coord = ChunkCoord { cx: key.cx, cz: key.cz };
        match outcome {
            Assembly::Progress => self.ring.grew(now, coord),
            Assembly::Complete(assembled) => self.take_chunk(now, coord, assembled),
            Assembly::Refused(Refusal::Duplicate) => self.stats.fragments_duplicate += 1,
            Assembly::Refused(_) => self.stats.fragments_refused += 1,
        }
    }

    fn take_chunk(&mut self, now: Instant, coord: ChunkCoord, assembled: Assembled) {
        match decode_as(assembled.encoding, &assembled.bytes) {
            Ok(chunk) if chunk.coord() == coord => {
                self.stats.chunks_complete += 1;
                let (version, encoded_bytes) = (assembled.version, assembled.bytes.len());
                self.stats.chunks_not_stored += u64::from(!self.stored.arrived(&chunk, assembled));
                self.take_ready(now, chunk, version, encoded_bytes);
            }
            Ok(_) => {
                self.stats.chunks_undecodable += 1;
                self.request(coord);
            }
            Err(error) => {
                match error {
                    DecodeError::ContentHash { .. } => self.stats.chunks_hash_failed += 1,
                    _ => self.stats.chunks_undecodable += 1,
                }
                self.request(coord);
            }
        }
    }

    fn keep(&mut self, chunk: Arc<Chunk>, version: u32) {
        if let Some(out) = self.cache.insert(chunk, version) {
            self.stats.chunks_forgotten += 1;
            // A stand-in was never the server's to know of.
            if out.version > 0 {
                self.send(&Message::ChunkForget(ChunkAt { key: key(out.coord), version: out.version }));
            }
        }
    }

    /// Asks for a chunk again; only what is in the ring may be asked for.
    fn request(&mut self, coord: ChunkCoord) {
        if self.ring.coords().contains(&coord) {
            self.stats.chunks_requested += 1;
            self.send(&Message::ChunkRequest(key(coord)));
        }
    }
}

fn decode_as(encoding: u8, bytes: &[u8]) -> Result<Chunk, DecodeError> {
    match encoding {
        ENCODING_RECIPE => Chunk::from_recipe(bytes, &mut Scratch::default()),
        _ => decode(bytes),
    }
}

fn key(coord: ChunkCoord) -> ChunkKey {
    ChunkKey { cx: coord.cx, cy: 0, cz: coord.cz }
}
