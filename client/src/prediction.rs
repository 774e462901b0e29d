//! The player's own movement, shown at once: every input is walked here as the server will walk it.
//!
//! ```text
//!   confirmed      unconfirmed inputs, each with the mover after it
//!   mover, doors ──┬── 41 ──┬── 42 ──┬── 43 ──▶ shown
//!                  └ snapshot says: this is the mover after 41
//! ```
//!
//! The state after an input follows from the inputs up to it and the world alone, so the server's word on
//! an input is compared to the bit with what was predicted for it. Where they are equal, nothing moves. Where
//! they are not (somebody else closed a door, the game pushed the player), the server is right: its mover is
//! taken and the inputs that it has not seen yet are walked again. The simulation is exact from then on; only
//! what is shown goes there over a moment.

use std::collections::VecDeque;

use ninefold_protocol::frame::PlayerInput;
use ninefold_protocol::snapshot::OwnState;
use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::{Chunk, ChunkCoord, Loaded, Mover, Pace, Position, Walk, Wish, door_in_reach, walk};

use crate::doors::{KnownDoors, Turned};

/// Inputs without the server's word that are remembered; beyond them the player stands until it comes.
pub const UNCONFIRMED_INPUTS_MAX: usize = 128;
/// A correction is shown over this time.
pub const CORRECTION_SHOWN_FOR: Duration = Duration::from_ms(150);
/// One that is longer is a jump, in units.
pub const JUMP_UNITS: f64 = 64.0;

/// Grains in one unit of [`OwnState`].
const GRAINS_PER_UNIT: f64 = 1_024.0;

/// The prediction of one player.
#[derive(Debug)]
pub(crate) struct Prediction {
    pace: Pace,
    period: Duration,
    /// The number of the newest input, 0 before the first.
    newest: u32,
    /// Those that the server has not confirmed, up to the newest.
    steps: VecDeque<Step>,
    confirmed: Option<Confirmed>,
    /// The mover and the doors after the newest input, and the mover before it.
    mover: Mover,
    doors: KnownDoors,
    before: Mover,
    /// When the newest input was due.
    due: Instant,
    /// More inputs are unconfirmed than are remembered.
    overrun: bool,
    /// What is shown besides the prediction, so that nothing jumps; it fades from then on.
    offset: [f64; 3],
    offset_since: Instant,
    counts: PredictionCounts,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    input: PlayerInput,
    due: Instant,
    after: Mover,
    turned: Option<Turned>,
}

/// The server's newest word.
#[derive(Debug, Clone, Copy)]
struct Confirmed {
    number: u32,
    /// The buttons of that input.
    buttons: u16,
    mover: Mover,
    doors: KnownDoors,
    state: u32,
}

/// What became of predictions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PredictionCounts {
    /// Words of the server that were as predicted.
    pub confirmations: u64,
    /// Those that were not.
    pub corrections: u64,
    /// How far off the last of those was, in units, and the worst.
    pub last_error_units: f64,
    pub worst_error_units: f64,
}

/// What the server's word led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is about an input that was confirmed before or never made.
    Refused,
    /// It is the first one, or as predicted, or so near that it can be shown smoothly.
    Taken,
    /// The player is elsewhere.
    Jumped,
}

/// The player as it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnView {
    /// The middle between its feet.
    pub position: Position,
    /// How fast it moves: eastward, upward, southward, in units per second.
    pub velocity: [f64; 3],
    /// Whether it stands.
    pub on_ground: bool,
    /// Where it looks, 65,536 to the full turn: 0 is east, a quarter is south.
    pub yaw: u16,
    /// What the game has to say of it.
    pub state: u32,
}

impl Prediction {
    pub fn new(now: Instant, pace: Pace) -> Self {
        Prediction {
            pace,
            period: Duration::from_us(1_000_000 / u64::from(pace.tick_rate_hz.max(1))),
            newest: 0,
            steps: VecDeque::with_capacity(UNCONFIRMED_INPUTS_MAX),
            confirmed: None,
            mover: Mover::default(),
            doors: KnownDoors::default(),
            before: Mover::default(),
            due: now,
            overrun: false,
            offset: [0.0; 3],
            offset_since: now,
            counts: PredictionCounts::default(),
        }
    }

    pub fn counts(&self) -> &PredictionCounts {
        &self.counts
    }

    /// The number of the newest input and the mover after it, once the server has said where the player is.
    pub fn newest(&self) -> Option<(u32, Mover)> {
        self.confirmed.map(|_| (self.newest, self.mover))
    }

    /// The number of the newest input that the server has confirmed, 0 before the first.
    pub fn confirmed(&self) -> Option<u32> {
        self.confirmed.map(|confirmed| confirmed.number)
    }

    /// The doors as the player has them.
    pub fn doors(&self) -> &KnownDoors {
        &self.doors
    }

    /// The inputs that the server has not confirmed, oldest first, and the number of the newest.
    pub fn unconfirmed(&self) -> (u32, impl DoubleEndedIterator<Item = PlayerInput> + ExactSizeIterator) {
        (self.newest, self.steps.iter().map(|step| step.input))
    }

