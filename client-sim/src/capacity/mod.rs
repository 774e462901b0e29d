//! How many clients a server takes: the most with which a scenario's objectives are met.
//!
//! [`Search`] decides what to try and runs nothing; `find` runs it; [`Capacity`] is what is written.

mod command;
mod file;
mod find;
mod search;

pub use command::CapacityArguments;
pub use file::{CAPACITY_VERSION, Capacity, Trial};
pub use find::{Quest, QuestError, find};
pub use search::{Answer, Came, LimitedBy, Next, RUNS_MAX, Range, RangeError, STEP_PART, Search, step_at};
