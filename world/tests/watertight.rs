//! Faces against solids: whoever looks anywhere from a place in the air sees a face exactly where a
//! trace meets rock, or the sky.

use std::collections::BTreeMap;

use fastrand::Rng;
use ninefold_world::{
    BspWorld, CHUNK_HEIGHT_UNITS, CHUNK_UNITS, Chunk, ChunkCoord, Generator, HalfExtents, Hit, Loaded,
    LocalPoint, OpenDoors, Position, Scratch, Topology, trace,
};

/// What the trace's lattice and its smallest box may differ from a ray, along the ray, for each unit of
/// slant; a ray almost along a wall meets it much later than the smallest box does.
const TOLERANCE_UNITS: f64 = 0.01;
const RAY_UNITS: f64 = 900.0;

struct Place {
    centre: ChunkCoord,
    chunks: BTreeMap<ChunkCoord, Chunk>,
}

impl Place {
    fn new(world: &BspWorld, scratch: &mut Scratch, centre: ChunkCoord) -> Place {
        let ring = Topology::Plane.ring(centre);
        Place { centre, chunks: ring.map(|coord| (coord, world.generate(coord, scratch))).collect() }
    }

    /// How far along a ray, in parts of it, the nearest face is whose front it meets; and the slant there.
    fn face(&self, from: [f64; 3], ray: [f64; 3]) -> Option<(f64, f64)> {
        let mut nearest: Option<(f64, f64)> = None;
        for (coord, chunk) in &self.chunks {
            let (x0, z0) = coord.origin();
            let (cx, cz) = self.centre.origin();
            let origin = [x0 - cx, 0.0, z0 - cz];
            for face in chunk.faces() {
                let plane = chunk.planes()[usize::from(face.plane)];
                let axis = plane.axis as usize;
                let is_front = if plane.faces_back { ray[axis] > 0.0 } else { ray[axis] < 0.0 };
                let distance = origin[axis] + f64::from(plane.distance) / 8.0;
                let t = (distance - from[axis]) / ray[axis];
                if !is_front || !(0.0..=1.0).contains(&t) || nearest.is_some_and(|(n, _)| n <= t) {
                    continue;
                }
                let corners = face.vertices.map(|v| chunk.vertices()[usize::from(v)]);
                let inside = (0..3).filter(|other| *other != axis).all(|other| {
                    let along = corners.map(|c| origin[other] + f64::from(c[other]) / 8.0);
                    let low = along.iter().copied().fold(f64::INFINITY, f64::min);
                    let high = along.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    (low..=high).contains(&(from[other] + ray[other] * t))
                });
                if inside {
                    nearest = Some((t, ray[axis].abs()));
                }
            }
        }
        nearest
    }
}

#[test]
fn a_ray_meets_a_face_where_a_trace_meets_rock_or_leaves_through_the_sky() {
    let (world, mut scratch, mut rng) = (BspWorld::new(9), Scratch::default(), Rng::with_seed(7));
    let (mut hits, mut skies) = (0, 0);
    for n in 0..48 {
        let centre = ChunkCoord { cx: n * 5 - 100, cz: [0, -9_000, i32::MAX - 70][n as usize % 3] + n };
        let place = Place::new(&world, &mut scratch, centre);
        let loaded = |coord: ChunkCoord| {
            let chunk = place.chunks.get(&coord)?;
            Some(Loaded { chunk, open_doors: OpenDoors::ALL })
        };
        let (x0, z0) = centre.origin();
        for _ in 0..500 {
            let mut along = |limit: i32| f64::from(rng.i32(1..limit * 1_024)) / 1_024.0;
            let from = [along(CHUNK_UNITS), along(CHUNK_HEIGHT_UNITS), along(CHUNK_UNITS)];
            let fixed = from.map(|along| (along * 8.0) as i16);
            let at = LocalPoint { x: fixed[0], y: fixed[1], z: fixed[2] };
            let (x, y, z) = (x0 + from[0], from[1], z0 + from[2]);
            let on_plane = from.iter().any(|along| (along * 8.0).fract() == 0.0);
            if on_plane || place.chunks[&centre].leaf_at(at).is_none() {
                continue;
            }
            let turn = rng.f64() * std::f64::consts::TAU;
            let ray = [turn.cos(), rng.f64() * 1.2 - 0.6, turn.sin()].map(|part| part * RAY_UNITS);
            let to = Position { x: x + ray[0], y: y + ray[1], z: z + ray[2] };
            let from_position = Position { x, y, z };
            let traced = trace(&loaded, from_position, to, HalfExtents::POINT);
            let seen = place.face(from, ray);
            let height = y + ray[1] * traced.fraction;
            if height >= f64::from(CHUNK_HEIGHT_UNITS) - 0.1 {
                skies += 1; // rock beside open land has no faces above the sky's rim
                continue;
            }
            match (traced.hit, seen) {
                (Some(Hit::Rock(..)), Some((t, slant))) => {
                    hits += 1;
                    let apart = (t - traced.fraction).abs() * slant;
                    assert!(apart <= TOLERANCE_UNITS, "{centre:?} {from:?} {ray:?}: {apart} units apart");
                }
                (Some(Hit::Rock(..)), None) => panic!("{centre:?} {from:?} {ray:?}: rock without a face"),
                (_, Some((t, _))) => {
                    assert!(t >= traced.fraction, "{centre:?} {from:?} {ray:?}: a face in the air")
                }
                (_, None) => skies += 1,
            }
        }
    }
    assert!(hits > 5_000 && skies > 100, "{hits} hits, {skies} skies");
}
