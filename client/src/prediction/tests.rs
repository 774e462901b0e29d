//! Prediction against a server written here as `walk` over the inputs that it has taken.

use super::*;
use ninefold_world::{BspWorld, Generator, OpenDoors, Scratch, Topology};
use std::collections::BTreeMap;
use std::sync::OnceLock;

const PACE: Pace = Pace { speed_units_s: 320, tick_rate_hz: 60 };
const TICK: Duration = Duration::from_us(16_667);

/// The chunks around the origin and their doors, as the server has them.
struct World {
    chunks: &'static BTreeMap<ChunkCoord, Chunk>,
    open: BTreeMap<ChunkCoord, u32>,
}

impl World {
    fn new() -> World {
        static CHUNKS: OnceLock<BTreeMap<ChunkCoord, Chunk>> = OnceLock::new();
        let chunks = CHUNKS.get_or_init(|| {
            let world = BspWorld::new(9);
            let around = Topology::Plane.ring(ChunkCoord::new(0, 0)).flat_map(|c| Topology::Plane.ring(c));
            around.map(|c| (c, world.generate(c, &mut Scratch::default()))).collect()
        });
        World { chunks, open: BTreeMap::new() }
    }

    fn chunk(&self, coord: ChunkCoord) -> Option<&Chunk> {
        self.chunks.get(&coord)
    }

    fn ring(&self, middle: ChunkCoord) -> [u32; 9] {
        std::array::from_fn(|i| {
            let (dx, dz) = (i as i32 % 3 - 1, i as i32 / 3 - 1);
            let coord = Topology::Plane.neighbour(middle, dx, dz).unwrap();
            self.open.get(&coord).copied().unwrap_or(0)
        })
    }

    /// A place in front of a door, and where to look to use it; another one for another number.
    fn at_a_door(&self, number: usize) -> (Position, u16) {
        let doors: Vec<_> = (self.chunks.values())
            .flat_map(|chunk| chunk.doors().iter().map(|door| (chunk.coord(), *door)))
            .filter(|(coord, _)| coord.cx.abs() <= 1 && coord.cz.abs() <= 1)
            .collect();
        let (coord, door) = doors[number % doors.len()];
        let (x0, z0) = coord.origin();
        let middle = |cell: u8| f64::from(cell) * 64.0 + 32.0;
        let at = Position { x: x0 + middle(door.x), y: f64::from(door.bottom) / 8.0, z: z0 + middle(door.z) };
        (at, if door.axis == ninefold_world::Axis::X { 0 } else { 0x4000 })
    }
}

/// The server's side of one player.
struct Server {
    world: World,
    mover: Mover,
    held: u16,
    taken: u32,
    after: BTreeMap<u32, Mover>,
    doors_used: u32,
}

impl Server {
    fn take(&mut self, input: PlayerInput) {
        let at = self.mover.position;
        if input.buttons & PlayerInput::USE != 0
            && self.held & PlayerInput::USE == 0
            && let Some((coord, door)) = door_in_reach(&|c| self.world.chunk(c), at, input.yaw)
        {
            let mask = self.world.open.entry(coord).or_default();
            if *mask & (1 << door) == 0 || !self.world.chunks[&coord].door_is_blocked(door, at, 0.0) {
                *mask ^= 1 << door;
                self.doors_used += 1;
            }
        }
        let chunk_at = |c: ChunkCoord| {
            let open_doors = OpenDoors(self.world.open.get(&c).copied().unwrap_or(0));
            self.world.chunk(c).map(|chunk| Loaded { chunk, open_doors })
        };
        let (x, z) = input.wish();
        let wish = Wish { x, z, jump: input.buttons & PlayerInput::JUMP != 0 };
        self.mover = walk(&chunk_at, self.mover, wish, PACE).mover;
        self.held = input.buttons;
        self.taken += 1;
        self.after.insert(self.taken, self.mover);
    }

    fn own(&self) -> OwnState {
        let chunk = self.mover.position.chunk().unwrap();
        let (x0, z0) = chunk.origin();
        let grains = |units: f64| (units * 1_024.0) as i64;
        OwnState {
            cx: chunk.cx,
            cz: chunk.cz,
            x: grains(self.mover.position.x - x0) as u32,
            y: grains(self.mover.position.y) as i32,
            z: grains(self.mover.position.z - z0) as u32,
            velocity_y: grains(self.mover.velocity_y) as i32,
            on_ground: self.mover.on_ground,
            state: 5,
        }
    }
}

