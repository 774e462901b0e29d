//! From a grid of cells to a tree of planes, leaves and faces, all in exact integers.
//!
//! A rectangle of cells is parted along the cell boundary that cuts the fewest equal neighbours apart,
//! the most even one among equals, until all its cells are equal; a floor and a ceiling then part air
//! from rock. A leaf's faces are its floor, its ceiling, and along each side whatever of it is not air
//! in the cell across, run by run; so a face stands once, in the leaf whose air it bounds, and an edge
//! of the chunk is no exception.

use crate::biome::Biome;
use crate::cell::{Cell, OpenCell, STEP_FIXED};
use crate::chunk::{
    Axis, Child, Chunk, ContentHash, FACES_MAX, Face, LEAVES_MAX, Leaf, NODES_MAX, Node, Plane,
};
use crate::codec;
use crate::coord::{CELL_FIXED, CELLS_PER_CHUNK, ChunkCoord, HEIGHT_FIXED};
use crate::grid::Grid;
use crate::scratch::Scratch;

const CELLS: usize = CELLS_PER_CHUNK;

/// A rectangle of cells, high bounds not included.
#[derive(Debug, Clone, Copy)]
struct Rect {
    x0: usize,
    z0: usize,
    x1: usize,
    z1: usize,
}

/// Slots of the table that finds a vertex again; a power of two well over the vertices of a chunk.
const VERTEX_SLOTS: usize = 1 << 15;
const EMPTY_SLOT: u16 = u16::MAX;

/// Builds the chunk of a grid.
pub fn build(grid: &Grid, scratch: &mut Scratch) -> Chunk {
    let mut vertex_slots = std::mem::take(&mut scratch.vertex_slots);
    let mut planes = std::mem::take(&mut scratch.planes);
    vertex_slots.clear();
    vertex_slots.resize(VERTEX_SLOTS, EMPTY_SLOT);
    planes.clear();
    let mut build = Build {
        grid,
        chunk: Chunk {
            coord: grid.coord,
            biome: grid.biome,
            planes: Vec::new(),
            nodes: Vec::new(),
            leaves: Vec::new(),
            faces: Vec::new(),
            vertices: Vec::new(),
            doors: grid.doors.to_vec(),
            lights: grid.lights.to_vec(),
            content_hash: ContentHash(0),
        },
        vertex_slots,
        planes,
    };
    let root = build.part(Rect { x0: 0, z0: 0, x1: CELLS, z1: CELLS });
    debug_assert!(root == Child::Node(0) || root == Child::Solid);
    let Build { mut chunk, vertex_slots, planes, .. } = build;
    (scratch.vertex_slots, scratch.planes) = (vertex_slots, planes);
    debug_assert!(chunk.nodes.len() <= NODES_MAX && chunk.leaves.len() <= LEAVES_MAX);
    debug_assert!(chunk.faces.len() <= FACES_MAX);
    // A chunk is kept for long and counted by what it holds.
    chunk.shrink();
    chunk.content_hash = codec::content_hash(&chunk, &mut scratch.content);
    chunk
}

impl Chunk {
    /// A chunk of flat ground under the sky, open on all sides: it stands in for one that cannot be had.
    pub fn safe(coord: ChunkCoord) -> Chunk {
        let open = Cell::Open(OpenCell::outdoor(0, 0));
        build(&Grid::uniform(coord, Biome::Exterior, open), &mut Scratch::default())
    }
}

struct Build<'g> {
    grid: &'g Grid,
    chunk: Chunk,
    /// Open addressing: index of a vertex by the hash of its coordinates.
    vertex_slots: Vec<u16>,
    /// Sorted.
    planes: Vec<(Plane, u16)>,
}

