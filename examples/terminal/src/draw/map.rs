//! The ground around the player from above, two pixels to a character, and who is on it.

use std::f64::consts::TAU;

use ninefold_client::EntityView;
use ninefold_client::world::{Axis, ChunkCoord, Door, FIXED_PER_UNIT, Hinge};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::colour::{self, Depth, Rgb};
use crate::view::{Place, View, relative};

/// What the game that ships calls its creatures.
const KIND_CREATURE: u16 = 2;
/// The upper pixel is the character's colour, the lower one its ground.
const PIXELS: &str = "▀";
const PLAYER_GLYPHS: [&str; 8] = ["→", "↘", "↓", "↙", "←", "↖", "↑", "↗"];
const CREATURE_GLYPHS: [&str; 8] = ["▸", "▸", "▾", "▾", "◂", "◂", "▴", "▴"];
/// Pixels beyond the picture that are looked at too, for slopes and walls.
const MARGIN: i32 = 1;
/// Places of a door that are drawn.
const DOOR_DOTS: i32 = 24;

/// Draws it.
pub fn draw(view: &View, depth: Depth, area: Rect, buf: &mut Buffer) {
    let (Some(own), Some(origin)) = (&view.own, view.own.and_then(|own| own.position.chunk())) else {
        return;
    };
    let camera = Camera::over(relative(origin, own.position), origin, view.units_per_pixel, area);
    let mut pixels = Pixels::of(view, &camera);
    pixels.doors(view, &camera);
    for row in 0..area.height {
        for column in 0..area.width {
            let (x, z) = (i32::from(column), 2 * i32::from(row));
            let (upper, lower) = (depth.colour(pixels.at(x, z)), depth.colour(pixels.at(x, z + 1)));
            let cell = &mut buf[(area.x + column, area.y + row)];
            cell.set_symbol(PIXELS).set_fg(upper).set_bg(lower);
        }
    }
    let mut figures = Figures { pixels: &pixels, camera: &camera, depth, area, buf };
    // Labels first, so that nobody disappears behind a name.
    if view.shows_ids {
        view.entities.iter().for_each(|entity| figures.name(entity));
    }
    view.entities.iter().for_each(|entity| figures.entity(entity));
    let (at, yaw) = (relative(origin, own.position), own.yaw);
    figures.own(at, PLAYER_GLYPHS[eighth(yaw)], own.state != 0);
}

/// Which of the eight ways a yaw is nearest to.
fn eighth(yaw: u16) -> usize {
    usize::from(yaw.wrapping_add(4_096) >> 13)
}

/// From where and how large the ground is seen.
#[derive(Debug)]
struct Camera {
    /// Everything is told relative to this chunk's corner.
    origin: ChunkCoord,
    units: i32,
    /// The pixel of the world, counted from the origin, in the upper left corner. Whole pixels, so that the
    /// ground does not shimmer as the player walks.
    left: i32,
    top: i32,
    width: i32,
    height: i32,
}

impl Camera {
    fn over((x, z): (f64, f64), origin: ChunkCoord, units: i32, area: Rect) -> Camera {
        let units = units.max(1);
        let (width, height) = (i32::from(area.width), 2 * i32::from(area.height));
        let pixel = |along: f64| (along / f64::from(units)).floor() as i32;
        Camera { origin, units, left: pixel(x) - width / 2, top: pixel(z) - height / 2, width, height }
    }

    /// The pixel of a place, if it is in the picture.
    fn pixel(&self, x: f64, z: f64) -> Option<(i32, i32)> {
        let units = f64::from(self.units);
        let pixel = |along: f64, from: i32| (along / units).floor() - f64::from(from);
        let (x, z) = (pixel(x, self.left), pixel(z, self.top));
        let is_in = |at: f64, size: i32| (0.0..f64::from(size)).contains(&at);
        (is_in(x, self.width) && is_in(z, self.height)).then_some((x as i32, z as i32))
    }
}

/// The picture's pixels.
struct Pixels {
    width: i32,
    colours: Vec<Rgb>,
}

impl Pixels {
    fn of(view: &View, camera: &Camera) -> Pixels {
        let (wide, high) = (camera.width + 2 * MARGIN, camera.height + 2 * MARGIN);
        let middle = |pixel: i32| pixel * camera.units + camera.units / 2;
        let mut places = Vec::with_capacity((wide * high) as usize);
        for z in camera.top - MARGIN..camera.top - MARGIN + high {
            for x in camera.left - MARGIN..camera.left - MARGIN + wide {
                places.push(view.ground.place(camera.origin, middle(x), middle(z)));
            }
        }
        let place = |x: i32, z: i32| places[((z + MARGIN) * wide + x + MARGIN) as usize];
        let mut colours = Vec::with_capacity((camera.width * camera.height) as usize);
        for z in 0..camera.height {
            for x in 0..camera.width {
                colours.push(match place(x, z) {
                    Place::Unknown => colour::unknown(camera.left + x, camera.top + z),
                    Place::Rock => colour::rock(matches!(place(x, z + 1), Place::Floor { .. })),
                    Place::Floor { height, is_roofed, biome } => {
                        let beside = place(x - 1, z - 1);
                        let slope = match beside {
                            Place::Floor { height: other, .. } => height - other,
                            // In the shadow of a wall.
                            Place::Rock => -128,
                            Place::Unknown => 0,
                        };
                        let floor = colour::floor(biome, height, is_roofed, slope);
                        colour::chequered(floor, middle(camera.left + x), middle(camera.top + z))
                    }
                });
            }
        }
        Pixels { width: camera.width, colours }
    }

