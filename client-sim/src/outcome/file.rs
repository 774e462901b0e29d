//! The file: one JSON document for a run.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::audit::Audit;
use super::judge::{Judged, Verdict};
use super::machine::Machine;
use super::spread::Spread;
use super::table::ServerTable;

/// The version of the document.
pub const OUTCOME_VERSION: u32 = 1;
/// Bytes that a file may have to be read: a day of seconds has 50 MB.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`OUTCOME_VERSION`].
    pub version: u32,
    /// What it comes to.
    pub verdict: Verdict,
    /// Why it did not pass.
    pub reasons: Vec<String>,
    /// What was asked.
    pub scenario: ScenarioFacts,
    /// How it was run.
    pub run: RunFacts,
    /// Where.
    pub machine: Machine,
    /// Each objective with what was measured.
    pub objectives: Vec<Judged>,
    /// Whether the generator can be believed.
    pub audit: Audit,
    /// Figures that spread, by name: times in microseconds, bytes, units.
    pub spreads: BTreeMap<String, Spread>,
    /// Figures that are one number, by name.
    pub counts: BTreeMap<String, f64>,
    /// The same by group.
    pub groups: Vec<GroupOutcome>,
    /// Bytes by type of frame, as clients counted them.
    pub frames: Vec<FrameBytes>,
    /// Why sessions ended that were not meant to, and how many.
    pub ends: BTreeMap<String, u64>,
    /// What the emulated lines did, by group.
    pub lines: Vec<LineFacts>,
    /// Each second.
    pub series: Vec<Second>,
    /// The server's own table; absent where it could not be asked.
    pub server: Option<ServerTable>,
    /// Hash over the coordinates and contents of all chunks that clients received.
    pub world_hash: String,
}

/// What was asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScenarioFacts {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// All that is by chance follows from it.
    pub seed: u64,
    /// Clients in all.
    pub clients: u64,
    /// How long it takes, seconds.
    pub length_s: f64,
    /// Its stages.
    pub stages: Vec<StageFacts>,
    /// Its faults.
    pub faults: Vec<FaultFacts>,
    /// The file's text.
    pub text: String,
}

/// A stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageFacts {
    /// ramp, hold, spike or drain.
    pub kind: String,
    /// When it begins, seconds from the start.
    pub from_s: f64,
    /// When it ends.
    pub to_s: f64,
    /// How many of all clients play at its end, 0 to 1.
    pub target: f64,
}

/// A fault.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultFacts {
    /// When, seconds from the start.
    pub at_s: f64,
    /// What.
    pub kind: String,
    /// Whom it is about; all where absent.
    pub group: Option<String>,
    /// How long it lasts, seconds; 0 for a moment.
    pub for_s: f64,
}

/// How it was run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// When it began, seconds since the Unix epoch.
    pub began_unix_s: u64,
    /// How long it took, seconds.
    pub took_s: f64,
    /// The arguments of the command line.
    pub command: Vec<String>,
    /// The server: "in process", "virtual", or an address.
    pub server: String,
    /// Threads that clients ran on.
    pub threads: u64,
    /// Memory that the process came to have for its clients, per client, bytes; 0 where it cannot be told apart.
    pub memory_bytes_per_client: u64,
    /// CPU time of the clients' threads, seconds.
    pub cpu_s: f64,
    /// Whether somebody ended it before its time.
    #[serde(default)]
    pub ended_early: bool,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupOutcome {
    /// Its name.
    pub name: String,
    /// What it does.
    pub behaviour: String,
    /// "udp", "quic" or "mixed".
    pub carrier: String,
    /// Its line.
    pub link: String,
    /// Clients of it.
    pub clients: u64,
    /// Sessions that they began.
    pub sessions: u64,
    /// Its spreads, by name.
    pub spreads: BTreeMap<String, Spread>,
    /// Its other figures, by name.
    pub counts: BTreeMap<String, f64>,
}

/// Bytes of a type of frame, both ways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameBytes {
    /// Its name; "other" is headers, acknowledgements and seals.
    pub name: String,
    /// Towards clients.
    pub down: u64,
    /// From them.
    pub up: u64,
}

/// What emulated lines did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineFacts {
    /// Of which group.
    pub group: String,
    /// The line's name.
    pub line: String,
    /// Towards clients: packets in, packets out, lost, dropped at a full queue, in outages, picked.
    pub down: [u64; 6],
    /// From them; picked ones of either way, and those that a killed server's lines swallowed, are counted here.
    pub up: [u64; 6],
}

