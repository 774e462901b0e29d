//! The lines of the map: walls, cliffs, steps, the grid of chunks, openings, doors, lights.

use ninefold_world::{Axis, Biome, CELL_UNITS, CELLS_PER_CHUNK, Door, FIXED_PER_UNIT};

use super::ground::light_cells;
use super::palette::{self, Colour};
use super::survey::{Place, Survey};
use super::{DETAIL_CELL_PIXELS, STEP_UNITS, Sheet};
use crate::picture::canvas::Canvas;

const CELLS: i32 = CELLS_PER_CHUNK as i32;

/// A side between two cells: the one to its east or south, and whether it is crossed along x.
#[derive(Debug, Clone, Copy)]
struct Side {
    x: i32,
    z: i32,
    along_x: bool,
}

impl Side {
    /// The cells to its west or north, and to its east or south.
    fn cells(self, survey: &Survey) -> (Option<Place>, Option<Place>) {
        let (dx, dz) = if self.along_x { (1, 0) } else { (0, 1) };
        (survey.at(self.x - dx, self.z - dz), survey.at(self.x, self.z))
    }

    /// Whether it parts two chunks.
    fn is_border(self) -> bool {
        (if self.along_x { self.x } else { self.z }) % CELLS == 0
    }

    /// A stroke along it, so many pixels thick, so many pixels off it to the east or south.
    fn stroke(self, canvas: &mut Canvas, sheet: Sheet, thick: i32, off: i32, colour: Colour, opacity: f32) {
        let (x, y) = sheet.pixel(self.x as f32, self.z as f32);
        let back = thick / 2 - off;
        if self.along_x {
            canvas.fill((x - back, y), (thick, sheet.cell), colour, opacity);
        } else {
            canvas.fill((x, y - back), (sheet.cell, thick), colour, opacity);
        }
    }
}

fn sides(survey: &Survey) -> impl Iterator<Item = Side> {
    let side = survey.side;
    (0..=side).flat_map(move |z| {
        (0..=side).flat_map(move |x| {
            [true, false].into_iter().filter_map(move |along_x| {
                let inside = if along_x { z < side } else { x < side };
                inside.then_some(Side { x, z, along_x })
            })
        })
    })
}

/// Draws them all.
pub(super) fn paint(canvas: &mut Canvas, survey: &Survey, sheet: Sheet) {
    for side in sides(survey) {
        paint_edge(canvas, survey, sheet, side);
    }
    for side in sides(survey).filter(|side| side.is_border()) {
        paint_border(canvas, survey, sheet, side);
    }
    for (place, chunk) in &survey.chunks {
        for door in chunk.doors() {
            paint_door(canvas, sheet, *place, door);
        }
        for light in chunk.lights() {
            paint_lamp(canvas, sheet, light_cells(*place, light));
        }
    }
}

/// A wall, a cliff or a step between two cells.
fn paint_edge(canvas: &mut Canvas, survey: &Survey, sheet: Sheet, side: Side) {
    let thick = if sheet.cell >= 2 * DETAIL_CELL_PIXELS { 2 } else { 1 };
    let (Some(low), Some(high)) = side.cells(survey) else { return };
    let (low, high) = match (low.air, high.air) {
        (None, None) => return,
        (Some(_), None) | (None, Some(_)) => {
            let opacity = if sheet.cell >= DETAIL_CELL_PIXELS { 1.0 } else { 0.5 };
            return side.stroke(canvas, sheet, thick, 0, palette::WALL, opacity);
        }
        (Some(low), Some(high)) => (low, high),
    };
    let drop = high.floor - low.floor;
    if drop.abs() > STEP_UNITS {
        side.stroke(canvas, sheet, thick, 0, palette::CLIFF, 0.9);
        if sheet.cell >= DETAIL_CELL_PIXELS {
            paint_hachures(canvas, sheet, side, drop > 0.0);
        }
    } else if drop != 0.0 && !(low.is_sky && high.is_sky) && sheet.cell >= DETAIL_CELL_PIXELS {
        side.stroke(canvas, sheet, 1, 0, palette::WALL, 0.28);
    }
}

