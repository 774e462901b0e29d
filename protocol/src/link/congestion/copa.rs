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

use super::controller::{AckSample, Controller, LossSample};
use super::filter::{Recent, RoundsMax, WindowedMin};
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
/// The smallest round trip is that of this long.
const MIN_RTT_WINDOW: Duration = Duration::from_secs(10);
/// The standing round trip is the smallest of half a round trip, but of at least this long: a few
/// acknowledgements, so that jitter is not taken for a queue.
const STANDING_WINDOW_MIN: Duration = Duration::from_ms(50);
/// The same in slow start: two acknowledgements.
const SLOW_START_STANDING_MIN: Duration = Duration::from_ms(20);
/// A queue shorter than this is empty, whatever the round trips' spread.
const EMPTY_QUEUE_MAX: Duration = Duration::from_ms(4);
/// Round trips without an empty queue after which it is found out whose it is.
const DRAIN_AFTER_LOOPS: u64 = 5;
/// Drains begin at whole multiples of this on the sender's clock: flows of one server that share a bottleneck
/// drain together. So they do not take each other for strangers, and who came later does not take the others'
/// queue for a part of the path.
const DRAIN_EVERY: Duration = Duration::from_secs(2);
/// A flow that has been held back for less than this is not drained: a burst of chunks would pay a tenth of its
/// time for it.
const DRAIN_FROM: Duration = Duration::from_secs(1);
/// The same while competing.
const DRAIN_COMPETING_EVERY: Duration = Duration::from_secs(4);
/// Round trips that a drain may take to show.
const DRAIN_LOOPS_MAX: u64 = 2;
/// Competition that comes back within this is met as it was left.
const COMPETITION_REMEMBERED: Duration = Duration::from_secs(10);
/// Paths change in the midst of competition, too.
const RTT_BEFORE_BELIEVED: Duration = Duration::from_secs(60);
/// What the target grows by in a round trip while competing.
const COMPETING_STEP_PACKETS: u64 = 4;
/// Delay that our own bursts make.
const OWN_BURSTS: Duration = PACER_BURST_MAX;
/// Delivery rates are remembered for one to two times so many round trips.
const CAPACITY_ROUND_LOOPS: u64 = 5;
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
    // the path
    min_rtt: WindowedMin,
    recent: Recent,
    /// Smoothed time that bytes are in flight, microseconds; 0 before the first acknowledgement.
    loop_us: u64,
    /// Smoothed part of that which is not the path's: what packets and acknowledgements wait for ticks.
    ticks_us: u64,
    /// Largest delivery rate of late.
    capacity: RoundsMax,
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
    /// The smallest round trip before somebody filled the queue, and until when it is believed: a queue that
    /// is never empty must not become the measure of an empty one.
    rtt_before_competition: Option<(u64, Instant)>,
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
            min_rtt: WindowedMin::new(MIN_RTT_WINDOW),
            recent: Recent::new(),
            loop_us: 0,
            ticks_us: 0,
            capacity: RoundsMax::default(),
            limited_at: Instant::ZERO,
            limited_since: Instant::ZERO,
            velocity: 1,
            rising: true,
            steady_loops: 0,
            epoch_at: Instant::ZERO,
            epoch_window: INITIAL_WINDOW_BYTES,
            target_packets: TARGET_PACKETS,
            left_competition: (TARGET_PACKETS, Instant::ZERO),
            rtt_before_competition: None,
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
        self.capacity = RoundsMax::default();
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

    fn learn(&mut self, ack: &AckSample) {
        let now = ack.now;
        if let Some(rtt) = ack.path_rtt {
            self.min_rtt.push(now, rtt.as_us());
            self.recent.push(now, rtt.as_us());
        }
        let loop_us = ack.loop_time.as_us().max(1);
        self.loop_us = if self.loop_us == 0 { loop_us } else { (7 * self.loop_us + loop_us) / 8 };
        if let Some(rtt) = ack.path_rtt {
            self.ticks_us = (7 * self.ticks_us + loop_us.saturating_sub(rtt.as_us())) / 8;
        }
        if let Some(sample) = ack.delivery
            && (!sample.app_limited || self.capacity.get().is_some_and(|c| sample.rate_bytes_s > c))
        {
            let round = self.loops(CAPACITY_ROUND_LOOPS);
            self.capacity.push(now, round, sample.rate_bytes_s);
        }
        self.loss.on_acked(ack.acked_bytes);
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
        if self.phase == Phase::Competing && now.since(self.limited_at) > self.loops(DRAIN_AFTER_LOOPS) {
            self.found_ours(now);
        }
        if now.since(self.limited_at) > KNOWLEDGE_MAX_AGE {
            self.start_again(now);
        }
    }

    fn loops(&self, count: u64) -> Duration {
        Duration::from_us(self.loop_us * count)
    }

    /// The smallest and the largest round trip of late, the smallest of all; `None` before the first.
    fn round_trips(&self, now: Instant) -> Option<RoundTrips> {
        // A window that doubles has to hear of a queue sooner, at the risk that it was jitter.
        let standing_window = match self.phase {
            Phase::SlowStart => self.loops(1).scaled(1, 4).max(SLOW_START_STANDING_MIN),
            _ => self.loops(1).scaled(1, 2).max(STANDING_WINDOW_MIN),
        };
        let (standing, _) = self.recent.range_since(now - standing_window)?;
        let (low, high) = self.recent.range_since(now - self.loops(4).max(STANDING_WINDOW_MIN))?;
        let mut min = self.min_rtt.get()?;
        if let Some((before, until)) = self.rtt_before_competition
            && now < until
        {
            min = min.min(before);
        }
        Some(RoundTrips { min, standing, low, high })
    }

    /// Whether the rate is below what the queue allows: `window / loop <= target / queue`.
    fn may_rise(&self, queue_us: u64) -> bool {
        self.allows(self.window, queue_us)
    }

    /// The same for so many bytes in flight.
    fn allows(&self, in_flight: u64, queue_us: u64) -> bool {
        let queue_us = queue_us.saturating_sub(OWN_BURSTS.as_us());
        let has = u128::from(in_flight) * u128::from(queue_us);
        has <= u128::from(self.target_packets * PACKET) * u128::from(self.loop_us)
    }

    /// Whether a flow that was not held back should have been: the line has become slower than what is offered.
    fn is_too_much(&self, ack: &AckSample) -> bool {
        // Far below the window there is nothing to hold back, and the look back can be saved.
        if ack.in_flight_bytes < WINDOW_MIN_BYTES {
            return false;
        }
        self.round_trips(ack.now).is_some_and(|trips| !self.allows(ack.in_flight_bytes, trips.queue_us()))
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
        if ack.now.since(self.epoch_at).as_us() >= self.loop_us {
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

    /// Finds out who fills the queue, if it is never empty.
    fn look_for_competition(&mut self, now: Instant, trips: RoundTrips) {
        let is_empty =
            trips.queue_us() <= (trips.high.saturating_sub(trips.min) / 10).max(self.empty_queue_us());
        if is_empty {
            self.emptied_at = now;
        }
        let was_full = now.since(self.emptied_at) > self.loops(DRAIN_AFTER_LOOPS);
        let crossed = |every: Duration| now.as_us() / every.as_us() != self.looked_at.as_us() / every.as_us();
        let (is_time, is_time_competing) = (crossed(DRAIN_EVERY), crossed(DRAIN_COMPETING_EVERY));
        self.looked_at = now;
        // A short burst has better things to do.
        let is_long = now.since(self.limited_since) > self.loops(DRAIN_AFTER_LOOPS).max(DRAIN_FROM);
        match self.phase {
            Phase::SlowStart => {}
            Phase::Steering if is_time && is_long => self.drain(now, trips, was_full),
            Phase::Steering => {}
            Phase::Competing if is_empty => self.found_ours(now),
            Phase::Competing if is_time_competing => self.drain(now, trips, true),
            Phase::Competing => {}
            Phase::Draining { since, window, was_full, competing, queue_us } => {
                let is_gone = is_empty || trips.queue_us() <= queue_us;
                if is_gone && now.since(since) > self.loops(1) {
                    self.found_ours(now);
                } else if now.since(since) > self.loops(DRAIN_LOOPS_MAX) {
                    self.window = window;
                    // A queue that jumps as much as it is long is no queue but jitter.
                    let is_queue = was_full && trips.queue_us() >= 2 * trips.spread_us();
                    self.phase = if competing || is_queue { Phase::Competing } else { Phase::Steering };
                    if was_full {
                        self.emptied_at = now;
                    }
                    if is_queue && !competing {
                        self.compete(now, trips);
                    }
                }
            }
        }
    }

    /// Closes the window to what the path holds without a queue.
    fn drain(&mut self, now: Instant, trips: RoundTrips, was_full: bool) {
        let Some(capacity) = self.capacity.get() else {
            self.emptied_at = now;
            return;
        };
        let loop_us = trips.min + self.ticks_us;
        let without_queue = (u128::from(capacity) * u128::from(loop_us) * 9 / 10_000_000) as u64;
        let drained = without_queue.clamp(WINDOW_MIN_BYTES, self.window.max(WINDOW_MIN_BYTES));
        let ours_us = (self.window.saturating_sub(drained)).saturating_mul(1_000_000) / capacity.max(1);
        self.phase = Phase::Draining {
            since: now,
            window: self.window,
            was_full,
            competing: self.phase == Phase::Competing,
            queue_us: trips.queue_us().saturating_sub(ours_us * 3 / 4),
        };
        self.window = drained;
    }

    /// Somebody who was here a moment ago is met with what it took then.
    fn compete(&mut self, now: Instant, trips: RoundTrips) {
        self.rtt_before_competition = Some((trips.min, now + RTT_BEFORE_BELIEVED));
        let (target, at) = self.left_competition;
        if now.since(at) < COMPETITION_REMEMBERED {
            self.target_packets = target;
        }
    }

    fn found_ours(&mut self, now: Instant) {
        if self.target_packets > TARGET_PACKETS {
            self.left_competition = (self.target_packets, now);
        }
        self.rtt_before_competition = None;
        self.phase = Phase::Steering;
        self.settle(now);
    }

    /// A queue of this is none: a packet on its way out, or less than can be measured.
    fn empty_queue_us(&self) -> u64 {
        let packet_us = self.capacity.get().map_or(0, |rate| PACKET * 1_000_000 / rate.max(1));
        packet_us.max(EMPTY_QUEUE_MAX.as_us())
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
        let over_loop = |rate: u64| (u128::from(rate) * u128::from(self.loop_us) / 1_000_000) as u64;
        let mut most = over_loop(self.rate_max).saturating_mul(5) / 4 + WINDOW_MIN_BYTES;
        if let (Some(capacity), Phase::Steering) = (self.capacity.get(), self.phase) {
            let loop_us = trips.min + self.ticks_us;
            let in_a_loop = (u128::from(capacity) * u128::from(loop_us) / 1_000_000) as u64;
            most = most.min(in_a_loop * 5 / 4 + WINDOW_MIN_BYTES);
        }
        let least = over_loop(self.rate_min).max(WINDOW_MIN_BYTES);
        self.window = self.window.min(most).max(least);
    }
}

/// Microseconds.
#[derive(Debug, Clone, Copy)]
struct RoundTrips {
    min: u64,
    standing: u64,
    /// Of four round trips.
    low: u64,
    high: u64,
}

impl RoundTrips {
    fn queue_us(&self) -> u64 {
        self.standing.saturating_sub(self.min)
    }

    /// How much the last round trips differ.
    fn spread_us(&self) -> u64 {
        self.high - self.low
    }
}

impl Controller for Copa {
    fn on_sent(&mut self, _: Instant, _: u64, _: u64) {}

    fn on_ack(&mut self, ack: &AckSample) {
        self.learn(ack);
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
        let over_loop = |bytes: u64| bytes.saturating_mul(1_000_000).checked_div(self.loop_us).unwrap_or(0);
        let capacity = self.capacity.get().unwrap_or(u64::MAX);
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

    fn window_bytes(&self) -> u64 {
        self.window
    }

    fn standing_rtt(&self) -> Option<Duration> {
        let (standing, _) = self.recent.range_since(Instant::from_us(u64::MAX))?;
        Some(Duration::from_us(standing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::congestion::DeliverySample;

    const TICK_MS: u64 = 16;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_ms(ms)
    }

    fn copa() -> Copa {
        Copa::new(32_000, 100_000_000)
    }

    /// A tick in which ten packets were acknowledged.
    fn ack(now_ms: u64, rtt_ms: u64) -> AckSample {
        AckSample {
            now: at(now_ms),
            acked_bytes: 10 * PACKET,
            path_rtt: Some(Duration::from_ms(rtt_ms)),
            loop_time: Duration::from_ms(rtt_ms + TICK_MS),
            delivery: Some(DeliverySample {
                rate_bytes_s: 10 * PACKET * 1_000 / TICK_MS,
                app_limited: false,
            }),
            in_flight_bytes: 2 * PACKET,
            is_limited: true,
        }
    }

    /// So many ticks of it, from tick `from` on; gives the next.
    fn ticks(copa: &mut Copa, from: u64, count: u64, rtt_ms: u64) -> u64 {
        for n in from..from + count {
            copa.on_ack(&ack(n * TICK_MS, rtt_ms));
        }
        from + count
    }

    #[test]
    fn an_unknown_line_gets_the_first_window_at_the_first_pace() {
        let copa = copa();
        assert_eq!((copa.window_bytes(), copa.rate_bytes_s()), (INITIAL_WINDOW_BYTES, INITIAL_RATE_BYTES_S));
    }

    #[test]
    fn it_doubles_until_there_is_a_queue() {
        let mut copa = copa();
        let next = ticks(&mut copa, 0, 4, 50);
        assert_eq!(copa.window_bytes(), INITIAL_WINDOW_BYTES + 40 * PACKET);
        ticks(&mut copa, next, 2, 80);
        assert_eq!(copa.phase, Phase::Steering);
        // 750,000 bytes a second over 66 ms, and a quarter: what the line carries, not what was tried.
        assert!(copa.window_bytes() <= 67_000, "{}", copa.window_bytes());
        assert!(copa.rate_bytes_s() <= 750_000 * 5 / 4);
    }

    #[test]
    fn a_queue_closes_the_window_and_an_empty_one_opens_it() {
        let mut copa = copa();
        let next = ticks(&mut copa, 0, 10, 50);
        let next = ticks(&mut copa, next, 5, 60);
        let full = copa.window_bytes();
        let next = ticks(&mut copa, next, 40, 90);
        let closed = copa.window_bytes();
        assert!(closed < full * 3 / 4, "{full} {closed}");
        ticks(&mut copa, next, 40, 50);
        assert!(copa.window_bytes() > closed * 5 / 4, "{closed} {}", copa.window_bytes());
    }

    #[test]
    fn a_flow_that_is_not_held_back_learns_nothing_and_forgets_in_time() {
        let mut copa = copa();
        let next = ticks(&mut copa, 0, 60, 50);
        let window = copa.window_bytes();
        assert!(window > INITIAL_WINDOW_BYTES);
        for n in next..next + 600 {
            copa.on_ack(&AckSample { is_limited: false, ..ack(n * TICK_MS, 500) });
            assert_eq!(copa.window_bytes(), window, "tick {n}");
        }
        for n in next + 600..next + 700 {
            copa.on_ack(&AckSample { is_limited: false, ..ack(n * TICK_MS, 50) });
        }
        assert_eq!(copa.window_bytes(), INITIAL_WINDOW_BYTES);
    }

    #[test]
    fn a_line_that_becomes_too_slow_for_what_is_offered_closes_the_window_all_the_same() {
        let mut copa = copa();
        let mut next = ticks(&mut copa, 0, 60, 50);
        let window = copa.window_bytes();
        // Half a window is offered and no more; the queue grows.
        for n in next..next + 30 {
            let ack = AckSample { is_limited: false, in_flight_bytes: window / 2, ..ack(n * TICK_MS, 90) };
            copa.on_ack(&ack);
        }
        next += 30;
        assert!(copa.window_bytes() < window / 2, "{window} {}", copa.window_bytes());
        // It is held back now, and opens again with the line.
        let closed = copa.window_bytes();
        ticks(&mut copa, next, 40, 50);
        assert!(copa.window_bytes() > closed);
    }

    #[test]
    fn a_long_flow_drains_now_and_then_and_a_short_burst_does_not() {
        let drains = |copa: &Copa| matches!(copa.phase, Phase::Draining { .. });
        let mut long = copa();
        let mut short = copa();
        let mut seen = [0, 0];
        for n in 0..600 {
            // Ten ticks of every two seconds, from the times on at which all drain.
            let is_limited = n % 125 < 10;
            long.on_ack(&ack(n * TICK_MS, 50 + 10 * u64::from(n > 20)));
            short.on_ack(&AckSample { is_limited, ..ack(n * TICK_MS, 50 + 10 * u64::from(n > 20)) });
            seen[0] += u32::from(drains(&long));
            seen[1] += u32::from(drains(&short));
        }
        assert!(seen[0] > 8 && seen[1] == 0, "{seen:?}");
    }

    #[test]
    fn a_silence_starts_it_again_and_what_was_lost_in_it_does_not_count() {
        let mut copa = copa();
        ticks(&mut copa, 0, 60, 50);
        copa.on_silence(at(3_000));
        assert_eq!((copa.window_bytes(), copa.phase), (INITIAL_WINDOW_BYTES, Phase::SlowStart));
        for _ in 0..200 {
            copa.on_lost(&LossSample { sent_at: at(2_900), bytes: PACKET });
        }
        copa.on_ack(&ack(3_100, 50));
        assert!(copa.window_bytes() >= INITIAL_WINDOW_BYTES);
    }

    #[test]
    fn a_little_loss_is_ignored_and_a_lot_is_not() {
        for (lost_of_ten, is_answered) in [(0, false), (1, false), (3, true)] {
            let mut copa = copa();
            let mut smaller = false;
            for n in 0..200 {
                let before = copa.window_bytes();
                // One in ten every other tick: 5 %.
                let lost = if lost_of_ten == 1 { n % 2 } else { lost_of_ten };
                for _ in 0..lost {
                    copa.on_lost(&LossSample { sent_at: at(n * TICK_MS), bytes: PACKET });
                }
                copa.on_ack(&ack(n * TICK_MS, 50));
                // A drain closes the window too, and says so.
                let drains = matches!(copa.phase, Phase::Draining { .. });
                smaller |= !drains && copa.window_bytes() < before * 4 / 5;
            }
            assert_eq!(smaller, is_answered, "{lost_of_ten} of ten");
        }
    }

    #[test]
    fn the_floor_holds_through_anything() {
        let mut copa = copa();
        let mut random = 1u64;
        for n in 0..5_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let rtt_ms = 1 + (random >> 40) % 3_000;
            if random.is_multiple_of(5) {
                copa.on_lost(&LossSample { sent_at: at(n * TICK_MS), bytes: 20 * PACKET });
            }
            let rate_bytes_s = (random >> 33) % 1_000;
            let delivery = Some(DeliverySample { rate_bytes_s, app_limited: false });
            copa.on_ack(&AckSample { delivery, ..ack(n * TICK_MS, rtt_ms) });
            assert!(copa.rate_bytes_s() >= 32_000 && copa.window_bytes() >= WINDOW_MIN_BYTES);
        }
    }
}
