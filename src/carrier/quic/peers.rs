//! The sessions of the QUIC carrier: who gets the packets of a slot, who has fallen silent, how much each
//! one's line takes.

use bytes::{Bytes, BytesMut};
use ninefold_protocol::connection::CloseReason;
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::time::{Duration, Instant};
use quinn::{Connection, ConnectionStats, SendDatagramError, VarInt};

use super::congestion::{FlowController, HeldBack};
use super::report::{Counted, QuicReport};
use super::transport::{Flow, RECORD_BYTES, ROOM_PACKETS_MAX, SEND_BUFFER_BYTES, room};
use crate::carrier::roster::Entry;
use crate::carrier::{Arrival, ConnectionId, Packets, is_other_path};

/// A path that has been too narrow for so long, with packets waiting for it, will not grow.
const NARROW_MAX: Duration = Duration::from_secs(5);

/// A connection as the sessions use it: quinn's handle on a socket, or its sans-IO core.
pub(super) trait Path {
    /// Bytes that the send buffer still takes.
    fn space(&self) -> usize;

    /// Sends one packet; what is too much pushes the oldest out.
    fn send(&self, packet: Bytes) -> Result<(), NotSent>;

    /// The longest packet that it takes now.
    fn packet_bytes_max(&self) -> Option<usize>;

    /// What QUIC counts.
    fn stats(&self) -> ConnectionStats;

    /// Where the peer is.
    fn address(&self) -> std::net::SocketAddr;

    /// Where its controller hears that it could have got more.
    fn held_back(&self) -> Option<HeldBack>;
}

/// Why a packet was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSent {
    /// It does not fit the path.
    TooLarge,
    /// The connection has ended, or takes no datagrams.
    Gone,
}

impl Path for Connection {
    fn space(&self) -> usize {
        self.datagram_send_buffer_space()
    }

    fn send(&self, packet: Bytes) -> Result<(), NotSent> {
        self.send_datagram(packet).map_err(|error| match error {
            SendDatagramError::TooLarge => NotSent::TooLarge,
            _ => NotSent::Gone,
        })
    }

    fn packet_bytes_max(&self) -> Option<usize> {
        self.max_datagram_size()
    }

    fn stats(&self) -> ConnectionStats {
        Connection::stats(self)
    }

    fn address(&self) -> std::net::SocketAddr {
        self.remote_address()
    }

    fn held_back(&self) -> Option<HeldBack> {
        FlowController::held_back(self)
    }
}

/// A session.
pub(super) struct Peer<C> {
    pub id: ConnectionId,
    pub connection: C,
    /// What its token says of silence.
    timeout: Option<Duration>,
    /// Frames that came; more of them mean that it is there.
    heard: u64,
    heard_at: Instant,
    address: std::net::SocketAddr,
    /// The room that the tick was told.
    room: u32,
    /// Packets that it got since that was reckoned.
    packets: u32,
    /// Where its controller hears that it could have got more.
    held_back: Option<HeldBack>,
    /// Bytes that waited after its last packets were written.
    queued: usize,
    /// Bytes that waited before the first packet of this tick was.
    left_over: Option<usize>,
    /// Whether its slot is in [`Peers::watched`].
    is_watched: bool,
    /// Since when packets did not fit its path.
    narrow_since: Option<Instant>,
    counted: Counted,
}

/// The sessions by slot.
pub(super) struct Peers<C> {
    slots: Vec<Option<Box<Peer<C>>>>,
    /// Slots that got packets, or have less than full room: their rooms are reckoned after each tick.
    watched: Vec<u32>,
    tick_us: u64,
}

/// Closes a connection with a reason.
pub(super) fn close(connection: &Connection, reason: CloseReason) {
    connection.close(VarInt::from_u32(reason.code()), reason.text().as_bytes());
}

/// Frames from the peer that only it can have made.
fn frames_heard(stats: &ConnectionStats) -> u64 {
    let rx = &stats.frame_rx;
    rx.acks + rx.ping + rx.datagram + rx.stream + rx.path_response + rx.path_challenge
}

/// Bytes that wait in a send buffer with this much space.
fn queued_bytes(space: usize) -> usize {
    // The next record's own bytes are never counted as space.
    (SEND_BUFFER_BYTES - RECORD_BYTES).saturating_sub(space)
}

impl<C: Path> Peers<C> {
    /// Nobody. A tick takes `tick` at most.
    pub fn new(tick: Duration) -> Self {
        Peers { slots: Vec::new(), watched: Vec::new(), tick_us: tick.as_us() }
    }

    /// Takes a session in; one that was left in its slot comes back.
    pub fn insert(&mut self, now: Instant, entry: Entry, connection: C) -> Option<Box<Peer<C>>> {
        let slot = entry.connection.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        let stats = connection.stats();
        let peer = Peer {
            id: entry.connection,
            timeout: entry.timeout,
            heard: frames_heard(&stats),
            heard_at: now,
            address: connection.address(),
            // Differs from what any line has, so that the tick is told with the first packet.
            room: u32::MAX,
            packets: 0,
            held_back: connection.held_back(),
            queued: 0,
            left_over: None,
            // What had the slot before may have left it there.
            is_watched: self.watched.contains(&entry.connection.slot),
            narrow_since: None,
            counted: Counted::default(),
            connection,
        };
        self.slots[slot].replace(Box::new(peer))
    }

