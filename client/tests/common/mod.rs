//! A small server and its clients in one thread and in virtual time, over lines that lose and delay.
//!
//! The server is written here from the protocol's words: it takes each client's inputs in order, one a tick, walks
//! them, and tells each client in every tick what is around it, against the newest snapshot that was acknowledged.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use ninefold_client::protocol::chunk::Fragmenter;
use ninefold_client::protocol::frame::{
    ChunkKey, GameEvent, Inputs, Message, PROTOCOL_VERSION, PlayerInput, Welcome, kind,
};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::link::{Link, Outcome};
use ninefold_client::protocol::snapshot::{
    BASELINE_TICKS_MAX, EntityState, OwnState, Snapshot, SnapshotEntity, encode as encode_snapshot,
};
use ninefold_client::protocol::time::Instant;
use ninefold_client::world::{
    BspWorld, CHUNK_KIND_BSP, Chunk, ChunkCoord, ENCODING_BSP, Generator, Loaded, Mover, OpenDoors, Pace,
    Position, Scratch, Topology, Wish, door_in_reach, encode, walk,
};
use ninefold_client::{Client, ClientConfig, Event};
use ninefold_netem::{Link as Line, Profile};
use zerocopy::IntoBytes;

pub const HZ: u16 = 60;
pub const PACE: Pace = Pace { speed_units_s: 320, tick_rate_hz: HZ as u32 };
/// Inputs that one tick takes at most, and how many ticks without input may be caught up with.
const INPUTS_PER_TICK_MAX: u32 = 2;
const CATCH_UP_MAX: u32 = 16;
/// Virtual time goes on in steps of this long.
pub const STEP_US: u64 = 1_000;

pub const ORIGIN: ChunkCoord = ChunkCoord { cx: 0, cz: 0 };

/// A server with its clients.
pub struct Room {
    pub now_us: u64,
    world: Arc<dyn Generator>,
    chunks: BTreeMap<ChunkCoord, Arc<Chunk>>,
    pub doors: BTreeMap<ChunkCoord, u32>,
    pub tick: u32,
    ticks: u64,
    pub seats: Vec<Seat>,
    pub random: fastrand::Rng,
    /// Entities of which one snapshot speaks at most; those who leave are always spoken of.
    pub told_max: usize,
    /// A snapshot every so many ticks.
    pub snapshot_every: u64,
    /// Whether snapshots become rare when nobody has moved for three ticks: a quarter of a second between them.
    pub rests: bool,
    rested_ticks: u64,
}

/// One client, and what the server knows of it.
pub struct Seat {
    pub client: Client,
    pub events: Vec<Event>,
    pub up: Line<Vec<u8>>,
    pub down: Line<Vec<u8>>,
    link: Link<u32>,
    greeted: bool,
    pub mover: Mover,
    velocity: [f64; 3],
    /// Whether others are told of it, and as whom.
    pub visible: bool,
    pub id: u64,
    waiting: BTreeMap<u32, PlayerInput>,
    pub next: u32,
    due: u32,
    last: PlayerInput,
    leads: VecDeque<(u64, i64)>,
    sent: VecDeque<Snapshot>,
    acked: Option<u32>,
    entered: Option<ChunkCoord>,
    to_be_told: VecDeque<(u32, GameEvent)>,
    /// The mover after each input: as the client predicted it first, and as it came to be.
    pub predicted: BTreeMap<u32, Mover>,
    pub became: BTreeMap<u32, Mover>,
    /// Where it was after each step, newest last.
    pub path: VecDeque<Position>,
}

impl Room {
    pub fn new(seed: u64, clients: usize, line: &Profile) -> Room {
        Room::with_world(seed, clients, line, Arc::new(BspWorld::new(9)))
    }

