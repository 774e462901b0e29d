//! [`Link`]: one end of the conversation.

use std::collections::VecDeque;

use super::ack::{Ack, AckError, AckRanges, Received};
use super::congestion::{Budget, CongestionConfig, Flow, FlowStats};
use super::packet::PacketBuilder;
use super::reliable::{self, QueueFull, ReliableError};
use super::rtt::Rtt;
use super::sent::{Sent, SentPackets, Settled};
use crate::codec::Truncated;
use crate::frame::{Frames, Message, RawMessage, kind};
use crate::limits::{FRAME_HEADER_BYTES, PACKET_HEADER_BYTES, RELIABLE_WINDOW};
use crate::time::{Duration, Instant};

/// Probes in a row double the wait at most this many times (4 x): who was not let in yet has nothing else to say, and
/// on a line that loses in bursts the next one may be the first to arrive.
const PROBE_BACKOFF_MAX: u32 = 2;

/// Packets with nothing but inputs are acknowledged this late, unless a packet goes out anyway: a client that stands
/// still sends sixty a second, and an answer to each would be most of what it is sent.
const INPUT_ACK_DELAY: Duration = Duration::from_ms(100);

/// One end of the link. `T` is what the owner puts on its packets to know them again.
///
/// After each [`Link::handle_packet`] the owner drains [`Link::poll_message`] and
/// [`Link::poll_outcome`]; after each [`Link::handle_timeout`] the latter.
#[derive(Debug)]
pub struct Link<T> {
    // what came
    pub(super) received: AckRanges,
    pub(super) largest_received_at: Instant,
    /// Something came that no acknowledgement of ours has told of.
    pub(super) ack_news: bool,
    /// Something came that wants to be acknowledged.
    ack_due: bool,
    /// When that is so of what can wait.
    ack_later: Option<Instant>,
    inbox: reliable::Receiver,
    // what went
    pub(super) sent: SentPackets<T>,
    pub(super) outbox: reliable::Sender,
    outcomes: VecDeque<Outcome<T>>,
    rtt: Rtt,
    flow: Flow,
    /// When the last packet left that wants an answer.
    last_eliciting_at: Instant,
    /// Nothing was answered for so long that a packet has to ask.
    pub(super) probe_due: bool,
    probes_in_a_row: u32,
    stats: LinkStats,
}

