//! Both sides together, in virtual time.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::limits::{FAREWELLS, REQUEST_LEN, REQUEST_OPENS_MAX};
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

fn server(clients_max: u32) -> Server {
    let config = ServerConfig {
        protocol_id: 7,
        private_key: PRIVATE_KEY,
        public_addresses: vec!["[::1]:1".parse().unwrap(), SERVER.parse().unwrap()],
        clients_max,
        unix_s_at_origin: 1_000,
        challenge_key: [5; KEY_LEN],
        hash_seed: [6; KEY_LEN],
    };
    Server::new(config, at(0))
}

fn client(client_id: u64, serial: u8) -> Client {
    Client::new(at(0), 1_000, &mint(&params(client_id, &[SERVER]), serial)).unwrap()
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
                client.handle(now, SERVER.parse().unwrap(), &mut datagram);
            }
        }
        if up.is_empty() && down.is_empty() {
            return;
        }
    }
}

fn connected(server: &mut Server, client_id: u64, serial: u8, from: SocketAddr, now: Instant) -> Client {
    let mut client = client(client_id, serial);
    exchange(server, &mut client, from, now);
    assert_eq!(client.state(), ClientState::Connected);
    client
}

fn say(client: &mut Client, now: Instant, payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0xa5; DATAGRAM_BYTES_MAX];
    let (_, bytes) = client.seal(now, &[payload], &mut buffer).unwrap();
    buffer[..bytes].to_vec()
}

#[test]
fn a_client_gets_in_and_payloads_go_both_ways() {
    let mut server = server(2);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    assert!(matches!(events(&mut server)[..], [Event::Connected { slot: 0, client_id: 42, .. }]));
    assert_eq!(client.slot(), Some((0, 2)));
    let mut up = say(&mut client, at(1), b"up");
    assert_eq!(up.len(), 2 + PACKET_OVERHEAD);
    assert_eq!(server.handle(at(1), address(1), &mut up), Received::Payload { slot: 0, bytes: b"up" });
    let mut buffer = [0xa5; DATAGRAM_BYTES_MAX];
    let (to, bytes) = server.seal(at(1), 0, &[b"do", b"wn"], &mut buffer).unwrap();
    assert_eq!(to, address(1));
    let down = client.handle(at(1), SERVER.parse().unwrap(), &mut buffer[..bytes]);
    assert_eq!(down, ClientReceived::Payload(b"down"));
}

#[test]
fn no_answer_is_longer_than_its_question() {
    let mut server = server(2);
    let mut client = client(42, 1);
    let mut request = sent_by_client(&mut client, at(0)).remove(0);
    assert_eq!(request.len(), REQUEST_LEN);
    server.handle(at(0), address(1), &mut request);
    let answers = sent_by_server(&mut server, at(0));
    assert_eq!((answers.len(), answers[0].1.len()), (1, 333));
}

#[test]
fn requests_that_cannot_be_are_refused_and_counted() {
    let mut server = server(2);
    let token = |change: &dyn Fn(&mut TokenParams)| {
        let mut params = params(42, &[SERVER]);
        change(&mut params);
        mint(&params, 1)
    };
    let mut refused = |token: &ConnectToken, change: &dyn Fn(&mut [u8])| {
        let mut client = Client::new(at(0), 1_000, token).unwrap();
        let mut request = sent_by_client(&mut client, at(0)).remove(0);
        change(&mut request);
        server.handle(at(0), address(1), &mut request);
        assert!(sent_by_server(&mut server, at(0)).is_empty());
        *server.counters()
    };
    let good = token(&|_| {});
    assert_eq!(refused(&good, &|r| r[1] = b'n').request_protocol, 1);
    assert_eq!(refused(&token(&|p| p.protocol_id = 8), &|_| {}).request_protocol, 2);
    assert_eq!(
        refused(&token(&|p| (p.create_unix_s, p.expire_unix_s) = (900, 1_000)), &|_| {}).request_expired,
        1
    );
    assert_eq!(refused(&token(&|p| p.expire_unix_s = 1 << 40), &|_| {}).request_expired, 2);
    assert_eq!(refused(&good, &|r| r[200] ^= 1).request_forged, 1);
    let elsewhere = token(&|p| p.server_addresses = vec![address(9)]);
    assert_eq!(refused(&elsewhere, &|_| {}).request_other_server, 1);
    assert_eq!(server.handshakes(), 0);
}

