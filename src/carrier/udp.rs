//! The UDP carrier: NETCODE 1.02 sessions on one port, with one thread or several.
//!
//! ```text
//!                      ┌─ socket ─ ninefold-udp    the way in, the roster, a share of the sessions
//!   clients ═ kernel ──┼─ socket ─ ninefold-udp-1  a share of the sessions
//!   one port           └─ ...                      (the first hands over who came in on their sockets: `handing`)
//! ```
//!
//! A thread ([`thread`]) opens what comes to its socket, hands packets to the tick, and seals and sends what the tick wrote
//! when it is due. The kernel chooses the socket by the hash of both addresses, so a client stays with its thread as long
//! as its address does. The first also keeps the [`roster`] of all carriers. What a thread does with datagrams, and when, is
//! its [`core`]'s, which knows no socket.

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "system calls that no safe interface has as we need them")]
mod batch;
mod branch;
#[cfg(target_os = "linux")]
mod control;
pub mod core;
mod front;
pub mod gathering;
mod handing;
pub mod mail;
mod office;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;
#[cfg(test)]
mod tests;
mod thread;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use ninefold_protocol::connection::{self, KEY_LEN, ServerConfig, Sessions};
use ninefold_protocol::time::Duration;

use self::branch::Branch;
use self::core::UdpCore;
use self::front::Front;
use self::handing::link;
use self::mail::Mail;
use self::thread::Thread;
use super::doorbell::Doorbell;
use super::roster::{self, Door};
use super::{CarrierEnd, Shard, socket};
use crate::clock::{Beat, Monotonic};
use crate::telemetry::Live;

/// Sockets that are bound and not served yet.
pub struct BoundUdp {
    mail: Mail,
    address: SocketAddr,
    buffer_bytes: usize,
    /// Those of further threads.
    beside: Vec<(Mail, ShardEnd)>,
}

/// What a further thread is given.
#[derive(Debug)]
pub struct ShardEnd {
    /// Its end of the lanes.
    pub end: CarrierEnd,
    /// Fresh random bytes, its alone.
    pub challenge_key: [u8; KEY_LEN],
    /// Fresh random bytes.
    pub hash_seed: [u8; KEY_LEN],
}

impl std::fmt::Debug for BoundUdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BoundUdp({})", self.address)
    }
}

/// What the threads are to know of their server.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// How many clients another carrier can have at once, on their way in included.
    pub guests_max: usize,
    /// The time.
    pub clock: Monotonic,
    /// When ticks are due.
    pub beat: Arc<Beat>,
    /// How far apart their looks at a busy socket are at most; zero: they look whenever something comes.
    pub gather: Duration,
    /// Where they show what they count.
    pub live: Arc<Live>,
}

/// A carrier that is served by its threads.
#[derive(Debug)]
pub struct RunningUdp {
    /// The first thread's, and those of the others.
    bells: Vec<Arc<Doorbell>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<UdpReport>>,
    door: Option<Door>,
}

/// What the carrier did.
#[derive(Debug, Clone, Copy, Default)]
pub struct UdpReport {
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Bytes of those.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Messages that held them: runs of equally long ones to one client are one.
    pub runs_out: u64,
    /// Calls that sent those.
    pub send_calls: u64,
    /// Datagrams that the kernel did not take.
    pub send_errors: u64,
    /// Packets dropped because the tick was behind.
    pub arrivals_dropped: u64,
    /// Packets for sessions that had ended.
    pub departures_stale: u64,
    /// Packets that were held until they were due.
    pub departures_held: u64,
    /// Held packets that left more than 2 ms after their time.
    pub departures_late: u64,
    /// Failed receive calls.
    pub receive_errors: u64,
    /// Datagrams handed to another thread.
    pub handed_on: u64,
    /// Datagrams that another thread had no room for.
    pub handings_dropped: u64,
    /// What the connection layer counted.
    pub connection: connection::Counters,
    /// CPU time of the threads, nanoseconds.
    pub cpu_ns: u64,
}

