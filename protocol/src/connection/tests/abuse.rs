//! Those who want to cost a server more than they are worth: each is stopped by a bound of its own and
//! counted.

use super::super::limits::{
    HANDSHAKES_PER_NETWORK_MAX, PACKETS_PER_CLIENT_BURST, PACKETS_PER_CLIENT_S, REQUEST_OPENS_BURST,
    REQUEST_OPENS_PER_S, REQUESTS_BURST_S, REQUESTS_PER_NETWORK_S, RESPONSE_OPENS_BURST,
    RESPONSES_PER_HANDSHAKE_S, TOKEN_LIFETIME_S_MAX,
};
use super::*;

const BURST: u32 = REQUESTS_PER_NETWORK_S * REQUESTS_BURST_S;

/// A request that looks right and is not.
fn forged() -> Vec<u8> {
    let mut request = request_of(42, 1);
    request[200] ^= 1;
    request
}

/// Another port of network `n`.
fn port(n: u16, port: u16) -> SocketAddr {
    SocketAddr::new(address(n).ip(), port)
}

#[test]
fn one_network_has_no_more_requests_opened_than_its_rate_and_others_do_not_notice() {
    let mut server = server(2);
    for n in 0..10_000_u16 {
        server.handle(at(0), port(1, n), &mut forged());
    }
    let refused = u64::from(10_000 - BURST.min(REQUEST_OPENS_BURST));
    let counters = *server.counters();
    assert_eq!(counters.request_over_limit + counters.request_network_over_limit, refused);
    // A second later the rest of its burst is used up; from then on it has its rate.
    for ms in 1_000..11_000 {
        server.handle(at(ms), port(1, ms as u16), &mut forged());
    }
    let opened = server.counters().request_forged;
    let even = u64::from(BURST + 11 * REQUESTS_PER_NETWORK_S);
    assert!((even - u64::from(REQUESTS_PER_NETWORK_S)..=even + 1).contains(&opened), "{opened} of {even}");
    server.handle(at(11_000), address(1), &mut forged());
    connected(&mut server, 42, 1, address(2), at(11_000));
    server.handle(at(11_000), address(1), &mut request_of(43, 2));
    assert_eq!(server.handshakes(), 0, "the network itself waits, whoever else is in it");
    let told = server.counters().request_network_over_limit;
    assert!(told > 8_000, "{told}");
    connected(&mut server, 43, 2, address(1), at(12_000));
}

#[test]
fn all_networks_together_have_no_more_requests_opened_than_a_rate() {
    let mut server = server(2);
    for ms in 0..1_000 {
        for n in 0..40_u16 {
            // Each from a network of its own, as lies are.
            server.handle(at(ms), address(ms as u16 * 40 + n), &mut forged());
        }
    }
    let opened = server.counters().request_forged;
    let most = u64::from(REQUEST_OPENS_PER_S + REQUEST_OPENS_BURST);
    assert!((most - 20..=most).contains(&opened), "{opened} of {most}");
    assert_eq!(server.counters().request_over_limit, 40_000 - opened);
    assert_eq!(server.counters().request_network_over_limit, 0);
    connected(&mut server, 42, 1, address(1), at(1_020));
}

#[test]
fn this_machine_itself_is_limited_with_all_others_alone() {
    let mut server = server(2);
    for n in 0..BURST as u16 * 3 {
        let own = SocketAddr::from(([127, 0, 0, 1], n + 1));
        server.handle(at(n.into()), own, &mut forged());
    }
    assert_eq!(server.counters().request_forged, u64::from(BURST) * 3);
}

#[test]
fn the_operator_may_give_a_network_more() {
    let limits = HandshakeLimits { requests_per_network_s: 1_000, ..HandshakeLimits::default() };
    let mut server = server_with(2, limits);
    for n in 0..2_000_u16 {
        server.handle(at(n.into()), port(1, n), &mut forged());
    }
    assert_eq!(server.counters().request_forged, 2_000);
}

/// What is refused by a look-up is not opened and uses up nothing.
#[test]
fn who_is_in_already_or_was_uses_up_no_ones_rate() {
    let mut server = server(2);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    for _ in 0..5_000 {
        server.handle(at(1), address(1), &mut request_of(42, 1));
        server.handle(at(1), port(1, 9), &mut request_of(42, 1));
    }
    client.disconnect();
    exchange(&mut server, &mut client, address(1), at(2));
    assert_eq!(events(&mut server).len(), 2);
    for _ in 0..5_000 {
        server.handle(at(3), address(1), &mut request_of(42, 1));
    }
    let counters = *server.counters();
    assert_eq!((counters.already_connected, counters.request_used_token), (5_000, 10_000));
    assert_eq!(counters.request_over_limit + counters.request_network_over_limit, 0);
    connected(&mut server, 42, 2, address(1), at(4));
}

