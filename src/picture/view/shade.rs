//! The colour of a sample: its surface's look under its light, behind the air.

use glam::Vec3;

use super::camera::Camera;
use super::light::{Glow, Light};
use super::material::look;
use super::scene::Scene;
use super::sky::{self, Air};
use super::surface::{Material, Surface};

/// A bump's light is at most so much more than the flat surface's.
const BUMP_MAX: f32 = 2.0;
/// How bright a lamp's glass is.
const GLASS_STRENGTH: f32 = 5.0;
/// The sky, where nothing is hit, lies so far away for glows in the air, in units.
const SKY_UNITS: f32 = 2_000.0;

/// What is the same for all samples of a picture.
#[derive(Debug)]
pub struct Shading<'s> {
    pub scene: &'s Scene,
    pub camera: &'s Camera,
    pub glows: Vec<Glow>,
    pub eye_is_open: bool,
}

impl Shading<'_> {
    /// The colour of a surface at a distance along a ray of length 1.
    pub fn surface(&self, surface: &Surface, light: &Light, way: Vec3, along: f32) -> Vec3 {
        let colour = match surface.material {
            Material::Glass(colour) => sky::linear(colour) * GLASS_STRENGTH,
            _ => lit(self.camera, surface, light, way, along),
        };
        self.behind_air(colour, surface.is_sky, way, along) + self.glow(way, along)
    }

    /// The colour where nothing is.
    pub fn nothing(&self, way: Vec3) -> Vec3 {
        let eye = self.camera.eye;
        // What leaves the ring under a roof is lost in the dark.
        let is_dark = self.scene.hit(eye, way, f32::INFINITY).is_some();
        let colour = if is_dark { sky::ROOFED_AIR } else { sky::sky(way, self.scene.base, eye) };
        colour + self.glow(way, SKY_UNITS)
    }

    /// Looking out of a roof or in under one, both airs lie on the way.
    fn behind_air(&self, colour: Vec3, is_sky: bool, way: Vec3, along: f32) -> Vec3 {
        let eye = self.camera.eye;
        let open = match (self.eye_is_open, is_sky) {
            (true, true) => along,
            (false, false) => 0.0,
            _ => self.scene.open_along(eye, way, along),
        };
        let (open, roofed) = (Air::open(eye, way, open), Air::roofed(along - open));
        if self.eye_is_open { open.before(roofed.before(colour)) } else { roofed.before(open.before(colour)) }
    }

    fn glow(&self, way: Vec3, along: f32) -> Vec3 {
        self.glows.iter().map(|glow| glow.along(self.camera.eye, way, along)).sum()
    }
}

fn lit(camera: &Camera, surface: &Surface, light: &Light, way: Vec3, along: f32) -> Vec3 {
    let slant = surface.normal.dot(way).abs().max(0.02);
    let footprint = along * camera.sample_width() / slant.sqrt();
    let texel = surface.texel(camera.eye + way * along, footprint);
    let look_at = |du: f32, dv: f32| look(surface, &texel.shifted([du, dv]));
    let here = look(surface, &texel);
    let step = (0.6 * footprint).max(0.3);
    let slope_u = (look_at(step, 0.0).height - here.height) / step;
    let slope_v = (look_at(0.0, step).height - here.height) / step;
    let normal = (surface.normal - surface.u * slope_u - surface.v * slope_v).normalize();
    let flat = surface.normal.dot(light.from);
    let bump = if flat > 1e-5 { (normal.dot(light.from) / flat).clamp(0.0, BUMP_MAX) } else { 0.0 };
    let around = 0.55 + 0.45 * normal.dot(surface.normal);
    here.albedo * (light.direct * bump + light.around * around)
}
