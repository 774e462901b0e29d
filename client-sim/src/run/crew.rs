//! What the threads of a run share, and what each of them brings.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use ninefold::clock::{Monotonic, thread_cpu_ns};
use ninefold_client::ClientConfig;
use ninefold_client::protocol::connection::{ConnectToken, Fingerprint};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::ChunkCoord;

use super::board::{Board, end_of_second};
use super::mint::Minter;
use crate::player::{Counts, Seat, Tally};
use crate::scenario::{Behaviour, FaultKind, Part, Scenario};
use crate::swarm::Carrier;

/// Teleports that may wait for the main thread.
pub const ORDERS_MAX: usize = 4_096;

/// Ports of the generator's own sockets.
pub type Ports = Arc<Mutex<HashSet<u16>>>;

/// A player that is to be put elsewhere: its id and the chunk.
pub type Teleport = (u64, ChunkCoord);

/// Where the server is just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Over UDP.
    pub udp: SocketAddr,
    /// Over QUIC, and the certificate that is believed there.
    pub quic: Option<(SocketAddr, Fingerprint)>,
}

/// What all threads share.
#[derive(Debug)]
pub struct Shared {
    /// What is run.
    pub scenario: Scenario,
    /// The time.
    pub clock: Monotonic,
    /// When the run begins.
    pub origin: Instant,
    /// Ends all of it.
    pub stop: AtomicBool,
    /// The seconds.
    pub board: Board,
    /// Tokens.
    pub minter: Minter,
    /// Where the server is; it may be started again elsewhere.
    pub place: Mutex<Place>,
    /// Whom the clients of a group call instead, by carrier.
    pub dial: BTreeMap<(usize, bool), SocketAddr>,
    /// Where teleports are ordered.
    pub teleports: SyncSender<Teleport>,
    /// Ports of the generator's own sockets, for the audit.
    pub ports: Ports,
    /// Seconds since the Unix epoch at the clock's origin.
    pub unix_s_at_origin: u64,
    /// Chunks that each client keeps.
    pub cache_chunks: usize,
    /// When clients change their address: the group, or all.
    pub address_changes: Vec<(Instant, Option<usize>)>,
}

impl Shared {
    /// Whether all is to end at once.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Where the server is.
    pub fn place(&self) -> Place {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom a client calls.
    pub fn dial(&self, part: &Part) -> Option<SocketAddr> {
        let is_quic = part.carrier == Carrier::Quic;
        let place = self.place();
        let own = if is_quic { place.quic.map(|quic| quic.0) } else { Some(place.udp) };
        self.dial.get(&(part.group, is_quic)).copied().or(own)
    }

    /// A token for a session that begins now.
    pub fn token(&self, client_id: u64, dial: SocketAddr) -> io::Result<ConnectToken> {
        let now_s = self.unix_s_at_origin + self.clock.now().as_us() / 1_000_000;
        self.minter.token(client_id, self.place().udp, dial, now_s).map_err(io::Error::other)
    }

    /// What a client core is told.
    pub fn client_config(&self) -> ClientConfig {
        // Compiled trees: a load generator's cores are for load, and building recipes is the players' work.
        ClientConfig {
            cache_chunks_max: self.cache_chunks,
            recipes: false,
            ..ClientConfig::new(self.unix_s_at_origin)
        }
    }

    /// Whether a group's clients misbehave.
    pub fn is_hostile(&self, group: usize) -> bool {
        matches!(self.scenario.groups[group].behaviour, Behaviour::Hostile { .. })
    }

    /// Changes of address that a group's clients make after `seen` of all, by now; gives how many of all have come.
    pub fn address_changes(&self, group: usize, seen: usize, now: Instant) -> (usize, bool) {
        let come = self.address_changes.iter().take_while(|(at, _)| *at <= now).count();
        let new = self.address_changes.get(seen..come).unwrap_or_default();
        (come.max(seen), new.iter().any(|(_, of)| of.is_none_or(|of| of == group)))
    }

    /// Orders a player to be put elsewhere; says whether there was room.
    pub fn teleport(&self, order: Teleport) -> bool {
        self.teleports.try_send(order).is_ok()
    }

    /// Takes a socket's port down for the audit.
    pub fn own_port(&self, address: io::Result<SocketAddr>) {
        if let Ok(address) = address {
            self.ports.lock().unwrap_or_else(PoisonError::into_inner).insert(address.port());
        }
    }
}

/// Changes of address that the faults and the groups' own lines ask for: when, and whose.
pub fn address_changes(scenario: &Scenario, origin: Instant) -> Vec<(Instant, Option<usize>)> {
    let of_faults =
        scenario.faults.iter().filter(|fault| fault.kind == FaultKind::AddressChange).map(|fault| {
            let name = fault.group.as_ref();
            let group = name.and_then(|name| scenario.groups.iter().position(|g| g.name == *name));
            (origin + fault.at.0, group)
        });
    let of_lines = scenario.groups.iter().enumerate().flat_map(|(group, of)| {
        let path = of.link.path().into_iter();
        let changes_us = path.flat_map(|spec| &spec.path.up.path_changes_us);
        changes_us.map(move |at_us| (origin + Duration::from_us(*at_us), Some(group)))
    });
    let mut changes: Vec<_> = of_faults.chain(of_lines).collect();
    changes.sort_unstable();
    changes
}

/// The seats of one thread, and what it has measured.
#[derive(Debug)]
pub struct Crew {
    /// The clients.
    pub seats: Vec<Seat>,
    /// What is shared.
    pub shared: Arc<Shared>,
}

/// A thread's measures, and when they go to the board.
#[derive(Debug)]
pub struct Log {
    /// What it has measured.
    pub tally: Tally,
    second: u64,
    cpu_ns: u64,
    looked_at: Instant,
}

impl Log {
    /// Begins with the run.
    pub fn new(shared: &Shared) -> Log {
        let tally = Tally::new(shared.scenario.groups.len());
        Log { tally, second: 0, cpu_ns: thread_cpu_ns(), looked_at: shared.clock.now() }
    }

