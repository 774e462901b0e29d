//! How much light falls on a sample: from the sun and from lamps, past what is in the way, and from all
//! sides, from the sky or thrown back once by what the ray meets.
//!
//! A few rays for each sample are enough: neighbours send theirs other ways, in a pattern that repeats
//! every [`TILE`] samples, and the mean over a tile on the same plane is that of all of its rays.

use std::f32::consts::TAU;

use glam::Vec3;

use super::scene::{Lamp, Scene};
use super::sky;
use super::surface::Surface;

/// Samples along one side of the pattern of rays; a power of two.
pub const TILE: usize = 8;
/// Rays to all sides from each sample.
const RAYS: u32 = 2;
/// A ray to all sides ends here, in units.
const REACH_UNITS: f32 = 1_200.0;
/// Rays start so far above their surface, in units.
const LIFT_UNITS: f32 = 0.08;
/// The sun is seen under this half angle, in radians; wider than it is, for softer shadows.
const SUN_HALF_ANGLE: f32 = 0.014;
/// A lamp's half width for its shadows, in units.
const LAMP_UNITS: f32 = 4.0;
/// A lamp's light close to it.
const LAMP_STRENGTH: f32 = 4.0;
/// Distance at which it has fallen to a half, in units.
const LAMP_HALF_UNITS: f32 = 42.0;
/// A lamp's light below this is left out.
const FAINTEST: f32 = 0.012;
/// What has been thrown back more than once, as a light on everything that a ray meets.
const REMAINDER: Vec3 = Vec3::new(0.075, 0.075, 0.082);
/// A surface this near takes none of it, in units.
const REMAINDER_UNITS: f32 = 48.0;

/// Light on a sample.
#[derive(Debug, Clone, Copy, Default)]
pub struct Light {
    /// Straight from sun and lamps, on the flat surface.
    pub direct: Vec3,
    /// The ways that it came from, by its strength.
    pub from: Vec3,
    /// From all sides.
    pub around: Vec3,
}

impl Light {
    /// The sum of two, the second by a weight.
    pub fn plus(self, other: &Light, weight: f32) -> Light {
        Light {
            direct: self.direct + other.direct * weight,
            from: self.from + other.from * weight,
            around: self.around + other.around * weight,
        }
    }

    fn add_direct(&mut self, colour: Vec3, way: Vec3, facing: f32) {
        self.direct += colour * facing;
        self.from += way * (colour.element_sum() / 3.0);
    }
}

/// A place in the pattern of rays, as pairs of numbers from 0 to 1.
#[derive(Debug, Clone, Copy)]
struct Pattern {
    first: u32,
}

impl Pattern {
    fn at(x: usize, y: usize) -> Self {
        let tile = TILE - 1;
        Pattern { first: ((y & tile) * TILE + (x & tile)) as u32 }
    }

    /// The generalised golden ratio's sequence: any run of it fills the square evenly.
    fn pair(self, n: u32) -> (f32, f32) {
        let index = (self.first + n * (TILE * TILE) as u32) as f32;
        ((0.5 + index * 0.754_877_7).fract(), (0.5 + index * 0.569_840_3).fract())
    }
}

/// The light at a place of a surface, under the sample at a column and row of the picture.
pub fn gather(scene: &Scene, surface: &Surface, at: Vec3, x: usize, y: usize) -> Light {
    let pattern = Pattern::at(x, y);
    let from = at + surface.normal * LIFT_UNITS;
    let mut light = Light::default();
    let aside = pattern.pair(0);
    let (facing, sun) = (surface.normal.dot(sky::sun_way()), sky::sun_way());
    if facing > 0.0 {
        let way = tilted(sun, aside, SUN_HALF_ANGLE);
        if scene.hit(from, way, f32::INFINITY).is_none() {
            light.add_direct(sky::sun_light(), sun, facing);
        }
    }
    for lamp in scene.list(surface.lights) {
        let to = lamp.at + ball(aside) * LAMP_UNITS;
        if let Some((colour, way, facing)) = lamp_light(lamp, from, surface.normal)
            && scene.is_free(from, to)
        {
            light.add_direct(colour, way, facing);
        }
    }
    for n in 0..RAYS {
        let way = hemisphere(surface.normal, pattern.pair(n + 1));
        light.around += arriving(scene, from, way, aside) / RAYS as f32;
    }
    light
}

