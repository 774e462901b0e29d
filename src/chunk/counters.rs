//! What a chunk service has done and what it holds.

use ninefold_protocol::time::Duration;

/// What has happened to chunks since the service began. A chunk that is asked for again counts again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkCounters {
    /// Pins that found the chunk ready.
    pub hits: u64,
    /// Pins that did not.
    pub misses: u64,
    /// Requests queued to be made, those of an edit or for want of room again included.
    pub asked: u64,
    /// Chunks made and taken in.
    pub made: u64,
    /// Results that nobody waited for any more, thrown away.
    pub stale: u64,
    /// Chunks marked failed, for whatever reason.
    pub failed: u64,
    /// Attempts in which the generator panicked.
    pub panics: u64,
    /// Attempts that were not done within the deadline.
    pub deadline: u64,
    /// Hung workers that were replaced.
    pub workers_replaced: u64,
    /// Results of a size that the wire does not carry.
    pub wrong_size: u64,
    /// Chunks failed because every worker hangs.
    pub without_worker: u64,
    /// Attempts that were put off to be tried again.
    pub retries: u64,
    /// Requests dropped before they were made because nobody wanted them any more.
    pub dropped_unwanted: u64,
    /// Requests turned away because the queue was full; they come in when there is room.
    pub queue_full: u64,
    /// Unpinned chunks evicted for their bytes.
    pub evicted: u64,
    /// Chunks of which parity was made because a client's line asked for it.
    pub parity_made: u64,
}

impl ChunkCounters {
    /// Every counter with its name.
    pub fn each(&self) -> [(&'static str, u64); 16] {
        [
            ("hits", self.hits),
            ("misses", self.misses),
            ("asked", self.asked),
            ("made", self.made),
            ("stale", self.stale),
            ("failed", self.failed),
            ("panics", self.panics),
            ("deadline", self.deadline),
            ("workers_replaced", self.workers_replaced),
            ("wrong_size", self.wrong_size),
            ("without_worker", self.without_worker),
            ("retries", self.retries),
            ("dropped_unwanted", self.dropped_unwanted),
            ("queue_full", self.queue_full),
            ("evicted", self.evicted),
            ("parity_made", self.parity_made),
        ]
    }
}

/// What a chunk service holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkGauges {
    /// Requests that wait to be handed over, retries included.
    pub queued: usize,
    /// Jobs that the workshop has, wanted or not.
    pub making: usize,
    /// Ready chunks, pinned or cached.
    pub ready: usize,
    /// Chunks that somebody pins, ready or not.
    pub pinned: usize,
    /// Bytes of the ready chunks and their encodings.
    pub cache_bytes: u64,
    /// How long the chunk that has been waited for longest has been wanted.
    pub oldest_request_age: Duration,
}
