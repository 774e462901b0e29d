//! Every counter of the server by part, and which of them tell of something dropped or refused.

use crate::carrier::quic::QuicReport;
use crate::chunk::ChunkCounters;

use super::counters::Counters;
use super::live::UdpShown;

/// A part of the server that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The tick.
    Tick,
    /// The chunk service.
    Chunks,
    /// The way in and the sessions over UDP; the roster of all carriers.
    Connection,
    /// The UDP carrier.
    Udp,
    /// The QUIC carrier.
    Quic,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 5] = [Part::Tick, Part::Chunks, Part::Connection, Part::Udp, Part::Quic];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Tick => "tick",
            Part::Chunks => "chunks",
            Part::Connection => "connection",
            Part::Udp => "udp",
            Part::Quic => "quic",
        }
    }

    /// Whether a counter tells of something that was lost, refused, late or given up.
    pub fn is_drop(self, name: &str) -> bool {
        self.drops().contains(&name)
    }

    fn drops(self) -> &'static [&'static str] {
        match self {
            Part::Tick => &TICK,
            Part::Chunks => &CHUNKS,
            Part::Connection => &CONNECTION,
            Part::Udp => &UDP,
            Part::Quic => &QUIC,
        }
    }
}

const TICK: [&str; 17] = [
    "clients_refused",
    "clients_unresponsive",
    "clients_flooding",
    "packets_duplicate",
    "packets_refused",
    "packets_over_limit",
    "arrivals_stale",
    "frames_refused",
    "frames_unknown",
    "inputs_missing",
    "inputs_ahead",
    "changes_left_out",
    "events_dropped",
    "happenings_dropped",
    "chunk_requests_refused",
    "chunks_unavailable",
    "egress_skipped",
];

const CHUNKS: [&str; 8] = [
    "stale",
    "failed",
    "panics",
    "deadline",
    "wrong_size",
    "without_worker",
    "dropped_unwanted",
    "queue_full",
];

const CONNECTION: [&str; 31] = [
    "timed_out",
    "replaced",
    "paths_refused",
    "paths_over_limit",
    "denied",
    "handshakes_expired",
    "malformed",
    "from_nobody",
    "unexpected",
    "replayed",
    "forged",
    "packets_over_limit",
    "request_protocol",
    "request_expired",
    "request_before_start",
    "request_used_token",
    "request_forged",
    "request_malformed_token",
    "already_connected",
    "request_other_server",
    "request_over_limit",
    "request_network_over_limit",
    "response_forged",
    "response_over_limit",
    "handshakes_over_limit",
    "handshakes_network_over_limit",
    "handshakes_token_over_limit",
    "used_tokens_over_limit",
    "answers_over_limit",
    "farewells_over_limit",
    "events_over_limit",
];

const UDP: [&str; 6] = [
    "send_errors",
    "arrivals_dropped",
    "departures_stale",
    "departures_late",
    "receive_errors",
    "handings_dropped",
];

const QUIC: [&str; 16] = [
    "handshakes_over_limit",
    "handshakes_over_rate",
    "handshakes_network_over_rate",
    "handshakes_failed",
    "tokens_not_shown",
    "tokens_refused",
    "no_datagrams",
    "narrow_paths",
    "timed_out",
    "broke_the_rules",
    "packets_refused",
    "arrivals_dropped",
    "departures_stale",
    "packets_too_large",
    "send_buffer_overflows",
    "quic_packets_lost",
];

/// Every counter: part, name, count.
pub fn counters(
    tick: &Counters,
    chunks: &ChunkCounters,
    udp: &UdpShown,
    quic: Option<&QuicReport>,
) -> Vec<(Part, &'static str, u64)> {
    let of = |part: Part| move |(name, count): (&'static str, u64)| (part, name, count);
    (tick.each().map(of(Part::Tick)))
        .chain(chunks.each().map(of(Part::Chunks)))
        .chain(udp.report.connection.each().map(of(Part::Connection)))
        .chain(udp.report.each().map(of(Part::Udp)))
        .chain(quic.into_iter().flat_map(QuicReport::each).map(of(Part::Quic)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drop_is_a_counter_and_every_refusal_a_drop() {
        let quic = QuicReport::default();
        let all =
            counters(&Counters::default(), &ChunkCounters::default(), &UdpShown::default(), Some(&quic));
        for part in Part::ALL {
            let has = |name: &str| all.iter().any(|(of, counter, _)| *of == part && *counter == name);
            let unknown: Vec<_> = part.drops().iter().filter(|name| !has(name)).collect();
            assert!(unknown.is_empty(), "{part:?} has no counters {unknown:?}");
        }
        for (part, name, _) in all {
            let sounds = ["refused", "dropped", "over_limit", "_late", "forged", "errors", "stale"];
            let sounds = sounds.iter().any(|word| name.contains(word)) && name != "inputs_late";
            assert!(!sounds || part.is_drop(name), "{}.{name} is no drop?", part.name());
        }
    }
}
