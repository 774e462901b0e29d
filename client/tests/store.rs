//! The chunk store with its thread, and with processes that are killed while they write.
#![cfg(feature = "disk")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a thread and other processes are waited for"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant as Clock};

use ninefold_client::protocol::frame::{ChunkAt, ChunkKey, Message};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::link::Link;
use ninefold_client::protocol::time::Instant;
use ninefold_client::store::{Store, StoreLimits};
use ninefold_client::world::{BspWorld, ChunkCoord, ENCODING_BSP, Generator, Scratch, encode};
use ninefold_client::{Client, ClientConfig};

/// Names the folder for the child that writes until it is killed.
const CHILD_FOLDER: &str = "NINEFOLD_TEST_STORE_FOLDER";
const LIMITS: StoreLimits = StoreLimits { bytes_max: 1 << 20, files_max: 200 };

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// The server's word about what the client offered, given to a client of a carrier.
struct Told {
    client: Client,
    link: Link<()>,
}

impl Told {
    fn of(store: &Store) -> Told {
        let mut client = Client::carried(Instant::ZERO, &ClientConfig::default());
        client.offer(store.offers());
        client.carrier_is_up();
        Told { client, link: Link::new(Instant::ZERO) }
    }

    /// Says that a chunk is known.
    fn known(&mut self, coord: ChunkCoord) {
        let key = ChunkKey { cx: coord.cx, cy: 0, cz: coord.cz };
        self.link.send_message(&Message::ChunkKnown(ChunkAt { key, version: 1 })).unwrap();
        let mut buffer = [0; PACKET_BYTES_MAX];
        let bytes = self.link.packet(Instant::ZERO, &mut buffer).finish().unwrap().head_bytes;
        self.client.handle_packet(Instant::ZERO, &buffer[..bytes]);
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Clock::now() + Duration::from_secs(10);
    while !done() {
        assert!(Clock::now() < end, "did not come true: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Fills a store as a session would, one chunk after the other.
fn fill(store: &mut Store, coords: impl Iterator<Item = ChunkCoord>) {
    let world = BspWorld::new(9);
    let mut told = Told::of(store);
    for (number, coord) in coords.enumerate() {
        let bytes = encode(&world.generate(coord, &mut Scratch::default()));
        send(&mut told, coord, &bytes);
        store.serve(Instant::ZERO, &mut told.client);
        until("it is written", || store.stats().saved > number as u64);
    }
}

fn send(told: &mut Told, coord: ChunkCoord, bytes: &[u8]) {
    use ninefold_client::protocol::chunk::Fragmenter;
    use ninefold_client::protocol::frame::kind;
    use zerocopy::IntoBytes;
    let key = ChunkKey { cx: coord.cx, cy: 0, cz: coord.cz };
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let fragmenter = Fragmenter::new(key, 1, 0, ENCODING_BSP, bytes).unwrap();
    for index in 0..fragmenter.count() {
        let (header, tail) = fragmenter.fragment(index);
        let mut buffer = [0; PACKET_BYTES_MAX];
        let mut packet = told.link.packet(Instant::ZERO, &mut buffer);
        packet.push(kind::FRAGMENT, &[header.as_bytes(), &tail]);
        let length = packet.finish().unwrap().head_bytes;
        told.client.handle_packet(Instant::ZERO, &buffer[..length]);
    }
}

fn line(count: i32) -> impl Iterator<Item = ChunkCoord> {
    (0..count).map(|cx| ChunkCoord { cx, cz: 0 })
}

#[test]
fn the_next_session_gets_from_the_store_what_the_server_knows_of() {
    let folder = folder("store-next-session");
    let mut store = Store::open(&folder, LIMITS).unwrap();
    assert!(store.offers().is_empty());
    fill(&mut store, line(12));
    drop(store);
    let mut store = Store::open(&folder, LIMITS).unwrap();
    assert_eq!(store.offers().len(), 12);
    let mut told = Told::of(&store);
    line(12).for_each(|coord| told.known(coord));
    until("all are here", || {
        store.serve(Instant::ZERO, &mut told.client);
        told.client.cache().len() == 12
    });
    assert_eq!((told.client.stats().chunks_from_store, store.stats().loaded), (12, 12));
}

#[test]
fn what_decodes_to_something_else_is_removed() {
    let folder = folder("store-other-content");
    let mut store = Store::open(&folder, LIMITS).unwrap();
    fill(&mut store, line(1));
    let mut told = Told::of(&store);
    drop(store);
    // A right file whose chunk has another hash than its name and header say: as if it had been forged.
    let [path] = &std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "9fc"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("one file")
    };
    let mut file = std::fs::read(path).unwrap();
    file[48 + 33] ^= 1;
    file[40..48].copy_from_slice(&[0; 8]);
    let sum = {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(&file[..40]);
        hasher.update(&file[48..]);
        hasher.digest()
    };
    file[40..48].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(path, file).unwrap();
    let mut store = Store::open(&folder, LIMITS).unwrap();
    told.client = Told::of(&store).client;
    told.link = Link::new(Instant::ZERO);
    told.known(ChunkCoord { cx: 0, cz: 0 });
    until("it is thrown away", || {
        store.serve(Instant::ZERO, &mut told.client);
        store.stats().damaged_removed == 1
    });
    assert_eq!((told.client.stats().chunks_store_failed, told.client.cache().len()), (1, 0));
    assert!(!path.exists());
}

/// Run by the test below in a process of its own.
#[test]
#[ignore = "a child of another test: it writes until it is killed"]
fn child_that_writes() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let mut store = Store::open(Path::new(&folder), LIMITS).unwrap();
    let start = std::process::id() as i32 % 100_000;
    fill(&mut store, (start..).map(|cx| ChunkCoord { cx, cz: 0 }));
}

#[test]
fn a_kill_at_any_moment_leaves_a_store_that_is_whole_and_within_its_bounds() {
    let folder = folder("store-kill");
    let mut random = fastrand::Rng::with_seed(7);
    let mut most_files = 0;
    for round in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes", "--ignored"])
            .env(CHILD_FOLDER, &folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(random.u64(20_000..120_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut store = Store::open(&folder, LIMITS).unwrap();
        let stats = store.stats();
        most_files = most_files.max(stats.files);
        assert_eq!(stats.damaged_removed, 0, "round {round}");
        assert!(stats.files <= 200 && stats.bytes <= LIMITS.bytes_max && stats.unfinished_removed <= 1);
        // Whatever is offered is right.
        let mut told = Told::of(&store);
        let offers = store.offers().to_vec();
        offers.iter().for_each(|offer| told.known(offer.coord));
        until("all are here", || {
            store.serve(Instant::ZERO, &mut told.client);
            told.client.cache().len() == offers.len()
        });
    }
    assert!(most_files > 20, "the children wrote: {most_files}");
}
