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
    Axis, Child, Chunk, ContentHash, FACES_MAX, Face, LEAVES_MAX, Leaf, NODES_MAX, Node, Plane, VERTICES_MAX,
};
use crate::codec;
use crate::coord::{CELL_FIXED, CELLS_PER_CHUNK, CHUNK_FIXED, ChunkCoord, HEIGHT_FIXED};
use crate::entries::Entries;
use crate::grid::Grid;
use crate::scratch::Scratch;
use crate::visibility::{self, Visibility};

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
    let Scratch { tree, portals, content } = scratch;
    tree.clear();
    let mut build = Build { grid, tree };
    let root = build.part(Rect { x0: 0, z0: 0, x1: CELLS, z1: CELLS });
    debug_assert!(root == Child::Node(0) || root == Child::Solid);
    debug_assert!(tree.nodes.len() <= NODES_MAX && tree.leaves.len() <= LEAVES_MAX);
    debug_assert!(tree.faces.len() <= FACES_MAX && tree.vertices.len() <= VERTICES_MAX);
    let visibility = if grid.has_roof() {
        portals.find(grid, &tree.leaves, &tree.leaf_at);
        visibility::find(portals, tree.leaves.len())
    } else {
        Visibility::All
    };
    // A chunk is kept for long: each of its lists is as large as what it holds.
    let mut chunk = Chunk {
        coord: grid.coord,
        biome: grid.biome,
        planes: tree.planes.to_vec(),
        nodes: tree.nodes.to_vec(),
        leaves: tree.leaves.to_vec(),
        faces: tree.faces.to_vec(),
        vertices: tree.vertices.to_vec(),
        doors: grid.doors.to_vec(),
        lights: grid.lights.to_vec(),
        visibility,
        entries: Entries::of(&tree.nodes, &tree.planes),
        content_hash: ContentHash(0),
    };
    chunk.content_hash = codec::content_hash(&chunk, content);
    chunk
}

impl Chunk {
    /// A chunk of flat ground under the sky, open on all sides: it stands in for one that cannot be had.
    pub fn safe(coord: ChunkCoord) -> Chunk {
        let open = Cell::Open(OpenCell::outdoor(0, 0));
        build(&Grid::uniform(coord, Biome::Exterior, open), &mut Scratch::default())
    }
}

/// A tree in the making; kept from chunk to chunk.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    planes: Vec<Plane>,
    nodes: Vec<Node>,
    leaves: Vec<Leaf>,
    faces: Vec<Face>,
    vertices: Vec<[i16; 3]>,
    /// Which leaf each cell is in.
    leaf_at: Vec<u16>,
    /// Open addressing: index of a vertex by the hash of its coordinates.
    vertex_slots: Vec<u16>,
    /// Finds a plane again; sorted.
    plane_order: Vec<(Plane, u16)>,
}

impl Tree {
    fn clear(&mut self) {
        self.planes.clear();
        self.nodes.clear();
        self.leaves.clear();
        self.faces.clear();
        self.plane_order.clear();
        self.leaf_at.clear();
        self.leaf_at.resize(CELLS * CELLS, u16::MAX);
        self.forget_vertices();
    }

    /// Empties only the slots that are taken: there are many more.
    fn forget_vertices(&mut self) {
        self.vertex_slots.resize(VERTEX_SLOTS, EMPTY_SLOT);
        for vertex in self.vertices.drain(..) {
            let mut slot = first_slot(vertex);
            while self.vertex_slots[slot] != EMPTY_SLOT {
                self.vertex_slots[slot] = EMPTY_SLOT;
                slot = (slot + 1) % VERTEX_SLOTS;
            }
        }
    }

    fn plane(&mut self, plane: Plane) -> u16 {
        match self.plane_order.binary_search_by(|p| p.0.cmp(&plane)) {
            Ok(at) => self.plane_order[at].1,
            Err(at) => {
                let index = self.planes.len() as u16;
                self.planes.push(plane);
                self.plane_order.insert(at, (plane, index));
                index
            }
        }
    }

