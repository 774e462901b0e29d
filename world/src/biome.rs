//! Which biome a chunk has: smooth noise over the grid of chunks, cut at two thresholds.
//!
//! Two octaves whose scales have no common period, so that the lattice of the noise, which repeats
//! after 256 cells, does not repeat the map. f64 throughout: f32 noise breaks far from the origin.

use crate::coord::ChunkCoord;
use crate::hash::{Tag, hash};
use crate::noise::Octave;

/// Below this a chunk is a dungeon.
const DUNGEON_BELOW: f64 = -0.2;
/// Above this it lies in the open.
const EXTERIOR_ABOVE: f64 = 0.2;
/// Noise cells per chunk and weight of the large shapes and of their ragged rims.
const OCTAVES: [(f64, f64); 2] = [(0.083, 1.1), (0.233_7, 0.15)];

/// What a chunk is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Biome {
    /// Rooms and corridors under ceilings.
    Dungeon = 0,
    /// An open centre with wing rooms around it.
    Courtyard = 1,
    /// Hills and cliffs under the sky.
    Exterior = 2,
}

impl Biome {
    /// The biome with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Biome::Dungeon),
            1 => Some(Biome::Courtyard),
            2 => Some(Biome::Exterior),
            _ => None,
        }
    }
}

/// The biomes of a world.
#[derive(Debug, Clone)]
pub(crate) struct Biomes {
    octaves: [Octave; OCTAVES.len()],
}

impl Biomes {
    /// The biomes of a seed.
    pub fn new(world_seed: u64) -> Self {
        let octave = |i: usize| {
            let (scale, weight) = OCTAVES[i];
            Octave::new(hash(Tag::Biome, world_seed, i as i32, 0, 0), scale, weight)
        };
        Biomes { octaves: std::array::from_fn(octave) }
    }

    /// The biome of a chunk.
    pub fn at(&self, coord: ChunkCoord) -> Biome {
        let (x, z) = (f64::from(coord.cx), f64::from(coord.cz));
        let value = self.octaves[0].at(x, z) + self.octaves[1].at(x, z);
        if value < DUNGEON_BELOW {
            Biome::Dungeon
        } else if value > EXTERIOR_ABOVE {
            Biome::Exterior
        } else {
            Biome::Courtyard
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(biomes: &Biomes, centre: i32) -> [f64; 3] {
        let mut counts = [0_u32; 3];
        for cx in centre - 150..centre + 150 {
            for cz in -150..150 {
                counts[biomes.at(ChunkCoord { cx, cz }) as usize] += 1;
            }
        }
        counts.map(|n| f64::from(n) / 90_000.0)
    }

    #[test]
    fn every_biome_covers_a_good_part_of_a_large_map() {
        for (seed, centre) in [(9, 0), (1, 1_000_000), (77, i32::MIN + 200)] {
            let shares = shares(&Biomes::new(seed), centre);
            assert!(shares.iter().all(|s| *s >= 0.15), "seed {seed}: {shares:?}");
        }
    }

    #[test]
    fn biomes_cohere_over_several_chunks() {
        let biomes = Biomes::new(9);
        let same = (0..10_000).filter(|i| {
            let at = |cx, cz| biomes.at(ChunkCoord { cx, cz });
            let (cx, cz) = (i % 100, i / 100);
            at(cx, cz) == at(cx + 1, cz)
        });
        assert!(same.count() > 8_000);
    }
}
