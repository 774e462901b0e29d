//! The functions as C calls them, by callers who make every mistake that can be noticed.

use std::ffi::{CStr, c_char};
use std::net::UdpSocket;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ninefold_client::protocol::connection::{ConnectToken, DEVELOPMENT_KEY, Extensions, TokenParams};
use ninefold_client::world::BspWorld;
use server::config::Config;
use server::server::{Server, unix_s};

use crate::config::*;
use crate::handle::*;
use crate::play::*;
use crate::session::*;
use crate::status::NinefoldStatus::{self, *};
use crate::world::*;

fn token(to: &str) -> Vec<u8> {
    token_for(7, to)
}

fn token_for(client_id: u64, to: &str) -> Vec<u8> {
    let params = TokenParams {
        protocol_id: Config::default().protocol_id,
        client_id,
        create_unix_s: unix_s(),
        expire_unix_s: unix_s() + 30,
        timeout_s: 5,
        server_addresses: vec![to.parse().unwrap()],
        user_data: [0; 256],
    };
    let mut secrets = [[0; 32]; 3];
    secrets.iter_mut().for_each(|secret| getrandom::fill(secret).unwrap());
    let [nonce, up, down] = secrets;
    let nonce = *nonce.first_chunk().unwrap();
    let token = ConnectToken::mint_extended(&params, Extensions::ALL, &DEVELOPMENT_KEY, nonce, up, down);
    token.unwrap().to_bytes().to_vec()
}

/// A client without a socket, freed at the end.
struct Handle(*mut NinefoldClient);

impl Handle {
    fn new() -> Handle {
        Self::with(&token("127.0.0.1:9"), null())
    }

    fn with(token: &[u8], config: *const NinefoldConfig) -> Handle {
        let mut client = null_mut();
        // SAFETY: all pointers are to what they say.
        let made = unsafe { ninefold_client_new(config, token.as_ptr(), token.len(), 0, &raw mut client) };
        assert_eq!(made, Ok);
        Handle(client)
    }

    fn error(&self) -> String {
        error_of(self.0)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made above and is freed once.
        unsafe { ninefold_client_free(self.0) };
    }
}

fn error_of(client: *const NinefoldClient) -> String {
    let mut buffer = [0; 512];
    // SAFETY: the buffer is as long as said, and terminated after the call.
    unsafe {
        assert_eq!(ninefold_client_error(client, buffer.as_mut_ptr(), buffer.len(), null_mut()), Ok);
        CStr::from_ptr(buffer.as_ptr()).to_str().unwrap().to_owned()
    }
}

fn config() -> NinefoldConfig {
    // SAFETY: all-zero bytes are a configuration, and it is as long as it says.
    unsafe {
        let mut config: NinefoldConfig = std::mem::zeroed();
        config.size = size_of::<NinefoldConfig>() as u32;
        assert_eq!(ninefold_config_default(&raw mut config), Ok);
        config
    }
}

fn event() -> NinefoldEvent {
    // SAFETY: all-zero bytes are an event.
    NinefoldEvent { size: size_of::<NinefoldEvent>() as u32, ..unsafe { std::mem::zeroed() } }
}

#[test]
fn no_function_follows_a_null_client() {
    let (nobody, mut count) = (null_mut(), 0);
    // SAFETY: null is what they must notice; the other pointers are to what they say, or null.
    unsafe {
        let statuses = [
            ninefold_client_step(nobody),
            ninefold_client_wait(nobody, 1),
            ninefold_client_rebind(nobody),
            ninefold_client_leave(nobody),
            ninefold_client_handle_datagram(nobody, 0, null(), null_mut(), 0),
            ninefold_client_handle_timeout(nobody, 0),
            ninefold_client_poll_transmit(nobody, 0, null_mut(), null_mut(), 0, null_mut()),
            ninefold_client_poll_event(nobody, null_mut()),
            ninefold_client_set_input(nobody, 0.0, 0.0, 0, 0),
            ninefold_client_own(nobody, null_mut()),
            ninefold_client_entities(nobody, null_mut(), 0, &raw mut count),
            ninefold_client_stats(nobody, null_mut()),
            ninefold_chunk_faces(nobody, 0, 0, null_mut(), 0, &raw mut count),
            ninefold_chunk_doors(nobody, 0, 0, null_mut(), 0, &raw mut count),
            ninefold_chunk_lights(nobody, 0, 0, null_mut(), 0, &raw mut count),
            ninefold_chunk_mesh(nobody, 0, 0, null_mut(), 0, null_mut(), null_mut(), 0, null_mut()),
            ninefold_client_trace(nobody, null(), null(), null(), null_mut()),
            ninefold_client_contents(nobody, null(), null_mut()),
            ninefold_config_default(null_mut()),
        ];
        assert_eq!(statuses, [Null; 19]);
        ninefold_client_free(null_mut());
    }
}

