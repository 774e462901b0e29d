//! What is known of one entity over the last moments, and where that puts it.

use ninefold_protocol::snapshot::SnapshotEntity;
use ninefold_protocol::time::Instant;
use ninefold_world::Position;
use smallvec::SmallVec;

use super::EntityView;

/// Samples that are kept besides the newest: the longest delay at 120 ticks a second.
const PAST_SAMPLES_MAX: usize = 31;
/// So many of them stand in the track itself. What is no longer needed is let go of when they are full.
const PAST_SAMPLES_INLINE: usize = 7;
/// An entity of which nothing new is heard goes on as it moved, ever slower, and never further than it would have
/// come in so many seconds: it may have turned.
pub(crate) const EXTRAPOLATED_S_MAX: f64 = 0.025;
/// One that fell behind so comes after on the way that it took, by so many seconds in each second ...
const CATCH_UP_RATE: f64 = 0.1;
/// ... from at most so far behind, in seconds. What is more is a correction.
const BEHIND_S_MAX: f64 = 0.15;
/// Who came so far from one sample to the next did not walk, in units ...
pub(crate) const JUMP_UNITS: f64 = 64.0;
/// ... unless it is so many times as fast.
const JUMP_SPEEDS: f64 = 2.0;
/// An entity that stood for want of inputs and makes up for it is shown so many times as fast as it walks, at most.
const CATCH_UP_SPEEDS: f64 = 1.2;
/// What is shown is brought to what was told over this time, where it had gone on by itself ...
const CORRECTION_S_MIN: f64 = 0.2;
/// ... and over a longer one where it would go faster than this, of the speed at which players walk.
const CORRECTION_SPEED: f64 = 0.2;

/// Between samples no further apart, in ticks, speeds have nothing to add to a straight line.
const STRAIGHT_TICKS_MAX: i64 = 2;
/// The speed at either end of a curve between two samples, of the mean speed between them.
const TANGENTS: [f64; 2] = [0.7, 1.25];

/// Steps of a place and of a speed in one unit.
const PLACES_PER_UNIT: f64 = 64.0;
const SPEEDS_PER_UNIT: f32 = 16.0;
/// A yaw of a snapshot has 1,024 to the turn, one of a view 65,536.
const YAW_STEP: u16 = 64;

/// One entity.
#[derive(Debug)]
pub(super) struct Track {
    pub index: u32,
    pub id: u64,
    pub kind: u16,
    /// The tick of the last snapshot that holds it, and as of which it is known.
    pub seen: i64,
    pub told: i64,
    /// When it left: it is remembered until no snapshot can hold it from before.
    pub gone_at: Option<i64>,
    /// Whether it moved when it was last told of.
    moves: bool,
    /// What is shown besides, so that nothing jumps; it fades from then on.
    offset: [f64; 3],
    offset_s: f64,
    /// How far it is behind what is shown of others, in seconds.
    behind_s: f64,
    /// Since when both shrink.
    since: Instant,
    /// The newest sample stands apart: where many clients share a cache, little else of a track is looked at in a tick.
    newest: Sample,
    /// Those before it, oldest first.
    past: SmallVec<[Sample; PAST_SAMPLES_INLINE]>,
}

/// How fast things go, and the moment that is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The tick that is shown, and ticks a second.
    pub shown: f64,
    pub hz: f64,
    /// How fast players walk, in units per second.
    pub walk_units_s: f64,
}

impl Pace {
    /// Where to show what was told, and how fast. A player whose inputs came late stood for a tick and then goes two
    /// in one: what is shown takes its time for that, along the floor.
    fn limit(&self, last: &Sample, next: &mut Sample) {
        let speed = next.walking_speed();
        let speed_max = CATCH_UP_SPEEDS * self.walk_units_s.max(last.walking_speed().min(speed));
        if speed > speed_max {
            let share = (speed_max / speed) as f32;
            (next.velocity[0], next.velocity[2]) = (next.velocity[0] * share, next.velocity[2] * share);
        }
        let ([x, _, z], [last_x, _, last_z]) = (next.told(), last.place());
        let way = [x - last_x, z - last_z];
        let most = speed_max * (next.tick - last.tick) as f64 / self.hz;
        let length = flat(way);
        // What is far off did not come walking.
        if length <= most || length - most > JUMP_UNITS || jumps(last, next, self.hz) {
            return;
        }
        next.shift = way.map(|d| (d * most / length - d) as f32);
    }
}

