//! Puts chunks together again, in any order of arrival and in bounded memory. A chunk is complete as soon as
//! so many of its fragments are there as it has, parity among them.
//!
//! A newer version replaces an unfinished older one. Duplicates, older versions, fragments that
//! contradict the first one seen and bytes over the bound are refused and told to the caller, who
//! counts them. Whether the finished bytes are the chunk they claim to be is for the chunk's content
//! hash to say.

use std::collections::BTreeMap;

use super::parity::{Recovered, recover};
use crate::frame::{ChunkKey, Fragment, ParityFragment};
use crate::limits::{FRAGMENT_PAYLOAD_BYTES, FRAGMENTS_PER_CHUNK_MAX, REASSEMBLY_IDLE_MAX};
use crate::time::Instant;

/// Unfinished chunks of one connection.
#[derive(Debug)]
pub struct Reassembly {
    partial: BTreeMap<ChunkKey, Partial>,
    /// Sum of the buffers and parity of `partial`, never over `bytes_max`.
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Partial {
    version: u32,
    count: u16,
    kind: u8,
    encoding: u8,
    missing: u16,
    /// Length of the last fragment, 0 until it or parity came.
    last_bytes: usize,
    /// Bit `index` is set when that fragment came.
    present: [u64; FRAGMENTS_PER_CHUNK_MAX as usize / 64],
    /// `count` whole payloads; the end of the last one may be unused.
    buffer: Vec<u8>,
    /// Numbers of the parity fragments that came, never more than are missing.
    parity: Vec<u16>,
    /// Their payloads, in that order.
    parity_bytes: Vec<u8>,
    grew_at: Instant,
}

/// What a fragment of either sort says of its chunk.
struct Claim {
    key: ChunkKey,
    version: u32,
    count: u16,
    kind: u8,
    encoding: u8,
}

impl From<&Fragment<'_>> for Claim {
    fn from(f: &Fragment<'_>) -> Claim {
        Claim { key: f.key, version: f.version, count: f.count, kind: f.kind, encoding: f.encoding }
    }
}

impl From<&ParityFragment<'_>> for Claim {
    fn from(f: &ParityFragment<'_>) -> Claim {
        Claim { key: f.key, version: f.version, count: f.count, kind: f.kind, encoding: f.encoding }
    }
}

/// A chunk whose fragments are all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// Which chunk.
    pub key: ChunkKey,
    /// Its version.
    pub version: u32,
    /// What kind of chunk.
    pub kind: u8,
    /// How encoded.
    pub encoding: u8,
    /// The encoded chunk.
    pub bytes: Vec<u8>,
}

/// What a fragment did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It was new; more are missing.
    Progress,
    /// It was the last one missing.
    Complete(Assembled),
    /// It was refused; nothing changed.
    Refused(Refusal),
}

/// Why a fragment was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is here already.
    Duplicate,
    /// A newer version of the chunk is on its way.
    OldVersion,
    /// Its count, kind or encoding is not that of the chunk's other fragments.
    Contradiction,
    /// Unfinished chunks take all the bytes that they may.
    NoRoom,
}

impl Reassembly {
    /// Keeps at most `bytes_max` bytes of unfinished chunks.
    pub fn new(bytes_max: usize) -> Self {
        Reassembly { partial: BTreeMap::new(), bytes: 0, bytes_max }
    }

    /// Bytes reserved for unfinished chunks.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Unfinished chunks.
    pub fn len(&self) -> usize {
        self.partial.len()
    }