/// What comes along a ray from the other side.
fn arriving(scene: &Scene, from: Vec3, way: Vec3, aside: (f32, f32)) -> Vec3 {
    let Some(hit) = scene.hit(from, way, REACH_UNITS) else { return sky::ambient(way) };
    let at = from + way * hit.along + hit.normal * LIFT_UNITS;
    let mut light = REMAINDER * (hit.along / REMAINDER_UNITS).min(1.0);
    let sun = sky::sun_way();
    let facing = hit.normal.dot(sun);
    if facing > 0.0 && scene.hit(at, sun, f32::INFINITY).is_none() {
        light += sky::sun_light() * facing;
    }
    for lamp in scene.list(hit.list) {
        if let Some((colour, _, facing)) = lamp_light(lamp, at, hit.normal)
            && scene.is_free(at, lamp.at + ball(aside) * LAMP_UNITS)
        {
            light += colour * facing;
        }
    }
    light * hit.bounce
}

/// A lamp's light at a place, the way to it, and how much the surface faces it.
fn lamp_light(lamp: &Lamp, at: Vec3, normal: Vec3) -> Option<(Vec3, Vec3, f32)> {
    let way = lamp.at - at;
    let far = way.length();
    let way = way / far.max(1e-3);
    let facing = normal.dot(way);
    if far >= lamp.radius || facing <= 0.0 {
        return None;
    }
    let window = 1.0 - (far / lamp.radius).powi(4);
    let near = far / LAMP_HALF_UNITS;
    let strength = LAMP_STRENGTH * window * window / (1.0 + near * near);
    (strength * facing > FAINTEST).then(|| (lamp.light() * strength, way, facing))
}

/// A way around a normal, likelier the nearer to it.
fn hemisphere(normal: Vec3, (a, b): (f32, f32)) -> Vec3 {
    let (u, v) = normal.any_orthonormal_pair();
    let (sin, cos) = (TAU * a).sin_cos();
    let out = b.sqrt();
    (u * cos + v * sin) * out + normal * (1.0 - b).sqrt()
}

fn tilted(way: Vec3, (a, b): (f32, f32), half_angle: f32) -> Vec3 {
    let (u, v) = way.any_orthonormal_pair();
    let (sin, cos) = (TAU * a).sin_cos();
    (way + (u * cos + v * sin) * (b.sqrt() * half_angle)).normalize()
}

/// A place in the ball of radius 1.
fn ball((a, b): (f32, f32)) -> Vec3 {
    let (sin, cos) = (TAU * a).sin_cos();
    let y = 2.0 * b - 1.0;
    Vec3::new(cos, 0.0, sin) * (1.0 - y * y).sqrt() + Vec3::Y * y
}

/// A lamp that the eye sees, and how much of it.
#[derive(Debug, Clone, Copy)]
pub struct Glow {
    at: Vec3,
    colour: Vec3,
    radius: f32,
}

/// The lamps whose glow in the air the eye sees.
pub fn glows(scene: &Scene, eye: Vec3) -> Vec<Glow> {
    const TRIES: u32 = 16;
    let seen = |lamp: &Lamp| {
        let tries = (0..TRIES).filter(|n| {
            let to = lamp.at + ball(Pattern { first: *n }.pair(0)) * 2.0 * LAMP_UNITS;
            scene.is_free(eye, to)
        });
        tries.count() as f32 / TRIES as f32
    };
    let glow = |lamp: &Lamp| Glow {
        at: lamp.at,
        colour: sky::linear(lamp.colour) * seen(lamp),
        radius: lamp.radius,
    };
    scene.lamps.iter().map(glow).filter(|glow| glow.colour != Vec3::ZERO).collect()
}

impl Glow {
    /// What the air between the eye and what lies so far ahead throws back of it: the integral over the
    /// ray of one over the square of the distance.
    pub fn along(&self, eye: Vec3, way: Vec3, along: f32) -> Vec3 {
        const STRENGTH: f32 = 0.5;
        const CORE_UNITS: f32 = 3.0;
        let to = self.at - eye;
        let nearest = to.dot(way);
        let aside = (to.length_squared() - nearest * nearest).max(0.0).sqrt();
        if aside > self.radius {
            return Vec3::ZERO;
        }
        let window = (1.0 - aside / self.radius).powi(3);
        let h = aside + CORE_UNITS;
        let integral = (((along - nearest) / h).atan() + (nearest / h).atan()) / h;
        self.colour * (STRENGTH * window * integral.max(0.0))
    }
}
