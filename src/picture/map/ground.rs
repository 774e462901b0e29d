//! What lies under the lines of the map: land, floors, rock, and the glow of lights.

use ninefold_world::{Biome, CELL_UNITS, CELLS_PER_CHUNK, FIXED_PER_UNIT, Light};
use rayon::prelude::*;

use super::palette::{self, Colour, mix, ramp, scale};
use super::survey::{Air, Place, Survey};
use super::{DETAIL_CELL_PIXELS, Sheet};
use crate::picture::canvas::Canvas;

/// The highest ground on its ramp of colours, in units.
const HIGH_UNITS: f32 = 104.0;
/// The highest floor under a roof on its ramp, in units.
const HIGH_FLOOR_UNITS: f32 = 40.0;
/// Between two contours, in units.
const CONTOUR_UNITS: f32 = 16.0;
/// Towards the light of the map: west, up, north; of length 1.
const MAP_LIGHT: [f32; 3] = [-0.5, 0.707, -0.5];
/// Heights are drawn this much steeper than they are.
const RELIEF: f32 = 1.6;
/// How far rock shadows the floor beside it, in cells.
const SHADOW_CELLS: f32 = 0.45;
/// Parts of a cell by which a light's way is followed.
const GLOW_STEPS_PER_CELL: f32 = 4.0;

/// Paints every pixel of the field.
pub(super) fn paint(canvas: &mut Canvas, survey: &Survey, sheet: Sheet) {
    let rows: Vec<Vec<Colour>> = (0..sheet.side)
        .into_par_iter()
        .map(|y| (0..sheet.side).map(|x| colour_at(survey, sheet, x, y)).collect())
        .collect();
    for (y, row) in rows.into_iter().enumerate() {
        for (x, colour) in row.into_iter().enumerate() {
            canvas.blend(sheet.at.0 + x as i32, sheet.at.1 + y as i32, colour, 1.0);
        }
    }
}

fn colour_at(survey: &Survey, sheet: Sheet, x: i32, y: i32) -> Colour {
    let cells = |pixel: i32| (pixel as f32 + 0.5) / sheet.cell as f32;
    let (cx, cz) = (cells(x), cells(y));
    let Some(place) = survey.at(x / sheet.cell, y / sheet.cell) else { return palette::PAPER };
    let Some(air) = place.air else { return rock(place.biome) };
    let base = floor_colour(survey, place, air, cx, cz);
    let base = if is_land(place, air) && sheet.cell >= DETAIL_CELL_PIXELS {
        mix(base, palette::CONTOUR, 0.5 * contour(survey, sheet, cx, cz))
    } else {
        base
    };
    scale(base, shadow(survey, air, cx, cz))
}

fn rock(biome: Biome) -> Colour {
    match biome {
        Biome::Dungeon => palette::DUNGEON_ROCK,
        Biome::Courtyard => palette::COURTYARD_ROCK,
        Biome::Exterior => palette::LAND_ROCK,
    }
}

fn is_land(place: Place, air: Air) -> bool {
    air.is_sky && place.biome == Biome::Exterior
}

fn floor_colour(survey: &Survey, place: Place, air: Air, cx: f32, cz: f32) -> Colour {
    let indoors = air.floor / HIGH_FLOOR_UNITS;
    if is_land(place, air) {
        // The cell's own height and the land's around it: terraces stay visible, and hills are smooth.
        let height = 0.5 * air.floor + 0.5 * smooth_height(survey, cx, cz);
        return scale(ramp(&palette::LAND, height / HIGH_UNITS), relief(survey, cx, cz));
    }
    match (place.biome, air.is_sky) {
        (_, true) => ramp(&palette::LAWN, indoors),
        (Biome::Dungeon, false) => ramp(&palette::DUNGEON_FLOOR, indoors),
        (_, false) => ramp(&palette::COURTYARD_FLOOR, indoors),
    }
}

/// The height of the ground between the middles of the cells around a place; rock and the outside count
/// as the cell's own height.
fn smooth_height(survey: &Survey, cx: f32, cz: f32) -> f32 {
    let (x, z) = (cx - 0.5, cz - 0.5);
    let (x0, z0) = (x.floor(), z.floor());
    let own = survey.air(cx.floor() as i32, cz.floor() as i32).map_or(0.0, |air| air.floor);
    let at = |dx: i32, dz: i32| {
        let air = survey.air(x0 as i32 + dx, z0 as i32 + dz).filter(|air| air.is_sky);
        air.map_or(own, |air| air.floor)
    };
    let (u, v) = (x - x0, z - z0);
    let north = at(0, 0) + (at(1, 0) - at(0, 0)) * u;
    let south = at(0, 1) + (at(1, 1) - at(0, 1)) * u;
    north + (south - north) * v
}

