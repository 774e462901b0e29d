//! Copa (Arun and Balakrishnan, NSDI '18): as much as the line carries with a few packets of queue.
//!
//! The queue is what the standing round trip (the smallest of late) has above the smallest of ten seconds. Copa
//! steers the window so that the rate is `target / queue`, in packets and seconds: with `target` packets of its own
//! in the queue it is at rest. The steps double while they go one way.
//!
//! ```text
//!   slow start ──queue above target──▶ steering ◀──every 2 s, for a round trip or two──▶ draining
//!       ▲                                 ▲ ▲                                              │ the queue stays:
//!       └──── silence, long idle ─────────┘ └──────── the queue goes ──── competing ◀──────┘ somebody else's
//! ```
//!
//! What is different here, and why:
//! - Both ends work in ticks, so a byte is in flight for longer than the path's round trip. The rate of a window
//!   is taken over the time that bytes really were in flight; the queue is measured on the path alone.
//! - Most of the time a game has little to send. Only a flow that was held back steers, or one that the line cannot
//!   carry any more; capacity is not learnt from what was not offered.
//! - Rate and window are capped by 1.25 times the delivery rate that was measured while held back: a controller that
//!   errs fills a queue slowly.
//! - Copa takes a queue that is never empty for somebody else's and then competes: its target grows, and shrinks on
//!   loss. Jitter and slow lines look the same, so the window is first closed to what the path holds without a
//!   queue: if the queue goes as far as ours should, it was ours. That also shows every flow the empty path.
//! - Loss alone acts only above 10 %, and on a short burst only down to a chunk: a line that loses as much whatever
//!   is sent would close the window for nothing. Loss with a full queue acts always.

mod competition;
mod path;
#[cfg(test)]
mod tests;

use self::path::{Path, RoundTrips};
use super::controller::{AckSample, Controller, LossSample};
use super::loss::LossMeter;
use super::pacer::PACER_BURST_MAX;
use crate::limits::PACKET_BYTES_MAX;
use crate::time::{Duration, Instant};

const PACKET: u64 = PACKET_BYTES_MAX as u64;

/// In flight before anything is known of the line: a chunk of 32 KiB and a few snapshots, which keep a line of
/// 5 Mbit/s busy until the first acknowledgement, 75 ms later.
pub const INITIAL_WINDOW_BYTES: u64 = 40 * PACKET;
/// The first window's pace: a chunk of 32 KiB in two ticks, and no more than 40 ms of queue on a line of 5 Mbit/s.
const INITIAL_RATE_BYTES_S: u64 = 1_100_000;
/// Loss without a queue does not close the window of a short burst further: a chunk of 32 KiB, two thirds as much parity
/// and what it repeats.
const BURST_WINDOW_BYTES: u64 = 64 * PACKET;
/// The window never closes further.
const WINDOW_MIN_BYTES: u64 = 4 * PACKET;
/// Packets of its own that a flow keeps in the queue: Copa's 1/delta.
const TARGET_PACKETS: u64 = 4;
/// The same while competing, at most.
const TARGET_PACKETS_MAX: u64 = 512;
/// Doublings of the step end here.
const VELOCITY_MAX: u64 = 64;
/// Round trips in one direction before the step doubles.
const STEADY_LOOPS_MIN: u32 = 3;
/// Round trips without an empty queue after which it is found out whose it is.
const DRAIN_AFTER_LOOPS: u64 = 5;
/// A flow that has been held back for less than this is not drained: a burst of chunks would pay a tenth of its
/// time for it.
const DRAIN_FROM: Duration = Duration::from_secs(1);
/// What the target grows by in a round trip while competing.
const COMPETING_STEP_PACKETS: u64 = 4;
/// Delay that our own bursts make.
const OWN_BURSTS: Duration = PACER_BURST_MAX;
/// A peer that looks at its socket once a frame answers up to so much later than it could, and which part of that
/// changes as its frames drift against our ticks. A queue that somebody makes who is not held back grows beyond it.
const PEER_FRAME: Duration = Duration::from_ms(17);
/// A flow that was not held back for this long knows nothing of the line any more.
const KNOWLEDGE_MAX_AGE: Duration = Duration::from_secs(10);
/// Loss that acts by itself, of a thousand.
const LOSS_MAX_PERMILLE: u64 = 100;
/// Loss acts with a queue of at least this.
const LOSS_QUEUE_MIN: Duration = Duration::from_ms(15);

