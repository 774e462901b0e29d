//! Flows over one bottleneck in virtual time: links as the server and its clients drive them, each in ticks of
//! its own, and greedy TCP-like flows beside them.
//!
//! ```text
//!   server ticks ─▶ departures ─▶ one line (rate, queue, delay, loss) ─▶ clients
//!        ◀──────────────── a line back for each flow ────────────────────┘ acknowledge each tick
//! ```
#![allow(dead_code, reason = "each test uses a part of it")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use ninefold_netem::{Link as Line, Profile};
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::link::congestion::{CongestionConfig, FlowStats};
use ninefold_protocol::link::{Link, Outcome};
use ninefold_protocol::time::Instant;

/// 60 ticks a second.
pub const TICK_US: u64 = 16_667;
const SNAPSHOT: u8 = 0x77;
const BULK: u8 = 0x78;
/// Bytes of a bulk packet's body: a full fragment with its header.
const BULK_BYTES: usize = 1_179;
/// Bytes of a packet of the TCP-like flow.
const SEGMENT_BYTES: usize = 1_200;

/// What a flow has to send beside its snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    Bytes(u64),
    Endless,
}

/// What arrived.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    pub at_us: u64,
    pub bytes: u64,
    pub snapshot: bool,
    /// From departure to arrival.
    pub delay_us: u64,
}

/// What a tick was allowed.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    pub at_us: u64,
    pub rate_bytes_s: u64,
    pub window_bytes: u64,
}

/// One server link and its client.
pub struct Pair {
    pub server: Link<u32>,
    pub demand: Demand,
    pub snapshot_bytes: usize,
    /// What the client claims to have kept its acknowledgements back for, in their own units of 8 us, whatever the
    /// truth is.
    pub claimed_delay: Option<u16>,
    pub received: Vec<Received>,
    /// Pace and window at each tick.
    pub trace: Vec<Allowed>,
    client: Link<()>,
    up: Line<Vec<u8>>,
    inbox: Vec<(u64, Vec<u8>)>,
    server_tick_us: u64,
    client_tick_us: u64,
    starts_us: u64,
}

/// A TCP-like flow without end: Reno (RFC 5681, 6582), or the growth of CUBIC (RFC 9438).
pub struct Greedy {
    pub received: Vec<Received>,
    cubic: bool,
    window: f64,
    threshold: f64,
    window_max: f64,
    reduced_us: u64,
    next: u64,
    /// When each segment left that was not answered.
    out: BTreeMap<u64, u64>,
    /// Losses of segments below this were answered.
    recover: u64,
    heard_us: u64,
    rtt_us: f64,
    up: Line<u64>,
    starts_us: u64,
}

#[derive(Clone)]
enum Payload {
    Packet(usize, Vec<u8>),
    Segment(usize, u64, u64),
}

/// When it leaves, what of the same time leaves first, whose it is, and what it is.
type Departing = (u64, u64, usize, Vec<u8>);

pub struct Dumbbell {
    pub now_us: u64,
    pub pairs: Vec<Pair>,
    pub greedy: Vec<Greedy>,
    line: Line<Payload>,
    departures: BinaryHeap<Reverse<Departing>>,
    order: u64,
    back: Profile,
    seed: u64,
}

fn at(us: u64) -> Instant {
    Instant::from_us(us)
}

impl Dumbbell {
    /// `line` is the way to the clients, `back` each client's way back.
    pub fn new(line: Profile, back: Profile, seed: u64) -> Self {
        Dumbbell {
            now_us: 0,
            pairs: Vec::new(),
            greedy: Vec::new(),
            line: Line::new(line, seed),
            departures: BinaryHeap::new(),
            order: 0,
            back,
            seed,
        }
    }

    fn flows(&self) -> u64 {
        (self.pairs.len() + self.greedy.len()) as u64
    }

    fn line_back<T: Clone>(&self) -> Line<T> {
        Line::new(self.back.clone(), self.seed ^ (self.flows() + 1) << 32)
    }

    /// A flow that begins at `starts_us`; its ticks' phases follow from the seed.
    pub fn pair(&mut self, starts_us: u64, demand: Demand, config: CongestionConfig) -> usize {
        let phase = |n: u64| {
            let mixed = (self.seed << 16 | self.flows() << 8 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) % TICK_US
        };
        let pair = Pair {
            server: Link::with_congestion(at(starts_us), config),
            demand,
            snapshot_bytes: 100,
            claimed_delay: None,
            received: Vec::new(),
            trace: Vec::new(),
            client: Link::new(at(starts_us)),
            up: self.line_back(),
            inbox: Vec::new(),
            server_tick_us: starts_us + phase(0),
            client_tick_us: starts_us + phase(1),
            starts_us,
        };
        self.pairs.push(pair);
        self.pairs.len() - 1
    }

