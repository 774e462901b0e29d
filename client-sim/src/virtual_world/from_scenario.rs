//! A scenario file as the course of a virtual world.
//!
//! The stages say when clients come and go, as they do on sockets. When they are over everything is made well, and has so
//! long to complete as `HEAL` says.

use ninefold::carrier::Carrier;
use ninefold_netem::Path;

use super::plan::{Fault, FaultKind, Group, Part, Plan, healed};
use crate::scenario;
use crate::swarm;

/// What everything has to complete after the scenario is over, microseconds: a session falls silent, ends and begins again
/// within it.
pub const HEAL_US: u64 = 9_000_000;
/// Chunks that each client keeps.
const CACHE_CHUNKS: usize = 512;

impl Plan {
    /// The plan of a scenario.
    pub fn of_scenario(scenario: &scenario::Scenario) -> Plan {
        let length_us = scenario.length().as_us();
        let group_at = |name: &Option<String>| {
            name.as_ref().and_then(|name| scenario.groups.iter().position(|g| g.name == *name))
        };
        let faults = scenario.faults.iter().map(|fault| {
            let group = group_at(&fault.group);
            let (kind, for_us) = fault_kind(&fault.kind, length_us.saturating_sub(fault.at.0.as_us()));
            Fault { at_us: fault.at.0.as_us(), for_us, group, kind }
        });
        let mut config = scenario.server.clone();
        if !scenario.has_world_seed {
            config.world_seed = scenario.seed;
        }
        Plan {
            name: scenario.name.clone(),
            config,
            faults: faults.collect(),
            groups: scenario.groups.iter().map(group).collect(),
            parts: parts(scenario),
            play_us: length_us,
            heal_us: HEAL_US,
        }
    }
}

/// The clients of the stages, and when each is there.
fn parts(scenario: &scenario::Scenario) -> Vec<Part> {
    let staged: u64 = scenario.groups.iter().map(|g| u64::from(g.clients)).sum();
    let cast = scenario.cast();
    let end_us = cast.length.as_us();
    // Who is there in the end stays: the end is that of the faults.
    let until = |us: u64| if us >= end_us { u64::MAX } else { us };
    let staged = cast.parts.iter().take(staged as usize);
    staged
        .map(|part| {
            let visits = part.visits.iter().filter(|v| v.from < v.until);
            let visits = visits.map(|v| (v.from.as_us(), until(v.until.as_us()))).collect();
            Part { group: part.group, visits }
        })
        .collect()
}

fn group(of: &scenario::Group) -> Group {
    let (down, up) = match of.link.path() {
        Some(spec) => {
            let Path { down, up, .. } = spec.path.clone();
            (down, up)
        }
        None => (healed(), healed()),
    };
    Group {
        name: of.name.clone(),
        behaviour: of.behaviour.clone(),
        carriers: match of.carrier {
            swarm::Carrier::Udp => vec![Carrier::Udp],
            swarm::Carrier::Quic => vec![Carrier::Quic],
            swarm::Carrier::Mixed => vec![Carrier::Udp, Carrier::Quic],
        },
        down,
        up,
        cache_chunks: CACHE_CHUNKS,
        recipes: false,
    }
}

/// The fault and how long it lasts; what has no end lasts for what is `left`.
fn fault_kind(of: &scenario::FaultKind, left_us: u64) -> (FaultKind, u64) {
    use scenario::FaultKind as Of;
    match *of {
        Of::Outage { seconds } => (FaultKind::Outage, seconds.0.as_us()),
        Of::AddressChange => (FaultKind::AddressChange, 0),
        Of::DropPacket { packet, .. } => (FaultKind::DropPacket { number: packet }, 0),
        Of::KillServer { seconds } => (FaultKind::RestartServer { says_goodbye: false }, seconds.0.as_us()),
        Of::RestartServer { seconds } => (FaultKind::RestartServer { says_goodbye: true }, seconds.0.as_us()),
        Of::SlowGenerator { ms, seconds } => (FaultKind::SlowGenerator { ms: ms.into() }, seconds.0.as_us()),
        Of::PanickingGenerator { one_in, seconds } => {
            (FaultKind::PanickingGenerator { one_in }, seconds.0.as_us())
        }
        // Long enough for one tick to begin, too short for two.
        Of::StalledTick { ms } => (FaultKind::StalledTick { ms: ms.into() }, 1_000_000 / 60),
        Of::ClockJump { ms } => (FaultKind::ServerClock { ms: ms.into() }, 0),
        Of::JoinBurst { clients } => (FaultKind::JoinBurst { clients }, left_us),
    }
}
