//! What can be seen from where: for each leaf the leaves that some sight line joins it with, and for each
//! opening in the border the leaves that see it, so that sight goes on into the neighbour.
//!
//! A table never hides what can be seen. Where nothing has a roof everything sees everything, and there
//! is no table.

mod flow;
mod portal;

pub(crate) use flow::find;
pub(crate) use portal::Portals;

use crate::border::Side;
use crate::chunk::LEAVES_MAX;

/// Openings that a chunk may have: one for each cell of its border, and the corner cells have two.
pub const OPENINGS_MAX: usize = 64;

/// A set of a chunk's leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeafSet([u64; LEAVES_MAX / 64]);

impl LeafSet {
    /// No leaf.
    pub const NONE: LeafSet = LeafSet([0; LEAVES_MAX / 64]);
    /// Every leaf.
    pub const ALL: LeafSet = LeafSet([u64::MAX; LEAVES_MAX / 64]);

    /// The first `count` leaves.
    pub fn first(count: usize) -> LeafSet {
        let word = |i: usize| match count.saturating_sub(i * 64) {
            0 => 0,
            n @ 1..64 => (1 << n) - 1,
            _ => u64::MAX,
        };
        LeafSet(std::array::from_fn(word))
    }

    /// Whether a leaf is in it.
    pub fn contains(&self, leaf: usize) -> bool {
        self.0.get(leaf / 64).is_some_and(|word| word & (1 << (leaf % 64)) != 0)
    }

    /// Puts a leaf into it; one that cannot be is left out.
    pub fn insert(&mut self, leaf: usize) {
        if let Some(word) = self.0.get_mut(leaf / 64) {
            *word |= 1 << (leaf % 64);
        }
    }

