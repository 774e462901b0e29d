//! The entities around the player, as they are shown: a little in the past, between two things that the
//! server said.
//!
//! ```text
//!   told            ●─────────●─────────●───────────────●
//!   shown at                     ▲ between two of them
//!                                                            ▲ beyond the last: on as it moved, then it waits
//! ```
//!
//! A snapshot has room for what matters most: an entity that it does not speak of is held as the baseline has it,
//! which may be older than what came since. So such a state is news only where the baseline is no older than
//! what is known. The same goes for entities that came or left since the baseline.

mod track;

use ninefold_protocol::snapshot::{ENTITIES_PER_SNAPSHOT_MAX, Snapshot, SnapshotEntity};
use ninefold_protocol::time::Instant;
use ninefold_world::Position;

use self::track::{Pace, Track};
use crate::playback::Playback;

/// An entity as it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntityView {
    /// Its index while it is near.
    pub index: u32,
    /// Who it is, for ever.
    pub id: u64,
    /// What it is; the game's numbers.
    pub kind: u16,
    /// Where it is.
    pub position: Position,
    /// How fast it moves: eastward, upward, southward, in units per second.
    pub velocity: [f64; 3],
    /// Where it looks, 65,536 to the full turn: 0 is east, a quarter is south.
    pub yaw: u16,
    /// What the game has to say of it.
    pub state: u32,
}

/// Who came or left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Entered { index: u32, id: u64, kind: u16 },
    Left { index: u32, id: u64 },
}

/// All that are near.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    /// Ascending by index, each index once; at most [`ENTITIES_PER_SNAPSHOT_MAX`] from one snapshot to the next.
    tracks: Vec<Track>,
    walk_units_s: f64,
}

/// A snapshot with its tick and what it leads from, ticks counted from the first snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived<'s> {
    pub snapshot: &'s Snapshot,
    pub tick: i64,
    pub baseline: Option<(&'s Snapshot, i64)>,
}

impl Arrived<'_> {
    /// The entity as the baseline has it.
    fn before(&self, index: u32) -> Option<&SnapshotEntity> {
        let entities = &self.baseline?.0.entities;
        entities.binary_search_by_key(&index, |e| e.index).ok().map(|at| &entities[at])
    }

    /// Whether what came at this tick is newer than the baseline, so that a snapshot that does not speak of it
    /// says nothing.
    fn says_nothing_since(&self, tick: i64) -> bool {
        self.baseline.is_some_and(|(_, baseline)| tick > baseline)
    }
}

impl Entities {
    /// Says how fast players walk, in units per second.
    pub fn set_walking_speed(&mut self, units_s: f64) {
        self.walk_units_s = units_s;
    }

    /// Takes a snapshot that has just come; `playback` knows of it.
    pub fn take(
        &mut self,
        now: Instant,
        playback: &Playback,
        arrived: &Arrived<'_>,
        mut tell: impl FnMut(Change),
    ) {
        let pace = Pace { shown: playback.tick_at(now), hz: playback.hz(), walk_units_s: self.walk_units_s };
        for entity in &arrived.snapshot.entities {
            self.take_one(now, &pace, arrived, entity, &mut tell);
        }
        // Beyond what a snapshot may hold, only what it holds is followed.
        let crowded = self.tracks.len() > ENTITIES_PER_SNAPSHOT_MAX;
        self.tracks.retain_mut(|track| {
            if track.seen == arrived.tick {
                return true;
            }
            let news = track.gone_at.unwrap_or(track.told);
            let says_nothing = arrived.says_nothing_since(news) && !crowded;
            if track.gone_at.is_some() {
                return says_nothing;
            }
            let was_there = arrived.before(track.index).is_some_and(|e| e.id == track.id);
            if says_nothing && !was_there {
                return true;
            }
            track.gone_at = Some(arrived.tick);
            tell(Change::Left { index: track.index, id: track.id });
            !crowded
        });
        debug_assert!(self.tracks.len() <= ENTITIES_PER_SNAPSHOT_MAX);
    }

    fn take_one(
        &mut self,
        now: Instant,
        pace: &Pace,
        arrived: &Arrived<'_>,
        entity: &SnapshotEntity,
        tell: &mut impl FnMut(Change),
    ) {
        let is_told = arrived.before(entity.index) != Some(entity);
        let entered = Change::Entered { index: entity.index, id: entity.id, kind: entity.state.kind };
        let place = self.tracks.binary_search_by_key(&entity.index, |t| t.index);
        let Ok(place) = place.map_err(|place| {
            self.tracks.insert(place, Track::new(now, arrived.tick, entity));
            tell(entered);
        }) else {
            return;
        };
        let track = &mut self.tracks[place];
        track.seen = arrived.tick;
        let news = track.gone_at.unwrap_or(track.told);
        if !is_told && arrived.says_nothing_since(news) {
            return;
        }
        let is_same = (track.id, track.kind) == (entity.id, entity.state.kind);
        if is_same && track.gone_at.is_none() {
            track.take(now, pace, arrived.tick, entity, is_told);
            return;
        }
        if track.gone_at.is_none() {
            tell(Change::Left { index: track.index, id: track.id });
        }
        *track = Track::new(now, arrived.tick, entity);
        tell(entered);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tracks.iter().filter(|track| track.gone_at.is_none()).count()
    }

    /// All of them as they are to be shown.
    pub fn views(&self, now: Instant, playback: Option<&Playback>) -> impl Iterator<Item = EntityView> {
        let shown = playback.map_or(0.0, |playback| playback.tick_at(now));
        let hz = playback.map_or(1.0, Playback::hz);
        self.tracks
            .iter()
            .filter(|track| track.gone_at.is_none())
            .map(move |track| track.view(now, shown, hz))
    }
}

#[cfg(test)]
mod tests;
