//! How a player moves, the same on server and clients: a box that walks on floors, steps up to 32 units up
//! and down, falls, and slides along walls.
//!
//! ```text
//!   on the ground:  sideways, with one step up  ->  down onto the floor, at most a step
//!                                                   none there: it falls
//!   in the air:     sideways                    ->  down, faster and faster, until it lands
//! ```
//!
//! All of it happens on the lattice of 1/1024 unit, so the same mover, wish and time among the same chunks
//! give the same mover to the bit. Touching is not colliding: along a wall of many cells there is nothing
//! to catch on, and no distance to it has to be kept.

use crate::cell::STEP_UNITS;
use crate::coord::{ChunkCoord, FIXED_PER_UNIT, Position};
use crate::lattice::{CELL_GRAINS, Frame, GRAINS_PER_FIXED, GRAINS_PER_UNIT, divide_rounded, grains, units};
use crate::sweep::{Contact, Hit, Loaded, Normal, Sweep};
use crate::trace::HalfExtents;

/// From the middle of a player to its sides, in units.
pub const PLAYER_HALF_WIDTH_UNITS: i32 = 16;
/// From a player's feet to its head, in units.
pub const PLAYER_HEIGHT_UNITS: i32 = 56;
/// How fast what falls becomes faster, in units per second squared.
pub const GRAVITY_UNITS_S2: i32 = 800;
/// As fast as anything falls or rises, in units per second.
pub const FALL_UNITS_S_MAX: i32 = 1_600;
/// The longest way along one axis in one slide, in units; a longer wish is cut.
pub const SLIDE_UNITS_MAX: i32 = 64;
/// The longest time of one slide, in microseconds; a longer one is cut.
pub const SLIDE_US_MAX: u32 = 250_000;

/// Walls and steps that are met in one slide: a wall each way, a step, and the rest of the way.
const BUMPS_MAX: u32 = 4;
/// Who stands in rock is put free at most so many cells away.
const FREE_CELLS_MAX: i64 = 16;

const HALF_WIDTH: i64 = PLAYER_HALF_WIDTH_UNITS as i64 * GRAINS_PER_UNIT;
const HEIGHT: i64 = PLAYER_HEIGHT_UNITS as i64 * GRAINS_PER_UNIT;
const HALF: [i64; 3] = [HALF_WIDTH, HEIGHT / 2, HALF_WIDTH];
const STEP: i64 = STEP_UNITS as i64 * GRAINS_PER_UNIT;
const SECOND_US: i64 = 1_000_000;

// A box that was lifted by a step still covers where it was: between the two there is nothing to ask for.
const _: () = assert!(STEP < HEIGHT);

impl HalfExtents {
    /// A player's box. Its middle is half its height above the feet.
    pub const PLAYER: HalfExtents = HalfExtents {
        x: PLAYER_HALF_WIDTH_UNITS as f64,
        y: PLAYER_HEIGHT_UNITS as f64 / 2.0,
        z: PLAYER_HALF_WIDTH_UNITS as f64,
    };
}

/// A player as it moves. After a slide all its numbers are multiples of 1/1024.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mover {
    /// The middle between its feet.
    pub position: Position,
    /// How fast it rises, in units per second; it falls below zero. On the ground it is zero: who jumps sets
    /// it and takes the mover off the ground.
    pub velocity_y: f64,
    /// Whether it stands.
    pub on_ground: bool,
}

impl Mover {
    /// One that stands at a place.
    pub fn standing(position: Position) -> Self {
        Mover { position, velocity_y: 0.0, on_ground: true }
    }
}

/// What a slide led to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slide {
    /// The mover after it.
    pub mover: Mover,
    /// Whether anything sideways was in the way of its wish.
    pub blocked: bool,
    /// A chunk that was in the way because it is not there.
    pub missing: Option<ChunkCoord>,
    /// Whether it went up a step.
    pub stepped_up: bool,
    /// How fast it fell when it came to the ground, in units per second.
    pub landed: Option<f64>,
    /// Whether it stood in something solid and was put free; then it did nothing else.
    pub freed: bool,
}