/// How soon a packet wants to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Eliciting {
    /// It has nothing but acknowledgements in it.
    No,
    /// It has inputs in it, which the snapshots confirm: within [`INPUT_ACK_DELAY`].
    Later,
    /// With the next packet.
    Now,
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
            received: AckRanges::default(),
            largest_received_at: now,
            ack_news: false,
            ack_due: false,
            ack_later: None,
            inbox: reliable::Receiver::default(),
            sent: SentPackets::default(),
            outbox: reliable::Sender::default(),
            outcomes: VecDeque::new(),
            rtt: Rtt::default(),
            flow: Flow::new(now, congestion),
            last_eliciting_at: now,
            probe_due: false,
            probes_in_a_row: 0,
            stats: LinkStats::default(),
        }
    }

    /// The round-trip estimate.
    pub fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// The counts.
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// The largest number of a packet that came; `None` before the first. They count from 0 without gaps, so it
    /// tells, with the packets received, how many are missing.
    pub fn largest_received(&self) -> Option<u64> {
        self.received.largest()
    }

    /// Bytes sent and not yet answered.
    pub fn bytes_in_flight(&self) -> usize {
        self.sent.bytes_in_flight()
    }

    /// Packets sent and not yet answered.
    pub fn packets_in_flight(&self) -> usize {
        self.sent.packets_in_flight()
    }

    /// Bytes of memory beside the link itself, counted from capacities.
    pub fn memory_bytes(&self) -> usize {
        let outcomes = self.outcomes.capacity() * size_of::<Outcome<T>>();
        self.sent.memory_bytes() + self.outbox.memory_bytes() + outcomes
    }

    /// What congestion control knows of the path.
    pub fn flow(&self) -> FlowStats {
        self.flow.stats()
    }

    /// Of a thousand packets of the last seconds, so many were lost: what repair has to expect.
    pub fn loss_permille(&self) -> u32 {
        self.flow.loss_permille()
    }

    /// What congestion control allows to be planned for the time from now to `until`. It is the owner's to keep
    /// to it: what must not wait goes out all the same, and the rest later.
    pub fn budget(&self, now: Instant, until: Instant) -> Budget {
        self.flow.budget(now, until, self.sent.bytes_in_flight() as u64)
    }

    /// When a packet that is paced leaves, to be given to [`Link::packet`] and to the carrier.
    pub fn departure(&self, now: Instant) -> Instant {
        self.flow.departure(now)
    }

    /// The owner has more to send until then than the budget allows.
    pub fn held_back(&mut self, until: Instant) {
        self.flow.on_limited(until);
    }

    /// The owner has nothing more to send although it could.
    pub fn ran_dry(&mut self) {
        self.flow.on_app_limited(self.sent.bytes_in_flight() as u64);
    }

    /// Whether the link itself has something to say that should not wait for the owner.
    pub fn wants_to_send(&self) -> bool {
        self.ack_due || self.probe_due || self.outbox.has_unsent()
    }

    /// Whether every reliable message was acknowledged.
    pub fn reliable_is_settled(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Queues a message for the reliable channel.
    pub fn send_message(&mut self, message: &Message) -> Result<(), QueueFull> {
        self.outbox.push(message.encode())
    }

    /// The next reliable message, in order.
    pub fn poll_message(&mut self) -> Option<RawMessage> {
        self.inbox.poll()
    }

    /// What became of the next thing that was sent.
    pub fn poll_outcome(&mut self) -> Option<Outcome<T>> {
        self.outcomes.pop_front()
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
        let number = widen(u32::from_le_bytes(*head), self.received.largest().map_or(0, |n| n + 1));
        if self.received.insert(number) == Received::Duplicate {
            self.stats.packets_duplicate += 1;
            return Err(LinkError::Duplicate(number));
        }
        self.stats.packets_received += 1;
        self.ack_news = true;
        match eliciting {
            Eliciting::No => {}
            Eliciting::Later => {
                self.ack_later.get_or_insert(now + INPUT_ACK_DELAY);
            }
            Eliciting::Now => self.ack_due = true,
        }
        if self.received.largest() == Some(number) {
            self.largest_received_at = now;
        }
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
        self.ack_due |= self.ack_later.is_some_and(|at| at <= now);
        self.detect_lost(now);
        self.flow.on_tick(now, self.rtt.probe_timeout(), self.sent.bytes_in_flight() as u64);
        let wait = self.rtt.probe_timeout().scaled(1 << self.probes_in_a_row.min(PROBE_BACKOFF_MAX), 1);
        if self.sent.packets_in_flight() > 0 && now.since(self.last_eliciting_at) >= wait {
            if !self.probe_due {
                self.outbox.repeat_oldest();
            }
            self.probe_due = true;
        }
    }

    /// Begins a packet in `buffer`, which must hold [`crate::limits::PACKET_BYTES_MAX`] bytes.
    pub fn packet<'l, 'b>(&'l mut self, now: Instant, buffer: &'b mut [u8]) -> PacketBuilder<'l, 'b, T> {
        PacketBuilder::new(self, now, buffer, 0)
    }

    /// Begins a packet that a body of so many bytes surely fits into: reliable messages wait for another one, and
    /// so does an acknowledgement of many ranges.
    pub fn packet_for<'l, 'b>(
        &'l mut self,
        now: Instant,
        buffer: &'b mut [u8],
        body_bytes: usize,
    ) -> PacketBuilder<'l, 'b, T> {
        PacketBuilder::new(self, now, buffer, FRAME_HEADER_BYTES + body_bytes)
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
                    ack.ranges(largest)?;
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
        let next = self.sent.next_number();
        let largest = widen(ack.largest, next);
        if largest >= next { Err(LinkError::AckedUnsent(largest)) } else { Ok(largest) }
    }

    fn handle_ack(&mut self, now: Instant, body: &[u8]) -> Result<(), LinkError> {
        let ack = Ack::parse(body)?;
        let largest = self.widen_ack(&ack)?;
        let mut peer_knows_below = 0;
        let mut sample = None;
        for (start, end) in ack.ranges(largest)? {
            let Link { sent, outbox, outcomes, stats, flow, .. } = self;
            sent.ack(start, end, |settled| {
                if settled.sent.eliciting {
                    flow.on_acked(now, ack.delay, &settled.sent.acked());
                }
                peer_knows_below = peer_knows_below.max(settled.sent.acks_below);
                if settled.number == largest && settled.sent.eliciting {
                    sample = Some(now.since(settled.sent.at));
                }
                deliver(settled, outbox, outcomes, stats);
            });
        }
        if let Some(measured) = sample {
            self.rtt.sample(measured, ack.delay);
            self.flow.on_rtt(now, measured, ack.delay);
            self.probes_in_a_row = 0;
            self.probe_due = false;
        }
        if peer_knows_below > 0 {
            self.received.forget_below(peer_knows_below);
        }
        self.detect_lost(now);
        Ok(())
    }

    fn detect_lost(&mut self, now: Instant) {
        let Link { sent, outbox, outcomes, stats, rtt, flow, .. } = self;
        sent.detect_lost(now, rtt.loss_delay(), |settled| {
            if settled.sent.eliciting {
                flow.on_lost(settled.sent.at, settled.sent.bytes.into());
            }
            deliver(settled, outbox, outcomes, stats);
        });
        sent.drop_settled_front();
    }

    pub(super) fn on_sent(&mut self, now: Instant, mut packet: Sent<T>) {
        self.stats.packets_sent += 1;
        self.stats.eliciting_sent += u64::from(packet.eliciting);
        if packet.acks_below > 0 {
            self.ack_news = false;
            self.ack_due = false;
            self.ack_later = None;
        }
        if packet.eliciting {
            let in_flight = self.sent.bytes_in_flight() as u64;
            packet.delivery = self.flow.on_sent(now, packet.bytes.into(), in_flight);
            self.last_eliciting_at = now;
            if std::mem::take(&mut self.probe_due) {
                self.stats.probes_sent += 1;
                self.probes_in_a_row += 1;
            }
        }
        if let Some(forced) = self.sent.push(packet) {
            if forced.sent.eliciting {
                self.flow.on_lost(forced.sent.at, forced.sent.bytes.into());
            }
            deliver(forced, &mut self.outbox, &mut self.outcomes, &mut self.stats);
        }
    }
}

