//! Looks at the clients whose turn it is.
//!
//! Work: one slot in [`CLIENT_TURN_TICKS`](super::CLIENT_TURN_TICKS).

use super::client::{ClientMemory, ClientRow, SlotBytes, slots_in_turn};
use crate::session::{Session, Sessions, Stage};

/// Fills `rows` with the clients whose turn it is, by slot; `None` where there is nobody.
pub fn survey(
    tick: u64,
    sessions: &mut Sessions,
    bytes: &[SlotBytes],
    rows: &mut Vec<(usize, Option<ClientRow>)>,
) {
    rows.clear();
    for slot in slots_in_turn(tick, sessions.slots()) {
        let both = bytes.get(slot).map_or((0, 0), SlotBytes::both);
        rows.push((slot, sessions.in_slot(slot).map(|session| row(session, both))));
    }
}

fn row(session: &mut Session, bytes: (u64, u64)) -> ClientRow {
    let (turn_ns, bytes_in, bytes_out) = session.cost.settle(bytes);
    let (flow, cost) = (session.link.flow(), &session.cost);
    ClientRow {
        client_id: session.client_id,
        carrier: session.connection.carrier,
        stage: session.stage.name(),
        turn_ns,
        median_ns: cost.median_ns(),
        max_ns: cost.max_ns(),
        rtt_us: flow.path_rtt.map(|rtt| rtt.as_us()),
        loss_permille: flow.loss_permille,
        rate_bytes_s: flow.rate_bytes_s,
        window_bytes: flow.window_bytes,
        in_flight_bytes: session.link.bytes_in_flight() as u64,
        bytes_in: (bytes.0, bytes_in),
        bytes_out: (bytes.1, bytes_out),
        packets_lost: session.link.stats().packets_lost,
        entities: session.snapshots.newest().map_or(0, |sent| sent.told.len() as u32),
        snapshot_bytes: cost.snapshot_bytes,
        missing_chunks: session.view.missing() as u32,
        sendings: session.view.sendings().len() as u32,
        memory: ClientMemory {
            session: session.memory_bytes() as u32,
            link: session.link.memory_bytes() as u32,
            snapshots: session.snapshots.memory_bytes() as u32,
        },
    }
}

impl Stage {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Greeting => "greeting",
            Stage::Spawning(_) => "spawning",
            Stage::Playing => "playing",
            Stage::Leaving(_) => "leaving",
        }
    }
}