    pub fn greedy(&mut self, starts_us: u64, cubic: bool) -> usize {
        let flow = Greedy {
            received: Vec::new(),
            cubic,
            window: 10.0,
            threshold: f64::INFINITY,
            window_max: 10.0,
            reduced_us: starts_us,
            next: 0,
            out: BTreeMap::new(),
            recover: 0,
            heard_us: starts_us,
            rtt_us: 100_000.0,
            up: self.line_back(),
            starts_us,
        };
        self.greedy.push(flow);
        self.greedy.len() - 1
    }

    /// Lets time pass until then.
    pub fn run_until(&mut self, until_us: u64) {
        while let Some(next) = self.next_event().filter(|t| *t <= until_us) {
            self.now_us = self.now_us.max(next);
            self.step();
        }
        self.now_us = until_us;
    }

    fn next_event(&self) -> Option<u64> {
        let ticks = self
            .pairs
            .iter()
            .flat_map(|p| [Some(p.server_tick_us), Some(p.client_tick_us), p.up.next_due_us()]);
        let greedy = self.greedy.iter().flat_map(|g| {
            let timer = Some((g.heard_us + 1_000_000).max(self.now_us));
            let start = (self.now_us < g.starts_us).then_some(g.starts_us);
            [g.up.next_due_us(), if g.next == 0 { start.or(Some(self.now_us)) } else { timer }]
        });
        let departure = self.departures.peek().map(|d| d.0.0);
        ticks.chain(greedy).chain([departure, self.line.next_due_us()]).flatten().min()
    }

    fn step(&mut self) {
        let now = self.now_us;
        while self.departures.peek().is_some_and(|d| d.0.0 <= now) {
            let Reverse((at_us, _, flow, bytes)) = self.departures.pop().unwrap();
            self.line.send(at_us, bytes.len(), Payload::Packet(flow, bytes));
        }
        while let Some(due) = self.line.next_due_us().filter(|d| *d <= now) {
            match self.line.poll(due).unwrap() {
                Payload::Packet(flow, bytes) => self.pairs[flow].arrived(due, &bytes),
                Payload::Segment(flow, number, sent_us) => {
                    let greedy = &mut self.greedy[flow];
                    let delay_us = due - sent_us;
                    let bytes = SEGMENT_BYTES as u64;
                    greedy.received.push(Received { at_us: due, bytes, snapshot: false, delay_us });
                    greedy.up.send(due, 40, number);
                }
            }
        }
        for flow in 0..self.pairs.len() {
            let pair = &mut self.pairs[flow];
            while let Some(due) = pair.up.next_due_us().filter(|d| *d <= now) {
                let bytes = pair.up.poll(due).unwrap();
                pair.inbox.push((due, bytes));
            }
            if pair.client_tick_us <= now {
                pair.client_tick();
            }
            if pair.server_tick_us <= now {
                for (at_us, bytes) in pair.server_tick() {
                    self.departures.push(Reverse((at_us, self.order, flow, bytes)));
                    self.order += 1;
                }
            }
        }
        for flow in 0..self.greedy.len() {
            for number in self.greedy[flow].step(now) {
                self.line.send(now, SEGMENT_BYTES, Payload::Segment(flow, number, now));
            }
        }
    }
}

impl Pair {
    fn arrived(&mut self, now_us: u64, packet: &[u8]) {
        let Ok(frames) = self.client.handle_packet(at(now_us), packet) else { return };
        for (kind, body) in frames {
            let sent_us = u64::from_le_bytes(body[..8].try_into().unwrap());
            self.received.push(Received {
                at_us: now_us,
                bytes: packet.len() as u64,
                snapshot: kind == SNAPSHOT,
                delay_us: now_us - sent_us,
            });
        }
        while self.client.poll_outcome().is_some() {}
    }

    fn client_tick(&mut self) {
        let now = self.client_tick_us;
        self.client_tick_us += TICK_US;
        let mut buffer = [0; PACKET_BYTES_MAX];
        self.client.handle_timeout(at(now));
        while self.client.poll_outcome().is_some() {}
        let mut packet = self.client.packet(at(now), &mut buffer);
        packet.push(0x70, &[&[0; 14]]);
        let built = packet.finish().unwrap();
        if let (Some(delay), 0x10) = (self.claimed_delay, buffer[4]) {
            buffer[11..13].copy_from_slice(&delay.to_le_bytes());
        }
        self.up.send(now, built.head_bytes, buffer[..built.head_bytes].to_vec());
    }

