//! Inputs become moved players: the wish of each client's newest input, slid through the world.
//!
//! Work: each client that walks or falls once, in as many parts as its speed asks for; a slide looks at no
//! more than the ring's chunks.

use ninefold_protocol::time::Instant;
use ninefold_world::{Loaded, LocalPosition, OpenDoors, slide};

use crate::rules::{INPUT_HOLD, Rules};
use crate::session::{Session, Sessions};
use crate::telemetry::Counters;

/// A longer way is gone in parts: a slide takes one step up, and stairs are a cell deep.
const PART_UNITS_MAX: f64 = 24.0;
/// Nobody can open a door yet, so none is in anybody's way.
const OPEN_DOORS: OpenDoors = OpenDoors::ALL;

/// Moves every player one tick on.
pub fn simulate(now: Instant, rules: &Rules, sessions: &mut Sessions, counters: &mut Counters) {
    for session in sessions.iter_mut().filter(|s| s.is_playing()) {
        let stale = now.since(session.input_at) > INPUT_HOLD;
        let wish = if stale { (0.0, 0.0) } else { session.input.wish() };
        let walks = wish != (0.0, 0.0);
        if walks {
            session.heading = wish;
        }
        // Who stands and wants nothing stays.
        if walks || !session.mover.on_ground {
            advance(rules, session, wish, counters);
        }
    }
}

fn advance(rules: &Rules, session: &mut Session, wish: (f64, f64), counters: &mut Counters) {
    let whole = f64::from(rules.walk_speed_units_s) / f64::from(rules.tick_rate_hz);
    let parts = (whole / PART_UNITS_MAX).ceil().max(1.0);
    let (part, parts) = (whole / parts, parts as u32);
    let part_us = (rules.period().as_us() / u64::from(parts)) as u32;
    let view = &session.view;
    let chunk_at = |coord| view.chunk(coord).map(|chunk| Loaded { chunk, open_doors: OPEN_DOORS });
    for _ in 0..parts {
        let slid = slide(&chunk_at, session.mover, (wish.0 * part, wish.1 * part), part_us);
        counters.steps_blocked_by_missing_chunk += u64::from(slid.missing.is_some());
        counters.players_freed += u64::from(slid.freed);
        // A place that cannot be told of is not gone to.
        let Ok(local) = LocalPosition::try_from(slid.mover.position) else { break };
        session.mover = slid.mover;
        session.local = local;
        // The ring follows in the next phase; further than into its next chunk nobody goes in a tick.
        if view.active() != Some(local.chunk) {
            break;
        }
    }
}
