//! Where players are, for each client: its own position and those of the others in its ring.
//!
//! Work: nine cells for each client, and for those with news their players, at most
//! [`POSITIONS_PER_FRAME_MAX`] of them; where there are more, they take turns.

use ninefold_protocol::frame::{OtherPosition, OwnPosition, Positions, PositionsHeader};
use ninefold_protocol::limits::POSITIONS_PER_FRAME_MAX;
use ninefold_world::LocalPosition;
use zerocopy::IntoBytes;

use super::{Plan, Planned};
use crate::crowd::{Crowd, Occupant};
use crate::rules::{POSITIONS_IDLE_TICKS, POSITIONS_REPEATS};
use crate::session::{Session, Sessions};

/// Writes a positions frame for each client that has news, and an entry in the plan for every client.
pub fn replicate(tick: u64, sessions: &mut Sessions, crowd: &Crowd, plan: &mut Plan) {
    for slot in 0..sessions.slots() {
        let Some(session) = sessions.in_slot(slot) else { continue };
        let start = plan.positions.len();
        if session.is_playing() && has_news(tick, session, crowd) {
            write_positions(tick, session, crowd, &mut plan.positions);
        }
        let positions = start..plan.positions.len();
        plan.clients.push(Planned { slot, positions, picks: 0..0 });
    }
}

/// Whether anything has changed lately in the client's ring, or it is time to say that nothing has.
fn has_news(tick: u64, session: &mut Session, crowd: &Crowd) -> bool {
    let mut cells = session.view.ring().iter().filter_map(|r| crowd.cell(r.coord));
    if cells.any(|cell| cell.changed_in() == tick) {
        session.repeats_left = POSITIONS_REPEATS;
    }
    let idle_turn = (tick + u64::from(session.player())).is_multiple_of(POSITIONS_IDLE_TICKS);
    let news = session.repeats_left > 0 || idle_turn;
    session.repeats_left = session.repeats_left.saturating_sub(1);
    news
}

fn write_positions(tick: u64, session: &mut Session, crowd: &Crowd, out: &mut Vec<u8>) {
    let own = session.local;
    let me = session.player();
    let others = || {
        let cells = session.view.ring().iter().filter_map(|r| crowd.cell(r.coord));
        cells.flat_map(|cell| cell.occupants()).filter(move |o| o.player != me)
    };
    let in_ring = others().count();
    let count = in_ring.min(POSITIONS_PER_FRAME_MAX);
    let first = if in_ring > count { session.others_offset % in_ring } else { 0 };
    let header = PositionsHeader {
        tick: (tick as u32).into(),
        input_sequence: session.input.sequence,
        own: OwnPosition {
            cx: own.chunk.cx.into(),
            cz: own.chunk.cz.into(),
            x: own.x.into(),
            y: own.y.into(),
            z: own.z.into(),
        },
        in_ring: u16::try_from(in_ring).unwrap_or(u16::MAX).into(),
        count: count as u8,
    };
    out.reserve(Positions::bytes_with(count));
    out.extend_from_slice(header.as_bytes());
    for occupant in others().skip(first).chain(others().take(first)).take(count) {
        out.extend_from_slice(entry(own, occupant).as_bytes());
    }
    session.others_offset = if in_ring > count { first + count } else { 0 };
}

fn entry(own: LocalPosition, other: &Occupant) -> OtherPosition {
    let at = other.at;
    OtherPosition {
        player: other.player.into(),
        chunk_dx: at.chunk.cx.wrapping_sub(own.chunk.cx) as i8,
        chunk_dz: at.chunk.cz.wrapping_sub(own.chunk.cz) as i8,
        x: at.x.into(),
        y: at.y.into(),
        z: at.z.into(),
    }
}
