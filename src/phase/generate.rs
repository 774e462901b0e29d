//! Asks for missing chunks, nearest client first, and takes in finished ones.
//!
//! Work: the take-in budget (a count and a time), the requests handed out up to `making_max`, and the
//! missing chunks of the clients that miss any.

use std::sync::Arc;

use ninefold_protocol::frame::{ChunkAt, ChunkKey, Message};
use ninefold_protocol::time::Instant;
use ninefold_world::{CHUNK_UNITS, Chunk, ChunkCoord, Mover, Position};

use super::ingress::UNAVAILABLE;
use crate::chunk::{ChunkService, ChunkState, Urgency, Workshop};
use crate::game::{Body, KnownChunks, Living, Player, Setting};
use crate::rules::Rules;
use crate::session::{Session, Sessions, Stage};
use crate::telemetry::Counters;
use crate::view::{RING_CHUNKS, RingState};

/// Keeps the rings whole. `clock_ns` only bounds the time spent on taking in.
pub fn generate<W: Workshop>(
    now: Instant,
    tick: u64,
    rules: &Rules,
    clock_ns: &dyn Fn() -> u64,
    sessions: &mut Sessions,
    chunks: &mut ChunkService<W>,
    living: &mut Living,
    counters: &mut Counters,
) {
    let until_ns = clock_ns() + rules.take_in_time_per_tick.as_us() * 1_000;
    chunks.take_in(now, rules.take_in_chunks_per_tick, &mut || clock_ns() < until_ns);
    for session in sessions.iter_mut().filter(|s| s.view.missing() > 0) {
        urge(session, chunks);
    }
    chunks.dispatch(now);
    for session in sessions.iter_mut() {
        if session.view.missing() > 0 && !session.awaits_offers(now) {
            adopt(now, session, chunks, counters);
        }
        if let Stage::Spawning(coord) = session.stage {
            spawn(now, session, coord, chunks, living, (tick, rules), counters);
        }
    }
}

/// Says how near the client is to what it misses.
fn urge<W: Workshop>(session: &Session, chunks: &mut ChunkService<W>) {
    let active = session.view.active();
    for place in session.view.ring() {
        if !matches!(place.state, RingState::Missing) {
            continue;
        }
        if Some(place.coord) == active {
            chunks.urge(place.coord, Urgency::active());
        } else {
            let distance = distance_squared(session.mover.position, place.coord);
            chunks.urge(place.coord, Urgency::neighbour(distance));
        }
    }
}

/// From a position to the nearest point of a chunk, squared, in units.
pub(super) fn distance_squared(from: Position, to: ChunkCoord) -> u64 {
    let size = f64::from(CHUNK_UNITS);
    let (left, top) = to.origin();
    let dx = (left - from.x).max(from.x - (left + size)).max(0.0);
    let dz = (top - from.z).max(from.z - (top + size)).max(0.0);
    (dx * dx + dz * dz) as u64
}

/// Gives the client what has become ready or failed in its ring.
fn adopt<W: Workshop>(
    now: Instant,
    session: &mut Session,
    chunks: &ChunkService<W>,
    counters: &mut Counters,
) {
    let missing: smallvec::SmallVec<[ChunkCoord; RING_CHUNKS]> = (session.view.ring().iter())
        .filter(|r| matches!(r.state, RingState::Missing))
        .map(|r| r.coord)
        .collect();
    for coord in missing {
        match chunks.state(coord) {
            ChunkState::Ready(ready) => {
                if let Some(version) = session.view.on_ready(ready) {
                    counters.chunks_held_already += 1;
                    let key = ChunkKey { cx: coord.cx, cy: 0, cz: coord.cz };
                    session.send(now, &Message::ChunkKnown(ChunkAt { key, version }), counters);
                }
            }
            ChunkState::Failed => {
                session.view.on_unavailable(coord, Arc::new(Chunk::safe(coord)));
                counters.chunks_unavailable += 1;
                let key = ChunkKey { cx: coord.cx, cy: 0, cz: coord.cz };
                let at = ChunkAt { key, version: 0 };
                session.send(now, &Message::ChunkUnavailable(at, UNAVAILABLE), counters);
            }
            ChunkState::Absent | ChunkState::Queued | ChunkState::Making => {}
        }
    }
}

/// Puts the player into the world once the chunk it will stand in is there: as a new entity, or where it was put.
fn spawn<W: Workshop>(
    now: Instant,
    session: &mut Session,
    coord: ChunkCoord,
    chunks: &ChunkService<W>,
    living: &mut Living,
    (tick, rules): (u64, &Rules),
    counters: &mut Counters,
) {
    let Some(chunk) = session.view.chunk(coord) else { return };
    let mover = Mover::standing(chunk.spawn(session.client_id));
    let (game, mut scene) = living.scene(Setting { tick, pace: rules.pace(), chunks, counters });
    let moved = session.entity.is_some_and(|entity| {
        let body = scene.entities.get::<&mut Body>(entity);
        body.map(|mut body| *body = Body::standing(mover)).is_ok()
    });
    if !moved {
        let player = Player { slot: session.player(), client_id: session.client_id };
        session.entity = Some(game.connect(&mut scene.near(&session.view), player, mover));
        counters.clients_spawned += 1;
    }
    session.mover = mover;
    session.inputs.restart();
    session.stage = Stage::Playing;
    session.send(now, &Message::ChunkEnter { cx: coord.cx, cz: coord.cz }, counters);
}

impl<W: Workshop> KnownChunks for ChunkService<W> {
    fn known(&self, coord: ChunkCoord) -> Option<&Chunk> {
        match self.state(coord) {
            ChunkState::Ready(ready) => Some(&ready.chunk),
            _ => None,
        }
    }
}