#[test]
fn one_network_has_no_more_handshakes_than_its_part() {
    let limits = HandshakeLimits { requests_per_network_s: 10_000, ..HandshakeLimits::default() };
    let mut server = server_with(2, limits);
    for n in 0..HANDSHAKES_PER_NETWORK_MAX + 10 {
        server.handle(at(n.into()), port(1, n), &mut request_of(n.into(), n.into()));
    }
    assert_eq!(server.handshakes(), HANDSHAKES_PER_NETWORK_MAX.into());
    assert_eq!(server.counters().handshakes_network_over_limit, 10);
    connected(&mut server, 9_999, 9_999, address(2), at(400));
}

/// It holds a token, and lies about where it is: with the token bound only to who answers, its lies hold four
/// places and for seconds.
#[test]
fn one_token_shown_from_everywhere_keeps_nobody_out() {
    let mut server = server(2);
    let copied = request_of(1, 1);
    for ms in 0..20_000_u64 {
        server.handle(at(ms), address(100 + ms as u16), &mut copied.clone());
        sent_by_server(&mut server, at(ms));
        server.handle_timeout(at(ms));
        assert!(server.handshakes() <= 4, "at {ms}");
    }
    connected(&mut server, 42, 2, address(1), at(20_000));
    server.handle_timeout(at(25_000));
    connected(&mut server, 1, 1, address(2), at(25_000));
}

#[test]
fn responses_to_one_challenge_are_opened_at_a_rate_and_the_right_one_still_counts() {
    let mut server = server(2);
    let mut client = client(42, 1);
    server.handle(at(0), address(1), &mut sent_by_client(&mut client, at(0))[0]);
    let (_, mut challenge) = sent_by_server(&mut server, at(0)).remove(0);
    client.handle(at(0), server_address(), &mut challenge);
    let response = sent_by_client(&mut client, at(0)).remove(0);
    let mut forged = response.clone();
    forged[100] ^= 1;
    for _ in 0..10_000 {
        server.handle(at(1), address(1), &mut forged.clone());
    }
    let opened = u64::from(RESPONSES_PER_HANDSHAKE_S);
    assert_eq!(server.counters().response_forged, opened);
    assert_eq!(server.counters().response_over_limit, 10_000 - opened);
    server.handle(at(1_000), address(1), &mut response.clone());
    assert_eq!((server.connected(), server.handshakes()), (1, 0));
}

#[test]
fn all_responses_together_are_opened_at_a_rate() {
    let mut server = server(2);
    let handshakes = 100_u16;
    for n in 0..handshakes {
        server.handle(at(n.into()), address(n), &mut request_of(n.into(), n.into()));
    }
    sent_by_server(&mut server, at(100));
    let mut forged = [0; 333];
    forged[0] = 0x83;
    for n in 0..3_000 {
        server.handle(at(200), address(n % handshakes), &mut forged.clone());
    }
    assert_eq!(server.counters().response_forged, u64::from(RESPONSE_OPENS_BURST));
    assert_eq!(server.counters().response_over_limit, 3_000 - u64::from(RESPONSE_OPENS_BURST));
}

#[test]
fn a_client_that_floods_has_its_rate_and_keeps_its_session() {
    let mut server = server(2);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    let mut taken = 0;
    for ms in 1_000..2_000 {
        for _ in 0..20 {
            let mut packet = say(&mut client, at(ms), b"me me me");
            taken += u32::from(server.handle(at(ms), address(1), &mut packet) != Received::Nothing);
        }
    }
    let most = PACKETS_PER_CLIENT_S + PACKETS_PER_CLIENT_BURST;
    assert!((most - 2..=most).contains(&taken), "{taken} of {most}");
    assert_eq!(server.counters().packets_over_limit, u64::from(20_000 - taken));
    assert_eq!((server.connected(), server.counters().forged), (1, 0));
    let mut packet = say(&mut client, at(2_100), b"sorry");
    assert_ne!(server.handle(at(2_100), address(1), &mut packet), Received::Nothing);
}

