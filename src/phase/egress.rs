//! Writes the packets that were planned and hands them to the carrier, which seals and sends them.
//!
//! Work: what the plan holds; a client with a long queue of reliable messages gets at most
//! [`CONTROL_PACKETS_MAX`] packets of them.

use bytes::Bytes;
use ninefold_protocol::frame::{EVENT_BYTES, kind};
use ninefold_protocol::limits::{FRAGMENT_HEADER_BYTES, PACKET_BYTES_MAX};
use ninefold_protocol::time::{Duration, Instant};
use zerocopy::IntoBytes;

use super::{Pick, Plan};
use crate::carrier::{Carrier, Departure, Departures};
use crate::sending::Token;
use crate::session::{Receipt, Session, Sessions, Stage};
use crate::telemetry::{Counters, TurnClock};

/// Packets without a fragment that one client may get in a tick.
const CONTROL_PACKETS_MAX: usize = 4;

/// Fragments go before control as far as the line takes no longer for them: the shorter packet then ends the run of
/// full ones, and all leave as one message. On a thin line that is none.
const CONTROL_BEHIND_MAX: Duration = Duration::from_us(500);

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
    for planned in &plan.clients {
        let session = sessions.in_slot(planned.slot).expect("the plan was made this tick");
        let connection = session.connection;
        let began = turns.start(planned.slot);
        let snapshot = &plan.snapshots[planned.snapshot.clone()];
        let picks = &plan.picks[planned.picks.clone()];
        let (ahead, behind) = picks.split_at(ahead_of_control(now, session).min(picks.len()));
        for pick in ahead {
            send_fragment(now, turns, session, *pick, departures, counters);
        }
        send_control((now, tick), turns, session, snapshot, departures, counters);
        for pick in behind {
            send_fragment(now, turns, session, *pick, departures, counters);
        }
        turns.stop(began, &mut session.cost);
        if session.has_left(now) && departures.push(Departure::Disconnect(connection), &[]).is_ok() {
            counters.clients_disconnected += 1;
            departed.extend(sessions.remove(connection));
        }
    }
}

/// How many fragments go before control.
fn ahead_of_control(now: Instant, session: &Session) -> usize {
    let budget = session.link.budget(now, now + CONTROL_BEHIND_MAX);
    budget.paced_bytes as usize / PACKET_BYTES_MAX
}

/// Acknowledgements, reliable messages, the snapshot and events: they leave at once, whatever the line's rate.
fn send_control(
    (now, tick): (Instant, u64),
    turns: TurnClock<'_>,
    session: &mut Session,
    mut snapshot: &[u8],
    departures: &mut Departures,
    counters: &mut Counters,
) {
    let mut buffer = [0; PACKET_BYTES_MAX];
    for _ in 0..CONTROL_PACKETS_MAX {
        session.events.expire(tick);
        let has_events = !session.events.is_empty();
        if snapshot.is_empty() && !has_events && !session.link.wants_to_send() {
            return;
        }
        if departures.room(session.connection, PACKET_BYTES_MAX) == 0 {
            counters.egress_skipped += 1;
            return;
        }
        let mut packet = session.link.packet(now, &mut buffer);
        if !snapshot.is_empty() && packet.fits(snapshot.len()) {
            packet.push(kind::SNAPSHOT, &[snapshot]).token(Receipt::Snapshot(tick));
            snapshot = &[];
        }
        session.events.tell(|event| {
            let fits = packet.fits(EVENT_BYTES);
            if fits {
                packet.push(kind::EVENT, &[&event.to_bytes()]);
                counters.events_sent += 1;
            }
            fits
        });
        let Some(built) = packet.finish() else { return };
        let departure = Departure::Packet { connection: session.connection, at: now, tail: Bytes::new() };
        let slot = session.connection.slot as usize;
        turns.sent(slot, &buffer[..built.head_bytes], &mut counters.frames.sent);
        hand_over(departure, &buffer[..built.head_bytes], 0, departures, counters);
    }
}

fn send_fragment(
    now: Instant,
    turns: TurnClock<'_>,
    session: &mut Session,
    pick: Pick,
    departures: &mut Departures,
    counters: &mut Counters,
) {
    let mut buffer = [0; PACKET_BYTES_MAX];
    let sending = &session.view.sendings()[pick.sending];
    let (header, tail) = sending.fragment(pick.index);
    let token = Token { sending: sending.id, index: pick.index };
    let due = session.link.departure(now);
    let at = match session.connection.carrier {
        Carrier::Udp => due,
        // It paces by itself, so the packet is on its way from now on.
        Carrier::Quic => now,
    };
    let body_bytes = FRAGMENT_HEADER_BYTES + tail.len();
    let mut packet = session.link.packet_for(at, &mut buffer, body_bytes);
    packet.push_with_tail(kind::FRAGMENT, header.as_bytes(), tail.len()).token(Receipt::Fragment(token));
    let built = packet.finish().expect("it has a fragment in it");
    let departure = Departure::Packet { connection: session.connection, at, tail };
    let packet_bytes = built.head_bytes + built.tail_bytes;
    turns.sent_fragment(
        session.connection.slot as usize,
        packet_bytes,
        body_bytes,
        &mut counters.frames.sent,
    );
    hand_over(departure, &buffer[..built.head_bytes], built.tail_bytes, departures, counters);
}

fn hand_over(
    departure: Departure,
    head: &[u8],
    tail_bytes: usize,
    departures: &mut Departures,
    counters: &mut Counters,
) {
    counters.packets_out += 1;
    counters.packet_bytes_out += (head.len() + tail_bytes) as u64;
    let pushed = departures.push(departure, head);
    debug_assert!(pushed.is_ok(), "room was asked for, and only the tick writes here");
}

impl Session {
    /// Whether its time to leave has come: it has heard why, or does not answer.
    fn has_left(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Leaving(by) if now >= by || self.link.reliable_is_settled())
    }
}
