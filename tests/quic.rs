//! QUIC clients over real sockets: they join, play beside UDP clients, move to another address, and are
//! told why when they may not come in.

mod common;

use std::sync::atomic::Ordering::Relaxed;

use common::quic::{RUNTIME, Setup, connect, join, join_showing, reason, show, socket};
use common::{Line, Player, config_with_quic, pass, start, token, token_with, until};
use ninefold::server::unix_s;
use ninefold_client::protocol::connection::{CloseReason, DEVELOPMENT_KEY};
use ninefold_client::world::BspWorld;
use ninefold_client::{ClientConfig, EndReason, protocol};

#[test]
fn a_quic_client_gets_its_ring_every_chunk_is_right_and_it_walks() {
    let config = config_with_quic();
    let server = start(&config);
    let mut players = [Player::join_quic(&server, &config, 1)];
    until("the ring is whole", 5, &mut players, |p| p[0].has_ring() && p[0].position().is_some());
    let world = BspWorld::new(config.world_seed);
    for &coord in players[0].client.ring().coords() {
        let chunk = players[0].client.chunk(coord).unwrap();
        let made = ninefold_client::world::Generator::generate(&world, coord, &mut Default::default());
        assert_eq!(chunk.as_ref(), &made);
    }
    let live = std::sync::Arc::clone(server.live());
    until("all nine are acknowledged", 5, &mut players, |_| live.chunks_delivered.load(Relaxed) == 9);
    let before = players[0].position().unwrap();
    players[0].wish = (0.7, 0.7);
    until("it has walked", 10, &mut players, |p| {
        let now = p[0].position().unwrap();
        (now.x - before.x).hypot(now.z - before.z) > 64.0
    });
    players[0].leave();
    until("it is gone", 5, &mut [], |_| live.clients.load(Relaxed) == 0);
    let summary = server.stop().unwrap();
    let quic = summary.quic.unwrap();
    assert_eq!((quic.sessions, quic.closed_by_client, quic.broke_the_rules), (1, 1, 0));
    assert_eq!((quic.packets_too_large, quic.send_buffer_overflows, quic.packets_refused), (0, 0, 0));
    assert_eq!((summary.tick.counters.packets_refused, summary.tick.counters.clients_disconnected), (0, 1));
    assert_eq!(summary.udp.connection.left, 1);
    assert!(quic.datagrams_out > 0 && quic.packets_in > 10);
}

#[test]
fn udp_and_quic_clients_see_each_other() {
    let mut config = config_with_quic();
    config.spawn_radius_chunks = 0;
    let server = start(&config);
    let mut players = [
        Player::join(&server, &config, 1),
        Player::join_quic(&server, &config, 2),
        Player::join_quic(&server, &config, 3),
    ];
    until("each sees the others", 5, &mut players, |p| p.iter().all(|p| p.others().len() == 2));
    for mover in 0..3 {
        players[mover].wish = (if mover == 1 { -1.0 } else { 1.0 }, 0.3);
        pass(20, &mut players);
        players[mover].wish = (0.0, 0.0);
        until("all agree on where it is", 5, &mut players, |p| {
            let own = p[mover].own_place().unwrap();
            let seen = |p: &Player| p.others().contains(&own);
            p.iter().enumerate().all(|(at, p)| at == mover || seen(p))
        });
    }
    // One of each kind goes; who stays sees that.
    players[0].leave();
    players[1].leave();
    until("the last one is alone", 5, &mut players[2..], |p| p[0].others().is_empty());
    server.stop().unwrap();
}

#[test]
fn a_token_that_is_not_good_is_refused_with_the_reason() {
    let config = config_with_quic();
    let server = start(&config);
    let minted = |alter: fn(&mut protocol::connection::TokenParams)| {
        token_with(&DEVELOPMENT_KEY, &server, &config, 1, alter)
    };
    let wrong_key = token_with(&[7; 32], &server, &config, 1, |_| {});
    let expired =
        minted(|p| (p.create_unix_s, p.expire_unix_s) = (p.create_unix_s - 60, p.create_unix_s - 1));
    let before_start = minted(|p| p.create_unix_s -= 60);
    let other_game = minted(|p| p.protocol_id += 1);
    let other_server = minted(|p| p.server_addresses = vec!["127.0.0.1:9".parse().unwrap()]);
    for (token, expected) in [
        (&wrong_key, CloseReason::Forged),
        (&expired, CloseReason::Expired),
        (&before_start, CloseReason::BeforeStart),
        (&other_game, CloseReason::Protocol),
        (&other_server, CloseReason::OtherServer),
    ] {
        assert_eq!(join(&server, token).map(drop), Err(expected));
    }
    // A client of the library hears it, too.
    let mut player = [Player::join_quic_with(&server, &wrong_key)];
    until("it has ended", 5, &mut player, |p| p[0].client.ended().is_some());
    assert_eq!(player[0].client.ended(), Some(EndReason::Closed(CloseReason::Forged)));
    let summary = server.stop().unwrap();
    let counted = summary.udp.connection;
    assert_eq!((counted.request_forged, counted.request_expired), (2, 1));
    assert_eq!((counted.request_protocol, counted.request_other_server), (1, 1));
    assert_eq!(counted.request_before_start, 1);
    assert_eq!((summary.quic.unwrap().tokens_refused, summary.quic.unwrap().sessions), (6, 0));
    assert_eq!(summary.tick.counters.clients_connected, 0);
}

