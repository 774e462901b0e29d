//! A chunk: a tree of axial planes over boxes of air, with the faces that bound them.
//!
//! ```text
//!   node  = plane, what lies behind it (below its distance), what lies in front of it
//!   leaf  = a box of air: floor to ceiling or sky, and its faces
//!   solid = everything else
//! ```
//!
//! All coordinates are chunk-local integers in 1/8 unit, so questions have exact answers. A box is
//! half open: its low bounds belong to it, its high bounds do not.

use std::slice;

use prefetch_index::prefetch_index;

use crate::biome::Biome;
use crate::coord::{
    CELL_FIXED, CELL_UNITS, CELLS_PER_CHUNK, ChunkCoord, FIXED_PER_UNIT, HEIGHT_FIXED, LocalPoint, Position,
};
use crate::door::Door;
use crate::entries::{CellColumn, Entries};
use crate::light::Light;
use crate::slide::PLAYER_HALF_WIDTH_UNITS;
use crate::visibility::Visibility;

/// Leaves of air that a chunk may have: one for each cell.
pub const LEAVES_MAX: usize = CELLS_PER_CHUNK * CELLS_PER_CHUNK;
/// Nodes that a chunk may have: those that part the cells, and a floor and a ceiling for each.
pub const NODES_MAX: usize = 3 * LEAVES_MAX - 1;
/// Faces that a chunk may have: floor, ceiling, and below and above each of four sides of each cell.
pub const FACES_MAX: usize = 10 * LEAVES_MAX;
/// Corners of a face.
pub const FACE_VERTICES: usize = 4;
/// Different vertices that a chunk may have.
pub const VERTICES_MAX: usize = FACES_MAX * FACE_VERTICES;
/// Different planes that a chunk may have: 17 each way along x and z, and 129 levels, facing two ways.
pub const PLANES_MAX: usize = 2 * (17 + 17 + HEIGHT_FIXED as usize + 1);

/// The direction in which a plane's distance is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Axis {
    /// Eastward.
    X = 0,
    /// Upward.
    Y = 1,
    /// Southward.
    Z = 2,
}

/// A plane across one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Plane {
    /// Across which axis.
    pub axis: Axis,
    /// Whether its front is where the axis decreases.
    pub faces_back: bool,
    /// Distance from the chunk's corner along the axis, 1/8 unit.
    pub distance: i16,
}

/// What lies on one side of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// Another node.
    Node(u16),
    /// A box of air.
    Leaf(u16),
    /// Nothing but rock.
    Solid,
}

/// A node of the tree. Its plane never faces back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Index of its plane.
    pub plane: u16,
    /// Where the axis is below the plane's distance.
    pub back: Child,
    /// Where it is at the distance or above.
    pub front: Child,
}

/// A box of air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Low corner: west, floor, north.
    pub min: [i16; 3],
    /// High corner; the ceiling, or the chunk's height under the sky.
    pub max: [i16; 3],
    /// Whether it is open above.
    pub is_sky: bool,
    /// Its first face.
    pub first_face: u16,
    /// How many follow.
    pub faces: u16,
}

/// A quad that bounds a box of air. Its front is the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Face {
    /// Index of its plane.
    pub plane: u16,
    /// What it is made of.
    pub material: u8,
    /// Indices of its corners, counter-clockwise seen from the front.
    pub vertices: [u16; FACE_VERTICES],
}

/// The hash over everything that a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub u128);

/// What is at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Rock.
    Solid,
    /// Air.
    Empty,
}

/// The air above a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Height of the floor, 1/8 unit.
    pub floor: i16,
    /// Height of the ceiling; `None` under the sky.
    pub ceiling: Option<i16>,
}

/// A chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub(crate) coord: ChunkCoord,
    pub(crate) biome: Biome,
    pub(crate) planes: Vec<Plane>,
    /// The root first; a child always comes after its parent.
    pub(crate) nodes: Vec<Node>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) faces: Vec<Face>,
    pub(crate) vertices: Vec<[i16; 3]>,
    pub(crate) doors: Vec<Door>,
    pub(crate) lights: Vec<Light>,
    pub(crate) visibility: Visibility,
    pub(crate) entries: Entries,
    pub(crate) content_hash: ContentHash,
}

