//! What surfaces are made of: stone, wood, earth and grass, computed from a place in the world.

use glam::Vec3;

use super::noise::{Texel, fade, hash, smoothstep, unit};
use super::surface::{Material, Surface};

/// How a place of a surface looks.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// What it throws back of light.
    pub albedo: Vec3,
    /// How far it stands out, in units.
    pub height: f32,
}

/// `#rrggbb` as light, with a gamma of 2.
const fn paint(rgb: u32) -> Vec3 {
    const fn light(byte: u32) -> f32 {
        let share = (byte & 255) as f32 / 255.0;
        share * share
    }
    Vec3::new(light(rgb >> 16), light(rgb >> 8), light(rgb))
}

/// The material of meadows.
pub const GRASS: u8 = 9;

const MORTAR: Vec3 = paint(0x3c3934);
const FLAGSTONE: [Vec3; 2] = [paint(0x6c6964), paint(0x8b847a)];
const MASONRY: [Vec3; 2] = [paint(0x6e6a65), paint(0x938a7d)];
const VAULT: [Vec3; 2] = [paint(0x565350), paint(0x6d6862)];
const FLOORBOARD: [Vec3; 2] = [paint(0x77604a), paint(0xa08767)];
const ASHLAR: [Vec3; 2] = [paint(0xb3a085), paint(0xcdbd9f)];
const ASHLAR_JOINT: Vec3 = paint(0x8f7c61);
const BOARD: [Vec3; 2] = [paint(0x927a5c), paint(0xb09472)];
const BEAM: Vec3 = paint(0x5d4029);
const EARTH: [Vec3; 2] = [paint(0x6b563c), paint(0x917752)];
const PEBBLE: Vec3 = paint(0x8f8371);
const ROCK: [Vec3; 2] = [paint(0x5b5146), paint(0x857862)];
const MEADOW: [Vec3; 3] = [paint(0x43552f), paint(0x657744), paint(0x918b5c)];
const PLANK: [Vec3; 2] = [paint(0x5c4733), paint(0x7d6347)];
const OAK: Vec3 = paint(0x46372a);
const IRON: Vec3 = paint(0x45433f);
const PLAIN: Vec3 = paint(0x9a958c);

/// What a material throws back on average, for light that bounces.
pub fn bounce(material: Material) -> Vec3 {
    let middle = |pair: [Vec3; 2]| (pair[0] + pair[1]) * 0.5;
    match material {
        Material::Numbered(1) => middle(FLAGSTONE),
        Material::Numbered(2) => middle(MASONRY),
        Material::Numbered(3) => middle(VAULT),
        Material::Numbered(4) => middle(FLOORBOARD),
        Material::Numbered(5) => middle(ASHLAR),
        Material::Numbered(6) => middle(BOARD),
        Material::Numbered(7) => middle(EARTH),
        Material::Numbered(8) => middle(ROCK),
        Material::Numbered(GRASS) => MEADOW[1],
        Material::Planks => middle(PLANK),
        Material::Frame => OAK,
        Material::Iron => IRON,
        Material::Numbered(_) | Material::Glass(_) => PLAIN,
    }
}

/// The look of a place of a surface.
pub fn look(surface: &Surface, texel: &Texel) -> Look {
    let look = bare(surface.material, texel, surface.is_level());
    match surface.turf {
        Some(top) => overgrown(look, texel, top - texel.at[1]),
        None => look,
    }
}

/// The grass on top of a wall hangs over its edge.
fn overgrown(look: Look, texel: &Texel, below: f32) -> Look {
    let hangs = 2.6 + 1.6 * texel.smooth(8.0, 41) + 1.4 * texel.smooth(2.0, 42);
    let share = 1.0 - smoothstep(hangs - 0.5 - texel.footprint, hangs + 0.5 + texel.footprint, below);
    if share <= 0.0 {
        return look;
    }
    let grass = meadow(texel);
    let dark = 1.0 - 0.12 * below;
    Look {
        albedo: look.albedo.lerp(grass.albedo * dark.max(0.4), share),
        height: look.height + share * (0.6 + grass.height) * fade(4.0, texel.footprint),
    }
}

