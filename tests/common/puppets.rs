//! A tick and its clients in one thread and in virtual time: no sockets, no cryptography, no clock.
//!
//! A puppet speaks the link as a client would: it greets, sends an input each tick, acknowledges, puts
//! chunks together. The line between is emulated, from a seed.
#![allow(dead_code, reason = "each test and benchmark uses a part of it")]

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard};

use ninefold::carrier::{self, Arrival, Carrier, CarrierEnd, ConnectionId, Departure, TickEnd};
use ninefold::chunk::{ChunkLimits, ChunkService, Encoded, GivenUp, Inline, Job, Report, WorkerId, Workshop};
use ninefold::game::Game;
use ninefold::game::explore::Explore;
use ninefold::rules::Rules;
use ninefold::telemetry::{ClockNs, TickTimes};
use ninefold::tick::Tick;
use ninefold_client::protocol::chunk::{Outcome, Reassembly};
use ninefold_client::protocol::frame::{
    ChunkKey, ENCODING_BSP_BIT, Fragment, GameEvent, Hello, INPUTS_BYTES_MAX, Inputs, Message,
    PROTOCOL_VERSION, ParityFragment, PlayerInput, is_parity, kind,
};
use ninefold_client::protocol::limits::{PACKET_BYTES_MAX, REASSEMBLY_BYTES_MAX};
use ninefold_client::protocol::link::{Link, LinkError};
use ninefold_client::protocol::snapshot::{self, Snapshot};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::Generator;
use ninefold_netem::{Link as Line, Profile};

/// A packet that came.
#[derive(Debug, Clone, Copy)]
pub struct Came {
    /// The packet's number.
    pub number: u32,
    pub left_us: u64,
    pub came_us: u64,
    pub bytes: u64,
    /// The chunk whose fragment is in it; without one it has positions or messages.
    pub fragment_of: Option<ChunkKey>,
}

/// What a tick took from its carriers, tick by tick: played to another tick it takes the place of the clients.
#[derive(Default)]
pub struct Tape {
    arrivals: Vec<(Arrival, usize)>,
    /// Of their packets, one behind the other.
    bytes: Vec<u8>,
    /// Where in both each tick ends.
    ends: Vec<(usize, usize)>,
}

impl Tape {
    fn push(&mut self, arrival: Arrival, packet: &[u8]) {
        self.arrivals.push((arrival, packet.len()));
        self.bytes.extend_from_slice(packet);
    }

    fn end_tick(&mut self) {
        self.ends.push((self.arrivals.len(), self.bytes.len()));
    }

    /// What arrived in a tick, counted from 0.
    fn tick(&self, number: usize) -> impl Iterator<Item = (Arrival, &[u8])> {
        let (first, mut from) = number.checked_sub(1).map_or((0, 0), |before| self.ends[before]);
        self.arrivals[first..self.ends[number].0].iter().map(move |(arrival, bytes)| {
            from += bytes;
            (*arrival, &self.bytes[from - bytes..from])
        })
    }

    /// Ticks.
    pub fn ticks(&self) -> usize {
        self.ends.len()
    }
}

/// A packet on its way to a client.
#[derive(Clone)]
struct Parcel {
    index: usize,
    left_us: u64,
    packet: Vec<u8>,
}

/// Makes chunks at once, or beside the ticks as workers do, and makes them as long as a test wants them.
pub struct Padded(Arc<Mutex<Bench>>);

struct Bench {
    inline: Inline,
    /// Encoded chunks are filled up to so many bytes; the client must not decode them then.
    bytes_min: usize,
    /// Whether chunks are made in [`Stage::work`] and not when the tick asks for them.
    is_beside: bool,
    made: VecDeque<Report>,
}

impl Bench {
    fn make(&mut self) -> Option<Report> {
        let mut report = self.inline.poll()?;
        if let Report::Made { made, .. } = &mut report
            && made.encoded.bsp.len() < self.bytes_min
        {
            let mut bytes = made.encoded.bsp.to_vec();
            bytes.resize(self.bytes_min, 0);
            made.encoded = Encoded::new(bytes.into(), None);
        }
        Some(report)
    }
}

impl Padded {
    fn bench(&self) -> MutexGuard<'_, Bench> {
        self.0.lock().expect("one thread at a time is here")
    }
}

impl Workshop for Padded {
    fn submit(&mut self, job: Job) -> Result<(), Job> {
        self.bench().inline.submit(job)
    }

