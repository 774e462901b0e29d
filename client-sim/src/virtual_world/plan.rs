//! What is to happen: who comes, over which lines, what goes wrong and when. All of it is given, nothing is drawn here.

use ninefold::carrier::Carrier;
use ninefold::config::Config;
use ninefold_netem::{Bottleneck, Loss, Profile, Ratio};

use crate::scenario::{Behaviour, Pace};

/// One second of virtual time.
pub const SECOND_US: u64 = 1_000_000;

/// A world's course.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it is called.
    pub name: String,
    /// The server's configuration.
    pub config: Config,
    /// Who comes.
    pub groups: Vec<Group>,
    /// How long it goes on before the network is healed.
    pub play_us: u64,
    /// How long everything then has to complete.
    pub heal_us: u64,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// The clients, those of bursts left out: which group each is of, and when it is there.
    pub parts: Vec<Part>,
}

/// One client's part in it.
#[derive(Debug, Clone)]
pub struct Part {
    /// Index of its group.
    pub group: usize,
    /// From when until when it is there, microseconds from the beginning; the last time may have no end.
    pub visits: Vec<(u64, u64)>,
}

/// Clients of one kind.
#[derive(Debug, Clone)]
pub struct Group {
    /// What it is called; faults can be for it alone.
    pub name: String,
    /// What they do.
    pub behaviour: Behaviour,
    /// What their packets ride on, in turns.
    pub carriers: Vec<Carrier>,
    /// Towards the client.
    pub down: Profile,
    /// From the client.
    pub up: Profile,
    /// Chunks that each keeps.
    pub cache_chunks: usize,
    /// Whether they build chunks from recipes.
    pub recipes: bool,
}

/// Something goes wrong.
#[derive(Debug, Clone)]
pub struct Fault {
    /// When it begins.
    pub at_us: u64,
    /// How long it lasts, where it lasts.
    pub for_us: u64,
    /// Whom it meets; `None` for everybody.
    pub group: Option<usize>,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing gets through.
    Outage,
    /// Clients have another address from then on.
    AddressChange,
    /// The packet of this number is lost, up and down.
    DropPacket {
        /// Counted from 0 for each line.
        number: u64,
    },
    /// Each chunk takes so much longer.
    SlowGenerator {
        /// Milliseconds.
        ms: u64,
    },
    /// One attempt in so many panics.
    PanickingGenerator {
        /// How many.
        one_in: u32,
    },
    /// One attempt in so many hangs beyond its deadline.
    HangingGenerator {
        /// How many.
        one_in: u32,
    },
    /// Ticks take that long, for as long as it lasts.
    StalledTick {
        /// Milliseconds.
        ms: u64,
    },
    /// The server's clock leaps forward.
    ServerClock {
        /// Milliseconds.
        ms: u64,
    },
    /// Clients' clocks leap forward.
    ClientClock {
        /// Milliseconds.
        ms: u64,
    },
    /// The server ends, and another one begins after `for_us`.
    RestartServer {
        /// Whether it says goodbye.
        says_goodbye: bool,
    },
    /// So many more clients of the group come at once, and stay for `for_us`.
    JoinBurst {
        /// How many.
        clients: u32,
    },
}

impl FaultKind {
    /// Every kind by its name: what a sweep switches off.
    pub const NAMES: [&'static str; 11] = [
        "outage",
        "address-change",
        "drop-packet",
        "slow-generator",
        "panicking-generator",
        "hanging-generator",
        "stalled-tick",
        "server-clock",
        "client-clock",
        "restart-server",
        "join-burst",
    ];

    /// What it is called.
    pub fn name(&self) -> &'static str {
        let index = match self {
            FaultKind::Outage => 0,
            FaultKind::AddressChange => 1,
            FaultKind::DropPacket { .. } => 2,
            FaultKind::SlowGenerator { .. } => 3,
            FaultKind::PanickingGenerator { .. } => 4,
            FaultKind::HangingGenerator { .. } => 5,
            FaultKind::StalledTick { .. } => 6,
            FaultKind::ServerClock { .. } => 7,
            FaultKind::ClientClock { .. } => 8,
            FaultKind::RestartServer { .. } => 9,
            FaultKind::JoinBurst { .. } => 10,
        };
        Self::NAMES[index]
    }
}

/// The line of everybody once the network is healed.
pub fn healed() -> Profile {
    Profile { delay_us: 10_000, ..Profile::default() }
}

