//! Extremes over a window of time, in constant memory.

use crate::time::{Duration, Instant};

/// Parts that a window is cut into: a value is forgotten between 9/10 and all of the window after it came.
const PARTS: usize = 10;

/// The smallest value of a window of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowedMin {
    part_us: u64,
    /// Smallest value of each part, by the part's number modulo [`PARTS`].
    parts: [u64; PARTS],
    /// Number of the newest part.
    newest: u64,
    min: u64,
}

impl WindowedMin {
    pub fn new(window: Duration) -> Self {
        let part_us = (window.as_us() / PARTS as u64).max(1);
        WindowedMin { part_us, parts: [u64::MAX; PARTS], newest: 0, min: u64::MAX }
    }

    pub fn push(&mut self, now: Instant, value: u64) {
        let part = now.as_us() / self.part_us;
        if part > self.newest {
            for gone in 0..(part - self.newest).min(PARTS as u64) {
                self.parts[((part - gone) % PARTS as u64) as usize] = u64::MAX;
            }
            self.newest = part;
            self.min = self.parts.into_iter().min().unwrap_or(u64::MAX);
        }
        let slot = &mut self.parts[(self.newest % PARTS as u64) as usize];
        *slot = value.min(*slot);
        self.min = self.min.min(value);
    }

    /// `None` before the first value.
    pub fn get(&self) -> Option<u64> {
        (self.min != u64::MAX).then_some(self.min)
    }
}

/// Round trips that are remembered: at 60 acknowledgements a second, more than half a second.
const RECENT_MAX: usize = 32;

/// The newest values with their times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recent {
    values: [(Instant, u32); RECENT_MAX],
    count: usize,
    next: usize,
}

impl Recent {
    pub fn new() -> Self {
        Recent { values: [(Instant::ZERO, 0); RECENT_MAX], count: 0, next: 0 }
    }

    pub fn push(&mut self, now: Instant, value: u64) {
        self.values[self.next] = (now, u32::try_from(value).unwrap_or(u32::MAX));
        self.next = (self.next + 1) % RECENT_MAX;
        self.count = (self.count + 1).min(RECENT_MAX);
    }

    /// Smallest and largest since then; of the newest alone if it is older.
    pub fn range_since(&self, since: Instant) -> Option<(u64, u64)> {
        let newest_first = (1..=self.count).map(|back| {
            let (at, value) = self.values[(self.next + RECENT_MAX - back) % RECENT_MAX];
            (at, u64::from(value))
        });
        let newest = newest_first.clone().next()?.1;
        let within = newest_first.take_while(|(at, _)| *at >= since);
        Some(within.fold((newest, newest), |(min, max), (_, v)| (min.min(v), max.max(v))))
    }
}

/// The largest value of the last two rounds; rounds without a value change nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RoundsMax {
    before: u64,
    now: u64,
    began: Option<Instant>,
}

impl RoundsMax {
    pub fn push(&mut self, now: Instant, round: Duration, value: u64) {
        let began = *self.began.get_or_insert(now);
        if now.since(began) >= round {
            self.before = std::mem::take(&mut self.now);
            self.began = Some(now);
        }
        self.now = self.now.max(value);
    }

    /// `None` before the first value.
    pub fn get(&self) -> Option<u64> {
        self.began.map(|_| self.now.max(self.before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_ms(ms)
    }

    #[test]
    fn the_smallest_of_a_window_is_forgotten_with_it() {
        let mut min = WindowedMin::new(Duration::from_ms(1_000));
        assert_eq!(min.get(), None);
        min.push(at(0), 5);
        min.push(at(500), 9);
        assert_eq!(min.get(), Some(5));
        min.push(at(899), 9);
        assert_eq!(min.get(), Some(5));
        min.push(at(1_000), 8);
        assert_eq!(min.get(), Some(8));
        min.push(at(9_000), 70); // longer than the window: nothing is left of it
        assert_eq!(min.get(), Some(70));
    }

    #[test]
    fn the_newest_counts_even_when_it_is_older_than_asked_for() {
        let mut recent = Recent::new();
        assert_eq!(recent.range_since(at(0)), None);
        for ms in 0..100 {
            recent.push(at(ms), 1_000 - ms);
        }
        assert_eq!(recent.range_since(at(90)), Some((901, 910)));
        assert_eq!(recent.range_since(at(500)), Some((901, 901)));
        assert_eq!(recent.range_since(at(0)), Some((901, 932)));
    }

    #[test]
    fn the_largest_lives_through_one_round_more() {
        let mut max = RoundsMax::default();
        let round = Duration::from_ms(100);
        for (ms, value, expected) in
            [(0, 9, 9), (50, 3, 9), (100, 4, 9), (199, 5, 9), (200, 2, 5), (5_000, 1, 2)]
        {
            max.push(at(ms), round, value);
            assert_eq!(max.get(), Some(expected), "{ms}");
        }
    }
}
