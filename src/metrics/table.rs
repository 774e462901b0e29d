//! Every metric, once: its name, kind, labels and what it tells. What is written comes from this table, and the table of
//! `docs/operations.md` is checked against it.

use std::fmt::Write;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its samples end in `_total`.
    Counter,
    /// It is as it is.
    Gauge,
    /// Values in buckets; its samples end in `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with the unit and without the suffix of its samples.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($kind:ident $constant:ident = $name:literal $([$($label:literal),+])? $help:literal;)+) => {
        $(pub(super) const $constant: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($($label),+)?],
            help: $help,
        };)+

        /// All of them, in the order in which they are written.
        pub static TABLE: &[&Metric] = &[$(&$constant),+];
    };
}

metrics! {
    Gauge BUILD = "ninefold_build_info" ["version"] "1, with the version of the server";
    Gauge UPTIME = "ninefold_uptime_seconds" "Seconds since the start";
    Counter CPU = "ninefold_cpu_seconds" ["thread"] "CPU time of the tick's and the carriers' threads";

    Gauge TICK_BUDGET = "ninefold_tick_budget_seconds" "What a tick may take";
    Histogram TICK = "ninefold_tick_duration_seconds" "Time of whole ticks";
    Histogram LATENESS = "ninefold_tick_start_lateness_seconds" "How late ticks began";
    Histogram PHASE = "ninefold_phase_duration_seconds" ["phase"] "Time of each phase of each tick";
    Counter OVERRUNS = "ninefold_tick_overruns" "Ticks that took longer than their budget";
    Gauge OVERRUNS_IN_A_ROW = "ninefold_tick_overruns_in_a_row_max" "The longest run of overruns since the start";
    Counter SKIPPED = "ninefold_ticks_skipped" "Ticks given up because the loop was too far behind";
    Counter UNRECORDED = "ninefold_ticks_unrecorded" "Ticks and chunks that are in no histogram because a reader kept the book";

    Gauge CLIENTS = "ninefold_clients" ["state"] "Clients: connected in all, playing, and missing a chunk of their ring";
    Histogram ROUND_TRIP = "ninefold_client_round_trip_seconds" "Round trips, each client once in 64 ticks";
    Histogram CLIENT_COST = "ninefold_client_cost_seconds" "What one client takes of a tick, each timed in one tick of 32";
    Gauge DEAREST = "ninefold_client_dearest_seconds" ["rank"] "What the dearest clients take of a tick, the median of their last eight turns";
    Histogram INTEREST = "ninefold_client_interest_entities" "Entities that a client is told of, looked at once in 64 ticks";
    Histogram SNAPSHOT = "ninefold_client_snapshot_bytes" "Bytes of a client's last snapshot, looked at once in 64 ticks";

    Gauge CHUNKS = "ninefold_chunks" ["state"] "Chunks that are queued, in the making, ready, and pinned by a ring";
    Gauge OLDEST_REQUEST = "ninefold_chunk_oldest_request_age_seconds" "How long the chunk that has been waited for longest is wanted";
    Counter GENERATION = "ninefold_chunk_generation" ["event"] "What happened to chunks: asked, made, stale, failed, panics and so on; hits and misses of the cache";
    Histogram GENERATE = "ninefold_chunk_generate_seconds" "Time to make and encode a chunk";
    Histogram READY = "ninefold_chunk_ready_seconds" "Time from a chunk being wanted to its being ready";
    Gauge WORKERS = "ninefold_chunk_workers" "Workers that make chunks and do not hang";

    Counter FRAMES = "ninefold_frames" ["direction", "frame"] "Frames by type; header counts packets";
    Counter FRAME_BYTES = "ninefold_frame_bytes" ["direction", "frame"] "Bytes of frames with their headers, before sealing";
    Counter DATAGRAMS = "ninefold_datagrams" ["carrier", "direction"] "Datagrams at the sockets";
    Counter DATAGRAM_BYTES = "ninefold_datagram_bytes" ["carrier", "direction"] "Bytes of datagrams at the sockets";

    Gauge QUEUE_DEPTH = "ninefold_queue_depth" ["queue"] "What waits in a queue";
    Gauge QUEUE_HIGH_WATER = "ninefold_queue_high_water" ["queue"] "The most that ever waited in it";
    Gauge QUEUE_BOUND = "ninefold_queue_bound" ["queue"] "The most that may wait in it";

    Counter DROPS = "ninefold_drops" ["part", "cause"] "What was dropped, refused, late or given up, and why";
    Counter EVENTS = "ninefold_events" ["part", "event"] "Every other counter of the server";
    Gauge RESIDENT = "ninefold_resident_memory_bytes" "Memory of the whole process, as the system counts it";
    Gauge MEMORY = "ninefold_memory_bytes" ["part"] "Memory by part, counted from capacities";

    Counter TRACES_ASKED = "ninefold_recorder_asked" "How often the flight recorder was asked for a trace";
    Counter TRACES = "ninefold_recorder_traces" "Traces that it wrote";
    Counter CONNECTIONS_REFUSED = "ninefold_metrics_connections_refused" "Connections to this page that were turned away because too many were open";
}

/// The table as it stands in the documentation.
pub fn table_markdown() -> String {
    let mut page = String::from("| metric | kind | labels | what it tells |\n|---|---|---|---|\n");
    for Metric { name, kind, labels, help } in TABLE.iter().copied() {
        let (kind, suffix) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
            Kind::Histogram => ("histogram", ""),
        };
        let labels = labels.join(", ");
        writeln!(page, "| `{name}{suffix}` | {kind} | {labels} | {help} |")
            .expect("a String takes what it is given");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_kind_each_and_tell_their_unit() {
        for (n, metric) in TABLE.iter().enumerate() {
            assert!(TABLE[..n].iter().all(|other| other.name != metric.name), "{}", metric.name);
            assert!(
                metric.name.starts_with("ninefold_") && !metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
            let has_unit = ["_seconds", "_bytes", "_entities"].iter().any(|unit| metric.name.ends_with(unit));
            assert!(metric.kind != Kind::Histogram || has_unit, "{}", metric.name);
        }
    }
}
