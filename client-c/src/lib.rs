//! The client library behind a C ABI: `include/ninefold.h` is written from these files and says to C readers
//! what they say here.
//!
//! ```text
//!   border.rs   pointers, sizes, panics: all that a caller can do wrong
//!   status.rs   what functions return, in numbers and words
//!   config.rs   tokens and configuration
//!   handle.rs   a client behind its pointer
//!   session.rs  connecting, stepping, the game's own socket
//!   play.rs     input, events, positions, entities, figures
//!   world.rs    faces, triangles, collision
//! ```
//!
//! This is the only crate with `unsafe` in it. Every function checks its pointers for null and alignment, and
//! buffers for room; what no callee can check (that a pointer points where it says) the header asks for.
#![allow(
    clippy::missing_safety_doc,
    reason = "the header says for all functions at once what a pointer must be; `doc` there is for C readers"
)]

mod border;
mod config;
mod handle;
mod play;
mod session;
mod status;
mod world;

#[cfg(test)]
mod tests;

/// The version of this interface. It changes when a function or a field changes its meaning or goes away; fields at
/// the end of structs and new functions come without.
pub const NINEFOLD_ABI_VERSION: u32 = 1;

/// The version of the interface that the library has: a program compares it with NINEFOLD_ABI_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn ninefold_abi_version() -> u32 {
    NINEFOLD_ABI_VERSION
}
