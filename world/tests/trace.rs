//! `trace` against brute force: every solid of the grid as a box, every box by its own slab test in
//! exact fractions of 128-bit integers. Nothing of the tree or of the lattice's code is used here.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ninefold_world::{
    Axis, BspWorld, Cell, Chunk, ChunkCoord, Door, Generator, Grid, HalfExtents, Hinge, Hit, Loaded, Normal,
    OpenDoors, Position, Scratch, Topology, build, trace,
};

/// 1/1024 unit.
const GRAIN: f64 = 1.0 / 1_024.0;
const CHUNK: i64 = 1 << 20;
const CELL: i64 = 1 << 16;
const FOR_EVER: i64 = 1 << 40;

const CENTRES: [(i32, i32); 7] = [
    (0, 0),
    (-9, 4),
    (3, -12),
    (1_000_000, -3),
    (i32::MIN, i32::MAX),
    (i32::MAX, -77_777_777),
    (i32::MAX - 1, i32::MIN + 1),
];

/// A square of chunks with their grids. Doors are put in, and here and there a chunk is not there.
struct World {
    centre: ChunkCoord,
    chunks: BTreeMap<ChunkCoord, (Grid, Chunk, OpenDoors)>,
}

impl World {
    fn around(centre: ChunkCoord, seed: u64, random: &mut fastrand::Rng) -> World {
        let (world, mut scratch) = (BspWorld::new(seed), Scratch::default());
        let mut chunks = BTreeMap::new();
        for coord in Topology::Plane.ring(centre) {
            if coord != centre && random.u8(..12) == 0 {
                continue;
            }
            let mut grid = world.grid(coord);
            grid.doors.clear();
            for _ in 0..random.usize(..12) {
                let (x, z) = (random.u8(..15), random.u8(..15));
                let axis = if random.bool() { Axis::X } else { Axis::Z };
                let bottom = random.i16(0..900);
                let top = bottom + random.i16(1..400);
                grid.doors.push(Door { x, z, axis, hinge: Hinge::Low, open_degrees: 90, bottom, top });
            }
            let chunk = build(&grid, &mut scratch);
            chunks.insert(coord, (grid, chunk, OpenDoors(random.u32(..) & random.u32(..))));
        }
        World { centre, chunks }
    }

    fn at(&self, coord: ChunkCoord) -> Option<Loaded<'_>> {
        self.chunks.get(&coord).map(|(_, chunk, open_doors)| Loaded { chunk, open_doors: *open_doors })
    }

    /// All solids of a cell of the plane, in grains from the corner of the centre.
    fn solids(&self, (column, row): (i64, i64), each: &mut impl FnMut(Hit, [i64; 3], [i64; 3])) {
        let (cx, cz) = (column.div_euclid(16), row.div_euclid(16));
        let coord = (|| {
            let place = |c: i32, d: i64| i32::try_from(i64::from(c) + d).ok();
            Some(ChunkCoord::new(place(self.centre.cx, cx)?, place(self.centre.cz, cz)?))
        })();
        let low = |floor: i64| [column * CELL, floor, row * CELL];
        let high = |top: i64| [(column + 1) * CELL, top, (row + 1) * CELL];
        let Some(coord) = coord else { return each(Hit::Outside, low(-FOR_EVER), high(FOR_EVER)) };
        let Some((grid, _, open_doors)) = self.chunks.get(&coord) else {
            return each(Hit::Missing(coord), low(-FOR_EVER), high(FOR_EVER));
        };
        match grid.at(column.rem_euclid(16) as usize, row.rem_euclid(16) as usize) {
            Cell::Solid => each(Hit::Rock(coord), low(-FOR_EVER), high(FOR_EVER)),
            Cell::Open(open) => {
                each(Hit::Rock(coord), low(-FOR_EVER), high(i64::from(open.floor) * 128));
                if let Some(ceiling) = open.ceiling {
                    each(Hit::Rock(coord), low(i64::from(ceiling) * 128), high(FOR_EVER));
                }
            }
        }
        // The chunk's doors once, with its first cell.
        if column.rem_euclid(16) == 0 && row.rem_euclid(16) == 0 {
            for (index, door) in grid.doors.iter().enumerate().filter(|(i, _)| open_doors.0 >> i & 1 == 0) {
                let (low, high) = door.solid_box();
                let corner = |of: [i16; 3]| {
                    let [x, y, z] = of.map(|v| i64::from(v) * 128);
                    [x + cx * CHUNK, y, z + cz * CHUNK]
                };
                each(Hit::Door(coord, index), corner(low), corner(high));
            }
        }
    }
}

