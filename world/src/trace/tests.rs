//! Tests of [`trace`](super) at its bounds. Brute force over whole worlds is in `tests/trace.rs`.

use super::*;
use crate::biome::Biome;
use crate::bsp::build;
use crate::cell::{Cell, OpenCell};
use crate::chunk::{Axis, Child, Chunk, NODES_MAX, Node, Plane};
use crate::coord::HEIGHT_FIXED;
use crate::door::{Door, Hinge, OpenDoors};
use crate::entries::Entries;
use crate::generator::{BspWorld, Generator};
use crate::grid::Grid;
use crate::grid::tests::coords;
use crate::hash::Random;
use crate::scratch::Scratch;
use crate::sweep::REACH_UNITS;
use crate::topology::Topology;

const ORIGIN: ChunkCoord = ChunkCoord::new(0, 0);
const BOX: HalfExtents = HalfExtents { x: 4.0, y: 8.0, z: 4.0 };

fn at(x: f64, y: f64, z: f64) -> Position {
    Position { x, y, z }
}

fn trace_in(chunk: &Chunk, from: Position, to: Position, half: HalfExtents) -> Trace {
    trace(&|c| (c == chunk.coord()).then_some(Loaded::from(chunk)), from, to, half)
}

#[test]
fn what_only_touches_is_not_in_the_way() {
    let chunk = Chunk::safe(ORIGIN);
    // It lies on the floor and goes along it, then it sinks.
    let along = trace_in(&chunk, at(100.0, 8.0, 100.0), at(200.0, 8.0, 300.0), BOX);
    assert_eq!((along.fraction, along.hit, along.normal), (1.0, None, None));
    let down = trace_in(&chunk, along.end, at(200.0, 8.0 - 1.0 / 1_024.0, 300.0), BOX);
    assert_eq!((down.fraction, down.hit), (0.0, Some(Hit::Rock(ORIGIN))));
    assert_eq!(down.normal, Some(Normal { axis: Axis::Y, sign: 1 }));
    assert!(!down.started_inside && down.end == along.end);
    // Up to the floor and no further is free.
    let onto = trace_in(&chunk, at(100.0, 90.0, 100.0), at(100.0, 8.0, 100.0), BOX);
    assert_eq!((onto.fraction, onto.hit), (1.0, None));
}

#[test]
fn a_box_that_starts_inside_says_in_what() {
    let chunk = Chunk::safe(ORIGIN);
    let inside = trace_in(&chunk, at(100.0, 7.875, 100.0), at(100.0, 90.0, 100.0), BOX);
    assert!(inside.started_inside && inside.normal.is_none());
    assert_eq!((inside.fraction, inside.hit, inside.end.y), (0.0, Some(Hit::Rock(ORIGIN)), 7.875));
    let beyond = trace_in(&chunk, at(1_021.0, 8.0, 100.0), at(0.0, 8.0, 100.0), BOX);
    assert_eq!(beyond.hit, Some(Hit::Missing(ChunkCoord::new(1, 0))));
    assert!(beyond.started_inside);
}

#[test]
fn a_long_way_ends_at_its_reach_and_says_so() {
    let flat = |_| Some(Loaded::from(flat_chunk()));
    let from = at(1.0, 50.0, 2.0);
    let reach = f64::from(REACH_UNITS);
    let just = trace(&flat, from, at(1.0 + reach, 50.0, 2.0), BOX);
    assert_eq!((just.fraction, just.hit), (1.0, None));
    let over = trace(&flat, from, at(1.0 + 4.0 * reach, 50.0, 2.0 - 2.0 * reach), BOX);
    assert_eq!((over.fraction, over.hit), (0.25, Some(Hit::Reach)));
    assert_eq!(over.end, at(1.0 + reach, 50.0, 2.0 - reach / 2.0));
    // Something before that is met as ever, and its share is of the whole way.
    let sink = trace(&flat, from, at(1.0, 50.0 - 4.0 * reach, 2.0), BOX);
    assert_eq!((sink.fraction, sink.end.y), (42.0 / (4.0 * reach), 8.0));
    let endless = trace(&flat, from, at(1e300, 50.0, -1e300), BOX);
    // North is the longer way by 3 units in 2^42, which makes east a grain short of its reach.
    let end = at(1.0 + reach - 1.0 / 1_024.0, 50.0, 2.0 - reach);
    assert_eq!((endless.hit, endless.end), (Some(Hit::Reach), end));
}

/// One chunk that stands for all.
fn flat_chunk() -> &'static Chunk {
    static FLAT: std::sync::LazyLock<Chunk> = std::sync::LazyLock::new(|| Chunk::safe(ORIGIN));
    &FLAT
}

