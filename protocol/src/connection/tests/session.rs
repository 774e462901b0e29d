//! Sessions and their ends, on both sides, and what a client does on its way through its servers.

use super::super::limits::{EVENTS_MAX, FAREWELLS, FAREWELLS_WAITING_MIN};
use super::*;

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
    assert!(sent_by_server(&mut server, at(25_100)).is_empty(), "nobody says goodbye to silence");
}

#[test]
fn a_session_without_a_timeout_outlives_silence() {
    let mut server = server(1);
    let token = mint(&TokenParams { timeout_s: -1, ..params(42, &[SERVER]) }, 1);
    let mut client = Client::new(at(0), 1_000, &token).unwrap();
    exchange(&mut server, &mut client, address(1), at(0));
    server.handle_timeout(at(1_000_000_000));
    client.handle_timeout(at(1_000_000_000));
    assert_eq!((client.state(), server.connected()), (ClientState::Connected, 1));
}

#[test]
fn keep_alives_come_ten_times_a_second_where_nothing_else_was_sent() {
    let mut server = server(1);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    server.handle(at(0), address(1), &mut say(&mut client, at(0), b"confirmed"));
    let mut sent = [0, 0];
    for ms in 1..=1_000 {
        server.handle_timeout(at(ms));
        client.handle_timeout(at(ms));
        sent[0] += sent_by_server(&mut server, at(ms)).len();
        sent[1] += sent_by_client(&mut client, at(ms)).len();
    }
    assert!((9..=10).contains(&sent[0]), "{sent:?}");
    assert_eq!(sent[1], 10);
    for ms in 1_001..=2_000 {
        if ms % 50 == 0 {
            say_down(&mut server, at(ms), 0, b"instead");
            say(&mut client, at(ms), b"instead");
        }
        server.handle_timeout(at(ms));
        assert!(sent_by_server(&mut server, at(ms)).is_empty());
        assert!(sent_by_client(&mut client, at(ms)).is_empty());
    }
}

#[test]
fn an_idle_server_has_no_deadline_and_a_busy_one_is_not_asked_too_often() {
    let mut server = server(2);
    assert_eq!(server.next_deadline(), Instant::from_us(u64::MAX));
    let _client = connected(&mut server, 42, 1, address(1), at(7));
    assert_eq!(server.next_deadline(), at(107));
    server.handle_timeout(at(107));
    assert_eq!(server.next_deadline(), at(117));
}

/// A client that has not heard of its slot would drop a payload: a keep-alive follows each burst until it
/// has answered.
#[test]
fn until_a_client_is_confirmed_keep_alives_accompany_payloads() {
    let mut server = server(1);
    let mut client = client(42, 1);
    for _ in 0..2 {
        for mut datagram in sent_by_client(&mut client, at(0)) {
            server.handle(at(0), address(1), &mut datagram);
        }
        for (_, mut datagram) in sent_by_server(&mut server, at(0)) {
            if client.state() == ClientState::SendingRequest {
                client.handle(at(0), server_address(), &mut datagram);
            } // the keep-alive is lost
        }
    }
    assert_eq!((client.state(), server.connected()), (ClientState::SendingResponse, 1));
    let mut early = say_down(&mut server, at(10), 0, b"early");
    say_down(&mut server, at(10), 0, b"more");
    assert_eq!(client.handle(at(10), server_address(), &mut early), ClientReceived::Nothing);
    assert_eq!(client.counters().early, 1);
    let mut keep_alives = sent_by_server(&mut server, at(10));
    assert_eq!(keep_alives.len(), 1);
    client.handle(at(10), server_address(), &mut keep_alives[0].1);
    assert_eq!(client.state(), ClientState::Connected);
    server.handle(at(10), address(1), &mut sent_by_client(&mut client, at(10))[0]);
    say_down(&mut server, at(11), 0, b"confirmed");
    assert!(sent_by_server(&mut server, at(11)).is_empty());
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
    assert_eq!((server.connected(), server.counters().left, server.counters().from_nobody), (1, 1, 9));
    server.disconnect_all();
    let farewells = sent_by_server(&mut server, at(2));
    assert_eq!(farewells.len(), usize::from(FAREWELLS));
    client_2.handle(at(2), server_address(), &mut farewells[9].1.clone());
    assert_eq!(client_2.state(), ClientState::Disconnected);
    client_2.handle(at(2), server_address(), &mut farewells[8].1.clone());
    assert_eq!(client_2.counters().after_the_end, 1);
    assert!(!server.disconnect(1) && !server.disconnect(99));
}