    fn poll(&mut self) -> Option<Report> {
        let mut bench = self.bench();
        if bench.is_beside { bench.made.pop_front() } else { bench.make() }
    }

    fn give_up(&mut self, worker: WorkerId, job: Job) -> GivenUp {
        self.bench().inline.give_up(worker, job)
    }

    fn workers_alive(&self) -> usize {
        self.bench().inline.workers_alive()
    }
}

/// A client without a socket.
pub struct Puppet {
    pub connection: ConnectionId,
    pub link: Link<()>,
    pub wish: (i16, i16),
    pub buttons: u16,
    pub yaw: u16,
    /// Encoded chunks that came whole, by key, with their version.
    pub chunks: BTreeMap<ChunkKey, (u32, Vec<u8>)>,
    /// When chunks became whole.
    pub whole: Vec<(ChunkKey, Instant)>,
    /// Fragments that came, of any chunk.
    pub fragments: Vec<(ChunkKey, u16)>,
    /// Reliable messages, in the order in which they came.
    pub messages: Vec<Message>,
    /// Chunk and place of the last snapshot, 1/64 unit.
    pub position: Option<(i32, i32, u16, u16)>,
    pub others: usize,
    /// The snapshots that it keeps, the newest last.
    pub snapshots: VecDeque<Snapshot>,
    /// Events, each once.
    pub events: Vec<GameEvent>,
    /// Bytes of snapshots that came.
    pub snapshot_bytes: Vec<usize>,
    /// Whether [`Puppet::came`] is kept.
    pub records: bool,
    /// Packets in the order in which they came.
    pub came: Vec<Came>,
    up: Line<Vec<u8>>,
    down: Line<Parcel>,
    reassembly: Reassembly,
    hz: u16,
    inputs: u32,
    unconfirmed: VecDeque<PlayerInput>,
}

/// The whole stage.
pub struct Stage {
    pub tick: Tick<Padded>,
    pub puppets: Vec<Puppet>,
    pub now: Instant,
    bench: Arc<Mutex<Bench>>,
    end: TickEnd,
    carrier: CarrierEnd,
    /// The way to all clients, if they share one.
    shared: Option<Line<Parcel>>,
    /// What arrives, if that is kept.
    tape: Option<Tape>,
    /// Of all that departs, in its order, if that is asked for.
    pub departed: Option<DefaultHasher>,
    profile: Profile,
    seed: u64,
    period: Duration,
    hz: u16,
}

impl Stage {
    pub fn new(rules: Rules, generator: Arc<dyn Generator>, seed: u64) -> Stage {
        Stage::with_chunk_bytes(rules, generator, seed, 0)
    }

    /// A stage whose encoded chunks have at least so many bytes.
    pub fn with_chunk_bytes(
        rules: Rules,
        generator: Arc<dyn Generator>,
        seed: u64,
        bytes_min: usize,
    ) -> Stage {
        // Creatures would be others of whom a test knows nothing.
        Stage::with_game(rules, generator, seed, bytes_min, Box::new(Explore::new(seed, 0)))
    }

    /// A stage for a game.
    pub fn with_game(
        rules: Rules,
        generator: Arc<dyn Generator>,
        seed: u64,
        bytes_min: usize,
        game: Box<dyn Game>,
    ) -> Stage {
        let (end, carrier) = carrier::ends();
        let period = rules.period();
        let inline = Inline::new(generator);
        let bench = Bench { inline, bytes_min, is_beside: false, made: VecDeque::new() };
        let bench = Arc::new(Mutex::new(bench));
        let chunks = ChunkService::new(ChunkLimits::default(), Padded(Arc::clone(&bench)));
        Stage {
            bench,
            hz: rules.tick_rate_hz as u16,
            tick: Tick::new(rules, chunks, game),
            puppets: Vec::new(),
            now: Instant::ZERO,
            end,
            carrier,
            shared: None,
            tape: None,
            departed: None,
            profile: Profile::default(),
            seed,
            period,
        }
    }

    /// From now on chunks are made in [`Stage::work`], so that ticks do not take their time.
    pub fn make_beside(&mut self) {
        self.bench.lock().expect("one thread at a time is here").is_beside = true;
    }

    /// Makes the chunks that the last tick asked for, for as long as `goes_on` says.
    pub fn work(&mut self, goes_on: &dyn Fn() -> bool) {
        let mut bench = self.bench.lock().expect("one thread at a time is here");
        while goes_on() {
            let Some(report) = bench.make() else { break };
            bench.made.push_back(report);
        }
    }

