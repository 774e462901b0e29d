//! The server in virtual time: the tick, the chunk service, the carriers' cores, and the clock that wakes them.
//!
//! It is the server's own code but for threads and sockets. A tick takes no time unless it is made to: by a stall, or
//! by what it really cost where that is charged. What it wrote leaves when it is done.

use std::net::SocketAddr;
use std::rc::Rc;

use ninefold::carrier::quic::core::{QuicCore, QuicCoreConfig};
use ninefold::carrier::udp::UdpReport;
use ninefold::carrier::udp::core::{Outlet, UdpCore};
use ninefold::carrier::{self, Carrier, TickEnd};
use ninefold::chunk::ChunkService;
use ninefold::clock::{Due, Monotonic, TickClock};
use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold::tick::Tick;
use ninefold_client::protocol::connection::ServerConfig;
use ninefold_client::protocol::link::congestion::{CongestionConfig, Mode};
use ninefold_client::protocol::time::{Duration, Instant};

use super::quic;
use super::workshop::{VirtualWorkshop, Yard};

/// The server's address.
pub const SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 40_000);
/// Room for the longest datagram of either carrier: QUIC looks for paths of up to 1,452 bytes.
const ROOM_BYTES: usize = 1_500;
/// Workers that make chunks.
const WORKERS: u32 = 2;

/// Datagrams that the server sent and that were not put on their lines yet.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// To whom, and where each begins.
    runs: Vec<(SocketAddr, usize)>,
    /// Where the next one begins.
    end: usize,
    /// Packets of the tick that were sealed and sent.
    pub sealed: u64,
    /// Bytes of those, as datagrams.
    pub sealed_bytes: u64,
}

impl Outbox {
    /// What was sent, in its order, with its address.
    pub fn each(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.runs.iter().enumerate().map(|(at, (to, start))| {
            let end = self.runs.get(at + 1).map_or(self.end, |(_, next)| *next);
            (*to, &self.bytes[*start..end])
        })
    }

