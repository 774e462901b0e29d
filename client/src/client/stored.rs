//! Chunks from an earlier session. The core touches no file: it tells what it wants from the store and what it
//! has for it, and whoever has files (`store::Store`, or the game) brings and takes the bytes.
//!
//! ```text
//!   Client::offer         before the greeting: these are there
//!   Client::poll_load     the server says that one of them is right: bring it
//!   Client::handle_loaded here it is, or it is not
//!   Client::poll_encoded  this one came over the wire: keep it
//! ```

use std::collections::{BTreeMap, VecDeque};

use ninefold_protocol::chunk::Assembled;
use ninefold_protocol::frame::{ChunkAt, Message, OFFERS_MAX};
use ninefold_protocol::time::Instant;
use ninefold_world::{Chunk, ChunkCoord, ContentHash};

use super::Client;
use super::chunks::{decode_as, key};

/// Encoded chunks that wait to be taken by the store; the oldest are dropped beyond it.
const ENCODED_MAX: usize = 64;

/// A chunk by its place and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredKey {
    /// Which chunk.
    pub coord: ChunkCoord,
    /// What it is.
    pub content_hash: ContentHash,
}

/// A chunk as it came over the wire, decoded and found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Which chunk.
    pub coord: ChunkCoord,
    /// What it is.
    pub content_hash: ContentHash,
    /// How it is encoded.
    pub encoding: u8,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What the core knows of the store.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// What may be offered, until the greeting; then what was offered and is not spoken of yet.
    offers: BTreeMap<ChunkCoord, ContentHash>,
    loads: VecDeque<(StoredKey, u32)>,
    /// Whether anybody takes encoded chunks.
    keeps: bool,
    encoded: VecDeque<Encoded>,
}

impl Stored {
    /// Gives up the bytes of a chunk that came and is right; without a store they go no further.
    pub fn arrived(&mut self, chunk: &Chunk, assembled: Assembled) -> bool {
        if !self.keeps {
            return true;
        }
        let Assembled { encoding, bytes, .. } = assembled;
        let (coord, content_hash) = (chunk.coord(), chunk.content_hash());
        self.encoded.push_back(Encoded { coord, content_hash, encoding, bytes });
        let has_room = self.encoded.len() <= ENCODED_MAX;
        if !has_room {
            self.encoded.pop_front();
        }
        has_room
    }

    pub fn offers(&self) -> u16 {
        self.offers.len() as u16
    }

    /// The messages behind the greeting.
    pub fn haves(&self) -> Vec<Message> {
        let have = |(coord, hash): (&ChunkCoord, &ContentHash)| Message::ChunkHave {
            key: key(*coord),
            // The first eight bytes of the hash as the chunk's header has it.
            content_hash: hash.0 as u64,
        };
        self.offers.iter().map(have).collect()
    }
}

impl Client {
    /// Says which chunks a store has, the likeliest to be needed first; the first 128 are offered to the
    /// server, each place once, with the greeting. From now on what arrives is kept for
    /// [`Client::poll_encoded`]. Call it before the first datagram is sent; later offers are not made.
    pub fn offer(&mut self, stored: &[StoredKey]) {
        self.stored.keeps = true;
        if self.greeted {
            return;
        }
        for offer in stored {
            if self.stored.offers.len() == usize::from(OFFERS_MAX) {
                break;
            }
            self.stored.offers.entry(offer.coord).or_insert(offer.content_hash);
        }
    }

    /// The next chunk to bring from the store, with the version that it has now.
    pub fn poll_load(&mut self) -> Option<(StoredKey, u32)> {
        self.stored.loads.pop_front()
    }

