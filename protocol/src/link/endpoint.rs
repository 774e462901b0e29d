//! [`Link`]: one end of the conversation.

use super::ack::{Ack, AckError, Received};
use super::congestion::{Budget, CongestionConfig, FlowStats};
use super::incoming::{Eliciting, Incoming};
use super::outgoing::Outgoing;
use super::packet::{Leaving, PacketBuilder};
use super::reliable::{self, QueueFull, ReliableError};
use super::rtt::Rtt;
use super::sent::Sent;
use crate::codec::Truncated;
use crate::frame::{Frames, Message, RawMessage, kind};
use crate::limits::{PACKET_HEADER_BYTES, RELIABLE_WINDOW};
use crate::time::{Duration, Instant};

/// One end of the link. `T` is what the owner puts on its packets to know them again.
///
/// After each [`Link::handle_packet`] the owner drains [`Link::poll_message`] and
/// [`Link::poll_outcome`]; after each [`Link::handle_timeout`] the latter.
#[derive(Debug)]
pub struct Link<T> {
    pub(super) incoming: Incoming,
    inbox: reliable::Receiver,
    pub(super) outgoing: Outgoing<T>,
    stats: LinkStats,
}

/// What became of something that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It arrived.
    Acked(T),
    /// It did not, as far as can be told.
    Lost(T),
}

/// Counts since the link began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received, once each.
    pub packets_received: u64,
    /// Packets received again.
    pub packets_duplicate: u64,
    /// Sent packets that were acknowledged.
    pub packets_acked: u64,
    /// Sent packets that were given up.
    pub packets_lost: u64,
    /// Packets sent to ask whether anybody is there.
    pub probes_sent: u64,
    /// Packets sent that the peer has to acknowledge.
    pub eliciting_sent: u64,
    /// Those that were acknowledged or given up; the others are in flight.
    pub eliciting_settled: u64,
}

/// Why a packet was refused; it then counts as not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It ends inside its header or a frame.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// An acknowledgement that cannot be.
    #[error(transparent)]
    Ack(#[from] AckError),
    /// An acknowledgement of a packet that was never sent.
    #[error("packet {0} was acknowledged and never sent")]
    AckedUnsent(u64),
    /// A reliable message that cannot be.
    #[error(transparent)]
    Reliable(#[from] ReliableError),
    /// It came before.
    #[error("packet {0} came before")]
    Duplicate(u64),
}

/// The frames of an accepted packet that are not the link's own.
#[derive(Debug, Clone)]
pub struct LinkFrames<'a>(Frames<'a>);

impl<'a> Iterator for LinkFrames<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (kind, body) = self.0.next()?.ok()?;
            if !matches!(kind, kind::ACK | kind::RELIABLE | kind::PING) {
                return Some((kind, body));
            }
        }
    }
}

impl<T> Link<T> {
    /// A link on which nothing has been said, with the default congestion control.
    pub fn new(now: Instant) -> Self {
        Link::with_congestion(now, CongestionConfig::default())
    }

    /// A link on which nothing has been said.
    ///
    /// # Panics
    /// When the configuration's floor is zero or above its ceiling.
    pub fn with_congestion(now: Instant, congestion: CongestionConfig) -> Self {
        Link {
            incoming: Incoming::new(now),
            inbox: reliable::Receiver::default(),
            outgoing: Outgoing::new(now, congestion),
            stats: LinkStats::default(),
        }
    }

    /// The round-trip estimate.
    pub fn rtt(&self) -> &Rtt {
        &self.outgoing.rtt
    }

    /// The counts.
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// The largest number of a packet that came; `None` before the first. They count from 0 without gaps, so it
    /// tells, with the packets received, how many are missing.
    pub fn largest_received(&self) -> Option<u64> {
        self.incoming.largest()
    }

    /// Bytes sent and not yet answered.
    pub fn bytes_in_flight(&self) -> usize {
        self.outgoing.sent.bytes_in_flight()
    }

    /// Packets sent and not yet answered.
    pub fn packets_in_flight(&self) -> usize {
        self.outgoing.sent.packets_in_flight()
    }