    fn at(&self, x: i32, z: i32) -> Rgb {
        self.colours[(z * self.width + x) as usize]
    }

    /// Draws the doors over the ground.
    fn doors(&mut self, view: &View, camera: &Camera) {
        for (chunk, open) in view.ground.chunks() {
            let coord = chunk.coord();
            let (aside, down) =
                (coord.cx.wrapping_sub(camera.origin.cx), coord.cz.wrapping_sub(camera.origin.cz));
            let (aside, down) = (ChunkCoord { cx: aside, cz: down }).origin();
            for (index, door) in chunk.doors().iter().enumerate() {
                let is_open = open.contains(index);
                let ((x, z), (along_x, along_z)) = leaf(door, is_open);
                let paint = if is_open { colour::DOOR_OPEN } else { colour::DOOR_CLOSED };
                for dot in 0..DOOR_DOTS {
                    let part = (f64::from(dot) + 0.5) / f64::from(DOOR_DOTS);
                    let at = camera.pixel(aside + x + part * along_x, down + z + part * along_z);
                    if let Some((x, z)) = at {
                        self.colours[(z * self.width + x) as usize] = paint;
                    }
                }
            }
        }
    }
}

/// Where a door hangs and how far it reaches from there, in units, chunk-local.
fn leaf(door: &Door, is_open: bool) -> ((f64, f64), (f64, f64)) {
    let (low, high) = door.solid_box();
    let units = |fixed: i16| f64::from(fixed) / f64::from(FIXED_PER_UNIT);
    let (low, high) = ((units(low[0]), units(low[2])), (units(high[0]), units(high[2])));
    let (from, to) = match door.axis {
        Axis::X => {
            let x = (low.0 + high.0) / 2.0;
            ((x, low.1), (x, high.1))
        }
        _ => {
            let z = (low.1 + high.1) / 2.0;
            ((low.0, z), (high.0, z))
        }
    };
    let (hinge, end) = if door.hinge == Hinge::Low { (from, to) } else { (to, from) };
    let (x, z) = (end.0 - hinge.0, end.1 - hinge.1);
    let degrees = if is_open { f64::from(door.open_degrees) } else { 0.0 };
    let (sin, cos) = (degrees / 360.0 * TAU).sin_cos();
    (hinge, (x * cos - z * sin, x * sin + z * cos))
}

/// Those who are on the ground.
struct Figures<'a> {
    pixels: &'a Pixels,
    camera: &'a Camera,
    depth: Depth,
    area: Rect,
    buf: &'a mut Buffer,
}

impl Figures<'_> {
    fn entity(&mut self, entity: &EntityView) {
        let (glyphs, paint) = style_of(entity);
        let at = relative(self.camera.origin, entity.position);
        let Some((x, z)) = self.camera.pixel(at.0, at.1) else { return };
        // On ground that is dark enough to see it.
        let under = colour::mixed(self.pixels.at(x, z & !1), self.pixels.at(x, z | 1));
        // A creature's state says what it is about, a player's that the game has singled it out.
        let is_marked = entity.state != 0 && entity.kind != KIND_CREATURE;
        let (paint, under) = match is_marked {
            true => (colour::OTHER, colour::MARKED),
            false => (paint, colour::scaled(under, 0.35)),
        };
        self.figure((x, z), glyphs[eighth(entity.yaw)], paint, under);
    }

    fn own(&mut self, (x, z): (f64, f64), glyph: &str, is_marked: bool) {
        let Some(pixel) = self.camera.pixel(x, z) else { return };
        let under = if is_marked { colour::MARKED } else { colour::OWN };
        self.figure(pixel, glyph, colour::ON_OWN, under);
    }

    /// A character in place of two pixels.
    fn figure(&mut self, (x, z): (i32, i32), glyph: &str, paint: Rgb, under: Rgb) {
        let style = Style::new().fg(self.depth.colour(paint)).bg(self.depth.colour(under));
        let cell = &mut self.buf[(self.area.x + x as u16, self.area.y + (z / 2) as u16)];
        cell.set_symbol(glyph).set_style(style.add_modifier(Modifier::BOLD));
    }

    /// Who it is, to its right.
    fn name(&mut self, entity: &EntityView) {
        let (x, z) = relative(self.camera.origin, entity.position);
        let Some((x, z)) = self.camera.pixel(x, z) else { return };
        let name = match entity.kind {
            KIND_CREATURE => "creature".to_owned(),
            _ => entity.id.to_string(),
        };
        let (_, paint) = style_of(entity);
        let fg = self.depth.colour(colour::mixed(paint, colour::OTHER));
        for (letter, x) in name.chars().zip(x + 1..self.camera.width) {
            let under = colour::mixed(self.pixels.at(x, z & !1), self.pixels.at(x, z | 1));
            let bg = self.depth.colour(colour::scaled(under, 0.35));
            let cell = &mut self.buf[(self.area.x + x as u16, self.area.y + (z / 2) as u16)];
            cell.set_char(letter).set_style(Style::new().fg(fg).bg(bg));
        }
    }
}