    /// Whether nothing is unfinished.
    pub fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }

    /// When the unfinished chunk `key` last grew.
    pub fn grew_at(&self, key: ChunkKey) -> Option<Instant> {
        self.partial.get(&key).map(|p| p.grew_at)
    }

    /// Takes one fragment.
    pub fn handle(&mut self, now: Instant, fragment: &Fragment<'_>) -> Outcome {
        let partial = match self.partial_of(now, &Claim::from(fragment), 0) {
            Ok(partial) => partial,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        if let Err(refusal) = partial.take(now, fragment) {
            return Outcome::Refused(refusal);
        }
        self.finish(fragment.key)
    }

    /// Takes one parity fragment. The work of putting a chunk together from parity is done once for a chunk,
    /// and for as many fragments as it has.
    pub fn handle_parity(&mut self, now: Instant, fragment: &ParityFragment<'_>) -> Outcome {
        if let Err(refusal) = self.partial_of(now, &Claim::from(fragment), FRAGMENT_PAYLOAD_BYTES) {
            return Outcome::Refused(refusal);
        }
        let has_room = self.bytes + FRAGMENT_PAYLOAD_BYTES <= self.bytes_max;
        let partial = self.partial.get_mut(&fragment.key).expect("it was just found or made");
        if let Err(refusal) = partial.take_parity(now, fragment, has_room) {
            return Outcome::Refused(refusal);
        }
        self.bytes += FRAGMENT_PAYLOAD_BYTES;
        self.finish(fragment.key)
    }

    /// Hands the chunk out if enough of it is there.
    fn finish(&mut self, key: ChunkKey) -> Outcome {
        let partial = self.partial.get(&key).expect("a fragment of it was just taken");
        if usize::from(partial.missing) > partial.parity.len() {
            return Outcome::Progress;
        }
        let mut partial = self.remove(key).expect("it was just there");
        if partial.missing > 0 {
            let Partial { count, present, parity, parity_bytes, buffer, .. } = &mut partial;
            let parity = parity.iter().copied().zip(parity_bytes.chunks_exact(FRAGMENT_PAYLOAD_BYTES));
            let is_present = |index: usize| present[index / 64] >> (index % 64) & 1 == 1;
            let Recovered = recover(*count, is_present, parity, buffer);
        }
        let whole = (usize::from(partial.count) - 1) * FRAGMENT_PAYLOAD_BYTES + partial.last_bytes;
        partial.buffer.truncate(whole);
        Outcome::Complete(Assembled {
            key,
            version: partial.version,
            kind: partial.kind,
            encoding: partial.encoding,
            bytes: partial.buffer,
        })
    }

    /// Drops an unfinished chunk that is no longer wanted; says whether there was one.
    pub fn forget(&mut self, key: ChunkKey) -> bool {
        self.remove(key).is_some()
    }

    /// Drops what has not grown for [`REASSEMBLY_IDLE_MAX`] and says how many that were.
    pub fn expire(&mut self, now: Instant) -> usize {
        let before = self.partial.len();
        self.partial.retain(|_, p| {
            let keep = now.since(p.grew_at) < REASSEMBLY_IDLE_MAX;
            self.bytes -= if keep { 0 } else { p.bytes() };
            keep
        });
        before - self.partial.len()
    }

    /// Finds or makes the chunk that a fragment belongs to; a new one only if there is room for `more_bytes`
    /// beside it.
    fn partial_of(
        &mut self,
        now: Instant,
        claim: &Claim,
        more_bytes: usize,
    ) -> Result<&mut Partial, Refusal> {
        let freed = match self.partial.get(&claim.key) {
            Some(p) if p.version == claim.version => {
                let partial = self.partial.get_mut(&claim.key).expect("it was just found");
                let same = (partial.count, partial.kind, partial.encoding);
                return if same == (claim.count, claim.kind, claim.encoding) {
                    Ok(partial)
                } else {
                    Err(Refusal::Contradiction)
                };
            }
            Some(p) if p.version > claim.version => return Err(Refusal::OldVersion),
            Some(p) => p.bytes(),
            None => 0,
        };
        let needed = usize::from(claim.count) * FRAGMENT_PAYLOAD_BYTES;
        if self.bytes - freed + needed + more_bytes > self.bytes_max {
            return Err(Refusal::NoRoom);
        }
        self.bytes = self.bytes - freed + needed;
        let fresh = Partial {
            version: claim.version,
            count: claim.count,
            kind: claim.kind,
            encoding: claim.encoding,
            missing: claim.count,
            last_bytes: 0,
            present: [0; FRAGMENTS_PER_CHUNK_MAX as usize / 64],
            buffer: vec![0; needed],
            parity: Vec::new(),
            parity_bytes: Vec::new(),
            grew_at: now,
        };
        self.partial.insert(claim.key, fresh);
        Ok(self.partial.get_mut(&claim.key).expect("it was just put there"))
    }

    fn remove(&mut self, key: ChunkKey) -> Option<Partial> {
        let partial = self.partial.remove(&key)?;
        self.bytes -= partial.bytes();
        Some(partial)
    }
}

