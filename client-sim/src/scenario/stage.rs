//! Stages: how many clients play, and when.
//!
//! ```text
//!        spike
//!        ┌──┐          to_percent
//!     ┌──┘  └──────┐
//!    ╱ hold         ╲ drain
//!   ╱ ramp           ╲
//! ```

use serde::Deserialize;

use super::quantity::{Percent, Seconds};

/// What a stage does with the number of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageKind {
    /// They become as many as `to_percent` says (all), evenly over its time.
    Ramp,
    /// They stay as many.
    Hold,
    /// They become as many as `to_percent` says (all) at once; those who came leave again at its end.
    Spike,
    /// They become as few as `to_percent` says (none), evenly over its time.
    Drain,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What it does.
    pub kind: StageKind,
    /// How long it takes.
    pub seconds: Seconds,
    /// How many of all clients play at its end; during it, for a spike.
    to_percent: Option<Percent>,
}

impl Stage {
    /// A stage with its kind's usual target.
    pub fn new(kind: StageKind, seconds: Seconds) -> Stage {
        Stage { kind, seconds, to_percent: None }
    }

    /// How many of all clients are to play.
    pub fn target(&self) -> Percent {
        self.to_percent.unwrap_or(match self.kind {
            StageKind::Drain => Percent::NONE,
            _ => Percent::ALL,
        })
    }

    /// Why it cannot be.
    pub(super) fn problem(&self) -> Option<String> {
        match (self.kind, self.to_percent) {
            (StageKind::Hold, Some(_)) => Some(
                "a hold keeps as many clients as there are; `to_percent` is for ramp, spike, drain".into(),
            ),
            _ => None,
        }
    }
}
