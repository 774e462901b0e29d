//! Writes what goes to one client.

use bytes::Bytes;
use ninefold_protocol::frame::{EVENT_BYTES, kind};
use ninefold_protocol::limits::{
    FRAGMENT_HEADER_BYTES, FRAME_HEADER_BYTES, PACKET_BYTES_MAX, PACKET_HEADER_BYTES,
};
use ninefold_protocol::link::congestion::PACER_BURST_MAX;
use ninefold_protocol::link::{Built, Leaving, PacketBuilder};
use ninefold_protocol::time::{Duration, Instant};
use zerocopy::IntoBytes;

use super::ends::{End, Ends, FULL_FRAME_BYTES, Load, PADDING_BYTES_MAX, pack};
use crate::carrier::{Carrier, ConnectionId, Departure, Departures, Packets, Spaces};
use crate::phase::Pick;
use crate::sending::Token;
use crate::session::{Receipt, Session};
use crate::telemetry::{Counters, TurnClock};
use crate::view::View;

/// Packets without a fragment that one client may get in a tick.
pub(super) const CONTROL_PACKETS_MAX: usize = 4;
/// So long the line takes at most for fragments that leave at once and before the control packet.
const TRAIN_MAX: Duration = PACER_BURST_MAX;

/// Where a packet goes that is written: to its carrier, or for a while to where the thread of the tick takes it from.
pub(super) trait Outlet {
    /// Appends a record; says whether there was room for it.
    fn take(&mut self, departure: Departure, bytes: &[u8]) -> bool;
}

impl Outlet for Departures {
    fn take(&mut self, departure: Departure, bytes: &[u8]) -> bool {
        self.push(departure, bytes).is_ok()
    }
}

/// Writing packets in one tick.
pub(super) struct Writing<'t, O> {
    pub now: Instant,
    pub tick: u64,
    pub turns: TurnClock<'t>,
    pub way: Way<'t, O>,
    pub desk: &'t mut Desk,
}

/// The way out.
pub(super) struct Way<'t, O> {
    pub outlet: &'t mut O,
    /// What there surely is room for.
    pub spaces: Spaces,
    pub counters: &'t mut Counters,
}

/// What is written on.
#[derive(Debug)]
pub(super) struct Desk {
    /// Fragments that are written and not handed over yet.
    run: Run,
    /// Each packet's head is written here.
    buffer: [u8; PACKET_BYTES_MAX],
}

impl Default for Desk {
    fn default() -> Self {
        Desk { run: Run::default(), buffer: [0; PACKET_BYTES_MAX] }
    }
}

/// Fragments of a chunk that follow each other and leave at one time.
#[derive(Debug)]
struct Run {
    at: Instant,
    /// Place among the client's sendings, and the first of them.
    first: Pick,
    count: u16,
    /// Their heads, one behind the other.
    heads: [u8; PACKET_BYTES_MAX],
}

/// What stands before a fragment's payload in a packet with nothing else in it.
const HEAD_BYTES: usize = PACKET_HEADER_BYTES + FRAME_HEADER_BYTES + FRAGMENT_HEADER_BYTES;
/// Fragments of a run.
const RUN_MAX: u16 = (PACKET_BYTES_MAX / HEAD_BYTES) as u16;

impl Default for Run {
    fn default() -> Self {
        let first = Pick { sending: 0, index: 0 };
        Run { at: Instant::ZERO, first, count: 0, heads: [0; PACKET_BYTES_MAX] }
    }
}

impl Run {
    /// Whether this fragment is the next of it.
    fn takes(&self, view: &View, at: Instant, pick: Pick) -> bool {
        let Run { first, count, .. } = *self;
        (1..RUN_MAX).contains(&count)
            && (at, pick.sending) == (self.at, first.sending)
            && view.sendings()[pick.sending].follows(pick.index, first.index + count - 1)
    }
}

