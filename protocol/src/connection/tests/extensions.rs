//! What our own clients do beyond the standard: AES for payloads, a session that follows its client to a new
//! address, slow keep-alives; and who tries to make something of it that is not there.

use super::super::limits::{CONNECTION_ID_LEN, PATH_CHALLENGE_LEN, PATH_CHALLENGES_PER_S, USER_DATA_LEN};
use super::*;

const AES: Extensions = Extensions { aes_payloads: true, connection_id: false, slow_keep_alives: false };
const ID: Extensions = Extensions { aes_payloads: false, connection_id: true, slow_keep_alives: false };

fn extended_params(client_id: u64) -> TokenParams {
    TokenParams { user_data: [0; USER_DATA_LEN], ..params(client_id, &[SERVER]) }
}

fn extended_token(client_id: u64, serial: u8, extensions: Extensions) -> ConnectToken {
    let (nonce, up, down) = ([serial; 24], [serial; KEY_LEN], [!serial; KEY_LEN]);
    ConnectToken::mint_extended(&extended_params(client_id), extensions, &PRIVATE_KEY, nonce, up, down)
        .unwrap()
}

/// A connected pair whose token allows this.
fn pair(extensions: Extensions) -> (Server, Client) {
    let mut server = server(4);
    let client = join(&mut server, &extended_token(42, 1, extensions), address(1));
    (server, client)
}

fn join(server: &mut Server, token: &ConnectToken, from: SocketAddr) -> Client {
    let mut client = Client::new(at(0), 1_000, token).unwrap();
    exchange(server, &mut client, from, at(0));
    assert_eq!(client.state(), ClientState::Connected);
    events(server);
    client
}

fn hears(server: &mut Server, now: Instant, from: SocketAddr, mut datagram: Vec<u8>) -> Option<Vec<u8>> {
    match server.handle(now, from, &mut datagram) {
        Received::Payload { bytes, .. } => Some(bytes.to_vec()),
        Received::Nothing | Received::Elsewhere(_) => None,
    }
}

fn kind_of(datagram: &[u8]) -> u8 {
    datagram[0] & 0x0f
}

/// Where the server sends what it has to say.
fn goes_to(server: &mut Server, now: Instant) -> SocketAddr {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    server.seal(now, 0, &[b"down"], &mut buffer).unwrap().0
}

#[test]
fn payloads_are_sealed_with_aes_both_ways_once_the_client_has_shown_it() {
    let (mut server, mut client) = pair(AES);
    let before = say_down(&mut server, at(1), 0, b"before");
    assert_eq!(kind_of(&before), 5, "nothing has shown that the client knows it");
    assert_eq!(
        client.handle(at(1), server_address(), &mut before.clone()),
        ClientReceived::Payload(b"before")
    );
    let up = say(&mut client, at(2), b"up");
    assert_eq!((kind_of(&up), up.len()), (7, 2 + PACKET_OVERHEAD));
    assert_eq!(hears(&mut server, at(2), address(1), up).as_deref(), Some(&b"up"[..]));
    let mut down = say_down(&mut server, at(3), 0, b"down");
    assert_eq!((kind_of(&down), down.len()), (7, 4 + PACKET_OVERHEAD));
    assert_eq!(client.handle(at(3), server_address(), &mut down), ClientReceived::Payload(b"down"));
    assert_eq!((server.counters().refused(), client.counters().refused()), (0, 0));
}

#[test]
fn a_standard_client_with_such_a_token_never_meets_any_of_it() {
    let mut server = server(4);
    let mut token = extended_token(42, 1, Extensions::ALL);
    token.extensions = Extensions::default(); // it does not look
    let mut client = join(&mut server, &token, address(1));
    for ms in (0..5_000).step_by(50) {
        server.handle_timeout(at(ms));
        let up = say(&mut client, at(ms), b"up");
        assert_eq!(kind_of(&up), 5);
        assert!(hears(&mut server, at(ms), address(1), up).is_some());
        for (_, datagram) in sent_by_server(&mut server, at(ms)) {
            assert!(kind_of(&datagram) <= 6);
        }
        assert_eq!(kind_of(&say_down(&mut server, at(ms), 0, b"down")), 5);
    }
    let elsewhere = say(&mut client, at(5_000), b"from elsewhere");
    assert_eq!(hears(&mut server, at(5_000), address(2), elsewhere), None);
    assert_eq!(server.counters().from_nobody, 1);
}

