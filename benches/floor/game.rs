//! Our server as it ships, and players that ride its connection and its link.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ahash::RandomState;
use ninefold::carrier::udp::UdpReport;
use ninefold::clock::Monotonic;
use ninefold::config::Config;
use ninefold::server::{Server, unix_s};
use ninefold::telemetry::Asked;
use ninefold::telemetry::state::ClientState as Told;
use ninefold_client::protocol::connection::{
    Client, ClientReceived, ClientState, ConnectToken, DATAGRAM_BYTES_MAX, DEVELOPMENT_KEY, Extensions,
    TokenParams,
};
use ninefold_client::protocol::frame::{
    ChunkKey, ENCODING_BSP_BIT, Fragment, Hello, INPUTS_BYTES_MAX, Inputs, Message, PROTOCOL_VERSION,
    PlayerInput, is_parity, kind,
};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::link::Link;
use ninefold_client::world::{Biome, Cell, ChunkCoord, FIXED_PER_UNIT, Generator, Grid, OpenCell};

use crate::clients::{Caller, Counts, Fetched, Wish, bind};
use crate::large::Large;

/// Inputs in a packet: as many as a short line leaves without the server's word.
const INPUTS: u32 = 3;
/// A walker turns after so many of its ticks.
const TURN_TICKS: u64 = 90;
/// Who fetches the chunks around it wants about 46 KB in so many ticks.
const FETCH_EVERY_TICKS: u64 = 24;
/// Who fetches the chunk in which it stands wants 32 KiB in so many: as many datagrams as go to who walks.
pub const FETCH_LARGE_EVERY_TICKS: u64 = 8;

/// What the players do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Play {
    /// They walk, and four full datagrams of chunks go to each in a tick.
    Exploring,
    /// They stand, and nothing changes.
    Idle,
    /// They stand, and each datagram wakes the thread.
    Prompt,
    /// They stand and get chunks now and then, as fast as they can be sent.
    Fetching,
    /// The same, where each chunk has 32 KiB; a few chunks, which many share.
    Large,
    /// They stand in those, and nothing changes.
    LargeIdle,
}

impl Play {
    pub fn wish(self) -> Wish {
        match self {
            Play::Exploring => Wish::Explore,
            Play::Idle | Play::Prompt | Play::LargeIdle => Wish::Nothing,
            Play::Fetching => Wish::Fetch { every_ticks: FETCH_EVERY_TICKS, what: Fetched::Neighbours },
            Play::Large => Wish::Fetch { every_ticks: FETCH_LARGE_EVERY_TICKS, what: Fetched::Active },
        }
    }

    fn neighbour_fragments_per_tick(self) -> u32 {
        match self {
            Play::Exploring => 4,
            _ => 32,
        }
    }
}

/// Open land that can be walked everywhere, and as much to tell of each chunk as there can be.
struct Rough;

