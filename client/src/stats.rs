//! What a client counts.

/// Counts since the client began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Datagrams received from the server.
    pub datagrams_in: u64,
    /// Bytes of those.
    pub bytes_in: u64,
    /// Datagrams given out to be sent.
    pub datagrams_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Bytes of fragments received, parity included, without the packets around them.
    pub fragment_bytes_in: u64,
    /// Bytes of snapshots received.
    pub snapshot_bytes_in: u64,
    /// Bytes of events received.
    pub event_bytes_in: u64,
    /// Bytes of inputs sent.
    pub input_bytes_out: u64,
    /// Packets that the link refused.
    pub packets_refused: u64,
    /// Frames with a wrong length or value.
    pub frames_refused: u64,
    /// Frames and messages of unknown types, skipped.
    pub frames_unknown: u64,
    /// Fragments received.
    pub fragments_in: u64,
    /// Fragments that were here already, or whose chunk is.
    pub fragments_duplicate: u64,
    /// Fragments that contradict others, are of an older version, or found no room.
    pub fragments_refused: u64,
    /// Chunks that arrived whole and right.
    pub chunks_complete: u64,
    /// Chunks that came out of the store instead.
    pub chunks_from_store: u64,
    /// Chunks that the server knew to be in the store and that were not, or were damaged.
    pub chunks_store_failed: u64,
    /// Chunks that arrived and were not taken by the store in time.
    pub chunks_not_stored: u64,
    /// Chunks that arrived whole and did not match their content hash.
    pub chunks_hash_failed: u64,
    /// Chunks that arrived whole and could not be decoded for another reason.
    pub chunks_undecodable: u64,
    /// Chunks that the server said cannot be had.
    pub chunks_unavailable: u64,
    /// Chunks thrown away to make room.
    pub chunks_forgotten: u64,
    /// Chunks asked for because they did not come.
    pub chunks_requested: u64,
    /// Unfinished chunks that were given up.
    pub chunks_expired: u64,
    /// Snapshots received.
    pub snapshots_in: u64,
    /// Those that were overtaken by a newer one.
    pub snapshots_old: u64,
    /// Those that lead from one that is not held.
    pub snapshots_without_baseline: u64,
    /// Those that speak of inputs that were never made, or confirm older ones than before.
    pub confirmations_refused: u64,
    /// Events received, once each.
    pub events_in: u64,
    /// Events received again.
    pub events_repeated: u64,
    /// Moves into another chunk, the first one not counted.
    pub crossings: u64,
    /// Those into a chunk that was not here.
    pub crossings_without_chunk: u64,
}
