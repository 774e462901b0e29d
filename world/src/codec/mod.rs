//! A chunk as bytes, in two encodings.
//!
//! - **bsp**: the compiled tree, ready to draw and to walk in, for clients in any language.
//! - **recipe**: the grid, the doors and the lights alone, from which the same chunk is built again.
//!
//! ```text
//!  0      4        6     7         8   12  16     17          18      20     22      24     26        28     29      30        31        32
//!  +------+--------+-----+---------+---+---+------+-----------+-------+------+-------+------+---------+------+-------+---------+---------+-------------+--
//!  | 9FCH | format | kind| encoding| cx| cz| biome| visibility| planes| nodes| leaves| faces| vertices| doors| lights| openings| reserved| content hash| body
//!  +------+--------+-----+---------+---+---+------+-----------+-------+------+-------+------+---------+------+-------+---------+---------+-------------+--
//!                                                                                                                                          16 bytes, to 48
//! ```
//!
//! Both begin with the same header and have the same content hash: XXH3-128 over the header's fields from
//! `cx` to `reserved` and the uncompressed body of the bsp encoding, so another compressor changes no
//! hash. The body is compressed (zstd); under it lie streams.
//!
//! [`decode`] and [`Chunk::from_recipe`] check everything before they believe it: sizes before memory,
//! every index, the tree's shape, every box and every corner, and last the content hash.

mod error;
mod fittings;
mod header;
mod pack;
mod recipe;
mod streams;
mod tree;

pub use error::DecodeError;
pub use recipe::encode_recipe;

use xxhash_rust::xxh3::Xxh3;

use crate::chunk::{Chunk, ContentHash, FACES_MAX, LEAVES_MAX, NODES_MAX, PLANES_MAX, VERTICES_MAX};
use crate::door::DOORS_MAX;
use crate::entries::Entries;
use crate::light::LIGHTS_MAX;
use crate::visibility::{OPENINGS_MAX, Visibility};
use header::Header;
use streams::Streams;

/// The kind of chunk that this codec speaks of, on the wire.
pub const CHUNK_KIND_BSP: u8 = 0;
/// The number of the compiled tree's encoding on the wire.
pub const ENCODING_BSP: u8 = 1;
/// The number of the recipe's encoding on the wire.
pub const ENCODING_RECIPE: u8 = 2;
/// The version of this layout.
pub const FORMAT_VERSION: u16 = 2;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 48;
/// Bytes of the largest uncompressed body.
pub const DECODED_BYTES_MAX: usize =
    tree::body_bytes([PLANES_MAX, NODES_MAX, LEAVES_MAX, FACES_MAX, VERTICES_MAX])
        + DOORS_MAX * fittings::DOOR_BYTES
        + LIGHTS_MAX * fittings::LIGHT_BYTES
        + fittings::table_bytes(LEAVES_MAX, OPENINGS_MAX);
/// Bytes of the largest encoded chunk that a decoder looks at.
pub const ENCODED_BYTES_MAX: usize = HEADER_BYTES + DECODED_BYTES_MAX + 1_024;

/// Encodes a chunk as a compiled tree. The same chunk gives the same bytes.
pub fn encode(chunk: &Chunk) -> Vec<u8> {
    let mut body = Vec::new();
    write_body(chunk, &mut body);
    let mut out = Vec::new();
    Header::of(chunk).write(ENCODING_BSP, chunk.content_hash.0, &mut out);
    debug_assert_eq!(out.len(), HEADER_BYTES);
    pack::pack(&body, &mut out);
    out
}

/// Decodes a chunk from bytes that anybody may have sent.
pub fn decode(bytes: &[u8]) -> Result<Chunk, DecodeError> {
    let (header, stated, packed) = open(bytes, ENCODING_BSP)?;
    let body = pack::unpack(packed, body_bytes(&header))?;
    let mut chunk = read_body(&header, &body)?;
    let computed = hash_of(&header, &body);
    if stated != computed {
        return Err(DecodeError::ContentHash { stated, computed });
    }
    chunk.content_hash = ContentHash(computed);
    Ok(chunk)
}

/// The header, the content hash that it states, and what follows it.
fn open(bytes: &[u8], encoding: u8) -> Result<(Header, u128, &[u8]), DecodeError> {
    if bytes.len() > ENCODED_BYTES_MAX {
        return Err(DecodeError::Length(bytes.len()));
    }
    let (header, packed) =
        bytes.split_first_chunk::<HEADER_BYTES>().ok_or(DecodeError::Length(bytes.len()))?;
    let (header, stated) = Header::read(header, encoding)?;
    Ok((header, stated, packed))
}

/// The hash over a chunk that was just built. `body` is a buffer that is used again.
pub(crate) fn content_hash(chunk: &Chunk, body: &mut Vec<u8>) -> ContentHash {
    body.clear();
    write_body(chunk, body);
    ContentHash(hash_of(&Header::of(chunk), body))
}

fn hash_of(header: &Header, body: &[u8]) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&header.hashed());
    hasher.update(body);
    hasher.digest128()
}

/// Bytes of the uncompressed body that a header announces.
fn body_bytes(header: &Header) -> usize {
    let [_, _, leaves, _, _] = header.counts;
    let table = if header.all_visible { 0 } else { fittings::table_bytes(leaves, header.openings) };
    tree::body_bytes(header.counts)
        + header.doors * fittings::DOOR_BYTES
        + header.lights * fittings::LIGHT_BYTES
        + table
}

fn write_body(chunk: &Chunk, out: &mut Vec<u8>) {
    out.reserve(body_bytes(&Header::of(chunk)));
    tree::write(chunk, out);
    fittings::write_doors(&chunk.doors, out);
    fittings::write_lights(&chunk.lights, out);
    fittings::write_visibility(chunk, out);
    debug_assert_eq!(out.len(), body_bytes(&Header::of(chunk)));
}

fn read_body(header: &Header, body: &[u8]) -> Result<Chunk, DecodeError> {
    let mut streams = Streams::new(body);
    let tree::Tree { planes, nodes, leaves, faces, vertices } = tree::read(&mut streams, header.counts)?;
    let doors = fittings::read_doors(&mut streams, header.doors)?;
    let lights = fittings::read_lights(&mut streams, header.lights)?;
    let visibility = if header.all_visible {
        Visibility::All
    } else {
        fittings::read_visibility(&mut streams, leaves.len(), header.openings)?
    };
    debug_assert!(streams.is_empty());
    Ok(Chunk {
        coord: header.coord,
        biome: header.biome,
        entries: Entries::of(&nodes, &planes),
        planes,
        nodes,
        leaves,
        faces,
        vertices,
        doors,
        lights,
        visibility,
        content_hash: ContentHash(0),
    })
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
