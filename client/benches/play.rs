//! What playing costs a client: a snapshot of 63 walkers, a tick of its own, a frame.
//!
//! cargo bench -p ninefold-client --bench play
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark has a clock")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ninefold_client::protocol::frame::{Message, PROTOCOL_VERSION, PlayerInput, Welcome, kind};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::link::Link;
use ninefold_client::protocol::snapshot::{EntityState, OwnState, Snapshot, SnapshotEntity, encode};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::{Client, ClientConfig};

const HZ: u16 = 60;
const WALKERS: u32 = 63;
/// How long ago the baseline was, and how many inputs are on their way: a round trip of 100 ms.
const AGE_TICKS: u32 = 7;
const PERIOD: Duration = Duration::from_us(16_667);

/// A client in a world of which no chunk is here: it stands, and all the rest is as ever.
struct Stage {
    client: Client,
    link: Link<()>,
    now: Instant,
    tick: u32,
    sent: Vec<Snapshot>,
}

impl Stage {
    fn new() -> Stage {
        let now = Instant::from_us(1_000_000);
        let mut client = Client::carried(now, &ClientConfig::new(0));
        client.carrier_is_up();
        let mut stage = Stage { client, link: Link::new(now), now, tick: 0, sent: Vec::new() };
        let welcome = Welcome {
            version: PROTOCOL_VERSION,
            tick_rate_hz: HZ,
            player: 0,
            world_id: 1,
            tick: 1,
            walk_speed_units_s: 320,
        };
        stage.link.send_message(&Message::Welcome(welcome)).unwrap();
        let packet = stage.packet(None);
        stage.client.handle_packet(now, &packet);
        (0..100).for_each(|_| stage.turn());
        stage
    }

    fn packet(&mut self, frame: Option<&[u8]>) -> Vec<u8> {
        let mut buffer = [0; PACKET_BYTES_MAX];
        let mut packet = self.link.packet(self.now, &mut buffer);
        if let Some(body) = frame {
            packet.push(kind::SNAPSHOT, &[body]);
        }
        let bytes = packet.finish().unwrap().head_bytes;
        buffer[..bytes].to_vec()
    }

    /// The server's next snapshot in a packet.
    fn snapshot(&mut self) -> Vec<u8> {
        self.tick += 1;
        let walker = |index: u32| {
            let x = i64::from(index) * 700 + i64::from(self.tick) * 341;
            let state = EntityState { kind: 1, x, velocity_x: 5_120, ..EntityState::default() };
            SnapshotEntity { index, id: index.into(), state }
        };
        let snapshot = Snapshot {
            tick: self.tick,
            input: self.tick.saturating_sub(AGE_TICKS) as u16,
            lead_half_ms: 12,
            own: OwnState { on_ground: true, ..OwnState::default() },
            entities: (0..WALKERS).map(walker).collect(),
            ..Snapshot::default()
        };
        let baseline = self.sent.len().checked_sub(AGE_TICKS as usize).map(|at| &self.sent[at]);
        let mut body = [0; 4_096];
        let length = encode(&mut body, HZ, baseline, &snapshot);
        self.sent.push(snapshot);
        if self.sent.len() > 64 {
            self.sent.remove(0);
        }
        self.packet(Some(&body[..length]))
    }

    /// The client's next tick, and its packet.
    fn tick(&mut self) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        self.client.handle_timeout(self.now);
        while let Some(bytes) = self.client.poll_packet(self.now, &mut buffer) {
            black_box(&buffer[..bytes]);
        }
    }

    fn turn(&mut self) {
        let packet = self.snapshot();
        self.now += PERIOD;
        self.client.handle_packet(self.now, &packet);
        self.tick();
        while self.client.poll_event().is_some() {}
    }
}

fn play(criterion: &mut Criterion) {
    let mut stage = Stage::new();
    criterion.bench_function("snapshot of 63 walkers", |bencher| {
        bencher.iter_custom(|times| {
            let mut taken = std::time::Duration::ZERO;
            for _ in 0..times {
                let packet = stage.snapshot();
                stage.now += PERIOD;
                let began = std::time::Instant::now();
                stage.client.handle_packet(stage.now, &packet);
                taken += began.elapsed();
                stage.tick();
            }
            taken
        });
    });
    criterion.bench_function("tick and its packet", |bencher| {
        bencher.iter_custom(|times| {
            let mut taken = std::time::Duration::ZERO;
            for turn in 0..times {
                let packet = stage.snapshot();
                stage.now += PERIOD;
                stage.client.handle_packet(stage.now, &packet);
                stage.client.set_input(PlayerInput { yaw: turn as u16, ..PlayerInput::default() });
                let began = std::time::Instant::now();
                stage.tick();
                taken += began.elapsed();
            }
            taken
        });
    });
    criterion.bench_function("frame with 63 others", |bencher| {
        bencher.iter(|| {
            black_box(stage.client.own(stage.now));
            stage.client.entities(stage.now).map(|view| view.position.x).sum::<f64>()
        });
    });
}

criterion_group!(benches, play);
criterion_main!(benches);
