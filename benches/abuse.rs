//! What each kind of abuse costs the thread that suffers it, and what idle clients cost.
//!
//! cargo bench --bench abuse

#[path = "../tests/common/puppets.rs"]
mod puppets;

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ninefold::config::Config;
use ninefold_client::protocol::connection::{
    Client, ConnectToken, DATAGRAM_BYTES_MAX, Extensions, HandshakeLimits, Server, ServerConfig, TokenParams,
};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::BspWorld;
use puppets::Stage;

const SERVER: &str = "203.0.113.9:40000";
const IDLE_CLIENTS: u32 = 10_000;

/// What a client does in each tick, counted from 1.
type Misbehaviour = fn(&mut Stage, u32);

fn address(n: u32) -> SocketAddr {
    let [a, b, c, d] = (0x0a00_0000 + n).to_be_bytes();
    SocketAddr::from(([a, b, c, d], 5_000))
}

fn server(clients_max: u32) -> Server {
    let config = ServerConfig {
        protocol_id: 1,
        private_key: [1; 32],
        public_addresses: vec![SERVER.parse().unwrap()],
        clients_max,
        unix_s_at_origin: 1_000,
        challenge_key: [2; 32],
        hash_seed: [3; 32],
        limits: HandshakeLimits::default(),
    };
    Server::new(config, Instant::ZERO)
}

fn token(client_id: u32, extensions: Extensions) -> ConnectToken {
    let params = TokenParams {
        protocol_id: 1,
        client_id: client_id.into(),
        create_unix_s: 1_000,
        expire_unix_s: 1_000 + 86_400,
        timeout_s: 0,
        server_addresses: vec![SERVER.parse().unwrap()],
        user_data: [0; 256],
    };
    let mut nonce = [0; 24];
    nonce[..4].copy_from_slice(&client_id.to_le_bytes());
    let mut keys = [[5; 32], [6; 32]];
    keys.iter_mut().for_each(|key| key[..4].copy_from_slice(&client_id.to_le_bytes()));
    ConnectToken::mint_extended(&params, extensions, &[1; 32], nonce, keys[0], keys[1]).unwrap()
}

fn join(server: &mut Server, n: u32, now: Instant, extensions: Extensions) -> Client {
    let mut client = Client::new(now, 1_000, &token(n, extensions)).unwrap();
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    for _ in 0..3 {
        while let Some(t) = client.poll_transmit(now, &mut buffer) {
            server.handle(now, address(n), &mut buffer[..t.bytes]);
        }
        while let Some(t) = server.poll_transmit(now, &mut buffer) {
            if t.to == address(n) {
                client.handle(now, SERVER.parse().unwrap(), &mut buffer[..t.bytes]);
            }
        }
    }
    while server.poll_event().is_some() {}
    client
}

fn request(n: u32) -> Vec<u8> {
    let mut client = Client::new(Instant::ZERO, 1_000, &token(n, Extensions::default())).unwrap();
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let bytes = client.poll_transmit(Instant::ZERO, &mut buffer).unwrap().bytes;
    buffer[..bytes].to_vec()
}