#[test]
fn farewells_that_nobody_sends_have_a_bound() {
    let mut server = server(1);
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    for n in 0..FAREWELLS_WAITING_MIN as u32 + 3 {
        let mut client = client(u64::from(n), n);
        server.handle(at(0), address(1), &mut sent_by_client(&mut client, at(0))[0]);
        // Answers go first: the challenge is all that is sent.
        let bytes = server.poll_transmit(at(0), &mut buffer).unwrap().bytes;
        client.handle(at(0), server_address(), &mut buffer[..bytes]);
        server.handle(at(0), address(1), &mut sent_by_client(&mut client, at(0))[0]);
        assert!(server.disconnect(0));
    }
    assert_eq!(server.counters().farewells_over_limit, 3);
    let waiting = FAREWELLS_WAITING_MIN * usize::from(FAREWELLS);
    assert_eq!(sent_by_server(&mut server, at(0)).len(), waiting);
}

#[test]
fn events_that_nobody_polls_stop_further_datagrams() {
    let mut server = server(EVENTS_MAX as u32 + 8);
    for n in 0..EVENTS_MAX as u32 {
        let now = at(u64::from(n / 100) * 20);
        connected(&mut server, u64::from(n), n, address(n as u16), now);
    }
    assert_eq!(server.connected(), EVENTS_MAX);
    let before = server.counters().events_over_limit;
    let mut refused = request_of(9_999, 9_999);
    server.handle(at(300), address(9_999), &mut refused);
    assert_eq!((server.counters().events_over_limit - before, server.handshakes()), (1, 0));
    assert_eq!(events(&mut server).len(), EVENTS_MAX);
    server.handle(at(300), address(9_999), &mut refused);
    assert_eq!(server.handshakes(), 1);
}

#[test]
fn replayed_forged_reflected_and_stray_packets_are_counted() {
    let mut server = server(2);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    let payload = say(&mut client, at(1), b"once");
    assert_ne!(server.handle(at(1), address(1), &mut payload.clone()), Received::Nothing);
    assert_eq!(server.handle(at(1), address(1), &mut payload.clone()), Received::Nothing);
    assert_eq!(server.counters().replayed, 1);
    let mut forged = say(&mut client, at(1), b"twice");
    forged[12] ^= 1;
    server.handle(at(1), address(1), &mut forged);
    assert_eq!(server.counters().forged, 1);
    for _ in 0..8 {
        say_down(&mut server, at(1), 0, b"ahead of what the client sends");
    }
    let ours = say_down(&mut server, at(1), 0, b"ours");
    server.handle(at(1), address(1), &mut ours.clone()); // reflected: sealed with the other key
    assert_eq!(server.counters().forged, 2);
    let mut mine = say(&mut client, at(2), b"mine");
    client.handle(at(2), server_address(), &mut mine);
    assert_eq!(client.counters().refused(), 1);
    server.handle(at(1), address(7), &mut payload.clone());
    assert_eq!(server.counters().from_nobody, 1);
    server.handle(at(1), address(1), &mut payload[..20].to_vec());
    server.handle(at(1), address(1), &mut []);
    assert_eq!(server.counters().malformed, 2);
    server.handle(at(1), address(1), &mut [0x81; 25]); // a denial
    assert_eq!((server.counters().unexpected, server.connected()), (1, 1));
}

#[test]
fn a_client_counts_what_it_does_not_take() {
    let mut server = server(2);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    let down = say_down(&mut server, at(1), 0, b"down");
    client.handle(at(1), address(1), &mut down.clone());
    client.handle(at(1), server_address(), &mut down[..20].to_vec());
    let mut forged = down.clone();
    forged[20] ^= 1;
    client.handle(at(1), server_address(), &mut forged);
    assert_eq!(client.handle(at(1), server_address(), &mut down.clone()), ClientReceived::Payload(b"down"));
    client.handle(at(1), server_address(), &mut down.clone());
    let mut response = [0; 333];
    response[0] = 0x83;
    client.handle(at(1), server_address(), &mut response);
    let counters = *client.counters();
    assert_eq!((counters.from_elsewhere, counters.malformed, counters.forged), (1, 1, 1));
    assert_eq!((counters.replayed, counters.unexpected, counters.refused()), (1, 1, 5));
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
    assert_eq!((client.server(), client.counters().servers_passed_over), (server_address(), 1));
    exchange(&mut server, &mut client, address(1), at(5_000));
    assert_eq!(client.state(), ClientState::Connected);
}

#[test]
fn a_client_whom_nobody_answers_says_why_it_ends() {
    let mut lonely = client(42, 1);
    lonely.handle_timeout(at(4_999));
    assert_eq!(lonely.state(), ClientState::SendingRequest);
    lonely.handle_timeout(at(5_000));
    assert_eq!(lonely.state(), ClientState::RequestTimedOut);
    // The token lives sixty seconds from when the client has it, whatever its own clock says.
    let token = mint(&TokenParams { timeout_s: 0, ..params(42, &[SERVER]) }, 1);
    let mut late = Client::new(at(500), 77, &token).unwrap();
    late.handle_timeout(at(60_499));
    assert_eq!(late.state(), ClientState::SendingRequest);
    late.handle_timeout(at(60_500));
    assert_eq!((late.state(), late.next_deadline()), (ClientState::TokenExpired, Instant::from_us(u64::MAX)));
}

