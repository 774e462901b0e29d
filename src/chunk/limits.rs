//! The bounds of the chunk service: what a configuration sets, and what it does not.

use ninefold_protocol::time::Duration;

use crate::config::Config;

/// The wait before the first retry of a chunk whose generator panicked.
pub const RETRY_BACKOFF: Duration = Duration::from_ms(100);
/// How much longer each following retry waits.
pub const RETRY_BACKOFF_FACTOR: u64 = 4;
/// No retry waits longer than this.
pub const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How many hung workers are replaced in the life of a pool. Each costs a thread that may never end.
pub const WORKERS_LOST_MAX: usize = 16;
/// How many edited chunks have their version remembered. A table of them takes about 1 MiB.
pub const EDITED_CHUNKS_MAX: usize = 65_536;

/// What one [`ChunkService`](super::ChunkService) may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Chunks handed to the workshop and not back yet, however many workers it has.
    pub making_max: usize,
    /// Requests that wait to be handed over, retries included.
    pub queued_max: usize,
    /// How often a chunk is tried before it is failed.
    pub attempts_max: u32,
    /// How long a worker may take for one chunk before it counts as hung.
    pub generate_deadline: Duration,
    /// Bytes of ready chunks, pinned and cached, above which cached ones are evicted.
    pub cache_bytes_max: u64,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Config::default().chunk_limits()
    }
}

/// The wait before attempt number `attempts + 1`, after `attempts` (at least one) have failed.
pub(super) fn retry_backoff(attempts: u32) -> Duration {
    debug_assert!(attempts > 0);
    let mut wait = RETRY_BACKOFF;
    for _ in 1..attempts.min(16) {
        wait = wait.scaled(RETRY_BACKOFF_FACTOR, 1);
    }
    wait.min(RETRY_BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_quadruples_up_to_its_bound() {
        let waits_ms = [1, 2, 3, 4, 5, u32::MAX].map(|attempts| retry_backoff(attempts).as_ms());
        assert_eq!(waits_ms, [100, 400, 1_600, 6_400, 10_000, 10_000]);
    }
}
