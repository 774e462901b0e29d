//! Where players come into the world: which chunk, and where in it.

use crate::chunk::Chunk;
use crate::coord::{CELL_FIXED, CHUNK_FIXED, ChunkCoord, FIXED_PER_UNIT, Position};
use crate::hash::{Random, Tag, hash};

/// Cells that are tried before the first box of air is taken.
const SPAWN_TRIES: u32 = 64;

/// The chunk in which `player` comes into the world: spread over the square so many chunks around the origin.
pub fn spawn_chunk(player: u64, radius_chunks: u32) -> ChunkCoord {
    let mut random = Random::new(hash(Tag::Spawn, player, 0, 0, 0));
    let radius = i32::try_from(radius_chunks).unwrap_or(i32::MAX);
    let (cx, cz) = (random.range(-radius, radius), random.range(-radius, radius));
    ChunkCoord { cx, cz }
}

impl Chunk {
    /// A place to come into the world, chosen by `salt` among the chunk's boxes of air: the middle of one
    /// of its cells, on the floor. In a chunk without air it is the middle of the chunk, at height 0.
    pub fn spawn(&self, salt: u64) -> Position {
        let mut random = Random::new(hash(Tag::Spawn, salt, self.coord.cx, self.coord.cz, 1));
        // Not on the border, where a neighbour that is not there yet would block every step.
        let cell = |c: i32| c as i16 * CELL_FIXED + CELL_FIXED / 2;
        for _ in 0..SPAWN_TRIES {
            let (x, z) = (cell(random.range(1, 14)), cell(random.range(1, 14)));
            if let Some(column) = self.column(x, z) {
                return standing_at(self.coord, x, z, column.floor);
            }
        }
        // A generator from outside may write rock alone: whoever comes into it is put free, as anybody in rock is.
        let Some(leaf) = self.leaves.first() else {
            return standing_at(self.coord, CHUNK_FIXED / 2, CHUNK_FIXED / 2, 0);
        };
        let middle = |axis: usize| {
            let low = leaf.min[axis] / CELL_FIXED * CELL_FIXED;
            low + CELL_FIXED / 2
        };
        standing_at(self.coord, middle(0), middle(2), leaf.min[1])
    }
}

fn standing_at(coord: ChunkCoord, x: i16, z: i16, floor: i16) -> Position {
    let units = |fixed: i16| f64::from(fixed) / f64::from(FIXED_PER_UNIT);
    let (x0, z0) = coord.origin();
    Position { x: x0 + units(x), y: units(floor), z: z0 + units(z) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::biome::Biome;
    use crate::bsp::build;
    use crate::cell::Cell;
    use crate::generator::{BspWorld, Generator};
    use crate::grid::Grid;
    use crate::scratch::Scratch;
    use proptest::prelude::*;

    #[test]
    fn a_chunk_of_rock_has_a_place_too() {
        let coord = ChunkCoord { cx: -2, cz: 5 };
        let rock = Grid::uniform(coord, Biome::Dungeon, Cell::Solid);
        let chunk = build(&rock, &mut Scratch::default());
        assert_eq!((chunk.leaves().len(), chunk.spawn(7).chunk()), (0, Some(coord)));
    }

    #[test]
    fn players_spawn_all_over_the_square_and_never_outside() {
        let chunks: std::collections::BTreeSet<_> = (0..200).map(|player| spawn_chunk(player, 1)).collect();
        assert_eq!(chunks.len(), 9);
        assert!(chunks.iter().all(|c| c.cx.abs() <= 1 && c.cz.abs() <= 1));
        assert_eq!(spawn_chunk(7, 0), ChunkCoord { cx: 0, cz: 0 });
    }

    proptest! {
        #[test]
        fn a_spawn_point_stands_on_a_floor(cx: i32, cz: i32, salt: u64) {
            let coord = ChunkCoord { cx, cz };
            let chunk = BspWorld::new(9).generate(coord, &mut Scratch::default());
            let at = chunk.spawn(salt);
            prop_assert_eq!(at.chunk(), Some(coord));
            let (x0, z0) = coord.origin();
            let column = chunk.column(((at.x - x0) * 8.0) as i16, ((at.z - z0) * 8.0) as i16);
            prop_assert_eq!(column.map(|c| f64::from(c.floor) / 8.0), Some(at.y));
        }
    }
}
