//! Hashes that are fixed for ever, and the small generator of numbers that grows from them.
//!
//! XXH3 over little-endian bytes, as its specification fixes it; a different tag for each purpose, so
//! that no two of them ever draw the same numbers.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a hash is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// A chunk's own numbers.
    Chunk = 1,
    /// An edge between two chunks.
    Edge = 2,
    /// A world's name.
    World = 3,
    /// The noise of biomes.
    Biome = 4,
    /// The noise of terrain.
    Terrain = 5,
    /// Where a player comes into a chunk.
    Spawn = 6,
}

/// The hash of a purpose, a seed and three numbers.
pub(crate) fn hash(tag: Tag, seed: u64, a: i32, b: i32, c: i32) -> u64 {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&(tag as u32).to_le_bytes());
    bytes[4..8].copy_from_slice(&a.to_le_bytes());
    bytes[8..12].copy_from_slice(&b.to_le_bytes());
    bytes[12..].copy_from_slice(&c.to_le_bytes());
    xxh3_64_with_seed(&bytes, seed)
}

/// SplitMix64 (Steele, Lea, Flood 2014): one addition and one mix a number.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers that grow from `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&mut self, low: i32, high: i32) -> i32 {
        debug_assert!(low <= high);
        let span = (i64::from(high) - i64::from(low) + 1) as u64;
        low + ((u128::from(self.bits()) * u128::from(span)) >> 64) as i32
    }

    /// True one time in `n`.
    pub fn one_in(&mut self, n: i32) -> bool {
        self.range(1, n) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_fixed_for_ever() {
        // SplitMix64's published first outputs for seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
        let golden = [hash(Tag::Chunk, 9, 0, 0, 0), hash(Tag::Edge, 9, -1, i32::MAX, 1)];
        assert_eq!(golden, GOLDEN);
    }

    const GOLDEN: [u64; 2] = [17_392_064_749_203_643_988, 6_771_793_339_059_686_934];

    #[test]
    fn a_range_holds_its_ends_and_nothing_else() {
        let mut random = Random::new(1);
        let mut seen = [false; 4];
        for _ in 0..200 {
            seen[(random.range(-1, 2) + 1) as usize] = true;
        }
        assert_eq!(seen, [true; 4]);
    }
}