    /// Takes this very session out.
    pub fn remove(&mut self, id: ConnectionId) -> Option<Box<Peer<C>>> {
        self.get_mut(id)?;
        self.slots[id.slot as usize].take()
    }

    /// All sessions, which are then gone.
    pub fn drain(&mut self) -> impl Iterator<Item = Box<Peer<C>>> {
        std::mem::take(&mut self.slots).into_iter().flatten()
    }

    fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Peer<C>> {
        self.slots.get_mut(id.slot as usize)?.as_deref_mut().filter(|peer| peer.id == id)
    }

    /// Sends packets: heads and tails are put together here, in one piece of memory. Says why the session has to end,
    /// if so.
    pub fn send(
        &mut self,
        now: Instant,
        packets: &Packets,
        heads: &[u8],
        report: &mut QuicReport,
    ) -> Option<CloseReason> {
        let id = packets.connection;
        let watched = &mut self.watched;
        let peer = self.slots.get_mut(id.slot as usize).and_then(|peer| peer.as_deref_mut());
        let Some(peer) = peer.filter(|peer| peer.id == id) else {
            report.departures_stale += u64::from(packets.count);
            return None;
        };
        if !peer.is_watched {
            peer.is_watched = true;
            watched.push(id.slot);
        }
        let mut bytes = BytesMut::with_capacity(heads.len() + packets.tail.len());
        let mut ended = None;
        for [head, tail] in packets.each(heads) {
            bytes.extend_from_slice(head);
            bytes.extend_from_slice(tail);
            ended = ended.or(peer.send(now, bytes.split().freeze(), report));
        }
        ended
    }

    /// After the packets of a tick: tells the tick of rooms that have changed. `tell` says whether it
    /// could.
    pub fn reckon_rooms(
        &mut self,
        now: Instant,
        report: &mut QuicReport,
        mut tell: impl FnMut(Arrival) -> bool,
    ) {
        let (slots, tick_us) = (&mut self.slots, self.tick_us);
        self.watched.retain(|slot| {
            let Some(peer) = slots[*slot as usize].as_deref_mut() else { return false };
            let queued = queued_bytes(peer.connection.space());
            let left_over = peer.left_over.take().unwrap_or(queued);
            let drained = peer.queued.saturating_sub(left_over);
            peer.queued = queued;
            // Beside what is no fragment it used all its room, so there may be more.
            let packets = std::mem::take(&mut peer.packets);
            if let Some(held_back) = peer.held_back.as_ref().filter(|_| packets > peer.room) {
                held_back.until(now + Duration::from_us(tick_us));
            }
            let path = peer.connection.stats().path;
            let (window, rtt_us) = (path.cwnd, path.rtt.as_micros() as u64);
            let packets = room(Flow { queued, left_over, drained, window, rtt_us }, tick_us);
            // What the lane has no room for is told after the next tick.
            let is_told = packets == peer.room || tell(Arrival::Room { connection: peer.id, packets });
            if is_told {
                peer.room = packets;
            }
            let is_limited = packets < ROOM_PACKETS_MAX || !is_told;
            report.held_back += u64::from(is_limited);
            peer.is_watched = is_limited;
            is_limited
        });
    }

    /// Looks at every session: who has moved, of which the tick is told, whose path has grown, and who has been silent
    /// for too long, which is given back. `tell` says whether it could.
    pub fn sweep(
        &mut self,
        now: Instant,
        report: &mut QuicReport,
        mut tell: impl FnMut(Arrival) -> bool,
    ) -> Vec<ConnectionId> {
        let mut silent = Vec::new();
        for peer in self.slots.iter_mut().filter_map(|peer| peer.as_deref_mut()) {
            let stats = peer.connection.stats();
            peer.counted.take(&stats, report);
            let heard = frames_heard(&stats);
            if heard != peer.heard {
                (peer.heard, peer.heard_at) = (heard, now);
            } else if peer.timeout.is_some_and(|timeout| now.since(peer.heard_at) >= timeout) {
                silent.push(peer.id);
            }
            let address = peer.connection.address();
            // What the lane has no room for is told with the next look.
            let is_told = address != peer.address
                && (!is_other_path(peer.address, address) || tell(Arrival::Moved(peer.id)));
            if is_told {
                peer.address = address;
                // Another path has another controller.
                peer.held_back = peer.connection.held_back();
                report.migrations += 1;
            }
            if peer.connection.packet_bytes_max().is_some_and(|bytes| bytes >= PACKET_BYTES_MAX) {
                peer.narrow_since = None;
            }
        }
        silent
    }
}

impl<C: Path> Peer<C> {
    /// Sends one packet. Says why the session has to end, if so.
    fn send(&mut self, now: Instant, packet: Bytes, report: &mut QuicReport) -> Option<CloseReason> {
        let space = self.connection.space();
        self.left_over.get_or_insert(queued_bytes(space));
        let overflows = u64::from(space < packet.len());
        match self.connection.send(packet) {
            Ok(()) => {
                report.packets_out += 1;
                self.packets += 1;
                report.send_buffer_overflows += overflows;
            }
            Err(NotSent::TooLarge) => {
                report.packets_too_large += 1;
                let since = *self.narrow_since.get_or_insert(now);
                return (now.since(since) >= NARROW_MAX).then_some(CloseReason::NarrowPath);
            }
            Err(NotSent::Gone) => report.departures_stale += 1,
        }
        None
    }

    /// Counts what is left to count.
    pub fn settle(&mut self, report: &mut QuicReport) {
        self.counted.take(&self.connection.stats(), report);
    }
}