/// The look of a material. `is_level` tells floors from walls.
fn bare(material: Material, texel: &Texel, is_level: bool) -> Look {
    match material {
        Material::Numbered(1) => flagstones(texel),
        Material::Numbered(2) => masonry(texel, [32.0, 16.0], MASONRY, MORTAR, 0.9),
        Material::Numbered(3) => masonry(texel, [64.0, 32.0], VAULT, MORTAR, 0.7),
        Material::Numbered(4) => boards(texel, FLOORBOARD, 8.0),
        Material::Numbered(5) => masonry(texel, [64.0, 24.0], ASHLAR, ASHLAR_JOINT, 0.5),
        Material::Numbered(6) => beams(texel),
        Material::Numbered(7) => earth(texel),
        Material::Numbered(8) => rock(texel, is_level),
        Material::Numbered(GRASS) => meadow(texel),
        Material::Planks => door(texel),
        Material::Frame => Look { albedo: OAK * (1.0 + 0.25 * texel.fractal(8.0, 3, 7)), height: 0.0 },
        Material::Iron => Look { albedo: IRON, height: 0.0 },
        Material::Numbered(_) | Material::Glass(_) => {
            Look { albedo: PLAIN * (1.0 + 0.12 * texel.fractal(16.0, 4, 8)), height: 0.0 }
        }
    }
}

/// A stone: how far the place is from its edge, and its number.
struct Stone {
    edge: f32,
    number: u32,
}

/// 1 in a joint so wide, 0 outside, no sharper than a sample.
fn joint(edge: f32, width: f32, footprint: f32) -> f32 {
    let soft = (0.7 * footprint).max(0.3);
    let cover = 1.0 - smoothstep(width - soft, width + soft, edge);
    cover * (1.6 * width / soft).min(1.0)
}

/// The colour between two, and lighter or darker, by a stone's number.
fn tint(colours: [Vec3; 2], number: u32) -> Vec3 {
    let warm = unit(number);
    let light = 0.86 + 0.28 * unit(number.wrapping_mul(0x9e37_79b1));
    colours[0].lerp(colours[1], warm) * light
}

fn stone_look(texel: &Texel, stone: Stone, colours: [Vec3; 2], mortar: Vec3, width: f32) -> Look {
    let grain = texel.fractal(8.0, 4, stone.number);
    let stain = texel.fractal(128.0, 3, 77);
    let edge = stone.edge + 0.4 * texel.smooth(8.0, 5) + 0.25 * texel.smooth(2.0, 6);
    let gap = joint(edge, width, texel.footprint);
    let face = tint(colours, stone.number) * (1.0 + 0.20 * grain + 0.16 * stain);
    let worn = smoothstep(width, width + 3.0, edge);
    let chip = unit(stone.number ^ 0x77) * 0.35;
    let detail = fade(6.0, texel.footprint);
    let tilt = 0.6 * unit(stone.number ^ 0x1234);
    Look {
        albedo: (face * (0.86 + 0.14 * worn)).lerp(mortar, 0.85 * gap),
        height: detail * (0.8 * worn + tilt + (0.35 + chip) * grain - 0.5 * gap),
    }
}

/// Courses of blocks in running bond, each course shifted anew.
fn masonry(texel: &Texel, size: [f32; 2], colours: [Vec3; 2], mortar: Vec3, width: f32) -> Look {
    let course = texel.cell(size).index[1];
    let shift = if size[1] < 30.0 { unit(hash([course, 1], texel.salt)) } else { 0.5 * (course & 1) as f32 };
    let moved = texel.shifted([shift * size[0], 0.0]);
    let cell = moved.cell(size);
    let mut number = hash([cell.index[0], course], texel.salt ^ 0xb10c);
    let [u, v] = cell.place;
    let up = v.min(1.0 - v) * size[1];
    // Some blocks are two.
    let (mut low, mut high) = (0.0, 1.0);
    if number.is_multiple_of(3) {
        let cut = 0.3 + 0.4 * unit(hash([number, 5], 1));
        if u < cut {
            high = cut
        } else {
            low = cut
        }
        number = hash([number, u32::from(u < cut)], 2);
    }
    let along = (u - low).min(high - u) * size[0];
    stone_look(texel, Stone { edge: along.min(up), number }, colours, mortar, width)
}

/// Paving of squares, some of them halved or quartered.
fn flagstones(texel: &Texel) -> Look {
    const SIZE: f32 = 32.0;
    let cell = texel.cell([SIZE, SIZE]);
    let mut number = hash(cell.index, 0xf1a6);
    let kind = number % 8;
    let cuts = [matches!(kind, 0..=2 | 6), matches!(kind, 3 | 4 | 6)];
    let mut edge = SIZE;
    for (axis, is_cut) in cuts.into_iter().enumerate() {
        let place = cell.place[axis];
        let (mut low, mut high) = (0.0, 1.0);
        if is_cut {
            let cut = 0.35 + 0.3 * unit(hash([number, axis as u32], 3));
            if place < cut {
                high = cut
            } else {
                low = cut
            }
            number = hash([number, u32::from(place < cut) + 2 * axis as u32], 4);
        }
        edge = edge.min((place - low).min(high - place) * SIZE);
    }
    stone_look(texel, Stone { edge, number }, FLAGSTONE, MORTAR, 0.8)
}

