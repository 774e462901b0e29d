//! Cells, chunks and positions.
//!
//! A cell is 64 x 64 units, a chunk 16 x 16 cells and 128 units high; y is up. Positions are `f64`,
//! exact to far below a unit over the whole range of `i32` chunks. Geometry is chunk-local fixed point
//! in 1/8 unit, so that a chunk a million kilometres out is as sharp as the first.

/// Units along one side of a cell.
pub const CELL_UNITS: i32 = 64;
/// Cells along one side of a chunk.
pub const CELLS_PER_CHUNK: usize = 16;
/// Units along one side of a chunk.
pub const CHUNK_UNITS: i32 = CELL_UNITS * CELLS_PER_CHUNK as i32;
/// Units from the lowest floor to the highest ceiling.
pub const CHUNK_HEIGHT_UNITS: i32 = 128;

/// Fixed-point steps of geometry in one unit.
pub const FIXED_PER_UNIT: i32 = 8;
/// Fixed-point steps along one side of a cell.
pub const CELL_FIXED: i16 = (CELL_UNITS * FIXED_PER_UNIT) as i16;
/// Fixed-point steps along one side of a chunk.
pub const CHUNK_FIXED: i16 = (CHUNK_UNITS * FIXED_PER_UNIT) as i16;
/// Fixed-point steps of a chunk's height.
pub const HEIGHT_FIXED: i16 = (CHUNK_HEIGHT_UNITS * FIXED_PER_UNIT) as i16;

/// Steps of [`LocalPosition`] in one unit.
const LOCAL_PER_UNIT: f64 = 64.0;

/// A chunk's place in the grid; every pair of `i32` is valid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkCoord {
    /// Column, eastward.
    pub cx: i32,
    /// Row, southward.
    pub cz: i32,
}

/// A place in the world, in units.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Position {
    /// Eastward.
    pub x: f64,
    /// Upward.
    pub y: f64,
    /// Southward.
    pub z: f64,
}

/// A place as it goes over the wire: a chunk and 1/64 unit in it. A chunk is 1,024 units, so `x` and
/// `z` use the whole of their range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LocalPosition {
    /// Which chunk.
    pub chunk: ChunkCoord,
    /// Eastward in the chunk.
    pub x: u16,
    /// Upward.
    pub y: i16,
    /// Southward in the chunk.
    pub z: u16,
}

/// A place in a chunk, in fixed-point steps of 1/8 unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalPoint {
    /// Eastward, 0 to 8,191.
    pub x: i16,
    /// Upward.
    pub y: i16,
    /// Southward, 0 to 8,191.
    pub z: i16,
}

/// A position that is not in the grid of chunks.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("position ({x}, {y}, {z}) lies outside the grid of chunks")]
pub struct OutsideGrid {
    /// Eastward.
    pub x: f64,
    /// Upward.
    pub y: f64,
    /// Southward.
    pub z: f64,
}

impl ChunkCoord {
    /// The chunk at this column and row.
    pub const fn new(cx: i32, cz: i32) -> Self {
        ChunkCoord { cx, cz }
    }

    /// The world position (x, z) of its north-west corner.
    pub fn origin(self) -> (f64, f64) {
        let units = f64::from(CHUNK_UNITS);
        (f64::from(self.cx) * units, f64::from(self.cz) * units)
    }
}

impl Position {
    /// The chunk that it lies in; `None` where it is not finite or outside the grid.
    pub fn chunk(self) -> Option<ChunkCoord> {
        Some(ChunkCoord { cx: chunk_index(self.x)?, cz: chunk_index(self.z)? })
    }
}

fn chunk_index(units: f64) -> Option<i32> {
    let index = (units / f64::from(CHUNK_UNITS)).floor();
    // A NaN is in no range.
    (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&index).then_some(index as i32)
}

impl TryFrom<Position> for LocalPosition {
    type Error = OutsideGrid;

    /// Rounds down, so that the place stays in its chunk.
    fn try_from(at: Position) -> Result<Self, OutsideGrid> {
        let outside = OutsideGrid { x: at.x, y: at.y, z: at.z };
        let chunk = at.chunk().ok_or(outside)?;
        let (x0, z0) = chunk.origin();
        let y = (at.y * LOCAL_PER_UNIT).floor();
        if !(f64::from(i16::MIN)..=f64::from(i16::MAX)).contains(&y) {
            return Err(outside);
        }
        let steps = |units: f64| (units * LOCAL_PER_UNIT).floor().clamp(0.0, f64::from(u16::MAX)) as u16;
        Ok(LocalPosition { chunk, x: steps(at.x - x0), y: y as i16, z: steps(at.z - z0) })
    }
}

impl From<LocalPosition> for Position {
    fn from(at: LocalPosition) -> Self {
        let (x0, z0) = at.chunk.origin();
        Position {
            x: x0 + f64::from(at.x) / LOCAL_PER_UNIT,
            y: f64::from(at.y) / LOCAL_PER_UNIT,
            z: z0 + f64::from(at.z) / LOCAL_PER_UNIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chunks_are_floored_below_zero() {
        let chunk = |x: f64| Position { x, y: 0.0, z: 0.0 }.chunk().map(|c| c.cx);
        assert_eq!((chunk(-0.001), chunk(0.0), chunk(1023.99)), (Some(-1), Some(0), Some(0)));
        assert_eq!((chunk(-1024.0), chunk(f64::NAN), chunk(1e300)), (Some(-1), None, None));
    }

    #[test]
    fn the_ends_of_the_grid_are_valid() {
        for cx in [i32::MIN, -1, 0, i32::MAX] {
            let (x, _) = ChunkCoord::new(cx, 0).origin();
            assert_eq!(Position { x, y: 0.0, z: 0.0 }.chunk(), Some(ChunkCoord::new(cx, 0)));
        }
    }

    proptest! {
        #[test]
        fn the_wire_keeps_the_chunk_and_a_64th_of_a_unit(
            cx: i32, cz: i32, dx in 0.0..1024.0f64, dz in 0.0..1024.0f64, y in 0.0..128.0f64,
        ) {
            let chunk = ChunkCoord { cx, cz };
            let (x0, z0) = chunk.origin();
            let at = Position { x: x0 + dx, y, z: z0 + dz };
            prop_assume!(at.chunk() == Some(chunk)); // x0 + dx may round up to the next one
            let local = LocalPosition::try_from(at).unwrap();
            let back = Position::from(local);
            prop_assert_eq!(back.chunk(), Some(chunk));
            prop_assert!((back.x - at.x).abs() <= 1.0 / 64.0 && (back.y - y).abs() <= 1.0 / 64.0);
            prop_assert_eq!(LocalPosition::try_from(back), Ok(local));
        }
    }
}
