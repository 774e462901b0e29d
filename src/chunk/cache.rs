//! Ready chunks and the bytes they take.
//!
//! Chunks in some client's ring are pinned: they count, and are never evicted. The rest wait here in the
//! order of their last use and go, the longest unused first, while all together take more than the bound.
//! If the pinned ones alone exceed it, nothing is cached and the gauge says so.

use std::sync::Arc;

use lru::LruCache;
use ninefold_protocol::time::Duration;
use ninefold_world::{Chunk, ChunkCoord};

use super::request::{Encoded, Made};

/// A chunk to walk in and its bytes for the wire. Cloning it copies neither.
#[derive(Clone, Debug)]
pub struct ReadyChunk {
    /// The chunk itself.
    pub chunk: Arc<Chunk>,
    /// Its encodings, shared by all who send them.
    pub encoded: Encoded,
    /// 1 as generated; each edit adds one.
    pub version: u32,
    /// What generating and encoding it took; zero from a workshop that asks no clock.
    pub generate_time: Duration,
    /// What it counts for in the cache.
    bytes: u64,
}

impl ReadyChunk {
    /// A made chunk at a version.
    pub fn new(made: Made, version: u32) -> Self {
        let Made { chunk, encoded, generate_time } = made;
        let bytes = (encoded.len() + chunk.memory_bytes()) as u64;
        ReadyChunk { chunk, encoded, version, generate_time, bytes }
    }

    /// Bytes of memory, of the chunk, its encodings and their parity as far as it was counted.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The ready chunks that nobody pins, and the accounts of all.
#[derive(Debug)]
pub(super) struct ReadyCache {
    unpinned: LruCache<ChunkCoord, ReadyChunk, ahash::RandomState>,
    unpinned_bytes: u64,
    pinned: usize,
    pinned_bytes: u64,
    bytes_max: u64,
}

impl ReadyCache {
    pub fn new(bytes_max: u64) -> Self {
        let unpinned = LruCache::unbounded_with_hasher(ahash::RandomState::new());
        ReadyCache { unpinned, unpinned_bytes: 0, pinned: 0, pinned_bytes: 0, bytes_max }
    }

    /// Ready chunks, pinned or not.
    pub fn len(&self) -> usize {
        self.unpinned.len() + self.pinned
    }

    /// Bytes of all ready chunks, pinned or not.
    pub fn bytes(&self) -> u64 {
        self.unpinned_bytes + self.pinned_bytes
    }

    /// An unpinned chunk. Looking is not a use.
    pub fn peek(&self, coord: ChunkCoord) -> Option<&ReadyChunk> {
        self.unpinned.peek(&coord)
    }

    /// Hands a chunk to one who pins it.
    pub fn pin(&mut self, coord: ChunkCoord) -> Option<ReadyChunk> {
        let ready = self.remove(coord)?;
        self.pinned += 1;
        self.pinned_bytes += ready.bytes;
        Some(ready)
    }

    /// Takes over a chunk that nobody pins any more; returns how many were evicted.
    pub fn unpin(&mut self, coord: ChunkCoord, ready: ReadyChunk) -> u64 {
        self.remove_pinned(&ready);
        self.unpinned_bytes += ready.bytes;
        let replaced = self.unpinned.put(coord, ready);
        debug_assert!(replaced.is_none(), "{coord:?} was cached and pinned at once");
        self.evict()
    }

    /// Counts a chunk that was made for those who pin it; returns how many were evicted for it.
    pub fn add_pinned(&mut self, ready: &ReadyChunk) -> u64 {
        self.pinned += 1;
        self.pinned_bytes += ready.bytes;
        self.evict()
    }

    /// No longer counts a pinned chunk that is no longer valid.
    pub fn remove_pinned(&mut self, ready: &ReadyChunk) {
        self.pinned -= 1;
        self.pinned_bytes -= ready.bytes;
    }

