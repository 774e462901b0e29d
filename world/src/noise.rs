//! One octave of smooth noise, the same on every machine.
//!
//! The noise crate folds its lattice at 256 cells and takes whole cells as `isize`. Coordinates are
//! folded here first, exactly, so that a 32-bit machine sees the same noise at the far end of the
//! world. The folds of several octaves fall together nowhere, as their scales share no period.

use noise::{NoiseFn, Perlin};

/// Cells after which the lattice of the noise crate repeats.
const PERIOD: f64 = 256.0;
/// Off the lattice's corners, on which this noise is always zero.
const OFFSET: f64 = 0.371;

/// An octave: noise of a scale and a weight.
#[derive(Debug, Clone)]
pub(crate) struct Octave {
    noise: Perlin,
    /// Cells of the noise per unit of its argument.
    scale: f64,
    weight: f64,
}

impl Octave {
    /// `seed` picks one of 2^32 lattices.
    pub fn new(seed: u64, scale: f64, weight: f64) -> Self {
        Octave { noise: Perlin::new(seed as u32), scale, weight }
    }

    /// Its value at a place: minus to plus the weight.
    pub fn at(&self, x: f64, z: f64) -> f64 {
        self.noise.get([fold(x * self.scale), fold(z * self.scale)]) * self.weight
    }
}

/// Into 0 to [`PERIOD`]: a division by a power of two, a floor and a difference, all exact.
fn fold(along: f64) -> f64 {
    let shifted = along + OFFSET;
    shifted - (shifted / PERIOD).floor() * PERIOD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_is_fixed_for_ever() {
        let octave = Octave::new(9, 0.083, 1.0);
        let far = f64::from(i32::MIN) * 16.0;
        let bits = [octave.at(0.0, 0.0), octave.at(-17.0, 4.5), octave.at(far, -far)].map(f64::to_bits);
        assert_eq!(bits, GOLDEN, "{bits:#x?}");
    }

    const GOLDEN: [u64; 3] = [0xbff0_0000_0000_0000, 0x3fc3_2573_05bb_a14c, 0x3fc4_a791_20e6_8e14];

    #[test]
    fn folding_changes_no_value() {
        let octave = Octave::new(9, 1.0, 1.0);
        for i in -2_000..2_000 {
            let (x, z) = (f64::from(i) * 0.75, f64::from(i) * -1.25);
            let plain = octave.noise.get([x + OFFSET, z + OFFSET]);
            assert!((octave.at(x, z) - plain).abs() < 1e-9);
        }
    }
}
