//! How many clients a server takes: the most with which a scenario's objectives are met.

mod search;

pub use search::{Answer, Came, LimitedBy, Next, RUNS_MAX, Range, RangeError, STEP_PART, Search, step_at};
