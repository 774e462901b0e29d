//! Which doors stand open, as far as a client knows: those of the ring around where the server last said
//! that it is, and what it has opened or closed since.

use ninefold_protocol::snapshot::RING_SIDE;
use ninefold_world::{ChunkCoord, DOORS_MAX, OpenDoors, Topology};

/// The doors of nine chunks. Of others nothing is known: they count as closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KnownDoors {
    middle: ChunkCoord,
    open: [u32; RING_SIDE * RING_SIDE],
}

/// A door that the player opened or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turned {
    pub chunk: ChunkCoord,
    pub door: usize,
    pub open: bool,
}

impl KnownDoors {
    /// As a snapshot tells them: around `middle`, row by row from the north-west.
    pub fn new(middle: ChunkCoord, open: [u32; RING_SIDE * RING_SIDE]) -> Self {
        KnownDoors { middle, open }
    }

    fn place(&self, chunk: ChunkCoord) -> Option<usize> {
        let (dx, dz) = Topology::Plane.offset(self.middle, chunk)?;
        Some(((dz + 1) * RING_SIDE as i32 + dx + 1) as usize)
    }

    /// The open doors of a chunk.
    pub fn of(&self, chunk: ChunkCoord) -> OpenDoors {
        self.place(chunk).map_or(OpenDoors::NONE, |place| OpenDoors(self.open[place]))
    }

    /// Opens or closes one; of a chunk beyond the nine nothing is remembered.
    pub fn turn(&mut self, turned: Turned) {
        debug_assert!(turned.door < DOORS_MAX);
        let Some(place) = self.place(turned.chunk) else { return };
        let bit = 1 << turned.door;
        self.open[place] = if turned.open { self.open[place] | bit } else { self.open[place] & !bit };
    }

    /// Whether both say the same of all doors.
    pub fn agrees_with(&self, other: &KnownDoors) -> bool {
        let ring = |doors: &KnownDoors| Topology::Plane.ring(doors.middle);
        self == other || ring(self).chain(ring(other)).all(|chunk| self.of(chunk) == other.of(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: ChunkCoord = ChunkCoord::new(5, -5);

    #[test]
    fn masks_lie_row_by_row_from_the_north_west() {
        let doors = KnownDoors::new(MIDDLE, [1, 2, 4, 8, 16, 32, 64, 128, 256]);
        let of = |cx, cz| doors.of(ChunkCoord::new(cx, cz)).0;
        assert_eq!([of(4, -6), of(5, -6), of(6, -6)], [1, 2, 4]);
        assert_eq!([of(4, -5), of(5, -5), of(6, -4)], [8, 16, 256]);
        assert_eq!((of(7, -5), of(5, 5)), (0, 0));
    }

    #[test]
    fn a_door_is_opened_and_closed_again() {
        let mut doors = KnownDoors::new(MIDDLE, [0; 9]);
        let (before, chunk) = (doors, ChunkCoord::new(6, -4));
        doors.turn(Turned { chunk, door: 31, open: true });
        assert_eq!((doors.of(chunk).0, doors.agrees_with(&before)), (1 << 31, false));
        doors.turn(Turned { chunk, door: 31, open: false });
        assert_eq!(doors, before);
        doors.turn(Turned { chunk: ChunkCoord::new(9, 9), door: 0, open: true });
        assert_eq!(doors, before);
    }

    #[test]
    fn rings_of_two_places_agree_where_the_open_doors_are_the_same() {
        let mut here = KnownDoors::new(ChunkCoord::new(0, 0), [0; 9]);
        let mut there = KnownDoors::new(ChunkCoord::new(1, 0), [0; 9]);
        assert!(here.agrees_with(&there));
        let chunk = ChunkCoord::new(1, 0);
        here.turn(Turned { chunk, door: 3, open: true });
        assert!(!here.agrees_with(&there));
        there.turn(Turned { chunk, door: 3, open: true });
        assert!(here.agrees_with(&there));
        there.turn(Turned { chunk: ChunkCoord::new(2, 1), door: 0, open: true });
        assert!(!here.agrees_with(&there) && !there.agrees_with(&here));
    }
}
