//! Tests of [`slide`](super): small places that were built for one behaviour, then walks through the
//! generated world.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::biome::Biome;
use crate::bsp::build;
use crate::cell::{Cell, OpenCell};
use crate::chunk::{Axis, Chunk};
use crate::coord::CELL_UNITS;
use crate::door::{Door, Hinge, OpenDoors};
use crate::generator::{BspWorld, Generator};
use crate::grid::Grid;
use crate::hash::Random;
use crate::scratch::Scratch;
use crate::topology::Topology;

/// A tick at 60 Hz, in microseconds.
const TICK_US: u32 = 16_666;
/// What a player walks in a tick, in units.
const PACE: f64 = 5.25;

/// Open ground, or a room where `ceiling` is given; heights in units.
fn open(floor: f64, ceiling: Option<f64>) -> Cell {
    let fixed = |units: f64| (units * 8.0) as i16;
    match ceiling {
        None => Cell::Open(OpenCell::outdoor(fixed(floor), 0)),
        Some(ceiling) => Cell::Open(OpenCell::indoor(Biome::Dungeon, fixed(floor), fixed(ceiling))),
    }
}

/// A chunk whose cells are as `cell` says, by column and row.
fn chunk_of(coord: ChunkCoord, cell: impl Fn(usize, usize) -> Cell) -> Chunk {
    build(&grid_of(coord, cell), &mut Scratch::default())
}

fn grid_of(coord: ChunkCoord, cell: impl Fn(usize, usize) -> Cell) -> Grid {
    let mut grid = Grid::uniform(coord, Biome::Dungeon, Cell::Solid);
    for i in 0..256 {
        grid.set(i % 16, i / 16, cell(i % 16, i / 16));
    }
    grid
}

/// The middle of a cell of a chunk, so many units up.
fn middle(coord: ChunkCoord, x: usize, z: usize, y: f64) -> Position {
    let (x0, z0) = coord.origin();
    let at = |cell: usize| f64::from(cell as i32 * CELL_UNITS + CELL_UNITS / 2);
    Position { x: x0 + at(x), y, z: z0 + at(z) }
}

/// Slides in one chunk alone, all doors closed.
fn slide_in(chunk: &Chunk, mover: Mover, wish: (f64, f64)) -> Slide {
    slide(&|c| (c == chunk.coord()).then_some(Loaded::from(chunk)), mover, wish, TICK_US)
}

const ORIGIN: ChunkCoord = ChunkCoord::new(0, 0);

#[test]
fn stairs_of_a_step_are_walked_up_and_down_without_leaving_the_ground() {
    let stairs = chunk_of(ORIGIN, |x, _| open(32.0 * x.min(3) as f64, None));
    let mut mover = Mover::standing(middle(ORIGIN, 0, 8, 0.0));
    let mut ups = 0;
    for (wish, top) in [(PACE, 96.0), (-PACE, 0.0)] {
        for _ in 0..50 {
            let slid = slide_in(&stairs, mover, (wish, 0.0));
            assert!((slid.mover.position.y - mover.position.y).abs() <= 32.0 && slid.mover.on_ground);
            assert!(!slid.blocked && slid.landed.is_none());
            assert_eq!(slid.mover.position.x, mover.position.x + wish);
            ups += u32::from(slid.stepped_up);
            mover = slid.mover;
        }
        assert_eq!(mover.position.y, top);
    }
    assert_eq!(ups, 3);
}

#[test]
fn an_eighth_of_a_unit_over_a_step_is_a_wall() {
    let ledge = chunk_of(ORIGIN, |x, _| open(if x < 8 { 0.0 } else { 32.125 }, None));
    let mut mover = Mover::standing(middle(ORIGIN, 7, 8, 0.0));
    for _ in 0..10 {
        mover = slide_in(&ledge, mover, (PACE, 0.0)).mover;
    }
    assert_eq!((mover.position.x, mover.position.y), (512.0 - 16.0, 0.0));
    assert!(slide_in(&ledge, mover, (PACE, 0.0)).blocked);
}

