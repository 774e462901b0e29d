//! Who stands in which chunk: ring changes, CHUNK_ENTER, and the crowd by chunk.
//!
//! Work: clients that came, went or moved; a ring change costs nine chunks.

use ninefold_protocol::frame::Message;
use ninefold_protocol::time::Instant;
use ninefold_world::{ChunkCoord, Topology};

use crate::chunk::{ChunkService, Workshop};
use crate::crowd::Crowd;
use crate::rules::Rules;
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

/// The chunk in which a client comes into the world: spread by its id over the square around the origin.
pub fn spawn_chunk(client_id: u64, rules: &Rules) -> ChunkCoord {
    let side = 2 * u64::from(rules.spawn_radius_chunks) + 1;
    // SplitMix64's finaliser: neighbouring ids land far apart.
    let mut hash = client_id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    let offset = |n: u64| n as i32 - rules.spawn_radius_chunks as i32;
    ChunkCoord { cx: offset(hash % side), cz: offset(hash / side % side) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_spawn_all_over_the_square_and_never_outside() {
        let rules = Rules { spawn_radius_chunks: 1, ..crate::config::Config::default().rules() };
        let mut seen = std::collections::BTreeSet::new();
        for client_id in 0..200 {
            let coord = spawn_chunk(client_id, &rules);
            assert!(coord.cx.abs() <= 1 && coord.cz.abs() <= 1);
            seen.insert((coord.cx, coord.cz));
        }
        assert_eq!(seen.len(), 9);
    }
}
