//! What a sample can lie on: a face of a chunk or a side of a prop.

use glam::Vec3;

use super::noise::Texel;

/// What a surface is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Material {
    /// A chunk's material.
    Numbered(u8),
    /// A door's leaf.
    Planks,
    /// A door's frame.
    Frame,
    /// Lamps hang on it.
    Iron,
    /// A lamp's glass, in the colour of its light.
    Glass([u8; 3]),
}

/// A flat piece of the world.
#[derive(Debug, Clone, Copy)]
pub struct Surface {
    pub normal: Vec3,
    /// `normal . at` on it.
    pub distance: f32,
    pub material: Material,
    /// Where its texture counts from, and along which ways.
    pub origin: Vec3,
    pub u: Vec3,
    pub v: Vec3,
    pub base: [u32; 2],
    pub salt: u32,
    /// The list of lights that may reach it.
    pub lights: u32,
    /// Whether it is open to the sky.
    pub is_sky: bool,
    /// For a wall with grass on top: how high that is, in units.
    pub turf: Option<f32>,
    /// The same for surfaces between which light may be smoothed.
    pub plane: u32,
}

impl Surface {
    /// Whether it is a floor or a ceiling.
    pub fn is_level(&self) -> bool {
        self.normal.y.abs() > 0.5
    }

    /// How far along a ray from the eye it lies.
    pub fn along(&self, eye: Vec3, ray: Vec3) -> f32 {
        (self.distance - self.normal.dot(eye)) / self.normal.dot(ray)
    }

    /// The texture's place at a point of it, under a sample that is `footprint` units wide.
    pub fn texel(&self, at: Vec3, footprint: f32) -> Texel {
        let way = at - self.origin;
        let at = [way.dot(self.u), way.dot(self.v)];
        Texel { at, base: self.base, salt: self.salt, footprint }
    }
}

/// A surface and its outline.
#[derive(Debug, Clone)]
pub struct Polygon {
    pub surface: Surface,
    /// On the picture, in samples; convex.
    pub corners: Vec<[f32; 2]>,
}
