//! The way in: who gets a slot, who does not, and what each refusal counts.

use super::super::crypto::{Key, seal_extended};
use super::super::limits::{
    ANSWERS_MAX, CHALLENGE_TOKEN_LEN, HANDSHAKE_TIME_MAX, HANDSHAKES_MAX, HANDSHAKES_PER_TOKEN_MAX,
    PRIVATE_TOKEN_LEN, REQUEST_LEN, REQUEST_OPENS_BURST, TOKEN_LIFETIME_S_MAX, USED_TOKENS_MIN, VERSION,
};
use super::super::packet::{Kind, Request, Sealed, seal};
use super::super::{crypto::Cipher, limits::TAG_LEN};
use super::*;

#[test]
fn a_client_gets_in_and_payloads_go_both_ways() {
    let mut server = server(2);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    let user_data = Box::new([6; USER_DATA_LEN]);
    assert_eq!(events(&mut server), [Event::Connected { slot: 0, client_id: 42, user_data }]);
    assert_eq!(client.slot(), Some((0, 2)));
    let mut up = say(&mut client, at(1), b"up");
    assert_eq!(up.len(), 2 + PACKET_OVERHEAD);
    assert_eq!(server.handle(at(1), address(1), &mut up), Received::Payload { slot: 0, bytes: b"up" });
    let mut buffer = [0xa5; DATAGRAM_BYTES_MAX];
    let (to, bytes) = server.seal(at(1), 0, &[b"do", b"wn"], &mut buffer).unwrap();
    assert_eq!(to, address(1));
    let down = client.handle(at(1), server_address(), &mut buffer[..bytes]);
    assert_eq!(down, ClientReceived::Payload(b"down"));
    assert_eq!((server.counters().refused(), client.counters().refused()), (0, 0));
}

#[test]
fn no_answer_is_longer_than_its_question() {
    let mut server = server(1);
    let mut first = request_of(42, 1);
    assert_eq!(first.len(), REQUEST_LEN);
    server.handle(at(0), address(1), &mut first);
    let answers = sent_by_server(&mut server, at(0));
    assert_eq!(answers.iter().map(|(to, bytes)| (*to, bytes.len())).collect::<Vec<_>>(), [(address(1), 333)]);
    connected(&mut server, 42, 1, address(1), at(1));
    server.handle(at(2), address(2), &mut request_of(43, 2));
    let answers = sent_by_server(&mut server, at(2));
    assert_eq!(answers.iter().map(|(to, bytes)| (*to, bytes.len())).collect::<Vec<_>>(), [(address(2), 25)]);
}

/// A challenge to a known token, byte for byte: prefix, sequence of the clock, then what only the keys open.
#[test]
fn a_challenge_and_its_response_are_laid_out_as_the_standard_has_them() {
    let mut server = server(2);
    let token = mint(&params(42, &[SERVER]), 1);
    server.handle(at(3), address(1), &mut request(&token));
    let (_, mut challenge) = sent_by_server(&mut server, at(3)).remove(0);
    let sequence = (1_u64 << 63) + (1_000_003_000 << 10);
    assert_eq!((challenge[0], &challenge[1..9]), (0x82, &sequence.to_le_bytes()[..]));
    let sealed = Sealed::parse(&mut challenge).unwrap();
    let body = sealed.open(&Cipher::new(&token.server_to_client), 7).unwrap();
    assert_eq!(body[..8], 0_u64.to_le_bytes(), "challenges are counted from zero");
    let mut associated = VERSION.to_vec();
    associated.extend([7, 0, 0, 0, 0, 0, 0, 0, 0x82]);
    let challenge_key = Cipher::new(&Key([5; KEY_LEN]));
    let opened = challenge_key.open(0, &[], &mut body[8..]).unwrap();
    assert_eq!(opened.len(), CHALLENGE_TOKEN_LEN - TAG_LEN);
    assert_eq!((&opened[..8], &opened[8..264]), (&42_u64.to_le_bytes()[..], &[6; 256][..]));
    assert_eq!(opened[264..], [0; 20]);
}