#[test]
fn a_step_into_a_low_passage_needs_room_for_the_player_and_no_more() {
    for (ceiling, passes) in [(16.0 + 56.0, true), (16.0 + 55.875, false)] {
        let step = |x, _| if x < 8 { open(0.0, Some(120.0)) } else { open(16.0, Some(ceiling)) };
        let passage = chunk_of(ORIGIN, step);
        let mut mover = Mover::standing(middle(ORIGIN, 6, 8, 0.0));
        for _ in 0..40 {
            mover = slide_in(&passage, mover, (PACE, 0.0)).mover;
        }
        assert_eq!(mover.position.y == 16.0, passes, "{ceiling}: {mover:?}");
    }
}

#[test]
fn a_step_under_which_the_head_has_no_room_is_a_wall() {
    // No room to be lifted where it stands, none where it would stand.
    for (here, there) in [(60.0, 120.0), (120.0, 16.0 + 55.875)] {
        let step = |x, _| if x < 8 { open(0.0, Some(here)) } else { open(16.0, Some(there)) };
        let passage = chunk_of(ORIGIN, step);
        let mover = Mover::standing(Position { x: 495.0, y: 0.0, z: 500.0 });
        let slid = slide_in(&passage, mover, (PACE, 1.0));
        assert_eq!(slid.mover, Mover::standing(Position { x: 496.0, y: 0.0, z: 501.0 }));
        assert!(slid.blocked && !slid.stepped_up && !slid.freed, "{slid:?}");
    }
}

#[test]
fn nobody_steps_up_in_the_air() {
    let ledge = chunk_of(ORIGIN, |x, _| open(if x < 8 { 0.0 } else { 32.0 }, None));
    let start = Position { x: 495.0, y: 30.0, z: 500.0 };
    let falling = Mover { on_ground: false, ..Mover::standing(start) };
    let slid = slide_in(&ledge, falling, (PACE, 0.0));
    assert!(slid.blocked && !slid.stepped_up && slid.mover.position.y < 30.0);
    assert_eq!(slid.mover.position.x, 496.0);
}

#[test]
fn stairs_are_climbed_while_a_wall_is_leaned_against() {
    // A stairway one cell wide along z; the wish goes into its eastern wall as much as up.
    let stairs =
        chunk_of(ORIGIN, |x, z| if x == 8 { open(24.0 * z.min(4) as f64, None) } else { Cell::Solid });
    for wish_x in [PACE, -PACE] {
        let mut mover = Mover::standing(middle(ORIGIN, 8, 0, 0.0));
        for _ in 0..80 {
            mover = slide_in(&stairs, mover, (wish_x, PACE)).mover;
        }
        assert_eq!((mover.position.y, mover.position.z), (96.0, 32.0 + 80.0 * PACE));
    }
}

#[test]
fn a_wall_of_many_cells_is_slid_along_without_a_catch() {
    // Rock and high ledges in turn, so that no two cells of the wall are one box.
    let wall = |x: usize, z: usize| match z {
        8.. => OpenCell { floor_material: (x % 3) as u8 + 1, ..*open(0.0, None).open().expect("open") },
        _ => *open(60.0 + (x % 2) as f64, None).open().expect("open"),
    };
    for coord in [ORIGIN, ChunkCoord::new(i32::MIN, i32::MAX)] {
        let cell =
            |x: usize, z: usize| if z < 8 && x % 4 == 3 { Cell::Solid } else { Cell::Open(wall(x, z)) };
        let chunk = chunk_of(coord, cell);
        let mut mover = Mover::standing(middle(coord, 0, 8, 0.0));
        let z0 = coord.origin().1;
        for n in 0..170 {
            let slid = slide_in(&chunk, mover, (PACE, -PACE));
            assert_eq!(slid.mover.position.x, mover.position.x + PACE);
            assert_eq!(slid.mover.position.z - z0, (544.0 - PACE * f64::from(n + 1)).max(528.0));
            mover = slid.mover;
        }
    }
}