    pub fn with_world(seed: u64, clients: usize, line: &Profile, world: Arc<dyn Generator>) -> Room {
        let mut room = Room {
            now_us: 1_000_000,
            world,
            chunks: BTreeMap::new(),
            doors: BTreeMap::new(),
            // Ticks wrap soon.
            tick: u32::MAX - 500,
            ticks: 0,
            seats: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            told_max: usize::MAX,
            snapshot_every: 1,
            rests: false,
            rested_ticks: 0,
        };
        for index in 0..clients as u64 {
            let chunk = room.chunk(ORIGIN);
            let mover = Mover::standing(chunk.spawn(seed.wrapping_mul(31).wrapping_add(index)));
            let now = Instant::from_us(room.now_us);
            let mut client = Client::carried(now, &ClientConfig::new(0));
            client.carrier_is_up();
            let lines = [0, 1].map(|way| Line::new(line.clone(), seed ^ (index << 8 | way << 4)));
            let [up, down] = lines;
            room.seats.push(Seat {
                client,
                events: Vec::new(),
                up,
                down,
                link: Link::new(now),
                greeted: false,
                mover,
                velocity: [0.0; 3],
                visible: true,
                id: 1_000 + index,
                waiting: BTreeMap::new(),
                next: 0,
                due: 0,
                last: PlayerInput::default(),
                leads: VecDeque::new(),
                sent: VecDeque::new(),
                acked: None,
                entered: None,
                to_be_told: VecDeque::new(),
                predicted: BTreeMap::new(),
                became: BTreeMap::new(),
                path: VecDeque::new(),
            });
        }
        room
    }

    pub fn now(&self) -> Instant {
        Instant::from_us(self.now_us)
    }

    pub fn chunk(&mut self, coord: ChunkCoord) -> Arc<Chunk> {
        let made = self.chunks.entry(coord);
        Arc::clone(made.or_insert_with(|| Arc::new(self.world.generate(coord, &mut Scratch::default()))))
    }

    /// Goes on until all clients play, with their whole rings.
    pub fn until_all_play(&mut self) {
        for _ in 0..10_000 {
            self.step();
            let plays = |s: &Seat| s.client.is_playable() && s.client.ring().wanted().is_empty();
            if self.seats.iter().all(plays) {
                return;
            }
        }
        for seat in &self.seats {
            let client = &seat.client;
            println!("{:?} {:?} {:?}", client.ring().active(), client.predicted(), client.stats());
        }
        panic!("they do not come to play");
    }

    pub fn run_ms(&mut self, ms: u64) {
        (0..ms * 1_000 / STEP_US).for_each(|_| self.step());
    }

    /// A millisecond: packets arrive, clients whose time has come tick, the server if it is due.
    pub fn step(&mut self) {
        self.now_us += STEP_US;
        let (now_us, now) = (self.now_us, Instant::from_us(self.now_us));
        for seat in &mut self.seats {
            while let Some(packet) = seat.down.poll(now_us) {
                seat.client.handle_packet(now, &packet);
            }
            if seat.client.next_timeout().is_some_and(|due| due <= now) {
                seat.client.handle_timeout(now);
                if let Some((number, mover)) = seat.client.predicted() {
                    seat.predicted.entry(number).or_insert(mover);
                }
            }
            seat.events.extend(std::iter::from_fn(|| seat.client.poll_event()));
            let mut buffer = [0; PACKET_BYTES_MAX];
            while let Some(bytes) = seat.client.poll_packet(now, &mut buffer) {
                seat.up.send(now_us, bytes, buffer[..bytes].to_vec());
            }
            let next_tick_us = 1_000_000 + (self.ticks + 1) * 1_000_000 / u64::from(HZ);
            while let Some(packet) = seat.up.poll(now_us) {
                seat.hear(now_us, next_tick_us.max(now_us), &packet);
            }
        }
        if now_us >= 1_000_000 + (self.ticks + 1) * 1_000_000 / u64::from(HZ) {
            self.ticks += 1;
            self.tick = self.tick.wrapping_add(1);
            self.server_tick();
        }
        for seat in &mut self.seats {
            if seat.path.len() == 1_000 {
                seat.path.pop_front();
            }
            seat.path.push_back(seat.mover.position);
        }
    }

    fn server_tick(&mut self) {
        let before: Vec<_> = self.seats.iter().map(|seat| (seat.mover, seat.visible)).collect();
        for index in 0..self.seats.len() {
            self.move_seat(index);
        }
        let after = self.seats.iter().map(|seat| (seat.mover, seat.visible));
        self.rested_ticks = if after.eq(before) { self.rested_ticks + 1 } else { 0 };
        let rests = self.rests && self.rested_ticks > 3 && !self.rested_ticks.is_multiple_of(15);
        for index in 0..self.seats.len() {
            self.send_chunks(index);
            if self.ticks.is_multiple_of(self.snapshot_every) && !rests {
                self.send_snapshot(index);
            }
        }
    }

