//! Parity: fragments from which a receiver makes the ones that it lost.
//!
//! A chunk of `count` fragments is whole from any `count` of its fragments and parity fragments together
//! (Reed-Solomon, systematic: on a clean line nobody decodes anything). Parity is made once for a chunk's
//! version and shared by all clients; more of it answers what is still missing by number, not by identity.
//!
//! How much of it there is to draw from follows from `count` alone, since the code depends on it: both ends
//! must mean the same. The short last fragment counts as filled up with zeros.

use bytes::{Bytes, BytesMut};
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::Fragmenter;
use crate::frame::{FLAG_PARITY, FragmentHeader};
use crate::limits::{
    FRAGMENT_PAYLOAD_BYTES, FRAGMENTS_PER_CHUNK_MAX, PARITY_PER_CHUNK_MAX, PARITY_PER_CHUNK_MIN,
};

const SUPPORTED: &str = "so few fragments of an even length are within the code's bounds";

// The code works on pairs of bytes.
const _: () = assert!(FRAGMENT_PAYLOAD_BYTES.is_multiple_of(2));

/// Parity fragments that there are for a chunk of `count` fragments: as many as its own, rounded up to a
/// power of two, within bounds.
pub const fn parity_max(count: u16) -> u16 {
    let count = if count > FRAGMENTS_PER_CHUNK_MAX { FRAGMENTS_PER_CHUNK_MAX } else { count };
    let power = count.next_power_of_two();
    if power < PARITY_PER_CHUNK_MIN {
        PARITY_PER_CHUNK_MIN
    } else if power > PARITY_PER_CHUNK_MAX {
        PARITY_PER_CHUNK_MAX
    } else {
        power
    }
}

/// The parity fragments of one version of a chunk.
#[derive(Debug, Clone)]
pub struct Parity {
    /// The header of parity fragment 0; the others differ in `index`.
    first: FragmentHeader,
    /// All payloads, one behind the other.
    bytes: Bytes,
}

impl Parity {
    /// How many there are: [`parity_max`] of the chunk's fragments.
    pub fn count(&self) -> u16 {
        parity_max(self.first.count.get())
    }

    /// Bytes that it holds, for whoever keeps it.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Parity fragment `index`: its header and its slice of the shared bytes.
    ///
    /// # Panics
    /// When `index` is not less than [`Parity::count`].
    pub fn fragment(&self, index: u16) -> (FragmentHeader, Bytes) {
        assert!(index < self.count(), "parity fragment {index} of {}", self.count());
        let start = usize::from(index) * FRAGMENT_PAYLOAD_BYTES;
        let header = FragmentHeader { index: index.into(), ..self.first };
        (header, self.bytes.slice(start..start + FRAGMENT_PAYLOAD_BYTES))
    }
}

/// Makes parity; belongs to a worker, which uses it again and again.
#[derive(Default)]
pub struct ParityEncoder {
    encoder: Option<ReedSolomonEncoder>,
}

impl std::fmt::Debug for ParityEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ParityEncoder")
    }
}

impl ParityEncoder {
    /// All parity of a chunk.
    pub fn encode(&mut self, fragmenter: &Fragmenter) -> Parity {
        let count = fragmenter.count();
        let (own, parity) = (usize::from(count), usize::from(parity_max(count)));
        let encoder = match &mut self.encoder {
            Some(encoder) => {
                encoder.reset(own, parity, FRAGMENT_PAYLOAD_BYTES).expect(SUPPORTED);
                encoder
            }
            none => {
                none.insert(ReedSolomonEncoder::new(own, parity, FRAGMENT_PAYLOAD_BYTES).expect(SUPPORTED))
            }
        };
        let mut last_bytes = 0;
        for index in 0..count {
            let (_, payload) = fragmenter.fragment(index);
            last_bytes = payload.len();
            let mut filled = [0; FRAGMENT_PAYLOAD_BYTES];
            filled[..last_bytes].copy_from_slice(&payload);
            encoder.add_original_shard(filled).expect("as many as were announced, of the length announced");
        }
        let encoded = encoder.encode().expect("all fragments were added");
        let mut bytes = BytesMut::with_capacity(parity * FRAGMENT_PAYLOAD_BYTES);
        encoded.recovery_iter().for_each(|payload| bytes.extend_from_slice(payload));
        debug_assert_eq!(bytes.len(), parity * FRAGMENT_PAYLOAD_BYTES);
        let first = FragmentHeader {
            index: 0.into(),
            flags: FLAG_PARITY,
            length: (last_bytes as u16).into(),
            ..*fragmenter.first()
        };
        Parity { first, bytes: bytes.freeze() }
    }
}

