//! The whole state of a server as one document, for tools: `GET /state` answers with it, and a server in the same
//! process gives it by [`Live::state`](super::Live::state).
//!
//! Times are microseconds unless a name says otherwise. A field is never taken away or given another meaning without a
//! new [`STATE_VERSION`]; fields may be added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the document.
pub const STATE_VERSION: u32 = 1;
/// Clients that the document lists unless asked for more: the dearest.
pub const DEAREST_CLIENTS: usize = 10;

/// A server at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// [`STATE_VERSION`].
    pub version: u32,
    /// Who it is.
    pub server: ServerState,
    /// Its ticks.
    pub ticks: TicksState,
    /// Its clients.
    pub clients: ClientsState,
    /// Chunks: asked for, made, cached.
    pub chunks: ChunksState,
    /// What its packets carry.
    pub frames: Vec<FrameState>,
    /// What waits where.
    pub queues: Vec<QueueState>,
    /// Its sockets.
    pub sockets: Vec<SocketState>,
    /// What was dropped or refused and why, the most first; only what happened.
    pub drops: Vec<DropState>,
    /// Where its memory is, counted from capacities.
    pub memory: Vec<MemoryState>,
    /// Every counter, by part (tick, chunks, connection, udp, quic) and name.
    pub counters: BTreeMap<String, BTreeMap<String, u64>>,
    /// The flight recorder.
    pub recorder: RecorderState,
}

/// Who a server is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerState {
    /// Version of the program.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: f64,
    /// Ticks a second.
    pub tick_rate_hz: u32,
    /// What a tick may take.
    pub budget_us: u64,
    /// CPU time of its threads so far, seconds. Workers that make chunks are not among them.
    pub cpu_s: BTreeMap<String, f64>,
    /// Memory of its whole process as the system counts it; 0 where it cannot be told.
    #[serde(default)]
    pub resident_bytes: u64,
}

/// The figures of many values: what an average would hide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Values.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// One in ten is larger.
    pub p90: f64,
    /// One in a hundred is larger.
    pub p99: f64,
    /// One in a thousand is larger.
    pub p999: f64,
    /// One in ten thousand is larger.
    pub p9999: f64,
    /// The largest.
    pub max: f64,
}

/// Ticks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TicksState {
    /// Ticks run.
    pub run: u64,
    /// Those that took longer than the budget.
    pub overruns: u64,
    /// The longest run of overruns.
    pub overruns_in_a_row_max: u64,
    /// Those given up because the loop was too far behind.
    pub skipped: u64,
    /// Those that are not in the figures, because a reader kept the book for too long.
    pub unrecorded: u64,
    /// Microseconds since the last one began.
    pub last_began_us_ago: u64,
    /// Time of whole ticks since the start.
    pub time_us: Figures,
    /// How late they began.
    pub lateness_us: Figures,
    /// The phases in their order.
    pub phases: Vec<PhaseState>,
    /// The same of the last ten seconds, at most the last 600 ticks.
    pub recent_time_us: Figures,
    /// How late those began.
    pub recent_lateness_us: Figures,
    /// Of those, the ones that took longer than the budget.
    pub recent_overruns: u64,
    /// The last ticks, the oldest first.
    pub recent: Vec<RecentTick>,
}

/// A phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseState {
    /// Its name.
    pub name: String,
    /// Time since the start.
    pub time_us: Figures,
    /// Time in the last ticks.
    pub recent_us: Figures,
    /// Its share of the time of the last ticks, 0 to 1.
    pub recent_share: f64,
}

/// A tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecentTick {
    /// Ticks since the world began.
    pub number: u64,
    /// When it began, since the server's start.
    pub began_us: u64,
    /// How late.
    pub lateness_us: u64,
    /// What it took.
    pub total_us: f64,
    /// What each phase took, in their order.
    pub phases_us: Vec<f64>,
    /// Clients in it.
    pub clients: u32,
}

/// Clients.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientsState {
    /// Sessions, on whichever carrier.
    pub connected: u64,
    /// Those in the world.
    pub playing: u64,
    /// Those that miss a chunk of their ring.
    pub missing_chunks: u64,
    /// Round trips, each client about twice a second.
    pub round_trip_us: Figures,
    /// What a client takes of a tick: each is timed in one tick of 32.
    pub cost_us: Figures,
    /// Entities that a client is told of.
    pub interest_entities: Figures,
    /// Bytes of a client's last snapshot.
    pub snapshot_bytes: Figures,
    /// The dearest by [`ClientState::cost_us`].
    pub dearest: Vec<ClientState>,
}