    /// Gives every client, now and to come, a line like this in both directions.
    pub fn set_line(&mut self, profile: Profile) {
        self.profile = profile;
        for index in 0..self.puppets.len() {
            let (up, down) = self.lines(index);
            // What is under way on the old line arrives first.
            let puppet = &mut self.puppets[index];
            let (old_up, old_down) =
                (std::mem::replace(&mut puppet.up, up), std::mem::replace(&mut puppet.down, down));
            let now = self.now;
            rest(old_down).for_each(|parcel| puppet.take(now, &parcel));
            rest(old_up).for_each(|packet| self.inject(index, &packet));
        }
    }

    /// A client goes to another address, and from there over a line like this. What is under way to and from the old one
    /// is lost, and the carrier tells of it, or does not.
    pub fn move_to(&mut self, index: usize, profile: Profile, is_told: bool) {
        self.profile = profile;
        let (up, down) = self.lines(index);
        let puppet = &mut self.puppets[index];
        (puppet.up, puppet.down) = (up, down);
        if is_told {
            let moved = Arrival::Moved(puppet.connection);
            self.tell(moved, &[]);
        }
    }

    fn lines<U: Clone, D: Clone>(&self, index: usize) -> (Line<U>, Line<D>) {
        let seed = |way: u64| self.seed ^ (2 * index as u64 + way) << 32;
        (Line::new(self.profile.clone(), seed(0)), Line::new(self.profile.clone(), seed(1)))
    }

    /// Brings a client in; it greets with the next step.
    pub fn join(&mut self) -> usize {
        let index = self.puppets.len();
        let puppet = self.puppet(index, 1);
        self.puppets.push(puppet);
        index
    }

    /// Brings a client in again, as a new session in the slot that it left.
    pub fn join_again(&mut self, index: usize) {
        let generation = self.puppets[index].connection.generation + 1;
        self.puppets[index] = self.puppet(index, generation);
    }

    fn puppet(&mut self, index: usize, generation: u32) -> Puppet {
        let connection = ConnectionId { slot: index as u32, generation, carrier: Carrier::Udp };
        self.tell(Arrival::Connected { connection, client_id: index as u64 }, &[]);
        let mut link = Link::new(self.now);
        let hello = Hello {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            encodings: ENCODING_BSP_BIT,
            cache_chunks: 512,
            offers: 0,
        };
        link.send_message(&Message::Hello(hello)).unwrap();
        let (up, down) = self.lines(index);
        Puppet {
            connection,
            link,
            wish: (0, 0),
            buttons: 0,
            yaw: 0,
            chunks: BTreeMap::new(),
            whole: Vec::new(),
            fragments: Vec::new(),
            messages: Vec::new(),
            position: None,
            others: 0,
            snapshots: VecDeque::new(),
            events: Vec::new(),
            snapshot_bytes: Vec::new(),
            records: false,
            came: Vec::new(),
            up,
            down,
            reassembly: Reassembly::new(REASSEMBLY_BYTES_MAX),
            hz: self.hz,
            inputs: 0,
            unconfirmed: VecDeque::new(),
        }
    }

    /// Takes a client out as if it had said goodbye.
    pub fn leave(&mut self, index: usize) {
        self.tell(Arrival::Disconnected(self.puppets[index].connection), &[]);
    }

    /// Hands the tick one packet in a client's name.
    pub fn inject(&mut self, index: usize, packet: &[u8]) {
        self.arrive(index, self.now, packet);
    }

    fn arrive(&mut self, index: usize, at: Instant, packet: &[u8]) {
        self.tell(Arrival::Packet { connection: self.puppets[index].connection, at }, packet);
    }

    fn tell(&mut self, arrival: Arrival, packet: &[u8]) {
        self.carrier.arrivals.push(arrival, packet).expect("the lane has room");
        if let Some(tape) = &mut self.tape {
            tape.push(arrival, packet);
        }
    }

    /// From now on what arrives is kept.
    pub fn record(&mut self) {
        self.tape = Some(Tape::default());
    }

    /// What arrived since [`Stage::record`].
    pub fn recorded(&mut self) -> Tape {
        self.tape.take().expect("it was asked for")
    }

    /// Before a tick without clients: what arrived in that tick of another stage.
    pub fn replay(&mut self, tape: &Tape, tick: usize) {
        self.now += self.period;
        for (arrival, packet) in tape.tick(tick) {
            self.carrier.arrivals.push(arrival, packet).expect("the lane has room");
        }
    }

