//! [`Link`]: one direction of one path.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::profile::{Loss, Profile};
use crate::random::Random;

/// Packets under way at once; further ones are dropped and counted.
pub const IN_FLIGHT_MAX: usize = 65_536;

/// One direction of one path. Call [`Link::send`] for what goes in and [`Link::poll`] until it gives
/// nothing for what comes out; [`Link::next_due_us`] says when there will be more.
#[derive(Debug)]
pub struct Link<T> {
    profile: Profile,
    random: Random,
    /// Number of the next packet.
    next_number: u64,
    in_a_burst: bool,
    /// When the bottleneck has sent all that waits at it.
    busy_until_us: u64,
    /// When the last packet that kept its place comes out.
    last_due_us: u64,
    in_flight: BinaryHeap<Reverse<InFlight<T>>>,
    stats: Stats,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets that went in.
    pub sent: u64,
    /// Packets that came out, copies included.
    pub delivered: u64,
    /// Copies that were made.
    pub duplicated: u64,
    /// Packets that were held back.
    pub held_back: u64,
    /// Packets that never come out.
    pub drops: Drops,
    /// The most bytes that ever waited at the bottleneck.
    pub queue_bytes_peak: u64,
}

/// Why packets never come out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// Lost.
    pub lost: u64,
    /// The bottleneck's queue was full.
    pub queue_full: u64,
    /// There was an outage.
    pub outage: u64,
    /// Picked by number.
    pub picked: u64,
    /// [`IN_FLIGHT_MAX`] was reached.
    pub in_flight_full: u64,
}

impl Drops {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.lost + self.queue_full + self.outage + self.picked + self.in_flight_full
    }
}

#[derive(Debug)]
struct InFlight<T> {
    due_us: u64,
    /// Tells packets of one moment apart, in the order in which they went in.
    order: u64,
    payload: T,
}

impl<T> PartialEq for InFlight<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.due_us, self.order) == (other.due_us, other.order)
    }
}

impl<T> Eq for InFlight<T> {}

impl<T> PartialOrd for InFlight<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for InFlight<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due_us, self.order).cmp(&(other.due_us, other.order))
    }
}

impl<T: Clone> Link<T> {
    /// A link whose fates follow from `seed`.
    pub fn new(profile: Profile, seed: u64) -> Self {
        Link {
            profile,
            random: Random::new(seed),
            next_number: 0,
            in_a_burst: false,
            busy_until_us: 0,
            last_due_us: 0,
            in_flight: BinaryHeap::new(),
            stats: Stats::default(),
        }
    }

    /// The counts.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Packets under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// When the next packet comes out.
    pub fn next_due_us(&self) -> Option<u64> {
        self.in_flight.peek().map(|p| p.0.due_us)
    }

    /// Which path a packet takes at this time: 0, and one more after each change. Whoever carries the
    /// packets gives each path a source address of its own.
    pub fn path(&self, now_us: u64) -> usize {
        self.profile.path_changes_us.iter().filter(|at| **at <= now_us).count()
    }

    /// A packet of so many bytes goes in; says whether it will come out.
    pub fn send(&mut self, now_us: u64, bytes: usize, payload: T) -> bool {
        let number = self.next_number;
        self.next_number += 1;
        self.stats.sent += 1;
        // Every number is drawn for every packet, so that one fate does not change all later ones.
        let lost = self.is_lost();
        let held_back = self.random.happens(self.profile.reordered);
        let duplicated = self.random.happens(self.profile.duplicated);
        let jitter_us = self.random.below(self.profile.jitter_us.saturating_add(1));
        let drops = &mut self.stats.drops;
        let cause = if self.profile.outages_us.iter().any(|o| o.contains(&now_us)) {
            Some(&mut drops.outage)
        } else if self.profile.dropped_packets.contains(&number) {
            Some(&mut drops.picked)
        } else if lost {
            Some(&mut drops.lost)
        } else if self.in_flight.len() + 1 + usize::from(duplicated) > IN_FLIGHT_MAX {
            Some(&mut drops.in_flight_full)
        } else {
            None
        };
        if let Some(cause) = cause {
            *cause += 1;
            return false;
        }
        let Some(left_us) = self.pass_bottleneck(now_us, bytes as u64) else {
            self.stats.drops.queue_full += 1;
            return false;
        };
        let mut due_us = left_us.saturating_add(self.profile.delay_us).saturating_add(jitter_us);
        if held_back {
            self.stats.held_back += 1;
            due_us = due_us.saturating_add(self.profile.held_back_us);
        } else {
            due_us = due_us.max(self.last_due_us);
            self.last_due_us = due_us;
        }
        if duplicated {
            self.stats.duplicated += 1;
            self.push(due_us, 2 * number + 1, payload.clone());
        }
        self.push(due_us, 2 * number, payload);
        true
    }

