//! A link emulator: what goes in comes out later, twice, or never, as a seed decides.
//!
//! One [`Link`] is one direction of one path. It takes any payload, knows nobody, asks no clock: time is
//! microseconds as an argument, so it runs in virtual time and, driven by a clock, between real sockets.
//! The same profile, seed and calls give the same fates.
//!
//! ```text
//!   send ─▶ outage? ─▶ picked to drop? ─▶ lost? ─▶ bottleneck (rate, bounded queue) ─▶ delay, jitter ─▶ poll
//!                                                                                       held back? doubled?
//! ```
#![forbid(unsafe_code)]

mod link;
mod profile;
mod random;

pub use link::{Drops, IN_FLIGHT_MAX, Link, Stats};
pub use profile::{Bottleneck, Loss, Path, Profile, Ratio};