impl Partial {
    /// Bytes that it holds.
    fn bytes(&self) -> usize {
        self.buffer.len() + self.parity_bytes.len()
    }

    fn take(&mut self, now: Instant, fragment: &Fragment<'_>) -> Result<(), Refusal> {
        let is_last = fragment.index + 1 == fragment.count;
        if is_last && self.last_bytes != 0 && self.last_bytes != fragment.payload.len() {
            return Err(Refusal::Contradiction);
        }
        let index = usize::from(fragment.index);
        let start = index * FRAGMENT_PAYLOAD_BYTES;
        let bit = 1 << (index % 64);
        if self.present[index / 64] & bit != 0 {
            let here = &self.buffer[start..start + fragment.payload.len()];
            return Err(if here == fragment.payload { Refusal::Duplicate } else { Refusal::Contradiction });
        }
        self.present[index / 64] |= bit;
        self.buffer[start..start + fragment.payload.len()].copy_from_slice(fragment.payload);
        if is_last {
            self.last_bytes = fragment.payload.len();
        }
        self.missing -= 1;
        self.grew_at = now;
        Ok(())
    }

    fn take_parity(
        &mut self,
        now: Instant,
        fragment: &ParityFragment<'_>,
        has_room: bool,
    ) -> Result<(), Refusal> {
        if self.last_bytes != 0 && self.last_bytes != usize::from(fragment.last_bytes) {
            return Err(Refusal::Contradiction);
        }
        if let Some(at) = self.parity.iter().position(|index| *index == fragment.index) {
            let here = self.parity_bytes.chunks_exact(FRAGMENT_PAYLOAD_BYTES).nth(at);
            let is_same = here == Some(fragment.payload);
            return Err(if is_same { Refusal::Duplicate } else { Refusal::Contradiction });
        }
        if !has_room {
            return Err(Refusal::NoRoom);
        }
        self.last_bytes = fragment.last_bytes.into();
        self.parity.push(fragment.index);
        self.parity_bytes.extend_from_slice(fragment.payload);
        self.grew_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Fragmenter;
    use crate::limits::REASSEMBLY_BYTES_MAX;
    use bytes::Bytes;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    const KEY: ChunkKey = ChunkKey { cx: 4, cy: 0, cz: -4 };
    const NOW: Instant = Instant::ZERO;

    fn bodies(version: u32, bytes: &[u8]) -> Vec<Vec<u8>> {
        let fragmenter = Fragmenter::new(KEY, version, 0, 1, Bytes::copy_from_slice(bytes)).unwrap();
        (0..fragmenter.count())
            .map(|index| {
                let (header, payload) = fragmenter.fragment(index);
                [header.as_bytes(), &payload].concat()
            })
            .collect()
    }

    fn handle(reassembly: &mut Reassembly, body: &[u8]) -> Outcome {
        reassembly.handle(NOW, &Fragment::parse(body).unwrap())
    }

    fn chunk_bytes(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn a_newer_version_replaces_an_unfinished_older_one() {
        let mut r = Reassembly::new(REASSEMBLY_BYTES_MAX);
        let (old, new) = (bodies(1, &chunk_bytes(2_000)), bodies(2, &chunk_bytes(3_000)));
        assert_eq!(handle(&mut r, &old[0]), Outcome::Progress);
        assert_eq!(handle(&mut r, &new[0]), Outcome::Progress);
        assert_eq!(handle(&mut r, &old[1]), Outcome::Refused(Refusal::OldVersion));
        assert_eq!(handle(&mut r, &new[1]), Outcome::Progress);
        let Outcome::Complete(done) = handle(&mut r, &new[2]) else { panic!("not complete") };
        assert_eq!((done.version, done.bytes), (2, chunk_bytes(3_000)));
        assert_eq!((r.bytes(), r.len()), (0, 0));
    }

    #[test]
    fn duplicates_and_contradictions_are_told_apart() {
        let mut r = Reassembly::new(REASSEMBLY_BYTES_MAX);
        let good = bodies(1, &chunk_bytes(2_000));
        assert_eq!(handle(&mut r, &good[0]), Outcome::Progress);
        assert_eq!(handle(&mut r, &good[0]), Outcome::Refused(Refusal::Duplicate));
        let mut other_bytes = good[0].clone();
        other_bytes[100] ^= 1;
        assert_eq!(handle(&mut r, &other_bytes), Outcome::Refused(Refusal::Contradiction));
        let other_count = &bodies(1, &chunk_bytes(5_000))[1];
        assert_eq!(handle(&mut r, other_count), Outcome::Refused(Refusal::Contradiction));
    }

    #[test]
    fn bytes_over_the_bound_are_refused_and_expire() {
        let mut r = Reassembly::new(3 * FRAGMENT_PAYLOAD_BYTES);
        assert_eq!(handle(&mut r, &bodies(1, &chunk_bytes(2_000))[0]), Outcome::Progress);
        let mut elsewhere = bodies(1, &chunk_bytes(2_000))[0].clone();
        let key = ChunkKey { cx: 5, ..KEY };
        elsewhere[4..8].copy_from_slice(&key.cx.to_le_bytes());
        elsewhere[..4].copy_from_slice(&crate::frame::fragment_id(key).to_le_bytes());
        assert_eq!(handle(&mut r, &elsewhere), Outcome::Refused(Refusal::NoRoom));
        assert_eq!(r.expire(NOW + REASSEMBLY_IDLE_MAX), 1);
        assert_eq!(r.bytes(), 0);
        assert_eq!(handle(&mut r, &elsewhere), Outcome::Progress);
        assert!(r.forget(key) && r.is_empty());
    }

    proptest! {
        #[test]
        fn any_order_with_duplicates_gives_the_bytes(
            length in 1usize..20_000,
            order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..60),
        ) {
            let bytes = chunk_bytes(length);
            let bodies = bodies(1, &bytes);
            let mut r = Reassembly::new(REASSEMBLY_BYTES_MAX);
            let mut done = None;
            let picked: Vec<usize> = order.iter().map(|i| i.index(bodies.len())).collect();
            for index in picked.into_iter().chain(0..bodies.len()) {
                if let Outcome::Complete(assembled) = handle(&mut r, &bodies[index]) {
                    done = Some(assembled.bytes);
                    break;
                }
            }
            prop_assert_eq!(done, Some(bytes));
            prop_assert_eq!(r.bytes(), 0);
        }

        #[test]
        fn hostile_fragments_never_pass_the_bound(
            fragments in proptest::collection::vec((0i32..40, 0u32..3, 1u16..=256, any::<u16>(), any::<u8>()), 1..200)
        ) {
            let bound = 200 * FRAGMENT_PAYLOAD_BYTES;
            let mut r = Reassembly::new(bound);
            let payload = [1; FRAGMENT_PAYLOAD_BYTES];
            for (cx, version, count, index, kind) in fragments {
                let key = ChunkKey { cx, ..KEY };
                let fragment = Fragment { key, version, index: index % count, count, kind, encoding: 1, payload: &payload };
                let _ = r.handle(NOW, &fragment);
                prop_assert!(r.bytes() <= bound);
            }
        }
    }
}
