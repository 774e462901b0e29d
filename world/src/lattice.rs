//! The lattice on which things collide: whole numbers of grains, 1/1024 unit, in the frame of a chunk.
//!
//! Every plane of the world is a multiple of 1/8 unit, 128 grains, so touching is exact and nothing needs
//! an epsilon. A place on the lattice is exact in `f64` over the whole grid of chunks: 2^41 units leave
//! twelve bits below the point. What comes in from outside is rounded by one rule, [`grains`].

use crate::coord::{CELL_UNITS, CHUNK_UNITS, ChunkCoord, FIXED_PER_UNIT, Position};
use crate::topology::Topology;

/// Grains in one unit.
pub(crate) const GRAINS_PER_UNIT: i64 = 1_024;
/// Grains in 1/8 unit.
pub(crate) const GRAINS_PER_FIXED: i64 = GRAINS_PER_UNIT / FIXED_PER_UNIT as i64;
/// Grains along one side of a cell.
pub(crate) const CELL_GRAINS: i64 = CELL_UNITS as i64 * GRAINS_PER_UNIT;
/// Grains along one side of a chunk.
pub(crate) const CHUNK_GRAINS: i64 = CHUNK_UNITS as i64 * GRAINS_PER_UNIT;

/// Heights further from zero than this are in no world, in units.
pub(crate) const HEIGHT_UNITS_MAX: f64 = 1_048_576.0;
/// Larger numbers of grains are cut to this; all of them are far over any sweep's reach.
const GRAINS_MAX: f64 = (1_i64 << 52) as f64;

const _: () = assert!(GRAINS_PER_FIXED * FIXED_PER_UNIT as i64 == GRAINS_PER_UNIT);

/// The nearest number of grains, the higher one of two as near: `floor(1024 x + 1/2)`.
pub(crate) fn grains(units: f64) -> i64 {
    (units * GRAINS_PER_UNIT as f64 + 0.5).clamp(-GRAINS_MAX, GRAINS_MAX).floor() as i64
}

/// A number of grains in units; exact.
pub(crate) fn units(grains: i64) -> f64 {
    grains as f64 / GRAINS_PER_UNIT as f64
}

/// The nearest whole number to a quotient, the higher one of two as near.
pub(crate) fn divide_rounded(number: i64, by: i64) -> i64 {
    debug_assert!(by > 0);
    (2 * number + by).div_euclid(2 * by)
}

/// Where the lattice of one question begins: at the north-west corner of a chunk, at height 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    origin: ChunkCoord,
}

impl Frame {
    /// The frame of the chunk that a place lies in; `None` where it is in no world.
    pub fn of(at: Position) -> Option<Frame> {
        let has_height = at.y.abs() <= HEIGHT_UNITS_MAX;
        at.chunk().filter(|_| has_height).map(|origin| Frame { origin })
    }

    /// The nearest place on the lattice: x, y, z.
    pub fn grains(self, at: Position) -> [i64; 3] {
        let (x0, z0) = self.origin.origin();
        [grains(at.x - x0), grains(at.y), grains(at.z - z0)]
    }

    /// The place in the world; exact.
    pub fn position(self, at: [i64; 3]) -> Position {
        let (x0, z0) = self.origin.origin();
        Position { x: x0 + units(at[0]), y: units(at[1]), z: z0 + units(at[2]) }
    }

    /// The chunk so many columns and rows away; `None` where the grid of chunks has ended.
    pub fn chunk(self, columns: i64, rows: i64) -> Option<ChunkCoord> {
        Topology::Plane.neighbour(self.origin, i32::try_from(columns).ok()?, i32::try_from(rows).ok()?)
    }

    /// The chunk at a place; `None` where the grid of chunks has ended.
    pub fn chunk_of(self, x: i64, z: i64) -> Option<ChunkCoord> {
        self.chunk(x.div_euclid(CHUNK_GRAINS), z.div_euclid(CHUNK_GRAINS))
    }

    /// The north-west corner of a chunk at height 0.
    pub fn corner(self, of: ChunkCoord) -> [i64; 3] {
        let grains = |from: i32, to: i32| (i64::from(to) - i64::from(from)) * CHUNK_GRAINS;
        [grains(self.origin.cx, of.cx), 0, grains(self.origin.cz, of.cz)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_up_on_both_sides_of_zero() {
        let half = 0.5 / 1_024.0;
        assert_eq!([half, -half, 3.0 * half, -3.0 * half, 0.0].map(grains), [1, 0, 2, -1, 0]);
        assert_eq!((grains(1e300), grains(-1e300)), (1 << 52, -(1 << 52)));
        assert_eq!([7, 5, -5, -7].map(|n| divide_rounded(n, 2)), [4, 3, -2, -3]);
    }

    #[test]
    fn a_place_on_the_lattice_is_exact_at_the_ends_of_the_grid() {
        for origin in [ChunkCoord::new(i32::MIN, i32::MAX), ChunkCoord::new(i32::MAX, i32::MIN)] {
            let frame = Frame { origin };
            for at in [[0, 1, CHUNK_GRAINS - 1], [1, -1, 524_287], [CHUNK_GRAINS - 1, 131_072, 3]] {
                let position = frame.position(at);
                assert_eq!(position.chunk(), Some(origin));
                assert_eq!(frame.grains(position), at);
            }
        }
    }

    #[test]
    fn nonsense_lies_in_no_frame() {
        for (x, y, z) in [(f64::NAN, 0.0, 0.0), (0.0, f64::NAN, 0.0), (0.0, 0.0, 1e300), (0.0, -1e7, 0.0)] {
            assert!(Frame::of(Position { x, y, z }).is_none());
        }
    }
}
