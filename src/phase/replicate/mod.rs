//! What each client is told of the things around it: a snapshot, as a difference to what it has.
//!
//! Work: nine cells for each chunk in which a client stands, each change once for all who have the same of it, and for
//! each client with news its entities, at most
//! [`ENTITIES_PER_SNAPSHOT_MAX`](ninefold_protocol::snapshot::ENTITIES_PER_SNAPSHOT_MAX) of them. Only where not
//! everything fits are they ordered by urgency.

mod compose;
mod neighbourhood;
mod news;
mod urgency;

pub use compose::Composer;

use ninefold_protocol::snapshot::OwnState;
use ninefold_world::Topology;

use super::{Plan, Planned};
use crate::game::{Doors, Living, Replicated, own_state};
use crate::replicas::Replicas;
use crate::rules::{Rules, SNAPSHOT_REPEATS, SNAPSHOTS_IDLE_HZ};
use crate::session::{Session, Sessions};
use crate::telemetry::{Counters, TurnClock};
use compose::Around;

/// Writes a snapshot for each client that has news, and an entry in the plan for every client.
pub fn replicate(
    (tick, turns): (u64, TurnClock<'_>),
    rules: &Rules,
    sessions: &mut Sessions,
    living: &Living,
    replicas: &Replicas,
    composer: &mut Composer,
    plan: &mut Plan,
    counters: &mut Counters,
) {
    composer.begin_tick(tick, replicas);
    for slot in 0..sessions.slots() {
        let Some(session) = sessions.in_slot(slot) else { continue };
        let start = plan.snapshots.len();
        let began = turns.start(slot);
        if session.is_playing()
            && is_turn(tick, rules, session)
            && has_news(tick, rules, session, replicas, composer)
        {
            let bytes = write(tick, rules, session, living, replicas, composer, counters);
            plan.snapshots.extend_from_slice(bytes);
            if began.is_turn() {
                session.cost.snapshot_bytes = bytes.len() as u32;
            }
        }
        turns.stop(began, &mut session.cost);
        let snapshot = start..plan.snapshots.len();
        plan.clients.push(Planned { slot, snapshot, picks: 0..0 });
    }
}

/// Where snapshots do not go out each tick, clients take turns.
fn is_turn(tick: u64, rules: &Rules, session: &mut Session) -> bool {
    (tick + u64::from(session.player())).is_multiple_of(rules.snapshot_every_ticks.into())
}

/// Whether anything has changed lately in the client's ring, or it is time to say that nothing has.
fn has_news(
    tick: u64,
    rules: &Rules,
    session: &mut Session,
    replicas: &Replicas,
    composer: &mut Composer,
) -> bool {
    let since = session.snapshots.newest().map_or(0, |sent| sent.tick);
    if composer.neighbourhoods.changed_in(&session.view, replicas) > since {
        session.repeats_left = SNAPSHOT_REPEATS;
    }
    let idle_ticks = (u64::from(rules.tick_rate_hz) / SNAPSHOTS_IDLE_HZ).max(1);
    let news = session.repeats_left > 0 || tick >= since + idle_ticks;
    session.repeats_left = session.repeats_left.saturating_sub(1);
    news
}

fn write<'c>(
    tick: u64,
    rules: &Rules,
    session: &mut Session,
    living: &Living,
    replicas: &Replicas,
    composer: &'c mut Composer,
    counters: &mut Counters,
) -> &'c [u8] {
    let replicated = session.entity.and_then(|e| living.entities.get::<&Replicated>(e).ok().map(|r| *r));
    let own_index = replicated.and_then(|r| r.replica);
    let Some(own) = own_state(&session.mover, replicated.map_or(0, |r| r.state)) else { return &[] };
    let open_doors = open_doors(&own, &living.doors);
    let around = Around { tick, rules, own, own_index, open_doors, replicas };
    let composed = composer.compose(&around, session);
    if composed.left_out > 0 {
        // The rest is news until it was told.
        session.repeats_left = SNAPSHOT_REPEATS;
    }
    counters.snapshots_sent += 1;
    counters.snapshots_full += u64::from(composed.is_full);
    counters.changes_left_out += composed.left_out as u64;
    counters.snapshot_bytes_out += composed.body.len() as u64;
    composed.body
}

/// The open doors of the ring, row by row from the north-west; none where the grid of chunks has ended.
fn open_doors(own: &OwnState, doors: &Doors) -> [u32; 9] {
    let centre = ninefold_world::ChunkCoord { cx: own.cx, cz: own.cz };
    if doors.is_empty() {
        return [0; 9];
    }
    std::array::from_fn(|place| {
        let (dx, dz) = (place as i32 % 3 - 1, place as i32 / 3 - 1);
        Topology::Plane.neighbour(centre, dx, dz).map_or(0, |coord| doors.open_in(coord).0)
    })
}
