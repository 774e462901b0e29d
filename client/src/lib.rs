//! The client core that a game links: it connects, keeps the link, puts chunks together, keeps them in a
//! cache and knows the ring of nine around the player; it moves the player at once as the server will, and shows
//! others smoothly. Sans-IO: no socket, no clock, no thread.
//!
//! ```text
//!            datagrams                     datagrams
//!   socket ────────────▶ Client::handle_datagram
//!   clock  ────────────▶ Client::handle_timeout
//!   player ────────────▶ Client::set_input
//!                        Client::poll_transmit ────────────▶ socket
//!                        Client::poll_event    ────────────▶ game
//!                        Client::own, entities ────────────▶ screen
//! ```
//!
//! With the feature `net` there is `net::Driver`, which has the sockets and the clock; with the feature `disk`
//! `store::Store`, which keeps chunks from one session to the next. A whole client:
//!
#![cfg_attr(feature = "net", doc = "```no_run")]
#![cfg_attr(not(feature = "net"), doc = "```ignore")]
//! use ninefold_client::net::Driver;
//! use ninefold_client::protocol::connection::ConnectToken;
//! use ninefold_client::protocol::frame::PlayerInput;
//! use ninefold_client::protocol::time::Duration;
//! use ninefold_client::{ClientConfig, Event};
//!
//! fn play(token: &[u8; 2048]) -> Result<(), Box<dyn std::error::Error>> {
//!     let token = ConnectToken::from_bytes(token)?; // from your matchmaker, or `ninefold token`
//!     let mut driver = Driver::udp(&ClientConfig::default(), &token)?;
//!     while driver.client().ended().is_none() {
//!         let eastward = PlayerInput { move_x: PlayerInput::FULL_SPEED, ..PlayerInput::default() };
//!         driver.client_mut().set_input(eastward);
//!         driver.step()?; // receive, let time pass, send: once per frame, and it never waits
//!         while let Some(event) = driver.client_mut().poll_event() {
//!             match event {
//!                 Event::Entered { coord, .. } => println!("in chunk {coord:?}"),
//!                 Event::ChunkReady { chunk, .. } => println!("{} faces to draw", chunk.faces().len()),
//!                 _ => {}
//!             }
//!         }
//!         if let Some(own) = driver.own() {
//!             println!("you are at {:?}", own.position);
//!         }
//!         for entity in driver.entities() {
//!             println!("{} is at {:?}", entity.id, entity.position);
//!         }
//!         driver.wait(Duration::from_ms(16))?; // a game draws here instead
//!     }
//!     Ok(())
//! }
//! ```
//!
//! A game with sockets of its own hands datagrams in and out itself, and says what time it is:
//!
//! ```no_run
//! # use ninefold_client::protocol::connection::DATAGRAM_BYTES_MAX;
//! # use ninefold_client::protocol::time::Instant;
//! # use ninefold_client::Client;
//! # use std::net::SocketAddr;
//! fn frame(client: &mut Client, now: Instant, came: &mut [(SocketAddr, Vec<u8>)], send: impl Fn(SocketAddr, &[u8])) {
//!     for (from, datagram) in came {
//!         client.handle_datagram(now, *from, datagram);
//!     }
//!     client.handle_timeout(now);
//!     let mut buffer = [0; DATAGRAM_BYTES_MAX];
//!     while let Some(transmit) = client.poll_transmit(now, &mut buffer) {
//!         send(transmit.to, &buffer[..transmit.bytes]);
//!     }
//! }
//! ```
//!
//! Over another carrier, such as QUIC, a client is made with [`Client::carried`]; packets then go in and out
//! as they are.
#![forbid(unsafe_code)]

mod cache;
mod client;
mod clock;
mod config;
mod doors;
mod entities;
mod event;
mod happened;
mod intent;
mod measures;
#[cfg(feature = "net")]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the one outer layer in this crate: it has the clock, the sockets and a thread"
)]
pub mod net;
mod playback;
mod prediction;
mod ring;
mod snapshots;
mod stats;
#[cfg(feature = "disk")]
#[expect(clippy::disallowed_methods, reason = "files carry the time of their last use")]
pub mod store;

pub use cache::{CACHE_CHUNKS_MIN, CacheFull, CachedChunk, ChunkCache};
pub use client::{Client, ClientError, Encoded, StoredKey, Transmit};
pub use clock::{LEAD_US, STEER_PPM_MAX, TICK_RATE_HZ_MAX, TickClock};
pub use config::ClientConfig;
pub use entities::EntityView;
pub use event::{EndReason, Event};
pub use measures::Measures;
pub use ninefold_protocol as protocol;
pub use ninefold_world as world;
pub use playback::INTERPOLATION_DELAY_MAX;
pub use prediction::{CORRECTION_SHOWN_FOR, JUMP_UNITS, OwnView, UNCONFIRMED_INPUTS_MAX};
pub use ring::{ASK_AFTER, Ring, Wanted};
pub use stats::ClientStats;
