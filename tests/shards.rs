//! A server whose UDP port is served by two threads, on real sockets: nobody can tell which one they are with.

mod common;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use common::{Player, config, config_with_quic, pass, start, until};
use ninefold::config::Config;
use ninefold::server::{Server, StartError, unix_s};
use ninefold::telemetry::Asked;
use socket2::{Domain, Socket, Type};

/// So many clients are on both threads, but for once in 32,768 times.
const CLIENTS: u64 = 16;
/// What a thread shows is up to 100 ms old where little happens.
const SHOWN_AFTER: Duration = Duration::from_millis(200);

fn two_threads() -> Config {
    Config { udp_threads: 2, ..config() }
}

fn join(server: &Server, config: &Config, ids: std::ops::RangeInclusive<u64>) -> Vec<Player> {
    let mut players: Vec<_> = ids.map(|id| Player::join(server, config, id)).collect();
    until("all play", 20, &mut players, |p| p.iter().all(|p| p.client.is_playable() && p.has_ring()));
    players
}

fn clients(server: &Server) -> u64 {
    server.live().clients.load(std::sync::atomic::Ordering::Relaxed)
}

/// Datagrams that came to each thread's socket.
fn datagrams_in(server: &Server) -> [u64; 2] {
    std::thread::sleep(SHOWN_AFTER);
    let live = server.live();
    [0, 1].map(|thread| live.udp[thread].read().map_or(0, |(_, shown)| shown.report.datagrams_in))
}

#[test]
fn clients_of_two_threads_play_in_one_world_and_hear_its_end() {
    let config = two_threads();
    let server = start(&config);
    let mut players = join(&server, &config, 1..=CLIENTS);
    players.iter_mut().for_each(|player| player.wish = (0.7, 0.3));
    pass(60, &mut players);
    assert!(
        players.iter().all(|p| p.client.ended().is_none() && p.client.stats().crossings_without_chunk == 0)
    );
    let came = datagrams_in(&server);
    assert!(came.iter().all(|came| *came > 30), "each thread has its share: {came:?}");
    let told = server.state(&Asked::default());
    let udp = told.sockets.iter().find(|socket| socket.carrier == "udp").unwrap();
    assert!(udp.datagrams_in >= came.iter().sum(), "{udp:?} has both, {came:?}");
    let summary = server.stop().unwrap();
    until("all have heard that it ends", 2, &mut players, |p| p.iter().all(|p| p.client.ended().is_some()));
    let counted = summary.udp.connection;
    assert_eq!((counted.connected, counted.timed_out, counted.replaced, counted.moved), (CLIENTS, 0, 0, 0));
    assert_eq!((counted.refused(), summary.udp.handings_dropped), (0, 0), "{counted:?}");
    assert_eq!(summary.udp.departures_stale, 0, "nobody was written to before its thread knew of it");
    // Ways in alone were handed on: requests and responses.
    let handed_on = summary.udp.handed_on;
    assert!(handed_on > 0 && handed_on < came[1] / 2, "{handed_on} of {came:?}");
}

#[test]
fn a_client_that_moves_between_the_threads_keeps_its_session() {
    let config = two_threads();
    let server = start(&config);
    let mut players = join(&server, &config, 1..=4);
    players.iter_mut().for_each(|player| player.wish = (1.0, 0.3));
    std::thread::sleep(SHOWN_AFTER);
    let handed_before = server.live().udp().unwrap().1.report.handed_on;
    const MOVES: u64 = 4;
    for _ in 0..MOVES {
        players.iter_mut().for_each(Player::change_address);
        let before: Vec<_> = players.iter().map(|player| player.client.stats().datagrams_in).collect();
        pass(2, &mut players);
        until("the server's word comes to the new addresses", 5, &mut players, |p| {
            p.iter().zip(&before).all(|(p, before)| p.client.stats().datagrams_in > before + 20)
        });
    }
    until("everybody has a ring", 5, &mut players, |p| p.iter().all(Player::has_ring));
    assert!(
        players.iter().all(|p| p.client.ended().is_none() && p.client.stats().crossings_without_chunk == 0)
    );
    let summary = server.stop().unwrap();
    let counted = summary.udp.connection;
    assert_eq!((counted.connected, counted.moved, counted.timed_out), (4, 4 * MOVES, 0));
    // Of sixteen moves some ended at the other socket, whose thread hands on each packet since.
    assert!(summary.udp.handed_on > handed_before, "more than the {handed_before} of the ways in");
    assert_eq!(summary.udp.handings_dropped, 0);
}

