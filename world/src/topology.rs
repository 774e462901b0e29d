//! What lies beside a chunk. Nothing else in the project does neighbour arithmetic.

use crate::coord::ChunkCoord;

/// How the grid of chunks hangs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// The endless plane: it ends only where `i32` does.
    Plane,
}

impl Topology {
    /// The chunk so many columns and rows away; `None` beyond the end of the world.
    pub fn neighbour(self, from: ChunkCoord, dx: i32, dz: i32) -> Option<ChunkCoord> {
        match self {
            Topology::Plane => {
                Some(ChunkCoord { cx: from.cx.checked_add(dx)?, cz: from.cz.checked_add(dz)? })
            }
        }
    }

    /// The chunk itself, then its up to eight neighbours.
    pub fn ring(self, centre: ChunkCoord) -> impl Iterator<Item = ChunkCoord> {
        const OFFSETS: [(i32, i32); 9] =
            [(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1), (-1, -1), (1, -1)];
        OFFSETS.into_iter().filter_map(move |(dx, dz)| self.neighbour(centre, dx, dz))
    }

    /// From one chunk to another of its ring, -1 to 1 along each axis; `None` if it is not in its ring.
    pub fn offset(self, from: ChunkCoord, to: ChunkCoord) -> Option<(i32, i32)> {
        let step = |a: i32, b: i32| b.checked_sub(a).filter(|d| (-1..=1).contains(d));
        match self {
            Topology::Plane => Some((step(from.cx, to.cx)?, step(from.cz, to.cz)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_has_nine_chunks_and_fewer_at_the_end_of_the_world() {
        let count = |cx, cz| Topology::Plane.ring(ChunkCoord { cx, cz }).count();
        assert_eq!((count(-5, 5), count(i32::MAX, 0), count(i32::MIN, i32::MAX)), (9, 6, 4));
    }

    #[test]
    fn offsets_undo_neighbours() {
        let from = ChunkCoord { cx: -1, cz: i32::MAX };
        for to in Topology::Plane.ring(from) {
            let (dx, dz) = Topology::Plane.offset(from, to).unwrap();
            assert_eq!(Topology::Plane.neighbour(from, dx, dz), Some(to));
        }
        assert_eq!(Topology::Plane.offset(from, ChunkCoord { cx: 1, cz: i32::MAX }), None);
    }
}
