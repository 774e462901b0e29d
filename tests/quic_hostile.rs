//! QUIC clients that misbehave, vanish, freeze or come in crowds: bounded, counted, and nobody else notices.

mod common;

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration as StdDuration;

use bytes::Bytes;
use common::quic::{RUNTIME, Setup, connect, endpoint, endpoint_here, join, reason, show};
use common::{Player, config, config_with_quic, pass, start, token, token_with, until};
use ninefold::clock::Monotonic;
use ninefold::config::Config;
use ninefold::server::Server;
use ninefold::summary::Summary;
use ninefold_client::protocol::connection::{CloseReason, ConnectToken, DEVELOPMENT_KEY};
use ninefold_client::protocol::link::congestion::Mode;
use ninefold_client::world::ChunkCoord;
use ninefold_client::{Client, ClientConfig};
use quinn::{Connection, ConnectionError};
use tokio::runtime::Runtime;

/// Everybody who plays while others misbehave: one on each carrier.
fn bystanders(server: &Server, config: &Config) -> [Player; 2] {
    let mut players = [Player::join(server, config, 1_001), Player::join_quic(server, config, 1_002)];
    until("the bystanders play", 5, &mut players, |p| p.iter().all(Player::has_ring));
    for player in &mut players {
        player.wish = (0.6, 0.4);
    }
    players
}

fn nothing_happened_to(players: &[Player]) {
    for player in players {
        let stats = player.client.stats();
        assert_eq!(player.client.ended(), None);
        assert_eq!((stats.crossings_without_chunk, stats.chunks_hash_failed), (0, 0));
        assert!(player.has_ring());
    }
}

/// A client on a runtime of its own, which stands still whenever it is not stepped: a process that hangs.
struct Slow {
    runtime: Runtime,
    connection: Connection,
    client: Client,
    clock: Monotonic,
    _endpoint: quinn::Endpoint,
}

impl Slow {
    fn join(server: &Server, token: &ConnectToken) -> Slow {
        let (address, fingerprint) = server.quic().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (endpoint, connection) = runtime.block_on(async {
            let endpoint = endpoint_here(fingerprint, Setup::default());
            let connection = endpoint.connect(address, "localhost").unwrap().await.unwrap();
            show(&connection, &token.shown()).await.unwrap();
            (endpoint, connection)
        });
        let clock = Monotonic::start();
        let config = ClientConfig { recipes: false, ..ClientConfig::new(0) };
        let mut client = Client::carried(clock.now(), &config);
        client.carrier_is_up();
        Slow { runtime, connection, client, clock, _endpoint: endpoint }
    }

    fn step(&mut self) {
        let Slow { runtime, connection, client, clock, .. } = self;
        runtime.block_on(async {
            let end = tokio::time::sleep(StdDuration::from_millis(16));
            tokio::pin!(end);
            loop {
                tokio::select! {
                    Ok(packet) = connection.read_datagram() => client.handle_packet(clock.now(), &packet),
                    () = &mut end => break,
                }
            }
            client.handle_timeout(clock.now());
            let mut buffer = [0; 1_200];
            while let Some(bytes) = client.poll_packet(clock.now(), &mut buffer) {
                connection.send_datagram(Bytes::copy_from_slice(&buffer[..bytes])).unwrap();
            }
        });
    }

    fn has_ring(&self) -> bool {
        self.client.ring().active().is_some() && self.client.ring().wanted().is_empty()
    }
}

#[test]
fn datagrams_of_impossible_lengths_and_garbage_are_counted_and_nothing_else() {
    let config = config_with_quic();
    let server = start(&config);
    let mut players = bystanders(&server, &config);
    let (_endpoint, hostile) = join(&server, &token(&server, &config, 1)).unwrap();
    // The path has been measured by now: more than a packet fits.
    until("more than a packet fits", 5, &mut players, |_| hostile.max_datagram_size() > Some(1_300));
    let mut random = fastrand::Rng::with_seed(9);
    for n in 0..3_000 {
        let length = match n % 3 {
            0 => 0,
            1 => 1_201 + n % 90,
            _ => 1 + n % 1_200,
        };
        let garbage: Bytes = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
        hostile.send_datagram(garbage).unwrap();
        if n % 20 == 19 {
            players.iter_mut().for_each(Player::step);
            std::thread::sleep(StdDuration::from_millis(16));
        }
    }
    pass(30, &mut players);
    nothing_happened_to(&players);
    assert!(hostile.close_reason().is_none());
    let summary = server.stop().unwrap();
    let quic = summary.quic.unwrap();
    // What the two buffers of QUIC dropped never came; most of it did.
    assert!((1_900..=2_000).contains(&quic.packets_refused), "{}", quic.packets_refused);
    let tick = summary.tick.counters;
    // Random bytes are hardly ever a packet: a number and frames that end with it.
    assert!(tick.packets_refused + tick.packets_over_limit > 900, "{tick:?}");
    assert_eq!((quic.sessions, quic.timed_out, quic.closed_by_client), (2, 0, 0));
}

