//! Ways through a chunk, from cell to cell, over steps and through openings and open doors.

use std::collections::VecDeque;

use ninefold_world::{
    Axis, CELL_UNITS, CELLS_PER_CHUNK, Chunk, ChunkCoord, FIXED_PER_UNIT, OpenDoors, PLAYER_HEIGHT_UNITS,
    Position, STEP_UNITS,
};
use smallvec::SmallVec;

/// Cells of a way at most; a longer one is cut, and another found from there.
const PATH_CELLS_MAX: usize = 48;
const SIDE: i32 = CELLS_PER_CHUNK as i32;
const CELLS: usize = CELLS_PER_CHUNK * CELLS_PER_CHUNK;

/// A cell of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    chunk: ChunkCoord,
    x: i32,
    z: i32,
}

impl Cell {
    /// Its middle: x and z in the world.
    pub fn middle(self) -> (f64, f64) {
        let (x0, z0) = self.chunk.origin();
        let middle = |cell: i32| f64::from(cell * CELL_UNITS + CELL_UNITS / 2);
        (x0 + middle(self.x), z0 + middle(self.z))
    }
}

/// A way from a place in a chunk to one of the cells that can be reached, chosen by `salt`; where that lies on the
/// border and the way goes on beyond, one cell further. The next cell comes last.
pub fn find<'c>(
    chunk: &Chunk,
    open_doors: OpenDoors,
    from: Position,
    salt: u64,
    chunk_at: impl Fn(ChunkCoord) -> Option<&'c Chunk>,
) -> SmallVec<[Cell; 16]> {
    let coord = chunk.coord();
    let (x0, z0) = coord.origin();
    let cell = |units: f64| ((units / f64::from(CELL_UNITS)) as i32).clamp(0, SIDE - 1);
    let start = index(cell(from.x - x0), cell(from.z - z0));
    // Which cell each was reached from.
    let mut came_from = [u16::MAX; CELLS];
    came_from[start] = start as u16;
    let mut reached: SmallVec<[u16; CELLS]> = SmallVec::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        reached.push(at as u16);
        for (dx, dz) in [(1, 0), (0, 1), (-1, 0), (0, -1)] {
            let (x, z) = (at as i32 % SIDE + dx, at as i32 / SIDE + dz);
            if !(0..SIDE).contains(&x) || !(0..SIDE).contains(&z) || came_from[index(x, z)] != u16::MAX {
                continue;
            }
            if leads(chunk, open_doors, at, index(x, z)) {
                came_from[index(x, z)] = at as u16;
                queue.push_back(index(x, z));
            }
        }
    }
    let goal = usize::from(reached[(salt % reached.len() as u64) as usize]);
    let mut path = SmallVec::new();
    path.extend(beyond(chunk, goal, chunk_at));
    let mut at = goal;
    while at != start {
        path.push(Cell { chunk: coord, x: at as i32 % SIDE, z: at as i32 / SIDE });
        at = usize::from(came_from[at]);
    }
    let cut = path.len().saturating_sub(PATH_CELLS_MAX);
    path.drain(..cut);
    path
}

fn index(x: i32, z: i32) -> usize {
    (z * SIDE + x) as usize
}

/// Floor and ceiling in the middle of a cell, 1/8 unit.
fn column(chunk: &Chunk, x: i32, z: i32) -> Option<(i32, i32)> {
    let middle = |cell: i32| ((cell * CELL_UNITS + CELL_UNITS / 2) * FIXED_PER_UNIT) as i16;
    let column = chunk.column(middle(x), middle(z))?;
    Some((column.floor.into(), column.ceiling.map_or(i32::MAX, i32::from)))
}

fn can_step(from: (i32, i32), to: (i32, i32)) -> bool {
    let headroom = from.1.min(to.1).saturating_sub(from.0.max(to.0));
    (from.0 - to.0).abs() <= STEP_UNITS * FIXED_PER_UNIT && headroom >= PLAYER_HEIGHT_UNITS * FIXED_PER_UNIT
}

