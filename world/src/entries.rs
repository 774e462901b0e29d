//! What each cell of a chunk has in it, found without going down the tree from its root. It follows from the tree and is no
//! part of the content.

use std::ops::Range;

use prefetch_index::prefetch_index;

use crate::chunk::{Axis, Child, LEAVES_MAX, Node, Plane};
use crate::coord::{CELL_FIXED, CELLS_PER_CHUNK};

/// For each cell the deepest part of the tree that holds all of it, so that a question about a place skips the planes
/// between cells, and its column, which answers most of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entries(Box<Table>);

/// A row of columns is a line of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C, align(64))]
struct Table {
    columns: [Packed; LEAVES_MAX],
    parts: [Child; LEAVES_MAX],
}

/// What a cell has in it from below to above. Heights are in 1/8 unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CellColumn {
    /// Nothing but rock.
    Rock,
    /// Air over a floor and under a ceiling, and rock beyond them.
    Air {
        /// `None`: air all the way down.
        floor: Option<i16>,
        /// `None`: air all the way up.
        ceiling: Option<i16>,
    },
    /// More than that, which the tree tells.
    Tree,
}

/// A [`CellColumn`], so short that a row of cells is one line of memory: where no column can have its floor above its
/// ceiling, those that are none do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed {
    floor: i16,
    ceiling: i16,
}

/// Beyond all heights.
const DEPTH: i16 = i16::MIN;
const SKY: i16 = i16::MAX;

impl Packed {
    const ROCK: Packed = Packed { floor: SKY, ceiling: DEPTH };
    const TREE: Packed = Packed { floor: SKY, ceiling: 0 };
    const AIR: Packed = Packed { floor: DEPTH, ceiling: SKY };

    fn column(self) -> CellColumn {
        match self {
            Packed::ROCK => CellColumn::Rock,
            Packed::TREE => CellColumn::Tree,
            Packed { floor, ceiling } => CellColumn::Air {
                floor: (floor != DEPTH).then_some(floor),
                ceiling: (ceiling != SKY).then_some(ceiling),
            },
        }
    }

    /// What the part of the tree that begins at a child has in it, if so many planes tell it.
    fn of(nodes: &[Node], planes: &[Plane], child: Child, planes_max: usize) -> Packed {
        let node = match child {
            Child::Solid => return Packed::ROCK,
            Child::Leaf(_) => return Packed::AIR,
            Child::Node(index) => &nodes[usize::from(index)],
        };
        let Plane { axis, distance: at, .. } = planes[usize::from(node.plane)];
        if axis != Axis::Y || planes_max == 0 {
            return Packed::TREE;
        }
        match [node.back, node.front].map(|child| Packed::of(nodes, planes, child, planes_max - 1)) {
            [Packed::ROCK, Packed { floor: DEPTH, ceiling }] if DEPTH < at && at < ceiling => {
                Packed { floor: at, ceiling }
            }
            [Packed { floor, ceiling: SKY }, Packed::ROCK] if floor < at && at < SKY => {
                Packed { floor, ceiling: at }
            }
            _ => Packed::TREE,
        }
    }
}

/// A floor and a ceiling.
const COLUMN_PLANES: usize = 2;

impl Entries {
    /// `nodes` are a tree: a child comes after its parent, and no node has two.
    pub fn of(nodes: &[Node], planes: &[Plane]) -> Entries {
        let table = Table { columns: [Packed::ROCK; LEAVES_MAX], parts: [Child::Solid; LEAVES_MAX] };
        let mut entries = Entries(Box::new(table));
        if !nodes.is_empty() {
            entries.fill(nodes, planes, Child::Node(0), [0..CELLS_PER_CHUNK, 0..CELLS_PER_CHUNK]);
        }
        entries
    }

    pub fn entry(&self, x: usize, z: usize) -> Child {
        self.0.parts[z * CELLS_PER_CHUNK + x]
    }

    pub fn column(&self, x: usize, z: usize) -> CellColumn {
        self.0.columns[z * CELLS_PER_CHUNK + x].column()
    }

