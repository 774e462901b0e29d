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

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_world::{Axis, BspWorld, Cell, Door, Hinge, Light, LocalPoint, Scratch, build};

    const CENTRE: ChunkCoord = ChunkCoord::new(0, 4);

    fn one_chunk() -> MapOptions {
        MapOptions { world_seed: 9, centre: CENTRE, radius: 0 }
    }

    fn near(pixel: [u8; 3], colour: palette::Colour) -> bool {
        (0..3).all(|i| (f32::from(pixel[i]) - colour[i]).abs() < 2.0)
    }

    /// The sheet of a map of one chunk.
    fn sheet_of(chunk: &Chunk) -> Sheet {
        legend::sheet(&Survey::new(vec![chunk.clone()], CENTRE, 0)).1
    }

    #[test]
    fn rock_is_drawn_where_rock_is_and_nowhere_else() {
        let grid = BspWorld::new(9).grid(CENTRE);
        let chunk = build(&grid, &mut Scratch::default());
        let sheet = sheet_of(&chunk);
        let canvas = map_of(vec![chunk], one_chunk());
        let mut rock = 0;
        for (x, z) in (0..256).map(|n| (n % 16, n / 16)) {
            let (px, py) = sheet.pixel(x as f32 + 0.5, z as f32 + 0.5);
            let is_rock = near(canvas.pixel(px as usize, py as usize), palette::DUNGEON_ROCK);
            assert_eq!(is_rock, grid.at(x, z) == Cell::Solid, "{x} {z}");
            rock += usize::from(is_rock);
        }
        assert!(rock > 20, "{rock} cells of rock");
    }

    #[test]
    fn doors_and_lights_stand_where_they_are() {
        let mut grid = BspWorld::new(9).grid(CENTRE);
        let (x, z) = (0..15)
            .flat_map(|z| (0..15).map(move |x| (x, z)))
            .find(|(x, z)| grid.at(*x, *z).open().is_some() && grid.at(x + 1, *z).open().is_some())
            .expect("two open cells lie side by side");
        let open_degrees = 90;
        let (axis, hinge) = (Axis::X, Hinge::Low);
        grid.doors.push(Door { x: x as u8, z: z as u8, axis, hinge, open_degrees, bottom: 0, top: 640 });
        let at = LocalPoint { x: x as i16 * 512 + 200, y: 500, z: z as i16 * 512 + 256 };
        grid.lights.push(Light { at, colour: [255, 200, 120], radius_units: 200 });
        let chunk = build(&grid, &mut Scratch::default());
        let sheet = sheet_of(&chunk);
        let canvas = map_of(vec![chunk], one_chunk());
        let (px, py) = sheet.pixel(x as f32 + 1.0, z as f32 + 0.5);
        assert!(near(canvas.pixel(px as usize, py as usize), palette::DOOR));
        let (px, py) = sheet.pixel(x as f32 + 200.0 / 512.0, z as f32 + 0.5);
        assert!(near(canvas.pixel(px as usize, py as usize), palette::GLOW));
    }

    #[test]
    fn the_end_of_the_world_is_left_empty() {
        let centre = ChunkCoord::new(i32::MAX, 0);
        let options = MapOptions { world_seed: 9, centre, radius: 1 };
        let canvas = map(&BspWorld::new(9), options).expect("the chunks decode");
        let places: Vec<ChunkCoord> = survey::places(centre, 1).collect();
        assert_eq!(places.len(), 6);
        let chunks = places.iter().map(|c| BspWorld::new(9).generate(*c, &mut Scratch::default())).collect();
        let sheet = legend::sheet(&Survey::new(chunks, centre, 1)).1;
        let (x, y) = sheet.pixel(40.5, 24.5);
        assert!(near(canvas.pixel(x as usize, y as usize), palette::PAPER));
    }
}