#[test]
fn more_requests_than_are_opened_in_a_while_are_counted() {
    let mut server = server(2);
    let mut client = client(42, 1);
    let request = sent_by_client(&mut client, at(0)).remove(0);
    for n in 0..REQUEST_OPENS_MAX as u16 + 10 {
        let mut forged = request.clone();
        forged[200] ^= 1;
        server.handle(at(0), address(n), &mut forged);
    }
    assert_eq!(server.counters().request_over_limit, 10);
    server.handle_timeout(at(200));
    server.handle(at(200), address(1), &mut request.clone());
    assert_eq!(server.handshakes(), 1);
}

#[test]
fn a_token_works_once_and_from_one_address() {
    let mut server = server(4);
    let mut client_1 = client(42, 1);
    let request = sent_by_client(&mut client_1, at(0)).remove(0);
    // Someone who heard the request repeats it from elsewhere: both are asked, the first to answer has it.
    server.handle(at(0), address(2), &mut request.clone());
    sent_by_server(&mut server, at(0));
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    server.handle(at(1), address(2), &mut request.clone());
    server.handle(at(1), address(3), &mut request.clone());
    assert_eq!(server.counters().request_used_token, 2);
    // After the session's end it stays refused, from its own address too.
    client.disconnect();
    exchange(&mut server, &mut client, address(1), at(2));
    server.handle(at(3), address(1), &mut request.clone());
    assert_eq!((server.counters().request_used_token, server.connected()), (3, 0));
    assert!(sent_by_server(&mut server, at(3)).is_empty());
}

#[test]
fn a_full_server_denies() {
    let mut server = server(1);
    let _first = connected(&mut server, 1, 1, address(1), at(0));
    let mut second = client(2, 2);
    exchange(&mut server, &mut second, address(2), at(0));
    assert_eq!(second.state(), ClientState::ConnectionDenied);
    assert_eq!(server.counters().denied, 1);
}

#[test]
fn the_last_slot_goes_to_the_first_response() {
    let mut server = server(1);
    let mut clients = [client(1, 1), client(2, 2)];
    for (n, client) in clients.iter_mut().enumerate() {
        let mut request = sent_by_client(client, at(0)).remove(0);
        server.handle(at(0), address(n as u16), &mut request);
    }
    for (to, mut datagram) in sent_by_server(&mut server, at(0)) {
        let n = usize::from(to == address(1));
        clients[n].handle(at(0), SERVER.parse().unwrap(), &mut datagram);
    }
    let [first, second] = &mut clients;
    exchange(&mut server, first, address(0), at(0));
    exchange(&mut server, second, address(1), at(0));
    assert_eq!((first.state(), second.state()), (ClientState::Connected, ClientState::ConnectionDenied));
}

#[test]
fn a_client_that_comes_again_with_a_new_token_replaces_its_session() {
    let mut server = server(1);
    let mut old = connected(&mut server, 42, 1, address(1), at(0));
    // From another address, though the only slot is taken: it is its own.
    let _new = connected(&mut server, 42, 2, address(2), at(10));
    let events = events(&mut server);
    assert!(matches!(
        events[1],
        Event::Disconnected { client_id: 42, reason: DisconnectReason::Replaced, .. }
    ));
    assert!(matches!(events[2], Event::Connected { client_id: 42, .. }));
    let mut late = say(&mut old, at(11), b"late");
    assert_eq!(server.handle(at(11), address(1), &mut late), Received::Nothing);
    // From the same address.
    let _newest = connected(&mut server, 42, 3, address(2), at(20));
    assert_eq!((server.connected(), server.counters().replaced), (1, 2));
}

