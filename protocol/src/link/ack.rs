//! Acknowledgement ranges: what a receiver remembers, and the frame that tells of it.
//!
//! ```text
//! body  := largest u32, delay u16, more u8, first u16, range[more]
//! range := gap u16, length u16
//! ```
//!
//! `largest` is the low half of the newest packet number, `delay` the time since it came in 8 us
//! (RFC 9000 §13.2.5 has the same idea), `first` the packets received just below it without a gap;
//! each range then skips `gap` missing packets and tells of `length` received ones, both at least 1.

use smallvec::SmallVec;

use crate::codec::{Reader, Truncated, Writer};
use crate::limits::{ACK_BYTES_MIN, ACK_RANGES_MAX};
use crate::time::Duration;

/// Microseconds in one step of the delay field.
const DELAY_STEP_US: u64 = 8;

/// The packet numbers that a receiver remembers, as at most [`ACK_RANGES_MAX`] ranges.
#[derive(Debug, Clone, Default)]
pub struct AckRanges {
    /// Inclusive, ascending, never touching.
    ranges: SmallVec<[(u64, u64); 2]>,
    /// Numbers below this are forgotten: they count as received and are not told of.
    floor: u64,
}

/// What a packet number was to [`AckRanges::insert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Received {
    /// New.
    New,
    /// Received before, or so old that it may have been.
    Duplicate,
}

impl AckRanges {
    /// Takes one packet number. With all ranges in use the oldest is forgotten.
    pub fn insert(&mut self, number: u64) -> Received {
        if number < self.floor {
            return Received::Duplicate;
        }
        // Packets come nearly in order: look from the newest range down.
        let mut at = self.ranges.len();
        while at > 0 && self.ranges[at - 1].0 > number {
            at -= 1;
        }
        // Now ranges[at - 1] starts at or below the number, ranges[at] above it.
        let joins_below = at > 0 && number <= self.ranges[at - 1].1.saturating_add(1);
        let joins_above = at < self.ranges.len() && self.ranges[at].0 == number + 1;
        match (joins_below, joins_above) {
            (true, _) if number <= self.ranges[at - 1].1 => return Received::Duplicate,
            (true, true) => {
                self.ranges[at - 1].1 = self.ranges[at].1;
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at - 1].1 = number,
            (false, true) => self.ranges[at].0 = number,
            (false, false) => self.ranges.insert(at, (number, number)),
        }
        if self.ranges.len() > ACK_RANGES_MAX {
            let (_, end) = self.ranges.remove(0);
            self.floor = end + 1;
        }
        Received::New
    }

    /// Forgets everything below `number`: the peer knows of it (RFC 9000 §13.2.4).
    pub fn forget_below(&mut self, number: u64) {
        self.floor = self.floor.max(number);
        self.ranges.retain(|r| r.1 >= number);
        if let Some(first) = self.ranges.first_mut() {
            first.0 = first.0.max(number);
        }
    }

    /// The newest number.
    pub fn largest(&self) -> Option<u64> {
        self.ranges.last().map(|r| r.1)
    }

    /// Ranges remembered.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Bytes of the frame body that [`AckRanges::write`] makes at most.
    pub fn body_bytes(&self) -> usize {
        ACK_BYTES_MIN + 4 * self.ranges.len().saturating_sub(1)
    }

    /// Writes the frame body: the newest ranges, as many as `w` has room for.
    ///
    /// # Panics
    /// When there is nothing to tell or no room for [`ACK_BYTES_MIN`] bytes.
    pub fn write(&self, delay: Duration, w: &mut Writer<'_>) {
        let (start, largest) = *self.ranges.last().expect("the caller checked that there is a range");
        let first = u16::try_from(largest - start).unwrap_or(u16::MAX);
        let delay = u16::try_from(delay.as_us() / DELAY_STEP_US).unwrap_or(u16::MAX);
        let mut more: SmallVec<[(u16, u16); ACK_RANGES_MAX]> = SmallVec::new();
        let room = (w.room() - ACK_BYTES_MIN) / 4;
        // A first range that was cut short ends the list: what is below it is not adjacent any more.
        let mut above = (u64::from(first) == largest - start).then_some(start);
        for &(start, end) in self.ranges.iter().rev().skip(1).take(room) {
            let Some(next) = above else { break };
            let (Ok(gap), Ok(length)) = (u16::try_from(next - end - 1), u16::try_from(end - start + 1))
            else {
                break;
            };
            more.push((gap, length));
            above = Some(start);
        }
        w.u32(largest as u32).u16(delay).u8(more.len() as u8).u16(first);
        for (gap, length) in more {
            w.u16(gap).u16(length);
        }
    }
}

/// An acknowledgement as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Low half of the newest packet number.
    pub largest: u32,
    /// How long the peer waited before it told.
    pub delay: Duration,
    first: u16,
    ranges: &'a [u8],
}

/// Why an acknowledgement was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// It ends too early.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// More ranges than the bound.
    #[error("an acknowledgement with {0} more ranges, {max} allowed", max = ACK_RANGES_MAX - 1)]
    TooMany(u8),
    /// A gap or a length of zero, or a range below packet 0.
    #[error("range {0} of an acknowledgement cannot be")]
    Range(usize),
}

