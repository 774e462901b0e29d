//! The view: what an eye in the world sees, drawn over the decoded 3x3 ring by a small software renderer.
//!
//! ```text
//!   ring ─▶ scene ─▶ walk (tree front to back, frustum, PVS) ─▶ raster (which surface at which sample)
//!                                                                  │
//!   canvas ◀─ develop (tone, gamma, 2x2) ◀─ shade (materials, fog, sky) ◀─ light (rays, filtered)
//! ```
//!
//! Every pixel has 2x2 samples. The picture is made band by band, each band by itself, so that threads
//! make no difference and memory is bounded by the bands at work.

mod camera;
mod develop;
mod light;
mod material;
mod noise;
mod props;
mod raster;
mod scene;
mod shade;
mod sky;
mod surface;
mod walk;

use std::fmt;

use ninefold_world::{Chunk, ChunkCoord, Generator, Position, Topology};
use rayon::prelude::*;

use super::canvas::Canvas;
use super::chunks::receive;
use super::error::PictureError;
use camera::Camera;
use develop::Shot;
use scene::Scene;

/// The height of the eye above the floor if nothing else is said, in units.
pub const EYE_UNITS: f64 = 48.0;
/// The least room between the eye and what is above it, in units.
const EYE_ROOM_UNITS: f64 = 2.0;
/// The longest side of a picture, in pixels.
pub const SIDE_PIXELS_MAX: u32 = 3_840;
/// Rows of pixels of one band.
const BAND_ROWS: usize = 24;
/// Samples along each side of a pixel.
const SAMPLES: usize = 2;

/// What to look at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ViewOptions {
    /// Where the eye is, eastward, in units.
    pub x: f64,
    /// Southward.
    pub z: f64,
    /// Where it looks, in degrees from north, clockwise: 90 is east.
    pub yaw_degrees: f32,
    /// Up, in degrees.
    pub pitch_degrees: f32,
    /// Height above the floor, in units.
    pub eye_units: f64,
    /// From the left to the right of the picture, in degrees.
    pub fov_degrees: f32,
    /// Pixels along a row, 1 to [`SIDE_PIXELS_MAX`].
    pub width: u32,
    /// Rows, 1 to [`SIDE_PIXELS_MAX`].
    pub height: u32,
    /// Whether all doors stand open.
    pub doors_are_open: bool,
}

/// What was drawn of the ring, and what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ViewCounts {
    /// Leaves of the ring.
    pub leaves: usize,
    /// Leaves in the frustum and not hidden.
    pub leaves_drawn: usize,
    /// Leaves outside the frustum, alone or with their chunk or branch.
    pub leaves_outside_frustum: usize,
    /// Leaves in the frustum that the PVS hides.
    pub leaves_hidden_by_pvs: usize,
    /// Faces of the ring.
    pub faces: usize,
    /// Faces drawn: they look at the eye and are in the picture.
    pub faces_drawn: usize,
}

impl fmt::Display for ViewCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ViewCounts { leaves, leaves_drawn, leaves_outside_frustum, leaves_hidden_by_pvs, .. } = self;
        writeln!(
            f,
            "leaves: {leaves} in the ring, {leaves_drawn} drawn, {} culled ({leaves_outside_frustum} by the \
             frustum, {leaves_hidden_by_pvs} by the PVS)",
            leaves_outside_frustum + leaves_hidden_by_pvs
        )?;
        write!(f, "faces: {} in the ring, {} drawn", self.faces, self.faces_drawn)
    }
}

/// A picture and how it came about.
#[derive(Debug)]
pub struct View {
    /// The picture.
    pub canvas: Canvas,
    /// What was drawn.
    pub counts: ViewCounts,
}

/// Draws a view into a generator's world.
///
/// # Errors
/// When the place is outside the world or in rock, or the eye is in the ceiling.
pub fn view(generator: &dyn Generator, options: ViewOptions) -> Result<View, PictureError> {
    let centre = chunk_of(options)?;
    let places: Vec<ChunkCoord> = Topology::Plane.ring(centre).collect();
    view_of(receive(generator, &places)?, options)
}

/// Draws a view of chunks that one has: the one under the eye and those around it.
///
/// # Errors
/// As [`view`]; a chunk under the eye that is not there is rock.
///
/// # Panics
/// When the picture has no pixels, or more than [`SIDE_PIXELS_MAX`] along a side.
pub fn view_of(chunks: Vec<Chunk>, options: ViewOptions) -> Result<View, PictureError> {
    let is_side = |pixels| (1..=SIDE_PIXELS_MAX).contains(&pixels);
    assert!(is_side(options.width) && is_side(options.height), "the caller keeps to SIDE_PIXELS_MAX");
    let centre = chunk_of(options)?;
    let eye_y = eye_height(&chunks, centre, options)?;
    let scene = Scene::new(chunks, centre, options.doors_are_open);
    let camera = Camera::new(options, centre, eye_y);
    let seen = walk::walk(&scene, &camera);
    let (width, height) = (options.width as usize, options.height as usize);
    let shot = Shot::new(&scene, &camera, &seen.polygons);
    let bands = (0..height.div_ceil(BAND_ROWS)).into_par_iter();
    let pixels: Vec<Vec<[u8; 3]>> = bands
        .map(|band| {
            let rows = band * BAND_ROWS..((band + 1) * BAND_ROWS).min(height);
            develop::band(&shot, rows)
        })
        .collect();
    Ok(View { canvas: Canvas::from_pixels(width, pixels.concat()), counts: seen.counts })
}

fn chunk_of(options: ViewOptions) -> Result<ChunkCoord, PictureError> {
    let (x, z) = (options.x, options.z);
    Position { x, y: 0.0, z }.chunk().ok_or(PictureError::OutsideGrid { x, z })
}

