//! The folder, file by file.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ninefold-shelf-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn open(&self, bytes_max: u64, files_max: usize) -> Shelf {
        Shelf::open(&self.0, StoreLimits { bytes_max, files_max }).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != LOCK)
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(cx: i32) -> StoredKey {
    StoredKey { coord: ChunkCoord { cx, cz: -1 }, content_hash: ContentHash(u128::from(cx.unsigned_abs())) }
}

fn bytes(cx: i32) -> Vec<u8> {
    vec![cx as u8; 100]
}

/// Saves it with a time of last use of its own: the file system's clock may be coarse.
fn save(shelf: &mut Shelf, cx: i32) {
    shelf.save(key(cx), 2, &bytes(cx));
    let used_at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000 + cx as u64);
    let file = File::options().write(true).open(shelf.path(key(cx))).unwrap();
    file.set_modified(used_at).unwrap();
}

const FILE_BYTES: u64 = 100 + HEADER_BYTES as u64;

#[test]
fn what_was_saved_is_there_for_the_next_process() {
    let folder = Folder::new();
    let mut shelf = folder.open(1 << 20, 100);
    save(&mut shelf, 1);
    save(&mut shelf, 2);
    drop(shelf);
    let mut shelf = folder.open(1 << 20, 100);
    assert_eq!((shelf.stats().files, shelf.stats().bytes), (2, 2 * FILE_BYTES));
    assert_eq!(shelf.offers(10), [key(2), key(1)]);
    assert_eq!(shelf.load(key(1)), Some((2, bytes(1))));
    assert_eq!(shelf.load(key(3)), None);
    drop(shelf);
    // Its use is remembered, too.
    assert_eq!(folder.open(1 << 20, 100).offers(1), [key(1)]);
}

#[test]
fn the_least_recently_used_goes_at_either_bound() {
    for (bytes_max, files_max) in [(1 << 20, 3), (3 * FILE_BYTES + 10, 100)] {
        let folder = Folder::new();
        let mut shelf = folder.open(bytes_max, files_max);
        (1..=3).for_each(|cx| save(&mut shelf, cx));
        assert!(shelf.load(key(1)).is_some());
        save(&mut shelf, 4);
        let stats = shelf.stats();
        assert_eq!((stats.files, stats.evicted, stats.bytes), (3, 1, 3 * FILE_BYTES));
        assert_eq!(folder.names(), [key(1).name(), key(3).name(), key(4).name()]);
        drop(shelf);
        // A lower bound holds from the start.
        assert_eq!(folder.open(FILE_BYTES, 100).stats().files, 1);
    }
}

#[test]
fn damaged_files_are_noticed_removed_and_counted() {
    let folder = Folder::new();
    let mut shelf = folder.open(1 << 20, 100);
    (1..=5).for_each(|cx| save(&mut shelf, cx));
    let path = |cx| folder.0.join(key(cx).name());
    let mut flipped = fs::read(path(1)).unwrap();
    flipped[60] ^= 4;
    fs::write(path(1), flipped).unwrap();
    let whole = fs::read(path(2)).unwrap();
    fs::write(path(2), &whole[..90]).unwrap();
    fs::write(path(3), b"not a chunk at all, but something of somebody else's, long enough").unwrap();
    fs::copy(path(4), path(5)).unwrap(); // the right file at the wrong place
    for cx in [1, 2, 3, 5] {
        assert_eq!(shelf.load(key(cx)), None, "{cx}");
        assert_eq!(shelf.load(key(cx)), None, "{cx}");
    }
    assert_eq!((shelf.stats().damaged_removed, shelf.stats().files, shelf.stats().bytes), (4, 1, FILE_BYTES));
    assert_eq!(folder.names(), [key(4).name()]);
    // One that is gone is no damage.
    fs::remove_file(path(4)).unwrap();
    assert_eq!(shelf.load(key(4)), None);
    assert_eq!((shelf.stats().damaged_removed, shelf.stats().read_errors), (4, 1));
}

#[test]
fn a_process_that_was_killed_leaves_nothing_that_counts() {
    let folder = Folder::new();
    let mut shelf = folder.open(1 << 20, 100);
    save(&mut shelf, 1);
    drop(shelf);
    // Killed while it wrote, at any byte; empty after a power cut; somebody else's.
    let whole = fs::read(folder.0.join(key(1).name())).unwrap();
    fs::write(folder.0.join(key(2).name() + UNFINISHED), &whole[..70]).unwrap();
    fs::write(folder.0.join(key(3).name()), b"").unwrap();
    fs::write(folder.0.join("notes.txt"), b"mine").unwrap();
    fs::write(folder.0.join("1_-1_1.9fc"), b"a name that we do not give").unwrap();
    fs::create_dir(folder.0.join(key(4).name())).unwrap();
    let shelf = folder.open(1 << 20, 100);
    let stats = shelf.stats();
    assert_eq!((stats.files, stats.unfinished_removed, stats.damaged_removed), (1, 1, 1));
    assert_eq!(stats.foreign_ignored, 3);
    assert!(folder.0.join("notes.txt").exists());
}

