//! Many clients on a few threads, over UDP, QUIC or both.
//!
//! A thread waits for its sockets and its clients' ticks; ticks are spread over the period so that a
//! thousand inputs do not leave in one burst. Nothing is shared between threads until they end.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use clap::ValueEnum;
use ninefold::clock::Monotonic;
use ninefold_client::protocol::connection::{ConnectToken, Fingerprint};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::ChunkCoord;
use ninefold_client::{ClientConfig, EndReason};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::capture::Capture;
use crate::report::Values;
use crate::{quic, udp};

/// After the end a client goes on for so long to get its goodbye out.
pub(crate) const GOODBYE: Duration = Duration::from_ms(50);

/// What the clients' packets ride on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// NETCODE 1.02 over UDP.
    #[default]
    Udp,
    /// QUIC datagrams.
    Quic,
    /// One half each.
    Mixed,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Carrier::Udp => "UDP",
            Carrier::Quic => "QUIC",
            Carrier::Mixed => "UDP and QUIC",
        })
    }
}

/// What the swarm is to do.
#[derive(Debug, Clone)]
pub struct SwarmPlan {
    /// What the clients use.
    pub carrier: Carrier,
    /// Where to.
    pub server: SocketAddr,
    /// Where to over QUIC, and the certificate that is believed there.
    pub quic: Option<(SocketAddr, Fingerprint)>,
    /// One token for each client.
    pub tokens: Vec<ConnectToken>,
    /// Threads to spread them over.
    pub threads: usize,
    /// From the first client's start to the last one's.
    pub ramp: Duration,
    /// Chooses the clients' ways.
    pub seed: u64,
    /// How fast they walk, 0 to 1 of full speed.
    pub pace: f64,
    /// Chunks that each keeps.
    pub cache_chunks_max: usize,
    /// Seconds since the Unix epoch at the clock's origin.
    pub unix_s_at_origin: u64,
    /// Where the datagrams of UDP clients are written to.
    pub capture: Option<Arc<Capture>>,
}

/// What one watches while it runs.
#[derive(Debug, Default)]
pub struct Live {
    /// Clients that can play.
    pub playable: AtomicU64,
    /// Clients that were lost.
    pub lost: AtomicU64,
    /// Moves over a chunk border.
    pub crossings: AtomicU64,
    /// Chunks received.
    pub chunks: AtomicU64,
}

/// What a swarm measured.
#[derive(Debug)]
pub struct Figures {
    /// From entering the ring to complete.
    pub chunk_complete: Values,
    /// From CHUNK_ENTER to a usable chunk.
    pub enter_usable: Values,
    /// From the first datagram to playable.
    pub join: Values,
    /// Sizes of the chunks that were received, each chunk once a thread.
    pub encoded_bytes: Values,
    /// Chunks received whole and right.
    pub chunks_delivered: u64,
    /// Chunks with a wrong content hash, or that were no chunk.
    pub chunks_hash_failed: u64,
    /// Chunks that the server could not make.
    pub chunks_unavailable: u64,
    /// Moves over a border.
    pub crossings: u64,
    /// Those into a chunk that was not there.
    pub crossings_without_chunk: u64,
    /// Client ticks spent in a chunk that was not there, after the client could first play.
    pub ticks_without_chunk: u64,
    /// Clients that never got in or lost their session.
    pub lost: Vec<(u64, EndReason)>,
    /// Datagrams that could not be sent.
    pub send_errors: u64,
    /// Content hash of every chunk that any client received.
    pub chunk_hashes: BTreeMap<ChunkCoord, u128>,
    /// Coordinates for which two clients received different chunks.
    pub chunks_contradicting: u64,
}

impl Default for Figures {
    fn default() -> Self {
        Figures {
            chunk_complete: Values::us_as_ms(),
            enter_usable: Values::us_as_ms(),
            join: Values::us_as_ms(),
            encoded_bytes: Values::plain(),
            chunks_delivered: 0,
            chunks_hash_failed: 0,
            chunks_unavailable: 0,
            crossings: 0,
            crossings_without_chunk: 0,
            ticks_without_chunk: 0,
            lost: Vec::new(),
            send_errors: 0,
            chunk_hashes: BTreeMap::new(),
            chunks_contradicting: 0,
        }
    }
}

impl Figures {
    fn merge(&mut self, other: Figures) {
        self.chunk_complete.merge(&other.chunk_complete);
        self.enter_usable.merge(&other.enter_usable);
        self.join.merge(&other.join);
        self.encoded_bytes.merge(&other.encoded_bytes);
        self.chunks_delivered += other.chunks_delivered;
        self.chunks_hash_failed += other.chunks_hash_failed;
        self.chunks_unavailable += other.chunks_unavailable;
        self.crossings += other.crossings;
        self.crossings_without_chunk += other.crossings_without_chunk;
        self.ticks_without_chunk += other.ticks_without_chunk;
        self.lost.extend(other.lost);
        self.send_errors += other.send_errors;
        self.chunks_contradicting += other.chunks_contradicting;
        for (coord, hash) in other.chunk_hashes {
            self.saw(coord, hash);
        }
    }

