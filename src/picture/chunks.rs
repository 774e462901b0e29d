//! The chunks of a picture, as a client gets them: made, encoded, decoded.

use ninefold_world::{Chunk, ChunkCoord, Generator, Scratch, decode, encode};
use rayon::prelude::*;

use super::error::PictureError;

/// The chunks at these places, in their order.
pub fn receive(generator: &dyn Generator, places: &[ChunkCoord]) -> Result<Vec<Chunk>, PictureError> {
    let receive = |scratch: &mut Scratch, at: &ChunkCoord| {
        let bytes = encode(&generator.generate(*at, scratch));
        decode(&bytes).map_err(|error| PictureError::Chunk { at: *at, error })
    };
    places.par_iter().map_init(Scratch::default, receive).collect()
}