impl Chunk {
    /// Which chunk.
    pub fn coord(&self) -> ChunkCoord {
        self.coord
    }

    /// What it is like.
    pub fn biome(&self) -> Biome {
        self.biome
    }

    /// The hash over everything else.
    pub fn content_hash(&self) -> ContentHash {
        self.content_hash
    }

    /// The planes of nodes and faces.
    pub fn planes(&self) -> &[Plane] {
        &self.planes
    }

    /// The tree, root first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The boxes of air.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The faces, leaf by leaf.
    pub fn faces(&self) -> &[Face] {
        &self.faces
    }

    /// The corners of faces, chunk-local, 1/8 unit.
    pub fn vertices(&self) -> &[[i16; 3]] {
        &self.vertices
    }

    /// Its doors; an index names one for as long as the chunk's version lasts.
    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// Its point lights.
    pub fn lights(&self) -> &[Light] {
        &self.lights
    }

    /// What can be seen from where in it.
    pub fn visibility(&self) -> &Visibility {
        &self.visibility
    }

    /// The part of the tree that a cell's air and rock are in: where a question about a place may begin.
    pub fn entry(&self, x: usize, z: usize) -> Child {
        self.entries.entry(x, z)
    }

    /// What a cell has in it from below to above, without a look at the tree where that can be.
    pub(crate) fn column_of(&self, x: usize, z: usize) -> CellColumn {
        self.entries.column(x, z)
    }

    /// Has what leads to its cells fetched from memory, without waiting for it: [`Chunk::fetch_cells`] comes later.
    pub fn fetch(&self) {
        prefetch_index(slice::from_ref(&self.coord), 0);
        prefetch_index(slice::from_ref(&self.entries), 0);
        prefetch_index(slice::from_ref(&self.doors), 0);
    }

    /// Has the cells around a place fetched from memory, as far to the north and south as a player is wide.
    pub fn fetch_cells(&self, at: Position) {
        let (_, z0) = self.coord.origin();
        let half = f64::from(PLAYER_HALF_WIDTH_UNITS);
        for side in [-half, half] {
            let row = ((at.z + side - z0) / f64::from(CELL_UNITS)) as usize;
            self.entries.fetch_row(row.min(CELLS_PER_CHUNK - 1));
        }
    }

    /// A corner in the world, in units.
    ///
    /// # Panics
    /// When there is no such vertex.
    pub fn world_vertex(&self, index: u16) -> Position {
        let [x, y, z] = self.vertices[usize::from(index)].map(|v| f64::from(v) / f64::from(FIXED_PER_UNIT));
        let (x0, z0) = self.coord.origin();
        Position { x: x0 + x, y, z: z0 + z }
    }

