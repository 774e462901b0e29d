//! The flight recorder: the last ten seconds of ticks, always in memory, written as a trace when it matters.
//!
//! ```text
//!   tick ──begin, end──▶ Recorder ── segments of a second, in a ring ──┐  one tick overran, somebody asked:
//!   workers ──spans────▶ (tick's thread: no lock, no allocation)       │  the ring's segments are shared
//!                                                                      ▼
//!                                        ninefold-recorder: trace.rs ──▶ folder.rs, bounded
//! ```
//!
//! Memory is fixed at the start ([`memory_bytes`]). What does not fit into a tick's or a second's share is counted,
//! and the trace says how much that was. Handing over shares full segments and copies the one that is being written,
//! so that a dump costs the tick some microseconds and never the file.

mod folder;
mod limits;
mod notes;
mod order;
mod recording;
mod segment;
mod stamp;
mod tape;
mod trace;
mod writer;

pub use folder::{Folder, FolderError};
pub use limits::{
    AFTER_OVERRUN, ASKED_INTERVAL, DEAREST, EVENTS_PER_S_MAX, EVENTS_PER_TICK_MAX, ORDERS_MAX, RECORDED_S,
    SPANS_PER_S_MAX, SPANS_PER_TICK_MAX, SPANS_WAITING_MAX, memory_bytes,
};
pub use notes::{Event, Notes};
pub use order::{RecordError, RecorderHandle, Why};
pub use recording::{Begun, Recorder};
pub use segment::{ClientWork, Outcome, Segment, TickRecord, WorkSpan};
pub use tape::Tape;
pub use trace::{About, write_trace};
pub use writer::{Dump, Writer};
