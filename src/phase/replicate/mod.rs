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

use std::ops::Range;

use ninefold_protocol::snapshot::OwnState;
use ninefold_world::Topology;

use super::share::{Crew, share_out, threads_for};
use super::{Plan, Planned};
use crate::ahead::{Needs, for_each};
use crate::game::{Doors, Living, Replicated, own_state};
use crate::replicas::Replicas;
use crate::rules::{Rules, SNAPSHOT_REPEATS, SNAPSHOTS_IDLE_HZ};
use crate::session::{Seat, Session, Sessions};
use crate::sight::sight_ticks;
use crate::telemetry::{Counters, TurnClock};
use compose::{Around, Composer};

/// Writes a snapshot for each client that has news, and an entry in the plan for every client.
pub fn replicate(
    (tick, turns): (u64, TurnClock<'_>),
    rules: &Rules,
    sessions: &mut Sessions,
    living: &Living,
    replicas: &Replicas,
    scribes: &mut Scribes,
    plan: &mut Plan,
    counters: &mut Counters,
) {
    let scribes = scribes.0.of(threads_for(sessions.len(), rules.tick_threads));
    // The game itself is one thread's.
    let Living { entities, doors, .. } = living;
    let sight_ticks = sight_ticks(sessions.slots());
    let now = Now { tick, rules, sight_ticks, entities, doors, replicas };
    let work = |_, seats: &mut [Seat], scribe: &mut Scribe| {
        scribe.composer.begin_tick(tick, replicas);
        for_each(seats, Needs::Snapshot, |session| scribe.tell(&now, turns, session));
    };
    share_out(sessions.seats_mut(), scribes, &work);
    for scribe in scribes {
        scribe.hand_over(plan);
        counters.take_over(&mut scribe.counters);
    }
}

/// The world as it is told of; nothing of it changes any more in this tick.
struct Now<'t> {
    tick: u64,
    rules: &'t Rules,
    sight_ticks: u64,
    entities: &'t hecs::World,
    doors: &'t Doors,
    replicas: &'t Replicas,
}

/// Writes the snapshots of a run of clients.
#[derive(Debug, Default)]
struct Scribe {
    composer: Composer,
    clients: Vec<Planned>,
    /// Bodies, one behind the other.
    snapshots: Vec<u8>,
    counters: Counters,
}

/// One for each thread, and the clients of which each has lists.
#[derive(Debug, Default)]
pub struct Scribes(Crew<Scribe>);

impl Scribes {
    /// Bytes of memory of what is kept for each entity.
    pub fn memory_bytes(&self) -> usize {
        self.0.iter().map(|scribe| scribe.composer.memory_bytes()).sum()
    }
}

impl Scribe {
    fn tell(&mut self, now: &Now<'_>, turns: TurnClock<'_>, session: &mut Session) {
        let Scribe { composer, clients, snapshots, counters } = self;
        let slot = session.connection.slot as usize;
        let start = snapshots.len();
        let began = turns.start(slot);
        if session.is_playing() && is_turn(now, session) && has_news(now, session, composer) {
            let bytes = write(now, session, composer, counters);
            snapshots.extend_from_slice(bytes);
            if began.is_turn() {
                session.cost.snapshot_bytes = bytes.len() as u32;
            }
        }
        turns.stop(began, &mut session.cost);
        clients.push(Planned { slot, snapshot: start..snapshots.len(), picks: 0..0 });
    }

    /// Puts what was written behind what others wrote.
    fn hand_over(&mut self, plan: &mut Plan) {
        let before = plan.snapshots.len();
        plan.snapshots.append(&mut self.snapshots);
        plan.clients.extend(self.clients.drain(..).map(|planned| {
            let Range { start, end } = planned.snapshot;
            Planned { snapshot: before + start..before + end, ..planned }
        }));
    }
}

/// Where snapshots do not go out each tick, clients take turns.
fn is_turn(now: &Now<'_>, session: &Session) -> bool {
    (now.tick + u64::from(session.player())).is_multiple_of(now.rules.snapshot_every_ticks.into())
}

/// Whether anything has changed lately in the client's ring, or it is time to say that nothing has.
fn has_news(now: &Now<'_>, session: &mut Session, composer: &mut Composer) -> bool {
    let since = session.snapshots.newest().map_or(0, |sent| sent.tick);
    if composer.neighbourhoods.changed_in(&session.view, now.replicas) > since {
        session.repeats_left = SNAPSHOT_REPEATS;
    }
    let idle_ticks = (u64::from(now.rules.tick_rate_hz) / SNAPSHOTS_IDLE_HZ).max(1);
    let news = session.repeats_left > 0 || now.tick >= since + idle_ticks;
    session.repeats_left = session.repeats_left.saturating_sub(1);
    news
}

fn write<'c>(
    now: &Now<'_>,
    session: &mut Session,
    composer: &'c mut Composer,
    counters: &mut Counters,
) -> &'c [u8] {
    let Now { tick, rules, sight_ticks, replicas, .. } = *now;
    let replicated = session.entity.and_then(|e| now.entities.get::<&Replicated>(e).ok().map(|r| *r));
    let own_index = replicated.and_then(|r| r.replica);
    let Some(own) = own_state(&session.mover, replicated.map_or(0, |r| r.state)) else { return &[] };
    let open_doors = open_doors(&own, now.doors);
    let around = Around { tick, rules, sight_ticks, own, own_index, open_doors, replicas };
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
