//! The sky: a gradient, the sun, faint clouds; and the air between the eye and things.

use glam::Vec3;
use ninefold_world::SUN;

use super::noise::{Texel, smoothstep};

/// The sun's light on a surface that faces it.
const SUN_STRENGTH: f32 = 2.7;
/// The sky's colours high up and at the horizon, linear.
const ZENITH: Vec3 = Vec3::new(0.10, 0.23, 0.54);
const HORIZON: Vec3 = Vec3::new(0.46, 0.57, 0.69);
/// Near the sun the haze is warm.
const HAZE: Vec3 = Vec3::new(0.95, 0.80, 0.58);
/// Distance at which air hides two thirds of what lies behind it, in the open and under a roof, in units.
/// In the open nothing is left of what lies at the ring's edge.
const OPEN_AIR_UNITS: f32 = 690.0;
const ROOFED_AIR_UNITS: f32 = 900.0;
/// Air is denser below this height, in units.
const LOW_AIR_UNITS: f32 = 40.0;
/// The air under a roof, which no sky lights.
pub const ROOFED_AIR: Vec3 = Vec3::new(0.0022, 0.0021, 0.0024);
/// Clouds: their height above the eye and their size, in units.
const CLOUD_HEIGHT_UNITS: f32 = 1_100.0;
const CLOUD_UNITS: f32 = 1_024.0;

/// The way to the sun.
pub fn sun_way() -> Vec3 {
    Vec3::from_array(SUN.direction).normalize()
}

/// Its light, linear.
pub fn sun_light() -> Vec3 {
    linear(SUN.colour) * SUN_STRENGTH
}

/// What comes from a part of the sky, without sun and clouds.
pub fn glow(way: Vec3) -> Vec3 {
    let up = way.y.max(0.0);
    let base = HORIZON.lerp(ZENITH, 1.0 - (1.0 - up).powf(2.6));
    let toward = way.dot(sun_way()).max(0.0);
    base + HAZE * (0.10 * toward.powi(4) + 0.16 * toward.powi(24)) * (1.0 - 0.4 * up)
}

/// What the whole of the sky gives a surface, by a cheaper sum: for light that bounces.
pub fn ambient(way: Vec3) -> Vec3 {
    linear(SUN.ambient) * 2.0 * (0.75 + 0.5 * way.y.max(0.0))
}

/// The sky behind everything.
pub fn sky(way: Vec3, base: [u32; 2], eye: Vec3) -> Vec3 {
    let mut colour = glow(way);
    let toward = way.dot(sun_way());
    if way.y > 0.02 {
        let span = CLOUD_HEIGHT_UNITS / way.y;
        let at = [eye.x + way.x * span, eye.z + way.z * span];
        let texel = Texel { at, base, salt: 0x5eed, footprint: span * 0.002 };
        let warped = texel.shifted([texel.smooth(512.0, 3) * 180.0, texel.smooth(512.0, 4) * 180.0]);
        let thick = smoothstep(0.0, 0.75, warped.fractal(CLOUD_UNITS, 5, 1) + 0.08);
        let far = smoothstep(0.03, 0.30, way.y);
        let lit = Vec3::new(0.98, 0.97, 0.95) + HAZE * 0.35 * toward.max(0.0).powi(6);
        colour = colour.lerp(lit, 0.55 * thick * far);
    }
    let disc = smoothstep(0.99935, 0.99965, toward);
    let halo = 0.5 * toward.max(0.0).powi(600);
    colour + sun_light() * (3.0 * disc + 0.35 * halo)
}

/// Air on the way to something: how much comes through it, and its own colour.
#[derive(Debug, Clone, Copy)]
pub struct Air {
    clear: f32,
    colour: Vec3,
}

impl Air {
    /// So many units of air under the sky.
    pub fn open(eye: Vec3, way: Vec3, units: f32) -> Self {
        let middle = eye.y + way.y * units * 0.5;
        let dense = 1.0 + 0.25 * (1.0 - middle / LOW_AIR_UNITS).clamp(0.0, 1.0);
        let level = Vec3::new(way.x, way.y.clamp(0.0, 0.35), way.z).normalize();
        Air { clear: left_after(units * dense / OPEN_AIR_UNITS), colour: glow(level) }
    }

    /// So many units of air under a roof.
    pub fn roofed(units: f32) -> Self {
        Air { clear: left_after(units / ROOFED_AIR_UNITS), colour: ROOFED_AIR }
    }

    /// What is seen of a colour behind it.
    pub fn before(self, colour: Vec3) -> Vec3 {
        self.colour.lerp(colour, self.clear)
    }
}

/// Clear near by, and soon nothing at all.
fn left_after(thick: f32) -> f32 {
    (-thick * thick * thick).exp()
}

/// An sRGB colour as light.
pub fn linear(colour: [u8; 3]) -> Vec3 {
    Vec3::from_array(colour.map(|c| (f32::from(c) / 255.0).powf(2.2)))
}