/// Short ticks down a cliff, towards its foot.
fn paint_hachures(canvas: &mut Canvas, sheet: Sheet, side: Side, foot_is_before: bool) {
    let (x, y) = sheet.pixel(side.x as f32, side.z as f32);
    let long = (sheet.cell / 3).max(2);
    let every = (sheet.cell / 4).max(3);
    let first = if foot_is_before { -long } else { 1 };
    for along in (every / 2..sheet.cell).step_by(every as usize) {
        if side.along_x {
            canvas.fill((x + first, y + along), (long, 1), palette::CLIFF, 0.6);
        } else {
            canvas.fill((x + along, y + first), (1, long), palette::CLIFF, 0.6);
        }
    }
}

/// The grid of chunks, and where one walks from one into the next. Between open land all is open.
fn paint_border(canvas: &mut Canvas, survey: &Survey, sheet: Sheet, side: Side) {
    let (low, high) = side.cells(survey);
    let is_open = |place: Option<Place>| place.is_some_and(|p| p.air.is_some());
    let is_land = |place: Option<Place>| place.is_none_or(|p| p.biome == Biome::Exterior);
    let is_opening = is_open(low) && is_open(high) && !(is_land(low) && is_land(high));
    if is_opening {
        let thick = (sheet.cell / 4).clamp(1, 5);
        side.stroke(canvas, sheet, thick, 0, palette::OPENING, 0.95);
    } else if sheet.cell * CELLS >= 48 {
        let is_rock = |place: Option<Place>| place.is_some_and(|p| p.air.is_none());
        let colour = if is_rock(low) && is_rock(high) { palette::PANEL } else { palette::GRID };
        side.stroke(canvas, sheet, 1, 0, colour, 0.3);
    }
}

fn paint_door(canvas: &mut Canvas, sheet: Sheet, (column, row): (i32, i32), door: &Door) {
    let (low, high) = door.solid_box();
    let cells = |chunk: i32, fixed: i16| {
        (chunk * CELLS) as f32 + f32::from(fixed) / (CELL_UNITS * FIXED_PER_UNIT) as f32
    };
    let from = sheet.pixel(cells(column, low[0]), cells(row, low[2]));
    let to = sheet.pixel(cells(column, high[0]), cells(row, high[2]));
    let thick = (sheet.cell / 4).max(2);
    let (at, size) = if door.axis == Axis::X {
        (((from.0 + to.0 - thick) / 2, from.1), (thick, to.1 - from.1))
    } else {
        ((from.0, (from.1 + to.1 - thick) / 2), (to.0 - from.0, thick))
    };
    if sheet.cell >= 2 * DETAIL_CELL_PIXELS {
        canvas.fill((at.0 - 1, at.1 - 1), (size.0 + 2, size.1 + 2), palette::WALL, 0.9);
    }
    canvas.fill(at, size, palette::DOOR, 1.0);
}

/// A dot where a light hangs.
fn paint_lamp(canvas: &mut Canvas, sheet: Sheet, (x, z): (f32, f32)) {
    if sheet.cell >= DETAIL_CELL_PIXELS {
        disc(canvas, sheet.pixel(x, z), (sheet.cell as f32 / 6.0).max(1.5));
    }
}

/// The sign of a light: a bright disc with a dark rim.
pub(super) fn disc(canvas: &mut Canvas, (x, y): (i32, i32), radius: f32) {
    let reach = radius.ceil() as i32 + 1;
    for (dx, dy) in (-reach..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dx, dy))) {
        let far = (dx as f32).hypot(dy as f32);
        canvas.blend(x + dx, y + dy, palette::WALL, radius + 1.0 - far);
        canvas.blend(x + dx, y + dy, palette::GLOW, radius - far);
    }
}
