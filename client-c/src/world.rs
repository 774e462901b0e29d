//! The world that a client holds: faces, triangles, doors, lights, collision.

use std::sync::Arc;

use ninefold_client::Client;
use ninefold_client::world::{Axis, Chunk, ChunkCoord, FIXED_PER_UNIT, HalfExtents, Hit, Mesh, Position};

use crate::border::{self, Sized32};
use crate::handle::{Inner, NinefoldClient, enter};
use crate::status::{NinefoldStatus, Outcome};

/// A point in a chunk, in units from its corner: eastward, upward, southward. Its layout never changes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NinefoldPoint {
    /// Eastward, 0 to 1,024.
    pub x: f32,
    /// Upward.
    pub y: f32,
    /// Southward, 0 to 1,024.
    pub z: f32,
}

/// A rectangle of a chunk. Its front is the air. Its layout never changes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldFace {
    /// Counter-clockwise seen from the front.
    pub corners: [NinefoldPoint; 4],
    /// The way that it faces, of length 1.
    pub normal: NinefoldPoint,
    /// What it is made of.
    pub material: u32,
}

/// A triangle of a chunk's mesh. Its layout never changes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldTriangle {
    /// Indices of vertices, counter-clockwise seen from the front.
    pub vertices: [u16; 3],
    /// Index of its face, which knows normal and material.
    pub face: u16,
}

/// A door of a chunk. Its layout never changes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldDoor {
    /// The low corner of the closed door.
    pub low: NinefoldPoint,
    /// The high corner.
    pub high: NinefoldPoint,
    /// 1 if it stands open. Known of the nine chunks around the player; doors of others count as closed.
    pub is_open: u32,
}

/// A lamp of a chunk. Its layout never changes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldLight {
    /// Where.
    pub at: NinefoldPoint,
    /// Where its light ends, units.
    pub radius: f32,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// 0.
    pub reserved: u8,
}

fn point(fixed: [i16; 3]) -> NinefoldPoint {
    // Eighths of a unit are exact in an f32.
    let [x, y, z] = fixed.map(|steps| f32::from(steps) / FIXED_PER_UNIT as f32);
    NinefoldPoint { x, y, z }
}

fn along(axis: Axis, sign: f32) -> NinefoldPoint {
    let mut normal = [0.0; 3];
    normal[axis as usize] = sign;
    let [x, y, z] = normal;
    NinefoldPoint { x, y, z }
}

fn chunk(client: &Client, cx: i32, cz: i32) -> Option<&Arc<Chunk>> {
    client.chunk(ChunkCoord { cx, cz })
}

/// The rectangles of a chunk, at most `room` of them; `faces` may be NULL where `room` is 0. `count` becomes how
/// many there are. NINEFOLD_STATUS_NOTHING if the chunk is not here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_chunk_faces(
    client: *mut NinefoldClient,
    cx: i32,
    cz: i32,
    faces: *mut NinefoldFace,
    room: usize,
    count: *mut usize,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        let Some(chunk) = chunk(inner.client(), cx, cz) else { return Ok(NinefoldStatus::Nothing) };
        let all = chunk.faces().iter().map(|face| {
            let plane = chunk.planes()[usize::from(face.plane)];
            NinefoldFace {
                corners: face.vertices.map(|vertex| point(chunk.vertices()[usize::from(vertex)])),
                normal: along(plane.axis, if plane.faces_back { -1.0 } else { 1.0 }),
                material: face.material.into(),
            }
        });
        // SAFETY: the caller's promises.
        unsafe { border::fill(faces, room, all, count, "faces") }
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}

/// The triangles of a chunk, without cracks, over its vertices: at most `vertices_room` and `triangles_room` of
/// them; either may be NULL where its room is 0. The counts become how many there are. Asking once without room and
/// once with costs no more than asking once. NINEFOLD_STATUS_NOTHING if the chunk is not here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_chunk_mesh(
    client: *mut NinefoldClient,
    cx: i32,
    cz: i32,
    vertices: *mut NinefoldPoint,
    vertices_room: usize,
    vertices_count: *mut usize,
    triangles: *mut NinefoldTriangle,
    triangles_room: usize,
    triangles_count: *mut usize,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        let Some(chunk) = chunk(inner.client(), cx, cz).cloned() else { return Ok(NinefoldStatus::Nothing) };
        let (coord, hash) = (chunk.coord(), chunk.content_hash());
        let known = inner.mesh.take().filter(|known| (known.0, known.1) == (coord, hash));
        let (_, _, mesh) = inner.mesh.insert(known.unwrap_or_else(|| (coord, hash, Mesh::of(&chunk))));
        let points = chunk.vertices().iter().map(|vertex| point(*vertex));
        // SAFETY: the caller's promises.
        let first = unsafe { border::fill(vertices, vertices_room, points, vertices_count, "vertices")? };
        let all = mesh.triangles.iter().zip(&mesh.faces);
        let all = all.map(|(vertices, face)| NinefoldTriangle { vertices: *vertices, face: *face });
        // SAFETY: the caller's promises.
        let second = unsafe { border::fill(triangles, triangles_room, all, triangles_count, "triangles")? };
        Ok(if first == NinefoldStatus::Short { first } else { second })
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}

