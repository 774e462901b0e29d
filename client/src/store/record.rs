//! A chunk as a file: a header, the encoded bytes, and a checksum over all of it.
//!
//! ```text
//!  0      4        5         6         8   12  16            32      36        40        48
//!  +------+--------+---------+---------+---+---+-------------+-------+---------+---------+------
//!  | 9FST | version| encoding| reserved| cx| cz| content hash| length| reserved| checksum| bytes
//!  +------+--------+---------+---------+---+---+-------------+-------+---------+---------+------
//! ```
//!
//! Little-endian. The checksum is the XXH3-64 of the 40 bytes in front of it and of the encoded bytes. What
//! is written half, shortened, grown or changed does not pass; that the bytes are the chunk of that content
//! hash only decoding tells.

use ninefold_world::{ChunkCoord, ContentHash, ENCODED_BYTES_MAX};
use xxhash_rust::xxh3::Xxh3;

use crate::StoredKey;

const MAGIC: [u8; 4] = *b"9FST";
const VERSION: u8 = 1;
/// Bytes in front of the checksum.
const SUMMED_BYTES: usize = 40;
/// Bytes in front of the encoded chunk.
pub(super) const HEADER_BYTES: usize = SUMMED_BYTES + 8;
/// Bytes of the longest file.
pub(super) const FILE_BYTES_MAX: usize = HEADER_BYTES + ENCODED_BYTES_MAX;

/// The header of these bytes.
pub(super) fn header(key: StoredKey, encoding: u8, bytes: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = VERSION;
    header[5] = encoding;
    header[8..12].copy_from_slice(&key.coord.cx.to_le_bytes());
    header[12..16].copy_from_slice(&key.coord.cz.to_le_bytes());
    header[16..32].copy_from_slice(&key.content_hash.0.to_le_bytes());
    let length = u32::try_from(bytes.len()).expect("an encoded chunk is far below 4 GiB");
    header[32..36].copy_from_slice(&length.to_le_bytes());
    let sum = checksum(&header, bytes);
    header[SUMMED_BYTES..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// The encoding and the encoded bytes of a whole file, if it is right and of this chunk.
pub(super) fn parse(key: StoredKey, file: &[u8]) -> Option<(u8, &[u8])> {
    let (head, bytes) = file.split_first_chunk::<HEADER_BYTES>()?;
    let (summed, sum) = head.split_at(SUMMED_BYTES);
    let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
    let coord = ChunkCoord { cx: i32::from_le_bytes(word(8)), cz: i32::from_le_bytes(word(12)) };
    let content_hash = ContentHash(u128::from_le_bytes(summed[16..32].try_into().ok()?));
    let is_ours = summed[..4] == MAGIC && summed[4] == VERSION;
    let is_right = u32::from_le_bytes(word(32)) as usize == bytes.len()
        && sum == checksum(head, bytes).to_le_bytes()
        && StoredKey { coord, content_hash } == key;
    (is_ours && is_right).then_some((head[5], bytes))
}

fn checksum(header: &[u8; HEADER_BYTES], bytes: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&header[..SUMMED_BYTES]);
    hasher.update(bytes);
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: StoredKey =
        StoredKey { coord: ChunkCoord { cx: -2, cz: 3 }, content_hash: ContentHash(0x0102_0304) };

    fn file() -> Vec<u8> {
        [&header(KEY, 2, b"chunk")[..], b"chunk"].concat()
    }

    #[test]
    fn a_file_reads_as_it_was_written() {
        assert_eq!(parse(KEY, &file()), Some((2, &b"chunk"[..])));
        assert_eq!(file()[..16], *b"9FST\x01\x02\0\0\xfe\xff\xff\xff\x03\0\0\0");
        let other = StoredKey { content_hash: ContentHash(1), ..KEY };
        assert_eq!(parse(other, &file()), None);
    }

    #[test]
    fn no_changed_bit_and_no_other_length_passes() {
        let file = file();
        for bit in 0..8 * file.len() {
            let mut changed = file.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(KEY, &changed), None, "bit {bit}");
        }
        for length in 0..file.len() {
            assert_eq!(parse(KEY, &file[..length]), None, "{length} bytes");
        }
        assert_eq!(parse(KEY, &[&file[..], &[0]].concat()), None);
    }
}
