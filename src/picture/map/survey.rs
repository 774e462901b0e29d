//! A square of chunks as one field of cells: what the map is drawn from.

use ninefold_world::{Axis, Biome, CELLS_PER_CHUNK, Chunk, ChunkCoord, FIXED_PER_UNIT, Leaf, Topology};

const CELLS: i32 = CELLS_PER_CHUNK as i32;
const CELL_FIXED: i16 = (ninefold_world::CELL_UNITS * FIXED_PER_UNIT) as i16;

/// The lowest air of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Air {
    /// In units.
    pub floor: f32,
    pub is_sky: bool,
    pub material: u8,
}

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub biome: Biome,
    /// `None` in rock.
    pub air: Option<Air>,
}

/// A square of chunks. At the end of the world it has fewer.
#[derive(Debug)]
pub struct Survey {
    /// The middle of the square.
    pub centre: ChunkCoord,
    /// Chunks from the middle to each side.
    pub radius: i32,
    /// Cells along one side.
    pub side: i32,
    /// Row by row; `None` beyond the end of the world.
    places: Vec<Option<Place>>,
    /// The chunks that there are, with their column and row in the square.
    pub chunks: Vec<((i32, i32), Chunk)>,
}

impl Survey {
    /// Lays out the chunks of the square around a centre.
    pub fn new(chunks: Vec<Chunk>, centre: ChunkCoord, radius: u32) -> Survey {
        let radius = radius as i32;
        let side = (2 * radius + 1) * CELLS;
        let place = |chunk: Chunk| Some((place_of(chunk.coord(), centre, radius)?, chunk));
        let chunks: Vec<((i32, i32), Chunk)> = chunks.into_iter().filter_map(place).collect();
        let mut places = vec![None; (side * side) as usize];
        for ((column, row), chunk) in &chunks {
            lay_out(&mut places, side, (column * CELLS, row * CELLS), chunk);
        }
        Survey { centre, radius, side, places, chunks }
    }

    /// A cell of the square; `None` outside it and beyond the end of the world.
    pub fn at(&self, x: i32, z: i32) -> Option<Place> {
        let inside = (0..self.side).contains(&x) && (0..self.side).contains(&z);
        if inside { self.places[(z * self.side + x) as usize] } else { None }
    }

    /// Its air, if it has any.
    pub fn air(&self, x: i32, z: i32) -> Option<Air> {
        self.at(x, z)?.air
    }
}

/// The chunks of a square; fewer at the end of the world.
pub fn places(centre: ChunkCoord, radius: u32) -> impl Iterator<Item = ChunkCoord> {
    let radius = radius as i32;
    let steps = (-radius..=radius).flat_map(move |dz| (-radius..=radius).map(move |dx| (dx, dz)));
    steps.filter_map(move |(dx, dz)| Topology::Plane.neighbour(centre, dx, dz))
}

/// Column and row of a chunk in the square around a centre.
fn place_of(chunk: ChunkCoord, centre: ChunkCoord, radius: i32) -> Option<(i32, i32)> {
    let along = |to: i32, from: i32| to.checked_sub(from).filter(|d| (-radius..=radius).contains(d));
    Some((along(chunk.cx, centre.cx)? + radius, along(chunk.cz, centre.cz)? + radius))
}

fn lay_out(places: &mut [Option<Place>], side: i32, corner: (i32, i32), chunk: &Chunk) {
    for (x, z) in (0..CELLS * CELLS).map(|n| (n % CELLS, n / CELLS)) {
        let place = &mut places[((corner.1 + z) * side + corner.0 + x) as usize];
        *place = Some(Place { biome: chunk.biome(), air: None });
    }
    for leaf in chunk.leaves() {
        let air = Air {
            floor: f32::from(leaf.min[1]) / FIXED_PER_UNIT as f32,
            is_sky: leaf.is_sky,
            material: floor_material(chunk, leaf),
        };
        for (x, z) in covered_cells(leaf) {
            let place = places[((corner.1 + z) * side + corner.0 + x) as usize].as_mut();
            let place = place.expect("the chunk's cells were laid out above");
            if place.air.is_none_or(|lower| air.floor < lower.floor) {
                place.air = Some(air);
            }
        }
    }
}

/// The cells whose middle a leaf holds.
fn covered_cells(leaf: &Leaf) -> impl Iterator<Item = (i32, i32)> {
    let range = |axis: usize| {
        let first = |bound: i16| (bound + CELL_FIXED / 2 - 1) / CELL_FIXED;
        let last = CELLS_PER_CHUNK as i16;
        i32::from(first(leaf.min[axis]).clamp(0, last))..i32::from(first(leaf.max[axis]).clamp(0, last))
    };
    let columns = range(0);
    range(2).flat_map(move |z| columns.clone().map(move |x| (x, z)))
}

fn floor_material(chunk: &Chunk, leaf: &Leaf) -> u8 {
    let first = usize::from(leaf.first_face);
    let faces = &chunk.faces()[first..first + usize::from(leaf.faces)];
    let is_floor = |plane: u16| {
        let plane = chunk.planes()[usize::from(plane)];
        plane.axis == Axis::Y && !plane.faces_back
    };
    faces.iter().find(|face| is_floor(face.plane)).map_or(0, |face| face.material)
}
