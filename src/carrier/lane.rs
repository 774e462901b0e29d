//! A bounded queue between two threads whose records are a small value and some bytes.
//!
//! Two single-producer rings side by side: bytes are written before the record that speaks of them, so a
//! reader that sees the record finds its bytes. Nothing is allocated after the start, nobody waits.

use rtrb::{Consumer, Producer, RingBuffer};

/// The writing end.
#[derive(Debug)]
pub struct Sender<D> {
    records: Producer<(D, u16)>,
    bytes: Producer<u8>,
}

/// The reading end.
#[derive(Debug)]
pub struct Receiver<D> {
    records: Consumer<(D, u16)>,
    bytes: Consumer<u8>,
}

/// The lane is full; the record is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full<D>(pub D);

/// A lane for `records_max` records whose bytes are at most `bytes_max` together.
pub fn lane<D>(records_max: usize, bytes_max: usize) -> (Sender<D>, Receiver<D>) {
    let (records_in, records_out) = RingBuffer::new(records_max);
    let (bytes_in, bytes_out) = RingBuffer::new(bytes_max);
    (Sender { records: records_in, bytes: bytes_in }, Receiver { records: records_out, bytes: bytes_out })
}

impl<D> Sender<D> {
    /// Appends a record.
    ///
    /// # Panics
    /// When `bytes` has more than 65,535 bytes.
    pub fn push(&mut self, record: D, bytes: &[u8]) -> Result<(), Full<D>> {
        let length = u16::try_from(bytes.len()).expect("a record is at most one datagram");
        if self.records.is_full() || self.bytes.push_entire_slice(bytes).is_err() {
            return Err(Full(record));
        }
        let pushed = self.records.push((record, length));
        debug_assert!(pushed.is_ok(), "there was room, and only this end writes");
        Ok(())
    }

    /// Records that surely fit if each has at most `bytes_each` bytes.
    pub fn room(&self, bytes_each: usize) -> usize {
        self.records.slots().min(self.bytes.slots() / bytes_each.max(1))
    }

    /// Records, and bytes of them, for which there is room.
    pub fn free(&self) -> (usize, usize) {
        (self.records.slots(), self.bytes.slots())
    }

    /// Records that wait.
    pub fn len(&self) -> usize {
        self.capacity() - self.records.slots()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records that may wait.
    pub fn capacity(&self) -> usize {
        self.records.buffer().capacity()
    }

    /// Bytes of memory of the whole lane.
    pub fn memory_bytes(&self) -> usize {
        self.capacity() * size_of::<(D, u16)>() + self.bytes.buffer().capacity()
    }

    /// Whether the other end is gone.
    pub fn is_abandoned(&self) -> bool {
        self.records.is_abandoned()
    }
}

impl<D> Receiver<D> {
    /// Takes the next record and its bytes, which `buffer` must have room for.
    ///
    /// # Panics
    /// When `buffer` is shorter than the record's bytes.
    pub fn pop<'b>(&mut self, buffer: &'b mut [u8]) -> Option<(D, &'b mut [u8])> {
        let (record, length) = self.records.pop().ok()?;
        let bytes = &mut buffer[..usize::from(length)];
        self.bytes.pop_entire_slice(bytes).expect("bytes are written before their record");
        Some((record, bytes))
    }

    /// Looks at a record that waits behind so many others.
    pub fn look_ahead<R>(&mut self, records: usize, look: impl FnOnce(&D) -> R) -> Option<R> {
        let waiting = self.records.read_chunk(records + 1).ok()?;
        let (first, second) = waiting.as_slices();
        let (record, _) = first.iter().chain(second).nth(records)?;
        Some(look(record))
    }

    /// Records that wait.
    pub fn len(&self) -> usize {
        self.records.slots()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Records that may wait.
    pub fn capacity(&self) -> usize {
        self.records.buffer().capacity()
    }

    /// Bytes of memory of the whole lane.
    pub fn memory_bytes(&self) -> usize {
        self.capacity() * size_of::<(D, u16)>() + self.bytes.buffer().capacity()
    }

    /// Whether the other end is gone; what it wrote can still be read.
    pub fn is_abandoned(&self) -> bool {
        self.records.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_lane_gives_the_record_back() {
        let (mut sender, mut receiver) = lane(4, 10);
        assert_eq!(sender.push('a', &[1; 6]), Ok(()));
        assert_eq!(sender.push('b', &[2; 6]), Err(Full('b')));
        assert_eq!(sender.push('c', &[3; 4]), Ok(()));
        assert_eq!((sender.len(), receiver.len()), (2, 2));
        let mut buffer = [0; 16];
        assert_eq!(receiver.pop(&mut buffer).map(|(d, b)| (d, b.to_vec())), Some(('a', vec![1; 6])));
        assert_eq!(receiver.pop(&mut buffer).map(|(d, b)| (d, b.to_vec())), Some(('c', vec![3; 4])));
        assert!(receiver.pop(&mut buffer).is_none());
    }

    #[test]
    fn what_waits_can_be_looked_at_and_stays() {
        let (mut sender, mut receiver) = lane(3, 10);
        let mut buffer = [0; 16];
        // Once round the ring.
        for record in ['a', 'b', 'c', 'd'] {
            sender.push(record, &[]).unwrap();
            if record < 'c' {
                receiver.pop(&mut buffer);
            }
        }
        assert_eq!(
            [0, 1, 2].map(|records| receiver.look_ahead(records, |d| *d)),
            [Some('c'), Some('d'), None]
        );
        assert_eq!(receiver.pop(&mut buffer).map(|(d, _)| d), Some('c'));
    }

    proptest! {
        #[test]
        fn records_come_out_as_they_went_in(lengths in proptest::collection::vec(0usize..40, 1..200)) {
            let (mut sender, mut receiver) = lane(8, 100);
            let mut buffer = [0; 40];
            let mut expected = std::collections::VecDeque::new();
            for (i, length) in lengths.into_iter().enumerate() {
                let bytes = vec![i as u8; length];
                if sender.push(i, &bytes).is_ok() {
                    expected.push_back((i, bytes));
                } else {
                    let (d, b) = receiver.pop(&mut buffer).unwrap();
                    prop_assert_eq!(Some((d, b.to_vec())), expected.pop_front());
                }
            }
            while let Some((d, b)) = receiver.pop(&mut buffer) {
                prop_assert_eq!(Some((d, b.to_vec())), expected.pop_front());
            }
            prop_assert!(expected.is_empty());
        }
    }
}