struct Pair {
    server: Server,
    client: Prediction,
    now: Instant,
    /// Inputs on their way to the server.
    sent: VecDeque<PlayerInput>,
    random: u64,
    input: PlayerInput,
    /// What the client predicted for each input at first.
    predicted: Vec<(u32, Mover)>,
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let world = World::new();
        let (at, yaw) = world.at_a_door(seed as usize);
        let mover = Mover::standing(at);
        let server = Server { world, mover, held: 0, taken: 0, after: BTreeMap::new(), doors_used: 0 };
        let now = Instant::from_us(1_000_000);
        let mut pair = Pair {
            server,
            client: Prediction::new(now, PACE),
            now,
            sent: VecDeque::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            input: PlayerInput { yaw, ..PlayerInput::default() },
            predicted: Vec::new(),
        };
        assert_eq!(pair.confirm(), Verdict::Taken);
        pair
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % bound
    }

    fn confirm(&mut self) -> Verdict {
        let own = self.server.own();
        let Server { world, taken, .. } = &self.server;
        let ring = world.ring(ChunkCoord { cx: own.cx, cz: own.cz });
        self.client.confirm(self.now, &|c| world.chunk(c), *taken as u16, &own, ring)
    }

    /// The client ticks, and its input is on its way.
    fn tick(&mut self) {
        self.now += TICK;
        if self.below(12) == 0 {
            let axis = |pair: &mut Pair| [i16::MAX, -i16::MAX, 0, 9_999][pair.below(4) as usize];
            (self.input.move_x, self.input.move_z) = (axis(self), axis(self));
        }
        if self.below(30) == 0 {
            self.input.yaw = self.below(65_536) as u16;
        }
        self.input.buttons = match self.below(10) {
            0 | 1 => PlayerInput::USE,
            2 => PlayerInput::JUMP,
            3 => self.input.buttons,
            _ => 0,
        };
        let Server { world, .. } = &self.server;
        let sent = self.client.tick(&|c| world.chunk(c), self.now, self.input);
        self.sent.push_back(sent);
        self.predicted.extend(self.client.newest());
    }

    /// The server takes so many inputs, which have come by now.
    fn serve(&mut self, inputs: u64) {
        for _ in 0..inputs {
            let Some(input) = self.sent.pop_front() else { return };
            self.server.take(input);
        }
    }
}

/// Inputs come late and in bunches, words of the server are lost: as long as nobody else does anything, the
/// prediction is right to the bit.
#[test]
fn two_thousand_walks_through_doors_are_predicted_to_the_bit() {
    let (mut doors_used, mut confirmations) = (0, 0);
    for seed in 0..2_000 {
        let mut pair = Pair::new(seed);
        for _ in 0..120 {
            pair.tick();
            if pair.sent.len() > 6 {
                let inputs = pair.below(4);
                pair.serve(inputs);
            }
            if pair.below(3) > 0 {
                assert_eq!(pair.confirm(), Verdict::Taken, "seed {seed}");
            }
        }
        for (number, mover) in &pair.predicted {
            if let Some(became) = pair.server.after.get(number) {
                assert_eq!(mover, became, "seed {seed}, input {number}");
            }
        }
        assert_eq!(pair.client.counts().corrections, 0, "seed {seed}");
        doors_used += pair.server.doors_used;
        confirmations += pair.client.counts().confirmations;
    }
    assert!(doors_used > 5_000 && confirmations > 100_000, "{doors_used} doors, {confirmations} confirmed");
}

/// Somebody else opens and closes doors and pushes the player: the client comes to what the server has.
#[test]
fn after_what_nobody_could_foresee_both_sides_agree() {
    let mut corrections = 0;
    for seed in 0..300 {
        let mut pair = Pair::new(seed);
        for _ in 0..200 {
            pair.tick();
            if pair.sent.len() > 6 {
                let inputs = pair.below(4);
                pair.serve(inputs);
            }
            match pair.below(20) {
                0 => {
                    let coord = pair.server.mover.position.chunk().unwrap();
                    let door = pair.below(8);
                    *pair.server.world.open.entry(coord).or_default() ^= 1 << door;
                }
                1 => pair.server.mover = Mover { velocity_y: 100.0, on_ground: false, ..pair.server.mover },
                _ => {}
            }
            if pair.below(3) > 0 {
                assert_ne!(pair.confirm(), Verdict::Refused, "seed {seed}");
            }
        }
        pair.serve(u64::MAX);
        pair.confirm();
        assert_eq!(pair.client.newest(), Some((pair.server.taken, pair.server.mover)), "seed {seed}");
        let middle = pair.server.mover.position.chunk().unwrap();
        for coord in Topology::Plane.ring(middle) {
            let open = pair.server.world.open.get(&coord).copied().unwrap_or(0);
            assert_eq!(pair.client.doors().of(coord).0, open, "seed {seed}");
        }
        corrections += pair.client.counts().corrections;
    }
    assert!(corrections > 300, "{corrections}");
}

