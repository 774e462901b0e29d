//! The moment of the server's time at which others are shown.
//!
//! ```text
//!   server ticks   10    11    12    13    14         one snapshot each
//!   they come        ╲     ╲      ╲    ╲  ╲ (late)
//!   here           ───────10────11─────12──────13·14──────▶ now
//!                              ▲
//!                              shown: now, less the line's least delay, less what the arrivals scatter
//! ```
//!
//! The arrivals that took least tell how the two clocks lie to each other. How much later the others came,
//! together with the gap to the one before, is how far behind one has to stay for the next to be there in time.
//! That distance grows at once where arrivals ask for it and shrinks slowly; what is shown runs a tenth faster or
//! slower until it is there, so nothing jumps.

use ninefold_protocol::time::{Duration, Instant};

/// Others are never shown later than this behind the least delayed snapshot.
pub const INTERPOLATION_DELAY_MAX: Duration = Duration::from_ms(250);

/// The least delayed arrival counts for one to two spans of this long.
const LEAST_SPAN: Duration = Duration::from_secs(2);
/// Kept besides what arrivals ask for, since frames are not drawn at the moment of an arrival.
const MARGIN_US: i64 = 2_000;
/// One arrival makes the delay longer by this at most, since it may be the only one of its kind.
const GROW_US_MAX: i64 = 20_000;
/// By how much the delay shrinks in a second, in microseconds.
const SHRINK_US_PER_S: i64 = 5_000;
/// What is shown goes by one part in so many faster or slower until it is where it should be.
const SLEW_ONE_IN: i64 = 10;
/// So many arrivals in a row that are later than any delay mean that the server's time has moved.
const LATE_IN_A_ROW_MAX: u32 = 8;
/// Further off than this nothing is slewed.
const OFF_US_MAX: i64 = 1_000_000;

/// The clock of what is shown. Server ticks count from the first snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Playback {
    hz: i64,
    /// The newest snapshot's tick.
    newest: Option<i64>,
    newest_at: Instant,
    least: Least,
    /// How far behind the least delayed snapshot to stay.
    delay_us: i64,
    /// Where it was at a time, and how far that was from where it should have been.
    anchor_at: Instant,
    anchor_us: i64,
    off_us: i64,
    late_in_a_row: u32,
    /// The mean deviation of arrivals from the least delayed one.
    jitter_us: i64,
}

/// The least of this span and of the one before.
#[derive(Debug, Clone, Copy)]
struct Least {
    began: Instant,
    now_us: i64,
    before_us: i64,
}

impl Least {
    fn new(now: Instant, us: i64) -> Least {
        Least { began: now, now_us: us, before_us: us }
    }

    fn take(&mut self, now: Instant, us: i64) -> i64 {
        if now.since(self.began) >= LEAST_SPAN {
            *self = Least { began: now, now_us: us, before_us: self.now_us };
        }
        self.now_us = self.now_us.min(us);
        self.get()
    }

    fn get(&self) -> i64 {
        self.now_us.min(self.before_us)
    }
}

impl Playback {
    pub fn new(now: Instant, tick_rate_hz: u16) -> Self {
        let hz = i64::from(tick_rate_hz.max(1));
        Playback {
            hz,
            newest: None,
            newest_at: now,
            least: Least::new(now, 0),
            delay_us: 1_000_000 / hz + MARGIN_US,
            anchor_at: now,
            anchor_us: 0,
            off_us: 0,
            late_in_a_row: 0,
            jitter_us: 0,
        }
    }

    fn us(&self, tick: i64) -> i64 {
        tick.saturating_mul(1_000_000) / self.hz
    }