#[test]
fn no_stream_is_granted_beyond_the_tokens() {
    let config = config_with_quic();
    let server = start(&config);
    let (_endpoint, connection) = join(&server, &token(&server, &config, 1)).unwrap();
    let wait = StdDuration::from_millis(500);
    RUNTIME.block_on(async {
        assert!(tokio::time::timeout(wait, connection.open_uni()).await.is_err());
        assert!(tokio::time::timeout(wait, connection.open_bi()).await.is_err());
    });
    assert!(connection.close_reason().is_none());
    server.stop().unwrap();
}

#[test]
fn who_keeps_its_token_to_itself_is_sent_away() {
    let config = config_with_quic();
    let server = start(&config);
    let mut players = bystanders(&server, &config);
    let shown = token(&server, &config, 1).shown();
    let (_a, silent) = connect(&server, Setup::default()).unwrap();
    let (_b, slow) = connect(&server, Setup::default()).unwrap();
    let mut stream = RUNTIME.block_on(async {
        let (mut send, _receive) = slow.open_bi().await.unwrap();
        send.write_all(&shown[..1_077]).await.unwrap();
        send
    });
    until("both were sent away", 8, &mut players, |_| {
        silent.close_reason().is_some() && slow.close_reason().is_some()
    });
    assert_eq!(reason(&silent.close_reason().unwrap()), CloseReason::TooSlow);
    assert_eq!(reason(&slow.close_reason().unwrap()), CloseReason::TooSlow);
    assert!(RUNTIME.block_on(stream.write_all(&shown[1_077..])).is_err());
    nothing_happened_to(&players);
    let summary = server.stop().unwrap();
    assert_eq!(summary.quic.unwrap().tokens_not_shown, 2);
    assert_eq!(summary.tick.counters.clients_connected, 2);
}

#[test]
fn a_client_that_freezes_is_held_back_and_catches_up() {
    let summary = freeze(Mode::Copa);
    let held_back = summary.quic.unwrap().held_back + summary.tick.counters.clients_held_back;
    assert!(held_back > 60, "{held_back}");
}

#[test]
fn without_congestion_control_of_the_link_quics_own_holds_a_frozen_client_back() {
    let held_back = freeze(Mode::Fixed).quic.unwrap().held_back;
    assert!(held_back > 60, "{held_back}");
}

/// A client stands still for four seconds while much more comes up for it than its line lets through.
fn freeze(congestion_control: Mode) -> Summary {
    let config = Config { congestion_control, ..config_with_quic() };
    let server = start(&config);
    let mut players = bystanders(&server, &config);
    let token = token_with(&DEVELOPMENT_KEY, &server, &config, 1, |p| p.timeout_s = 30);
    let mut slow = Slow::join(&server, &token);
    until("it plays", 5, &mut players, |_| {
        slow.step();
        slow.has_ring()
    });
    // Rings that are nowhere near each other: much more than its window lets through.
    for n in 1..=24 {
        assert!(server.teleport(1, ChunkCoord { cx: 100 * n, cz: 0 }));
        pass(10, &mut players);
    }
    nothing_happened_to(&players);
    until("it has caught up", 10, &mut players, |_| {
        slow.step();
        slow.client.ring().active() == Some(ChunkCoord { cx: 2_400, cz: 0 }) && slow.has_ring()
    });
    assert!(slow.connection.close_reason().is_none());
    assert_eq!(slow.client.stats().chunks_hash_failed, 0);
    let summary = server.stop().unwrap();
    let quic = summary.quic.unwrap();
    assert_eq!((quic.send_buffer_overflows, quic.timed_out), (0, 0));
    summary
}

