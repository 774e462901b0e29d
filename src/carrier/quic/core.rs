//! The QUIC carrier without socket, runtime and clock, over quinn's own sans-IO core: for virtual time.
//!
//! The carrier on sockets drives quinn, whose connections are tasks; this drives `quinn-proto`, on which quinn stands.
//! What is ours is the same code in both: the transport, the congestion controller, the gate, the sessions with their
//! rooms, the report. Only the way in, a task there, is a state machine here:
//!
//! ```text
//!   handshake ─▶ showing its token ─▶ (path too narrow yet) ─▶ in ─▶ closing
//! ```

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ninefold_protocol::connection::{ADMITTED_BYTES, CloseReason, DisconnectReason, SHOWN_BYTES};
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::link::congestion::CongestionConfig;
use ninefold_protocol::time::{Duration, Instant};
use quinn_proto::{
    Connection, ConnectionError, ConnectionHandle, ConnectionId as QuicId, ConnectionIdGenerator,
    ConnectionStats, DatagramEvent, Dir, Endpoint, EndpointConfig, Event, Incoming, SendDatagramError,
    ServerConfig, StreamEvent, StreamId, VarInt,
};
use ring::{hkdf, hmac};

use super::attend::STEP_MAX;
use super::congestion::{FlowController, FlowFactory, HeldBack};
use super::gate::{Comer, Gate, GateConfig, Pass, seeded_hasher};
use super::peers::{NotSent, Path, Peer, Peers};
use super::{Congestion, Identity, QuicError, QuicReport, SWEEP_EVERY};
use crate::carrier::roster::Entry;
use crate::carrier::udp::core::UdpCore;
use crate::carrier::{Arrival, CarrierEnd, ConnectionId, Departure};
use crate::clock::Monotonic;

/// How often a path that is too narrow yet is looked at again.
const WIDTH_EVERY: Duration = Duration::from_ms(10);
/// Bytes of a connection id of the server.
const ID_BYTES: usize = 8;

/// Where datagrams go.
pub type Send<'s> = &'s mut dyn FnMut(SocketAddr, &[u8]);

/// What the carrier is told at its start.
#[derive(Debug)]
pub struct QuicCoreConfig {
    /// Who the server is. What it signs should be of one length, or the times of the handshake depend on chance.
    pub identity: Identity,
    /// How many connections are attended to.
    pub gate: GateConfig,
    /// A tick takes so long at most.
    pub tick: Duration,
    /// How each client's share of its line is found.
    pub congestion: CongestionConfig,
    /// Chooses connection ids, keys of tokens and whatever else quinn draws.
    pub seed: [u8; 32],
}

/// A connection, shared by the carrier and its session.
#[derive(Clone)]
struct Line(ConnectionHandle, Rc<RefCell<Connection>>);

impl Path for Line {
    fn space(&self) -> usize {
        self.1.borrow_mut().datagrams().send_buffer_space()
    }

    fn send(&self, packet: Bytes) -> Result<(), NotSent> {
        self.1.borrow_mut().datagrams().send(packet, true).map_err(|error| match error {
            SendDatagramError::TooLarge => NotSent::TooLarge,
            _ => NotSent::Gone,
        })
    }

    fn packet_bytes_max(&self) -> Option<usize> {
        self.1.borrow_mut().datagrams().max_size()
    }

    fn stats(&self) -> ConnectionStats {
        self.1.borrow().stats()
    }

    fn address(&self) -> SocketAddr {
        self.1.borrow().remote_address()
    }

    fn held_back(&self) -> Option<HeldBack> {
        let controller = self.1.borrow().congestion_state().clone_box();
        controller.into_any().downcast::<FlowController>().ok().map(|controller| controller.shared())
    }
}

/// How far a connection has come.
#[derive(Debug, Clone)]
enum Stage {
    Handshake,
    Showing { stream: Option<StreamId>, shown: Vec<u8> },
    Narrow { stream: StreamId, shown: Box<[u8; SHOWN_BYTES]> },
    In(ConnectionId),
    Closing,
}

/// A connection.
struct Attended {
    line: Line,
    stage: Stage,
    /// When this stage must be over.
    until: Instant,
    /// When it is to be woken.
    wakes: Option<Instant>,
}

/// Draws connection ids from a seed.
struct SeededIds(fastrand::Rng, usize);

impl ConnectionIdGenerator for SeededIds {
    fn generate_cid(&mut self) -> QuicId {
        let mut bytes = [0; 20];
        self.0.fill(&mut bytes[..self.1]);
        QuicId::new(&bytes[..self.1])
    }

