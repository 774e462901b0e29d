//! Sight lines through the grids of nine chunks, against what a ring says can be seen.

use std::collections::BTreeMap;

use super::*;
use crate::biome::Biome;
use crate::generator::{BspWorld, Generator};
use crate::grid::Grid;
use crate::grid::tests::coords;
use crate::hash::Random;
use crate::scratch::Scratch;

/// A ring's grids and chunks, by column and row from the middle.
struct Place {
    centre: ChunkCoord,
    known: BTreeMap<(i32, i32), (Grid, Chunk)>,
}

impl Place {
    fn new(world: &BspWorld, scratch: &mut Scratch, centre: ChunkCoord) -> Place {
        let make = |coord| (world.grid(coord), world.generate(coord, scratch));
        let coords: Vec<ChunkCoord> = Topology::Plane.ring(centre).collect();
        let offset = |coord| Topology::Plane.offset(centre, coord).expect("it is in the ring");
        let known = coords.iter().map(|c| offset(*c)).zip(coords.iter().copied().map(make)).collect();
        Place { centre, known }
    }

    fn ring(&self) -> Ring<'_> {
        Ring::around(self.centre, |coord| {
            let at = Topology::Plane.offset(self.centre, coord)?;
            self.known.get(&at).map(|(_, chunk)| chunk)
        })
    }

    /// A random place in the air of the chunk in the middle, in units from its corner.
    fn eye(&self, random: &mut Random) -> [f64; 3] {
        loop {
            let mut along = |limit: i32| f64::from(random.range(1, limit * 64 - 1)) / 64.0;
            let at = [along(CHUNK_UNITS), along(128), along(CHUNK_UNITS)];
            if leaf_of(&self.known[&(0, 0)].1, at).is_some() {
                return at;
            }
        }
    }

    /// The cells that a ray passes before it meets rock, as chunks and leaves. Written from the grids
    /// alone: nothing of the tree or the tables is asked but which leaf a cell's air is.
    fn passed(&self, eye: [f64; 3], towards: [f64; 3]) -> Vec<((i32, i32), u16)> {
        let cell = f64::from(CELL_UNITS);
        let mut at = [(eye[0] / cell).floor() as i32, (eye[2] / cell).floor() as i32];
        let (mut t, mut passed) = (0.0, Vec::new());
        loop {
            let chunk = (at[0].div_euclid(16), at[1].div_euclid(16));
            let Some((grid, known)) = self.known.get(&chunk) else { return passed };
            let (x, z) = (at[0].rem_euclid(16), at[1].rem_euclid(16));
            let Some(open) = grid.at(x as usize, z as usize).open().copied() else { return passed };
            let to_boundary = |axis: usize| {
                let (from, step, index) = (eye[2 * axis], towards[2 * axis], at[axis]);
                let boundary = f64::from(if step > 0.0 { index + 1 } else { index }) * cell;
                if step == 0.0 { f64::INFINITY } else { (boundary - from) / step }
            };
            let (next_x, next_z) = (to_boundary(0), to_boundary(1));
            let next = next_x.min(next_z);
            let inside = |t: f64| {
                let y = (eye[1] + towards[1] * t) * 8.0;
                y > f64::from(open.floor) && open.ceiling.is_none_or(|ceiling| y < f64::from(ceiling))
            };
            if !inside(t) {
                return passed;
            }
            let (fixed_x, fixed_z) = (x as i16 * 512 + 256, z as i16 * 512 + 256);
            let leaf = known.leaf_at(LocalPoint { x: fixed_x, y: open.floor, z: fixed_z });
            passed.push((chunk, leaf.expect("an open cell has air on its floor")));
            if !inside(next) {
                return passed;
            }
            t = next;
            let axis = usize::from(next_z < next_x);
            at[axis] += if towards[2 * axis] > 0.0 { 1 } else { -1 };
        }
    }
}

fn direction(random: &mut Random) -> [f64; 3] {
    let mut part = |limit: i32| f64::from(random.range(-limit, limit)) / 1_000.0;
    [part(1_000), part(150), part(1_000)]
}