#[test]
fn requests_that_cannot_be_are_refused_and_counted() {
    let mut server = server(2);
    let mut refused = |mut request: Vec<u8>, change: &dyn Fn(&mut Vec<u8>)| {
        change(&mut request);
        server.handle(at(0), address(1), &mut request);
        assert!(sent_by_server(&mut server, at(0)).is_empty());
        *server.counters()
    };
    let good = || request_of(42, 1);
    let token = |change: &dyn Fn(&mut TokenParams)| {
        let mut params = params(42, &[SERVER]);
        change(&mut params);
        request(&mint(&params, 1))
    };
    assert_eq!(refused(good(), &|r| r.truncate(REQUEST_LEN - 1)).malformed, 1);
    assert_eq!(refused(good(), &|r| r.push(0)).malformed, 2);
    assert_eq!(refused(good(), &|r| r[12] = b'1').request_protocol, 1);
    assert_eq!(refused(token(&|p| p.protocol_id = 8), &|_| {}).request_protocol, 2);
    let expired = token(&|p| (p.create_unix_s, p.expire_unix_s) = (900, 1_000));
    assert_eq!(refused(expired, &|_| {}).request_expired, 1);
    let far = (1_001 + TOKEN_LIFETIME_S_MAX).to_le_bytes();
    assert_eq!(refused(good(), &|r| r[22..30].copy_from_slice(&far)).request_expired, 2);
    assert_eq!(refused(good(), &|r| r[22..30].copy_from_slice(&u64::MAX.to_le_bytes())).request_expired, 3);
    assert_eq!(refused(good(), &|r| r[200] ^= 1).request_forged, 1);
    let later = 1_061_u64.to_le_bytes();
    assert_eq!(refused(good(), &|r| r[22..30].copy_from_slice(&later)).request_forged, 2);
    let elsewhere = token(&|p| p.server_addresses = vec![address(9)]);
    assert_eq!(refused(elsewhere, &|_| {}).request_other_server, 1);
    assert_eq!((server.handshakes(), server.counters().refused()), (0, 10));
}

/// Sealed with the right key, but without a server: its maker is at fault, not its bearer.
#[test]
fn a_private_token_that_says_nothing_sensible_is_counted_apart() {
    let mut server = server(2);
    let mut private = [0; PRIVATE_TOKEN_LEN];
    let (body, tag) = private.split_at_mut(PRIVATE_TOKEN_LEN - TAG_LEN);
    let mut associated = VERSION.to_vec();
    associated.extend(7_u64.to_le_bytes());
    associated.extend(1_060_u64.to_le_bytes());
    tag.copy_from_slice(&seal_extended(&Key(PRIVATE_KEY), &[3; 24], &associated, body));
    let mut request = [0xa5; REQUEST_LEN];
    Request::write(7, 1_060, &[3; 24], &private, &mut request);
    server.handle(at(0), address(1), &mut request);
    assert_eq!((server.counters().request_malformed_token, server.handshakes()), (1, 0));
}

#[test]
fn a_token_belongs_to_the_address_that_answered_and_is_not_opened_for_another() {
    let mut server = server(4);
    connected(&mut server, 42, 1, address(1), at(0));
    let mut copied = request_of(42, 1);
    let tag = copied[REQUEST_LEN - TAG_LEN..].to_vec();
    server.handle(at(1), address(2), &mut copied);
    assert_eq!((server.handshakes(), server.counters().request_used_token), (0, 1));
    assert_eq!(copied[REQUEST_LEN - TAG_LEN..], tag, "refused before it was decrypted");
    assert!(sent_by_server(&mut server, at(1)).is_empty());
}

/// As it is with a client whose address changes on the way in, or whose request was copied.
#[test]
fn until_a_challenge_is_answered_a_token_may_be_shown_from_a_few_addresses() {
    let mut server = server(4);
    let mut client = client(42, 1);
    let asked = sent_by_client(&mut client, at(0)).remove(0);
    for n in 1..=HANDSHAKES_PER_TOKEN_MAX as u16 + 3 {
        server.handle(at(0), address(n), &mut asked.clone());
    }
    assert_eq!((server.handshakes(), sent_by_server(&mut server, at(0)).len()), (4, 4));
    assert_eq!(server.counters().handshakes_token_over_limit, 3);
    exchange(&mut server, &mut client, address(3), at(100));
    assert_eq!((client.state(), server.connected()), (ClientState::Connected, 1));
    assert_eq!(server.handshakes(), 0, "the others have nothing to answer any more");
    server.handle(at(101), address(1), &mut asked.clone());
    assert_eq!(server.counters().request_used_token, 1);
}