#[test]
fn an_own_state_becomes_the_same_mover_everywhere_on_the_grid() {
    for (cx, cz) in [(0, 0), (i32::MIN, i32::MAX), (-1, 77_777), (i32::MAX, i32::MIN)] {
        for (x, y, z) in [(0, 0, (1 << 20) - 1), (1, -1, 524_287), ((1 << 20) - 1, 131_072, 3)] {
            let own = OwnState { cx, cz, x, y, z, velocity_y: -7, on_ground: false, state: 0 };
            let mover = mover_of(&own);
            assert_eq!(mover.position.chunk(), Some(ChunkCoord { cx, cz }));
            let (x0, z0) = ChunkCoord { cx, cz }.origin();
            assert_eq!((mover.position.x - x0) * 1_024.0, f64::from(x));
            assert_eq!((mover.position.z - z0) * 1_024.0, f64::from(z));
            assert_eq!((mover.position.y * 1_024.0, mover.velocity_y * 1_024.0), (f64::from(y), -7.0));
        }
    }
}

#[test]
fn words_about_inputs_that_were_never_made_or_long_confirmed_are_refused() {
    let mut pair = Pair::new(1);
    for _ in 0..20 {
        pair.tick();
    }
    pair.serve(10);
    assert_eq!(pair.confirm(), Verdict::Taken);
    let before = pair.client.newest();
    for input in [9, 0, 21, 1_000, u16::MAX] {
        let own = OwnState { x: 1, ..OwnState::default() };
        assert_eq!(
            pair.client.confirm(pair.now, &|_| None, input, &own, [0; 9]),
            Verdict::Refused,
            "{input}"
        );
    }
    assert_eq!(pair.client.newest(), before);
}

#[test]
fn a_server_that_is_silent_for_long_lets_the_player_stand_and_is_followed_when_it_speaks() {
    let mut pair = Pair::new(3);
    for _ in 0..500 {
        pair.tick();
    }
    assert_eq!(pair.client.unconfirmed().1.len(), UNCONFIRMED_INPUTS_MAX);
    let stood = pair.client.newest().unwrap().1;
    pair.tick();
    assert_eq!(pair.client.newest().unwrap().1, stood);
    assert_eq!((pair.client.due(300), pair.client.due(501)), (None, Some(pair.now)));
    pair.serve(u64::MAX);
    pair.confirm();
    assert_eq!(pair.client.newest(), Some((pair.server.taken, pair.server.mover)));
    assert_eq!(pair.client.unconfirmed().1.len(), 0);
    // And from there on as ever.
    pair.tick();
    pair.serve(1);
    assert_eq!(pair.confirm(), Verdict::Taken);
    assert_eq!(pair.client.newest(), Some((pair.server.taken, pair.server.mover)));
}

#[test]
fn where_a_chunk_is_missing_the_wish_is_dropped_so_that_the_server_stands_too() {
    let mut pair = Pair::new(0);
    let walk = PlayerInput { move_x: i16::MAX, ..PlayerInput::default() };
    let sent = pair.client.tick(&|_| None, pair.now + TICK, walk);
    assert_eq!(sent, PlayerInput::default());
    pair.sent.push_back(sent);
    pair.serve(1);
    assert_eq!(pair.confirm(), Verdict::Taken);
    assert_eq!(pair.client.counts().corrections, 0);
}

#[test]
fn between_two_ticks_the_player_is_shown_between_them() {
    let mut pair = Pair::new(2);
    let ground = |_| None;
    let chunk = Chunk::safe(ChunkCoord::new(0, 0));
    let chunk_at = |c| if c == ChunkCoord::new(0, 0) { Some(&chunk) } else { ground(c) };
    let own = OwnState { x: 500 << 10, z: 500 << 10, on_ground: true, ..OwnState::default() };
    let mut client = Prediction::new(pair.now, PACE);
    client.confirm(pair.now, &chunk_at, 0, &own, [0; 9]);
    pair.now += TICK;
    let east = PlayerInput { move_x: i16::MAX, ..PlayerInput::default() };
    client.tick(&chunk_at, pair.now, east);
    let x = |us: u64| client.view(pair.now + Duration::from_us(us), 7).unwrap().position.x;
    let tick = 320.0 / 60.0;
    assert_eq!(x(0), 500.0);
    assert!((x(8_333) - 500.0 - tick / 2.0).abs() < 0.01 && (x(16_667) - 500.0 - tick).abs() < 0.01);
    assert_eq!(x(16_667), x(60_000));
    let view = client.view(pair.now, 7).unwrap();
    assert!((view.velocity[0] - 320.0).abs() < 0.1 && view.on_ground && view.yaw == 7);
}
