//! A tick and its clients in one thread and in virtual time: no sockets, no cryptography, no clock.
//!
//! A puppet speaks the link as a client would: it greets, sends an input each tick, acknowledges, puts
//! chunks together. The line between is emulated, from a seed.
#![allow(dead_code, reason = "each test and benchmark uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ninefold::carrier::{self, Arrival, Carrier, CarrierEnd, ConnectionId, Departure, TickEnd};
use ninefold::chunk::{ChunkLimits, ChunkService, Inline};
use ninefold::rules::Rules;
use ninefold::telemetry::TickTimes;
use ninefold::tick::Tick;
use ninefold_client::protocol::chunk::{Outcome, Reassembly};
use ninefold_client::protocol::frame::{
    ChunkKey, ENCODING_BSP_BIT, Fragment, Hello, Input, Message, PROTOCOL_VERSION, Positions, kind,
};
use ninefold_client::protocol::limits::{PACKET_BYTES_MAX, REASSEMBLY_BYTES_MAX};
use ninefold_client::protocol::link::{Link, LinkError};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::Generator;
use ninefold_netem::{Link as Line, Profile};

/// A client without a socket.
pub struct Puppet {
    pub connection: ConnectionId,
    pub link: Link<()>,
    pub wish: (i16, i16),
    /// Encoded chunks that came whole, by key, with their version.
    pub chunks: BTreeMap<ChunkKey, (u32, Vec<u8>)>,
    /// Fragments that came, of any chunk.
    pub fragments: Vec<(ChunkKey, u16)>,
    /// Reliable messages, in the order in which they came.
    pub messages: Vec<Message>,
    /// Chunk and place of the last positions frame.
    pub position: Option<(i32, i32, u16, u16)>,
    pub others: usize,
    up: Line<Vec<u8>>,
    down: Line<Vec<u8>>,
    reassembly: Reassembly,
    inputs: u32,
}

/// The whole stage.
pub struct Stage {
    pub tick: Tick<Inline>,
    pub puppets: Vec<Puppet>,
    pub now: Instant,
    end: TickEnd,
    carrier: CarrierEnd,
    profile: Profile,
    seed: u64,
    period: Duration,
}

impl Stage {
    pub fn new(rules: Rules, generator: Arc<dyn Generator>, seed: u64) -> Stage {
        let (end, carrier) = carrier::ends();
        let period = rules.period();
        let chunks = ChunkService::new(ChunkLimits::default(), Inline::new(generator));
        Stage {
            tick: Tick::new(rules, chunks),
            puppets: Vec::new(),
            now: Instant::ZERO,
            end,
            carrier,
            profile: Profile::default(),
            seed,
            period,
        }
    }

    /// Gives every client, now and to come, a line like this in both directions.
    pub fn set_line(&mut self, profile: Profile) {
        self.profile = profile;
        for index in 0..self.puppets.len() {
            let [up, down] = self.lines(index);
            // What is under way on the old line arrives first.
            let puppet = &mut self.puppets[index];
            let (old_up, old_down) =
                (std::mem::replace(&mut puppet.up, up), std::mem::replace(&mut puppet.down, down));
            let now = self.now;
            rest(old_down).for_each(|packet| puppet.take(now, &packet));
            rest(old_up).for_each(|packet| self.inject(index, &packet));
        }
    }

    fn lines(&self, index: usize) -> [Line<Vec<u8>>; 2] {
        [0, 1].map(|way| Line::new(self.profile.clone(), self.seed ^ (2 * index as u64 + way) << 32))
    }

    /// Brings a client in; it greets with the next step.
    pub fn join(&mut self) -> usize {
        let index = self.puppets.len();
        let connection = ConnectionId { slot: index as u32, generation: 1, carrier: Carrier::Udp };
        let arrival = Arrival::Connected { connection, client_id: index as u64 };
        self.carrier.arrivals.push(arrival, &[]).expect("the lane has room");
        let mut link = Link::new(self.now);
        let hello = Hello {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            encodings: ENCODING_BSP_BIT,
            cache_chunks: 512,
        };
        link.send_message(&Message::Hello(hello)).unwrap();
        let [up, down] = self.lines(index);
        self.puppets.push(Puppet {
            connection,
            link,
            wish: (0, 0),
            chunks: BTreeMap::new(),
            fragments: Vec::new(),
            messages: Vec::new(),
            position: None,
            others: 0,
            up,
            down,
            reassembly: Reassembly::new(REASSEMBLY_BYTES_MAX),
            inputs: 0,
        });
        index
    }

