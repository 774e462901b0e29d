//! What a run was and what it measured: the content of `run.json`, from which reports are made and runs compared.
//!
//! [`Outcome`] is the whole. Times are microseconds and shares 0 to 1 wherever a name says nothing else; every figure that
//! an objective can name is in `spreads` or `counts` under that name ([`METRICS`](crate::scenario::METRICS)). A field is
//! never taken away or given another meaning without a new [`OUTCOME_VERSION`]; fields may be added.

mod audit;
mod file;
mod judge;
mod machine;
mod spread;
mod table;

pub use audit::{Audit, Check, Limits};
pub use file::{
    FaultFacts, FrameBytes, GroupOutcome, LineFacts, OUTCOME_VERSION, Outcome, OutcomeError, RunFacts,
    ScenarioFacts, Second, StageFacts,
};
pub use judge::{Judged, Verdict};
pub use machine::Machine;
pub use spread::{Recorder, Spread};
pub use table::{PhaseTable, ServerTable};
