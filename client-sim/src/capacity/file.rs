//! What a search found, as a file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::search::{Answer, Came, Range};
use crate::outcome::{Machine, OutcomeError};

/// The version of the document.
pub const CAPACITY_VERSION: u32 = 1;

/// A search and what it found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// [`CAPACITY_VERSION`].
    pub version: u32,
    /// The answer.
    pub answer: Answer,
    /// The scenario's name.
    pub scenario: String,
    /// What it is for.
    pub about: String,
    /// What had to be met.
    pub objectives: Vec<String>,
    /// Where it was searched.
    pub range: Range,
    /// How long each run took, seconds.
    pub run_s: f64,
    /// The server: "in process" or an address.
    pub server: String,
    /// The machine.
    pub machine: Machine,
    /// When it began, seconds since the Unix epoch.
    pub began_unix_s: u64,
    /// The arguments of the command line.
    pub command: Vec<String>,
    /// Each run, in the order in which they were.
    pub trials: Vec<Trial>,
}

/// A run of the search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Clients.
    pub clients: u32,
    /// The seed.
    pub seed: u64,
    /// What it came to.
    pub came: Came,
    /// Why it did not meet the objectives.
    pub reasons: Vec<String>,
    /// Figures by the names that objectives use, in their own units.
    pub figures: BTreeMap<String, f64>,
}

impl Capacity {
    /// Writes it.
    pub fn save(&self, path: &Path) -> Result<(), OutcomeError> {
        let error = |error| OutcomeError::File { path: path.to_owned(), error };
        let mut text = serde_json::to_string_pretty(self).map_err(|e| error(e.into()))?;
        text.push('\n');
        std::fs::write(path, text).map_err(error)
    }
}
