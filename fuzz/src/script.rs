//! A script: what is said to something that has a state, one record after the other.
//!
//! ```text
//! script := record*
//! record := what u8, length u16 little-endian, body[length]
//! ```
//!
//! Any bytes are a script: a record that is cut off ends with the bytes.

use crate::INPUT_BYTES_MAX;

/// Records of a script that are read.
pub const RECORDS_MAX: usize = 1_024;
const HEAD_BYTES: usize = 3;

/// One thing that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is; each target has its own numbers.
    pub what: u8,
    /// Its bytes.
    pub body: &'a [u8],
}

/// The records of a script.
pub fn records(mut script: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let next = move || {
        let (&what, rest) = script.split_first()?;
        let (length, rest) = match rest {
            [low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])), rest),
            _ => (0, &[][..]),
        };
        let (body, rest) = rest.split_at(length.min(rest.len()));
        script = rest;
        Some(Record { what, body })
    };
    std::iter::from_fn(next).take(RECORDS_MAX)
}

/// Appends a record; says whether there was room for it.
pub fn write_record(what: u8, body: &[u8], script: &mut Vec<u8>) -> bool {
    let Ok(length) = u16::try_from(body.len()) else { return false };
    if script.len() + HEAD_BYTES + body.len() > INPUT_BYTES_MAX {
        return false;
    }
    script.push(what);
    script.extend(length.to_le_bytes());
    script.extend(body);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let mut script = Vec::new();
        assert!(write_record(7, b"abc", &mut script) && write_record(1, b"", &mut script));
        assert_eq!(script, [7, 3, 0, b'a', b'b', b'c', 1, 0, 0]);
        let read: Vec<_> = records(&script).collect();
        assert_eq!(read, [Record { what: 7, body: b"abc" }, Record { what: 1, body: b"" }]);
        assert!(!write_record(1, &vec![0; 65_536], &mut script));
    }

    #[test]
    fn a_record_that_is_cut_off_ends_with_the_bytes() {
        assert_eq!(records(&[9, 200, 0, 5]).collect::<Vec<_>>(), [Record { what: 9, body: &[5] }]);
        assert_eq!(records(&[9]).collect::<Vec<_>>(), [Record { what: 9, body: &[] }]);
        assert_eq!(records(&[0; 9_000]).count(), RECORDS_MAX);
    }
}
