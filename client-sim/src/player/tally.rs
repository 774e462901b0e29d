//! What a thread measures of its clients, by group and for the second that runs.

use std::collections::BTreeMap;

use ninefold_client::world::ChunkCoord;
use xxhash_rust::xxh3::Xxh3;

use crate::outcome::Recorder;

/// Chunks whose contents are remembered to be compared; what more clients see is only counted.
const WORLD_CHUNKS_MAX: usize = 1 << 20;

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// Numbers of things since the start.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        impl Counts {
            /// Takes those of another one.
            pub fn add(&mut self, other: &Counts) {
                $(self.$name += other.$name;)*
            }

            /// What has come since an earlier count of the same.
            #[must_use]
            pub fn since(&self, before: &Counts) -> Counts {
                Counts { $($name: self.$name.saturating_sub(before.$name),)* }
            }
        }
    };
}

counts! {
    /// Sessions that began.
    sessions,
    /// Sessions that came to play.
    joined,
    /// Sessions that did not come to play though they had the time.
    joins_failed,
    /// Sessions that played and ended without being meant to.
    lost,
    /// Moves over a border.
    crossings,
    /// Those into a chunk that was not there.
    crossings_without_chunk,
    /// Ticks spent in a chunk that was not there.
    ticks_without_chunk,
    /// Times that it was put elsewhere.
    teleports,
    /// Orders to be put elsewhere that found no room.
    orders_dropped,
    /// Chunks received.
    chunks,
    /// Chunks with a wrong hash, or none.
    chunks_wrong,
    /// Chunks that cannot be had.
    chunks_unavailable,
    /// Snapshots that were taken.
    snapshots,
    /// Snapshots that were overtaken.
    snapshots_old,
    /// Snapshots that came at most a tick late.
    snapshots_on_time,
    /// Predictions that were corrected.
    corrections,
    /// Inputs made.
    inputs,
    /// Inputs that were never made because the client was too far behind.
    inputs_skipped,
    /// Packets that the client sent.
    packets_up,
    /// Those of them that were lost.
    packets_up_lost,
    /// Packets of the server up to the newest that came.
    packets_down,
    /// Those of them that came.
    packets_down_came,
    /// Datagrams received.
    datagrams_in,
    /// Datagrams sent.
    datagrams_out,
    /// Bytes received.
    bytes_down,
    /// Bytes sent.
    bytes_up,
    /// Bytes of fragments received.
    fragment_bytes_in,
    /// Bytes of snapshots received.
    snapshot_bytes_in,
    /// Bytes of events received.
    event_bytes_in,
    /// Bytes of inputs sent.
    input_bytes_out,
    /// Datagrams that the kernel or the carrier did not take.
    send_errors,
}

macro_rules! spreads {
    ($($name:ident: $new:expr,)*) => {
        /// The spreads that clients measure, named as objectives name them.
        #[derive(Debug, Clone)]
        #[expect(missing_docs, reason = "the table of metrics explains each")]
        pub struct Spreads {
            $(pub $name: Recorder,)*
        }

        impl Default for Spreads {
            fn default() -> Self {
                Spreads { $($name: $new,)* }
            }
        }

        impl Spreads {
            /// Takes the values of another one.
            pub fn merge(&mut self, other: &Spreads) {
                $(self.$name.merge(&other.$name);)*
            }

            /// Each with its name.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, &Recorder)> {
                [$((stringify!($name), &self.$name),)*].into_iter()
            }
        }
    };
}

spreads! {
    input_state: Recorder::default(),
    snapshot_late: Recorder::default(),
    chunk_complete: Recorder::default(),
    enter_usable: Recorder::default(),
    teleport_usable: Recorder::default(),
    join: Recorder::default(),
    edge: Recorder::default(),
    rtt: Recorder::default(),
    correction: Recorder::thousandths(),
    client_down: Recorder::default(),
    client_up: Recorder::default(),
}

/// What the clients of a group measured.
#[derive(Debug, Clone, Default)]
pub struct GroupTally {
    /// Spreads.
    pub spreads: Spreads,
    /// Numbers.
    pub counts: Counts,
}

/// What all clients measured in a second.
#[derive(Debug, Clone, Default)]
pub struct SecondTally {
    /// From an input to its snapshot.
    pub input_state: Recorder,
    /// How late snapshots came.
    pub snapshot_late: Recorder,
    /// Round trips.
    pub rtt: Recorder,
    /// How late the generator's own ticks began.
    pub late: Recorder,
    /// The least time to the edge of the loaded world, microseconds.
    pub edge_min_us: Option<u64>,
    /// Numbers.
    pub counts: Counts,
    /// The part of a core that the busiest thread used, in thousandths.
    pub cpu_permille: u64,
}