/// How the slope stands to the light of the map: about 1 on the flat.
fn relief(survey: &Survey, cx: f32, cz: f32) -> f32 {
    let step = 0.5;
    let height = |dx: f32, dz: f32| smooth_height(survey, cx + dx, cz + dz);
    let rise = RELIEF / (2.0 * step * CELL_UNITS as f32);
    let slope_x = (height(step, 0.0) - height(-step, 0.0)) * rise;
    let slope_z = (height(0.0, step) - height(0.0, -step)) * rise;
    let [lx, ly, lz] = MAP_LIGHT;
    let facing = (ly - slope_x * lx - slope_z * lz) / (1.0 + slope_x * slope_x + slope_z * slope_z).sqrt();
    0.62 + 0.38 * (facing / ly).clamp(0.0, 1.35)
}

/// 1 on a contour, 0 a pixel beside it.
fn contour(survey: &Survey, sheet: Sheet, cx: f32, cz: f32) -> f32 {
    let pixel = 0.5 / sheet.cell as f32;
    let height = |dx: f32, dz: f32| smooth_height(survey, cx + dx, cz + dz);
    let slope_x = height(pixel, 0.0) - height(-pixel, 0.0);
    let slope_z = height(0.0, pixel) - height(0.0, -pixel);
    let per_pixel = slope_x.hypot(slope_z);
    // Land is cut into steps of 8 units: half a step off, no plain lies on a contour.
    let height = height(0.0, 0.0) / CONTOUR_UNITS + 0.25;
    let off = (height - height.round()).abs() * CONTOUR_UNITS;
    if per_pixel < 1e-3 { 0.0 } else { (1.0 - off / per_pixel).clamp(0.0, 1.0) }
}

/// How much of its light a floor keeps beside higher rock to its north and west.
fn shadow(survey: &Survey, air: Air, cx: f32, cz: f32) -> f32 {
    let (x, z) = (cx.floor() as i32, cz.floor() as i32);
    let (u, v) = (cx - cx.floor(), cz - cz.floor());
    let depth = |dx: i32, dz: i32| match survey.at(x + dx, z + dz) {
        None => 0.0,
        Some(Place { air: None, .. }) => 1.0,
        Some(Place { air: Some(other), .. }) => ((other.floor - air.floor - 24.0) / 48.0).clamp(0.0, 1.0),
    };
    let fall = |distance: f32| (1.0 - distance / SHADOW_CELLS).clamp(0.0, 1.0);
    let west = depth(-1, 0) * fall(u);
    let north = depth(0, -1) * fall(v);
    let corner = depth(-1, -1) * fall(u.max(v));
    let dark = west.max(north).max(corner);
    let rim = depth(1, 0) * fall(2.0 * (1.0 - u)) + depth(0, 1) * fall(2.0 * (1.0 - v));
    1.0 - 0.42 * dark * dark - 0.1 * rim
}

/// Paints the glow of every light over the floors that it reaches.
pub(super) fn paint_glows(canvas: &mut Canvas, survey: &Survey, sheet: Sheet) {
    for (place, chunk) in &survey.chunks {
        for light in chunk.lights() {
            paint_glow(canvas, survey, sheet, light_cells(*place, light), light);
        }
    }
}

/// Where a light is, in cells of the field.
pub(super) fn light_cells((column, row): (i32, i32), light: &Light) -> (f32, f32) {
    let cells = |chunk: i32, fixed: i16| {
        let cell_fixed = (CELL_UNITS * FIXED_PER_UNIT) as f32;
        (chunk * CELLS_PER_CHUNK as i32) as f32 + f32::from(fixed) / cell_fixed
    };
    (cells(column, light.at.x), cells(row, light.at.z))
}

fn paint_glow(canvas: &mut Canvas, survey: &Survey, sheet: Sheet, from: (f32, f32), light: &Light) {
    let radius = f32::from(light.radius_units) / CELL_UNITS as f32;
    let colour = light.colour.map(f32::from);
    let low = sheet.pixel(from.0 - radius, from.1 - radius);
    let high = sheet.pixel(from.0 + radius, from.1 + radius);
    let clamp = |low: i32, high: i32, first: i32| low.max(first)..high.min(first + sheet.side);
    for y in clamp(low.1, high.1, sheet.at.1) {
        for x in clamp(low.0, high.0, sheet.at.0) {
            let cells = |pixel: i32, first: i32| ((pixel - first) as f32 + 0.5) / sheet.cell as f32;
            let to = (cells(x, sheet.at.0), cells(y, sheet.at.1));
            let near = 1.0 - (to.0 - from.0).hypot(to.1 - from.1) / radius;
            if near > 0.0 && is_in_sight(survey, from, to) {
                canvas.blend(x, y, colour, 0.5 * near * near);
            }
        }
    }
}

/// Whether no rock lies between two places, seen from above.
fn is_in_sight(survey: &Survey, from: (f32, f32), to: (f32, f32)) -> bool {
    let (dx, dz) = (to.0 - from.0, to.1 - from.1);
    let steps = (dx.hypot(dz) * GLOW_STEPS_PER_CELL).ceil().max(1.0);
    (0..=steps as u32).all(|n| {
        let share = n as f32 / steps;
        let (x, z) = (from.0 + dx * share, from.1 + dz * share);
        survey.air(x.floor() as i32, z.floor() as i32).is_some_and(|air| !air.is_sky)
    })
}
