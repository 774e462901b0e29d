//! The machine that a run ran on, as far as it matters for its figures.

use serde::{Deserialize, Serialize};

/// What a figure may depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The operating system and its version.
    pub os: String,
    /// The processor.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: u64,
    /// Memory; 0 where it cannot be told.
    pub memory_bytes: u64,
    /// Whether this program was built with optimisation.
    pub optimised: bool,
    /// This program's version.
    pub version: String,
}

impl Machine {
    /// This one.
    pub fn here() -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let release = read("/proc/sys/kernel/osrelease");
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        Machine {
            os: format!("{} {}", std::env::consts::OS, release.trim()).trim().to_owned(),
            cpu: field(&read("/proc/cpuinfo"), "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, |n| n.get() as u64),
            memory_bytes: kib.unwrap_or(0) * 1_024,
            optimised: !cfg!(debug_assertions),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
