//! Writes the packets that were planned and hands them to the carrier, which seals and sends them.
//!
//! Work: what the plan holds; a client with a long queue of reliable messages gets at most
//! [`CONTROL_PACKETS_MAX`] packets of them.

use bytes::Bytes;
use ninefold_protocol::frame::{EVENT_BYTES, kind};
use ninefold_protocol::limits::{FRAGMENT_HEADER_BYTES, PACKET_BYTES_MAX};
use ninefold_protocol::link::Built;
use ninefold_protocol::time::Instant;
use zerocopy::IntoBytes;

use super::{Pick, Plan};
use crate::carrier::{Carrier, ConnectionId, Departure, Departures, Rooms};
use crate::sending::Token;
use crate::session::{Receipt, Session, Sessions, Stage};
use crate::telemetry::{Counters, TurnClock};

/// Packets without a fragment that one client may get in a tick.
const CONTROL_PACKETS_MAX: usize = 4;

/// Sends what was planned. Clients whose time to leave has come are moved to `departed`.
pub fn egress(
    (now, tick): (Instant, u64),
    turns: TurnClock<'_>,
    plan: &Plan,
    sessions: &mut Sessions,
    departures: &mut Departures,
    departed: &mut Vec<Session>,
    counters: &mut Counters,
) {
    // As many as there surely are, so that the carriers' ends are not asked for each client.
    let rooms = departures.rooms(PACKET_BYTES_MAX, 0);
    let buffer = [0; PACKET_BYTES_MAX];
    let mut writing = Writing { now, tick, turns, departures, rooms, counters, buffer };
    for planned in &plan.clients {
        let session = sessions.in_slot(planned.slot).expect("the plan was made this tick");
        let connection = session.connection;
        let began = turns.start(planned.slot);
        writing.control(session, &plan.snapshots[planned.snapshot.clone()]);
        for pick in &plan.picks[planned.picks.clone()] {
            writing.fragment(session, *pick);
        }
        turns.stop(began, &mut session.cost);
        if session.has_left(now) && writing.departures.push(Departure::Disconnect(connection), &[]).is_ok() {
            writing.counters.clients_disconnected += 1;
            departed.extend(sessions.remove(connection));
        }
    }
}

/// Writing packets in one tick.
struct Writing<'t> {
    now: Instant,
    tick: u64,
    turns: TurnClock<'t>,
    departures: &'t mut Departures,
    /// Packets for which there surely is room.
    rooms: Rooms,
    counters: &'t mut Counters,
    /// Each packet's head is written here.
    buffer: [u8; PACKET_BYTES_MAX],
}

impl Writing<'_> {
    /// Acknowledgements, reliable messages, the snapshot and events: they leave at once, whatever the line's rate.
    fn control(&mut self, session: &mut Session, mut snapshot: &[u8]) {
        session.events.expire(self.tick);
        for _ in 0..CONTROL_PACKETS_MAX {
            let has_events = !session.events.is_empty();
            if snapshot.is_empty() && !has_events && !session.link.wants_to_send() {
                return;
            }
            if !self.has_room(session.connection) {
                self.counters.egress_skipped += 1;
                return;
            }
            let mut packet = session.link.packet(self.now, &mut self.buffer);
            if !snapshot.is_empty() && packet.fits(snapshot.len()) {
                packet.push(kind::SNAPSHOT, &[snapshot]).token(Receipt::Snapshot(self.tick));
                snapshot = &[];
            }
            session.events.tell(|event| {
                let fits = packet.fits(EVENT_BYTES);
                if fits {
                    packet.push(kind::EVENT, &[&event.to_bytes()]);
                    self.counters.events_sent += 1;
                }
                fits
            });
            let Some(built) = packet.finish() else { return };
            let slot = session.connection.slot as usize;
            let head = &self.buffer[..built.head_bytes];
            self.turns.sent(slot, head, &mut self.counters.frames.sent);
            self.hand_over(session.connection, self.now, built, Bytes::new());
        }
    }

    fn fragment(&mut self, session: &mut Session, pick: Pick) {
        let connection = session.connection;
        let sending = &session.view.sendings()[pick.sending];
        let (header, tail) = sending.fragment(pick.index);
        let token = Token { sending: sending.id, index: pick.index };
        let at = match connection.carrier {
            Carrier::Udp => session.link.departure(self.now),
            // It paces by itself, so the packet is on its way from now on.
            Carrier::Quic => self.now,
        };
        let body_bytes = FRAGMENT_HEADER_BYTES + tail.len();
        let mut packet = session.link.packet_for(at, &mut self.buffer, body_bytes);
        packet.push_with_tail(kind::FRAGMENT, header.as_bytes(), tail.len()).token(Receipt::Fragment(token));
        let built = packet.finish().expect("it has a fragment in it");
        let packet_bytes = built.head_bytes + built.tail_bytes;
        let frames = &mut self.counters.frames.sent;
        self.turns.sent_fragment(connection.slot as usize, packet_bytes, body_bytes, frames);
        self.hand_over(connection, at, built, tail);
    }

    fn has_room(&mut self, connection: ConnectionId) -> bool {
        let room = self.rooms.of(connection);
        if *room == 0 {
            *room = self.departures.room(connection, PACKET_BYTES_MAX);
        }
        *room > 0
    }

    /// Gives a packet, whose head is in the buffer, to its carrier.
    fn hand_over(&mut self, connection: ConnectionId, at: Instant, built: Built, tail: Bytes) {
        self.counters.packets_out += 1;
        self.counters.packet_bytes_out += (built.head_bytes + built.tail_bytes) as u64;
        let room = self.rooms.of(connection);
        *room = room.saturating_sub(1);
        let departure = Departure::Packet { connection, at, tail };
        let pushed = self.departures.push(departure, &self.buffer[..built.head_bytes]);
        debug_assert!(pushed.is_ok(), "room was asked for, and only the tick writes here");
    }
}

impl Session {
    /// Whether its time to leave has come: it has heard why, or does not answer.
    fn has_left(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Leaving(by) if now >= by || self.link.reliable_is_settled())
    }
}