#[test]
fn a_corner_of_a_corridor_is_rounded_with_one_wish() {
    for mirrored in [false, true] {
        let corridor = chunk_of(ORIGIN, |x, z| {
            let (x, z) = if mirrored { (z, x) } else { (x, z) };
            let is_open = (z == 8 && x <= 8) || (x == 8 && z >= 8);
            if is_open { open(0.0, Some(64.0)) } else { Cell::Solid }
        });
        let start = if mirrored { (8, 0) } else { (0, 8) };
        let mut mover = Mover::standing(middle(ORIGIN, start.0, start.1, 0.0));
        for _ in 0..300 {
            mover = slide_in(&corridor, mover, (PACE * 0.8, PACE * 0.6)).mover;
        }
        let Position { x, z, .. } = mover.position;
        let (across, along) = if mirrored { (z, x) } else { (x, z) };
        // Both ends of the chunk are the end of the world here.
        assert_eq!((across, along), (576.0 - 16.0, 1_024.0 - 16.0));
    }
}

#[test]
fn who_walks_over_an_edge_falls_faster_and_faster_and_lands() {
    let ledge = chunk_of(ORIGIN, |x, _| open(if x < 8 { 100.0 } else { 0.0 }, None));
    let mut mover = Mover::standing(Position { x: 512.0 + 15.0, y: 100.0, z: 500.0 });
    let mut heights = Vec::new();
    let landed = loop {
        let slid = slide_in(&ledge, mover, (PACE, 0.0));
        heights.push(slid.mover.position.y);
        mover = slid.mover;
        if let Some(speed) = slid.landed {
            break speed;
        }
        assert!(heights.len() < 100 && !mover.on_ground);
    };
    let falls: Vec<f64> = heights.windows(2).map(|h| h[0] - h[1]).collect();
    assert!(falls[..falls.len() - 1].windows(2).all(|f| f[1] > f[0]), "{falls:?}");
    // 100 units at 800 units a second squared: half a second and 400 units a second.
    assert!((29..=32).contains(&heights.len()) && (380.0..=420.0).contains(&landed), "{landed}");
    assert_eq!(mover, Mover { on_ground: true, velocity_y: 0.0, ..mover });
    assert_eq!(mover.position.y, 0.0);
}

#[test]
fn nobody_falls_faster_than_the_limit_or_through_a_floor() {
    let flat = Chunk::safe(ORIGIN);
    let mut mover = Mover { position: middle(ORIGIN, 4, 4, 20_000.0), velocity_y: -1e9, on_ground: false };
    for _ in 0..2_000 {
        let slid = slide_in(&flat, mover, (0.0, 0.0));
        assert!(slid.mover.velocity_y >= -f64::from(FALL_UNITS_S_MAX));
        mover = slid.mover;
    }
    assert_eq!((mover.position.y, mover.on_ground), (0.0, true));
}

#[test]
fn a_head_that_meets_the_ceiling_comes_down_again() {
    let room = chunk_of(ORIGIN, |_, _| open(0.0, Some(72.0)));
    let mut mover =
        Mover { velocity_y: 400.0, on_ground: false, ..Mover::standing(middle(ORIGIN, 4, 4, 0.0)) };
    let mut highest = 0.0_f64;
    for _ in 0..60 {
        mover = slide_in(&room, mover, (0.0, 0.0)).mover;
        highest = highest.max(mover.position.y);
    }
    assert_eq!((highest, mover.position.y, mover.on_ground), (16.0, 0.0, true));
}