/// What a snapshot said, as it said it: a track has several, and a client hundreds of tracks.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    tick: i64,
    x: i64,
    z: i64,
    y: i32,
    state: u32,
    /// How far east and south of where it was it is shown.
    shift: [f32; 2],
    velocity: [f32; 3],
    yaw: u16,
}

impl Sample {
    fn new(tick: i64, entity: &SnapshotEntity) -> Sample {
        let state = &entity.state;
        let velocity = [state.velocity_x, state.velocity_y, state.velocity_z];
        Sample {
            tick,
            x: state.x,
            z: state.z,
            y: state.y,
            state: state.state,
            shift: [0.0; 2],
            velocity: velocity.map(|v| f32::from(v) / SPEEDS_PER_UNIT),
            yaw: state.yaw.wrapping_mul(YAW_STEP),
        }
    }

    /// Where it was.
    fn told(&self) -> [f64; 3] {
        [self.x as f64, f64::from(self.y), self.z as f64].map(|v| v / PLACES_PER_UNIT)
    }

    /// Where it is shown.
    fn place(&self) -> [f64; 3] {
        let [x, y, z] = self.told();
        [x + f64::from(self.shift[0]), y, z + f64::from(self.shift[1])]
    }

    fn is_where(&self, other: &Sample) -> bool {
        (self.x, self.y, self.z) == (other.x, other.y, other.z)
    }

    fn velocity(&self) -> [f64; 3] {
        self.velocity.map(f64::from)
    }

    fn speed(&self) -> f64 {
        length(self.velocity())
    }

    fn walking_speed(&self) -> f64 {
        let [x, _, z] = self.velocity();
        flat([x, z])
    }

    /// How far it goes on from here, in seconds of its way, when nothing was heard of it for `since_s`. Who is in the
    /// air waits: the floor may be near.
    fn goes_on(&self, since_s: f64) -> f64 {
        let is_in_air = self.velocity[1] != 0.0;
        if is_in_air {
            0.0
        } else {
            EXTRAPOLATED_S_MAX * (1.0 - (-since_s.max(0.0) / EXTRAPOLATED_S_MAX).exp())
        }
    }
}

fn flat([x, z]: [f64; 2]) -> f64 {
    (x * x + z * z).sqrt()
}

fn length(v: [f64; 3]) -> f64 {
    v.iter().map(|d| d * d).sum::<f64>().sqrt()
}

impl Track {
    /// One that enters.
    pub fn new(now: Instant, tick: i64, entity: &SnapshotEntity) -> Track {
        Track {
            index: entity.index,
            id: entity.id,
            kind: entity.state.kind,
            seen: tick,
            told: tick,
            gone_at: None,
            moves: is_moving(&Sample::new(tick, entity), None),
            offset: [0.0; 3],
            offset_s: CORRECTION_S_MIN,
            behind_s: 0.0,
            since: now,
            newest: Sample::new(tick, entity),
            past: SmallVec::new(),
        }
    }

    /// Whether it moved when it was last told of.
    pub fn moves(&self) -> bool {
        self.moves
    }

    /// Takes its state as of a tick that is newer than what is known. Tells for how many ticks it had to be guessed
    /// until now.
    pub fn take(&mut self, now: Instant, pace: &Pace, tick: i64, entity: &SnapshotEntity) -> f64 {
        let Pace { shown, hz, .. } = *pace;
        let mut sample = Sample::new(tick, entity);
        self.told = tick;
        pace.limit(&self.newest, &mut sample);
        let last_tick = self.newest.tick as f64;
        let guessed = if self.moves { (shown - last_tick).max(0.0) } else { 0.0 };
        let at = self.moment(now, shown, hz);
        let went_on = (at > last_tick).then(|| (self.reached(at, hz), self.place(now, shown, hz)));
        let departed = self.add(pace, at, sample);
        if let Some((reached, before)) = went_on {
            self.come_after(now, pace, departed.map_or(reached, |tick| tick as f64), before);
        }
        guessed
    }