    /// What the owner has put on the packets that are neither acknowledged nor lost.
    pub fn tokens_in_flight(&self) -> impl Iterator<Item = &T> {
        self.outgoing.sent.tokens()
    }

    /// Bytes of memory beside the link itself, counted from capacities.
    pub fn memory_bytes(&self) -> usize {
        self.outgoing.memory_bytes()
    }

    /// What congestion control knows of the path.
    pub fn flow(&self) -> FlowStats {
        self.outgoing.flow.stats()
    }

    /// Of a thousand packets of the last seconds, so many were lost: what repair has to expect.
    pub fn loss_permille(&self) -> u32 {
        self.outgoing.flow.loss_permille()
    }

    /// What congestion control allows to be planned for the time from now to `until`. It is the owner's to keep
    /// to it: what must not wait goes out all the same, and the rest later.
    pub fn budget(&self, now: Instant, until: Instant) -> Budget {
        self.outgoing.flow.budget(now, until, self.outgoing.bytes_on_path())
    }

    /// Has what acknowledgements change fetched from memory, without waiting for it: for a link whose turn comes soon.
    pub fn fetch(&self) {
        self.outgoing.sent.fetch();
    }

    /// When a packet that is paced leaves, to be given to [`Link::packet`] and to the carrier.
    pub fn departure(&self, now: Instant) -> Instant {
        self.outgoing.flow.departure(now)
    }

    /// How long the line takes for what has left and so many bytes more, as far as is known: see [`Flow::time_for`].
    ///
    /// [`Flow::time_for`]: super::congestion::Flow::time_for
    pub fn time_for(&self, now: Instant, bytes: u64) -> Duration {
        self.outgoing.flow.time_for(now, bytes)
    }

    /// The owner has more to send until then than the budget allows.
    pub fn held_back(&mut self, until: Instant) {
        self.outgoing.flow.on_limited(until);
    }

    /// The owner has nothing more to send although it could.
    pub fn ran_dry(&mut self) {
        let in_flight_bytes = self.outgoing.bytes_on_path();
        self.outgoing.flow.on_app_limited(in_flight_bytes);
    }

    /// Whether the link itself has something to say that should not wait for the owner.
    pub fn wants_to_send(&self) -> bool {
        self.incoming.is_due() || self.outgoing.probe_due || self.outgoing.outbox.has_unsent()
    }

    /// Bytes of the acknowledgement that the next [`Link::packet`] will have in it, with its frame's header.
    pub fn ack_bytes(&self) -> usize {
        self.incoming.frame_bytes()
    }

    /// Whether every reliable message was acknowledged.
    pub fn reliable_is_settled(&self) -> bool {
        self.outgoing.outbox.is_empty()
    }

    /// Queues a message for the reliable channel.
    pub fn send_message(&mut self, message: &Message) -> Result<(), QueueFull> {
        self.outgoing.outbox.push(message.encode())
    }

    /// The next reliable message, in order.
    pub fn poll_message(&mut self) -> Option<RawMessage> {
        self.inbox.poll()
    }

    /// What became of the next thing that was sent.
    pub fn poll_outcome(&mut self) -> Option<Outcome<T>> {
        self.outgoing.outcomes.pop_front()
    }