    /// After it: nobody is there to hear what was sent.
    pub fn discard(&mut self) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        while self.carrier.departures.pop(&mut buffer).is_some() {}
    }

    /// The tick's end of the lanes.
    pub fn end(&self) -> &TickEnd {
        &self.end
    }

    /// One tick of everybody.
    pub fn step(&mut self) {
        self.before();
        self.run(&|| 0);
        self.after();
    }

    pub fn steps(&mut self, count: usize) {
        (0..count).for_each(|_| self.step());
    }

    /// What the clients do before the tick.
    pub fn before(&mut self) {
        self.now += self.period;
        self.deliver();
        let mut buffer = [0; PACKET_BYTES_MAX];
        for index in 0..self.puppets.len() {
            let puppet = &mut self.puppets[index];
            puppet.link.handle_timeout(self.now);
            while puppet.link.poll_outcome().is_some() {}
            let mut body = [0; INPUTS_BYTES_MAX];
            // Who is not in the world yet has nothing to want.
            let is_in = puppet.position.is_some() || puppet.active().is_some();
            let bytes = if is_in { puppet.inputs(&mut body) } else { 0 };
            let mut packet = puppet.link.packet(self.now, &mut buffer);
            match bytes {
                0 => packet.push(kind::PING, &[]),
                _ => packet.push(kind::INPUTS, &[&body[..bytes]]),
            };
            let built = packet.finish().expect("it has something in it");
            let packet = buffer[..built.head_bytes].to_vec();
            let puppet = &mut self.puppets[index];
            puppet.up.send(self.now.as_us(), packet.len(), packet);
            let now_us = self.now.as_us();
            while let Some(due) = self.puppets[index].up.next_due_us().filter(|due| *due <= now_us) {
                let packet = self.puppets[index].up.poll(due).expect("it is due");
                self.arrive(index, Instant::from_us(due), &packet);
            }
        }
    }

    /// The tick alone.
    pub fn run(&mut self, clock_ns: &ClockNs<'_>) -> TickTimes {
        if let Some(tape) = &mut self.tape {
            tape.end_tick();
        }
        self.tick.run(self.now, &mut self.end, clock_ns)
    }

    /// What the carrier and the clients do after the tick.
    pub fn after(&mut self) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        let mut leaving = Vec::new();
        while let Some((departure, heads)) = self.carrier.departures.pop(&mut buffer) {
            if let Some(hasher) = &mut self.departed {
                // Its connection, its time and its bytes are all in it.
                (format!("{departure:?}"), &heads).hash(hasher);
            }
            let Departure::Packets(packets) = departure else { continue };
            let index = packets.connection.slot as usize;
            leaving.extend(packets.each(heads).map(|parts| (packets.at, index, parts.concat())));
        }
        // All of them leave before the next tick, each at its time.
        leaving.sort_by_key(|(at, ..)| *at);
        for (at, index, packet) in leaving {
            let left_us = at.as_us();
            let bytes = packet.len();
            let parcel = Parcel { index, left_us, packet };
            let line = self.shared.as_mut().unwrap_or(&mut self.puppets[index].down);
            line.send(left_us, bytes, parcel);
        }
        self.deliver();
    }

    /// Gives the clients what has come by now, each packet at its own time.
    fn deliver(&mut self) {
        let now_us = self.now.as_us();
        if let Some(line) = &mut self.shared {
            while let Some(due) = line.next_due_us().filter(|due| *due <= now_us) {
                let parcel = line.poll(due).expect("it is due");
                self.puppets[parcel.index].take(Instant::from_us(due), &parcel);
            }
        }
        for puppet in &mut self.puppets {
            while let Some(due) = puppet.down.next_due_us().filter(|due| *due <= now_us) {
                let parcel = puppet.down.poll(due).expect("it is due");
                puppet.take(Instant::from_us(due), &parcel);
            }
        }
    }

    /// Sends all clients' packets over one line instead of over one for each.
    pub fn share_line(&mut self, profile: Profile) {
        self.shared = Some(Line::new(profile, self.seed));
    }
}

/// What is still under way on a line.
fn rest<T: Clone>(mut line: Line<T>) -> impl Iterator<Item = T> {
    std::iter::from_fn(move || line.poll(u64::MAX))
}

