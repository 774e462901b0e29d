//! Colours: all are chosen for dark terminals, and come down to the 256 that every terminal has.

use std::sync::LazyLock;

use ninefold_client::world::{Biome, CELL_UNITS, CHUNK_HEIGHT_UNITS, FIXED_PER_UNIT};
use ratatui::style::Color;

/// Red, green, blue.
pub type Rgb = [u8; 3];

pub const FRAME: Rgb = [74, 82, 104];
pub const TITLE: Rgb = [236, 196, 108];
pub const LABEL: Rgb = [138, 146, 166];
pub const VALUE: Rgb = [222, 226, 234];
pub const WARNING: Rgb = [240, 128, 96];
pub const OWN: Rgb = [255, 236, 110];
pub const ON_OWN: Rgb = [30, 24, 0];
pub const OLD: Rgb = [104, 112, 132];
pub const CREATURE: Rgb = [255, 150, 190];
pub const OTHER: Rgb = [236, 236, 236];
pub const MARKED: Rgb = [255, 84, 84];
pub const DOOR_CLOSED: Rgb = [226, 140, 62];
pub const DOOR_OPEN: Rgb = [120, 190, 120];
const ROCK: Rgb = [34, 36, 46];
const WALL: Rgb = [70, 74, 92];
const UNKNOWN: Rgb = [13, 14, 19];
const HATCH: Rgb = [27, 29, 38];
/// Players have one of these, by who they are.
const PLAYERS: [Rgb; 6] =
    [[110, 220, 255], [150, 240, 170], [200, 170, 255], [255, 190, 120], [120, 240, 220], [250, 160, 230]];

/// How colours reach the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// As they are.
    True,
    /// The nearest of the 6 x 6 x 6 and the greys that terminals with 256 colours have.
    Indexed,
}

impl Depth {
    /// What the terminal says of itself in `COLORTERM`.
    pub fn of(colorterm: Option<&str>) -> Depth {
        match colorterm {
            Some("truecolor" | "24bit") => Depth::True,
            _ => Depth::Indexed,
        }
    }

    /// A colour for this terminal.
    pub fn colour(self, rgb: Rgb) -> Color {
        match self {
            Depth::True => Color::Rgb(rgb[0], rgb[1], rgb[2]),
            Depth::Indexed => Color::Indexed(nearest(rgb)),
        }
    }
}

/// Levels of the colour cube.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
const CUBE_FIRST: u8 = 16;
const GREYS_FIRST: u8 = 232;
/// Levels of each of red, green and blue that are told apart.
const TOLD_APART: usize = 32;
/// How far colours are driven apart before the nearest is taken: the dark ones of the cube are few, and earth and
/// grass would all be grey.
const SATURATION: (i32, i32) = (3, 2);
/// Dim olive and rose, to which grass and earth are nearest and which look like nothing of them.
const LEFT_OUT: [u8; 4] = [58, 95, 131, 138];
/// What a difference in brightness weighs against one in colour.
const BRIGHTNESS_WEIGHT: i32 = 3;

/// The nearest of the 256 for each colour, worked out once.
static NEAREST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let level = |at: usize| (at % TOLD_APART * 255 / (TOLD_APART - 1)) as u8;
    let colour = |at: usize| [level(at / (TOLD_APART * TOLD_APART)), level(at / TOLD_APART), level(at)];
    (0..TOLD_APART.pow(3)).map(|at| search(colour(at))).collect()
});

fn nearest(rgb: Rgb) -> u8 {
    let level = |value: u8| (usize::from(value) * (TOLD_APART - 1) + 127) / 255;
    NEAREST[rgb.iter().fold(0, |at, value| at * TOLD_APART + level(*value))]
}

fn search(rgb: Rgb) -> u8 {
    let [wanted, blue, red] = brightness_and_colour(rgb);
    let (blue, red) = (blue * SATURATION.0 / SATURATION.1, red * SATURATION.0 / SATURATION.1);
    let distance = |index: u8| {
        let other = brightness_and_colour(indexed(index));
        BRIGHTNESS_WEIGHT * (other[0] - wanted).pow(2) + (other[1] - blue).pow(2) + (other[2] - red).pow(2)
    };
    let candidates = (CUBE_FIRST..=u8::MAX).filter(|index| !LEFT_OUT.contains(index));
    candidates.min_by_key(|index| distance(*index)).unwrap_or(CUBE_FIRST)
}

