//! From surfaces to pixels, a band of rows at a time: light, its smoothing, colour, tone, gamma.

use std::ops::Range;

use glam::Vec3;

use super::SAMPLES;
use super::camera::Camera;
use super::light::{self, Light, TILE};
use super::raster::{NOTHING, Samples};
use super::scene::Scene;
use super::shade::Shading;
use super::surface::Polygon;

/// Light is smoothed over so many samples to each side: a tile of the pattern of rays.
const REACH: usize = TILE / 2;
/// The mean brightness to which a picture is exposed, and how far it is made darker or brighter for it.
const MIDDLE: f32 = 0.10;
const EXPOSURES: (f32, f32) = (0.66, 5.0);
/// Rows and columns of samples from which the mean is taken.
const METER: (usize, usize) = (18, 32);

/// What all bands of a picture share.
#[derive(Debug)]
pub struct Shot<'s> {
    shading: Shading<'s>,
    polygons: &'s [Polygon],
    exposure: f32,
}

impl<'s> Shot<'s> {
    /// Measures how bright the picture will be.
    pub fn new(scene: &'s Scene, camera: &'s Camera, polygons: &'s [Polygon]) -> Self {
        let glows = light::glows(scene, camera.eye);
        let eye_is_open = scene.is_open_at(camera.eye);
        let shading = Shading { scene, camera, glows, eye_is_open };
        let mut shot = Shot { shading, polygons, exposure: 1.0 };
        let mut sum = 0.0;
        for row in 0..METER.0 {
            let y = camera.height * (2 * row + 1) / (2 * METER.0);
            let samples = Samples::fill(camera, polygons, y..y + 1);
            for column in 0..METER.1 {
                let x = camera.width * (2 * column + 1) / (2 * METER.1);
                let light = shot.gather(&samples, x);
                let colour = shot.colour(samples.polygons[x], &light, x, y);
                sum += (colour.element_sum() / 3.0 + 1e-4).ln();
            }
        }
        let mean = (sum / (METER.0 * METER.1) as f32).exp();
        shot.exposure = (MIDDLE / mean).clamp(EXPOSURES.0, EXPOSURES.1);
        shot
    }

    /// The light on a sample, counted from the first of its rows.
    fn gather(&self, samples: &Samples, n: usize) -> Light {
        let (x, y) = (n % samples.width, samples.rows.start + n / samples.width);
        let Some(polygon) = self.polygons.get(samples.polygons[n] as usize) else { return Light::default() };
        let camera = self.shading.camera;
        let ray = camera.ray(x as f32 + 0.5, y as f32 + 0.5);
        let at = camera.eye + ray * polygon.surface.along(camera.eye, ray);
        light::gather(self.shading.scene, &polygon.surface, at, x, y)
    }

    /// The colour of a sample.
    fn colour(&self, polygon: u32, light: &Light, x: usize, y: usize) -> Vec3 {
        let camera = self.shading.camera;
        let way = camera.ray(x as f32 + 0.5, y as f32 + 0.5).normalize();
        match self.polygons.get(polygon as usize) {
            None => self.shading.nothing(way),
            Some(Polygon { surface, .. }) => {
                self.shading.surface(surface, light, way, surface.along(camera.eye, way))
            }
        }
    }
}

/// The pixels of these rows of the picture.
pub fn band(shot: &Shot<'_>, rows: Range<usize>) -> Vec<[u8; 3]> {
    let camera = shot.shading.camera;
    let first = (rows.start * SAMPLES).saturating_sub(REACH);
    let last = (rows.end * SAMPLES + REACH).min(camera.height);
    let samples = Samples::fill(camera, shot.polygons, first..last);
    let light = (0..samples.polygons.len()).map(|n| shot.gather(&samples, n)).collect();
    let light = smooth(shot.polygons, &samples, light);
    let mut pixels = Vec::with_capacity(rows.len() * camera.width / SAMPLES);
    for row in rows {
        for column in 0..camera.width / SAMPLES {
            let mut sum = Vec3::ZERO;
            for n in 0..SAMPLES * SAMPLES {
                let (x, y) = (column * SAMPLES + n % SAMPLES, row * SAMPLES + n / SAMPLES);
                let at = (y - first) * samples.width + x;
                let colour = shot.colour(samples.polygons[at], &light[at], x, y);
                sum += tone(colour * shot.exposure);
            }
            pixels.push(bytes(sum / (SAMPLES * SAMPLES) as f32));
        }
    }
    pixels
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