/// An exact fraction.
#[derive(Debug, Clone, Copy)]
struct Ratio(i128, i128);

impl Ratio {
    fn new(number: i64, by: i64) -> Ratio {
        let sign = i128::from(by.signum());
        Ratio(i128::from(number) * sign, i128::from(by) * sign)
    }

    fn cmp(self, other: Ratio) -> Ordering {
        (self.0 * other.1).cmp(&(other.0 * self.1))
    }
}

/// What brute force says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Expected {
    fraction: f64,
    normal: Option<Normal>,
    hit: Option<Hit>,
    started_inside: bool,
    ties: usize,
}

/// One box: when it is entered and on which axes; `None` if it is not.
fn enter(
    from: [i64; 3],
    delta: [i64; 3],
    half: [i64; 3],
    low: [i64; 3],
    high: [i64; 3],
) -> Option<(Ratio, Vec<usize>)> {
    let (mut first, mut last): (Option<(Ratio, Vec<usize>)>, Option<Ratio>) = (None, None);
    for axis in 0..3 {
        // The middle must come between these.
        let (near, far) = (low[axis] - half[axis], high[axis] + half[axis]);
        if delta[axis] == 0 {
            if from[axis] <= near || from[axis] >= far {
                return None;
            }
            continue;
        }
        let (near, far) = if delta[axis] > 0 { (near, far) } else { (far, near) };
        let enter = Ratio::new(near - from[axis], delta[axis]);
        let leave = Ratio::new(far - from[axis], delta[axis]);
        let order = first.as_ref().map_or(Ordering::Greater, |(at, _)| enter.cmp(*at));
        match order {
            Ordering::Greater => first = Some((enter, vec![axis])),
            Ordering::Equal => first.as_mut().unwrap().1.push(axis),
            Ordering::Less => {}
        }
        if last.is_none_or(|at| leave.cmp(at) == Ordering::Less) {
            last = Some(leave);
        }
    }
    let (Some(first), Some(last)) = (first, last) else { return Some((Ratio(-1, 1), vec![])) }; // it rests inside
    let meets = first.0.cmp(last) == Ordering::Less
        && first.0.cmp(Ratio(1, 1)) == Ordering::Less
        && last.cmp(Ratio(0, 1)) == Ordering::Greater;
    meets.then_some(first)
}

fn brute_force(world: &World, from: [i64; 3], delta: [i64; 3], half: [i64; 3]) -> Expected {
    // The order of the axes where several are entered in one moment: up, east, south.
    let rank = |axis: &usize| [1, 0, 2][*axis];
    let mut best: Option<(Ratio, usize, usize, Hit)> = None;
    let mut each = |hit: Hit, low: [i64; 3], high: [i64; 3]| {
        let Some((at, mut axes)) = enter(from, delta, half, low, high) else { return };
        axes.sort_by_key(rank);
        let met = if at.0 < 0 { (Ratio(-1, 1), 0, 0, hit) } else { (at, axes.len(), rank(&axes[0]), hit) };
        let order = best.map_or(Ordering::Less, |best| {
            met.0.cmp(best.0).then((met.1, met.2, met.3).cmp(&(best.1, best.2, best.3)))
        });
        if order == Ordering::Less {
            best = Some(met);
        }
    };
    let cells = |axis: usize| {
        let ends = [from[axis], from[axis] + delta[axis]];
        let (low, high) = (ends[0].min(ends[1]) - half[axis], ends[0].max(ends[1]) + half[axis]);
        // Whole chunks, for their doors, and one more each way.
        (low.div_euclid(CELL) - 1, high.div_euclid(CELL) + 1)
    };
    let (columns, rows) = (cells(0), cells(2));
    for column in columns.0..=columns.1 {
        for row in rows.0..=rows.1 {
            world.solids((column, row), &mut each);
        }
    }
    // Doors of chunks whose first cell was not among them.
    for column in columns.0.div_euclid(16)..=columns.1.div_euclid(16) {
        for row in rows.0.div_euclid(16)..=rows.1.div_euclid(16) {
            if !(columns.0..=columns.1).contains(&(column * 16)) || !(rows.0..=rows.1).contains(&(row * 16)) {
                world.solids((column * 16, row * 16), &mut each);
            }
        }
    }
    let Some((at, ties, rank, hit)) = best else {
        return Expected { fraction: 1.0, normal: None, hit: None, started_inside: false, ties: 0 };
    };
    if at.0 < 0 {
        return Expected { fraction: 0.0, normal: None, hit: Some(hit), started_inside: true, ties };
    }
    let axis = [1, 0, 2][rank];
    let normal =
        Normal { axis: [Axis::X, Axis::Y, Axis::Z][axis], sign: if delta[axis] > 0 { -1 } else { 1 } };
    let fraction = at.0 as f64 / at.1 as f64;
    Expected { fraction, normal: Some(normal), hit: Some(hit), started_inside: false, ties }
}

