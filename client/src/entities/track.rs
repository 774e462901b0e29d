//! What is known of one entity over the last moments, and where that puts it.

use std::collections::VecDeque;

use ninefold_protocol::snapshot::SnapshotEntity;
use ninefold_protocol::time::Instant;
use ninefold_world::Position;

use super::EntityView;

/// Samples that are kept: the longest delay at 120 ticks a second.
const SAMPLES_MAX: usize = 32;
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
const SPEEDS_PER_UNIT: f64 = 16.0;
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
    /// Oldest first, never empty.
    samples: VecDeque<Sample>,
    /// What is shown besides, so that nothing jumps; it fades from then on.
    offset: [f64; 3],
    offset_s: f64,
    /// How far it is behind what is shown of others, in seconds.
    behind_s: f64,
    /// Since when both shrink.
    since: Instant,
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
            (next.velocity[0], next.velocity[2]) =
                (next.velocity[0] * speed_max / speed, next.velocity[2] * speed_max / speed);
        }
        let way = [next.told[0] - last.place[0], next.told[2] - last.place[2]];
        let most = speed_max * (next.tick - last.tick) as f64 / self.hz;
        let length = way[0].hypot(way[1]);
        // What is far off did not come walking.
        if length <= most || length - most > JUMP_UNITS || jumps(last, next, self.hz) {
            return;
        }
        let [x, z] = way.map(|d| d * most / length);
        (next.place[0], next.place[2]) = (last.place[0] + x, last.place[2] + z);
    }
}

/// What a snapshot said.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    tick: i64,
    /// Where it is shown, and where it was.
    place: [f64; 3],
    told: [f64; 3],
    velocity: [f64; 3],
    yaw: u16,
    state: u32,
}

impl Sample {
    fn new(tick: i64, entity: &SnapshotEntity) -> Sample {
        let state = &entity.state;
        let place = [state.x as f64, f64::from(state.y), state.z as f64].map(|v| v / PLACES_PER_UNIT);
        let velocity = [state.velocity_x, state.velocity_y, state.velocity_z];
        let velocity = velocity.map(|v| f64::from(v) / SPEEDS_PER_UNIT);
        let yaw = state.yaw.wrapping_mul(YAW_STEP);
        Sample { tick, place, told: place, velocity, yaw, state: state.state }
    }

