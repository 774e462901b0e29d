//! The phases of a tick, one function each. Their signatures say what they read and write; the head of
//! each file says how much work it does at most.

mod egress;
mod generate;
mod ingress;
mod interest;
mod mail;
mod replicate;
mod share;
mod simulate;
mod stream;

pub use egress::{Clerks, egress};
pub use generate::generate;
pub use ingress::{Post, ingress};
pub use interest::interest;
pub use replicate::{Scribes, replicate};
pub use simulate::simulate;
pub use stream::stream;

use std::ops::Range;

use crate::chunk::ParityBench;

/// What the tick has decided to send, before it is written into packets. Reused from tick to tick.
#[derive(Debug, Default)]
pub struct Plan {
    /// One entry for each client to which something may go, neighbours side by side.
    pub clients: Vec<Planned>,
    /// Bodies of snapshot frames.
    pub snapshots: Vec<u8>,
    /// Chunk fragments.
    pub picks: Vec<Pick>,
    /// Makes the parity that is picked.
    pub parity: ParityBench,
}

/// What goes to one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Which.
    pub slot: usize,
    /// Its snapshot in [`Plan::snapshots`], empty for none.
    pub snapshot: Range<usize>,
    /// Its fragments in [`Plan::picks`].
    pub picks: Range<usize>,
}

/// A fragment that goes to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Place among the client's sendings.
    pub sending: usize,
    /// Which fragment; parity is counted on from the chunk's own.
    pub index: u16,
}

impl Plan {
    /// Forgets the last tick.
    pub fn clear(&mut self) {
        self.clients.clear();
        self.snapshots.clear();
        self.picks.clear();
        self.parity.begin_tick();
    }
}
