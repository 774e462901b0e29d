//! The recipe encoding: what a chunk is built from.
//!
//! The cells of the chunk, the cells that face it over its edges and across its corners, the doors and
//! the lights. A cell is a style (materials, roof or sky; 0 is rock) with a floor and a ceiling. The header
//! is that of the compiled tree; the number of styles follows it in one byte, then the packed body.
//! Building the recipe gives that tree again, and its content hash is checked against the header's.

use super::fittings::{self, DOOR_PLACE_BYTES, LIGHT_BYTES};
use super::header::Header;
use super::streams::{self, Streams};
use super::{DecodeError, ENCODING_RECIPE, HEADER_BYTES, open, pack};
use crate::bsp;
use crate::cell::{Cell, OpenCell};
use crate::chunk::{Chunk, ContentHash};
use crate::coord::HEIGHT_FIXED;
use crate::door::Door;
use crate::grid::{CELLS_KNOWN, Grid};
use crate::scratch::Scratch;

/// Four materials, and whether there is a roof.
const STYLE_BYTES: usize = 5;

/// Materials of an open cell, and whether it has a roof.
type Style = [u8; STYLE_BYTES];

/// Encodes what a chunk was built from, with the hash of what was built. `None` where the grid has more
/// than 255 styles: then only the compiled tree says what it is.
pub fn encode_recipe(grid: &Grid, chunk: &Chunk) -> Option<Vec<u8>> {
    let mut styles: Vec<Style> = Vec::new();
    let mut cells = Vec::with_capacity(CELLS_KNOWN);
    for cell in grid.known() {
        let number = match cell {
            Cell::Solid => 0,
            Cell::Open(open) => {
                let style = style_of(&open);
                let at = styles.iter().position(|s| *s == style).unwrap_or_else(|| {
                    styles.push(style);
                    styles.len() - 1
                });
                u8::try_from(at + 1).ok()?
            }
        };
        cells.push(number);
    }
    let mut body = cells;
    // Rock has the heights of the cell before it, which cost nothing.
    streams::write(&mut body, heights(grid, |open| Some(open.floor)));
    streams::write(&mut body, heights(grid, |open| open.ceiling));
    body.extend(styles.iter().flatten());
    fittings::write_door_places(&grid.doors, &mut body);
    fittings::write_lights(&grid.lights, &mut body);
    debug_assert_eq!(body.len(), body_bytes(styles.len(), grid.doors.len(), grid.lights.len()));
    let mut out = Vec::new();
    Header::of(chunk).write(ENCODING_RECIPE, chunk.content_hash().0, &mut out);
    debug_assert_eq!(out.len(), HEADER_BYTES);
    out.push(styles.len() as u8);
    pack::pack(&body, &mut out);
    Some(out)
}

impl Chunk {
    /// Builds the chunk of a recipe that anybody may have sent: the same chunk, to the bit, as the one
    /// that it was made from.
    pub fn from_recipe(bytes: &[u8], scratch: &mut Scratch) -> Result<Chunk, DecodeError> {
        let (header, stated, rest) = open(bytes, ENCODING_RECIPE)?;
        let (styles, packed) = rest.split_first().ok_or(DecodeError::Length(bytes.len()))?;
        let styles = usize::from(*styles);
        let body = pack::unpack(packed, body_bytes(styles, header.doors, header.lights))?;
        let grid = read_grid(&header, styles, &body)?;
        let chunk = bsp::build(&grid, scratch);
        let ContentHash(computed) = chunk.content_hash();
        if stated != computed || Header::of(&chunk) != header {
            return Err(DecodeError::ContentHash { stated, computed });
        }
        Ok(chunk)
    }
}

pub(super) fn body_bytes(styles: usize, doors: usize, lights: usize) -> usize {
    CELLS_KNOWN * (1 + 2 + 2) + styles * STYLE_BYTES + doors * DOOR_PLACE_BYTES + lights * LIGHT_BYTES
}

fn style_of(open: &OpenCell) -> Style {
    let OpenCell { floor_material, wall_material, cliff_material, ceiling_material, ceiling, .. } = *open;
    [floor_material, wall_material, cliff_material, ceiling_material, u8::from(ceiling.is_some())]
}

/// One height of each cell; where it has none, that of the cell before it.
fn heights<'g>(
    grid: &'g Grid,
    of: impl Fn(&OpenCell) -> Option<i16> + Clone + 'g,
) -> impl Iterator<Item = i16> + Clone + 'g {
    grid.known().scan(0, move |before, cell| {
        *before = cell.open().and_then(&of).unwrap_or(*before);
        Some(*before)
    })
}

pub(super) fn read_grid(header: &Header, styles: usize, body: &[u8]) -> Result<Grid, DecodeError> {
    let mut streams = Streams::new(body);
    let numbers = streams.bytes(CELLS_KNOWN);
    let heights = streams.values(CELLS_KNOWN).zip(streams.values(CELLS_KNOWN));
    let palette = streams.bytes(styles * STYLE_BYTES);
    let mut cells = [Cell::Solid; CELLS_KNOWN];
    for (index, (number, (floor, ceiling))) in numbers.iter().zip(heights).enumerate() {
        let Some(style) = usize::from(*number).checked_sub(1) else { continue };
        let invalid = DecodeError::Invalid { what: "cell", index };
        let style = palette.chunks_exact(STYLE_BYTES).nth(style).ok_or(invalid.clone())?;
        let ceiling = match style[4] {
            0 => None,
            1 => Some(ceiling),
            _ => return Err(invalid),
        };
        let top = ceiling.unwrap_or(HEIGHT_FIXED);
        if floor < 0 || floor >= top || top > HEIGHT_FIXED {
            return Err(invalid);
        }
        cells[index] = Cell::Open(OpenCell {
            floor,
            ceiling,
            floor_material: style[0],
            wall_material: style[1],
            cliff_material: style[2],
            ceiling_material: style[3],
        });
    }
    let mut grid = Grid::from_known(header.coord, header.biome, cells);
    for (index, place) in fittings::read_door_places(&mut streams, header.doors)?.into_iter().enumerate() {
        let Door { x, z, axis, hinge, open_degrees, .. } = place;
        let door = grid.door_at(x.into(), z.into(), axis, hinge, open_degrees);
        grid.doors.push(door.ok_or(DecodeError::Invalid { what: "door", index })?);
    }
    grid.lights.extend(fittings::read_lights(&mut streams, header.lights)?);
    debug_assert!(streams.is_empty());
    Ok(grid)
}