#[test]
fn who_comes_again_takes_its_only_slot_over_from_whichever_thread_has_it() {
    let config = Config { clients_max: 1, ..two_threads() };
    let server = start(&config);
    const VISITS: u64 = 16;
    let mut before: Option<Player> = None;
    for _ in 0..VISITS {
        let mut players = join(&server, &config, 7..=7);
        if let Some(old) = before.take() {
            let mut both = vec![old];
            until("the one before was told to go", 2, &mut both, |p| p[0].client.ended().is_some());
        }
        before = players.pop();
    }
    assert!(datagrams_in(&server).iter().all(|came| *came > 0), "both threads had it");
    assert_eq!(clients(&server), 1);
    let counted = server.stop().unwrap().udp.connection;
    assert_eq!((counted.connected, counted.replaced, counted.denied), (VISITS, VISITS - 1, 0));
}

#[test]
fn the_bound_on_clients_holds_over_both_threads_and_what_falls_silent_frees_its_slot() {
    let config = Config { clients_max: 4, ..two_threads() };
    let server = start(&config);
    let players = join(&server, &config, 1..=4);
    let mut late: Vec<_> = (5..=12).map(|id| Player::join(&server, &config, id)).collect();
    until("who finds no slot is told so", 5, &mut late, |p| p.iter().all(|p| p.client.ended().is_some()));
    // Silent for longer than their tokens allow, all four go.
    drop((players, late));
    until("their slots are free", 10, &mut [], |_| clients(&server) == 0);
    let mut next = join(&server, &config, 13..=16);
    next.iter_mut().for_each(Player::leave);
    until("the slots of who left are free", 2, &mut next, |_| clients(&server) == 0);
    let counted = server.stop().unwrap().udp.connection;
    assert_eq!((counted.connected, counted.timed_out, counted.left), (8, 4, 4));
    assert!(counted.denied >= 8);
}

#[test]
fn a_client_follows_itself_from_quic_to_either_thread_and_back() {
    let config = Config { udp_threads: 2, ..config_with_quic() };
    let server = start(&config);
    for _ in 0..4 {
        for join in [Player::join_quic, Player::join] {
            let mut player = vec![join(&server, &config, 3)];
            until("it plays", 10, &mut player, |p| p[0].client.is_playable() && p[0].has_ring());
            // It does not leave: the next one takes its slot.
        }
    }
    let summary = server.stop().unwrap();
    assert_eq!((summary.udp.connection.connected, summary.udp.connection.replaced), (8, 7));
}

/// What strangers may send, the `n`th of it.
type Flood = fn(&Config, &mut fastrand::Rng, u64) -> Vec<u8>;

const FLOODS: [(&str, Flood); 3] = [
    ("random bytes", |_, random, _| std::iter::repeat_with(|| random.u8(..)).take(600).collect()),
    ("packets with a name that nobody has", |_, random, _| {
        let mut named: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(80).collect();
        named[0] = 0x8b;
        named
    }),
    ("forged requests", |config, _, n| {
        let mut forged = vec![0; 1_078];
        forged[1..14].copy_from_slice(b"NETCODE 1.02\0");
        forged[14..22].copy_from_slice(&config.protocol_id.to_le_bytes());
        forged[22..30].copy_from_slice(&(unix_s() + 60).to_le_bytes());
        forged[1_070..].copy_from_slice(&n.to_le_bytes());
        forged
    }),
];
const FLOOD_DATAGRAMS: u64 = 30_000;

