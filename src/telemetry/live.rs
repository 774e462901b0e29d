//! What can be watched while the server runs. Each part has one writer, which never waits for a reader.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ninefold_protocol::time::{Duration, Instant};

use super::book::Book;
use super::queues::Mark;
use crate::carrier::UDP_THREADS_MAX;
use crate::carrier::quic::QuicReport;
use crate::carrier::udp::UdpReport;

/// A carrier shows what it has counted this often at most.
pub const CARRIER_SHOWN_EVERY: Duration = Duration::from_ms(50);

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
    /// The tick's book.
    pub book: Mutex<Book>,
    /// What the threads of the UDP carrier show, each in its place; [`Live::udp`] has all of it.
    pub udp: [Shown<UdpShown>; UDP_THREADS_MAX],
    /// What the QUIC carrier shows; nothing where there is none.
    pub quic: Shown<QuicReport>,
    /// Where the flight recorder is asked for a trace.
    pub recorder: RecorderSwitch,
}

/// What the UDP carrier shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct UdpShown {
    /// What it has counted.
    pub report: UdpReport,
    /// Packets that wait for their time to leave.
    pub held: Mark,
    /// Comings and goings that wait for room in the lane.
    pub comings: Mark,
}

/// What a thread shows from time to time: the last that it could put there.
#[derive(Debug, Default)]
pub struct Shown<T>(Mutex<Option<(Instant, T)>>);

impl<T: Clone> Shown<T> {
    /// Shows something, unless somebody reads just now.
    pub fn show(&self, now: Instant, what: T) {
        if let Ok(mut shown) = self.0.try_lock() {
            *shown = Some((now, what));
        }
    }

    /// What was shown last, and when.
    pub fn read(&self) -> Option<(Instant, T)> {
        lock(&self.0).clone()
    }
}

/// Where the flight recorder is asked for a trace, by a signal or over HTTP. The recorder says that it is there, looks
/// with [`RecorderSwitch::is_asked`] and tells what it wrote.
#[derive(Debug, Default)]
pub struct RecorderSwitch {
    present: AtomicBool,
    asked: AtomicU64,
    answered: AtomicU64,
    written: AtomicU64,
    last: Mutex<Option<String>>,
}

impl RecorderSwitch {
    /// There is a recorder.
    pub fn announce(&self) {
        self.present.store(true, Ordering::Relaxed);
    }

    /// Whether there is one.
    pub fn is_present(&self) -> bool {
        self.present.load(Ordering::Relaxed)
    }

    /// Asks for a trace; says whether there is a recorder to hear it. Asked again before it has answered, it writes one.
    pub fn ask(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.is_present()
    }

    /// Whether a trace was asked for since the last call. The recorder's alone; never waits.
    pub fn is_asked(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        self.answered.swap(asked, Ordering::Relaxed) != asked
    }

    /// A trace was written to this file. Not for the tick's thread: it may wait for a reader.
    pub fn wrote(&self, file: String) {
        self.written.fetch_add(1, Ordering::Relaxed);
        *lock(&self.last) = Some(file);
    }

    /// How often it was asked, how many traces it wrote, and the last one.
    pub fn told(&self) -> (u64, u64, Option<String>) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.asked), of(&self.written), lock(&self.last).clone())
    }
}

impl Live {
    /// A copy of the book, so that its writer finds it free again at once.
    pub fn book(&self) -> Book {
        lock(&self.book).clone()
    }

    /// What the UDP carrier's threads showed last, together, and when the one did that has been silent longest.
    pub fn udp(&self) -> Option<(Instant, UdpShown)> {
        let shown = self.udp.iter().filter_map(Shown::read);
        shown.reduce(|(heard, mut all), (at, one)| {
            all.report += one.report;
            all.held += one.held;
            all.comings += one.comings;
            (heard.min(at), all)
        })
    }
}

/// What is behind these locks is whole after every statement, so a reader that panicked has spoilt nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_shown_together_and_are_as_old_as_the_most_silent() {
        let live = Live::default();
        assert!(live.udp().is_none());
        for (thread, at_us, depth) in [(0, 500, 7), (3, 400, 5)] {
            let mut shown = UdpShown::default();
            shown.report.datagrams_in = depth;
            shown.report.connection.malformed = 1;
            shown.held.note(depth as usize, 10);
            live.udp[thread].show(Instant::from_us(at_us), shown);
        }
        let (at, UdpShown { report, held, .. }) = live.udp().unwrap();
        assert_eq!((at, report.datagrams_in, report.connection.malformed), (Instant::from_us(400), 12, 2));
        assert_eq!((held.depth, held.bound), (12, 20));
    }

    #[test]
    fn the_recorder_hears_of_each_wish_once() {
        let switch = RecorderSwitch::default();
        assert!(!switch.ask() && switch.is_asked() && !switch.is_asked());
        switch.announce();
        assert!(switch.ask() && switch.ask() && switch.is_asked() && !switch.is_asked());
        switch.wrote("trace-1".into());
        assert_eq!(switch.told(), (3, 1, Some("trace-1".into())));
    }

    #[test]
    fn who_shows_does_not_wait_for_who_reads() {
        let shown = Shown::default();
        shown.show(Instant::from_us(1), 1);
        let reader = shown.0.lock().unwrap();
        shown.show(Instant::from_us(2), 2);
        drop(reader);
        assert_eq!(shown.read(), Some((Instant::from_us(1), 1)));
    }
}
