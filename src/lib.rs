//! The ninefold server: a fixed tick that knows the nine chunks around every player and streams them.
//!
//! Start at [`tick`]: it reads as the list of what a tick does. [`server`] puts threads, sockets and
//! clocks around it. ARCHITECTURE.md is the map.
// Lifted for `carrier/udp/batch.rs` alone.
#![deny(unsafe_code)]

pub mod ahead;
pub mod cache_line;
pub mod carrier;
pub mod chunk;
pub mod clock;
pub mod config;
pub mod game;
pub mod happened;
pub mod inputs;
pub mod key_file;
pub mod logging;
pub mod metrics;
pub mod phase;
pub mod picture;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod recorder;
pub mod replicas;
pub mod rules;
pub mod sending;
pub mod server;
pub mod session;
pub mod sight;
pub mod snapshots;
pub mod summary;
pub mod telemetry;
pub mod tick;
pub mod top;
pub mod tracy;
pub mod view;
