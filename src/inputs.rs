//! A client's inputs on their way into the simulation: in order, each once, one a tick.
//!
//! ```text
//!             next                 due            newest
//!   consumed ──┤ late: two a tick ──┤ early: wait ──┤
//! ```
//!
//! Inputs are numbered by the client's own tick. The newest of the first that come is due at once; from then on each tick makes
//! one more due, whether it is there or not. What is due and not there is waited for: the player stands still
//! and nothing is invented, so that the state after input N follows from the inputs up to N alone and the client
//! can predict it exactly. When it comes late, it and the one after it are taken in one tick until all that is
//! due was taken. So nobody is ever moved more often than there were ticks.
//!
//! How long before its tick an input came is its lead. The client is told the least lead of the last second and
//! steers its clock by that; so the buffer is as deep as the line's jitter asks for.

use std::mem::offset_of;

use ninefold_protocol::frame::{Inputs, PlayerInput};
use ninefold_protocol::time::{Duration, Instant};
use prefetch_index::prefetch_index;

/// Inputs that wait at most; what is further ahead of its time is refused.
pub const INPUTS_WAITING_MAX: u32 = 64;
/// So many of them come into the cache at once, about.
const INPUTS_PER_LINE: u32 = 6;
/// Inputs that one tick takes of a client at most.
pub const INPUTS_PER_TICK_MAX: usize = 2;
/// Ticks without input that a client may catch up with; what it missed beyond that is gone for its clock to find.
pub const CATCH_UP_TICKS_MAX: u32 = 16;
/// A number so far ahead cannot come of a clock that runs somewhat fast.
const NUMBERS_AHEAD_MAX: u32 = 1 << 16;
/// The lead is the least of two spans of so many ticks.
const LEAD_SPAN_TICKS: u32 = 30;
/// Frames with inputs far ahead of their time, less one for each tick, at which a client is told to go.
const FLOOD_MAX: u32 = 120;

/// The inputs of one client.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct InputBuffer {
    /// The next one to be taken; 0 until the first came.
    next: u32,
    /// All up to this one are due in the coming tick.
    due: u32,
    /// Ticks that passed while nothing came and that are not made up for.
    forgone: u32,
    /// The last one that was taken.
    last: PlayerInput,
    lead: LeadWindow,
    flood: u32,
    /// The next frame begins anew with its newest input.
    restarts: bool,
    /// By number, modulo its length; only those from `next` to `newest` mean anything.
    waiting: [Option<PlayerInput>; INPUTS_WAITING_MAX as usize],
}

/// Bytes at its beginning that are looked at in every tick.
pub const INPUTS_HEAD_BYTES: usize = offset_of!(InputBuffer, waiting);

/// What came of a frame of inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offered {
    /// Those that wait now and did not before.
    pub fresh: u32,
    /// Numbers that will never come: the client no longer repeats them.
    pub skipped: u32,
    /// Those that were refused because they are too far ahead.
    pub ahead: u32,
    /// Whether the client has sent too many for too long.
    pub flood: bool,
}

/// An input whose turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// What the player wants.
    pub input: PlayerInput,
    /// The buttons that were not held in the input before.
    pub pressed: u16,
}

impl Default for InputBuffer {
    fn default() -> Self {
        InputBuffer {
            waiting: [None; INPUTS_WAITING_MAX as usize],
            next: 0,
            due: 0,
            forgone: 0,
            last: PlayerInput::default(),
            lead: LeadWindow::default(),
            flood: 0,
            restarts: false,
        }
    }
}

impl InputBuffer {
    /// Takes a frame that came at `at`; `now` is the time of the coming [`InputBuffer::take`].
    pub fn offer(&mut self, now: Instant, at: Instant, period: Duration, inputs: &Inputs<'_>) -> Offered {
        let mut offered = Offered::default();
        let Some((first, _)) = inputs.iter().next() else { return offered };
        if self.next != 0 && inputs.newest.saturating_sub(self.next) > NUMBERS_AHEAD_MAX {
            offered.ahead = inputs.newest - first + 1;
            offered.flood = self.too_many();
            return offered;
        }
        if self.next == 0 || self.restarts {
            // What was wanted while there was nobody to want it is over.
            let newest = inputs.newest.max(self.next);
            self.waiting = [None; INPUTS_WAITING_MAX as usize];
            (self.next, self.due, self.forgone, self.restarts) = (newest, newest, 0, false);
        } else if first > self.next && self.slot(self.next).is_none() {
            // On with the newest, and those before it that may still be caught up with.
            let late = self.due.saturating_sub(self.next).min(CATCH_UP_TICKS_MAX);
            let next = first.max(inputs.newest.saturating_sub(late));
            offered.skipped = next - self.next;
            self.waiting = [None; INPUTS_WAITING_MAX as usize];
            let passed = (next + late).saturating_sub(self.due);
            (self.next, self.due, self.forgone) = (next, next + late, self.forgone.saturating_sub(passed));
        } else {
            offered.skipped = self.catch_up(inputs.newest);
        }
        for (number, input) in inputs.iter().filter(|(number, _)| *number >= self.next) {
            if number - self.next >= INPUTS_WAITING_MAX {
                offered.ahead += 1;
                continue;
            }
            let slot = &mut self.waiting[(number % INPUTS_WAITING_MAX) as usize];
            if slot.is_none() {
                *slot = Some(input);
                offered.fresh += 1;
                // From when it came to the tick in which it is due.
                let ticks = i64::from(number) - i64::from(self.due);
                let due_us = now.as_us() as i64 + ticks * period.as_us() as i64;
                self.lead.note(due_us - at.as_us() as i64);
            }
        }
        offered.flood = offered.ahead > 0 && self.too_many();
        offered
    }

