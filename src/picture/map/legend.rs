//! The sheet around the map: frame, coordinates, title, legend.

use ninefold_world::{Biome, CELLS_PER_CHUNK, CHUNK_UNITS};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight};

use super::palette::{self, Colour, ramp};
use super::survey::Survey;
use super::{Sheet, marks};
use crate::picture::canvas::{Canvas, Style, text_width};

/// The field of chunks is about so many pixels wide; a cell has at least one.
const FIELD_PIXELS: i32 = 1_056;
/// A cell is no larger than this.
const CELL_PIXELS_MAX: i32 = 24;
/// Paper around the field.
const MARGIN: i32 = 36;
/// Between a coordinate and the field.
const GAP: i32 = 10;
const LEGEND_WIDTH: i32 = 336;
/// From one line of the legend to the next.
const LINE: i32 = 30;
/// The legend's own height, without the field's.
const LEGEND_HEIGHT: i32 = 708;

const TITLE: Style = Style { colour: palette::INK, size: RasterHeight::Size24, weight: FontWeight::Bold };
const HEADING: Style = Style { colour: palette::INK, size: RasterHeight::Size16, weight: FontWeight::Bold };
const BODY: Style = Style { colour: palette::INK, size: RasterHeight::Size16, weight: FontWeight::Regular };
const FAINT: Style =
    Style { colour: palette::FAINT_INK, size: RasterHeight::Size16, weight: FontWeight::Regular };
const TEXT_HEIGHT: i32 = 16;

/// An empty sheet with room for the field, its coordinates and the legend.
pub(super) fn sheet(survey: &Survey) -> (Canvas, Sheet) {
    let cell = (FIELD_PIXELS / survey.side).clamp(1, CELL_PIXELS_MAX);
    let side = cell * survey.side;
    let labels = (0..=2 * survey.radius).filter_map(|n| row_label(survey, n));
    let widest = labels.map(|label| text_width(&label, FAINT)).max().unwrap_or(0);
    let at = (MARGIN + widest + GAP, MARGIN + TEXT_HEIGHT + GAP);
    let width = at.0 + side + MARGIN + LEGEND_WIDTH + MARGIN;
    let height = at.1 + side.max(LEGEND_HEIGHT) + MARGIN;
    (Canvas::new(width as usize, height as usize, palette::PAPER), Sheet { at, cell, side })
}

fn row_label(survey: &Survey, n: i32) -> Option<String> {
    Some(survey.centre.cz.checked_add(n - survey.radius)?.to_string())
}

/// Writes all that stands around the field.
pub(super) fn write(canvas: &mut Canvas, survey: &Survey, sheet: Sheet, world_seed: u64) {
    let rim = |by: i32| ((sheet.at.0 - by, sheet.at.1 - by), (sheet.side + 2 * by, sheet.side + 2 * by));
    let (at, size) = rim(1);
    canvas.frame(at, size, palette::INK);
    let (at, size) = rim(4);
    canvas.frame(at, size, palette::INK);
    write_coordinates(canvas, survey, sheet);
    write_legend(canvas, survey, sheet, world_seed);
}