impl Build<'_> {
    /// Parts a rectangle; its depth is at most one for each cell boundary, 30, and two levels.
    fn part(&mut self, rect: Rect) -> Child {
        let first = self.grid.at(rect.x0, rect.z0);
        let Some((axis, boundary)) = best_split(self.grid, rect) else {
            return match first {
                Cell::Solid => Child::Solid,
                Cell::Open(open) => self.part_levels(rect, &open),
            };
        };
        let (mut back, mut front) = (rect, rect);
        if axis == Axis::X {
            (back.x1, front.x0) = (boundary, boundary);
        } else {
            (back.z1, front.z0) = (boundary, boundary);
        }
        let node = self.push_node(axis, fixed(boundary));
        let back = self.part(back);
        let front = self.part(front);
        self.set_children(node, back, front)
    }

    fn part_levels(&mut self, rect: Rect, open: &OpenCell) -> Child {
        let floor = self.push_node(Axis::Y, open.floor);
        let Some(height) = open.ceiling else {
            let air = self.push_leaf(rect, open);
            return self.set_children(floor, Child::Solid, air);
        };
        let ceiling = self.push_node(Axis::Y, height);
        let air = self.push_leaf(rect, open);
        let above = self.set_children(ceiling, air, Child::Solid);
        self.set_children(floor, Child::Solid, above)
    }

    fn push_node(&mut self, axis: Axis, distance: i16) -> usize {
        let plane = self.plane(Plane { axis, faces_back: false, distance });
        self.chunk.nodes.push(Node { plane, back: Child::Solid, front: Child::Solid });
        self.chunk.nodes.len() - 1
    }

    fn set_children(&mut self, node: usize, back: Child, front: Child) -> Child {
        self.chunk.nodes[node].back = back;
        self.chunk.nodes[node].front = front;
        Child::Node(node as u16)
    }

    fn push_leaf(&mut self, rect: Rect, open: &OpenCell) -> Child {
        let top = open.ceiling.unwrap_or(HEIGHT_FIXED);
        let first_face = self.chunk.faces.len();
        let min = [fixed(rect.x0), open.floor, fixed(rect.z0)];
        let max = [fixed(rect.x1), top, fixed(rect.z1)];
        self.push_face(Axis::Y, false, open.floor, (min[0], max[0]), (min[2], max[2]), open.floor_material);
        if open.ceiling.is_some() {
            self.push_face(Axis::Y, true, top, (min[0], max[0]), (min[2], max[2]), open.ceiling_material);
        }
        self.push_walls(rect, open, top);
        self.chunk.leaves.push(Leaf {
            min,
            max,
            is_sky: open.ceiling.is_none(),
            first_face: first_face as u16,
            faces: (self.chunk.faces.len() - first_face) as u16,
        });
        Child::Leaf((self.chunk.leaves.len() - 1) as u16)
    }

    fn push_walls(&mut self, rect: Rect, open: &OpenCell, top: i16) {
        let Rect { x0, z0, x1, z1 } = rect;
        // East, west, south, north: the wall's front faces back into the leaf.
        self.push_side(Axis::X, true, x1, z0..z1, open, top);
        self.push_side(Axis::X, false, x0, z0..z1, open, top);
        self.push_side(Axis::Z, true, z1, x0..x1, open, top);
        self.push_side(Axis::Z, false, z0, x0..x1, open, top);
    }

    /// The walls along one side of a leaf, run by run of equal cells across.
    fn push_side(
        &mut self,
        axis: Axis,
        faces_back: bool,
        boundary: usize,
        along: std::ops::Range<usize>,
        open: &OpenCell,
        top: i16,
    ) {
        let across = boundary as i32 - i32::from(!faces_back);
        let gaps = |grid: &Grid, i: usize| {
            let (x, z) = if axis == Axis::X { (across, i as i32) } else { (i as i32, across) };
            rock_between(open.floor, top, grid.at_or_beyond(x, z))
        };
        let mut start = along.start;
        while start < along.end {
            let run = gaps(self.grid, start);
            let mut end = start + 1;
            while end < along.end && gaps(self.grid, end) == run {
                end += 1;
            }
            for (low, high) in run.into_iter().flatten() {
                let sideways = (fixed(start), fixed(end));
                let distance = fixed(boundary);
                let (u, v) = if axis == Axis::X { ((low, high), sideways) } else { (sideways, (low, high)) };
                let is_cliff = high - low > STEP_FIXED;
                let material = if is_cliff { open.cliff_material } else { open.wall_material };
                self.push_face(axis, faces_back, distance, u, v, material);
            }
            start = end;
        }
    }

    /// A quad across `axis`; `u` and `v` are its extents along the two other axes in the order x, y, z.
    fn push_face(
        &mut self,
        axis: Axis,
        faces_back: bool,
        distance: i16,
        u: (i16, i16),
        v: (i16, i16),
        material: u8,
    ) {
        let plane = self.plane(Plane { axis, faces_back, distance });
        let corner = |u: i16, v: i16| match axis {
            Axis::X => [distance, u, v],
            Axis::Y => [u, distance, v],
            Axis::Z => [u, v, distance],
        };
        let mut corners = [corner(u.0, v.0), corner(u.1, v.0), corner(u.1, v.1), corner(u.0, v.1)];
        // u x v points along +x and +z, but along -y: y is the middle axis.
        if faces_back != (axis == Axis::Y) {
            corners.reverse();
        }
        let vertices = corners.map(|c| self.vertex(c));
        self.chunk.faces.push(Face { plane, material, vertices });
    }

    fn plane(&mut self, plane: Plane) -> u16 {
        match self.planes.binary_search_by(|p| p.0.cmp(&plane)) {
            Ok(at) => self.planes[at].1,
            Err(at) => {
                let index = self.chunk.planes.len() as u16;
                self.chunk.planes.push(plane);
                self.planes.insert(at, (plane, index));
                index
            }
        }
    }

    fn vertex(&mut self, at: [i16; 3]) -> u16 {
        let key = (at[0] as u64) << 32 | (at[1] as u64 & 0xffff) << 16 | (at[2] as u64 & 0xffff);
        let mut slot = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49) as usize;
        loop {
            let index = self.vertex_slots[slot];
            if index == EMPTY_SLOT {
                let index = self.chunk.vertices.len() as u16;
                self.vertex_slots[slot] = index;
                self.chunk.vertices.push(at);
                return index;
            }
            if self.chunk.vertices[usize::from(index)] == at {
                return index;
            }
            slot = (slot + 1) % VERTEX_SLOTS;
        }
    }
}

