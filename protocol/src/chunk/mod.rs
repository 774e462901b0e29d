//! A chunk on its way: cut into fragments that share its bytes, and put together again in bounded
//! memory, keyed by `(cx, cy, cz)`.

mod fragmenter;
mod reassembly;

pub use fragmenter::{Fragmenter, TooLarge};
pub use reassembly::{Assembled, Outcome, Reassembly, Refusal};