impl Generator for Rough {
    fn grid(&self, coord: ChunkCoord) -> Grid {
        Grid::from_cells(coord, Biome::Exterior, |x, z| {
            let mixed = (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ (z as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
            let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20;
            let digit = |place: u32, base: u64| (mixed >> (8 * place)) % base;
            Cell::Open(OpenCell {
                floor: digit(0, 8) as i16 * 4 * FIXED_PER_UNIT as i16,
                ceiling: None,
                floor_material: digit(1, 8) as u8 + 1,
                wall_material: digit(2, 8) as u8 + 1,
                cliff_material: digit(3, 8) as u8 + 1,
                ceiling_material: 0,
            })
        })
    }

    fn world_id(&self) -> u64 {
        12
    }
}

/// The server.
pub struct Ours {
    whole: Whole,
    protocol_id: u64,
}

enum Whole {
    Server(Box<Server>),
    Large(Large),
}

impl Ours {
    pub fn start(play: Play, hz: u32) -> Ours {
        let ordinary = Config::default();
        let is_large = matches!(play, Play::Large | Play::LargeIdle);
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            tick_rate_hz: hz,
            // Who stands is to see nothing move.
            creatures_per_chunk: 0,
            spawn_radius_chunks: if is_large { 2 } else { 12 },
            neighbour_fragments_per_tick: play.neighbour_fragments_per_tick(),
            trace_dir: PathBuf::new(),
            udp_threads: crate::udp_threads(),
            gather_us: if play == Play::Prompt { 0 } else { ordinary.gather_us },
            ..ordinary
        };
        let whole = match play {
            Play::Large | Play::LargeIdle => Whole::Large(Large::start(&config, unix_s())),
            _ => Whole::Server(Server::start(&config, Arc::new(Rough)).expect("the server starts").into()),
        };
        Ours { whole, protocol_id: config.protocol_id }
    }

    fn address(&self) -> SocketAddr {
        match &self.whole {
            Whole::Server(server) => server.address(),
            Whole::Large(large) => large.address(),
        }
    }

    pub fn callers(&self, is_aes: bool, clients: usize) -> Vec<Caller> {
        let extensions = Extensions { aes_payloads: is_aes, ..Extensions::ALL };
        let token = |number: u64| {
            let params = TokenParams {
                protocol_id: self.protocol_id,
                client_id: number,
                create_unix_s: unix_s(),
                expire_unix_s: unix_s() + 60,
                timeout_s: 10,
                server_addresses: vec![self.address()],
                user_data: [0; 256],
            };
            let mut random = fastrand::Rng::with_seed(number);
            let (nonce, up) =
                (std::array::from_fn(|_| random.u8(..)), std::array::from_fn(|_| random.u8(..)));
            let down = std::array::from_fn(|_| random.u8(..));
            ConnectToken::mint_extended(&params, extensions, &DEVELOPMENT_KEY, nonce, up, down).unwrap()
        };
        let caller = |number| Caller::ours(bind(), self.address(), Player::new(number, &token(number)));
        (0..clients as u64).map(caller).collect()
    }

    /// What congestion control makes of the clients' lines, and what of the bytes to them is padding.
    pub fn paced(&self) -> String {
        let asked = Asked { clients: usize::MAX, ..Asked::default() };
        let Whole::Server(server) = &self.whole else { return "nobody asked".into() };
        let state = server.state(&asked);
        let tenths = |of: &dyn Fn(&Told) -> u64| {
            let mut all: Vec<u64> = state.clients.dearest.iter().map(of).collect();
            all.sort_unstable();
            [1, 5, 9].map(|tenth| all.get(all.len() * tenth / 10).copied().unwrap_or(0))
        };
        let rate = tenths(&|client| client.rate_bytes_s / 1_000);
        let rtt = tenths(&|client| client.rtt_us.unwrap_or(0) / 1_000);
        let bytes = |name: Option<&str>| -> u64 {
            let of = state.frames.iter().filter(|frames| name.is_none_or(|name| frames.name == name));
            of.map(|frames| frames.bytes_out).sum()
        };
        let padding = 100.0 * bytes(Some("ping")) as f64 / bytes(None) as f64;
        format!(
            "tenths of clients are paced at {rate:?} KB/s over {rtt:?} ms, {padding:.2} % of the bytes are padding"
        )
    }

    /// Ends it, and says in what portions it has sent.
    pub fn stop(self) -> String {
        let (udp, udp_ms) = match self.whole {
            Whole::Server(server) => {
                let shown = server.live().udp.iter().filter_map(|thread| thread.read());
                let ms: Vec<u64> = shown.map(|(_, shown)| shown.report.cpu_ns / 1_000_000).collect();
                (server.stop().expect("no thread died").udp, ms)
            }
            Whole::Large(large) => (large.stop(), Vec::new()),
        };
        let UdpReport { datagrams_out, runs_out, send_calls, send_errors, departures_held, .. } = udp;
        assert_eq!(send_errors, 0);
        let each = |of: u64, parts: u64| of as f64 / parts.max(1) as f64;
        format!(
            "{:.2} datagrams in a run, {:.1} runs in a call, {:.1} % were held, UDP threads took {udp_ms:?} ms",
            each(datagrams_out, runs_out),
            each(runs_out, send_calls),
            100.0 * each(departures_held, datagrams_out)
        )
    }
}

/// A client without a world: the connection, the link, and which fragments it has.
pub struct Player {
    clock: Monotonic,
    connection: Client,
    link: Link<()>,
    inputs: u32,
    wish: (i16, i16),
    ticks: u64,
    random: fastrand::Rng,
    active: Option<(i32, i32)>,
    /// Fragments of each chunk that is on its way, a bit each.
    coming: HashMap<ChunkKey, u64, RandomState>,
}

impl Player {
    fn new(number: u64, token: &ConnectToken) -> Player {
        let clock = Monotonic::start();
        let mut link = Link::new(clock.now());
        let hello = Hello {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            encodings: ENCODING_BSP_BIT,
            cache_chunks: 512,
            offers: 0,
        };
        link.send_message(&Message::Hello(hello)).unwrap();
        let mut random = fastrand::Rng::with_seed(number);
        Player {
            connection: Client::new(clock.now(), unix_s(), token).unwrap(),
            clock,
            link,
            inputs: 0,
            wish: (0, 0),
            ticks: random.u64(..TURN_TICKS),
            random,
            active: None,
            coming: HashMap::default(),
        }
    }