#[test]
fn null_arguments_are_refused_by_name() {
    let client = Handle::new();
    let (mut count, zero, mut buffer) = (0, [0.0; 3], [0; NINEFOLD_DATAGRAM_BYTES_MAX]);
    let mut to = NinefoldAddress { ip: [0; 16], port: 0, version: 4, reserved: 0 };
    let refused = |name: &str, status: NinefoldStatus| {
        assert_eq!((status, client.error()), (Null, format!("{name} is NULL")));
    };
    let (c, room, nothing) = (client.0, buffer.len(), null_mut());
    // SAFETY: the pointers are to what they say, or null.
    unsafe {
        refused("event", ninefold_client_poll_event(c, null_mut()));
        refused("stats", ninefold_client_stats(c, null_mut()));
        refused("count", ninefold_client_entities(c, null_mut(), 0, null_mut()));
        refused("half", ninefold_client_trace(c, null(), null(), null(), null_mut()));
        refused("from", ninefold_client_trace(c, null(), null(), zero.as_ptr(), null_mut()));
        refused("out", ninefold_client_contents(c, zero.as_ptr(), null_mut()));
        refused("from", ninefold_client_handle_datagram(c, 0, null(), null_mut(), 4));
        let bytes = buffer.as_mut_ptr();
        refused("to", ninefold_client_poll_transmit(c, 0, null_mut(), bytes, room, &raw mut count));
        refused("length", ninefold_client_poll_transmit(c, 0, &raw mut to, bytes, room, null_mut()));
        refused("buffer", ninefold_client_poll_transmit(c, 0, &raw mut to, nothing, room, &raw mut count));
    }
}

#[test]
fn what_makes_no_client_says_why_to_the_thread_that_asked() {
    let good = token("127.0.0.1:9");
    let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &good);
    let make = |token: &[u8], config: *const NinefoldConfig| {
        let mut client = std::ptr::dangling_mut();
        // SAFETY: the pointers are to what they say.
        let status = unsafe { ninefold_client_udp(config, token.as_ptr(), token.len(), &raw mut client) };
        assert_eq!(status == Ok, !client.is_null());
        // SAFETY: null or just made.
        unsafe { ninefold_client_free(client) };
        status
    };
    assert_eq!((make(&good, null()), make(text.as_bytes(), null())), (Ok, Ok));
    assert_eq!(make(format!("{text}\n").as_bytes(), null()), Ok);
    for wrong in [&good[1..], &text.as_bytes()[4..], b"", &vec![b'A'; 1 << 20], &[0; 2_048]] {
        assert_eq!(make(wrong, null()), Token, "{} bytes", wrong.len());
    }
    assert!(error_of(null()).contains("version is not NETCODE"), "{}", error_of(null()));
    std::thread::spawn(|| assert_eq!(error_of(null()), "")).join().unwrap();
    let mut small = config();
    small.size = 8;
    assert_eq!(make(&good, &raw const small), Size);
    let mut nowhere = config();
    nowhere.store_folder = c"/dev/null/chunks".as_ptr();
    assert_eq!(make(&good, &raw const nowhere), Store);
    assert!(error_of(null()).contains("/dev/null/chunks"));
    // SAFETY: null and texts are what they must cope with.
    unsafe {
        let mut client = null_mut();
        assert_eq!(ninefold_client_udp(null(), null(), 2_048, &raw mut client), Null);
        assert_eq!(ninefold_client_udp(null(), good.as_ptr(), good.len(), null_mut()), Null);
        let mut quic = |server: &CStr, fingerprint: &CStr| {
            let (server, fingerprint) = (server.as_ptr(), fingerprint.as_ptr());
            ninefold_client_quic(null(), good.as_ptr(), good.len(), server, fingerprint, &raw mut client)
        };
        assert_eq!((quic(c"localhost", c""), quic(c"127.0.0.1:9", c"12")), (Address, Address));
        assert_eq!(quic(c"\xff", c""), Argument);
    }
}

