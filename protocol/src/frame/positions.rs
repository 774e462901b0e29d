//! Where players are: the receiver's own position and those of others in its ring.
//!
//! A position is a chunk and a place in it in 1/64 unit: a chunk is 1,024 units, so the horizontal
//! place fills a `u16` exactly and is as sharp a million kilometres out as at the origin.

use zerocopy::byteorder::little_endian::{I16, I32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::FrameError;
use crate::limits::{
    ACK_BYTES_MAX, FRAME_HEADER_BYTES, PACKET_BYTES_MAX, PACKET_HEADER_BYTES, POSITIONS_PER_FRAME_MAX,
};

/// The receiver's own position.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct OwnPosition {
    /// Chunk.
    pub cx: I32,
    /// Chunk.
    pub cz: I32,
    /// Eastward in the chunk, 1/64 unit.
    pub x: U16,
    /// Upward, 1/64 unit.
    pub y: I16,
    /// Southward in the chunk, 1/64 unit.
    pub z: U16,
}

/// Another player's position.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct OtherPosition {
    /// Who: the server's small index for the time of its session.
    pub player: U32,
    /// Its chunk relative to the receiver's, -1 to 1.
    pub chunk_dx: i8,
    /// Its chunk relative to the receiver's, -1 to 1.
    pub chunk_dz: i8,
    /// Eastward in its chunk, 1/64 unit.
    pub x: U16,
    /// Upward, 1/64 unit.
    pub y: I16,
    /// Southward in its chunk, 1/64 unit.
    pub z: U16,
}

/// What stands in front of the others.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct PositionsHeader {
    /// The low 32 bits of the server's tick.
    pub tick: U32,
    /// The newest input that the position reflects, 0 before the first.
    pub input_sequence: U32,
    /// Where the receiver is.
    pub own: OwnPosition,
    /// Other players in the receiver's ring, told of here or not.
    pub in_ring: U16,
    /// Entries that follow.
    pub count: u8,
}

/// A positions frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions<'a> {
    /// The receiver's own.
    pub header: &'a PositionsHeader,
    /// The others, at most [`POSITIONS_PER_FRAME_MAX`].
    pub others: &'a [OtherPosition],
}

impl<'a> Positions<'a> {
    /// Bytes of a body that tells of `others` players.
    pub const fn bytes_with(others: usize) -> usize {
        size_of::<PositionsHeader>() + others * size_of::<OtherPosition>()
    }

    /// Reads a frame's body.
    pub fn parse(body: &'a [u8]) -> Result<Self, FrameError> {
        let short = |wanted| FrameError::Short { frame: "positions", wanted, got: body.len() };
        let (header, rest) =
            PositionsHeader::ref_from_prefix(body).map_err(|_| short(Self::bytes_with(0)))?;
        let count = usize::from(header.count);
        if count > POSITIONS_PER_FRAME_MAX {
            return Err(FrameError::Value { frame: "positions", field: "count", value: count as i64 });
        }
        let (others, _) = <[OtherPosition]>::ref_from_prefix_with_elems(rest, count)
            .map_err(|_| short(Self::bytes_with(count)))?;
        Ok(Positions { header, others })
    }
}

const _: () = assert!(
    PACKET_HEADER_BYTES
        + 2 * FRAME_HEADER_BYTES
        + ACK_BYTES_MAX
        + Positions::bytes_with(POSITIONS_PER_FRAME_MAX)
        <= PACKET_BYTES_MAX,
    "positions and the longest acknowledgement share a packet"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literal_bytes_are_read() {
        let bytes = [
            9, 0, 0, 0, 4, 0, 0, 0, // tick, input
            0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0xc0, 0xff, 0, 2, // own
            3, 0, 1, // in ring, count
            5, 0, 0, 0, 0xff, 1, 1, 0, 2, 0, 3, 0, // one other
        ];
        let positions = Positions::parse(&bytes).unwrap();
        assert_eq!(positions.header.tick.get(), 9);
        assert_eq!((positions.header.own.cx.get(), positions.header.own.y.get()), (-1, -64));
        assert_eq!((positions.header.in_ring.get(), positions.others.len()), (3, 1));
        let other = positions.others[0];
        assert_eq!((other.player.get(), other.chunk_dx, other.chunk_dz), (5, -1, 1));
        assert_eq!((other.x.get(), other.y.get(), other.z.get()), (1, 2, 3));
    }

    #[test]
    fn a_count_over_the_bound_is_refused() {
        let mut bytes = [0; 4_000];
        bytes[24] = 85;
        assert_eq!(size_of::<PositionsHeader>(), 25);
        assert_eq!(Positions::parse(&bytes).unwrap_err().to_string(), "frame `positions`: count is 85");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1200)) {
            if let Ok(positions) = Positions::parse(&bytes) {
                prop_assert!(positions.others.len() <= POSITIONS_PER_FRAME_MAX);
            }
        }
    }
}
