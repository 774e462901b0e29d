//! Why a picture cannot be drawn, in words that say what to do about it.

use std::path::PathBuf;

use ninefold_world::{ChunkCoord, DecodeError};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Its own bytes were refused by the decoder: the picture shows what a client gets, so there is none.
    #[error("the chunk at ({}, {}) does not decode: {error}", at.cx, at.cz)]
    Chunk {
        /// Which chunk.
        at: ChunkCoord,
        /// Why.
        error: DecodeError,
    },
}
