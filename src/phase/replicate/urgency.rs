//! Which changes go first when not all of them fit.
//!
//! A change grows more urgent with each tick that it waits; what the player can see or hear grows fastest, and what is
//! near faster than what is far. So what matters most is told most often, and nothing waits for ever.

use ninefold_protocol::snapshot::{EntityState, OwnState};
use ninefold_world::{FIXED_PER_UNIT, LocalPoint, PLAYER_HEIGHT_UNITS};

use super::compose::{Around, Change, Kind};
use crate::game::chunk_of;
use crate::session::Session;
use crate::snapshots::LastTold;

/// What is so near is heard, seen or not, in units.
const HEARING_UNITS: i64 = 384;
/// What can be seen or heard grows so many times as urgent.
const SENSED_WEIGHT: u64 = 4;
/// An entity that the client does not know counts as one that has waited so many ticks.
const ENTERED_TICKS: u64 = 30;
/// From so far on, in units, distance halves the urgency, at twice as far it is a third, and so on.
const HALVING_UNITS: u64 = 256;
/// Steps of a place on the wire in one unit.
const PLACE_PER_UNIT: i64 = 64;
/// Steps of a place on the wire in 1/8 unit.
const PLACE_PER_FIXED: i64 = PLACE_PER_UNIT / FIXED_PER_UNIT as i64;
/// Half a body above the feet, 1/8 unit.
const BODY_FIXED: i16 = (PLAYER_HEIGHT_UNITS * FIXED_PER_UNIT / 2) as i16;

/// Orders changes; kept for its memory.
#[derive(Debug, Default)]
pub(super) struct Urgencies {
    order: Vec<(u64, u32)>,
    /// By index.
    places: Vec<Place>,
}

/// Where an entity is in its chunk's tree, found once in a tick.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    tick: u64,
    /// `None` in rock.
    leaf: Option<u16>,
}

impl Urgencies {
    /// Marks the most urgent changes that fit into `budget` bits and tells how many do not.
    pub fn choose(
        &mut self,
        around: &Around<'_>,
        session: &mut Session,
        changes: &mut [Change],
        budget: usize,
    ) -> usize {
        if (around.tick + u64::from(session.player())).is_multiple_of(around.sight_ticks) {
            session.sight.get_or_insert_default().look(&session.view, session.mover.position);
        }
        let session = &*session;
        self.places.resize(around.replicas.indices().max(self.places.len()), Place::default());
        self.order.clear();
        let mut told = LastTold::of(&session.snapshots);
        let mut left = budget;
        for (at, change) in changes.iter().enumerate() {
            match change.kind {
                // What is gone is told in any case: it costs next to nothing, and frees an index.
                Kind::Same | Kind::Gone => left = left.saturating_sub(change.bits),
                Kind::Changed | Kind::Entered => {
                    let urgency = self.urgency(around, session, change, told.find(change.index));
                    self.order.push((urgency, at as u32));
                }
            }
        }
        // Of two as urgent, the one with the lower index.
        self.order.sort_unstable_by_key(|(urgency, at)| (std::cmp::Reverse(*urgency), *at));
        let mut left_out = 0;
        for (_, at) in &self.order {
            let change = &mut changes[*at as usize];
            change.told = change.bits <= left;
            left -= if change.told { change.bits } else { 0 };
            left_out += usize::from(!change.told);
        }
        left_out
    }

    /// Bytes of memory, counted from capacities.
    pub fn memory_bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>()
    }

    /// `last` is the tick whose state was last sent.
    fn urgency(&mut self, around: &Around<'_>, session: &Session, change: &Change, last: Option<u64>) -> u64 {
        let Some(replica) = around.replicas.get(change.index) else { return 0 };
        // Since it was last sent, not since it last arrived: else the same ones would go each time.
        if change.kind == Kind::Entered && last.is_some() {
            // It is on its way already. Left out now, it would leave the client again and come back.
            return u64::MAX;
        }
        let waited = last.map_or(ENTERED_TICKS, |as_of| around.tick - as_of);
        let distance = distance_squared(&around.own, &replica.state).isqrt() / PLACE_PER_UNIT;
        let sensed = distance <= HEARING_UNITS
            || self.sees(around.tick, session, change.index as usize, &replica.state);
        let weight = if sensed { SENSED_WEIGHT } else { 1 };
        (waited + 1) * weight * 1_024 / (1 + distance as u64 / HALVING_UNITS)
    }

    /// What stands in rock, or in a chunk that is not made, hides behind nothing; nor does anything from who has not had
    /// the time to look.
    fn sees(&mut self, tick: u64, session: &Session, index: usize, state: &EntityState) -> bool {
        let coord = chunk_of(state);
        let Some(leaves) = session.sight.as_ref().and_then(|sight| sight.of(coord)) else { return true };
        let place = &mut self.places[index];
        if place.tick != tick {
            let Some(chunk) = session.view.chunk(coord) else { return true };
            *place = Place { tick, leaf: chunk.leaf_at(in_chunk(state)) };
        }
        place.leaf.is_none_or(|leaf| leaves.contains(leaf.into()))
    }
}

/// The middle of a body in its chunk.
fn in_chunk(state: &EntityState) -> LocalPoint {
    let fixed = |place: i64| ((place & 0xffff) / PLACE_PER_FIXED) as i16;
    let y = (i64::from(state.y) / PLACE_PER_FIXED) as i16 + BODY_FIXED;
    LocalPoint { x: fixed(state.x), y, z: fixed(state.z) }
}

/// From the client to an entity in plan, squared, in 1/64 unit.
pub(super) fn distance_squared(own: &OwnState, state: &EntityState) -> i64 {
    let place = |chunk: i32, exact: u32| (i64::from(chunk) << 16) + i64::from(exact >> 4);
    let apart = |a: i64, b: i64| (a - b).clamp(-(1 << 30), 1 << 30);
    let (dx, dz) = (apart(state.x, place(own.cx, own.x)), apart(state.z, place(own.cz, own.z)));
    dx * dx + dz * dz
}