/// Makes the tables that the code works with, 8 MiB once in a process and some milliseconds' work.
/// Whoever must not stall at the first parity calls it at its start.
pub fn warm_up_parity() {
    let (own, parity) = (2, usize::from(parity_max(2)));
    let mut encoder = ReedSolomonEncoder::new(own, parity, 2).expect(SUPPORTED);
    let mut decoder = ReedSolomonDecoder::new(own, parity, 2).expect(SUPPORTED);
    for index in 0..own {
        encoder.add_original_shard([7, 9]).expect("as many as were announced, of the length announced");
        decoder.add_recovery_shard(index, [7, 9]).expect("each index is within its bound and there once");
    }
    let _ = (encoder.encode().map(drop), decoder.decode().map(drop));
}

/// The missing fragments were made.
pub(super) struct Recovered;

/// Makes the fragments of a chunk that are not `is_present` from those that are, in `buffer`, and from at
/// least as many of `parity` as are missing.
pub(super) fn recover<'p>(
    count: u16,
    is_present: impl Fn(usize) -> bool,
    parity: impl Iterator<Item = (u16, &'p [u8])>,
    buffer: &mut [u8],
) -> Recovered {
    let own = usize::from(count);
    debug_assert_eq!(buffer.len(), own * FRAGMENT_PAYLOAD_BYTES);
    let parity_count = parity_max(count).into();
    let mut decoder = ReedSolomonDecoder::new(own, parity_count, FRAGMENT_PAYLOAD_BYTES).expect(SUPPORTED);
    let added = "each index is within its bound and there once";
    for (index, payload) in buffer.chunks_exact(FRAGMENT_PAYLOAD_BYTES).enumerate() {
        if is_present(index) {
            decoder.add_original_shard(index, payload).expect(added);
        }
    }
    for (index, payload) in parity {
        decoder.add_recovery_shard(index.into(), payload).expect(added);
    }
    let decoded = decoder.decode().expect("there are as many fragments as the chunk has");
    for (index, payload) in decoded.restored_original_iter() {
        let start = index * FRAGMENT_PAYLOAD_BYTES;
        buffer[start..start + FRAGMENT_PAYLOAD_BYTES].copy_from_slice(payload);
    }
    Recovered
}

/// Loss in thousandths that the rows of [`PARITY`] are made for.
const LOSS_PERMILLE: [u32; 9] = [5, 10, 20, 30, 50, 75, 100, 150, 200];
/// Loss up to which a row is the nearest, between it and the next in proportion. What is measured is no more exact.
const NEAREST_UP_TO_PERMILLE: [u32; 8] = [7, 14, 24, 38, 61, 86, 122, 173];
/// Fragments up to which a column is enough.
const COUNTS: [u16; 17] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 29, 32, 48, 64, 96, 128, 192, 256];
/// The fewest parity fragments with which 99 of 100 chunks are whole at once, if losses are independent; at 20 %, where
/// losses come in bursts, 999 of 1,000. Other bursts are for acknowledgements and fresh parity to carry.
const PARITY: [[u16; 17]; 9] = [
    [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5],
    [0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 5, 6, 7],
    [1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5, 6, 7, 9, 11],
    [1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 8, 9, 12, 15],
    [1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 5, 7, 8, 11, 14, 18, 23],
    [1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 7, 9, 11, 15, 19, 26, 33],
    [1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 12, 14, 20, 24, 34, 42],
    [2, 3, 3, 4, 4, 5, 7, 8, 10, 12, 13, 17, 21, 28, 36, 50, 63],
    [4, 5, 6, 6, 8, 8, 11, 13, 16, 19, 20, 26, 32, 43, 54, 74, 94],
];