/// One datagram of each kind, again and again, to a server with a thousand clients. Time passes between
/// requests that are opened, so that none meets a limit.
fn datagrams(c: &mut Criterion) {
    let mut group = c.benchmark_group("a datagram");
    let mut server = server(2_000);
    let mut now = Instant::ZERO;
    let mut clients: Vec<Client> = (0..1_000)
        .map(|n| {
            now += Duration::from_ms(1);
            join(&mut server, n, now, Extensions::default())
        })
        .collect();
    let mut forged_request = request(5_000);
    forged_request[200] ^= 1;
    let mut sealed = [0; DATAGRAM_BYTES_MAX];
    let (_, bytes) = clients[0].seal(now, &[&[7; 60]], &mut sealed).unwrap();
    let replayed = sealed[..bytes].to_vec();
    server.handle(now, address(0), &mut replayed.clone());
    let (_, bytes) = clients[0].seal(now, &[&[7; 60]], &mut sealed).unwrap();
    let mut forged = sealed[..bytes].to_vec();
    forged[12] ^= 1;
    let cases = [
        ("of no kind", address(9_000), vec![0x77; 1_200]),
        ("from nobody", address(9_000), forged.clone()),
        ("replayed", address(0), replayed),
        ("forged in a client's name, 85 bytes", address(0), forged),
        ("a request with a used token", address(9_000), request(0)),
        ("a request that is forged, opened", address(9_000), forged_request.clone()),
    ];
    for (name, from, datagram) in cases {
        let mut n = 0;
        group.bench_function(name, |b| {
            b.iter_batched(
                || datagram.clone(),
                |mut datagram| {
                    n += 1;
                    now += Duration::from_us(130);
                    // Requests come from everywhere, or they would meet their network's limit.
                    let from = if from == address(9_000) { address(9_000 + n % 100_000) } else { from };
                    black_box(server.handle(now, from, &mut datagram));
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.bench_function("a request over the limit", |b| {
        b.iter_batched(
            || forged_request.clone(),
            |mut datagram| {
                black_box(server.handle(now, address(8_999), &mut datagram));
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// A second of keep-alives both ways, without sockets: the server's part alone is timed.
fn idle_clients(c: &mut Criterion) {
    let mut group = c.benchmark_group("10,000 idle clients, a second");
    group.sample_size(10);
    for (name, extensions) in [("the standard's", Extensions::default()), ("our own", Extensions::ALL)] {
        let mut server = server(IDLE_CLIENTS);
        let mut now = Instant::ZERO;
        let mut clients: Vec<Client> = (0..IDLE_CLIENTS)
            .map(|n| {
                now += Duration::from_us(130);
                join(&mut server, n, now, extensions)
            })
            .collect();
        let (mut sent, mut seconds) = (0_u64, 0_u64);
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                seconds += count;
                (0..count).map(|_| idle_second(&mut server, &mut clients, &mut now, &mut sent)).sum()
            });
        });
        assert_eq!(server.connected(), IDLE_CLIENTS as usize);
        let each = sent as f64 / (seconds * u64::from(IDLE_CLIENTS)) as f64;
        println!("{each:.1} keep-alives to a client in a second");
    }
    group.finish();
}

/// The time that a second of it takes the server.
fn idle_second(
    server: &mut Server,
    clients: &mut [Client],
    now: &mut Instant,
    sent: &mut u64,
) -> StdDuration {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let mut total = StdDuration::ZERO;
    for _ in 0..100 {
        *now += Duration::from_ms(10);
        let mut risen: Vec<(u32, Vec<u8>)> = Vec::new();
        for (n, client) in clients.iter_mut().enumerate() {
            while let Some(t) = client.poll_transmit(*now, &mut buffer) {
                risen.push((n as u32, buffer[..t.bytes].to_vec()));
            }
        }
        let began = std::time::Instant::now();
        for (n, datagram) in &mut risen {
            black_box(server.handle(*now, address(*n), datagram));
        }
        server.handle_timeout(*now);
        while let Some(t) = server.poll_transmit(*now, &mut buffer) {
            black_box(&buffer[..t.bytes]);
            *sent += 1;
        }
        total += began.elapsed();
    }
    total
}

/// A tick of a hundred idle clients, and with one among them that does its worst.
fn ticks(c: &mut Criterion) {
    let mut group = c.benchmark_group("a tick of 100 idle clients");
    let worst: [(&str, Misbehaviour); 5] = [
        ("and nobody else", |_, _| {}),
        ("and one whose packets are garbage, 1,000 a second", |stage, _| {
            (0..17).for_each(|_| stage.inject(0, &[0xff; 1_200]));
        }),
        ("and a burst of 256 garbage packets every tick", |stage, _| {
            (0..256).for_each(|_| stage.inject(0, &[0xff; 1_200]));
        }),
        ("and one that acknowledges what was never sent", |stage, n| {
            let number = (1 << 20 | n).to_le_bytes();
            let frame = [0x10, 9, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0];
            (0..17).for_each(|_| stage.inject(0, &[&number[..], &frame].concat()));
        }),
        ("and one that comes and goes", |stage, n| {
            if n.is_multiple_of(2) {
                let me = stage.join();
                stage.leave(me);
                stage.puppets.truncate(me);
            }
        }),
    ];
    for (name, misbehave) in worst {
        let config = Config { spawn_radius_chunks: 4, ..Config::default() };
        let mut stage = Stage::new(config.rules(0), Arc::new(BspWorld::new(config.world_seed)), 1);
        (0..100).for_each(|_| {
            stage.join();
        });
        stage.steps(240);
        let mut n = 0;
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                let mut total = StdDuration::ZERO;
                for _ in 0..count {
                    n += 1;
                    stage.before();
                    misbehave(&mut stage, n);
                    let began = std::time::Instant::now();
                    black_box(stage.run(&|| 0));
                    total += began.elapsed();
                    stage.after();
                }
                total
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(StdDuration::from_secs(3));
    targets = datagrams, idle_clients, ticks
}
criterion_main!(benches);