#[test]
fn a_token_is_refused_for_good_after_its_session() {
    let mut server = server(4);
    let mut client = connected(&mut server, 42, 1, address(1), at(0));
    server.handle(at(1), address(1), &mut request_of(42, 1));
    assert_eq!(server.counters().already_connected, 1);
    client.disconnect();
    exchange(&mut server, &mut client, address(1), at(2));
    assert_eq!((server.connected(), events(&mut server).len()), (0, 2));
    for ms in [3, 30_000, 59_000] {
        server.handle_timeout(at(ms));
        server.handle(at(ms), address(1), &mut request_of(42, 1));
    }
    assert_eq!((server.counters().request_used_token, server.handshakes()), (3, 0));
    server.handle(at(60_000), address(1), &mut request_of(42, 1));
    assert_eq!(server.counters().request_expired, 1);
}

#[test]
fn who_asks_again_hears_the_same_challenge_under_a_new_number() {
    let mut server = server(4);
    let token = mint(&params(42, &[SERVER]), 1);
    let challenges = [0, 100].map(|ms| {
        server.handle(at(ms), address(1), &mut request(&token));
        let (_, mut datagram) = sent_by_server(&mut server, at(ms)).remove(0);
        let sealed = Sealed::parse(&mut datagram).unwrap();
        let sequence = sealed.sequence;
        (sequence, sealed.open(&Cipher::new(&token.server_to_client), 7).unwrap().to_vec())
    });
    assert_ne!(challenges[0].0, challenges[1].0);
    assert_eq!(challenges[0].1, challenges[1].1);
    assert_eq!(server.handshakes(), 1);
}

/// Who holds two tokens can ask from an address that is not its own, but cannot answer for it with the
/// challenge that it was sent itself.
#[test]
fn a_response_must_repeat_the_challenge_of_its_own_address() {
    let mut server = server(4);
    let own = mint(&params(42, &[SERVER]), 1);
    let spoofed = mint(&params(42, &[SERVER]), 2);
    server.handle(at(0), address(1), &mut request(&own));
    server.handle(at(0), address(2), &mut request(&spoofed));
    let mut answers = sent_by_server(&mut server, at(0));
    let body =
        Sealed::parse(&mut answers[0].1).unwrap().open(&Cipher::new(&own.server_to_client), 7).unwrap();
    let mut response = [0; 333];
    let cipher = Cipher::new(&spoofed.client_to_server);
    let bytes = seal(Kind::Response, 1 << 62, &cipher, 7, &[&body[..]], &mut response);
    server.handle(at(1), address(2), &mut response[..bytes]);
    assert_eq!((server.counters().response_forged, server.connected()), (1, 0));
}

#[test]
fn responses_that_are_forged_or_come_from_nowhere_are_counted() {
    let mut server = server(4);
    let mut client = client(42, 1);
    for mut datagram in sent_by_client(&mut client, at(0)) {
        server.handle(at(0), address(1), &mut datagram);
    }
    let (_, mut challenge) = sent_by_server(&mut server, at(0)).remove(0);
    client.handle(at(0), server_address(), &mut challenge);
    let response = sent_by_client(&mut client, at(0)).remove(0);
    let mut forged = response.clone();
    forged[100] ^= 1;
    server.handle(at(0), address(1), &mut forged);
    server.handle(at(0), address(2), &mut response.clone());
    assert_eq!((server.counters().response_forged, server.counters().from_nobody), (1, 1));
    server.handle(at(0), address(1), &mut response.clone());
    server.handle(at(0), address(1), &mut response.clone());
    assert_eq!((server.connected(), server.counters().already_connected), (1, 1));
}

