//! Doors: each stands on the side between two open cells and fills the way from floor to lintel.
//!
//! A door belongs to its chunk. Whether it is open is no part of the chunk: whoever asks about what is
//! solid says so with [`OpenDoors`]. A closed door is a solid box; an open one is out of the way.

use crate::chunk::Axis;
use crate::coord::{CELL_FIXED, FIXED_PER_UNIT};

/// Doors that a chunk may have.
pub const DOORS_MAX: usize = 32;
/// From one face of a door to the other, 1/8 unit.
pub const DOOR_THICKNESS_FIXED: i16 = 8 * FIXED_PER_UNIT as i16;

/// The end of a door's side at which it hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hinge {
    /// Where the coordinate along the side is lowest.
    Low,
    /// Where it is highest.
    High,
}

/// A door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// Column of the cell to its west (across x) or to its north (across z).
    pub x: u8,
    /// Row of that cell.
    pub z: u8,
    /// The axis that one walks along to pass it: x or z.
    pub axis: Axis,
    /// Where it hangs.
    pub hinge: Hinge,
    /// The angle about the hinge when it stands open, in degrees, seen from above: positive is
    /// clockwise, from x towards z. Closed is 0.
    pub open_degrees: i16,
    /// Height of its sill, 1/8 unit.
    pub bottom: i16,
    /// Height of its lintel, 1/8 unit.
    pub top: i16,
}

impl Door {
    /// The box that it fills when closed: low and high corner, chunk-local, 1/8 unit.
    pub fn solid_box(&self) -> ([i16; 3], [i16; 3]) {
        let (x, z) = (i16::from(self.x) * CELL_FIXED, i16::from(self.z) * CELL_FIXED);
        let half = DOOR_THICKNESS_FIXED / 2;
        if self.axis == Axis::X {
            let at = x + CELL_FIXED;
            ([at - half, self.bottom, z], [at + half, self.top, z + CELL_FIXED])
        } else {
            let at = z + CELL_FIXED;
            ([x, self.bottom, at - half], [x + CELL_FIXED, self.top, at + half])
        }
    }
}

/// Which doors of a chunk stand open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenDoors(pub u32);

impl OpenDoors {
    /// All doors closed.
    pub const NONE: OpenDoors = OpenDoors(0);
    /// All doors open.
    pub const ALL: OpenDoors = OpenDoors(u32::MAX);

    /// Whether the door with this index is open.
    pub fn contains(self, door: usize) -> bool {
        door < DOORS_MAX && self.0 & (1 << door) != 0
    }
}

const _: () = assert!(DOORS_MAX <= u32::BITS as usize);
