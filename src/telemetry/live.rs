//! The few figures that can be watched while the server runs. Each has one writer.

use std::sync::atomic::AtomicU64;

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
}
