//! What a worker keeps from chunk to chunk, so that making one allocates little but the chunk.

use crate::chunk::Plane;

/// Buffers that a worker uses again for each chunk.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Finds a vertex again by its coordinates.
    pub(crate) vertex_slots: Vec<u16>,
    /// Finds a plane again; sorted.
    pub(crate) planes: Vec<(Plane, u16)>,
    /// The bytes that the content hash covers.
    pub(crate) content: Vec<u8>,
}
