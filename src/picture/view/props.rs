//! Boxes that stand in the air of chunks: doors with their frames, and lamps where lights are.

use glam::Vec3;
use ninefold_world::{Axis, CELL_UNITS, DOOR_THICKNESS_FIXED, Door, FIXED_PER_UNIT, Hinge};

use super::surface::{Material, Surface};

/// A post or beam of a door's frame: how wide, and how far it stands out of the leaf.
const FRAME_UNITS: f32 = 5.0;
const FRAME_OUT_UNITS: f32 = 2.5;
/// A lamp's glass.
const GLASS_UNITS: Vec3 = Vec3::new(5.0, 7.0, 5.0);
/// The plates below and above it.
const PLATE_UNITS: Vec3 = Vec3::new(7.0, 1.2, 7.0);
const CHAIN_UNITS: f32 = 0.9;
/// A longer chain is not drawn.
const CHAIN_UNITS_MAX: f32 = 96.0;

/// A box, turned about the upright.
#[derive(Debug, Clone, Copy)]
pub struct Prop {
    /// Its corner where all three ways begin.
    pub corner: Vec3,
    /// Its first way, level and of length 1; the second is up, the third is level.
    pub u: Vec3,
    /// Its extent along the three ways.
    pub size: Vec3,
    pub material: Material,
    /// Whether light stops at it.
    pub is_solid: bool,
}

impl Prop {
    fn w(&self) -> Vec3 {
        Vec3::new(-self.u.z, 0.0, self.u.x)
    }

    /// Low and high corner of the upright box around it.
    pub fn bounds(&self) -> (Vec3, Vec3) {
        let (u, w) = (self.u * self.size.x, self.w() * self.size.z);
        let low = u.min(Vec3::ZERO) + w.min(Vec3::ZERO);
        let high = u.max(Vec3::ZERO) + w.max(Vec3::ZERO) + Vec3::Y * self.size.y;
        (self.corner + low, self.corner + high)
    }

    /// Where a ray enters it, if it does before `reach`.
    pub fn hit(&self, from: Vec3, way: Vec3, reach: f32) -> Option<f32> {
        let turned = |v: Vec3| Vec3::new(v.dot(self.u), v.y, v.dot(self.w()));
        let (from, way) = (turned(from - self.corner), turned(way));
        let low = (Vec3::ZERO - from) / way;
        let high = (self.size - from) / way;
        let enter = low.min(high).max_element();
        let leave = low.max(high).min_element();
        (enter <= leave && enter > 0.0 && enter < reach).then_some(enter)
    }

    /// Its six sides, each with its corners.
    pub fn sides(&self, lights: u32, is_sky: bool) -> impl Iterator<Item = (Surface, [Vec3; 4])> {
        let ways = [self.u, Vec3::Y, self.w()];
        let prop = *self;
        (0..6).map(move |n| {
            let (across, is_high) = (n / 2, n % 2 == 1);
            // The texture's second way is up on upright sides.
            let (first, second) = [(2, 1), (0, 2), (0, 1)][across];
            let size = prop.size.to_array();
            let base = prop.corner + if is_high { ways[across] * size[across] } else { Vec3::ZERO };
            let (u, v) = (ways[first] * size[first], ways[second] * size[second]);
            let normal = if is_high { ways[across] } else { -ways[across] };
            let surface = Surface {
                normal,
                distance: normal.dot(base),
                material: prop.material,
                origin: prop.corner,
                u: ways[first],
                v: ways[second],
                base: [0, 0],
                salt: across as u32,
                lights,
                is_sky,
                turf: None,
                plane: u32::MAX - n as u32,
            };
            (surface, [base, base + u, base + u + v, base + v])
        })
    }
}

