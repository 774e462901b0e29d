//! Faults: what breaks, when, and for whom.

use serde::Deserialize;

use super::quantity::Seconds;

/// Something that breaks at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When, from the beginning of the run.
    pub at: Seconds,
    /// The group whose lines or clients it is about; `None` for all of them.
    pub group: Option<String>,
    /// What happens.
    pub kind: FaultKind,
}

/// What can break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing gets through the lines, either way.
    Outage {
        /// For so long.
        seconds: Seconds,
    },
    /// Clients go on from another address, as when a phone leaves the Wi-Fi.
    AddressChange,
    /// The `packet`th packet from then on is dropped, on each line.
    DropPacket {
        /// Counted from 0.
        packet: u64,
        /// On the way there or back.
        way: Way,
    },
    /// The server is gone, without a goodbye, and is started again.
    KillServer {
        /// After so long.
        seconds: Seconds,
    },
    /// The server is stopped in good order and started again.
    RestartServer {
        /// After so long.
        seconds: Seconds,
    },
    /// The generator takes longer for each chunk.
    SlowGenerator {
        /// So much longer.
        ms: u32,
        /// For so long.
        seconds: Seconds,
    },
    /// The generator panics at one chunk of so many.
    PanickingGenerator {
        /// One in so many.
        one_in: u32,
        /// For so long.
        seconds: Seconds,
    },
    /// One tick takes so long.
    StalledTick {
        /// Milliseconds.
        ms: u32,
    },
    /// The server's clock jumps ahead. In virtual time only.
    ClockJump {
        /// Milliseconds.
        ms: u32,
    },
    /// So many more clients of the group come at once, and stay.
    JoinBurst {
        /// How many.
        clients: u32,
    },
}

/// A way along a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Towards the client.
    #[default]
    Down,
    /// From it.
    Up,
}

/// The names of the kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KindName {
    Outage,
    AddressChange,
    DropPacket,
    KillServer,
    RestartServer,
    SlowGenerator,
    PanickingGenerator,
    StalledTick,
    ClockJump,
    JoinBurst,
}

impl FaultKind {
    /// Its name in a file.
    pub const fn name(&self) -> &'static str {
        match self {
            FaultKind::Outage { .. } => "outage",
            FaultKind::AddressChange => "address-change",
            FaultKind::DropPacket { .. } => "drop-packet",
            FaultKind::KillServer { .. } => "kill-server",
            FaultKind::RestartServer { .. } => "restart-server",
            FaultKind::SlowGenerator { .. } => "slow-generator",
            FaultKind::PanickingGenerator { .. } => "panicking-generator",
            FaultKind::StalledTick { .. } => "stalled-tick",
            FaultKind::ClockJump { .. } => "clock-jump",
            FaultKind::JoinBurst { .. } => "join-burst",
        }
    }

    /// Whether it happens to lines or clients, and so to a group of them.
    pub const fn is_of_a_group(&self) -> bool {
        matches!(
            self,
            FaultKind::Outage { .. }
                | FaultKind::AddressChange
                | FaultKind::DropPacket { .. }
                | FaultKind::JoinBurst { .. }
        )
    }

    /// Whether it happens inside the server, which then has to be in this process.
    pub const fn is_of_the_server(&self) -> bool {
        !self.is_of_a_group()
    }
}

/// As it is in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultFile {
    at_s: Seconds,
    kind: KindName,
    group: Option<String>,
    seconds: Option<Seconds>,
    ms: Option<u32>,
    packet: Option<u64>,
    way: Option<Way>,
    one_in: Option<u32>,
    clients: Option<u32>,
}

/// The longest stall or slowness, milliseconds.
const MS_MAX: u32 = 60_000;

impl FaultFile {
    /// The fault, or why it is none.
    pub fn fault(mut self) -> Result<Fault, String> {
        let file = &mut self;
        let kind = match file.kind {
            KindName::Outage => FaultKind::Outage { seconds: need("seconds", file.seconds.take())? },
            KindName::AddressChange => FaultKind::AddressChange,
            KindName::DropPacket => FaultKind::DropPacket {
                packet: need("packet", file.packet.take())?,
                way: file.way.take().unwrap_or_default(),
            },
            KindName::KillServer => FaultKind::KillServer { seconds: need("seconds", file.seconds.take())? },
            KindName::RestartServer => {
                FaultKind::RestartServer { seconds: need("seconds", file.seconds.take())? }
            }
            KindName::SlowGenerator => FaultKind::SlowGenerator {
                ms: within("ms", need("ms", file.ms.take())?, MS_MAX)?,
                seconds: need("seconds", file.seconds.take())?,
            },
            KindName::PanickingGenerator => FaultKind::PanickingGenerator {
                one_in: within("one_in", need("one_in", file.one_in.take())?, u32::MAX)?,
                seconds: need("seconds", file.seconds.take())?,
            },
            KindName::StalledTick => {
                FaultKind::StalledTick { ms: within("ms", need("ms", file.ms.take())?, MS_MAX)? }
            }
            KindName::ClockJump => {
                FaultKind::ClockJump { ms: within("ms", need("ms", file.ms.take())?, MS_MAX)? }
            }
            KindName::JoinBurst => FaultKind::JoinBurst {
                clients: within("clients", need("clients", file.clients.take())?, super::CLIENTS_MAX)?,
            },
        };
        let name = kind.name();
        let left = [
            ("seconds", file.seconds.is_some()),
            ("ms", file.ms.is_some()),
            ("packet", file.packet.is_some()),
            ("way", file.way.is_some()),
            ("one_in", file.one_in.is_some()),
            ("clients", file.clients.is_some()),
            ("group", file.group.is_some() && !kind.is_of_a_group()),
        ];
        if let Some((key, _)) = left.into_iter().find(|(_, said)| *said) {
            return Err(format!("`{key}` means nothing to the fault `{name}`; leave it out"));
        }
        Ok(Fault { at: self.at_s, group: self.group, kind })
    }
}

fn need<T>(key: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("this fault needs the key `{key}`"))
}

fn within(key: &str, value: u32, max: u32) -> Result<u32, String> {
    if (1..=max).contains(&value) {
        return Ok(value);
    }
    Err(format!("`{key}` = {value} is out of range; allowed: 1 to {max}"))
}