fn sight_lines(centres: i32, eyes: i32, rays: i32) -> usize {
    let (world, mut scratch, mut random) = (BspWorld::new(9), Scratch::default(), Random::new(3));
    let mut pairs = 0;
    for centre in coords(centres) {
        let place = Place::new(&world, &mut scratch, centre);
        let ring = place.ring();
        for _ in 0..eyes {
            let eye = place.eye(&mut random);
            let unhidden: BTreeMap<(i32, i32), LeafSet> =
                place.known.iter().map(|(at, (_, chunk))| (*at, ring.unhidden_in(chunk, eye, *at))).collect();
            for _ in 0..rays {
                let towards = direction(&mut random);
                for (chunk, leaf) in place.passed(eye, towards) {
                    pairs += 1;
                    let seen = unhidden[&chunk].contains(leaf.into());
                    assert!(seen, "{centre:?}: from {eye:?} towards {towards:?} leaf {leaf} of {chunk:?}");
                }
            }
        }
    }
    pairs
}

#[test]
fn what_a_sight_line_joins_is_never_hidden() {
    let pairs = sight_lines(60, 12, 60);
    assert!(pairs >= 200_000, "{pairs} pairs");
}

#[test]
#[ignore = "seventeen million pairs: half a minute"]
fn what_seventeen_million_sight_lines_join_is_never_hidden() {
    println!("{} pairs", sight_lines(1_500, 20, 66));
}

/// Shares of the leaves of the eight neighbours that an eye under a roof draws, whatever its direction.
#[test]
fn an_eye_indoors_draws_a_part_of_its_neighbours() {
    let (world, mut scratch, mut random) = (BspWorld::new(9), Scratch::default(), Random::new(4));
    let (mut drawn, mut eyes) = (0.0, 0);
    for centre in coords(400).filter(|coord| world.grid(*coord).biome != Biome::Exterior) {
        let place = Place::new(&world, &mut scratch, centre);
        for _ in 0..4 {
            let eye = place.eye(&mut random);
            let (mut seen, mut all) = (0, 0);
            for (at, (_, chunk)) in place.known.iter().filter(|(at, _)| **at != (0, 0)) {
                seen += place.ring().unhidden_in(chunk, eye, *at).len();
                all += chunk.leaves().len();
            }
            drawn += seen as f64 / all as f64;
            eyes += 1;
        }
    }
    let share = drawn / f64::from(eyes);
    println!("{:.1} % of the neighbours' leaves are drawn", 100.0 * share);
    assert!(share <= 0.5, "{share}");
}

#[test]
fn every_leaf_is_drawn_or_counted_and_the_nearest_come_first() {
    let (world, mut scratch, mut random) = (BspWorld::new(9), Scratch::default(), Random::new(5));
    for centre in coords(80) {
        let place = Place::new(&world, &mut scratch, centre);
        let ring = place.ring();
        let eye = place.eye(&mut random);
        let (x0, z0) = centre.origin();
        let at = Position { x: x0 + eye[0], y: eye[1], z: z0 + eye[2] };
        let yaw = f64::from(random.range(0, 359));
        let visible = ring.visible(at, &Frustum::new(yaw, 0.0, 90.0, 16.0 / 9.0));
        let leaves: usize = place.known.values().map(|(_, chunk)| chunk.leaves().len()).sum();
        assert_eq!(visible.drawn + visible.outside_view + visible.hidden, leaves);
        assert_eq!(visible.chunks[0].coord, centre);
        assert_eq!(visible.drawn, visible.chunks.iter().map(|chunk| chunk.leaves.len()).sum::<usize>());
        let turned = ring.visible(at, &Frustum::new(yaw + 180.0, 0.0, 90.0, 16.0 / 9.0));
        assert!(visible.drawn + turned.drawn > 0);
    }
}

#[test]
fn chunks_that_are_not_there_hide_nothing() {
    let (world, mut scratch) = (BspWorld::new(9), Scratch::default());
    let mut place = Place::new(&world, &mut scratch, ChunkCoord::new(3, 3));
    let eye = place.eye(&mut Random::new(6));
    let diagonal = place.known[&(1, 1)].1.clone();
    let before = place.ring().unhidden_in(&diagonal, eye, (1, 1));
    place.known.remove(&(1, 0));
    place.known.remove(&(0, 1));
    assert!(before.is_subset(place.ring().unhidden_in(&diagonal, eye, (1, 1))));
}
