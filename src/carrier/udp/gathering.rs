//! When the thread looks at its socket.
//!
//! While little comes, the socket wakes the thread and each datagram is there at once. While much comes, that would be a
//! task switch for every datagram, most of which nobody waits for: what players want counts at ticks. So the thread
//! leaves the socket alone for a step at a time, and times its steps so that the last one ends just before a tick:
//!
//! ```text
//!     tick                                                     tick
//!      │ sent ─┐  │         │         │         │         │  look │
//!   ───┴───────┴──┴─────────┴─────────┴─────────┴─────────┴───┴───┴──▶
//!                 look      look      look      look      BEFORE_TICK
//! ```
//!
//! When a datagram came, the kernel has noted: what is measured by it does not depend on the steps.

use ninefold_protocol::time::{Duration, Instant};

/// The last look is so long before the tick: it takes the thread's waking, and opening what came since the one before.
const BEFORE_TICK: Duration = Duration::from_us(150);
/// What comes is counted over so long.
const SPAN: Duration = Duration::from_ms(20);
/// Datagrams in such a span from which on they are gathered: one in 312 us, some fifty clients.
const GATHERED_MIN: usize = 64;

/// Counts what comes and says when to look.
#[derive(Debug)]
pub struct Gathering {
    /// Zero: the socket always wakes the thread.
    step: Duration,
    span_ends_at: Instant,
    came: usize,
    is_on: bool,
}

impl Gathering {
    /// Looks at most `step` apart.
    pub fn new(step: Duration) -> Self {
        Gathering { step, span_ends_at: Instant::ZERO, came: 0, is_on: false }
    }

    /// Datagrams came, or none did.
    pub fn note(&mut self, now: Instant, datagrams: usize) {
        self.came += datagrams;
        if now >= self.span_ends_at {
            // A span that nobody looked at the end of was longer, and quiet.
            self.is_on =
                self.came >= GATHERED_MIN && now < self.span_ends_at + SPAN && self.step > Duration::ZERO;
            (self.came, self.span_ends_at) = (0, now + SPAN);
        }
    }

    /// When to look at the socket next; `None`: as soon as something comes. `tick_at` is when the next tick is due, as
    /// far as that is known.
    pub fn next_look(&self, now: Instant, tick_at: Instant) -> Option<Instant> {
        if !self.is_on {
            return None;
        }
        let last_us = tick_at.as_us().saturating_sub(BEFORE_TICK.as_us());
        let left_us = last_us.saturating_sub(now.as_us());
        // Whole steps before the last look, the first of them a step from now at most.
        let rest_us = left_us % self.step.as_us();
        let rest = if rest_us == 0 { self.step } else { Duration::from_us(rest_us) };
        Some(now + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_ms(1);

    fn us(us: u64) -> Instant {
        Instant::from_us(us)
    }

    /// One that has counted `datagrams` in each of three spans.
    fn after(datagrams: usize, step: Duration) -> (Gathering, Instant) {
        let mut gathering = Gathering::new(step);
        let mut now = us(1_000_000);
        for _ in 0..3 * 20 {
            gathering.note(now, datagrams / 20);
            now += Duration::from_ms(1);
        }
        (gathering, now)
    }

    #[test]
    fn few_datagrams_wake_the_thread_each() {
        let (gathering, now) = after(40, STEP);
        assert_eq!(gathering.next_look(now, now + STEP), None);
    }

    #[test]
    fn many_are_looked_at_in_steps_of_which_the_last_is_just_before_the_tick() {
        let (gathering, mut now) = after(100, STEP);
        let tick_at = now + Duration::from_us(16_667);
        let mut looks = Vec::new();
        while looks.len() < 17 {
            let look = gathering.next_look(now, tick_at).unwrap();
            assert!(look > now && look <= now + STEP);
            looks.push(tick_at.as_us() - look.as_us());
            now = look;
        }
        assert_eq!(looks[0], 16_150);
        assert_eq!(looks[16], BEFORE_TICK.as_us());
    }

    #[test]
    fn while_a_tick_runs_the_steps_go_on() {
        let (gathering, now) = after(100, STEP);
        for tick_at in [Instant::ZERO, now, now + BEFORE_TICK] {
            assert_eq!(gathering.next_look(now, tick_at), Some(now + STEP));
        }
    }

    #[test]
    fn a_quiet_moment_ends_it() {
        let (mut gathering, now) = after(100, STEP);
        gathering.note(now + Duration::from_ms(60), 1);
        assert_eq!(gathering.next_look(now, now + STEP), None);
        let (mut gathering, now) = after(100, STEP);
        gathering.note(now + SPAN, 3);
        assert_eq!(gathering.next_look(now + SPAN, now), None);
    }

    #[test]
    fn without_a_step_it_never_begins() {
        let (gathering, now) = after(1_000, Duration::ZERO);
        assert_eq!(gathering.next_look(now, now), None);
    }
}