fn fixed(cells: usize) -> i16 {
    cells as i16 * CELL_FIXED
}

/// The parts of `low..high` that are not air in the cell across: below its floor, above its ceiling.
fn rock_between(low: i16, high: i16, across: Cell) -> [Option<(i16, i16)>; 2] {
    let span = |from: i16, to: i16| (from < to).then_some((from, to));
    match across {
        Cell::Solid => [span(low, high), None],
        Cell::Open(other) => {
            let floor = other.floor.clamp(low, high);
            let ceiling = other.ceiling.map_or(high, |c| c.clamp(low, high));
            if floor >= ceiling {
                return [span(low, high), None]; // its air does not touch ours
            }
            [span(low, floor), span(ceiling, high)]
        }
    }
}

/// The boundary at which to part a rectangle; `None` when all its cells are equal.
fn best_split(grid: &Grid, rect: Rect) -> Option<(Axis, usize)> {
    let mut best: Option<(usize, usize, Axis, usize)> = None;
    let mut offer = |cut: usize, parted: usize, middle: usize, axis: Axis, boundary: usize| {
        if parted == 0 {
            return;
        }
        let score = (cut, (2 * boundary).abs_diff(middle), axis, boundary);
        if best.is_none_or(|b| (score.0, score.1) < (b.0, b.1)) {
            best = Some(score);
        }
    };
    for x in rect.x0 + 1..rect.x1 {
        let cut = (rect.z0..rect.z1).filter(|z| grid.at(x - 1, *z) == grid.at(x, *z)).count();
        offer(cut, rect.z1 - rect.z0 - cut, rect.x0 + rect.x1, Axis::X, x);
    }
    for z in rect.z0 + 1..rect.z1 {
        let cut = (rect.x0..rect.x1).filter(|x| grid.at(*x, z - 1) == grid.at(*x, z)).count();
        offer(cut, rect.x1 - rect.x0 - cut, rect.z0 + rect.z1, Axis::Z, z);
    }
    best.map(|b| (b.2, b.3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{BspWorld, Generator};
    use crate::grid::tests::coords;

    fn chunks(count: i32) -> impl Iterator<Item = Chunk> {
        let world = BspWorld::new(9);
        let mut scratch = Scratch::default();
        coords(count).map(move |coord| world.generate(coord, &mut scratch))
    }

    #[test]
    fn faces_lie_on_their_planes_and_look_into_their_leaf() {
        for chunk in chunks(300) {
            for leaf in chunk.leaves() {
                let faces = usize::from(leaf.first_face)..usize::from(leaf.first_face + leaf.faces);
                for face in &chunk.faces()[faces] {
                    let plane = chunk.planes()[usize::from(face.plane)];
                    let corners = face.vertices.map(|v| chunk.vertices()[usize::from(v)]);
                    assert!(corners.iter().all(|c| c[plane.axis as usize] == plane.distance));
                    let normal = normal(corners);
                    let expected = if plane.faces_back { -1 } else { 1 };
                    assert_eq!(normal[plane.axis as usize].signum(), expected);
                    for corner in corners {
                        let inside = |axis: usize| (leaf.min[axis]..=leaf.max[axis]).contains(&corner[axis]);
                        assert!((0..3).all(inside));
                    }
                }
            }
        }
    }

    fn normal(c: [[i16; 3]; 4]) -> [i64; 3] {
        let sub = |a: [i16; 3], b: [i16; 3]| [0, 1, 2].map(|i| i64::from(a[i]) - i64::from(b[i]));
        let (u, v) = (sub(c[1], c[0]), sub(c[2], c[0]));
        [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
    }

    /// Every square of a leaf's hull is either covered by exactly one face or open to other air: summed
    /// over the hull, faces and openings have the hull's area.
    #[test]
    fn a_leaf_is_closed_by_its_faces_and_its_openings() {
        let world = BspWorld::new(9);
        for (coord, chunk) in coords(200).zip(chunks(200)) {
            let grid = world.grid(coord);
            for leaf in chunk.leaves() {
                let area = |a: i16, b: i16| i64::from(a) * i64::from(b);
                let [w, h, d] = [0, 1, 2].map(|i| leaf.max[i] - leaf.min[i]);
                let sides = 2 * area(w, h) + 2 * area(d, h);
                let hull = sides + area(w, d) * if leaf.is_sky { 1 } else { 2 };
                let faces = usize::from(leaf.first_face)..usize::from(leaf.first_face + leaf.faces);
                let covered: i64 = (chunk.faces()[faces].iter())
                    .map(|f| normal(f.vertices.map(|v| chunk.vertices()[usize::from(v)])))
                    .map(|n| n.iter().map(|c| c.abs()).sum::<i64>())
                    .sum();
                assert_eq!(covered + open_area(&grid, leaf), hull, "{coord:?}");
            }
        }
    }

    fn open_area(grid: &Grid, leaf: &Leaf) -> i64 {
        let cells =
            |axis: usize| i32::from(leaf.min[axis] / CELL_FIXED)..i32::from(leaf.max[axis] / CELL_FIXED);
        let mut open = 0;
        let mut side = |x: i32, z: i32| {
            if let Cell::Open(other) = grid.at_or_beyond(x, z) {
                let top = other.ceiling.unwrap_or(HEIGHT_FIXED).min(leaf.max[1]);
                let shared = (top - other.floor.max(leaf.min[1])).max(0);
                open += i64::from(shared) * i64::from(CELL_FIXED);
            }
        };
        for x in cells(0) {
            side(x, cells(2).start - 1);
            side(x, cells(2).end);
        }
        for z in cells(2) {
            side(cells(0).start - 1, z);
            side(cells(0).end, z);
        }
        open
    }

    #[test]
    fn trees_are_small() {
        let mut counts: [Vec<[usize; 3]>; 3] = Default::default();
        for chunk in chunks(1_000) {
            let count = [chunk.nodes().len(), chunk.leaves().len(), chunk.faces().len()];
            counts[chunk.biome() as usize].push(count);
        }
        for (biome, counts) in counts.iter_mut().enumerate() {
            counts.sort_unstable();
            let (median, most) = (counts[counts.len() / 2], counts[counts.len() - 1]);
            println!("biome {biome}: nodes, leaves, faces {median:?} at the median, {most:?} at most");
            assert!(most[0] <= 600 && most[2] <= 1_300, "biome {biome}: {most:?}");
        }
    }

    #[test]
    fn no_face_stands_twice() {
        for chunk in chunks(200) {
            let mut seen = std::collections::BTreeSet::new();
            for face in chunk.faces() {
                let mut vertices = face.vertices;
                vertices.sort_unstable();
                assert!(seen.insert((face.plane, vertices)), "{:?}", chunk.coord());
            }
        }
    }
}
