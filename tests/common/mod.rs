//! A server on loopback and clients on real sockets, for the whole-system tests.
//!
//! Each test starts its own server on a free port and stops it. Waiting is bounded: a condition that
//! does not come true fails the test with its name.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod quic;

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use bytes::Bytes;
use ninefold::clock::Monotonic;
use ninefold::config::Config;
use ninefold::game::explore::KIND_PLAYER;
use ninefold::server::{Server, unix_s};
use ninefold_client::protocol::connection::{
    CloseReason, ConnectToken, DATAGRAM_BYTES_MAX, DEVELOPMENT_KEY, Extensions, TokenParams,
};
use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::{BspWorld, ChunkCoord, Generator, Grid, Position};
use ninefold_client::{Client, ClientConfig, Event};

use self::quic::{Heard, QuicLine, RUNTIME};

/// The configuration of the tests: any free port, a fixed world.
pub fn config() -> Config {
    let listen = "127.0.0.1:0".parse().unwrap();
    // Creatures would be others of whom a test knows nothing, and a test that wants traces has a folder for them.
    let trace_dir = PathBuf::new();
    Config { listen, socket_buffer_bytes: 4 << 20, creatures_per_chunk: 0, trace_dir, ..Config::default() }
}

/// A server with the ordinary world.
pub fn start(config: &Config) -> Server {
    start_with(config, Arc::new(BspWorld::new(config.world_seed)))
}

/// A server with a world of the test's own.
pub fn start_with(config: &Config, generator: Arc<dyn Generator>) -> Server {
    Server::start(config, generator).expect("the server starts")
}

/// The same with QUIC on any free port, too.
pub fn config_with_quic() -> Config {
    Config { quic_listen: Some("127.0.0.1:0".parse().unwrap()), ..config() }
}

/// A connect token for a client of the development mode.
pub fn token(server: &Server, config: &Config, client_id: u64) -> ConnectToken {
    token_with(&DEVELOPMENT_KEY, server, config, client_id, |_| {})
}

/// A connect token sealed with this key, of which `alter` changes what it likes.
pub fn token_with(
    key: &[u8; 32],
    server: &Server,
    config: &Config,
    client_id: u64,
    alter: impl FnOnce(&mut TokenParams),
) -> ConnectToken {
    let mut secrets = [0; 24 + 32 + 32];
    getrandom::fill(&mut secrets).unwrap();
    let (nonce, keys) = secrets.split_first_chunk::<24>().unwrap();
    let (up, down) = keys.split_at(32);
    let mut params = TokenParams {
        protocol_id: config.protocol_id,
        client_id,
        create_unix_s: unix_s(),
        expire_unix_s: unix_s() + 30,
        timeout_s: 2,
        server_addresses: vec![server.address()],
        user_data: [0; 256],
    };
    alter(&mut params);
    let [up, down] = [up, down].map(|key| key.try_into().unwrap());
    ConnectToken::mint_extended(&params, Extensions::ALL, key, *nonce, up, down)
        .expect("the parameters are right")
}

/// What a player wants who walks, -1 to 1 along each axis.
pub fn wish(x: f64, z: f64) -> PlayerInput {
    let axis = |wish: f64| (wish.clamp(-1.0, 1.0) * f64::from(PlayerInput::FULL_SPEED)) as i16;
    PlayerInput { move_x: axis(x), move_z: axis(z), ..PlayerInput::default() }
}

/// A client core with a socket.
pub struct Player {
    pub client: Client,
    pub events: Vec<Event>,
    /// What it wishes: repeated each step.
    pub wish: (f64, f64),
    pub line: Line,
    clock: Monotonic,
}

/// What its packets ride on.
pub enum Line {
    Udp(UdpSocket),
    Quic(QuicLine),
}

impl Player {
    pub fn join(server: &Server, config: &Config, client_id: u64) -> Player {
        Self::join_with(server, config, client_id, 512)
    }

    pub fn join_with(server: &Server, config: &Config, client_id: u64, cache_chunks_max: usize) -> Player {
        let ordinary = ClientConfig::new(unix_s());
        let client_config = ClientConfig { cache_chunks_max, ..ordinary };
        Self::join_udp(&token(server, config, client_id), &client_config)
    }

    /// Joins with compiled trees, which take more than one datagram a chunk.
    pub fn join_for_trees(server: &Server, config: &Config, client_id: u64) -> Player {
        let client_config = ClientConfig { recipes: false, ..ClientConfig::new(unix_s()) };
        Self::join_udp(&token(server, config, client_id), &client_config)
    }

    pub fn join_udp(token: &ConnectToken, client_config: &ClientConfig) -> Player {
        let clock = Monotonic::start();
        let client = Client::new(clock.now(), client_config, token).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Player { client, events: Vec::new(), wish: (0.0, 0.0), line: Line::Udp(socket), clock }
    }

    pub fn join_quic(server: &Server, config: &Config, client_id: u64) -> Player {
        Self::join_quic_with(server, &token(server, config, client_id))
    }

    pub fn join_quic_with(server: &Server, token: &ConnectToken) -> Player {
        let clock = Monotonic::start();
        let client = Client::carried(clock.now(), &ClientConfig::new(unix_s()));
        let line = Line::Quic(QuicLine::open(server, token));
        Player { client, events: Vec::new(), wish: (0.0, 0.0), line, clock }
    }

