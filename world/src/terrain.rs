//! How high the ground is in the open, at any place of the world.
//!
//! Several octaves of noise at world-space positions in cells, cut into steps of 8 units. Slower noise
//! says where the land is terraced: there the same hills become flat steps with cliffs between them, and
//! where it fades out lie the passes that lead up.

use crate::coord::{CELLS_PER_CHUNK, ChunkCoord, FIXED_PER_UNIT};
use crate::hash::{Tag, hash};
use crate::noise::Octave;

/// Heights are multiples of this, in 1/8 unit: 8 units.
pub(crate) const HEIGHT_STEP: i16 = 8 * FIXED_PER_UNIT as i16;
/// The highest ground inside a chunk, in units.
const HIGHEST_UNITS: f64 = 112.0;
/// The ground without any noise, in units.
const MIDDLE_UNITS: f64 = 44.0;
/// Noise cells per cell of the grid, and units of height, of each octave.
const OCTAVES: [(f64, f64); 4] = [(0.031, 58.0), (0.083, 28.0), (0.197, 10.0), (0.411, 4.0)];
/// The same of the noise that says how terraced the land is, from 0 to 1 around a half.
const TERRACED: (f64, f64) = (0.057, 1.6);
/// Units from one terrace to the next.
const TERRACE_UNITS: f64 = 40.0;
/// How much steeper the cliff between two terraces is than the hill that it was.
const CLIFF_STEEPNESS: f64 = 9.0;

/// The terrain of a world.
#[derive(Debug, Clone)]
pub(crate) struct Terrain {
    octaves: [Octave; OCTAVES.len()],
    terraced: Octave,
}

impl Terrain {
    /// The terrain of a seed.
    pub fn new(world_seed: u64) -> Self {
        let octave = |i: usize| {
            let (scale, weight) = OCTAVES[i];
            Octave::new(hash(Tag::Terrain, world_seed, i as i32, 0, 0), scale, weight)
        };
        let (scale, weight) = TERRACED;
        let terraced = Octave::new(hash(Tag::Terrain, world_seed, OCTAVES.len() as i32, 0, 0), scale, weight);
        Terrain { octaves: std::array::from_fn(octave), terraced }
    }

    /// The ground at a place of a chunk, in half cells from its corner (0 to 32), as a multiple of
    /// [`HEIGHT_STEP`].
    pub fn height(&self, coord: ChunkCoord, half_x: i32, half_z: i32) -> i16 {
        let world = |c: i32, half: i32| (f64::from(c) * CELLS_PER_CHUNK as f64) + f64::from(half) * 0.5;
        let (x, z) = (world(coord.cx, half_x), world(coord.cz, half_z));
        let mut units = MIDDLE_UNITS;
        for octave in &self.octaves {
            units += octave.at(x, z);
        }
        let terraced = (0.5 + self.terraced.at(x, z)).clamp(0.0, 1.0);
        units += (terrace(units) - units) * terraced;
        let step_units = f64::from(HEIGHT_STEP) / f64::from(FIXED_PER_UNIT);
        (units.clamp(0.0, HIGHEST_UNITS) / step_units).floor() as i16 * HEIGHT_STEP
    }
}

/// Flat near the middle of each terrace, steep between two.
fn terrace(units: f64) -> f64 {
    let whole = (units / TERRACE_UNITS).floor();
    let part = units / TERRACE_UNITS - whole;
    let steep = ((part - 0.5) * CLIFF_STEEPNESS + 0.5).clamp(0.0, 1.0);
    (whole + steep) * TERRACE_UNITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coord::HEIGHT_FIXED;

    #[test]
    fn the_ground_is_the_same_from_both_sides_of_an_edge() {
        let terrain = Terrain::new(9);
        for cx in [-1, 0, 500_000, i32::MAX - 1] {
            let (here, there) = (ChunkCoord { cx, cz: 3 }, ChunkCoord { cx: cx + 1, cz: 3 });
            for half_z in 0..=32 {
                let height = terrain.height(here, 32, half_z);
                assert_eq!(height, terrain.height(there, 0, half_z));
                assert!((0..HEIGHT_FIXED).contains(&height) && height % HEIGHT_STEP == 0);
            }
        }
    }
}
