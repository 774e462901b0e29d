//! The chunks of a client: from fragments to a decoded chunk in the cache, and what the ring still lacks.

use std::sync::Arc;

use ninefold_protocol::chunk::{Assembled, Outcome as Assembly, Refusal};
use ninefold_protocol::frame::{ChunkAt, ChunkKey, Fragment, Message, ParityFragment};
use ninefold_protocol::time::Instant;
use ninefold_world::{
    CHUNK_KIND_BSP, Chunk, ChunkCoord, DecodeError, ENCODING_BSP, ENCODING_RECIPE, Scratch, decode,
};

use super::Client;
use crate::event::Event;

impl Client {
    pub(super) fn enter(&mut self, now: Instant, coord: ChunkCoord) {
        let is_crossing = self.ring.active().is_some();
        self.ring.enter(now, self.topology, coord, &mut self.cache);
        let present = self.cache.peek(coord).is_some();
        if is_crossing {
            self.stats.crossings += 1;
            self.stats.crossings_without_chunk += u64::from(!present);
        }
        self.tell(Event::Entered { coord, present });
    }

    /// A chunk cannot be had: a safe one stands in for it.
    pub(super) fn take_unavailable(&mut self, now: Instant, key: ChunkKey) {
        let coord = ChunkCoord { cx: key.cx, cz: key.cz };
        let chunk = Arc::new(Chunk::safe(coord));
        self.stats.chunks_unavailable += 1;
        self.reassembly.forget(key);
        self.keep(now, Arc::clone(&chunk), 0);
        self.ring.arrived(coord);
        self.tell(Event::ChunkUnavailable { chunk });
    }

    pub(super) fn take_fragment(&mut self, now: Instant, fragment: &Fragment<'_>) {
        self.stats.fragments_in += 1;
        let Fragment { key, version, kind, encoding, .. } = *fragment;
        if self.wants(key, version, kind, encoding) {
            let outcome = self.reassembly.handle(now, fragment);
            self.assembled(now, key, outcome);
        }
    }

    /// Parity counts as a fragment: so many of either sort as a chunk has make it whole.
    pub(super) fn take_parity(&mut self, now: Instant, fragment: &ParityFragment<'_>) {
        self.stats.fragments_in += 1;
        let ParityFragment { key, version, kind, encoding, .. } = *fragment;
        if self.wants(key, version, kind, encoding) {
            let outcome = self.reassembly.handle_parity(now, fragment);
            self.assembled(now, key, outcome);
        }
    }

    /// Whether a fragment is of a chunk that can be used and is not here.
    fn wants(&mut self, key: ChunkKey, version: u32, kind: u8, encoding: u8) -> bool {
        let coord = ChunkCoord { cx: key.cx, cz: key.cz };
        let understood = encoding == ENCODING_BSP || self.recipes && encoding == ENCODING_RECIPE;
        if key.cy != 0 || kind != CHUNK_KIND_BSP || !understood {
            self.stats.fragments_refused += 1;
            return false;
        }
        let is_here = self.cache.peek(coord).is_some_and(|c| c.version >= version);
        self.stats.fragments_duplicate += u64::from(is_here);
        !is_here
    }

    fn assembled(&mut self, now: Instant, key: ChunkKey, outcome: Assembly) {
        let coord = ChunkCoord { cx: key.cx, cz: key.cz };
        match outcome {
            Assembly::Progress => self.ring.grew(now, coord),
            Assembly::Complete(assembled) => self.take_chunk(now, coord, assembled),
            Assembly::Refused(Refusal::Duplicate) => self.stats.fragments_duplicate += 1,
            Assembly::Refused(_) => self.stats.fragments_refused += 1,
        }
    }

    fn take_chunk(&mut self, now: Instant, coord: ChunkCoord, assembled: Assembled) {
        match decode_as(assembled.encoding, &assembled.bytes) {
            Ok(chunk) if chunk.coord() == coord => {
                self.stats.chunks_complete += 1;
                let (version, encoded_bytes) = (assembled.version, assembled.bytes.len());
                self.stats.chunks_not_stored += u64::from(!self.stored.arrived(&chunk, assembled));
                self.take_ready(now, chunk, version, encoded_bytes);
            }
            Ok(_) => {
                self.stats.chunks_undecodable += 1;
                self.request(coord);
            }
            Err(error) => {
                match error {
                    DecodeError::ContentHash { .. } => self.stats.chunks_hash_failed += 1,
                    _ => self.stats.chunks_undecodable += 1,
                }
                self.request(coord);
            }
        }
    }

    /// A chunk is right, from wherever it came.
    pub(super) fn take_ready(&mut self, now: Instant, chunk: Chunk, version: u32, encoded_bytes: usize) {
        let chunk = Arc::new(chunk);
        self.keep(now, Arc::clone(&chunk), version);
        let waited = self.ring.arrived(chunk.coord()).map(|w| now.since(w.since));
        self.tell(Event::ChunkReady { chunk, version, encoded_bytes, waited });
    }

    fn keep(&mut self, now: Instant, chunk: Arc<Chunk>, version: u32) {
        if let Some(out) = self.cache.insert(chunk, version) {
            self.stats.chunks_forgotten += 1;
            // A stand-in was never the server's to know of.
            if out.version > 0 {
                self.send(&Message::ChunkForget(ChunkAt { key: key(out.coord), version: out.version }));
            }
        }
        self.world_changed(now);
    }

    /// Asks for a chunk again; only what is in the ring may be asked for.
    pub(super) fn request(&mut self, coord: ChunkCoord) {
        if self.ring.coords().contains(&coord) {
            self.stats.chunks_requested += 1;
            self.send(&Message::ChunkRequest(key(coord)));
        }
    }
}

pub(super) fn decode_as(encoding: u8, bytes: &[u8]) -> Result<Chunk, DecodeError> {
    match encoding {
        ENCODING_RECIPE => Chunk::from_recipe(bytes, &mut Scratch::default()),
        _ => decode(bytes),
    }
}

pub(super) fn key(coord: ChunkCoord) -> ChunkKey {
    ChunkKey { cx: coord.cx, cy: 0, cz: coord.cz }
}
