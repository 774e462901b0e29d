//! Chunks that clients hold in common: each has decoded its own, and equal ones are kept once.
//!
//! A thousand clients on machines of their own have a cache each. Here they share one, and a thousand copies of the same
//! trees would be waited for at every step.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use ninefold_client::world::{Chunk, ChunkCoord};

/// The least so many are known before those that nobody holds any more are looked for.
const KNOWN_MIN: usize = 1_024;

/// All that somebody holds.
#[derive(Debug)]
pub struct Commons {
    held: BTreeMap<ChunkCoord, Weak<Chunk>>,
    /// When those that nobody holds are thrown out next.
    sweep_at: usize,
}

impl Default for Commons {
    fn default() -> Commons {
        Commons { held: BTreeMap::new(), sweep_at: KNOWN_MIN }
    }
}

impl Commons {
    /// The one that is held already, if it is equal; else this one, which is held from now on.
    pub fn share(&mut self, chunk: &Arc<Chunk>) -> Arc<Chunk> {
        let known = self.held.get(&chunk.coord()).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| known.content_hash() == chunk.content_hash()) {
            return known;
        }
        self.held.insert(chunk.coord(), Arc::downgrade(chunk));
        if self.held.len() > self.sweep_at {
            self.held.retain(|_, chunk| chunk.strong_count() > 0);
            self.sweep_at = (2 * self.held.len()).max(KNOWN_MIN);
        }
        Arc::clone(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_chunks_are_held_once_and_others_apart() {
        let mut commons = Commons::default();
        let coord = ChunkCoord { cx: 3, cz: -4 };
        let [first, second] = [(); 2].map(|()| Arc::new(Chunk::safe(coord)));
        assert!(Arc::ptr_eq(&commons.share(&first), &first));
        assert!(Arc::ptr_eq(&commons.share(&second), &first));
        drop(first);
        assert!(Arc::ptr_eq(&commons.share(&second), &second));
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let mut commons = Commons::default();
        for cx in 0..10 * KNOWN_MIN as i32 {
            commons.share(&Arc::new(Chunk::safe(ChunkCoord { cx, cz: 0 })));
            assert!(commons.held.len() <= KNOWN_MIN);
        }
    }
}
