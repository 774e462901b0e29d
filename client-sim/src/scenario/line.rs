//! The line of a group: one of netem's by its name, or both ways spelt out.

use std::fmt;

use ninefold_netem::{Bottleneck, Loss, Path, Profile, Ratio};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::quantity::Percent;

/// Entries of a list in a way: outages, dropped packets, changes of path.
const LIST_MAX: usize = 1_024;

/// The line between a client and the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineSpec(Option<PathSpec>);

/// A line that is emulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathSpec {
    /// What it is called.
    pub name: String,
    /// What it does.
    pub path: Path,
}

impl LineSpec {
    /// What the name of no line at all is.
    pub const NONE: &'static str = "none";

    /// The path; `None` for the network as it is.
    pub fn path(&self) -> Option<&PathSpec> {
        self.0.as_ref()
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        self.0.as_ref().map_or(Self::NONE, |spec| &spec.name)
    }

    /// A line by its name.
    pub fn named(name: &str) -> Option<LineSpec> {
        if name == Self::NONE {
            return Some(LineSpec(None));
        }
        Path::named(name).map(|path| LineSpec(Some(PathSpec { name: name.to_owned(), path })))
    }
}

impl<'de> Deserialize<'de> for LineSpec {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = LineSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a line, or a table with `down` and `up`")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<LineSpec, E> {
                LineSpec::named(name).ok_or_else(|| {
                    let known = Path::NAMES.join(", ");
                    E::custom(format_args!(
                        "unknown line \"{name}\"; known: {}, {known}, or a table with `down` and `up`",
                        LineSpec::NONE
                    ))
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<LineSpec, A::Error> {
                let BothFile { down, up } = BothFile::deserialize(MapAccessDeserializer::new(table))?;
                if !down.path_changes_us.is_empty() {
                    let why = "`path_changes_us` belongs under `up`: it is the client whose address changes";
                    return Err(serde::de::Error::custom(why));
                }
                let profile = |way: WayFile| way.profile().map_err(serde::de::Error::custom);
                let path = Path { name: "custom", down: profile(down)?, up: profile(up)? };
                Ok(LineSpec(Some(PathSpec { name: "custom".to_owned(), path })))
            }
        }
        from.deserialize_any(NameOrTable)
    }
}

/// Both ways, as they are in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BothFile {
    #[serde(default)]
    down: WayFile,
    #[serde(default)]
    up: WayFile,
}

/// One way, as it is in a file: [`Profile`] with shares in percent.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WayFile {
    delay_us: u64,
    jitter_us: u64,
    loss_percent: Option<Percent>,
    loss_bursts: Option<BurstsFile>,
    reordered_percent: Percent,
    held_back_us: u64,
    duplicated_percent: Percent,
    bottleneck: Option<BottleneckFile>,
    outages_us: Vec<[u64; 2]>,
    dropped_packets: Vec<u64>,
    path_changes_us: Vec<u64>,
}

/// A Gilbert-Elliott line: shares at each packet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BurstsFile {
    enter_percent: Percent,
    leave_percent: Percent,
    #[serde(default = "all")]
    loss_percent: Percent,
}

const fn all() -> Percent {
    Percent::ALL
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BottleneckFile {
    bytes_per_s: u64,
    queue_bytes_max: u64,
}

/// The longest delay on a line, microseconds: a minute.
const DELAY_US_MAX: u64 = 60_000_000;

impl WayFile {
    fn profile(self) -> Result<Profile, String> {
        let ratio = |percent: Percent| Ratio::new(percent.millionths(), 1_000_000);
        let loss = match (self.loss_percent, self.loss_bursts) {
            (Some(_), Some(_)) => return Err("`loss_percent` and `loss_bursts` exclude each other".into()),
            (percent, None) => Loss::Independent(ratio(percent.unwrap_or_default())),
            (None, Some(bursts)) => Loss::Bursts {
                enter: ratio(bursts.enter_percent),
                leave: ratio(bursts.leave_percent),
                loss: ratio(bursts.loss_percent),
            },
        };
        for (name, us) in
            [("delay_us", self.delay_us), ("jitter_us", self.jitter_us), ("held_back_us", self.held_back_us)]
        {
            if us > DELAY_US_MAX {
                return Err(format!("`{name}` = {us} is out of range; allowed: 0 to {DELAY_US_MAX}"));
            }
        }
        let lists = [self.outages_us.len(), self.dropped_packets.len(), self.path_changes_us.len()];
        if lists.into_iter().any(|entries| entries > LIST_MAX) {
            return Err(format!("a list of a line has more than {LIST_MAX} entries"));
        }
        if let Some([from, to]) = self.outages_us.iter().find(|[from, to]| from >= to) {
            return Err(format!("`outages_us` has [{from}, {to}], which ends before it begins"));
        }
        if self.bottleneck.as_ref().is_some_and(|b| b.bytes_per_s == 0 || b.queue_bytes_max == 0) {
            return Err("`bottleneck` lets nothing through; both of its numbers must be above 0".into());
        }
        Ok(Profile {
            delay_us: self.delay_us,
            jitter_us: self.jitter_us,
            loss,
            reordered: ratio(self.reordered_percent),
            held_back_us: self.held_back_us,
            duplicated: ratio(self.duplicated_percent),
            bottleneck: self
                .bottleneck
                .map(|b| Bottleneck { bytes_per_s: b.bytes_per_s, queue_bytes_max: b.queue_bytes_max }),
            outages_us: self.outages_us.into_iter().map(|[from, to]| from..to).collect(),
            dropped_packets: self.dropped_packets,
            path_changes_us: self.path_changes_us,
        })
    }
}
