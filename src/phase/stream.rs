//! Picks chunk fragments for each client, most urgent first, within its ceilings and what congestion control
//! allows.
//!
//! Control and snapshots are not asked: they go out in any case, and fragments get what they leave. So when
//! the line is the bottleneck, neighbours wait first, then the active chunk, and snapshots never.
//!
//! On a line that loses, a chunk has a margin of parity. The active chunk's goes with it; that of neighbours, which
//! nobody waits for yet, goes when nothing else of them waits, and is often not needed any more by then.
//!
//! Work: the clients with something waiting; at most the two ceilings in fragments each, and no more in
//! all than the carrier has room for. Where that is less than is wanted, clients take turns at going first.

use ninefold_protocol::limits::{
    ACK_BYTES_MIN, FRAGMENT_HEADER_BYTES, FRAME_HEADER_BYTES, PACKET_BYTES_MAX, PACKET_HEADER_BYTES,
};
use ninefold_protocol::link::congestion::Budget;
use ninefold_protocol::time::Instant;
use smallvec::SmallVec;

use super::generate::distance_squared;
use super::{Pick, Plan};
use crate::ahead::Needs;
use crate::carrier::Rooms;
use crate::chunk::ParityBench;
use crate::rules::Rules;
use crate::sending::Sending;
use crate::session::{Session, Sessions};
use crate::telemetry::{Counters, TurnClock};
use crate::view::SENDINGS_MAX;
use ninefold_world::CHUNK_UNITS;

/// A packet is planned if one of full length may be.
const PACKET_BYTES: u64 = PACKET_BYTES_MAX as u64;
/// What a tick's acknowledgement and frame headers take, which go out before any fragment.
const CONTROL_RESERVE_BYTES: usize = PACKET_HEADER_BYTES + 2 * FRAME_HEADER_BYTES + ACK_BYTES_MIN;

/// What an answer takes beside the round trip: fragments wait to leave, and answers for either side's tick.
const ANSWER_TICKS: u64 = 2;

/// Picks fragments. `rooms` is how many packets each carrier takes beside one for each client.
pub fn stream(
    now: Instant,
    tick: u64,
    rules: &Rules,
    turns: TurnClock<'_>,
    rooms: &mut Rooms,
    sessions: &mut Sessions,
    plan: &mut Plan,
    counters: &mut Counters,
) {
    let Plan { clients, picks, parity, .. } = plan;
    let count = clients.len();
    for turn in tick as usize..tick as usize + count {
        for (ahead, fetch) in Needs::Sendings.steps() {
            sessions.look(clients[(turn + ahead) % count].slot).inspect(|coming| fetch(coming));
        }
        let planned = &mut clients[turn % count];
        let session = sessions.in_slot(planned.slot).expect("the plan was made this tick");
        let start = picks.len();
        let began = turns.start(planned.slot);
        let loss_permille = session.link.loss_permille();
        if loss_permille > 0 {
            let answer_max = session.link.rtt().smoothed() + rules.period().scaled(ANSWER_TICKS, 1);
            session.view.suspect_overdue(now, answer_max, loss_permille);
        }
        if session.view.has_waiting(loss_permille) {
            let until = now + rules.period();
            let first = CONTROL_RESERVE_BYTES + planned.snapshot.len();
            let mut budget = session.link.budget(now, until);
            budget.spend(first as u64);
            let in_flight_left = rules.in_flight_bytes_max.saturating_sub(session.link.bytes_in_flight());
            let room = session.carrier_room.min(*rooms.of(session.connection));
            let packets_max = room.min(in_flight_left / PACKET_BYTES_MAX);
            let mut picking = Picking { now, budget, packets_max, picks, parity, counters };
            picking.pick_for(rules, session, loss_permille);
            budget = picking.budget;
            // Ceilings and a carrier without room say nothing of the line.
            if session.view.has_waiting(loss_permille) && !budget.allows(PACKET_BYTES) {
                counters.clients_held_back += 1;
                session.link.held_back(until + session.leaves_late_by);
            } else {
                session.link.ran_dry();
            }
        } else {
            session.link.ran_dry();
        }
        turns.stop(began, &mut session.cost);
        planned.picks = start..picks.len();
        *rooms.of(session.connection) -= planned.picks.len();
    }
}

/// Picking for one client.
struct Picking<'p> {
    now: Instant,
    budget: Budget,
    /// What the carrier takes, and what may still be unacknowledged.
    packets_max: usize,
    picks: &'p mut Vec<Pick>,
    parity: &'p mut ParityBench,
    counters: &'p mut Counters,
}

impl Picking<'_> {
    fn pick_for(&mut self, rules: &Rules, session: &mut Session, loss_permille: u32) {
        let active = session.view.active();
        let order = order(session, loss_permille);
        let mut neighbours_left = rules.neighbour_fragments_per_tick;
        // The active chunk with its margin, the neighbours without, the neighbours' margins.
        for (of_active, loss_permille) in [(true, loss_permille), (false, 0), (false, loss_permille)] {
            for at in &order {
                let sending = session.view.sending_mut(*at);
                if (Some(sending.coord) == active) != of_active {
                    continue;
                }
                if of_active {
                    self.pick(*at, sending, rules.active_fragments_per_tick, loss_permille);
                } else {
                    neighbours_left -= self.pick(*at, sending, neighbours_left, loss_permille);
                }
            }
        }
    }

    /// Picks up to so many fragments of one chunk and says how many.
    fn pick(&mut self, at: usize, sending: &mut Sending, ceiling: usize, loss_permille: u32) -> usize {
        let mut picked = 0;
        while picked < ceiling && self.packets_max > 0 && self.budget.allows(PACKET_BYTES) {
            let Some(fragment) = sending.pick(self.now, loss_permille, self.parity) else { break };
            self.picks.push(Pick { sending: at, index: fragment.index });
            self.budget.spend(packet_bytes(sending, fragment.index) as u64);
            self.packets_max -= 1;
            picked += 1;
            let counters = &mut *self.counters;
            counters.fragments_sent += 1;
            counters.fragments_resent += u64::from(fragment.again);
            counters.parity_ahead += u64::from(fragment.is_parity && !fragment.again);
            counters.parity_in_answer += u64::from(fragment.is_parity && fragment.again);
        }
        picked
    }
}

/// Bytes of the packet that carries a fragment.
fn packet_bytes(sending: &Sending, index: u16) -> usize {
    PACKET_HEADER_BYTES + FRAME_HEADER_BYTES + FRAGMENT_HEADER_BYTES + sending.payload_bytes(index)
}

/// The client's waiting sendings: the active chunk, then the one it will reach first (by distance, then
/// by heading), first.
fn order(session: &Session, loss_permille: u32) -> SmallVec<[usize; SENDINGS_MAX]> {
    let active = session.view.active();
    let half = f64::from(CHUNK_UNITS) / 2.0;
    let mut waiting: SmallVec<[(bool, u64, i64, usize); SENDINGS_MAX]> = SmallVec::new();
    for (at, sending) in session.view.sendings().iter().enumerate() {
        if sending.waiting(loss_permille) == 0 {
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
