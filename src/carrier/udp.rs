//! The UDP carrier: one socket, one thread, NETCODE 1.02 sessions.
//!
//! The thread waits for datagrams, the tick's doorbell or the next timer. It opens what comes, hands
//! packets to the tick, seals what the tick wrote when it is due, and sends runs of equally long datagrams to one client
//! as one message (GSO) where the kernel can, many messages with one call ([`mail`]). Where much comes it lets datagrams
//! gather between ticks ([`gathering`]). It also keeps the [`roster`] of all carriers. What it does with datagrams,
//! and when, is its [`core`]'s, which knows no socket.

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "system calls that no safe interface has as we need them")]
mod batch;
pub mod core;
pub mod gathering;
pub mod mail;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use ninefold_protocol::connection::{self, DisconnectReason, ServerConfig};
use ninefold_protocol::time::{Duration, Instant};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::core::{UdpCore, WAITING_MAX};
use self::gathering::Gathering;
use self::mail::Mail;
use super::doorbell::Doorbell;
use super::held::HELD_MAX;
use super::roster::{self, Ask, Desk, Door, Entry, Order};
use super::{CarrierEnd, socket};
use crate::clock::{Beat, Monotonic, wake_on_time};
use crate::telemetry::{CARRIER_SHOWN_EVERY, Live, Mark, UdpShown};

/// Receive calls before departures get their turn.
const RECEIVE_CALLS_MAX: usize = 16;
/// Datagrams after which departures get their turn, however many more have come: what a flood can delay
/// others by is this many refusals and one batch.
const ARRIVALS_PER_TURN_MAX: usize = 1_024;
/// Orders of other carriers before anything else gets its turn.
const ORDERS_PER_TURN_MAX: usize = 256;
/// The thread looks at its timers at least this often.
const WAIT_MAX: Duration = Duration::from_ms(100);
/// So long the socket is left alone where it could not be read, or where what comes finds no room.
const PAUSE: Duration = Duration::from_ms(1);

/// A socket that is bound and not served yet.
pub struct BoundUdp {
    mail: Mail,
    address: SocketAddr,
}

impl std::fmt::Debug for BoundUdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BoundUdp({})", self.address)
    }
}

/// What the thread is to know of its server.
#[derive(Debug)]
pub struct Surroundings {
    /// How many clients another carrier can have at once, on their way in included.
    pub guests_max: usize,
    /// The time.
    pub clock: Monotonic,
    /// When ticks are due.
    pub beat: Arc<Beat>,
    /// How far apart its looks at a busy socket are at most; zero: it looks whenever something comes.
    pub gather: Duration,
    /// Where it shows what it counts.
    pub live: Arc<Live>,
}

/// A carrier that is served by its thread.
#[derive(Debug)]
pub struct RunningUdp {
    doorbell: Arc<Doorbell>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<UdpReport>,
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
    /// What the connection layer counted.
    pub connection: connection::Counters,
    /// CPU time of the thread, nanoseconds.
    pub cpu_ns: u64,
}

impl UdpReport {
    /// Every count of the carrier itself with its name.
    pub fn each(&self) -> [(&'static str, u64); 12] {
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
        ]
    }
}

