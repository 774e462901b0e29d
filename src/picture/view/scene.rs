//! The ring as the renderer holds it: up to nine chunks side by side, their doors and lamps, and what a
//! ray through them meets.

use glam::Vec3;
use ninefold_world::{
    Axis, CELL_UNITS, CHUNK_HEIGHT_UNITS, CHUNK_UNITS, Child, Chunk, ChunkCoord, FIXED_PER_UNIT, LeafSet,
    Position, Ring, Topology,
};
use smallvec::SmallVec;

use super::material;
use super::props::{self, Prop};
use super::sky;
use super::surface::Material;

const CHUNK: f32 = CHUNK_UNITS as f32;
const HEIGHT: f32 = CHUNK_HEIGHT_UNITS as f32;
/// Rays are followed so far above the ring, in units: a ceiling as high as a chunk stops them too.
const OVER: f32 = 0.02;
/// Chunks that a ray can pass in the ring.
const PASSED_MAX: usize = 6;

/// The ring.
#[derive(Debug)]
pub struct Scene {
    /// By column and row, the one under the eye in the middle.
    slots: [Option<Slot>; 9],
    /// The coordinates of that one, folded.
    pub base: [u32; 2],
    pub lamps: Vec<Lamp>,
    /// Lists of lamps that may reach a leaf or a prop.
    pub lists: Vec<Vec<u16>>,
}

/// A chunk in its place.
#[derive(Debug)]
pub struct Slot {
    pub chunk: Chunk,
    /// Where it begins.
    pub corner: Vec3,
    branches: Vec<Branch>,
    pub rooms: Vec<Room>,
    pub props: Vec<Prop>,
    /// The list of lamps of each prop.
    pub prop_lists: Vec<u32>,
}

/// A node of the tree.
#[derive(Debug, Clone, Copy)]
pub struct Branch {
    pub axis: usize,
    pub at: f32,
    pub back: Child,
    pub front: Child,
}

/// A leaf.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub low: Vec3,
    pub high: Vec3,
    pub is_sky: bool,
    pub list: u32,
    /// What its floor is made of.
    pub floor: u8,
    /// What its floor, walls and ceiling throw back of light.
    bounce: [Vec3; 3],
}

/// A light.
#[derive(Debug, Clone, Copy)]
pub struct Lamp {
    pub at: Vec3,
    pub colour: [u8; 3],
    pub radius: f32,
}

impl Lamp {
    /// Its colour as light: paler than it is, as it looks to an eye that is used to it.
    pub fn light(&self) -> Vec3 {
        let colour = sky::linear(self.colour);
        colour.lerp(Vec3::splat(colour.max_element()), 0.38)
    }
}

/// What a ray met.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    pub along: f32,
    pub normal: Vec3,
    /// What is thrown back of light there.
    pub bounce: Vec3,
    /// The list of lamps there.
    pub list: u32,
}

impl Scene {
    pub fn new(chunks: Vec<Chunk>, centre: ChunkCoord, doors_are_open: bool) -> Self {
        let mut scene = Scene {
            slots: Default::default(),
            base: [centre.cx as u32, centre.cz as u32],
            lamps: Vec::new(),
            lists: vec![Vec::new()],
        };
        for chunk in chunks {
            if let Some((dx, dz)) = Topology::Plane.offset(centre, chunk.coord()) {
                let corner = Vec3::new(dx as f32 * CHUNK, 0.0, dz as f32 * CHUNK);
                scene.add_lamps(&chunk, corner);
                scene.slots[slot_index(dx, dz)] = Some(Slot::new(chunk, corner, doors_are_open));
            }
        }
        scene.share_lamps();
        scene
    }

    fn add_lamps(&mut self, chunk: &Chunk, corner: Vec3) {
        self.lamps.extend(chunk.lights().iter().map(|light| Lamp {
            at: corner + units([light.at.x, light.at.y, light.at.z]),
            colour: light.colour,
            radius: f32::from(light.radius_units),
        }));
    }

