//! What a run is to be: who plays, how many and when, over which lines, what breaks, and what must hold.
//!
//! A [`Scenario`] comes out of a TOML file; whatever is wrong with one is a single line that names the file, the line, the
//! key and what is allowed. [`Scenario::cast`] makes of it who comes when, from a seed. The same scenario runs on sockets
//! and in virtual time.

mod cast;
mod fault;
mod file;
mod group;
mod line;
mod metric;
mod objective;
mod quantity;
mod stage;

pub use cast::{Cast, Part, Visit, mixed_seed};
pub use fault::{Fault, FaultKind, Way};
pub use file::{
    CLIENTS_MAX, FAULTS_MAX, GROUPS_MAX, OBJECTIVES_MAX, SCENARIO_FILE_BYTES_MAX, STAGES_MAX, Scenario,
    ScenarioError,
};
pub use group::{Behaviour, Group, Misdeed};
pub use line::{LineSpec, PathSpec};
pub use metric::{METRICS, Metric, QUANTILES, Unit};
pub use objective::{Objective, ObjectiveError, Op};
pub use quantity::{Pace, Percent, SECONDS_MAX, Seconds};
pub use stage::{Stage, StageKind};
