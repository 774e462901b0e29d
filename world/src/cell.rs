//! One cell of a chunk, 64 x 64 units.
//!
//! A cell is solid, or open from a floor up to a ceiling or the sky. Walls are the faces between open
//! and solid cells and between unequal floors or ceilings, so no wall is thinner than a cell.

use crate::biome::Biome;
use crate::coord::FIXED_PER_UNIT;

/// The highest step that a player takes, in units.
pub const STEP_UNITS: i32 = 32;
/// The same in 1/8 unit.
pub(crate) const STEP_FIXED: i16 = (STEP_UNITS * FIXED_PER_UNIT) as i16;

/// Materials of the open: ground, cliff, grass.
const GROUND: u8 = 7;
const CLIFF: u8 = 8;
const GRASS: u8 = 9;
/// Ground above this height, in 1/8 unit, is bare.
const GRASS_BELOW: i16 = 72 * FIXED_PER_UNIT as i16;

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Nobody can be there.
    Solid,
    /// Open.
    Open(OpenCell),
}

/// An open cell. Heights are in 1/8 unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenCell {
    /// Height of the floor.
    pub floor: i16,
    /// Height of the ceiling; `None` under the sky.
    pub ceiling: Option<i16>,
    /// Material of the floor.
    pub floor_material: u8,
    /// Material of the walls that bound it.
    pub wall_material: u8,
    /// Material of those of its walls that are higher than a player's step.
    pub cliff_material: u8,
    /// Material of the ceiling, 0 under the sky.
    pub ceiling_material: u8,
}

impl Cell {
    /// The open cell, if it is one.
    pub fn open(&self) -> Option<&OpenCell> {
        match self {
            Cell::Open(open) => Some(open),
            Cell::Solid => None,
        }
    }
}

impl OpenCell {
    /// Open ground of a height. `drop` is the largest step down to a cell beside it.
    pub(crate) fn outdoor(floor: i16, drop: i16) -> Self {
        let floor_material = match drop {
            drop if drop > STEP_FIXED => CLIFF,
            _ if floor < GRASS_BELOW => GRASS,
            _ => GROUND,
        };
        let (wall_material, cliff_material) = (GROUND, CLIFF);
        OpenCell { floor, ceiling: None, floor_material, wall_material, cliff_material, ceiling_material: 0 }
    }

    /// A place under the roof of a biome.
    pub(crate) fn indoor(biome: Biome, floor: i16, ceiling: i16) -> Self {
        let (floor_material, wall_material, ceiling_material) = match biome {
            Biome::Dungeon => (1, 2, 3),
            Biome::Courtyard | Biome::Exterior => (4, 5, 6),
        };
        OpenCell {
            floor,
            ceiling: Some(ceiling),
            floor_material,
            wall_material,
            cliff_material: wall_material,
            ceiling_material,
        }
    }
}
