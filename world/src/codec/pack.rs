//! The compressor under both encodings: zstd, level 1.

use super::DecodeError;

/// zstd's level: the next ones cost twice the time for a few percent.
const LEVEL: i32 = 1;

/// Appends the compressed body.
pub(super) fn pack(body: &[u8], out: &mut Vec<u8>) {
    let compressed = zstd::bulk::compress(body, LEVEL).expect("zstd compresses any bytes in memory");
    out.reserve_exact(compressed.len());
    out.extend_from_slice(&compressed);
}

/// Unpacks a body that must have `expected` bytes: one frame and nothing after it.
pub(super) fn unpack(packed: &[u8], expected: usize) -> Result<Vec<u8>, DecodeError> {
    if zstd::zstd_safe::find_frame_compressed_size(packed) != Ok(packed.len()) {
        return Err(DecodeError::Body(expected));
    }
    let body = zstd::bulk::decompress(packed, expected).map_err(|_| DecodeError::Body(expected))?;
    if body.len() != expected {
        return Err(DecodeError::Body(expected));
    }
    Ok(body)
}