    /// Makes for every leaf and prop the list of lamps whose light may reach it.
    fn share_lamps(&mut self) {
        let Scene { slots, lamps, lists, .. } = self;
        let mut list = |low: Vec3, high: Vec3| {
            let reaches = |lamp: &Lamp| lamp.at.distance(lamp.at.clamp(low, high)) < lamp.radius;
            let found: Vec<u16> =
                (0..lamps.len() as u16).filter(|n| reaches(&lamps[usize::from(*n)])).collect();
            if found.is_empty() {
                return 0;
            }
            lists.push(found);
            (lists.len() - 1) as u32
        };
        for slot in slots.iter_mut().flatten() {
            for room in &mut slot.rooms {
                room.list = list(room.low, room.high);
            }
            for prop in &slot.props {
                let (low, high) = prop.bounds();
                slot.prop_lists.push(list(low, high));
            }
        }
    }

    /// The leaves of a chunk that nothing hides from an eye in the chunk in the middle.
    pub fn unhidden(&self, eye: Vec3, slot: &Slot) -> LeafSet {
        let Some(middle) = &self.slots[slot_index(0, 0)] else { return LeafSet::ALL };
        let at = |coord| self.slots().find(|slot| slot.chunk.coord() == coord).map(|slot| &slot.chunk);
        let (x0, z0) = middle.chunk.coord().origin();
        let eye = Position { x: x0 + f64::from(eye.x), y: f64::from(eye.y), z: z0 + f64::from(eye.z) };
        Ring::around(middle.chunk.coord(), at).unhidden(eye, slot.chunk.coord())
    }

    /// The chunks that there are.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().flatten()
    }

    /// The lamps of a list.
    pub fn list(&self, list: u32) -> impl Iterator<Item = &Lamp> {
        self.lists[list as usize].iter().map(|n| &self.lamps[usize::from(*n)])
    }

    /// The first thing that a ray meets before `reach`; `way` has length 1. A ray that rises above the
    /// ring or leaves it under the sky meets nothing; one that leaves it under a roof meets the dark.
    pub fn hit(&self, from: Vec3, way: Vec3, reach: f32) -> Option<Hit> {
        self.pass(from, way, reach, &mut |_, _, _| {})
    }

    /// How much of a ray lies under the sky, up to what it meets or `reach`.
    pub fn open_along(&self, from: Vec3, way: Vec3, reach: f32) -> f32 {
        let mut open = 0.0;
        self.pass(from, way, reach, &mut |room, start, end| {
            if room.is_sky {
                open += end - start;
            }
        });
        open
    }

    /// As [`Scene::hit`]; every leaf on the way is shown to `passed`, with where it is entered and left.
    fn pass(
        &self,
        from: Vec3,
        way: Vec3,
        reach: f32,
        passed: &mut impl FnMut(&Room, f32, f32),
    ) -> Option<Hit> {
        let above = if way.y > 0.0 { (HEIGHT + OVER - from.y) / way.y } else { f32::INFINITY };
        let reach = reach.min(above);
        let mut start = 0.0;
        let mut square = [0, 2].map(|axis| (from[axis] / CHUNK).floor());
        for _ in 0..PASSED_MAX {
            let mut end = reach;
            let mut next = None;
            for (n, axis) in [0, 2].into_iter().enumerate() {
                if way[axis] != 0.0 {
                    let edge = (square[n] + if way[axis] > 0.0 { 1.0 } else { 0.0 }) * CHUNK;
                    let along = ((edge - from[axis]) / way[axis]).max(start);
                    if along < end {
                        (end, next) = (along, Some(n));
                    }
                }
            }
            let Some(slot) = self.slot(square[0], square[1]) else {
                return self.is_roofed_at(from + way * (start - 0.1)).then_some(Hit {
                    along: start,
                    normal: -way,
                    bounce: Vec3::ZERO,
                    list: 0,
                });
            };
            if let Some(hit) = slot.hit(from, way, (start, end), passed) {
                return Some(hit);
            }
            let n = next?;
            square[n] += way[[0, 2][n]].signum();
            start = end;
        }
        None
    }

    /// Whether nothing is between two places.
    pub fn is_free(&self, from: Vec3, to: Vec3) -> bool {
        let way = to - from;
        let reach = way.length();
        self.hit(from, way / reach, reach - 0.05).is_none()
    }

    /// The leaf around a place.
    pub fn room_at(&self, at: Vec3) -> Option<&Room> {
        self.slot((at.x / CHUNK).floor(), (at.z / CHUNK).floor())?.room_at(at)
    }

    /// Whether a place is open to the sky.
    pub fn is_open_at(&self, at: Vec3) -> bool {
        self.room_at(at).is_some_and(|room| room.is_sky)
    }

    fn is_roofed_at(&self, at: Vec3) -> bool {
        self.room_at(at).is_some_and(|room| !room.is_sky)
    }

    fn slot(&self, column: f32, row: f32) -> Option<&Slot> {
        let is_near = column.abs() <= 1.0 && row.abs() <= 1.0;
        let index = is_near.then(|| slot_index(column as i32, row as i32))?;
        self.slots[index].as_ref()
    }
}

