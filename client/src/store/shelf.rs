//! The folder: which chunks lie in it, least recently used first, and what happens to each file.
//!
//! Every call does its work at once; [`Store`](super::Store) keeps it away from the frame. A file is written
//! beside its place and then renamed, so that a process that is killed leaves whole files and at most one
//! unfinished one, which the next one removes. Nothing is flushed to the platter: after a power cut a file may
//! be empty or wrong, and its checksum says so.

use std::fs::{self, File, FileTimes};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lru::LruCache;
use ninefold_world::{ChunkCoord, ContentHash};

use super::record::{self, FILE_BYTES_MAX, HEADER_BYTES};
use super::{FILES_MAX, StoreError, StoreLimits, StoreStats};
use crate::StoredKey;

/// Entries of the folder that are looked at when it is opened.
const ENTRIES_MAX: usize = 2 * FILES_MAX;
/// How the names of files end.
const ENDING: &str = ".9fc";
/// How the name of an unfinished file goes on.
const UNFINISHED: &str = ".part";
/// The file whose lock says that the folder is in use.
const LOCK: &str = "ninefold.lock";

/// A folder of chunks.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    limits: StoreLimits,
    /// Bytes of each file.
    files: LruCache<StoredKey, u64>,
    bytes: u64,
    stats: StoreStats,
    /// Held for as long as the folder is ours.
    _lock: File,
}

impl Shelf {
    /// Opens a folder, makes it if there is none, and counts what lies in it.
    pub fn open(folder: &Path, limits: StoreLimits) -> Result<Shelf, StoreError> {
        let wrong = |error| StoreError::Folder { path: folder.to_owned(), error };
        fs::create_dir_all(folder).map_err(wrong)?;
        let lock = File::create(folder.join(LOCK)).map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StoreError::InUse(folder.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(wrong(error)),
        }
        let limits = StoreLimits { files_max: limits.files_max.min(FILES_MAX), ..limits };
        let mut shelf = Shelf {
            folder: folder.to_owned(),
            limits,
            files: LruCache::unbounded(),
            bytes: 0,
            stats: StoreStats::default(),
            _lock: lock,
        };
        shelf.look_around().map_err(wrong)?;
        shelf.make_room(0, 0);
        Ok(shelf)
    }

