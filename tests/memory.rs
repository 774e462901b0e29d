//! What a connected client takes of the server's memory, over all layers, and what the cache of chunks takes, counted by an
//! allocator.

#[path = "common/puppets.rs"]
mod puppets;

use std::net::SocketAddr;
use std::sync::Arc;

use ninefold::chunk::{ChunkLimits, ChunkService, Inline};
use ninefold::config::Config;
use ninefold_client::protocol::connection::{
    Client, ConnectToken, DATAGRAM_BYTES_MAX, Extensions, HandshakeLimits, Server, ServerConfig, TokenParams,
};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::{BspWorld, ChunkCoord, Plain};
use puppets::Stage;

const SERVER: &str = "203.0.113.9:40000";
const CLIENTS: u32 = 2_000;
/// What the design allows over all layers.
const BYTES_PER_CLIENT_MAX: u64 = 16 << 10;
/// The same of one that walks from chunk to chunk, beside the chunks, which are shared.
const BYTES_PER_WALKER_MAX: u64 = 24 << 10;
/// Clients that walk, and half of them: what the second half adds is what they take.
const WALKERS: u32 = 256;
/// They turn after so many ticks, and have gone over some borders by the end.
const TURN_TICKS: u64 = 60;
const WALK_TICKS: u64 = 240;
/// What the cache is told to take, and how much it may really take of that.
const CACHE_BYTES: u64 = 8 << 20;
const CACHE_SHARE_PERCENT_MAX: u64 = 120;

/// Bytes that are still allocated when `make` is done and what it made is kept.
fn bytes_kept<T>(make: impl FnOnce() -> T) -> u64 {
    let mut made = None;
    let allocated = allocation_counter::measure(|| made = Some(make()));
    drop(made);
    u64::try_from(allocated.bytes_current).expect("more is made than dropped")
}

/// The connection layer with so many clients, each with a session of its own and all extensions.
fn connections(clients: u32) -> Server {
    let address: SocketAddr = SERVER.parse().unwrap();
    let config = ServerConfig {
        protocol_id: 1,
        private_key: [1; 32],
        public_addresses: vec![address],
        clients_max: CLIENTS,
        unix_s_at_origin: 1_000,
        challenge_key: [2; 32],
        hash_seed: [3; 32],
        limits: HandshakeLimits::default(),
    };
    let mut server = Server::new(config, Instant::ZERO);
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    for n in 0..clients {
        let now = Instant::ZERO + Duration::from_ms(u64::from(n));
        let params = TokenParams {
            protocol_id: 1,
            client_id: n.into(),
            create_unix_s: 1_000,
            expire_unix_s: 1_600,
            timeout_s: 0,
            server_addresses: vec![address],
            user_data: [0; 256],
        };
        let mut nonce = [0; 24];
        nonce[..4].copy_from_slice(&n.to_le_bytes());
        // Its connection id follows from its key.
        let mut up = [5; 32];
        up[..4].copy_from_slice(&n.to_le_bytes());
        let token =
            ConnectToken::mint_extended(&params, Extensions::ALL, &[1; 32], nonce, up, [6; 32]).unwrap();
        let mut client = Client::new(now, 1_000, &token).unwrap();
        let [a, b, c, d] = (0x0a00_0000 + n).to_be_bytes();
        let from = SocketAddr::from(([a, b, c, d], 5_000));
        for _ in 0..3 {
            while let Some(t) = client.poll_transmit(now, &mut buffer) {
                server.handle(now, from, &mut buffer[..t.bytes]);
            }
            while let Some(t) = server.poll_transmit(now, &mut buffer) {
                if t.to == from {
                    client.handle(now, address, &mut buffer[..t.bytes]);
                }
            }
        }
        while server.poll_event().is_some() {}
        server.handle_timeout(now);
    }
    assert_eq!(server.connected(), clients as usize, "{:?}", server.counters());
    server
}

/// The tick with so many clients that stand still with their rings whole, each with some thirty others in it.
/// Plain chunks, since each chunk here is in the rings of a few only, and chunks are not what is counted.
fn world(clients: u32) -> Stage {
    let config = Config { spawn_radius_chunks: 8, ..Config::default() };
    let mut stage = Stage::new(config.rules(0), Arc::new(Plain::new(0)), 1);
    // The first one has the chunks made, which all share.
    stage.join();
    stage.steps(30);
    for _ in 0..clients {
        stage.join();
    }
    stage.steps(120);
    assert!(stage.puppets.iter().all(|p| p.chunks.len() == 9));
    assert_eq!(stage.tick.clients(), clients as usize + 1);
    stage.puppets = Vec::new();
    stage
}

