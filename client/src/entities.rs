//! The entities around the player, as they are shown: a little in the past, between two things that the
//! server said.
//!
//! ```text
//!   told            ●─────────●─────────●───────────────●
//!   shown at                     ▲ between two of them
//!                                                            ▲ beyond the last: on as it moved, then it waits
//! ```
//!
//! A snapshot has room for what matters most. What an incomplete one does not speak of is older than it is, and news
//! only where it is younger than what is known. The same goes for who came or left since the baseline.

mod track;

use ninefold_protocol::snapshot::{BASELINE_TICKS_MAX, ENTITIES_PER_SNAPSHOT_MAX, SnapshotEntity};
use ninefold_protocol::time::Instant;
use ninefold_world::Position;

use self::track::{Pace, Track};
use crate::playback::Playback;
use crate::snapshots::Held;

/// Who is not mentioned for so long is not there.
const UNMENTIONED_TICKS_MAX: i64 = BASELINE_TICKS_MAX as i64;

/// Who comes back so soon is shown to walk there.
const BACK_TICKS_MAX: i64 = 4;

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
    /// Whether any of them moved lately.
    moves: bool,
}

impl Entities {
    /// Says how fast players walk, in units per second.
    pub fn set_walking_speed(&mut self, units_s: f64) {
        self.walk_units_s = units_s;
    }

    /// Takes a snapshot that has just come; `playback` knows of it, and is told where it was too far ahead of what
    /// is known.
    pub fn take(&mut self, now: Instant, playback: &mut Playback, held: &Held, mut tell: impl FnMut(Change)) {
        let pace = Pace { shown: playback.tick_at(now), hz: playback.hz(), walk_units_s: self.walk_units_s };
        let (mut guessed, mut place) = (0.0, 0);
        // Both ascend by index.
        for (entity, as_of) in held.snapshot.entities.iter().zip(&held.as_of) {
            while self.tracks.get(place).is_some_and(|track| track.index < entity.index) {
                place += 1;
            }
            guessed = self.take_one(now, &pace, held.tick, entity, *as_of, place, &mut tell).max(guessed);
        }
        playback.was_ahead(now, guessed);
        // Beyond what a snapshot may hold, only what it holds is followed.
        let crowded = self.tracks.len() > ENTITIES_PER_SNAPSHOT_MAX;
        self.tracks.retain_mut(|track| {
            if track.seen == held.tick {
                return true;
            }
            // What came or went since the last complete one may be missing for want of room.
            let news = track.gone_at.unwrap_or(track.told);
            let says_nothing =
                news > held.whole_as_of && held.tick - news <= UNMENTIONED_TICKS_MAX && !crowded;
            let is_gone = held.gone.binary_search(&track.index).is_ok();
            if track.gone_at.is_some() || says_nothing && !is_gone {
                return says_nothing;
            }
            track.gone_at = Some(held.tick);
            tell(Change::Left { index: track.index, id: track.id });
            !crowded
        });
        debug_assert!(self.tracks.len() <= ENTITIES_PER_SNAPSHOT_MAX);
        self.moves = self.tracks.iter().any(|track| track.gone_at.is_none() && track.moves());
    }

    /// Whether any of them moved when it was last told of.
    pub fn moves(&self) -> bool {
        self.moves
    }

    /// Takes one that has its track at `place`, or has none and belongs there.
    fn take_one(
        &mut self,
        now: Instant,
        pace: &Pace,
        tick: i64,
        entity: &SnapshotEntity,
        as_of: i64,
        place: usize,
        tell: &mut impl FnMut(Change),
    ) -> f64 {
        let entered = Change::Entered { index: entity.index, id: entity.id, kind: entity.state.kind };
        let Some(track) = self.tracks.get_mut(place).filter(|track| track.index == entity.index) else {
            self.tracks.insert(place, Track::new(now, tick, entity));
            tell(entered);
            return 0.0;
        };
        track.seen = tick;
        if as_of <= track.gone_at.unwrap_or(track.told) {
            return 0.0;
        }
        let is_same = (track.id, track.kind) == (entity.id, entity.state.kind);
        if is_same && track.gone_at.is_none() {
            return track.take(now, pace, as_of, entity);
        }
        match track.gone_at.take() {
            None => tell(Change::Left { index: track.index, id: track.id }),
            // Over the edge of the ring and back: it goes on from where it was shown.
            Some(gone_at) if is_same && tick - gone_at <= BACK_TICKS_MAX => {
                tell(entered);
                return track.take(now, pace, as_of, entity);
            }
            Some(_) => {}
        }
        *track = Track::new(now, tick, entity);
        tell(entered);
        0.0
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
