//! What is known of one entity over the last moments, and where that puts it.

use std::collections::VecDeque;

use ninefold_protocol::snapshot::SnapshotEntity;
use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::Position;

use super::EntityView;

/// Samples that are kept: the longest delay at 120 ticks a second.
const SAMPLES_MAX: usize = 32;
/// An entity of which nothing new is heard goes on as it moved for so long, in seconds.
pub(crate) const EXTRAPOLATED_S_MAX: f64 = 0.1;
/// Who came so far from one sample to the next did not walk, in units ...
pub(crate) const JUMP_UNITS: f64 = 64.0;
/// ... unless it is so many times as fast.
const JUMP_SPEEDS: f64 = 2.0;
/// What is shown is brought to what was told over this time, where it had gone on by itself.
const CORRECTION_SHOWN_FOR: Duration = Duration::from_ms(200);

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
    /// The tick of the last snapshot that holds it, and of the last that spoke of it.
    pub seen: i64,
    pub told: i64,
    /// When it left: it is remembered until no snapshot can hold it from before.
    pub gone_at: Option<i64>,
    /// Oldest first, never empty.
    samples: VecDeque<Sample>,
    /// What is shown besides, so that nothing jumps; it fades from then on.
    offset: [f64; 3],
    offset_since: Instant,
}

/// What a snapshot said.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    tick: i64,
    place: [f64; 3],
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
        Sample { tick, place, velocity, yaw: state.yaw.wrapping_mul(YAW_STEP), state: state.state }
    }

    fn speed(&self) -> f64 {
        length(self.velocity)
    }

    fn moves(&self) -> bool {
        self.velocity != [0.0; 3]
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
            offset_since: now,
        }
    }

    fn last(&self) -> &Sample {
        self.samples.back().expect("a track has a sample")
    }

    /// Takes its state at a tick; `is_told` says whether the snapshot spoke of it. `shown` is the tick that is
    /// shown now.
    pub fn take(
        &mut self,
        now: Instant,
        (shown, hz): (f64, f64),
        tick: i64,
        entity: &SnapshotEntity,
        is_told: bool,
    ) {
        let sample = Sample::new(tick, entity);
        let is_where_it_was = sample.place == self.last().place;
        if !is_told && is_where_it_was && sample.moves() {
            // It moves, and there was no room to say where.
            return;
        }
        if is_told {
            self.told = tick;
        }
        let went_on = shown > self.last().tick as f64;
        let before = went_on.then(|| self.place(now, shown, hz));
        // Who stands is one long sample.
        let stands = |s: &Sample| Sample { tick, ..*s } == sample;
        let count = self.samples.len();
        if count >= 2 && stands(&self.samples[count - 1]) && stands(&self.samples[count - 2]) {
            self.samples[count - 1].tick = tick;
        } else {
            self.samples.push_back(sample);
        }
        let is_past = |samples: &VecDeque<Sample>| samples.get(1).is_some_and(|s| (s.tick as f64) <= shown);
        while self.samples.len() > SAMPLES_MAX || is_past(&self.samples) && self.samples.len() > 2 {
            self.samples.pop_front();
        }
        if let Some(before) = before {
            self.offset = [0.0; 3];
            let is_now = self.place(now, shown, hz);
            let offset: [f64; 3] = std::array::from_fn(|i| before[i] - is_now[i]);
            if length(offset) <= JUMP_UNITS {
                (self.offset, self.offset_since) = (offset, now);
            }
        }
    }

    /// The samples before and after what is shown; the same one twice at the ends.
    fn around(&self, shown: f64) -> (&Sample, &Sample) {
        let after = self.samples.partition_point(|s| (s.tick as f64) <= shown);
        let at = |index: usize| &self.samples[index.min(self.samples.len() - 1)];
        (at(after.saturating_sub(1)), at(after))
    }

    fn place(&self, now: Instant, shown: f64, hz: f64) -> [f64; 3] {
        let left = now.since(self.offset_since).as_us() as f64 / CORRECTION_SHOWN_FOR.as_us() as f64;
        let left = (1.0 - left).max(0.0);
        let place = between(self.around(shown), shown, hz);
        std::array::from_fn(|i| place[i] + self.offset[i] * left)
    }

    /// The entity as it is to be shown.
    pub fn view(&self, now: Instant, shown: f64, hz: f64) -> EntityView {
        let (from, to) = self.around(shown);
        let along = if to.tick > from.tick && !jumps(from, to, hz) {
            ((shown - from.tick as f64) / (to.tick - from.tick) as f64).clamp(0.0, 1.0)
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
    let way: [f64; 3] = std::array::from_fn(|i| to.place[i] - from.place[i]);
    let seconds = (to.tick - from.tick) as f64 / hz;
    length(way) > JUMP_UNITS.max(JUMP_SPEEDS * from.speed().max(to.speed()) * seconds)
}

/// Where it is between two samples, before the first, or beyond the last.
fn between((from, to): (&Sample, &Sample), shown: f64, hz: f64) -> [f64; 3] {
    let since_s = (shown - from.tick as f64) / hz;
    if from.tick == to.tick {
        let on_s = since_s.clamp(0.0, EXTRAPOLATED_S_MAX);
        return std::array::from_fn(|i| from.place[i] + from.velocity[i] * on_s);
    }
    if jumps(from, to, hz) {
        return from.place;
    }
    let whole_s = (to.tick - from.tick) as f64 / hz;
    let along = since_s / whole_s;
    std::array::from_fn(|i| {
        let way = to.place[i] - from.place[i];
        // A tangent of the way's sign and at most three times its slope never leaves the way (Fritsch and Carlson
        // 1980), whatever the speeds say.
        let tangent = |speed: f64| (speed * whole_s).clamp((3.0 * way).min(0.0), (3.0 * way).max(0.0));
        from.place[i] + hermite(along, way, tangent(from.velocity[i]), tangent(to.velocity[i]))
    })
}

/// The cubic from 0 to `way` with these tangents.
fn hermite(t: f64, way: f64, begins: f64, ends: f64) -> f64 {
    let (t2, t3) = (t * t, t * t * t);
    way * (3.0 * t2 - 2.0 * t3) + begins * (t3 - 2.0 * t2 + t) + ends * (t3 - t2)
}
