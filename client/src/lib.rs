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
//!
//! A whole client, driven by a socket and a clock of its own:
//!
//! ```no_run
//! use std::net::UdpSocket;
//! use std::time::{Duration as StdDuration, Instant as Clock, SystemTime};
//!
//! use ninefold_client::protocol::connection::{ConnectToken, DATAGRAM_BYTES_MAX};
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
//!         client.handle_timeout(now());
//!         client.send_input(1.0, 0.0, 0); // walk eastward
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
