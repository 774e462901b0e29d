//! Parity of ready chunks: made when a client's line first asks for it, kept with the chunk, shared by all.
//!
//! Most lines lose next to nothing, and most chunks never need any, so it is made on demand: a chunk of 32 KiB
//! takes microseconds (`cargo bench --bench wire`). That is the tick's time, and so there is a bound on what one
//! tick makes; whoever comes too late gets it in the next.

use std::sync::{Arc, OnceLock};

use ninefold_protocol::chunk::{Fragmenter, Parity, ParityEncoder, parity_max};
use ninefold_world::ChunkCoord;

/// Parity fragments that one tick makes at most, but always one chunk's: about 70 us.
pub const PARITY_FRAGMENTS_PER_TICK_MAX: usize = 256;

/// The parity of one encoding of a chunk, once somebody needed it.
#[derive(Clone, Debug, Default)]
pub struct SharedParity(Arc<OnceLock<Parity>>);

impl SharedParity {
    /// It, if it was made.
    pub fn get(&self) -> Option<&Parity> {
        self.0.get()
    }
}

/// What was made in a tick, for the chunk service to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeParity {
    /// Of which chunk.
    pub coord: ChunkCoord,
    /// Of which version.
    pub version: u32,
    /// Bytes that it holds.
    pub bytes: u64,
}

/// Makes parity for the tick.
#[derive(Debug, Default)]
pub struct ParityBench {
    encoder: ParityEncoder,
    fragments_left: usize,
    made: Vec<MadeParity>,
}

impl ParityBench {
    /// A tick begins.
    pub fn begin_tick(&mut self) {
        self.fragments_left = PARITY_FRAGMENTS_PER_TICK_MAX;
        self.made.clear();
    }

    /// What this tick made.
    pub fn made(&self) -> &[MadeParity] {
        &self.made
    }

    /// Says whether the parity is there, and makes it if the tick has time for it.
    pub fn ensure(&mut self, coord: ChunkCoord, fragmenter: &Fragmenter, parity: &SharedParity) -> bool {
        if parity.get().is_some() {
            return true;
        }
        let fragments = usize::from(parity_max(fragmenter.count()));
        if fragments > self.fragments_left {
            return false;
        }
        self.fragments_left -= fragments;
        let made = parity.0.get_or_init(|| self.encoder.encode(fragmenter));
        let bytes = made.bytes() as u64;
        self.made.push(MadeParity { coord, version: fragmenter.version(), bytes });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ninefold_protocol::frame::ChunkKey;
    use ninefold_protocol::limits::{CHUNK_BYTES_MAX, PARITY_PER_CHUNK_MAX};

    const HERE: ChunkCoord = ChunkCoord { cx: 0, cz: 0 };

    fn fragmenter(bytes: usize) -> Fragmenter {
        let key = ChunkKey { cx: 0, cy: 0, cz: 0 };
        Fragmenter::new(key, 3, 0, 1, Bytes::from(vec![1; bytes])).unwrap()
    }

    #[test]
    fn it_is_made_once_and_shared() {
        let (mut bench, parity) = (ParityBench::default(), SharedParity::default());
        let (shared, fragmenter) = (parity.clone(), fragmenter(2_500));
        assert!(!bench.ensure(HERE, &fragmenter, &parity), "no tick has begun");
        bench.begin_tick();
        assert!(bench.ensure(HERE, &fragmenter, &parity) && bench.ensure(HERE, &fragmenter, &shared));
        assert_eq!(bench.made(), [MadeParity { coord: HERE, version: 3, bytes: 8 * 1_150 }]);
        assert_eq!(shared.get().unwrap().bytes(), 8 * 1_150);
        bench.begin_tick();
        assert!(bench.ensure(HERE, &fragmenter, &shared) && bench.made().is_empty());
    }

    #[test]
    fn a_tick_makes_no_more_than_its_bound_and_the_next_goes_on() {
        let mut bench = ParityBench::default();
        let (large, each) = (fragmenter(CHUNK_BYTES_MAX), usize::from(PARITY_PER_CHUNK_MAX));
        let wanted: Vec<SharedParity> = (0..5).map(|_| SharedParity::default()).collect();
        for ticks in 1..=3 {
            bench.begin_tick();
            let made = wanted.iter().filter(|p| bench.ensure(HERE, &large, p)).count();
            assert_eq!(made, (ticks * PARITY_FRAGMENTS_PER_TICK_MAX / each).min(wanted.len()));
        }
    }
}