#[test]
fn nonsense_is_answered_and_goes_nowhere() {
    let chunk = Chunk::safe(ORIGIN);
    let good = at(100.0, 50.0, 100.0);
    let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let axes = [|v| at(v, 50.0, 9.0), |v| at(9.0, v, 9.0), |v| at(9.0, 50.0, v)];
    for (axis, value) in axes.into_iter().flat_map(|axis| bad.map(|value| (axis, value))) {
        for (from, to) in [(axis(value), good), (good, axis(value)), (axis(value), axis(value))] {
            let trace = trace_in(&chunk, from, to, BOX);
            assert_eq!((trace.fraction, trace.hit, trace.normal), (0.0, Some(Hit::Outside), None));
        }
        let only = |c: ChunkCoord| (c == ORIGIN).then_some(Loaded::from(&chunk));
        assert_eq!(contents(&only, axis(value)), Some(Hit::Outside));
    }
    for half in [-1.0, 0.0, f64::NAN] {
        let half = HalfExtents { x: half, y: half, z: half };
        let trace = trace_in(&chunk, good, at(100.0, -50.0, 100.0), half);
        assert_eq!(trace.end.y, 1.0 / 1_024.0);
    }
    let vast = HalfExtents { x: f64::INFINITY, y: 1e300, z: 1e9 };
    assert!(trace_in(&chunk, good, good, vast).started_inside);
}

#[test]
fn the_world_ends_with_a_wall() {
    let last = ChunkCoord::new(i32::MAX, i32::MIN);
    let chunk = Chunk::safe(last);
    let (x0, z0) = last.origin();
    let east = trace_in(&chunk, at(x0 + 900.0, 50.0, z0 + 9.0), at(x0 + 1_900.0, 50.0, z0 + 9.0), BOX);
    assert_eq!((east.hit, east.end.x), (Some(Hit::Outside), x0 + 1_020.0));
    let north = trace_in(&chunk, at(x0 + 900.0, 50.0, z0 + 9.0), at(x0 + 900.0, 50.0, z0 - 9.0), BOX);
    assert_eq!((north.hit, north.end.z), (Some(Hit::Outside), z0 + 4.0));
}

#[test]
fn who_falls_exactly_onto_an_edge_lands_on_it() {
    let cell = |floor| Cell::Open(OpenCell::outdoor(floor, 0));
    let mut grid = Grid::uniform(ORIGIN, Biome::Exterior, cell(0));
    (8..16).for_each(|x| (0..16).for_each(|z| grid.set(x, z, cell(320))));
    let chunk = build(&grid, &mut Scratch::default());
    // Its lower edge meets the ledge's upper edge.
    let edge = trace_in(&chunk, at(498.0, 58.0, 100.0), at(518.0, 38.0, 100.0), BOX);
    assert_eq!((edge.fraction, edge.normal), (0.5, Some(Normal { axis: Axis::Y, sign: 1 })));
    // A grain lower it is a wall.
    let y = 58.0 - 1.0 / 1_024.0;
    let wall = trace_in(&chunk, at(498.0, y, 100.0), at(518.0, y - 20.0, 100.0), BOX);
    assert_eq!((wall.fraction, wall.normal), (0.5, Some(Normal { axis: Axis::X, sign: -1 })));
}

/// Each plane cuts an eighth of a unit off the last: as deep as a tree can be, and no deeper.
fn deep(front_first: bool) -> Chunk {
    let mut chunk = Chunk::safe(ORIGIN);
    chunk.planes.clear();
    chunk.nodes.clear();
    for i in 0..NODES_MAX as u16 {
        let distance = if front_first { i as i16 + 1 } else { 8_191 - i as i16 };
        chunk.planes.push(Plane { axis: Axis::X, faces_back: false, distance });
        let next = if i as usize == NODES_MAX - 1 { Child::Solid } else { Child::Node(i + 1) };
        let (back, front) = if front_first { (Child::Leaf(0), next) } else { (next, Child::Leaf(0)) };
        chunk.nodes.push(Node { plane: i, back, front });
    }
    chunk.entries = Entries::of(&chunk.nodes, &chunk.planes);
    chunk
}

