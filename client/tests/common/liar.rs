//! A client and somebody who can say anything to it, and what holds whatever is said.
#![allow(dead_code, reason = "each test file uses a part of it")]

use ninefold_client::protocol::frame::{Message, PROTOCOL_VERSION, Welcome, kind};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::link::Link;
use ninefold_client::protocol::snapshot::{ENTITIES_PER_SNAPSHOT_MAX, Snapshot, encode};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::{HalfExtents, Position};
use ninefold_client::{
    Client, ClientConfig, Event, INTERPOLATION_DELAY_MAX, STEER_PPM_MAX, UNCONFIRMED_INPUTS_MAX,
};

pub const WELCOME: Welcome = Welcome {
    version: PROTOCOL_VERSION,
    tick_rate_hz: 60,
    player: 1,
    world_id: 2,
    tick: 3,
    walk_speed_units_s: 320,
};

/// A client and somebody who can say anything to it.
pub struct Liar {
    pub client: Client,
    pub link: Link<()>,
    pub now: Instant,
    pub events: Vec<Event>,
}

impl Liar {
    pub fn new() -> Liar {
        let now = Instant::from_us(1_000_000);
        let mut client = Client::carried(now, &ClientConfig::new(0));
        client.carrier_is_up();
        Liar { client, link: Link::new(now), now, events: Vec::new() }
    }

    pub fn welcomed(welcome: Welcome) -> Liar {
        let mut liar = Liar::new();
        liar.welcome(welcome);
        liar
    }

    pub fn welcome(&mut self, welcome: Welcome) {
        self.link.send_message(&Message::Welcome(welcome)).unwrap();
        self.send(None);
    }

    pub fn send(&mut self, frame: Option<(u8, &[u8])>) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        let mut packet = self.link.packet(self.now, &mut buffer);
        if let Some((kind, body)) = frame {
            packet.push(kind, &[body]);
        }
        if let Some(built) = packet.finish() {
            self.client.handle_packet(self.now, &buffer[..built.head_bytes]);
        }
    }

    pub fn snapshot(&mut self, base: Option<&Snapshot>, snapshot: &Snapshot) {
        let mut body = vec![0; 70_000];
        let length = encode(&mut body, 60, base, snapshot);
        assert!(length < 1_150, "{length} bytes");
        self.send(Some((kind::SNAPSHOT, &body[..length])));
    }

    /// Time passes, and the client says and shows what it has.
    pub fn pass(&mut self, ms: u64) {
        self.now += Duration::from_ms(ms);
        self.client.handle_timeout(self.now);
        let mut buffer = [0; PACKET_BYTES_MAX];
        let mut packets = 0;
        while let Some(bytes) = self.client.poll_packet(self.now, &mut buffer) {
            let _ = self.link.handle_packet(self.now, &buffer[..bytes]).map(|frames| frames.for_each(drop));
            while self.link.poll_message().is_some() {}
            while self.link.poll_outcome().is_some() {}
            packets += 1;
            assert!(packets < 10, "a flood of packets");
        }
        self.check();
    }

    /// What holds whatever was said.
    pub fn check(&mut self) {
        let measures = self.client.measures(self.now);
        assert!(measures.inputs_unconfirmed <= UNCONFIRMED_INPUTS_MAX);
        assert!(measures.entities <= ENTITIES_PER_SNAPSHOT_MAX);
        assert!(measures.steering_ppm.abs() <= STEER_PPM_MAX);
        // What is shown may be further behind only until it has caught up.
        assert!(measures.interpolation_delay <= INTERPOLATION_DELAY_MAX.scaled(8, 1), "{measures:?}");
        let count = self.client.entities(self.now).count();
        assert_eq!(count, measures.entities);
        if let Some(own) = self.client.own(self.now) {
            let Position { x, y, z } = own.position;
            assert!([x, y, z].into_iter().all(f64::is_finite), "{own:?}");
            let up = Position { y: y + 10.0, ..own.position };
            let _ = self.client.trace(own.position, up, HalfExtents::PLAYER);
            let _ = self.client.contents(own.position);
        }
    }
}
