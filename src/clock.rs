//! When ticks are due, and the real clock for the threads that own one.
//!
//! [`TickClock`] is a core: it computes. Deadlines are absolute (`start + n / rate`, in exact integers),
//! so they do not drift. After an overrun a few ticks run at once to catch up; what is further behind
//! is skipped and counted.

use std::sync::atomic::{AtomicU64, Ordering};

use ninefold_protocol::time::{Duration, Instant};

/// Decides when the next tick runs.
#[derive(Debug, Clone)]
pub struct TickClock {
    start: Instant,
    rate_hz: u32,
    /// Deadlines that have passed or been skipped.
    due: u64,
    catch_up_ticks_max: u32,
    skipped: u64,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Due {
    /// Wait until then.
    At(Instant),
    /// Run a tick; it starts this much after its deadline.
    Now {
        /// How late.
        lateness: Duration,
    },
}

impl TickClock {
    /// The first tick is due at `start`.
    ///
    /// # Panics
    /// When the rate is zero.
    pub fn new(start: Instant, rate_hz: u32, catch_up_ticks_max: u32) -> Self {
        assert!(rate_hz > 0, "a tick rate of zero");
        TickClock { start, rate_hz, due: 0, catch_up_ticks_max, skipped: 0 }
    }

    /// Asks once before each tick; answering `Now` uses the deadline up.
    pub fn poll(&mut self, now: Instant) -> Due {
        let deadline = self.deadline(self.due);
        if now < deadline {
            return Due::At(deadline);
        }
        let behind = now.since(self.start).as_us() * u64::from(self.rate_hz) / 1_000_000;
        let oldest_kept = behind.saturating_sub(self.catch_up_ticks_max.into());
        if oldest_kept > self.due {
            self.skipped += oldest_kept - self.due;
            self.due = oldest_kept;
        }
        let lateness = now.since(self.deadline(self.due));
        self.due += 1;
        Due::Now { lateness }
    }

    /// Ticks that were given up because the loop was too far behind.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn deadline(&self, n: u64) -> Instant {
        self.start + Duration::from_us(n * 1_000_000 / u64::from(self.rate_hz))
    }
}

/// When the next tick is due, for threads that work towards it.
#[derive(Debug, Default)]
pub struct Beat(AtomicU64);

impl Beat {
    /// The tick's thread sleeps until then.
    pub fn announce(&self, then: Instant) {
        self.0.store(then.as_us(), Ordering::Relaxed);
    }

    /// The last one that was announced, which is over while a tick runs. Nothing but a time is told: it may be read late.
    pub fn next(&self) -> Instant {
        Instant::from_us(self.0.load(Ordering::Relaxed))
    }
}

/// The machine's monotonic clock. Only threads of the outermost layer hold one.
#[derive(Debug, Clone, Copy)]
pub struct Monotonic {
    origin: std::time::Instant,
}

impl Monotonic {
    /// A clock whose origin is now.
    pub fn start() -> Self {
        Monotonic { origin: std::time::Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        Instant::from_us(self.origin.elapsed().as_micros() as u64)
    }

    /// A time that somebody else has read.
    pub fn at(&self, then: std::time::Instant) -> Instant {
        Instant::from_us(then.saturating_duration_since(self.origin).as_micros() as u64)
    }

    /// A time as the standard library has it.
    pub fn std(&self, then: Instant) -> std::time::Instant {
        self.origin + std::time::Duration::from_micros(then.as_us())
    }

    /// A time that somebody else wants to be woken at: not before it, however it was rounded.
    pub fn at_or_after(&self, then: std::time::Instant) -> Instant {
        let since = then.saturating_duration_since(self.origin).as_nanos();
        Instant::from_us(since.div_ceil(1_000) as u64)
    }

    /// The time in nanoseconds, for measuring.
    pub fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// The same of a time that somebody else has read.
    pub fn ns_at(&self, then: std::time::Instant) -> u64 {
        then.saturating_duration_since(self.origin).as_nanos() as u64
    }

    /// Sleeps until then.
    pub fn sleep_until(&self, then: Instant) {
        std::thread::sleep(then.since(self.now()).into());
    }
}

impl From<std::time::Instant> for Monotonic {
    fn from(origin: std::time::Instant) -> Self {
        Monotonic { origin }
    }
}

/// Lets the calling thread wake when it wanted to. By default Linux may be 50 us late, to wake several threads at once.
/// Where that cannot be had it stays as it was.
pub fn wake_on_time() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(Some(std::num::NonZeroU64::MIN));
}

/// CPU time of the calling thread so far, nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> Instant {
        Instant::from_us(us)
    }

    fn run(clock: &mut TickClock, now: u64) -> u64 {
        match clock.poll(us(now)) {
            Due::Now { lateness } => lateness.as_us(),
            Due::At(then) => panic!("not before {then:?}"),
        }
    }

    #[test]
    fn deadlines_do_not_drift() {
        let mut clock = TickClock::new(us(0), 60, 4);
        assert_eq!(run(&mut clock, 0), 0);
        for n in 1..=60 * 3_600 {
            let deadline = n * 1_000_000 / 60;
            assert_eq!(clock.poll(us(deadline - 1)), Due::At(us(deadline)));
            assert_eq!(run(&mut clock, deadline + 100), 100); // each tick starts a little late
        }
        assert_eq!(clock.skipped(), 0);
    }

    #[test]
    fn a_short_overrun_is_caught_up() {
        let mut clock = TickClock::new(us(0), 100, 4);
        assert_eq!(run(&mut clock, 0), 0);
        assert_eq!(run(&mut clock, 35_000), 25_000);
        assert_eq!(run(&mut clock, 35_000), 15_000);
        assert_eq!(run(&mut clock, 35_000), 5_000);
        assert_eq!(clock.poll(us(35_000)), Due::At(us(40_000)));
        assert_eq!(clock.skipped(), 0);
    }

    #[test]
    fn a_long_one_is_skipped_and_counted() {
        let mut clock = TickClock::new(us(0), 100, 4);
        assert_eq!(run(&mut clock, 1_005_000), 45_000); // 101 deadlines passed: 96 skipped, 5 run
        for lateness in [35_000, 25_000, 15_000, 5_000] {
            assert_eq!(run(&mut clock, 1_005_000), lateness);
        }
        assert_eq!(clock.poll(us(1_005_000)), Due::At(us(1_010_000)));
        assert_eq!(clock.skipped(), 96);
    }
}