    /// Takes one packet. A refused one changes nothing; the owner counts it and goes on.
    pub fn handle_packet<'a>(&mut self, now: Instant, packet: &'a [u8]) -> Result<LinkFrames<'a>, LinkError> {
        debug_assert!(self.inbox.is_drained(), "drain poll_message before the next packet");
        let (head, frames) = packet.split_first_chunk::<PACKET_HEADER_BYTES>().ok_or(Truncated {
            field: "packet number",
            wanted: PACKET_HEADER_BYTES,
            left: packet.len(),
        })?;
        let frames = Frames::new(frames);
        let eliciting = self.check(frames.clone())?;
        let number = widen(u32::from_le_bytes(*head), self.incoming.largest().map_or(0, |n| n + 1));
        if self.incoming.take(now, number, eliciting) == Received::Duplicate {
            self.stats.packets_duplicate += 1;
            return Err(LinkError::Duplicate(number));
        }
        self.stats.packets_received += 1;
        for (kind, body) in frames.clone().flatten() {
            match kind {
                kind::ACK => self.handle_ack(now, body)?,
                kind::RELIABLE => {
                    self.inbox.handle(body)?;
                }
                _ => {}
            }
        }
        Ok(LinkFrames(frames))
    }

    /// Finds what time has made lost and whether a probe is due, and tells congestion control what the tick
    /// brought. Each tick.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.incoming.handle_timeout(now);
        self.outgoing.handle_timeout(now, &mut self.stats);
    }

    /// The peer is somewhere else now, at more than another port of the same address: what was known of the path, its
    /// round trip, its rate and its loss, begins anew. What is in flight may still arrive and is told of as ever.
    pub fn path_changed(&mut self, now: Instant) {
        self.outgoing.path_changed(now);
    }

    /// Begins a packet in `buffer`, which must hold [`crate::limits::PACKET_BYTES_MAX`] bytes.
    pub fn packet<'l, 'b>(
        &'l mut self,
        leaving: impl Into<Leaving>,
        buffer: &'b mut [u8],
    ) -> PacketBuilder<'l, 'b, T> {
        PacketBuilder::new(self, leaving.into(), buffer).with_links_own()
    }

    /// Begins a packet with nothing of the link's own in it, which waits for another one: so packets of equally long
    /// frames are equally long.
    pub fn bare_packet<'l, 'b>(
        &'l mut self,
        leaving: impl Into<Leaving>,
        buffer: &'b mut [u8],
    ) -> PacketBuilder<'l, 'b, T> {
        PacketBuilder::new(self, leaving.into(), buffer)
    }

    /// How soon the packet wants to be acknowledged; an error if any of its frames cannot be.
    fn check(&self, frames: Frames<'_>) -> Result<Eliciting, LinkError> {
        let mut eliciting = Eliciting::No;
        let mut messages = 0;
        for frame in frames {
            let (kind, body) = frame?;
            eliciting = eliciting.max(match kind {
                kind::ACK => Eliciting::No,
                kind::INPUTS => Eliciting::Later,
                _ => Eliciting::Now,
            });
            match kind {
                kind::ACK => {
                    let ack = Ack::parse(body)?;
                    let largest = self.widen_ack(&ack)?;
                    ack.each_range(largest, |_, _| ())?;
                }
                kind::RELIABLE => {
                    self.inbox.check(body)?;
                    messages += 1;
                }
                _ => {}
            }
        }
        debug_assert!(messages <= RELIABLE_WINDOW, "a packet holds fewer messages than the window");
        Ok(eliciting)
    }

    fn widen_ack(&self, ack: &Ack<'_>) -> Result<u64, LinkError> {
        let next = self.outgoing.sent.next_number();
        let largest = widen(ack.largest, next);
        if largest >= next { Err(LinkError::AckedUnsent(largest)) } else { Ok(largest) }
    }

    fn handle_ack(&mut self, now: Instant, body: &[u8]) -> Result<(), LinkError> {
        let ack = Ack::parse(body)?;
        let largest = self.widen_ack(&ack)?;
        let peer_knows_below = self.outgoing.handle_ack(now, &ack, largest, &mut self.stats)?;
        if peer_knows_below > 0 {
            self.incoming.forget_below(peer_knows_below);
        }
        Ok(())
    }

    pub(super) fn on_sent(&mut self, due: Instant, packet: Sent<T>) {
        if packet.acks_below > 0 {
            self.incoming.on_told();
        }
        self.outgoing.on_sent(due, packet, &mut self.stats);
    }
}

/// The number nearest to `expected` whose low half is `low` (RFC 9000 §A.3).
pub(super) fn widen(low: u32, expected: u64) -> u64 {
    const WINDOW: u64 = 1 << 32;
    let candidate = (expected & !(WINDOW - 1)) | u64::from(low);
    if candidate + WINDOW / 2 <= expected {
        candidate + WINDOW
    } else if candidate > expected + WINDOW / 2 && candidate >= WINDOW {
        candidate - WINDOW
    } else {
        candidate
    }
}
