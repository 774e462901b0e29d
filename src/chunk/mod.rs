//! Chunks made to order: a queue of requests, workers that make them, a cache of what is ready.
//!
//! ```text
//!             pin                dispatch              take_in
//!   absent ---------> queued ---------------> making ---------> ready
//!     ^                 ^                       |  |
//!     |     queue full: | with room             |  +-- deadline, last attempt --> failed
//!     |      stays absent                       |                                   |
//!     |                 +---- after a backoff --+ panic                             |
//!     +---------------- last unpin (a ready chunk stays cached) --------------------+
//! ```
//!
//! [`ChunkService`] is a core on the tick's thread: it takes `now`, never waits and spawns nothing. What
//! makes the chunks is a [`Workshop`]: the [`Pool`] of threads, or [`Inline`] for virtual time.

mod cache;
mod counters;
mod heap;
mod limits;
#[cfg(test)]
mod model;
mod parity;
mod pool;
mod request;
mod service;
mod table;
mod workshop;

pub use cache::ReadyChunk;
pub use counters::{ChunkCounters, ChunkGauges};
pub use limits::{
    ChunkLimits, EDITED_CHUNKS_MAX, RETRY_BACKOFF, RETRY_BACKOFF_FACTOR, RETRY_BACKOFF_MAX, WORKERS_LOST_MAX,
};
pub use parity::{MadeParity, PARITY_FRAGMENTS_PER_TICK_MAX, ParityBench, SharedParity};
pub use pool::Pool;
pub use request::{Encoded, GenerationId, Job, Made, Need, NotMade, Report, Urgency, WorkerId};
pub use service::{ChunkEvent, ChunkService, ChunkState, EditedTableFull, TakenIn};
pub use workshop::{GivenUp, Inline, Workshop};
