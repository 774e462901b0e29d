//! Lines of memory, and asking for them ahead.

use std::ops::Range;

use prefetch_index::prefetch_index;

/// What comes into the cache at once. Without any of them, as the first field, it says where something begins.
pub type CacheLine = [u8; CACHE_LINE_BYTES];
const CACHE_LINE_BYTES: usize = 64;

/// Has a part of what begins here fetched from memory, without waiting for it.
pub fn fetch(start: &[CacheLine; 0], bytes: Range<usize>) {
    for line in bytes.start / CACHE_LINE_BYTES..bytes.end.div_ceil(CACHE_LINE_BYTES) {
        prefetch_index(start.as_slice(), line);
    }
}
