//! The header that every encoding of a chunk begins with.

use super::tree::{self, Counts};
use super::{CHUNK_KIND_BSP, DecodeError, FORMAT_VERSION, HEADER_BYTES};
use crate::biome::Biome;
use crate::chunk::{Chunk, FACES_MAX, LEAVES_MAX, NODES_MAX, PLANES_MAX, VERTICES_MAX};
use crate::coord::ChunkCoord;
use crate::door::DOORS_MAX;
use crate::light::LIGHTS_MAX;
use crate::visibility::{OPENINGS_MAX, Visibility};

const MAGIC: [u8; 4] = *b"9FCH";
/// The fields that the content hash covers, with the uncompressed body.
const HASHED: std::ops::Range<usize> = 8..32;
pub(super) const LIMITS: [(&str, usize); 5] = [
    ("planes", PLANES_MAX),
    ("nodes", NODES_MAX),
    ("leaves", LEAVES_MAX),
    ("faces", FACES_MAX),
    ("vertices", VERTICES_MAX),
];
const SMALL_LIMITS: [(&str, usize); 3] =
    [("doors", DOORS_MAX), ("lights", LIGHTS_MAX), ("openings", OPENINGS_MAX)];

/// What the header says of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub coord: ChunkCoord,
    pub biome: Biome,
    pub all_visible: bool,
    pub counts: Counts,
    pub doors: usize,
    pub lights: usize,
    pub openings: usize,
}

impl Header {
    pub fn of(chunk: &Chunk) -> Header {
        let (all_visible, openings) = match &chunk.visibility {
            Visibility::All => (true, 0),
            Visibility::Table(table) => (false, table.openings.len()),
        };
        Header {
            coord: chunk.coord,
            biome: chunk.biome,
            all_visible,
            counts: tree::counts(chunk),
            doors: chunk.doors.len(),
            lights: chunk.lights.len(),
            openings,
        }
    }

    pub fn write(&self, encoding: u8, content_hash: u128, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[CHUNK_KIND_BSP, encoding]);
        out.extend_from_slice(&self.hashed());
        out.extend_from_slice(&content_hash.to_le_bytes());
    }

    /// The fields that the content hash covers.
    pub fn hashed(&self) -> [u8; HASHED.end - HASHED.start] {
        let mut fields = [0; HASHED.end - HASHED.start];
        fields[..4].copy_from_slice(&self.coord.cx.to_le_bytes());
        fields[4..8].copy_from_slice(&self.coord.cz.to_le_bytes());
        fields[8] = self.biome as u8;
        fields[9] = u8::from(self.all_visible);
        for (field, count) in fields[10..20].chunks_exact_mut(2).zip(self.counts) {
            field.copy_from_slice(&(count as u16).to_le_bytes());
        }
        fields[20] = self.doors as u8;
        fields[21] = self.lights as u8;
        fields[22] = self.openings as u8;
        fields
    }

    /// Reads a header and the content hash in it.
    pub fn read(bytes: &[u8; HEADER_BYTES], expected: u8) -> Result<(Header, u128), DecodeError> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let i32_at = |at: usize| i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let magic = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if magic != MAGIC {
            return Err(DecodeError::Magic(magic));
        }
        let (format, kind, encoding) = (u16_at(4), bytes[6], bytes[7]);
        if (format, kind, encoding) != (FORMAT_VERSION, CHUNK_KIND_BSP, expected) {
            return Err(DecodeError::Unknown { format, kind, encoding, expected });
        }
        let field = |field: &'static str, value: usize, max: usize| {
            if value <= max { Ok(value) } else { Err(DecodeError::Header { field, value, max }) }
        };
        let biome = field("biome", bytes[16].into(), Biome::Exterior as usize)?;
        let biome = Biome::from_number(biome as u8).expect("it is not above the last biome");
        let all_visible = field("visibility", bytes[17].into(), 1)? == 1;
        let mut counts = [0; 5];
        for (i, (name, max)) in LIMITS.into_iter().enumerate() {
            counts[i] = field(name, u16_at(18 + 2 * i).into(), max)?;
        }
        let mut small = [0; 3];
        for (i, (name, max)) in SMALL_LIMITS.into_iter().enumerate() {
            // Openings belong to the table.
            let max = if name == "openings" && all_visible { 0 } else { max };
            small[i] = field(name, bytes[28 + i].into(), max)?;
        }
        field("reserved", bytes[31].into(), 0)?;
        // Without nodes it is rock, and has no air either.
        if (counts[1] == 0) != (counts[2] == 0) {
            return Err(DecodeError::Invalid { what: "tree", index: 0 });
        }
        let coord = ChunkCoord { cx: i32_at(8), cz: i32_at(12) };
        let [doors, lights, openings] = small;
        let stated = u128::from_le_bytes(bytes[HASHED.end..].try_into().expect("the header ends with it"));
        Ok((Header { coord, biome, all_visible, counts, doors, lights, openings }, stated))
    }
}
