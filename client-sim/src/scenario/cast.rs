//! Who comes when: a scenario's groups and stages as one list of clients, each with its visits.

use ninefold_client::protocol::time::{Duration, Instant};

use super::fault::FaultKind;
use super::file::Scenario;
use super::stage::StageKind;
use crate::swarm::Carrier;

/// All clients of a run, in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// The clients; a client's index is its place here.
    pub parts: Vec<Part>,
    /// How long the run takes.
    pub length: Duration,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which of the scenario's groups it is of.
    pub group: usize,
    /// What its packets ride on: never both.
    pub carrier: Carrier,
    /// Chooses its ways.
    pub seed: u64,
    /// When it is there, in order; none overlaps another.
    pub visits: Vec<Visit>,
}

/// A time in which a client is to be there, from the beginning of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// It begins to connect.
    pub from: Instant,
    /// It leaves.
    pub until: Instant,
}

/// A seed for the `n`th of many, from the one of all.
pub fn mixed_seed(seed: u64, n: u64) -> u64 {
    let mut z = seed ^ n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Scenario {
    /// Who comes when.
    pub fn cast(&self) -> Cast {
        let weights: Vec<u64> = self.groups.iter().map(|group| group.clients.into()).collect();
        let clients = weights.iter().sum::<u64>();
        let mut of_group = vec![0_u64; self.groups.len()];
        let mut parts = Vec::with_capacity(clients as usize);
        let part = |group: usize, nth: u64, index: usize| {
            let carrier = match self.groups[group].carrier {
                Carrier::Mixed if nth.is_multiple_of(2) => Carrier::Udp,
                Carrier::Mixed => Carrier::Quic,
                carrier => carrier,
            };
            Part { group, carrier, seed: mixed_seed(self.seed, index as u64), visits: Vec::new() }
        };
        for index in 0..clients {
            // The group that lags furthest behind its share, so that a ramp brings all of them in alike.
            let lag = |g: &usize| (weights[*g] * (index + 1)) as i128 - (of_group[*g] * clients) as i128;
            let group = (0..weights.len()).max_by_key(|g| (lag(g), std::cmp::Reverse(*g))).unwrap_or(0);
            parts.push(part(group, of_group[group], parts.len()));
            of_group[group] += 1;
        }
        let length = self.play_stages(&mut parts);
        let end = Instant::ZERO + length;
        for fault in &self.faults {
            let FaultKind::JoinBurst { clients } = fault.kind else { continue };
            let named =
                fault.group.as_ref().and_then(|name| self.groups.iter().position(|g| g.name == *name));
            let group = named.unwrap_or(0);
            let from = (Instant::ZERO + fault.at.0).min(end);
            for _ in 0..clients {
                let mut part = part(group, of_group[group], parts.len());
                of_group[group] += 1;
                part.visits.push(Visit { from, until: end });
                parts.push(part);
            }
        }
        Cast { parts, length }
    }

    /// Writes the visits that the stages ask for; gives the length of all stages.
    fn play_stages(&self, parts: &mut [Part]) -> Duration {
        let clients = parts.len() as u64;
        let mut began: Vec<Option<Instant>> = vec![None; parts.len()];
        let (mut at, mut present) = (Instant::ZERO, 0_u64);
        for stage in &self.stages {
            let (seconds, target) = (stage.seconds.0, stage.target().of(clients));
            match stage.kind {
                StageKind::Hold => {}
                StageKind::Ramp | StageKind::Drain => {
                    come(&mut began, present..target, |n, of| at + seconds.scaled(n, of));
                    go(parts, &mut began, target..present, |n, of| at + seconds.scaled(n + 1, of));
                    present = target;
                }
                StageKind::Spike => {
                    come(&mut began, present..target, |_, _| at);
                    go(parts, &mut began, present..target, |_, _| at + seconds);
                }
            }
            at += seconds;
        }
        go(parts, &mut began, 0..present, |_, _| at);
        at.since(Instant::ZERO)
    }
}

/// Clients of these numbers come, the lowest first.
fn come(began: &mut [Option<Instant>], who: std::ops::Range<u64>, at: impl Fn(u64, u64) -> Instant) {
    let of = who.end.saturating_sub(who.start);
    for (n, index) in who.enumerate() {
        began[index as usize] = Some(at(n as u64, of));
    }
}

/// Clients of these numbers go, the highest first.
fn go(
    parts: &mut [Part],
    began: &mut [Option<Instant>],
    who: std::ops::Range<u64>,
    at: impl Fn(u64, u64) -> Instant,
) {
    let of = who.end.saturating_sub(who.start);
    for (n, index) in who.rev().enumerate() {
        if let Some(from) = began[index as usize].take() {
            parts[index as usize].visits.push(Visit { from, until: at(n as u64, of) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(clients: [u32; 2], stages: &str) -> Scenario {
        let [a, b] = clients;
        Scenario::parse(
            "test.toml".as_ref(),
            &format!(
                "name = \"test\"\nabout = \"\"\nseed = 1\n\
                 [[group]]\nname = \"a\"\nclients = {a}\nbehaviour = \"walk\"\ncarrier = \"mixed\"\n\
                 [[group]]\nname = \"b\"\nclients = {b}\nbehaviour = \"idle\"\n{stages}"
            ),
        )
        .unwrap()
    }

    fn visits(cast: &Cast, index: usize) -> Vec<(u64, u64)> {
        cast.parts[index].visits.iter().map(|v| (v.from.as_us() / 1_000, v.until.as_us() / 1_000)).collect()
    }

    #[test]
    fn groups_come_in_alike_and_in_their_proportions() {
        let cast = scenario([30, 10], "[[stage]]\nkind = \"ramp\"\nseconds = 4\n").cast();
        for ten in cast.parts.chunks(20) {
            assert_eq!(ten.iter().filter(|part| part.group == 0).count(), 15);
        }
        let quic = cast.parts.iter().filter(|part| part.carrier == Carrier::Quic).count();
        assert_eq!((cast.parts.len(), quic), (40, 15));
        assert_eq!((visits(&cast, 0), visits(&cast, 20)), (vec![(0, 4_000)], vec![(2_000, 4_000)]));
    }

    #[test]
    fn a_ramp_a_spike_and_a_drain_give_each_client_its_visits() {
        let stages = "[[stage]]\nkind = \"ramp\"\nseconds = 5\nto_percent = 50\n\
                      [[stage]]\nkind = \"hold\"\nseconds = 1\n\
                      [[stage]]\nkind = \"spike\"\nseconds = 2\n\
                      [[stage]]\nkind = \"drain\"\nseconds = 5\n";
        let cast = scenario([5, 5], stages).cast();
        assert_eq!(cast.length, Duration::from_secs(13));
        assert_eq!(visits(&cast, 0), [(0, 13_000)]);
        assert_eq!(visits(&cast, 4), [(4_000, 9_000)]);
        assert_eq!(visits(&cast, 7), [(6_000, 8_000)]);
    }

    #[test]
    fn who_left_in_a_drain_comes_again_with_the_next_ramp() {
        let stages = "[[stage]]\nkind = \"spike\"\nseconds = 1\n[[stage]]\nkind = \"ramp\"\nseconds = 0\n\
                      [[stage]]\nkind = \"drain\"\nseconds = 0\n[[stage]]\nkind = \"hold\"\nseconds = 1\n\
                      [[stage]]\nkind = \"ramp\"\nseconds = 2\n";
        let cast = scenario([1, 1], stages).cast();
        assert_eq!(visits(&cast, 0), [(0, 1_000), (1_000, 1_000), (2_000, 4_000)]);
        assert_eq!(visits(&cast, 1)[2], (3_000, 4_000));
    }

    #[test]
    fn a_burst_of_joins_brings_clients_of_its_group_and_they_stay() {
        let stages = "[[stage]]\nkind = \"ramp\"\nseconds = 9\n\
                      [[fault]]\nat_s = 3\nkind = \"join-burst\"\ngroup = \"b\"\nclients = 4\n";
        let cast = scenario([1, 1], stages).cast();
        assert_eq!(cast.parts.len(), 6);
        assert!(cast.parts[2..].iter().all(|part| part.group == 1));
        assert_eq!(visits(&cast, 5), [(3_000, 9_000)]);
    }

    #[test]
    fn seeds_of_neighbours_have_nothing_in_common() {
        let seeds: std::collections::BTreeSet<u64> =
            (0..100).flat_map(|seed| (0..100).map(move |n| mixed_seed(seed, n))).collect();
        assert_eq!(seeds.len(), 10_000);
    }
}
