//! How a headless client finds its way: like a player, by what it has received.
//!
//! It looks at the decoded chunk that it stands in, searches the cells that can be walked to from where
//! it is (breadth first, steps up to what a player can take), picks one of the openings into a
//! neighbour that it has decoded too, and walks the path from cell centre to cell centre. Which opening, its
//! [`Course`] says. A hole in the world or a missing chunk leaves it standing, and that shows in the report.

use std::collections::VecDeque;

use ninefold_client::Client;
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::{
    CELL_UNITS, CELLS_PER_CHUNK, Chunk, ChunkCoord, Door, FIXED_PER_UNIT, LocalPosition, STEP_UNITS, Topology,
};

/// Near enough to a waypoint to go on to the next.
const ARRIVED_UNITS: f64 = 10.0;
/// Without progress for so long the path is given up and another one is searched.
const STUCK_AFTER: Duration = Duration::from_ms(1_500);
/// Of so many crossings one changes the preferred direction.
const TURN_ONE_IN: u32 = 4;

const CELLS: usize = CELLS_PER_CHUNK;
/// Chunks that one who goes outward remembers to have been in.
const BEEN_MAX: usize = 256;

/// East, south, west, north.
const STEPS: [(i32, i32); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

/// Where a walker is bound for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Anywhere: ahead for a while, then in another direction.
    Wander,
    /// Straight on as long as there is a way.
    Straight,
    /// Where it has not been, away from where it began.
    Outward,
    /// A chunk, in which it then mills about.
    To(ChunkCoord),
    /// Doors, three times of four.
    Doors,
}

/// A walking client's mind.
#[derive(Debug)]
pub struct Walker {
    random: fastrand::Rng,
    course: Course,
    pace: f64,
    /// Where it has been, for [`Course::Outward`]; the first is where it began.
    been: VecDeque<ChunkCoord>,
    began_in: Option<ChunkCoord>,
    /// Index into [`STEPS`] of where it would rather go.
    prefers: usize,
    /// Where it came from lately; it does not turn back if it can help it.
    came_from: Option<ChunkCoord>,
    /// World positions (x, z) still to be walked to.
    path: VecDeque<(f64, f64)>,
    progress_at: Instant,
    nearest: f64,
    chunk: Option<ChunkCoord>,
}

impl Walker {
    /// A wanderer that chooses its ways by `seed` and walks at `pace` (0 to 1) of full speed.
    pub fn new(seed: u64, pace: f64) -> Self {
        Self::on(Course::Wander, seed, pace)
    }

    /// The same on some course.
    pub fn on(course: Course, seed: u64, pace: f64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let prefers = random.usize(..STEPS.len());
        Walker {
            random,
            course,
            pace,
            been: VecDeque::new(),
            began_in: None,
            prefers,
            came_from: None,
            path: VecDeque::new(),
            progress_at: Instant::ZERO,
            nearest: f64::INFINITY,
            chunk: None,
        }
    }

    /// Where to walk now: a wish of -1 to 1 along each axis.
    pub fn decide(&mut self, now: Instant, client: &Client) -> (f64, f64) {
        // Where it will be with the last input: that is where the next one begins.
        let Some((_, mover)) = client.predicted() else { return (0.0, 0.0) };
        let at = mover.position;
        let Ok(local) = LocalPosition::try_from(at) else { return (0.0, 0.0) };
        if self.chunk != Some(local.chunk) {
            self.came_from = self.chunk.replace(local.chunk);
            self.remember(local.chunk);
        }
        while let Some(&(x, z)) = self.path.front() {
            let left = (x - at.x).hypot(z - at.z);
            if left > ARRIVED_UNITS {
                if left < self.nearest - 1.0 {
                    self.nearest = left;
                    self.progress_at = now;
                }
                if now.since(self.progress_at) > STUCK_AFTER {
                    self.path.clear();
                    break;
                }
                // Slower at the end of a leg, so that it does not run past the waypoint.
                let pace = self.pace * (left / 32.0).clamp(0.25, 1.0);
                return ((x - at.x) / left * pace, (z - at.z) / left * pace);
            }
            self.path.pop_front();
            self.nearest = f64::INFINITY;
            self.progress_at = now;
        }
        self.plan(client, local);
        self.nearest = f64::INFINITY;
        self.progress_at = now;
        (0.0, 0.0)
    }