/// The coordinates of chunks along the top and the left, as many as there is room for.
fn write_coordinates(canvas: &mut Canvas, survey: &Survey, sheet: Sheet) {
    let chunk = sheet.cell * CELLS_PER_CHUNK as i32;
    let across = 2 * survey.radius + 1;
    let column = |n: i32| Some(survey.centre.cx.checked_add(n - survey.radius)?.to_string());
    let widest = (0..across).filter_map(column).map(|l| text_width(&l, FAINT)).max().unwrap_or(0);
    // Counted from the middle, so that the centre is always named.
    let named = |every: i32| (0..across).filter(move |n| (n - survey.radius) % every == 0);
    let every = |room: i32| (room + chunk - 1) / chunk;
    for n in named(every(widest + 2 * GAP)) {
        let Some(label) = column(n) else { continue };
        let middle = sheet.at.0 + n * chunk + chunk / 2;
        let style = if n == survey.radius { HEADING } else { FAINT };
        canvas.fill((middle, sheet.at.1 - 8), (1, 4), palette::FAINT_INK, 1.0);
        let left = middle - text_width(&label, style) / 2;
        canvas.text((left, sheet.at.1 - GAP - TEXT_HEIGHT), &label, style);
    }
    for n in named(every(TEXT_HEIGHT + GAP)) {
        let Some(label) = row_label(survey, n) else { continue };
        let middle = sheet.at.1 + n * chunk + chunk / 2;
        let style = if n == survey.radius { HEADING } else { FAINT };
        canvas.fill((sheet.at.0 - 8, middle), (4, 1), palette::FAINT_INK, 1.0);
        let left = sheet.at.0 - GAP - text_width(&label, style);
        canvas.text((left, middle - TEXT_HEIGHT / 2), &label, style);
    }
}

/// Where the next line of the legend goes.
struct Column<'c> {
    canvas: &'c mut Canvas,
    left: i32,
    top: i32,
}

impl Column<'_> {
    fn line(&mut self, text: &str, style: Style) {
        self.canvas.text((self.left, self.top), text, style);
        self.top += LINE - 6;
    }

    fn heading(&mut self, text: &str) {
        self.top += 12;
        self.line(text, HEADING);
        self.canvas.fill((self.left, self.top - 2), (LEGEND_WIDTH - 48, 1), palette::RULE, 1.0);
        self.top += 10;
    }

    /// A sign of 44 x 20 pixels and what it means.
    fn entry(&mut self, text: &str, sign: impl FnOnce(&mut Canvas, (i32, i32))) {
        sign(self.canvas, (self.left, self.top - 1));
        self.canvas.text((self.left + 58, self.top + 1), text, BODY);
        self.top += LINE;
    }
}

const SIGN: (i32, i32) = (44, 20);

fn swatch(colours: &'static [Colour]) -> impl FnOnce(&mut Canvas, (i32, i32)) {
    move |canvas, at| {
        for x in 0..SIGN.0 {
            let colour =
                if colours.len() == 1 { colours[0] } else { ramp(colours, x as f32 / (SIGN.0 - 1) as f32) };
            canvas.fill((at.0 + x, at.1), (1, SIGN.1), colour, 1.0);
        }
        canvas.frame(at, SIGN, palette::INK);
    }
}

/// Rock with a floor in it.
fn room(rock: Colour, floor: &'static [Colour; 2]) -> impl FnOnce(&mut Canvas, (i32, i32)) {
    move |canvas, at| {
        canvas.fill(at, SIGN, rock, 1.0);
        canvas.fill((at.0 + 14, at.1 + 5), (24, 15), palette::WALL, 1.0);
        canvas.fill((at.0 + 15, at.1 + 6), (22, 14), floor[1], 1.0);
        canvas.frame(at, SIGN, palette::INK);
    }
}

