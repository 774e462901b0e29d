//! A cursor over borrowed bytes: the only place in this crate that takes a wire apart by hand.
//!
//! [`Reader`] never panics: what is not there is an error that says where it was missing. [`Writer`]
//! fills a caller's buffer; a caller checks the room first, so overrunning it is a bug and panics.

/// The input ended before the field did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the input ends inside `{field}`: {wanted} bytes wanted, {left} left")]
pub struct Truncated {
    /// The field that was being read.
    pub field: &'static str,
    /// Bytes that it needs.
    pub wanted: usize,
    /// Bytes that were left.
    pub left: usize,
}

/// Reads little-endian fields from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    left: &'a [u8],
}

macro_rules! read_integer {
    ($($name:ident: $int:ty),*) => {$(
        #[doc = concat!("The next field as a little-endian `", stringify!($int), "`.")]
        pub fn $name(&mut self, field: &'static str) -> Result<$int, Truncated> {
            Ok(<$int>::from_le_bytes(self.array(field)?))
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Reader { left: bytes }
    }

    /// What has not been read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.left
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], Truncated> {
        let (head, tail) = self.left.split_at_checked(count).ok_or(Truncated {
            field,
            wanted: count,
            left: self.left.len(),
        })?;
        self.left = tail;
        Ok(head)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Truncated> {
        let (head, tail) = self.left.split_first_chunk::<N>().ok_or(Truncated {
            field,
            wanted: N,
            left: self.left.len(),
        })?;
        self.left = tail;
        Ok(*head)
    }

    read_integer!(u8: u8, u16: u16, u32: u32, u64: u64, i32: i32);
}

/// Writes little-endian fields to the front of a slice.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    written: usize,
}

macro_rules! write_integer {
    ($($name:ident: $int:ty),*) => {$(
        #[doc = concat!("Appends a little-endian `", stringify!($int), "`.")]
        pub fn $name(&mut self, value: $int) -> &mut Self {
            self.bytes(&value.to_le_bytes())
        }
    )*};
}

impl<'a> Writer<'a> {
    /// A writer at the start of `buffer`.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Writer { buffer, written: 0 }
    }

    /// Bytes written so far.
    pub const fn written(&self) -> usize {
        self.written
    }

    /// Bytes that still fit.
    pub const fn room(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// When they do not fit: the caller checks [`Writer::room`] first.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.buffer[self.written..self.written + bytes.len()].copy_from_slice(bytes);
        self.written += bytes.len();
        self
    }

    /// Overwrites what was written at `start`.
    ///
    /// # Panics
    /// When nothing was written there.
    pub fn patch(&mut self, start: usize, bytes: &[u8]) -> &mut Self {
        self.buffer[..self.written][start..start + bytes.len()].copy_from_slice(bytes);
        self
    }

    write_integer!(u8: u8, u16: u16, u32: u32, u64: u64, i32: i32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut buffer = [0xa5; 19];
        let mut w = Writer::new(&mut buffer);
        w.u8(1).u16(0x0302).u32(0x0706_0504).u64(8).i32(-2);
        assert_eq!((w.written(), w.room()), (19, 0));
        assert_eq!(buffer[..7], [1, 2, 3, 4, 5, 6, 7]);
        let mut r = Reader::new(&buffer);
        assert_eq!((r.u8("a"), r.u16("b"), r.u32("c")), (Ok(1), Ok(0x0302), Ok(0x0706_0504)));
        assert_eq!((r.u64("d"), r.i32("e")), (Ok(8), Ok(-2)));
        assert!(r.is_empty());
    }

    #[test]
    fn a_short_input_names_the_field() {
        let error = Reader::new(&[1, 2]).u32("expiry").unwrap_err();
        assert_eq!(error.to_string(), "the input ends inside `expiry`: 4 bytes wanted, 2 left");
    }
}
