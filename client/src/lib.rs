//! The client core that a game links: it connects, keeps the link, puts chunks together, keeps them in a
//! cache and knows the ring of nine around the player. Sans-IO: no socket, no clock, no thread.
//!
//! ```text
//!            datagrams                     datagrams
//!   socket ────────────▶ Client::handle_datagram
//!   clock  ────────────▶ Client::handle_timeout
//!   player ────────────▶ Client::send_input
//!                        Client::poll_transmit ────────────▶ socket
//!                        Client::poll_event    ────────────▶ game
//! ```
#![forbid(unsafe_code)]

mod cache;
mod client;
mod others;
mod ring;
mod stats;

pub use cache::{CACHE_CHUNKS_MIN, CacheFull, CachedChunk, ChunkCache};
pub use client::{Client, ClientConfig, ClientError, EndReason, Event, Transmit};
pub use ninefold_protocol as protocol;
pub use ninefold_world as world;
pub use others::{OtherPlayer, Others};
pub use ring::{ASK_AFTER, Ring, Wanted};
pub use stats::ClientStats;