/// Parity fragments to send along with a chunk of `count` fragments on a line that loses `loss_permille`
/// thousandths of its packets. Below 0.5 % none; over 20 % as many as at 20 %.
pub fn parity_for_loss(loss_permille: u32, count: u16) -> u16 {
    if loss_permille < LOSS_PERMILLE[0] || count == 0 {
        return 0;
    }
    let row = NEAREST_UP_TO_PERMILLE.iter().take_while(|l| **l < loss_permille).count();
    let column = COUNTS.iter().position(|c| *c >= count).unwrap_or(COUNTS.len() - 1);
    PARITY[row][column].min(parity_max(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Outcome, Reassembly, Refusal};
    use crate::frame::{ChunkKey, Fragment, ParityFragment};
    use crate::limits::{CHUNK_BYTES_MAX, REASSEMBLY_BYTES_MAX, REASSEMBLY_IDLE_MAX};
    use crate::time::Instant;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    const KEY: ChunkKey = ChunkKey { cx: 4, cy: 0, cz: -4 };
    const NOW: Instant = Instant::ZERO;

    fn chunk_bytes(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 31 % 251) as u8).collect()
    }

    fn fragmenter(bytes: &[u8]) -> Fragmenter {
        Fragmenter::new(KEY, 1, 0, 1, Bytes::copy_from_slice(bytes)).unwrap()
    }

    /// The chunk's own fragments and then its parity, as bodies.
    fn bodies(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let fragmenter = fragmenter(bytes);
        let parity = ParityEncoder::default().encode(&fragmenter);
        let body = |(header, payload): (FragmentHeader, Bytes)| [header.as_bytes(), &payload].concat();
        let own = (0..fragmenter.count()).map(|index| body(fragmenter.fragment(index))).collect();
        (own, (0..parity.count()).map(|index| body(parity.fragment(index))).collect())
    }

    fn take(reassembly: &mut Reassembly, body: &[u8]) -> Outcome {
        match Fragment::parse(body) {
            Ok(fragment) => reassembly.handle(NOW, &fragment),
            Err(_) => reassembly.handle_parity(NOW, &ParityFragment::parse(body).unwrap()),
        }
    }

    /// What comes of these bodies, in this order.
    fn assemble<'b>(bodies: impl IntoIterator<Item = &'b Vec<u8>>) -> Option<Vec<u8>> {
        let mut reassembly = Reassembly::new(REASSEMBLY_BYTES_MAX);
        for body in bodies {
            match take(&mut reassembly, body) {
                Outcome::Complete(whole) => {
                    assert_eq!(reassembly.bytes(), 0);
                    return Some(whole.bytes);
                }
                Outcome::Progress => {}
                Outcome::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
        None
    }

    #[test]
    fn a_chunk_of_29_fragments_survives_the_loss_of_any_five_with_five() {
        let bytes = chunk_bytes(32 << 10);
        let (own, parity) = bodies(&bytes);
        assert_eq!(own.len(), 29);
        for lost in [[0, 1, 2, 3, 4], [24, 25, 26, 27, 28], [0, 7, 14, 21, 28]] {
            let came = (0..29).filter(|i| !lost.contains(i)).map(|i| &own[i]);
            assert_eq!(assemble(came.clone().chain(&parity[..5])).as_ref(), Some(&bytes), "{lost:?}");
            assert_eq!(assemble(came.clone().chain(&parity[7..12])).as_ref(), Some(&bytes), "{lost:?}");
            assert_eq!(assemble(came.chain(&parity[..4])), None, "four do not make up for five");
        }
    }

    #[test]
    fn parity_alone_is_enough_where_there_is_as_much() {
        for length in [1, 2, 1_150, 1_151, 2_613, 9_200] {
            let bytes = chunk_bytes(length);
            let (own, parity) = bodies(&bytes);
            assert_eq!(assemble(parity.iter().take(own.len())), Some(bytes), "{length}");
        }
    }

    #[test]
    fn the_largest_chunk_survives_the_loss_of_half_of_it() {
        let bytes = chunk_bytes(CHUNK_BYTES_MAX - 7);
        let (own, parity) = bodies(&bytes);
        assert_eq!((own.len(), parity.len()), (256, 128));
        assert_eq!(assemble(own.iter().step_by(2).chain(&parity)), Some(bytes));
    }

    #[test]
    fn an_encoder_that_was_used_before_makes_the_same() {
        let mut encoder = ParityEncoder::default();
        for length in [40_000, 900, 40_000, 3_000] {
            let fragmenter = fragmenter(&chunk_bytes(length));
            let (used, fresh) = (encoder.encode(&fragmenter), ParityEncoder::default().encode(&fragmenter));
            assert_eq!((used.first, &used.bytes), (fresh.first, &fresh.bytes), "{length}");
        }
    }

    /// Which code it is must never change unseen: both ends have to mean the same.
    #[test]
    fn parity_bytes_are_fixed() {
        let (_, parity) = bodies(&chunk_bytes(2_613));
        assert_eq!(parity.len(), 8);
        let hash = |body: &Vec<u8>| xxhash_rust::xxh32::xxh32(body, 0);
        let hashes: Vec<u32> = parity.iter().map(hash).collect();
        let fixed = [
            0x7b24_7074,
            0x4bd0_3bd7,
            0x98eb_6ebe,
            0x7b23_eef3,
            0x0151_c286,
            0x1a4a_da92,
            0xcbd0_e056,
            0x9bb5_abaa,
        ];
        assert_eq!(hashes, fixed);
    }

    #[test]
    fn parity_is_counted_kept_once_and_forgotten_with_its_chunk() {
        let (own, parity) = bodies(&chunk_bytes(5_000));
        let mut r = Reassembly::new(REASSEMBLY_BYTES_MAX);
        assert_eq!(take(&mut r, &parity[0]), Outcome::Progress);
        assert_eq!(r.bytes(), 6 * FRAGMENT_PAYLOAD_BYTES);
        assert_eq!(take(&mut r, &parity[0]), Outcome::Refused(Refusal::Duplicate));
        let mut other_bytes = parity[0].clone();
        other_bytes[100] ^= 1;
        assert_eq!(take(&mut r, &other_bytes), Outcome::Refused(Refusal::Contradiction));
        let mut other_last = parity[1].clone();
        other_last[27] ^= 1;
        assert_eq!(take(&mut r, &other_last), Outcome::Refused(Refusal::Contradiction));
        let mut other_end = own[4].clone();
        other_end.pop();
        other_end[27] -= 1;
        assert_eq!(take(&mut r, &other_end), Outcome::Refused(Refusal::Contradiction));
        assert_eq!(take(&mut r, &bodies(&chunk_bytes(9_000)).1[0]), Outcome::Refused(Refusal::Contradiction));
        assert_eq!(r.expire(NOW + REASSEMBLY_IDLE_MAX), 1);
        assert_eq!((r.bytes(), r.len()), (0, 0));
        let mut r = Reassembly::new(5 * FRAGMENT_PAYLOAD_BYTES);
        assert_eq!(take(&mut r, &parity[0]), Outcome::Refused(Refusal::NoRoom));
        assert!(r.bytes() <= 5 * FRAGMENT_PAYLOAD_BYTES);
        assert_eq!(take(&mut r, &own[0]), Outcome::Progress);
    }

    /// Wrong parity makes a wrong chunk, which its content hash tells; it makes no more than one.
    #[test]
    fn parity_that_lies_gives_wrong_bytes_of_the_right_length() {
        let bytes = chunk_bytes(5_000);
        let (own, mut parity) = bodies(&bytes);
        parity[0][29..].fill(0x5a);
        let made = assemble(own[1..].iter().chain(&parity[..1])).unwrap();
        assert_eq!(made.len(), bytes.len());
        assert_ne!(made, bytes);
        assert_eq!(made[1_150..], bytes[1_150..], "what came is not changed");
    }

    #[test]
    fn the_table_is_what_the_binomial_distribution_asks_for() {
        for (row, loss_permille) in LOSS_PERMILLE.iter().enumerate() {
            let loss = f64::from(*loss_permille) / 1_000.0;
            let enough = if *loss_permille < 200 { 0.99 } else { 0.999 };
            for (column, count) in COUNTS.iter().enumerate() {
                let parity = PARITY[row][column];
                let is_enough = whole(*count, parity, loss) >= enough;
                assert!(is_enough || parity == parity_max(*count), "{count} + {parity} at {loss}");
                assert!(
                    parity == 0 || whole(*count, parity - 1, loss) < enough,
                    "{count} + {parity} at {loss}"
                );
                assert!(parity <= parity_max(*count), "{count} + {parity}");
            }
        }
    }

    /// How likely at most `parity` of all fragments are lost.
    fn whole(count: u16, parity: u16, loss: f64) -> f64 {
        let all = f64::from(count + parity);
        let mut term = (1.0 - loss).powf(all);
        let mut sum = term;
        for lost in 1..=parity {
            let k = f64::from(lost);
            term *= (all - k + 1.0) / k * loss / (1.0 - loss);
            sum += term;
        }
        sum
    }

    #[test]
    fn a_clean_line_gets_no_parity_and_a_worse_one_never_less() {
        for count in 0..=FRAGMENTS_PER_CHUNK_MAX {
            assert_eq!([0, 1, 4].map(|loss| parity_for_loss(loss, count)), [0; 3]);
            let by_loss: Vec<u16> = (0..=1_000).map(|loss| parity_for_loss(loss, count)).collect();
            assert!(by_loss.is_sorted(), "{count}");
        }
        // 32 KiB at 5 %: under the 18 % that it may cost.
        assert_eq!([45, 50, 55].map(|loss| parity_for_loss(loss, 29)), [5; 3]);
        for (row, loss_permille) in LOSS_PERMILLE.iter().enumerate() {
            assert_eq!(parity_for_loss(*loss_permille, 29), PARITY[row][9]);
        }
        assert_eq!(parity_for_loss(u32::MAX, u16::MAX), 94);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_count_of_count_and_parity_gives_the_bytes(length in 1usize..60_000, seed: u64) {
            let bytes = chunk_bytes(length);
            let (own, parity) = bodies(&bytes);
            let mut all: Vec<&Vec<u8>> = own.iter().chain(&parity).collect();
            // A shuffle from the seed.
            let mut state = seed | 1;
            for at in (1..all.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                all.swap(at, (state >> 33) as usize % (at + 1));
            }
            prop_assert_eq!(assemble(all.iter().take(own.len()).copied()), Some(bytes));
            prop_assert_eq!(assemble(all.iter().take(own.len() - 1).copied()), None);
        }

        #[test]
        fn hostile_parity_never_passes_the_bound(
            fragments in prop::collection::vec(
                (0i32..10, 0u32..3, 1u16..=256, any::<u16>(), 1u16..=1_150, any::<bool>()), 1..300)
        ) {
            let bound = 100 * FRAGMENT_PAYLOAD_BYTES;
            let mut r = Reassembly::new(bound);
            let payload = [1; FRAGMENT_PAYLOAD_BYTES];
            for (cx, version, count, index, last_bytes, is_parity) in fragments {
                let (key, count) = (ChunkKey { cx, ..KEY }, 1 + count % 20);
                let _ = if is_parity {
                    let index = index % parity_max(count);
                    r.handle_parity(NOW, &ParityFragment {
                        key, version, index, count, kind: 0, encoding: 1, last_bytes, payload: &payload,
                    })
                } else {
                    let index = index % count;
                    r.handle(NOW, &Fragment { key, version, index, count, kind: 0, encoding: 1, payload: &payload })
                };
                prop_assert!(r.bytes() <= bound, "{} bytes", r.bytes());
            }
        }
    }
}