    /// Bytes that it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Chunk>()
            + size_of_val(&self.planes[..])
            + size_of_val(&self.nodes[..])
            + size_of_val(&self.leaves[..])
            + size_of_val(&self.faces[..])
            + size_of_val(&self.vertices[..])
            + size_of_val(&self.doors[..])
            + size_of_val(&self.lights[..])
            + self.visibility.memory_bytes()
            + self.entries.memory_bytes()
    }

    /// What is at a point of the chunk. Beyond its edges the answer is that of the nearest cell.
    pub fn contents(&self, at: LocalPoint) -> Contents {
        let is_air = match self.column_of(cell_of(at.x), cell_of(at.z)) {
            CellColumn::Rock => false,
            CellColumn::Air { floor, ceiling } => {
                floor.is_none_or(|floor| at.y >= floor) && ceiling.is_none_or(|ceiling| at.y < ceiling)
            }
            CellColumn::Tree => self.leaf_at(at).is_some(),
        };
        if is_air { Contents::Empty } else { Contents::Solid }
    }

    /// The box of air that a point is in; `None` in rock. Beyond the edges it is that of the nearest cell.
    pub fn leaf_at(&self, at: LocalPoint) -> Option<u16> {
        let mut child = self.entry_below(at.x, at.z);
        // A child comes after its parent, so this ends.
        loop {
            match child {
                Child::Solid => return None,
                Child::Leaf(leaf) => return Some(leaf),
                Child::Node(index) => {
                    let node = &self.nodes[usize::from(index)];
                    let plane = self.planes[usize::from(node.plane)];
                    let along = [at.x, at.y, at.z][plane.axis as usize];
                    child = if along < plane.distance { node.back } else { node.front };
                }
            }
        }
    }

    /// The lowest air at a place of the chunk; `None` where there is only rock.
    pub fn column(&self, x: i16, z: i16) -> Option<Column> {
        let leaf = self.lowest_leaf(self.entry_below(x, z), x, z)?;
        Some(Column { floor: leaf.min[1], ceiling: (!leaf.is_sky).then_some(leaf.max[1]) })
    }

    fn entry_below(&self, x: i16, z: i16) -> Child {
        self.entry(cell_of(x), cell_of(z))
    }

    fn lowest_leaf(&self, from: Child, x: i16, z: i16) -> Option<&Leaf> {
        let mut child = from;
        loop {
            match child {
                Child::Solid => return None,
                Child::Leaf(index) => return Some(&self.leaves[usize::from(index)]),
                Child::Node(index) => {
                    let node = &self.nodes[usize::from(index)];
                    let plane = self.planes[usize::from(node.plane)];
                    child = match plane.axis {
                        Axis::X if x < plane.distance => node.back,
                        Axis::Z if z < plane.distance => node.back,
                        Axis::X | Axis::Z => node.front,
                        // Both sides of a level can be air; the lower one is looked at first.
                        Axis::Y => match node.back {
                            Child::Solid => node.front,
                            below => match self.lowest_leaf(below, x, z) {
                                Some(leaf) => return Some(leaf),
                                None => node.front,
                            },
                        },
                    };
                }
            }
        }
    }
}

/// The cell in which a place is; beyond the edges the nearest one.
fn cell_of(along: i16) -> usize {
    (along / CELL_FIXED).clamp(0, CELLS_PER_CHUNK as i16 - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use crate::coord::CHUNK_FIXED;
    use crate::generator::{BspWorld, Generator};
    use crate::grid::Grid;
    use crate::grid::tests::coords;
    use crate::hash::Random;
    use crate::scratch::Scratch;

    fn expected(grid: &Grid, at: LocalPoint) -> Contents {
        let cell = grid.at((at.x / CELL_FIXED) as usize, (at.z / CELL_FIXED) as usize);
        match cell {
            Cell::Open(open) if at.y >= open.floor && open.ceiling.is_none_or(|c| at.y < c) => {
                Contents::Empty
            }
            _ => Contents::Solid,
        }
    }

    #[test]
    fn contents_and_columns_are_the_grids_at_a_million_points() {
        let world = BspWorld::new(9);
        let mut scratch = Scratch::default();
        let mut random = Random::new(1);
        for coord in coords(2_000) {
            let (grid, chunk) = (world.grid(coord), world.generate(coord, &mut scratch));
            for _ in 0..500 {
                let mut along = |limit: i16| random.range(0, i32::from(limit) - 1) as i16;
                let at = LocalPoint { x: along(CHUNK_FIXED), y: along(HEIGHT_FIXED), z: along(CHUNK_FIXED) };
                assert_eq!(chunk.contents(at), expected(&grid, at), "{coord:?} {at:?}");
                let cell = grid.at((at.x / CELL_FIXED) as usize, (at.z / CELL_FIXED) as usize);
                let column = cell.open().map(|o| Column { floor: o.floor, ceiling: o.ceiling });
                assert_eq!(chunk.column(at.x, at.z), column, "{coord:?} {at:?}");
            }
        }
    }

    #[test]
    fn a_safe_chunk_is_open_everywhere() {
        let chunk = Chunk::safe(ChunkCoord { cx: -7, cz: 7 });
        let column = Some(Column { floor: 0, ceiling: None });
        assert_eq!((chunk.column(0, 0), chunk.column(CHUNK_FIXED - 1, CHUNK_FIXED - 1)), (column, column));
    }
}