/// A lie about the address must not use up what the one at that address may send.
#[test]
fn what_is_forged_in_a_clients_name_is_not_held_against_it() {
    let mut server = server(2);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    let mut forged = say(&mut client, at(1), b"forged");
    forged[12] ^= 1;
    for _ in 0..10_000 {
        server.handle(at(1), address(1), &mut forged.clone());
    }
    assert_eq!((server.counters().forged, server.counters().packets_over_limit), (10_000, 0));
    let mut packet = say(&mut client, at(1), b"honest");
    assert_ne!(server.handle(at(1), address(1), &mut packet), Received::Nothing);
}

#[test]
fn sessions_opened_and_dropped_in_a_loop_leave_nothing_and_have_a_networks_rate() {
    let mut server = server(8);
    let mut opened = 0;
    for n in 0..1_000_u32 {
        let now = at(u64::from(n) * 2);
        let mut client = client_at(now, 1, n);
        exchange(&mut server, &mut client, address(1), now);
        opened += u32::from(client.state() == ClientState::Connected);
        client.disconnect();
        exchange(&mut server, &mut client, address(1), now);
        events(&mut server);
    }
    let most = BURST + 2 * REQUESTS_PER_NETWORK_S;
    assert!((most - 2..=most).contains(&opened), "{opened} of {most}");
    let counters = *server.counters();
    assert_eq!((server.connected(), server.handshakes(), counters.left), (0, 0, opened.into()));
    assert_eq!(counters.request_network_over_limit, u64::from(1_000 - opened));
}

#[test]
fn where_tokens_live_equally_long_one_from_before_the_start_is_refused() {
    let limits = HandshakeLimits { token_lifetime_s: 60, ..HandshakeLimits::default() };
    let mut server = server_with(2, limits);
    let made_at = |create_unix_s| {
        let params =
            TokenParams { create_unix_s, expire_unix_s: create_unix_s + 60, ..params(42, &[SERVER]) };
        request(&mint(&params, create_unix_s as u32))
    };
    server.handle(at(0), address(1), &mut made_at(999));
    assert_eq!((server.counters().request_before_start, server.handshakes()), (1, 0));
    server.handle(at(0), address(1), &mut made_at(1_000));
    assert_eq!(server.handshakes(), 1);
    server.handle(at(0), address(2), &mut made_at(1_001));
    assert_eq!(server.counters().request_expired, 1, "it lives longer than any");
    server.handle(at(1_000), address(2), &mut made_at(1_001));
    assert_eq!((server.handshakes(), server.counters().refused()), (2, 2));
}

#[test]
fn where_they_live_as_they_like_their_making_is_not_asked() {
    let mut server = server(2);
    let old = TokenParams { create_unix_s: 900, expire_unix_s: 1_010, ..params(42, &[SERVER]) };
    server.handle(at(0), address(1), &mut request(&mint(&old, 1)));
    let long = TokenParams { expire_unix_s: 1_000 + TOKEN_LIFETIME_S_MAX, ..params(43, &[SERVER]) };
    server.handle(at(0), address(2), &mut request(&mint(&long, 2)));
    assert_eq!((server.handshakes(), server.counters().refused()), (2, 0));
}

/// Every kind of packet, to a server that does and does not know the address: nothing that comes back is
/// longer than what was asked.
#[test]
fn no_answer_to_anything_is_longer_than_its_question() {
    let mut server = server(1);
    let _in = connected(&mut server, 1, 1, address(1), at(0));
    let mut waiting = client(2, 2);
    let asked = sent_by_client(&mut waiting, at(0)).remove(0);
    let mut questions = vec![asked, request_of(1, 1), request_of(3, 3), forged()];
    for length in [1, 18, 25, 26, 33, 100, 325, 333, 1_078, 1_225] {
        questions.extend((0..=255).step_by(3).map(|first| {
            let mut bytes = vec![0x55; length];
            bytes[0] = first;
            bytes
        }));
    }
    for (n, question) in questions.iter().enumerate() {
        for from in [address(1), address(2), address(3)] {
            let now = at(n as u64 / 2);
            server.handle(now, from, &mut question.clone());
            let answers: usize = sent_by_server(&mut server, now).iter().map(|(_, bytes)| bytes.len()).sum();
            assert!(answers <= question.len(), "{answers} bytes for {}", question.len());
        }
    }
    assert_eq!(server.connected(), 1);
}
