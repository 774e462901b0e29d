//! The client core against a scripted server, in virtual time: real connection and link, no socket.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use ninefold_client::protocol::chunk::{Fragmenter, ParityEncoder};
use ninefold_client::protocol::connection::{
    self, ConnectToken, DATAGRAM_BYTES_MAX, HandshakeLimits, Received, ServerConfig, TokenParams,
};
use ninefold_client::protocol::frame::{
    ChunkAt, ChunkKey, Message, RefuseReason, UnavailableReason, Welcome, kind,
};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::link::Link;
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::{
    BspWorld, CHUNK_KIND_BSP, Chunk, ChunkCoord, ENCODING_BSP, ENCODING_RECIPE, Generator, Scratch, Topology,
    encode, encode_recipe,
};
use ninefold_client::{ASK_AFTER, CACHE_CHUNKS_MIN, Client, ClientConfig, EndReason, Event};
use zerocopy::IntoBytes;

const SERVER: &str = "127.0.0.1:40000";
const ORIGIN: ChunkCoord = ChunkCoord { cx: 0, cz: 0 };

fn key(coord: ChunkCoord) -> ChunkKey {
    ChunkKey { cx: coord.cx, cy: 0, cz: coord.cz }
}

/// A client and a server that says what a test tells it to.
struct Pair {
    client: Client,
    server: connection::Server,
    link: Link<()>,
    from: SocketAddr,
    now: Instant,
    heard: Vec<Message>,
    events: Vec<Event>,
}

impl Pair {
    fn connected(cache_chunks_max: usize) -> Pair {
        let now = Instant::ZERO;
        let config = ServerConfig {
            protocol_id: 1,
            private_key: [1; 32],
            public_addresses: vec![SERVER.parse().unwrap()],
            clients_max: 1,
            unix_s_at_origin: 1_000,
            challenge_key: [2; 32],
            hash_seed: [3; 32],
            limits: HandshakeLimits::default(),
        };
        let params = TokenParams {
            protocol_id: 1,
            client_id: 1,
            create_unix_s: 1_000,
            expire_unix_s: 1_600,
            timeout_s: 0,
            server_addresses: vec![SERVER.parse().unwrap()],
            user_data: [0; 256],
        };
        let token = ConnectToken::mint(&params, &[1; 32], [4; 24], [5; 32], [6; 32]).unwrap();
        let client_config = ClientConfig { cache_chunks_max, ..ClientConfig::new(1_000) };
        let mut pair = Pair {
            client: Client::new(now, &client_config, &token).unwrap(),
            server: connection::Server::new(config, now),
            link: Link::new(now),
            from: "10.0.0.1:5000".parse().unwrap(),
            now,
            heard: Vec::new(),
            events: Vec::new(),
        };
        (0..5).for_each(|_| pair.step());
        assert!(pair.client.is_connected());
        assert!(matches!(pair.heard[0], Message::Hello(_)));
        pair
    }

    /// 16 ms, and everything that both have to say.
    fn step(&mut self) {
        self.now += Duration::from_ms(16);
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        self.client.handle_timeout(self.now);
        while let Some(transmit) = self.client.poll_transmit(self.now, &mut buffer) {
            let received = self.server.handle(self.now, self.from, &mut buffer[..transmit.bytes]);
            if let Received::Payload { bytes, .. } = received {
                self.link.handle_packet(self.now, bytes).unwrap().for_each(drop);
                while let Some(raw) = self.link.poll_message() {
                    self.heard.push(Message::decode(&raw).unwrap());
                }
                while self.link.poll_outcome().is_some() {}
            }
        }
        self.server.handle_timeout(self.now);
        while let Some(transmit) = self.server.poll_transmit(self.now, &mut buffer) {
            self.client.handle_datagram(self.now, SERVER.parse().unwrap(), &mut buffer[..transmit.bytes]);
        }
        while self.server.poll_event().is_some() {}
        self.link.handle_timeout(self.now);
        while self.link.poll_outcome().is_some() {}
        if self.link.wants_to_send() {
            self.send_frame(None);
        }
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
    }

    fn send_frame(&mut self, frame: Option<(u8, &[u8])>) {
        let mut packet_bytes = [0; PACKET_BYTES_MAX];
        let mut packet = self.link.packet(self.now, &mut packet_bytes);
        if let Some((kind, body)) = frame {
            packet.push(kind, &[body]);
        }
        let Some(built) = packet.finish() else { return };
        let mut out = [0; DATAGRAM_BYTES_MAX];
        let payload = &packet_bytes[..built.head_bytes];
        let (_, bytes) = self.server.seal(self.now, 0, &[payload], &mut out).unwrap();
        self.client.handle_datagram(self.now, SERVER.parse().unwrap(), &mut out[..bytes]);
    }