impl BoundUdp {
    /// Binds `listen` and asks the kernel for buffers of `buffer_bytes` each way. What it gave is logged,
    /// with the remedy where that is less.
    pub fn bind(listen: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let socket = socket::bind(listen, buffer_bytes)?;
        let address = socket.local_addr()?;
        Ok(BoundUdp { mail: Mail::new(socket)?, address })
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the socket on a thread of its own.
    pub fn serve(
        self,
        config: ServerConfig,
        end: CarrierEnd,
        surroundings: Surroundings,
    ) -> io::Result<RunningUdp> {
        let Surroundings { guests_max, clock, beat, gather, live } = surroundings;
        let doorbell = Arc::new(Doorbell::new()?);
        let stop = Arc::new(AtomicBool::new(false));
        let (door, desk) = roster::open(guests_max, Arc::clone(&doorbell));
        let mut udp = Udp {
            mail: self.mail,
            core: UdpCore::new(config, end, clock.now()),
            gathering: Gathering::new(gather),
            beat,
            doorbell: Arc::clone(&doorbell),
            desk,
            live,
            shown_at: Instant::ZERO,
            held_mark: Mark::default(),
            comings_mark: Mark::default(),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("ninefold-udp".into())
            .spawn(move || udp.run(clock, &stopped))?;
        Ok(RunningUdp { doorbell, stop, thread, door: Some(door) })
    }
}

impl RunningUdp {
    /// Rings the thread after departures were written.
    pub fn doorbell(&self) -> Arc<Doorbell> {
        Arc::clone(&self.doorbell)
    }

    /// Where another carrier asks for its clients to be let in. There is one.
    pub fn take_door(&mut self) -> Option<Door> {
        self.door.take()
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Sends what was written, says goodbye to every client and ends the thread.
    pub fn stop(self) -> std::thread::Result<UdpReport> {
        self.stop.store(true, Ordering::Relaxed);
        self.doorbell.ring();
        self.thread.join()
    }
}

/// The thread's state.
struct Udp {
    mail: Mail,
    core: UdpCore,
    gathering: Gathering,
    beat: Arc<Beat>,
    doorbell: Arc<Doorbell>,
    /// Where other carriers ask.
    desk: Desk,
    live: Arc<Live>,
    /// When it last showed what it has counted.
    shown_at: Instant,
    held_mark: Mark,
    comings_mark: Mark,
}

/// What came of reading the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// Nothing more waits there.
    All,
    /// There may be more.
    Some,
    /// It was not, or could not be, read.
    Failed,
}

impl Udp {
    fn run(&mut self, clock: Monotonic, stop: &AtomicBool) -> UdpReport {
        wake_on_time();
        let mut read = Read::All;
        let mut more = false;
        while !stop.load(Ordering::Relaxed) && !self.core.is_abandoned() {
            if let Err(error) = self.wait(clock.now(), read, more) {
                tracing::error!(%error, "waiting for the socket failed; the carrier ends");
                break;
            }
            read = if self.core.has_room() { self.receive(&clock) } else { Read::Failed };
            let now = clock.now();
            more = self.core.has_room() && self.serve_orders(now);
            more |= self.core.depart(now, &mut self.mail);
            self.core.handle_timeout(now);
            self.evict();
            self.core.flush(now, &mut self.mail);
            self.publish(now);
        }
        self.core.say_goodbye(clock.now(), &mut self.mail);
        self.publish(clock.now() + CARRIER_SHOWN_EVERY);
        UdpReport { cpu_ns: crate::clock::thread_cpu_ns(), ..self.core.report() }
    }

    /// Waits for the doorbell, the next timer and, unless datagrams are left to gather, the socket.
    fn wait(&self, now: Instant, read: Read, more: bool) -> io::Result<()> {
        let look_at = match read {
            Read::Failed => Some(now + PAUSE),
            Read::All | Read::Some => self.gathering.next_look(now, self.beat.next()),
        };
        let until = self.core.next_deadline().min(look_at.unwrap_or(now + WAIT_MAX));
        let is_urgent = more || read == Read::Some;
        let wait = if is_urgent { Duration::ZERO } else { until.since(now).min(WAIT_MAX) };
        let doorbell = PollFd::from_borrowed_fd(self.doorbell.as_fd(), PollFlags::IN);
        let socket = PollFd::new(self.mail.socket(), PollFlags::IN);
        let listened = if look_at.is_none() { 2 } else { 1 };
        let mut waited_for = [doorbell, socket];
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.as_us() as i64 * 1_000 };
        match poll(&mut waited_for[..listened], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if waited_for[0].revents().contains(PollFlags::IN) {
            self.doorbell.answer();
        }
        Ok(())
    }

    /// Takes what came.
    fn receive(&mut self, clock: &Monotonic) -> Read {
        let mut received = 0;
        let mut read = Read::Some;
        for _ in 0..RECEIVE_CALLS_MAX {
            let Ok(count) = self.mail.receive() else {
                self.core.report_mut().receive_errors += 1;
                read = Read::Failed;
                break;
            };
            let now = clock.now();
            for came in self.mail.came(count) {
                let at = Instant::from_us(now.as_us().saturating_sub(came.waited.as_us()));
                self.core.handle(now, at, came.from, came.bytes);
            }
            if count > 0 {
                self.core.flush(now, &mut self.mail);
            }
            received += count;
            if count < Mail::RECEIVED_MAX {
                read = Read::All;
                break;
            }
            if received >= ARRIVALS_PER_TURN_MAX {
                break;
            }
        }
        self.gathering.note(clock.now(), received);
        read
    }

    /// Does what other carriers ask; says whether there may be more.
    fn serve_orders(&mut self, now: Instant) -> bool {
        for _ in 0..ORDERS_PER_TURN_MAX {
            let Ok(order) = self.desk.orders.try_recv() else { return false };
            match order {
                Order::Admit(ask) => self.admit(now, ask),
                Order::Release(connection, reason) => self.core.release(connection, reason),
            }
        }
        true
    }

    fn admit(&mut self, now: Instant, ask: Ask) {
        let Ask { from, mut shown, answer } = ask;
        let entry = self.core.admit(now, from, &mut shown);
        if let Err(Ok(Entry { connection, .. })) = answer.send(entry) {
            self.core.release(connection, DisconnectReason::ByPeer);
        }
    }

    /// Tells the other carrier who has to make way.
    fn evict(&mut self) {
        while let Some(connection) = self.core.poll_evicted() {
            self.desk.evict(connection);
        }
    }

    fn publish(&mut self, now: Instant) {
        let (held, comings) = self.core.waiting();
        self.held_mark.note(held, HELD_MAX);
        self.comings_mark.note(comings, WAITING_MAX);
        let UdpReport { datagrams_in, datagrams_out, bytes_out, .. } = *self.core.counts();
        self.live.datagrams_in.store(datagrams_in, Ordering::Relaxed);
        self.live.datagrams_out.store(datagrams_out, Ordering::Relaxed);
        self.live.bytes_out.store(bytes_out, Ordering::Relaxed);
        if now.since(self.shown_at) >= CARRIER_SHOWN_EVERY {
            self.shown_at = now;
            let report = UdpReport { cpu_ns: crate::clock::thread_cpu_ns(), ..self.core.report() };
            let shown = UdpShown { report, held: self.held_mark, comings: self.comings_mark };
            self.live.udp.show(now, shown);
        }
    }
}
