//! Where doors hang: between a room and a corridor that meets it, one cell wide.
//!
//! A door never seals a chunk's last way through: it hangs only where, with it and all others closed,
//! every opening of the border still reaches every other.

use super::Grid;
use super::reach::Steps;
use crate::chunk::Axis;
use crate::coord::CELLS_PER_CHUNK;
use crate::door::{DOORS_MAX, Door, Hinge};
use crate::hash::Random;

/// So many of the places that could have a door have none.
const WITHOUT_ONE_IN: i32 = 4;
const OPEN_DEGREES: i16 = 90;

/// Hangs doors between the cells that `is_room` and those that are not.
pub(super) fn hang_doors(grid: &mut Grid, random: &mut Random, is_room: impl Fn(usize, usize) -> bool) {
    let mut steps = Steps::of(grid);
    let gates = grid.gates();
    // The last row and column have nothing beyond them in the chunk.
    for z in 1..CELLS_PER_CHUNK - 1 {
        for x in 1..CELLS_PER_CHUNK - 1 {
            for axis in [Axis::X, Axis::Z] {
                let other = if axis == Axis::X { (x + 1, z) } else { (x, z + 1) };
                let is_doorway = match (is_room(x, z), is_room(other.0, other.1)) {
                    (true, false) => is_passage(grid, other, axis),
                    (false, true) => is_passage(grid, (x, z), axis),
                    _ => false,
                };
                if !is_doorway || grid.doors.len() == DOORS_MAX {
                    continue;
                }
                let (hinge, turns) = (random.bits(), random.one_in(2));
                let hinge = if hinge & 1 == 0 { Hinge::Low } else { Hinge::High };
                let degrees = if turns { OPEN_DEGREES } else { -OPEN_DEGREES };
                let wanted = !random.one_in(WITHOUT_ONE_IN);
                let Some(door) = grid.door_at(x, z, axis, hinge, degrees).filter(|_| wanted) else {
                    continue;
                };
                let mut closed = steps;
                closed.block(x, z, axis);
                if !touches_another(grid, &door) && closed.join_all(gates) {
                    steps = closed;
                    grid.doors.push(door);
                }
            }
        }
    }
}

/// Whether a cell is a corridor along an axis: rock on both sides of it.
fn is_passage(grid: &Grid, (x, z): (usize, usize), axis: Axis) -> bool {
    let inside = |c: usize| (1..CELLS_PER_CHUNK - 1).contains(&c);
    let sides = if axis == Axis::X { [(x, z - 1), (x, z + 1)] } else { [(x - 1, z), (x + 1, z)] };
    inside(x) && inside(z) && sides.into_iter().all(|(x, z)| grid.is_solid(x, z))
}

/// One door to a cell: two would stand in each other's way.
fn touches_another(grid: &Grid, door: &Door) -> bool {
    let cells = |door: &Door| {
        let (x, z) = (usize::from(door.x), usize::from(door.z));
        [(x, z), if door.axis == Axis::X { (x + 1, z) } else { (x, z + 1) }]
    };
    grid.doors.iter().any(|other| cells(other).iter().any(|cell| cells(door).contains(cell)))
}
