//! What one client saw of the chunks around it when it last looked round.
//!
//! Looking costs some microseconds for each client, and many may have to at once. So they take turns, and who has not had
//! its turn goes by what it saw before: it decides what is told first, never what is told.

use ninefold_world::{ChunkCoord, LeafSet, Position, Ring};
use smallvec::SmallVec;

use crate::view::{RING_CHUNKS, View};

/// Clients that look round in one tick at most.
pub const LOOKS_PER_TICK_MAX: usize = 256;
/// Ticks after which a client looks round again at the earliest: in less time than that nobody comes past the places that
/// its eye is moved to.
const SIGHT_TICKS_MIN: usize = 4;
/// Where the eye is above the feet, in units.
const EYE_UNITS: f64 = 48.0;
/// The eye is moved so far each way, in units: who is about to look round a corner is shown what is there.
const EYE_WIDENED_UNITS: f64 = 12.0;

/// The leaves that may be seen.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    seen: SmallVec<[(ChunkCoord, LeafSet); RING_CHUNKS]>,
}

/// Every so many ticks it is a client's turn, where there are so many slots.
pub fn sight_ticks(slots: usize) -> u64 {
    slots.div_ceil(LOOKS_PER_TICK_MAX).max(SIGHT_TICKS_MIN) as u64
}

impl Sight {
    /// Finds what can be seen from about where the player is.
    pub fn look(&mut self, view: &View, feet: Position) {
        self.seen.clear();
        let Some(centre) = view.active() else { return };
        let ring = Ring::around(centre, |coord| view.chunk(coord));
        let eyes = [(0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)].map(|(x, z)| Position {
            x: feet.x + x * EYE_WIDENED_UNITS,
            y: feet.y + EYE_UNITS,
            z: feet.z + z * EYE_WIDENED_UNITS,
        });
        for place in view.ring() {
            // An eye beyond the border sees from another chunk's leaves; that one is left to its neighbour's ring.
            let inside = eyes.iter().filter(|eye| eye.chunk() == Some(centre));
            let leaves = inside.fold(LeafSet::NONE, |all, eye| all.union(ring.unhidden(*eye, place.coord)));
            self.seen.push((place.coord, leaves));
        }
    }

    /// The leaves of a chunk that it saw; `None` of one that was not around it then.
    pub fn of(&self, chunk: ChunkCoord) -> Option<&LeafSet> {
        self.seen.iter().find(|(coord, _)| *coord == chunk).map(|(_, leaves)| leaves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn_and_no_tick_has_more_than_it_may() {
        for slots in [1, 100, 1_000, 1_024, 1_025, 5_000, 65_536] {
            let every = sight_ticks(slots);
            let mut looks = vec![0; slots];
            for tick in 1_000..1_000 + every {
                let turns = (0..slots).filter(|slot| (tick + *slot as u64).is_multiple_of(every));
                let now = turns.map(|slot| looks[slot] += 1).count();
                assert!(now <= LOOKS_PER_TICK_MAX, "{now} of {slots} in one tick");
            }
            assert!(looks.iter().all(|looks| *looks == 1), "{slots} slots, every {every} ticks");
        }
    }
}
