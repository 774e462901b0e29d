//! Cuts an encoded chunk into fragments without copying: each is a header and a slice of the shared
//! bytes, so that ten thousand clients on one chunk cost one encoding.

use bytes::Bytes;

use crate::frame::{ChunkKey, FragmentHeader, fragment_id};
use crate::limits::{CHUNK_BYTES_MAX, FRAGMENT_PAYLOAD_BYTES};

/// An encoded chunk, ready to be sent in fragments.
#[derive(Debug, Clone)]
pub struct Fragmenter {
    /// The header of fragment 0; the others differ in `index` and `length`.
    first: FragmentHeader,
    bytes: Bytes,
}

/// The chunk's bytes do not fit into the fragments that a chunk may have, or there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an encoded chunk has 1 to {CHUNK_BYTES_MAX} bytes, this one {0}")]
pub struct TooLarge(pub usize);

impl Fragmenter {
    /// Takes the encoded chunk `bytes` of `key` at `version`.
    pub fn new(key: ChunkKey, version: u32, kind: u8, encoding: u8, bytes: Bytes) -> Result<Self, TooLarge> {
        if bytes.is_empty() || bytes.len() > CHUNK_BYTES_MAX {
            return Err(TooLarge(bytes.len()));
        }
        let count = bytes.len().div_ceil(FRAGMENT_PAYLOAD_BYTES) as u16;
        let length = bytes.len().min(FRAGMENT_PAYLOAD_BYTES) as u16;
        let first = FragmentHeader {
            id: fragment_id(key).into(),
            cx: key.cx.into(),
            cy: key.cy.into(),
            cz: key.cz.into(),
            version: version.into(),
            index: 0.into(),
            count: count.into(),
            kind,
            encoding,
            flags: 0,
            length: length.into(),
        };
        Ok(Fragmenter { first, bytes })
    }

    /// How many fragments there are, at least 1.
    pub fn count(&self) -> u16 {
        self.first.count.get()
    }

    /// The chunk's version.
    pub fn version(&self) -> u32 {
        self.first.version.get()
    }

    /// Bytes that fragment `index` carries, without its header.
    pub fn payload_bytes(&self, index: u16) -> usize {
        let start = usize::from(index) * FRAGMENT_PAYLOAD_BYTES;
        self.bytes.len().saturating_sub(start).min(FRAGMENT_PAYLOAD_BYTES)
    }

    /// The header of fragment 0.
    pub(super) fn first(&self) -> &FragmentHeader {
        &self.first
    }

    /// Fragment `index`: its header and its slice of the shared bytes.
    ///
    /// # Panics
    /// When `index` is not less than [`Fragmenter::count`].
    pub fn fragment(&self, index: u16) -> (FragmentHeader, Bytes) {
        (self.header(index), self.payloads(index, 1))
    }

    /// The header of fragment `index`.
    ///
    /// # Panics
    /// When `index` is not less than [`Fragmenter::count`].
    pub fn header(&self, index: u16) -> FragmentHeader {
        assert!(index < self.count(), "fragment {index} of {}", self.count());
        let length = self.payload_bytes(index) as u16;
        FragmentHeader { index: index.into(), length: length.into(), ..self.first }
    }

    /// What so many fragments from `index` on carry, one behind the other: each [`FRAGMENT_PAYLOAD_BYTES`], a chunk's last
    /// one what is left.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn payloads(&self, index: u16, fragments: u16) -> Bytes {
        let end = usize::from(index) + usize::from(fragments);
        assert!(end <= usize::from(self.count()), "{fragments} fragments from {index} of {}", self.count());
        let start = usize::from(index) * FRAGMENT_PAYLOAD_BYTES;
        self.bytes.slice(start..self.bytes.len().min(end * FRAGMENT_PAYLOAD_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ChunkKey = ChunkKey { cx: 1, cy: 0, cz: -1 };

    #[test]
    fn fragments_share_the_bytes() {
        let bytes = Bytes::from(vec![7; 2 * FRAGMENT_PAYLOAD_BYTES + 1]);
        let fragmenter = Fragmenter::new(KEY, 1, 0, 1, bytes.clone()).unwrap();
        assert_eq!(fragmenter.count(), 3);
        let (header, payload) = fragmenter.fragment(2);
        assert_eq!((header.index.get(), header.length.get()), (2, 1));
        assert_eq!(payload.as_ptr(), bytes[2 * FRAGMENT_PAYLOAD_BYTES..].as_ptr());
        let [whole, end] = [fragmenter.payloads(0, 3), fragmenter.payloads(1, 2)];
        assert_eq!((whole, end), (bytes.clone(), bytes.slice(FRAGMENT_PAYLOAD_BYTES..)));
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        let sized = |n| Fragmenter::new(KEY, 1, 0, 1, Bytes::from(vec![0; n])).map(|f| f.count());
        assert_eq!(sized(0), Err(TooLarge(0)));
        assert_eq!(sized(CHUNK_BYTES_MAX), Ok(256));
        assert_eq!(sized(CHUNK_BYTES_MAX + 1), Err(TooLarge(CHUNK_BYTES_MAX + 1)));
    }
}