#[test]
fn an_older_and_a_newer_struct_get_what_both_know() {
    let client = Handle::new();
    // A newer program: 16 bytes behind what this library knows stay as they are.
    #[repr(C)]
    struct Newer {
        stats: NinefoldStats,
        news: [u8; 16],
    }
    // SAFETY: all-zero bytes are stats; the size is that of the memory behind it.
    unsafe {
        let mut newer = Newer { stats: std::mem::zeroed(), news: [0xa5; 16] };
        newer.stats.size = size_of::<Newer>() as u32;
        assert_eq!(ninefold_client_stats(client.0, (&raw mut newer).cast()), Ok);
        assert_eq!((newer.stats.size as usize, newer.news), (size_of::<NinefoldStats>(), [0xa5; 16]));
        // An older one, of the first version, and one that forgot to say.
        let mut stats = newer.stats;
        stats.size = 0;
        assert_eq!(ninefold_client_stats(client.0, &raw mut stats), Size);
        assert!(client.error().starts_with("stats->size is 0"), "{}", client.error());
        stats.size = u32::MAX;
        assert_eq!(ninefold_client_stats(client.0, &raw mut stats), Ok);
    }
    let mut wrong = event();
    wrong.size -= 40;
    // SAFETY: the struct is at least as long as it says.
    unsafe {
        assert_eq!(ninefold_client_leave(client.0), Ok);
        assert_eq!(ninefold_client_poll_event(client.0, &raw mut wrong), Size);
        // The event was not lost to the mistake.
        let mut right = event();
        assert_eq!(ninefold_client_poll_event(client.0, &raw mut right), Ok);
        assert_eq!((right.kind, right.end), (NinefoldEventKind::Ended, NinefoldEnd::Disconnected));
        assert_eq!(client.error(), "the connection ended: Disconnected");
        assert_eq!(ninefold_client_poll_event(client.0, &raw mut right), Nothing);
    }
}

#[test]
fn a_pointer_that_is_not_aligned_is_refused() {
    let client = Handle::new();
    let mut memory = [0_u64; 64];
    let odd = memory.as_mut_ptr().cast::<u8>().wrapping_add(1);
    // SAFETY: the memory is long enough; that it is not aligned is what they must notice.
    unsafe {
        assert_eq!(ninefold_client_stats(client.0, odd.cast()), Misaligned);
        assert_eq!(ninefold_client_entities(client.0, null_mut(), 0, odd.cast()), Misaligned);
        assert_eq!(ninefold_client_contents(client.0, odd.cast(), null_mut()), Misaligned);
    }
}

#[test]
fn a_panic_inside_does_not_cross_the_border_and_poisons_the_client() {
    let client = Handle::new();
    // SAFETY: the client is there.
    unsafe {
        assert_eq!(enter(client.0, |_| panic!("of a bug number {}", 9)), Panic);
        assert_eq!(client.error(), "the library failed: of a bug number 9");
        assert_eq!(ninefold_client_handle_timeout(client.0, 1), Panic);
        assert_eq!(ninefold_client_leave(client.0), Panic);
        let mut made = null_mut();
        assert_eq!(create(&raw mut made, || panic!("at birth")), Panic);
        assert!(made.is_null() && error_of(null()).contains("at birth"));
    }
}

#[test]
fn a_second_call_meanwhile_is_refused() {
    struct Shared(*mut NinefoldClient);
    // SAFETY: what is to be found out: that the library copes.
    unsafe impl Send for Shared {}
    impl Shared {
        fn step(&self) -> NinefoldStatus {
            // SAFETY: the client lives until the thread has ended.
            unsafe { ninefold_client_handle_timeout(self.0, 0) }
        }
    }
    let client = Handle::new();
    let inside = Arc::new(AtomicBool::new(false));
    let (other, seen) = (Shared(client.0), Arc::clone(&inside));
    let thread = std::thread::spawn(move || {
        while !seen.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        let status = other.step();
        seen.store(false, Ordering::Release);
        status
    });
    // SAFETY: the client is there.
    let status = unsafe {
        enter(client.0, |_| {
            inside.store(true, Ordering::Release);
            while inside.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            Result::Ok(Ok)
        })
    };
    assert_eq!((status, thread.join().unwrap()), (Ok, Busy));
}

