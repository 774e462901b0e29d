//! A chunk as triangles without cracks: what a renderer uploads.
//!
//! Faces are rectangles, and where a small one meets the middle of a large one's edge a crack would show
//! (a T-junction). Here every vertex of the chunk that lies on a face's edge becomes a corner of its
//! polygon, and polygons are cut into triangles of which none is flat. Along the border a chunk has a
//! vertex wherever its neighbours have one, so the triangles of two chunks meet exactly.

use crate::chunk::{Chunk, Face};

/// The most corners that a polygon can have: a floor 16 cells long and wide.
const CORNERS_MAX: usize = 256;

/// The triangles of a chunk, over its own vertices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mesh {
    /// Indices of vertices, counter-clockwise seen from the front.
    pub triangles: Vec<[u16; 3]>,
    /// For each triangle the index of its face, which knows the plane and the material.
    pub faces: Vec<u16>,
}

impl Mesh {
    /// The triangles of a chunk.
    pub fn of(chunk: &Chunk) -> Mesh {
        let lines = Lines::of(chunk.vertices());
        let mut mesh = Mesh::default();
        let mut polygon = Vec::with_capacity(CORNERS_MAX);
        for (index, face) in chunk.faces().iter().enumerate() {
            outline(chunk, &lines, face, &mut polygon);
            mesh.cut(chunk, &mut polygon, face, index as u16);
        }
        mesh
    }

    /// Cuts ears off a convex polygon, none of them flat, until a triangle is left.
    fn cut(&mut self, chunk: &Chunk, polygon: &mut Vec<u16>, face: &Face, index: u16) {
        let axes = across(chunk, face);
        let area = |a: u16, b: u16, c: u16| {
            let [a, b, c] =
                [a, b, c].map(|v| axes.map(|axis| i64::from(chunk.vertices()[usize::from(v)][axis])));
            ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])).abs()
        };
        let mut left: i64 =
            (1..polygon.len() - 1).map(|i| area(polygon[0], polygon[i], polygon[i + 1])).sum();
        let mut at = 0;
        while polygon.len() > 3 {
            let len = polygon.len();
            let [a, b, c] = [0, 1, 2].map(|step| polygon[(at + step) % len]);
            let ear = area(a, b, c);
            if ear == 0 || ear == left {
                at += 1; // a flat ear, or a flat rest
                continue;
            }
            self.push([a, b, c], index);
            polygon.remove((at + 1) % len);
            left -= ear;
            at %= polygon.len();
        }
        self.push([polygon[0], polygon[1], polygon[2]], index);
    }

    fn push(&mut self, triangle: [u16; 3], face: u16) {
        self.triangles.push(triangle);
        self.faces.push(face);
    }
}

/// The two axes along a face.
fn across(chunk: &Chunk, face: &Face) -> [usize; 2] {
    match chunk.planes()[usize::from(face.plane)].axis as usize {
        0 => [1, 2],
        1 => [0, 2],
        _ => [0, 1],
    }
}

/// The corners of a face and every vertex on its edges, in their order around it.
fn outline(chunk: &Chunk, lines: &Lines, face: &Face, polygon: &mut Vec<u16>) {
    polygon.clear();
    let corner = |i: usize| chunk.vertices()[usize::from(face.vertices[i % 4])];
    for i in 0..4 {
        polygon.push(face.vertices[i]);
        let (from, to) = (corner(i), corner(i + 1));
        let Some(axis) = (0..3).find(|axis| from[*axis] != to[*axis]) else { continue };
        let between = lines.between(axis, from, to);
        if from[axis] < to[axis] {
            polygon.extend(between.iter().map(|(_, vertex)| *vertex));
        } else {
            polygon.extend(between.iter().rev().map(|(_, vertex)| *vertex));
        }
    }
}

/// The vertices of a chunk in three orders, so that those on a line along an axis stand together.
struct Lines([Vec<([i16; 3], u16)>; 3]);

impl Lines {
    fn of(vertices: &[[i16; 3]]) -> Lines {
        Lines([0, 1, 2].map(|axis| {
            let mut order: Vec<([i16; 3], u16)> =
                vertices.iter().enumerate().map(|(i, v)| (key(axis, *v), i as u16)).collect();
            order.sort_unstable();
            order
        }))
    }

