//! A tick and whole clients in one thread and in virtual time: the client library as games have it, over emulated
//! lines, in steps of a millisecond. No sockets, no cryptography, no clock.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;

use ninefold::carrier::{self, Arrival, Carrier, CarrierEnd, ConnectionId, Departure, TickEnd};
use ninefold::chunk::{ChunkLimits, ChunkService, Inline};
use ninefold::game::Game;
use ninefold::rules::Rules;
use ninefold::session::Session;
use ninefold::tick::Tick;
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::Generator;
use ninefold_client::{Client, ClientConfig};
use ninefold_netem::{Link as Line, Profile};

/// One step.
pub const STEP_US: u64 = 1_000;
/// What a packet has besides on the wire: NETCODE's prefix, sequence and tag, and IPv4 and UDP.
pub const NETCODE_BYTES: usize = 1 + 8 + 16;
pub const UDP_BYTES: usize = 28;

/// A client and its line.
pub struct Member {
    pub client: Client,
    pub connection: ConnectionId,
    up: Line<Vec<u8>>,
    down: Line<Vec<u8>>,
    /// Packets and their bytes, without fragments of chunks, that the server sent it since this was set to 0.
    pub told: (u64, u64),
    /// Its packets, in the order in which they were sent, if they are kept.
    pub packets: Option<Vec<Passed>>,
}

/// A packet that was sent.
#[derive(Debug, Clone)]
pub struct Passed {
    pub at: Instant,
    pub by_client: bool,
    pub packet: Vec<u8>,
}

/// The whole stage.
pub struct Crowd {
    pub tick: Tick<Inline>,
    pub members: Vec<Member>,
    pub now: Instant,
    /// Bodies of snapshots, as the server counted them, sent since this was set to 0.
    next_tick: Instant,
    period: Duration,
    end: TickEnd,
    carrier: CarrierEnd,
    profile: Profile,
    seed: u64,
}

impl Crowd {
    pub fn new(
        rules: Rules,
        generator: Arc<dyn Generator>,
        game: Box<dyn Game>,
        profile: Profile,
        seed: u64,
    ) -> Self {
        let (end, carrier) = carrier::ends();
        let period = rules.period();
        let chunks = ChunkService::new(ChunkLimits::default(), Inline::new(generator));
        let now = Instant::from_us(1_000_000);
        let tick = Tick::new(rules, chunks, game);
        Crowd { tick, members: Vec::new(), now, next_tick: now, period, end, carrier, profile, seed }
    }

    /// Brings a client in.
    pub fn join(&mut self) -> usize {
        self.join_with(ClientConfig::new(0))
    }

    pub fn join_with(&mut self, config: ClientConfig) -> usize {
        let index = self.members.len();
        let connection = ConnectionId { slot: index as u32, generation: 1, carrier: Carrier::Udp };
        let arrival = Arrival::Connected { connection, client_id: index as u64 };
        self.carrier.arrivals.push(arrival, &[]).expect("the lane has room");
        let mut client = Client::carried(self.now, &config);
        client.carrier_is_up();
        let seed = |way: u64| (self.seed << 20) + 2 * index as u64 + way;
        let (up, down) = (Line::new(self.profile.clone(), seed(0)), Line::new(self.profile.clone(), seed(1)));
        self.members.push(Member { client, connection, up, down, told: (0, 0), packets: None });
        index
    }

    /// Takes a client out.
    pub fn leave(&mut self, index: usize) {
        let arrival = Arrival::Disconnected(self.members[index].connection);
        self.carrier.arrivals.push(arrival, &[]).expect("the lane has room");
        self.members[index].client.disconnect();
    }

    /// The line of everybody, from now on; what is under way on the old one is lost.
    pub fn set_line(&mut self, profile: Profile) {
        self.profile = profile;
        for (index, member) in self.members.iter_mut().enumerate() {
            let seed = |way: u64| (self.seed << 20) + 0x8_0000 + 2 * index as u64 + way;
            member.up = Line::new(self.profile.clone(), seed(0));
            member.down = Line::new(self.profile.clone(), seed(1));
        }
    }

    /// The server's side of a client.
    pub fn session(&self, index: usize) -> Option<&Session> {
        self.tick.sessions().find(|s| s.client_id == index as u64)
    }

    /// One millisecond; says whether the server had a tick in it.
    pub fn step(&mut self) -> bool {
        self.now += Duration::from_us(STEP_US);
        let (now, now_us) = (self.now, self.now.as_us());
        let mut buffer = [0; PACKET_BYTES_MAX];
        for member in &mut self.members {
            while let Some(due) = member.down.next_due_us().filter(|due| *due <= now_us) {
                let packet = member.down.poll(due).expect("it is due");
                member.client.handle_packet(Instant::from_us(due), &packet);
            }
            if member.client.next_timeout().is_none_or(|at| at <= now) {
                member.client.handle_timeout(now);
                while let Some(bytes) = member.client.poll_packet(now, &mut buffer) {
                    member.keep(now, true, &buffer[..bytes]);
                    member.up.send(now_us, bytes, buffer[..bytes].to_vec());
                }
            }
            while let Some(due) = member.up.next_due_us().filter(|due| *due <= now_us) {
                let packet = member.up.poll(due).expect("it is due");
                let arrival = Arrival::Packet { connection: member.connection, at: Instant::from_us(due) };
                self.carrier.arrivals.push(arrival, &packet).expect("the lane has room");
            }
        }
        if now < self.next_tick {
            return false;
        }
        self.next_tick += self.period;
        self.tick.run(now, &mut self.end, &|| 0);
        while let Some((departure, heads)) = self.carrier.departures.pop(&mut buffer) {
            let Departure::Packets(packets) = departure else { continue };
            let member = &mut self.members[packets.connection.slot as usize];
            if packets.tail.is_empty() {
                member.told.0 += 1;
                member.told.1 += heads.len() as u64;
            }
            for packet in packets.each(heads).map(|parts| parts.concat()) {
                member.keep(packets.at, false, &packet);
                member.down.send(packets.at.as_us(), packet.len(), packet);
            }
        }
        true
    }

    /// So many seconds.
    pub fn seconds(&mut self, seconds: u64) {
        (0..seconds * 1_000_000 / STEP_US).for_each(|_| _ = self.step());
    }
}

impl Member {
    fn keep(&mut self, at: Instant, by_client: bool, packet: &[u8]) {
        if let Some(packets) = &mut self.packets {
            packets.push(Passed { at, by_client, packet: packet.to_vec() });
        }
    }
}
