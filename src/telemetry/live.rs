//! The few figures that can be watched while the server runs. Each has one writer.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use ninefold_protocol::link::congestion::FlowStats;

/// What can be watched.
#[derive(Debug, Default)]
pub struct Live {
    /// Clients.
    pub clients: AtomicU64,
    /// Ticks run.
    pub ticks: AtomicU64,
    /// Time of the last tick, nanoseconds.
    pub tick_ns: AtomicU64,
    /// Ticks that took longer than their period.
    pub overruns: AtomicU64,
    /// Chunks made.
    pub chunks_generated: AtomicU64,
    /// Chunks that clients acknowledged whole.
    pub chunks_delivered: AtomicU64,
    /// Datagrams received over UDP.
    pub datagrams_in: AtomicU64,
    /// Datagrams sent over UDP.
    pub datagrams_out: AtomicU64,
    /// Bytes of those.
    pub bytes_out: AtomicU64,
    /// Datagrams received over QUIC.
    pub quic_datagrams_in: AtomicU64,
    /// Datagrams sent over QUIC.
    pub quic_datagrams_out: AtomicU64,
    /// Bytes of those.
    pub quic_bytes_out: AtomicU64,
    /// Every client's line, once a second. The tick never waits for it: who reads too long misses a second.
    pub lines: Mutex<Vec<Line>>,
}

/// One client's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What its token calls the client.
    pub client_id: u64,
    /// Round trip, pace, window and loss, as the link has them: over QUIC its pace and window are the ceiling's.
    pub flow: FlowStats,
    /// Bytes sent and not yet acknowledged.
    pub in_flight_bytes: u64,
}