    /// After a silence a carrier that queues brings all that was said in it: frame after frame, each a tick newer. What
    /// the silence lasted for is due, but for what may still be caught up with. Tells how many are left out.
    fn catch_up(&mut self, newest: u32) -> u32 {
        let passed = newest.saturating_sub(self.due).min(self.forgone);
        (self.due, self.forgone) = (self.due + passed, self.forgone - passed);
        let next = self.next.max(self.due.saturating_sub(CATCH_UP_TICKS_MAX));
        let skipped = next - self.next;
        for number in self.next..next.min(self.next + INPUTS_WAITING_MAX) {
            self.waiting[(number % INPUTS_WAITING_MAX) as usize] = None;
        }
        self.next = next;
        skipped
    }

    /// The player was out of the world for a while, and its inputs with it: it goes on with the newest.
    pub fn restart(&mut self) {
        self.restarts = self.next != 0;
    }

    fn slot(&self, number: u32) -> Option<PlayerInput> {
        self.waiting[(number % INPUTS_WAITING_MAX) as usize]
    }

    fn too_many(&mut self) -> bool {
        self.flood = (self.flood + 2).min(2 * FLOOD_MAX);
        self.flood > FLOOD_MAX
    }

    /// Hands out those that are due and there, at most two, and makes one more due. Each tick of a player that is
    /// in the world.
    pub fn take(&mut self) -> [Option<Taken>; INPUTS_PER_TICK_MAX] {
        let mut taken = [None; INPUTS_PER_TICK_MAX];
        self.flood = self.flood.saturating_sub(1);
        if self.next == 0 {
            return taken;
        }
        for slot in &mut taken {
            if self.next > self.due {
                break;
            }
            let Some(input) = self.waiting[(self.next % INPUTS_WAITING_MAX) as usize].take() else { break };
            *slot = Some(Taken { input, pressed: input.buttons & !self.last.buttons });
            self.last = input;
            self.next += 1;
        }
        let most = self.next.saturating_add(CATCH_UP_TICKS_MAX);
        self.forgone = self.forgone.saturating_add((self.due + 1).saturating_sub(most));
        self.due = (self.due + 1).min(most);
        self.lead.tick();
        taken
    }

    /// Has the places fetched from memory that the next input is taken from and those behind it are put into.
    pub fn fetch(&self) {
        for ahead in [0, INPUTS_PER_LINE] {
            prefetch_index(self.waiting.as_slice(), ((self.next + ahead) % INPUTS_WAITING_MAX) as usize);
        }
    }

    /// The last input that was taken; none at all before the first.
    pub fn last(&self) -> &PlayerInput {
        &self.last
    }

    /// The number of the last input that was taken, 0 before the first.
    pub fn last_taken(&self) -> u32 {
        self.next.saturating_sub(1)
    }

    /// The least lead of the last second; `None` when nothing came in it.
    pub fn lead_us(&self) -> Option<i64> {
        self.lead.least()
    }
}

/// The least lead of this span of ticks and of the one before.
#[derive(Debug, Clone, Copy, Default)]
struct LeadWindow {
    now: Option<i64>,
    before: Option<i64>,
    ticks: u32,
}

impl LeadWindow {
    fn note(&mut self, lead_us: i64) {
        self.now = Some(self.now.map_or(lead_us, |least| least.min(lead_us)));
    }

    fn tick(&mut self) {
        self.ticks += 1;
        if self.ticks == LEAD_SPAN_TICKS {
            *self = LeadWindow { now: None, before: self.now, ticks: 0 };
        }
    }