    fn move_seat(&mut self, index: usize) {
        let before = self.seats[index].mover.position;
        for input in self.seats[index].take_due() {
            let coord = self.seats[index].mover.position.chunk().unwrap();
            for coord in Topology::Plane.ring(coord) {
                self.chunk(coord);
            }
            let Room { seats, chunks, doors, .. } = self;
            let seat = &mut seats[index];
            let at = seat.mover.position;
            if input.buttons & !seat.last.buttons & PlayerInput::USE != 0
                && let Some((coord, door)) =
                    door_in_reach(&|c| chunks.get(&c).map(Arc::as_ref), at, input.yaw)
            {
                let mask = doors.entry(coord).or_default();
                let is_open = *mask & (1 << door) != 0;
                if !(is_open && chunks[&coord].door_is_blocked(door, at, 0.0)) {
                    *mask ^= 1 << door;
                }
            }
            let chunk_at = |coord: ChunkCoord| {
                let open_doors = OpenDoors(doors.get(&coord).copied().unwrap_or(0));
                chunks.get(&coord).map(|chunk| Loaded { chunk, open_doors })
            };
            let (x, z) = input.wish();
            let wish = Wish { x, z, jump: input.buttons & PlayerInput::JUMP != 0 };
            seat.mover = walk(&chunk_at, seat.mover, wish, PACE).mover;
            seat.last = input;
            seat.became.insert(seat.next - 1, seat.mover);
        }
        let seat = &mut self.seats[index];
        let after = seat.mover.position;
        let way = [after.x - before.x, after.y - before.y, after.z - before.z];
        seat.velocity = way.map(|d| d * f64::from(HZ));
    }

    /// Chunks take another way, so that a test of movement does not depend on them.
    fn send_chunks(&mut self, index: usize) {
        let Some(coord) = self.seats[index].mover.position.chunk().filter(|_| self.seats[index].greeted)
        else {
            return;
        };
        let now = self.now();
        for coord in Topology::Plane.ring(coord) {
            if self.seats[index].client.chunk(coord).is_none() && self.seats[index].client.is_connected() {
                let chunk = self.chunk(coord);
                let key = ChunkKey { cx: coord.cx, cy: 0, cz: coord.cz };
                let bytes = Bytes::from(encode(&chunk));
                // What the link has to say leaves alone, so that a whole fragment has room.
                if let Some(packet) = self.seats[index].packet(now, None) {
                    self.seats[index].down.send(self.now_us, packet.len(), packet);
                }
                let fragmenter = Fragmenter::new(key, 1, CHUNK_KIND_BSP, ENCODING_BSP, bytes).unwrap();
                for fragment in 0..fragmenter.count() {
                    let (header, tail) = fragmenter.fragment(fragment);
                    let frame = [header.as_bytes(), &tail].concat();
                    let packet = self.seats[index].packet(now, Some((kind::FRAGMENT, &frame, None)));
                    self.seats[index].client.handle_packet(now, &packet.unwrap());
                }
            }
        }
        if self.seats[index].entered != Some(coord) {
            self.seats[index].entered = Some(coord);
            let enter = Message::ChunkEnter { cx: coord.cx, cz: coord.cz };
            self.seats[index].link.send_message(&enter).unwrap();
        }
    }