fn write_legend(canvas: &mut Canvas, survey: &Survey, sheet: Sheet, world_seed: u64) {
    let at = (sheet.at.0 + sheet.side + MARGIN, sheet.at.1 - 4);
    canvas.fill(at, (LEGEND_WIDTH, LEGEND_HEIGHT), palette::PANEL, 1.0);
    canvas.frame(at, (LEGEND_WIDTH, LEGEND_HEIGHT), palette::RULE);
    let mut column = Column { canvas, left: at.0 + 24, top: at.1 + 24 };
    column.line("ninefold", TITLE);
    column.top += 10;
    let centre = survey.centre;
    let across = 2 * survey.radius + 1;
    column.line(&format!("seed {world_seed}"), BODY);
    column.line(&format!("centre {},{}", centre.cx, centre.cz), BODY);
    column.line(&format!("{across} x {across} chunks"), BODY);
    column.heading("Biomes");
    let share = |biome: Biome| {
        let count = survey.chunks.iter().filter(|(_, chunk)| chunk.biome() == biome).count();
        format!("{} %", (100 * count + survey.chunks.len() / 2) / survey.chunks.len())
    };
    let dungeon = format!("dungeon, {}", share(Biome::Dungeon));
    column.entry(&dungeon, room(palette::DUNGEON_ROCK, &palette::DUNGEON_FLOOR));
    let courtyard = format!("courtyard, {}", share(Biome::Courtyard));
    column.entry(&courtyard, room(palette::COURTYARD_ROCK, &palette::COURTYARD_FLOOR));
    column.entry("  its open ground", swatch(&palette::LAWN));
    column.entry(&format!("open land, {}", share(Biome::Exterior)), swatch(&palette::LAND));
    column.canvas.text((column.left, column.top - 6), "0       104 units high", FAINT);
    column.top += 18;
    column.heading("Signs");
    write_signs(&mut column);
    column.heading("Scale");
    write_scale(&mut column, sheet);
}

fn write_signs(column: &mut Column<'_>) {
    let line = |colour: Colour, thick: i32| {
        move |canvas: &mut Canvas, at: (i32, i32)| {
            canvas.fill((at.0, at.1 + 10 - thick / 2), (SIGN.0, thick), colour, 1.0);
        }
    };
    column.entry("wall", line(palette::WALL, 2));
    column.entry("cliff, ticks to its foot", |canvas, at| {
        canvas.fill((at.0, at.1 + 6), (SIGN.0, 2), palette::CLIFF, 1.0);
        for x in (2..SIGN.0).step_by(5) {
            canvas.fill((at.0 + x, at.1 + 8), (1, 6), palette::CLIFF, 0.7);
        }
    });
    column.entry("contour, each 16 units", line(palette::CONTOUR, 1));
    column.entry("edge of a chunk", line(palette::RULE, 1));
    column.entry("opening between chunks", line(palette::OPENING, 4));
    column.entry("door", |canvas, at| {
        canvas.fill((at.0 + 10, at.1 + 7), (24, 6), palette::WALL, 1.0);
        canvas.fill((at.0 + 11, at.1 + 8), (22, 4), palette::DOOR, 1.0);
    });
    column.entry("light", |canvas, at| marks::disc(canvas, (at.0 + 22, at.1 + 10), 4.0));
}

/// A bar as long as whole chunks or a part of one, and where north is.
fn write_scale(column: &mut Column<'_>, sheet: Sheet) {
    let chunk = sheet.cell * CELLS_PER_CHUNK as i32;
    let room = LEGEND_WIDTH - 120;
    let (units, pixels) = if chunk > room {
        (CHUNK_UNITS / 4, chunk / 4)
    } else {
        let chunks = [1, 2, 5, 10].into_iter().rev().find(|n| n * chunk <= room).unwrap_or(1);
        (chunks * CHUNK_UNITS, chunks * chunk)
    };
    let at = (column.left, column.top + 6);
    for part in 0..4 {
        let from = pixels * part / 4;
        let colour = if part % 2 == 0 { palette::INK } else { palette::PANEL };
        column.canvas.fill((at.0 + from, at.1), (pixels * (part + 1) / 4 - from, 7), colour, 1.0);
    }
    column.canvas.frame(at, (pixels, 7), palette::INK);
    column.canvas.text((at.0, at.1 + 14), &format!("{units} units"), BODY);
    let north = (column.left + LEGEND_WIDTH - 76, column.top - 6);
    for y in 0..26 {
        let half = y / 3;
        column.canvas.fill((north.0 - half, north.1 + y), (half + 1, 1), palette::INK, 1.0);
        column.canvas.fill((north.0, north.1 + y), (half, 1), palette::RULE, 1.0);
    }
    column.canvas.text((north.0 - 4, north.1 + 30), "N", HEADING);
}
