//! When the client's ticks are due: at the server's rate, a little faster or slower so that inputs come to
//! the server just before they are needed.
//!
//! ```text
//!   lead:   ... -40      -       4   8       +       60 ...
//!            jump | faster | steady | slower | jump
//! ```
//!
//! The server tells the least lead of its last second, so what was steered in that second is in it only in
//! part, and nobody knows which. The clock remembers how far it went and takes the lead to lie between the
//! two ends that this allows; it steers only where both ends ask for the same. So it does not swing,
//! however long the line is.

use std::collections::VecDeque;

use ninefold_protocol::time::{Duration, Instant};

/// Ticks a second that a server may ask for; more or fewer are cut.
pub const TICK_RATE_HZ_MAX: u16 = 1_000;
/// At most so much faster or slower, parts per million.
pub const STEER_PPM_MAX: i64 = 30_000;
/// The lead is held between these two, in microseconds.
pub const LEAD_US: std::ops::RangeInclusive<i64> = 4_000..=8_000;
/// Where a lead that is out of them is brought to.
const LEAD_AIM_US: i64 = 6_000;
/// Later than this, the missing ticks are made at once.
const LATE_JUMP_US: i64 = -40_000;
/// Earlier than this, ticks are left out.
const EARLY_JUMP_US: i64 = 60_000;
/// What is missing is made up for within this time, where the rate allows; late inputs hurt at once.
const FASTER_WITHIN_US: i64 = 500_000;
/// What is too much is given back within this time: it costs nothing but a little delay.
const SLOWER_WITHIN_US: i64 = 2_000_000;
/// The time over which the server takes the least lead, and a little more.
const REPORT_SPAN: Duration = Duration::from_ms(1_100);
/// Without a report for so long the clock runs at the plain rate.
const REPORT_STALE: Duration = Duration::from_ms(500);
/// Who was away for longer leaves ticks out instead of making them all.
const PAUSE_MAX: Duration = Duration::from_ms(250);
/// How far it went is remembered in spans of this long ...
const SPAN: Duration = Duration::from_ms(50);
/// ... so many: enough for a report's second and two seconds of round trip.
const SPANS_MAX: usize = 64;

/// The clock of a client's ticks. Call [`TickClock::due`] until it gives nothing.
#[derive(Debug, Clone)]
pub struct TickClock {
    period_ns: u64,
    /// When the next tick is due.
    next_ns: u64,
    /// How much faster it runs.
    ahead_ppm: i64,
    steered_at: Instant,
    /// How far ticks come ahead of those of a clock that was never steered.
    ahead_ns: i64,
    spans: VecDeque<Span>,
    skipped: u64,
}

/// Between which ends [`TickClock::ahead_ns`] was for a while.
#[derive(Debug, Clone, Copy)]
struct Span {
    began: Instant,
    low_ns: i64,
    high_ns: i64,
}

impl TickClock {
    /// A clock whose first tick is due now.
    pub fn new(now: Instant, tick_rate_hz: u16) -> Self {
        TickClock {
            period_ns: 1_000_000_000 / u64::from(tick_rate_hz.clamp(1, TICK_RATE_HZ_MAX)),
            next_ns: now.as_us().saturating_mul(1_000),
            ahead_ppm: 0,
            steered_at: now,
            ahead_ns: 0,
            spans: VecDeque::with_capacity(SPANS_MAX),
            skipped: 0,
        }
    }

    /// From one tick to the next at the plain rate.
    pub fn period(&self) -> Duration {
        Duration::from_us(self.period_ns / 1_000)
    }

    /// Ticks that were left out after pauses.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How much faster than the plain rate it runs, parts per million.
    pub fn steering_ppm(&self) -> i64 {
        self.ahead_ppm
    }

    /// When the next tick is due.
    pub fn next_due(&self) -> Instant {
        Instant::from_us(self.next_ns.div_ceil(1_000))
    }

