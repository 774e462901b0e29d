//! Colours of the map, and how they mix. sRGB, 0 to 255.

/// Red, green, blue.
pub type Colour = [f32; 3];

/// `#rrggbb`.
const fn hex(rgb: u32) -> Colour {
    [((rgb >> 16) & 255) as f32, ((rgb >> 8) & 255) as f32, (rgb & 255) as f32]
}

pub const PAPER: Colour = hex(0xf3eee2);
pub const PANEL: Colour = hex(0xfaf7ef);
pub const INK: Colour = hex(0x35312b);
pub const FAINT_INK: Colour = hex(0x857c6d);
pub const RULE: Colour = hex(0xcfc5b2);

/// Rock of dungeons and of courtyards, and their floors, low and high.
pub const DUNGEON_ROCK: Colour = hex(0x4d4f5c);
pub const DUNGEON_FLOOR: [Colour; 2] = [hex(0xa9a9b0), hex(0xd3d1cf)];
pub const COURTYARD_ROCK: Colour = hex(0x8a7259);
pub const COURTYARD_FLOOR: [Colour; 2] = [hex(0xd8c096), hex(0xefdfbd)];
pub const LAWN: [Colour; 2] = [hex(0x9db57c), hex(0xb7c893)];
/// Open land by height: meadow, slope, heath, bare.
pub const LAND: [Colour; 5] = [hex(0x86ab7c), hex(0xa9c089), hex(0xd0cb98), hex(0xd3b98c), hex(0xe9dfcd)];
pub const LAND_ROCK: Colour = hex(0x7b756b);
pub const CLIFF: Colour = hex(0x5a4a3c);
pub const CONTOUR: Colour = hex(0x9a8258);
pub const WALL: Colour = hex(0x2c2a2e);
pub const OPENING: Colour = hex(0xd0572f);
pub const DOOR: Colour = hex(0x7a431f);
pub const GRID: Colour = hex(0x2c2a2e);
pub const GLOW: Colour = hex(0xffd27a);

/// From one colour to another.
pub fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    std::array::from_fn(|i| from[i] + (to[i] - from[i]) * share)
}

/// A place on a ramp of colours, 0 to 1.
pub fn ramp(colours: &[Colour], at: f32) -> Colour {
    let place = at.clamp(0.0, 1.0) * (colours.len() - 1) as f32;
    let first = (place as usize).min(colours.len() - 2);
    mix(colours[first], colours[first + 1], place - first as f32)
}

/// Lighter above 1, darker below.
pub fn scale(colour: Colour, by: f32) -> Colour {
    colour.map(|c| (c * by).clamp(0.0, 255.0))
}