    /// Has a row of columns fetched from memory.
    pub fn fetch_row(&self, z: usize) {
        prefetch_index(self.0.columns.as_slice(), z * CELLS_PER_CHUNK);
    }

    pub fn memory_bytes(&self) -> usize {
        size_of::<Table>()
    }

    /// Its depth is at most one for each boundary between cells.
    fn fill(&mut self, nodes: &[Node], planes: &[Plane], child: Child, cells: [Range<usize>; 2]) {
        let [x, z] = cells;
        if let Child::Node(index) = child {
            let node = &nodes[usize::from(index)];
            let plane = planes[usize::from(node.plane)];
            let boundary = (plane.distance / CELL_FIXED) as usize;
            let along = if plane.axis == Axis::X { &x } else { &z };
            let parts = plane.axis != Axis::Y && plane.distance % CELL_FIXED == 0;
            if parts && along.start < boundary && boundary < along.end {
                let (low, high) = (along.start..boundary, boundary..along.end);
                let halves = match plane.axis {
                    Axis::X => [[low, z.clone()], [high, z]],
                    _ => [[x.clone(), low], [x, high]],
                };
                let [back, front] = halves;
                self.fill(nodes, planes, node.back, back);
                self.fill(nodes, planes, node.front, front);
                return;
            }
        }
        let column = Packed::of(nodes, planes, child, COLUMN_PLANES);
        for z in z {
            let row = z * CELLS_PER_CHUNK + x.start..z * CELLS_PER_CHUNK + x.end;
            self.0.parts[row.clone()].fill(child);
            self.0.columns[row].fill(column);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use crate::generator::{BspWorld, Generator};
    use crate::grid::tests::coords;
    use crate::scratch::Scratch;

    fn level(at: i16) -> Plane {
        Plane { axis: Axis::Y, faces_back: false, distance: at }
    }

    fn node(plane: u16, back: Child, front: Child) -> Node {
        Node { plane, back, front }
    }

    #[test]
    fn each_cell_of_a_grid_is_its_floor_and_its_ceiling() {
        let world = BspWorld::new(9);
        let mut scratch = Scratch::default();
        for coord in coords(300) {
            let (grid, chunk) = (world.grid(coord), world.generate(coord, &mut scratch));
            for (x, z) in (0..CELLS_PER_CHUNK).flat_map(|z| (0..CELLS_PER_CHUNK).map(move |x| (x, z))) {
                let expected = match grid.at(x, z) {
                    Cell::Open(open) => CellColumn::Air { floor: Some(open.floor), ceiling: open.ceiling },
                    _ => CellColumn::Rock,
                };
                let column = chunk.column_of(x, z);
                assert_eq!(column, expected, "{coord:?} {x} {z}");
            }
        }
    }

    #[test]
    fn what_is_more_than_a_floor_and_a_ceiling_is_the_trees() {
        let planes = [level(100), level(200), level(50), level(DEPTH), level(SKY)];
        let (rock, air) = (Child::Solid, Child::Leaf(0));
        let column = |nodes: &[Node]| Packed::of(nodes, &planes, Child::Node(0), COLUMN_PLANES).column();
        let under = |ceiling| CellColumn::Air { floor: None, ceiling: Some(ceiling) };
        assert_eq!(column(&[node(0, air, rock)]), under(100));
        let room = CellColumn::Air { floor: Some(100), ceiling: Some(200) };
        assert_eq!(column(&[node(0, rock, Child::Node(1)), node(1, air, rock)]), room);
        assert_eq!(column(&[node(1, Child::Node(1), rock), node(0, rock, air)]), room);
        // Two floors; a ceiling below its floor; planes where no height is; more planes than two.
        for nodes in [
            &[node(0, Child::Node(1), air), node(2, rock, air)][..],
            &[node(0, rock, Child::Node(1)), node(2, air, rock)],
            &[node(0, rock, rock)],
            &[node(3, rock, air)],
            &[node(4, air, rock)],
            &[node(2, rock, Child::Node(1)), node(0, air, Child::Node(2)), node(1, air, rock)],
        ] {
            assert_eq!(column(nodes), CellColumn::Tree, "{nodes:?}");
        }
    }
}