    /// Counts parity that was made for a pinned chunk; returns how many were evicted for it.
    pub fn grow_pinned(&mut self, ready: &mut ReadyChunk, bytes: u64) -> u64 {
        ready.bytes += bytes;
        self.pinned_bytes += bytes;
        self.evict()
    }

    /// The same for a chunk that nobody pins, if it is still here at this version.
    pub fn grow_unpinned(&mut self, coord: ChunkCoord, version: u32, bytes: u64) -> u64 {
        let ready = self.unpinned.peek_mut(&coord).filter(|ready| ready.version == version);
        let Some(ready) = ready else { return 0 };
        ready.bytes += bytes;
        self.unpinned_bytes += bytes;
        self.evict()
    }

    /// Takes an unpinned chunk out for good.
    pub fn remove(&mut self, coord: ChunkCoord) -> Option<ReadyChunk> {
        let ready = self.unpinned.pop(&coord)?;
        self.unpinned_bytes -= ready.bytes;
        Some(ready)
    }

    fn evict(&mut self) -> u64 {
        let mut evicted = 0;
        while self.bytes() > self.bytes_max {
            let Some((_, ready)) = self.unpinned.pop_lru() else { break };
            self.unpinned_bytes -= ready.bytes;
            evicted += 1;
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn ready(cx: i32) -> (ChunkCoord, ReadyChunk) {
        let coord = ChunkCoord { cx, cz: 0 };
        let chunk = Arc::new(Chunk::safe(coord));
        let encoded = Encoded::new(Bytes::from_static(&[0; 60]), Some(Bytes::from_static(&[0; 40])));
        (coord, ReadyChunk::new(Made { chunk, encoded, generate_time: Duration::ZERO }, 1))
    }

    #[test]
    fn parity_counts_with_its_chunk_and_goes_with_it() {
        let each = ready(0).1.bytes();
        let mut cache = ReadyCache::new(2 * each + 500);
        let (one, mut chunk) = ready(1);
        assert_eq!(cache.add_pinned(&chunk) + cache.grow_pinned(&mut chunk, 300), 0);
        assert_eq!((cache.bytes(), cache.unpin(one, chunk)), (each + 300, 0));
        // Another version's is not here to be counted.
        assert_eq!((cache.grow_unpinned(one, 2, 900), cache.bytes()), (0, each + 300));
        assert_eq!((cache.grow_unpinned(one, 1, 200), cache.bytes()), (0, each + 500));
        assert_eq!((cache.add_pinned(&ready(2).1), cache.bytes()), (0, 2 * each + 500));
        assert_eq!((cache.add_pinned(&ready(3).1), cache.bytes()), (1, 2 * each));
    }

    #[test]
    fn the_longest_unused_goes_first_and_bytes_are_kept_to() {
        let each = ready(0).1.bytes();
        let mut cache = ReadyCache::new(2 * each);
        let mut evicted = 0;
        for cx in [1, 2] {
            let (coord, chunk) = ready(cx);
            evicted += cache.add_pinned(&chunk) + cache.unpin(coord, chunk);
        }
        // A use of 1 makes 2 the longest unused.
        let (one, _) = ready(1);
        let chunk = cache.pin(one).unwrap();
        evicted += cache.unpin(one, chunk);
        assert_eq!(evicted, 0);
        assert_eq!(cache.add_pinned(&ready(3).1), 1);
        assert!(cache.peek(one).is_some() && cache.peek(ready(2).0).is_none());
        assert_eq!((cache.bytes(), cache.len()), (2 * each, 2));
    }

    #[test]
    fn pinned_chunks_above_the_bound_stay_and_leave_no_room_for_others() {
        let mut cache = ReadyCache::new(1);
        let (coord, chunk) = ready(1);
        assert_eq!(cache.add_pinned(&ready(2).1), 0);
        assert_eq!(cache.add_pinned(&chunk), 0);
        assert_eq!(cache.unpin(coord, chunk), 1);
        assert_eq!(cache.bytes(), ready(2).1.bytes());
        cache.remove_pinned(&ready(2).1);
        assert_eq!(cache.bytes(), 0);
    }
}
