//! The world in virtual time: a server, its clients and every line between them in one thread, from a seed.
//!
//! ```text
//!   agenda ──wakes──▶ guest: Client core + mind ──up──▶ netem ──▶ UdpCore ──lanes──▶ Tick ──lanes──▶ UdpCore
//!     ▲                  ▲                                                                            │
//!     └── next wakes     └───────────────────────────────down── netem ◀───────────────────────────────┘
//! ```
//!
//! Nothing here asks a clock or a random device: the same plan and seed give the same bytes on every machine, real
//! cryptography included. [`checks`] look at the world from outside.

pub mod agenda;
pub mod bisect;
pub mod checks;
pub mod command;
mod commons;
pub mod digest;
mod from_scenario;
pub mod guest;
pub mod host;
pub mod plan;
pub mod quic;
pub mod run;
pub mod sweep;
pub mod workshop;
pub mod world;
