//! Bits in a row, the lowest of each byte first, and the two codes of which a snapshot consists.
//!
//! A **classed** number says first which of a few widths holds it, in ones that a zero ends (the last class
//! needs none), then itself in that many bits. Numbers that share a class are all as wide as the widest.
//! Signed ones are two's complement.

use super::SnapshotError;

/// Takes bits: writes or counts them.
pub(super) trait Sink {
    /// Takes the low `count` bits of `value`, at most 32; what is above them is 0.
    fn put(&mut self, value: u32, count: u32);

    /// Takes one bit.
    fn flag(&mut self, value: bool) {
        self.put(value.into(), 1);
    }

    /// Takes the low `count` bits of `value`, at most 64.
    fn wide(&mut self, value: u64, count: u32) {
        let low = count.min(32);
        self.put(value as u32 & mask(low) as u32, low);
        if count > 32 {
            self.put((value >> 32) as u32 & mask(count - 32) as u32, count - 32);
        }
    }

    /// Takes signed numbers of one class.
    fn signed<const N: usize, const CLASSES: usize>(&mut self, widths: &[u32; CLASSES], values: [i64; N]) {
        let needed = values.iter().fold(0, |most, &v| most.max(signed_width(v)));
        let width = self.class(widths, needed);
        values.iter().for_each(|&v| self.wide(v as u64, width));
    }

    /// Takes an unsigned number.
    fn unsigned<const CLASSES: usize>(&mut self, widths: &[u32; CLASSES], value: u64) {
        let width = self.class(widths, u64::BITS - value.leading_zeros());
        self.wide(value, width);
    }

    /// Says which class is the first that holds `needed` bits, and tells its width.
    fn class<const CLASSES: usize>(&mut self, widths: &[u32; CLASSES], needed: u32) -> u32 {
        let class = widths.iter().position(|&width| needed <= width).unwrap_or(CLASSES - 1);
        debug_assert!(needed <= widths[class], "{needed} bits are more than the widest of {widths:?}");
        let is_last = class == CLASSES - 1;
        self.put(mask(class as u32) as u32, class as u32 + u32::from(!is_last));
        widths[class]
    }
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// Bits of the shortest two's complement of `value`; none for 0.
const fn signed_width(value: i64) -> u32 {
    if value == 0 { 0 } else { 65 - (value ^ (value >> 63)).leading_zeros() }
}

/// The low `bits` of `value`, from 1 to 64 of them, as a signed number.
pub(super) const fn sign_extend(value: i64, bits: u32) -> i64 {
    (value << (64 - bits)) >> (64 - bits)
}

/// Counts bits.
#[derive(Debug, Default)]
pub(super) struct BitCount(pub usize);

impl Sink for BitCount {
    fn put(&mut self, _: u32, count: u32) {
        self.0 += count as usize;
    }
}

/// Writes bits into a caller's buffer.
#[derive(Debug)]
pub(super) struct BitWriter<'b> {
    buffer: &'b mut [u8],
    /// Whole bytes in the buffer.
    written: usize,
    /// What has not made a word yet, `waiting` bits of it.
    word: u64,
    waiting: u32,
}

impl<'b> BitWriter<'b> {
    /// A writer behind the first `written` bytes of `buffer`.
    pub fn new(buffer: &'b mut [u8], written: usize) -> Self {
        BitWriter { buffer, written, word: 0, waiting: 0 }
    }

    /// Bits so far, those in front of it included.
    pub fn bits(&self) -> usize {
        8 * self.written + self.waiting as usize
    }

    /// Fills the last byte up with zeros and tells how many bytes there are.
    pub fn finish(self) -> usize {
        let rest = self.waiting.div_ceil(8) as usize;
        self.buffer[self.written..self.written + rest].copy_from_slice(&self.word.to_le_bytes()[..rest]);
        self.written + rest
    }
}

impl Sink for BitWriter<'_> {
    #[inline]
    fn put(&mut self, value: u32, count: u32) {
        debug_assert!(count <= 32 && u64::from(value) <= mask(count), "{value} in {count} bits");
        self.word |= u64::from(value) << self.waiting;
        self.waiting += count;
        if self.waiting >= 32 {
            self.buffer[self.written..self.written + 4].copy_from_slice(&(self.word as u32).to_le_bytes());
            self.written += 4;
            self.word >>= 32;
            self.waiting -= 32;
        }
    }
}

/// Reads bits from the front of a slice.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits that were taken.
    at: usize,
    /// What was taken, piece by piece, for the worked example of the protocol page.
    #[cfg(test)]
    pub trace: Vec<(&'static str, u32, u32)>,
}

impl<'a> BitReader<'a> {
    /// A reader behind the first `skipped` bytes.
    pub fn new(bytes: &'a [u8], skipped: usize) -> Self {
        BitReader {
            bytes,
            at: 8 * skipped,
            #[cfg(test)]
            trace: Vec::new(),
        }
    }