    /// Takes what [`Client::poll_load`] asked for: encoding and bytes, or nothing. Says whether it was right;
    /// what was not, or is not there, comes from the server.
    pub fn handle_loaded(
        &mut self,
        now: Instant,
        wanted: StoredKey,
        version: u32,
        found: Option<(u8, &[u8])>,
    ) -> bool {
        let StoredKey { coord, content_hash } = wanted;
        let decoded = found.and_then(|(encoding, bytes)| decode_as(encoding, bytes).ok());
        let right = decoded.filter(|c| c.coord() == coord && c.content_hash() == content_hash);
        let is_right = right.is_some();
        if self.cache.peek(coord).is_some_and(|held| held.version >= version) {
            return is_right;
        }
        match right {
            Some(chunk) => {
                self.stats.chunks_from_store += 1;
                self.take_ready(now, chunk, version, 0);
            }
            None => {
                self.stats.chunks_store_failed += 1;
                self.lack(coord, version);
            }
        }
        is_right
    }

    /// The next chunk that came over the wire, for the store to keep. Nothing is copied, and without
    /// [`Client::offer`] nothing is kept.
    pub fn poll_encoded(&mut self) -> Option<Encoded> {
        self.stored.encoded.pop_front()
    }

    /// The server takes a chunk as held at this version.
    pub(super) fn take_known(&mut self, at: ChunkAt) {
        let coord = ChunkCoord { cx: at.key.cx, cz: at.key.cz };
        if at.key.cy != 0 {
            // A floor that this world does not have was never offered.
            self.stats.frames_refused += 1;
            return;
        }
        match self.stored.offers.remove(&coord) {
            Some(content_hash) => {
                self.stored.loads.push_back((StoredKey { coord, content_hash }, at.version));
            }
            None => {
                self.stats.frames_refused += 1;
                self.lack(coord, at.version);
            }
        }
    }

