//! Packs the shorter ends of chunks, of which a tick may send several, into few packets.
//!
//! A message to the kernel holds equally long packets and one behind them that may be shorter. So ends share packets, what
//! lacks little is padded, and the emptiest packet rides with the control packet, which comes last:
//!
//! ```text
//!   full │ full │ full │ end, end, padding │ acknowledgement, snapshot, events, end
//! ```

use std::cmp::Reverse;

use ninefold_protocol::limits::{FRAGMENT_HEADER_BYTES, FRAGMENT_PAYLOAD_BYTES, FRAME_HEADER_BYTES};
use smallvec::SmallVec;

use crate::phase::Pick;
use crate::session::Receipt;
use crate::view::SENDINGS_MAX;

/// A full fragment's frame: what a packet of a train has in it.
pub(super) const FULL_FRAME_BYTES: usize =
    FRAME_HEADER_BYTES + FRAGMENT_HEADER_BYTES + FRAGMENT_PAYLOAD_BYTES;
/// What lacks more than this is not padded: a message to the kernel is not worth a third of a packet on the line.
pub(super) const PADDING_BYTES_MAX: usize = FRAGMENT_PAYLOAD_BYTES / 3;
/// Packets of ends for which there is room without asking for memory: two ends in each, most of the time.
const LOADS_EXPECTED: usize = SENDINGS_MAX.div_ceil(Receipt::FRAGMENTS_MAX);

/// A chunk's last fragment, which is shorter than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub pick: Pick,
    /// With both headers.
    pub frame_bytes: usize,
}

/// Ends that share a packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub ends: SmallVec<[End; Receipt::FRAGMENTS_MAX]>,
    /// All frames.
    pub bytes: usize,
}

impl Load {
    fn takes(&self, end: &End) -> bool {
        self.ends.len() < Receipt::FRAGMENTS_MAX && self.bytes + end.frame_bytes <= FULL_FRAME_BYTES
    }

    fn put(&mut self, end: End) {
        self.bytes += end.frame_bytes;
        self.ends.push(end);
    }
}

/// The ends of a tick, one of each chunk.
pub(super) type Ends = SmallVec<[End; SENDINGS_MAX]>;
/// How they are packed.
pub(super) type Loads = SmallVec<[Load; LOADS_EXPECTED]>;

/// Packs them, longest first, each where there is room first; the fullest packet comes first.
pub(super) fn pack(ends: &mut Ends) -> Loads {
    ends.sort_unstable_by_key(|end| Reverse(end.frame_bytes));
    let mut loads = Loads::new();
    for end in ends.drain(..) {
        match loads.iter_mut().find(|load| load.takes(&end)) {
            Some(load) => load.put(end),
            None => {
                loads.push(Load::default());
                loads.last_mut().expect("it was just put there").put(end);
            }
        }
    }
    loads.sort_by_key(|load| Reverse(load.bytes));
    loads
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ends(frames_bytes: &[usize]) -> Ends {
        let end = |(sending, frame_bytes): (usize, &usize)| End {
            pick: Pick { sending, index: 2 },
            frame_bytes: *frame_bytes,
        };
        frames_bytes.iter().enumerate().map(end).collect()
    }

    fn bytes(loads: &[Load]) -> Vec<Vec<usize>> {
        loads.iter().map(|load| load.ends.iter().map(|end| end.frame_bytes).collect()).collect()
    }

    #[test]
    fn ends_that_fit_share_a_packet_and_the_emptiest_comes_last() {
        assert!(pack(&mut ends(&[])).is_empty());
        assert_eq!(bytes(&pack(&mut ends(&[300, 700]))), [[700, 300]]);
        assert_eq!(bytes(&pack(&mut ends(&[300, 900, 1_000]))), [vec![1_000], vec![900], vec![300]]);
        assert_eq!(bytes(&pack(&mut ends(&[100, 600, 100, 500]))), [vec![600, 500], vec![100, 100]]);
    }

    proptest! {
        #[test]
        fn each_end_is_in_one_packet_with_room_for_it(
            frames_bytes in proptest::collection::vec(33..FULL_FRAME_BYTES, 0..20)
        ) {
            let loads = pack(&mut ends(&frames_bytes));
            let mut packed: Vec<_> = loads.iter().flat_map(|load| &load.ends).map(|end| end.pick.sending).collect();
            packed.sort_unstable();
            prop_assert_eq!(packed, (0..frames_bytes.len()).collect::<Vec<_>>());
            for load in &loads {
                let sum: usize = load.ends.iter().map(|end| end.frame_bytes).sum();
                prop_assert!(load.bytes == sum && sum <= FULL_FRAME_BYTES);
                prop_assert!((1..=Receipt::FRAGMENTS_MAX).contains(&load.ends.len()));
            }
            prop_assert!(loads.is_sorted_by_key(|load| Reverse(load.bytes)));
            // Of those that are alone no two would have fitted together.
            let alone: Vec<_> = loads.iter().filter(|load| load.ends.len() == 1).map(|load| load.bytes).collect();
            let pairs = alone.windows(2).map(|pair| pair[0] + pair[1]);
            prop_assert!(pairs.min().is_none_or(|sum| sum > FULL_FRAME_BYTES));
        }
    }
}