#[test]
fn a_missing_chunk_is_a_wall_that_says_so() {
    let coord = ChunkCoord::new(5, 5);
    let chunk = Chunk::safe(coord);
    let (x0, z0) = coord.origin();
    let mut mover = Mover::standing(Position { x: x0 + 1_000.0, y: 0.0, z: z0 + 500.0 });
    for n in 1..=10 {
        let slid = slide_in(&chunk, mover, (20.0, 3.0));
        assert_eq!(slid.missing, Some(ChunkCoord::new(6, 5)));
        mover = slid.mover; // it touches, and slides along
        assert_eq!((mover.position.x, mover.position.z), (x0 + 1_008.0, z0 + 500.0 + 3.0 * f64::from(n)));
    }
    // Who stands in one waits for it.
    let inside = Mover::standing(Position { x: x0 + 1_020.0, ..mover.position });
    let slid = slide_in(&chunk, inside, (-20.0, 0.0));
    assert_eq!((slid.mover, slid.missing), (inside, Some(ChunkCoord::new(6, 5))));
}

#[test]
fn nonsense_goes_nowhere() {
    let chunk = Chunk::safe(ORIGIN);
    let mover = Mover::standing(Position { x: 500.0, y: 0.0, z: 500.0 });
    assert_eq!(slide_in(&chunk, mover, (f64::NAN, f64::INFINITY)).mover, mover);
    assert_eq!(slide_in(&chunk, mover, (1e9, 0.0)).mover.position.x, 564.0);
    for nowhere in [f64::NAN, f64::INFINITY, 1e300] {
        let lost = Mover::standing(Position { x: nowhere, ..mover.position });
        let slid = slide_in(&chunk, lost, (1.0, 1.0));
        assert!(slid.blocked && slid.mover.position.x.to_bits() == nowhere.to_bits());
    }
    let odd = Mover { velocity_y: f64::NAN, on_ground: false, ..mover };
    let slid = slide(&|_| Some(Loaded::from(&chunk)), odd, (1.0, 1.0), u32::MAX);
    assert_eq!((slid.mover.velocity_y, slid.mover.on_ground), (0.0, true));
}

#[test]
fn a_closing_door_puts_players_out_on_their_side() {
    let mut grid = grid_of(ORIGIN, |_, z| if z == 8 { open(0.0, Some(64.0)) } else { Cell::Solid });
    grid.doors.push(Door {
        x: 7,
        z: 8,
        axis: Axis::X,
        hinge: Hinge::Low,
        open_degrees: 90,
        bottom: 0,
        top: 64 * 8,
    });
    let chunk = build(&grid, &mut Scratch::default());
    for (x, beside) in [(505.0, 508.0 - 16.0), (515.0, 516.0 + 16.0), (512.0, 492.0)] {
        let step = |mover, wish, open_doors| {
            let only = |c| (c == ORIGIN).then_some(Loaded { chunk: &chunk, open_doors });
            slide(&only, mover, wish, TICK_US)
        };
        let mover = Mover::standing(Position { x, y: 0.0, z: 544.0 });
        let through = step(mover, (1.0, 0.0), OpenDoors(1));
        assert!(!through.freed && through.mover.position.x == x + 1.0);
        let slid = step(mover, (1.0, 0.0), OpenDoors::NONE);
        assert!(slid.freed);
        assert_eq!(slid.mover, Mover::standing(Position { x: beside, ..mover.position }));
        let again = step(slid.mover, (0.0, 1.0), OpenDoors::NONE);
        assert!(!again.freed && again.mover.position.z == 545.0);
    }
}

