//! The file that holds a private key: 64 hexadecimal digits, readable by its owner alone.
//!
//! Whoever reads the key can let anybody in, as anyone. A file is made once and never replaced: the tokens
//! that were minted with the key before would all be refused.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use ninefold_protocol::connection::KEY_LEN;

/// Bytes that a key file may have: its digits, and white space as people and editors put it.
pub const KEY_FILE_BYTES_MAX: u64 = 1_024;
const DIGITS: usize = 2 * KEY_LEN;

/// Why there is no key, or no new file. The text follows the file's name and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// No file is overwritten.
    #[error("it exists already and is never overwritten; name another file, or remove it first")]
    Exists,
    /// There is none.
    #[error("there is no such file; `ninefold key FILE` makes one")]
    Missing,
    /// Not a key.
    #[error("64 hexadecimal digits expected, {0} characters found")]
    NotAKey(usize),
    /// Larger than any key file.
    #[error("it has more than {KEY_FILE_BYTES_MAX} bytes, too many for a key")]
    Large,
    /// The system does not let us.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Reads the key of a file.
pub fn read(path: &Path) -> Result<[u8; KEY_LEN], KeyFileError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing,
        _ => KeyFileError::System(error),
    })?;
    let mut text = Vec::new();
    file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > KEY_FILE_BYTES_MAX {
        return Err(KeyFileError::Large);
    }
    let digits: Vec<u8> = text.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
    let values: Option<Vec<u32>> = digits.iter().map(|b| char::from(*b).to_digit(16)).collect();
    let values = values.filter(|v| v.len() == DIGITS).ok_or(KeyFileError::NotAKey(digits.len()))?;
    let mut key = [0; KEY_LEN];
    for (byte, pair) in key.iter_mut().zip(values.chunks_exact(2)) {
        *byte = (pair[0] << 4 | pair[1]) as u8;
    }
    Ok(key)
}

/// Writes a key into a file that does not exist yet, for its owner alone.
pub fn create(path: &Path, key: &[u8; KEY_LEN]) -> Result<(), KeyFileError> {
    let mut text = key.iter().fold(String::with_capacity(DIGITS + 1), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes all
        text
    });
    text.push('\n');
    let mut file = create_secret(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

/// A new file that nobody but its owner can read.
pub fn create_secret(path: &Path) -> Result<File, KeyFileError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists,
        _ => KeyFileError::System(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file name of the test's own; the file is removed at its end.
    struct Place(std::path::PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let path = std::env::temp_dir().join(format!("ninefold-{}-{name}", std::process::id()));
            let _ = std::fs::remove_file(&path);
            Place(path)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_key_survives_the_trip_and_is_not_overwritten() {
        let place = Place::new("trip.key");
        let key = std::array::from_fn(|i| 7 * i as u8);
        create(&place.0, &key).unwrap();
        assert_eq!(read(&place.0).unwrap(), key);
        assert!(matches!(create(&place.0, &[1; KEY_LEN]), Err(KeyFileError::Exists)));
        assert_eq!(read(&place.0).unwrap(), key);
    }

    #[test]
    fn white_space_and_capitals_do_not_matter() {
        let place = Place::new("typed.key");
        std::fs::write(&place.0, format!("\t{}\n{}\r\n", "aB".repeat(16), "Cd".repeat(16))).unwrap();
        let key = read(&place.0).unwrap();
        assert_eq!((key[0], key[31]), (0xab, 0xcd));
    }

    #[test]
    fn what_is_no_key_is_told() {
        let place = Place::new("wrong.key");
        for (text, found) in [("", 0), (&"a".repeat(63)[..], 63), (&"g".repeat(64), 64), ("é", 2)] {
            std::fs::write(&place.0, text).unwrap();
            assert!(matches!(read(&place.0), Err(KeyFileError::NotAKey(n)) if n == found), "{text}");
        }
        std::fs::write(&place.0, " ".repeat(2_000)).unwrap();
        assert!(matches!(read(&place.0), Err(KeyFileError::Large)));
        assert!(matches!(read(Path::new("no-such.key")), Err(KeyFileError::Missing)));
    }
}
