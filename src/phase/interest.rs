//! Who stands in which chunk: ring changes, CHUNK_ENTER, and the replicas by chunk.
//!
//! Work: clients that came, went or crossed a border, nine chunks each; and every entity once, to see whether it has
//! changed.

use ninefold_protocol::frame::Message;
use ninefold_protocol::time::Instant;
use ninefold_world::{ChunkCoord, Topology};

use crate::ahead::{Needs, for_each};
use crate::chunk::{ChunkService, Workshop};
use crate::game::{Living, Setting};
use crate::replicas::Replicas;
use crate::rules::Rules;
use crate::session::{Session, Sessions, Stage};
use crate::telemetry::Counters;

/// Brings rings and replicas up to date, and forgets who departed.
pub fn interest<W: Workshop>(
    now: Instant,
    (tick, rules): (u64, &Rules),
    sessions: &mut Sessions,
    departed: &mut Vec<Session>,
    chunks: &mut ChunkService<W>,
    living: &mut Living,
    replicas: &mut Replicas,
    counters: &mut Counters,
) {
    for session in departed.drain(..) {
        for place in session.view.ring() {
            chunks.unpin(place.coord);
        }
        if let Some(entity) = session.entity {
            let setting = Setting { tick, pace: rules.pace(), chunks: &*chunks, counters };
            let (game, mut scene) = living.scene(setting);
            game.despawn(&mut scene, entity);
            // The game may have done so.
            let _ = scene.entities.despawn(entity);
        }
    }
    let mut has_anybody_moved = false;
    for_each(sessions.seats_mut(), Needs::Place, |session| {
        let before = session.view.active();
        match session.stage {
            Stage::Spawning(coord) if before != Some(coord) => enter(session, coord, chunks),
            Stage::Playing => follow(now, session, chunks, counters),
            _ => {}
        }
        has_anybody_moved |= session.view.active() != before;
    });
    if has_anybody_moved {
        sessions.note_moved();
    }
    replicas.gather(tick, &mut living.entities);
}

fn follow<W: Workshop>(
    now: Instant,
    session: &mut Session,
    chunks: &mut ChunkService<W>,
    counters: &mut Counters,
) {
    let active = session.view.active().expect("a playing client has a ring");
    let to = session.mover.position.chunk().expect("nobody walks out of the grid of chunks");
    if to != active {
        counters.crossings += 1;
        enter(session, to, chunks);
        session.send(now, &Message::ChunkEnter { cx: to.cx, cz: to.cz }, counters);
    }
}

/// Gives the client the ring around `coord`.
fn enter<W: Workshop>(session: &mut Session, coord: ChunkCoord, chunks: &mut ChunkService<W>) {
    let change = session.view.enter(Topology::Plane, coord);
    // Pinned before unpinned, so that nothing that stays falls out of the cache.
    for coord in change.entered {
        chunks.pin(coord);
    }
    for coord in change.left {
        chunks.unpin(coord);
    }
}
