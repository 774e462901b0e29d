//! [`Client`]: connection, link, reassembly, cache and ring behind one call order.

mod carried;
mod chunks;
mod measure;
mod play;
mod stored;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use ninefold_protocol::chunk::Reassembly;
use ninefold_protocol::connection::{self, ClientReceived, ClientState, ConnectToken};
use ninefold_protocol::frame::{
    ENCODING_BSP_BIT, ENCODING_RECIPE_BIT, Fragment, Hello, Message, PROTOCOL_VERSION, ParityFragment,
    is_parity, kind,
};
use ninefold_protocol::limits::{PACKET_BYTES_MAX, REASSEMBLY_BYTES_MAX};
use ninefold_protocol::link::Link;
use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::{Chunk, ChunkCoord, Topology};

use self::play::Play;
use self::stored::Stored;
pub use self::stored::{Encoded, StoredKey};
use crate::cache::ChunkCache;
use crate::config::ClientConfig;
use crate::event::{EndReason, Event};
use crate::measures::Rates;
use crate::ring::Ring;
use crate::stats::ClientStats;

/// Events that may wait to be polled; the oldest are dropped beyond it, and the game has stopped
/// listening long before.
const EVENTS_MAX: usize = 4_096;
/// Timers of the connection and the link are looked at so often.
const TIMERS_EVERY: Duration = Duration::from_ms(16);

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

/// A client. Call [`Client::handle_datagram`] for what came, [`Client::set_input`] when the player wants
/// something else, [`Client::handle_timeout`] each frame of the game or when [`Client::next_timeout`] says so, then
/// [`Client::poll_transmit`] until it gives nothing and [`Client::poll_event`] likewise. To draw, ask
/// [`Client::own`] and [`Client::entities`].
#[derive(Debug)]
pub struct Client {
    way: Way,
    link: Link<()>,
    recipes: bool,
    greeted: bool,
    ended: Option<EndReason>,
    /// When timers were looked at.
    timers_at: Instant,
    // the world
    topology: Topology,
    ring: Ring,
    cache: ChunkCache,
    reassembly: Reassembly,
    stored: Stored,
    // the player and what is around it
    play: Play,
    // out
    events: VecDeque<Event>,
    stats: ClientStats,
    rates: Rates,
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
            play: Play::default(),
            timers_at: now,
            events: VecDeque::new(),
            stats: ClientStats::default(),
            rates: Rates::new(now),
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

    /// The ring and what is awaited of it.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// A chunk that is here.
    pub fn chunk(&self, coord: ChunkCoord) -> Option<&Arc<Chunk>> {
        self.cache.peek(coord).map(|c| &c.chunk)
    }

    /// Holds this chunk in place of its own, if that is equal: for many clients in one process, which then keep it once.
    /// Says whether it does.
    pub fn share_chunk(&mut self, chunk: Arc<Chunk>) -> bool {
        self.cache.share(chunk)
    }

    /// Chunks that are here.
    pub fn cache(&self) -> &ChunkCache {
        &self.cache
    }

    /// Whether the player can play: it is in the world and the chunk it stands in is here.
    pub fn is_playable(&self) -> bool {
        self.predicted().is_some() && self.ring.active().is_some_and(|active| !self.ring.wants(active))
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

    /// When [`Client::handle_timeout`] has something to do; `None` once all is over.
    pub fn next_timeout(&self) -> Option<Instant> {
        // A tick looks at the timers too; slow ticks leave them time of their own.
        let timers = |factor| self.timers_at + TIMERS_EVERY.scaled(factor, 1);
        self.ended.is_none().then(|| self.play.next_due().map_or(timers(1), |due| due.min(timers(4))))
    }

    /// Lets time pass: ticks of the player that are due, timers of the connection and the link, chunks that did
    /// not come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.timers_at = now;
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
        self.measure(now);
        if self.ended.is_none() {
            self.tick(now);
        }
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
        if !self.is_connected() || !(self.play.wants_to_send() || self.link.wants_to_send()) {
            return None;
        }
        let mut packet = self.link.packet(now, buffer);
        self.stats.input_bytes_out += self.play.write_inputs(&mut packet) as u64;
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
            Message::Welcome(welcome) => self.begin(now, &welcome),
            Message::Refuse(reason) => self.end(EndReason::Refused(reason)),
            Message::ChunkEnter { cx, cz } => self.enter(now, ChunkCoord { cx, cz }),
            Message::ChunkUnavailable(at, _) if at.key.cy == 0 => self.take_unavailable(now, at.key),
            Message::ChunkKnown(at) => self.take_known(at),
            Message::Unknown(_) => self.stats.frames_unknown += 1,
            // What only a client says, and floors that this world does not have.
            _ => self.stats.frames_refused += 1,
        }
    }

    fn take_frame(&mut self, now: Instant, kind: u8, body: &[u8]) {
        let bytes = body.len() as u64;
        match kind {
            kind::FRAGMENT => self.stats.fragment_bytes_in += bytes,
            kind::SNAPSHOT => self.stats.snapshot_bytes_in += bytes,
            kind::EVENT => self.stats.event_bytes_in += bytes,
            _ => {}
        }
        match kind {
            kind::FRAGMENT if is_parity(body) => match ParityFragment::parse(body) {
                Ok(fragment) => self.take_parity(now, &fragment),
                Err(_) => self.stats.frames_refused += 1,
            },
            kind::FRAGMENT => match Fragment::parse(body) {
                Ok(fragment) => self.take_fragment(now, &fragment),
                Err(_) => self.stats.frames_refused += 1,
            },
            kind::SNAPSHOT => self.take_snapshot(now, body),
            kind::EVENT => self.take_event(body),
            _ => self.stats.frames_unknown += 1,
        }
    }
}