impl<O: Outlet> Writing<'_, O> {
    /// All that goes to one client.
    pub fn packets(&mut self, session: &mut Session, snapshot: &[u8], picks: &[Pick]) {
        // Where packets get lost, those that leave apart are less often lost together.
        let bytes = (picks.len() * PACKET_BYTES_MAX) as u64;
        if session.link.loss_permille() == 0 && session.link.time_for(self.now, bytes) <= TRAIN_MAX {
            return self.train(session, snapshot, picks);
        }
        // An acknowledgement alone needs no packet of its own.
        let is_paced = session.link.departure(self.now) > self.now;
        let first = picks.first().filter(|_| snapshot.is_empty() && !is_paced);
        let rode = self.control(session, snapshot, first.map(|pick| end(&session.view, *pick)).as_slice());
        for pick in &picks[usize::from(rode)..] {
            let at = match session.connection.carrier {
                Carrier::Udp | Carrier::UdpShard(_) => session.link.departure(self.now),
                // It paces by itself, so the packet is on its way from now on.
                Carrier::Quic => self.now,
            };
            self.fragment(session, at, *pick);
        }
        self.hand_over_run(session);
    }

    /// A few packets at once, of which only the last is shorter than the others if that can be.
    fn train(&mut self, session: &mut Session, snapshot: &[u8], picks: &[Pick]) {
        let mut ends = Ends::new();
        for pick in picks {
            match end(&session.view, *pick) {
                End { frame_bytes: FULL_FRAME_BYTES, .. } => self.fragment(session, self.now, *pick),
                shorter => ends.push(shorter),
            }
        }
        let has_full = ends.len() < picks.len();
        let loads = pack(&mut ends);
        let room = FULL_FRAME_BYTES.saturating_sub(control_bytes(session, snapshot));
        let (riders, before) = match loads.split_last() {
            Some((emptiest, before)) if emptiest.bytes <= room => (&emptiest.ends[..], before),
            _ => (&[][..], &loads[..]),
        };
        let longest = before.first().map_or(0, |load| load.bytes);
        let length = if has_full { FULL_FRAME_BYTES } else { longest };
        before.iter().for_each(|load| self.load(session, load, length));
        let rode = self.control(session, snapshot, riders);
        riders.iter().filter(|_| !rode).for_each(|end| self.fragment(session, self.now, end.pick));
        self.hand_over_run(session);
    }

    /// Ends of chunks in a packet of their own, whose frames are as long as those of the train if they lack little.
    fn load(&mut self, session: &mut Session, load: &Load, length: usize) {
        let lacks = match session.connection.carrier {
            Carrier::Udp | Carrier::UdpShard(_) => length.saturating_sub(load.bytes),
            // What it makes of a packet is not equally long anyway.
            Carrier::Quic => 0,
        };
        let is_padded = (FRAME_HEADER_BYTES..=PADDING_BYTES_MAX).contains(&lacks);
        if let ([end], false) = (&load.ends[..], is_padded) {
            return self.fragment(session, self.now, end.pick);
        }
        self.hand_over_run(session);
        let leaving = Leaving { due: self.now, at: self.now + session.leaves_late_by };
        let mut packet = session.link.bare_packet(leaving, &mut self.desk.buffer);
        if is_padded {
            packet.push(kind::PING, &[&[0; PADDING_BYTES_MAX][..lacks - FRAME_HEADER_BYTES]]);
        }
        let (receipt, tail) = ride(&mut packet, &session.view, &load.ends, Receipt::default());
        packet.token(receipt);
        let built = packet.finish().expect("it has a fragment in it");
        self.hand_over(session.connection, built, tail);
    }

    /// Acknowledgements, reliable messages, the snapshot and events: they leave at once, whatever the line's rate. Where
    /// a packet has room for them, fragments ride with them; says whether they did.
    fn control(&mut self, session: &mut Session, mut snapshot: &[u8], riders: &[End]) -> bool {
        let mut rode = false;
        self.hand_over_run(session);
        session.events.expire(self.tick);
        for _ in 0..CONTROL_PACKETS_MAX {
            let has_events = !session.events.is_empty();
            if snapshot.is_empty() && !has_events && !session.link.wants_to_send() {
                break;
            }
            if !self.way.spaces.fits(session.connection, PACKET_BYTES_MAX) {
                self.way.counters.egress_skipped += 1;
                break;
            }
            let leaving = Leaving { due: self.now, at: self.now + session.leaves_late_by };
            let mut packet = session.link.packet(leaving, &mut self.desk.buffer);
            let mut receipt = Receipt::default();
            if !snapshot.is_empty() && packet.fits(snapshot.len()) {
                packet.push(kind::SNAPSHOT, &[snapshot]);
                receipt = receipt.with_snapshot(self.tick);
                snapshot = &[];
            }
            session.events.tell(|event| {
                let fits = packet.fits(EVENT_BYTES);
                if fits {
                    packet.push(kind::EVENT, &[&event.to_bytes()]);
                    self.way.counters.events_sent += 1;
                }
                fits
            });
            let mut tail = Bytes::new();
            let riders_bytes: usize = riders.iter().map(|end| end.frame_bytes).sum();
            if !rode && riders_bytes > 0 && packet.room() >= riders_bytes {
                (receipt, tail) = ride(&mut packet, &session.view, riders, receipt);
                rode = true;
            }
            packet.token(receipt);
            let Some(built) = packet.finish() else { break };
            self.hand_over(session.connection, built, tail);
        }
        rode
    }

    fn fragment(&mut self, session: &mut Session, at: Instant, pick: Pick) {
        if !self.desk.run.takes(&session.view, at, pick) {
            self.hand_over_run(session);
            (self.desk.run.at, self.desk.run.first) = (at, pick);
        }
        let sending = &session.view.sendings()[pick.sending];
        let (id, header) = (sending.id, sending.header(pick.index));
        let payload_bytes = sending.payload_bytes(pick.index);
        // What is held until its time leaves then.
        let late_by = if at > self.now { Duration::ZERO } else { session.leaves_late_by };
        let leaving = Leaving { due: at, at: at + late_by };
        let mut packet = session.link.bare_packet(leaving, &mut self.desk.buffer);
        packet.push_with_tail(kind::FRAGMENT, header.as_bytes(), payload_bytes);
        packet.token(Receipt::default().with_fragment(Token { sending: id, index: pick.index }));
        let built = packet.finish().expect("it has a fragment in it");
        let head = usize::from(self.desk.run.count) * HEAD_BYTES;
        self.desk.run.heads[head..][..HEAD_BYTES].copy_from_slice(&self.desk.buffer[..built.head_bytes]);
        self.desk.run.count += 1;
        let body_bytes = FRAGMENT_HEADER_BYTES + payload_bytes;
        let slot = session.connection.slot as usize;
        self.turns.sent_fragment(slot, body_bytes, &mut self.way.counters.frames.sent);
    }

    /// Hands over the packet that is written.
    fn hand_over(&mut self, connection: ConnectionId, built: Built, tail: Bytes) {
        let head = &self.desk.buffer[..built.head_bytes];
        let slot = connection.slot as usize;
        self.turns.sent(slot, head, built.tail_bytes, &mut self.way.counters.frames.sent);
        let packet = Packets::one(connection, self.now, tail);
        self.way.push(packet, head);
    }

    /// Hands over the fragments that are written.
    fn hand_over_run(&mut self, session: &Session) {
        let Run { at, first, count, .. } = self.desk.run;
        if std::mem::take(&mut self.desk.run.count) == 0 {
            return;
        }
        let tail = session.view.sendings()[first.sending].payloads(first.index, count);
        let head_bytes = usize::from(count) * HEAD_BYTES;
        let packets = Packets { connection: session.connection, at, count, tail };
        self.way.push(packets, &self.desk.run.heads[..head_bytes]);
    }
}