#[test]
fn a_tree_as_deep_as_it_has_nodes_is_answered() {
    let edge = NODES_MAX as f64 / 8.0;
    for (front_first, from, expected) in [(true, 5.0, edge - 4.0), (false, 1_019.0, 1_024.0 - edge + 4.0)] {
        let chunk = deep(front_first);
        let (from, to) = (at(from, 50.0, 500.0), at(1_024.0 - from, 50.0, 510.0));
        let hit = trace_in(&chunk, from, to, BOX);
        assert_eq!((hit.end.x, hit.hit), (expected, Some(Hit::Rock(ORIGIN))));
        let miss = trace_in(&chunk, from, at(from.x, 80.0, 510.0), BOX);
        assert_eq!(miss.hit, None);
    }
    // A tree without a node is rock.
    let mut rock = deep(true);
    rock.nodes.clear();
    rock.entries = Entries::of(&rock.nodes, &rock.planes);
    assert!(trace_in(&rock, at(9.0, 50.0, 9.0), at(9.0, 50.0, 99.0), BOX).started_inside);
}

/// The same solids in more and smaller boxes give the same answers, normals of edges included.
#[test]
fn how_the_solids_are_cut_into_boxes_makes_no_difference() {
    let world = BspWorld::new(3);
    let mut scratch = Scratch::default();
    let mut random = Random::new(8);
    let mut ties = 0;
    for coord in coords(60) {
        let grid = world.grid(coord);
        // Materials that differ from cell to cell make every cell a box of its own.
        let mut shards = grid.clone();
        for i in 0..256 {
            if let Some(open) = shards.open_at_mut(i % 16, i / 16) {
                open.floor_material = i as u8;
            }
        }
        let (whole, shards) = (build(&grid, &mut scratch), build(&shards, &mut scratch));
        assert!(shards.nodes().len() > whole.nodes().len());
        let (x0, z0) = coord.origin();
        for _ in 0..400 {
            // On the boundaries of cells more often than not.
            let mut along = |limit: i32| f64::from(random.range(0, limit) * 8);
            let half = HalfExtents { x: along(2), y: along(3), z: along(2) };
            let from = at(x0 + along(127), along(16) + half.y, z0 + along(127));
            let to = at(from.x + along(16) - 64.0, from.y + along(8) - 32.0, from.z + along(16) - 64.0);
            let (a, b) = (trace_in(&whole, from, to, half), trace_in(&shards, from, to, half));
            assert_eq!(a, b);
            ties += u32::from(a.normal.is_some());
        }
    }
    assert!(ties > 1_000, "{ties}");
}

#[test]
fn contents_are_rock_air_doors_and_what_is_missing() {
    let open = Cell::Open(OpenCell::indoor(Biome::Dungeon, 0, HEIGHT_FIXED / 2));
    let mut grid = Grid::uniform(ORIGIN, Biome::Dungeon, open);
    let door = Door { x: 7, z: 3, axis: Axis::Z, hinge: Hinge::Low, open_degrees: 90, bottom: 0, top: 400 };
    grid.doors.push(door);
    let chunk = build(&grid, &mut Scratch::default());
    let filled = |open_doors, x, y, z| {
        contents(&|c| (c == ORIGIN).then_some(Loaded { chunk: &chunk, open_doors }), at(x, y, z))
    };
    let closed = |x, y, z| filled(OpenDoors::NONE, x, y, z);
    assert_eq!([closed(9.0, 0.0, 9.0), closed(9.0, 63.9, 9.0)], [None, None]);
    let rock = Some(Hit::Rock(ORIGIN));
    assert_eq!([closed(9.0, -0.1, 9.0), closed(9.0, 64.0, 9.0)], [rock; 2]);
    assert_eq!([closed(9.0, 1e300, 9.0), closed(9.0, -1e300, 9.0)], [rock; 2]);
    // From 252 to 260 along z, low bound included, high bound not.
    let in_door = Some(Hit::Door(ORIGIN, 0));
    assert_eq!([252.0, 256.0, 259.9].map(|z| closed(460.0, 20.0, z)), [in_door; 3]);
    assert_eq!([251.9, 260.0].map(|z| closed(460.0, 20.0, z)), [None; 2]);
    assert_eq!([closed(447.9, 20.0, 256.0), closed(460.0, 50.0, 256.0)], [None; 2]);
    assert_eq!(filled(OpenDoors(1), 460.0, 20.0, 256.0), None);
    assert_eq!(closed(-0.1, 20.0, 9.0), Some(Hit::Missing(ChunkCoord::new(-1, 0))));
}