/// A sweep in grains from the corner of the centre; most of them start in the free.
fn sweep(world: &World, random: &mut fastrand::Rng) -> ([i64; 3], [i64; 3], [i64; 3]) {
    let may_be_inside = random.u8(..8) == 0;
    loop {
        let (from, delta, half) =
            if random.u8(..12) == 0 { onto_an_edge(random) } else { anywhere(world, random) };
        if may_be_inside || !brute_force(world, from, [0; 3], half).started_inside {
            return (from, delta, half);
        }
    }
}

/// Diagonally towards a corner of a cell, so that its two sides are met in the same moment, if they are
/// there; sometimes falling at the same rate onto a height at which floors are.
fn onto_an_edge(random: &mut fastrand::Rng) -> ([i64; 3], [i64; 3], [i64; 3]) {
    let half = [0; 3].map(|_| random.i64(1..30 << 10));
    let way = random.i64(1..32 << 10);
    let sign = [0; 3].map(|_| if random.bool() { 1 } else { -1 });
    let corner =
        [0, 1, 2].map(|axis| if axis == 1 { random.i64(0..64) * 128 * 8 } else { random.i64(1..16) * CELL });
    let mut from = [0, 1, 2].map(|axis| corner[axis] - sign[axis] * (half[axis] + way));
    let mut delta = sign.map(|sign| sign * 2 * way);
    if random.bool() {
        delta[1] = 0;
        from[1] = random.i64(0..128 << 10);
    }
    from = [0, 1, 2].map(|axis| if axis == 1 { from[1] } else { from[axis].clamp(0, CHUNK - 1) });
    (from, delta, half)
}

fn anywhere(world: &World, random: &mut fastrand::Rng) -> ([i64; 3], [i64; 3], [i64; 3]) {
    let half = match random.u8(..6) {
        0 => [1; 3],
        1..=3 => [16 << 10, 28 << 10, 16 << 10],
        4 => [0; 3].map(|_| random.i64(1..40 << 10)),
        _ => [0; 3].map(|_| random.i64(1..40) << 10),
    };
    let mut from = [random.i64(0..CHUNK), random.i64(-(8 << 10)..140 << 10), random.i64(0..CHUNK)];
    // Near a border, along one axis or both.
    for axis in [0, 2] {
        if random.u8(..6) == 0 {
            let near = random.i64(0..48 << 10);
            from[axis] = if random.bool() { near } else { CHUNK - 1 - near };
        }
        match random.u8(..4) {
            // On the planes' own lattice, and touching a cell's boundary.
            0 => from[axis] = from[axis] / 128 * 128,
            1 => from[axis] = ((from[axis] / CELL * CELL) + half[axis]) % CHUNK,
            _ => {}
        }
    }
    let cell = world.chunks[&world.centre].0.at((from[0] / CELL) as usize, (from[2] / CELL) as usize);
    if let (Some(open), true) = (cell.open(), random.u8(..3) > 0) {
        from[1] = i64::from(open.floor) * 128 + half[1] + [0, 0, random.i64(0..32 << 10)][random.usize(..3)];
    }
    let length = match random.u8(..10) {
        0..=5 => 8 << 10,
        6..=8 => 300 << 10,
        _ => 1_000 << 10,
    };
    let mut delta = [0; 3].map(|_| random.i64(-length..=length));
    match random.u8(..8) {
        0 => delta = [length, 0, -length],
        1 => delta = [0; 3].map(|_| random.i64(-1..=1) * length),
        2 => delta[1] = 0,
        3 => delta[random.usize(..3)] = 0,
        4 => delta[1] = -random.i64(0..64 << 10),
        _ => {}
    }
    (from, delta, half)
}

/// How often each thing was seen, so that nothing is passed for want of cases.
#[derive(Debug, Default)]
struct Seen {
    free: u32,
    inside: u32,
    touching: u32,
    edges: u32,
    rock: u32,
    doors: u32,
    missing: u32,
    outside: u32,
    borders: u32,
}