impl Slot {
    fn new(chunk: Chunk, corner: Vec3, doors_are_open: bool) -> Self {
        let branch = |node: &ninefold_world::Node| {
            let plane = chunk.planes()[usize::from(node.plane)];
            let axis = plane.axis as usize;
            let at = corner[axis] + f32::from(plane.distance) / FIXED_PER_UNIT as f32;
            Branch { axis, at, back: node.back, front: node.front }
        };
        let branches = chunk.nodes().iter().map(branch).collect();
        let rooms = (0..chunk.leaves().len()).map(|n| room(&chunk, n, corner)).collect();
        let mut slot = Slot { branches, rooms, corner, props: Vec::new(), prop_lists: Vec::new(), chunk };
        for door in slot.chunk.doors() {
            slot.props.extend(props::door(door, corner, doors_are_open));
        }
        for light in slot.chunk.lights() {
            let at = corner + units([light.at.x, light.at.y, light.at.z]);
            let room = slot.room_at(at).filter(|room| !room.is_sky);
            let ceiling = room.map(|room| room.high.y);
            slot.props.extend(props::lamp(at, light.colour, ceiling));
        }
        slot
    }

    /// The root of the tree.
    pub fn root(&self) -> Child {
        if self.branches.is_empty() { Child::Solid } else { Child::Node(0) }
    }

    /// A node.
    pub fn branch(&self, index: u16) -> Branch {
        self.branches[usize::from(index)]
    }

    /// The leaf around a place of the chunk.
    pub fn room_at(&self, at: Vec3) -> Option<&Room> {
        let mut child = self.root();
        loop {
            match child {
                Child::Solid => return None,
                Child::Leaf(leaf) => return self.rooms.get(usize::from(leaf)),
                Child::Node(index) => {
                    let branch = self.branch(index);
                    child = if at[branch.axis] < branch.at { branch.back } else { branch.front };
                }
            }
        }
    }

    /// What a ray meets in this chunk between two places along it.
    fn hit(
        &self,
        from: Vec3,
        way: Vec3,
        (start, end): (f32, f32),
        passed: &mut impl FnMut(&Room, f32, f32),
    ) -> Option<Hit> {
        let mut found = self.rock_hit(from, way, (start, end), passed);
        for prop in self.props.iter().filter(|prop| prop.is_solid) {
            let reach = found.map_or(end, |hit| hit.along);
            if let Some(along) = prop.hit(from, way, reach).filter(|along| *along >= start) {
                let list = self.room_at(from + way * along).map_or(0, |room| room.list);
                found = Some(Hit { along, normal: -way, bounce: material::bounce(prop.material), list });
            }
        }
        found
    }

