//! The recorder's bounds, and what they come to in memory.

use ninefold_protocol::time::Duration;

use super::notes::Event;
use super::segment::{TickRecord, WorkSpan};

/// Seconds of ticks that are kept at least.
pub const RECORDED_S: usize = 10;
/// Events of one tick's phases that are kept, as many of its chunks, and as many of its counters; more are counted.
pub const EVENTS_PER_TICK_MAX: usize = 64;
/// Events of a second that are kept.
pub const EVENTS_PER_S_MAX: usize = 2_048;
/// Chunks made in a second whose spans are kept.
pub const SPANS_PER_S_MAX: usize = 1_024;
/// Spans that are taken from the workers in one tick; the rest waits.
pub const SPANS_PER_TICK_MAX: usize = 128;
/// Spans that may wait for the tick.
pub const SPANS_WAITING_MAX: usize = 1_024;
/// Clients of a tick whose work is kept: those to which most was sent.
pub const DEAREST: usize = 4;
/// Orders to record that may wait for the tick.
pub const ORDERS_MAX: usize = 4;
/// Between two traces that somebody asked for.
pub const ASKED_INTERVAL: Duration = Duration::from_secs(2);
/// What a trace shows of the time after its overrun.
pub const AFTER_OVERRUN: Duration = Duration::from_ms(250);

/// Segments that the ring holds: those of the past, and the one that is being written.
pub(super) const SEGMENTS_KEPT: usize = RECORDED_S + 1;
/// All segments. A writer may hold a whole ring that has passed meanwhile, and a copy of the youngest segment.
pub(super) const SEGMENTS: usize = 2 * SEGMENTS_KEPT + 1;

/// Bytes that the recorder takes at a tick rate, once and for all.
pub const fn memory_bytes(tick_rate_hz: u32) -> usize {
    let ticks = tick_rate_hz as usize * size_of::<TickRecord>();
    let events = EVENTS_PER_S_MAX * size_of::<Event>();
    let spans = SPANS_PER_S_MAX * size_of::<WorkSpan>();
    SEGMENTS * (ticks + events + spans)
}

// docs/profiling.md states them.
const _: () = assert!(memory_bytes(60) < 4 << 20 && memory_bytes(240) < 6 << 20);