#[test]
fn a_token_works_once_on_whatever_carrier() {
    let config = config_with_quic();
    let server = start(&config);
    let (first, second) = (token(&server, &config, 1), token(&server, &config, 2));
    let (_endpoint, connection) = join(&server, &first).unwrap();
    assert_eq!(join(&server, &first).map(drop), Err(CloseReason::Used));
    connection.close(0u32.into(), b"");
    until("it is gone", 5, &mut [], |_| server.live().clients.load(Relaxed) == 0);
    assert_eq!(join(&server, &first).map(drop), Err(CloseReason::Used));
    // A token of a QUIC session is worth nothing on UDP, and the other way round.
    let ordinary = ClientConfig::new(unix_s());
    let mut players = [Player::join_udp(&first, &ordinary), Player::join_udp(&second, &ordinary)];
    until("one is in", 5, &mut players, |p| p[1].client.is_playable());
    pass(30, &mut players);
    assert!(!players[0].client.is_connected());
    assert_eq!(join(&server, &second).map(drop), Err(CloseReason::Used));
    let summary = server.stop().unwrap();
    assert!(summary.udp.connection.request_used_token >= 4);
    assert_eq!(summary.tick.counters.clients_connected, 2);
}

#[test]
fn a_client_that_comes_again_on_the_other_carrier_replaces_itself() {
    let mut config = config_with_quic();
    config.clients_max = 1;
    let server = start(&config);
    let mut players = [Player::join(&server, &config, 7)];
    until("over UDP", 5, &mut players, |p| p[0].client.is_playable());
    // Another client finds the server full, the same one does not.
    assert_eq!(join(&server, &token(&server, &config, 8)).map(drop), Err(CloseReason::Full));
    let mut players = [Player::join_quic(&server, &config, 7)];
    until("over QUIC", 5, &mut players, |p| p[0].client.is_playable());
    let mut again = [Player::join(&server, &config, 7)];
    until("over UDP again", 5, &mut again, |p| p[0].client.is_playable());
    until("QUIC has heard of it", 5, &mut players, |p| p[0].client.ended().is_some());
    assert_eq!(players[0].client.ended(), Some(EndReason::Closed(CloseReason::Replaced)));
    assert_eq!(server.live().clients.load(Relaxed), 1);
    let summary = server.stop().unwrap();
    assert_eq!((summary.udp.connection.replaced, summary.quic.unwrap().replaced), (2, 1));
}

#[test]
fn a_client_keeps_its_session_when_its_address_changes() {
    let config = config_with_quic();
    let server = start(&config);
    let mut players = [Player::join_quic(&server, &config, 1)];
    until("it plays", 5, &mut players, |p| p[0].has_ring());
    for _ in 0..2 {
        let before = players[0].client.stats().datagrams_in;
        let Line::Quic(line) = &players[0].line else { panic!() };
        let new = socket();
        let address = new.local_addr().unwrap();
        {
            let _entered = RUNTIME.enter();
            line.endpoint.rebind(new).unwrap();
        }
        assert_eq!(line.endpoint.local_addr().unwrap(), address);
        players[0].wish = (0.5, -0.5);
        until("packets come at the new address", 5, &mut players, |p| {
            p[0].client.stats().datagrams_in > before + 10
        });
        // Longer than its token's timeout of two seconds.
        pass(150, &mut players);
        assert_eq!(players[0].client.ended(), None);
    }
    assert_eq!(players[0].client.stats().crossings_without_chunk, 0);
    let summary = server.stop().unwrap();
    let quic = summary.quic.unwrap();
    assert_eq!((quic.migrations, quic.sessions, quic.timed_out), (2, 1, 0));
    assert_eq!(summary.tick.counters.clients_connected, 1);
}

#[test]
fn a_server_that_stops_says_so() {
    let config = config_with_quic();
    let server = start(&config);
    let mut players = [Player::join_quic(&server, &config, 1), Player::join(&server, &config, 2)];
    until("both play", 5, &mut players, |p| p.iter().all(|p| p.client.is_playable()));
    let (_endpoint, waiting) = connect(&server, Setup::default()).unwrap();
    server.stop().unwrap();
    until("both know", 1, &mut players, |p| p.iter().all(|p| p.client.ended().is_some()));
    assert_eq!(players[0].client.ended(), Some(EndReason::Closed(CloseReason::Stopping)));
    assert_eq!(reason(&RUNTIME.block_on(waiting.closed())), CloseReason::Stopping);
}

