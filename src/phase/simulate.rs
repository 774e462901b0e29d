//! Inputs become moved players: the wish of each client's newest input, clipped against the world.
//!
//! Work: each client once, in as many parts as its speed asks for; a step looks at no more than the
//! ring's chunks.

use ninefold_protocol::time::Instant;
use ninefold_world::{LocalPosition, walk};

use crate::rules::{INPUT_HOLD, Rules};
use crate::session::Sessions;
use crate::telemetry::Counters;

/// A longer way is gone in parts, since a step must be shorter than a cell.
const STEP_UNITS_MAX: f64 = 24.0;

/// Moves every player one tick on.
pub fn simulate(now: Instant, rules: &Rules, sessions: &mut Sessions, counters: &mut Counters) {
    let whole = f64::from(rules.walk_speed_units_s) / f64::from(rules.tick_rate_hz);
    let parts = (whole / STEP_UNITS_MAX).ceil().max(1.0);
    let (step, parts) = (whole / parts, parts as u32);
    for session in sessions.iter_mut().filter(|s| s.is_playing()) {
        let (wish_x, wish_z) = session.input.wish();
        let stale = now.since(session.input_at) > INPUT_HOLD;
        if stale || (wish_x == 0.0 && wish_z == 0.0) {
            continue;
        }
        session.heading = (wish_x, wish_z);
        let view = &session.view;
        for _ in 0..parts {
            let (dx, dz) = (wish_x * step, wish_z * step);
            let walked = walk(|coord| view.chunk(coord), session.position, dx, dz);
            counters.steps_blocked_by_missing_chunk += u64::from(walked.missing.is_some());
            // A step that would leave the grid of chunks is not taken.
            let Ok(local) = LocalPosition::try_from(walked.position) else { break };
            session.position = walked.position;
            session.local = local;
            // The ring follows in the next phase; further than into its next chunk nobody goes in a tick.
            if view.active() != Some(local.chunk) {
                break;
            }
        }
    }
}
