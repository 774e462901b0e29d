//! The way in on a carrier that has encryption and addresses of its own (QUIC): a client shows its token
//! once, over the carrier's reliable stream, and hears yes, or why not.
//!
//! ```text
//!   client -- the 1,078 bytes of a NETCODE connection request --> server
//!          <-- 8 bytes: slot, slots ----------------------------
//!          <-- or the connection is closed with a CloseReason --
//! ```
//!
//! What is shown is the request of the UDP carrier, byte for byte, and [`Server::admit`](super::Server::admit) asks of it what
//! it asks there; no challenge is needed, since the carrier has proven the address.

use super::limits::{REQUEST_LEN, USER_DATA_LEN};
use super::packet::Request;
use super::token::ConnectToken;
use crate::time::Duration;

/// The application protocol that both ends of a QUIC connection name in their handshake.
pub const QUIC_ALPN: &[u8] = b"ninefold/1";
/// Bytes that a client shows.
pub const SHOWN_BYTES: usize = REQUEST_LEN;
/// Bytes of the answer: the slot and the number of slots, each a little-endian u32.
pub const ADMITTED_BYTES: usize = 8;

macro_rules! close_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal: $text:literal,)*) => {
        /// Why a connection was closed. On QUIC its code is the application's error code, its text the
        /// reason phrase.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum CloseReason {
            $($(#[doc = $doc])+ $name,)*
        }

        impl CloseReason {
            /// Every reason.
            pub const ALL: &[CloseReason] = &[$(CloseReason::$name),*];

            /// Its number on the wire.
            pub const fn code(self) -> u32 {
                match self { $(CloseReason::$name => $code,)* }
            }

            /// Its words on the wire.
            pub const fn text(self) -> &'static str {
                match self { $(CloseReason::$name => $text,)* }
            }

            /// The reason with this number.
            pub const fn from_code(code: u64) -> Option<CloseReason> {
                match code { $($code => Some(CloseReason::$name),)* _ => None }
            }
        }

        impl std::fmt::Display for CloseReason {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.text())
            }
        }
    };
}

close_reasons! {
    /// One side said goodbye.
    Left = 0x00: "goodbye",
    /// The server ends.
    Stopping = 0x01: "the server stops",
    /// Nothing came for as long as the token says.
    TimedOut = 0x02: "nothing was heard for as long as the token allows",
    /// The same client came with a new token.
    Replaced = 0x03: "the same client connected again",
    /// The game told the client to go.
    Ended = 0x04: "the server ended the session",
    /// What was shown is no connection request.
    Malformed = 0x10: "what was shown is no connection request",
    /// Of another game or version.
    Protocol = 0x11: "the token is for another protocol id or version",
    /// Too late, or expires too far ahead to be remembered.
    Expired = 0x12: "the token has expired, or expires too far ahead",
    /// Another address has used it, or its session has begun.
    Used = 0x13: "the token was used before",
    /// Not sealed with the server's key.
    Forged = 0x14: "the token was not sealed with this server's key",
    /// Sealed with the right key, and says nothing sensible.
    MalformedToken = 0x15: "the token's private part makes no sense",
    /// For other servers.
    OtherServer = 0x16: "the token does not list this server",
    /// Every slot is taken.
    Full = 0x17: "the server is full",
    /// More ask to be let in than are looked at in a while.
    Busy = 0x18: "too many ask to be let in; try again",
    /// The token was not shown in time.
    TooSlow = 0x19: "the token was not shown in time",
    /// Made before the server started, which no longer knows whether it was used.
    BeforeStart = 0x1a: "the token was made before the server started",
    /// The peer takes no datagrams.
    NoDatagrams = 0x20: "the peer does not take datagrams",
    /// The path does not carry the link's packets.
    NarrowPath = 0x21: "the path does not carry datagrams of 1200 bytes",
}

/// A client that was let in on another carrier.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Its slot, until [`Server::release`](super::Server::release).
    pub slot: u32,
    /// What its token calls it.
    pub client_id: u64,
    /// Silence that ends its session; `None` for a token that names none.
    pub timeout: Option<Duration>,
    /// What the matchmaker had to say.
    pub user_data: Box<[u8; USER_DATA_LEN]>,
}

impl ConnectToken {
    /// What a client shows of its token.
    pub fn shown(&self) -> [u8; SHOWN_BYTES] {
        let mut bytes = [0; SHOWN_BYTES];
        Request::write(self.protocol_id, self.expire_unix_s, &self.nonce, &self.private, &mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::tests::{mint, params};
    use super::*;

    #[test]
    fn what_is_shown_is_the_request_that_the_protocol_page_draws() {
        let token = mint(&params(42, &["127.0.0.1:1"]), 1);
        let (shown, bytes) = (token.shown(), token.to_bytes());
        assert_eq!((shown.len(), shown[0], &shown[1..14]), (1_078, 0, &b"NETCODE 1.02\0"[..]));
        assert_eq!(shown[14..22], bytes[13..21], "protocol id");
        assert_eq!(shown[22..30], bytes[29..37], "expiry");
        assert_eq!(shown[30..54], bytes[37..61], "nonce");
        assert_eq!(shown[54..], bytes[61..1_085], "private token");
    }

    #[test]
    fn every_close_reason_is_known_again_by_its_code() {
        for reason in CloseReason::ALL {
            assert_eq!(CloseReason::from_code(reason.code().into()), Some(*reason));
        }
        assert_eq!(CloseReason::from_code(0xff), None);
        assert_eq!(CloseReason::Used.to_string(), "the token was used before");
    }
}
