//! The library's driver, with its own sockets and clock, against a server in the same process.

mod common;

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration as StdDuration, Instant as Clock};

use common::{config_with_quic, start, token};
use ninefold::config::Config;
use ninefold::server::Server;
use ninefold_client::net::{Driver, Trust};
use ninefold_client::protocol::connection::{CloseReason, Fingerprint};
use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::protocol::time::Duration;
use ninefold_client::store::{Store, StoreLimits, StoreStats};
use ninefold_client::{ClientConfig, ClientStats, EndReason, Event};

/// A frame of a game.
const FRAME: Duration = Duration::from_ms(16);

#[derive(Debug, Clone, Copy)]
enum On {
    Udp,
    Quic,
}

const EITHER: [On; 2] = [On::Udp, On::Quic];

fn join(on: On, server: &Server, config: &Config) -> Driver {
    let (client, token) = (ClientConfig::default(), token(server, config, on as u64));
    let (address, fingerprint) = server.quic().expect("it has QUIC");
    match on {
        On::Udp => Driver::udp(&client, &token).unwrap(),
        On::Quic => Driver::quic(&client, &token, address, &Trust::Fingerprint(fingerprint)).unwrap(),
    }
}

/// Plays on until `done`, at most ten seconds.
fn until(what: &str, driver: &mut Driver, mut done: impl FnMut(&mut Driver) -> bool) {
    let end = Clock::now() + StdDuration::from_secs(10);
    while !done(driver) {
        assert!(Clock::now() < end, "did not come true: {what}; {driver:?}");
        driver.step().unwrap();
        driver.wait(FRAME).unwrap();
    }
}

fn walk(driver: &mut Driver, move_x: i16) {
    driver.client_mut().set_input(PlayerInput { move_x, ..PlayerInput::default() });
}

fn has_ring(driver: &mut Driver) -> bool {
    let ring = driver.client().ring();
    ring.active().is_some() && ring.wanted().is_empty()
}

fn x(driver: &Driver) -> f64 {
    driver.own().expect("it is in the world").position.x
}

#[test]
fn a_driver_plays_on_either_carrier() {
    let config = config_with_quic();
    let server = start(&config);
    for on in EITHER {
        let mut driver = join(on, &server, &config);
        until("the ring is here", &mut driver, has_ring);
        let events: Vec<Event> = std::iter::from_fn(|| driver.client_mut().poll_event()).collect();
        let ready = events.iter().filter(|e| matches!(e, Event::ChunkReady { .. })).count();
        assert!(matches!(events[0], Event::Welcome(_)) && ready == 9, "{events:?}");
        until("it is in the world", &mut driver, |driver| driver.own().is_some());
        let start = x(&driver);
        until("it walks", &mut driver, |driver| {
            walk(driver, PlayerInput::FULL_SPEED);
            (x(driver) - start).abs() > 16.0
        });
        assert!(driver.client().link().rtt().smoothed() < Duration::from_ms(200));
        assert_eq!(driver.stats(), Default::default());
        drop(driver);
        // A goodbye ends a session at once; silence would only after the token's two seconds.
        let left = Clock::now();
        while server.live().clients.load(Relaxed) > 0 {
            assert!(left.elapsed() < StdDuration::from_millis(1_500), "the server has not heard the goodbye");
            std::thread::sleep(StdDuration::from_millis(5));
        }
    }
    server.stop().unwrap();
}

#[test]
fn a_step_never_waits_and_a_wait_ends_when_something_comes() {
    let config = config_with_quic();
    let server = start(&config);
    for on in EITHER {
        let mut driver = join(on, &server, &config);
        until("the ring is here", &mut driver, has_ring);
        // Nothing but positions comes now, one for each tick in which it walks.
        let before = driver.client().stats().datagrams_in;
        let began = Clock::now();
        for _ in 0..20 {
            walk(&mut driver, PlayerInput::FULL_SPEED / 5);
            driver.step().unwrap();
            driver.wait(Duration::from_secs(2)).unwrap();
        }
        assert!(began.elapsed() < StdDuration::from_secs(2), "{:?}", began.elapsed());
        assert!(driver.client().stats().datagrams_in > before);
        let steps = Clock::now();
        (0..1_000).for_each(|_| driver.step().unwrap());
        // A wait of one frame in each would make sixteen seconds of it.
        assert!(steps.elapsed() < StdDuration::from_secs(2), "{:?}", steps.elapsed());
    }
    server.stop().unwrap();
}

