//! The folder of traces: so many files of so many bytes together at most, the oldest go.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// What the name of every trace begins with.
const PREFIX: &str = "ninefold-";
/// And ends with.
const SUFFIX: &str = ".trace.json";
/// While it is being written it ends with this, too.
const PART: &str = ".part";
/// Entries of a folder that are looked at. One with more is not ours to tidy.
const ENTRIES_MAX: usize = 65_536;

/// A folder for traces and its bounds. It is made when the first trace is written.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    files_max: usize,
    bytes_max: u64,
}

/// Why a trace could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder cannot be made or written to.
    #[error("trace_dir {}: {error}; make it a folder that this user can write to, or set another", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// One trace is larger than all may be.
    #[error("one trace has more than trace_bytes_max = {0} bytes; raise it")]
    TooLarge(u64),
    /// A file cannot be written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A trace in the folder.
struct Entry {
    path: PathBuf,
    name: String,
    bytes: u64,
}

impl Folder {
    /// A folder for at most so many files and bytes.
    pub fn new(path: PathBuf, files_max: usize, bytes_max: u64) -> Self {
        Folder { path, files_max: files_max.max(1), bytes_max }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a trace could be written as things are. Makes nothing.
    pub fn check(&self) -> Result<(), FolderError> {
        let fault = |error: io::Error| FolderError::Folder { path: self.path.clone(), error };
        let mut there = self.path.as_path();
        loop {
            match fs::metadata(there) {
                Ok(found) if !found.is_dir() => {
                    return Err(fault(io::Error::from(io::ErrorKind::NotADirectory)));
                }
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // What is missing would be made in what is there.
                    there = match there.parent() {
                        Some(above) if !above.as_os_str().is_empty() => above,
                        _ => Path::new("."),
                    };
                }
                Err(error) => return Err(fault(error)),
            }
        }
        access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| fault(error.into()))
    }

    /// Writes a trace and removes the oldest until all are within the bounds. The file appears whole or not at all.
    /// Gives its path and its bytes.
    ///
    /// While it is written, the folder has it beside what was there before.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(PathBuf, u64), FolderError> {
        let fault = |error: io::Error| FolderError::Folder { path: self.path.clone(), error };
        fs::create_dir_all(&self.path).map_err(fault)?;
        let file_name = format!("{PREFIX}{name}{SUFFIX}");
        let path = self.path.join(&file_name);
        let part = self.path.join(format!("{file_name}{PART}"));
        let file = OpenOptions::new().write(true).create_new(true).open(&part).map_err(fault)?;
        let written = self.fill(file, write).and_then(|bytes| {
            self.make_room(&part, bytes).map_err(fault)?;
            fs::rename(&part, &path).map_err(|error| FolderError::File { path: path.clone(), error })?;
            Ok((path, bytes))
        });
        if written.is_err() {
            // What there is of it is of no use.
            let _ = fs::remove_file(&part);
        }
        written
    }

    fn fill(
        &self,
        file: File,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u64, FolderError> {
        let mut out = Bounded { out: BufWriter::new(file), bytes: 0, bytes_max: self.bytes_max };
        let written = write(&mut out).and_then(|()| out.flush());
        match written {
            Ok(()) => Ok(out.bytes),
            Err(_) if out.bytes > self.bytes_max => Err(FolderError::TooLarge(self.bytes_max)),
            Err(error) => Err(FolderError::File { path: self.path.clone(), error }),
        }
    }

    /// Removes the oldest traces until one more of so many bytes is within the bounds.
    fn make_room(&self, new: &Path, bytes: u64) -> io::Result<()> {
        let mut entries = self.entries()?;
        entries.retain(|entry| entry.path != new);
        // A name begins with its time.
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut files = entries.len();
        let mut sum: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for oldest in entries {
            if files < self.files_max && sum.saturating_add(bytes) <= self.bytes_max {
                break;
            }
            fs::remove_file(&oldest.path)?;
            (files, sum) = (files - 1, sum - oldest.bytes);
        }
        Ok(())
    }

    /// The traces, and what was left of such when a server died.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.path)?.take(ENTRIES_MAX) {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let whole = name.strip_suffix(PART).unwrap_or(&name);
            if whole.starts_with(PREFIX) && whole.ends_with(SUFFIX) {
                // One that is gone meanwhile was removed by another server.
                let Ok(found) = entry.metadata() else { continue };
                entries.push(Entry { path: entry.path(), name, bytes: found.len() });
            }
        }
        Ok(entries)
    }
}

/// Writes no more than so many bytes.
struct Bounded<W> {
    out: W,
    bytes: u64,
    bytes_max: u64,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of the test's own.
    struct Own(PathBuf);

    impl Own {
        fn new(name: &str) -> Own {
            let path = std::env::temp_dir().join(format!("ninefold-folder-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Own(path)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> = (fs::read_dir(&self.0).unwrap())
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn write(folder: &Folder, n: usize, bytes: usize) -> Result<(PathBuf, u64), FolderError> {
        folder.write(&format!("{n:03}"), |out| out.write_all(&vec![b'x'; bytes]))
    }

    #[test]
    fn the_oldest_go_and_what_is_not_ours_stays() {
        let own = Own::new("oldest");
        let folder = Folder::new(own.0.clone(), 3, 1_000);
        folder.check().unwrap();
        assert!(!own.0.exists(), "looking makes nothing");
        write(&folder, 0, 10).unwrap();
        fs::write(own.0.join("notes.txt"), vec![0; 5_000]).unwrap();
        for n in 1..50 {
            let (path, bytes) = write(&folder, n, 10).unwrap();
            assert_eq!((path.metadata().unwrap().len(), bytes), (10, 10));
            assert!(own.names().len() <= 4);
        }
        let [a, b, c] = [47, 48, 49].map(|n| format!("ninefold-{n:03}.trace.json"));
        assert_eq!(own.names(), [a, b, c, "notes.txt".into()]);
    }

    #[test]
    fn bytes_are_bounded_whatever_the_number_of_files() {
        let own = Own::new("bytes");
        let folder = Folder::new(own.0.clone(), 1_000, 1_000);
        for n in 0..50 {
            write(&folder, n, 300).unwrap();
            let sum: u64 = own.names().iter().map(|n| own.0.join(n).metadata().unwrap().len()).sum();
            assert!(sum <= 1_000, "{sum}");
        }
        assert_eq!(own.names().len(), 3);
        let error = write(&folder, 50, 1_001).unwrap_err();
        assert!(error.to_string().contains("trace_bytes_max = 1000"), "{error}");
        assert_eq!(own.names().len(), 3, "what is too large leaves nothing and costs nothing");
    }

    #[test]
    fn what_a_server_that_died_left_half_written_goes_too() {
        let own = Own::new("part");
        let folder = Folder::new(own.0.clone(), 2, 1_000);
        write(&folder, 1, 10).unwrap();
        fs::write(own.0.join("ninefold-000.trace.json.part"), "half").unwrap();
        write(&folder, 2, 10).unwrap();
        assert_eq!(own.names(), ["ninefold-001.trace.json", "ninefold-002.trace.json"]);
    }

    #[test]
    fn a_folder_that_cannot_be_is_told_with_what_to_do() {
        let own = Own::new("file");
        fs::create_dir_all(&own.0).unwrap();
        let file = own.0.join("a-file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let folder = Folder::new(path, 3, 1_000);
            for error in [folder.check().unwrap_err(), write(&folder, 0, 1).unwrap_err()] {
                let line = error.to_string();
                assert!(line.contains("trace_dir") && line.contains("a-file"), "{line}");
            }
        }
    }
}