/// Moves a player by `wish`, units along x and z, and lets it fall for `dt_us` microseconds, among the chunks
/// that `chunk_at` knows.
///
/// A player that stands in something solid (a door closed, it was put there) is put free: out of the door on
/// its nearer side, else onto the floor at its place, else into the middle of the nearest cell with room, at
/// most 16 cells away. One that stands in a chunk that is not there waits for it.
pub fn slide<'a, F: Fn(ChunkCoord) -> Option<Loaded<'a>>>(
    chunk_at: &F,
    mover: Mover,
    wish: (f64, f64),
    dt_us: u32,
) -> Slide {
    let still = Slide { mover, blocked: false, missing: None, stepped_up: false, landed: None, freed: false };
    let Some(frame) = Frame::of(mover.position) else { return Slide { blocked: true, ..still } };
    let space = Space { chunk_at, frame };
    let most = i64::from(SLIDE_UNITS_MAX) * GRAINS_PER_UNIT;
    let limited = |units: f64| if units.is_finite() { grains(units).clamp(-most, most) } else { 0 };
    let fastest = i64::from(FALL_UNITS_S_MAX) * GRAINS_PER_UNIT;
    let mut going = Going {
        feet: frame.grains(mover.position),
        velocity: if mover.on_ground { 0 } else { grains(mover.velocity_y).clamp(-fastest, fastest) },
        on_ground: mover.on_ground,
        slide: still,
    };
    let way = [limited(wish.0), 0, limited(wish.1)];
    let went = space.go_sideways(&mut going, way).and_then(|()| space.go_down(&mut going, dt_us));
    if let Err(Inside(hit)) = went {
        going = Going { feet: frame.grains(mover.position), slide: still, ..going };
        space.free(&mut going, hit);
    }
    let Going { feet, velocity, on_ground, slide } = going;
    let mover = Mover { position: frame.position(feet), velocity_y: units(velocity), on_ground };
    Slide { mover, ..slide }
}

/// The mover stands in something solid.
struct Inside(Hit);

/// A mover on the lattice, in grains and grains per second.
struct Going {
    feet: [i64; 3],
    velocity: i64,
    on_ground: bool,
    /// What has happened so far.
    slide: Slide,
}

struct Space<'f, F> {
    chunk_at: &'f F,
    frame: Frame,
}

