//! What lights a chunk: a point light for each room under a roof, and one sun for all that is open to
//! the sky.
//!
//! No light values stand in the faces: a light is 8 bytes, a value for each face of a chunk about 150,
//! and whoever draws a face computes a better one from the lights around it.

use crate::coord::LocalPoint;

/// Point lights that a chunk may have.
pub const LIGHTS_MAX: usize = 16;

/// A point light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Light {
    /// Where, in the chunk.
    pub at: LocalPoint,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// Where its light ends, in units.
    pub radius_units: u16,
}

/// The light of the sky, the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sun {
    /// The way to it: east, up, south; of length 1.
    pub direction: [f32; 3],
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// What the rest of the sky gives from all sides.
    pub ambient: [u8; 3],
}

/// The sun: an afternoon's, from the south-west.
pub const SUN: Sun =
    Sun { direction: [-0.48, 0.72, 0.501_198_6], colour: [255, 241, 214], ambient: [112, 132, 160] };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_sun_has_length_one() {
        let length: f32 = SUN.direction.iter().map(|d| d * d).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}
