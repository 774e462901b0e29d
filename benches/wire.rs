//! What a packet costs on its way: sealing and opening, cutting a chunk and putting it together.
//!
//! cargo bench --bench wire

use std::hint::black_box;
use std::net::SocketAddr;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ninefold_client::protocol::chunk::{Fragmenter, Outcome, ParityEncoder, Reassembly};
use ninefold_client::protocol::connection::{
    Client, ConnectToken, DATAGRAM_BYTES_MAX, Extensions, HandshakeLimits, Received, Server, ServerConfig,
    TokenParams,
};
use ninefold_client::protocol::frame::{ChunkKey, Fragment, FragmentHeader, ParityFragment, kind};
use ninefold_client::protocol::limits::{PACKET_BYTES_MAX, REASSEMBLY_BYTES_MAX};
use ninefold_client::protocol::link::Link;
use ninefold_client::protocol::time::{Duration, Instant};
use zerocopy::IntoBytes;

const NOW: Instant = Instant::ZERO;
const CHUNK_BYTES: usize = 32 << 10;
const KEY: ChunkKey = ChunkKey { cx: 3, cy: 0, cz: -4 };

/// A connected pair.
fn pair(extensions: Extensions) -> (Server, Client, SocketAddr) {
    let address: SocketAddr = "127.0.0.1:40000".parse().unwrap();
    let from: SocketAddr = "127.0.0.1:5000".parse().unwrap();
    let config = ServerConfig {
        protocol_id: 1,
        private_key: [1; 32],
        public_addresses: vec![address],
        clients_max: 1,
        unix_s_at_origin: 1_000,
        challenge_key: [2; 32],
        hash_seed: [3; 32],
        limits: HandshakeLimits::default(),
    };
    let params = TokenParams {
        protocol_id: 1,
        client_id: 1,
        create_unix_s: 1_000,
        expire_unix_s: 1_060,
        timeout_s: 0,
        server_addresses: vec![address],
        user_data: [0; 256],
    };
    let token =
        ConnectToken::mint_extended(&params, extensions, &[1; 32], [4; 24], [5; 32], [6; 32]).unwrap();
    let (mut server, mut client) = (Server::new(config, NOW), Client::new(NOW, 1_000, &token).unwrap());
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    for _ in 0..4 {
        while let Some(t) = client.poll_transmit(NOW, &mut buffer) {
            server.handle(NOW, from, &mut buffer[..t.bytes]);
        }
        while let Some(t) = server.poll_transmit(NOW, &mut buffer) {
            client.handle(NOW, address, &mut buffer[..t.bytes]);
        }
    }
    assert_eq!(server.connected(), 1);
    (server, client, from)
}