impl<O: Outlet> Way<'_, O> {
    fn push(&mut self, packets: Packets, heads: &[u8]) {
        self.counters.packets_out += u64::from(packets.count);
        self.counters.packet_bytes_out += (heads.len() + packets.tail.len()) as u64;
        self.spaces.spend(packets.connection, heads.len());
        let taken = self.outlet.take(Departure::Packets(packets), heads);
        debug_assert!(
            taken,
            "there was room when the plan was made, or it was asked for, and only the tick writes here"
        );
    }
}

/// A fragment as one that may ride with others.
fn end(view: &View, pick: Pick) -> End {
    let payload_bytes = view.sendings()[pick.sending].payload_bytes(pick.index);
    End { pick, frame_bytes: FRAME_HEADER_BYTES + FRAGMENT_HEADER_BYTES + payload_bytes }
}

/// Bytes of the frames in a client's control packet, reliable messages aside.
fn control_bytes(session: &Session, snapshot: &[u8]) -> usize {
    let snapshot_bytes = if snapshot.is_empty() { 0 } else { FRAME_HEADER_BYTES + snapshot.len() };
    let events_bytes = session.events.waiting() * (FRAME_HEADER_BYTES + EVENT_BYTES);
    session.link.ack_bytes() + snapshot_bytes + events_bytes
}

/// Puts fragments at the end of a packet: what the last one carries is its tail.
fn ride(
    packet: &mut PacketBuilder<'_, '_, Receipt>,
    view: &View,
    ends: &[End],
    mut receipt: Receipt,
) -> (Receipt, Bytes) {
    let mut tail = Bytes::new();
    for (n, End { pick, .. }) in ends.iter().enumerate() {
        let sending = &view.sendings()[pick.sending];
        let (header, payload) = sending.fragment(pick.index);
        receipt = receipt.with_fragment(Token { sending: sending.id, index: pick.index });
        if n + 1 < ends.len() {
            packet.push(kind::FRAGMENT, &[header.as_bytes(), &payload]);
        } else {
            packet.push_with_tail(kind::FRAGMENT, header.as_bytes(), payload.len());
            tail = payload;
        }
    }
    (receipt, tail)
}