#[test]
fn a_client_that_never_reads_gets_no_more_than_may_be_in_flight() {
    let config = config_with_quic();
    let server = start(&config);
    let mut players = bystanders(&server, &config);
    let mut deaf = Slow::join(&server, &token(&server, &config, 1));
    // It says what a client says and acknowledges nothing, while QUIC below it does.
    for _ in 0..120 {
        deaf.runtime.block_on(async {
            let mut buffer = [0; 1_200];
            deaf.client.set_input(common::wish(1.0, 0.0));
            deaf.client.handle_timeout(deaf.clock.now());
            while let Some(bytes) = deaf.client.poll_packet(deaf.clock.now(), &mut buffer) {
                deaf.connection.send_datagram(Bytes::copy_from_slice(&buffer[..bytes])).unwrap();
            }
            tokio::time::sleep(StdDuration::from_millis(16)).await;
        });
        players.iter_mut().for_each(Player::step);
    }
    nothing_happened_to(&players);
    let received = deaf.connection.stats().udp_rx.bytes;
    assert!(received < 600_000, "{received} bytes");
    server.stop().unwrap();
}

#[test]
fn a_client_that_vanishes_times_out_and_frees_its_slot() {
    let mut config = config_with_quic();
    config.clients_max = 3;
    let server = start(&config);
    let mut players = bystanders(&server, &config);
    let slow = Slow::join(&server, &token(&server, &config, 1));
    assert_eq!(join(&server, &token(&server, &config, 2)).map(drop), Err(CloseReason::Full));
    until("it is in", 5, &mut players, |_| server.live().clients.load(Relaxed) == 3);
    // Its process stands still for good: no farewell, no acknowledgement.
    let began = std::time::Instant::now();
    until("its slot is free", 5, &mut players, |_| server.live().clients.load(Relaxed) == 2);
    let waited = began.elapsed();
    assert!(waited > StdDuration::from_millis(1_500), "{waited:?}: its token says two seconds");
    assert!(join(&server, &token(&server, &config, 3)).is_ok());
    nothing_happened_to(&players);
    drop(slow);
    let summary = server.stop().unwrap();
    assert_eq!((summary.quic.unwrap().timed_out, summary.udp.connection.timed_out), (1, 1));
}

#[test]
fn a_client_that_comes_and_goes_in_a_loop_uses_the_same_slot_again() {
    let config = config_with_quic();
    let server = start(&config);
    let mut players = bystanders(&server, &config);
    let mut kept = Vec::new();
    for n in 0..100 {
        let token = token(&server, &config, 1);
        let (endpoint, connection) = connect(&server, Setup::default()).unwrap();
        let slot = RUNTIME.block_on(show(&connection, &token.shown())).unwrap();
        // Where the last one has not said goodbye, this one replaces it.
        assert_eq!(slot, 2);
        if n % 2 == 0 {
            connection.close(0u32.into(), b"");
            RUNTIME.block_on(endpoint.wait_idle());
        } else {
            kept.push((endpoint, connection));
        }
        players.iter_mut().for_each(Player::step);
    }
    until("the tick has heard of all", 5, &mut players, |_| server.live().clients.load(Relaxed) == 3);
    nothing_happened_to(&players);
    let summary = server.stop().unwrap();
    let quic = summary.quic.unwrap();
    assert_eq!((quic.sessions, quic.handshakes_failed), (101, 0));
    assert_eq!((quic.closed_by_client, quic.replaced), (50, 49));
    let tick = summary.tick.counters;
    assert_eq!((tick.clients_connected, tick.clients_disconnected), (102, 99));
}

#[test]
fn handshakes_have_a_bound_and_players_do_not_notice() {
    let mut config = config_with_quic();
    config.quic_handshakes_max = 8;
    let server = start(&config);
    let mut players = bystanders(&server, &config);
    // They are let in by TLS and then show no token.
    let waiting: Vec<_> = (0..8).map(|_| connect(&server, Setup::default()).unwrap()).collect();
    for _ in 0..50 {
        let error = connect(&server, Setup::default()).map(drop).unwrap_err();
        assert!(matches!(error, ConnectionError::ConnectionClosed(_)), "{error}");
        players.iter_mut().for_each(Player::step);
    }
    // A good client comes in as soon as one of them is gone.
    waiting[3].1.close(0u32.into(), b"");
    until("one has gone", 5, &mut players, |_| connect(&server, Setup::default()).is_ok());
    drop(waiting);
    pass(10, &mut players);
    assert!(join(&server, &token(&server, &config, 1)).is_ok());
    nothing_happened_to(&players);
    let quic = server.stop().unwrap().quic.unwrap();
    assert!(quic.handshakes_over_limit >= 50);
    // From two under way on, addresses had to be proven.
    assert!(quic.retries >= 6, "{}", quic.retries);
}

