//! Sealing and opening, with both ciphers, by the whole of the connection layer.
//!
//! Most of these instructions are the cipher's, which is chosen by what the processor can do; the counting tool shows its
//! programs a processor of its own, so that the choice is the same on every machine with AVX2.

use std::hint::black_box;
use std::net::SocketAddr;

use ninefold_client::protocol::connection::{
    Client, ConnectToken, DATAGRAM_BYTES_MAX, Extensions, HandshakeLimits, Received, Server, ServerConfig,
    TokenParams,
};
use ninefold_client::protocol::time::{Duration, Instant};

use crate::counted::{Case, counted};

pub const CASES: [Case; 4] = [
    Case { name: "seal.chacha_1200", times: 128, run: |times| seal(Extensions::default(), times) },
    Case { name: "seal.aes_1200", times: 128, run: |times| seal(Extensions::ALL, times) },
    Case { name: "open.chacha_60", times: 128, run: |times| open(Extensions::default(), times) },
    Case { name: "open.aes_60", times: 128, run: |times| open(Extensions::ALL, times) },
];

const NOW: Instant = Instant::ZERO;
/// A full datagram of a chunk, and the packet of a client in a tick.
const PAYLOAD_OUT_BYTES: usize = 1_200;
const PAYLOAD_IN_BYTES: usize = 60;

/// A connected pair.
fn pair(extensions: Extensions) -> (Server, Client, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], 40_000));
    let from = SocketAddr::from(([127, 0, 0, 1], 5_000));
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
    let token = ConnectToken::mint_extended(&params, extensions, &[1; 32], [4; 24], [5; 32], [6; 32]);
    let token = token.expect("one address and a minute are allowed");
    let mut client = Client::new(NOW, 1_000, &token).expect("the token is fresh");
    let mut server = Server::new(config, NOW);
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
    // The server uses what the client has shown.
    let (_, shown) = client.seal(NOW, &[&[7]], &mut buffer).expect("it is connected");
    server.handle(NOW, from, &mut buffer[..shown]);
    (server, client, from)
}

fn seal(extensions: Extensions, times: u32) {
    let (mut server, _client, _) = pair(extensions);
    let payload = vec![7; PAYLOAD_OUT_BYTES];
    let mut out = [0; DATAGRAM_BYTES_MAX];
    counted(&mut || {
        for _ in 0..times {
            black_box(server.seal(NOW, 0, &[black_box(&payload)], &mut out)).expect("it is connected");
        }
    });
}

fn open(extensions: Extensions, times: u32) {
    let (mut server, mut client, from) = pair(extensions);
    let payload = vec![7; PAYLOAD_IN_BYTES];
    let mut datagrams: Vec<Vec<u8>> = (0..times)
        .map(|_| {
            let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
            let (_, length) = client.seal(NOW, &[&payload], &mut datagram).expect("it is connected");
            datagram.truncate(length);
            datagram
        })
        .collect();
    counted(&mut || {
        let mut now = NOW;
        for datagram in &mut datagrams {
            // More of them at once than a client may send would be dropped.
            now += Duration::from_ms(2);
            assert!(matches!(server.handle(now, from, datagram), Received::Payload { .. }));
        }
    });
}
