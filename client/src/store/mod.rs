//! Chunks on disk from one session to the next: offered to the server on joining, so that it does not send
//! them again.
//!
//! ```text
//!   Client::poll_encoded --> save ---+                 +--- files, one for each chunk
//!   Client::poll_load ----> load ----+-- ninefold-disk-+
//!   Client::handle_loaded <- loaded -+    a thread     +--- least recently used goes
//! ```
//!
//! [`Store::serve`] moves everything between the client core and the thread and never waits for the disk:
//! both queues are bounded, and at their bound a chunk is simply not kept, or comes from the server. The
//! folder is the game's choice; give each game its own. A game with several servers may use one folder for
//! all: what is not of the server's world does not match and is not used.
//!
//! A file is believed when its checksum is right and what it decodes to has the content hash that was asked
//! for. What is damaged is removed and counted; files of other names are left alone and counted.

mod record;
mod shelf;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ninefold_protocol::frame::OFFERS_MAX;
use ninefold_protocol::time::Instant;

use self::shelf::Shelf;
use crate::{Client, Encoded, StoredKey};

/// Files that a store may have, whatever its limits say: what can be looked through in a fraction of a second.
pub const FILES_MAX: usize = 32_768;
/// Orders that wait for the thread: what a ring and its first crossings bring at once.
const ORDERS_MAX: usize = 256;

/// How much a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// Bytes of all files.
    pub bytes_max: u64,
    /// Files, at most [`FILES_MAX`].
    pub files_max: usize,
}

impl Default for StoreLimits {
    /// 32 MiB in 16,384 files: chunks have two to three KiB, or a third of one as recipes.
    fn default() -> Self {
        StoreLimits { bytes_max: 32 << 20, files_max: 16_384 }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made, read or written.
    #[error("cannot use {path} for chunks: {error}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process, or another store of this one, has the folder.
    #[error("{0} is in use by another client")]
    InUse(PathBuf),
    /// No thread could be had.
    #[error("cannot start a thread for the chunk store: {0}")]
    Thread(io::Error),
}

/// What a store counts since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Files now.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Chunks written.
    pub saved: u64,
    /// Chunks read and found right.
    pub loaded: u64,
    /// Chunks removed to make room.
    pub evicted: u64,
    /// Files that were no longer what had been written, removed.
    pub damaged_removed: u64,
    /// Files that were never finished, removed.
    pub unfinished_removed: u64,
    /// Files of other names in the folder when it was opened, left alone.
    pub foreign_ignored: u64,
    /// The folder has more entries than were looked at.
    pub is_crowded: bool,
    /// Files that could not be written.
    pub write_errors: u64,
    /// Files that could not be read.
    pub read_errors: u64,
    /// Files that could not be removed.
    pub remove_errors: u64,
    /// Orders that the thread was too busy for.
    pub orders_dropped: u64,
}

enum Order {
    Load(StoredKey, u32),
    Save(Encoded),
    Discard(StoredKey),
}

struct Loaded {
    key: StoredKey,
    version: u32,
    found: Option<(u8, Vec<u8>)>,
}

/// A store with its thread. Dropping it finishes what was ordered.
#[derive(Debug)]
pub struct Store {
    orders: Option<SyncSender<Order>>,
    loaded: Receiver<Loaded>,
    /// Loads under way: no more than there is room for answers.
    loading: usize,
    offers: Vec<StoredKey>,
    orders_dropped: u64,
    stats: Arc<Mutex<StoreStats>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the store in this folder, which is made if there is none. Looks at each file's name, size and
    /// time, at most [`FILES_MAX`] twice over, and at no contents: a few milliseconds for thousands of files.
    pub fn open(folder: &Path, limits: StoreLimits) -> Result<Store, StoreError> {
        let mut shelf = Shelf::open(folder, limits)?;
        let offers = shelf.offers(OFFERS_MAX.into());
        let stats = Arc::new(Mutex::new(shelf.stats()));
        let (orders, ordered) = sync_channel(ORDERS_MAX);
        let (answers, loaded) = sync_channel(ORDERS_MAX);
        let published = Arc::clone(&stats);
        let body = move || {
            for order in ordered {
                match order {
                    Order::Save(Encoded { coord, content_hash, encoding, bytes, .. }) => {
                        shelf.save(StoredKey { coord, content_hash }, encoding, &bytes);
                    }
                    Order::Discard(key) => shelf.discard(key),
                    Order::Load(key, version) => {
                        let found = shelf.load(key);
                        let told = answers.try_send(Loaded { key, version, found });
                        debug_assert!(
                            !matches!(told, Err(TrySendError::Full(_))),
                            "no more loads are under way than answers have room"
                        );
                    }
                }
                *published.lock().unwrap_or_else(PoisonError::into_inner) = shelf.stats();
            }
        };
        let thread = std::thread::Builder::new()
            .name("ninefold-disk".into())
            .spawn(body)
            .map_err(StoreError::Thread)?;
        Ok(Store {
            orders: Some(orders),
            loaded,
            loading: 0,
            offers,
            orders_dropped: 0,
            stats,
            thread: Some(thread),
        })
    }

    /// What the client may offer: see [`Client::offer`].
    pub fn offers(&self) -> &[StoredKey] {
        &self.offers
    }

    /// The counts.
    pub fn stats(&self) -> StoreStats {
        let stats = *self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        StoreStats { orders_dropped: self.orders_dropped, ..stats }
    }

    /// Brings the client what it asked for, and keeps what it got. Once per frame, after the datagrams.
    pub fn serve(&mut self, now: Instant, client: &mut Client) {
        while let Ok(Loaded { key, version, found }) = self.loaded.try_recv() {
            self.loading -= 1;
            let found_it = found.is_some();
            let found = found.as_ref().map(|(encoding, bytes)| (*encoding, &bytes[..]));
            if !client.handle_loaded(now, key, version, found) && found_it {
                self.order(Order::Discard(key));
            }
        }
        while let Some((key, version)) = client.poll_load() {
            if self.loading < ORDERS_MAX && self.order(Order::Load(key, version)) {
                self.loading += 1;
            } else {
                client.handle_loaded(now, key, version, None);
            }
        }
        while let Some(encoded) = client.poll_encoded() {
            self.order(Order::Save(encoded));
        }
    }

    fn order(&mut self, order: Order) -> bool {
        let taken = self.orders.as_ref().is_some_and(|orders| orders.try_send(order).is_ok());
        self.orders_dropped += u64::from(!taken);
        taken
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already; there is nothing left to finish.
            let _ = thread.join();
        }
    }
}
