//! One tick of a walking player, the same on server and clients: what an input comes to.
//!
//! [`walk`] is [`slide`](crate::slide()) with a pace. A client that predicts calls it with what it sent, the
//! server with what came, and both get the same mover to the bit, as long as the same chunks are there and the same doors
//! are open.

use crate::chunk::{Axis, Chunk};
use crate::coord::{ChunkCoord, FIXED_PER_UNIT, Position};
use crate::slide::{Mover, PLAYER_HEIGHT_UNITS, slide};
use crate::sweep::Loaded;
use crate::topology::Topology;

/// A longer way is gone in parts: a slide takes one step up, and stairs are a cell deep.
const PART_UNITS_MAX: f64 = 24.0;
/// How fast who jumps leaves the ground, in units per second: up to 45 units high.
pub const JUMP_UNITS_S: i32 = 270;
/// From the middle of a player to a door that it can use, in units, measured to the nearest point of the door.
pub const DOOR_REACH_UNITS: f64 = 64.0;

/// How fast players walk, and how often they are moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Full walking speed, units a second.
    pub speed_units_s: u32,
    /// Ticks a second; at least 1.
    pub tick_rate_hz: u32,
}

/// What one tick wants of a player.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Wish {
    /// Eastward, of full speed; the vector has a length of 1 at most.
    pub x: f64,
    /// Southward, of full speed.
    pub z: f64,
    /// Whether it jumps, if it stands.
    pub jump: bool,
}

/// What a walk led to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Walk {
    /// The mover after it.
    pub mover: Mover,
    /// Slides in which a chunk that is not there was in the way.
    pub missing: u32,
    /// Whether it stood in something solid and was put free.
    pub freed: bool,
    /// How fast it fell when it came to the ground, in units per second.
    pub landed: Option<f64>,
}

/// Moves a player on by one tick.
///
/// Who stands and wants nothing stays, at no cost. A way that leads into another chunk ends at the first part of
/// it that lies there, so that nine chunks around the player are all that it can need. Where the grid of chunks
/// ends, it ends before.
pub fn walk<'a, F: Fn(ChunkCoord) -> Option<Loaded<'a>>>(
    chunk_at: &F,
    mover: Mover,
    wish: Wish,
    pace: Pace,
) -> Walk {
    let mut walk = Walk { mover, missing: 0, freed: false, landed: None };
    if mover.on_ground && wish == Wish::default() {
        return walk;
    }
    let Some(began_in) = mover.position.chunk() else { return walk };
    if mover.on_ground && wish.jump {
        walk.mover.on_ground = false;
        walk.mover.velocity_y = f64::from(JUMP_UNITS_S);
    }
    let whole = f64::from(pace.speed_units_s) / f64::from(pace.tick_rate_hz);
    let parts = (whole / PART_UNITS_MAX).ceil().max(1.0);
    let way = (wish.x * whole / parts, wish.z * whole / parts);
    let part_us = 1_000_000 / pace.tick_rate_hz / parts as u32;
    for _ in 0..parts as u32 {
        let slid = slide(chunk_at, walk.mover, way, part_us);
        walk.missing += u32::from(slid.missing.is_some());
        walk.freed |= slid.freed;
        walk.landed = walk.landed.or(slid.landed);
        let Some(now_in) = slid.mover.position.chunk() else { break };
        walk.mover = slid.mover;
        if now_in != began_in {
            break;
        }
    }
    walk
}

/// The door that a player can use: the nearest one in reach, of those ahead. `yaw` counts 65,536 to the turn: 0
/// is east, a quarter is south.
///
/// "Ahead" is the half of the plane into which the player looks, told by the eighth of the turn so that no angle
/// has to be computed; of two doors as near, the one of the chunk that comes first by column and row, then the
/// one with the lower index.
pub fn door_in_reach<'a, F: Fn(ChunkCoord) -> Option<&'a Chunk>>(
    chunk_at: &F,
    at: Position,
    yaw: u16,
) -> Option<(ChunkCoord, usize)> {
    let own = at.chunk()?;
    let look = LOOKS[usize::from(yaw.wrapping_add(4_096) >> 13)];
    let mut nearest: Option<(f64, ChunkCoord, usize)> = None;
    for coord in Topology::Plane.ring(own) {
        let Some(chunk) = chunk_at(coord) else { continue };
        let (x0, z0) = coord.origin();
        for (index, door) in chunk.doors().iter().enumerate() {
            let units = |fixed: i16| f64::from(fixed) / f64::from(FIXED_PER_UNIT);
            let (low, high) = door.solid_box();
            let beside = |at: f64, low: f64, high: f64| at.clamp(low, high) - at;
            let x = beside(at.x - x0, units(low[0]), units(high[0]));
            let z = beside(at.z - z0, units(low[2]), units(high[2]));
            let reaches_up = at.y < units(high[1]) && at.y + f64::from(PLAYER_HEIGHT_UNITS) > units(low[1]);
            // Who stands in the door's frame has it ahead wherever it looks.
            let is_ahead = x * look.0 + z * look.1 >= 0.0;
            let distance = x * x + z * z;
            if !reaches_up || !is_ahead || distance > DOOR_REACH_UNITS * DOOR_REACH_UNITS {
                continue;
            }
            let first = nearest.is_none_or(|(best, of, _)| (distance, coord) < (best, of));
            if first {
                nearest = Some((distance, coord, index));
            }
        }
    }
    nearest.map(|(_, coord, index)| (coord, index))
}