#[test]
fn a_driver_goes_on_from_another_port() {
    let config = config_with_quic();
    let server = start(&config);
    for on in EITHER {
        let mut driver = join(on, &server, &config);
        until("the ring is here", &mut driver, has_ring);
        driver.rebind().unwrap();
        let before = driver.client().stats().datagrams_in;
        until("the server answers there", &mut driver, |driver| {
            walk(driver, PlayerInput::FULL_SPEED / 5);
            driver.client().stats().datagrams_in > before + 60
        });
        assert_eq!(driver.client().ended(), None);
    }
    server.stop().unwrap();
}

/// A session from its beginning until its ring is here and on disk.
fn session(on: On, server: &Server, config: &Config, folder: &Path) -> (ClientStats, StoreStats) {
    let store = Store::open(folder, StoreLimits::default()).unwrap();
    let mut driver = join(on, server, config).with_store(store);
    until("the ring is here", &mut driver, has_ring);
    until("all is kept", &mut driver, |d| d.store().unwrap().stats().files >= 9);
    (*driver.client().stats(), driver.store().unwrap().stats())
}

#[test]
fn who_comes_again_gets_its_chunks_from_the_disk_and_not_over_the_wire() {
    let config = Config { spawn_radius_chunks: 0, ..config_with_quic() };
    let server = start(&config);
    for on in EITHER {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("driver-store-{on:?}"));
        let _ = std::fs::remove_dir_all(&folder);
        let (first, kept) = session(on, &server, &config, &folder);
        assert_eq!((first.chunks_complete, first.chunks_from_store, kept.saved), (9, 0, 9));
        let (again, kept) = session(on, &server, &config, &folder);
        assert_eq!((again.chunks_complete, again.chunks_from_store, kept.saved), (0, 9, 0));
        assert!(again.bytes_in < first.bytes_in, "{} of {} bytes", again.bytes_in, first.bytes_in);
        // One file is damaged meanwhile: that chunk alone comes over the wire, and is kept anew.
        let file = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let file = file.filter(|path| path.extension().is_some_and(|e| e == "9fc")).max().unwrap();
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(100).unwrap();
        let (third, kept) = session(on, &server, &config, &folder);
        assert_eq!((third.chunks_complete, third.chunks_from_store), (1, 8), "{third:?}");
        assert_eq!((third.chunks_store_failed, kept.damaged_removed, kept.saved), (1, 1, 1));
    }
    server.stop().unwrap();
}

#[test]
fn a_server_of_another_world_knows_nothing_of_what_is_offered() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("driver-store-worlds");
    let _ = std::fs::remove_dir_all(&folder);
    for world_seed in [1, 2] {
        let config = Config { spawn_radius_chunks: 0, world_seed, ..config_with_quic() };
        let server = start(&config);
        let (stats, _) = session(On::Udp, &server, &config, &folder);
        assert_eq!((stats.chunks_complete, stats.chunks_from_store, stats.chunks_store_failed), (9, 0, 0));
        server.stop().unwrap();
    }
}

#[test]
fn a_server_that_stops_ends_the_session_with_a_reason() {
    let config = config_with_quic();
    let server = start(&config);
    let mut drivers = EITHER.map(|on| join(on, &server, &config));
    drivers.iter_mut().for_each(|driver| until("the ring is here", driver, has_ring));
    server.stop().unwrap();
    let [mut udp, mut quic] = drivers;
    until("UDP hears of it", &mut udp, |d| d.client().ended().is_some());
    until("QUIC hears of it", &mut quic, |d| d.client().ended().is_some());
    assert_eq!(quic.client().ended(), Some(EndReason::Closed(CloseReason::Stopping)));
    // After the end a loop around the driver goes on, and does not spin.
    let began = Clock::now();
    (0..3).for_each(|_| {
        quic.step().unwrap();
        quic.wait(FRAME).unwrap();
    });
    assert!(began.elapsed() >= StdDuration::from_millis(30));
}

#[test]
fn another_certificate_than_the_trusted_one_is_not_talked_to() {
    let config = config_with_quic();
    let server = start(&config);
    let trust = Trust::Fingerprint(Fingerprint([7; 32]));
    let (address, _) = server.quic().unwrap();
    let token = token(&server, &config, 1);
    let mut driver = Driver::quic(&ClientConfig::default(), &token, address, &trust).unwrap();
    until("it ends", &mut driver, |d| d.client().ended().is_some());
    assert!(matches!(driver.client().ended(), Some(EndReason::Connection(_))));
    server.stop().unwrap();
}
