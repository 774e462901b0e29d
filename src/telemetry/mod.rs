//! What the server knows of itself: the time of each phase of each tick, and a counter for everything
//! that was dropped, refused, tried again or late. Always on.

mod counters;
mod histogram;
mod live;
mod tick;

pub use counters::Counters;
pub use histogram::{Histogram, Percentiles};
pub use live::{Line, Live};
pub use tick::{Phase, TickTelemetry, TickTimes};
