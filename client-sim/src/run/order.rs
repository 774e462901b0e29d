//! What is to be run, and what of it cannot be.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::host::OuterServer;
use super::mint::Tokens;
use crate::outcome::Limits;
use crate::scenario::{Behaviour, FaultKind, Scenario};
use crate::swarm::Carrier;

/// Chunks that each client keeps unless told otherwise: far more than a ring, and a few megabytes.
pub const CACHE_CHUNKS: usize = 96;

/// A run that was asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// What.
    pub scenario: Scenario,
    /// Against which server.
    pub target: Target,
    /// Threads for the clients of either carrier together.
    pub threads: usize,
    /// Chunks that each client keeps.
    pub cache_chunks: usize,
    /// What the generator has to keep to.
    pub limits: Limits,
    /// The arguments of the command line, for the report.
    pub command: Vec<String>,
}

/// The server that is tested.
#[derive(Debug, Clone)]
pub enum Target {
    /// One that is started in this process.
    InProcess,
    /// One that is started in a process of its own: the program of this path.
    Program(PathBuf),
    /// One that runs elsewhere.
    Outer(OuterServer),
}

/// Why it cannot be run. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Something only a server in this process can do.
    #[error(
        "{what} needs a server in this process: leave --server and --server-program out, or take it out of scenario {scenario}"
    )]
    NeedsInProcess {
        /// What.
        what: String,
        /// Of which scenario.
        scenario: String,
    },
    /// Something that only the virtual world can do.
    #[error("the fault `{0}` is for virtual time only; use `ninefold-sim virtual`")]
    VirtualOnly(&'static str),
    /// QUIC clients and no QUIC server.
    #[error(
        "group `{0}` uses QUIC: name the server's QUIC address and certificate with --quic-server and --quic-fingerprint"
    )]
    NoQuic(String),
    /// Tokens from files are for one session each.
    #[error(
        "{have} tokens for {need} sessions at least ({why}); give more with --token-file, or a key with --key-file"
    )]
    TooFewTokens {
        /// How many there are.
        have: usize,
        /// How many it takes.
        need: usize,
        /// Why.
        why: &'static str,
    },
    /// Anybody could connect.
    #[error(
        "--server {0} is not a loopback address: its tokens need its key (--key-file) or must be given (--token-file)"
    )]
    NoKey(SocketAddr),
}

impl Order {
    /// What of it cannot be.
    pub fn check(&self) -> Result<(), OrderError> {
        let scenario = &self.scenario;
        if let Some(fault) = scenario.faults.iter().find(|f| matches!(f.kind, FaultKind::ClockJump { .. })) {
            return Err(OrderError::VirtualOnly(fault.kind.name()));
        }
        if matches!(self.target, Target::InProcess) {
            return Ok(());
        }
        let needs = |what: String| OrderError::NeedsInProcess { what, scenario: scenario.name.clone() };
        if let Some(group) =
            scenario.groups.iter().find(|g| matches!(g.behaviour, Behaviour::Teleport { .. }))
        {
            return Err(needs(format!("the behaviour `teleport` of group `{}`", group.name)));
        }
        if let Some(fault) = scenario.faults.iter().find(|fault| fault.kind.is_of_the_server()) {
            return Err(needs(format!("the fault `{}`", fault.kind.name())));
        }
        let Target::Outer(outer) = &self.target else { return Ok(()) };
        let quic = scenario.groups.iter().find(|group| group.carrier != Carrier::Udp);
        if let (Some(group), None) = (quic, outer.quic) {
            return Err(OrderError::NoQuic(group.name.clone()));
        }
        match &outer.tokens {
            Tokens::Development if !outer.address.ip().is_loopback() => Err(OrderError::NoKey(outer.address)),
            Tokens::Given(tokens) => self.check_tokens(tokens.len()),
            _ => Ok(()),
        }
    }

    fn check_tokens(&self, have: usize) -> Result<(), OrderError> {
        let visits: usize = self.scenario.cast().parts.iter().map(|part| part.visits.len()).sum();
        let comes_again = self
            .scenario
            .groups
            .iter()
            .any(|group| matches!(group.behaviour, Behaviour::Churn { .. } | Behaviour::Hostile { .. }));
        let (need, why) = match comes_again {
            true => (visits + 1, "clients that come again take a new one each time"),
            false => (visits, "one for each visit of each client"),
        };
        if have >= need && !comes_again {
            return Ok(());
        }
        Err(OrderError::TooFewTokens { have, need, why })
    }
}