#[test]
fn what_the_token_does_not_allow_is_not_taken() {
    let (mut server, mut client) = pair(ID);
    let mut token = extended_token(42, 1, AES);
    token.extensions = AES;
    // The same session keys, so that only the permission is missing.
    let mut pretender = Client::new(at(0), 1_000, &token).unwrap();
    let mut other = server_of(&mut pretender);
    let forbidden = say(&mut pretender, at(1), b"aes");
    assert_eq!(kind_of(&forbidden), 7);
    assert_eq!(hears(&mut server, at(1), address(1), forbidden.clone()), None);
    assert_eq!((server.counters().unexpected, server.counters().forged), (1, 0));
    assert!(hears(&mut other, at(1), address(1), forbidden).is_some());
    // Nor does a client take what its own token does not allow.
    assert!(hears(&mut other, at(2), address(1), say(&mut pretender, at(2), b"shown")).is_some());
    let mut down = say_down(&mut other, at(2), 0, b"aes");
    assert_eq!(client.handle(at(2), server_address(), &mut down), ClientReceived::Nothing);
    assert_eq!(client.counters().unexpected, 1);
}

/// A server that lets this client in.
fn server_of(client: &mut Client) -> Server {
    let mut server = server(4);
    exchange(&mut server, client, address(1), at(0));
    assert_eq!(client.state(), ClientState::Connected);
    server
}

#[test]
fn a_changed_or_repeated_aes_packet_is_refused() {
    let (mut server, mut client) = pair(Extensions::ALL);
    let packet = say(&mut client, at(1), b"payload");
    for bit in 8 * (1 + CONNECTION_ID_LEN)..packet.len() * 8 {
        let mut changed = packet.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(hears(&mut server, at(1), address(1), changed), None, "bit {bit}");
    }
    assert!(hears(&mut server, at(1), address(1), packet.clone()).is_some());
    // Some of the changes above were to sequences of long ago.
    let before = server.counters().replayed;
    assert_eq!(hears(&mut server, at(1), address(1), packet), None);
    assert_eq!(server.counters().replayed, before + 1);
}

#[test]
fn a_session_follows_its_client_to_a_new_address_once_that_has_answered() {
    let (mut server, mut client) = pair(Extensions::ALL);
    let first = say(&mut client, at(1), b"from the old address");
    assert_eq!((kind_of(&first), first.len()), (12, 20 + PACKET_OVERHEAD + CONNECTION_ID_LEN));
    hears(&mut server, at(1), address(1), first).unwrap();
    let moved = say(&mut client, at(2), b"from the new address");
    assert!(hears(&mut server, at(2), address(2), moved).is_some(), "it is authentic wherever it comes from");
    assert_eq!(goes_to(&mut server, at(2)), address(1), "until the new address has answered");
    let mut challenges = sent_by_server(&mut server, at(2));
    assert_eq!((challenges.len(), challenges[0].0, kind_of(&challenges[0].1)), (1, address(2), 8));
    assert_eq!(challenges[0].1.len(), PATH_CHALLENGE_LEN);
    client.handle(at(3), server_address(), &mut challenges[0].1);
    let answers = sent_by_client(&mut client, at(3));
    assert_eq!((answers.len(), kind_of(&answers[0])), (1, 9));
    assert_eq!(hears(&mut server, at(3), address(2), answers[0].clone()), None);
    assert_eq!(goes_to(&mut server, at(3)), address(2));
    let counters = *server.counters();
    assert_eq!((counters.moved, counters.paths_challenged, counters.refused()), (1, 1, 0));
    assert_eq!(server.connected(), 1);
    assert_eq!(events(&mut server), [Event::Moved { slot: 0, from: address(1), to: address(2) }]);
    // Its token is the new address's, and the old one is free for others.
    server.handle(at(4), address(1), &mut request(&extended_token(42, 1, Extensions::ALL)));
    assert_eq!(server.counters().request_used_token, 1);
    connected(&mut server, 43, 2, address(1), at(4));
    assert_eq!(server.connected(), 2);
}

#[test]
fn every_kind_of_packet_finds_its_session_from_a_new_address() {
    let (mut server, mut client) = pair(ID);
    let sent = sent_by_client(&mut client, at(100));
    assert_eq!(kind_of(&sent[0]), 10, "a keep-alive");
    hears(&mut server, at(100), address(2), sent[0].clone());
    assert_eq!(server.counters().paths_challenged, 1);
    assert_eq!(kind_of(&say(&mut client, at(101), b"payload")), 11);
    client.disconnect();
    for datagram in sent_by_client(&mut client, at(102)) {
        assert_eq!(kind_of(&datagram), 13);
        hears(&mut server, at(102), address(3), datagram);
    }
    assert_eq!((server.connected(), server.counters().left), (0, 1));
}

