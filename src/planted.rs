//! Bugs on purpose, for the tests of the tests: a sweep that cannot find these proves nothing.
//!
//! Only with the feature `planted-bugs`, which nothing that is shipped has. One build can plant each; which one, is chosen
//! at run time, for the whole process.

use std::sync::atomic::{AtomicU8, Ordering};

/// Their names.
pub const NAMES: [&str; 3] = ["lose-forgets", "apply-stale-results", "skip-queue-bound"];

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// One forget frame in a hundred is lost.
    LoseForgets = 1,
    /// A result counts for whatever attempt its chunk waits for.
    ApplyStaleResults = 2,
    /// The queue of requested chunks has no bound.
    SkipQueueBound = 3,
}

static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// Plants the bug of this name, or none.
///
/// # Panics
/// When there is no such bug.
pub fn plant(name: Option<&str>) {
    let number = name.map_or(0, |name| {
        let at = NAMES.iter().position(|known| *known == name);
        at.unwrap_or_else(|| panic!("no bug is called {name}; there are {NAMES:?}")) as u8 + 1
    });
    CHOSEN.store(number, Ordering::Relaxed);
}

impl Planted {
    /// Whether it was planted.
    pub(crate) fn is_there(self) -> bool {
        CHOSEN.load(Ordering::Relaxed) == self as u8
    }
}
