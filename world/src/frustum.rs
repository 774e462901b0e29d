//! What a camera can see, as planes through the eye.
//!
//! For culling alone, on the client: nothing here is part of a chunk, and the last bit of an angle may
//! differ between machines.

/// A camera's view: the four planes that bound it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frustum {
    /// Where it looks.
    pub forward: [f64; 3],
    /// What is to the right in the picture.
    pub right: [f64; 3],
    /// What is above in the picture.
    pub up: [f64; 3],
    /// Inward normals of the left, right, lower and upper plane.
    normals: [[f64; 3]; 4],
}

impl Frustum {
    /// The view of a camera. Yaw 0 looks east, 90 south; a positive pitch looks up. `fov_degrees` is the
    /// angle from the left to the right edge of the picture, `aspect` its width over its height.
    pub fn new(yaw_degrees: f64, pitch_degrees: f64, fov_degrees: f64, aspect: f64) -> Frustum {
        let (yaw, pitch) = (yaw_degrees.to_radians(), pitch_degrees.to_radians());
        let forward = [yaw.cos() * pitch.cos(), pitch.sin(), yaw.sin() * pitch.cos()];
        let right = [-yaw.sin(), 0.0, yaw.cos()];
        let up = [-yaw.cos() * pitch.sin(), pitch.cos(), -yaw.sin() * pitch.sin()];
        let across = (fov_degrees.to_radians() / 2.0).tan();
        let high = across / aspect;
        let normal = |towards: [f64; 3], sign: f64, slope: f64| {
            [0, 1, 2].map(|i| forward[i] * slope + sign * towards[i])
        };
        let normals = [
            normal(right, 1.0, across),
            normal(right, -1.0, across),
            normal(up, 1.0, high),
            normal(up, -1.0, high),
        ];
        Frustum { forward, right, up, normals }
    }

    /// Whether part of a box may be in view; its corners are relative to the eye.
    pub fn sees(&self, min: [f64; 3], max: [f64; 3]) -> bool {
        self.normals.iter().all(|normal| {
            let farthest = |axis: usize| if normal[axis] > 0.0 { max[axis] } else { min[axis] };
            (0..3).map(|axis| normal[axis] * farthest(axis)).sum::<f64>() >= 0.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_sees_what_is_before_it() {
        let around = |x: f64, y: f64, z: f64| ([x - 1.0, y - 1.0, z - 1.0], [x + 1.0, y + 1.0, z + 1.0]);
        for (yaw, ahead) in [(0.0, (100.0, 0.0)), (90.0, (0.0, 100.0)), (180.0, (-100.0, 0.0))] {
            let frustum = Frustum::new(yaw, 0.0, 90.0, 16.0 / 9.0);
            let sees = |x, y, z| frustum.sees(around(x, y, z).0, around(x, y, z).1);
            assert!(sees(ahead.0, 0.0, ahead.1) && !sees(-ahead.0, 0.0, -ahead.1), "{yaw}");
            assert!(!sees(ahead.0, 90.0, ahead.1) && !sees(ahead.0, -90.0, ahead.1), "{yaw}");
        }
        let (min, max) = around(10.0, 60.0, 0.0);
        assert!(Frustum::new(0.0, 80.0, 90.0, 1.0).sees(min, max));
        assert!(Frustum::new(0.0, 0.0, 90.0, 1.0).sees([-5.0; 3], [5.0; 3]), "the eye is in the box");
    }
}
