//! What follows from the keys: the parts' own limits, and contradictions between keys.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use ninefold_protocol::connection::HandshakeLimits;
use ninefold_protocol::link::congestion::CongestionConfig;
use ninefold_protocol::time::Duration;
use tracing_subscriber::EnvFilter;

use super::keys::Config;
use crate::carrier::quic::GateConfig;
use crate::chunk::ChunkLimits;
use crate::rules::Rules;

/// Server addresses that a connect token can name (NETCODE 1.02).
const PUBLIC_ADDRS_MAX: usize = 32;

impl Config {
    /// Threads that make chunks: as configured, or one fewer than there are cores.
    pub fn workers(&self) -> usize {
        match self.generate_workers {
            0 => (available_parallelism().map_or(1, NonZeroUsize::get) - 1).max(1),
            workers => workers as usize,
        }
    }

    /// The bounds of the chunk service.
    pub fn chunk_limits(&self) -> ChunkLimits {
        ChunkLimits {
            making_max: self.making_max as usize,
            queued_max: self.queued_max as usize,
            attempts_max: self.generate_attempts,
            generate_deadline: Duration::from_ms(self.generate_deadline_ms.into()),
            cache_bytes_max: self.cache_bytes_max,
        }
    }

    /// What the operator says of the way in.
    pub fn handshake_limits(&self) -> HandshakeLimits {
        HandshakeLimits {
            requests_per_network_s: self.requests_per_network_s,
            token_lifetime_s: self.token_lifetime_s.into(),
        }
    }

    /// How many QUIC connections are attended to.
    pub fn quic_gate(&self) -> GateConfig {
        GateConfig {
            handshakes_max: self.quic_handshakes_max as usize,
            begins_per_network_s: self.requests_per_network_s,
        }
    }

    /// The numbers that the tick goes by. `world_id` is its generator's.
    pub fn rules(&self, world_id: u64) -> Rules {
        Rules {
            tick_rate_hz: self.tick_rate_hz,
            world_id,
            walk_speed_units_s: self.walk_speed_units_s,
            snapshot_every_ticks: self.snapshot_every_ticks,
            snapshot_bytes_max: self.snapshot_bytes_max as usize,
            spawn_radius_chunks: self.spawn_radius_chunks,
            active_fragments_per_tick: self.active_fragments_per_tick as usize,
            neighbour_fragments_per_tick: self.neighbour_fragments_per_tick as usize,
            in_flight_bytes_max: self.in_flight_bytes_max as usize,
            congestion: CongestionConfig {
                mode: self.congestion_control,
                rate_min_bytes_s: self.client_rate_min_bytes_s,
                rate_max_bytes_s: self.client_rate_max_bytes_s,
            },
            known_chunks_max: self.client_cache_chunks_max as usize,
            take_in_chunks_per_tick: self.take_in_chunks_per_tick as usize,
            take_in_time_per_tick: Duration::from_us(self.take_in_us_per_tick.into()),
            tick_threads: self.tick_threads as usize,
        }
    }

    /// The filter that `log` means.
    pub fn log_filter(&self) -> Option<EnvFilter> {
        // A bare word that is no level would be taken for the name of a part, and log nothing else.
        let is_level = |word: &str| {
            ["off", "error", "warn", "info", "debug", "trace"].iter().any(|l| word.eq_ignore_ascii_case(l))
        };
        let is_clear = |part: &str| match part.split_once('=') {
            Some((name, level)) => !name.is_empty() && is_level(level),
            None => is_level(part),
        };
        let is_clear = self.log.split(',').map(str::trim).all(is_clear);
        if is_clear { EnvFilter::try_new(&self.log).ok() } else { None }
    }

    fn quic_contradiction(&self) -> Option<(&'static str, String)> {
        let fault = |key, why: &str| Some((key, why.to_owned()));
        let has = |path: &PathBuf| !path.as_os_str().is_empty();
        if has(&self.quic_certificate_file) != has(&self.quic_key_file) {
            return fault("quic_certificate_file", "a certificate goes with its key; set quic_key_file, too");
        }
        let listen = self.quic_listen?;
        if listen.ip().is_loopback() {
            return None;
        }
        if !has(&self.private_key_file) {
            return fault(
                "quic_listen",
                "not a loopback address, and without a key anybody could connect with the published \
                 development key; set private_key_file or listen on 127.0.0.1",
            );
        }
        if !has(&self.quic_certificate_file) {
            return fault(
                "quic_listen",
                "not a loopback address, and no client could trust a certificate made for development; set \
                 quic_certificate_file and quic_key_file",
            );
        }
        if listen.ip().is_unspecified() && self.public_addrs.is_empty() {
            return fault(
                "quic_listen",
                "clients cannot connect to this address; set public_addrs to theirs",
            );
        }
        None
    }

    /// A key whose value does not go with itself or another's, and what to do about it.
    pub(super) fn contradiction(&self) -> Option<(&'static str, String)> {
        let has_key = !self.private_key_file.as_os_str().is_empty();
        let fault = |key, why: &str| Some((key, why.to_owned()));
        if !has_key && !self.listen.ip().is_loopback() {
            return fault(
                "listen",
                "not a loopback address, and without a key anybody could connect with the published \
                 development key; set private_key_file or listen on 127.0.0.1",
            );
        }
        if let Some(fault) = self.quic_contradiction() {
            return Some(fault);
        }
        if self.listen.ip().is_unspecified() && self.public_addrs.is_empty() {
            return fault("listen", "clients cannot connect to this address; set public_addrs to theirs");
        }
        if self.public_addrs.len() > PUBLIC_ADDRS_MAX {
            return Some(("public_addrs", format!("a connect token names {PUBLIC_ADDRS_MAX} at most")));
        }
        if self.public_addrs.iter().any(|address| address.port() == 0) {
            return fault("public_addrs", "port 0 cannot be connected to; name the real port");
        }
        if self.public_addrs.iter().any(|address| address.ip().is_unspecified()) {
            return fault("public_addrs", "an address that means every address cannot be connected to");
        }
        if self.client_rate_min_bytes_s > self.client_rate_max_bytes_s {
            return fault("client_rate_min_bytes_s", "above client_rate_max_bytes_s; lower it or raise that");
        }
        if self.log_filter().is_none() {
            return fault("log", "use off, error, warn, info, debug or trace, or part=level for some parts");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_workers_means_one_fewer_than_cores_and_at_least_one() {
        assert!(Config::default().workers() >= 1);
        assert_eq!(Config { generate_workers: 7, ..Config::default() }.workers(), 7);
    }

    #[test]
    fn a_floor_above_the_ceiling_is_a_contradiction() {
        let config =
            Config { client_rate_min_bytes_s: 50_000, client_rate_max_bytes_s: 40_000, ..Config::default() };
        assert_eq!(config.contradiction().map(|c| c.0), Some("client_rate_min_bytes_s"));
        let config = Config { client_rate_max_bytes_s: 50_000, ..config };
        assert_eq!(config.contradiction(), None);
    }
}