impl Puppet {
    fn take(&mut self, now: Instant, parcel: &Parcel) {
        let frames: Vec<_> = match self.link.handle_packet(now, &parcel.packet) {
            Ok(frames) => frames.collect(),
            Err(LinkError::Duplicate(_)) => return,
            Err(error) => panic!("our server said what cannot be: {error}"),
        };
        let mut fragment_of = None;
        for (kind, body) in frames {
            match kind {
                kind::FRAGMENT if is_parity(body) => {
                    let parity = ParityFragment::parse(body).unwrap();
                    fragment_of = Some(parity.key);
                    if self.misses(parity.key, parity.version) {
                        let outcome = self.reassembly.handle_parity(now, &parity);
                        self.assembled(now, outcome);
                    }
                }
                kind::FRAGMENT => {
                    let fragment = Fragment::parse(body).unwrap();
                    fragment_of = Some(fragment.key);
                    self.fragments.push((fragment.key, fragment.index));
                    if self.misses(fragment.key, fragment.version) {
                        let outcome = self.reassembly.handle(now, &fragment);
                        self.assembled(now, outcome);
                    }
                }
                kind::SNAPSHOT => self.take_snapshot(body),
                kind::EVENT => {
                    let event = GameEvent::parse(body).unwrap();
                    if self.events.iter().all(|known| known.number != event.number) {
                        self.events.push(event);
                    }
                }
                other => panic!("frame type {other:#x}"),
            }
        }
        if self.records {
            let (left_us, bytes) = (parcel.left_us, parcel.packet.len() as u64);
            let number = u32::from_le_bytes(*parcel.packet.first_chunk().expect("it was parsed"));
            self.came.push(Came { number, left_us, came_us: now.as_us(), bytes, fragment_of });
        }
        while let Some(raw) = self.link.poll_message() {
            self.messages.push(Message::decode(&raw).unwrap());
        }
        while self.link.poll_outcome().is_some() {}
    }

    /// One more input, and those before it that the server has not confirmed.
    fn inputs(&mut self, body: &mut [u8]) -> usize {
        self.inputs += 1;
        let (move_x, move_z) = self.wish;
        self.unconfirmed.push_back(PlayerInput { move_x, move_z, yaw: self.yaw, buttons: self.buttons });
        if self.unconfirmed.len() > 32 {
            self.unconfirmed.pop_front();
        }
        Inputs::write(self.inputs, self.unconfirmed.iter().copied(), body)
    }

    fn take_snapshot(&mut self, body: &[u8]) {
        let find = |tick| self.snapshots.iter().find(|s| s.tick == tick);
        let mut snapshot = Snapshot::default();
        snapshot::decode(body, self.hz, find, &mut snapshot).expect("our server leads from what we have");
        self.snapshot_bytes.push(body.len());
        if self.snapshots.back().is_some_and(|newest| newest.tick >= snapshot.tick) {
            return;
        }
        let ahead = u32::from((self.inputs as u16).wrapping_sub(snapshot.input));
        while self.unconfirmed.len() as u32 > ahead && self.unconfirmed.len() > 1 {
            self.unconfirmed.pop_front();
        }
        let own = snapshot.own;
        self.position = Some((own.cx, own.cz, (own.x >> 4) as u16, (own.z >> 4) as u16));
        self.others = snapshot.entities.len();
        self.snapshots.push_back(snapshot);
        if self.snapshots.len() > 64 {
            self.snapshots.pop_front();
        }
    }

    fn misses(&self, key: ChunkKey, version: u32) -> bool {
        self.chunks.get(&key).is_none_or(|(here, _)| *here < version)
    }

    fn assembled(&mut self, now: Instant, outcome: Outcome) {
        if let Outcome::Complete(whole) = outcome {
            self.whole.push((whole.key, now));
            self.chunks.insert(whole.key, (whole.version, whole.bytes));
        }
    }

    /// The last chunk that it was told to stand in.
    pub fn active(&self) -> Option<(i32, i32)> {
        self.messages.iter().rev().find_map(|m| match m {
            Message::ChunkEnter { cx, cz } => Some((*cx, *cz)),
            _ => None,
        })
    }

    /// Forgets its chunks and asks for the ring around it again.
    pub fn ask_for_ring(&mut self) {
        self.chunks.clear();
        self.fragments.clear();
        let (cx, cz) = self.active().expect("it is in the world");
        for (dx, dz) in (-1..=1).flat_map(|dz| (-1..=1).map(move |dx| (dx, dz))) {
            let key = ChunkKey { cx: cx + dx, cy: 0, cz: cz + dz };
            self.link.send_message(&Message::ChunkRequest(key)).expect("it has said little");
        }
    }
}