    fn speed(&self) -> f64 {
        length(self.velocity)
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

    fn walking_speed(&self) -> f64 {
        self.velocity[0].hypot(self.velocity[2])
    }
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
            samples: VecDeque::from([Sample::new(tick, entity)]),
            offset: [0.0; 3],
            offset_s: CORRECTION_S_MIN,
            behind_s: 0.0,
            since: now,
        }
    }

    fn last(&self) -> &Sample {
        self.samples.back().expect("a track has a sample")
    }

    /// The tick of what was told last.
    pub fn newest(&self) -> i64 {
        self.last().tick
    }

    /// Whether it moved when it was last told of.
    pub fn moves(&self) -> bool {
        let last = self.last();
        let before = self.samples.iter().rev().nth(1);
        // One that is told to move and does not has been stopped by something.
        last.velocity != [0.0; 3] && before.is_none_or(|before| before.told != last.told)
    }

    /// Takes its state as of a tick that is newer than what is known. Tells for how many ticks it had to be guessed
    /// until now.
    pub fn take(&mut self, now: Instant, pace: &Pace, tick: i64, entity: &SnapshotEntity) -> f64 {
        let Pace { shown, hz, .. } = *pace;
        let mut sample = Sample::new(tick, entity);
        self.told = tick;
        pace.limit(self.last(), &mut sample);
        let last_tick = self.last().tick as f64;
        let beyond = (shown - last_tick).max(0.0);
        let guessed = if self.moves() { beyond } else { 0.0 };
        let at = self.moment(now, shown, hz);
        let went_on = at > last_tick;
        let before = went_on.then(|| self.place(now, shown, hz));
        // How far along its way it is shown, as if it had not gone on ever slower.
        let mut reached =
            if self.moves() { last_tick + self.last().goes_on((at - last_tick) / hz) * hz } else { at };
        // Who stands is one long sample.
        let stands = |s: &Sample| Sample { tick, ..*s } == sample;
        let count = self.samples.len();
        if count >= 2 && stands(&self.samples[count - 1]) && stands(&self.samples[count - 2]) {
            self.samples[count - 1].tick = tick;
        } else {
            let departed = self.depart(pace, &sample);
            self.samples.push_back(sample);
            reached = departed.map_or(reached, |tick| tick as f64);
        }
        if let Some(before) = before {
            self.come_after(now, pace, reached, before);
        }
        let at = self.moment(now, shown, hz);
        let is_past = |samples: &VecDeque<Sample>| samples.get(1).is_some_and(|s| (s.tick as f64) <= at);
        while self.samples.len() > SAMPLES_MAX || is_past(&self.samples) && self.samples.len() > 2 {
            self.samples.pop_front();
        }
        guessed
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
        let last = *self.last();
        if self.moves() || next.told == last.told {
            return None;
        }
        let way = (next.told[0] - last.told[0]).hypot(next.told[2] - last.told[2]);
        let speed = next.walking_speed().max(pace.walk_units_s).max(1.0);
        let ticks = (way * pace.hz / speed).ceil().max(1.0) as i64;
        let until = (next.tick - ticks).max(last.tick);
        if until > last.tick {
            self.samples.push_back(Sample { tick: until, velocity: [0.0; 3], ..last });
        }
        Some(until)
    }

    /// The samples before and after what is shown; the same one twice at the ends.
    fn around(&self, shown: f64) -> (&Sample, &Sample) {
        let after = self.samples.partition_point(|s| (s.tick as f64) <= shown);
        let at = |index: usize| &self.samples[index.min(self.samples.len() - 1)];
        (at(after.saturating_sub(1)), at(after))
    }

    fn place(&self, now: Instant, shown: f64, hz: f64) -> [f64; 3] {
        let passed_s = now.since(self.since).as_us() as f64 / 1e6;
        let left = (1.0 - passed_s / self.offset_s).max(0.0);
        let at = self.moment(now, shown, hz);
        let mut place = between(self.around(at), at, hz);
        if at > self.last().tick as f64 && !self.moves() {
            place = self.last().place;
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
        // The short way round.
        let turned = f64::from(to.yaw.wrapping_sub(from.yaw) as i16) * along;
        EntityView {
            index: self.index,
            id: self.id,
            kind: self.kind,
            position: Position { x, y, z },
            velocity: std::array::from_fn(|i| from.velocity[i] + (to.velocity[i] - from.velocity[i]) * along),
            yaw: from.yaw.wrapping_add(turned as i16 as u16),
            state: from.state,
        }
    }
}

/// Whether it came from the one sample to the other by other means than walking.
fn jumps(from: &Sample, to: &Sample, hz: f64) -> bool {
    let way: [f64; 3] = std::array::from_fn(|i| to.told[i] - from.told[i]);
    let seconds = (to.tick - from.tick) as f64 / hz;
    length(way) > JUMP_UNITS.max(JUMP_SPEEDS * from.speed().max(to.speed()) * seconds)
}

/// Where it is between two samples, before the first, or beyond the last.
fn between((from, to): (&Sample, &Sample), shown: f64, hz: f64) -> [f64; 3] {
    let since_s = (shown - from.tick as f64) / hz;
    if from.tick == to.tick {
        let on_s = from.goes_on(since_s);
        return std::array::from_fn(|i| from.place[i] + from.velocity[i] * on_s);
    }
    if jumps(from, to, hz) {
        return from.place;
    }
    let whole_s = (to.tick - from.tick) as f64 / hz;
    let along = since_s / whole_s;
    std::array::from_fn(|i| {
        let way = to.place[i] - from.place[i];
        if to.tick - from.tick <= STRAIGHT_TICKS_MAX {
            return from.place[i] + way * along;
        }
        // A tangent of the way's sign and at most three times its slope never leaves the way (Fritsch and Carlson
        // 1980); one near it makes nothing much faster than it was on the whole.
        let tangent = |speed: f64| {
            let ends = TANGENTS.map(|t| t * way);
            (speed * whole_s).clamp(ends[0].min(ends[1]), ends[0].max(ends[1]))
        };
        from.place[i] + hermite(along, way, tangent(from.velocity[i]), tangent(to.velocity[i]))
    })
}

/// The cubic from 0 to `way` with these tangents.
fn hermite(t: f64, way: f64, begins: f64, ends: f64) -> f64 {
    let (t2, t3) = (t * t, t * t * t);
    way * (3.0 * t2 - 2.0 * t3) + begins * (t3 - 2.0 * t2 + t) + ends * (t3 - t2)
}