/// Long boards side by side along the second way.
fn boards(texel: &Texel, colours: [Vec3; 2], width: f32) -> Look {
    const LENGTH: f32 = 128.0;
    let column = texel.cell([width, LENGTH]).index[0];
    let shift = unit(hash([column, 2], 0xb0)) * LENGTH;
    let moved = texel.shifted([0.0, shift]);
    let cell = moved.cell([width, LENGTH]);
    let number = hash([column, cell.index[1]], 0xb0a2);
    let [u, v] = cell.place;
    let edge = (u.min(1.0 - u) * width).min(v.min(1.0 - v) * LENGTH);
    wood(&moved, edge, number, colours)
}

fn wood(texel: &Texel, edge: f32, number: u32, colours: [Vec3; 2]) -> Look {
    let bent = texel.shifted([1.6 * texel.smooth(32.0, number), 0.0]);
    let grain = bent.stretched([1.0, 32.0], number) * 0.6 + bent.stretched([2.0, 64.0], number ^ 9) * 0.5;
    let gap = joint(edge, 0.35, texel.footprint);
    let worn = texel.fractal(64.0, 3, 0x70);
    let face = tint(colours, number) * (1.0 + 0.16 * grain + 0.12 * worn);
    let detail = fade(4.0, texel.footprint);
    Look {
        albedo: face * (1.0 - 0.75 * gap),
        height: detail * (0.12 * grain + 0.5 * smoothstep(0.2, 1.0, edge) + 0.15 * unit(number)),
    }
}

/// A ceiling of boards on beams.
fn beams(texel: &Texel) -> Look {
    const EVERY: f32 = 32.0;
    const WIDTH: f32 = 7.0;
    let place = texel.cell([EVERY, EVERY]).place[1] * EVERY;
    let edge = place.min(WIDTH - place);
    let number = hash([texel.cell([EVERY, EVERY]).index[1], 3], 0xbea);
    let turned = Texel { at: [texel.at[1], texel.at[0]], base: [texel.base[1], texel.base[0]], ..*texel };
    let board = boards(texel, BOARD, 16.0);
    let beam = wood(&turned, 4.0, number, [BEAM, BEAM * 1.25]);
    let share = smoothstep(-0.4 - texel.footprint, 0.4 + texel.footprint, edge);
    // Beside a beam lies its shadow.
    let dark = 1.0 - 0.45 * smoothstep(-5.0, 0.0, edge) * (1.0 - share);
    Look {
        albedo: (board.albedo * dark).lerp(beam.albedo, share),
        height: board.height + 1.5 * smoothstep(-0.5, 1.0, edge) * fade(8.0, texel.footprint),
    }
}

fn earth(texel: &Texel) -> Look {
    let broad = texel.fractal(128.0, 4, 11);
    let fine = texel.fractal(8.0, 4, 12);
    let mut albedo = EARTH[0].lerp(EARTH[1], 0.5 + 0.5 * broad) * (1.0 + 0.22 * fine);
    let mut height = 0.5 * fine + 0.6 * texel.smooth(16.0, 13);
    for (size, salt, share) in [(8.0, 14, 0.08), (4.0, 17, 0.12), (2.0, 15, 0.2)] {
        let (cover, dome, number) = spot(texel, size, salt, share);
        let weight = cover * fade(size, 2.0 * texel.footprint);
        albedo = albedo.lerp(PEBBLE * (0.65 + 0.45 * unit(hash([number, 7], 1))), 0.75 * weight);
        height += 0.05 * size * dome;
    }
    // Tufts where the ground is low and damp.
    let tuft = smoothstep(0.25, 0.6, texel.fractal(64.0, 4, 16));
    let grass = meadow(texel);
    Look { albedo: albedo.lerp(grass.albedo, 0.8 * tuft), height: fade(4.0, texel.footprint) * height }
}