/// A second of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Its number; the first is 0.
    pub at_s: u64,
    /// Clients that could play at its end.
    pub clients: u64,
    /// Clients that were to be there at its end.
    pub clients_wanted: u64,
    /// Sessions that came to play.
    pub joined: u64,
    /// Sessions that ended without being meant to.
    pub lost: u64,
    /// From an input to the snapshot that confirms it.
    pub input_state_p50_us: Option<f64>,
    /// The same, one in a hundred is larger.
    pub input_state_p99_us: Option<f64>,
    /// How late snapshots came, p99.
    pub snapshot_late_p99_us: Option<f64>,
    /// The least time to the edge of the loaded world.
    pub edge_min_us: Option<f64>,
    /// Round trip, the median of clients.
    pub rtt_p50_us: Option<f64>,
    /// Chunks received.
    pub chunks: u64,
    /// Moves over a border.
    pub crossings: u64,
    /// Those into a chunk that was not there.
    pub crossings_without_chunk: u64,
    /// Predictions that were corrected.
    pub corrections: u64,
    /// Bytes received.
    pub bytes_down: u64,
    /// Bytes sent.
    pub bytes_up: u64,
    /// Packets to clients that were lost.
    pub loss_down: Option<f64>,
    /// Packets from clients that were lost.
    pub loss_up: Option<f64>,
    /// The server's ticks of this second, the median; absent where the server does not tell.
    pub tick_p50_us: Option<f64>,
    /// The same, p99.
    pub tick_p99_us: Option<f64>,
    /// The longest.
    pub tick_max_us: Option<f64>,
    /// Ticks that took longer than their period.
    pub overruns: Option<u64>,
    /// Memory of the server's process; absent where it shares one with its clients or does not tell.
    #[serde(default)]
    pub server_resident_bytes: Option<f64>,
    /// What the server counts of its memory itself, all parts together.
    #[serde(default)]
    pub server_counted_bytes: Option<f64>,
    /// How late the generator's own ticks began, p99.
    pub generator_late_p99_us: Option<f64>,
    /// The part of a core that the generator's busiest thread used.
    pub generator_cpu: Option<f64>,
}

/// Why a file is no outcome. One line.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// It cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is something else.
    #[error("{}: not the outcome of a run: {why}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another version wrote it.
    #[error("{}: it has version {version}, this program reads version {OUTCOME_VERSION}; run it again, or read it with the program that wrote it", path.display())]
    Version {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl Outcome {
    /// Reads one.
    pub fn load(path: &Path) -> Result<Outcome, OutcomeError> {
        let file_error = |error| OutcomeError::File { path: path.to_owned(), error };
        let content = |why: String| OutcomeError::Content { path: path.to_owned(), why };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(file_error)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(file_error)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(content("it has more than 256 MiB".into()));
        }
        /// What every version has.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let versioned: Versioned = serde_json::from_slice(&bytes).map_err(|e| content(e.to_string()))?;
        if versioned.version != OUTCOME_VERSION {
            return Err(OutcomeError::Version { path: path.to_owned(), version: versioned.version });
        }
        serde_json::from_slice(&bytes).map_err(|e| content(e.to_string()))
    }

    /// Writes it.
    pub fn save(&self, path: &Path) -> Result<(), OutcomeError> {
        let error = |error| OutcomeError::File { path: path.to_owned(), error };
        let mut text = serde_json::to_string_pretty(self).map_err(|e| error(e.into()))?;
        text.push('\n');
        std::fs::write(path, text).map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_as_it_was_written_and_others_are_told_from_it() {
        let path = std::env::temp_dir().join(format!("ninefold-outcome-{}.json", std::process::id()));
        let mut outcome = Outcome { version: OUTCOME_VERSION, ..Outcome::default() };
        outcome.counts.insert("crossings".into(), 5.0);
        outcome.series.push(Second { at_s: 3, input_state_p50_us: Some(0.1), ..Second::default() });
        outcome.save(&path).unwrap();
        assert_eq!(Outcome::load(&path).unwrap(), outcome);
        for (text, words) in [
            ("{\"version\": 9}", "version 9"),
            ("{}", "version"),
            ("no", "not the outcome"),
            ("{\"version\": 1, \"verdict\": \"lost\"}", "lost"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Outcome::load(&path).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Outcome::load(&path), Err(OutcomeError::File { .. })));
    }
}