/// Copa's state for one flow.
#[derive(Debug, Clone)]
pub struct Copa {
    rate_min: u64,
    rate_max: u64,
    window: u64,
    phase: Phase,
    path: Path,
    /// When it was last held back, and since when without a break.
    limited_at: Instant,
    limited_since: Instant,
    // steering
    velocity: u64,
    rising: bool,
    steady_loops: u32,
    epoch_at: Instant,
    epoch_window: u64,
    // competing
    target_packets: u64,
    /// The target when competition seemed to end, and when that was.
    left_competition: (u64, Instant),
    emptied_at: Instant,
    /// When that was last looked for.
    looked_at: Instant,
    // loss
    loss: LossMeter,
    lost_bytes: u64,
    /// Losses of packets that left before are answered already.
    answered_until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    SlowStart,
    Steering,
    /// The window is closed for a moment.
    Draining {
        since: Instant,
        /// What the window was.
        window: u64,
        /// Whether there is a doubt whose the queue is.
        was_full: bool,
        /// Whether it was taken for somebody else's before.
        competing: bool,
        /// With a queue as small as this it was ours.
        queue_us: u64,
    },
    Competing,
}

impl Copa {
    /// A flow that knows nothing of its line. It keeps between the two rates, in bytes a second.
    pub fn new(rate_min: u64, rate_max: u64) -> Self {
        Copa {
            rate_min,
            rate_max,
            window: INITIAL_WINDOW_BYTES,
            phase: Phase::SlowStart,
            path: Path::new(),
            limited_at: Instant::ZERO,
            limited_since: Instant::ZERO,
            velocity: 1,
            rising: true,
            steady_loops: 0,
            epoch_at: Instant::ZERO,
            epoch_window: INITIAL_WINDOW_BYTES,
            target_packets: TARGET_PACKETS,
            left_competition: (TARGET_PACKETS, Instant::ZERO),
            emptied_at: Instant::ZERO,
            looked_at: Instant::ZERO,
            loss: LossMeter::default(),
            lost_bytes: 0,
            answered_until: Instant::ZERO,
        }
    }

    /// Starts again without what was known of the line's capacity.
    fn start_again(&mut self, now: Instant) {
        self.window = self.window.min(INITIAL_WINDOW_BYTES);
        self.phase = Phase::SlowStart;
        self.path.forget_capacity();
        self.limited_at = now;
        self.loss = LossMeter::default();
        self.lost_bytes = 0;
        self.answered_until = now;
        self.settle(now);
    }

    /// Steps are small again and the queue counts as empty.
    fn settle(&mut self, now: Instant) {
        self.velocity = 1;
        self.steady_loops = 0;
        self.epoch_at = now;
        self.epoch_window = self.window;
        self.target_packets = TARGET_PACKETS;
        self.emptied_at = now;
    }

    /// The flow has little to send. What the line does to a trickle says nothing of what it does to a flow.
    fn rest(&mut self, now: Instant) {
        self.limited_since = now;
        self.emptied_at = now;
        self.looked_at = now;
        self.lost_bytes = 0;
        if let Phase::Draining { window, .. } = self.phase {
            (self.phase, self.window) = (Phase::Steering, window);
        }
        if self.phase == Phase::Competing && now.since(self.limited_at) > self.path.loops(DRAIN_AFTER_LOOPS) {
            self.found_ours(now);
        }
        if now.since(self.limited_at) > KNOWLEDGE_MAX_AGE {
            self.start_again(now);
        }
    }

    fn round_trips(&self, now: Instant) -> Option<RoundTrips> {
        self.path.round_trips(now, self.phase == Phase::SlowStart)
    }

    /// Whether the rate is below what the queue allows: `window / loop <= target / queue`.
    fn may_rise(&self, queue_us: u64) -> bool {
        self.allows(self.window, queue_us)
    }

    /// The same for so many bytes in flight.
    fn allows(&self, in_flight: u64, queue_us: u64) -> bool {
        let queue_us = queue_us.saturating_sub(OWN_BURSTS.as_us());
        let has = u128::from(in_flight) * u128::from(queue_us);
        has <= u128::from(self.target_packets * PACKET) * u128::from(self.path.loop_us())
    }

    /// Whether a flow that was not held back should have been: the line has become slower than what is offered.
    fn is_too_much(&self, ack: &AckSample) -> bool {
        // Far below the window there is nothing to hold back, and the look back can be saved.
        if ack.in_flight_bytes < WINDOW_MIN_BYTES {
            return false;
        }
        let queue_us = |trips: RoundTrips| trips.queue_us().saturating_sub(PEER_FRAME.as_us());
        self.round_trips(ack.now).is_some_and(|trips| !self.allows(ack.in_flight_bytes, queue_us(trips)))
    }

    fn slow_start(&mut self, ack: &AckSample, queue_us: u64) {
        if self.may_rise(queue_us) {
            self.window += ack.acked_bytes;
            return;
        }
        self.phase = Phase::Steering;
        self.settle(ack.now);
    }

    fn steer(&mut self, ack: &AckSample, queue_us: u64) {
        let rising = self.may_rise(queue_us);
        if rising != self.rising {
            (self.rising, self.velocity, self.steady_loops) = (rising, 1, 0);
        }
        let step = self.velocity * self.target_packets * PACKET * ack.acked_bytes / self.window.max(1);
        let step = step.min(ack.acked_bytes / 2); // no more than half a window in a round trip
        self.window = if rising { self.window + step } else { self.window.saturating_sub(step) };
        if ack.now.since(self.epoch_at).as_us() >= self.path.loop_us() {
            self.end_epoch(ack.now);
        }
    }

