//! Whose queue it is: a flow that never sees an empty one closes its window for a moment and looks whether it goes.

use super::path::RoundTrips;
use super::{Copa, DRAIN_AFTER_LOOPS, DRAIN_FROM, Phase, TARGET_PACKETS, WINDOW_MIN_BYTES};
use crate::time::{Duration, Instant};

/// Drains begin at whole multiples of this on the sender's clock: flows of one server that share a bottleneck
/// drain together. So they do not take each other for strangers, and who came later does not take the others'
/// queue for a part of the path.
const DRAIN_EVERY: Duration = Duration::from_secs(2);
/// The same while competing.
const DRAIN_COMPETING_EVERY: Duration = Duration::from_secs(4);
/// Round trips that a drain may take to show.
const DRAIN_LOOPS_MAX: u64 = 2;
/// Competition that comes back within this is met as it was left.
const COMPETITION_REMEMBERED: Duration = Duration::from_secs(10);
/// Paths change in the midst of competition, too.
const RTT_BEFORE_BELIEVED: Duration = Duration::from_secs(60);

impl Copa {
    /// Finds out who fills the queue, if it is never empty.
    pub(super) fn look_for_competition(&mut self, now: Instant, trips: RoundTrips) {
        let is_empty =
            trips.queue_us() <= (trips.high.saturating_sub(trips.min) / 10).max(self.path.empty_queue_us());
        if is_empty {
            self.emptied_at = now;
        }
        let was_full = now.since(self.emptied_at) > self.path.loops(DRAIN_AFTER_LOOPS);
        let crossed = |every: Duration| now.as_us() / every.as_us() != self.looked_at.as_us() / every.as_us();
        let (is_time, is_time_competing) = (crossed(DRAIN_EVERY), crossed(DRAIN_COMPETING_EVERY));
        self.looked_at = now;
        // A short burst has better things to do.
        let is_long = now.since(self.limited_since) > self.path.loops(DRAIN_AFTER_LOOPS).max(DRAIN_FROM);
        match self.phase {
            Phase::SlowStart => {}
            Phase::Steering if is_time && is_long => self.drain(now, trips, was_full),
            Phase::Steering => {}
            Phase::Competing if is_empty => self.found_ours(now),
            Phase::Competing if is_time_competing => self.drain(now, trips, true),
            Phase::Competing => {}
            Phase::Draining { since, window, was_full, competing, queue_us } => {
                let is_gone = is_empty || trips.queue_us() <= queue_us;
                if is_gone && now.since(since) > self.path.loops(1) {
                    self.found_ours(now);
                } else if now.since(since) > self.path.loops(DRAIN_LOOPS_MAX) {
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
        let (Some(capacity), Some(without_queue)) = (self.path.capacity(), self.path.holds(trips, 9)) else {
            self.emptied_at = now;
            return;
        };
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
        self.path.believe(trips.min, now + RTT_BEFORE_BELIEVED);
        let (target, at) = self.left_competition;
        if now.since(at) < COMPETITION_REMEMBERED {
            self.target_packets = target;
        }
    }

    pub(super) fn found_ours(&mut self, now: Instant) {
        if self.target_packets > TARGET_PACKETS {
            self.left_competition = (self.target_packets, now);
        }
        self.path.believe_measured();
        self.phase = Phase::Steering;
        self.settle(now);
    }
}