#[test]
fn a_door_hides_what_stands_right_behind_it_and_lets_by_when_open() {
    let open = Cell::Open(OpenCell::indoor(Biome::Dungeon, 0, HEIGHT_FIXED / 2));
    let mut grid = Grid::uniform(ORIGIN, Biome::Dungeon, open);
    let door = Door { x: 7, z: 3, axis: Axis::X, hinge: Hinge::Low, open_degrees: 90, bottom: 0, top: 512 };
    grid.doors.push(door);
    let chunk = build(&grid, &mut Scratch::default());
    let through = |open_doors| {
        let only = |c| (c == ORIGIN).then_some(Loaded { chunk: &chunk, open_doors });
        trace(&only, at(480.0, 30.0, 224.0), at(544.0, 30.0, 224.0), BOX)
    };
    let shut = through(OpenDoors::NONE);
    assert_eq!((shut.end.x, shut.hit), (504.0, Some(Hit::Door(ORIGIN, 0))));
    assert_eq!(through(OpenDoors(1)).hit, None);
    assert_eq!(through(OpenDoors(2)), shut);
}

/// A world that is asked through its generator answers at every spawn place: there is room to be.
#[test]
fn a_player_has_room_where_it_comes_into_the_world() {
    let (world, mut scratch) = (BspWorld::new(9), Scratch::default());
    for coord in coords(200) {
        let chunk = world.generate(coord, &mut scratch);
        for salt in 0..5 {
            let feet = chunk.spawn(salt);
            let middle = at(feet.x, feet.y + HalfExtents::PLAYER.y, feet.z);
            let trace = trace_in(&chunk, middle, middle, HalfExtents::PLAYER);
            assert!(!trace.started_inside, "{coord:?} {feet:?}");
        }
    }
}

/// Whatever a line of sight ends at has a face there, and that is made of what the cell before it says.
#[test]
fn every_surface_that_is_hit_has_the_material_of_its_cell() {
    let (world, mut scratch) = (BspWorld::new(9), Scratch::default());
    let mut random = Random::new(4);
    let mut seen = [0; 3];
    for coord in coords(80) {
        let ring: Vec<Chunk> = Topology::Plane.ring(coord).map(|c| world.generate(c, &mut scratch)).collect();
        let chunk_at = |c: ChunkCoord| ring.iter().find(|chunk| chunk.coord() == c).map(Loaded::from);
        for salt in 0..40 {
            let feet = ring[0].spawn(salt);
            let mut away = |most: i32| f64::from(random.range(-1_000 * most, 1_000 * most)) / 1_000.0;
            let from = at(feet.x + away(30), (feet.y + 20.0).min(127.0), feet.z + away(30));
            // Rock under the sky has faces as high as the chunk and no higher.
            let to = at(from.x + away(900), (from.y + away(60)).min(127.0), from.z + away(900));
            let hit = trace(&chunk_at, from, to, HalfExtents::POINT);
            let (Some(Hit::Rock(_)), Some(normal)) = (hit.hit, hit.normal) else { continue };
            // The small box may hang over an edge, and its middle see another surface than its side.
            let off_planes = |v: f64| (v * 8.0 - (v * 8.0).round()).abs() > 2.0 / 128.0;
            let along = [hit.end.x, hit.end.y, hit.end.z];
            if !(0..3).all(|i| i == normal.axis as usize || off_planes(along[i])) {
                continue;
            }
            let found = material(&chunk_at, hit.end, normal);
            let before = hit.end.chunk().expect("it is in the world");
            let (x0, z0) = before.origin();
            let cell = |along: f64| (along / 64.0) as usize;
            let cell = world.grid(before).at(cell(hit.end.x - x0), cell(hit.end.z - z0));
            let open = *cell.open().expect("it came through air");
            let expected = match normal {
                Normal { axis: Axis::Y, sign: 1 } => [open.floor_material; 2],
                Normal { axis: Axis::Y, .. } => [open.ceiling_material; 2],
                _ => [open.wall_material, open.cliff_material],
            };
            assert!(found.is_some_and(|m| expected.contains(&m)), "{from:?} {to:?} {hit:?}: {found:?}");
            seen[normal.axis as usize] += 1;
            // Nothing in the middle of the air.
            let half = at((from.x + hit.end.x) / 2.0, from.y, (from.z + hit.end.z) / 2.0);
            if (half.x - hit.end.x).abs() > 1.0 && (half.z - hit.end.z).abs() > 1.0 && normal.axis != Axis::Y
            {
                let is_boundary = |v: f64| (v / 64.0 - (v / 64.0).round()).abs() < 0.01;
                let on_plane = if normal.axis == Axis::X { is_boundary(half.x) } else { is_boundary(half.z) };
                assert!(on_plane || material(&chunk_at, half, normal).is_none());
            }
        }
    }
    assert!(seen.iter().all(|n| *n > 200), "{seen:?}");
}