#[test]
fn texts_are_cut_off_and_terminated() {
    let client = Handle::new();
    // SAFETY: the buffers are as long as said.
    unsafe {
        assert_eq!(ninefold_client_step(client.0), Kind);
        let (mut buffer, mut length) = ([b'x' as c_char; 8], 0);
        let status = ninefold_client_error(client.0, buffer.as_mut_ptr(), 5, &raw mut length);
        assert_eq!((status, length), (Short, client.error().len()));
        assert_eq!(buffer.map(|c| c as u8), *b"this\0xxx");
        assert_eq!(ninefold_client_error(client.0, buffer.as_mut_ptr(), 0, null_mut()), Short);
        assert_eq!(ninefold_client_error(client.0, null_mut(), 0, null_mut()), Null);
    }
}

#[test]
fn arguments_out_of_range_are_refused() {
    let client = Handle::new();
    let mut from = NinefoldAddress { ip: [127; 16], port: 1, version: 5, reserved: 0 };
    let mut datagram = [0; 64];
    // SAFETY: the pointers are to what they say; a length that nothing has is what it must notice.
    unsafe {
        assert_eq!(ninefold_client_set_input(client.0, f64::NAN, 0.0, 0, 0), Argument);
        let mut handle = |from: &NinefoldAddress, length| {
            ninefold_client_handle_datagram(client.0, 0, from, datagram.as_mut_ptr(), length)
        };
        assert_eq!(handle(&from, 64), Argument);
        from.version = 6;
        assert_eq!((handle(&from, 64), handle(&from, 0), handle(&from, usize::MAX)), (Ok, Ok, Argument));
        let (mut to, mut length) = (from, 0);
        let mut poll = |room| {
            let buffer = datagram.as_mut_ptr();
            ninefold_client_poll_transmit(client.0, 0, &raw mut to, buffer, room, &raw mut length)
        };
        assert_eq!(poll(64), Argument);
        let (at, mut hit) = ([f64::NAN, 0.0, 0.0], NinefoldHit::None);
        assert_eq!(ninefold_client_contents(client.0, at.as_ptr(), &raw mut hit), Ok);
        assert_eq!(hit, NinefoldHit::Outside);
        let mut count = 7;
        assert_eq!(ninefold_chunk_faces(client.0, 0, 0, null_mut(), 0, &raw mut count), Nothing);
    }
}

/// A game's own socket and clock around a client, in a real server.
struct Game {
    client: Handle,
    socket: UdpSocket,
    began: Instant,
}

impl Game {
    fn join(server: &Server, client_id: u64) -> Game {
        let config = NinefoldConfig { unix_s_at_zero: unix_s(), ..config() };
        let token = token_for(client_id, &server.address().to_string());
        let client = Handle::with(&token, &raw const config);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Game { client, socket, began: Instant::now() }
    }

    fn frame(&self) {
        let now_us = self.began.elapsed().as_micros() as u64;
        let mut buffer = [0; 2_048];
        // SAFETY: the pointers are to what they say.
        unsafe {
            while let Result::Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                let std::net::IpAddr::V4(v4) = from.ip() else { continue };
                let mut ip = [0; 16];
                ip[..4].copy_from_slice(&v4.octets());
                let from = NinefoldAddress { ip, port: from.port(), version: 4, reserved: 0 };
                let bytes = buffer.as_mut_ptr();
                assert_eq!(ninefold_client_handle_datagram(self.client.0, now_us, &from, bytes, length), Ok);
            }
            assert_eq!(ninefold_client_handle_timeout(self.client.0, now_us), Ok);
            let mut to = NinefoldAddress { ip: [0; 16], port: 0, version: 0, reserved: 0 };
            let (mut length, client) = (0, self.client.0);
            let poll = |to: &mut NinefoldAddress, length: &mut usize, buffer: &mut [u8]| {
                ninefold_client_poll_transmit(client, now_us, to, buffer.as_mut_ptr(), buffer.len(), length)
            };
            while poll(&mut to, &mut length, &mut buffer) == Ok {
                let ip: [u8; 4] = *to.ip.first_chunk().unwrap();
                let to = (std::net::Ipv4Addr::from(ip), to.port);
                self.socket.send_to(&buffer[..length], to).unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }

    fn stats(&self) -> NinefoldStats {
        // SAFETY: all-zero bytes are stats, which are as long as they say.
        unsafe {
            let mut stats: NinefoldStats = std::mem::zeroed();
            stats.size = size_of::<NinefoldStats>() as u32;
            assert_eq!(ninefold_client_stats(self.client.0, &raw mut stats), Ok);
            stats
        }
    }

    fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < end, "did not come true: {what}");
            self.frame();
        }
    }
}