    fn vertex(&mut self, at: [i16; 3]) -> u16 {
        let mut slot = first_slot(at);
        loop {
            let index = self.vertex_slots[slot];
            if index == EMPTY_SLOT {
                let index = self.vertices.len() as u16;
                self.vertex_slots[slot] = index;
                self.vertices.push(at);
                return index;
            }
            if self.vertices[usize::from(index)] == at {
                return index;
            }
            slot = (slot + 1) % VERTEX_SLOTS;
        }
    }
}

fn first_slot(at: [i16; 3]) -> usize {
    let key = (at[0] as u64) << 32 | (at[1] as u64 & 0xffff) << 16 | (at[2] as u64 & 0xffff);
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49) as usize
}

struct Build<'g> {
    grid: &'g Grid,
    tree: &'g mut Tree,
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
        let plane = self.tree.plane(Plane { axis, faces_back: false, distance });
        self.tree.nodes.push(Node { plane, back: Child::Solid, front: Child::Solid });
        self.tree.nodes.len() - 1
    }

    fn set_children(&mut self, node: usize, back: Child, front: Child) -> Child {
        self.tree.nodes[node].back = back;
        self.tree.nodes[node].front = front;
        Child::Node(node as u16)
    }

    fn push_leaf(&mut self, rect: Rect, open: &OpenCell) -> Child {
        let top = open.ceiling.unwrap_or(HEIGHT_FIXED);
        let first_face = self.tree.faces.len();
        let min = [fixed(rect.x0), open.floor, fixed(rect.z0)];
        let max = [fixed(rect.x1), top, fixed(rect.z1)];
        self.push_face(Axis::Y, false, open.floor, (min[0], max[0]), (min[2], max[2]), open.floor_material);
        if open.ceiling.is_some() {
            self.push_face(Axis::Y, true, top, (min[0], max[0]), (min[2], max[2]), open.ceiling_material);
        }
        self.push_walls(rect, open, top);
        for z in rect.z0..rect.z1 {
            self.tree.leaf_at[z * CELLS + rect.x0..z * CELLS + rect.x1].fill(self.tree.leaves.len() as u16);
        }
        self.tree.leaves.push(Leaf {
            min,
            max,
            is_sky: open.ceiling.is_none(),
            first_face: first_face as u16,
            faces: (self.tree.faces.len() - first_face) as u16,
        });
        Child::Leaf((self.tree.leaves.len() - 1) as u16)
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
        let plane = self.tree.plane(Plane { axis, faces_back, distance });
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
        let vertices = corners.map(|c| self.tree.vertex(c));
        for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 0)] {
            self.share_edge(corners[from], corners[to]);
        }
        self.tree.faces.push(Face { plane, material, vertices });
    }
}

/// What an edge of a face has in common with the neighbours' faces.
impl Build<'_> {
    /// Puts a vertex wherever a face of this chunk or of a neighbour can have one on an edge along the
    /// border: at each corner of a cell, and at each height at which air begins or ends around one. So
    /// both sides have the same vertices there, without knowing each other's trees.
    fn share_edge(&mut self, from: [i16; 3], to: [i16; 3]) {
        let on_border = |axis: usize| from[axis] == to[axis] && [0, CHUNK_FIXED].contains(&from[axis]);
        if !on_border(0) && !on_border(2) {
            return;
        }
        if from[1] == to[1] {
            let axis = if from[0] == to[0] { 2 } else { 0 };
            let (low, high) = (from[axis].min(to[axis]), from[axis].max(to[axis]));
            for along in (low..high).step_by(CELL_FIXED as usize).skip(1) {
                let mut vertex = from;
                vertex[axis] = along;
                self.tree.vertex(vertex);
            }
        } else {
            let (low, high) = (from[1].min(to[1]), from[1].max(to[1]));
            let (x, z) = (i32::from(from[0] / CELL_FIXED), i32::from(from[2] / CELL_FIXED));
            for (x, z) in [(x - 1, z - 1), (x, z - 1), (x - 1, z), (x, z)] {
                let Cell::Open(open) = self.grid.at_or_beyond(x, z) else { continue };
                for height in [open.floor, open.ceiling.unwrap_or(HEIGHT_FIXED)] {
                    if low < height && height < high {
                        self.tree.vertex([from[0], height, from[2]]);
                    }
                }
            }
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
