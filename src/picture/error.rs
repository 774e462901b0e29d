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
    /// The eye would stand where no chunk is.
    #[error(
        "--at {x},{z} lies outside the world; a coordinate reaches from -2199023255552 to below 2199023255552"
    )]
    OutsideGrid {
        /// Eastward.
        x: f64,
        /// Southward.
        z: f64,
    },
    /// The eye would stand in rock.
    #[error("there is rock at {x},{z}{}", nearest_words(*nearest))]
    Rock {
        /// Eastward.
        x: f64,
        /// Southward.
        z: f64,
        /// The nearest place in the chunk that has air.
        nearest: Option<(f64, f64)>,
    },
    /// The eye would be above the ceiling.
    #[error("--eye {eye} is above what is open at {x},{z}: choose at most {highest}")]
    EyeTooHigh {
        /// Eastward.
        x: f64,
        /// Southward.
        z: f64,
        /// Above the floor.
        eye: f64,
        /// The most that fits.
        highest: f64,
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

fn nearest_words(nearest: Option<(f64, f64)>) -> String {
    match nearest {
        Some((x, z)) => format!(": the nearest open place of its chunk is --at {x},{z}"),
        None => " and in all of its chunk: choose another --at".to_owned(),
    }
}
