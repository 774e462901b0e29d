//! Simple movement, the same on server and clients: a box that walks on floors, steps up to 32 units,
//! falls any depth at once and slides along walls.
//!
//! Each axis is tried on its own. A step is shorter than a cell, so nothing is walked through, and the
//! box is narrower than a cell, so its four corners are all that can touch anything.

use crate::cell::STEP_UNITS;
use crate::chunk::{Chunk, Column};
use crate::coord::{CELL_UNITS, ChunkCoord, FIXED_PER_UNIT, Position};

/// From the middle of a player to its sides, in units.
pub const PLAYER_HALF_WIDTH_UNITS: i32 = 16;
/// From a player's feet to its head, in units.
pub const PLAYER_HEIGHT_UNITS: i32 = 56;

/// The longest step along one axis, in units.
const STEP_LENGTH_MAX: f64 = (CELL_UNITS - 1) as f64;
/// A player that touches a wall stands this far from it: one step of a position on the wire.
const SKIN: f64 = 1.0 / 64.0;

/// Where a step led.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Walk {
    /// The new place.
    pub position: Position,
    /// Whether anything was in the way.
    pub blocked: bool,
    /// A chunk that was in the way because it is not there.
    pub missing: Option<ChunkCoord>,
}

/// One step of `(dx, dz)` units from `from`, among the chunks that `chunk_at` knows.
pub fn walk<'a>(
    chunk_at: impl Fn(ChunkCoord) -> Option<&'a Chunk>,
    from: Position,
    dx: f64,
    dz: f64,
) -> Walk {
    let mut walk = Walk { position: from, blocked: false, missing: None };
    let clamped = |d: f64| if d.is_finite() { d.clamp(-STEP_LENGTH_MAX, STEP_LENGTH_MAX) } else { 0.0 };
    for (step_x, step_z) in [(clamped(dx), 0.0), (0.0, clamped(dz))] {
        if step_x == 0.0 && step_z == 0.0 {
            continue;
        }
        let at = walk.position;
        let whole = Position { x: at.x + step_x, y: at.y, z: at.z + step_z };
        // What is in the way begins at a cell's boundary: as far as that it may go.
        let up_to = Position { x: touch(at.x, step_x), y: at.y, z: touch(at.z, step_z) };
        match stand(&chunk_at, whole) {
            Ok(y) => walk.position = Position { y, ..whole },
            Err(missing) => {
                walk.blocked = true;
                walk.missing = walk.missing.or(missing);
                if let Ok(y) = stand(&chunk_at, up_to) {
                    walk.position = Position { y, ..up_to };
                }
            }
        }
    }
    walk
}

/// Where the box touches the next cell boundary in the direction of the step, never behind where it is.
fn touch(at: f64, step: f64) -> f64 {
    let (cell, half) = (f64::from(CELL_UNITS), f64::from(PLAYER_HALF_WIDTH_UNITS));
    if step > 0.0 {
        let boundary = ((at + half) / cell).floor() * cell + cell;
        (boundary - half - SKIN).clamp(at, at + step)
    } else if step < 0.0 {
        let boundary = ((at - half) / cell).floor() * cell;
        (boundary + half + SKIN).clamp(at + step, at)
    } else {
        at
    }
}

/// The height at which the box stands there, coming from the height `at.y`; an error, with the missing
/// chunk if there is one, where it cannot.
fn stand<'a>(
    chunk_at: &impl Fn(ChunkCoord) -> Option<&'a Chunk>,
    at: Position,
) -> Result<f64, Option<ChunkCoord>> {
    let half = f64::from(PLAYER_HALF_WIDTH_UNITS);
    let (mut floor, mut ceiling) = (f64::NEG_INFINITY, f64::INFINITY);
    for (dx, dz) in [(-half, -half), (half, -half), (-half, half), (half, half)] {
        let corner = Position { x: at.x + dx, y: at.y, z: at.z + dz };
        let coord = corner.chunk().ok_or(None)?;
        let chunk = chunk_at(coord).ok_or(Some(coord))?;
        let column = column_at(chunk, corner).ok_or(None)?;
        floor = floor.max(units(column.floor));
        ceiling = ceiling.min(column.ceiling.map_or(f64::INFINITY, units));
    }
    let steps_up = floor - at.y > f64::from(STEP_UNITS);
    let has_headroom = ceiling - floor.max(at.y.min(floor)) >= f64::from(PLAYER_HEIGHT_UNITS);
    if steps_up || !has_headroom { Err(None) } else { Ok(floor) }
}

fn column_at(chunk: &Chunk, at: Position) -> Option<Column> {
    let (x0, z0) = chunk.coord().origin();
    let fixed = |units: f64| (units * f64::from(FIXED_PER_UNIT)).floor() as i16;
    chunk.column(fixed(at.x - x0), fixed(at.z - z0))
}

