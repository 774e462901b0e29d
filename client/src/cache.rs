//! The chunks that a client holds: at most so many, the least recently used goes first.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use ninefold_world::{Chunk, ChunkCoord};

/// The fewest chunks that a cache may hold: two rings, so that a crossing never throws away what the
/// player can see.
pub const CACHE_CHUNKS_MIN: usize = 18;

/// A chunk in the cache.
#[derive(Debug, Clone)]
pub struct CachedChunk {
    /// The chunk.
    pub chunk: Arc<Chunk>,
    /// Its version; 0 for the safe stand-in of one that cannot be had.
    pub version: u32,
}

/// A least-recently-used cache of chunks.
#[derive(Debug)]
pub struct ChunkCache {
    chunks: LruCache<ChunkCoord, CachedChunk>,
}

/// What fell out of a full cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheFull {
    /// Which chunk.
    pub coord: ChunkCoord,
    /// Its version.
    pub version: u32,
}

impl ChunkCache {
    /// A cache of `chunks_max` chunks, at least [`CACHE_CHUNKS_MIN`].
    pub fn new(chunks_max: usize) -> Self {
        let chunks_max = NonZeroUsize::new(chunks_max.max(CACHE_CHUNKS_MIN)).expect("it is at least 18");
        // Not reserved up front: a client that stays in one place never needs it all.
        let mut chunks = LruCache::unbounded();
        chunks.resize(chunks_max);
        ChunkCache { chunks }
    }

    /// Puts a chunk in as the most recently used; a full cache gives up its least recently used one.
    #[must_use = "what fell out must be told to the server"]
    pub fn insert(&mut self, chunk: Arc<Chunk>, version: u32) -> Option<CacheFull> {
        let coord = chunk.coord();
        let (coord_out, out) = self.chunks.push(coord, CachedChunk { chunk, version })?;
        (coord_out != coord).then_some(CacheFull { coord: coord_out, version: out.version })
    }

    /// Looks without marking as used.
    pub fn peek(&self, coord: ChunkCoord) -> Option<&CachedChunk> {
        self.chunks.peek(&coord)
    }

    /// Holds this chunk in place of an equal one of its own; says whether it does.
    pub fn share(&mut self, chunk: Arc<Chunk>) -> bool {
        match self.chunks.peek_mut(&chunk.coord()) {
            Some(held) if held.chunk.content_hash() == chunk.content_hash() => {
                held.chunk = chunk;
                true
            }
            _ => false,
        }
    }

    /// Marks as used; says whether it is there.
    pub fn touch(&mut self, coord: ChunkCoord) -> bool {
        self.chunks.get(&coord).is_some()
    }

    /// Throws one away.
    pub fn remove(&mut self, coord: ChunkCoord) -> Option<CachedChunk> {
        self.chunks.pop(&coord)
    }

    /// Chunks held.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Chunks that it may hold.
    pub fn chunks_max(&self) -> usize {
        self.chunks.cap().get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(cx: i32) -> Arc<Chunk> {
        Arc::new(Chunk::safe(ChunkCoord { cx, cz: 0 }))
    }

    #[test]
    fn the_least_recently_used_goes_and_is_told() {
        let mut cache = ChunkCache::new(CACHE_CHUNKS_MIN);
        for cx in 0..CACHE_CHUNKS_MIN as i32 {
            assert_eq!(cache.insert(chunk(cx), 1), None);
        }
        assert!(cache.touch(ChunkCoord { cx: 0, cz: 0 }));
        let out = cache.insert(chunk(99), 1);
        assert_eq!(out, Some(CacheFull { coord: ChunkCoord { cx: 1, cz: 0 }, version: 1 }));
        assert_eq!((cache.len(), cache.chunks_max()), (18, 18));
    }

    #[test]
    fn a_newer_version_takes_the_olds_place() {
        let mut cache = ChunkCache::new(0);
        assert_eq!(cache.insert(chunk(0), 1), None);
        assert_eq!(cache.insert(chunk(0), 2), None);
        assert_eq!(cache.peek(ChunkCoord { cx: 0, cz: 0 }).map(|c| c.version), Some(2));
    }
}