    fn send_snapshot(&mut self, index: usize) {
        if !self.seats[index].greeted {
            let (now, seat) = (self.now(), &mut self.seats[index]);
            seat.link.handle_timeout(now);
            if let Some(packet) = seat.packet(now, None) {
                seat.down.send(self.now_us, packet.len(), packet);
            }
            return;
        }
        let others: Vec<_> = (self.seats.iter().enumerate())
            .filter(|(other, seat)| *other != index && seat.visible)
            .map(|(other, seat)| SnapshotEntity { index: other as u32, id: seat.id, state: seat.state() })
            .collect();
        let tick = self.tick;
        let coord = self.seats[index].mover.position.chunk().unwrap();
        let ring = (0..9).map(|i| Topology::Plane.neighbour(coord, i % 3 - 1, i / 3 - 1));
        let masks: Vec<_> = ring.map(|c| c.and_then(|c| self.doors.get(&c)).copied().unwrap_or(0)).collect();
        let now = Instant::from_us(self.now_us);
        let seat = &mut self.seats[index];
        let fresh = |b: u32| tick.wrapping_sub(b) <= BASELINE_TICKS_MAX;
        let baseline =
            seat.acked.filter(|b| fresh(*b)).and_then(|b| seat.sent.iter().find(|s| s.tick == b).cloned());
        let mut told: Vec<usize> = (0..others.len()).collect();
        // In turns, so that nobody is left out for long.
        let turn = (self.ticks / self.snapshot_every) as usize * self.told_max.min(told.len());
        let turn = turn % told.len().max(1);
        told.rotate_left(turn);
        told.truncate(self.told_max);
        let was = |e: &SnapshotEntity| {
            baseline.as_ref()?.entities.iter().find(|b| (b.index, b.id) == (e.index, e.id)).copied()
        };
        let incomplete = told.len() < others.len();
        let entities = (others.iter().enumerate())
            .filter_map(|(at, e)| if told.contains(&at) { Some(*e) } else { was(e) })
            .collect();
        let snapshot = Snapshot {
            tick,
            input: seat.next.saturating_sub(1) as u16,
            lead_half_ms: seat.lead_half_ms(self.now_us),
            incomplete,
            own: seat.own(),
            open_doors: masks.try_into().unwrap(),
            entities,
        };
        let mut body = [0; 1_100];
        let bytes = encode_snapshot(&mut body, HZ, baseline.as_ref(), &snapshot);
        seat.sent.push_back(snapshot);
        if seat.sent.len() > BASELINE_TICKS_MAX as usize + 1 {
            seat.sent.pop_front();
        }
        seat.link.handle_timeout(now);
        seat.take_outcomes();
        let packet = seat.packet(now, Some((kind::SNAPSHOT, &body[..bytes], Some(tick)))).unwrap();
        seat.down.send(self.now_us, packet.len(), packet);
        if let Some((left, event)) = seat.to_be_told.front_mut() {
            let bytes = event.to_bytes();
            *left -= 1;
            if *left == 0 {
                seat.to_be_told.pop_front();
            }
            let packet = seat.packet(now, Some((kind::EVENT, &bytes, None))).unwrap();
            seat.down.send(self.now_us, packet.len(), packet);
        }
    }

    /// Tells a client of an event, so many times.
    pub fn say(&mut self, index: usize, times: u32, event: GameEvent) {
        self.seats[index].to_be_told.push_back((times, event));
    }
}

impl Seat {
    /// A packet of the server with this frame and what the link has to say.
    fn packet(&mut self, now: Instant, frame: Option<(u8, &[u8], Option<u32>)>) -> Option<Vec<u8>> {
        let mut buffer = [0; PACKET_BYTES_MAX];
        let mut packet = self.link.packet(now, &mut buffer);
        if let Some((kind, body, token)) = frame {
            packet.push(kind, &[body]);
            if let Some(token) = token {
                packet.token(token);
            }
        }
        let bytes = packet.finish()?.head_bytes;
        Some(buffer[..bytes].to_vec())
    }

    /// Sends one frame at once, past the line.
    pub fn say_now(&mut self, now: Instant, kind: u8, body: &[u8]) {
        let packet = self.packet(now, Some((kind, body, None))).unwrap();
        self.client.handle_packet(now, &packet);
    }

    fn take_outcomes(&mut self) {
        while let Some(outcome) = self.link.poll_outcome() {
            if let Outcome::Acked(tick) = outcome
                && self.acked.is_none_or(|acked| tick.wrapping_sub(acked) < u32::MAX / 2)
            {
                self.acked = Some(tick);
            }
        }
    }