    /// How far along its way it is shown at a moment after its last sample, as if it had not gone on ever slower.
    fn reached(&self, at: f64, hz: f64) -> f64 {
        let last_tick = self.newest.tick as f64;
        if self.moves { last_tick + self.newest.goes_on((at - last_tick) / hz) * hz } else { at }
    }

    /// Adds a sample while it is shown at the tick `at`; tells until when it stood, where it has just begun to move.
    fn add(&mut self, pace: &Pace, at: f64, sample: Sample) -> Option<i64> {
        // Who stands is one long sample.
        let stands = |s: &Sample| Sample { tick: sample.tick, ..*s } == sample;
        if !self.moves && stands(&self.newest) && self.past.last().is_some_and(stands) {
            self.newest.tick = sample.tick;
            return None;
        }
        self.let_go_of_what_is_past(at);
        let departed = self.depart(pace, &sample);
        let last = std::mem::replace(&mut self.newest, sample);
        self.past.push(last);
        self.moves = is_moving(&sample, Some(&last));
        departed
    }

    /// Makes room for two samples, as far as what is shown at the tick `at` and later does not need them.
    fn let_go_of_what_is_past(&mut self, at: f64) {
        if self.past.len() + 2 <= PAST_SAMPLES_INLINE {
            return;
        }
        let past = self.past.partition_point(|s| s.tick as f64 <= at).saturating_sub(1);
        let too_many = (self.past.len() + 2).saturating_sub(PAST_SAMPLES_MAX);
        self.past.drain(..past.max(too_many));
    }

    /// It is shown at `before`, where it was at the tick `reached` or near there, and goes on from there: on the way
    /// that is now known.
    fn come_after(&mut self, now: Instant, pace: &Pace, reached: f64, before: [f64; 3]) {
        (self.offset, self.since) = ([0.0; 3], now);
        self.behind_s = ((pace.shown - reached) / pace.hz).clamp(0.0, BEHIND_S_MAX);
        let is_now = self.place(now, pace.shown, pace.hz);
        let offset: [f64; 3] = std::array::from_fn(|i| before[i] - is_now[i]);
        if length(offset) <= JUMP_UNITS {
            self.offset = offset;
            let slowly_s = length(offset) / (CORRECTION_SPEED * pace.walk_units_s).max(1.0);
            self.offset_s = slowly_s.max(CORRECTION_S_MIN);
        } else {
            self.behind_s = 0.0;
        }
    }

    /// The tick at which it is shown while others are at `shown`.
    fn moment(&self, now: Instant, shown: f64, hz: f64) -> f64 {
        let passed_s = now.since(self.since).as_us() as f64 / 1e6;
        shown - (self.behind_s - passed_s * CATCH_UP_RATE).max(0.0) * hz
    }

    /// While nothing moves, snapshots are rare. Who then begins to walk stood until shortly before:
    /// tells until when.
    fn depart(&mut self, pace: &Pace, next: &Sample) -> Option<i64> {
        let last = self.newest;
        if self.moves || next.is_where(&last) {
            return None;
        }
        let ([x, _, z], [last_x, _, last_z]) = (next.told(), last.told());
        let way = flat([x - last_x, z - last_z]);
        let speed = next.walking_speed().max(pace.walk_units_s).max(1.0);
        let ticks = (way * pace.hz / speed).ceil().max(1.0) as i64;
        let until = (next.tick - ticks).max(last.tick);
        if until > last.tick {
            self.past.push(last);
            self.newest = Sample { tick: until, velocity: [0.0; 3], ..last };
        }
        Some(until)
    }

    /// The samples before and after what is shown; the same one twice at the ends.
    fn around(&self, shown: f64) -> (&Sample, &Sample) {
        let after = self.past.partition_point(|s| (s.tick as f64) <= shown);
        let is_past_all = after == self.past.len() && (self.newest.tick as f64) <= shown;
        let at = |index: usize| self.past.get(index).unwrap_or(&self.newest);
        (at((after + usize::from(is_past_all)).saturating_sub(1)), at(after))
    }