#[test]
fn who_stands_in_rock_is_put_free() {
    let ledge = chunk_of(ORIGIN, |x, _| match x {
        0..5 => open(40.0, None),
        5..8 => open(0.0, None),
        _ => Cell::Solid,
    });
    let put = |x: f64, y: f64| {
        let slid = slide_in(&ledge, Mover::standing(Position { x, y, z: 500.0 }), (0.0, 0.0));
        assert!(slid.freed && slid.mover.on_ground);
        slid.mover.position
    };
    // Under the ledge, its edge touched with one side only.
    assert_eq!(put(325.0, 3.0), Position { x: 325.0, y: 40.0, z: 500.0 });
    // Deep in the solid cells: the middle of the nearest one with room.
    assert_eq!(put(800.0, 0.0), middle(ORIGIN, 7, 7, 0.0));
    // Where there is no room at all it stays, and nothing breaks.
    let rock = chunk_of(ORIGIN, |x, z| if (x, z) == (0, 0) { open(0.0, Some(55.0)) } else { Cell::Solid });
    let buried = Mover::standing(middle(ORIGIN, 8, 8, 0.0));
    let slid = slide_in(&rock, buried, (1.0, 1.0));
    assert_eq!((slid.mover, slid.blocked, slid.freed), (buried, true, false));
}

/// The generated world, and which cells of it are where.
struct World {
    world: BspWorld,
    chunks: BTreeMap<ChunkCoord, (Grid, Chunk)>,
}

impl World {
    fn around(seed: u64, centre: ChunkCoord) -> World {
        let mut world = World { world: BspWorld::new(seed), chunks: BTreeMap::new() };
        world.load(centre);
        world
    }

    fn load(&mut self, centre: ChunkCoord) {
        let mut scratch = Scratch::default();
        for coord in Topology::Plane.ring(centre) {
            let world = &self.world;
            let make = || (world.grid(coord), world.generate(coord, &mut scratch));
            self.chunks.entry(coord).or_insert_with(make);
        }
    }

    fn at(&self, coord: ChunkCoord) -> Option<Loaded<'_>> {
        self.chunks.get(&coord).map(|(_, chunk)| Loaded { chunk, open_doors: OpenDoors::ALL })
    }

    fn step(&self, mover: Mover, wish: (f64, f64)) -> Slide {
        slide(&|c| self.at(c), mover, wish, TICK_US)
    }

    /// By the grids alone: whether a player has room, that is, no cell under its box reaches into it.
    fn has_room(&self, at: Position) -> bool {
        let sides = [-15.999, 15.999];
        sides.into_iter().flat_map(|dx| sides.map(|dz| (dx, dz))).all(|(dx, dz)| {
            let corner = Position { x: at.x + dx, y: at.y, z: at.z + dz };
            let Some((grid, _)) = corner.chunk().and_then(|coord| self.chunks.get(&coord)) else {
                return false;
            };
            let (x0, z0) = grid.coord.origin();
            let cell = |along: f64| (along / f64::from(CELL_UNITS)).floor() as usize;
            grid.at(cell(corner.x - x0), cell(corner.z - z0)).open().is_some_and(|open| {
                let above = open.ceiling.map_or(f64::INFINITY, |c| f64::from(c) / 8.0);
                f64::from(open.floor) / 8.0 <= at.y && at.y + 56.0 <= above
            })
        })
    }
}

const STARTS: [ChunkCoord; 6] = [
    ChunkCoord::new(0, 0),
    ChunkCoord::new(-3, 1_000_000),
    ChunkCoord::new(40, -40),
    ChunkCoord::new(i32::MAX, 7),
    ChunkCoord::new(-1_000, i32::MIN + 1),
    ChunkCoord::new(i32::MIN, i32::MAX),
];

/// A drunkard's walk with a leap now and then.
fn wander(seed: u64, start: ChunkCoord, steps: u32, mut each: impl FnMut(&World, Mover, Slide)) -> Mover {
    let mut world = World::around(seed, start);
    let mut random = Random::new(seed);
    let mut mover = Mover::standing(world.chunks[&start].1.spawn(seed));
    let mut wish = (0.0, 0.0);
    for n in 0..steps {
        if n % 40 == 0 {
            let mut along = || f64::from(random.range(-9_000, 9_000)) / 1_000.0;
            wish = (along(), along());
            if mover.on_ground && random.one_in(4) {
                mover = Mover { velocity_y: 270.0, on_ground: false, ..mover };
            }
        }
        let slid = world.step(mover, wish);
        each(&world, mover, slid);
        mover = slid.mover;
        world.load(mover.position.chunk().expect("nobody leaves the grid"));
    }
    mover
}

