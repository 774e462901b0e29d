//! Headless clients by the thousand, and what they measured.
//!
//! [`swarm`] runs clients of the real client core on real sockets, over UDP or QUIC, each with a [`walker`] that finds its
//! way by the chunks it has received. [`demo`] starts a server in the same process, lets a swarm loose
//! on it, over a [`mod@line`] that is emulated if one asks for it, and judges the [`report`].
#![forbid(unsafe_code)]

pub mod behaviour;
pub mod capture;
pub mod demo;
pub mod line;
mod member;
pub mod outcome;
pub mod player;
mod quic;
pub mod report;
pub mod run;
pub mod scenario;
pub mod swarm;
mod udp;
pub mod virtual_world;
pub mod walker;