    /// Its connection, once it is in.
    pub fn quic(&self) -> &quinn::Connection {
        match &self.line {
            Line::Quic(QuicLine { connection: Some(connection), .. }) => connection,
            _ => panic!("no QUIC client, or not in yet"),
        }
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// One tick of the client.
    pub fn step(&mut self) {
        self.receive();
        let now = self.clock.now();
        self.client.set_input(wish(self.wish.0, self.wish.1));
        self.client.handle_timeout(now);
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
        self.flush();
    }

    fn receive(&mut self) {
        let Player { client, clock, line, .. } = self;
        match line {
            Line::Udp(socket) => {
                let mut buffer = [0; 2_048];
                while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
                    client.handle_datagram(clock.now(), from, &mut buffer[..bytes]);
                }
            }
            Line::Quic(line) => {
                for heard in line.heard.try_iter() {
                    match heard {
                        Heard::Up(connection) => {
                            line.connection = Some(connection);
                            client.carrier_is_up();
                        }
                        Heard::Packet(packet) => client.handle_packet(clock.now(), &packet),
                        Heard::Ended(quinn::ConnectionError::ApplicationClosed(close)) => {
                            let reason = CloseReason::from_code(close.error_code.into_inner());
                            client.carrier_closed(reason.expect("a reason of ours"));
                        }
                        Heard::Ended(_) => client.carrier_lost(),
                    }
                }
            }
        }
    }

    pub fn flush(&mut self) {
        let Player { client, clock, line, .. } = self;
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        match line {
            Line::Udp(socket) => {
                while let Some(transmit) = client.poll_transmit(clock.now(), &mut buffer) {
                    socket.send_to(&buffer[..transmit.bytes], transmit.to).unwrap();
                }
            }
            Line::Quic(line) => {
                while let Some(bytes) = client.poll_packet(clock.now(), &mut buffer) {
                    let connection = line.connection.as_ref().expect("it is up");
                    // A connection that has just ended is heard of with the next step.
                    let _ = connection.send_datagram(Bytes::copy_from_slice(&buffer[..bytes]));
                }
            }
        }
    }

    /// Goes on from another port, as behind a router that forgot the old one.
    pub fn change_address(&mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        match &mut self.line {
            Line::Udp(own) => {
                socket.set_nonblocking(true).unwrap();
                *own = socket;
            }
            Line::Quic(line) => {
                let _entered = RUNTIME.enter();
                line.endpoint.rebind(socket).unwrap();
            }
        }
    }

    pub fn leave(&mut self) {
        self.client.disconnect();
        self.flush();
        if let Line::Quic(QuicLine { connection: Some(connection), .. }) = &self.line {
            connection.close(CloseReason::Left.code().into(), CloseReason::Left.text().as_bytes());
        }
    }

    pub fn position(&self) -> Option<Position> {
        self.client.predicted().map(|(_, mover)| mover.position)
    }

    /// Where other players were when the server last said so, as they go over the wire.
    pub fn others(&self) -> Vec<[i64; 3]> {
        let entities = self.client.snapshot().map_or(&[][..], |snapshot| &snapshot.entities);
        let players = entities.iter().filter(|e| e.state.kind == KIND_PLAYER);
        players.map(|e| [e.state.x, e.state.y.into(), e.state.z]).collect()
    }

    /// Its own place as others are told of it.
    pub fn own_place(&self) -> Option<[i64; 3]> {
        let at = self.position()?;
        Some([at.x, at.y, at.z].map(|units| (units * 64.0).floor() as i64))
    }

    /// Whether all nine chunks are here and right.
    pub fn has_ring(&self) -> bool {
        self.client.ring().active().is_some() && self.client.ring().wanted().is_empty()
    }
}

/// Steps all players at 60 Hz until `done`, at most `seconds`.
pub fn until(what: &str, seconds: u64, players: &mut [Player], mut done: impl FnMut(&mut [Player]) -> bool) {
    let clock = Monotonic::start();
    let end = clock.now() + Duration::from_secs(seconds);
    while !done(players) {
        assert!(clock.now() < end, "did not come true within {seconds} s: {what}");
        players.iter_mut().for_each(Player::step);
        std::thread::sleep(StdDuration::from_millis(16));
    }
}

/// Steps all players so many times at 60 Hz.
pub fn pass(steps: u32, players: &mut [Player]) {
    for _ in 0..steps {
        players.iter_mut().for_each(Player::step);
        std::thread::sleep(StdDuration::from_millis(16));
    }
}

/// A generator that misbehaves on some chunks.
pub struct Trouble<F> {
    world: BspWorld,
    on: F,
}

impl<F: Fn(ChunkCoord) + Send + Sync> Trouble<F> {
    /// The ordinary world, except that `on` is called first.
    pub fn new(seed: u64, on: F) -> Self {
        Trouble { world: BspWorld::new(seed), on }
    }
}

impl<F: Fn(ChunkCoord) + Send + Sync> Generator for Trouble<F> {
    fn grid(&self, coord: ChunkCoord) -> Grid {
        (self.on)(coord);
        self.world.grid(coord)
    }

    fn world_id(&self) -> u64 {
        self.world.world_id()
    }
}
