//! A chunk on its way: cut into fragments that share its bytes, and put together again in bounded
//! memory, keyed by `(cx, cy, cz)`. On a line that loses, parity makes up for what is missing.

mod fragmenter;
mod parity;
mod reassembly;

pub use fragmenter::{Fragmenter, TooLarge};
pub use parity::{Parity, ParityEncoder, parity_for_loss, parity_max, warm_up_parity};
pub use reassembly::{Assembled, Outcome, Reassembly, Refusal};