#[test]
fn a_folder_belongs_to_one_store_at_a_time() {
    let folder = Folder::new();
    let shelf = folder.open(1 << 20, 100);
    let limits = StoreLimits::default();
    assert!(matches!(Shelf::open(&folder.0, limits), Err(StoreError::InUse(_))));
    drop(shelf);
    assert!(Shelf::open(&folder.0, limits).is_ok());
}

#[test]
fn each_place_is_offered_once_with_its_newest_content() {
    let folder = Folder::new();
    let mut shelf = folder.open(1 << 20, 100);
    save(&mut shelf, 1);
    let newer = StoredKey { content_hash: ContentHash(99), ..key(1) };
    shelf.save(newer, 2, b"edited");
    save(&mut shelf, 2);
    assert_eq!(shelf.offers(10), [key(2), newer]);
    assert_eq!(shelf.offers(1), [key(2)]);
}

#[test]
fn what_cannot_be_written_is_counted() {
    let folder = Folder::new();
    let mut shelf = folder.open(1 << 20, 100);
    fs::create_dir(shelf.path(key(1))).unwrap();
    shelf.save(key(1), 2, &bytes(1));
    let stats = shelf.stats();
    assert_eq!((stats.write_errors, stats.saved, stats.files, stats.bytes), (1, 0, 0, 0));
    assert_eq!(folder.names(), [key(1).name()]);
    // More than the store may hold is not kept.
    let mut small = Folder::new().open(50, 100);
    small.save(key(2), 2, &bytes(2));
    assert_eq!(small.stats().files, 0);
}

/// Whatever happens to the files meanwhile: what is loaded is what was saved, and the bounds hold.
#[test]
fn random_use_and_damage_give_right_bytes_or_none() {
    let (mut loaded, mut damaged) = (0, 0);
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = Folder::new();
        let (bytes_max, files_max) = (random.u64(1_000..20_000), random.usize(1..40));
        let mut shelf = folder.open(bytes_max, files_max);
        let contents = |cx: i32| vec![cx as u8; 50 + 7 * cx.unsigned_abs() as usize];
        for step in 0..300 {
            let cx = random.i32(0..60);
            match random.u32(..20) {
                0..9 => shelf.save(key(cx), 2, &contents(cx)),
                9..16 => {
                    let found = shelf.load(key(cx));
                    loaded += u32::from(found.is_some());
                    assert!(
                        found.is_none_or(|found| found == (2, contents(cx))),
                        "seed {seed}, step {step}: chunk {cx}"
                    );
                }
                16 => shelf.discard(key(cx)),
                17 | 18 => {
                    if let Ok(mut file) = fs::read(shelf.path(key(cx))) {
                        damaged += 1;
                        let at = random.usize(..file.len());
                        if random.bool() {
                            file.truncate(at)
                        } else {
                            file[at] ^= 1 << random.u32(..8)
                        }
                        fs::write(shelf.path(key(cx)), file).unwrap();
                    }
                }
                _ => {
                    drop(shelf);
                    shelf = folder.open(bytes_max, files_max);
                }
            }
            let on_disk = folder.names().len();
            assert!(on_disk <= files_max && shelf.stats().bytes <= bytes_max, "seed {seed}, step {step}");
            assert_eq!(on_disk as u64, shelf.stats().files, "seed {seed}, step {step}");
        }
    }
    assert!(loaded > 500 && damaged > 100, "{loaded} loaded, {damaged} damaged");
}

/// Prints what `docs/numbers.md` says of the store.
#[test]
#[ignore = "figures: run it alone and in release"]
fn what_opening_writing_and_reading_cost() {
    let folder = Folder::new();
    let chunk = vec![0xa5; 2_500];
    let key = |cx: usize| StoredKey { coord: ChunkCoord { cx: cx as i32, cz: 0 }, ..key(1) };
    let timed = |what: &str, count: usize, work: &mut dyn FnMut(usize)| {
        let mut us: Vec<u128> = (0..count)
            .map(|index| {
                let began = std::time::Instant::now();
                work(index);
                began.elapsed().as_nanos() / 1_000
            })
            .collect();
        us.sort_unstable();
        println!(
            "{what}: p50 {} us, p99 {} us, max {} us",
            us[count / 2],
            us[count * 99 / 100],
            us[count - 1]
        );
    };
    let mut shelf = folder.open(1 << 30, FILES_MAX);
    timed("write a chunk of 2,500 bytes", FILES_MAX, &mut |cx| shelf.save(key(cx), 1, &chunk));
    timed("read one", FILES_MAX, &mut |cx| assert!(shelf.load(key(cx)).is_some()));
    drop(shelf);
    timed("open a store of 32,768 files", 10, &mut |_| drop(folder.open(1 << 30, FILES_MAX)));
    folder.open(1 << 30, 4_096);
    timed("open a store of 4,096 files", 10, &mut |_| drop(folder.open(1 << 30, 4_096)));
}