    fn hear(&mut self, now_us: u64, next_tick_us: u64, packet: &[u8]) {
        let now = Instant::from_us(now_us);
        let Ok(frames) = self.link.handle_packet(now, packet) else { return };
        for (kind, body) in frames {
            assert_eq!(kind, kind::INPUTS, "a client says nothing else");
            self.take_inputs(now_us, next_tick_us, &Inputs::parse(body).unwrap());
        }
        self.take_outcomes();
        while let Some(raw) = self.link.poll_message() {
            if let Message::Hello(_) = Message::decode(&raw).unwrap() {
                self.greeted = true;
                let welcome = Welcome {
                    version: PROTOCOL_VERSION,
                    tick_rate_hz: HZ,
                    player: 0,
                    world_id: 1,
                    tick: 1,
                    walk_speed_units_s: PACE.speed_units_s as u16,
                };
                self.link.send_message(&Message::Welcome(welcome)).unwrap();
            }
        }
    }

    fn take_inputs(&mut self, now_us: u64, next_tick_us: u64, inputs: &Inputs<'_>) {
        for (number, input) in inputs.iter() {
            if self.next == 0 {
                (self.next, self.due) = (number, number);
            }
            if number >= self.next && self.waiting.insert(number, input).is_none() {
                let ticks = i64::from(number) - i64::from(self.due);
                let due_us = next_tick_us as i64 + ticks * 1_000_000 / i64::from(HZ);
                self.leads.push_back((now_us, due_us - now_us as i64));
            }
        }
        if let Some((&first, _)) = self.waiting.first_key_value()
            && first > self.next
        {
            let late = self.due.saturating_sub(self.next).min(CATCH_UP_MAX);
            (self.next, self.due) = (first, first + late);
        }
    }

    fn take_due(&mut self) -> Vec<PlayerInput> {
        let mut taken = Vec::new();
        while taken.len() < INPUTS_PER_TICK_MAX as usize && self.next <= self.due && self.next > 0 {
            let Some(input) = self.waiting.remove(&self.next) else { break };
            taken.push(input);
            self.next += 1;
            // A button counts when it was not held before, so one at a time.
            if taken.len() == 2 {
                break;
            }
        }
        if self.next > 0 {
            self.due = (self.due + 1).min(self.next + CATCH_UP_MAX);
        }
        taken
    }

    fn lead_half_ms(&mut self, now_us: u64) -> i8 {
        self.leads.retain(|(at_us, _)| at_us + 1_000_000 >= now_us);
        let least_us = self.leads.iter().map(|l| l.1).min().unwrap_or(0);
        (least_us / 500).clamp(-128, 127) as i8
    }

    pub fn own(&self) -> OwnState {
        let chunk = self.mover.position.chunk().unwrap();
        let (x0, z0) = chunk.origin();
        let grains = |units: f64| {
            let grains = units * 1_024.0;
            assert_eq!(grains, grains.floor(), "{units} is not on the lattice");
            grains
        };
        OwnState {
            cx: chunk.cx,
            cz: chunk.cz,
            x: grains(self.mover.position.x - x0) as u32,
            y: grains(self.mover.position.y) as i32,
            z: grains(self.mover.position.z - z0) as u32,
            velocity_y: grains(self.mover.velocity_y) as i32,
            on_ground: self.mover.on_ground,
            state: 0,
        }
    }

    fn state(&self) -> EntityState {
        let at = self.mover.position;
        let [velocity_x, velocity_y, velocity_z] = self.velocity.map(|v| (v * 16.0).round() as i16);
        EntityState {
            kind: 1,
            x: (at.x * 64.0).floor() as i64,
            y: (at.y * 64.0).floor() as i32,
            z: (at.z * 64.0).floor() as i64,
            velocity_x,
            velocity_y,
            velocity_z,
            yaw: self.last.yaw >> 6,
            state: 0,
        }
    }
}

/// A player who walks about: now and then another way, a jump, a door.
pub fn wander(random: &mut fastrand::Rng, before: PlayerInput, uses_doors: bool) -> PlayerInput {
    let mut input = PlayerInput { buttons: 0, ..before };
    if random.u32(..20) == 0 {
        let axis = |random: &mut fastrand::Rng| [-32_767, 0, 32_767, 9_000][random.usize(..4)];
        (input.move_x, input.move_z) = (axis(random), axis(random));
        input.yaw = random.u16(..);
    }
    if random.u32(..60) == 0 {
        input.buttons |= PlayerInput::JUMP;
    }
    if uses_doors && random.u32(..10) == 0 {
        input.buttons |= PlayerInput::USE;
    }
    input
}