    /// Takes the arrival of a snapshot that is newer than all before it. `moves` says whether anything moved in the
    /// one before: while nothing does, snapshots are rare and their gaps mean nothing.
    pub fn arrived(&mut self, now: Instant, tick: i64, moves: bool) {
        let local_us = i64::try_from(now.as_us()).unwrap_or(i64::MAX);
        let Some(before) = self.newest.replace(tick) else {
            (self.least, self.newest_at) = (Least::new(now, local_us - self.us(tick)), now);
            return self.anchor(now, self.us(tick) - self.delay_us, 0);
        };
        let gap = if moves { tick - before } else { 1 };
        let offset_us = local_us.saturating_sub(self.us(tick));
        let mut late_us = offset_us - self.least.take(now, offset_us);
        let is_late = late_us > INTERPOLATION_DELAY_MAX.as_us() as i64;
        self.late_in_a_row = if is_late { self.late_in_a_row + 1 } else { 0 };
        let moved = self.late_in_a_row >= LATE_IN_A_ROW_MAX;
        if moved {
            (self.least, self.late_in_a_row, late_us) = (Least::new(now, offset_us), 0, 0);
        }
        self.jitter_us += (late_us - self.jitter_us) / 16;
        self.adapt(now, late_us + self.us(gap) + MARGIN_US);
        let wanted_us = local_us - self.least.get() - self.delay_us;
        let shown_us = self.us_at(now);
        let off_us = wanted_us - shown_us;
        match moved || off_us.abs() > OFF_US_MAX {
            true => self.anchor(now, wanted_us, 0),
            false => self.anchor(now, shown_us, off_us),
        }
    }

    fn anchor(&mut self, now: Instant, us: i64, off_us: i64) {
        (self.anchor_at, self.anchor_us, self.off_us) = (now, us, off_us);
    }

    /// Makes the delay fit an arrival that would have needed this one.
    fn adapt(&mut self, now: Instant, needed_us: i64) {
        let passed_us = now.since(self.newest_at).as_us().min(1_000_000) as i64;
        self.newest_at = now;
        let least_us = self.us(1);
        let most_us = (INTERPOLATION_DELAY_MAX.as_us() as i64).max(least_us);
        if needed_us > self.delay_us {
            self.delay_us += (needed_us - self.delay_us).min(GROW_US_MAX);
        } else {
            let shrunk_us = self.delay_us - passed_us * SHRINK_US_PER_S / 1_000_000;
            self.delay_us = shrunk_us.max(needed_us);
        }
        self.delay_us = self.delay_us.clamp(least_us, most_us);
    }

    /// Something that moves had to be guessed for so many ticks, although snapshots came: there was no room in them
    /// to say where it is. So one has to stay further behind.
    pub fn was_ahead(&mut self, now: Instant, ticks: f64) {
        if ticks > 0.0 {
            let us = (ticks * 1e6 / self.hz as f64) as i64;
            self.adapt(now, self.delay_us.saturating_add(us));
        }
    }

    fn us_at(&self, now: Instant) -> i64 {
        let passed_us = now.since(self.anchor_at).as_us().min(i64::MAX as u64 / 2) as i64;
        let slewed_us = self.off_us.clamp(-passed_us / SLEW_ONE_IN, passed_us / SLEW_ONE_IN);
        self.anchor_us.saturating_add(passed_us).saturating_add(slewed_us)
    }

    /// Ticks a second.
    pub fn hz(&self) -> f64 {
        self.hz as f64
    }

    /// Which tick is shown, counted from the first.
    pub fn tick_at(&self, now: Instant) -> f64 {
        self.us_at(now) as f64 * self.hz as f64 / 1e6
    }

    /// How far behind the least delayed snapshots it is.
    pub fn delay(&self, now: Instant) -> Duration {
        if self.newest.is_none() {
            return Duration::ZERO;
        }
        let local_us = i64::try_from(now.as_us()).unwrap_or(i64::MAX);
        let behind_us = local_us.saturating_sub(self.least.get()).saturating_sub(self.us_at(now));
        Duration::from_us(behind_us.max(0) as u64)
    }

