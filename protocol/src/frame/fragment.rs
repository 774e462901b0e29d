//! A slice of an encoded chunk.
//!
//! ```text
//!  0       4       8      12      16        20      22      24     25         26      27       29
//!  +-------+-------+-------+-------+---------+-------+-------+------+----------+-------+--------+---
//!  |  id   |  cx   |  cy   |  cz   | version | index | count | kind | encoding | flags | length | payload
//!  +-------+-------+-------+-------+---------+-------+-------+------+----------+-------+--------+---
//! ```
//!
//! A fragment with the parity flag carries no slice of the chunk but parity of all slices
//! ([`crate::chunk::Parity`]): `index` counts those of their own, `length` is that of the chunk's last slice,
//! and the payload is always a whole one.
//!
//! [`Fragment::parse`] and [`ParityFragment::parse`] are the one check; what they return cannot contradict
//! itself. Whether it fits what came before is [`crate::chunk::Reassembly`]'s to say.

use zerocopy::byteorder::little_endian::{I32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::chunk::parity_max;
use crate::limits::{FRAGMENT_HEADER_BYTES, FRAGMENT_PAYLOAD_BYTES, FRAGMENTS_PER_CHUNK_MAX};

/// The flag of a parity fragment.
pub const FLAG_PARITY: u8 = 1;

/// A chunk's coordinates as they cross the wire: `(cx, cy, cz)`; `cy` is the floor, 0 in a flat world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkKey {
    /// Column, eastward.
    pub cx: i32,
    /// Floor.
    pub cy: i32,
    /// Row, southward.
    pub cz: i32,
}

/// The fragment header as it lies in the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FragmentHeader {
    /// [`fragment_id`] of the coordinates: deduplication, quick discard.
    pub id: U32,
    /// Grid coordinate.
    pub cx: I32,
    /// Floor.
    pub cy: I32,
    /// Grid coordinate.
    pub cz: I32,
    /// The chunk's version, 1 when generated.
    pub version: U32,
    /// This fragment.
    pub index: U16,
    /// All fragments of the chunk.
    pub count: U16,
    /// What kind of chunk the bytes are; an open number.
    pub kind: u8,
    /// How it is encoded; an open number.
    pub encoding: u8,
    /// 0 or [`FLAG_PARITY`].
    pub flags: u8,
    /// Payload bytes that follow, or of a parity fragment the payload bytes of the chunk's last fragment.
    pub length: U16,
}

const _: () = assert!(size_of::<FragmentHeader>() == FRAGMENT_HEADER_BYTES);

/// A fragment that does not contradict itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Whose.
    pub key: ChunkKey,
    /// The chunk's version.
    pub version: u32,
    /// Less than `count`.
    pub index: u16,
    /// 1 to [`FRAGMENTS_PER_CHUNK_MAX`].
    pub count: u16,
    /// What kind of chunk.
    pub kind: u8,
    /// How encoded.
    pub encoding: u8,
    /// [`FRAGMENT_PAYLOAD_BYTES`], or 1 to that many in the last one.
    pub payload: &'a [u8],
}

/// A parity fragment that does not contradict itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParityFragment<'a> {
    /// Whose.
    pub key: ChunkKey,
    /// The chunk's version.
    pub version: u32,
    /// Less than [`parity_max`] of `count`.
    pub index: u16,
    /// The chunk's own fragments, 1 to [`FRAGMENTS_PER_CHUNK_MAX`].
    pub count: u16,
    /// What kind of chunk.
    pub kind: u8,
    /// How encoded.
    pub encoding: u8,
    /// Payload bytes of the chunk's last fragment, 1 to [`FRAGMENT_PAYLOAD_BYTES`].
    pub last_bytes: u16,
    /// [`FRAGMENT_PAYLOAD_BYTES`].
    pub payload: &'a [u8],
}

/// Why a fragment was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// Shorter than its header.
    #[error("a fragment of {0} bytes is shorter than its header")]
    Short(usize),
    /// No fragments, or more than a chunk may have.
    #[error("count is {0}, not 1 to {FRAGMENTS_PER_CHUNK_MAX}")]
    Count(u16),
    /// Not one of the chunk's fragments.
    #[error("index is {index} of {count}")]
    Index {
        /// The index.
        index: u16,
        /// The count beside it.
        count: u16,
    },
    /// The length is not what follows, or not what this fragment must have.
    #[error("length is {length}, {got} bytes follow")]
    Length {
        /// The length field.
        length: u16,
        /// What follows.
        got: usize,
    },
    /// Flags that it cannot have; parity is read by [`ParityFragment::parse`].
    #[error("flags are {0:#04x}")]
    Flags(u8),
    /// The id is not the hash of the coordinates.
    #[error("id is {0:#010x}, not the hash of its coordinates")]
    Id(u32),
}

