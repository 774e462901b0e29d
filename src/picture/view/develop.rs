//! From surfaces to pixels, a band of rows at a time: light, its smoothing, colour, tone, gamma.

use std::ops::Range;

use glam::Vec3;

use super::SAMPLES;
use super::camera::Camera;
use super::light::{self, Glow, Light, TILE};
use super::raster::{NOTHING, Samples};
use super::scene::Scene;
use super::shade;
use super::surface::Polygon;

/// Light is smoothed over so many samples to each side: a tile of the pattern of rays.
const REACH: usize = TILE / 2;
/// Brighter or darker as a whole.
const EXPOSURE: f32 = 0.80;

/// The pixels of these rows of the picture.
pub fn band(
    scene: &Scene,
    camera: &Camera,
    polygons: &[Polygon],
    glows: &[Glow],
    rows: Range<usize>,
) -> Vec<[u8; 3]> {
    let first = (rows.start * SAMPLES).saturating_sub(REACH);
    let last = (rows.end * SAMPLES + REACH).min(camera.height);
    let samples = Samples::fill(camera, polygons, first..last);
    let light = gather(scene, camera, polygons, &samples);
    let light = smooth(polygons, &samples, light);
    let eye_is_open = scene.is_open_at(camera.eye);
    let mut pixels = Vec::with_capacity(rows.len() * camera.width / SAMPLES);
    for row in rows {
        for column in 0..camera.width / SAMPLES {
            let mut sum = Vec3::ZERO;
            for n in 0..SAMPLES * SAMPLES {
                let (x, y) = (column * SAMPLES + n % SAMPLES, row * SAMPLES + n / SAMPLES);
                let at = (y - first) * samples.width + x;
                let ray = camera.ray(x as f32 + 0.5, y as f32 + 0.5);
                let way = ray.normalize();
                let colour = match samples.polygons[at] {
                    NOTHING => shade::nothing(scene, camera, way, glows),
                    polygon => {
                        let surface = &polygons[polygon as usize].surface;
                        let along = surface.along(camera.eye, way);
                        shade::surface(camera, surface, &light[at], way, along, eye_is_open, glows)
                    }
                };
                sum += tone(colour * EXPOSURE);
            }
            pixels.push(bytes(sum / (SAMPLES * SAMPLES) as f32));
        }
    }
    pixels
}

/// The light on every sample.
fn gather(scene: &Scene, camera: &Camera, polygons: &[Polygon], samples: &Samples) -> Vec<Light> {
    let mut light = Vec::with_capacity(samples.polygons.len());
    for (n, polygon) in samples.polygons.iter().enumerate() {
        let (x, y) = (n % samples.width, samples.rows.start + n / samples.width);
        light.push(match *polygon {
            NOTHING => Light::default(),
            polygon => {
                let surface = &polygons[polygon as usize].surface;
                let ray = camera.ray(x as f32 + 0.5, y as f32 + 0.5);
                let at = camera.eye + ray * surface.along(camera.eye, ray);
                light::gather(scene, surface, at, x, y)
            }
        });
    }
    light
}

/// The mean over a tile around every sample, of the samples on its plane: along rows, then columns.
fn smooth(polygons: &[Polygon], samples: &Samples, light: Vec<Light>) -> Vec<Light> {
    let planes: Vec<u32> = (samples.polygons.iter())
        .map(|polygon| polygons.get(*polygon as usize).map_or(NOTHING, |p| p.surface.plane))
        .collect();
    let width = samples.width;
    let height = planes.len() / width;
    let along_rows = smooth_along(&planes, &light, width, |x, _| (x, width, 1));
    smooth_along(&planes, &along_rows, width, |_, y| (y, height, width))
}

/// `line` tells for a column and row the place along the line, the line's length, and the step.
fn smooth_along(
    planes: &[u32],
    light: &[Light],
    width: usize,
    line: impl Fn(usize, usize) -> (usize, usize, usize),
) -> Vec<Light> {
    let mut smoothed = Vec::with_capacity(light.len());
    for n in 0..light.len() {
        let (place, length, step) = line(n % width, n / width);
        let (low, high) = (REACH.min(place), REACH.min(length - 1 - place));
        let (mut sum, mut weights) = (Light::default(), 0.0);
        for at in (n - low * step..=n + high * step).step_by(step) {
            if planes[at] == planes[n] {
                let is_end = at.abs_diff(n) == REACH * step;
                let weight = if is_end { 0.5 } else { 1.0 };
                sum = sum.plus(&light[at], weight);
                weights += weight;
            }
        }
        smoothed.push(Light::default().plus(&sum, 1.0 / weights));
    }
    smoothed
}

/// Light of any strength into 0 to 1, as film does (Narkowicz's fit of the ACES curve).
fn tone(light: Vec3) -> Vec3 {
    let over = light * (light * 2.51 + 0.03);
    let under = light * (light * 2.43 + 0.59) + 0.14;
    (over / under).clamp(Vec3::ZERO, Vec3::ONE)
}

/// Linear light as sRGB.
fn bytes(light: Vec3) -> [u8; 3] {
    let encode = |l: f32| if l <= 0.003_130_8 { 12.92 * l } else { 1.055 * l.powf(1.0 / 2.4) - 0.055 };
    light.to_array().map(|l| (encode(l) * 255.0).round().clamp(0.0, 255.0) as u8)
}
