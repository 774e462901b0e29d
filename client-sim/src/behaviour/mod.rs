//! What headless clients do: minds without sockets and clocks, the same on real lines and in virtual time.
//!
//! ```text
//!   each tick of the client:   Mind::decide(now, &Client) ─▶ Decision { input, command }
//!   hostile ones, as well:     Mind::mischief() ─▶ what to do to their packets and datagrams
//! ```
//!
//! A mind knows what a player would: what its client has received. Whoever drives it carries the [`Command`]s out.

mod mind;
mod mischief;

pub use mind::{Command, Decision, Mind};
pub use mischief::{
    EPISODE_MAX, FLOOD_COPIES, GARBAGE_BYTES_MAX, GARBAGE_PER_TICK, Mischief, MischiefCounts,
};