#[test]
fn a_game_with_its_own_socket_plays_and_finds_its_way_in_the_chunks() {
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let server = Server::start(&config, Arc::new(BspWorld::new(config.world_seed))).unwrap();
    let game = Game::join(&server, 7);
    game.until("the ring is here", || {
        let stats = game.stats();
        stats.chunks_held >= 9 && stats.chunks_wanted == 0 && stats.is_connected == 1
    });
    // SAFETY: the pointers are to what they say, and zeroes are valid of all these types.
    unsafe {
        let mut own: NinefoldOwn = std::mem::zeroed();
        own.size = size_of::<NinefoldOwn>() as u32;
        game.until("it is in the world", || ninefold_client_own(game.client.0, &raw mut own) == Ok);
        let (client, cx, cz) = (game.client.0, own.cx, own.cz);
        let mut count = 0;
        assert_eq!(ninefold_chunk_faces(client, cx, cz, null_mut(), 0, &raw mut count), Short);
        let mut faces: Vec<NinefoldFace> = vec![std::mem::zeroed(); count];
        assert_eq!(ninefold_chunk_faces(client, cx, cz, faces.as_mut_ptr(), 3, &raw mut count), Short);
        assert!(faces[2].normal != faces[3].normal && faces[3].normal.x == 0.0, "three were written");
        assert_eq!(ninefold_chunk_faces(client, cx, cz, faces.as_mut_ptr(), count, &raw mut count), Ok);
        let (mut vertices, mut triangles) = (0, 0);
        let (points, no_room) = (null_mut(), null_mut());
        let mut mesh = |points, room, list, list_room| {
            let (v, t) = (&raw mut vertices, &raw mut triangles);
            ninefold_chunk_mesh(client, cx, cz, points, room, v, list, list_room, t)
        };
        assert_eq!(mesh(points, 0, no_room, 0), Short);
        let mut list: Vec<NinefoldTriangle> = vec![std::mem::zeroed(); triangles];
        let mut corners: Vec<NinefoldPoint> = vec![std::mem::zeroed(); vertices];
        let room = (corners.len(), list.len());
        let mut mesh = |points, room, list, list_room| {
            let (v, t) = (&raw mut vertices, &raw mut triangles);
            ninefold_chunk_mesh(client, cx, cz, points, room, v, list, list_room, t)
        };
        assert_eq!(mesh(corners.as_mut_ptr(), room.0, list.as_mut_ptr(), room.1), Ok);
        // Each triangle lies in its face and looks its way.
        for triangle in &list {
            let [a, b, c] = triangle.vertices.map(|v| corners[usize::from(v)]);
            let normal = faces[usize::from(triangle.face)].normal;
            let [u, w] = [b, c].map(|p| [p.x - a.x, p.y - a.y, p.z - a.z]);
            let cross = [u[1] * w[2] - u[2] * w[1], u[2] * w[0] - u[0] * w[2], u[0] * w[1] - u[1] * w[0]];
            assert!(cross[0] * normal.x + cross[1] * normal.y + cross[2] * normal.z > 0.0);
        }
        // Straight down is the floor that it stands on.
        let (from, to, half) = ([own.x, own.y + 8.0, own.z], [own.x, own.y - 100.0, own.z], [0.0; 3]);
        let mut trace: NinefoldTrace = std::mem::zeroed();
        trace.size = size_of::<NinefoldTrace>() as u32;
        assert_eq!(
            ninefold_client_trace(client, from.as_ptr(), to.as_ptr(), half.as_ptr(), &raw mut trace),
            Ok
        );
        assert_eq!((trace.hit, trace.cx, trace.cz, trace.normal.y), (NinefoldHit::Rock, cx, cz, 1.0));
        let mut hit = NinefoldHit::None;
        assert_eq!(ninefold_client_contents(client, to.as_ptr(), &raw mut hit), Ok);
        assert_eq!(hit, NinefoldHit::Rock);
        assert_eq!(ninefold_client_leave(client), Ok);
    }
    game.frame();
    let left = Instant::now();
    while server.live().clients.load(Ordering::Relaxed) > 0 {
        assert!(left.elapsed() < Duration::from_secs(3), "the goodbye was heard");
        std::thread::sleep(Duration::from_millis(5));
    }
    server.stop().unwrap();
}

