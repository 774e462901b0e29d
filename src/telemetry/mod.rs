//! What the server knows of itself: the time of each phase of each tick, what each client costs, and a counter for
//! everything that was dropped, refused, tried again or late. Always on.
//!
//! The tick writes the [`Book`], the carriers show what they have counted, and [`Live`] holds both for whoever reads:
//! [`State`] is all of it as one document.

mod book;
mod client;
mod counters;
mod document;
mod drops;
mod frames;
mod histogram;
mod live;
mod process;
mod queues;
pub mod state;
mod survey;
mod tick;

pub use book::{Book, Bookkeeper, Facts, RECENT_TICKS_MAX, TickSample};
pub use client::{
    Began, CLIENT_TURN_TICKS, ClientCost, ClientMemory, ClientRow, ClockNs, SlotBytes, TurnClock, make_room,
};
pub use counters::Counters;
pub use document::Asked;
pub use drops::{Part, counters};
pub use frames::{FrameCounts, FramesBothWays};
pub use histogram::{Histogram, Percentiles};
pub use live::{CARRIER_SHOWN_EVERY, Live, RecorderSwitch, Shown, UdpShown};
pub use process::resident_bytes;
pub use queues::{Mark, Queue, Queues};
pub use state::State;
pub use survey::survey;
pub use tick::{Phase, TickTelemetry, TickTimes};