impl UdpReport {
    /// Every count of the carrier itself with its name.
    pub fn each(&self) -> [(&'static str, u64); 14] {
        [
            ("datagrams_in", self.datagrams_in),
            ("bytes_in", self.bytes_in),
            ("datagrams_out", self.datagrams_out),
            ("bytes_out", self.bytes_out),
            ("runs_out", self.runs_out),
            ("send_calls", self.send_calls),
            ("send_errors", self.send_errors),
            ("arrivals_dropped", self.arrivals_dropped),
            ("departures_stale", self.departures_stale),
            ("departures_held", self.departures_held),
            ("departures_late", self.departures_late),
            ("receive_errors", self.receive_errors),
            ("handed_on", self.handed_on),
            ("handings_dropped", self.handings_dropped),
        ]
    }
}

impl std::ops::AddAssign for UdpReport {
    fn add_assign(&mut self, other: Self) {
        let UdpReport {
            datagrams_in,
            bytes_in,
            datagrams_out,
            bytes_out,
            runs_out,
            send_calls,
            send_errors,
            arrivals_dropped,
            departures_stale,
            departures_held,
            departures_late,
            receive_errors,
            handed_on,
            handings_dropped,
            connection,
            cpu_ns,
        } = other;
        self.datagrams_in += datagrams_in;
        self.bytes_in += bytes_in;
        self.datagrams_out += datagrams_out;
        self.bytes_out += bytes_out;
        self.runs_out += runs_out;
        self.send_calls += send_calls;
        self.send_errors += send_errors;
        self.arrivals_dropped += arrivals_dropped;
        self.departures_stale += departures_stale;
        self.departures_held += departures_held;
        self.departures_late += departures_late;
        self.receive_errors += receive_errors;
        self.handed_on += handed_on;
        self.handings_dropped += handings_dropped;
        self.connection += connection;
        self.cpu_ns += cpu_ns;
    }
}

impl BoundUdp {
    /// Binds `listen` and asks the kernel for buffers of `buffer_bytes` each way. What it gave is logged,
    /// with the remedy where that is less.
    pub fn bind(listen: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let socket = socket::bind(listen, buffer_bytes)?;
        let address = socket.local_addr()?;
        Ok(BoundUdp { mail: Mail::new(socket)?, address, buffer_bytes, beside: Vec::new() })
    }

    /// Binds another socket to the same port, for one more thread. The first socket was bound alone: whoever has the port
    /// already is found out, even if it shares.
    pub fn add_thread(&mut self, end: ShardEnd) -> io::Result<()> {
        if self.beside.is_empty() {
            socket::share_port(self.mail.socket())?;
        }
        let socket = socket::bind_beside(self.address, self.buffer_bytes)?;
        self.beside.push((Mail::new(socket)?, end));
        Ok(())
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves each socket on a thread of its own.
    pub fn serve(
        self,
        config: ServerConfig,
        end: CarrierEnd,
        surroundings: Surroundings,
    ) -> io::Result<RunningUdp> {
        let bells = (0..=self.beside.len()).map(|_| Ok(Arc::new(Doorbell::new()?)));
        let bells = bells.collect::<io::Result<Vec<_>>>()?;
        let (door, desk) = roster::open(surroundings.guests_max, Arc::clone(&bells[0]));
        let stop = Arc::new(AtomicBool::new(false));
        let now = surroundings.clock.now();
        let mut front = Front::new(config.clone(), now);
        front.open(desk);
        let mut branches = Vec::new();
        for (shard, (mail, end)) in (1..).map(Shard).zip(self.beside) {
            let ShardEnd { end, challenge_key, hash_seed } = end;
            let (to_branch, to_first) = link();
            front.add_branch(to_branch);
            let sessions = Sessions::new(&config, challenge_key, hash_seed);
            branches.push((shard, mail, UdpCore::of(Branch::new(shard, sessions, to_first), end)));
        }
        let start = |shard| Thread::of(shard, &bells, &surroundings, &stop);
        let mut threads = vec![start(Shard::FIRST).spawn(self.mail, UdpCore::of(front, end))?];
        for (shard, mail, core) in branches {
            threads.push(start(shard).spawn(mail, core)?);
        }
        Ok(RunningUdp { bells, stop, threads, door: Some(door) })
    }
}

impl RunningUdp {
    /// Rings the first thread after departures were written.
    pub fn doorbell(&self) -> Arc<Doorbell> {
        Arc::clone(&self.bells[0])
    }

    /// Those of all threads.
    pub fn doorbells(&self) -> Vec<Arc<Doorbell>> {
        self.bells.clone()
    }

    /// Where another carrier asks for its clients to be let in. There is one.
    pub fn take_door(&mut self) -> Option<Door> {
        self.door.take()
    }

    /// Whether a thread has ended.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Sends what was written, says goodbye to every client and ends the threads; what all of them did.
    pub fn stop(self) -> std::thread::Result<UdpReport> {
        self.stop.store(true, Ordering::Relaxed);
        self.bells.iter().for_each(|bell| bell.ring());
        let mut report = UdpReport::default();
        // All are waited for, also if one has panicked.
        let ended: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        for of_thread in ended {
            report += of_thread?;
        }
        Ok(report)
    }
}
