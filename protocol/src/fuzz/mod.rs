//! Fuzz targets of everything below the connection; those of the connection stand with its own tests. How they run:
//! docs/fuzzing.md.

mod chunk;
mod frames;
mod link;

use crate::time::{Duration, Instant};

fn at(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_ms(ms)
}
