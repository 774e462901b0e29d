//! A square of chunks as one field of cells: what the map is drawn from.

use ninefold_world::{Axis, Biome, CELLS_PER_CHUNK, Chunk, ChunkCoord, FIXED_PER_UNIT, Leaf, Topology};

use super::super::chunks::receive;
use super::super::error::PictureError;

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
    /// Makes the chunks and lays them out.
    pub fn take(
        generator: &dyn ninefold_world::Generator,
        centre: ChunkCoord,
        radius: u32,
    ) -> Result<Survey, PictureError> {
        let radius = radius as i32;
        let across = 2 * radius + 1;
        let offsets = (0..across * across).map(|n| (n % across, n / across));
        let (columns, places): (Vec<(i32, i32)>, Vec<ChunkCoord>) = offsets
            .filter_map(|(x, z)| {
                let coord = Topology::Plane.neighbour(centre, x - radius, z - radius)?;
                Some(((x, z), coord))
            })
            .unzip();
        let chunks = receive(generator, &places)?;
        let side = across * CELLS_PER_CHUNK as i32;
        let mut survey = Survey {
            centre,
            radius,
            side,
            places: vec![None; (side * side) as usize],
            chunks: columns.into_iter().zip(chunks).collect(),
        };
        for ((x, z), chunk) in &survey.chunks {
            lay_out(
                &mut survey.places,
                side,
                (x * CELLS_PER_CHUNK as i32, z * CELLS_PER_CHUNK as i32),
                chunk,
            );
        }
        Ok(survey)
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

fn lay_out(places: &mut [Option<Place>], side: i32, corner: (i32, i32), chunk: &Chunk) {
    let cells = CELLS_PER_CHUNK as i32;
    for (x, z) in (0..cells * cells).map(|n| (n % cells, n / cells)) {
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
