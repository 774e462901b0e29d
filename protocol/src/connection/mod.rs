//! Who is there: NETCODE 1.02 (Glenn Fiedler), byte for byte, sans-IO.
//!
//! ```text
//!   matchmaker --ConnectToken--> Client  <== datagrams ==>  Server
//! ```
//!
//! [`Server`] and [`Client`] take `now` and datagrams and give back datagrams, payloads and events. Random
//! bytes (keys, nonces) are arguments. No datagram makes them panic, and whatever they keep for others has
//! a bound in [`limits`](self) that is counted when it is reached.

mod admission;
mod client;
mod counters;
mod crypto;
mod extension;
mod fingerprint;
mod hchacha;
pub(crate) mod limits;
pub(crate) mod packet;
mod rate;
mod replay;
mod sequence;
mod server;
mod token;

pub use admission::{ADMITTED_BYTES, Admitted, CloseReason, QUIC_ALPN, SHOWN_BYTES};
pub use client::{Client, ClientError, ClientReceived, ClientState};
pub use counters::{ClientCounters, Counters};
pub use extension::{EXTENDED_USER_DATA_LEN, Extensions};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use limits::{
    CONNECT_TOKEN_LEN, DATAGRAM_LEN_MAX as DATAGRAM_BYTES_MAX, KEEP_ALIVE, KEY_LEN, PACKET_OVERHEAD,
    PAYLOAD_LEN_MAX, REQUESTS_BURST_S, TOKEN_NONCE_LEN, TOKEN_SERVERS_MAX, USER_DATA_LEN,
};
pub use rate::{NetworkRates, OverRate, Rate};
pub use replay::REPLAY_WINDOW;
pub use server::{
    DisconnectReason, Event, Fetch, HandshakeLimits, Newcomer, Received, Server, ServerConfig, Sessions,
    Shard,
};
pub use token::{ConnectToken, DEVELOPMENT_KEY, TokenError, TokenParams};

use std::net::SocketAddr;

/// A datagram to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// Bytes at the front of the buffer.
    pub bytes: usize,
}

/// Why a payload was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no such session.
    #[error("not connected")]
    NotConnected,
    /// Payloads have 1 to 1,200 bytes.
    #[error("a payload has 1 to {PAYLOAD_LEN_MAX} bytes, this one {0}")]
    Length(usize),
    /// The caller's buffer is too short.
    #[error("the datagram needs {needed} bytes, the buffer has {room}")]
    NoRoom {
        /// Bytes of the datagram.
        needed: usize,
        /// Bytes of the buffer.
        room: usize,
    },
    /// Every sequence number of the session was used.
    #[error("the session's sequence numbers are used up; connect anew")]
    Exhausted,
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::VECTORS;