    fn least(&self) -> Option<i64> {
        self.now.into_iter().chain(self.before).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_protocol::frame::INPUTS_BYTES_MAX;
    use proptest::prelude::*;

    const PERIOD: Duration = Duration::from_us(16_666);

    /// A player whose inputs tell their own number.
    fn numbered(number: u32) -> PlayerInput {
        PlayerInput { yaw: number as u16, ..PlayerInput::default() }
    }

    struct Ticks {
        buffer: InputBuffer,
        now: Instant,
    }

    impl Ticks {
        fn new() -> Ticks {
            Ticks { buffer: InputBuffer::default(), now: Instant::from_us(1_000_000) }
        }

        /// Inputs `first` to `newest` came so many microseconds before the coming tick.
        fn offer(&mut self, before_us: u64, first: u32, newest: u32) -> Offered {
            let mut body = [0; INPUTS_BYTES_MAX];
            let inputs: Vec<_> = (first..=newest).map(numbered).collect();
            let bytes = Inputs::write(newest, inputs.into_iter(), &mut body);
            let at = self.now - Duration::from_us(before_us);
            self.buffer.offer(self.now, at, PERIOD, &Inputs::parse(&body[..bytes]).unwrap())
        }

        fn tick(&mut self) -> Vec<u16> {
            self.now += PERIOD;
            self.buffer.take().into_iter().flatten().map(|t| t.input.yaw).collect()
        }
    }

    #[test]
    fn inputs_are_taken_in_order_one_a_tick_however_often_they_come() {
        let mut ticks = Ticks::new();
        assert!(ticks.tick().is_empty());
        assert_eq!(ticks.offer(5_000, 1, 1).fresh, 1);
        assert_eq!(ticks.tick(), [1]);
        assert_eq!(ticks.offer(5_000, 1, 3).fresh, 2);
        assert_eq!(ticks.offer(4_000, 1, 3), Offered::default());
        assert_eq!((ticks.tick(), ticks.tick(), ticks.tick()), (vec![2], vec![3], vec![]));
    }

    #[test]
    fn what_a_silence_held_back_is_no_flood_when_it_comes_at_once() {
        let mut ticks = Ticks::new();
        ticks.offer(5_000, 1, 1);
        assert_eq!(ticks.tick(), [1]);
        // Two seconds of nothing; then a carrier that kept them brings all frames of that time, each with the last 32 inputs.
        (0..120).for_each(|_| assert!(ticks.tick().is_empty()));
        let offered: Vec<_> = (2..=121_u32)
            .map(|newest| ticks.offer(5_000, newest.saturating_sub(31).max(2), newest))
            .collect();
        assert!(offered.iter().all(|o| !o.flood && o.ahead == 0));
        assert_eq!(offered.iter().map(|o| o.skipped).sum::<u32>(), 121 - 16 - 2);
        let taken: Vec<_> = (0..3).flat_map(|_| ticks.tick()).collect();
        assert_eq!(taken, [105, 106, 107, 108, 109, 110]);
        // It is on time again: nothing is left to make up for, and no more are taken than ticks have passed.
        for newest in 122..=182 {
            let offered = ticks.offer(5_000, newest - 31, newest);
            assert_eq!((offered.fresh, offered.skipped, offered.flood), (1, 0, false));
            ticks.tick();
        }
        assert_eq!(ticks.buffer.last_taken(), 182);
    }

    #[test]
    fn nor_is_it_a_flood_where_the_first_of_it_was_lost() {
        let mut ticks = Ticks::new();
        ticks.offer(5_000, 1, 1);
        ticks.tick();
        (0..120).for_each(|_| assert!(ticks.tick().is_empty()));
        let offered: Vec<_> = (41..=121_u32).map(|newest| ticks.offer(5_000, newest - 31, newest)).collect();
        assert!(offered.iter().all(|o| !o.flood && o.ahead == 0), "{offered:?}");
        for newest in 122..=182 {
            ticks.offer(5_000, newest - 31, newest);
            ticks.tick();
        }
        assert_eq!(ticks.buffer.last_taken(), 182);
    }

    #[test]
    fn what_comes_late_is_caught_up_with_two_a_tick_and_no_more() {
        let mut ticks = Ticks::new();
        ticks.offer(5_000, 1, 1);
        assert_eq!(ticks.tick(), [1]);
        assert!(ticks.tick().is_empty() && ticks.tick().is_empty());
        ticks.offer(5_000, 2, 6);
        let taken: Vec<_> = (0..5).map(|_| ticks.tick()).collect();
        // 2, 3 and 4 were due; 5 and 6 are early.
        assert_eq!(taken, [vec![2, 3], vec![4, 5], vec![6], vec![], vec![]]);
    }

    #[test]
    fn the_least_lead_of_the_last_second_is_told() {
        let mut ticks = Ticks::new();
        assert_eq!(ticks.buffer.lead_us(), None);
        for number in 1..=100 {
            let before_us = if number == 10 { 500 } else { 6_000 };
            ticks.offer(before_us, number, number);
            ticks.tick();
            let expected = if (10..=60).contains(&number) { 500 } else { 6_000 };
            if !(60..90).contains(&number) {
                assert_eq!(ticks.buffer.lead_us(), Some(expected), "{number}");
            }
        }
        // One tick late, 2 ms before the next.
        ticks.tick();
        ticks.offer(2_000, 101, 101);
        assert_eq!(ticks.buffer.lead_us(), Some(2_000 - PERIOD.as_us() as i64));
    }

    #[test]
    fn what_is_never_repeated_is_skipped_and_told() {
        let mut ticks = Ticks::new();
        ticks.offer(5_000, 1, 1);
        ticks.tick();
        (0..20).for_each(|_| assert!(ticks.tick().is_empty()));
        // Sixteen ticks can be caught up with: what is older is over.
        assert_eq!(ticks.offer(5_000, 69, 100), Offered { fresh: 17, skipped: 82, ..Offered::default() });
        assert_eq!((ticks.tick(), ticks.tick()), (vec![84, 85], vec![86, 87]));
        assert!(ticks.buffer.lead_us().is_some_and(|lead| lead < 0));
    }

    #[test]
    fn who_sends_more_than_there_are_ticks_is_slowed_and_then_told_to_go() {
        let mut ticks = Ticks::new();
        let (mut number, mut taken, mut told_at) = (0, 0, None);
        for tick in 0..400 {
            let first = number + 1;
            number += 4;
            let flood = ticks.offer(5_000, first, number).flood;
            told_at = told_at.or(flood.then_some(tick));
            taken += ticks.tick().len();
        }
        assert!(taken <= 401, "{taken} in 400 ticks");
        assert!(told_at.is_some_and(|at| (60..300).contains(&at)), "{told_at:?}");
    }

    #[test]
    fn who_was_out_of_the_world_goes_on_with_its_newest_input() {
        let mut ticks = Ticks::new();
        for number in 1..=50_u32 {
            if number % 10 == 0 {
                // Put elsewhere: five inputs come while nobody is there.
                ticks.buffer.restart();
            } else if number % 10 > 5 {
                ticks.now += PERIOD;
                continue;
            }
            ticks.offer(5_000, number.saturating_sub(8).max(1), number);
            assert_eq!(ticks.tick(), [number as u16]);
        }
        assert_eq!((ticks.buffer.lead_us(), ticks.buffer.last_taken()), (Some(5_000), 50));
    }

    #[test]
    fn a_number_from_the_far_future_changes_nothing() {
        let mut ticks = Ticks::new();
        ticks.offer(5_000, 1, 1);
        ticks.tick();
        assert_eq!(ticks.offer(5_000, u32::MAX - 1, u32::MAX).ahead, 2);
        ticks.offer(5_000, 2, 2);
        assert_eq!(ticks.tick(), [2]);
    }

    #[test]
    fn a_button_is_pressed_once_however_long_it_is_held() {
        let mut buffer = InputBuffer::default();
        let held = PlayerInput { buttons: PlayerInput::USE, ..PlayerInput::default() };
        let mut body = [0; INPUTS_BYTES_MAX];
        let inputs = [PlayerInput::default(), held, held, PlayerInput::default(), held];
        for count in [1, 5] {
            let bytes = Inputs::write(count, inputs.into_iter().take(count as usize), &mut body);
            buffer.offer(Instant::ZERO, Instant::ZERO, PERIOD, &Inputs::parse(&body[..bytes]).unwrap());
        }
        let pressed: Vec<_> = (0..5).map(|_| buffer.take()[0].unwrap().pressed).collect();
        assert_eq!(pressed, [0, 2, 0, 0, 2]);
    }

    proptest! {
        /// However packets come, are lost or doubled: nobody is moved more often than there were ticks (and what it
        /// may catch up with), and numbers only rise.
        #[test]
        fn no_more_is_taken_than_there_were_ticks(
            frames in proptest::collection::vec((0..4_u32, 1..33_u32, 0..200_u32), 1..300),
        ) {
            let mut ticks = Ticks::new();
            let (mut taken, mut last, mut newest) = (0, 0, 1);
            for (tick, (step, count, odd)) in frames.iter().enumerate() {
                newest += if *odd == 0 { 10_000 } else { *step };
                ticks.offer(3_000, newest.saturating_sub(count - 1).max(1), newest);
                ticks.now += PERIOD;
                for one in ticks.buffer.take().into_iter().flatten() {
                    taken += 1;
                    prop_assert!(ticks.buffer.last_taken() > last || one.input.yaw > last as u16);
                }
                last = ticks.buffer.last_taken();
                prop_assert!(taken <= tick + 1 + CATCH_UP_TICKS_MAX as usize);
            }
        }
    }
}