    /// Takes a datagram.
    pub fn take(&mut self, from: SocketAddr, datagram: &mut [u8], wish: Wish, counts: &Counts) {
        let now = self.clock.now();
        let ClientReceived::Payload(packet) = self.connection.handle(now, from, datagram) else { return };
        let Player { link, coming, active, .. } = self;
        let Ok(frames) = link.handle_packet(now, packet) else { return };
        let mut again = None;
        for (kind, body) in frames {
            if kind != kind::FRAGMENT || is_parity(body) {
                continue;
            }
            let fragment = Fragment::parse(body).expect("our server's fragments are right");
            let have = coming.entry(fragment.key).or_default();
            *have |= 1 << fragment.index;
            counts.chunk_bytes.fetch_add(fragment.payload.len() as u64, Relaxed);
            if have.count_ones() == u32::from(fragment.count) {
                coming.remove(&fragment.key);
                again = Some(fragment.key);
            }
        }
        while let Some(raw) = link.poll_message() {
            if let Ok(Message::ChunkEnter { cx, cz }) = Message::decode(&raw) {
                counts.playing.fetch_add(usize::from(active.is_none()), Relaxed);
                *active = Some((cx, cz));
            }
        }
        while link.poll_outcome().is_some() {}
        if let Some(key) = again.filter(|key| wish == Wish::Explore && self.is_neighbour(*key)) {
            let _ = self.link.send_message(&Message::ChunkRequest(key));
        }
    }

    fn is_neighbour(&self, key: ChunkKey) -> bool {
        self.active.is_some_and(|(cx, cz)| {
            let far = key.cx.abs_diff(cx).max(key.cz.abs_diff(cz));
            far == 1
        })
    }

    /// One of its ticks: what it wants, sealed.
    pub fn tick(&mut self, wish: Wish, send: impl Fn(&[u8])) {
        let now = self.clock.now();
        self.ticks += 1;
        if wish == Wish::Explore && self.ticks.is_multiple_of(TURN_TICKS) {
            self.wish = (self.random.i16(..), self.random.i16(..));
        }
        if let Wish::Fetch { every_ticks, what } = wish
            && self.ticks.is_multiple_of(every_ticks)
        {
            self.ask_for(what);
        }
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        self.connection.handle_timeout(now);
        while let Some(transmit) = self.connection.poll_transmit(now, &mut datagram) {
            send(&datagram[..transmit.bytes]);
        }
        if self.connection.state() != ClientState::Connected {
            return;
        }
        let mut packet = [0; PACKET_BYTES_MAX];
        self.link.handle_timeout(now);
        while self.link.poll_outcome().is_some() {}
        let mut body = [0; INPUTS_BYTES_MAX];
        let bytes = if self.active.is_some() { self.inputs(&mut body) } else { 0 };
        let mut building = self.link.packet(now, &mut packet);
        match bytes {
            0 => building.push(kind::PING, &[]),
            _ => building.push(kind::INPUTS, &[&body[..bytes]]),
        };
        let built = building.finish().expect("it has something in it");
        if let Ok((_, bytes)) = self.connection.seal(now, &[&packet[..built.head_bytes]], &mut datagram) {
            send(&datagram[..bytes]);
        }
    }

    fn ask_for(&mut self, what: Fetched) {
        let Some((cx, cz)) = self.active else { return };
        for (dx, dz) in (-1..=1).flat_map(|dz| (-1..=1).map(move |dx| (dx, dz))) {
            let key = ChunkKey { cx: cx + dx, cy: 0, cz: cz + dz };
            let is_active = (dx, dz) == (0, 0);
            if is_active == (what == Fetched::Active) {
                let _ = self.link.send_message(&Message::ChunkRequest(key));
            }
        }
    }

    fn inputs(&mut self, body: &mut [u8]) -> usize {
        self.inputs += 1;
        let (move_x, move_z) = self.wish;
        let input = PlayerInput { move_x, move_z, ..PlayerInput::default() };
        Inputs::write(self.inputs, std::iter::repeat_n(input, self.inputs.min(INPUTS) as usize), body)
    }
}