fn units(fixed: i16) -> f64 {
    f64::from(fixed) / f64::from(FIXED_PER_UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{BspWorld, Generator};
    use crate::hash::Random;
    use crate::scratch::Scratch;
    use crate::topology::Topology;
    use std::collections::BTreeMap;

    struct World {
        world: BspWorld,
        chunks: BTreeMap<ChunkCoord, Chunk>,
    }

    impl World {
        fn around(centre: ChunkCoord) -> World {
            let mut world = World { world: BspWorld::new(9), chunks: BTreeMap::new() };
            world.load(centre);
            world
        }

        fn load(&mut self, centre: ChunkCoord) {
            for coord in Topology::Plane.ring(centre) {
                let make = || self.world.generate(coord, &mut Scratch::default());
                self.chunks.entry(coord).or_insert_with(make);
            }
        }

        fn step(&self, from: Position, dx: f64, dz: f64) -> Walk {
            walk(|c| self.chunks.get(&c), from, dx, dz)
        }
    }

    /// A drunkard's walk: every place on it can be stood at, and no step goes up more than it may.
    #[test]
    fn nobody_walks_into_rock_or_up_a_cliff() {
        for start in [ChunkCoord::new(0, 0), ChunkCoord::new(-3, 1_000_000), ChunkCoord::new(40, -40)] {
            let mut world = World::around(start);
            let mut random = Random::new(7);
            let mut at = world.chunks[&start].spawn(1);
            let (mut dx, mut dz) = (0.0, 0.0);
            for n in 0..20_000 {
                if n % 40 == 0 {
                    (dx, dz) = (f64::from(random.range(-9, 9)), f64::from(random.range(-9, 9)));
                }
                let walk = world.step(at, dx, dz);
                assert!(walk.position.y - at.y <= 64.0, "{at:?} -> {walk:?}");
                assert_eq!(walk.missing, None);
                let again = stand(&|c| world.chunks.get(&c), walk.position);
                assert_eq!(again, Ok(walk.position.y), "{at:?} -> {walk:?}");
                at = walk.position;
                world.load(at.chunk().unwrap());
            }
        }
    }

    /// From cell to cell by nothing but `walk`: every side of every chunk that was met is crossed.
    #[test]
    fn every_chunk_is_left_over_each_of_its_sides() {
        for start in [ChunkCoord::new(0, 0), ChunkCoord::new(1_000_000, -3), ChunkCoord::new(7, i32::MAX - 3)]
        {
            let mut world = World::around(start);
            let cell = f64::from(CELL_UNITS);
            let snap = |at: Position| ((at.x / cell).floor() as i64, (at.z / cell).floor() as i64);
            let mut left = std::collections::BTreeSet::new();
            let from = world.chunks[&start].spawn(3);
            let mut seen = std::collections::BTreeSet::from([snap(from)]);
            let mut open = vec![from];
            while let Some(at) = open.pop() {
                for (dx, dz) in [(32.0, 0.0), (0.0, 32.0), (-32.0, 0.0), (0.0, -32.0)] {
                    let half = world.step(at, dx, dz);
                    let walk = world.step(half.position, dx, dz);
                    let to = walk.position.chunk().unwrap();
                    let whole = half.blocked || walk.blocked;
                    if to != start && !whole {
                        left.insert(Topology::Plane.offset(start, to));
                    }
                    if to == start && !whole && seen.insert(snap(walk.position)) {
                        open.push(walk.position);
                    }
                }
            }
            assert_eq!(left.len(), 4, "{start:?}: {left:?}");
            world.load(start);
        }
    }

    #[test]
    fn a_missing_chunk_is_a_wall_that_says_so() {
        let coord = ChunkCoord::new(5, 5);
        let chunk = Chunk::safe(coord);
        let (x0, z0) = coord.origin();
        let mut at = Position { x: x0 + 1_000.0, y: 0.0, z: z0 + 500.0 };
        let only = |c: ChunkCoord| (c == coord).then_some(&chunk);
        let mut walked = walk(only, at, 20.0, 0.0);
        assert_eq!(walked.missing, Some(ChunkCoord::new(6, 5)));
        for _ in 0..10 {
            at = walked.position;
            walked = walk(only, at, 20.0, 3.0);
        }
        assert_eq!(walked.position.x, x0 + 1_024.0 - 16.0 - SKIN); // it touches, and slides along
        assert!(walked.position.z > z0 + 520.0);
    }

    #[test]
    fn nonsense_steps_go_nowhere() {
        let chunk = Chunk::safe(ChunkCoord::new(0, 0));
        let at = Position { x: 500.0, y: 0.0, z: 500.0 };
        let step = |dx, dz| walk(|_| Some(&chunk), at, dx, dz).position;
        assert_eq!(step(f64::NAN, f64::INFINITY), at);
        assert_eq!(step(1e9, 0.0).x, 563.0);
    }
}
