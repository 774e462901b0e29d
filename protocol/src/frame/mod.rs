//! What is said: one unit a file, little-endian, read as `zerocopy` views over the datagram.
//!
//! ```text
//! packet  := packet number u32, frame*
//! frame   := type u8, length u16, body[length]
//! ```
//!
//! Types are open numbers: an unknown one is skipped by its length, so that a newer server can talk to
//! an older client. A body longer than its type needs is read as far as it is known; a shorter one is
//! an error that names the frame.

mod event;
mod fragment;
mod inputs;
pub(crate) mod message;

pub use event::{EVENT_BYTES, GameEvent};
pub use fragment::{
    ChunkKey, FLAG_PARITY, Fragment, FragmentError, FragmentHeader, ParityFragment, fragment_id, is_parity,
};
pub use inputs::{INPUTS_BYTES_MAX, INPUTS_PER_FRAME_MAX, Inputs, PlayerInput};
pub use message::{
    ChunkAt, ENCODING_BSP_BIT, ENCODING_RECIPE_BIT, Hello, Message, OFFERS_MAX, RawMessage, RefuseReason,
    UnavailableReason, Welcome,
};

use crate::codec::{Reader, Truncated};
use crate::limits::FRAME_HEADER_BYTES;

/// The version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 2;

/// Frame types.
pub mod kind {
    /// Which packets arrived; see [`crate::link`].
    pub const ACK: u8 = 0x10;
    /// One message of the ordered, reliable channel; see [`crate::link`].
    pub const RELIABLE: u8 = 0x11;
    /// Nothing but a wish for an acknowledgement.
    pub const PING: u8 = 0x12;
    /// A slice of a chunk: [`super::Fragment`].
    pub const FRAGMENT: u8 = 0x22;
    /// What a player wants to do, the unconfirmed inputs repeated: [`super::Inputs`].
    pub const INPUTS: u8 = 0x23;
    /// What is around a player: [`crate::snapshot`].
    pub const SNAPSHOT: u8 = 0x24;
    /// Something that happened: [`super::GameEvent`].
    pub const EVENT: u8 = 0x25;
}

/// Why a frame was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The packet ends inside a frame.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The body is shorter than its type needs.
    #[error("frame `{frame}` needs {wanted} bytes and has {got}")]
    Short {
        /// Which frame.
        frame: &'static str,
        /// Bytes that it needs.
        wanted: usize,
        /// Bytes that it has.
        got: usize,
    },
    /// A field has a value that it cannot have.
    #[error("frame `{frame}`: {field} is {value}")]
    Value {
        /// Which frame.
        frame: &'static str,
        /// Which field.
        field: &'static str,
        /// The value.
        value: i64,
    },
}

/// The frames of one packet, in order; ends at the first that is cut off.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    reader: Reader<'a>,
}

impl<'a> Frames<'a> {
    /// The frames in `bytes`, which follow the packet number.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Frames { reader: Reader::new(bytes) }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<(u8, &'a [u8]), Truncated>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let frame = (|| {
            let kind = self.reader.u8("frame type")?;
            let length = self.reader.u16("frame length")?;
            Ok((kind, self.reader.bytes(length.into(), "frame body")?))
        })();
        if frame.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(frame)
    }
}

/// A frame's type and length as they stand in front of `body_bytes` bytes.
///
/// # Panics
/// When the body is longer than a packet, which is a bug of the caller.
pub fn frame_header(kind: u8, body_bytes: usize) -> [u8; FRAME_HEADER_BYTES] {
    let length = u16::try_from(body_bytes).expect("a body is shorter than a packet");
    let [low, high] = length.to_le_bytes();
    [kind, low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_walked_by_their_length() {
        let bytes = [0x12, 0, 0, 0xee, 2, 0, 7, 8, 0x12, 0, 0];
        let frames: Vec<_> = Frames::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(frames, [(0x12, &[][..]), (0xee, &[7, 8][..]), (0x12, &[][..])]);
    }

    #[test]
    fn a_cut_frame_is_an_error_and_the_end() {
        let mut frames = Frames::new(&[0x12, 0, 0, 0x20, 9, 0, 1]);
        assert!(frames.next().unwrap().is_ok());
        let error = frames.next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the input ends inside `frame body`: 9 bytes wanted, 1 left");
        assert!(frames.next().is_none());
    }
}
