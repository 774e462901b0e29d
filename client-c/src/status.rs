//! What functions return, in numbers and words.

use std::ffi::{CStr, c_char};

/// What a function returns. 0 is success, what is positive is no mistake, and what is negative is one.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NinefoldStatus {
    /// Done.
    Ok = 0,
    /// There is nothing (more) of this now.
    Nothing = 1,
    /// There is more than the buffer has room for; the count says how much, the buffer holds what fitted.
    Short = 2,
    /// A pointer is NULL that must not be.
    Null = -1,
    /// A pointer is not aligned for its type.
    Misaligned = -2,
    /// A struct's `size` is smaller than any version of it has been. Set it to sizeof before the call.
    Size = -3,
    /// A number or text is out of its range; the client's error text says which.
    Argument = -4,
    /// The token is none.
    Token = -5,
    /// The address or the fingerprint of a server cannot be read.
    Address = -6,
    /// The folder for chunks cannot be used.
    Store = -7,
    /// A socket or the system failed.
    System = -8,
    /// The function is for clients of the other sort: with a socket of their own, or without.
    Kind = -9,
    /// The client is in another call, on another thread or further up.
    Busy = -10,
    /// A call failed inside the library; the client can only be freed now. A bug: please report it.
    Panic = -11,
}

impl NinefoldStatus {
    const ALL: [(NinefoldStatus, &CStr); 14] = [
        (Self::Ok, c"done"),
        (Self::Nothing, c"there is nothing of this now"),
        (Self::Short, c"the buffer is too short for all there is"),
        (Self::Null, c"a pointer is NULL that must not be"),
        (Self::Misaligned, c"a pointer is not aligned for its type"),
        (Self::Size, c"a struct's size field is not set to sizeof the struct"),
        (Self::Argument, c"an argument is out of its range"),
        (Self::Token, c"the connect token cannot be used"),
        (Self::Address, c"the server's address or fingerprint cannot be read"),
        (Self::Store, c"the folder for chunks cannot be used"),
        (Self::System, c"a socket or the system failed"),
        (Self::Kind, c"this function is for clients of the other sort"),
        (Self::Busy, c"the client is in another call"),
        (Self::Panic, c"a call failed inside the library; the client can only be freed"),
    ];
}

/// A text for a status, in English, for ever valid; never NULL. Takes an int32_t, so that any number will do.
#[unsafe(no_mangle)]
pub extern "C" fn ninefold_status_text(status: i32) -> *const c_char {
    let known = NinefoldStatus::ALL.iter().find(|(known, _)| *known as i32 == status);
    known.map_or(c"an unknown status", |(_, text)| *text).as_ptr()
}

/// Why a call did not do what it was asked to: a status and words of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    pub status: NinefoldStatus,
    pub words: String,
}

impl Failure {
    pub fn new(status: NinefoldStatus, words: impl std::fmt::Display) -> Failure {
        Failure { status, words: words.to_string() }
    }
}

/// What most calls come to.
pub(crate) type Outcome = Result<NinefoldStatus, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_text_and_every_number_too() {
        for (at, (status, text)) in NinefoldStatus::ALL.iter().enumerate() {
            assert!(!text.is_empty());
            assert!(NinefoldStatus::ALL[..at].iter().all(|(other, _)| other != status));
        }
        for status in [i32::MIN, -99, -11, 0, 2, 3, i32::MAX] {
            // SAFETY: the function promises a terminated text.
            let text = unsafe { CStr::from_ptr(ninefold_status_text(status)) };
            assert!(!text.is_empty(), "{status}");
        }
    }
}