#[test]
fn silence_ends_a_session_on_both_sides_and_keep_alives_prevent_it() {
    let mut server = server(1);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    for ms in (0..20_000).step_by(50) {
        server.handle_timeout(at(ms));
        client.handle_timeout(at(ms));
        exchange(&mut server, &mut client, address(1), at(ms));
    }
    assert_eq!((client.state(), server.connected()), (ClientState::Connected, 1));
    for ms in (20_000..25_100).step_by(50) {
        server.handle_timeout(at(ms));
        client.handle_timeout(at(ms));
    }
    assert_eq!((client.state(), server.connected()), (ClientState::TimedOut, 0));
    let ended = Event::Disconnected { slot: 0, client_id: 42, reason: DisconnectReason::TimedOut };
    assert_eq!(events(&mut server).last(), Some(&ended));
}

#[test]
fn goodbyes_are_said_ten_times() {
    let mut server = server(2);
    let mut client_1 = connected(&mut server, 1, 1, address(1), at(0));
    let mut client_2 = connected(&mut server, 2, 2, address(2), at(0));
    client_1.disconnect();
    let farewells = sent_by_client(&mut client_1, at(1));
    assert_eq!(farewells.len(), usize::from(FAREWELLS));
    for mut datagram in farewells {
        server.handle(at(1), address(1), &mut datagram);
    }
    assert_eq!((server.connected(), server.counters().left), (1, 1));
    server.disconnect_all();
    let farewells = sent_by_server(&mut server, at(2));
    assert_eq!(farewells.len(), usize::from(FAREWELLS));
    client_2.handle(at(2), SERVER.parse().unwrap(), &mut farewells[9].1.clone());
    assert_eq!(client_2.state(), ClientState::Disconnected);
}

#[test]
fn replayed_forged_reflected_and_stray_packets_are_counted() {
    let mut server = server(2);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    let payload = say(&mut client, at(1), b"once");
    assert_ne!(server.handle(at(1), address(1), &mut payload.clone()), Received::Nothing);
    assert_eq!(server.handle(at(1), address(1), &mut payload.clone()), Received::Nothing);
    let mut forged = say(&mut client, at(1), b"twice");
    forged[12] ^= 1;
    server.handle(at(1), address(1), &mut forged);
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let (_, bytes) = server.seal(at(1), 0, &[b"ours"], &mut buffer).unwrap();
    server.handle(at(1), address(1), &mut buffer[..bytes]); // reflected: sealed with the other key
    server.handle(at(1), address(7), &mut payload.clone());
    server.handle(at(1), address(1), &mut payload[..20].to_vec());
    server.handle(at(1), address(1), &mut []);
    let c = *server.counters();
    // A reflected one is taken for a replay where both sides have come to the same number.
    assert_eq!((c.replayed + c.forged, c.from_nobody, c.malformed), (3, 1, 2));
    assert!(c.replayed >= 1 && c.forged >= 1);
}

#[test]
fn a_dead_first_server_is_passed_over() {
    let mut server = server(2);
    let token = mint(&params(42, &["127.0.0.1:9", SERVER]), 1);
    let mut client = Client::new(at(0), 1_000, &token).unwrap();
    for ms in (0..5_000).step_by(100) {
        assert_eq!(sent_by_client(&mut client, at(ms)).len(), 1);
        client.handle_timeout(at(ms));
    }
    client.handle_timeout(at(5_000));
    assert_eq!(client.server(), SERVER.parse().unwrap());
    exchange(&mut server, &mut client, address(1), at(5_000));
    assert_eq!(client.state(), ClientState::Connected);
}

