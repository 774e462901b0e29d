//! Which leaves and faces are drawn: every chunk's tree front to back, without what the frustum or the
//! PVS leaves out.

use glam::Vec3;
use ninefold_world::{Child, LeafSet};

use super::ViewCounts;
use super::camera::{Camera, Corner};
use super::material;
use super::scene::{Scene, Slot, units};
use super::surface::{Material, Polygon, Surface};

/// What the walk found.
#[derive(Debug)]
pub struct Seen {
    /// Front to back within a chunk, near chunks first.
    pub polygons: Vec<Polygon>,
    pub counts: ViewCounts,
}

/// Walks all chunks of the ring.
pub fn walk(scene: &Scene, camera: &Camera) -> Seen {
    let mut walk = Walk {
        scene,
        camera,
        seen: Seen { polygons: Vec::new(), counts: ViewCounts::default() },
        unhidden: LeafSet::NONE,
        corners: Vec::new(),
        outline: Vec::new(),
    };
    let mut slots: Vec<&Slot> = scene.slots().collect();
    let distance = |slot: &&Slot| {
        let high = slot.corner + Vec3::new(1_024.0, 0.0, 1_024.0);
        let eye = camera.eye.with_y(0.0);
        eye.distance(eye.clamp(slot.corner, high))
    };
    slots.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    for slot in slots {
        walk.chunk(slot);
    }
    walk.seen
}

struct Walk<'s> {
    scene: &'s Scene,
    camera: &'s Camera,
    seen: Seen,
    /// The leaves of the chunk at hand that nothing hides from the eye.
    unhidden: LeafSet,
    corners: Vec<Vec3>,
    outline: Vec<Corner>,
}

impl Walk<'_> {
    fn chunk(&mut self, slot: &Slot) {
        self.seen.counts.leaves += slot.rooms.len();
        self.seen.counts.faces += slot.chunk.faces().len();
        let low = slot.rooms.iter().map(|room| room.low).fold(Vec3::INFINITY, Vec3::min);
        let high = slot.rooms.iter().map(|room| room.high).fold(Vec3::NEG_INFINITY, Vec3::max);
        if !self.camera.sees(low, high) {
            self.seen.counts.leaves_outside_frustum += slot.rooms.len();
            return;
        }
        self.unhidden = self.scene.unhidden(self.camera.eye, slot);
        // A child comes after its parent, so the walk ends.
        let mut ahead = vec![slot.root()];
        while let Some(child) = ahead.pop() {
            match child {
                Child::Solid => {}
                Child::Leaf(leaf) => self.leaf(slot, usize::from(leaf)),
                Child::Node(index) => {
                    let branch = slot.branch(index);
                    let is_in_front = self.camera.eye[branch.axis] >= branch.at;
                    let (near, far) = match is_in_front {
                        true => (branch.front, branch.back),
                        false => (branch.back, branch.front),
                    };
                    ahead.extend([far, near]);
                }
            }
        }
        for (prop, list) in slot.props.iter().zip(&slot.prop_lists) {
            let (low, high) = prop.bounds();
            if self.camera.sees(low, high) {
                let is_sky = slot.room_at((low + high) / 2.0).is_some_and(|room| room.is_sky);
                for (surface, corners) in prop.sides(*list, is_sky) {
                    self.corners.clear();
                    self.corners.extend(corners);
                    self.draw(surface);
                }
            }
        }
    }

    fn leaf(&mut self, slot: &Slot, leaf: usize) {
        let room = &slot.rooms[leaf];
        if !self.camera.sees(room.low, room.high) {
            self.seen.counts.leaves_outside_frustum += 1;
        } else if !self.unhidden.contains(leaf) {
            self.seen.counts.leaves_hidden_by_pvs += 1;
        } else {
            self.seen.counts.leaves_drawn += 1;
            let leaf = slot.chunk.leaves()[leaf];
            let first = usize::from(leaf.first_face);
            for face in first..first + usize::from(leaf.faces) {
                let face = &slot.chunk.faces()[face];
                let corner = |v: &u16| slot.corner + units(slot.chunk.vertices()[usize::from(*v)]);
                self.corners.clear();
                self.corners.extend(face.vertices.iter().map(corner));
                let plane = slot.chunk.planes()[usize::from(face.plane)];
                let material = Material::Numbered(face.material);
                let axis = plane.axis as usize;
                let surface = self.surface(axis, plane.faces_back, material, room.list, room.is_sky);
                let is_drawn = self.draw(surface);
                self.seen.counts.faces_drawn += usize::from(is_drawn);
            }
        }
    }

    /// The surface of a face with these corners.
    fn surface(
        &self,
        axis: usize,
        faces_back: bool,
        material: Material,
        lights: u32,
        is_sky: bool,
    ) -> Surface {
        let at = self.corners[0][axis];
        let mut normal = Vec3::ZERO;
        normal[axis] = if faces_back { -1.0 } else { 1.0 };
        let [cx, cz] = self.scene.base;
        let (u, v, base) = match axis {
            0 => (Vec3::Z, Vec3::Y, [cz, 0]),
            1 => (Vec3::X, Vec3::Z, [cx, cz]),
            _ => (Vec3::X, Vec3::Y, [cx, 0]),
        };
        // The plane's number in the world: parallel walls do not look alike.
        let fixed = (at * 8.0).round() as i32 as u32;
        let salt = match axis {
            0 => cx.wrapping_mul(8_192).wrapping_add(fixed) ^ 0x1000_0000,
            1 => 0,
            _ => cz.wrapping_mul(8_192).wrapping_add(fixed) ^ 0x2000_0000,
        };
        let plane = (fixed << 3) ^ (axis as u32) << 1 ^ u32::from(faces_back);
        let distance = normal[axis] * at;
        let turf = if axis != 1 && is_sky { self.turf(normal) } else { None };
        Surface {
            normal,
            distance,
            material,
            origin: Vec3::ZERO,
            u,
            v,
            base,
            salt,
            lights,
            is_sky,
            turf,
            plane,
        }
    }

    /// How high the grass on top of a wall with these corners is, if there is any.
    fn turf(&self, normal: Vec3) -> Option<f32> {
        let top = self.corners.iter().map(|corner| corner.y).fold(f32::NEG_INFINITY, f32::max);
        let middle = self.corners.iter().sum::<Vec3>() / self.corners.len() as f32;
        let above = self.scene.room_at((middle - normal).with_y(top + 1.0))?;
        (above.floor == material::GRASS).then_some(top)
    }

    /// Puts a surface with the outline in `corners` on the picture; says whether any of it may be there.
    fn draw(&mut self, surface: Surface) -> bool {
        if surface.normal.dot(self.camera.eye) <= surface.distance {
            return false;
        }
        self.camera.project(&self.corners, &mut self.outline);
        let extent = |axis: usize| {
            let along = self.outline.iter().map(|corner| corner[axis]);
            (along.clone().fold(f32::INFINITY, f32::min), along.fold(f32::NEG_INFINITY, f32::max))
        };
        let ((left, right), (top, bottom)) = (extent(0), extent(1));
        let is_in =
            right > 0.0 && bottom > 0.0 && left < self.camera.width as f32 && top < self.camera.height as f32;
        if is_in {
            self.seen.polygons.push(Polygon { surface, corners: self.outline.clone() });
        }
        is_in
    }
}