    /// When an unconfirmed input was due.
    pub fn due(&self, number: u32) -> Option<Instant> {
        let back = self.newest.checked_sub(number)?;
        let place = (self.steps.len() as u32).checked_sub(back + 1)?;
        self.steps.get(place as usize).map(|step| step.due)
    }

    /// Makes the next input of what the player wants and walks it. Where a chunk that is not here is in the
    /// way, the wish to move is dropped: the server, which has the chunk, would go where this client cannot
    /// follow.
    pub fn tick<'a>(
        &mut self,
        chunk_at: &impl Fn(ChunkCoord) -> Option<&'a Chunk>,
        due: Instant,
        wanted: PlayerInput,
    ) -> PlayerInput {
        let held = self.steps.back().map(|step| step.input.buttons);
        let held = held.or(self.confirmed.map(|c| c.buttons)).unwrap_or_default();
        if self.steps.len() == UNCONFIRMED_INPUTS_MAX {
            self.steps.pop_front();
            self.overrun = true;
        }
        let (mut input, mut turned) = (wanted, None);
        self.before = self.mover;
        if self.confirmed.is_some() && !self.overrun {
            let doors = self.doors;
            let (mut went, did) = self.advance(chunk_at, self.mover, &input, held);
            turned = did;
            if went.missing > 0 && (input.move_x, input.move_z) != (0, 0) {
                (input.move_x, input.move_z) = (0, 0);
                self.doors = doors;
                (went, turned) = self.advance(chunk_at, self.mover, &input, held);
            }
            self.mover = went.mover;
        }
        self.newest = self.newest.saturating_add(1);
        self.due = due;
        self.steps.push_back(Step { input, due, after: self.mover, turned });
        input
    }

    /// One tick as the server does it: the door first, then the walk.
    fn advance<'a>(
        &mut self,
        chunk_at: &impl Fn(ChunkCoord) -> Option<&'a Chunk>,
        mover: Mover,
        input: &PlayerInput,
        held: u16,
    ) -> (Walk, Option<Turned>) {
        let uses = input.buttons & !held & PlayerInput::USE != 0;
        let turned = uses.then(|| self.door_to_turn(chunk_at, mover.position, input.yaw)).flatten();
        if let Some(turned) = turned {
            self.doors.turn(turned);
        }
        let doors = self.doors;
        let loaded = |coord| chunk_at(coord).map(|chunk| Loaded { chunk, open_doors: doors.of(coord) });
        let (x, z) = input.wish();
        let jump = input.buttons & PlayerInput::JUMP != 0;
        (walk(&loaded, mover, Wish { x, z, jump }, self.pace), turned)
    }

    fn door_to_turn<'a>(
        &self,
        chunk_at: &impl Fn(ChunkCoord) -> Option<&'a Chunk>,
        at: Position,
        yaw: u16,
    ) -> Option<Turned> {
        let (chunk, door) = door_in_reach(chunk_at, at, yaw)?;
        let is_open = self.doors.of(chunk).contains(door);
        let is_blocked = is_open && chunk_at(chunk)?.door_is_blocked(door, at, 0.0);
        (!is_blocked).then_some(Turned { chunk, door, open: !is_open })
    }

    /// Takes the server's word: `own` is the mover after the input with these low bits, `doors` are those of
    /// the same tick.
    pub fn confirm<'a>(
        &mut self,
        now: Instant,
        chunk_at: &impl Fn(ChunkCoord) -> Option<&'a Chunk>,
        input: u16,
        own: &OwnState,
        open_doors: [u32; 9],
    ) -> Verdict {
        let mover = mover_of(own);
        let doors = KnownDoors::new(ChunkCoord { cx: own.cx, cz: own.cz }, open_doors);
        let back = u32::from((self.newest as u16).wrapping_sub(input));
        let at_least = self.confirmed.map_or(0, |c| c.number);
        let Some(number) = self.newest.checked_sub(back).filter(|number| *number >= at_least) else {
            return Verdict::Refused;
        };
        let predicted = self.drop_until(number);
        let first = self.confirmed.is_none();
        let was_overrun = std::mem::take(&mut self.overrun);
        let shown = self.shown(now);
        let buttons = predicted.map_or(0, |p| p.buttons);
        self.confirmed = Some(Confirmed { number, buttons, mover, doors, state: own.state });
        if let Some(Confirmed { mover: predicted, doors: expected, .. }) = predicted {
            let is_right = predicted == mover;
            if is_right && !was_overrun && expected.agrees_with(&doors) {
                self.counts.confirmations += 1;
                return Verdict::Taken;
            }
            self.count(is_right, distance(predicted.position, mover.position));
        }
        self.replay(chunk_at);
        if first || self.settle(now, shown) { Verdict::Taken } else { Verdict::Jumped }
    }

    /// Forgets the inputs up to this one and tells what was predicted for it; `None` if nobody knows.
    fn drop_until(&mut self, number: u32) -> Option<Confirmed> {
        let after = (self.newest - number) as usize;
        let dropped = self.steps.len().saturating_sub(after);
        let mut at = self.confirmed;
        for step in self.steps.drain(..dropped) {
            let Some(at) = &mut at else { continue };
            if let Some(turned) = step.turned {
                at.doors.turn(turned);
            }
            (at.mover, at.buttons) = (step.after, step.input.buttons);
        }
        // One that fell out of the remembered ones is not compared.
        at.filter(|at| dropped > 0 || number == at.number)
    }

    fn count(&mut self, is_right: bool, error_units: f64) {
        if is_right {
            self.counts.confirmations += 1;
            return;
        }
        self.counts.corrections += 1;
        self.counts.last_error_units = error_units;
        self.counts.worst_error_units = self.counts.worst_error_units.max(error_units);
    }

    /// Walks all unconfirmed inputs again, from the server's word: for a word that was not expected, and when
    /// a chunk has come or gone.
    pub fn replay<'a>(&mut self, chunk_at: &impl Fn(ChunkCoord) -> Option<&'a Chunk>) {
        let Some(confirmed) = self.confirmed else { return };
        (self.mover, self.before, self.doors) = (confirmed.mover, confirmed.mover, confirmed.doors);
        let mut held = confirmed.buttons;
        for index in 0..self.steps.len() {
            let input = self.steps[index].input;
            let (went, turned) = self.advance(chunk_at, self.mover, &input, held);
            (self.before, self.mover) = (self.mover, went.mover);
            held = input.buttons;
            let step = &mut self.steps[index];
            (step.after, step.turned) = (went.mover, turned);
        }
    }

    /// The world has changed: what is unconfirmed is walked again, and what it changes is shown smoothly.
    /// Tells whether it could be.
    pub fn world_changed<'a>(
        &mut self,
        now: Instant,
        chunk_at: &impl Fn(ChunkCoord) -> Option<&'a Chunk>,
    ) -> bool {
        if self.confirmed.is_none() || self.overrun {
            return true;
        }
        let shown = self.shown(now);
        self.replay(chunk_at);
        self.settle(now, shown)
    }

    /// Goes on showing what was shown, and lets the difference fade; `false` where it is too far for that.
    fn settle(&mut self, now: Instant, shown: [f64; 3]) -> bool {
        self.offset = [0.0; 3];
        let is_now = self.shown(now);
        let offset: [f64; 3] = std::array::from_fn(|i| shown[i] - is_now[i]);
        let is_near = offset.iter().map(|d| d * d).sum::<f64>() <= JUMP_UNITS * JUMP_UNITS;
        if is_near {
            (self.offset, self.offset_since) = (offset, now);
        }
        is_near
    }

    /// Where the player is shown: between the movers before and after the newest input.
    fn shown(&self, now: Instant) -> [f64; 3] {
        let share =
            |since: Duration, whole: Duration| (since.as_us() as f64 / whole.as_us().max(1) as f64).min(1.0);
        let along = share(now.since(self.due), self.period);
        let left = 1.0 - share(now.since(self.offset_since), CORRECTION_SHOWN_FOR);
        let [from, to] = [self.before, self.mover].map(|m| [m.position.x, m.position.y, m.position.z]);
        std::array::from_fn(|i| from[i] + (to[i] - from[i]) * along + self.offset[i] * left * left)
    }

    /// The player as it is to be shown; `yaw` is where it looks.
    pub fn view(&self, now: Instant, yaw: u16) -> Option<OwnView> {
        let confirmed = self.confirmed?;
        let [x, y, z] = self.shown(now);
        let a_second = f64::from(self.pace.tick_rate_hz);
        let velocity_x = (self.mover.position.x - self.before.position.x) * a_second;
        let velocity_z = (self.mover.position.z - self.before.position.z) * a_second;
        Some(OwnView {
            position: Position { x, y, z },
            velocity: [velocity_x, self.mover.velocity_y, velocity_z],
            on_ground: self.mover.on_ground,
            yaw,
            state: confirmed.state,
        })
    }
}

/// The mover that the server speaks of; exact.
pub(crate) fn mover_of(own: &OwnState) -> Mover {
    let (x0, z0) = ChunkCoord { cx: own.cx, cz: own.cz }.origin();
    let position = Position {
        x: x0 + f64::from(own.x) / GRAINS_PER_UNIT,
        y: f64::from(own.y) / GRAINS_PER_UNIT,
        z: z0 + f64::from(own.z) / GRAINS_PER_UNIT,
    };
    Mover { position, velocity_y: f64::from(own.velocity_y) / GRAINS_PER_UNIT, on_ground: own.on_ground }
}

fn distance(a: Position, b: Position) -> f64 {
    let (x, y, z) = (a.x - b.x, a.y - b.y, a.z - b.z);
    (x * x + y * y + z * z).sqrt()
}

#[cfg(test)]
mod tests;
