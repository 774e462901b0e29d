//! The emulated lines of a run: a relay for each group and carrier that has one, or whose lines break.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use ninefold::clock::Monotonic;
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_netem::{Path, Profile, Stats};

use super::crew::{Place, Ports};
use crate::line::{BoundLine, Interference, Line, LineReport, Pick};
use crate::outcome::LineFacts;
use crate::scenario::{FaultKind, LineSpec, Scenario, Way, mixed_seed};
use crate::swarm::Carrier;

/// The lines of a run.
#[derive(Debug, Default)]
pub struct Lines {
    lines: Vec<(usize, bool, Line)>,
    /// Whom clients call, by group and whether over QUIC.
    pub dial: BTreeMap<(usize, bool), SocketAddr>,
}

impl Lines {
    /// Starts those that the scenario asks for.
    pub fn start(
        scenario: &Scenario,
        place: Place,
        cut: &Arc<AtomicBool>,
        ports: &Ports,
        clock: Monotonic,
        origin: Instant,
    ) -> anyhow::Result<Lines> {
        let mut lines = Lines::default();
        for (group, of) in scenario.groups.iter().enumerate() {
            if !needs_line(scenario, group) {
                continue;
            }
            let carriers: &[bool] = match of.carrier {
                Carrier::Udp => &[false],
                Carrier::Quic => &[true],
                Carrier::Mixed => &[false, true],
            };
            for &is_quic in carriers {
                let server = if is_quic { place.quic.map(|quic| quic.0) } else { Some(place.udp) };
                let server = server.context("the server has no QUIC address")?;
                let bound = BoundLine::bind().context("no socket for the emulated line")?;
                lines.dial.insert((group, is_quic), bound.address());
                let picks = picks(scenario, group, origin);
                let interference = Interference { cut: Arc::clone(cut), picks, ports: Arc::clone(ports) };
                let path = path(scenario, group, origin);
                let seed = mixed_seed(scenario.seed, (1 << 32) + 2 * group as u64 + u64::from(is_quic));
                let line = bound.serve_with(server, &path, seed, clock, interference);
                lines.lines.push((group, is_quic, line.context("cannot start the emulated line")?));
            }
        }
        Ok(lines)
    }

    /// Ends them; gives what they did, for the report and for the audit.
    pub fn stop(self, scenario: &Scenario) -> anyhow::Result<(Vec<LineFacts>, LineReport)> {
        let (mut facts, mut all) = (Vec::new(), LineReport::default());
        for (group, is_quic, line) in self.lines {
            let report = line.stop().context("an emulated line failed")?;
            let group = &scenario.groups[group];
            let mut up = numbers(&report.up);
            up[5] += report.cut;
            facts.push(LineFacts {
                group: format!("{}{}", group.name, if is_quic { " (quic)" } else { "" }),
                line: group.link.name().to_owned(),
                down: numbers(&report.down),
                up,
            });
            all.late.merge(&report.late);
            all.send_errors += report.send_errors;
            all.refused += report.refused;
            all.cut += report.cut;
            all.up.delivered += report.up.delivered + report.down.delivered;
        }
        Ok((facts, all))
    }
}

fn numbers(stats: &Stats) -> [u64; 6] {
    let Stats { sent, delivered, drops, .. } = *stats;
    [sent, delivered, drops.lost, drops.queue_full + drops.in_flight_full, drops.outage, drops.picked]
}

fn is_about(scenario: &Scenario, name: Option<&String>, group: usize) -> bool {
    name.is_none_or(|name| scenario.groups[group].name == *name)
}

fn needs_line(scenario: &Scenario, group: usize) -> bool {
    let breaks = scenario.faults.iter().any(|fault| match fault.kind {
        FaultKind::Outage { .. } | FaultKind::DropPacket { .. } => {
            is_about(scenario, fault.group.as_ref(), group)
        }
        // Somebody has to swallow the goodbyes of one that is killed.
        FaultKind::KillServer { .. } => true,
        _ => false,
    });
    breaks || scenario.groups[group].link.path().is_some()
}

/// The line of a group with the outages of the faults, by the clock of the run.
fn path(scenario: &Scenario, group: usize, origin: Instant) -> Path {
    let none = || Path { name: LineSpec::NONE, down: Profile::default(), up: Profile::default() };
    let mut path = scenario.groups[group].link.path().map_or_else(none, |spec| spec.path.clone());
    let origin_us = origin.as_us();
    for way in [&mut path.down, &mut path.up] {
        for outage in &mut way.outages_us {
            *outage = outage.start + origin_us..outage.end + origin_us;
        }
        // The client's own socket changes its address.
        way.path_changes_us.clear();
        for fault in &scenario.faults {
            let FaultKind::Outage { seconds } = fault.kind else { continue };
            if is_about(scenario, fault.group.as_ref(), group) {
                let from_us = (origin + fault.at.0).as_us();
                way.outages_us.push(from_us..from_us + Duration::as_us(seconds.0));
            }
        }
    }
    path
}

fn picks(scenario: &Scenario, group: usize, origin: Instant) -> Vec<Pick> {
    let pick = |fault: &crate::scenario::Fault| {
        let FaultKind::DropPacket { packet: nth, way } = fault.kind else { return None };
        let is_about = is_about(scenario, fault.group.as_ref(), group);
        is_about.then(|| Pick { from: origin + fault.at.0, nth, is_down: way == Way::Down })
    };
    scenario.faults.iter().filter_map(pick).collect()
}