    /// When [`Log::turn`] has something to do.
    pub fn next_turn(&self, shared: &Shared) -> Instant {
        end_of_second(shared.origin, self.second)
    }

    /// Puts the seconds that have ended on the board.
    pub fn turn(&mut self, shared: &Shared, now: Instant) {
        if now >= self.next_turn(shared) {
            self.put(shared, now);
            self.second = now.since(shared.origin).as_us() / 1_000_000;
        }
    }

    /// Puts what is left on the board.
    pub fn put(&mut self, shared: &Shared, now: Instant) {
        let cpu_ns = thread_cpu_ns();
        let passed_us = now.since(self.looked_at).as_us().max(1);
        self.tally.second.cpu_permille = (cpu_ns - self.cpu_ns) / passed_us;
        self.tally.cpu_ns += cpu_ns - self.cpu_ns;
        (self.cpu_ns, self.looked_at) = (cpu_ns, now);
        shared.board.put(self.second, &self.tally.second);
        self.tally.second = Default::default();
    }

    /// A tick of a client that began so late.
    pub fn late(&mut self, due: Instant, now: Instant) {
        let us = now.since(due).as_us();
        self.tally.late.record(us);
        self.tally.second.late.record(us);
    }

    /// A count in a group.
    pub fn count(&mut self, group: usize, counts: Counts) {
        self.tally.count(group, &counts);
    }
}

/// How long a thread waits at most before it looks whether all is over.
pub const WAIT_MAX: Duration = Duration::from_ms(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_change_when_a_fault_or_the_groups_own_line_says_so() {
        let text = r#"
            name = "moves"
            about = "addresses change"
            seed = 1
            [[group]]
            name = "still"
            clients = 1
            behaviour = "idle"
            [[group]]
            name = "moving"
            clients = 1
            behaviour = "idle"
            link = { up = { path_changes_us = [1_500_000, 250_000] } }
            [[stage]]
            kind = "hold"
            seconds = 5
            [[fault]]
            at_s = 1
            kind = "address-change"
        "#;
        let scenario = Scenario::parse("moves.toml".as_ref(), text).unwrap();
        let origin = Instant::from_us(7_000_000);
        let changes: Vec<_> = (address_changes(&scenario, origin).into_iter())
            .map(|(at, group)| (at.since(origin).as_us(), group))
            .collect();
        assert_eq!(changes, [(250_000, Some(1)), (1_000_000, None), (1_500_000, Some(1))]);
    }
}