    fn cid_len(&self) -> usize {
        self.1
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// A configuration of an endpoint that draws everything from a seed, ids of `id_bytes` bytes included.
pub fn seeded_endpoint(seed: [u8; 32], id_bytes: usize) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &seed)));
    let ids = u64::from_le_bytes(std::array::from_fn(|at| seed[at]));
    config
        .rng_seed(Some(seed))
        .cid_generator(move || Box::new(SeededIds(fastrand::Rng::with_seed(ids ^ 0x6964_7300), id_bytes)));
    config
}

/// The carrier. Where it is asked for a roster, that is the UDP carrier's, which keeps it for all.
pub struct QuicCore {
    endpoint: Endpoint,
    server: Arc<ServerConfig>,
    connections: Vec<Option<Attended>>,
    /// Which connection has a slot.
    by_slot: Vec<Option<ConnectionHandle>>,
    peers: Peers<Line>,
    end: CarrierEnd,
    gate: Gate,
    report: QuicReport,
    clock: Monotonic,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    sweep_at: Instant,
    /// Connections that something was done to.
    touched: BTreeSet<usize>,
    buffer: Vec<u8>,
}

impl QuicCore {
    /// A carrier without clients, and its ends of the lanes. `clock` only gives quinn's times an origin.
    pub fn new(
        config: QuicCoreConfig,
        end: CarrierEnd,
        clock: Monotonic,
        now: Instant,
    ) -> Result<Self, QuicError> {
        let QuicCoreConfig { identity, gate, tick, congestion, seed } = config;
        let congestion: Congestion = Arc::new(FlowFactory { clock, config: congestion });
        let token_key = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&seed);
        let mut server = ServerConfig::new(Arc::new(identity.crypto(None)?), Arc::new(token_key));
        super::configure(&mut server, &congestion, gate.handshakes_max);
        let server = Arc::new(server);
        let endpoint = seeded_endpoint(seed, ID_BYTES);
        Ok(QuicCore {
            endpoint: Endpoint::new(Arc::new(endpoint), Some(Arc::clone(&server)), true, None),
            server,
            connections: Vec::new(),
            by_slot: Vec::new(),
            peers: Peers::new(tick),
            end,
            gate: Gate::new(gate, seeded_hasher(seed), now),
            report: QuicReport::default(),
            clock,
            timers: BinaryHeap::new(),
            sweep_at: now + SWEEP_EVERY.into(),
            touched: BTreeSet::new(),
            buffer: Vec::new(),
        })
    }

    /// What it did.
    pub fn report(&self) -> &QuicReport {
        &self.report
    }

    /// Records that the tick wrote and that were not looked at yet.
    pub fn departures_waiting(&self) -> usize {
        self.end.departures.len()
    }

    /// When there is something to do.
    pub fn next_deadline(&self) -> Instant {
        self.timers.peek().map_or(self.sweep_at, |Reverse((at, _))| (*at).min(self.sweep_at))
    }

    /// Takes a datagram.
    pub fn handle(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        roster: &mut UdpCore,
        send: Send<'_>,
    ) {
        let then = self.clock.std(now);
        self.buffer.clear();
        let event = self.endpoint.handle(then, from, None, None, BytesMut::from(datagram), &mut self.buffer);
        match event {
            None => {}
            Some(DatagramEvent::Response(transmit)) => {
                send(transmit.destination, &self.buffer[..transmit.size])
            }
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(attended) = self.attended(handle.0) {
                    attended.line.1.borrow_mut().handle_event(event);
                    self.touched.insert(handle.0);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.meet(now, incoming, send),
        }
        self.drive_touched(now, roster, send);
    }

    fn attended(&mut self, handle: usize) -> Option<&mut Attended> {
        self.connections.get_mut(handle)?.as_mut()
    }

    fn meet(&mut self, now: Instant, incoming: Incoming, send: Send<'_>) {
        self.report.connections += 1;
        let on_its_way = |a: &&Attended| !matches!(a.stage, Stage::In(_) | Stage::Closing);
        let under_way = self.connections.iter().flatten().filter(on_its_way).count();
        let comer = Comer { address: incoming.remote_address(), may_retry: incoming.may_retry() };
        let pass = self.gate.decide(now, under_way, comer, &mut self.report);
        self.buffer.clear();
        let answer = match pass {
            Pass::Attend => return self.accept(now, incoming, send),
            Pass::Ignore => return self.endpoint.ignore(incoming),
            Pass::Refuse => Some(self.endpoint.refuse(incoming, &mut self.buffer)),
            // What cannot be sent now is asked for again.
            Pass::Retry => self.endpoint.retry(incoming, &mut self.buffer).ok(),
        };
        if let Some(transmit) = answer {
            send(transmit.destination, &self.buffer[..transmit.size]);
        }
    }

    fn accept(&mut self, now: Instant, incoming: Incoming, send: Send<'_>) {
        let server = Some(Arc::clone(&self.server));
        match self.endpoint.accept(incoming, self.clock.std(now), &mut self.buffer, server) {
            Ok((handle, connection)) => {
                let index = handle.0;
                if self.connections.len() <= index {
                    self.connections.resize_with(index + 1, || None);
                }
                let line = Line(handle, Rc::new(RefCell::new(connection)));
                let until = now + STEP_MAX.into();
                self.connections[index] =
                    Some(Attended { line, stage: Stage::Handshake, until, wakes: None });
                self.touched.insert(index);
            }
            Err(error) => {
                self.report.handshakes_failed += 1;
                if let Some(transmit) = error.response {
                    send(transmit.destination, &self.buffer[..transmit.size]);
                }
            }
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant, roster: &mut UdpCore, send: Send<'_>) {
        while let Some(&Reverse((at, index))) = self.timers.peek().filter(|Reverse((at, _))| *at <= now) {
            self.timers.pop();
            let then = self.clock.std(now);
            let Some(attended) = self.attended(index).filter(|a| a.wakes == Some(at)) else { continue };
            attended.wakes = None;
            attended.line.1.borrow_mut().handle_timeout(then);
            self.touched.insert(index);
        }
        while let Some(id) = roster.poll_evicted() {
            self.end(now, id, Some(CloseReason::Replaced));
        }
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP_EVERY.into();
            let arrivals = &mut self.end.arrivals;
            let tell = |moved| arrivals.push(moved, &[]).is_ok();
            for id in self.peers.sweep(now, &mut self.report, tell) {
                self.end(now, id, Some(CloseReason::TimedOut));
                roster.release(id, DisconnectReason::TimedOut);
            }
        }
        self.drive_touched(now, roster, send);
    }

    /// Sends what the tick wrote.
    pub fn depart(&mut self, now: Instant, roster: &mut UdpCore, send: Send<'_>) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        while let Some((departure, heads)) = self.end.departures.pop(&mut buffer) {
            match departure {
                Departure::Packets(packets) => {
                    let connection = packets.connection;
                    let ended = self.peers.send(now, &packets, heads, &mut self.report);
                    if let Some(Some(handle)) = self.by_slot.get(connection.slot as usize) {
                        self.touched.insert(handle.0);
                    }
                    if let Some(reason) = ended {
                        self.end(now, connection, Some(reason));
                        roster.release(connection, DisconnectReason::ByPeer);
                    }
                }
                Departure::Disconnect(id) => {
                    self.end(now, id, Some(CloseReason::Ended));
                    roster.release(id, DisconnectReason::ByServer);
                }
            }
        }
        let arrivals = &mut self.end.arrivals;
        self.peers.reckon_rooms(now, &mut self.report, |room| arrivals.push(room, &[]).is_ok());
        self.drive_touched(now, roster, send);
    }

    /// Closes every session because the server stops.
    pub fn say_goodbye(&mut self, now: Instant, roster: &mut UdpCore, send: Send<'_>) {
        self.depart(now, roster, send);
        for index in 0..self.connections.len() {
            if self.attended(index).is_some() {
                self.close(now, index, CloseReason::Stopping);
            }
        }
        self.drive_touched(now, roster, send);
    }

    fn close(&mut self, now: Instant, index: usize, reason: CloseReason) {
        let then = self.clock.std(now);
        let Some(attended) = self.attended(index) else { return };
        attended.stage = Stage::Closing;
        let text = Bytes::from_static(reason.text().as_bytes());
        attended.line.1.borrow_mut().close(then, VarInt::from_u32(reason.code()), text);
        self.touched.insert(index);
    }

    /// Ends a session, if it has not ended yet. Without a reason it is closed already.
    fn end(&mut self, now: Instant, id: ConnectionId, reason: Option<CloseReason>) {
        if let Some(peer) = self.peers.remove(id) {
            self.settle(now, *peer, reason);
        }
    }

    fn settle(&mut self, now: Instant, mut peer: Peer<Line>, reason: Option<CloseReason>) {
        peer.settle(&mut self.report);
        self.report.count_end(reason);
        let handle = peer.connection.0;
        if let Some(of_slot) = self.by_slot.get_mut(peer.id.slot as usize).filter(|of| **of == Some(handle)) {
            *of_slot = None;
        }
        match reason {
            Some(reason) => self.close(now, handle.0, reason),
            None => {
                if let Some(attended) = self.attended(handle.0) {
                    attended.stage = Stage::Closing;
                }
            }
        }
    }

    /// Drives every connection that something was done to, until nothing more comes of it.
    fn drive_touched(&mut self, now: Instant, roster: &mut UdpCore, send: Send<'_>) {
        while let Some(index) = self.touched.pop_first() {
            self.drive(now, index, roster, send);
        }
    }

    fn drive(&mut self, now: Instant, index: usize, roster: &mut UdpCore, send: Send<'_>) {
        let Some(line) = self.attended(index).map(|attended| attended.line.clone()) else { return };
        loop {
            let event = line.1.borrow_mut().poll();
            match event {
                Some(Event::Connected) => self.connected(now, index, &line),
                Some(Event::Stream(StreamEvent::Opened { .. } | StreamEvent::Readable { .. })) => {
                    self.read_token(now, index, &line);
                }
                Some(Event::ConnectionLost { reason }) => self.lost(now, index, &reason, roster),
                Some(_) => {}
                None => break,
            }
        }
        self.see_to_the_way_in(now, index, &line, roster);
        self.take_packets(now, index, &line);
        self.transmit(now, &line, send);
        let mut connection = line.1.borrow_mut();
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(line.0, event) {
                connection.handle_event(answer);
            }
        }
        if connection.is_drained() {
            self.connections[index] = None;
            return;
        }
        let timeout = connection.poll_timeout().map(|at| self.clock.at_or_after(at));
        drop(connection);
        self.set_timer(now, index, timeout);
    }

    fn set_timer(&mut self, now: Instant, index: usize, timeout: Option<Instant>) {
        let Some(attended) = self.attended(index) else { return };
        let own = match attended.stage {
            Stage::Handshake | Stage::Showing { .. } => Some(attended.until),
            Stage::Narrow { .. } => Some(now + WIDTH_EVERY),
            Stage::In(_) | Stage::Closing => None,
        };
        let wakes = timeout.into_iter().chain(own).min();
        if attended.wakes != wakes {
            attended.wakes = wakes;
            self.timers.extend(wakes.map(|at| Reverse((at, index))));
        }
    }

    fn transmit(&mut self, now: Instant, line: &Line, send: Send<'_>) {
        let then = self.clock.std(now);
        self.buffer.clear();
        while let Some(transmit) = line.1.borrow_mut().poll_transmit(then, 1, &mut self.buffer) {
            send(transmit.destination, &self.buffer[..transmit.size]);
            self.buffer.clear();
        }
    }

    fn connected(&mut self, now: Instant, index: usize, line: &Line) {
        if line.packet_bytes_max().is_none() {
            self.report.no_datagrams += 1;
            self.close(now, index, CloseReason::NoDatagrams);
        } else if let Some(attended) = self.attended(index) {
            attended.stage = Stage::Showing { stream: None, shown: Vec::new() };
            attended.until = now + STEP_MAX.into();
        }
    }

    /// Reads what the client shows: the first stream's bytes to its end.
    fn read_token(&mut self, now: Instant, index: usize, line: &Line) {
        let Some(Attended { stage: Stage::Showing { stream, shown }, .. }) = self.attended(index) else {
            return;
        };
        let mut connection = line.1.borrow_mut();
        let id = stream.or_else(|| connection.streams().accept(Dir::Bi));
        let Some(id) = id else { return };
        *stream = Some(id);
        let mut is_whole = false;
        if let Ok(mut chunks) = connection.recv_stream(id).read(true) {
            loop {
                match chunks.next(usize::MAX) {
                    Ok(Some(chunk)) if shown.len() + chunk.bytes.len() <= SHOWN_BYTES => {
                        shown.extend_from_slice(&chunk.bytes);
                    }
                    // Too many bytes cannot become a token any more.
                    Ok(Some(_)) => shown.clear(),
                    Ok(None) => {
                        is_whole = true;
                        break;
                    }
                    Err(_) => break,
                }
            }
            let _ = chunks.finalize();
        }
        connection.set_max_concurrent_streams(Dir::Bi, VarInt::from_u32(0));
        drop(connection);
        if !is_whole {
            return;
        }
        match <[u8; SHOWN_BYTES]>::try_from(std::mem::take(shown)) {
            Ok(shown) => {
                if let Some(attended) = self.attended(index) {
                    attended.stage = Stage::Narrow { stream: id, shown: Box::new(shown) };
                    attended.until = now + STEP_MAX.into();
                }
            }
            Err(_) => {
                self.report.tokens_refused += 1;
                self.close(now, index, CloseReason::Malformed);
            }
        }
    }

    /// Lets a client in that has shown its token, once its path is wide enough; gives up one that takes too long.
    fn see_to_the_way_in(&mut self, now: Instant, index: usize, line: &Line, roster: &mut UdpCore) {
        let Some(attended) = self.attended(index) else { return };
        let is_over = now >= attended.until;
        match &mut attended.stage {
            Stage::Handshake if is_over => {
                self.report.handshakes_failed += 1;
                self.close(now, index, CloseReason::TooSlow);
            }
            Stage::Showing { .. } if is_over => {
                self.report.tokens_not_shown += 1;
                self.close(now, index, CloseReason::TooSlow);
            }
            Stage::Narrow { stream, shown } => {
                let is_narrow = line.packet_bytes_max().is_some_and(|bytes| bytes < PACKET_BYTES_MAX);
                if is_narrow && is_over {
                    self.report.narrow_paths += 1;
                    self.close(now, index, CloseReason::NarrowPath);
                } else if !is_narrow {
                    let stream = *stream;
                    let admitted = roster.admit(now, line.address(), shown);
                    self.admitted(now, index, line, stream, admitted, roster);
                }
            }
            _ => {}
        }
    }

    fn admitted(
        &mut self,
        now: Instant,
        index: usize,
        line: &Line,
        stream: StreamId,
        admitted: Result<Entry, CloseReason>,
        roster: &mut UdpCore,
    ) {
        // Who has to make way for this one goes first.
        while let Some(id) = roster.poll_evicted() {
            self.end(now, id, Some(CloseReason::Replaced));
        }
        let entry = match admitted {
            Ok(entry) => entry,
            Err(reason) => {
                self.report.tokens_refused += 1;
                return self.close(now, index, reason);
            }
        };
        let id = entry.connection;
        let mut answer = [0; ADMITTED_BYTES];
        answer[..4].copy_from_slice(&id.slot.to_le_bytes());
        answer[4..].copy_from_slice(&entry.slots.to_le_bytes());
        self.report.sessions += 1;
        if let Some(attended) = self.attended(index) {
            attended.stage = Stage::In(id);
        }
        let slot = id.slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, None);
        }
        if let Some(old) = self.peers.insert(now, entry, line.clone()) {
            self.settle(now, *old, Some(CloseReason::Replaced));
        }
        self.by_slot[slot] = Some(line.0);
        let told = {
            let mut connection = line.1.borrow_mut();
            let mut send = connection.send_stream(stream);
            // The window of a fresh stream takes eight bytes.
            matches!(send.write(&answer), Ok(ADMITTED_BYTES)) && send.finish().is_ok()
        };
        if !told {
            self.end(now, id, Some(CloseReason::Left));
            roster.release(id, DisconnectReason::ByPeer);
        }
    }

    /// Hands a client's packets to the tick.
    fn take_packets(&mut self, now: Instant, index: usize, line: &Line) {
        let Some(Attended { stage: Stage::In(id), .. }) = self.attended(index) else { return };
        let id = *id;
        while let Some(packet) = line.1.borrow_mut().datagrams().recv() {
            if !(1..=PACKET_BYTES_MAX).contains(&packet.len()) {
                self.report.packets_refused += 1;
                continue;
            }
            self.report.packets_in += 1;
            let arrival = Arrival::Packet { connection: id, at: now };
            if self.end.arrivals.push(arrival, &packet).is_err() {
                self.report.arrivals_dropped += 1;
            }
        }
    }

    fn lost(&mut self, now: Instant, index: usize, error: &ConnectionError, roster: &mut UdpCore) {
        let Some(attended) = self.attended(index) else { return };
        let id = match attended.stage {
            Stage::In(id) => id,
            Stage::Handshake => return self.report.handshakes_failed += 1,
            _ => return,
        };
        let (reason, why) = match error {
            ConnectionError::TimedOut => (Some(CloseReason::TimedOut), DisconnectReason::TimedOut),
            // It broke QUIC's rules, and QUIC has told it so.
            ConnectionError::TransportError(_) => (None, DisconnectReason::ByPeer),
            _ => (Some(CloseReason::Left), DisconnectReason::ByPeer),
        };
        self.end(now, id, reason);
        roster.release(id, why);
    }
}

impl std::fmt::Debug for QuicCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connections = self.connections.iter().flatten().count();
        write!(f, "QuicCore({connections} connections)")
    }
}
