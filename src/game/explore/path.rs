//! Ways through a chunk, from cell to cell, over steps and through openings and open doors.

use ninefold_world::{
    Axis, CELL_UNITS, CELLS_PER_CHUNK, Chunk, ChunkCoord, FIXED_PER_UNIT, OpenDoors, PLAYER_HEIGHT_UNITS,
    Position, STEP_UNITS,
};
use smallvec::SmallVec;

/// Cells of a way at most; a longer one is cut, and another found from there.
const PATH_CELLS_MAX: usize = 48;
const SIDE: i32 = CELLS_PER_CHUNK as i32;
const CELLS: usize = CELLS_PER_CHUNK * CELLS_PER_CHUNK;

/// A way, from cell to cell of one chunk and at most one cell further. It needs no memory of its own.
#[derive(Debug, Clone)]
pub struct Way {
    chunk: ChunkCoord,
    /// Counted from the chunk's corner, the next one last.
    cells: SmallVec<[(i8, i8); WAY_CELLS_INLINE]>,
}

/// Room for the longest way.
const WAY_CELLS_INLINE: usize = 64;

const _: () = assert!(PATH_CELLS_MAX < WAY_CELLS_INLINE, "and the cell beyond the border");

impl Way {
    /// A way to nowhere.
    pub fn none() -> Way {
        Way { chunk: ChunkCoord { cx: 0, cz: 0 }, cells: SmallVec::new() }
    }

    /// The middle of the next cell, x and z in the world; `None` at its end.
    pub fn next(&self) -> Option<(f64, f64)> {
        let (x0, z0) = self.chunk.origin();
        let middle = |cell: i8| f64::from(i32::from(cell) * CELL_UNITS + CELL_UNITS / 2);
        self.cells.last().map(|(x, z)| (x0 + middle(*x), z0 + middle(*z)))
    }

    /// The next cell is reached; says whether that was the last one.
    pub fn advance(&mut self) -> bool {
        self.cells.pop();
        self.cells.is_empty()
    }
}

/// A way from a place in a chunk to one of the cells that can be reached, chosen by `salt`; where that lies on the
/// border and the way goes on beyond, one cell further.
pub fn find<'c>(
    chunk: &Chunk,
    open_doors: OpenDoors,
    from: Position,
    salt: u64,
    chunk_at: impl Fn(ChunkCoord) -> Option<&'c Chunk>,
) -> Way {
    let coord = chunk.coord();
    let (x0, z0) = coord.origin();
    let cell = |units: f64| ((units / f64::from(CELL_UNITS)) as i32).clamp(0, SIDE - 1);
    let start = index(cell(from.x - x0), cell(from.z - z0));
    // Which cell each was reached from.
    let mut came_from = [u16::MAX; CELLS];
    came_from[start] = start as u16;
    let mut reached: SmallVec<[u16; CELLS]> = SmallVec::new();
    reached.push(start as u16);
    let mut looked_from = 0;
    while let Some(at) = reached.get(looked_from).map(|at| usize::from(*at)) {
        looked_from += 1;
        for (dx, dz) in [(1, 0), (0, 1), (-1, 0), (0, -1)] {
            let (x, z) = (at as i32 % SIDE + dx, at as i32 / SIDE + dz);
            if !(0..SIDE).contains(&x) || !(0..SIDE).contains(&z) || came_from[index(x, z)] != u16::MAX {
                continue;
            }
            if leads(chunk, open_doors, at, index(x, z)) {
                came_from[index(x, z)] = at as u16;
                reached.push(index(x, z) as u16);
            }
        }
    }
    let goal = usize::from(reached[(salt % reached.len() as u64) as usize]);
    let before = |at: usize| Some(usize::from(came_from[at])).filter(|_| at != start);
    let own = || std::iter::successors(Some(goal), |at| before(*at)).take_while(|at| *at != start);
    let cell = |at: usize| ((at as i32 % SIDE) as i8, (at as i32 / SIDE) as i8);
    let further = beyond(chunk, goal, chunk_at);
    let cut = (own().count() + usize::from(further.is_some())).saturating_sub(PATH_CELLS_MAX);
    let cells = further.into_iter().chain(own().map(cell)).skip(cut).collect();
    Way { chunk: coord, cells }
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
) -> Option<(i8, i8)> {
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
    can_step(column(chunk, x, z)?, column(neighbour, to_x, to_z)?).then_some(((x + dx) as i8, (z + dz) as i8))
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
            longest = longest.max(path.cells.len());
            ways += usize::from(path.next().is_some());
            let mut mover = Mover::standing(from);
            while let Some((x, z)) = path.next() {
                for _ in 0..120 {
                    let at = mover.position;
                    if (x - at.x).abs() < 2.0 && (z - at.z).abs() < 2.0 {
                        break;
                    }
                    mover = walk(&loaded, mover, super::super::creature::towards(at, (x, z)), pace).mover;
                }
                let (dx, dz) = (x - mover.position.x, z - mover.position.z);
                assert!(dx.abs() < 2.0 && dz.abs() < 2.0, "{coord:?}: stuck {dx} {dz} before {x} {z}");
                path.advance();
            }
        }
        assert!(ways > 40 && longest > 8, "{ways} ways, the longest of {longest} cells");
    }
}