impl<'a> Ack<'a> {
    /// Reads a frame's body.
    pub fn parse(body: &'a [u8]) -> Result<Self, AckError> {
        let mut r = Reader::new(body);
        let largest = r.u32("ack largest")?;
        let delay = Duration::from_us(u64::from(r.u16("ack delay")?) * DELAY_STEP_US);
        let more = r.u8("ack more")?;
        if usize::from(more) >= ACK_RANGES_MAX {
            return Err(AckError::TooMany(more));
        }
        let first = r.u16("ack first")?;
        let ranges = r.bytes(4 * usize::from(more), "ack ranges")?;
        Ok(Ack { largest, delay, first, ranges })
    }

    /// The ranges, newest first, inclusive, once `largest` has been widened to a whole packet number.
    pub fn ranges(&self, largest: u64) -> Result<SmallVec<[(u64, u64); 4]>, AckError> {
        let mut ranges = SmallVec::new();
        self.each_range(largest, |start, end| ranges.push((start, end)))?;
        Ok(ranges)
    }

    /// The same, one after the other, up to one that cannot be.
    pub fn each_range(&self, largest: u64, mut each: impl FnMut(u64, u64)) -> Result<(), AckError> {
        let mut start = largest.checked_sub(self.first.into()).ok_or(AckError::Range(0))?;
        each(start, largest);
        for (index, range) in self.ranges.chunks_exact(4).enumerate() {
            let gap = u64::from(u16::from_le_bytes([range[0], range[1]]));
            let length = u64::from(u16::from_le_bytes([range[2], range[3]]));
            let error = AckError::Range(index + 1);
            if gap == 0 || length == 0 {
                return Err(error);
            }
            let end = start.checked_sub(gap + 1).ok_or(error)?;
            start = end.checked_sub(length - 1).ok_or(error)?;
            each(start, end);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ranges_of(numbers: impl IntoIterator<Item = u64>) -> AckRanges {
        let mut ranges = AckRanges::default();
        for number in numbers {
            let _ = ranges.insert(number);
        }
        ranges
    }

    fn body(ranges: &AckRanges, delay: Duration) -> Vec<u8> {
        let mut buffer = [0xa5; 200];
        let mut w = Writer::new(&mut buffer);
        ranges.write(delay, &mut w);
        let written = w.written();
        buffer[..written].to_vec()
    }

    #[test]
    fn literal_bytes_both_ways() {
        let ranges = ranges_of([1, 2, 3, 7, 8, 10]);
        let bytes = body(&ranges, Duration::from_us(80));
        assert_eq!(bytes, [10, 0, 0, 0, 10, 0, 2, 0, 0, 1, 0, 2, 0, 3, 0, 3, 0]);
        let ack = Ack::parse(&bytes).unwrap();
        assert_eq!(ack.delay, Duration::from_us(80));
        assert_eq!(ack.ranges(10).unwrap()[..], [(10, 10), (7, 8), (1, 3)]);
    }

    #[test]
    fn impossible_ranges_are_refused() {
        assert_eq!(Ack::parse(&[3, 0, 0, 0, 0, 0, 0, 9, 0]).unwrap().ranges(3), Err(AckError::Range(0)));
        let zero_gap = [9, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];
        assert_eq!(Ack::parse(&zero_gap).unwrap().ranges(9), Err(AckError::Range(1)));
        assert_eq!(Ack::parse(&[0, 0, 0, 0, 0, 0, 32, 0, 0]), Err(AckError::TooMany(32)));
    }

    #[test]
    fn beyond_the_bound_the_oldest_range_is_forgotten() {
        let mut ranges = ranges_of((0..=ACK_RANGES_MAX as u64).map(|i| 2 * i));
        assert_eq!(ranges.len(), ACK_RANGES_MAX);
        assert_eq!(ranges.insert(0), Received::Duplicate);
        assert_eq!(ranges.insert(1), Received::New); // above the forgotten range's end
    }

    #[test]
    fn what_the_peer_knows_is_forgotten() {
        let mut ranges = ranges_of([1, 2, 3, 7, 8, 10]);
        ranges.forget_below(8);
        let bytes = body(&ranges, Duration::ZERO);
        assert_eq!(Ack::parse(&bytes).unwrap().ranges(10).unwrap()[..], [(10, 10), (8, 8)]);
        assert_eq!(ranges.insert(7), Received::Duplicate);
    }

    proptest! {
        #[test]
        fn a_model_agrees(numbers in proptest::collection::vec(0u64..60, 0..80)) {
            let mut model = BTreeSet::new();
            let mut ranges = AckRanges::default();
            for number in numbers {
                let expected = if model.insert(number) { Received::New } else { Received::Duplicate };
                prop_assert_eq!(ranges.insert(number), expected);
            }
            if let Some(&largest) = model.last() {
                let bytes = body(&ranges, Duration::ZERO);
                prop_assert!(bytes.len() <= ranges.body_bytes());
                let told: BTreeSet<u64> = Ack::parse(&bytes).unwrap().ranges(largest).unwrap()
                    .into_iter().flat_map(|(start, end)| start..=end).collect();
                prop_assert_eq!(told, model);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..140), largest: u64) {
            if let Ok(ack) = Ack::parse(&bytes) && let Ok(ranges) = ack.ranges(largest) {
                prop_assert!(ranges.len() <= ACK_RANGES_MAX);
                prop_assert!(ranges.windows(2).all(|w| w[1].1 < w[0].0));
            }
        }
    }
}