/// Where the eye is, in units above zero.
fn eye_height(chunks: &[Chunk], centre: ChunkCoord, options: ViewOptions) -> Result<f64, PictureError> {
    let (x, z) = (options.x, options.z);
    let chunk = chunks.iter().find(|chunk| chunk.coord() == centre);
    let column = chunk.and_then(|chunk| scene::column(chunk, x, z));
    let Some((floor, top)) = column else {
        let nearest = chunk.and_then(|chunk| scene::nearest_air(chunk, x, z));
        return Err(PictureError::Rock { x, z, nearest });
    };
    let highest = top - floor - EYE_ROOM_UNITS;
    if options.eye_units > highest {
        return Err(PictureError::EyeTooHigh { x, z, eye: options.eye_units, highest });
    }
    Ok(floor + options.eye_units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_world::{Axis, Biome, Cell, Door, Grid, Hinge, Light, LocalPoint, OpenCell, Scratch, build};

    const HERE: ChunkCoord = ChunkCoord::new(-3, 5);

    /// A hall that fills the chunk, 96 units high.
    fn hall() -> Grid {
        let open = OpenCell {
            floor: 0,
            ceiling: Some(96 * 8),
            floor_material: 1,
            wall_material: 2,
            cliff_material: 2,
            ceiling_material: 3,
        };
        Grid::uniform(HERE, Biome::Dungeon, Cell::Open(open))
    }

    /// From the middle of the hall, looking east.
    fn options() -> ViewOptions {
        let (x0, z0) = HERE.origin();
        ViewOptions {
            x: x0 + 544.0,
            z: z0 + 544.0,
            yaw_degrees: 90.0,
            pitch_degrees: 0.0,
            eye_units: EYE_UNITS,
            fov_degrees: 70.0,
            width: 64,
            height: 36,
            doors_are_open: false,
        }
    }

    fn draw(grid: &Grid, options: ViewOptions) -> View {
        view_of(vec![build(grid, &mut Scratch::default())], options).expect("the eye is in the air")
    }

    fn brightness(view: &View) -> u64 {
        let canvas = &view.canvas;
        let pixels = (0..canvas.height()).flat_map(|y| (0..canvas.width()).map(move |x| (x, y)));
        pixels.map(|(x, y)| canvas.pixel(x, y).iter().map(|c| u64::from(*c)).sum::<u64>()).sum()
    }

    fn light(x: i16) -> Light {
        let at = LocalPoint { x: x * 8, y: 60 * 8, z: 544 * 8 };
        Light { at, colour: [255, 190, 120], radius_units: 300 }
    }

    #[test]
    fn a_light_lights_a_hall() {
        let dark = brightness(&draw(&hall(), options()));
        let mut lit = hall();
        lit.lights.push(light(744));
        assert!(brightness(&draw(&lit, options())) > 2 * dark);
    }

    #[test]
    fn no_sun_comes_through_the_highest_ceiling() {
        let Cell::Open(open) = hall().at(0, 0) else { panic!() };
        let open = OpenCell { ceiling: Some(128 * 8), ..open };
        let view = draw(&Grid::uniform(HERE, Biome::Dungeon, Cell::Open(open)), options());
        let pixels = (0..36).flat_map(|y| (0..64).map(move |x| (x, y)));
        let brightest = pixels.map(|(x, y)| view.canvas.pixel(x, y).into_iter().max().unwrap()).max();
        assert!(brightest.unwrap() < 128, "{brightest:?}");
    }

    #[test]
    fn a_closed_door_hides_what_is_behind_it_and_an_open_one_shows_it() {
        let mut grid = hall();
        grid.lights.push(light(744));
        // Across the way east, 64 units ahead, hung at its northern end.
        let (axis, hinge) = (Axis::X, Hinge::Low);
        grid.doors.push(Door { x: 8, z: 8, axis, hinge, open_degrees: 90, bottom: 0, top: 96 * 8 });
        let options = ViewOptions { fov_degrees: 20.0, ..options() };
        let closed = draw(&grid, options);
        let open = draw(&grid, ViewOptions { doors_are_open: true, ..options });
        let lamp = |view: &View| {
            let middle = (28..36).flat_map(|x| (4..18).map(move |y| view.canvas.pixel(x, y)));
            middle.map(|p| p.into_iter().min().unwrap()).max().unwrap()
        };
        assert!(lamp(&open) > 200 && lamp(&closed) < 150, "{} {}", lamp(&open), lamp(&closed));
    }

    #[test]
    fn what_leaves_the_ring_under_a_roof_is_dark() {
        // The hall's walls are missing, as its neighbours are.
        let view = draw(&hall(), options());
        let [r, g, b] = view.canvas.pixel(32, 17);
        assert!(r < 60 && g < 60 && b < 60, "{:?}", [r, g, b]);
    }

    #[test]
    fn a_leaf_is_drawn_or_culled_and_faces_look_at_the_eye() {
        let counts = draw(&hall(), options()).counts;
        assert_eq!((counts.leaves, counts.leaves_drawn), (1, 1));
        // Floor and ceiling; the sides are open to where the neighbours would be.
        assert_eq!((counts.faces, counts.faces_drawn), (2, 2));
    }

    #[test]
    fn an_eye_in_the_ceiling_is_told_how_high_it_may_be() {
        let chunk = build(&hall(), &mut Scratch::default());
        let error = view_of(vec![chunk], ViewOptions { eye_units: 95.0, ..options() }).unwrap_err();
        assert!(matches!(error, PictureError::EyeTooHigh { highest: 94.0, .. }), "{error}");
    }
}