impl<'a, F: Fn(ChunkCoord) -> Option<Loaded<'a>>> Space<'_, F> {
    /// Moves the player's box; the contact's end is where its feet are.
    fn sweep(&self, feet: [i64; 3], delta: [i64; 3]) -> Result<Contact, Inside> {
        let from = [feet[0], feet[1] + HALF[1], feet[2]];
        let mut contact = Sweep { frame: self.frame, from, delta, half: HALF }.run(self.chunk_at);
        contact.end[1] -= HALF[1];
        match contact.hit {
            Some(hit) if contact.started_inside => Err(Inside(hit)),
            _ => Ok(contact),
        }
    }

    fn is_free(&self, feet: [i64; 3]) -> bool {
        self.sweep(feet, [0; 3]).is_ok()
    }

    /// Goes the way, over one step and along walls.
    fn go_sideways(&self, going: &mut Going, way: [i64; 3]) -> Result<(), Inside> {
        let mut rest = way;
        for _ in 0..BUMPS_MAX {
            if rest == [0; 3] {
                break;
            }
            let contact = self.sweep(going.feet, rest)?;
            for axis in [0, 2] {
                rest[axis] -= contact.end[axis] - going.feet[axis];
            }
            going.feet = contact.end;
            let Some(normal) = contact.normal else { break };
            if going.on_ground
                && !going.slide.stepped_up
                && let Some(lifted) = self.step_up(going.feet, normal)
            {
                going.feet = lifted;
                going.slide.stepped_up = true;
                continue;
            }
            rest[normal.axis as usize] = 0;
            going.slide.blocked = true;
            if let Some(Hit::Missing(coord)) = contact.hit {
                going.slide.missing.get_or_insert(coord);
            }
        }
        Ok(())
    }

    /// Where the feet are on top of what is in the way; `None` if it is no step.
    ///
    /// A plate as wide as the player comes down from the height of a step, a grain further on: where it
    /// comes to rest is the floor that everything under it allows. Then the lifted box must have room for
    /// that grain.
    fn step_up(&self, feet: [i64; 3], normal: Normal) -> Option<[i64; 3]> {
        let mut ahead = [0; 3];
        ahead[normal.axis as usize] = -i64::from(normal.sign);
        let half = [HALF_WIDTH, 1, HALF_WIDTH];
        let from = [feet[0] + ahead[0], feet[1] + STEP + half[1], feet[2] + ahead[2]];
        let plate = Sweep { frame: self.frame, from, delta: [0, -STEP, 0], half }.run(self.chunk_at);
        plate.normal?;
        let lifted = [feet[0], plate.end[1] - half[1], feet[2]];
        let has_room = self.sweep(lifted, ahead).is_ok_and(|contact| contact.hit.is_none());
        (lifted[1] > feet[1] && has_room).then_some(lifted)
    }

    /// Onto the floor, or on with the fall.
    fn go_down(&self, going: &mut Going, dt_us: u32) -> Result<(), Inside> {
        if going.on_ground {
            // A grain more than a step: what is only touched at the end of a way is not hit.
            let contact = self.sweep(going.feet, [0, -STEP - 1, 0])?;
            if contact.hit.is_some() {
                going.feet = contact.end;
                return Ok(());
            }
            going.on_ground = false;
        }
        let dt_us = i64::from(dt_us.min(SLIDE_US_MAX));
        let gravity = i64::from(GRAVITY_UNITS_S2) * GRAINS_PER_UNIT;
        let slowest = -i64::from(FALL_UNITS_S_MAX) * GRAINS_PER_UNIT;
        let before = going.velocity;
        let after = (before - divide_rounded(gravity * dt_us, SECOND_US)).max(slowest);
        // The way of an even acceleration.
        let way = divide_rounded((before + after) * dt_us, 2 * SECOND_US);
        let contact = self.sweep(going.feet, [0, way, 0])?;
        going.feet = contact.end;
        going.velocity = after;
        if let Some(normal) = contact.normal {
            going.velocity = 0;
            if normal.sign > 0 {
                going.on_ground = true;
                going.slide.landed = Some(units(-after));
            }
        }
        Ok(())
    }

    /// Puts a mover free that stands in `hit`.
    fn free(&self, going: &mut Going, hit: Hit) {
        going.slide.blocked = true;
        if let Hit::Missing(coord) = hit {
            going.slide.missing = Some(coord);
            return;
        }
        if let Some(feet) = self.beside_door(going.feet, hit) {
            going.feet = feet;
            going.slide.freed = true;
        } else if let Some(feet) = self.on_the_floor(going.feet).or_else(|| self.nearest_room(going.feet)) {
            going.feet = feet;
            going.slide.freed = true;
            (going.velocity, going.on_ground) = (0, true);
        }
    }

    /// Out of a door that has closed: the nearer side of it that is free.
    fn beside_door(&self, feet: [i64; 3], hit: Hit) -> Option<[i64; 3]> {
        let Hit::Door(coord, index) = hit else { return None };
        let door = (self.chunk_at)(coord)?.chunk.doors().get(index).copied()?;
        let axis = door.axis as usize;
        let (low, high) = door.solid_box();
        let corner = self.frame.corner(coord)[axis];
        let at = |fixed: i16| corner + i64::from(fixed) * GRAINS_PER_FIXED;
        let mut sides = [at(low[axis]) - HALF_WIDTH, at(high[axis]) + HALF_WIDTH];
        sides.sort_by_key(|side| (side - feet[axis]).abs());
        let beside = |side: i64| std::array::from_fn(|i| if i == axis { side } else { feet[i] });
        sides.map(beside).into_iter().find(|feet| self.is_free(*feet))
    }

    /// Onto the highest floor under its box.
    fn on_the_floor(&self, feet: [i64; 3]) -> Option<[i64; 3]> {
        let reach = HALF_WIDTH - 1;
        let mut floor = i64::MIN;
        for (dx, dz) in [(0, 0), (-reach, -reach), (reach, -reach), (-reach, reach), (reach, reach)] {
            floor = floor.max(self.floor_with_room(feet[0] + dx, feet[2] + dz)?);
        }
        let feet = [feet[0], floor, feet[2]];
        self.is_free(feet).then_some(feet)
    }

    /// The middle of a cell: ring by ring, in each ring the nearest.
    fn nearest_room(&self, feet: [i64; 3]) -> Option<[i64; 3]> {
        let cell = [feet[0], feet[2]].map(|v| v.div_euclid(CELL_GRAINS));
        let middle = |cell: i64| cell * CELL_GRAINS + CELL_GRAINS / 2;
        (0..=FREE_CELLS_MAX).find_map(|ring| {
            let mut nearest: Option<(i64, [i64; 3])> = None;
            for row in -ring..=ring {
                // Whole rows at its ends, else its two sides.
                let stride = if row.abs() == ring { 1 } else { (2 * ring).max(1) };
                for column in (-ring..=ring).step_by(stride as usize) {
                    let (x, z) = (middle(cell[0] + column), middle(cell[1] + row));
                    let distance = (x - feet[0]).pow(2) + (z - feet[2]).pow(2);
                    if nearest.is_some_and(|(best, _)| best <= distance) {
                        continue;
                    }
                    let room = self.floor_with_room(x, z).map(|floor| [x, floor, z]);
                    if let Some(feet) = room.filter(|feet| self.is_free(*feet)) {
                        nearest = Some((distance, feet));
                    }
                }
            }
            nearest.map(|(_, feet)| feet)
        })
    }

    /// The floor of the lowest air at a place, if a player has room in it.
    fn floor_with_room(&self, x: i64, z: i64) -> Option<i64> {
        let coord = self.frame.chunk_of(x, z)?;
        let corner = self.frame.corner(coord);
        let fixed = |v: i64| v.div_euclid(GRAINS_PER_FIXED) as i16;
        let column = (self.chunk_at)(coord)?.chunk.column(fixed(x - corner[0]), fixed(z - corner[2]))?;
        let height = i32::from(column.ceiling.unwrap_or(i16::MAX)) - i32::from(column.floor);
        let has_room = column.ceiling.is_none() || height >= PLAYER_HEIGHT_UNITS * FIXED_PER_UNIT;
        has_room.then(|| i64::from(column.floor) * GRAINS_PER_FIXED)
    }
}

#[cfg(test)]
mod tests;