    fn say(&mut self, message: Message) {
        self.link.send_message(&message).unwrap();
        self.step();
    }

    fn enter(&mut self, coord: ChunkCoord) {
        self.say(Message::ChunkEnter { cx: coord.cx, cz: coord.cz });
    }

    fn send_chunk(&mut self, coord: ChunkCoord, version: u32, bytes: Vec<u8>) {
        self.send_encoded(coord, version, ENCODING_BSP, bytes);
    }

    fn send_encoded(&mut self, coord: ChunkCoord, version: u32, encoding: u8, bytes: Vec<u8>) {
        let fragmenter =
            Fragmenter::new(key(coord), version, CHUNK_KIND_BSP, encoding, Bytes::from(bytes)).unwrap();
        for index in 0..fragmenter.count() {
            let (header, tail) = fragmenter.fragment(index);
            self.send_frame(Some((kind::FRAGMENT, &[header.as_bytes(), &tail].concat())));
        }
        self.step();
    }

    /// The chunk without its first fragment, and one of parity, which `change` may spoil.
    fn send_with_parity(&mut self, coord: ChunkCoord, bytes: Vec<u8>, change: impl Fn(&mut Vec<u8>)) {
        let bytes = Bytes::from(bytes);
        let fragmenter = Fragmenter::new(key(coord), 1, CHUNK_KIND_BSP, ENCODING_BSP, bytes).unwrap();
        for index in 1..fragmenter.count() {
            let (header, tail) = fragmenter.fragment(index);
            self.send_frame(Some((kind::FRAGMENT, &[header.as_bytes(), &tail].concat())));
        }
        let (header, tail) = ParityEncoder::default().encode(&fragmenter).fragment(3);
        let mut parity = [header.as_bytes(), &tail].concat();
        change(&mut parity);
        self.send_frame(Some((kind::FRAGMENT, &parity)));
        self.step();
    }

    fn heard_since(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.heard)
    }
}

fn chunk(coord: ChunkCoord) -> Chunk {
    BspWorld::new(9).generate(coord, &mut Scratch::default())
}

#[test]
fn a_ring_comes_in_and_becomes_usable() {
    let mut pair = Pair::connected(64);
    pair.enter(ORIGIN);
    assert_eq!(pair.events.last(), Some(&Event::Entered { coord: ORIGIN, present: false }));
    assert_eq!(pair.client.ring().wanted().len(), 9);
    for coord in Topology::Plane.ring(ORIGIN) {
        pair.send_chunk(coord, 1, encode(&chunk(coord)));
    }
    assert!(pair.client.ring().wanted().is_empty());
    assert_eq!(pair.client.chunk(ORIGIN).map(Arc::as_ref), Some(&chunk(ORIGIN)));
    assert_eq!(pair.client.stats().chunks_complete, 9);
    // Again: nothing new.
    pair.send_chunk(ORIGIN, 1, encode(&chunk(ORIGIN)));
    let stats = pair.client.stats();
    assert_eq!((stats.chunks_complete, stats.fragments_duplicate > 0), (9, true));
}

#[test]
fn a_recipe_becomes_the_same_chunk_and_a_wrong_one_is_refused() {
    let mut pair = Pair::connected(64);
    pair.enter(ORIGIN);
    let (world, built) = (BspWorld::new(9), chunk(ORIGIN));
    let recipe = encode_recipe(&world.grid(ORIGIN), &built).unwrap();
    let elsewhere = world.grid(ChunkCoord::new(1, 0));
    let wrong = encode_recipe(&elsewhere, &built).unwrap();
    pair.send_encoded(ORIGIN, 1, ENCODING_RECIPE, wrong);
    pair.send_encoded(ORIGIN, 2, ENCODING_RECIPE, encode(&built));
    pair.send_encoded(ORIGIN, 3, 77, recipe.clone());
    let stats = pair.client.stats();
    assert_eq!(stats.chunks_hash_failed + stats.chunks_undecodable, 2);
    assert_eq!((stats.fragments_refused, stats.chunks_complete), (1, 0));
    pair.send_encoded(ORIGIN, 4, ENCODING_RECIPE, recipe);
    assert_eq!(pair.client.chunk(ORIGIN).map(Arc::as_ref), Some(&built));
}