#[test]
fn a_full_server_denies_each_time_it_is_asked() {
    let mut server = server(1);
    let _first = connected(&mut server, 1, 1, address(1), at(0));
    let mut second = client(2, 2);
    exchange(&mut server, &mut second, address(2), at(0));
    assert_eq!((second.state(), server.counters().denied), (ClientState::ConnectionDenied, 1));
    server.handle(at(1), address(2), &mut request_of(2, 2));
    assert_eq!((sent_by_server(&mut server, at(1)).len(), server.counters().denied), (1, 2));
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
        clients[n].handle(at(0), server_address(), &mut datagram);
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
    let came_and_went = events(&mut server);
    let replaced = Event::Disconnected { slot: 0, client_id: 42, reason: DisconnectReason::Replaced };
    assert_eq!((came_and_went.len(), &came_and_went[1]), (3, &replaced));
    assert!(matches!(came_and_went[2], Event::Connected { slot: 0, client_id: 42, .. }));
    let mut late = say(&mut old, at(11), b"late");
    assert_eq!(server.handle(at(11), address(1), &mut late), Received::Nothing);
    // From the same address.
    let _newest = connected(&mut server, 42, 3, address(2), at(20));
    assert_eq!((server.connected(), server.counters().replaced), (1, 2));
    assert_eq!(server.counters().refused(), 1, "the late payload, and no farewells to a new session");
}

#[test]
fn another_client_at_the_same_address_replaces_the_one_before() {
    let mut server = server(1);
    let _old = connected(&mut server, 1, 1, address(1), at(0));
    let _new = connected(&mut server, 2, 2, address(1), at(10));
    assert_eq!((server.connected(), server.counters().replaced, server.counters().denied), (1, 1, 0));
}

#[test]
fn a_handshake_that_is_not_answered_is_forgotten() {
    let mut server = server(1);
    server.handle(at(0), address(1), &mut request_of(42, 1));
    // The token's five seconds are less than what any handshake may take.
    assert_eq!(server.next_deadline(), at(5_000));
    server.handle_timeout(at(4_999));
    assert_eq!(server.handshakes(), 1);
    server.handle_timeout(at(5_000));
    assert_eq!((server.handshakes(), server.counters().handshakes_expired), (0, 1));
    let patient = TokenParams { timeout_s: 0, ..params(43, &[SERVER]) };
    server.handle(at(5_000), address(2), &mut request(&mint(&patient, 2)));
    assert_eq!(server.next_deadline(), at(5_000) + HANDSHAKE_TIME_MAX);
    sent_by_server(&mut server, at(5_000)); // lost
    // The token is still its address's, which may begin anew.
    connected(&mut server, 42, 1, address(1), at(6_000));
}

#[test]
fn handshakes_and_answers_have_a_bound() {
    let mut server = server(2);
    let mut ms = 0;
    for n in 0..HANDSHAKES_MAX as u32 + 3 {
        ms += u64::from(n.is_multiple_of(REQUEST_OPENS_BURST)) * 20;
        server.handle(at(ms), address(n as u16), &mut request_of(u64::from(n), n));
        if n as usize >= ANSWERS_MAX + 2 {
            sent_by_server(&mut server, at(ms));
        }
    }
    assert_eq!(server.counters().answers_over_limit, 3);
    assert_eq!((server.handshakes(), server.counters().handshakes_over_limit), (HANDSHAKES_MAX, 3));
    // Who is among them may ask again.
    server.handle(at(900), address(5), &mut request_of(5, 5));
    assert_eq!(sent_by_server(&mut server, at(900)).len(), 1);
}

#[test]
fn used_tokens_have_a_bound_and_make_room_when_they_expire() {
    let mut server = server(2);
    let mut ms = 0;
    for n in 0..USED_TOKENS_MIN as u32 {
        ms += u64::from(n.is_multiple_of(REQUEST_OPENS_BURST)) * 20;
        connected(&mut server, 1, n, address(n as u16), at(ms));
        events(&mut server);
    }
    assert_eq!(server.counters().used_tokens_over_limit, 0);
    server.handle(at(ms + 20), address(1), &mut request_of(1, u32::MAX));
    assert_eq!((server.counters().used_tokens_over_limit, server.handshakes()), (1, 0));
    let later = TokenParams { create_unix_s: 1_060, expire_unix_s: 1_100, ..params(1, &[SERVER]) };
    server.handle(at(61_000), address(1), &mut request(&mint(&later, 0)));
    assert_eq!(
        (sent_by_server(&mut server, at(61_000)).len(), server.counters().used_tokens_over_limit),
        (1, 1)
    );
}