impl Group {
    /// Who walk over a line of 20 ms and nothing else.
    pub fn walkers() -> Group {
        Group {
            name: "walkers".into(),
            behaviour: Behaviour::Walk { pace: Pace::default() },
            carriers: vec![Carrier::Udp],
            down: healed(),
            up: healed(),
            cache_chunks: 512,
            recipes: false,
        }
    }
}

impl Part {
    /// One that comes then and stays.
    pub fn from(group: usize, from_us: u64) -> Part {
        Part { group, visits: vec![(from_us, u64::MAX)] }
    }
}

impl Plan {
    /// So many walkers for so long, and nothing goes wrong.
    pub fn walk(clients: u32, seconds: u64) -> Plan {
        Plan {
            name: "walk".into(),
            config: Config::default(),
            groups: vec![Group::walkers()],
            parts: (0..u64::from(clients))
                .map(|n| Part::from(0, SECOND_US * n / u64::from(clients)))
                .collect(),
            play_us: seconds * SECOND_US,
            heal_us: 4 * SECOND_US,
            faults: Vec::new(),
        }
    }

    /// All that it lasts.
    pub fn total_us(&self) -> u64 {
        self.play_us + self.heal_us
    }

    /// What a sweep adds, since no run on sockets can have it.
    fn beside(&self) -> [Fault; 2] {
        let fault = |kind| Fault { at_us: 0, for_us: self.play_us / 4, group: None, kind };
        [fault(FaultKind::HangingGenerator { one_in: 12 }), fault(FaultKind::ClientClock { ms: 700 })]
    }

    /// The mixed faults of a seed: the plan's own faults at other times and in other strengths, lines of every kind, and
    /// each kind of either there or not.
    pub fn swarm(&self, seed: u64) -> (Plan, Vec<&'static str>) {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5377_6172_6d00);
        let mut plan = self.clone();
        let mut options = Vec::new();
        plan.faults.extend(self.beside());
        let on: Vec<bool> = FaultKind::NAMES.iter().map(|_| random.bool()).collect();
        plan.faults.retain(|fault| {
            let kind = FaultKind::NAMES.iter().position(|name| *name == fault.kind.name());
            kind.is_none_or(|kind| on[kind])
        });
        for fault in &mut plan.faults {
            options.push(fault.kind.name());
            fault.at_us = random.u64(0..plan.play_us.max(1));
            fault.for_us = fault.for_us * random.u64(25..=150) / 100;
        }
        options.dedup();
        for group in &mut plan.groups {
            let line = draw_line(&mut random, &mut options);
            (group.down, group.up) = (line.clone(), line);
            group.cache_chunks = [9, 12, 24, 512][random.usize(..4)];
            group.recipes = random.bool();
        }
        let config = &mut plan.config;
        config.world_seed = random.u64(0..4);
        config.spawn_radius_chunks = random.u32(0..3);
        config.tick_rate_hz = [60, 60, 30][random.usize(..3)];
        config.snapshot_every_ticks = [1, 1, 3][random.usize(..3)];
        config.snapshot_bytes_max = [200, 1_000][random.usize(..2)];
        config.walk_speed_units_s = [320, 700][random.usize(..2)];
        config.queued_max = [8, 64, 4_096][random.usize(..3)];
        config.making_max = [2, 8, 64][random.usize(..3)];
        config.client_cache_chunks_max = [32, 1_024][random.usize(..2)];
        options.sort_unstable();
        options.dedup();
        (plan, options)
    }
}

/// A line of some kind: each kind of fault is there or not.
fn draw_line(random: &mut fastrand::Rng, options: &mut Vec<&'static str>) -> Profile {
    let mut profile = Profile { delay_us: random.u64(0..150_000), ..Profile::default() };
    if random.bool() {
        options.push("jitter");
        profile.jitter_us = random.u64(0..40_000);
    }
    if random.bool() {
        options.push("loss");
        profile.loss = match random.bool() {
            true => Loss::Independent(Ratio::percent(random.u32(1..20))),
            false => Loss::bursts(random.u32(1..20), random.u32(2..6)),
        };
    }
    if random.bool() {
        options.push("reordering");
        profile.reordered = Ratio::percent(random.u32(1..5));
        profile.held_back_us = random.u64(5_000..40_000);
    }
    if random.bool() {
        options.push("doubling");
        profile.duplicated = Ratio::percent(random.u32(1..5));
    }
    if random.bool() {
        options.push("bottleneck");
        let bytes_per_s = random.u64(60_000..2_000_000);
        profile.bottleneck = Some(Bottleneck { bytes_per_s, queue_bytes_max: bytes_per_s / 4 });
    }
    profile
}
