//! What a client is told of the things around it in one tick, as a difference to what it has.
//!
//! ```text
//!   server                                                      client
//!   snapshot 7 against 4 ──────────────────────────────────────▶ has 4: applies, keeps 7
//!   snapshot 8 against 4 ────────────── lost
//!                        ◀────────────── acknowledges the packet of 7
//!   snapshot 9 against 7 ──────────────────────────────────────▶ has 7: applies, keeps 9
//! ```
//!
//! A snapshot is never sent again; each one leads from a baseline, a snapshot whose packet the client has
//! acknowledged, to now. Where there is none, it leads from nothing. Both ends keep the last
//! [`BASELINE_TICKS_MAX`] ticks' worth and forget older ones.
//!
//! Places are 1/64 unit over the whole world, so that a chunk's border means nothing to a difference; only
//! the player's own mover is told exactly, since a client goes on from it.

mod bits;
pub(crate) mod coding;
mod decode;
mod encode;
mod state;
#[cfg(test)]
mod tests;

pub use coding::{
    CHANGED_BITS_MAX, DOORS_BITS_MAX, ENTERED_BITS_MAX, GONE_BITS, HEAD_BYTES, HEAD_BYTES_MAX, OWN_BITS_MAX,
    SAME_BITS,
};
pub use decode::{SnapshotError, decode, peek_ticks};
pub use encode::{CodedChange, Encoder, Head, changed_bits, encode, entered_bits};
pub use state::{EntityState, OwnState, RING_CHUNKS, RING_SIDE, Snapshot, SnapshotEntity};

/// A baseline is at most so many ticks older than the snapshot that leads from it.
pub const BASELINE_TICKS_MAX: u32 = 63;
/// Entities that one snapshot may hold; of more, the server tells of the nearest.
pub const ENTITIES_PER_SNAPSHOT_MAX: usize = 1_024;

#[cfg(test)]
pub(crate) use tests::worked_example;