    fn look_around(&mut self) -> io::Result<()> {
        let mut found = Vec::new();
        for (seen, entry) in fs::read_dir(&self.folder)?.enumerate() {
            if seen == ENTRIES_MAX {
                self.stats.is_crowded = true;
                break;
            }
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            if name == LOCK {
                continue;
            }
            if name.strip_suffix(UNFINISHED).and_then(StoredKey::from_name).is_some() {
                self.stats.unfinished_removed += 1;
                self.remove_path(&entry.path());
                continue;
            }
            let key = StoredKey::from_name(name);
            let Some(key) = key.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())) else {
                self.stats.foreign_ignored += 1;
                continue;
            };
            // Gone since it was listed.
            let Ok(about) = entry.metadata() else { continue };
            let used_at = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if !(HEADER_BYTES as u64..=FILE_BYTES_MAX as u64).contains(&about.len()) {
                self.stats.damaged_removed += 1;
                self.remove_path(&entry.path());
                continue;
            }
            found.push((used_at, key, about.len()));
        }
        found.sort_unstable();
        for (_, key, bytes) in found {
            self.files.push(key, bytes);
            self.bytes += bytes;
        }
        Ok(())
    }

    /// The counts.
    pub fn stats(&self) -> StoreStats {
        StoreStats { files: self.files.len() as u64, bytes: self.bytes, ..self.stats }
    }

    /// What to offer a server, the most recently used first, each place once.
    pub fn offers(&self, offers_max: usize) -> Vec<StoredKey> {
        let mut offers: Vec<StoredKey> = Vec::new();
        for (key, _) in &self.files {
            if offers.len() == offers_max {
                break;
            }
            // A place has few contents; an older one of a place that was just told of is not of this world.
            if !offers.iter().any(|offer| offer.coord == key.coord) {
                offers.push(*key);
            }
        }
        offers
    }

    /// The encoding and the encoded bytes of a chunk. A file that is wrong is removed.
    pub fn load(&mut self, key: StoredKey) -> Option<(u8, Vec<u8>)> {
        self.files.get(&key)?;
        match self.read(key) {
            Ok(read) => {
                self.stats.loaded += 1;
                Some(read)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.discard(key);
                None
            }
            Err(_) => {
                self.stats.read_errors += 1;
                self.forget(key);
                None
            }
        }
    }

    fn read(&self, key: StoredKey) -> io::Result<(u8, Vec<u8>)> {
        let file = File::open(self.path(key))?;
        let mut bytes = Vec::new();
        (&file).take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        let Some((encoding, chunk)) = record::parse(key, &bytes) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let at = bytes.len() - chunk.len();
        // The order of use outlives the process in the times of the files; without it, it is the order of
        // writing.
        let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
        bytes.drain(..at);
        Ok((encoding, bytes))
    }

    /// Keeps a chunk; the least recently used ones make room.
    pub fn save(&mut self, key: StoredKey, encoding: u8, bytes: &[u8]) {
        let length = (HEADER_BYTES + bytes.len()) as u64;
        if self.files.get(&key).is_some() || length > FILE_BYTES_MAX as u64 || length > self.limits.bytes_max
        {
            return;
        }
        self.make_room(1, length);
        if self.limits.files_max == 0 {
            return;
        }
        match self.write(key, encoding, bytes) {
            Ok(()) => {
                self.stats.saved += 1;
                self.bytes += length;
                self.files.push(key, length);
            }
            Err(_) => self.stats.write_errors += 1,
        }
    }

    fn write(&self, key: StoredKey, encoding: u8, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let unfinished = self.folder.join(key.name() + UNFINISHED);
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(&record::header(key, encoding, bytes))?;
            file.write_all(bytes)?;
            drop(file);
            fs::rename(&unfinished, &path)
        };
        write().inspect_err(|_| {
            // Not there, or the next to open the folder does it.
            let _ = fs::remove_file(&unfinished);
        })
    }

    /// A chunk turned out to be wrong.
    pub fn discard(&mut self, key: StoredKey) {
        self.stats.damaged_removed += 1;
        self.forget(key);
    }

    fn forget(&mut self, key: StoredKey) {
        if let Some(bytes) = self.files.pop(&key) {
            self.bytes -= bytes;
        }
        self.remove_path(&self.path(key));
    }

    fn make_room(&mut self, files: usize, bytes: u64) {
        while self.files.len() + files > self.limits.files_max || self.bytes + bytes > self.limits.bytes_max {
            let Some((key, length)) = self.files.pop_lru() else { break };
            self.bytes -= length;
            self.stats.evicted += 1;
            self.remove_path(&self.path(key));
        }
    }

    fn remove_path(&mut self, path: &Path) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.stats.remove_errors += 1,
            _ => {}
        }
    }

    fn path(&self, key: StoredKey) -> PathBuf {
        self.folder.join(key.name())
    }
}

impl StoredKey {
    /// The name of its file.
    fn name(self) -> String {
        let ChunkCoord { cx, cz } = self.coord;
        format!("{cx}_{cz}_{:032x}{ENDING}", self.content_hash.0)
    }

    /// The chunk of a file with this name; only the name that it would get counts.
    fn from_name(name: &str) -> Option<StoredKey> {
        let mut parts = name.strip_suffix(ENDING)?.splitn(3, '_');
        let mut part = || parts.next();
        let coord = ChunkCoord { cx: part()?.parse().ok()?, cz: part()?.parse().ok()? };
        let content_hash = ContentHash(u128::from_str_radix(part()?, 16).ok()?);
        let key = StoredKey { coord, content_hash };
        (key.name() == name).then_some(key)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "what is measured takes real time")]
mod tests;
