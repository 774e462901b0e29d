//! What can be wrong with bytes that claim to be a chunk.

use super::{CHUNK_KIND_BSP, ENCODED_BYTES_MAX, FORMAT_VERSION, HEADER_BYTES};

/// Why bytes are no chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than a header, or longer than any chunk.
    #[error("{0} bytes are no chunk: {HEADER_BYTES} to {ENCODED_BYTES_MAX} expected")]
    Length(usize),
    /// It does not begin as a chunk does.
    #[error("the magic is {0:02x?}, not \"9FCH\"")]
    Magic([u8; 4]),
    /// Another version, kind or encoding.
    #[error(
        "format {format}, kind {kind}, encoding {encoding}: this decoder knows format {FORMAT_VERSION}, kind {CHUNK_KIND_BSP}, encoding {expected}"
    )]
    Unknown {
        /// Version of the layout.
        format: u16,
        /// Kind of chunk.
        kind: u8,
        /// Encoding.
        encoding: u8,
        /// The encoding that was asked for.
        expected: u8,
    },
    /// A header field that cannot be.
    #[error("{field} is {value}, at most {max}")]
    Header {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The largest that it may have.
        max: usize,
    },
    /// The body does not decompress to what the header says.
    #[error("the body does not decompress to the {0} bytes that its counts need")]
    Body(usize),
    /// An index, plane, child or coordinate that cannot be.
    #[error("{what} {index} cannot be")]
    Invalid {
        /// What.
        what: &'static str,
        /// Which of them.
        index: usize,
    },
    /// All is well formed, and it is not what was encoded.
    #[error("the content hash is {computed:032x}, the header says {stated:032x}")]
    ContentHash {
        /// What the header says.
        stated: u128,
        /// What the content gives.
        computed: u128,
    },
}
