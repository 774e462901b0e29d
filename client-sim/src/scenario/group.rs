//! Groups: clients that do the same over the same kind of line.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::line::LineSpec;
use super::quantity::{Pace, Percent, Seconds};
use crate::swarm::Carrier;

/// Clients that do the same.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What it is called in faults and in the report.
    pub name: String,
    /// How many; `--clients` keeps the proportions.
    pub clients: u32,
    /// What they do.
    pub behaviour: Behaviour,
    /// What their packets ride on.
    #[serde(default)]
    pub carrier: Carrier,
    /// The line between each of them and the server.
    #[serde(default)]
    pub link: LineSpec,
}

/// What a client does. In a file either a name, with what is usual, or a table with `kind` and what is to be otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// Stands.
    Idle,
    /// Walks about, from chunk to chunk.
    Walk {
        /// How fast.
        pace: Pace,
    },
    /// Goes straight on as long as there is a way.
    Sprint {
        /// How fast.
        pace: Pace,
    },
    /// Goes to one chunk and mills about there.
    Crowd {
        /// Which chunk: cx, cz.
        at: [i32; 2],
        /// How fast.
        pace: Pace,
    },
    /// Goes outward, where it has not been.
    Explore {
        /// How fast.
        pace: Pace,
    },
    /// Walks, and is put elsewhere from time to time. Only a server in this process takes such orders.
    Teleport {
        /// How often, in the mean.
        every: Seconds,
        /// How far from where it is, in chunks, along either axis.
        radius_chunks: u32,
        /// How fast it walks.
        pace: Pace,
    },
    /// Walks, leaves and comes again.
    Churn {
        /// How long it stays, in the mean.
        stay: Seconds,
        /// How long it is away, in the mean.
        away: Seconds,
        /// How often it goes without a goodbye.
        crash: Percent,
        /// How fast it walks.
        pace: Pace,
    },
    /// Walks to doors and rattles at them.
    Doors {
        /// How often it presses use where a door is, in the mean.
        every: Seconds,
        /// How fast it walks.
        pace: Pace,
    },
    /// Walks, and misbehaves from time to time, for a second at most.
    Hostile {
        /// How often, in the mean.
        every: Seconds,
        /// In which ways.
        misdeeds: Vec<Misdeed>,
        /// How fast it walks.
        pace: Pace,
    },
}

/// Ways to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Misdeed {
    /// Sends every packet many times.
    Flood,
    /// Wishes that no stick can make, all buttons at once, another look each tick.
    Impossible,
    /// Datagrams of random bytes.
    Garbage,
    /// Neither sends nor acknowledges.
    Silence,
    /// Packets that are sealed as they should be and say what is not true, or nothing that can be read.
    Lies,
    /// Datagrams that were sent before.
    Replay,
}

impl Misdeed {
    /// All of them.
    pub const ALL: [Misdeed; 6] = [
        Misdeed::Flood,
        Misdeed::Impossible,
        Misdeed::Garbage,
        Misdeed::Silence,
        Misdeed::Lies,
        Misdeed::Replay,
    ];
}

impl Behaviour {
    /// Its name in a file.
    pub const fn name(&self) -> &'static str {
        match self {
            Behaviour::Idle => "idle",
            Behaviour::Walk { .. } => "walk",
            Behaviour::Sprint { .. } => "sprint",
            Behaviour::Crowd { .. } => "crowd",
            Behaviour::Explore { .. } => "explore",
            Behaviour::Teleport { .. } => "teleport",
            Behaviour::Churn { .. } => "churn",
            Behaviour::Doors { .. } => "doors",
            Behaviour::Hostile { .. } => "hostile",
        }
    }
}