/// An address of this machine that is not loopback; nothing is sent to find it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[test]
fn one_network_gets_its_share_of_handshakes_and_others_do_not_notice() {
    const PER_S: usize = 8;
    let Some(own) = own_address() else {
        return println!("this machine has no address but loopback, which is not limited");
    };
    // The published key is for loopback alone.
    let key_file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("one_network.key");
    let _ = std::fs::remove_file(&key_file);
    ninefold::key_file::create(&key_file, &[7; 32]).unwrap();
    let config = Config {
        requests_per_network_s: PER_S as u32,
        quic_listen: Some("0.0.0.0:0".parse().unwrap()),
        private_key_file: key_file,
        ..config()
    };
    let server = start(&config);
    let (address, fingerprint) = server.quic().unwrap();
    let port = address.port();
    let near = (std::net::Ipv4Addr::LOCALHOST, port).into();
    let from = |ip: IpAddr| {
        let endpoint = endpoint(fingerprint, Setup::default());
        let _entered = RUNTIME.enter();
        endpoint.rebind(UdpSocket::bind((ip, 0)).unwrap()).unwrap();
        endpoint
    };
    let far = from(own);
    let began = std::time::Instant::now();
    let connected = Arc::new(AtomicUsize::new(0));
    // Each waits for a token that is not shown; who is not answered asks again by itself.
    for _ in 0..10 * PER_S {
        let (far, connected) = (far.clone(), Arc::clone(&connected));
        RUNTIME.spawn(async move {
            let connection = far.connect((own, port).into(), "localhost").unwrap().await;
            connected.fetch_add(usize::from(connection.is_ok()), Relaxed);
            std::future::pending::<()>().await;
            drop(connection);
        });
    }
    std::thread::sleep(StdDuration::from_millis(1_500));
    // Four seconds' worth at once, and then an even pace.
    let (count, most) =
        (connected.load(Relaxed), 4 * PER_S + PER_S * (began.elapsed().as_secs() as usize + 1));
    assert!((4 * PER_S..=most).contains(&count), "{count} of {most}");
    // Everybody else comes in at once.
    let other = from(std::net::Ipv4Addr::LOCALHOST.into());
    for _ in 0..PER_S {
        let began = std::time::Instant::now();
        let connection = RUNTIME.block_on(async { other.connect(near, "localhost").unwrap().await });
        assert!(connection.is_ok() && began.elapsed().as_millis() < 1_000, "{:?}", began.elapsed());
    }
    let quic = server.stop().unwrap().quic.unwrap();
    assert!(quic.handshakes_network_over_rate > 0, "{quic:?}");
    // Beyond half of its burst, addresses had to be proven.
    assert!(quic.retries as usize >= 2 * PER_S, "{quic:?}");
    assert_eq!((quic.handshakes_over_limit, quic.handshakes_over_rate), (0, 0));
}

#[test]
fn a_rush_is_spread_over_time_and_everybody_gets_in() {
    let config = config_with_quic();
    let server = start(&config);
    let mut players = bystanders(&server, &config);
    let (address, fingerprint) = server.quic().unwrap();
    let tokens: Vec<_> = (0..400).map(|id| token(&server, &config, id)).collect();
    let endpoint = endpoint(fingerprint, Setup::default());
    let rush = RUNTIME.spawn(async move {
        let mut joining = tokio::task::JoinSet::new();
        for token in tokens {
            let connecting = endpoint.connect(address, "localhost").unwrap();
            joining.spawn(async move {
                let connection = connecting.await.unwrap();
                show(&connection, &token.shown()).await.unwrap();
                connection
            });
        }
        joining.join_all().await.len()
    });
    until("all are in", 20, &mut players, |_| rush.is_finished());
    assert_eq!(RUNTIME.block_on(rush).unwrap(), 400);
    nothing_happened_to(&players);
    let quic = server.stop().unwrap().quic.unwrap();
    assert!(quic.handshakes_over_rate > 0, "{quic:?}");
    assert_eq!(quic.sessions, 401);
}