fn seal_and_open(c: &mut Criterion) {
    let mut group = c.benchmark_group("connection");
    let ciphers = [("ChaCha20-Poly1305", Extensions::default()), ("AES-128-GCM", Extensions::ALL)];
    for ((cipher, extensions), bytes) in ciphers.iter().flat_map(|c| [60, 1_200].map(|bytes| (c, bytes))) {
        let (mut server, mut client, from) = pair(*extensions);
        let mut out = [0; DATAGRAM_BYTES_MAX];
        // The server uses what the client has shown.
        let (_, shown) = client.seal(NOW, &[&[7]], &mut out).unwrap();
        server.handle(NOW, from, &mut out[..shown]);
        // The limit of a client's packets must not be met: time passes.
        let mut now = NOW;
        let payload = vec![7; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("seal {bytes} bytes, {cipher}"), |b| {
            b.iter(|| server.seal(NOW, 0, &[black_box(&payload)], &mut out).unwrap());
        });
        group.bench_function(format!("open {bytes} bytes, {cipher}"), |b| {
            b.iter_batched(
                || {
                    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
                    let (_, length) = client.seal(NOW, &[&payload], &mut datagram).unwrap();
                    datagram.truncate(length);
                    datagram
                },
                |mut datagram| {
                    now += Duration::from_ms(2);
                    let received = server.handle(now, from, &mut datagram);
                    assert!(matches!(received, Received::Payload { .. }));
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn fragments(c: &mut Criterion) {
    let mut group = c.benchmark_group("chunk of 32 KiB");
    let bytes = Bytes::from((0..CHUNK_BYTES).map(|i| i as u8).collect::<Vec<_>>());
    let fragmenter = Fragmenter::new(KEY, 1, 0, 1, bytes).unwrap();
    group.throughput(Throughput::Bytes(CHUNK_BYTES as u64));
    group.bench_function("fragment into packets, before sealing", |b| {
        let mut buffer = [0; PACKET_BYTES_MAX];
        b.iter(|| {
            let mut link: Link<u32> = Link::new(NOW);
            for index in 0..fragmenter.count() {
                let (header, tail) = fragmenter.fragment(index);
                let mut packet = link.packet(NOW, &mut buffer);
                packet.push_with_tail(kind::FRAGMENT, header.as_bytes(), tail.len()).token(index.into());
                black_box((packet.finish(), tail));
            }
        });
    });
    let bodies: Vec<Vec<u8>> = (0..fragmenter.count())
        .map(|index| {
            let (header, tail) = fragmenter.fragment(index);
            [header.as_bytes(), &tail].concat()
        })
        .collect();
    group.bench_function("reassemble", |b| {
        let mut reassembly = Reassembly::new(REASSEMBLY_BYTES_MAX);
        b.iter(|| {
            for body in &bodies {
                let fragment = Fragment::parse(black_box(body)).unwrap();
                if let Outcome::Complete(whole) = reassembly.handle(NOW, &fragment) {
                    black_box(whole);
                }
            }
        });
    });
    group.finish();
}

/// Making a chunk's parity, once for all clients, and a client's making up for five lost fragments.
fn parity(c: &mut Criterion) {
    let mut group = c.benchmark_group("parity of 32 KiB");
    let bytes = Bytes::from((0..CHUNK_BYTES).map(|i| i as u8).collect::<Vec<_>>());
    let fragmenter = Fragmenter::new(KEY, 1, 0, 1, bytes).unwrap();
    let mut encoder = ParityEncoder::default();
    let ordinary = Bytes::from((0..2_500).map(|i| i as u8).collect::<Vec<_>>());
    let ordinary = Fragmenter::new(KEY, 1, 0, 1, ordinary).unwrap();
    group.bench_function("encode 8 for the 3 of 2.5 KB", |b| b.iter(|| black_box(encoder.encode(&ordinary))));
    group.throughput(Throughput::Bytes(CHUNK_BYTES as u64));
    group.bench_function("encode 32 for 29", |b| b.iter(|| black_box(encoder.encode(&fragmenter))));
    let parity = encoder.encode(&fragmenter);
    let body = |(header, payload): (FragmentHeader, Bytes)| [header.as_bytes(), &payload].concat();
    let own: Vec<Vec<u8>> = (5..fragmenter.count()).map(|index| body(fragmenter.fragment(index))).collect();
    let more: Vec<Vec<u8>> = (0..5).map(|index| body(parity.fragment(index))).collect();
    group.bench_function("reassemble without five of 29", |b| {
        let mut reassembly = Reassembly::new(REASSEMBLY_BYTES_MAX);
        b.iter(|| {
            for body in &own {
                let fragment = Fragment::parse(black_box(body)).unwrap();
                let _ = black_box(reassembly.handle(NOW, &fragment));
            }
            for body in &more {
                let fragment = ParityFragment::parse(black_box(body)).unwrap();
                if let Outcome::Complete(whole) = reassembly.handle_parity(NOW, &fragment) {
                    black_box(whole);
                }
            }
        });
        assert!(reassembly.is_empty());
    });
    group.finish();
}

criterion_group!(benches, seal_and_open, fragments, parity);
criterion_main!(benches);