/// Whether one can go from a cell to the one beside it.
fn leads(chunk: &Chunk, open_doors: OpenDoors, from: usize, to: usize) -> bool {
    let at = |cell: usize| (cell as i32 % SIDE, cell as i32 / SIDE);
    let ((x, z), (to_x, to_z)) = (at(from), at(to));
    let (Some(here), Some(there)) = (column(chunk, x, z), column(chunk, to_x, to_z)) else { return false };
    let axis = if x == to_x { Axis::Z } else { Axis::X };
    let (door_x, door_z) = (x.min(to_x), z.min(to_z));
    let is_between = |door: &ninefold_world::Door| {
        (i32::from(door.x), i32::from(door.z), door.axis) == (door_x, door_z, axis)
    };
    let closed =
        chunk.doors().iter().enumerate().any(|(i, door)| is_between(door) && !open_doors.contains(i));
    !closed && can_step(here, there)
}

/// The cell over the border from a cell beside it, if one can go there.
fn beyond<'c>(
    chunk: &Chunk,
    cell: usize,
    chunk_at: impl Fn(ChunkCoord) -> Option<&'c Chunk>,
) -> Option<Cell> {
    let (x, z) = (cell as i32 % SIDE, cell as i32 / SIDE);
    let (dx, dz) = match (x, z) {
        (0, _) => (-1, 0),
        (_, 0) => (0, -1),
        (x, _) if x == SIDE - 1 => (1, 0),
        (_, z) if z == SIDE - 1 => (0, 1),
        _ => return None,
    };
    let of = chunk.coord();
    let coord = ChunkCoord { cx: of.cx.checked_add(dx)?, cz: of.cz.checked_add(dz)? };
    let neighbour = chunk_at(coord)?;
    let (to_x, to_z) = ((x + dx).rem_euclid(SIDE), (z + dz).rem_euclid(SIDE));
    can_step(column(chunk, x, z)?, column(neighbour, to_x, to_z)?).then_some(Cell {
        chunk: coord,
        x: to_x,
        z: to_z,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_world::{BspWorld, Generator, Loaded, Mover, Pace, Scratch, walk};

    /// Every way that is found can be gone, by the walk that everybody uses.
    #[test]
    fn a_way_that_is_found_can_be_gone() {
        let world = BspWorld::new(9);
        let mut scratch = Scratch::default();
        let pace = Pace { speed_units_s: 96, tick_rate_hz: 60 };
        let (mut ways, mut longest) = (0, 0);
        for n in 0..60 {
            let coord = ChunkCoord::new(n % 8 - 4, n / 8);
            let chunks: Vec<Chunk> =
                super::super::ring(coord).map(|coord| world.generate(coord, &mut scratch)).collect();
            let chunk_at = |at: ChunkCoord| chunks.iter().find(|c| c.coord() == at);
            let loaded = |at| chunk_at(at).map(Loaded::from);
            let chunk = chunk_at(coord).unwrap();
            let from = chunk.spawn(n as u64);
            let mut path = find(chunk, OpenDoors::NONE, from, 77 * n as u64, chunk_at);
            longest = longest.max(path.len());
            ways += usize::from(!path.is_empty());
            let mut mover = Mover::standing(from);
            while let Some(cell) = path.pop() {
                for _ in 0..120 {
                    let at = mover.position;
                    let (x, z) = cell.middle();
                    if (x - at.x).abs() < 2.0 && (z - at.z).abs() < 2.0 {
                        break;
                    }
                    mover = walk(&loaded, mover, super::super::creature::towards(at, (x, z)), pace).mover;
                }
                let (x, z) = cell.middle();
                let (dx, dz) = (x - mover.position.x, z - mover.position.z);
                assert!(dx.abs() < 2.0 && dz.abs() < 2.0, "{coord:?}: stuck {dx} {dz} before {cell:?}");
            }
        }
        assert!(ways > 40 && longest > 8, "{ways} ways, the longest of {longest} cells");
    }
}
