//! A client behind its pointer: one call at a time, and no panic out of any.

use std::cell::{RefCell, UnsafeCell};
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use ninefold_client::Client;
use ninefold_client::net::Driver;
use ninefold_client::protocol::time::Instant;
use ninefold_client::store::Store;
use ninefold_client::world::{ChunkCoord, ContentHash, Mesh};

use crate::border;
use crate::status::{Failure, NinefoldStatus, Outcome};

/// A client. What it points to is the library's.
pub struct NinefoldClient {
    /// Somebody is inside.
    busy: AtomicBool,
    inner: UnsafeCell<Inner>,
}

/// What a client is made of.
pub(crate) struct Inner {
    pub line: Line,
    /// The time that a game with its own clock said last.
    pub told_at: Instant,
    pub mesh: Option<(ChunkCoord, ContentHash, Mesh)>,
    error: String,
    /// A call panicked: what is inside may be half done.
    is_poisoned: bool,
}

/// Who moves the datagrams.
pub(crate) enum Line {
    /// The library.
    Driver(Box<Driver>),
    /// The game.
    Own(Box<Client>, Option<Store>),
}

impl Inner {
    pub fn client(&self) -> &Client {
        match &self.line {
            Line::Driver(driver) => driver.client(),
            Line::Own(client, _) => client,
        }
    }

    /// The time at which things are to be shown: a driver has a clock, a game without one has said it.
    pub fn now(&self) -> Instant {
        match &self.line {
            Line::Driver(driver) => driver.now(),
            Line::Own(..) => self.told_at,
        }
    }

    /// What ninefold_client_error says next.
    pub fn set_error(&mut self, words: impl std::fmt::Display) {
        self.error = words.to_string();
    }

    pub fn client_mut(&mut self) -> &mut Client {
        match &mut self.line {
            Line::Driver(driver) => driver.client_mut(),
            Line::Own(client, _) => client,
        }
    }
}

thread_local! {
    /// Why this thread could not make a client.
    static CREATION: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs what makes a client; its failure is this thread's.
///
/// # Safety
/// If `out` is not null, a pointer can be written there.
pub(crate) unsafe fn create(
    out: *mut *mut NinefoldClient,
    make: impl FnOnce() -> Result<(Line, Instant), Failure>,
) -> NinefoldStatus {
    let made = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller's promise.
        unsafe { border::put(out, std::ptr::null_mut(), "client")? };
        let (line, told_at) = make()?;
        let inner = Inner { line, told_at, mesh: None, error: String::new(), is_poisoned: false };
        let client = NinefoldClient { busy: AtomicBool::new(false), inner: UnsafeCell::new(inner) };
        // SAFETY: it was checked above; the caller's promise.
        unsafe { border::put(out, Box::into_raw(Box::new(client)), "client")? };
        Ok(())
    }));
    let failure = match made {
        Ok(Ok(())) => return NinefoldStatus::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) => panicked(&*panic),
    };
    CREATION.with_borrow_mut(|error| *error = failure.words);
    failure.status
}

/// Runs one call on a client.
///
/// # Safety
/// `client` is null or from one of the functions that make clients, and was not freed.
pub(crate) unsafe fn enter(
    client: *const NinefoldClient,
    body: impl FnOnce(&mut Inner) -> Outcome,
) -> NinefoldStatus {
    if client.is_null() {
        return NinefoldStatus::Null;
    }
    // SAFETY: not null; the caller's promise. Only shared references to the outside are ever made.
    let client = unsafe { &*client };
    if client.busy.swap(true, Ordering::Acquire) {
        return NinefoldStatus::Busy;
    }
    // SAFETY: `busy` was not set and is now, so that nobody else is inside until it is unset below.
    let inner = unsafe { &mut *client.inner.get() };
    let status = if inner.is_poisoned { NinefoldStatus::Panic } else { run(inner, body) };
    client.busy.store(false, Ordering::Release);
    status
}

fn run(inner: &mut Inner, body: impl FnOnce(&mut Inner) -> Outcome) -> NinefoldStatus {
    let failure = match catch_unwind(AssertUnwindSafe(|| body(inner))) {
        Ok(Ok(status)) => return status,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            inner.is_poisoned = true;
            panicked(&*panic)
        }
    };
    inner.error = failure.words;
    failure.status
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for no stated reason");
    Failure::new(NinefoldStatus::Panic, format_args!("the library failed: {words}"))
}

/// Ends a client: says goodbye to the server if there is a session, and gives back everything. NULL is no mistake.
/// No other call may be under way, and none may follow.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_free(client: *mut NinefoldClient) {
    if client.is_null() {
        return;
    }
    // SAFETY: not null, and the caller's promise that it is a client's, not freed, with no other call under way.
    let client = unsafe { Box::from_raw(client) };
    // What a destructor has to say is of no use to anybody any more.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(client)));
}

/// Why the last call that failed on this client did so, in words, terminated; with `client` NULL, why this
/// thread could not make one. Writes at most `room` bytes. `length`, which may be NULL, becomes the length of
/// the whole text without its end.
///
/// Returns NINEFOLD_STATUS_SHORT when the text was cut off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_error(
    client: *const NinefoldClient,
    buffer: *mut c_char,
    room: usize,
    length: *mut usize,
) -> NinefoldStatus {
    let tell = |error: &str| -> Outcome {
        if !length.is_null() {
            // SAFETY: the caller's promise.
            unsafe { border::put(length, error.len(), "length")? };
        }
        // SAFETY: the caller's promise; a char has the size of a byte.
        let buffer = unsafe { border::bytes_mut(buffer.cast(), room, "buffer")? };
        let Some(end) = buffer.len().checked_sub(1) else { return Ok(NinefoldStatus::Short) };
        let fits = error.len().min(end);
        buffer[..fits].copy_from_slice(&error.as_bytes()[..fits]);
        buffer[fits] = 0;
        Ok(if fits < error.len() { NinefoldStatus::Short } else { NinefoldStatus::Ok })
    };
    if client.is_null() {
        return CREATION.with_borrow(|error| tell(error)).unwrap_or_else(|failure| failure.status);
    }
    // SAFETY: not null; the caller's promise. As in `enter`, but a client that failed may be asked, too.
    let client = unsafe { &*client };
    if client.busy.swap(true, Ordering::Acquire) {
        return NinefoldStatus::Busy;
    }
    // SAFETY: as in `enter`.
    let inner = unsafe { &*client.inner.get() };
    let status = tell(&inner.error).unwrap_or_else(|failure| failure.status);
    client.busy.store(false, Ordering::Release);
    status
}