/// What a terminal shows for one of the 256, from the cube on.
fn indexed(index: u8) -> Rgb {
    if index >= GREYS_FIRST {
        return [8 + 10 * (index - GREYS_FIRST); 3];
    }
    let in_cube = usize::from(index - CUBE_FIRST);
    [in_cube / 36, in_cube / 6 % 6, in_cube % 6].map(|level| LEVELS[level])
}

/// How bright, and how much more blue and red than that.
fn brightness_and_colour([red, green, blue]: Rgb) -> [i32; 3] {
    let [red, green, blue] = [red, green, blue].map(i32::from);
    let brightness = (2 * red + 5 * green + blue) / 8;
    [brightness, blue - brightness, red - brightness]
}

/// Brighter or darker.
pub fn scaled(rgb: Rgb, by: f64) -> Rgb {
    rgb.map(|v| (f64::from(v) * by).round().clamp(0.0, 255.0) as u8)
}

/// Half of each.
pub fn mixed(a: Rgb, b: Rgb) -> Rgb {
    std::array::from_fn(|i| u8::midpoint(a[i], b[i]))
}

/// What a player is drawn in.
pub fn player(id: u64) -> Rgb {
    PLAYERS[(id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % PLAYERS.len()]
}

/// What a biome's floors are drawn in, before light.
pub fn biome(biome: Biome) -> Rgb {
    match biome {
        Biome::Dungeon => [128, 118, 150],
        Biome::Courtyard => [182, 154, 112],
        Biome::Exterior => [104, 158, 84],
    }
}

/// A floor: brighter the higher it is, dimmer under a roof, and by the slope towards the light in the north-west.
pub fn floor(of: Biome, height: i16, is_roofed: bool, slope: i16) -> Rgb {
    let highest = f64::from(CHUNK_HEIGHT_UNITS * FIXED_PER_UNIT);
    let high = f64::from(height).clamp(0.0, highest) / highest;
    let relief = (f64::from(slope) / 256.0).clamp(-1.0, 1.0) * 0.22;
    let light = if is_roofed { 0.78 } else { 0.95 };
    scaled(biome(of), light * (0.55 + 0.6 * high + relief))
}

/// Every other cell is a little brighter, so that one sees oneself walk on flat ground.
pub fn chequered(rgb: Rgb, x_units: i32, z_units: i32) -> Rgb {
    let cell = |units: i32| units.div_euclid(CELL_UNITS);
    if (cell(x_units) + cell(z_units)).rem_euclid(2) == 0 { rgb } else { scaled(rgb, 1.07) }
}

/// Rock; `is_wall` where its southern side shows.
pub fn rock(is_wall: bool) -> Rgb {
    if is_wall { WALL } else { ROCK }
}

/// Where no chunk is here: hatched, and the hatching lies still while the player walks.
pub fn unknown(x: i32, z: i32) -> Rgb {
    if (x + z).rem_euclid(4) == 0 { HATCH } else { UNKNOWN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_down_to_those_that_the_terminal_has() {
        let index = |rgb| Depth::Indexed.colour(rgb);
        let plain = [[0; 3], [255; 3], [255, 0, 0]].map(index);
        assert_eq!(plain, [16, 231, 196].map(Color::Indexed));
        assert_eq!(index([18; 3]), Color::Indexed(233), "a dark grey of [18; 3]");
        // Earth is never pink, and grass is green though a grey is nearer to it.
        for height in 0..1_024 {
            let [red, green, blue] = indexed(nearest(floor(Biome::Courtyard, height, false, 0)));
            assert!(red == green || green > blue, "{height}: {red} {green} {blue}");
        }
        let [red, green, blue] = indexed(nearest(floor(Biome::Exterior, 300, false, 0)));
        assert!(green > red && green > blue, "{red} {green} {blue}");
        assert_eq!(Depth::True.colour([1, 2, 3]), Color::Rgb(1, 2, 3));
    }

    #[test]
    fn higher_ground_and_slopes_towards_the_light_are_brighter() {
        let sum = |rgb: Rgb| rgb.iter().map(|v| u32::from(*v)).sum::<u32>();
        let ground = |height, slope| sum(floor(Biome::Exterior, height, false, slope));
        assert!(ground(0, 0) < ground(512, 0) && ground(512, 0) < ground(1_024, 0));
        assert!(ground(256, -256) < ground(256, 0) && ground(256, 0) < ground(256, 256));
        assert!(sum(floor(Biome::Dungeon, 0, true, 0)) < sum(floor(Biome::Dungeon, 0, false, 0)));
    }
}