    /// The next `count` bits, at most 32.
    #[inline]
    pub fn take(&mut self, count: u32, field: &'static str) -> Result<u32, SnapshotError> {
        if self.at + count as usize > 8 * self.bytes.len() {
            return Err(SnapshotError::Truncated { field });
        }
        let from = &self.bytes[self.at / 8..];
        let word = match from.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => from.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        let value = (word >> (self.at % 8)) & mask(count);
        self.at += count as usize;
        #[cfg(test)]
        self.trace.push((field, value as u32, count));
        Ok(value as u32)
    }

    /// The next bit.
    pub fn flag(&mut self, field: &'static str) -> Result<bool, SnapshotError> {
        Ok(self.take(1, field)? != 0)
    }

    /// The next `count` bits, at most 64.
    pub fn wide(&mut self, count: u32, field: &'static str) -> Result<u64, SnapshotError> {
        let low = u64::from(self.take(count.min(32), field)?);
        let high = u64::from(self.take(count.saturating_sub(32), field)?);
        Ok(high << 32 | low)
    }

    /// The next signed numbers of one class.
    pub fn signed<const N: usize, const CLASSES: usize>(
        &mut self,
        widths: &[u32; CLASSES],
        field: &'static str,
    ) -> Result<[i64; N], SnapshotError> {
        let mut values = [0; N];
        let width = self.class(widths, field)?;
        if width > 0 {
            for value in &mut values {
                *value = sign_extend(self.wide(width, field)? as i64, width);
            }
        }
        Ok(values)
    }

    /// The next unsigned number.
    pub fn unsigned<const CLASSES: usize>(
        &mut self,
        widths: &[u32; CLASSES],
        field: &'static str,
    ) -> Result<u64, SnapshotError> {
        let width = self.class(widths, field)?;
        self.wide(width, field)
    }

    fn class<const CLASSES: usize>(
        &mut self,
        widths: &[u32; CLASSES],
        field: &'static str,
    ) -> Result<u32, SnapshotError> {
        let mut class = 0;
        while class < CLASSES - 1 && self.flag(field)? {
            class += 1;
        }
        Ok(widths[class])
    }

    /// Whether the bits up to the end of this byte are all zero.
    pub fn is_padded(&self) -> bool {
        let byte = self.bytes.get(self.at / 8).copied().unwrap_or(0);
        self.at.is_multiple_of(8) || byte >> (self.at % 8) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTHS: [u32; 4] = [0, 3, 12, 64];

    #[test]
    fn the_lowest_bit_comes_first() {
        let mut buffer = [0xa5; 8];
        let mut w = BitWriter::new(&mut buffer, 1);
        w.flag(true);
        w.put(0b101, 3);
        w.signed(&WIDTHS, [0, 0]);
        w.signed(&WIDTHS, [-1, 3]);
        w.unsigned(&WIDTHS, 0x123);
        assert_eq!(w.bits(), 8 + 4 + 1 + 8 + 15);
        assert_eq!(w.finish(), 5);
        // 1, 101, class 0 (0); class 1 (1, 0), 111, 011; class 2 (1, 1, 0) and twelve bits.
        assert_eq!(buffer[..5], [0xa5, 0b1010_1011, 0b0110_1111, 0x23, 0x01]);
    }

    #[test]
    fn a_width_is_the_least_that_holds_the_number() {
        for (value, width) in [(0, 0), (1, 2), (-1, 1), (-2, 2), (3, 3), (-4, 3), (-5, 4), (i64::MIN, 64)] {
            assert_eq!(signed_width(value), width, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_counted(
            items in proptest::collection::vec((any::<[i64; 2]>(), 0..64_u32, any::<u64>()), 0..40)
        ) {
            let mut buffer = [0xa5; 40 * 40 + 8];
            let (mut w, mut count) = (BitWriter::new(&mut buffer, 0), BitCount::default());
            for &(pair, shift, value) in &items {
                w.signed(&WIDTHS, pair.map(|v| v >> shift));
                w.unsigned(&WIDTHS, value >> shift);
                w.wide(value >> shift, 64 - shift);
                count.signed(&WIDTHS, pair.map(|v| v >> shift));
                count.unsigned(&WIDTHS, value >> shift);
                count.wide(value >> shift, 64 - shift);
            }
            prop_assert_eq!(w.bits(), count.0);
            let bytes = w.finish();
            prop_assert_eq!(bytes, count.0.div_ceil(8));
            let mut r = BitReader::new(&buffer[..bytes], 0);
            for (pair, shift, value) in items {
                prop_assert_eq!(r.signed(&WIDTHS, "pair").unwrap(), pair.map(|v| v >> shift));
                prop_assert_eq!(r.unsigned(&WIDTHS, "value").unwrap(), value >> shift);
                prop_assert_eq!(r.wide(64 - shift, "value").unwrap(), value >> shift);
            }
            prop_assert!(r.is_padded());
            prop_assert_eq!(r.take(8, "end"), Err(SnapshotError::Truncated { field: "end" }));
        }
    }
}