/// East, south-east and so on.
const LOOKS: [(f64, f64); 8] =
    [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (-1.0, 0.0), (-1.0, -1.0), (0.0, -1.0), (1.0, -1.0)];

impl Chunk {
    /// Whether a player's box at a place touches the way of a door, which then should not close.
    pub fn door_is_blocked(&self, index: usize, at: Position, margin_units: f64) -> bool {
        let Some(door) = self.doors().get(index) else { return false };
        let (x0, z0) = self.coord().origin();
        let units = |fixed: i16| f64::from(fixed) / f64::from(FIXED_PER_UNIT);
        let (low, high) = door.solid_box();
        let half = f64::from(crate::slide::PLAYER_HALF_WIDTH_UNITS) + margin_units;
        let within = |at: f64, axis: Axis| {
            let axis = axis as usize;
            at + half > units(low[axis]) && at - half < units(high[axis])
        };
        let overlaps_up = at.y < units(high[1]) && at.y + f64::from(PLAYER_HEIGHT_UNITS) > units(low[1]);
        overlaps_up && within(at.x - x0, Axis::X) && within(at.z - z0, Axis::Z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::biome::Biome;
    use crate::bsp::build;
    use crate::cell::{Cell, OpenCell};
    use crate::coord::CELL_UNITS;
    use crate::door::{Door, Hinge, OpenDoors};
    use crate::generator::{BspWorld, Generator};
    use crate::grid::Grid;
    use crate::hash::Random;
    use crate::scratch::Scratch;
    use std::collections::BTreeMap;

    const PACE: Pace = Pace { speed_units_s: 320, tick_rate_hz: 60 };
    const ORIGIN: ChunkCoord = ChunkCoord::new(0, 0);

    /// Two rooms, west and east of a door, under a low ceiling.
    fn with_door() -> Chunk {
        let mut grid = Grid::uniform(ORIGIN, Biome::Dungeon, Cell::Solid);
        let fixed = |units: i32| (units * FIXED_PER_UNIT) as i16;
        for x in 4..10 {
            grid.set(x, 5, Cell::Open(OpenCell::indoor(Biome::Dungeon, 0, fixed(96))));
        }
        let (bottom, top) = (0, fixed(96));
        let door = Door { x: 6, z: 5, axis: Axis::X, hinge: Hinge::Low, open_degrees: 90, bottom, top };
        grid.doors.push(door);
        build(&grid, &mut Scratch::default())
    }

    fn cell(x: i32, z: i32) -> Position {
        let middle = |cell: i32| f64::from(cell * CELL_UNITS + CELL_UNITS / 2);
        Position { x: middle(x), y: 0.0, z: middle(z) }
    }

    fn walk_in(chunk: &Chunk, open_doors: OpenDoors, mover: Mover, wish: Wish, ticks: u32) -> Mover {
        let chunk_at = |coord| (coord == ORIGIN).then_some(Loaded { chunk, open_doors });
        (0..ticks).fold(mover, |mover, _| walk(&chunk_at, mover, wish, PACE).mover)
    }

    const EAST: Wish = Wish { x: 1.0, z: 0.0, jump: false };

    #[test]
    fn a_closed_door_stops_and_an_open_one_lets_through() {
        let chunk = with_door();
        let start = Mover::standing(cell(4, 5));
        let stopped = walk_in(&chunk, OpenDoors::NONE, start, EAST, 120);
        assert_eq!(stopped.position.x, f64::from(7 * CELL_UNITS) - 4.0 - 16.0);
        let through = walk_in(&chunk, OpenDoors(1), start, EAST, 120);
        assert_eq!(through.position.x, f64::from(10 * CELL_UNITS) - 16.0);
    }

    #[test]
    fn a_second_of_walking_is_as_far_as_the_pace_says() {
        for pace in [
            PACE,
            Pace { speed_units_s: 320, tick_rate_hz: 20 },
            Pace { speed_units_s: 100, tick_rate_hz: 7 },
        ] {
            let chunk = Chunk::safe(ORIGIN);
            let chunk_at = |coord| (coord == ORIGIN).then_some(Loaded::from(&chunk));
            let start = Mover::standing(Position { x: 200.0, ..chunk.spawn(1) });
            let went = (0..pace.tick_rate_hz).fold(start, |m, _| walk(&chunk_at, m, EAST, pace).mover);
            let far = went.position.x - start.position.x;
            // Each part is rounded to 1/1024 unit.
            assert!((far - f64::from(pace.speed_units_s)).abs() < 0.1, "{far}");
        }
    }

    #[test]
    fn who_jumps_rises_and_lands_where_it_stood() {
        let chunk = Chunk::safe(ORIGIN);
        let start = Mover::standing(chunk.spawn(1));
        let jump = Wish { jump: true, ..Wish::default() };
        let mut mover = walk_in(&chunk, OpenDoors::NONE, start, jump, 1);
        assert!(!mover.on_ground && mover.position.y > start.position.y);
        let mut highest = 0.0_f64;
        for _ in 0..60 {
            mover = walk_in(&chunk, OpenDoors::NONE, mover, Wish::default(), 1);
            highest = highest.max(mover.position.y - start.position.y);
        }
        assert_eq!(mover, start);
        assert!((40.0..50.0).contains(&highest), "{highest}");
    }

    #[test]
    fn the_nearest_door_ahead_is_in_reach_and_none_behind_or_far() {
        let chunk = with_door();
        let chunk_at = |coord| (coord == ORIGIN).then_some(&chunk);
        let reached = |x: f64, yaw: u16| {
            door_in_reach(&chunk_at, Position { x: f64::from(7 * CELL_UNITS) + x, ..cell(4, 5) }, yaw)
        };
        let door = Some((ORIGIN, 0));
        assert_eq!((reached(-30.0, 0), reached(-30.0, 0x8000)), (door, None));
        assert_eq!((reached(30.0, 0), reached(30.0, 0x8000)), (None, door));
        assert_eq!((reached(-68.0, 0), reached(-68.5, 0)), (door, None));
        assert_eq!((reached(0.0, 0x4000), reached(0.0, 0xc000)), (door, door));
        assert_eq!((reached(-30.0, 0xf000), reached(-30.0, 0x1000)), (door, door));
    }

    #[test]
    fn a_door_is_blocked_by_who_stands_in_its_way() {
        let chunk = with_door();
        let at = |x: f64| Position { x: f64::from(7 * CELL_UNITS) + x, ..cell(4, 5) };
        assert!(chunk.door_is_blocked(0, at(0.0), 0.0) && chunk.door_is_blocked(0, at(-19.9), 0.0));
        // Touching is not blocking.
        assert!(!chunk.door_is_blocked(0, at(-20.0), 0.0) && chunk.door_is_blocked(0, at(-20.0), 1.0));
        assert!(!chunk.door_is_blocked(0, Position { y: 96.0, ..at(0.0) }, 0.0));
        assert!(!chunk.door_is_blocked(9, at(0.0), 0.0));
    }

    #[test]
    fn a_walk_needs_no_more_than_the_ring_of_where_it_began() {
        let world = BspWorld::new(9);
        let mut scratch = Scratch::default();
        let mut chunks = BTreeMap::new();
        let mut random = Random::new(5);
        let pace = Pace { speed_units_s: 4_096, tick_rate_hz: 5 };
        let start = world.generate(ORIGIN, &mut scratch).spawn(3);
        let (mut mover, mut crossings) = (Mover::standing(start), 0);
        for _ in 0..400 {
            let began_in = mover.position.chunk().unwrap();
            for coord in Topology::Plane.ring(began_in) {
                chunks.entry(coord).or_insert_with(|| world.generate(coord, &mut scratch));
            }
            let axis = |random: &mut Random| f64::from(random.range(-7, 7)) / 10.0;
            let wish = Wish { x: axis(&mut random), z: axis(&mut random), jump: random.range(0, 3) == 0 };
            let chunk_at = |coord: ChunkCoord| {
                let apart = |a: i32, b: i32| (i64::from(a) - i64::from(b)).abs();
                assert!(apart(coord.cx, began_in.cx) <= 1 && apart(coord.cz, began_in.cz) <= 1, "{coord:?}");
                chunks.get(&coord).map(|chunk| Loaded { chunk, open_doors: OpenDoors::ALL })
            };
            mover = walk(&chunk_at, mover, wish, pace).mover;
            crossings += u32::from(mover.position.chunk() != Some(began_in));
        }
        assert!(crossings > 5, "{crossings}");
    }
}