    /// Takes a client out as if it had said goodbye.
    pub fn leave(&mut self, index: usize) {
        let arrival = Arrival::Disconnected(self.puppets[index].connection);
        self.carrier.arrivals.push(arrival, &[]).expect("the lane has room");
    }

    /// Hands the tick one packet in a client's name.
    pub fn inject(&mut self, index: usize, packet: &[u8]) {
        let arrival = Arrival::Packet(self.puppets[index].connection);
        self.carrier.arrivals.push(arrival, packet).expect("the lane has room");
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
        let mut buffer = [0; PACKET_BYTES_MAX];
        for index in 0..self.puppets.len() {
            let puppet = &mut self.puppets[index];
            puppet.inputs += 1;
            let input = Input {
                sequence: puppet.inputs.into(),
                move_x: puppet.wish.0.into(),
                move_z: puppet.wish.1.into(),
                ..Input::default()
            };
            puppet.link.handle_timeout(self.now);
            while puppet.link.poll_outcome().is_some() {}
            let mut packet = puppet.link.packet(self.now, &mut buffer);
            packet.push(kind::INPUT, &[zerocopy::IntoBytes::as_bytes(&input)]);
            let built = packet.finish().expect("it has an input in it");
            let packet = buffer[..built.head_bytes].to_vec();
            puppet.up.send(self.now.as_us(), packet.len(), packet);
            while let Some(packet) = self.puppets[index].up.poll(self.now.as_us()) {
                self.inject(index, &packet);
            }
        }
    }

    /// The tick alone.
    pub fn run(&mut self, clock_ns: &dyn Fn() -> u64) -> TickTimes {
        self.tick.run(self.now, &mut self.end, clock_ns)
    }

    /// What the clients do after the tick.
    pub fn after(&mut self) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        let now_us = self.now.as_us();
        while let Some((departure, head)) = self.carrier.departures.pop(&mut buffer) {
            let Departure::Packet { connection, tail } = departure else { continue };
            let packet = [&head[..], &tail].concat();
            self.puppets[connection.slot as usize].down.send(now_us, packet.len(), packet);
        }
        for puppet in &mut self.puppets {
            while let Some(packet) = puppet.down.poll(now_us) {
                puppet.take(self.now, &packet);
            }
        }
    }
}

/// What is still under way on a line.
fn rest(mut line: Line<Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    std::iter::from_fn(move || line.poll(u64::MAX))
}

impl Puppet {
    fn take(&mut self, now: Instant, packet: &[u8]) {
        let frames: Vec<_> = match self.link.handle_packet(now, packet) {
            Ok(frames) => frames.collect(),
            Err(LinkError::Duplicate(_)) => return,
            Err(error) => panic!("our server said what cannot be: {error}"),
        };
        for (kind, body) in frames {
            match kind {
                kind::FRAGMENT => {
                    let fragment = Fragment::parse(body).unwrap();
                    self.fragments.push((fragment.key, fragment.index));
                    if let Outcome::Complete(whole) = self.reassembly.handle(now, &fragment) {
                        self.chunks.insert(whole.key, (whole.version, whole.bytes));
                    }
                }
                kind::POSITIONS => {
                    let positions = Positions::parse(body).unwrap();
                    let own = positions.header.own;
                    self.position = Some((own.cx.get(), own.cz.get(), own.x.get(), own.z.get()));
                    self.others = positions.others.len();
                }
                other => panic!("frame type {other:#x}"),
            }
        }
        while let Some(raw) = self.link.poll_message() {
            self.messages.push(Message::decode(&raw).unwrap());
        }
        while self.link.poll_outcome().is_some() {}
    }

    /// The last chunk that it was told to stand in.
    pub fn active(&self) -> Option<(i32, i32)> {
        self.messages.iter().rev().find_map(|m| match m {
            Message::ChunkEnter { cx, cz } => Some((*cx, *cz)),
            _ => None,
        })
    }
}
