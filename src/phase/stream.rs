//! Picks chunk fragments for each client, most urgent first, within its ceilings and what it has not
//! acknowledged yet.
//!
//! Work: the clients with something waiting; at most the two ceilings in fragments each, and no more in
//! all than the carrier has room for. Where that is less than is wanted, clients take turns at going first.

use ninefold_protocol::limits::PACKET_BYTES_MAX;
use smallvec::SmallVec;

use super::generate::distance_squared;
use super::{Pick, Plan};
use crate::carrier::Rooms;
use crate::rules::Rules;
use crate::session::{Session, Sessions};
use crate::telemetry::Counters;
use crate::view::SENDINGS_MAX;
use ninefold_world::CHUNK_UNITS;

/// Picks fragments. `rooms` is how many packets each carrier takes beside one for each client.
pub fn stream(
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
            let in_flight = session.link.bytes_in_flight();
            let allowed = rules.in_flight_bytes_max.saturating_sub(in_flight) / PACKET_BYTES_MAX;
            let allowed = allowed.min(session.carrier_room).min(*rooms.of(session.connection));
            pick_for(rules, session, allowed, picks, counters);
        }
        planned.picks = start..picks.len();
        *rooms.of(session.connection) -= planned.picks.len();
    }
}

fn pick_for(
    rules: &Rules,
    session: &mut Session,
    allowed: usize,
    picks: &mut Vec<Pick>,
    counters: &mut Counters,
) {
    let active = session.view.active();
    let mut left = allowed;
    let mut neighbours_left = rules.neighbour_fragments_per_tick;
    for at in order(session) {
        let is_active = Some(session.view.sendings()[at].coord) == active;
        let ceiling = if is_active { rules.active_fragments_per_tick } else { neighbours_left };
        let sending = session.view.sending_mut(at);
        let mut picked = 0;
        while picked < ceiling.min(left) {
            let Some(fragment) = sending.pick() else { break };
            picks.push(Pick { sending: at, index: fragment.index });
            counters.fragments_resent += u64::from(fragment.again);
            picked += 1;
        }
        left -= picked;
        if !is_active {
            neighbours_left -= picked;
        }
    }
    counters.fragments_sent += (allowed - left) as u64;
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
        let (dx, dz) = (x + half - session.position.x, z + half - session.position.z);
        let ahead = dx * session.heading.0 + dz * session.heading.1;
        let distance = distance_squared(session.position, sending.coord);
        waiting.push((Some(sending.coord) != active, distance, -(ahead as i64), at));
    }
    waiting.sort_unstable();
    waiting.into_iter().map(|(.., at)| at).collect()
}