fn style_of(entity: &EntityView) -> ([&'static str; 8], Rgb) {
    match entity.kind {
        KIND_CREATURE => (CREATURE_GLYPHS, colour::CREATURE),
        _ => (PLAYER_GLYPHS, colour::player(entity.id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::tests::{chunk, door, entity, view};
    use ninefold_client::world::{Biome, OpenDoors};
    use std::sync::Arc;

    fn drawn(view: &View, width: u16, height: u16) -> Buffer {
        let area = Rect::new(0, 0, width, height);
        let mut buf = Buffer::empty(area);
        draw(view, Depth::True, area, &mut buf);
        buf
    }

    fn symbols(buf: &Buffer, row: u16) -> String {
        (0..buf.area.width).map(|x| buf[(x, row)].symbol()).collect()
    }

    #[test]
    fn the_ground_is_drawn_as_the_chunks_have_it() {
        let view = view();
        let buf = drawn(&view, 20, 10);
        // The player is at 100, 100 and a pixel has 16 units: six to its right is the wall, from 192 on, and the
        // chunk to the west is not here.
        let ground = colour::floor(Biome::Exterior, 0, false, 0);
        let cells = [(40, 104), (184, 104)].map(|(x, z)| Depth::True.colour(colour::chequered(ground, x, z)));
        assert_eq!([buf[(6, 5)].fg, buf[(15, 5)].fg], cells);
        assert_eq!(buf[(16, 5)].fg, Depth::True.colour(colour::rock(false)));
        assert_eq!(buf[(3, 5)].fg, Depth::True.colour(colour::unknown(-1, 6)), "16 units west of the corner");
    }

    #[test]
    fn everybody_is_shown_where_it_is_and_looks() {
        let mut view = view();
        view.entities = vec![entity(7, 1, (100.0, 36.0), 16_384), entity(1 << 63, 2, (36.0, 100.0), 0)];
        let buf = drawn(&view, 20, 10);
        assert_eq!((buf[(10, 5)].symbol(), buf[(10, 3)].symbol(), buf[(6, 5)].symbol()), ("→", "↓", "▸"));
        assert_eq!(symbols(&buf, 5).replace('▀', " ").trim(), "▸   →");
    }

    #[test]
    fn names_are_shown_when_asked_for_and_cut_at_the_edge() {
        let mut view = view();
        view.entities = vec![entity(123_456, 1, (180.0, 36.0), 0)];
        assert!(!symbols(&drawn(&view, 20, 10), 3).contains("1234"));
        view.shows_ids = true;
        assert!(
            symbols(&drawn(&view, 20, 10), 3).ends_with("→1234"),
            "{}",
            symbols(&drawn(&view, 20, 10), 3)
        );
    }

    #[test]
    fn whom_the_game_has_marked_stands_out() {
        let mut view = view();
        view.entities = vec![EntityView { state: 1, ..entity(7, 1, (100.0, 36.0), 0) }];
        assert_eq!(drawn(&view, 20, 10)[(10, 3)].bg, Depth::True.colour(colour::MARKED));
    }

    #[test]
    fn a_door_is_drawn_across_its_way_and_open_along_it() {
        let closed = leaf(&door(), false);
        assert_eq!(closed, ((64.0, 128.0), (0.0, 64.0)));
        let (hinge, (x, z)) = leaf(&door(), true);
        assert_eq!((hinge, x.round(), z.round()), ((64.0, 128.0), -64.0, 0.0));
        let mut view = view();
        view.ground.insert(Arc::new(chunk(&[door()])), OpenDoors::NONE);
        let paint = Depth::True.colour(colour::DOOR_CLOSED);
        let buf = drawn(&view, 20, 10);
        let painted = |buf: &Buffer, paint| {
            buf.content.iter().filter(|c| c.fg == paint).count()
                + buf.content.iter().filter(|c| c.bg == paint).count()
        };
        assert_eq!(painted(&buf, paint), 4, "64 units are four pixels");
        view.ground.insert(Arc::new(chunk(&[door()])), OpenDoors(1));
        let buf = drawn(&view, 20, 10);
        let open = painted(&buf, Depth::True.colour(colour::DOOR_OPEN));
        assert!(painted(&buf, paint) == 0 && (4..=5).contains(&open), "{open}");
    }
}