    fn place(&self, now: Instant, shown: f64, hz: f64) -> [f64; 3] {
        let passed_s = now.since(self.since).as_us() as f64 / 1e6;
        let left = (1.0 - passed_s / self.offset_s).max(0.0);
        let at = self.moment(now, shown, hz);
        let mut place = between(self.around(at), at, hz);
        if at > self.newest.tick as f64 && !self.moves {
            place = self.newest.place();
        }
        std::array::from_fn(|i| place[i] + self.offset[i] * left)
    }

    /// The entity as it is to be shown.
    pub fn view(&self, now: Instant, shown: f64, hz: f64) -> EntityView {
        let at = self.moment(now, shown, hz);
        let (from, to) = self.around(at);
        let along = if to.tick > from.tick && !jumps(from, to, hz) {
            ((at - from.tick as f64) / (to.tick - from.tick) as f64).clamp(0.0, 1.0)
        } else {
            0.0
        };
        let [x, y, z] = self.place(now, shown, hz);
        let (begins, ends) = (from.velocity(), to.velocity());
        // The short way round.
        let turned = f64::from(to.yaw.wrapping_sub(from.yaw) as i16) * along;
        EntityView {
            index: self.index,
            id: self.id,
            kind: self.kind,
            position: Position { x, y, z },
            velocity: std::array::from_fn(|i| begins[i] + (ends[i] - begins[i]) * along),
            yaw: from.yaw.wrapping_add(turned as i16 as u16),
            state: from.state,
        }
    }
}

/// Whether it moves. One that is told to move and does not has been stopped by something.
fn is_moving(last: &Sample, before: Option<&Sample>) -> bool {
    last.velocity != [0.0; 3] && before.is_none_or(|before| !before.is_where(last))
}

/// Whether it came from the one sample to the other by other means than walking.
fn jumps(from: &Sample, to: &Sample, hz: f64) -> bool {
    let (begins, ends) = (from.told(), to.told());
    let way: [f64; 3] = std::array::from_fn(|i| ends[i] - begins[i]);
    let seconds = (to.tick - from.tick) as f64 / hz;
    length(way) > JUMP_UNITS.max(JUMP_SPEEDS * from.speed().max(to.speed()) * seconds)
}

/// Where it is between two samples, before the first, or beyond the last.
fn between((from, to): (&Sample, &Sample), shown: f64, hz: f64) -> [f64; 3] {
    let since_s = (shown - from.tick as f64) / hz;
    let (begins, velocity) = (from.place(), from.velocity());
    if from.tick == to.tick {
        let on_s = from.goes_on(since_s);
        return std::array::from_fn(|i| begins[i] + velocity[i] * on_s);
    }
    if jumps(from, to, hz) {
        return begins;
    }
    let (ends, velocity_there) = (to.place(), to.velocity());
    let whole_s = (to.tick - from.tick) as f64 / hz;
    let along = since_s / whole_s;
    std::array::from_fn(|i| {
        let way = ends[i] - begins[i];
        if to.tick - from.tick <= STRAIGHT_TICKS_MAX {
            return begins[i] + way * along;
        }
        // A tangent of the way's sign and at most three times its slope never leaves the way (Fritsch and Carlson
        // 1980); one near it makes nothing much faster than it was on the whole.
        let tangent = |speed: f64| {
            let ends = TANGENTS.map(|t| t * way);
            (speed * whole_s).clamp(ends[0].min(ends[1]), ends[0].max(ends[1]))
        };
        begins[i] + hermite(along, way, tangent(velocity[i]), tangent(velocity_there[i]))
    })
}

/// The cubic from 0 to `way` with these tangents.
fn hermite(t: f64, way: f64, begins: f64, ends: f64) -> f64 {
    let (t2, t3) = (t * t, t * t * t);
    way * (3.0 * t2 - 2.0 * t3) + begins * (t3 - 2.0 * t2 + t) + ends * (t3 - t2)
}
