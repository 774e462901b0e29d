//! What a worker keeps from chunk to chunk, so that making one allocates nothing but the chunk.

use crate::bsp::Tree;
use crate::visibility::Portals;

/// Buffers that a worker uses again for each chunk.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The tree in the making.
    pub(crate) tree: Tree,
    /// The ways from leaf to leaf.
    pub(crate) portals: Portals,
    /// The bytes that the content hash covers.
    pub(crate) content: Vec<u8>,
}