/// The fixed hash of `(cy, cx, cz)`: XXH32 with seed 0 over the three as little-endian `i32`.
pub fn fragment_id(key: ChunkKey) -> u32 {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&key.cy.to_le_bytes());
    bytes[4..8].copy_from_slice(&key.cx.to_le_bytes());
    bytes[8..].copy_from_slice(&key.cz.to_le_bytes());
    xxhash_rust::xxh32::xxh32(&bytes, 0)
}

impl<'a> Fragment<'a> {
    /// Reads a frame's body.
    pub fn parse(body: &'a [u8]) -> Result<Self, FragmentError> {
        let (header, payload) =
            FragmentHeader::ref_from_prefix(body).map_err(|_| FragmentError::Short(body.len()))?;
        if header.flags != 0 {
            return Err(FragmentError::Flags(header.flags));
        }
        let (index, count) = (header.index.get(), header.count.get());
        if count == 0 || count > FRAGMENTS_PER_CHUNK_MAX {
            return Err(FragmentError::Count(count));
        }
        if index >= count {
            return Err(FragmentError::Index { index, count });
        }
        let is_last = index + 1 == count;
        let fits = payload.len() == FRAGMENT_PAYLOAD_BYTES
            || (is_last && (1..FRAGMENT_PAYLOAD_BYTES).contains(&payload.len()));
        if usize::from(header.length.get()) != payload.len() || !fits {
            return Err(FragmentError::Length { length: header.length.get(), got: payload.len() });
        }
        let key = ChunkKey { cx: header.cx.get(), cy: header.cy.get(), cz: header.cz.get() };
        if header.id.get() != fragment_id(key) {
            return Err(FragmentError::Id(header.id.get()));
        }
        let (version, kind, encoding) = (header.version.get(), header.kind, header.encoding);
        Ok(Fragment { key, version, index, count, kind, encoding, payload })
    }
}

impl<'a> ParityFragment<'a> {
    /// Reads a frame's body.
    pub fn parse(body: &'a [u8]) -> Result<Self, FragmentError> {
        let (header, payload) =
            FragmentHeader::ref_from_prefix(body).map_err(|_| FragmentError::Short(body.len()))?;
        if header.flags != FLAG_PARITY {
            return Err(FragmentError::Flags(header.flags));
        }
        let (index, count, last_bytes) = (header.index.get(), header.count.get(), header.length.get());
        if count == 0 || count > FRAGMENTS_PER_CHUNK_MAX {
            return Err(FragmentError::Count(count));
        }
        if index >= parity_max(count) {
            return Err(FragmentError::Index { index, count: parity_max(count) });
        }
        let fits = (1..=FRAGMENT_PAYLOAD_BYTES).contains(&usize::from(last_bytes));
        if payload.len() != FRAGMENT_PAYLOAD_BYTES || !fits {
            return Err(FragmentError::Length { length: last_bytes, got: payload.len() });
        }
        let key = ChunkKey { cx: header.cx.get(), cy: header.cy.get(), cz: header.cz.get() };
        if header.id.get() != fragment_id(key) {
            return Err(FragmentError::Id(header.id.get()));
        }
        let (version, kind, encoding) = (header.version.get(), header.kind, header.encoding);
        Ok(ParityFragment { key, version, index, count, kind, encoding, last_bytes, payload })
    }
}

