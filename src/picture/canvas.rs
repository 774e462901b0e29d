//! A picture in memory: pixels, rectangles, lines, text, and its way into a PNG file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::error::PictureError;
use super::map::palette::{Colour, mix};

/// Stands for what the font does not have.
const UNKNOWN_CHARACTER: char = '?';

/// Pixels, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

/// How a line of text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub colour: Colour,
    pub size: RasterHeight,
    pub weight: FontWeight,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, colour: Colour) -> Self {
        Canvas { width, height, pixels: vec![bytes(colour); width * height] }
    }

    pub(super) fn from_pixels(width: usize, pixels: Vec<[u8; 3]>) -> Self {
        debug_assert_eq!(pixels.len() % width, 0);
        Canvas { width, height: pixels.len() / width, pixels }
    }

    /// Pixels along a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The colour of a pixel: red, green, blue in sRGB.
    ///
    /// # Panics
    /// When there is no such pixel.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        assert!(x < self.width && y < self.height);
        self.pixels[y * self.width + x]
    }

    /// Lays a colour over a pixel; what lies outside is left out.
    pub(super) fn blend(&mut self, x: i32, y: i32, colour: Colour, opacity: f32) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x < self.width && y < self.height {
            let pixel = &mut self.pixels[y * self.width + x];
            *pixel = bytes(mix(pixel.map(f32::from), colour, opacity.clamp(0.0, 1.0)));
        }
    }

    /// Fills a rectangle of pixels.
    pub(super) fn fill(&mut self, at: (i32, i32), size: (i32, i32), colour: Colour, opacity: f32) {
        for y in at.1..at.1 + size.1 {
            for x in at.0..at.0 + size.0 {
                self.blend(x, y, colour, opacity);
            }
        }
    }

    /// The rim of a rectangle, one pixel wide, inside it.
    pub(super) fn frame(&mut self, at: (i32, i32), size: (i32, i32), colour: Colour) {
        self.fill(at, (size.0, 1), colour, 1.0);
        self.fill((at.0, at.1 + size.1 - 1), (size.0, 1), colour, 1.0);
        self.fill(at, (1, size.1), colour, 1.0);
        self.fill((at.0 + size.0 - 1, at.1), (1, size.1), colour, 1.0);
    }

    /// Writes a line of text from its left upper corner.
    pub(super) fn text(&mut self, at: (i32, i32), text: &str, style: Style) {
        let step = get_raster_width(style.weight, style.size) as i32;
        for (n, character) in text.chars().enumerate() {
            let glyph = get_raster(character, style.weight, style.size)
                .or_else(|| get_raster(UNKNOWN_CHARACTER, style.weight, style.size));
            let Some(glyph) = glyph else { continue };
            let left = at.0 + n as i32 * step;
            for (y, row) in glyph.rows().enumerate() {
                for (x, cover) in row.iter().enumerate().filter(|(_, cover)| **cover > 0) {
                    let opacity = f32::from(*cover) / 255.0;
                    self.blend(left + x as i32, at.1 + y as i32, style.colour, opacity);
                }
            }
        }
    }

    /// Writes it as a PNG, over what may be there.
    pub fn save(&self, path: &Path) -> Result<(), PictureError> {
        let unwritable = |error| PictureError::Unwritable { path: path.to_owned(), error };
        let file = File::create(path).map_err(unwritable)?;
        self.write_png(BufWriter::new(file)).map_err(unwritable)
    }

    /// Its bytes as a PNG.
    pub fn write_png(&self, mut to: impl Write) -> std::io::Result<()> {
        let too_large = || std::io::Error::other("the picture is too large for a PNG");
        let side = |pixels: usize| u32::try_from(pixels).map_err(|_| too_large());
        let mut encoder = png::Encoder::new(&mut to, side(self.width)?, side(self.height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(self.pixels.as_flattened())?;
        writer.finish()?;
        to.flush()
    }
}

/// How many pixels a line of text is wide.
pub(super) fn text_width(text: &str, style: Style) -> i32 {
    (text.chars().count() * get_raster_width(style.weight, style.size)) as i32
}

fn bytes(colour: Colour) -> [u8; 3] {
    colour.map(|c| c.round().clamp(0.0, 255.0) as u8)
}