/// Round spots strewn over a lattice: cover, dome, number.
fn spot(texel: &Texel, size: f32, salt: u32, share: f32) -> (f32, f32, u32) {
    let cell = texel.cell([size, size]);
    let number = hash(cell.index, salt);
    if unit(number) > share {
        return (0.0, 0.0, number);
    }
    let radius = 0.14 + 0.16 * unit(hash([number, 1], salt));
    let middle = |n: u32| radius + (1.0 - 2.0 * radius) * unit(hash([number, n], salt));
    let far = (cell.place[0] - middle(2)).hypot(cell.place[1] - middle(3)) / radius;
    let soft = (texel.footprint / (size * radius)).max(0.15);
    (1.0 - smoothstep(1.0 - soft, 1.0 + soft, far), (1.0 - far * far).max(0.0), number)
}

/// Layers along the height on walls; broken slabs on the level.
fn rock(texel: &Texel, is_level: bool) -> Look {
    let warp = texel.fractal(64.0, 3, 21);
    let bent = texel.shifted([0.0, 9.0 * warp]);
    let layers = if is_level {
        0.5 * texel.fractal(32.0, 4, 22)
    } else {
        0.5 * bent.stretched([128.0, 16.0], 22) + 0.4 * bent.stretched([64.0, 4.0], 23)
    };
    let fine = texel.fractal(8.0, 4, 24);
    let broken = texel.shifted([5.0 * fine, 0.0]);
    let ridge = |size: [f32; 2], salt: u32| 1.0 - broken.stretched(size, salt).abs();
    let crack = smoothstep(0.90, 0.99, ridge([32.0, 64.0], 25)) * fade(6.0, texel.footprint);
    let shade = 0.5 + 0.42 * layers + 0.25 * texel.fractal(256.0, 3, 26);
    let albedo = ROCK[0].lerp(ROCK[1], shade.clamp(0.0, 1.0)) * (1.0 + 0.22 * fine - 0.25 * crack);
    let height = 1.5 * layers + 0.9 * fine - 1.2 * crack;
    Look { albedo, height: fade(6.0, texel.footprint) * height }
}

fn meadow(texel: &Texel) -> Look {
    let broad = texel.fractal(256.0, 4, 31);
    let tufts = texel.fractal(16.0, 3, 32);
    let lean = texel.shifted([1.2 * texel.smooth(16.0, 33), 1.2 * texel.smooth(16.0, 34)]);
    let blades = 0.5 * lean.stretched([0.5, 2.0], 35)
        + 0.5 * lean.turned().stretched([8.0, 2.0], 36)
        + 0.4 * lean.turned().smooth(4.0, 38);
    let dry = smoothstep(0.05, 0.8, broad + 0.4 * tufts);
    let green = MEADOW[0].lerp(MEADOW[1], (0.5 + 0.6 * tufts + 0.3 * broad).clamp(0.0, 1.0));
    let mut albedo = green.lerp(MEADOW[2], 0.6 * dry) * (1.0 + 0.32 * blades);
    // Flowers grow together.
    let bloom = smoothstep(0.1, 0.6, texel.fractal(128.0, 3, 39));
    let (cover, _, number) = spot(texel, 4.0, 37, 0.10 * bloom);
    let petals = if number & 4 == 0 { paint(0xf2efe2) } else { paint(0xe3c24a) };
    albedo = albedo.lerp(petals, 0.8 * cover * fade(3.0, texel.footprint));
    Look { albedo, height: fade(2.0, texel.footprint) * (0.35 * blades + 0.8 * tufts) }
}

/// Upright boards with two iron bands and their nails.
fn door(texel: &Texel) -> Look {
    const BOARD_UNITS: f32 = 9.0;
    const BANDS: [f32; 2] = [14.0, 62.0];
    const BAND_UNITS: f32 = 4.5;
    let column = (texel.at[0] / BOARD_UNITS).floor();
    let place = texel.at[0] - column * BOARD_UNITS;
    let number = hash([column as i32 as u32, 8], 0xd00e);
    let mut look = wood(texel, place.min(BOARD_UNITS - place), number, PLANK);
    for band in BANDS {
        let edge = BAND_UNITS / 2.0 - (texel.at[1] - band).abs();
        let share = smoothstep(-0.2 - texel.footprint, 0.2 + texel.footprint, edge);
        let nail = (place - BOARD_UNITS / 2.0).hypot(texel.at[1] - band);
        let dome = 1.0 - smoothstep(0.8, 1.4, nail);
        look.albedo = look.albedo.lerp(IRON * (1.0 + 0.2 * texel.fractal(4.0, 2, 9) + 0.5 * dome), share);
        look.height += 0.6 * share + 0.5 * dome;
    }
    look
}
