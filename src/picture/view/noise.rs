//! Noise for materials: the same everywhere in the world, wherever the eye stands.
//!
//! A place on a surface is two coordinates in units. Along x and z they count from the corner of the
//! chunk under the eye, and lattices are numbered through the world, so that a stone has the same face
//! from every side of a chunk's border. Lattice sizes divide a chunk.

use ninefold_world::CHUNK_UNITS;

/// How much larger a turned texel's units are.
const TURNED_SCALE: f32 = 5.0;
/// A lattice's size in them that is about the same and divides a chunk.
pub const TURNED_SIZE: f32 = 4.0;

/// A place on a surface.
#[derive(Debug, Clone, Copy)]
pub struct Texel {
    /// Along the surface, in units.
    pub at: [f32; 2],
    /// Chunk of the corner that they count from, folded; 0 for heights.
    pub base: [u32; 2],
    /// Tells surfaces apart that would look the same.
    pub salt: u32,
    /// How wide a sample is on the surface, in units: nothing finer is drawn.
    pub footprint: f32,
}

/// A cell of a lattice and the place in it, 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub index: [u32; 2],
    pub place: [f32; 2],
}

impl Texel {
    /// The cell of a lattice with cells of `size` units.
    pub fn cell(&self, size: [f32; 2]) -> Cell {
        let along = |i: usize| {
            let scaled = self.at[i] / size[i];
            let whole = scaled.floor();
            let per_chunk = (CHUNK_UNITS as f32 / size[i]) as u32;
            (self.base[i].wrapping_mul(per_chunk).wrapping_add(whole as i32 as u32), scaled - whole)
        };
        let (u, v) = (along(0), along(1));
        Cell { index: [u.0, v.0], place: [u.1, v.1] }
    }

    /// Smooth noise, -1 to 1, with cells of `size` units; nothing where a sample is wider than them.
    pub fn smooth(&self, size: f32, salt: u32) -> f32 {
        self.stretched([size, size], salt)
    }

    /// The same with cells of two lengths.
    pub fn stretched(&self, size: [f32; 2], salt: u32) -> f32 {
        let weight = fade(size[0].min(size[1]), self.footprint);
        if weight <= 0.0 {
            return 0.0;
        }
        let cell = self.cell(size);
        let salt = salt ^ self.salt;
        // Gradient noise after Perlin: at each corner a slope, between them a blend.
        let corner = |dx: u32, dz: u32| {
            let index = [cell.index[0].wrapping_add(dx), cell.index[1].wrapping_add(dz)];
            let number = hash(index, salt);
            let slope = |bits: u32| (bits & 0xffff) as f32 / 32_768.0 - 1.0;
            let way = [cell.place[0] - dx as f32, cell.place[1] - dz as f32];
            slope(number) * way[0] + slope(number >> 16) * way[1]
        };
        let [u, v] = cell.place.map(|t| t * t * (3.0 - 2.0 * t));
        let low = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * u;
        let high = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * u;
        1.7 * weight * (low + (high - low) * v)
    }

    /// Octaves of smooth noise, each half as large and half as strong, about -1 to 1.
    pub fn fractal(&self, size: f32, octaves: u32, salt: u32) -> f32 {
        let turned = self.turned();
        let octave = |n: u32| {
            let part = 0.5_f32.powi(n as i32);
            let salt = salt.wrapping_add(n * 0x51);
            // Every other one turned, so that the lattices do not show.
            let noise = match n % 2 {
                0 => self.smooth(size * part, salt),
                _ => turned.smooth(size * part * TURNED_SIZE, salt),
            };
            noise * part
        };
        (0..octaves).map(octave).sum::<f32>() * 0.75
    }

    /// Turned by the angle of a 3-4-5 triangle and [`TURNED_SCALE`] times as large: so a chunk is a whole
    /// number of chunks along both ways again.
    pub fn turned(&self) -> Texel {
        let [u, v] = self.at;
        let [bu, bv] = self.base;
        let three_four = |a: u32, b: u32| a.wrapping_mul(3).wrapping_add(b.wrapping_mul(4));
        Texel {
            at: [3.0 * u + 4.0 * v, 3.0 * v - 4.0 * u],
            base: [three_four(bu, bv), three_four(bv, bu).wrapping_sub(bu.wrapping_mul(8))],
            footprint: self.footprint * TURNED_SCALE,
            ..*self
        }
    }

    /// The same place, shifted by so many units.
    pub fn shifted(&self, by: [f32; 2]) -> Texel {
        Texel { at: [self.at[0] + by[0], self.at[1] + by[1]], ..*self }
    }
}

/// How much of a detail of this size is left under a sample of that width.
pub fn fade(size: f32, footprint: f32) -> f32 {
    (1.5 - 2.0 * footprint / size).clamp(0.0, 1.0)
}

/// A number of a lattice's cell, the same for ever.
pub fn hash(index: [u32; 2], salt: u32) -> u32 {
    let mut h = index[0].wrapping_mul(0x9e37_79b1)
        ^ index[1].wrapping_mul(0x85eb_ca77)
        ^ salt.wrapping_mul(0xc2b2_ae3d);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    h ^ (h >> 15)
}

/// A hash as a number from 0 to 1.
pub fn unit(hash: u32) -> f32 {
    (hash >> 8) as f32 / (1 << 24) as f32
}

/// 0 below `low`, 1 above `high`, smooth between.
pub fn smoothstep(low: f32, high: f32, at: f32) -> f32 {
    let t = ((at - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_same_noise_seen_from_both_sides_of_a_border() {
        let texel = |x: f32, cx: i32| Texel { at: [x, 40.0], base: [cx as u32, 0], salt: 3, footprint: 0.1 };
        for cx in [-1, 0, 7, i32::MAX - 1, i32::MIN] {
            for x in [1_024.0, 1_100.25, 2_000.5] {
                let here = texel(x, cx).fractal(64.0, 4, 9);
                let there = texel(x - 1_024.0, cx.wrapping_add(1)).fractal(64.0, 4, 9);
                assert!((here - there).abs() < 1e-3, "{cx} {x}: {here} {there}");
            }
        }
    }

    #[test]
    fn what_is_finer_than_a_sample_is_left_out() {
        let texel = |footprint| Texel { at: [3.3, 8.1], base: [0, 0], salt: 0, footprint };
        assert_ne!(texel(0.5).smooth(4.0, 1), 0.0);
        assert_eq!(texel(4.0).smooth(4.0, 1), 0.0);
    }
}