/// Tells of a settled packet: reliable messages to the channel, tokens to the owner.
fn deliver<T>(
    settled: Settled<T>,
    outbox: &mut reliable::Sender,
    outcomes: &mut VecDeque<Outcome<T>>,
    stats: &mut LinkStats,
) {
    stats.eliciting_settled += u64::from(settled.sent.eliciting);
    if settled.acked {
        stats.packets_acked += 1;
    } else if settled.sent.eliciting {
        stats.packets_lost += 1;
    }
    if settled.sent.reliable {
        let tell = if settled.acked { reliable::Sender::on_acked } else { reliable::Sender::on_lost };
        tell(outbox, settled.number);
    }
    let outcome = if settled.acked { Outcome::Acked } else { Outcome::Lost };
    outcomes.extend(settled.sent.tokens.into_iter().map(outcome));
}

/// The number nearest to `expected` whose low half is `low` (RFC 9000 §A.3).
fn widen(low: u32, expected: u64) -> u64 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PACKET_BYTES_MAX;
    use crate::time::Duration;
    use proptest::prelude::*;

    const FRAME: u8 = 0x77;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_ms(ms)
    }

    /// One packet with a one-byte frame that is also its token.
    fn send(link: &mut Link<u8>, now: Instant, value: u8) -> Vec<u8> {
        let mut buffer = [0xa5; PACKET_BYTES_MAX];
        let mut packet = link.packet(now, &mut buffer);
        packet.push(FRAME, &[&[value]]).token(value);
        let built = packet.finish().unwrap();
        buffer[..built.head_bytes].to_vec()
    }

    fn say_ack(link: &mut Link<u8>, now: Instant) -> Option<Vec<u8>> {
        let mut buffer = [0xa5; PACKET_BYTES_MAX];
        let built = link.packet(now, &mut buffer).finish()?;
        Some(buffer[..built.head_bytes].to_vec())
    }

    fn outcomes(link: &mut Link<u8>) -> Vec<Outcome<u8>> {
        std::iter::from_fn(|| link.poll_outcome()).collect()
    }

    fn pair() -> (Link<u8>, Link<u8>) {
        (Link::new(at(0)), Link::new(at(0)))
    }

    #[test]
    fn literal_bytes_of_a_packet() {
        let (mut a, mut b) = pair();
        let bytes = send(&mut a, at(0), 9);
        assert_eq!(bytes, [0, 0, 0, 0, FRAME, 1, 0, 9]);
        assert_eq!(b.handle_packet(at(1), &bytes).unwrap().collect::<Vec<_>>(), [(FRAME, &[9][..])]);
        let ack = say_ack(&mut b, at(2)).unwrap();
        assert_eq!(ack, [0, 0, 0, 0, kind::ACK, 9, 0, 0, 0, 0, 0, 125, 0, 0, 0, 0]);
    }

    #[test]
    fn an_answer_gives_the_round_trip_and_the_token() {
        let (mut a, mut b) = pair();
        let bytes = send(&mut a, at(0), 9);
        b.handle_packet(at(20), &bytes).unwrap();
        let ack = say_ack(&mut b, at(25)).unwrap();
        assert_eq!(a.handle_packet(at(45), &ack).unwrap().count(), 0);
        assert_eq!(outcomes(&mut a), [Outcome::Acked(9)]);
        assert_eq!(a.rtt().latest(), Some(Duration::from_ms(45)));
        assert_eq!(a.bytes_in_flight(), 0);
        // An acknowledgement alone asks for none: the conversation ends here.
        assert!(!a.wants_to_send());
    }

    #[test]
    fn a_probe_says_again_what_nobody_has_acknowledged() {
        let (mut a, mut b) = pair();
        a.send_message(&Message::ChunkEnter { cx: 1, cz: 2 }).unwrap();
        let mut buffer = [0; PACKET_BYTES_MAX];
        let _lost = a.packet(at(0), &mut buffer).finish().unwrap();
        let mut came = None;
        for ms in 1..6_000 {
            a.handle_timeout(at(ms));
            if a.wants_to_send() {
                let built = a.packet(at(ms), &mut buffer).finish().unwrap();
                b.handle_packet(at(ms), &buffer[..built.head_bytes]).unwrap();
                came = b.poll_message().map(|raw| (ms, Message::decode(&raw).unwrap()));
                break;
            }
        }
        let (ms, message) = came.expect("the probe carries it");
        assert_eq!(message, Message::ChunkEnter { cx: 1, cz: 2 });
        assert!(ms < 1_500, "after {ms} ms");
    }

    #[test]
    fn inputs_alone_are_answered_together_and_anything_else_at_once() {
        let (mut a, mut b) = pair();
        let mut say = |kind: u8, ms: u64| {
            let mut buffer = [0; PACKET_BYTES_MAX];
            let mut packet = a.packet(at(ms), &mut buffer);
            packet.push(kind, &[&[1]]);
            let bytes = packet.finish().unwrap().head_bytes;
            b.handle_timeout(at(ms));
            b.handle_packet(at(ms), &buffer[..bytes]).unwrap();
            b.wants_to_send()
        };
        assert_eq!([0, 16, 99].map(|ms| say(kind::INPUTS, ms)), [false; 3]);
        assert!(say(kind::INPUTS, 100) && say(FRAME, 101));
        assert!(say_ack(&mut b, at(102)).is_some());
        b.handle_timeout(at(300));
        assert!(!b.wants_to_send());
    }

    #[test]
    fn a_gap_of_three_is_a_loss() {
        let (mut a, mut b) = pair();
        let packets: Vec<_> = (0..5).map(|i| send(&mut a, at(0), i)).collect();
        for i in [1, 2, 3] {
            b.handle_packet(at(10), &packets[i]).unwrap();
        }
        let ack = say_ack(&mut b, at(10)).unwrap();
        a.handle_packet(at(20), &ack).unwrap();
        let (lost, acked): (Vec<_>, Vec<_>) =
            outcomes(&mut a).into_iter().partition(|o| matches!(o, Outcome::Lost(_)));
        assert_eq!((lost, acked.len()), (vec![Outcome::Lost(0)], 3));
    }

    #[test]
    fn what_the_link_has_to_say_never_takes_a_fragments_room() {
        let (mut a, mut b) = pair();
        // Every other packet is lost, and none of them asks for an answer: nothing is due, and there is much to say.
        for i in 0..40 {
            let packet = send(&mut a, at(i), 1);
            if i % 2 == 0 {
                b.handle_packet(at(i), &packet).unwrap();
            }
        }
        b.send_message(&Message::ChunkEnter { cx: 1, cz: 2 }).unwrap();
        let mut buffer = [0xa5; PACKET_BYTES_MAX];
        let mut packet = b.packet_for(at(50), &mut buffer, 29 + 1_150);
        packet.push_with_tail(FRAME, &[0; 29], 1_150);
        let built = packet.finish().unwrap();
        assert_eq!(built.head_bytes + built.tail_bytes, 4 + 3 + 29 + 1_150);
        // It is said in the next.
        assert!(b.wants_to_send());
        let next = say_ack(&mut b, at(51)).unwrap();
        assert!(next.len() > 4 + 3 + 9 + 4 * 19);
        a.handle_packet(at(60), &next).unwrap();
        assert_eq!(outcomes(&mut a).iter().filter(|o| matches!(o, Outcome::Acked(_))).count(), 20);
        assert!(a.poll_message().is_some());
    }

    #[test]
    fn a_packet_is_taken_once() {
        let (mut a, mut b) = pair();
        let bytes = send(&mut a, at(0), 1);
        assert!(b.handle_packet(at(0), &bytes).is_ok());
        assert_eq!(b.handle_packet(at(0), &bytes).unwrap_err(), LinkError::Duplicate(0));
        assert_eq!(b.stats().packets_duplicate, 1);
    }

    #[test]
    fn an_answer_to_what_was_never_sent_is_refused_whole() {
        let (mut a, _) = pair();
        let forged = [0, 0, 0, 0, kind::ACK, 9, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(a.handle_packet(at(0), &forged).unwrap_err(), LinkError::AckedUnsent(5));
        assert_eq!(a.stats().packets_received, 0);
    }

    #[test]
    fn answers_that_cannot_be_or_come_again_do_not_move_the_rate() {
        let (mut a, mut b) = pair();
        let packets: Vec<_> = (0..8).map(|i| send(&mut a, at(0), i)).collect();
        for packet in &packets {
            b.handle_packet(at(20), packet).unwrap();
        }
        let ack = say_ack(&mut b, at(20)).unwrap();
        a.held_back(at(17));
        a.handle_packet(at(40), &ack).unwrap();
        a.handle_timeout(at(40));
        let (flow, acked) = (a.flow(), a.stats().packets_acked);
        assert_eq!(acked, 8);
        for number in 1..200u8 {
            // The same ranges again, and packets that were never sent.
            let again = [&[number, 0, 0, 0], &ack[4..]].concat();
            a.handle_packet(at(41), &again).unwrap();
            let forged = [200, number, 0, 0, kind::ACK, 9, 0, number + 20, 0, 0, 0, 0, 0, 0, 10, 0];
            assert!(matches!(a.handle_packet(at(41), &forged), Err(LinkError::AckedUnsent(_))));
        }
        a.held_back(at(60));
        a.handle_timeout(at(57));
        assert_eq!((a.flow(), a.stats().packets_acked), (flow, acked));
    }

    #[test]
    fn silence_makes_a_probe_and_answers_stop_it() {
        let (mut a, mut b) = pair();
        let _lost = send(&mut a, at(0), 1);
        a.handle_timeout(at(10_000));
        let probe = say_ack(&mut a, at(10_000)).unwrap();
        assert_eq!(probe[4], kind::PING);
        assert_eq!(a.stats().probes_sent, 1);
        b.handle_packet(at(10_010), &probe).unwrap();
        let ack = say_ack(&mut b, at(10_010)).unwrap();
        a.handle_packet(at(10_020), &ack).unwrap();
        a.handle_timeout(at(10_400));
        assert_eq!(outcomes(&mut a), [Outcome::Lost(1)]);
        assert!(!a.wants_to_send());
    }

    #[test]
    fn numbers_are_widened_near_the_wrap() {
        assert_eq!(widen(0xffff_ffff, 1 << 32), (1 << 32) - 1);
        assert_eq!(widen(3, (1 << 32) - 2), (1 << 32) + 3);
        assert_eq!(widen(7, 5), 7);
        assert_eq!(widen(0xffff_ffff, 5), 0xffff_ffff);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Any loss, duplication and order on both ways: reliable messages come out in order and once,
        /// and every token is told of exactly once in the end.
        #[test]
        fn whatever_the_line_does_everything_is_accounted_for(
            fates in proptest::collection::vec((0u8..10, 0u8..10), 60),
        ) {
            let (mut a, mut b) = pair();
            let mut told = Vec::new();
            let mut heard = Vec::new();
            let mut late: Vec<Vec<u8>> = Vec::new();
            for step in 0..200u64 {
                let now = at(step * 16);
                let (there, back) = fates.get(step as usize).copied().unwrap_or((9, 9));
                if step < 50 {
                    a.send_message(&Message::ChunkEnter { cx: step as i32, cz: 0 }).unwrap();
                }
                let bytes = send(&mut a, now, step as u8);
                let mut arriving = match there {
                    0 | 1 => vec![],
                    2 => vec![bytes.clone(), bytes],
                    3 => { late.push(bytes); vec![] }
                    _ => vec![bytes],
                };
                if step % 7 == 0 { arriving.append(&mut late); }
                for bytes in arriving {
                    let _ = b.handle_packet(now, &bytes);
                    heard.extend(std::iter::from_fn(|| b.poll_message()));
                }
                if let Some(ack) = say_ack(&mut b, now) && back > 2 {
                    let _ = a.handle_packet(now, &ack);
                }
                a.handle_timeout(now);
                told.extend(outcomes(&mut a).into_iter().map(|o| match o { Outcome::Acked(t) | Outcome::Lost(t) => t }));
            }
            let expected: Vec<_> = (0..50).map(|cx| Message::ChunkEnter { cx, cz: 0 }.encode()).collect();
            prop_assert_eq!(heard, expected);
            told.sort_unstable();
            let before = told.len();
            told.dedup();
            prop_assert_eq!(told.len(), before);
            prop_assert!(before >= 195);
            prop_assert!(a.reliable_is_settled());
        }

        #[test]
        fn no_bytes_make_it_panic(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..40)) {
            let (mut a, _) = pair();
            for i in 0..40 { send(&mut a, at(0), i); }
            for bytes in packets {
                let _ = a.handle_packet(at(1), &bytes);
                while a.poll_message().is_some() {}
            }
        }

        #[test]
        fn mutated_packets_do_not_panic(at_byte in 0usize..60, value: u8) {
            let (mut a, mut b) = pair();
            for i in 0..10u8 {
                let bytes = send(&mut a, at(0), i);
                if i % 2 == 0 { b.handle_packet(at(1), &bytes).unwrap(); }
            }
            b.send_message(&Message::ChunkEnter { cx: 1, cz: 2 }).unwrap();
            let mut bytes = send(&mut b, at(2), 1);
            let at_byte = at_byte % bytes.len();
            bytes[at_byte] = value;
            let _ = a.handle_packet(at(3), &bytes);
            while a.poll_message().is_some() {}
        }
    }
}