    /// Takes a chunk that was received; says whether it is the first at its place.
    pub(crate) fn saw(&mut self, coord: ChunkCoord, hash: u128) -> bool {
        let before = self.chunk_hashes.len();
        let first = *self.chunk_hashes.entry(coord).or_insert(hash);
        self.chunks_contradicting += u64::from(first != hash);
        self.chunk_hashes.len() > before
    }

    /// Hash over every chunk that any client received.
    pub fn world_hash(&self) -> String {
        let mut hasher = Xxh3::new();
        for (coord, hash) in &self.chunk_hashes {
            hasher.update(&coord.cx.to_le_bytes());
            hasher.update(&coord.cz.to_le_bytes());
            hasher.update(&hash.to_le_bytes());
        }
        format!("{:032x}", hasher.digest128())
    }
}

/// A running swarm.
#[derive(Debug)]
pub struct Swarm {
    threads: Vec<JoinHandle<io::Result<Figures>>>,
    stop: Arc<AtomicBool>,
    live: Arc<Live>,
}

impl Swarm {
    /// Starts the threads.
    pub fn start(plan: &SwarmPlan, clock: Monotonic) -> io::Result<Swarm> {
        let stop = Arc::new(AtomicBool::new(false));
        let live = Arc::new(Live::default());
        let mut threads = Vec::new();
        let plan = Arc::new(plan.clone());
        let count = plan.threads_needed();
        for thread in 0..count {
            let part = Part {
                indices: indices(plan.tokens.len(), thread, count),
                plan: Arc::clone(&plan),
                clock,
                stop: Arc::clone(&stop),
                live: Arc::clone(&live),
            };
            let body = match plan.carrier_of(thread) {
                Carrier::Quic => quic::run,
                _ => udp::run,
            };
            let body = move || body(part);
            threads.push(std::thread::Builder::new().name(format!("sim-{thread}")).spawn(body)?);
        }
        Ok(Swarm { threads, stop, live })
    }

    /// What one watches while it runs.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Lets every client say goodbye and gathers what they measured.
    pub fn stop(self) -> io::Result<Figures> {
        self.stop.store(true, Ordering::Relaxed);
        let mut figures = Figures::default();
        for thread in self.threads {
            let part = thread.join().map_err(|_| io::Error::other("a thread of the simulator panicked"))?;
            figures.merge(part?);
        }
        Ok(figures)
    }
}

impl SwarmPlan {
    /// As many as asked for, but an even number where half of them are for either carrier.
    fn threads_needed(&self) -> usize {
        let threads = self.threads.max(1);
        if self.carrier == Carrier::Mixed { threads.next_multiple_of(2) } else { threads }
    }

    fn carrier_of(&self, thread: usize) -> Carrier {
        match self.carrier {
            Carrier::Mixed if thread.is_multiple_of(2) => Carrier::Udp,
            Carrier::Mixed => Carrier::Quic,
            carrier => carrier,
        }
    }
}

/// The clients of one thread.
#[derive(Debug)]
pub(crate) struct Part {
    /// The whole plan.
    pub plan: Arc<SwarmPlan>,
    /// Which clients, in the order in which they start.
    pub indices: Vec<u64>,
    /// The time.
    pub clock: Monotonic,
    /// Whether it is over.
    pub stop: Arc<AtomicBool>,
    /// What one watches.
    pub live: Arc<Live>,
}

fn indices(clients: usize, thread: usize, threads: usize) -> Vec<u64> {
    (thread..clients).step_by(threads).map(|index| index as u64).collect()
}

impl Part {
    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What a client core is told.
    pub fn client_config(&self) -> ClientConfig {
        let SwarmPlan { cache_chunks_max, unix_s_at_origin, .. } = *self.plan;
        // Compiled trees: a load generator's cores are for load, and building recipes is the players' work.
        ClientConfig { cache_chunks_max, recipes: false, ..ClientConfig::new(unix_s_at_origin) }
    }

    /// When a client starts.
    pub fn start(&self, began: Instant, index: u64) -> Instant {
        began + self.plan.ramp.scaled(index, (self.plan.tokens.len() as u64).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(carrier: Carrier, threads: usize) -> SwarmPlan {
        SwarmPlan {
            carrier,
            server: SocketAddr::from(([127, 0, 0, 1], 1)),
            quic: None,
            tokens: Vec::new(),
            threads,
            ramp: Duration::ZERO,
            seed: 1,
            pace: 1.0,
            cache_chunks_max: 9,
            unix_s_at_origin: 0,
            capture: None,
        }
    }

    #[test]
    fn a_mixed_swarm_has_as_many_threads_for_either_carrier() {
        for (threads, needed) in [(0, 2), (1, 2), (2, 2), (3, 4)] {
            let plan = plan(Carrier::Mixed, threads);
            assert_eq!(plan.threads_needed(), needed);
            let quic = (0..needed).filter(|t| plan.carrier_of(*t) == Carrier::Quic).count();
            assert_eq!(quic, needed / 2);
        }
        assert_eq!(plan(Carrier::Quic, 3).threads_needed(), 3);
        assert_eq!(plan(Carrier::Quic, 3).carrier_of(1), Carrier::Quic);
    }
}