#[test]
fn a_chunk_that_is_not_what_it_says_is_refused_and_asked_for_again() {
    let mut pair = Pair::connected(64);
    pair.enter(ORIGIN);
    pair.heard_since();
    let mut damaged = encode(&chunk(ORIGIN));
    damaged[40] ^= 1; // in the content hash
    pair.send_chunk(ORIGIN, 1, damaged);
    pair.step();
    assert_eq!(pair.heard_since(), [Message::ChunkRequest(key(ORIGIN))]);
    // Well formed, and another chunk than its fragments say.
    pair.send_chunk(ORIGIN, 2, encode(&chunk(ChunkCoord { cx: 7, cz: 7 })));
    pair.send_chunk(ORIGIN, 3, vec![1; 3_000]);
    let stats = pair.client.stats();
    assert_eq!((stats.chunks_hash_failed, stats.chunks_undecodable, stats.chunks_complete), (1, 2, 0));
    pair.send_chunk(ORIGIN, 4, encode(&chunk(ORIGIN)));
    assert!(pair.client.chunk(ORIGIN).is_some());
}

#[test]
fn contradicting_fragments_are_refused_and_counted() {
    let mut pair = Pair::connected(64);
    pair.enter(ORIGIN);
    let fragment = |bytes: usize, kind: u8| {
        let fragmenter = Fragmenter::new(key(ORIGIN), 1, kind, ENCODING_BSP, Bytes::from(vec![1; bytes]));
        let (header, tail) = fragmenter.unwrap().fragment(0);
        [header.as_bytes(), &tail].concat()
    };
    for body in [fragment(5_000, 0), fragment(9_000, 0), fragment(5_000, 99)] {
        pair.send_frame(Some((kind::FRAGMENT, &body)));
    }
    let mut forged_id = fragment(5_000, 0);
    forged_id[0] ^= 1;
    pair.send_frame(Some((kind::FRAGMENT, &forged_id)));
    let stats = pair.client.stats();
    assert_eq!((stats.fragments_in, stats.fragments_refused, stats.frames_refused), (3, 2, 1));
}

#[test]
fn unknown_frames_and_messages_are_skipped_and_counted() {
    let mut pair = Pair::connected(64);
    pair.send_frame(Some((0xee, b"from the future")));
    pair.say(Message::Unknown(200));
    pair.enter(ORIGIN);
    assert_eq!(pair.client.stats().frames_unknown, 2);
    assert_eq!(pair.client.ring().active(), Some(ORIGIN));
}

#[test]
fn what_does_not_come_is_asked_for() {
    let mut pair = Pair::connected(64);
    pair.enter(ORIGIN);
    pair.heard_since();
    let asked_at = pair.now + ASK_AFTER;
    while pair.now < asked_at + Duration::from_ms(50) {
        pair.step();
    }
    let heard = pair.heard_since();
    assert_eq!(heard.len(), 9);
    assert!(heard.iter().all(|m| matches!(m, Message::ChunkRequest(_))));
}

#[test]
fn a_full_cache_gives_up_the_oldest_and_says_so_and_never_the_ring() {
    let mut pair = Pair::connected(CACHE_CHUNKS_MIN);
    for cx in 0..12 {
        let here = ChunkCoord { cx, cz: 0 };
        pair.enter(here);
        for coord in Topology::Plane.ring(here) {
            if pair.client.chunk(coord).is_none() {
                pair.send_chunk(coord, 1, encode(&Chunk::safe(coord)));
            }
        }
        assert!(Topology::Plane.ring(here).all(|c| pair.client.chunk(c).is_some()));
    }
    pair.step();
    let forgotten: Vec<_> = (pair.heard_since().into_iter())
        .filter_map(|m| if let Message::ChunkForget(at) = m { Some(at) } else { None })
        .collect();
    assert_eq!(forgotten.len(), 9 + 11 * 3 - CACHE_CHUNKS_MIN);
    assert_eq!(pair.client.cache().len(), CACHE_CHUNKS_MIN);
    assert!(forgotten.iter().all(|at| at.version == 1 && at.key.cx < 10));
}