#[test]
fn nobody_slides_into_rock_or_up_a_cliff() {
    let (mut stepped, mut landed, mut blocked) = (0, 0, 0);
    for (seed, start) in (0..24).map(|i| (i, STARTS[i as usize % STARTS.len()])) {
        wander(seed, start, 4_000, |world, before, slid| {
            let (from, to) = (before.position, slid.mover.position);
            assert!(world.has_room(to), "seed {seed}: {before:?} -> {slid:?}");
            assert!(!before.on_ground || to.y - from.y <= 32.0, "seed {seed}: {before:?} -> {slid:?}");
            assert!(!slid.freed && slid.missing.is_none());
            stepped += u32::from(slid.stepped_up);
            landed += u32::from(slid.landed.is_some());
            blocked += u32::from(slid.blocked);
        });
    }
    assert!(stepped > 500 && landed > 500 && blocked > 5_000, "{stepped} {landed} {blocked}");
}

#[test]
fn the_same_walk_ends_in_the_same_place_to_the_bit() {
    for start in STARTS {
        let bits = || {
            let mut bits = Vec::new();
            wander(5, start, 1_000, |_, _, slid| {
                let Position { x, y, z } = slid.mover.position;
                bits.extend([x, y, z, slid.mover.velocity_y].map(f64::to_bits));
                assert!([x, y, z].iter().all(|v| (v * 1_024.0).fract() == 0.0));
            });
            bits
        };
        assert_eq!(bits(), bits());
    }
}

#[test]
fn from_every_place_there_is_a_way_on() {
    for (seed, start) in (0..12).map(|i| (i, STARTS[i as usize % STARTS.len()])) {
        let mut n = 0;
        wander(seed, start, 3_000, |world, before, _| {
            n += 1;
            if n % 8 != 0 || !before.on_ground {
                return;
            }
            let moves = [(9.0, 0.0), (0.0, 9.0), (-9.0, 0.0), (0.0, -9.0)].into_iter().any(|wish| {
                let to = world.step(before, wish).mover.position;
                (to.x - before.position.x).abs() + (to.z - before.position.z).abs() == 9.0
            });
            assert!(moves, "seed {seed}: {before:?}");
        });
    }
}

/// From cell to cell by nothing but `slide`: every side of every chunk that was met is crossed.
#[test]
fn every_chunk_is_left_over_each_of_its_sides() {
    for start in [ChunkCoord::new(0, 0), ChunkCoord::new(1_000_000, -3), ChunkCoord::new(7, i32::MAX - 3)] {
        let world = World::around(9, start);
        let cell = f64::from(CELL_UNITS);
        let snap = |at: Position| ((at.x / cell).floor() as i64, (at.z / cell).floor() as i64);
        let mut left = BTreeSet::new();
        let from = world.chunks[&start].1.spawn(3);
        let mut seen = BTreeSet::from([snap(from)]);
        let mut waiting = vec![from];
        while let Some(at) = waiting.pop() {
            for (dx, dz) in [(8.0, 0.0), (0.0, 8.0), (-8.0, 0.0), (0.0, -8.0)] {
                let mut mover = Mover::standing(at);
                let mut whole = true;
                // A cell on, then down to the ground.
                for n in 0..60 {
                    let slid = world.step(mover, if n < 8 { (dx, dz) } else { (0.0, 0.0) });
                    whole &= !slid.blocked;
                    mover = slid.mover;
                }
                let to = mover.position.chunk().expect("nobody leaves the grid");
                if to != start && whole {
                    left.insert(Topology::Plane.offset(start, to));
                }
                if to == start && whole && seen.insert(snap(mover.position)) {
                    waiting.push(mover.position);
                }
            }
        }
        assert_eq!(left.len(), 4, "{start:?}: {left:?}");
    }
}
