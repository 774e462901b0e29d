//! The map: a square of chunks from above, as an atlas would show it.
//!
//! North is up. Open land is coloured by height and shaded by a light from the north-west, as maps are;
//! rock throws a short shadow on floors; lights glow as far as they are seen.

mod ground;
mod legend;
mod marks;
pub(super) mod palette;
mod survey;

use ninefold_world::{Chunk, ChunkCoord, Generator};

use super::canvas::Canvas;
use super::chunks::receive;
use super::error::PictureError;
use survey::Survey;

/// The largest map, in chunks from its middle to its sides.
pub const RADIUS_MAX: u32 = 48;
/// Contours and hachures are drawn where a cell has so many pixels.
const DETAIL_CELL_PIXELS: i32 = 4;
/// A drop of more than this is a cliff, in units.
const STEP_UNITS: f32 = ninefold_world::STEP_UNITS as f32;

/// What to map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapOptions {
    /// The seed, for the title.
    pub world_seed: u64,
    /// The chunk in the middle.
    pub centre: ChunkCoord,
    /// Chunks from there to each side, at most [`RADIUS_MAX`].
    pub radius: u32,
}

/// Where the field of chunks lies in the picture.
#[derive(Debug, Clone, Copy)]
struct Sheet {
    /// Left upper corner of the field.
    at: (i32, i32),
    /// Pixels along one side of a cell.
    cell: i32,
    /// Pixels along one side of the field.
    side: i32,
}

impl Sheet {
    /// The pixel at a place of the field, in cells.
    fn pixel(&self, x: f32, z: f32) -> (i32, i32) {
        let along = |cells: f32| (cells * self.cell as f32).round() as i32;
        (self.at.0 + along(x), self.at.1 + along(z))
    }
}

/// Draws the map of a generator's world.
///
/// # Panics
/// When the radius is above [`RADIUS_MAX`].
pub fn map(generator: &dyn Generator, options: MapOptions) -> Result<Canvas, PictureError> {
    let places: Vec<ChunkCoord> = survey::places(options.centre, options.radius).collect();
    Ok(map_of(receive(generator, &places)?, options))
}

/// Draws the map of chunks that one has; where there is none, it is left empty.
///
/// # Panics
/// When the radius is above [`RADIUS_MAX`].
pub fn map_of(chunks: Vec<Chunk>, options: MapOptions) -> Canvas {
    assert!(options.radius <= RADIUS_MAX, "the caller keeps to RADIUS_MAX");
    let survey = Survey::new(chunks, options.centre, options.radius);
    let (mut canvas, sheet) = legend::sheet(&survey);
    ground::paint(&mut canvas, &survey, sheet);
    ground::paint_glows(&mut canvas, &survey, sheet);
    marks::paint(&mut canvas, &survey, sheet);
    legend::write(&mut canvas, &survey, sheet, options.world_seed);
    canvas
}
