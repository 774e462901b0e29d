//! What a server has to say when it ends.

use std::fmt;

use crate::carrier::quic::QuicReport;
use crate::carrier::udp::UdpReport;
use crate::chunk::ChunkCounters;
use crate::telemetry::{Counters, Histogram, Phase, TickTelemetry};

/// What the tick's thread did.
#[derive(Debug, Clone)]
pub struct TickReport {
    /// Times of ticks and phases.
    pub telemetry: TickTelemetry,
    /// Ticks that were given up because the loop was too far behind.
    pub ticks_skipped: u64,
    /// What happened to clients' packets and chunks.
    pub counters: Counters,
    /// What happened to chunks.
    pub chunks: ChunkCounters,
    /// Time to make and encode a chunk.
    pub generate: Histogram,
    /// Clients at the end.
    pub clients: usize,
    /// Chunks that were in some client's ring at the end.
    pub chunks_pinned: usize,
    /// Ticks since the world began.
    pub world_ticks: u64,
    /// Sum over all ticks of the clients in them.
    pub client_ticks: u64,
    /// CPU time of the thread, nanoseconds.
    pub cpu_ns: u64,
    /// CPU time of the workers, nanoseconds.
    pub workers_cpu_ns: u64,
}

/// What the whole server did.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The tick.
    pub tick: TickReport,
    /// The UDP carrier.
    pub udp: UdpReport,
    /// The QUIC carrier, where there is one.
    pub quic: Option<QuicReport>,
}

impl Summary {
    /// CPU time of the carriers' threads, nanoseconds.
    pub fn carriers_cpu_ns(&self) -> u64 {
        self.udp.cpu_ns + self.quic.map_or(0, |quic| quic.cpu_ns)
    }

    /// Datagrams received, sent, and the bytes of the latter, over all carriers.
    pub fn datagrams(&self) -> (u64, u64, u64) {
        let quic = self.quic.unwrap_or_default();
        (
            self.udp.datagrams_in + quic.datagrams_in,
            self.udp.datagrams_out + quic.datagrams_out,
            self.udp.bytes_out + quic.bytes_out,
        )
    }

    /// CPU time of the carriers' threads per client and tick, microseconds.
    pub fn carriers_cpu_us_per_client_tick(&self) -> f64 {
        self.carriers_cpu_ns() as f64 / 1_000.0 / self.tick.client_ticks.max(1) as f64
    }

    /// CPU time of all threads per client and tick, microseconds.
    pub fn cpu_us_per_client_tick(&self) -> f64 {
        let ns = self.tick.cpu_ns + self.tick.workers_cpu_ns + self.carriers_cpu_ns();
        ns as f64 / 1_000.0 / self.tick.client_ticks.max(1) as f64
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TickReport { telemetry, counters, chunks, generate, ticks_skipped, .. } = &self.tick;
        writeln!(f, "{} ticks, {} overruns, {ticks_skipped} skipped", telemetry.ticks, telemetry.overruns)?;
        writeln!(f, "  {:<12}{}", "tick", telemetry.tick.percentiles())?;
        for (phase, histogram) in Phase::ALL.iter().zip(&telemetry.phases) {
            writeln!(f, "    {:<10}{}", phase.name(), histogram.percentiles())?;
        }
        writeln!(f, "  {:<12}{}", "starts late", telemetry.lateness.percentiles())?;
        writeln!(f, "  {:<12}{}", "round trip", telemetry.round_trip.percentiles())?;
        writeln!(f, "  {:<12}{}", "generate", generate.percentiles())?;
        write!(
            f,
            "{} clients came, {} chunks made, {} delivered, {} datagrams out, {} in",
            counters.clients_connected,
            chunks.made,
            counters.chunks_delivered,
            self.datagrams().1,
            self.datagrams().0,
        )?;
        // What was refused, dropped or tried again is told only where it happened.
        let part = |part: &'static str| move |(name, n): (&'static str, u64)| (part, name, n);
        let all = (counters.each().map(part("tick")))
            .chain(chunks.each().into_iter().map(part("chunks")))
            .chain(self.udp.each().into_iter().map(part("udp")))
            .chain(self.quic.iter().flat_map(QuicReport::each).map(part("quic")))
            .chain(self.udp.connection.each().map(part("connection")));
        for (part, name, n) in all.filter(|c| c.2 > 0) {
            write!(f, "\n  {part}.{name} {n}")?;
        }
        Ok(())
    }
}
