//! Numbers as streams of bytes that compress well.
//!
//! Each field of each kind of thing is a stream of its own, as differences from the one before, low
//! bytes first and high bytes after them: alike bytes stand together, and compression finds them.

/// Differences from one value to the next, all low bytes, then all high bytes.
pub(super) fn write(out: &mut Vec<u8>, values: impl Iterator<Item = i16> + Clone) {
    let differences = |values: &mut dyn Iterator<Item = i16>, out: &mut Vec<u8>, byte: usize| {
        let mut before = 0_i16;
        for value in values {
            out.push(zigzag(value.wrapping_sub(before)).to_le_bytes()[byte]);
            before = value;
        }
    };
    differences(&mut values.clone(), out, 0);
    differences(&mut values.clone(), out, 1);
}

/// Small differences, up or down, become small numbers.
fn zigzag(difference: i16) -> u16 {
    ((difference << 1) ^ (difference >> 15)) as u16
}

fn unzigzag(number: u16) -> i16 {
    (number >> 1) as i16 ^ -((number & 1) as i16)
}

/// Reads the streams of a body whose length was checked.
#[derive(Debug)]
pub(super) struct Streams<'a>(&'a [u8]);

impl<'a> Streams<'a> {
    /// `body` must be as long as all that is read from it.
    pub fn new(body: &'a [u8]) -> Self {
        Streams(body)
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        head
    }

    pub fn values(&mut self, count: usize) -> impl Iterator<Item = i16> + use<'a> {
        let (low, high) = (self.bytes(count), self.bytes(count));
        low.iter().zip(high).scan(0_i16, |before, (low, high)| {
            *before = before.wrapping_add(unzigzag(u16::from_le_bytes([*low, *high])));
            Some(*before)
        })
    }
}