    fn plan(&mut self, client: &Client, from: LocalPosition) {
        let Some(chunk) = client.chunk(from.chunk) else { return };
        let floors = Floors::of(chunk);
        let start = cell_of(from);
        let came_by = floors.search(start);
        if let Some(cell) = self.place_within(chunk, &came_by) {
            return self.set_out(from.chunk, start, cell, None, &came_by);
        }
        let exits = self.exits(client, from.chunk, &floors, &came_by);
        if let Some(&(cell, step)) = self.choose(&exits) {
            self.set_out(from.chunk, start, cell, Some(step), &came_by);
        }
    }

    /// A cell to go to without leaving the chunk, where the course asks for one.
    fn place_within(&mut self, chunk: &Chunk, came_by: &CameBy) -> Option<(i32, i32)> {
        let is_reached = |cell: &(i32, i32)| {
            let inside = |c: i32| (0..CELLS as i32).contains(&c);
            inside(cell.0) && inside(cell.1) && came_by[index(*cell)].is_some()
        };
        let cells: Vec<(i32, i32)> = match self.course {
            Course::To(coord) if coord == chunk.coord() => {
                let side = 0..CELLS as i32;
                side.clone().flat_map(|z| side.clone().map(move |x| (x, z))).filter(is_reached).collect()
            }
            Course::Doors if self.random.u32(..4) > 0 => {
                let beside = |door: &Door| (i32::from(door.x), i32::from(door.z));
                chunk.doors().iter().map(beside).filter(is_reached).collect()
            }
            _ => return None,
        };
        (!cells.is_empty()).then(|| cells[self.random.usize(..cells.len())])
    }

    /// Takes the way to a cell, and over the border behind it if it is to.
    fn set_out(
        &mut self,
        coord: ChunkCoord,
        start: (i32, i32),
        cell: (i32, i32),
        over: Option<usize>,
        came_by: &CameBy,
    ) {
        let mut cells = vec![cell];
        while let Some(previous) = came_by[index(*cells.last().expect("it has one"))]
            && *cells.last().expect("it has one") != start
        {
            cells.push(previous);
        }
        let (origin_x, origin_z) = coord.origin();
        let centre = |(cx, cz): (i32, i32)| {
            let middle = |c: i32| f64::from(c * CELL_UNITS + CELL_UNITS / 2);
            (origin_x + middle(cx), origin_z + middle(cz))
        };
        self.path.extend(cells.iter().rev().map(|c| centre(*c)));
        // One cell into the neighbour: the coordinates simply go on.
        self.path.extend(over.map(|step| centre((cell.0 + STEPS[step].0, cell.1 + STEPS[step].1))));
    }

    fn remember(&mut self, chunk: ChunkCoord) {
        self.began_in.get_or_insert(chunk);
        if self.course == Course::Outward && !self.been.contains(&chunk) {
            if self.been.len() == BEEN_MAX {
                self.been.pop_front();
            }
            self.been.push_back(chunk);
        }
    }

    /// How much the course likes a step; less is better, and all are alike to who wanders.
    fn dislikes(&self, step: usize) -> i64 {
        let (dx, dz) = STEPS[step];
        let there = self.chunk.and_then(|c| Topology::Plane.neighbour(c, dx, dz));
        let (Some(there), Some(began_in)) = (there, self.began_in) else { return 0 };
        let far = |from: ChunkCoord| {
            let way = |a: i32, b: i32| (i64::from(a) - i64::from(b)).abs();
            way(from.cx, there.cx) + way(from.cz, there.cz)
        };
        match self.course {
            Course::Outward if self.been.contains(&there) => i64::MAX,
            Course::Outward => -far(began_in),
            Course::To(goal) => far(goal),
            Course::Wander | Course::Straight | Course::Doors => 0,
        }
    }