#[test]
fn what_is_shown_must_be_a_request_to_the_byte() {
    let config = config_with_quic();
    let server = start(&config);
    let shown = token(&server, &config, 1).shown();
    let longer = [&shown[..], &[0]].concat();
    for bytes in [&[][..], &shown[..100], &longer, &[0xa5; 1_078], &[0; 100_000]] {
        assert_eq!(join_showing(&server, bytes).map(drop), Err(CloseReason::Malformed));
    }
    assert!(join_showing(&server, &shown).is_ok());
    server.stop().unwrap();
}

#[test]
fn a_peer_of_another_protocol_or_another_server_is_not_connected_to() {
    let config = config_with_quic();
    let server = start(&config);
    let other = Setup { alpn: b"h3", ..Setup::default() };
    assert!(connect(&server, other).is_err());
    // A client trusts the one certificate that it was told of.
    let stranger = start(&config);
    let (address, _) = stranger.quic().unwrap();
    let endpoint = common::quic::endpoint(server.quic().unwrap().1, Setup::default());
    let result = RUNTIME.block_on(async { endpoint.connect(address, "localhost").unwrap().await });
    assert!(result.is_err());
    let (first, second) = (server.stop().unwrap().quic.unwrap(), stranger.stop().unwrap().quic.unwrap());
    assert_eq!((first.handshakes_failed, second.handshakes_failed), (1, 1));
}

#[test]
fn a_client_without_datagrams_or_on_a_narrow_path_is_told_so() {
    let config = config_with_quic();
    let server = start(&config);
    let shown = token(&server, &config, 1).shown();
    let mut setup = Setup::default();
    setup.transport.datagram_receive_buffer_size(None);
    let (_endpoint, connection) = connect(&server, setup).unwrap();
    let refused = RUNTIME.block_on(show(&connection, &shown)).unwrap_err();
    assert_eq!(reason(&refused), CloseReason::NoDatagrams);
    let narrow = Setup { udp_payload_max: 1_200, ..Setup::default() };
    let (_endpoint, connection) = connect(&server, narrow).unwrap();
    let refused = RUNTIME.block_on(show(&connection, &shown)).unwrap_err();
    assert_eq!(reason(&refused), CloseReason::NarrowPath);
    // Longer connection ids leave too little of the first MTU; the search for a better one finds it.
    let long_ids = Setup { id_bytes: 20, ..Setup::default() };
    let (_endpoint, connection) = connect(&server, long_ids).unwrap();
    assert!(RUNTIME.block_on(show(&connection, &shown)).is_ok());
    let quic = server.stop().unwrap().quic.unwrap();
    assert_eq!((quic.no_datagrams, quic.narrow_paths, quic.sessions), (1, 1, 1));
}

#[test]
fn a_client_of_another_version_is_refused_and_its_connection_closed() {
    use protocol::frame::{ENCODING_BSP_BIT, Hello, Message, RefuseReason};
    use protocol::link::Link;
    use protocol::time::Instant;
    let config = config_with_quic();
    let server = start(&config);
    let (_endpoint, connection) = join(&server, &token(&server, &config, 1)).unwrap();
    let (mut link, mut buffer) = (Link::<()>::new(Instant::ZERO), [0; 1_200]);
    let (version_min, version_max) = (98, 99);
    let hello = Hello { version_min, version_max, encodings: ENCODING_BSP_BIT, cache_chunks: 9, offers: 0 };
    link.send_message(&Message::Hello(hello)).unwrap();
    let mut refused = None;
    let mut now = Instant::ZERO;
    let error = RUNTIME.block_on(async {
        loop {
            if let Some(built) = link.packet(now, &mut buffer).finish() {
                let packet = buffer[..built.head_bytes].to_vec();
                let _ = connection.send_datagram(packet.into());
            }
            now += protocol::time::Duration::from_ms(1);
            match connection.read_datagram().await {
                Ok(packet) => drop(link.handle_packet(now, &packet).unwrap().count()),
                Err(error) => return error,
            }
            while let Some(message) = link.poll_message() {
                refused = Some(Message::decode(&message).unwrap());
            }
        }
    });
    assert_eq!(reason(&error), CloseReason::Ended);
    assert_eq!(refused, Some(Message::Refuse(RefuseReason::Version { min: 2, max: 2 })));
    let summary = server.stop().unwrap();
    assert_eq!((summary.quic.unwrap().closed_by_tick, summary.tick.counters.clients_refused), (1, 1));
    assert_eq!(summary.tick.counters.arrivals_stale, 0);
}

#[test]
fn a_client_that_has_nothing_to_say_stays() {
    let config = config_with_quic();
    let server = start(&config);
    let (_endpoint, connection) = join(&server, &token(&server, &config, 1)).unwrap();
    // Twice as long as its token allows silence: QUIC's own keep-alives say that it is there.
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert!(connection.close_reason().is_none());
    assert_eq!(server.live().clients.load(Relaxed), 1);
    assert_eq!(server.stop().unwrap().quic.unwrap().timed_out, 0);
}