    /// How late snapshots come in the mean, measured from the least delayed one.
    pub fn jitter(&self) -> Duration {
        Duration::from_us(self.jitter_us.max(0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(us: u64) -> Instant {
        Instant::from_us(us)
    }

    /// Snapshots at 60 Hz that take 50 ms and up to `late_us` more; tells the least and the most distance that
    /// was left between what is shown and the newest snapshot, in microseconds, in the last two thirds.
    fn play(late_us: &mut dyn FnMut(u64) -> Option<u64>, ticks: u64) -> (Playback, i64, i64) {
        let mut arrivals: Vec<_> =
            (0..ticks).filter_map(|n| Some((n * 16_667 + 50_000 + late_us(n)?, n as i64))).collect();
        arrivals.sort_unstable();
        let mut playback = Playback::new(at(0), 60);
        let (mut newest, mut least, mut most) = (None::<i64>, i64::MAX, i64::MIN);
        for (now_us, tick) in arrivals {
            if newest.is_some_and(|newest| newest > tick) {
                continue;
            }
            if let Some(newest) = newest.filter(|_| tick > ticks as i64 / 3) {
                let shown_us = playback.us_at(at(now_us));
                let left_us = playback.us(newest) - shown_us;
                (least, most) = (least.min(left_us), most.max(left_us));
            }
            playback.arrived(at(now_us), tick, true);
            newest = Some(tick);
        }
        (playback, least, most)
    }

    #[test]
    fn on_a_steady_line_it_stays_a_tick_and_a_little_behind() {
        let (playback, least, most) = play(&mut |_| Some(0), 3_000);
        assert!(least >= 1_000 && most <= 4_000, "{least} to {most}");
        assert!((16_667..=20_700).contains(&playback.delay(at(2_999 * 16_667 + 50_000)).as_us()));
        assert!(playback.jitter().as_us() < 100);
    }

    #[test]
    fn under_jitter_it_stays_behind_as_far_as_arrivals_scatter() {
        let mut state = 7_u64;
        let mut draw = move |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % bound
        };
        let (playback, least, _) = play(&mut |_| (draw(20) != 0).then(|| draw(20_000)), 6_000);
        let delay_us = playback.delay(at(5_999 * 16_667 + 60_000)).as_us();
        assert!((30_000..90_000).contains(&delay_us), "{delay_us}");
        // The worst of a hundred seconds: three lost in a row.
        assert!(least > -60_000, "{least}");
        assert!((3_000..20_000).contains(&playback.jitter().as_us()), "{:?}", playback.jitter());
    }

    #[test]
    fn a_line_that_becomes_longer_is_followed_without_a_jump() {
        let mut playback = Playback::new(at(0), 60);
        let (mut shown_us, mut now_us) = (None::<i64>, 0);
        for n in 0..1_200_u64 {
            let delay_us = if n < 300 { 20_000 } else { 120_000 };
            let arrives_us = n * 16_667 + delay_us;
            // Frames at 500 Hz until then.
            while now_us < arrives_us {
                now_us += 2_000;
                let is_us = playback.us_at(at(now_us));
                if let Some(was_us) = shown_us.filter(|_| n > 1) {
                    assert!((1_790..=2_210).contains(&(is_us - was_us)), "{} us at {n}", is_us - was_us);
                }
                shown_us = Some(is_us);
            }
            playback.arrived(at(now_us), n as i64, true);
        }
        let left_us = playback.us(1_199) - playback.us_at(at(now_us));
        assert!((0..60_000).contains(&left_us), "{left_us}");
    }

    #[test]
    fn a_server_whose_time_stood_still_is_found_again() {
        let mut playback = Playback::new(at(0), 60);
        for n in 0..120_u64 {
            playback.arrived(at(n * 16_667), n as i64, true);
        }
        for n in 120..140_u64 {
            playback.arrived(at(n * 16_667 + 5_000_000), n as i64, true);
        }
        let now = at(139 * 16_667 + 5_000_000);
        let left_us = playback.us(139) - playback.us_at(now);
        assert!((0..=300_000).contains(&left_us), "{left_us}");
    }

    proptest! {
        /// Whatever ticks come, whenever: what is shown goes on, at most a tenth faster or slower but for leaps.
        #[test]
        fn no_arrivals_make_it_go_back(
            hz: u16, arrivals in proptest::collection::vec((0..3_000_000_u64, 1..1_i64 << 20), 1..200),
        ) {
            let mut playback = Playback::new(at(0), hz);
            let (mut now_us, mut tick) = (0, 0_i64);
            for (passed_us, ahead) in arrivals {
                now_us += passed_us;
                tick += ahead;
                playback.arrived(at(now_us), tick, true);
                let (now, later) = (playback.us_at(at(now_us)), playback.us_at(at(now_us + 10_000)));
                prop_assert!((9_000..=11_000).contains(&(later - now)));
                let most_us = INTERPOLATION_DELAY_MAX.as_us().max(1_000_000 / u64::from(hz.max(1)) + 2_000);
                prop_assert!(playback.delay_us as u64 <= most_us);
            }
        }
    }
}