#[test]
fn parity_makes_up_for_a_lost_fragment() {
    let mut pair = Pair::connected(64);
    pair.enter(ORIGIN);
    pair.send_with_parity(ORIGIN, encode(&chunk(ORIGIN)), |_| {});
    assert_eq!(pair.client.chunk(ORIGIN).map(Arc::as_ref), Some(&chunk(ORIGIN)));
    assert_eq!(pair.client.stats().frames_refused, 0);
}

#[test]
fn parity_that_lies_costs_one_more_request() {
    let mut pair = Pair::connected(64);
    pair.enter(ORIGIN);
    pair.heard_since();
    pair.send_with_parity(ORIGIN, encode(&chunk(ORIGIN)), |parity| parity[100] ^= 0xff);
    assert!(pair.client.chunk(ORIGIN).is_none());
    let stats = pair.client.stats();
    assert_eq!(stats.chunks_hash_failed + stats.chunks_undecodable, 1);
    pair.step();
    assert!(pair.heard_since().contains(&Message::ChunkRequest(key(ORIGIN))));
    pair.send_with_parity(ORIGIN, encode(&chunk(ORIGIN)), |parity| parity[26] = 0x80);
    assert_eq!(pair.client.stats().frames_refused, 1, "a flag that is none");
    pair.send_chunk(ORIGIN, 1, encode(&chunk(ORIGIN)));
    assert!(pair.client.chunk(ORIGIN).is_some());
}

#[test]
fn an_unavailable_chunk_is_safe_ground() {
    let mut pair = Pair::connected(64);
    pair.enter(ORIGIN);
    let at = ChunkAt { key: key(ORIGIN), version: 0 };
    pair.say(Message::ChunkUnavailable(at, UnavailableReason::Failed));
    assert_eq!(pair.client.chunk(ORIGIN).map(Arc::as_ref), Some(&Chunk::safe(ORIGIN)));
    assert_eq!(pair.client.ring().wanted().len(), 8);
    // Should it be made after all, the real one takes its place.
    pair.send_chunk(ORIGIN, 1, encode(&chunk(ORIGIN)));
    assert_eq!(pair.client.chunk(ORIGIN).map(Arc::as_ref), Some(&chunk(ORIGIN)));
}

#[test]
fn a_refusal_says_why() {
    let mut pair = Pair::connected(64);
    pair.say(Message::Refuse(RefuseReason::Version { min: 7, max: 9 }));
    let reason = EndReason::Refused(RefuseReason::Version { min: 7, max: 9 });
    assert_eq!(pair.client.ended(), Some(reason));
    let text = reason.to_string();
    assert!(text.contains("versions 7 to 9") && text.contains("speaks protocol version 2"), "{text}");
    assert_eq!(pair.events.last(), Some(&Event::Ended(reason)));
}

#[test]
fn a_version_that_was_not_offered_is_not_accepted() {
    let mut pair = Pair::connected(64);
    let welcome =
        Welcome { version: 9, tick_rate_hz: 60, player: 0, world_id: 1, tick: 1, walk_speed_units_s: 320 };
    pair.say(Message::Welcome(welcome));
    assert_eq!(pair.client.ended(), Some(EndReason::Version(9)));
}

/// As a newer server may say it: more after the known fields, frames and messages of new kinds.
#[test]
fn what_a_newer_server_says_beside_is_skipped() {
    let mut pair = Pair::connected(64);
    pair.send_frame(Some((0xee, &[1, 2, 3])));
    pair.say(Message::Unknown(200));
    let stats = pair.client.stats();
    assert_eq!((stats.frames_unknown, stats.frames_refused), (2, 0));
    pair.enter(ORIGIN);
    pair.send_chunk(ORIGIN, 1, encode(&chunk(ORIGIN)));
    assert!(pair.client.chunk(ORIGIN).is_some() && pair.client.ended().is_none());
}

#[test]
fn a_new_version_of_a_chunk_replaces_the_old_one() {
    let mut pair = Pair::connected(64);
    pair.enter(ORIGIN);
    pair.send_chunk(ORIGIN, 1, encode(&chunk(ORIGIN)));
    pair.send_chunk(ORIGIN, 2, encode(&Chunk::safe(ORIGIN)));
    assert_eq!(pair.client.chunk(ORIGIN).map(Arc::as_ref), Some(&Chunk::safe(ORIGIN)));
    pair.send_chunk(ORIGIN, 1, encode(&chunk(ORIGIN)));
    assert_eq!(pair.client.chunk(ORIGIN).map(Arc::as_ref), Some(&Chunk::safe(ORIGIN)));
}