    /// When the tick was due that is made now; `None` until one is. After a pause longer than a quarter of a
    /// second (and two ticks) only the last quarter is made up for.
    pub fn due(&mut self, now: Instant) -> Option<Instant> {
        let now_ns = now.as_us().saturating_mul(1_000);
        if now_ns < self.next_ns {
            return None;
        }
        let pause_ns = (PAUSE_MAX.as_us() * 1_000).max(2 * self.period_ns);
        let behind_ns = now_ns - self.next_ns;
        if behind_ns > pause_ns {
            let left_out = (behind_ns - pause_ns).div_ceil(self.period_ns);
            self.skipped += left_out;
            self.shift(now, -i64::try_from(left_out * self.period_ns).unwrap_or(i64::MAX));
        }
        let due = self.next_due();
        if now.since(self.steered_at) > REPORT_STALE {
            self.ahead_ppm = 0;
        }
        let ahead_ns = self.period_ns as i64 * self.ahead_ppm / 1_000_000;
        self.next_ns = self.next_ns.saturating_add(self.period_ns);
        self.shift(now, ahead_ns);
        Some(due)
    }

    /// The next ticks come so much earlier.
    fn shift(&mut self, now: Instant, ahead_ns: i64) {
        self.next_ns = self.next_ns.saturating_add_signed(-ahead_ns);
        let before_ns = self.ahead_ns;
        self.ahead_ns = self.ahead_ns.saturating_add(ahead_ns);
        let (low_ns, high_ns) = (before_ns.min(self.ahead_ns), before_ns.max(self.ahead_ns));
        match self.spans.back_mut() {
            Some(span) if now.since(span.began) < SPAN => {
                span.low_ns = span.low_ns.min(low_ns);
                span.high_ns = span.high_ns.max(high_ns);
            }
            _ => {
                if self.spans.len() == SPANS_MAX {
                    self.spans.pop_front();
                }
                self.spans.push_back(Span { began: now, low_ns, high_ns });
            }
        }
    }

    /// Takes the server's word on how early inputs come: the least lead of its last second. `rtt` is the
    /// round trip as it is known.
    pub fn steer(&mut self, now: Instant, lead_us: i64, rtt: Duration) {
        self.steered_at = now;
        let (low_us, high_us) = self.lead_now(now, lead_us, rtt);
        if high_us <= LATE_JUMP_US {
            self.ahead_ppm = 0;
            self.shift(now, (LEAD_AIM_US - high_us) * 1_000);
        } else if low_us >= EARLY_JUMP_US {
            self.ahead_ppm = 0;
            self.shift(now, (LEAD_AIM_US - low_us) * 1_000);
        } else if high_us < *LEAD_US.start() {
            let wanted = (LEAD_AIM_US - high_us) * 1_000_000 / FASTER_WITHIN_US;
            self.ahead_ppm = wanted.min(STEER_PPM_MAX);
        } else if low_us > *LEAD_US.end() {
            let wanted = (LEAD_AIM_US - low_us) * 1_000_000 / SLOWER_WITHIN_US;
            self.ahead_ppm = wanted.max(-STEER_PPM_MAX);
        } else {
            self.ahead_ppm = 0;
        }
    }

    /// The two ends between which the lead of an input made now lies.
    fn lead_now(&self, now: Instant, lead_us: i64, rtt: Duration) -> (i64, i64) {
        let from = now - rtt - REPORT_SPAN;
        let to = now - rtt.scaled(1, 2);
        let (mut low_ns, mut high_ns) = (self.ahead_ns, self.ahead_ns);
        let before = |span: &&Span| span.began <= to;
        // Where all that is remembered is younger than the report, it may have been made at any of it.
        let any = self.spans.iter().find(before).is_none();
        for span in self.spans.iter().rev().filter(|span| any || before(span)) {
            low_ns = low_ns.min(span.low_ns);
            high_ns = high_ns.max(span.high_ns);
            // This one was when it began.
            if span.began <= from {
                break;
            }
        }
        let lead = |then_ns: i64| lead_us + self.ahead_ns.saturating_sub(then_ns) / 1_000;
        (lead(high_ns), lead(low_ns))
    }
}

#[cfg(test)]
mod tests;
