//! Picks chunk fragments for each client, most urgent first, within its ceilings and what congestion control
//! allows.
//!
//! Control and snapshots are not asked: they go out in any case, and fragments get what they leave. So when
//! the line is the bottleneck, neighbours wait first, then the active chunk, and snapshots never.
//!
//! Work: the clients with something waiting; at most the two ceilings in fragments each, and no more in
//! all than the carrier has room for. Where that is less than is wanted, clients take turns at going first.

use ninefold_protocol::chunk::Fragmenter;
use ninefold_protocol::limits::{
    ACK_BYTES_MIN, FRAGMENT_HEADER_BYTES, FRAME_HEADER_BYTES, PACKET_BYTES_MAX, PACKET_HEADER_BYTES,
};
use ninefold_protocol::link::congestion::Budget;
use ninefold_protocol::time::Instant;
use smallvec::SmallVec;

use super::generate::distance_squared;
use super::{Pick, Plan};
use crate::carrier::Rooms;
use crate::rules::Rules;
use crate::session::{Session, Sessions};
use crate::telemetry::Counters;
use crate::view::SENDINGS_MAX;
use ninefold_world::CHUNK_UNITS;

/// A packet is planned if one of full length may be.
const PACKET_BYTES: u64 = PACKET_BYTES_MAX as u64;
/// What a tick's acknowledgement and frame headers take, which go out before any fragment.
const CONTROL_RESERVE_BYTES: usize = PACKET_HEADER_BYTES + 2 * FRAME_HEADER_BYTES + ACK_BYTES_MIN;

/// Picks fragments. `rooms` is how many packets each carrier takes beside one for each client.
pub fn stream(
    now: Instant,
    tick: u64,
    rules: &Rules,
    rooms: &mut Rooms,
    sessions: &mut Sessions,
    plan: &mut Plan,
    counters: &mut Counters,
) {
    let Plan { clients, picks, .. } = plan;
    let first = if clients.is_empty() { 0 } else { tick as usize % clients.len() };
    let (after, before) = clients.split_at_mut(first);
    for planned in before.iter_mut().chain(after) {
        let session = sessions.in_slot(planned.slot).expect("the plan was made this tick");
        let start = picks.len();
        if session.view.has_waiting() {
            let until = now + rules.period();
            let first = CONTROL_RESERVE_BYTES + planned.snapshot.len();
            let mut budget = session.link.budget(now, until);
            budget.spend(first as u64);
            let in_flight_left = rules.in_flight_bytes_max.saturating_sub(session.link.bytes_in_flight());
            let room = session.carrier_room.min(*rooms.of(session.connection));
            let packets_max = room.min(in_flight_left / PACKET_BYTES_MAX);
            pick_for(rules, session, packets_max, &mut budget, picks, counters);
            // Ceilings and a carrier without room say nothing of the line.
            if session.view.has_waiting() && !budget.allows(PACKET_BYTES) {
                counters.clients_held_back += 1;
                session.link.held_back(until);
            } else {
                session.link.ran_dry();
            }
        } else {
            session.link.ran_dry();
        }
        planned.picks = start..picks.len();
        *rooms.of(session.connection) -= planned.picks.len();
    }
}

fn pick_for(
    rules: &Rules,
    session: &mut Session,
    packets_max: usize,
    budget: &mut Budget,
    picks: &mut Vec<Pick>,
    counters: &mut Counters,
) {
    let active = session.view.active();
    let before = picks.len();
    let mut neighbours_left = rules.neighbour_fragments_per_tick;
    for at in order(session) {
        let is_active = Some(session.view.sendings()[at].coord) == active;
        let ceiling = if is_active { rules.active_fragments_per_tick } else { neighbours_left };
        let sending = session.view.sending_mut(at);
        let mut picked = 0;
        while picked < ceiling && picks.len() - before < packets_max && budget.allows(PACKET_BYTES) {
            let Some(fragment) = sending.pick() else { break };
            picks.push(Pick { sending: at, index: fragment.index });
            counters.fragments_resent += u64::from(fragment.again);
            picked += 1;
            budget.spend(packet_bytes(&sending.fragmenter, fragment.index) as u64);
        }
        if !is_active {
            neighbours_left -= picked;
        }
    }
    counters.fragments_sent += (picks.len() - before) as u64;
}

/// Bytes of the packet that carries a fragment.
fn packet_bytes(fragmenter: &Fragmenter, index: u16) -> usize {
    PACKET_HEADER_BYTES + FRAME_HEADER_BYTES + FRAGMENT_HEADER_BYTES + fragmenter.payload_bytes(index)
}

/// The client's waiting sendings: the active chunk, then the one it will reach first (by distance, then
/// by heading), first.
fn order(session: &Session) -> SmallVec<[usize; SENDINGS_MAX]> {
    let active = session.view.active();
    let half = f64::from(CHUNK_UNITS) / 2.0;
    let mut waiting: SmallVec<[(bool, u64, i64, usize); SENDINGS_MAX]> = SmallVec::new();
    for (at, sending) in session.view.sendings().iter().enumerate() {
        if sending.waiting() == 0 {
            continue;
        }
        let (x, z) = sending.coord.origin();
        let from = session.mover.position;
        let (dx, dz) = (x + half - from.x, z + half - from.z);
        let ahead = dx * session.heading.0 + dz * session.heading.1;
        let distance = distance_squared(from, sending.coord);
        waiting.push((Some(sending.coord) != active, distance, -(ahead as i64), at));
    }
    waiting.sort_unstable();
    waiting.into_iter().map(|(.., at)| at).collect()
}