    /// The next packet that has come out by now.
    pub fn poll(&mut self, now_us: u64) -> Option<T> {
        if self.next_due_us()? > now_us {
            return None;
        }
        self.stats.delivered += 1;
        self.in_flight.pop().map(|p| p.0.payload)
    }

    fn push(&mut self, due_us: u64, order: u64, payload: T) {
        self.in_flight.push(Reverse(InFlight { due_us, order, payload }));
    }

    fn is_lost(&mut self) -> bool {
        match self.profile.loss {
            Loss::Independent(ratio) => self.random.happens(ratio),
            Loss::Bursts { enter, leave, loss } => {
                let turn = if self.in_a_burst { leave } else { enter };
                self.in_a_burst ^= self.random.happens(turn);
                self.random.happens(loss) && self.in_a_burst
            }
        }
    }

    /// When the packet has left the bottleneck; `None` if its queue is full.
    fn pass_bottleneck(&mut self, now_us: u64, bytes: u64) -> Option<u64> {
        let Some(bottleneck) = self.profile.bottleneck else { return Some(now_us) };
        let rate = bottleneck.bytes_per_s.max(1);
        let waiting_us = self.busy_until_us.saturating_sub(now_us);
        let waiting = (u128::from(waiting_us) * u128::from(rate) / 1_000_000) as u64;
        if waiting + bytes > bottleneck.queue_bytes_max {
            return None;
        }
        self.stats.queue_bytes_peak = self.stats.queue_bytes_peak.max(waiting + bytes);
        let sending_us = (u128::from(bytes) * 1_000_000).div_ceil(rate.into()) as u64;
        self.busy_until_us = self.busy_until_us.max(now_us) + sending_us;
        Some(self.busy_until_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Bottleneck, Ratio};
    use proptest::prelude::*;

    fn link(profile: Profile) -> Link<u64> {
        Link::new(profile, 1)
    }

    /// Sends packet n at `n * every_us` and gives what came out, with its time.
    fn run(link: &mut Link<u64>, packets: u64, every_us: u64, bytes: usize) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        let mut drain = |link: &mut Link<u64>, until_us: u64| {
            while let Some(due) = link.next_due_us().filter(|d| *d <= until_us) {
                out.extend(link.poll(due).map(|n| (due, n)));
            }
        };
        for n in 0..packets {
            drain(link, n * every_us);
            link.send(n * every_us, bytes, n);
        }
        drain(link, u64::MAX);
        out
    }

    #[test]
    fn a_perfect_link_hands_everything_on_at_once_and_in_order() {
        let out = run(&mut link(Profile::default()), 100, 0, 1_200);
        assert_eq!(out, (0..100).map(|n| (0, n)).collect::<Vec<_>>());
    }

    #[test]
    fn delay_and_jitter_keep_the_order() {
        let profile = Profile { delay_us: 25_000, jitter_us: 10_000, ..Profile::default() };
        let out = run(&mut link(profile), 1_000, 500, 100);
        assert!(out.iter().enumerate().all(|(i, (_, n))| i as u64 == *n));
        assert!(out.iter().all(|(due, n)| (25_000..=35_000).contains(&(due - n * 500))));
    }

    #[test]
    fn losses_are_as_many_as_asked_for() {
        let independent = Profile { loss: Loss::Independent(Ratio::percent(5)), ..Profile::default() };
        let bursts = Profile { loss: Loss::bursts(5, 3), ..Profile::default() };
        let mut lengths = [0; 2];
        for (profile, length) in [independent, bursts].into_iter().zip(&mut lengths) {
            let mut link = link(profile);
            let arrived: std::collections::BTreeSet<u64> =
                run(&mut link, 100_000, 10, 100).into_iter().map(|(_, n)| n).collect();
            let lost = 100_000 - arrived.len();
            assert!((4_500..5_500).contains(&lost), "{lost}");
            let bursts = (1..100_000).filter(|n| !arrived.contains(n) && arrived.contains(&(n - 1))).count();
            *length = 100 * lost / bursts;
        }
        assert!((95..115).contains(&lengths[0]) && (270..330).contains(&lengths[1]), "{lengths:?}");
    }