/// A door of the chunk with this corner: its leaf, closed or open, and its frame.
pub fn door(door: &Door, corner: Vec3, is_open: bool) -> [Prop; 4] {
    let units = |fixed: i16| f32::from(fixed) / FIXED_PER_UNIT as f32;
    let (low, high) = door.solid_box();
    let [low, high] = [low, high].map(|c| corner + Vec3::from_array(c.map(units)));
    let along = if door.axis == Axis::X { Vec3::Z } else { Vec3::X };
    let middle = (low + high) / 2.0;
    let length = CELL_UNITS as f32;
    let (thick, height) = (units(DOOR_THICKNESS_FIXED), high.y - low.y);
    let upright = |along_from: f32, size: Vec3, bottom: f32, u: Vec3, material: Material| {
        let start = Vec3::new(middle.x, bottom, middle.z) + along * along_from;
        let w = Vec3::new(-u.z, 0.0, u.x);
        Prop { corner: start - w * size.z / 2.0, u, size, material, is_solid: true }
    };
    let (hinge, way) = match door.hinge {
        Hinge::Low => (-length / 2.0, along),
        Hinge::High => (length / 2.0, -along),
    };
    let angle = if is_open { f32::from(door.open_degrees).to_radians() } else { 0.0 };
    let (sin, cos) = angle.sin_cos();
    let way = Vec3::new(way.x * cos - way.z * sin, 0.0, way.x * sin + way.z * cos);
    let deep = thick + 2.0 * FRAME_OUT_UNITS;
    let post = Vec3::new(FRAME_UNITS, height, deep);
    let beam = Vec3::new(length, FRAME_UNITS, deep + 0.5);
    [
        upright(hinge, Vec3::new(length, height, thick), low.y, way, Material::Planks),
        upright(-length / 2.0, post, low.y, along, Material::Frame),
        upright(length / 2.0 - FRAME_UNITS, post, low.y, along, Material::Frame),
        upright(-length / 2.0, beam, high.y - FRAME_UNITS, along, Material::Frame),
    ]
}

/// A lamp around a light, on a chain from the ceiling if there is one.
pub fn lamp(at: Vec3, colour: [u8; 3], ceiling: Option<f32>) -> Vec<Prop> {
    let around = |middle: Vec3, size: Vec3, material: Material| Prop {
        corner: middle - size / 2.0,
        u: Vec3::X,
        size,
        material,
        is_solid: false,
    };
    let plate = Vec3::Y * (GLASS_UNITS.y + PLATE_UNITS.y) / 2.0;
    let mut props = vec![
        around(at, GLASS_UNITS, Material::Glass(colour)),
        around(at + plate, PLATE_UNITS, Material::Iron),
        around(at - plate, PLATE_UNITS, Material::Iron),
    ];
    let top = at.y + plate.y;
    let chain = ceiling.map_or(0.0, |ceiling| ceiling - top);
    if chain > 0.0 && chain <= CHAIN_UNITS_MAX {
        let middle = Vec3::new(at.x, top + chain / 2.0, at.z);
        props.push(around(middle, Vec3::new(CHAIN_UNITS, chain, CHAIN_UNITS), Material::Iron));
    }
    props
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_door(axis: Axis, hinge: Hinge) -> Door {
        Door { x: 3, z: 5, axis, hinge, open_degrees: 90, bottom: 0, top: 640 }
    }

    #[test]
    fn a_closed_door_stops_a_ray_and_an_open_one_lets_it_by() {
        let stops = |axis, hinge, is_open, from: Vec3, way: Vec3| {
            let props = door(&a_door(axis, hinge), Vec3::ZERO, is_open);
            props.iter().any(|prop| prop.hit(from, way, 60.0).is_some())
        };
        // Across x the door stands at 4 * 64, along z from 5 * 64 on; across z at 6 * 64, along x.
        for hinge in [Hinge::Low, Hinge::High] {
            for is_open in [false, true] {
                let from = Vec3::new(256.0 - 30.0, 40.0, 352.0);
                assert_eq!(stops(Axis::X, hinge, is_open, from, Vec3::X), !is_open, "{hinge:?}");
                let from = Vec3::new(224.0, 40.0, 384.0 - 30.0);
                assert_eq!(stops(Axis::Z, hinge, is_open, from, Vec3::Z), !is_open, "{hinge:?}");
            }
        }
    }

    #[test]
    fn sides_look_outward_and_hold_their_corners() {
        for prop in door(&a_door(Axis::Z, Hinge::High), Vec3::new(-1_024.0, 0.0, 1_024.0), true) {
            let (low, high) = prop.bounds();
            let middle = (low + high) / 2.0;
            for (surface, corners) in prop.sides(0, false) {
                for corner in corners {
                    assert!((surface.normal.dot(corner) - surface.distance).abs() < 1e-2);
                    assert!(surface.normal.dot(corner - middle) > 0.0);
                }
            }
        }
    }
}
