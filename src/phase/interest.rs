//! Who stands in which chunk: ring changes, CHUNK_ENTER, and the crowd by chunk.
//!
//! Work: clients that came, went or moved; a ring change costs nine chunks.

use ninefold_protocol::frame::Message;
use ninefold_protocol::time::Instant;
use ninefold_world::{ChunkCoord, Topology};

use crate::chunk::{ChunkService, Workshop};
use crate::crowd::Crowd;
use crate::session::{Session, Sessions, Stage};
use crate::telemetry::Counters;

/// Brings rings and crowd up to date, and forgets who departed.
pub fn interest<W: Workshop>(
    now: Instant,
    tick: u64,
    sessions: &mut Sessions,
    departed: &mut Vec<Session>,
    chunks: &mut ChunkService<W>,
    crowd: &mut Crowd,
    counters: &mut Counters,
) {
    for session in departed.drain(..) {
        for place in session.view.ring() {
            chunks.unpin(place.coord);
        }
        crowd.remove(tick, session.player(), session.local_told.chunk);
    }
    for session in sessions.iter_mut() {
        match session.stage {
            Stage::Spawning(coord) if session.view.active() != Some(coord) => enter(session, coord, chunks),
            Stage::Playing => follow(now, tick, session, chunks, crowd, counters),
            _ => {}
        }
    }
}

fn follow<W: Workshop>(
    now: Instant,
    tick: u64,
    session: &mut Session,
    chunks: &mut ChunkService<W>,
    crowd: &mut Crowd,
    counters: &mut Counters,
) {
    let active = session.view.active().expect("a playing client has a ring");
    if session.local == session.local_told {
        return;
    }
    session.local_told = session.local;
    crowd.moved(tick, session.player(), active, session.local);
    let to = session.local.chunk;
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