impl Game {
    fn own(&self) -> Option<NinefoldOwn> {
        // SAFETY: all-zero bytes are an own, which is as long as it says.
        unsafe {
            let mut own: NinefoldOwn = std::mem::zeroed();
            own.size = size_of::<NinefoldOwn>() as u32;
            (ninefold_client_own(self.client.0, &raw mut own) == Ok).then_some(own)
        }
    }

    fn entities(&self) -> Vec<NinefoldEntity> {
        let mut count = 0;
        // SAFETY: zeroes are an entity, and there is room for as many as said.
        unsafe {
            let mut room: Vec<NinefoldEntity> = vec![std::mem::zeroed(); 64];
            let (first, length) = (room.as_mut_ptr(), room.len());
            assert_eq!(ninefold_client_entities(self.client.0, first, length, &raw mut count), Ok);
            room.truncate(count);
            room
        }
    }

    /// The kinds of all events that wait, with what they say of entities.
    fn events(&self) -> Vec<(NinefoldEventKind, u64)> {
        let mut events = Vec::new();
        let mut next = event();
        // SAFETY: the event is as long as it says.
        while unsafe { ninefold_client_poll_event(self.client.0, &raw mut next) } == Ok {
            events.push((next.kind, next.entity_id));
            next = event();
        }
        events
    }
}

#[test]
fn two_games_see_each_other_walk() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let config = Config { listen, spawn_radius_chunks: 0, ..Config::default() };
    let server = Server::start(&config, Arc::new(BspWorld::new(config.world_seed))).unwrap();
    let games = [Game::join(&server, 1), Game::join(&server, 2)];
    let play = |frames: u32, move_x: f64| {
        for _ in 0..frames {
            // SAFETY: the client is there.
            assert_eq!(unsafe { ninefold_client_set_input(games[0].client.0, move_x, 0.0, 16_384, 0) }, Ok);
            games.iter().for_each(Game::frame);
        }
    };
    // Whom the second one sees where the first one shows itself, once it stands.
    let seen = || {
        let own = games[0].own()?;
        let there = games[1].entities();
        there.into_iter().find(|e| (e.x - own.x).hypot(e.z - own.z) < 0.5 && (e.y - own.y).abs() < 0.5)
    };
    let end = Instant::now() + Duration::from_secs(10);
    let mut found = None;
    let mut way = 1.0;
    while found.is_none() {
        assert!(Instant::now() < end, "the second game does not see the first");
        play(20, way);
        way = -way;
        play(40, 0.0);
        found = seen();
    }
    let found = found.expect("it was found");
    assert_eq!((found.velocity_x, found.velocity_z), (0.0, 0.0));
    assert!(found.yaw.abs_diff(16_384) <= 64, "{}", found.yaw);
    let told = games[1].events();
    assert!(told.contains(&(NinefoldEventKind::EntityEntered, found.id)), "{told:?}");
    let stats = games[0].stats();
    assert!(stats.confirmations > 10 && stats.corrections <= 1, "{stats:?}");
    assert!(stats.input_lead_us != NINEFOLD_UNKNOWN && stats.loss_up == 0.0, "{stats:?}");
    // Who leaves is told of.
    // SAFETY: the client is there.
    assert_eq!(unsafe { ninefold_client_leave(games[0].client.0) }, Ok);
    games[0].frame();
    games[1].until("it has left", || games[1].events().contains(&(NinefoldEventKind::EntityLeft, found.id)));
    server.stop().unwrap();
}
