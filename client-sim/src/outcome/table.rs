//! The server's own tick table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::spread::Spread;

/// What the server says of itself at the end of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerTable {
    /// Ticks a second.
    pub tick_rate_hz: u32,
    /// Ticks run.
    pub ticks: u64,
    /// Those that took longer than their period.
    pub overruns: u64,
    /// The longest run of them.
    pub overruns_in_a_row_max: u64,
    /// Ticks that were given up because the loop was too far behind.
    pub skipped: u64,
    /// Time of a tick, microseconds.
    pub tick_us: Spread,
    /// How late ticks began, microseconds.
    pub late_us: Spread,
    /// Each phase, in their order.
    pub phases: Vec<PhaseTable>,
    /// Time to make and encode a chunk, microseconds.
    pub generate_us: Spread,
    /// CPU time per client and tick, microseconds, by thread: tick, workers, carriers.
    pub cpu_us_per_client_tick: BTreeMap<String, f64>,
    /// Every counter that counted something, as `part.name`.
    pub counters: BTreeMap<String, u64>,
    /// The server's whole state as it tells it to tools; absent where it was not asked.
    pub state: Option<serde_json::Value>,
}

/// A phase of the tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseTable {
    /// Its name.
    pub name: String,
    /// Its time, microseconds.
    pub time_us: Spread,
}
