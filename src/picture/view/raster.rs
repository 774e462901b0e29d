//! Which surface lies at which sample: polygons filled row by row, the nearest one wins.
//!
//! Depth is not carried from corner to corner but follows from the surface's plane, so that it is the
//! same for all polygons of a plane. A polygon is filled a little beyond its outline: where a corner of
//! one lies on the side of another, no sample falls between them.

use std::ops::Range;

use super::camera::Camera;
use super::surface::Polygon;

/// How far beyond its outline a polygon is filled, in samples.
const MARGIN: f32 = 0.03;
/// No polygon.
pub const NOTHING: u32 = u32::MAX;

/// The polygon at each sample of some rows.
#[derive(Debug)]
pub struct Samples {
    /// Rows of samples, counted from the top of the picture.
    pub rows: Range<usize>,
    pub width: usize,
    /// Row by row: an index into the polygons, or [`NOTHING`].
    pub polygons: Vec<u32>,
}

impl Samples {
    /// Fills all polygons into these rows.
    pub fn fill(camera: &Camera, polygons: &[Polygon], rows: Range<usize>) -> Self {
        let count = rows.len() * camera.width;
        let mut samples = Samples { rows, width: camera.width, polygons: vec![NOTHING; count] };
        let mut nearness = vec![0.0_f32; count];
        for (index, polygon) in polygons.iter().enumerate() {
            samples.fill_one(camera, polygon, index as u32, &mut nearness);
        }
        samples
    }

    fn fill_one(&mut self, camera: &Camera, polygon: &Polygon, index: u32, nearness: &mut [f32]) {
        let ys = polygon.corners.iter().map(|corner| corner[1]);
        let top = ys.clone().fold(f32::INFINITY, f32::min);
        let bottom = ys.fold(f32::NEG_INFINITY, f32::max);
        let first = ((top - MARGIN - 0.5).ceil().max(0.0) as usize).max(self.rows.start);
        let last = ((bottom + MARGIN + 0.5).floor().max(0.0) as usize).min(self.rows.end);
        // One over the depth is linear on the picture.
        let surface = &polygon.surface;
        let scale = 1.0 / (surface.distance - surface.normal.dot(camera.eye));
        let near = |x: f32, y: f32| surface.normal.dot(camera.ray(x, y)) * scale;
        for row in first..last {
            let y = row as f32 + 0.5;
            let Some((left, right)) = span(&polygon.corners, y.clamp(top, bottom)) else { continue };
            let from = (left - MARGIN - 0.5).ceil().clamp(0.0, self.width as f32) as usize;
            let to = (right + MARGIN + 0.5).floor().clamp(0.0, self.width as f32) as usize;
            let start = (row - self.rows.start) * self.width;
            let (base, step) = (near(0.5, y), near(1.5, y) - near(0.5, y));
            for x in from..to {
                let near = base + step * x as f32;
                if near > nearness[start + x] {
                    nearness[start + x] = near;
                    self.polygons[start + x] = index;
                }
            }
        }
    }
}

/// From where to where a convex outline covers a row.
fn span(corners: &[[f32; 2]], y: f32) -> Option<(f32, f32)> {
    let (mut left, mut right) = (f32::INFINITY, f32::NEG_INFINITY);
    for (n, a) in corners.iter().enumerate() {
        let b = corners[(n + 1) % corners.len()];
        let (low, high) = (a[1].min(b[1]), a[1].max(b[1]));
        if y < low || y > high {
            continue;
        }
        let share = if high > low { (y - a[1]) / (b[1] - a[1]) } else { 0.0 };
        let x = a[0] + (b[0] - a[0]) * share;
        let (x_low, x_high) = if high > low { (x, x) } else { (a[0].min(b[0]), a[0].max(b[0])) };
        (left, right) = (left.min(x_low), right.max(x_high));
    }
    (left <= right).then_some((left, right))
}