    /// The vertices strictly between two on a line along an axis, from low to high.
    fn between(&self, axis: usize, from: [i16; 3], to: [i16; 3]) -> &[([i16; 3], u16)] {
        let (from, to) = (key(axis, from), key(axis, to));
        let (low, high) = (from.min(to), from.max(to));
        let order = &self.0[axis];
        let start = order.partition_point(|(key, _)| *key <= low);
        let end = order.partition_point(|(key, _)| *key < high);
        &order[start..end.max(start)]
    }
}

/// The coordinates with the one along `axis` last.
fn key(axis: usize, [x, y, z]: [i16; 3]) -> [i16; 3] {
    match axis {
        0 => [y, z, x],
        1 => [z, x, y],
        _ => [x, y, z],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coord::{CHUNK_FIXED, HEIGHT_FIXED};
    use crate::generator::{BspWorld, Generator};
    use crate::grid::tests::coords;
    use crate::scratch::Scratch;
    use crate::topology::Topology;
    use std::collections::BTreeMap;

    /// In 1/8 unit from the corner of the chunk in the middle.
    type Point = [i32; 3];

    /// The edges of a chunk's triangles, seen from the chunk so many columns and rows away.
    fn add_edges(edges: &mut BTreeMap<(Point, Point), i32>, chunk: &Chunk, (dx, dz): (i32, i32)) {
        let size = i32::from(CHUNK_FIXED);
        for [a, b, c] in Mesh::of(chunk).triangles {
            for (from, to) in [(a, b), (b, c), (c, a)] {
                let point = |v: u16| {
                    let [x, y, z] = chunk.vertices()[usize::from(v)].map(i32::from);
                    [x + dx * size, y, z + dz * size]
                };
                *edges.entry((point(from), point(to))).or_insert(0) += 1;
            }
        }
    }

    /// Within nine chunks, over their edges and around their corners, every edge of a triangle is met by
    /// another triangle's; none is at the rim of the sky and at the outermost borders.
    #[test]
    fn triangles_leave_no_crack_within_chunks_and_between_them() {
        let (world, mut scratch) = (BspWorld::new(9), Scratch::default());
        for coord in coords(120) {
            let mut edges = BTreeMap::new();
            for there in Topology::Plane.ring(coord) {
                let at = Topology::Plane.offset(coord, there).expect("it is in the ring");
                add_edges(&mut edges, &world.generate(there, &mut scratch), at);
            }
            let rim = [-i32::from(CHUNK_FIXED), 2 * i32::from(CHUNK_FIXED)];
            for ((from, to), count) in &edges {
                let at_rim = [0, 2].iter().any(|axis| from[*axis] == to[*axis] && rim.contains(&to[*axis]));
                let at_sky = from[1] == i32::from(HEIGHT_FIXED) && to[1] == from[1];
                let met = edges.get(&(*to, *from)).copied().unwrap_or(0);
                assert!(at_rim || at_sky || met == *count, "{coord:?}: a crack from {from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn triangles_cover_each_face_once_and_look_the_same_way() {
        let (world, mut scratch) = (BspWorld::new(9), Scratch::default());
        for coord in coords(120) {
            let chunk = world.generate(coord, &mut scratch);
            let mesh = Mesh::of(&chunk);
            let normal = |corners: [Point; 3]| {
                let sub = |a: Point, b: Point| [0, 1, 2].map(|i| i64::from(a[i]) - i64::from(b[i]));
                let (u, v) = (sub(corners[1], corners[0]), sub(corners[2], corners[0]));
                [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
            };
            let mut areas = vec![0; chunk.faces().len()];
            for (triangle, face) in mesh.triangles.iter().zip(&mesh.faces) {
                let at = |v: u16| chunk.vertices()[usize::from(v)].map(i32::from);
                let plane = chunk.planes()[usize::from(chunk.faces()[usize::from(*face)].plane)];
                let along = normal(triangle.map(at))[plane.axis as usize];
                assert!(if plane.faces_back { along < 0 } else { along > 0 }, "{coord:?}");
                areas[usize::from(*face)] += along.abs();
            }
            for (face, area) in chunk.faces().iter().zip(areas) {
                let [a, b, c, _] = face.vertices.map(|v| chunk.vertices()[usize::from(v)].map(i32::from));
                let whole: i64 = normal([a, b, c]).iter().map(|n| n.abs()).sum();
                assert_eq!(2 * whole, area, "{coord:?}");
            }
        }
    }
}
