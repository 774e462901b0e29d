//! A thread of the carrier: it waits, reads its socket, and drives its core.
//!
//! It waits for datagrams, the doorbell of the tick or of another thread, or the next timer. Runs of equally long datagrams to
//! one client leave as one message (GSO) where the kernel can, many messages with one call ([`super::mail`]). Where much
//! comes it lets datagrams gather between ticks ([`super::gathering`]).

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use ninefold_protocol::time::{Duration, Instant};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::core::{UdpCore, WAITING_MAX};
use super::gathering::Gathering;
use super::mail::Mail;
use super::office::Office;
use super::{Surroundings, UdpReport};
use crate::carrier::Shard;
use crate::carrier::doorbell::Doorbell;
use crate::carrier::held::HELD_MAX;
use crate::clock::{Beat, Monotonic, thread_cpu_ns, wake_on_time};
use crate::telemetry::{CARRIER_SHOWN_EVERY, Live, Mark, UdpShown};

/// Receive calls before departures get their turn.
const RECEIVE_CALLS_MAX: usize = 16;
/// Datagrams after which departures get their turn, however many more have come: what a flood can delay
/// others by is this many refusals and one batch.
const ARRIVALS_PER_TURN_MAX: usize = 1_024;
/// The thread looks at its timers at least this often.
const WAIT_MAX: Duration = Duration::from_ms(100);
/// So long the socket is left alone where it could not be read, or where what comes finds no room.
const PAUSE: Duration = Duration::from_ms(1);

/// What a thread is started with.
pub(super) struct Thread {
    shard: Shard,
    /// Of all threads.
    bells: Vec<Arc<Doorbell>>,
    surroundings: Surroundings,
    stop: Arc<AtomicBool>,
}

impl Thread {
    /// That of this shard, which is to end at `stop`.
    pub fn of(
        shard: Shard,
        bells: &[Arc<Doorbell>],
        surroundings: &Surroundings,
        stop: &Arc<AtomicBool>,
    ) -> Thread {
        let (bells, surroundings) = (bells.to_vec(), surroundings.clone());
        Thread { shard, bells, surroundings, stop: Arc::clone(stop) }
    }

    /// Starts it.
    pub fn spawn<O: Office + Send + 'static>(
        self,
        mail: Mail,
        core: UdpCore<O>,
    ) -> io::Result<JoinHandle<UdpReport>> {
        let Thread { shard, bells, surroundings, stop } = self;
        let Surroundings { clock, beat, gather, live, .. } = surroundings;
        let mut udp = Udp {
            shard,
            mail,
            core,
            gathering: Gathering::new(gather),
            beat,
            bells,
            live,
            told: UdpReport::default(),
            shown_at: Instant::ZERO,
            held_mark: Mark::default(),
            comings_mark: Mark::default(),
        };
        let name = match shard {
            Shard::FIRST => "ninefold-udp".to_owned(),
            Shard(number) => format!("ninefold-udp-{number}"),
        };
        std::thread::Builder::new().name(name).spawn(move || udp.run(clock, &stop))
    }
}

/// The thread's state.
struct Udp<O> {
    shard: Shard,
    mail: Mail,
    core: UdpCore<O>,
    gathering: Gathering,
    beat: Arc<Beat>,
    /// Its own among those of all.
    bells: Vec<Arc<Doorbell>>,
    live: Arc<Live>,
    /// What it has added to the figures that all threads have in common.
    told: UdpReport,
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

impl<O: Office> Udp<O> {
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
            more = self.core.depart(now, &mut self.mail);
            self.core.handle_timeout(now);
            self.core.flush(now, &mut self.mail);
            self.ring();
            self.publish(now);
        }
        self.core.say_goodbye(clock.now(), &mut self.mail);
        self.publish(clock.now() + CARRIER_SHOWN_EVERY);
        UdpReport { cpu_ns: thread_cpu_ns(), ..self.core.report() }
    }

    fn bell(&self) -> &Doorbell {
        &self.bells[usize::from(self.shard.0)]
    }

    /// Wakes the threads that were handed something.
    fn ring(&mut self) {
        while let Some(shard) = self.core.poll_ring() {
            self.bells[usize::from(shard.0)].ring();
        }
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
        let doorbell = PollFd::from_borrowed_fd(self.bell().as_fd(), PollFlags::IN);
        let socket = PollFd::new(self.mail.socket(), PollFlags::IN);
        let listened = if look_at.is_none() { 2 } else { 1 };
        let mut waited_for = [doorbell, socket];
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.as_us() as i64 * 1_000 };
        match poll(&mut waited_for[..listened], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if waited_for[0].revents().contains(PollFlags::IN) {
            self.bell().answer();
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

    fn publish(&mut self, now: Instant) {
        let (held, comings) = self.core.waiting();
        self.held_mark.note(held, HELD_MAX);
        self.comings_mark.note(comings, WAITING_MAX);
        let counts = *self.core.counts();
        let live = &self.live;
        live.datagrams_in.fetch_add(counts.datagrams_in - self.told.datagrams_in, Ordering::Relaxed);
        live.datagrams_out.fetch_add(counts.datagrams_out - self.told.datagrams_out, Ordering::Relaxed);
        live.bytes_out.fetch_add(counts.bytes_out - self.told.bytes_out, Ordering::Relaxed);
        self.told = counts;
        if now.since(self.shown_at) >= CARRIER_SHOWN_EVERY {
            self.shown_at = now;
            let report = UdpReport { cpu_ns: thread_cpu_ns(), ..self.core.report() };
            let shown = UdpShown { report, held: self.held_mark, comings: self.comings_mark };
            self.live.udp[usize::from(self.shard.0)].show(now, shown);
        }
    }
}