fn pour(config: &Config, to: SocketAddr, flood: Flood) {
    let sockets: Vec<_> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut random = fastrand::Rng::with_seed(5);
    for n in 0..FLOOD_DATAGRAMS {
        let datagram = flood(config, &mut random, n);
        sockets[n as usize % sockets.len()].send_to(&datagram, to).unwrap();
        if n % 64 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// With `--no-capture` it tells what a flood costs each thread.
#[test]
fn floods_that_one_thread_hands_to_the_other_are_bounded_and_change_nothing() {
    let config = two_threads();
    let server = start(&config);
    let mut players = join(&server, &config, 1..=4);
    players.iter_mut().for_each(|player| player.wish = (0.5, 0.5));
    let shown = || {
        std::thread::sleep(SHOWN_AFTER);
        [0, 1].map(|thread| server.live().udp[thread].read().expect("it has shown itself").1.report)
    };
    for (name, flood) in FLOODS {
        let (before, to) = (shown(), server.address());
        let pouring = std::thread::spawn({
            let config = config.clone();
            move || pour(&config, to, flood)
        });
        until("the flood is over", 60, &mut players, |_| pouring.is_finished());
        pouring.join().unwrap();
        for (thread, (before, after)) in before.into_iter().zip(shown()).enumerate() {
            let came = after.datagrams_in - before.datagrams_in;
            let us = (after.cpu_ns - before.cpu_ns) as f64 / 1e3 / came as f64;
            let handed = after.handed_on - before.handed_on;
            println!("{name}: thread {thread} took {us:.2} us for each of {came}, and handed on {handed}");
        }
    }
    until("the clients still play", 5, &mut players, |p| p.iter().all(Player::has_ring));
    assert!(
        players.iter().all(|p| p.client.ended().is_none() && p.client.stats().crossings_without_chunk == 0)
    );
    let report = server.stop().unwrap().udp;
    let counted = report.connection;
    assert_eq!((counted.connected, counted.timed_out, counted.moved), (4, 0, 0));
    assert!(report.handed_on > 1_000, "some of it came to the second thread: {report:?}");
    // Each that came was refused by one of them, or dropped between them, and counted. What no packet is was not handed on.
    let requests = counted.request_forged + counted.request_over_limit;
    assert!(counted.malformed > 0 && requests > 0 && counted.from_nobody > 0, "{counted:?}");
    let told = counted.refused() + report.handings_dropped;
    assert!(told > FLOOD_DATAGRAMS && told <= 3 * FLOOD_DATAGRAMS, "{report:?}");
    assert!(report.handed_on + report.handings_dropped <= 2 * FLOOD_DATAGRAMS + 50, "{report:?}");
}

fn on(address: SocketAddr, udp_threads: u32) -> Result<Server, StartError> {
    let config = Config { listen: address, udp_threads, ..config() };
    Server::start(&config, std::sync::Arc::new(ninefold_client::world::BspWorld::new(9)))
}

#[test]
fn a_port_that_is_served_is_not_served_twice_however_many_threads_it_has() {
    for udp_threads in [1, 2] {
        let server = on("127.0.0.1:0".parse().unwrap(), udp_threads).unwrap();
        for others in [1, 2] {
            match on(server.address(), others) {
                Err(StartError::Listen { error, .. }) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
                other => panic!("{udp_threads} threads, then {others}: {other:?}"),
            }
        }
        // Nor can anybody slip in who shares, where there is but one thread.
        let stranger = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        stranger.set_reuse_port(true).unwrap();
        let slipped_in = stranger.bind(&server.address().into());
        assert_eq!(slipped_in.is_ok(), udp_threads > 1);
        server.stop().unwrap();
    }
}