/// Whoever sees the client's packets, copies them, and sends the copies from where it is.
#[test]
fn a_copy_from_another_address_moves_nothing() {
    let (mut server, mut client) = pair(Extensions::ALL);
    let attacker = address(66);
    for ms in 1..1_000 {
        let packet = say(&mut client, at(ms), b"a packet of some length, as inputs are");
        if ms % 2 == 0 {
            // The copy comes too late.
            assert!(hears(&mut server, at(ms), address(1), packet.clone()).is_some());
            assert_eq!(hears(&mut server, at(ms), attacker, packet), None);
        } else {
            // The copy comes first, or the packet itself was held back.
            assert!(hears(&mut server, at(ms), attacker, packet.clone()).is_some());
            assert_eq!(hears(&mut server, at(ms), address(1), packet), None);
        }
        assert_eq!(goes_to(&mut server, at(ms)), address(1));
        for (to, mut datagram) in sent_by_server(&mut server, at(ms)) {
            if to == attacker {
                // It cannot open it; passed on from its own address it is from elsewhere.
                assert_eq!(client.handle(at(ms), attacker, &mut datagram), ClientReceived::Nothing);
                let mut sent_back = datagram.clone();
                server.handle(at(ms), attacker, &mut sent_back);
            }
        }
    }
    let counters = *server.counters();
    assert_eq!((counters.moved, server.connected()), (0, 1));
    assert!(
        counters.paths_challenged <= u64::from(2 * PATH_CHALLENGES_PER_S),
        "{}",
        counters.paths_challenged
    );
    assert!(counters.replayed >= 999 && counters.paths_over_limit > 400);
    assert_eq!(counters.unexpected, counters.paths_challenged, "what it sent back");
}

/// A client of its own that lies about where it is, to have somebody else drowned.
#[test]
fn a_lie_about_the_address_sends_no_more_there_than_came() {
    let (mut server, mut client) = pair(Extensions::ALL);
    let victim = address(99);
    let (mut asked, mut answered) = (0, 0);
    for ms in 1..2_000 {
        let length = 1 + ms as usize % 40;
        let packet = say(&mut client, at(ms), &vec![7; length]);
        asked += packet.len();
        hears(&mut server, at(ms), victim, packet);
        server.handle_timeout(at(ms));
        assert_eq!(goes_to(&mut server, at(ms)), address(1));
        for (to, datagram) in sent_by_server(&mut server, at(ms)) {
            answered += if to == victim { datagram.len() } else { 0 };
            assert!(answered <= asked, "{answered} bytes for {asked}");
        }
    }
    assert!(answered > 0 && answered * 20 < asked, "{answered} bytes for {asked}");
    assert_eq!(server.counters().moved, 0);
}

#[test]
fn a_packet_shorter_than_a_challenge_asks_for_none() {
    let (mut server, mut client) = pair(ID);
    let short = say(&mut client, at(1), b"x");
    assert!(short.len() < PATH_CHALLENGE_LEN);
    assert!(hears(&mut server, at(1), address(2), short).is_some());
    assert!(sent_by_server(&mut server, at(1)).is_empty());
    hears(&mut server, at(2), address(2), say(&mut client, at(2), b"xx"));
    assert_eq!(sent_by_server(&mut server, at(2)).len(), 1);
}

#[test]
fn a_late_packet_does_not_call_the_session_back() {
    let (mut server, mut client) = pair(Extensions::ALL);
    let late = say(&mut client, at(1), b"on its way for long");
    hears(&mut server, at(2), address(2), say(&mut client, at(2), b"from the new address"));
    let (_, mut challenge) = sent_by_server(&mut server, at(2)).remove(0);
    client.handle(at(3), server_address(), &mut challenge);
    for datagram in sent_by_client(&mut client, at(3)) {
        hears(&mut server, at(3), address(2), datagram);
    }
    assert_eq!(server.counters().moved, 1);
    assert!(hears(&mut server, at(4), address(1), late).is_some(), "it still counts");
    assert!(sent_by_server(&mut server, at(4)).is_empty());
    assert_eq!(goes_to(&mut server, at(4)), address(2));
}

