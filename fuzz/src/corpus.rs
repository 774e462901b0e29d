//! Inputs in files: what real sessions said, and what once broke something.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of a target's seeds.
pub fn corpus_dir(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The folder where what breaks a target is kept.
pub(crate) fn crashes_dir(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes").join(target)
}

/// All files of a folder, in the order of their names; none if there is no such folder.
///
/// # Panics
/// When a file that is there cannot be read.
pub fn load(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    let read = |path: PathBuf| match fs::read(&path) {
        Ok(bytes) => (path, bytes),
        Err(error) => panic!("cannot read {}: {error}", path.display()),
    };
    paths.into_iter().map(read).collect()
}

/// Keeps an input that broke a target, under a name that follows from its bytes.
pub(crate) fn keep_crash(target: &str, input: &[u8]) -> std::io::Result<PathBuf> {
    let folder = crashes_dir(target);
    fs::create_dir_all(&folder)?;
    // FNV-1a: only to tell files apart.
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = folder.join(format!("{hash:016x}"));
    fs::write(&path, input)?;
    Ok(path)
}