#[test]
fn a_response_that_nobody_answers_times_out_and_leaves_politely() {
    let mut server = server(2);
    let mut clients = [client(42, 1), client(43, 2)];
    for (n, client) in clients.iter_mut().enumerate() {
        server.handle(at(0), address(n as u16), &mut sent_by_client(client, at(0))[0]);
        let (_, mut challenge) = sent_by_server(&mut server, at(0)).remove(0);
        client.handle(at(0), server_address(), &mut challenge);
        assert_eq!(client.state(), ClientState::SendingResponse);
    }
    let [silent, leaving] = &mut clients;
    silent.handle_timeout(at(5_000));
    assert_eq!(silent.state(), ClientState::ResponseTimedOut);
    leaving.disconnect();
    assert_eq!(sent_by_client(leaving, at(1)).len(), usize::from(FAREWELLS));
    assert_eq!(leaving.state(), ClientState::Disconnected);
}

#[test]
fn payloads_of_no_or_too_many_bytes_are_not_sealed() {
    let mut server = server(1);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    let mut buffer = [0; 4_000];
    assert_eq!(client.seal(at(0), &[], &mut buffer), Err(SealError::Length(0)));
    assert_eq!(server.seal(at(0), 0, &[&[0; 1_201]], &mut buffer), Err(SealError::Length(1_201)));
    assert_eq!(server.seal(at(0), 9, &[b"x"], &mut buffer), Err(SealError::NotConnected));
    let no_room = SealError::NoRoom { needed: 28, room: 27 };
    assert_eq!(server.seal(at(0), 0, &[b"abc"], &mut buffer[..27]), Err(no_room));
    assert_eq!(client.seal(at(0), &[b"abc"], &mut buffer[..27]), Err(no_room));
    assert_eq!(client.seal(at(0), &[&[0; 1_200]], &mut buffer).unwrap().1, 1_225);
    client.disconnect();
    assert_eq!(client.seal(at(0), &[b"abc"], &mut buffer), Err(SealError::NotConnected));
}

/// Who restarts, or comes again at the same second with the same keys, must not repeat a nonce.
#[test]
fn no_number_is_used_twice_under_one_key_across_a_restart() {
    let sequence = |datagram: &[u8]| u64::from_le_bytes(datagram[1..9].try_into().unwrap());
    let mut numbers = std::collections::BTreeSet::new();
    for restart_ms in [0, 1, 2] {
        let mut server = server(2); // it has forgotten that the token was used
        let mut client = client_at(at(restart_ms), 42, 1);
        server.handle(at(restart_ms), address(1), &mut sent_by_client(&mut client, at(restart_ms))[0]);
        let (_, mut challenge) = sent_by_server(&mut server, at(restart_ms)).remove(0);
        assert!(numbers.insert(sequence(&challenge)));
        client.handle(at(restart_ms), server_address(), &mut challenge);
        exchange(&mut server, &mut client, address(1), at(restart_ms));
        for _ in 0..100 {
            assert!(numbers.insert(sequence(&say_down(&mut server, at(restart_ms), 0, b"down"))));
        }
    }
}

#[test]
fn a_guest_of_another_carrier_makes_way_for_the_same_client_over_udp() {
    let mut server = server(1);
    let mut shown = request_of(42, 1);
    assert_eq!(server.admit(at(0), address(1), &mut shown).map(|a| a.slot), Ok(0));
    let _client = connected(&mut server, 42, 2, address(2), at(0));
    let slot = 0;
    let gone = Event::Disconnected { slot, client_id: 42, reason: DisconnectReason::Replaced };
    let [first, second] = &events(&mut server)[..] else { panic!() };
    assert_eq!(first, &gone);
    assert!(matches!(second, Event::Connected { slot: 0, client_id: 42, .. }));
    assert_eq!((server.connected(), server.counters().replaced), (1, 1));
}

#[test]
fn a_token_shown_on_another_carrier_meanwhile_does_not_finish_its_handshake() {
    let mut server = server(2);
    let mut client = client(42, 1);
    for mut datagram in sent_by_client(&mut client, at(0)) {
        server.handle(at(0), address(1), &mut datagram);
    }
    let mut shown = request_of(42, 1);
    assert!(server.admit(at(0), address(1), &mut shown).is_ok());
    exchange(&mut server, &mut client, address(1), at(0));
    assert_eq!(client.state(), ClientState::SendingResponse);
    assert_eq!((server.connected(), server.counters().request_used_token), (1, 1));
}