fn compare(sweeps: u32, seed: u64) -> Seen {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen = Seen::default();
    let per_world = (sweeps / 140).max(1);
    for n in 0..sweeps.div_ceil(per_world) {
        let (cx, cz) = CENTRES[n as usize % CENTRES.len()];
        let world = World::around(ChunkCoord::new(cx, cz), u64::from(n), &mut random);
        let (x0, z0) = world.centre.origin();
        let place = |at: [i64; 3]| {
            let [x, y, z] = at.map(|v| v as f64 * GRAIN);
            Position { x: x0 + x, y, z: z0 + z }
        };
        for _ in 0..per_world {
            let (from, delta, half) = sweep(&world, &mut random);
            let to = [0, 1, 2].map(|i| from[i] + delta[i]);
            let expected = brute_force(&world, from, delta, half);
            let [x, y, z] = half.map(|h| h as f64 * GRAIN);
            let trace = trace(&|c| world.at(c), place(from), place(to), HalfExtents { x, y, z });
            let Expected { ties, .. } = expected;
            let (fraction, normal) = (trace.fraction, trace.normal);
            let (hit, started_inside) = (trace.hit, trace.started_inside);
            let got = Expected { fraction, normal, hit, started_inside, ties };
            assert_eq!(got, expected, "seed {seed}, {from:?} + {delta:?} of {half:?} in {:?}", world.centre);
            assert_eq!(got.fraction.to_bits(), expected.fraction.to_bits());
            check_end(&world, from, delta, half, &trace);
            seen.count(&world, from, &expected, &trace);
        }
    }
    seen
}

/// The box rests on the lattice, on its way, outside everything; on the axis that hit it is exact.
fn check_end(world: &World, from: [i64; 3], delta: [i64; 3], half: [i64; 3], trace: &ninefold_world::Trace) {
    let (x0, z0) = world.centre.origin();
    let grains = [trace.end.x - x0, trace.end.y, trace.end.z - z0].map(|v| v / GRAIN);
    assert!(grains.iter().all(|g| g.fract() == 0.0));
    let end = grains.map(|g| g as i64);
    for axis in 0..3 {
        let exact = trace.fraction * delta[axis] as f64;
        let gone = (end[axis] - from[axis]) as f64;
        assert!(gone.abs() <= exact.abs() + 1e-6 && (gone - exact).abs() < 1.0, "{trace:?}");
        if trace.normal.is_some_and(|n| n.axis as usize == axis) {
            assert!((gone - exact).abs() < 1e-6, "{trace:?}");
        }
    }
    if !trace.started_inside {
        let rests = brute_force(world, end, [0; 3], half);
        assert!(!rests.started_inside, "{from:?} + {delta:?} of {half:?}: {trace:?} inside {rests:?}");
    }
}

impl Seen {
    fn count(&mut self, world: &World, from: [i64; 3], expected: &Expected, trace: &ninefold_world::Trace) {
        self.free += u32::from(expected.hit.is_none());
        self.inside += u32::from(expected.started_inside);
        self.touching += u32::from(expected.normal.is_some() && expected.fraction == 0.0);
        self.edges += u32::from(expected.ties > 1);
        let is = |hit: fn(&Hit) -> bool| {
            u32::from(expected.normal.is_some() && expected.hit.as_ref().is_some_and(hit))
        };
        self.rock += is(|h| matches!(h, Hit::Rock(_)));
        self.doors += is(|h| matches!(h, Hit::Door(..)));
        self.missing += is(|h| matches!(h, Hit::Missing(_)));
        self.outside += is(|h| matches!(h, Hit::Outside));
        let near = |v: i64| !(48 << 10..CHUNK - (48 << 10)).contains(&v);
        self.borders += u32::from(trace.end.chunk() != Some(world.centre) || near(from[0]) || near(from[2]));
    }

    fn check(&self, sweeps: u32) {
        println!("{sweeps} sweeps: {self:?}");
        let Seen { free, inside, touching, edges, rock, doors, missing, outside, borders } = *self;
        for count in [free, touching, rock, borders] {
            assert!(count >= sweeps / 10, "{self:?}");
        }
        for count in [inside, edges, doors, missing, 4 * outside] {
            assert!(count >= sweeps / 2_000, "{self:?}");
        }
    }
}

#[test]
fn a_trace_is_what_brute_force_over_the_grids_boxes_says() {
    compare(200_000, 1).check(200_000);
}

#[test]
#[ignore = "the whole million: five seconds"]
fn a_million_traces_are_what_brute_force_says() {
    compare(1_000_000, 2).check(1_000_000);
}