    fn server_tick(&mut self) -> Vec<(u64, Vec<u8>)> {
        let now = self.server_tick_us;
        self.server_tick_us += TICK_US;
        let until = at(now + TICK_US);
        for (at_us, packet) in std::mem::take(&mut self.inbox) {
            self.server.handle_packet(at(at_us), &packet).unwrap();
        }
        self.server.handle_timeout(at(now));
        while let Some(outcome) = self.server.poll_outcome() {
            if let (Outcome::Lost(bytes), Demand::Bytes(left)) = (outcome, &mut self.demand) {
                *left += u64::from(bytes);
            }
        }
        let mut out = vec![self.write(at(now), SNAPSHOT, self.snapshot_bytes)];
        let mut budget = self.server.budget(at(now), until);
        while budget.allows(PACKET_BYTES_MAX as u64) && self.demand != Demand::Bytes(0) {
            if let Demand::Bytes(left) = &mut self.demand {
                *left = left.saturating_sub(BULK_BYTES as u64);
            }
            let departure = self.server.departure(at(now));
            let packet = self.write(departure, BULK, BULK_BYTES);
            budget.spend(packet.1.len() as u64);
            out.push(packet);
        }
        if self.demand == Demand::Bytes(0) {
            self.server.ran_dry();
        } else {
            self.server.held_back(until);
        }
        let flow = self.server.flow();
        let FlowStats { rate_bytes_s, window_bytes, .. } = flow;
        self.trace.push(Allowed { at_us: now, rate_bytes_s, window_bytes });
        out
    }

    fn write(&mut self, departure: Instant, kind: u8, bytes: usize) -> (u64, Vec<u8>) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        let sent_us = departure.as_us().to_le_bytes();
        let mut packet = self.server.packet(departure, &mut buffer);
        let room = packet.room() - 3;
        packet.push(kind, &[&sent_us, &[0; BULK_BYTES][..bytes.min(room) - 8]]);
        if kind == BULK {
            packet.token(bytes as u32);
        }
        let built = packet.finish().unwrap();
        (departure.as_us(), buffer[..built.head_bytes].to_vec())
    }
}

impl Greedy {
    /// Takes what came back and says which segments leave now.
    fn step(&mut self, now_us: u64) -> Vec<u64> {
        if now_us < self.starts_us {
            return Vec::new();
        }
        while let Some(due) = self.up.next_due_us().filter(|d| *d <= now_us) {
            let number = self.up.poll(due).unwrap();
            self.acked(now_us, number);
        }
        if now_us >= self.heard_us + 1_000_000 {
            self.heard_us = now_us;
            self.threshold = (self.window / 2.0).max(2.0);
            self.window = 1.0;
            self.out.clear();
            self.recover = self.next;
        }
        let mut numbers = Vec::new();
        while self.out.len() < self.window as usize {
            self.out.insert(self.next, now_us);
            numbers.push(self.next);
            self.next += 1;
        }
        numbers
    }

    fn acked(&mut self, now_us: u64, number: u64) {
        self.heard_us = now_us;
        let Some(sent_us) = self.out.remove(&number) else { return };
        self.rtt_us = 0.875 * self.rtt_us + 0.125 * (now_us - sent_us) as f64;
        let lost: Vec<u64> = self.out.range(..number.saturating_sub(2)).map(|(n, _)| *n).collect();
        for n in &lost {
            self.out.remove(n);
        }
        if lost.iter().any(|n| *n >= self.recover) {
            self.window_max = self.window;
            self.window *= if self.cubic { 0.7 } else { 0.5 };
            self.threshold = self.window.max(2.0);
            self.window = self.threshold;
            self.recover = self.next;
            self.reduced_us = now_us;
        } else if self.window < self.threshold {
            self.window += 1.0;
        } else if self.cubic {
            let t = (now_us - self.reduced_us) as f64 / 1e6;
            let k = (self.window_max * 0.3 / 0.4).cbrt();
            let cubic = 0.4 * (t - k).powi(3) + self.window_max;
            let reno = self.window_max * 0.7 + 3.0 * 0.3 / 1.7 * t / (self.rtt_us / 1e6);
            let target = cubic.max(reno).clamp(self.window, 1.5 * self.window);
            self.window += (target - self.window) / self.window;
        } else {
            self.window += 1.0 / self.window;
        }
    }
}

/// Bytes of what arrived in a span of time.
pub fn bytes_in(received: &[Received], from_us: u64, to_us: u64) -> u64 {
    received.iter().filter(|r| (from_us..to_us).contains(&r.at_us)).map(|r| r.bytes).sum()
}

/// The value of which `percent` are smaller.
pub fn percentile(values: impl IntoIterator<Item = u64>, percent: f64) -> u64 {
    let mut values: Vec<u64> = values.into_iter().collect();
    values.sort_unstable();
    assert!(!values.is_empty(), "a percentile of nothing");
    values[((values.len() - 1) as f64 * percent / 100.0).round() as usize]
}
