//! Where the eye is and what it can see: rays through samples, the frustum.
//!
//! All places are in units from the corner of the chunk under the eye, so that they are as exact a
//! million kilometres out as at the origin.

use glam::Vec3;
use ninefold_world::ChunkCoord;

use super::{SAMPLES, ViewOptions};

/// Nothing nearer than this is drawn, in units.
const NEAR_UNITS: f32 = 0.5;

/// An eye.
#[derive(Debug, Clone)]
pub struct Camera {
    pub eye: Vec3,
    pub forward: Vec3,
    /// Half the picture's width and height at distance 1.
    right: Vec3,
    up: Vec3,
    /// Samples along a row and a column of the picture.
    pub width: usize,
    pub height: usize,
    /// Planes that all look inward: `normal . (at - eye) >= 0` inside.
    inward: [Vec3; 4],
}

/// A corner of a polygon on the picture, in samples from its left upper corner.
pub type Corner = [f32; 2];

impl Camera {
    pub fn new(options: ViewOptions, centre: ChunkCoord, eye_y: f64) -> Self {
        let (x0, z0) = centre.origin();
        let eye = Vec3::new((options.x - x0) as f32, eye_y as f32, (options.z - z0) as f32);
        let (yaw, pitch) = (options.yaw_degrees.to_radians(), options.pitch_degrees.to_radians());
        let forward = Vec3::new(yaw.sin() * pitch.cos(), pitch.sin(), -yaw.cos() * pitch.cos());
        let sideways = Vec3::new(yaw.cos(), 0.0, yaw.sin());
        let half_width = (options.fov_degrees.to_radians() / 2.0).tan();
        let half_height = half_width * options.height as f32 / options.width as f32;
        let right = sideways * half_width;
        let up = sideways.cross(forward) * half_height;
        let inward = [
            (forward + right).cross(up),
            up.cross(forward - right),
            right.cross(forward + up),
            (forward - up).cross(right),
        ];
        let inward = inward.map(|normal| normal.normalize() * normal.dot(forward).signum());
        let (width, height) = (options.width as usize * SAMPLES, options.height as usize * SAMPLES);
        Camera { eye, forward, right, up, width, height, inward }
    }

    /// The ray through a place of the picture, in samples; its part along `forward` is 1.
    pub fn ray(&self, x: f32, y: f32) -> Vec3 {
        let across = 2.0 * x / self.width as f32 - 1.0;
        let down = 2.0 * y / self.height as f32 - 1.0;
        self.forward + self.right * across - self.up * down
    }

    /// The width of a sample at distance 1.
    pub fn sample_width(&self) -> f32 {
        2.0 * self.right.length() / self.width as f32
    }

    /// Whether any of a box may be in the picture.
    pub fn sees(&self, low: Vec3, high: Vec3) -> bool {
        let is_inside = |normal: Vec3| {
            let farthest = Vec3::select(normal.cmpge(Vec3::ZERO), high, low);
            normal.dot(farthest - self.eye) >= 0.0
        };
        let is_ahead = is_inside(self.forward);
        is_ahead && self.inward.into_iter().all(is_inside)
    }

    /// Puts a polygon's corners on the picture, cut off at the near plane; they may lie outside it.
    pub fn project(&self, corners: &[Vec3], onto: &mut Vec<Corner>) {
        onto.clear();
        let depth = |at: Vec3| (at - self.eye).dot(self.forward);
        for (n, corner) in corners.iter().enumerate() {
            let next = corners[(n + 1) % corners.len()];
            let (here, there) = (depth(*corner), depth(next));
            if here >= NEAR_UNITS {
                onto.push(self.place(*corner));
            }
            if (here >= NEAR_UNITS) != (there >= NEAR_UNITS) {
                let share = (NEAR_UNITS - here) / (there - here);
                onto.push(self.place(*corner + (next - *corner) * share));
            }
        }
    }

    fn place(&self, at: Vec3) -> Corner {
        let way = at - self.eye;
        let depth = way.dot(self.forward).max(NEAR_UNITS * 0.5);
        let along = |axis: Vec3| way.dot(axis) / (axis.length_squared() * depth);
        let (across, up) = (along(self.right), along(self.up));
        [(across + 1.0) * 0.5 * self.width as f32, (1.0 - up) * 0.5 * self.height as f32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::view::EYE_UNITS;

    fn camera(yaw_degrees: f32, pitch_degrees: f32) -> Camera {
        let options = ViewOptions {
            x: -1_000.0,
            z: 5_000.0,
            yaw_degrees,
            pitch_degrees,
            eye_units: EYE_UNITS,
            fov_degrees: 90.0,
            width: 160,
            height: 90,
            doors_are_open: false,
        };
        Camera::new(options, ChunkCoord::new(-1, 4), 60.0)
    }

    #[test]
    fn yaw_is_the_compass_and_pitch_goes_up() {
        let close = |a: Vec3, b: Vec3| assert!(a.distance(b) < 1e-6, "{a} {b}");
        close(camera(0.0, 0.0).forward, Vec3::NEG_Z);
        close(camera(90.0, 0.0).forward, Vec3::X);
        close(camera(180.0, 0.0).forward, Vec3::Z);
        close(camera(33.0, 90.0).forward, Vec3::Y);
        assert_eq!(camera(0.0, 0.0).eye, Vec3::new(24.0, 60.0, 904.0));
        // The right half of the picture is what lies to the right.
        assert!(camera(0.0, 0.0).ray(300.0, 90.0).x > 0.0);
        assert!(camera(0.0, 0.0).ray(160.0, 0.0).y > 0.0);
    }

    #[test]
    fn a_projected_place_is_where_its_ray_goes_through() {
        let camera = camera(40.0, -12.0);
        for (x, y) in [(3.5, 7.5), (160.0, 90.0), (319.0, 20.0)] {
            let at = camera.eye + camera.ray(x, y) * 77.0;
            let mut onto = Vec::new();
            camera.project(&[at, at, at], &mut onto);
            assert!((onto[0][0] - x).abs() < 1e-2 && (onto[0][1] - y).abs() < 1e-2, "{onto:?}");
        }
    }

    #[test]
    fn the_frustum_holds_what_is_ahead_and_nothing_behind_or_beside() {
        let camera = camera(90.0, 0.0);
        let sees = |x: f32, z: f32| {
            let at = camera.eye + Vec3::new(x, 0.0, z);
            camera.sees(at - Vec3::splat(5.0), at + Vec3::splat(5.0))
        };
        assert!(sees(100.0, 0.0) && sees(100.0, 90.0) && sees(100.0, -90.0));
        assert!(!sees(-100.0, 0.0) && !sees(100.0, 130.0) && !sees(100.0, -130.0));
    }
}