/// A client, as it was in its last turn to be looked at (one tick of 32).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientState {
    /// What its token calls it.
    pub client_id: u64,
    /// Its slot.
    pub slot: u32,
    /// "udp" or "quic".
    pub carrier: String,
    /// "greeting", "spawning", "playing" or "leaving".
    pub stage: String,
    /// What it takes of a tick: the median of its last eight turns.
    pub cost_us: f64,
    /// The most that it took.
    pub cost_max_us: f64,
    /// Round trip of its path; absent before the first is known.
    pub rtt_us: Option<u64>,
    /// Packets lost of a thousand.
    pub loss_permille: u64,
    /// Bytes a second that it is paced at.
    pub rate_bytes_s: u64,
    /// Bytes that may be unacknowledged.
    pub window_bytes: u64,
    /// Bytes that are.
    pub in_flight_bytes: u64,
    /// Bytes a second from it of late, before sealing.
    pub bytes_in_s: u64,
    /// Bytes a second to it of late, before sealing.
    pub bytes_out_s: u64,
    /// Bytes from it in all.
    pub bytes_in: u64,
    /// Bytes to it in all.
    pub bytes_out: u64,
    /// Packets to it that were lost.
    pub packets_lost: u64,
    /// Entities that it is told of.
    pub entities: u32,
    /// Bytes of its last snapshot.
    pub snapshot_bytes: u32,
    /// Chunks of its ring that are not made yet.
    pub missing_chunks: u32,
    /// Chunks on their way to it.
    pub sendings: u32,
    /// Bytes of memory that are its own.
    pub memory_bytes: u64,
}

/// Chunks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChunksState {
    /// Wanted and waiting to be given to a worker.
    pub queued: u64,
    /// With the workers.
    pub making: u64,
    /// Ready, in a ring or cached.
    pub ready: u64,
    /// In some client's ring.
    pub pinned: u64,
    /// Bytes of the ready ones.
    pub cache_bytes: u64,
    /// Bytes above which those in nobody's ring are forgotten.
    pub cache_bytes_max: u64,
    /// How long the one that has been waited for longest is wanted.
    pub oldest_request_age_us: u64,
    /// Pins that found their chunk ready, of all, 0 to 1.
    pub hit_share: f64,
    /// Workers that do not hang.
    pub workers: u64,
    /// What one takes to make.
    pub generate_us: Figures,
    /// From being wanted to being ready.
    pub ready_us: Figures,
}

/// A type of frame, both ways.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FrameState {
    /// Its name; "header" is what packets have in front of their frames.
    pub name: String,
    /// Frames from clients.
    pub frames_in: u64,
    /// Bytes of those with their headers.
    pub bytes_in: u64,
    /// Frames to clients.
    pub frames_out: u64,
    /// Bytes of those with their headers.
    pub bytes_out: u64,
}

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueState {
    /// Its name.
    pub name: String,
    /// What waits.
    pub depth: u64,
    /// The most that ever waited.
    pub high_water: u64,
    /// The most that may.
    pub bound: u64,
}

/// A carrier's socket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SocketState {
    /// "udp" or "quic".
    pub carrier: String,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Bytes of those.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Calls that sent them.
    pub send_calls: u64,
    /// Datagrams that the kernel did not take.
    pub send_errors: u64,
    /// CPU time of the carrier's thread, seconds.
    pub cpu_s: f64,
}

/// Something that was dropped or refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DropState {
    /// Where: tick, chunks, connection, udp or quic.
    pub part: String,
    /// Why: the counter's name.
    pub cause: String,
    /// How many.
    pub count: u64,
}

/// Memory of a part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryState {
    /// Which part.
    pub part: String,
    /// Bytes.
    pub bytes: u64,
}

/// The flight recorder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecorderState {
    /// Whether there is one.
    pub present: bool,
    /// How often it was asked for a trace.
    pub asked: u64,
    /// Traces that it wrote.
    pub written: u64,
    /// The last one.
    pub last: Option<String>,
}