impl SecondTally {
    /// Takes what another thread measured in the same second.
    pub fn merge(&mut self, other: &SecondTally) {
        self.input_state.merge(&other.input_state);
        self.snapshot_late.merge(&other.snapshot_late);
        self.rtt.merge(&other.rtt);
        self.late.merge(&other.late);
        self.edge_min_us = [self.edge_min_us, other.edge_min_us].into_iter().flatten().min();
        self.counts.add(&other.counts);
        self.cpu_permille = self.cpu_permille.max(other.cpu_permille);
    }
}

/// What a thread measures.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// By group, as the scenario has them.
    pub groups: Vec<GroupTally>,
    /// The second that runs.
    pub second: SecondTally,
    /// How late the generator's own ticks began.
    pub late: Recorder,
    /// CPU time that the thread took, nanoseconds.
    pub cpu_ns: u64,
    /// Why sessions ended that were not meant to.
    pub ends: BTreeMap<String, u64>,
    /// Content hash of every chunk that a client received.
    world: BTreeMap<ChunkCoord, u128>,
    /// Places at which two clients received different chunks.
    pub contradictions: u64,
}

impl Tally {
    /// For so many groups.
    pub fn new(groups: usize) -> Tally {
        Tally { groups: vec![GroupTally::default(); groups], ..Tally::default() }
    }

    /// Takes all of another thread's, but for its second.
    pub fn merge(&mut self, other: &Tally) {
        for (own, other) in self.groups.iter_mut().zip(&other.groups) {
            own.spreads.merge(&other.spreads);
            own.counts.add(&other.counts);
        }
        self.late.merge(&other.late);
        self.cpu_ns += other.cpu_ns;
        for (reason, times) in &other.ends {
            *self.ends.entry(reason.clone()).or_default() += times;
        }
        self.contradictions += other.contradictions;
        for (coord, hash) in &other.world {
            self.saw(*coord, *hash);
        }
    }

    /// Takes the content of a chunk that a client received.
    pub fn saw(&mut self, coord: ChunkCoord, hash: u128) {
        if let Some(first) = self.world.get(&coord) {
            self.contradictions += u64::from(*first != hash);
        } else if self.world.len() < WORLD_CHUNKS_MAX {
            self.world.insert(coord, hash);
        }
    }

    /// Counts in a group and in the second that runs.
    pub fn count(&mut self, group: usize, counts: &Counts) {
        self.groups[group].counts.add(counts);
        self.second.counts.add(counts);
    }

    /// Numbers of all groups.
    pub fn counts(&self) -> Counts {
        self.groups.iter().fold(Counts::default(), |mut sum, group| {
            sum.add(&group.counts);
            sum
        })
    }

    /// Spreads of all groups.
    pub fn spreads(&self) -> Spreads {
        self.groups.iter().fold(Spreads::default(), |mut sum, group| {
            sum.merge(&group.spreads);
            sum
        })
    }

    /// Hash over every chunk that any client received.
    pub fn world_hash(&self) -> String {
        let mut hasher = Xxh3::new();
        for (coord, hash) in &self.world {
            hasher.update(&coord.cx.to_le_bytes());
            hasher.update(&coord.cz.to_le_bytes());
            hasher.update(&hash.to_le_bytes());
        }
        format!("{:032x}", hasher.digest128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::METRICS;

    #[test]
    fn every_spread_is_a_figure_that_objectives_know() {
        for (name, _) in Spreads::default().each() {
            assert!(METRICS.iter().any(|metric| metric.name == name && metric.is_spread), "{name}");
        }
    }

    #[test]
    fn two_clients_that_see_different_chunks_are_found_across_threads() {
        let (mut one, mut other) = (Tally::new(1), Tally::new(1));
        let at = |cx| ChunkCoord { cx, cz: 0 };
        one.saw(at(1), 5);
        one.saw(at(1), 5);
        other.saw(at(2), 7);
        let alone = one.world_hash();
        one.merge(&other);
        assert_eq!(one.contradictions, 0);
        assert_ne!(one.world_hash(), alone);
        other.saw(at(1), 6);
        one.merge(&other);
        assert_eq!(one.contradictions, 1);
    }

    #[test]
    fn counts_since_an_earlier_count_are_what_came_between() {
        let before = Counts { crossings: 3, ..Counts::default() };
        let mut now = before;
        now.add(&Counts { crossings: 2, lost: 1, ..Counts::default() });
        assert_eq!(now.since(&before), Counts { crossings: 2, lost: 1, ..Counts::default() });
    }
}
