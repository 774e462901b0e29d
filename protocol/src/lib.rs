//! ninefold's wire, sans-IO: bytes in, meaning out.
//!
//! | layer | module | job |
//! |---|---|---|
//! | connection | [`connection`] | who is there: connect, authenticate, encrypt, keep alive, leave |
//! | link | [`link`] | what arrived: packet numbers, acknowledgements, round-trip time, loss |
//! | frames | [`frame`] | what is said: inputs, chunk fragments, enter, forget, events |
//! | snapshots | [`snapshot`] | what is around a player, as a difference to what it has |
//! | chunks | [`chunk`] | a chunk's bytes cut into fragments and put together again |
//!
//! Nothing here opens a socket, asks a clock or draws a random number: `now` and random bytes are
//! arguments. Bytes from the network are hostile until one of the decoders here has accepted them;
//! none of them panics or reserves more than its stated bound ([`limits`]).
#![forbid(unsafe_code)]

pub mod chunk;
pub mod codec;
pub mod connection;
pub mod dictionary;
pub mod frame;
pub mod limits;
pub mod link;
pub mod snapshot;
pub mod time;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod page;
#[cfg(test)]
mod vectors;