/// Whether a frame's body is that of a parity fragment.
pub fn is_parity(body: &[u8]) -> bool {
    FragmentHeader::ref_from_prefix(body).is_ok_and(|(header, _)| header.flags == FLAG_PARITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BYTES: [u8; 31] = [
        0xba, 0xcd, 0xf7, 0xa9, // id
        0xfe, 0xff, 0xff, 0xff, // cx -2
        0, 0, 0, 0, // cy
        3, 0, 0, 0, // cz
        1, 0, 0, 0, // version
        0, 0, // index
        1, 0, // count
        0, 1, 0, // kind, encoding, flags
        2, 0, // length
        0xaa, 0xbb,
    ];

    fn bytes_with_id() -> [u8; 31] {
        let mut bytes = BYTES;
        let id = fragment_id(ChunkKey { cx: -2, cy: 0, cz: 3 });
        bytes[..4].copy_from_slice(&id.to_le_bytes());
        bytes
    }

    #[test]
    fn literal_bytes_are_read() {
        let bytes = bytes_with_id();
        let fragment = Fragment::parse(&bytes).unwrap();
        assert_eq!(fragment.key, ChunkKey { cx: -2, cy: 0, cz: 3 });
        assert_eq!((fragment.version, fragment.index, fragment.count), (1, 0, 1));
        assert_eq!((fragment.kind, fragment.encoding), (0, 1));
        assert_eq!(fragment.payload, [0xaa, 0xbb]);
    }

    #[test]
    fn the_id_is_fixed_for_ever() {
        assert_eq!(fragment_id(ChunkKey { cx: 0, cy: 0, cz: 0 }), 0x31b8_da82);
        assert_eq!(fragment_id(ChunkKey { cx: -2, cy: 0, cz: 3 }), 0xa9f7_cdba);
        assert_eq!(bytes_with_id(), BYTES);
    }

    #[test]
    fn contradictions_are_named() {
        let with = |at: usize, value: u8| {
            let mut bytes = bytes_with_id();
            bytes[at] = value;
            Fragment::parse(&bytes).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(22, 0), FragmentError::Count(0));
        assert_eq!(with(23, 2), FragmentError::Count(513));
        assert_eq!(with(20, 1), FragmentError::Index { index: 1, count: 1 });
        assert_eq!(with(27, 3), FragmentError::Length { length: 3, got: 2 });
        assert_eq!(with(22, 2), FragmentError::Length { length: 2, got: 2 }); // only the last may be short
        assert_eq!(with(26, 1), FragmentError::Flags(1));
        assert_eq!(with(26, 0x80), FragmentError::Flags(0x80));
        assert!(matches!(with(4, 0), FragmentError::Id(_)));
        assert_eq!(Fragment::parse(&BYTES[..28]).unwrap_err(), FragmentError::Short(28));
    }

    #[test]
    fn a_parity_fragment_is_whole_and_tells_of_the_last() {
        let mut body = bytes_with_id()[..29].to_vec();
        body.extend([7; FRAGMENT_PAYLOAD_BYTES]);
        body[26] = FLAG_PARITY;
        body[20] = 7; // of eight, for a chunk of one fragment of two bytes
        assert!(is_parity(&body) && !is_parity(&bytes_with_id()) && !is_parity(&body[..28]));
        let parity = ParityFragment::parse(&body).unwrap();
        assert_eq!((parity.index, parity.count, parity.last_bytes, parity.version), (7, 1, 2, 1));
        assert_eq!((parity.key, parity.payload[0]), (ChunkKey { cx: -2, cy: 0, cz: 3 }, 7));
        assert_eq!(Fragment::parse(&body), Err(FragmentError::Flags(FLAG_PARITY)));
        let with = |at: usize, value: u8| {
            let mut body = body.clone();
            body[at] = value;
            ParityFragment::parse(&body).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(20, 8), FragmentError::Index { index: 8, count: 8 });
        assert_eq!(with(22, 0), FragmentError::Count(0));
        assert_eq!(with(26, 3), FragmentError::Flags(3));
        assert_eq!(with(27, 0), FragmentError::Length { length: 0, got: FRAGMENT_PAYLOAD_BYTES });
        assert_eq!(with(28, 5), FragmentError::Length { length: 1_282, got: FRAGMENT_PAYLOAD_BYTES });
        assert!(matches!(with(4, 0), FragmentError::Id(_)));
        let short = ParityFragment::parse(&body[..1_178]).map(|_| ());
        assert_eq!(short, Err(FragmentError::Length { length: 2, got: 1_149 }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1300)) {
            let _ = Fragment::parse(&bytes);
            let _ = ParityFragment::parse(&bytes);
        }

        #[test]
        fn what_is_accepted_is_in_bounds(at in 0usize..31, value: u8) {
            let mut bytes = bytes_with_id();
            bytes[at] = value;
            if let Ok(f) = Fragment::parse(&bytes) {
                prop_assert!(f.index < f.count && f.count <= FRAGMENTS_PER_CHUNK_MAX);
                prop_assert!(f.payload.len() <= FRAGMENT_PAYLOAD_BYTES);
            }
        }
    }
}
