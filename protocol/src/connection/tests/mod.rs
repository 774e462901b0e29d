//! Both sides together, in virtual time: what the tests of the way in, of sessions and of hostile lines
//! share.

mod abuse;
mod extensions;
mod fuzz;
mod handshake;
mod hostile;
mod session;
mod shards;
mod vectors;

pub(crate) use vectors::VECTORS;

use std::net::SocketAddr;

use super::token::tests::{PRIVATE_KEY, mint, params};
use super::*;
use crate::time::{Duration, Instant};

const SERVER: &str = "127.0.0.1:40000";

fn at(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_ms(ms)
}

fn address(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 5_000))
}

fn server_address() -> SocketAddr {
    SERVER.parse().unwrap()
}

fn server(clients_max: u32) -> Server {
    server_with(clients_max, HandshakeLimits::default())
}

fn config(clients_max: u32, limits: HandshakeLimits) -> ServerConfig {
    ServerConfig {
        protocol_id: 7,
        private_key: PRIVATE_KEY,
        public_addresses: vec!["[::1]:1".parse().unwrap(), server_address()],
        clients_max,
        unix_s_at_origin: 1_000,
        challenge_key: [5; KEY_LEN],
        hash_seed: [6; KEY_LEN],
        limits,
    }
}

fn server_with(clients_max: u32, limits: HandshakeLimits) -> Server {
    Server::new(config(clients_max, limits), at(0))
}

fn client_at(now: Instant, client_id: u64, serial: u32) -> Client {
    Client::new(now, 1_000, &mint(&params(client_id, &[SERVER]), serial)).unwrap()
}

fn client(client_id: u64, serial: u32) -> Client {
    client_at(at(0), client_id, serial)
}

fn sent_by_client(client: &mut Client, now: Instant) -> Vec<Vec<u8>> {
    let mut buffer = [0xa5; DATAGRAM_BYTES_MAX];
    let mut poll = || client.poll_transmit(now, &mut buffer).map(|t| buffer[..t.bytes].to_vec());
    std::iter::from_fn(&mut poll).collect()
}

fn sent_by_server(server: &mut Server, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut buffer = [0xa5; DATAGRAM_BYTES_MAX];
    let mut poll = || server.poll_transmit(now, &mut buffer).map(|t| (t.to, buffer[..t.bytes].to_vec()));
    std::iter::from_fn(&mut poll).collect()
}

fn events(server: &mut Server) -> Vec<Event> {
    std::iter::from_fn(|| server.poll_event()).collect()
}

/// The request of a token.
fn request(token: &ConnectToken) -> Vec<u8> {
    let mut client = Client::new(at(0), 1_000, token).unwrap();
    sent_by_client(&mut client, at(0)).remove(0)
}

/// The request of a client's token.
fn request_of(client_id: u64, serial: u32) -> Vec<u8> {
    request(&mint(&params(client_id, &[SERVER]), serial))
}

/// Exchanges everything that both have to say at this moment, until both are silent.
fn exchange(server: &mut Server, client: &mut Client, from: SocketAddr, now: Instant) {
    for _ in 0..10 {
        let up = sent_by_client(client, now);
        for mut datagram in up.clone() {
            server.handle(now, from, &mut datagram);
        }
        let down = sent_by_server(server, now);
        for (to, mut datagram) in down.clone() {
            if to == from {
                client.handle(now, server_address(), &mut datagram);
            }
        }
        if up.is_empty() && down.is_empty() {
            return;
        }
    }
}

fn connected(server: &mut Server, client_id: u64, serial: u32, from: SocketAddr, now: Instant) -> Client {
    let mut client = client_at(now, client_id, serial);
    exchange(server, &mut client, from, now);
    assert_eq!(client.state(), ClientState::Connected);
    client
}

fn say(client: &mut Client, now: Instant, payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0xa5; DATAGRAM_BYTES_MAX];
    let (_, bytes) = client.seal(now, &[payload], &mut buffer).unwrap();
    buffer[..bytes].to_vec()
}

fn say_down(server: &mut Server, now: Instant, slot: u32, payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0xa5; DATAGRAM_BYTES_MAX];
    let (_, bytes) = server.seal(now, slot, &[payload], &mut buffer).unwrap();
    buffer[..bytes].to_vec()
}