#[test]
fn an_answer_counts_only_from_where_it_was_asked_for_and_for_a_while() {
    let (mut server, mut client) = pair(Extensions::ALL);
    let challenge_at = |server: &mut Server, client: &mut Client, ms: u64, from: SocketAddr| {
        hears(server, at(ms), from, say(client, at(ms), b"from a new address"));
        let (to, mut challenge) = sent_by_server(server, at(ms)).remove(0);
        assert_eq!(to, from);
        client.handle(at(ms), server_address(), &mut challenge);
        sent_by_client(client, at(ms)).remove(0)
    };
    let answer = challenge_at(&mut server, &mut client, 1, address(2));
    hears(&mut server, at(2), address(3), answer);
    assert_eq!((server.counters().paths_refused, server.counters().moved), (1, 0));
    let answer = challenge_at(&mut server, &mut client, 3, address(2));
    hears(&mut server, at(3_500), address(2), answer);
    assert_eq!((server.counters().paths_refused, server.counters().moved), (2, 0));
    let answer = challenge_at(&mut server, &mut client, 4_000, address(2));
    hears(&mut server, at(4_001), address(2), answer.clone());
    hears(&mut server, at(4_002), address(2), answer);
    assert_eq!((server.counters().moved, server.counters().replayed), (1, 1));
}

#[test]
fn two_clients_whose_addresses_are_swapped_keep_their_sessions() {
    let mut server = server(4);
    let mut clients = [1, 2].map(|n| {
        let token = extended_token(u64::from(n), n, Extensions::ALL);
        join(&mut server, &token, address(n.into()))
    });
    for (n, client) in clients.iter_mut().enumerate() {
        let new = address(2 - n as u16);
        hears(&mut server, at(1), new, say(client, at(1), b"from the other's address"));
        let (to, mut challenge) = sent_by_server(&mut server, at(1)).remove(0);
        assert_eq!(to, new);
        client.handle(at(1), server_address(), &mut challenge);
        hears(&mut server, at(1), new, sent_by_client(client, at(1)).remove(0));
    }
    assert_eq!((server.counters().moved, server.connected()), (2, 2));
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    for slot in [0, 1] {
        let to = server.seal(at(2), slot, &[b"down"], &mut buffer).unwrap().0;
        assert_eq!(to, address(2 - slot as u16));
    }
}

#[test]
fn a_standard_session_is_not_driven_from_its_address() {
    let (mut server, mut client) = pair(Extensions::ALL);
    connected(&mut server, 43, 7, address(2), at(1));
    hears(&mut server, at(2), address(2), say(&mut client, at(2), b"from the other's address"));
    let challenge = sent_by_server(&mut server, at(2)).into_iter().find(|(_, bytes)| kind_of(bytes) == 8);
    client.handle(at(2), server_address(), &mut challenge.unwrap().1);
    hears(&mut server, at(2), address(2), sent_by_client(&mut client, at(2)).remove(0));
    assert_eq!((server.counters().moved, server.counters().paths_refused), (0, 1));
    assert_eq!((server.connected(), goes_to(&mut server, at(3))), (2, address(1)));
}

#[test]
fn keep_alives_come_once_a_second_where_both_know_of_it() {
    let (mut server, mut client) = pair(Extensions::ALL);
    let mut sent = [0, 0];
    for ms in 1..=10_000 {
        server.handle_timeout(at(ms));
        client.handle_timeout(at(ms));
        let up = sent_by_client(&mut client, at(ms));
        let down = sent_by_server(&mut server, at(ms));
        sent = [sent[0] + up.len(), sent[1] + down.len()];
        for datagram in up {
            hears(&mut server, at(ms), address(1), datagram);
        }
        for (_, mut datagram) in down {
            client.handle(at(ms), server_address(), &mut datagram);
        }
    }
    assert_eq!((client.state(), server.connected()), (ClientState::Connected, 1));
    // The timeout of five seconds leaves room for a whole second.
    assert!(sent.iter().all(|n| (9..=11).contains(n)), "{sent:?}");
}

#[test]
fn a_token_that_says_when_it_was_made_is_refused_if_that_was_before_the_start() {
    let mut server = server(2);
    let made_at = |create_unix_s: u64, serial: u8| {
        let params = TokenParams { create_unix_s, ..extended_params(42) };
        let keys = [[1; KEY_LEN], [2; KEY_LEN]];
        let token = ConnectToken::mint_extended(
            &params,
            Extensions::default(),
            &PRIVATE_KEY,
            [serial; 24],
            keys[0],
            keys[1],
        );
        request(&token.unwrap())
    };
    server.handle(at(0), address(1), &mut made_at(999, 1));
    assert_eq!((server.counters().request_before_start, server.handshakes()), (1, 0));
    server.handle(at(0), address(1), &mut made_at(1_000, 2));
    assert_eq!((server.handshakes(), server.counters().refused()), (1, 1));
}