#[test]
fn what_the_profiler_says_a_client_takes_is_what_it_takes() {
    let told = |stage: &Stage| {
        let clients = stage.tick.sessions().map(|session| {
            let link = session.link.memory_bytes() + session.snapshots.memory_bytes();
            session.memory_bytes() + link
        });
        let (entities, replicas) = stage.tick.entities_memory_bytes();
        (clients.sum::<usize>() + entities + replicas) as u64
    };
    let mut full_told = 0;
    let full = bytes_kept(|| {
        let stage = world(CLIENTS);
        full_told = told(&stage);
        stage
    });
    let mut empty_told = 0;
    let empty = bytes_kept(|| {
        let stage = world(0);
        empty_told = told(&stage);
        stage
    });
    let per_client = |full: u64, empty: u64| full.saturating_sub(empty) / u64::from(CLIENTS);
    let (is, told) = (per_client(full, empty), per_client(full_told, empty_told));
    println!("per client: {is} bytes allocated, {told} bytes told of");
    assert!((is * 7 / 10..=is * 12 / 10).contains(&told), "{told} bytes told of, {is} allocated");
}

#[test]
fn a_connected_idle_client_takes_less_than_16_kib_over_all_layers() {
    let per_client = |full: u64, empty: u64| full.saturating_sub(empty) / u64::from(CLIENTS);
    let connection = per_client(bytes_kept(|| connections(CLIENTS)), bytes_kept(|| connections(0)));
    let world = per_client(bytes_kept(|| world(CLIENTS)), bytes_kept(|| world(0)));
    println!("per connected idle client: connection {connection} bytes, link and world {world} bytes");
    assert!(connection > 500 && world > 500, "something was not counted: {connection}, {world}");
    assert!(connection + world <= BYTES_PER_CLIENT_MAX, "{connection} + {world} bytes");
}

/// The tick with so many clients that walk about in the chunks around the spawn, everybody in view of some others.
fn walked(clients: u32) -> Stage {
    let config = Config { spawn_radius_chunks: 2, ..Config::default() };
    let mut stage = Stage::new(config.rules(0), Arc::new(BspWorld::new(9)), 1);
    (0..clients).for_each(|_| {
        stage.join();
    });
    let mut random = fastrand::Rng::with_seed(3);
    for tick in 0..WALK_TICKS {
        if tick % TURN_TICKS == 0 {
            stage.puppets.iter_mut().for_each(|puppet| puppet.wish = (random.i16(..), random.i16(..)));
        }
        stage.step();
    }
    assert_eq!(stage.tick.clients(), clients as usize);
    let crossings = stage.tick.counters().crossings;
    assert!(crossings > u64::from(clients / 4), "{crossings} crossings of {clients} walkers");
    stage.puppets = Vec::new();
    stage
}

#[test]
fn a_walking_client_takes_less_than_24_kib_over_all_layers() {
    let mut chunk_bytes = [0; 2];
    let kept = [WALKERS, WALKERS / 2].map(|clients| {
        let mut chunks = 0;
        let bytes = bytes_kept(|| {
            let stage = walked(clients);
            chunks = stage.tick.chunks().gauges(stage.now).cache_bytes;
            stage
        });
        chunk_bytes[usize::from(clients < WALKERS)] = chunks;
        bytes
    });
    // More walkers come to a few more chunks.
    let [all, half] = [0, 1].map(|n| kept[n].saturating_sub(chunk_bytes[n]));
    let world = all.saturating_sub(half) / u64::from(WALKERS - WALKERS / 2);
    let connection = bytes_kept(|| connections(CLIENTS)).saturating_sub(bytes_kept(|| connections(0)))
        / u64::from(CLIENTS);
    println!("per walking client: connection {connection} bytes, link and world {world} bytes");
    assert!(connection > 500 && world > 500, "something was not counted: {connection}, {world}");
    assert!(connection + world <= BYTES_PER_WALKER_MAX, "{connection} + {world} bytes");
}

/// A chunk service whose cache is full of real chunks, after so many had to leave it.
fn full_cache(bytes_max: u64, evicted_min: u64) -> ChunkService<Inline> {
    let limits = ChunkLimits { cache_bytes_max: bytes_max, ..ChunkLimits::default() };
    let mut chunks = ChunkService::new(limits, Inline::new(Arc::new(BspWorld::new(9))));
    for n in 0..4_096 {
        let coord = ChunkCoord { cx: n % 64, cz: n / 64 };
        chunks.pin(coord);
        chunks.dispatch(Instant::ZERO);
        chunks.take_in(Instant::ZERO, 1, || true);
        chunks.unpin(coord);
        if chunks.counters().evicted >= evicted_min {
            return chunks;
        }
    }
    panic!("the cache was not filled");
}

#[test]
fn the_cache_of_chunks_takes_what_it_is_told_to() {
    let taken = bytes_kept(|| full_cache(CACHE_BYTES, 100));
    let percent = taken * 100 / CACHE_BYTES;
    println!("a cache of {CACHE_BYTES} bytes takes {taken}: {percent} %");
    // All but the last chunk's room is used, and what is counted is what there is.
    assert!((90..=CACHE_SHARE_PERCENT_MAX).contains(&percent), "{percent} % of {CACHE_BYTES} bytes");
}

#[test]
fn chunks_that_left_the_cache_are_gone() {
    let [early, late] = [100, 2_000].map(|evicted| bytes_kept(|| full_cache(CACHE_BYTES, evicted)));
    println!("{early} bytes after a hundred evictions, {late} after two thousand");
    // A hundredth is what the last chunks differ in.
    assert!(early.abs_diff(late) < CACHE_BYTES / 100, "{early} bytes, later {late}");
}
