//! Every bound of the wire in one place; derived ones are computed and their relations asserted when
//! this compiles.
//!
//! A limit that is reached does something defined, and whoever reaches it counts it: see the item's own
//! words.

use crate::time::Duration;

/// Bytes that one packet of the link may have: the payload of one NETCODE 1.02 datagram.
pub const PACKET_BYTES_MAX: usize = 1_200;
/// The packet number at the head of each packet.
pub const PACKET_HEADER_BYTES: usize = 4;
/// A frame's type and length.
pub const FRAME_HEADER_BYTES: usize = 3;

/// The header of a chunk fragment, in front of its payload.
pub const FRAGMENT_HEADER_BYTES: usize = 29;
/// Payload bytes of every fragment but a chunk's last, which has 1 to this many.
pub const FRAGMENT_PAYLOAD_BYTES: usize = 1_150;
/// Fragments that one chunk may have; a header that claims more is refused.
pub const FRAGMENTS_PER_CHUNK_MAX: u16 = 256;
/// Parity fragments that a chunk has at least to draw from; see [`crate::chunk::parity_max`].
pub const PARITY_PER_CHUNK_MIN: u16 = 8;
/// Parity fragments that one chunk may have.
pub const PARITY_PER_CHUNK_MAX: u16 = 128;
/// Bytes that an encoded chunk may have.
pub const CHUNK_BYTES_MAX: usize = FRAGMENT_PAYLOAD_BYTES * FRAGMENTS_PER_CHUNK_MAX as usize;

/// Ranges that one acknowledgement tells and a receiver remembers; older ranges are forgotten, and
/// their packets count as lost at the sender.
pub const ACK_RANGES_MAX: usize = 32;
/// Bytes of an acknowledgement's body with one range.
pub const ACK_BYTES_MIN: usize = 9;
/// Bytes of an acknowledgement's body with all ranges.
pub const ACK_BYTES_MAX: usize = ACK_BYTES_MIN + 4 * (ACK_RANGES_MAX - 1);
/// Packets that a sender remembers; beyond it the oldest counts as lost.
pub const SENT_PACKETS_MAX: usize = 2_048;

/// Reliable messages that may wait for their acknowledgement; a queue that is full ends the session.
pub const RELIABLE_QUEUE_MAX: usize = 512;
/// Reliable messages ahead of the next expected one that a receiver keeps; further ones are refused.
pub const RELIABLE_WINDOW: u32 = RELIABLE_QUEUE_MAX as u32;
/// Bytes of one reliable message's body.
pub const RELIABLE_BODY_BYTES_MAX: usize = 40;

/// Bytes of unfinished chunks that one client keeps; fragments beyond it are refused.
pub const REASSEMBLY_BYTES_MAX: usize = 4 << 20;
/// An unfinished chunk that has not grown for this long is dropped.
pub const REASSEMBLY_IDLE_MAX: Duration = Duration::from_secs(5);

const _: () = {
    assert!(
        PACKET_HEADER_BYTES + FRAME_HEADER_BYTES + FRAGMENT_HEADER_BYTES + FRAGMENT_PAYLOAD_BYTES
            <= PACKET_BYTES_MAX,
        "a full fragment fits into a packet"
    );
    assert!(REASSEMBLY_BYTES_MAX >= 9 * CHUNK_BYTES_MAX, "a whole ring may be on its way");
};