    fn rock_hit(
        &self,
        from: Vec3,
        way: Vec3,
        (start, end): (f32, f32),
        passed: &mut impl FnMut(&Room, f32, f32),
    ) -> Option<Hit> {
        // Each entry: what lies there, from where to where along the ray, and the axis that it is entered by.
        let mut ahead: SmallVec<[(Child, f32, f32, usize); 32]> = SmallVec::new();
        let mut room = None;
        ahead.push((self.root(), start, end, 1));
        while let Some((mut child, t0, mut t1, mut axis)) = ahead.pop() {
            loop {
                match child {
                    Child::Leaf(leaf) => {
                        let leaf = &self.rooms[usize::from(leaf)];
                        passed(leaf, t0, t1);
                        room = Some(leaf);
                        break;
                    }
                    Child::Solid => return Some(rock(way, t0, axis, room)),
                    Child::Node(index) => {
                        let branch = self.branch(index);
                        let (o, d) = (from[branch.axis] - branch.at, way[branch.axis]);
                        let (first, last) = (o + d * t0, o + d * t1);
                        let (near, far) = if first < 0.0 {
                            (branch.back, branch.front)
                        } else {
                            (branch.front, branch.back)
                        };
                        if (first < 0.0) == (last < 0.0) {
                            child = near;
                            continue;
                        }
                        let cut = (-o / d).clamp(t0, t1);
                        if cut > t0 {
                            ahead.push((far, cut, t1, branch.axis));
                            (child, t1) = (near, cut);
                        } else {
                            (child, axis) = (far, branch.axis);
                        }
                    }
                }
            }
        }
        None
    }
}

fn rock(way: Vec3, along: f32, axis: usize, room: Option<&Room>) -> Hit {
    let mut normal = Vec3::ZERO;
    normal[axis] = -way[axis].signum();
    let (list, bounce) = room.map_or((0, [Vec3::ZERO; 3]), |room| (room.list, room.bounce));
    let bounce = match (axis, way.y < 0.0) {
        (1, true) => bounce[0],
        (1, false) => bounce[2],
        _ => bounce[1],
    };
    Hit { along, normal, bounce, list }
}

fn slot_index(column: i32, row: i32) -> usize {
    ((row + 1) * 3 + column + 1) as usize
}

/// A place in a chunk, in units from its corner.
pub fn units(fixed: [i16; 3]) -> Vec3 {
    Vec3::from_array(fixed.map(|c| f32::from(c) / FIXED_PER_UNIT as f32))
}

fn room(chunk: &Chunk, index: usize, corner: Vec3) -> Room {
    let leaf = &chunk.leaves()[index];
    let (mut floor, mut bounce) = (0, [Vec3::ZERO; 3]);
    let first = usize::from(leaf.first_face);
    for face in &chunk.faces()[first..first + usize::from(leaf.faces)] {
        let plane = chunk.planes()[usize::from(face.plane)];
        let part = match (plane.axis, plane.faces_back) {
            (Axis::Y, false) => 0,
            (Axis::Y, true) => 2,
            _ => 1,
        };
        if part == 0 {
            floor = face.material;
        }
        bounce[part] = material::bounce(Material::Numbered(face.material));
    }
    let (low, high) = (corner + units(leaf.min), corner + units(leaf.max));
    Room { low, high, is_sky: leaf.is_sky, list: 0, floor, bounce }
}

/// How high above the chunks an eye under the sky may be, in units.
const SKY_UNITS: f64 = 64.0;

/// Floor and top of the air at a place in the world, in units; `None` in rock.
pub fn column(chunk: &Chunk, x: f64, z: f64) -> Option<(f64, f64)> {
    let (x0, z0) = chunk.coord().origin();
    let fixed = |units: f64| (units * f64::from(FIXED_PER_UNIT)).floor() as i16;
    let column = chunk.column(fixed(x - x0), fixed(z - z0))?;
    let units = |fixed: i16| f64::from(fixed) / f64::from(FIXED_PER_UNIT);
    Some((units(column.floor), column.ceiling.map_or(f64::from(CHUNK_HEIGHT_UNITS) + SKY_UNITS, units)))
}

/// The middle of the nearest cell of the chunk that has air, as whole units of the world.
pub fn nearest_air(chunk: &Chunk, x: f64, z: f64) -> Option<(f64, f64)> {
    let (x0, z0) = chunk.coord().origin();
    let cells = CHUNK_UNITS / CELL_UNITS;
    let middle = |cell: i32| f64::from(cell * CELL_UNITS + CELL_UNITS / 2);
    let middles = (0..cells * cells).map(|n| (x0 + middle(n % cells), z0 + middle(n / cells)));
    let far = |(cx, cz): &(f64, f64)| (cx - x).hypot(cz - z);
    middles.filter(|(cx, cz)| column(chunk, *cx, *cz).is_some()).min_by(|a, b| far(a).total_cmp(&far(b)))
}