#[test]
fn a_client_whom_nobody_answers_says_why_it_ends() {
    let mut lonely = client(42, 1);
    lonely.handle_timeout(at(5_000));
    assert_eq!(lonely.state(), ClientState::RequestTimedOut);
    let late = mint(&TokenParams { timeout_s: 0, ..params(42, &[SERVER]) }, 1);
    let mut late = Client::new(at(0), 1_000, &late).unwrap();
    late.handle_timeout(at(60_000));
    assert_eq!(late.state(), ClientState::TokenExpired);
}

#[test]
fn payloads_of_no_or_too_many_bytes_are_not_sealed() {
    let mut server = server(1);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    let mut buffer = [0; 4_000];
    assert_eq!(client.seal(at(0), &[], &mut buffer), Err(SealError::Length(0)));
    assert_eq!(server.seal(at(0), 0, &[&[0; 1_201]], &mut buffer), Err(SealError::Length(1_201)));
    assert_eq!(server.seal(at(0), 9, &[b"x"], &mut buffer), Err(SealError::NotConnected));
    assert_eq!(client.seal(at(0), &[&[0; 1_200]], &mut buffer).unwrap().1, DATAGRAM_BYTES_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// On a line that loses, doubles and delays, a client gets in, and every payload arrives at most once.
    #[test]
    fn a_bad_line_only_delays(fates in proptest::collection::vec(0u8..6, 400)) {
        let mut server = server(2);
        let mut client = client(42, 1);
        let mut fates = fates.into_iter();
        let mut delayed: Vec<Vec<u8>> = Vec::new();
        let mut heard = Vec::new();
        let mut said = 0u32;
        for ms in (0..4_000).step_by(20) {
            let now = at(ms);
            server.handle_timeout(now);
            client.handle_timeout(now);
            let mut up = sent_by_client(&mut client, now);
            if client.state() == ClientState::Connected {
                up.push(say(&mut client, now, &said.to_le_bytes()));
                said += 1;
            }
            let mut arriving = Vec::new();
            for datagram in up {
                match fates.next() {
                    Some(0 | 1) => {}
                    Some(2) => arriving.extend([datagram.clone(), datagram]),
                    Some(3) => delayed.push(datagram),
                    _ => arriving.push(datagram),
                }
            }
            if ms % 140 == 0 {
                arriving.append(&mut delayed);
            }
            for mut datagram in arriving {
                if let Received::Payload { bytes, .. } = server.handle(now, address(1), &mut datagram) {
                    heard.push(bytes.to_vec());
                }
            }
            for (_, mut datagram) in sent_by_server(&mut server, now) {
                if !matches!(fates.next(), Some(0 | 1)) {
                    client.handle(now, SERVER.parse().unwrap(), &mut datagram);
                }
            }
        }
        prop_assert_eq!(client.state(), ClientState::Connected);
        let before = heard.len();
        heard.sort();
        heard.dedup();
        prop_assert!(before == heard.len() && before > 20);
    }

    #[test]
    fn mutated_packets_of_a_session_never_panic(
        mutations in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0usize..4), 1..60)
    ) {
        let mut server = server(4);
        let mut client = connected(&mut server, 42, 1, address(1), at(0));
        let mut stranger = super::tests::client(43, 2);
        let request = sent_by_client(&mut stranger, at(0)).remove(0);
        let before = server.connected();
        for (index, value, which) in mutations {
            let mut datagram = match which {
                0 => request.clone(),
                1 => say(&mut client, at(1), b"payload"),
                2 => vec![value; index.index(1_300)],
                _ => sent_by_server(&mut server, at(200)).pop().map_or(vec![value], |d| d.1),
            };
            if !datagram.is_empty() {
                let at_byte = index.index(datagram.len());
                datagram[at_byte] ^= value | 1;
            }
            server.handle(at(1), address(u16::from(value) % 3), &mut datagram.clone());
            client.handle(at(1), SERVER.parse().unwrap(), &mut datagram);
        }
        prop_assert_eq!(server.connected(), before);
        prop_assert!(server.handshakes() <= 1);
    }
}