/// As it is in a file.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum BehaviourFile {
    Idle {},
    Walk {
        #[serde(default)]
        pace: Pace,
    },
    Sprint {
        #[serde(default)]
        pace: Pace,
    },
    Crowd {
        #[serde(default)]
        at: [i32; 2],
        #[serde(default)]
        pace: Pace,
    },
    Explore {
        #[serde(default)]
        pace: Pace,
    },
    Teleport {
        #[serde(default = "five_seconds")]
        every_s: Seconds,
        #[serde(default = "near_chunks")]
        radius_chunks: u32,
        #[serde(default)]
        pace: Pace,
    },
    Churn {
        #[serde(default = "ten_seconds")]
        stay_s: Seconds,
        #[serde(default = "two_seconds")]
        away_s: Seconds,
        #[serde(default = "a_quarter")]
        crash_percent: Percent,
        #[serde(default)]
        pace: Pace,
    },
    Doors {
        #[serde(default = "half_a_second")]
        every_s: Seconds,
        #[serde(default)]
        pace: Pace,
    },
    Hostile {
        #[serde(default = "two_seconds")]
        every_s: Seconds,
        #[serde(default = "all_misdeeds")]
        misdeeds: Vec<Misdeed>,
        #[serde(default)]
        pace: Pace,
    },
}

const fn half_a_second() -> Seconds {
    Seconds(ninefold_client::protocol::time::Duration::from_ms(500))
}

const fn two_seconds() -> Seconds {
    Seconds::new(2)
}

const fn five_seconds() -> Seconds {
    Seconds::new(5)
}

const fn ten_seconds() -> Seconds {
    Seconds::new(10)
}

const fn near_chunks() -> u32 {
    16
}

const fn a_quarter() -> Percent {
    Percent::new(25)
}

fn all_misdeeds() -> Vec<Misdeed> {
    Misdeed::ALL.to_vec()
}

impl From<BehaviourFile> for Behaviour {
    fn from(file: BehaviourFile) -> Self {
        match file {
            BehaviourFile::Idle {} => Behaviour::Idle,
            BehaviourFile::Walk { pace } => Behaviour::Walk { pace },
            BehaviourFile::Sprint { pace } => Behaviour::Sprint { pace },
            BehaviourFile::Crowd { at, pace } => Behaviour::Crowd { at, pace },
            BehaviourFile::Explore { pace } => Behaviour::Explore { pace },
            BehaviourFile::Teleport { every_s: every, radius_chunks, pace } => {
                Behaviour::Teleport { every, radius_chunks, pace }
            }
            BehaviourFile::Churn { stay_s: stay, away_s: away, crash_percent: crash, pace } => {
                Behaviour::Churn { stay, away, crash, pace }
            }
            BehaviourFile::Doors { every_s: every, pace } => Behaviour::Doors { every, pace },
            BehaviourFile::Hostile { every_s: every, misdeeds, pace } => {
                Behaviour::Hostile { every, misdeeds, pace }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Behaviour {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Behaviour;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a behaviour, or a table with its `kind`")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Behaviour, E> {
                let only_kind = MapDeserializer::new(std::iter::once(("kind", name)));
                BehaviourFile::deserialize(only_kind).map(Behaviour::from)
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Behaviour, A::Error> {
                BehaviourFile::deserialize(MapAccessDeserializer::new(table)).map(Behaviour::from)
            }
        }
        from.deserialize_any(NameOrTable)
    }
}

impl Group {
    /// Why it cannot be.
    pub(super) fn problem(&self) -> Option<String> {
        if self.name.is_empty() {
            return Some("`name` is empty".into());
        }
        if self.clients == 0 {
            return Some("`clients` is 0; a group has at least one".into());
        }
        let zero = |seconds: Seconds| seconds == Seconds::default();
        match &self.behaviour {
            Behaviour::Teleport { every, .. }
            | Behaviour::Doors { every, .. }
            | Behaviour::Hostile { every, .. }
                if zero(*every) =>
            {
                Some("`every_s` is 0; nobody can do it all the time".into())
            }
            Behaviour::Churn { stay, .. } if zero(*stay) => Some("`stay_s` is 0".into()),
            Behaviour::Teleport { radius_chunks: 0, .. } => Some("`radius_chunks` is 0".into()),
            Behaviour::Teleport { radius_chunks, .. } if *radius_chunks > RADIUS_CHUNKS_MAX => Some(format!(
                "`radius_chunks` = {radius_chunks} is out of range; allowed: 1 to {RADIUS_CHUNKS_MAX}"
            )),
            Behaviour::Hostile { misdeeds, .. } if misdeeds.is_empty() => {
                Some("`misdeeds` is empty; leave it out for all of them".into())
            }
            _ => None,
        }
    }
}

/// The farthest that one is teleported, in chunks.
const RADIUS_CHUNKS_MAX: u32 = 1_000_000;