/// The doors of a chunk, as ninefold_chunk_faces gives its rectangles; a door's index is its number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_chunk_doors(
    client: *mut NinefoldClient,
    cx: i32,
    cz: i32,
    doors: *mut NinefoldDoor,
    room: usize,
    count: *mut usize,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        let Some(chunk) = chunk(inner.client(), cx, cz) else { return Ok(NinefoldStatus::Nothing) };
        let open = inner.client().open_doors(chunk.coord());
        let all = chunk.doors().iter().enumerate().map(|(index, door)| {
            let (low, high) = door.solid_box();
            NinefoldDoor { low: point(low), high: point(high), is_open: open.contains(index).into() }
        });
        // SAFETY: the caller's promises.
        unsafe { border::fill(doors, room, all, count, "doors") }
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}

/// The lamps of a chunk, as ninefold_chunk_faces gives its rectangles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_chunk_lights(
    client: *mut NinefoldClient,
    cx: i32,
    cz: i32,
    lights: *mut NinefoldLight,
    room: usize,
    count: *mut usize,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        let Some(chunk) = chunk(inner.client(), cx, cz) else { return Ok(NinefoldStatus::Nothing) };
        let all = chunk.lights().iter().map(|light| NinefoldLight {
            at: point([light.at.x, light.at.y, light.at.z]),
            radius: light.radius_units.into(),
            colour: light.colour,
            reserved: 0,
        });
        // SAFETY: the caller's promises.
        unsafe { border::fill(lights, room, all, count, "lights") }
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}

/// What is in the way, or at a place.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NinefoldHit {
    /// Nothing: air.
    None = 0,
    /// Rock of the chunk `cx`, `cz`.
    Rock = 1,
    /// A closed door of that chunk: `door`.
    Door = 2,
    /// That chunk is not here.
    Missing = 3,
    /// The end of the world, or no place at all.
    Outside = 4,
    /// Nothing, as far as a trace goes.
    Reach = 5,
}

/// How far a box came.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldTrace {
    /// sizeof(NinefoldTrace), set by the program.
    pub size: u32,
    /// What was in the way.
    pub hit: NinefoldHit,
    /// The column of its chunk.
    pub cx: i32,
    /// The row of its chunk.
    pub cz: i32,
    /// The door's number in its chunk.
    pub door: u32,
    /// 1 if the box was in something at once; then it goes nowhere.
    pub started_inside: u32,
    /// Of the way, 0 to 1.
    pub fraction: f64,
    /// Where the middle of the box came to rest, in the world.
    pub x: f64,
    /// Upward.
    pub y: f64,
    /// Southward.
    pub z: f64,
    /// The way that the surface faces; 0, 0, 0 if nothing was hit.
    pub normal: NinefoldPoint,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), `size` first, plain numbers and an enum of which 0 is one.
unsafe impl Sized32 for NinefoldTrace {
    const SIZE_MIN: usize = std::mem::offset_of!(Self, normal) + 12;
    fn set_size(&mut self, size: u32) {
        self.size = size;
    }
}

fn named(hit: Option<Hit>) -> (NinefoldHit, ChunkCoord, u32) {
    let nowhere = ChunkCoord { cx: 0, cz: 0 };
    match hit {
        None => (NinefoldHit::None, nowhere, 0),
        Some(Hit::Rock(coord)) => (NinefoldHit::Rock, coord, 0),
        Some(Hit::Door(coord, door)) => (NinefoldHit::Door, coord, door as u32),
        Some(Hit::Missing(coord)) => (NinefoldHit::Missing, coord, 0),
        Some(Hit::Outside) => (NinefoldHit::Outside, nowhere, 0),
        Some(Hit::Reach) => (NinefoldHit::Reach, nowhere, 0),
    }
}

fn place([x, y, z]: [f64; 3]) -> Position {
    Position { x, y, z }
}

/// Moves a box through the chunks that are here and says what stops it: its middle goes from `from` towards `to`
/// (each x, y, z in the world, units), with `half` from its middle to its sides (0, 0, 0 for a line of sight).
/// Chunks that are not here are solid, and doors are as they are known. The same as the server reckons, to the bit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_trace(
    client: *mut NinefoldClient,
    from: *const f64,
    to: *const f64,
    half: *const f64,
    out: *mut NinefoldTrace,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        // SAFETY: the caller's promises.
        let ([x, y, z], from, to) =
            unsafe { (border::get(half, "half")?, border::get(from, "from")?, border::get(to, "to")?) };
        let went = inner.client().trace(place(from), place(to), HalfExtents { x, y, z });
        let (hit, ChunkCoord { cx, cz }, door) = named(went.hit);
        let nothing = NinefoldPoint { x: 0.0, y: 0.0, z: 0.0 };
        let told = NinefoldTrace {
            size: 0,
            hit,
            cx,
            cz,
            door,
            started_inside: went.started_inside.into(),
            fraction: went.fraction,
            x: went.end.x,
            y: went.end.y,
            z: went.end.z,
            normal: went.normal.map_or(nothing, |normal| along(normal.axis, normal.sign.into())),
            reserved: 0,
        };
        // SAFETY: the caller's promise.
        unsafe { border::write(out, told, "out")? };
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}

/// What is at a place (x, y, z in the world): NINEFOLD_HIT_NONE is air.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_contents(
    client: *mut NinefoldClient,
    at: *const f64,
    out: *mut NinefoldHit,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        // SAFETY: the caller's promise.
        let at = unsafe { border::get(at, "at")? };
        let (hit, _, _) = named(inner.client().contents(place(at)));
        // SAFETY: the caller's promise.
        unsafe { border::put(out, hit, "out")? };
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}
