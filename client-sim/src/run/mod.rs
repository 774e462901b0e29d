//! `ninefold-sim run`: a scenario on real sockets, with a verdict.
//!
//! ```text
//!   main thread   Host: the server's faults, teleports, its ticks     Meter, Board ─▶ Outcome
//!   sim-udp-*     a crew of seats over UDP: one socket each           Tally
//!   sim-quic-*    a crew of seats over QUIC                           Tally
//!   sim-line      one emulated line for each group and carrier that has one
//! ```
//!
//! The load is open: each client's ticks are due when its clock says so, whatever the server does, and what the server is
//! late with counts from then.

mod arguments;
mod audit;
mod board;
mod conduct;
mod crew;
mod facts;
mod growth;
mod host;
mod lines;
pub(crate) mod mint;
mod order;
mod program;
mod quic;
mod sabotage;
mod show;
mod udp;

pub use arguments::RunArguments;
pub use board::Glimpse;
pub use conduct::{LookFn, execute};
pub use host::OuterServer;
pub use mint::{MintError, Tokens};
pub use order::{CACHE_CHUNKS, Order, OrderError, Target};
pub use show::Progress;