#[test]
fn a_flood_of_garbage_on_the_quic_port_changes_nothing() {
    let config = config_with_quic();
    let server = start(&config);
    let mut players = bystanders(&server, &config);
    let flood = std::thread::spawn({
        let (to, _) = server.quic().unwrap();
        move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut random = fastrand::Rng::with_seed(9);
            let mut buffer = [0; 1_400];
            for n in 0..30_000 {
                let length = random.usize(1..buffer.len());
                random.fill(&mut buffer[..length]);
                // Half of them look like the beginning of a connection: long header, version 1.
                if n % 2 == 0 && length > 5 {
                    buffer[..5].copy_from_slice(&[0xc0 | random.u8(..16), 0, 0, 0, 1]);
                }
                socket.send_to(&buffer[..length], to).unwrap();
                if n % 256 == 0 {
                    std::thread::sleep(StdDuration::from_millis(1));
                }
            }
        }
    });
    until("the flood is over", 60, &mut players, |_| flood.is_finished());
    flood.join().unwrap();
    until("the clients still play", 5, &mut players, |p| p.iter().all(Player::has_ring));
    nothing_happened_to(&players);
    let quic = server.stop().unwrap().quic.unwrap();
    assert_eq!((quic.sessions, quic.timed_out), (1, 0));
}

/// Carries datagrams between one client and a server, those of at most so many bytes.
fn narrow_line(to: std::net::SocketAddr) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let (near, far) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    far.connect(to).unwrap();
    let address = near.local_addr().unwrap();
    let width = Arc::new(AtomicUsize::new(usize::MAX));
    let client = Arc::new(std::sync::OnceLock::new());
    let (near, far) = (Arc::new(near), Arc::new(far));
    let up = (Arc::clone(&near), Arc::clone(&far), Arc::clone(&width), Arc::clone(&client));
    std::thread::spawn(move || {
        let (near, far, width, client) = up;
        let mut buffer = [0; 2_048];
        while let Ok((bytes, from)) = near.recv_from(&mut buffer) {
            let _ = client.set(from);
            if bytes <= width.load(Relaxed) {
                let _ = far.send(&buffer[..bytes]);
            }
        }
    });
    let narrow = Arc::clone(&width);
    std::thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while let Ok(bytes) = far.recv(&mut buffer) {
            if bytes <= narrow.load(Relaxed) {
                let _ = near.send_to(&buffer[..bytes], client.get().expect("the client spoke first"));
            }
        }
    });
    (address, width)
}

#[test]
fn a_path_that_becomes_too_narrow_is_told_so_and_closed() {
    let config = config_with_quic();
    let server = start(&config);
    let mut players = bystanders(&server, &config);
    let (address, fingerprint) = server.quic().unwrap();
    let (line, width) = narrow_line(address);
    // With ids as long as these, packets of the link need more than the MTU that is promised everywhere.
    let setup = Setup { id_bytes: 20, ..Setup::default() };
    let endpoint = endpoint(fingerprint, setup);
    let token = token_with(&DEVELOPMENT_KEY, &server, &config, 1, |p| p.timeout_s = 30);
    let connection = RUNTIME.block_on(async {
        let connection = endpoint.connect(line, "localhost").unwrap().await.unwrap();
        show(&connection, &token.shown()).await.unwrap();
        connection
    });
    let clock = Monotonic::start();
    let core = ClientConfig { cache_chunks_max: 9, recipes: false, ..ClientConfig::new(0) };
    let mut client = Client::carried(clock.now(), &core);
    client.carrier_is_up();
    let step = |client: &mut Client| {
        RUNTIME.block_on(async {
            let wait = StdDuration::from_millis(16);
            while let Ok(Ok(packet)) = tokio::time::timeout(wait, connection.read_datagram()).await {
                client.handle_packet(clock.now(), &packet);
            }
        });
        client.handle_timeout(clock.now());
        let mut buffer = [0; 1_200];
        while let Some(bytes) = client.poll_packet(clock.now(), &mut buffer) {
            let _ = connection.send_datagram(Bytes::copy_from_slice(&buffer[..bytes]));
        }
    };
    until("it plays", 5, &mut players, |_| {
        step(&mut client);
        client.is_playable()
    });
    width.store(1_235, Relaxed);
    let mut n = 0;
    until("it was closed", 30, &mut players, |_| {
        n += 1;
        server.teleport(1, ChunkCoord { cx: 100 * n, cz: 0 });
        step(&mut client);
        connection.close_reason().is_some()
    });
    assert_eq!(reason(&connection.close_reason().unwrap()), CloseReason::NarrowPath);
    nothing_happened_to(&players);
    let quic = server.stop().unwrap().quic.unwrap();
    assert!(quic.packets_too_large > 0 && quic.narrow_paths == 1, "{quic:?}");
}