    /// The server believes that this chunk is here, and it is not.
    fn lack(&mut self, coord: ChunkCoord, version: u32) {
        if self.ring.coords().contains(&coord) {
            self.request(coord);
        } else {
            self.send(&Message::ChunkForget(ChunkAt { key: key(coord), version }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientConfig, Event};
    use bytes::Bytes;
    use ninefold_protocol::chunk::Fragmenter;
    use ninefold_protocol::frame::{ChunkKey, kind};
    use ninefold_protocol::limits::PACKET_BYTES_MAX;
    use ninefold_protocol::link::Link;
    use ninefold_protocol::time::Duration;
    use ninefold_world::{
        BspWorld, CHUNK_KIND_BSP, ENCODING_BSP, ENCODING_RECIPE, Generator, Scratch, encode, encode_recipe,
    };
    use zerocopy::IntoBytes;

    const HERE: ChunkCoord = ChunkCoord { cx: 4, cz: -2 };
    const FAR: ChunkCoord = ChunkCoord { cx: 40, cz: 0 };

    fn chunk(coord: ChunkCoord) -> Chunk {
        BspWorld::new(9).generate(coord, &mut Scratch::default())
    }

    fn stored(coord: ChunkCoord) -> StoredKey {
        StoredKey { coord, content_hash: chunk(coord).content_hash() }
    }

    /// A client and the server's end of its link.
    struct Pair {
        client: Client,
        link: Link<()>,
        now: Instant,
        heard: Vec<Message>,
    }

    impl Pair {
        fn offering(offers: &[StoredKey]) -> Pair {
            let now = Instant::ZERO;
            let mut client = Client::carried(now, &ClientConfig::new(0));
            client.offer(offers);
            client.carrier_is_up();
            let mut pair = Pair { client, link: Link::new(now), now, heard: Vec::new() };
            pair.step();
            pair
        }

        fn step(&mut self) {
            self.now += Duration::from_ms(16);
            let mut buffer = [0; PACKET_BYTES_MAX];
            self.client.handle_timeout(self.now);
            while let Some(bytes) = self.client.poll_packet(self.now, &mut buffer) {
                self.link.handle_packet(self.now, &buffer[..bytes]).unwrap().for_each(drop);
                while let Some(raw) = self.link.poll_message() {
                    self.heard.push(Message::decode(&raw).unwrap());
                }
                while self.link.poll_outcome().is_some() {}
            }
            if self.link.wants_to_send() {
                self.send(None);
            }
        }

        fn send(&mut self, frame: Option<&[u8]>) {
            let mut buffer = [0; PACKET_BYTES_MAX];
            let mut packet = self.link.packet(self.now, &mut buffer);
            if let Some(body) = frame {
                packet.push(kind::FRAGMENT, &[body]);
            }
            let bytes = packet.finish().unwrap().head_bytes;
            self.client.handle_packet(self.now, &buffer[..bytes]);
        }

        fn say(&mut self, message: Message) {
            self.link.send_message(&message).unwrap();
            self.step();
            self.step();
        }

        fn knows(&mut self, coord: ChunkCoord) {
            self.say(Message::ChunkKnown(ChunkAt { key: key(coord), version: 3 }));
        }

        fn heard_last(&self) -> Message {
            *self.heard.last().unwrap()
        }
    }

    #[test]
    fn offers_stand_right_behind_the_greeting() {
        let pair = Pair::offering(&[stored(HERE), stored(FAR)]);
        let Message::Hello(hello) = pair.heard[0] else { panic!("{:?}", pair.heard) };
        assert_eq!((hello.offers, pair.heard.len()), (2, 3));
        let hash = chunk(HERE).content_hash().0 as u64;
        assert_eq!(pair.heard[1], Message::ChunkHave { key: key(HERE), content_hash: hash });
        // As the chunk's own header begins to say it.
        assert_eq!(encode(&chunk(HERE))[32..40], hash.to_le_bytes());
    }

    #[test]
    fn no_more_than_the_protocol_allows_are_offered_and_each_place_once() {
        let hash = |cx| ContentHash(cx as u128);
        let at = |cx| StoredKey { coord: ChunkCoord { cx, cz: 0 }, content_hash: hash(cx) };
        let again = StoredKey { content_hash: ContentHash(77), ..at(0) };
        let offers: Vec<_> = [at(0), again].into_iter().chain((1..500).map(at)).collect();
        let pair = Pair::offering(&offers);
        let haves = pair.heard.iter().filter(|m| matches!(m, Message::ChunkHave { .. })).count();
        assert_eq!(haves, usize::from(OFFERS_MAX));
        assert_eq!(pair.heard[1], Message::ChunkHave { key: key(at(0).coord), content_hash: 0 });
    }

    #[test]
    fn what_the_server_knows_is_loaded_and_ready_like_one_that_came() {
        let mut pair = Pair::offering(&[stored(HERE)]);
        pair.say(Message::ChunkEnter { cx: HERE.cx, cz: HERE.cz });
        pair.knows(HERE);
        let (wanted, version) = pair.client.poll_load().unwrap();
        assert_eq!((wanted, version, pair.client.poll_load()), (stored(HERE), 3, None));
        while pair.client.poll_event().is_some() {}
        let recipe = encode_recipe(&BspWorld::new(9).grid(HERE), &chunk(HERE)).unwrap();
        assert!(pair.client.handle_loaded(pair.now, wanted, version, Some((ENCODING_RECIPE, &recipe))));
        let Some(Event::ChunkReady { chunk: ready, version: 3, encoded_bytes: 0, waited: Some(_) }) =
            pair.client.poll_event()
        else {
            panic!("it is ready")
        };
        assert_eq!(*ready, chunk(HERE));
        assert!(pair.client.chunk(HERE).is_some() && pair.client.ring().wanted().len() == 8);
        assert_eq!((pair.client.stats().chunks_from_store, pair.client.stats().chunks_complete), (1, 0));
        // It lies in the store already.
        assert_eq!(pair.client.poll_encoded(), None);
    }

    #[test]
    fn what_is_not_in_the_store_or_wrong_there_comes_from_the_server() {
        let other = encode(&chunk(FAR));
        let mut damaged = encode(&chunk(HERE));
        damaged[33] ^= 1;
        for found in [None, Some(&other[..]), Some(&damaged[..]), Some(&b"nothing"[..])] {
            let mut pair = Pair::offering(&[stored(HERE)]);
            pair.say(Message::ChunkEnter { cx: HERE.cx, cz: HERE.cz });
            pair.knows(HERE);
            let (wanted, version) = pair.client.poll_load().unwrap();
            let found = found.map(|bytes| (ENCODING_BSP, bytes));
            assert!(!pair.client.handle_loaded(pair.now, wanted, version, found));
            pair.step();
            assert_eq!(pair.heard_last(), Message::ChunkRequest(key(HERE)));
            assert_eq!(pair.client.stats().chunks_store_failed, 1);
        }
    }

    #[test]
    fn a_claim_outside_the_ring_that_is_not_true_is_taken_back() {
        let mut pair = Pair::offering(&[stored(FAR)]);
        pair.knows(FAR);
        let (wanted, version) = pair.client.poll_load().unwrap();
        assert!(!pair.client.handle_loaded(pair.now, wanted, version, None));
        pair.step();
        let at = ChunkAt { key: key(FAR), version: 3 };
        assert_eq!(pair.heard_last(), Message::ChunkForget(at));
        // Nor does the server know of what was not offered, or twice.
        for coord in [FAR, HERE] {
            pair.heard.clear();
            pair.knows(coord);
            assert_eq!(pair.heard_last(), Message::ChunkForget(ChunkAt { key: key(coord), ..at }));
        }
        assert_eq!((pair.client.stats().frames_refused, pair.client.poll_load()), (2, None));
    }

    #[test]
    fn a_floor_that_this_world_does_not_have_is_refused_and_takes_no_offer_with_it() {
        let mut pair = Pair::offering(&[stored(HERE)]);
        let at = ChunkAt { key: ChunkKey { cy: 1, ..key(HERE) }, version: 3 };
        pair.say(Message::ChunkKnown(at));
        assert_eq!((pair.client.stats().frames_refused, pair.client.poll_load()), (1, None));
        pair.knows(HERE);
        assert_eq!(pair.client.poll_load(), Some((stored(HERE), 3)));
    }

    fn send_chunk(pair: &mut Pair, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        let fragmenter = Fragmenter::new(key(HERE), 1, CHUNK_KIND_BSP, ENCODING_BSP, bytes).unwrap();
        for index in 0..fragmenter.count() {
            let (header, tail) = fragmenter.fragment(index);
            pair.send(Some(&[header.as_bytes(), &tail].concat()));
        }
    }

    #[test]
    fn what_came_over_the_wire_goes_to_the_store_if_there_is_one() {
        let bytes = encode(&chunk(HERE));
        let mut pair = Pair::offering(&[]);
        send_chunk(&mut pair, &bytes);
        let StoredKey { coord, content_hash } = stored(HERE);
        let encoded = Encoded { coord, content_hash, encoding: ENCODING_BSP, bytes: bytes.clone() };
        assert_eq!((pair.client.poll_encoded(), pair.client.poll_encoded()), (Some(encoded), None));
        let mut without = Client::carried(Instant::ZERO, &ClientConfig::new(0));
        without.carrier_is_up();
        let mut pair =
            Pair { client: without, link: Link::new(Instant::ZERO), now: Instant::ZERO, heard: Vec::new() };
        pair.step();
        send_chunk(&mut pair, &bytes);
        assert_eq!((pair.client.stats().chunks_complete, pair.client.poll_encoded()), (1, None));
    }

    #[test]
    fn a_store_that_takes_nothing_costs_a_bound_of_memory() {
        let mut kept = Stored { keeps: true, ..Stored::default() };
        let chunk = chunk(HERE);
        let assembled = || Assembled {
            key: key(HERE),
            version: 1,
            kind: CHUNK_KIND_BSP,
            encoding: ENCODING_BSP,
            bytes: vec![1],
        };
        for _ in 0..ENCODED_MAX {
            assert!(kept.arrived(&chunk, assembled()));
        }
        assert!(!kept.arrived(&chunk, assembled()));
        assert_eq!(kept.encoded.len(), ENCODED_MAX);
    }
}