    /// Takes a leaf out of it.
    pub fn remove(&mut self, leaf: usize) {
        if let Some(word) = self.0.get_mut(leaf / 64) {
            *word &= !(1 << (leaf % 64));
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == LeafSet::NONE
    }

    /// The leaves in either.
    pub fn union(self, other: LeafSet) -> LeafSet {
        LeafSet(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// The leaves in both.
    pub fn intersection(self, other: LeafSet) -> LeafSet {
        LeafSet(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// Whether all of these are in `other`.
    pub fn is_subset(self, other: LeafSet) -> bool {
        self.intersection(other) == self
    }
}

/// A way over the border: the part of one leaf's side that is open to the neighbour's air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Over which side.
    pub side: Side,
    /// Its first cell along the side.
    pub start: u8,
    /// The cell after its last.
    pub end: u8,
    /// Its lowest and its highest air, 1/8 unit.
    pub bottom: i16,
    /// See `bottom`.
    pub top: i16,
    /// The leaf that it opens.
    pub leaf: u16,
}

/// What can be seen from where in a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visibility {
    /// Everything from everywhere.
    All,
    /// Not everything.
    Table(Table),
}

/// What can be seen from where under roofs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// For each leaf the leaves that it sees; for each opening, after them, the leaves that see it.
    pub(crate) rows: Vec<LeafSet>,
    pub(crate) openings: Vec<Opening>,
}

impl Table {
    /// The ways over the border.
    pub fn openings(&self) -> &[Opening] {
        &self.openings
    }

    /// The leaves that a leaf sees.
    pub fn from_leaf(&self, leaf: usize) -> LeafSet {
        self.rows[leaf]
    }

    /// The leaves that see an opening.
    pub fn of_opening(&self, opening: usize) -> LeafSet {
        self.rows[self.rows.len() - self.openings.len() + opening]
    }
}

impl Visibility {
    /// Whether a sight line may join two leaves.
    pub fn sees(&self, from: usize, to: usize) -> bool {
        match self {
            Visibility::All => true,
            Visibility::Table(table) => table.rows[from].contains(to),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Visibility::All => 0,
            Visibility::Table(table) => size_of_val(&table.rows[..]) + size_of_val(&table.openings[..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::biome::Biome;
    use crate::bsp::build;
    use crate::cell::{Cell, OpenCell};
    use crate::chunk::Chunk;
    use crate::codec::encode_recipe;
    use crate::coord::ChunkCoord;
    use crate::generator::{BspWorld, Generator};
    use crate::grid::Grid;
    use crate::grid::tests::coords;
    use crate::hash::Random;
    use crate::scratch::Scratch;

    /// The share of pairs of leaves that cannot see each other.
    fn hidden(biome: Biome, chunks: usize) -> f64 {
        let (world, mut scratch) = (BspWorld::new(9), Scratch::default());
        let mut shares = Vec::new();
        for coord in coords(1_600).filter(|coord| world.grid(*coord).biome == biome).take(chunks) {
            let chunk = world.generate(coord, &mut scratch);
            let Visibility::Table(table) = chunk.visibility() else { panic!("{coord:?} has no table") };
            let leaves = chunk.leaves().len();
            let seen: usize = (0..leaves).map(|leaf| table.from_leaf(leaf).len()).sum();
            shares.push(1.0 - seen as f64 / (leaves * leaves) as f64);
            for leaf in 0..leaves {
                assert!(chunk.visibility().sees(leaf, leaf));
                assert!(
                    (0..leaf).all(|other| table.from_leaf(other).contains(leaf)
                        == table.from_leaf(leaf).contains(other))
                );
            }
            for (i, opening) in table.openings().iter().enumerate() {
                assert!(table.of_opening(i).contains(opening.leaf.into()), "{coord:?}: {opening:?}");
            }
        }
        shares.iter().sum::<f64>() / shares.len() as f64
    }

    #[test]
    fn a_good_part_of_what_is_indoors_is_hidden() {
        let shares = [Biome::Dungeon, Biome::Courtyard].map(|biome| hidden(biome, 300));
        println!("hidden pairs of leaves: dungeon {:.3}, courtyard {:.3}", shares[0], shares[1]);
        assert!(shares[0] >= 0.45 && shares[1] >= 0.2 && shares[0] + shares[1] >= 0.6, "{shares:?}");
    }

    /// Halls made up to be dear: each cell a leaf of its own, rock scattered among them. However many ways
    /// sight has, the search ends.
    #[test]
    fn a_hall_made_up_to_be_dear_counts_as_open_land() {
        let mut given_up = 0;
        for one_in in [3, 4, 6, 9, 14] {
            let mut random = Random::new(one_in as u64);
            let mut grid = Grid::uniform(ChunkCoord::new(0, 0), Biome::Dungeon, Cell::Solid);
            for i in 0..256 {
                let floor = (i % 2 + i / 16 % 2) as i16 * 64;
                if !random.one_in(one_in) {
                    grid.set(i % 16, i / 16, Cell::Open(OpenCell::indoor(Biome::Dungeon, floor, 768)));
                }
            }
            let chunk = build(&grid, &mut Scratch::default());
            given_up += usize::from(chunk.visibility() == &Visibility::All);
            let recipe = encode_recipe(&grid, &chunk).expect("one style");
            assert!(Chunk::from_recipe(&recipe, &mut Scratch::default()) == Ok(chunk));
        }
        println!("{given_up} of 5 halls were given up");
        assert!(given_up >= 1);
    }

    #[test]
    fn open_land_has_no_table() {
        let (world, mut scratch) = (BspWorld::new(9), Scratch::default());
        for coord in coords(400).filter(|coord| world.grid(*coord).biome == Biome::Exterior) {
            assert_eq!(world.generate(coord, &mut scratch).visibility(), &Visibility::All);
        }
    }

    #[test]
    fn a_set_of_leaves_holds_what_was_put_in() {
        for count in [0, 1, 63, 64, 65, 200, 256] {
            let mut set = LeafSet::NONE;
            (0..count).for_each(|leaf| set.insert(leaf));
            assert_eq!((set, set.len()), (LeafSet::first(count), count));
            assert!(set.is_subset(LeafSet::ALL) && !set.contains(count) && !set.contains(4_000));
        }
        assert!(!LeafSet::ALL.is_subset(LeafSet::first(255)));
    }
}