    fn end_epoch(&mut self, now: Instant) {
        let rose = self.window > self.epoch_window;
        self.steady_loops = if rose == self.rising { self.steady_loops + 1 } else { 0 };
        if self.steady_loops >= STEADY_LOOPS_MIN {
            self.velocity = (2 * self.velocity).min(VELOCITY_MAX);
        }
        if self.phase == Phase::Competing {
            self.target_packets = (self.target_packets + COMPETING_STEP_PACKETS + self.target_packets / 16)
                .min(TARGET_PACKETS_MAX);
        }
        self.epoch_at = now;
        self.epoch_window = self.window;
    }

    fn answer_loss(&mut self, ack: &AckSample, queue_us: u64) {
        let lost = std::mem::take(&mut self.lost_bytes);
        if lost == 0 {
            return;
        }
        let is_burst = ack.now.since(self.limited_since) < DRAIN_FROM;
        if self.loss.exceeds(LOSS_MAX_PERMILLE) {
            self.loss = LossMeter::default();
            if is_burst && queue_us < LOSS_QUEUE_MIN.as_us() {
                self.window = (self.window * 7 / 10).max(BURST_WINDOW_BYTES.min(self.window));
                self.answered_until = ack.now;
                return;
            }
            self.window = self.window * 7 / 10;
        } else if queue_us >= LOSS_QUEUE_MIN.as_us() {
            match self.phase {
                Phase::Competing => self.target_packets = (self.target_packets * 7 / 10).max(TARGET_PACKETS),
                _ => self.window = self.window * 7 / 8,
            }
        } else {
            return;
        }
        if self.phase == Phase::SlowStart {
            self.phase = Phase::Steering;
        }
        self.velocity = 1;
        self.answered_until = ack.now;
    }

    fn keep_bounds(&mut self, trips: RoundTrips) {
        let over_loop = |rate: u64| (u128::from(rate) * u128::from(self.path.loop_us()) / 1_000_000) as u64;
        let mut most = over_loop(self.rate_max).saturating_mul(5) / 4 + WINDOW_MIN_BYTES;
        if let (Some(held), Phase::Steering) = (self.path.holds(trips, 10), self.phase) {
            most = most.min(held * 5 / 4 + WINDOW_MIN_BYTES);
        }
        let least = over_loop(self.rate_min).max(WINDOW_MIN_BYTES);
        self.window = self.window.min(most).max(least);
    }
}

impl Controller for Copa {
    fn on_sent(&mut self, _: Instant, _: u64, _: u64) {}

    fn on_ack(&mut self, ack: &AckSample) {
        self.path.learn(ack);
        self.loss.on_acked(ack.acked_bytes);
        if !ack.is_limited && !self.is_too_much(ack) {
            self.rest(ack.now);
            return;
        }
        self.limited_at = ack.now;
        let Some(trips) = self.round_trips(ack.now) else { return };
        if !ack.is_limited {
            self.window = self.window.min(ack.in_flight_bytes + ack.acked_bytes);
        }
        self.look_for_competition(ack.now, trips);
        let queue_us = trips.queue_us();
        self.answer_loss(ack, queue_us);
        match self.phase {
            Phase::SlowStart => self.slow_start(ack, queue_us),
            Phase::Steering | Phase::Competing => self.steer(ack, queue_us),
            Phase::Draining { .. } => {}
        }
        self.keep_bounds(trips);
    }

    fn on_lost(&mut self, loss: &LossSample) {
        if loss.sent_at >= self.answered_until {
            self.lost_bytes += loss.bytes;
            self.loss.on_lost(loss.bytes);
        }
    }

    fn on_silence(&mut self, now: Instant) {
        self.start_again(now);
    }

    fn rate_bytes_s(&self) -> u64 {
        // Before the first acknowledgement only the first window's pace counts.
        let over_loop =
            |bytes: u64| bytes.saturating_mul(1_000_000).checked_div(self.path.loop_us()).unwrap_or(0);
        let capacity = self.path.capacity().unwrap_or(u64::MAX);
        let rate = match self.phase {
            Phase::SlowStart if self.window <= INITIAL_WINDOW_BYTES => INITIAL_RATE_BYTES_S,
            Phase::SlowStart => {
                (2 * over_loop(self.window)).max(INITIAL_RATE_BYTES_S).min(capacity.saturating_mul(5) / 2)
            }
            Phase::Steering | Phase::Competing | Phase::Draining { .. } => {
                (over_loop(self.window) * 5 / 4).min(capacity.saturating_mul(5) / 4)
            }
        };
        rate.clamp(self.rate_min, self.rate_max)
    }

    fn knows_line(&self) -> bool {
        self.path.capacity().is_some()
    }

    fn window_bytes(&self) -> u64 {
        self.window
    }

    fn standing_rtt(&self) -> Option<Duration> {
        self.path.standing_us().map(Duration::from_us)
    }
}
