//! One client as a run sees it: its seat in the cast, its session, and what is measured of it. No socket, no clock.
//!
//! ```text
//!   Seat    when it comes and goes: visits of the cast, leaving and coming again
//!   Actor   its client core, and what a hostile one does to the packets
//!   Gauge   what its session measures, into the Tally of its thread
//! ```

mod actor;
mod gauge;
mod seat;
mod tally;

pub use actor::Actor;
pub use gauge::{End, Gauge};
pub use seat::{REJOIN_AFTER, Seat};
pub use tally::{Counts, GroupTally, SecondTally, Spreads, Tally};