    #[test]
    fn a_bottleneck_spaces_queues_and_drops() {
        // 1,000 bytes a millisecond; twice that comes in, and 10,000 bytes may wait.
        let bottleneck = Some(Bottleneck { bytes_per_s: 1_000_000, queue_bytes_max: 10_000 });
        let mut link = link(Profile { bottleneck, ..Profile::default() });
        let out = run(&mut link, 200, 500, 1_000);
        assert!(out.windows(2).all(|w| w[1].0 - w[0].0 >= 1_000));
        assert!((90..=110).contains(&link.stats().drops.queue_full), "{:?}", link.stats());
        assert!((9_000..=10_000).contains(&link.stats().queue_bytes_peak));
        let waited = out.iter().map(|(due, n)| due - n * 500).max();
        assert!(waited <= Some(10_000), "{waited:?}");
    }

    #[test]
    fn outages_and_picked_packets_are_told_apart() {
        let outages_us = vec![100..150, 150..200];
        let mut link = link(Profile { outages_us, dropped_packets: vec![3], ..Profile::default() });
        let out = run(&mut link, 30, 10, 100);
        assert_eq!((out.len(), link.stats().drops.outage, link.stats().drops.picked), (19, 10, 1));
        assert!(out.iter().all(|(due, n)| *n != 3 && !(100..200).contains(due)));
    }

    #[test]
    fn a_packet_that_is_held_back_is_overtaken_and_a_doubled_one_comes_twice() {
        let profile = Profile {
            reordered: Ratio::percent(10),
            held_back_us: 5_000,
            duplicated: Ratio::percent(10),
            ..Profile::default()
        };
        let mut link = link(profile);
        let out = run(&mut link, 1_000, 1_000, 100);
        let stats = *link.stats();
        assert_eq!(out.len() as u64, 1_000 + stats.duplicated);
        let overtaken = out.windows(2).filter(|w| w[1].1 < w[0].1).count() as u64;
        assert!(overtaken > 50 && overtaken <= stats.held_back + stats.duplicated, "{stats:?}");
        assert!((70..130).contains(&stats.duplicated));
    }

    #[test]
    fn the_path_changes_when_it_is_said_to() {
        let link = link(Profile { path_changes_us: vec![1_000, 5_000], ..Profile::default() });
        assert_eq!([0, 999, 1_000, 5_000].map(|us| link.path(us)), [0, 0, 1, 2]);
    }

    #[test]
    fn one_picked_packet_changes_no_other_fate() {
        let profile = Profile { loss: Loss::bursts(20, 4), jitter_us: 900, ..Profile::default() };
        let picked = Profile { dropped_packets: vec![0], ..profile.clone() };
        let with: Vec<u64> = run(&mut link(picked), 500, 1_000, 100).into_iter().map(|p| p.1).collect();
        let without: Vec<u64> = run(&mut link(profile), 500, 1_000, 100).into_iter().map(|p| p.1).collect();
        let but_first: Vec<u64> = without.into_iter().filter(|n| *n != 0).collect();
        assert_eq!(with, but_first);
    }

    proptest! {
        /// Whatever the profile, what goes in comes out or is counted, and a seed repeats itself.
        #[test]
        fn every_packet_is_accounted_for(
            seed: u64, delay_us in 0u64..50_000, jitter_us in 0u64..20_000, loss in 0u32..50,
            doubled in 0u32..50, held in 0u32..50, rate in 10_000u64..10_000_000,
        ) {
            let profile = Profile {
                delay_us,
                jitter_us,
                loss: Loss::Independent(Ratio::percent(loss)),
                duplicated: Ratio::percent(doubled),
                reordered: Ratio::percent(held),
                held_back_us: 7_000,
                bottleneck: Some(Bottleneck { bytes_per_s: rate, queue_bytes_max: 20_000 }),
                ..Profile::default()
            };
            let mut link = Link::new(profile.clone(), seed);
            let out = run(&mut link, 300, 700, 1_200);
            let stats = *link.stats();
            prop_assert_eq!(stats.sent + stats.duplicated, stats.delivered + stats.drops.sum());
            prop_assert_eq!(stats.delivered, out.len() as u64);
            prop_assert_eq!(run(&mut Link::new(profile, seed), 300, 700, 1_200), out);
        }
    }
}
