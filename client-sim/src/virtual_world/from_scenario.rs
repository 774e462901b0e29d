//! A scenario file as the course of a virtual world.
//!
//! The stages say when clients come and go, as they do on sockets. When they are over everything is made well, and has so
//! long to complete as [`HEAL`] says.

use ninefold::carrier::Carrier;
use ninefold_netem::Path;

use super::plan::{Behaviour, Fault, FaultKind, Group, Plan, healed};
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
            visits: Some(visits(scenario)),
            play_us: length_us,
            heal_us: HEAL_US,
        }
    }
}

/// When each client is there.
fn visits(scenario: &scenario::Scenario) -> Vec<(usize, Vec<(u64, u64)>)> {
    let bursts = scenario.clients() - scenario.groups.iter().map(|g| u64::from(g.clients)).sum::<u64>();
    let cast = scenario.cast();
    let end_us = cast.length.as_us();
    // Bursts of joins come by the fault.
    let staged = cast.parts.len() - bursts as usize;
    let until = |us: u64| if us >= end_us { u64::MAX } else { us };
    cast.parts[..staged]
        .iter()
        .map(|part| {
            let visits = part.visits.iter().map(|v| (v.from.as_us(), until(v.until.as_us())));
            (part.group, visits.collect())
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
        clients: of.clients,
        behaviour: behaviour(&of.behaviour),
        carriers: match of.carrier {
            swarm::Carrier::Udp => vec![Carrier::Udp],
            swarm::Carrier::Quic => vec![Carrier::Quic],
            swarm::Carrier::Mixed => vec![Carrier::Udp, Carrier::Quic],
        },
        down,
        up,
        from_us: 0,
        ramp_us: 0,
        cache_chunks: CACHE_CHUNKS,
        recipes: false,
    }
}

fn behaviour(of: &scenario::Behaviour) -> Behaviour {
    match of {
        scenario::Behaviour::Idle => Behaviour::Idle,
        scenario::Behaviour::Teleport { every, .. } => Behaviour::Teleport { every_ms: every.0.as_ms().max(1) },
        scenario::Behaviour::Churn { stay, .. } => Behaviour::Churn { stay_ms: stay.0.as_ms().max(1) },
        scenario::Behaviour::Doors { .. } | scenario::Behaviour::Hostile { .. } => Behaviour::Fidget,
        _ => Behaviour::Walk,
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
