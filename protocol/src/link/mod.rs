//! What arrived: packet numbers, acknowledgement ranges, round-trip time, loss, and one ordered,
//! reliable channel for small messages. The link does not know which carrier it rides on.
//!
//! ```text
//!  receive:  handle_packet(now, bytes) -> frames for the layer above
//!            poll_message()            -> reliable messages, in order
//!            poll_outcome()            -> what the owner's packets carried was acked or lost
//!  send:     packet(now, buffer) -> PacketBuilder -> frames -> finish()
//!            budget(now, until)        -> what may be planned; departure(now) -> when it leaves
//!  time:     handle_timeout(now), each tick; path_changed(now), when the peer has moved
//! ```
//!
//! A lost packet is never sent again as bytes. The owner puts a token on what it sends (which fragment
//! of which chunk) and hears whether it arrived; it then decides by meaning what to send again.

mod ack;
pub mod congestion;
mod endpoint;
mod incoming;
mod outgoing;
mod packet;
mod reliable;
pub(crate) mod rtt;
mod sent;
#[cfg(test)]
mod tests;

pub use ack::{Ack, AckError, AckRanges, Received};
pub use endpoint::{Link, LinkError, LinkFrames, LinkStats, Outcome};
pub use packet::{Built, Leaving, PacketBuilder};
pub use reliable::QueueFull;
pub use rtt::Rtt;
