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
//! A whole client, driven by a socket and a clock of its own:
//!
//! ```no_run
//! use std::net::UdpSocket;
//! use std::time::{Duration as StdDuration, Instant as Clock, SystemTime};
//!
//! use ninefold_client::protocol::connection::{ConnectToken, DATAGRAM_BYTES_MAX};
//! use ninefold_client::protocol::frame::PlayerInput;
//! use ninefold_client::protocol::time::{Duration, Instant};
//! use ninefold_client::{Client, ClientConfig, Event};
//!
//! fn play(token: &[u8; 2048]) -> Result<(), Box<dyn std::error::Error>> {
//!     let token = ConnectToken::from_bytes(token)?; // from your matchmaker
//!     let started = Clock::now();
//!     let now = || Instant::ZERO + Duration::from(started.elapsed());
//!     let unix_s_at_origin = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
//!     let config = ClientConfig::new(unix_s_at_origin);
//!     let mut client = Client::new(now(), &config, &token)?;
//!     let socket = UdpSocket::bind("0.0.0.0:0")?;
//!     socket.set_nonblocking(true)?;
//!     let mut buffer = [0; 2048];
//!     while client.ended().is_none() {
//!         while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
//!             client.handle_datagram(now(), from, &mut buffer[..bytes]);
//!         }
//!         client.set_input(PlayerInput { move_x: PlayerInput::FULL_SPEED, ..PlayerInput::default() }); // eastward
//!         client.handle_timeout(now());
//!         let mut out = [0; DATAGRAM_BYTES_MAX];
//!         while let Some(transmit) = client.poll_transmit(now(), &mut out) {
//!             socket.send_to(&out[..transmit.bytes], transmit.to)?;
//!         }
//!         while let Some(event) = client.poll_event() {
//!             match event {
//!                 Event::Entered { coord, .. } => println!("in chunk {coord:?}"),
//!                 Event::ChunkReady { chunk, .. } => println!("{} faces to draw", chunk.faces().len()),
//!                 _ => {}
//!             }
//!         }
//!         if let Some(own) = client.own(now()) {
//!             println!("you are at {:?}", own.position);
//!         }
//!         for entity in client.entities(now()) {
//!             println!("{} is at {:?}", entity.id, entity.position);
//!         }
//!         std::thread::sleep(StdDuration::from_millis(16));
//!     }
//!     Ok(())
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
mod playback;
mod prediction;
mod ring;
mod snapshots;
mod stats;

pub use cache::{CACHE_CHUNKS_MIN, CacheFull, CachedChunk, ChunkCache};
pub use client::{Client, ClientError, Transmit};
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
