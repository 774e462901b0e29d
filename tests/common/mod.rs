//! A server on loopback and clients on real sockets, for the whole-system tests.
//!
//! Each test starts its own server on a free port and stops it. Waiting is bounded: a condition that
//! does not come true fails the test with its name.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use ninefold::clock::Monotonic;
use ninefold::config::Config;
use ninefold::server::{Server, unix_s};
use ninefold_client::protocol::connection::{
    ConnectToken, DATAGRAM_BYTES_MAX, DEVELOPMENT_KEY, Extensions, TokenParams,
};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::{BspWorld, ChunkCoord, Generator, Grid, Position};
use ninefold_client::{Client, ClientConfig, Event};

/// The configuration of the tests: any free port, a fixed world.
pub fn config() -> Config {
    let listen = "127.0.0.1:0".parse().unwrap();
    Config { listen, socket_buffer_bytes: 4 << 20, ..Config::default() }
}

/// A server with the ordinary world.
pub fn start(config: &Config) -> Server {
    start_with(config, Arc::new(BspWorld::new(config.world_seed)))
}

/// A server with a world of the test's own.
pub fn start_with(config: &Config, generator: Arc<dyn Generator>) -> Server {
    Server::start(config, generator).expect("the server starts")
}

/// A connect token for a client of the development mode.
pub fn token(server: &Server, config: &Config, client_id: u64) -> ConnectToken {
    let mut secrets = [0; 24 + 32 + 32];
    getrandom::fill(&mut secrets).unwrap();
    let (nonce, keys) = secrets.split_first_chunk::<24>().unwrap();
    let (up, down) = keys.split_at(32);
    let params = TokenParams {
        protocol_id: config.protocol_id,
        client_id,
        create_unix_s: unix_s(),
        expire_unix_s: unix_s() + 30,
        timeout_s: 2,
        server_addresses: vec![server.address()],
        user_data: [0; 256],
    };
    let [up, down] = [up, down].map(|key| key.try_into().unwrap());
    ConnectToken::mint_extended(&params, Extensions::ALL, &DEVELOPMENT_KEY, *nonce, up, down)
        .expect("the parameters are right")
}

/// A client core with a socket.
pub struct Player {
    pub client: Client,
    pub events: Vec<Event>,
    /// What it wishes: repeated each step.
    pub wish: (f64, f64),
    socket: UdpSocket,
    clock: Monotonic,
}

impl Player {
    pub fn join(server: &Server, config: &Config, client_id: u64) -> Player {
        Self::join_with(server, config, client_id, 512)
    }

    pub fn join_with(server: &Server, config: &Config, client_id: u64, cache_chunks_max: usize) -> Player {
        let ordinary = ClientConfig::new(unix_s());
        Self::join_as(server, config, client_id, &ClientConfig { cache_chunks_max, ..ordinary })
    }

    /// Joins with compiled trees, which take more than one datagram a chunk.
    pub fn join_for_trees(server: &Server, config: &Config, client_id: u64) -> Player {
        Self::join_as(
            server,
            config,
            client_id,
            &ClientConfig { recipes: false, ..ClientConfig::new(unix_s()) },
        )
    }

    fn join_as(server: &Server, config: &Config, client_id: u64, client_config: &ClientConfig) -> Player {
        let clock = Monotonic::start();
        let token = token(server, config, client_id);
        let client = Client::new(clock.now(), client_config, &token).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Player { client, events: Vec::new(), wish: (0.0, 0.0), socket, clock }
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// One tick of the client.
    pub fn step(&mut self) {
        let mut buffer = [0; 2_048];
        while let Ok((bytes, from)) = self.socket.recv_from(&mut buffer) {
            self.client.handle_datagram(self.clock.now(), from, &mut buffer[..bytes]);
        }
        let now = self.clock.now();
        self.client.handle_timeout(now);
        if self.client.is_connected() && self.client.ended().is_none() {
            self.client.send_input(self.wish.0, self.wish.1, 0);
        }
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
        self.flush();
    }

    pub fn flush(&mut self) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = self.client.poll_transmit(self.clock.now(), &mut buffer) {
            self.socket.send_to(&buffer[..transmit.bytes], transmit.to).unwrap();
        }
    }

    /// Goes on from another port, as behind a router that forgot the old one.
    pub fn change_address(&mut self) {
        self.socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        self.socket.set_nonblocking(true).unwrap();
    }

    pub fn leave(&mut self) {
        self.client.disconnect();
        self.flush();
    }

    pub fn position(&self) -> Option<Position> {
        self.client.position().map(Position::from)
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