    /// Border cells that can be reached and from which a step leads into a neighbour that is here.
    fn exits(
        &self,
        client: &Client,
        coord: ChunkCoord,
        floors: &Floors,
        came_by: &CameBy,
    ) -> Vec<((i32, i32), usize)> {
        let mut exits = Vec::new();
        let last = CELLS as i32 - 1;
        for (step, (dx, dz)) in STEPS.into_iter().enumerate() {
            let Some(neighbour) = Topology::Plane.neighbour(coord, dx, dz) else { continue };
            let Some(beyond) = client.chunk(neighbour).map(|c| Floors::of(c)) else { continue };
            for along in 0..=last {
                let (cell, entry) = match (dx, dz) {
                    (1, _) => ((last, along), (0, along)),
                    (-1, _) => ((0, along), (last, along)),
                    (_, 1) => ((along, last), (along, 0)),
                    _ => ((along, 0), (along, last)),
                };
                let reached = came_by[index(cell)].is_some();
                if reached && can_step(floors.at(cell), beyond.at(entry)) {
                    exits.push((cell, step));
                }
            }
        }
        exits
    }

    /// Rather ahead than aside, rather aside than back.
    fn choose<'e>(&mut self, exits: &'e [((i32, i32), usize)]) -> Option<&'e ((i32, i32), usize)> {
        let turns = self.random.u32(..TURN_ONE_IN) == 0 && self.course != Course::Straight;
        if turns {
            self.prefers = self.random.usize(..STEPS.len());
        }
        let leads_back = |step: usize| {
            let (dx, dz) = STEPS[step];
            let there = self.chunk.and_then(|c| Topology::Plane.neighbour(c, dx, dz));
            there.is_some() && there == self.came_from
        };
        // Once in a while it does not take the best way, which may be a way round in a circle.
        let best = exits.iter().filter(|e| !leads_back(e.1)).map(|e| self.dislikes(e.1)).min();
        let is_good = |step: usize| turns || Some(self.dislikes(step)) == best;
        let aside: Vec<_> = exits.iter().filter(|e| is_good(e.1) && !leads_back(e.1)).collect();
        let ahead: Vec<_> = aside.iter().copied().filter(|e| e.1 == self.prefers).collect();
        let any: Vec<_> = exits.iter().collect();
        let choice = [ahead, aside, any].into_iter().find(|c| !c.is_empty())?;
        let exit = choice[self.random.usize(..choice.len())];
        if self.course == Course::Straight {
            self.prefers = exit.1;
        }
        Some(exit)
    }
}

/// From which cell each cell was first reached; the start from itself.
type CameBy = [Option<(i32, i32)>; CELLS * CELLS];

/// The floor of each cell of a chunk, read off its tree at the cell's centre; `None` where it is solid.
struct Floors([Option<f64>; CELLS * CELLS]);

impl Floors {
    fn of(chunk: &Chunk) -> Self {
        let fixed_per_cell = CELL_UNITS * FIXED_PER_UNIT;
        let centre = |cell: usize| (cell as i32 * fixed_per_cell + fixed_per_cell / 2) as i16;
        Floors(std::array::from_fn(|i| {
            let column = chunk.column(centre(i % CELLS), centre(i / CELLS))?;
            Some(f64::from(column.floor) / f64::from(FIXED_PER_UNIT))
        }))
    }

    fn at(&self, cell: (i32, i32)) -> Option<f64> {
        let inside = |c: i32| (0..CELLS as i32).contains(&c);
        (inside(cell.0) && inside(cell.1)).then(|| self.0[index(cell)]).flatten()
    }

    fn search(&self, start: (i32, i32)) -> CameBy {
        let mut came_by: CameBy = [None; CELLS * CELLS];
        let mut open = VecDeque::from([start]);
        came_by[index(start)] = Some(start);
        while let Some(cell) = open.pop_front() {
            for (dx, dz) in STEPS {
                let next = (cell.0 + dx, cell.1 + dz);
                if can_step(self.at(cell), self.at(next)) && came_by[index(next)].is_none() {
                    came_by[index(next)] = Some(cell);
                    open.push_back(next);
                }
            }
        }
        came_by
    }
}

fn can_step(from: Option<f64>, to: Option<f64>) -> bool {
    matches!((from, to), (Some(from), Some(to)) if to - from <= f64::from(STEP_UNITS))
}

fn index((cx, cz): (i32, i32)) -> usize {
    cz as usize * CELLS + cx as usize
}

fn cell_of(at: LocalPosition) -> (i32, i32) {
    let steps_per_cell = 65_536 / CELLS as i32;
    (i32::from(at.x) / steps_per_cell, i32::from(at.z) / steps_per_cell)
}