    /// It was put on its lines.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.end = 0;
    }

    fn push(&mut self, to: SocketAddr, bytes: usize, report: &mut UdpReport) {
        report.send_calls += 1;
        report.datagrams_out += 1;
        report.bytes_out += bytes as u64;
        self.append(to, bytes);
    }

    fn append(&mut self, to: SocketAddr, bytes: usize) {
        self.runs.push((to, self.end));
        self.end += bytes;
    }

    fn space(&mut self) -> &mut [u8] {
        if self.bytes.len() < self.end + ROOM_BYTES {
            self.bytes.resize(self.end + 64 * ROOM_BYTES, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Takes a datagram of QUIC.
    fn take(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.space()[..datagram.len()].copy_from_slice(datagram);
        self.append(to, datagram.len());
    }
}

impl Outlet for Outbox {
    fn room(&mut self, _: &mut UdpReport, _: usize) -> &mut [u8] {
        self.space()
    }

    fn sealed(&mut self, to: SocketAddr, bytes: usize, report: &mut UdpReport) {
        self.sealed += 1;
        self.sealed_bytes += bytes as u64;
        self.push(to, bytes, report);
    }

    fn flush(&mut self, _: &mut UdpReport) {}

    fn send(&mut self, to: SocketAddr, datagram: &[u8], report: &mut UdpReport) {
        self.space()[..datagram.len()].copy_from_slice(datagram);
        self.push(to, datagram.len(), report);
    }
}

/// What the server is told at its start.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// The configuration.
    pub config: Config,
    /// Chooses its keys.
    pub seed: u64,
    /// Seconds since the Unix epoch at time zero.
    pub unix_s_at_origin: u64,
    /// The key that tokens are made with.
    pub private_key: [u8; 32],
    /// Whether each tick takes as long as it really took.
    pub charges: bool,
}

/// The server.
pub struct Host {
    /// The simulation.
    pub tick: Tick<VirtualWorkshop>,
    /// The UDP carrier and the roster.
    pub udp: UdpCore,
    /// The QUIC carrier.
    pub quic: QuicCore,
    /// What it has sent.
    pub outbox: Outbox,
    /// Its clock is so much ahead.
    pub clock_ahead_us: u64,
    /// Every tick takes so long until then, microseconds.
    pub stall: (u64, u64),
    /// What ticks really cost, nanoseconds, where that is charged.
    pub charged_ns: u64,
    yard: Rc<Yard>,
    end: TickEnd,
    deadlines: TickClock,
    next_tick: Instant,
    /// A tick is at it until then.
    busy_until_us: u64,
    /// Whether what the last tick wrote has not left yet.
    is_busy: bool,
    charges: Option<Monotonic>,
}

impl Host {
    /// A server that begins now; its clock is `clock_ahead_us` ahead.
    pub fn new(now_us: u64, clock_ahead_us: u64, host: &HostConfig, yard: Rc<Yard>) -> Host {
        let HostConfig { config, seed, unix_s_at_origin, private_key, charges } = host;
        let mut random = fastrand::Rng::with_seed(*seed);
        let mut key = || std::array::from_fn(|_| random.u8(..));
        let now = Instant::from_us(now_us + clock_ahead_us);
        let (mut end, carrier_end) = carrier::ends();
        let quic = QuicCoreConfig {
            identity: quic::identity(),
            gate: config.quic_gate(),
            tick: Duration::from_us(1_000_000 / u64::from(config.tick_rate_hz)),
            // Never without (RFC 9002 §7): a fixed rate is the link's, above it.
            congestion: CongestionConfig { mode: Mode::Copa, ..config.rules(0).congestion },
            seed: key(),
        };
        let quic = QuicCore::new(quic, end.add(), Monotonic::start(), now)
            .expect("the certificate of virtual time can be used");
        let udp = ServerConfig {
            protocol_id: config.protocol_id,
            private_key: *private_key,
            public_addresses: vec![SERVER],
            clients_max: config.clients_max,
            unix_s_at_origin: *unix_s_at_origin,
            challenge_key: key(),
            hash_seed: key(),
            limits: config.handshake_limits(),
        };
        yard.now_us.set(now.as_us());
        let generator = config.generator.world(config.world_seed);
        let rules = config.rules(generator.world_id());
        let workshop = VirtualWorkshop::new(generator, WORKERS, Rc::clone(&yard));
        let chunks = ChunkService::new(config.chunk_limits(), workshop);
        let game = Explore::new(config.world_seed, config.creatures_per_chunk);
        Host {
            deadlines: TickClock::new(now, rules.tick_rate_hz, config.catch_up_ticks_max),
            tick: Tick::new(rules, chunks, Box::new(game)),
            udp: UdpCore::new(udp, carrier_end, now),
            quic,
            outbox: Outbox::default(),
            clock_ahead_us,
            stall: (0, 0),
            charged_ns: 0,
            yard,
            end,
            next_tick: now,
            busy_until_us: 0,
            is_busy: false,
            charges: charges.then(Monotonic::start),
        }
    }

    fn local(&self, now_us: u64) -> Instant {
        Instant::from_us(now_us + self.clock_ahead_us)
    }

    /// When it is to be woken.
    pub fn next_us(&self) -> u64 {
        let here = |at: Instant| at.as_us().saturating_sub(self.clock_ahead_us);
        let carriers = self.udp.next_deadline().min(self.quic.next_deadline());
        here(self.next_tick).min(here(carriers)).max(self.busy_until_us)
    }

    /// Takes a datagram.
    pub fn receive(&mut self, now_us: u64, by: Carrier, from: SocketAddr, datagram: &mut [u8]) {
        let now = self.local(now_us);
        let Host { udp, quic, outbox, .. } = self;
        match by {
            Carrier::Udp | Carrier::UdpShard(_) => udp.handle(now, now, from, datagram),
            Carrier::Quic => quic.handle(now, from, datagram, udp, &mut |to, bytes| outbox.take(to, bytes)),
        }
        udp.flush(now, outbox);
    }

    /// Time has passed; says whether there was a tick.
    pub fn wake(&mut self, now_us: u64) -> bool {
        let now = self.local(now_us);
        self.yard.now_us.set(now.as_us());
        let ticked = now_us >= self.busy_until_us && self.run_tick(now_us);
        self.is_busy = now_us < self.busy_until_us;
        if !self.is_busy {
            while self.udp.depart(now, &mut self.outbox) {}
            let Host { udp, quic, outbox, .. } = self;
            if quic.departures_waiting() > 0 || ticked {
                quic.depart(now, udp, &mut |to, bytes| outbox.take(to, bytes));
            }
        }
        let Host { udp, quic, outbox, .. } = self;
        udp.handle_timeout(now);
        quic.handle_timeout(now, udp, &mut |to, bytes| outbox.take(to, bytes));
        udp.flush(now, outbox);
        ticked
    }

    /// Runs the tick that is due, if one is.
    fn run_tick(&mut self, now_us: u64) -> bool {
        let now = self.local(now_us);
        match self.deadlines.poll(now) {
            Due::At(then) => {
                self.next_tick = then;
                false
            }
            Due::Now { .. } => {
                let cost_us = match &self.charges {
                    Some(clock) => {
                        let times = self.tick.run(now, &mut self.end, &|| clock.now_ns());
                        self.charged_ns += times.total_ns();
                        times.total_ns() / 1_000
                    }
                    None => {
                        self.tick.run(now, &mut self.end, &|| 0);
                        0
                    }
                };
                let (stall_us, until_us) = self.stall;
                let stall_us = if now_us < until_us { stall_us } else { 0 };
                self.busy_until_us = now_us + cost_us + stall_us;
                true
            }
        }
    }

    /// Says goodbye to everybody.
    pub fn say_goodbye(&mut self, now_us: u64) {
        let now = self.local(now_us);
        let Host { udp, quic, outbox, .. } = self;
        quic.say_goodbye(now, udp, &mut |to, bytes| outbox.take(to, bytes));
        udp.say_goodbye(now, outbox);
    }

    /// Whether a tick is at it, and what it wrote has not left yet.
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Ticks that were left out.
    pub fn ticks_skipped(&self) -> u64 {
        self.deadlines.skipped()
    }
}
