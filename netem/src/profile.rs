//! What a link does to what goes over it.

use std::ops::Range;

/// How often something happens: so many times of so many. An integer, so that a seed means the same
/// everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    times: u32,
    of: u32,
}

impl Ratio {
    /// Never.
    pub const NEVER: Ratio = Ratio { times: 0, of: 1 };
    /// Always.
    pub const ALWAYS: Ratio = Ratio { times: 1, of: 1 };

    /// `times` of `of`.
    ///
    /// # Panics
    /// When that is more than always, or of nothing.
    pub const fn new(times: u32, of: u32) -> Self {
        assert!(of > 0 && times <= of, "a ratio lies between never and always");
        Ratio { times, of }
    }

    /// So many of a hundred.
    pub const fn percent(percent: u32) -> Self {
        Ratio::new(percent, 100)
    }

    pub(crate) const fn times(self) -> u32 {
        self.times
    }

    pub(crate) const fn of(self) -> u32 {
        self.of
    }
}

/// How packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Each on its own.
    Independent(Ratio),
    /// In bursts (Gilbert 1960, Elliott 1963): a good state without loss, and a bad one.
    Bursts {
        /// From good to bad, at each packet.
        enter: Ratio,
        /// From bad to good, at each packet: a mean burst has `1 / leave` packets.
        leave: Ratio,
        /// Loss in the bad state.
        loss: Ratio,
    },
}

impl Loss {
    /// Bursts of `mean_packets` that lose everything, and `percent` of all packets in the long run.
    ///
    /// # Panics
    /// When `mean_packets` is 0 or `percent` 100 or more.
    pub const fn bursts(percent: u32, mean_packets: u32) -> Self {
        assert!(percent < 100 && mean_packets > 0, "a burst ends, and begins");
        // In the long run: loss = enter / (enter + leave), leave = 1 / mean.
        let enter = Ratio::new(percent, (100 - percent) * mean_packets);
        Loss::Bursts { enter, leave: Ratio::new(1, mean_packets), loss: Ratio::ALWAYS }
    }
}

/// The narrowest place of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bottleneck {
    /// Bytes a second that pass.
    pub bytes_per_s: u64,
    /// Bytes that may wait; what finds the queue full is dropped.
    pub queue_bytes_max: u64,
}

/// One direction of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// One way, without any queue.
    pub delay_us: u64,
    /// Added to it, 0 to this much, evenly. It keeps the order, as a queue somewhere would.
    pub jitter_us: u64,
    /// What is lost.
    pub loss: Loss,
    /// What is held back so that later packets overtake it.
    pub reordered: Ratio,
    /// For how long.
    pub held_back_us: u64,
    /// What arrives twice.
    pub duplicated: Ratio,
    /// The narrowest place; `None` for none.
    pub bottleneck: Option<Bottleneck>,
    /// Times in which nothing gets through.
    pub outages_us: Vec<Range<u64>>,
    /// Packets that are dropped, by their number from 0.
    pub dropped_packets: Vec<u64>,
    /// Times at which the path changes, as when a phone leaves the Wi-Fi: see [`crate::Link::poll`].
    pub path_changes_us: Vec<u64>,
}

/// Both directions of a path that has a name, as players meet it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// What it is called.
    pub name: &'static str,
    /// Towards the player.
    pub down: Profile,
    /// From the player.
    pub up: Profile,
}

impl Path {
    /// The names that [`Path::named`] knows.
    pub const NAMES: [&'static str; 10] =
        ["lan", "fibre", "wifi", "dsl", "lte", "lte-moving", "satellite", "loss-3", "burst", "bad"];

    /// A path by its name. The figures are those of an ordinary day, rounded. Losses are independent where nothing else is
    /// said: a burst is counted in packets here, and who sends few would sit in it for seconds.
    ///
    /// | name | one way, jitter | loss | down, up, buffer |
    /// |---|---|---|---|
    /// | lan | 0.2 ms | none | |
    /// | fibre | 4 ms, 1 ms | none | 500, 250 Mbit/s, 50 ms |
    /// | wifi | 4 ms, 8 ms | 1 % | 50, 20 Mbit/s, 100 ms |
    /// | dsl | 12 ms, 1 ms | 0.1 % | 16, 2 Mbit/s, 200 ms |
    /// | lte | 25 ms, 15 ms | 0.5 % | 20, 8 Mbit/s, 300 ms |
    /// | lte-moving | 35 ms, 25 ms | 1 %, and for half an hour nothing for 120 ms every 20 s, as from cell to cell | 10, 4 Mbit/s, 300 ms |
    /// | satellite | 270 ms, 10 ms | 1 % | 20, 3 Mbit/s, 500 ms |
    /// | loss-3 | 15 ms, 2 ms | 3 % | 50, 20 Mbit/s, 100 ms |
    /// | burst | 15 ms, 2 ms | 2 % in bursts of 4 packets in the mean | 50, 20 Mbit/s, 100 ms |
    /// | bad | 25 ms, 30 ms | 10 %, 2 % held back, 1 % doubled | 5, 1 Mbit/s, 250 ms |
    pub fn named(name: &str) -> Option<Path> {
        let name = Self::NAMES.into_iter().find(|known| *known == name)?;
        let random = |permille| Loss::Independent(Ratio::new(permille, 1_000));
        let path = |delay_us, jitter_us, loss, down_mbit_s, up_mbit_s, buffer_ms| {
            let way = |mbit_s: u64| {
                let bytes_per_s = mbit_s * 125_000;
                let queue_bytes_max = bytes_per_s * buffer_ms / 1_000;
                let bottleneck = Some(Bottleneck { bytes_per_s, queue_bytes_max });
                Profile { delay_us, jitter_us, loss, bottleneck, ..Profile::default() }
            };
            Path { name, down: way(down_mbit_s), up: way(up_mbit_s) }
        };
        Some(match name {
            "lan" => {
                let way = Profile { delay_us: 200, ..Profile::default() };
                Path { name, down: way.clone(), up: way }
            }
            "fibre" => path(4_000, 1_000, random(0), 500, 250, 50),
            "wifi" => path(4_000, 8_000, random(10), 50, 20, 100),
            "dsl" => path(12_000, 1_000, random(1), 16, 2, 200),
            "lte" => path(25_000, 15_000, random(5), 20, 8, 300),
            "lte-moving" => {
                let Path { name, down, up } = path(35_000, 25_000, random(10), 10, 4, 300);
                let moving = |way| Profile { outages_us: handovers_us(), ..way };
                Path { name, down: moving(down), up: moving(up) }
            }
            "loss-3" => path(15_000, 2_000, random(30), 50, 20, 100),
            "burst" => path(15_000, 2_000, Loss::bursts(2, 4), 50, 20, 100),
            "satellite" => path(270_000, 10_000, random(10), 20, 3, 500),
            _ => {
                let Path { name, down, up } = path(25_000, 30_000, random(100), 5, 1, 250);
                let worse = |way| Profile {
                    reordered: Ratio::percent(2),
                    held_back_us: 40_000,
                    duplicated: Ratio::percent(1),
                    ..way
                };
                Path { name, down: worse(down), up: worse(up) }
            }
        })
    }
}

/// From cell to cell, as on a drive of half an hour: nothing gets through meanwhile.
fn handovers_us() -> Vec<Range<u64>> {
    const EVERY_US: u64 = 20_000_000;
    const FOR_US: u64 = 120_000;
    (1..=90).map(|n| n * EVERY_US..n * EVERY_US + FOR_US).collect()
}

impl Default for Profile {
    /// A perfect link.
    fn default() -> Self {
        Profile {
            delay_us: 0,
            jitter_us: 0,
            loss: Loss::Independent(Ratio::NEVER),
            reordered: Ratio::NEVER,
            held_back_us: 0,
            duplicated: Ratio::NEVER,
            bottleneck: None,
            outages_us: Vec::new(),
            dropped_packets: Vec::new(),
            path_changes_us: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_path_of_its_own() {
        let paths = Path::NAMES.map(|name| Path::named(name).expect("it is known"));
        for (at, path) in paths.iter().enumerate() {
            assert_eq!(path.name, Path::NAMES[at]);
            assert!(paths[..at].iter().all(|other| other.down != path.down), "{}", path.name);
        }
        assert_eq!(Path::named("carrier pigeon"), None);
    }

    #[test]
    fn a_buffer_holds_so_long_what_the_line_sends() {
        let lte = Path::named("lte").unwrap();
        let Some(Bottleneck { bytes_per_s, queue_bytes_max }) = lte.up.bottleneck else {
            panic!("it has one")
        };
        assert_eq!((bytes_per_s, queue_bytes_max), (1_000_000, 300_000));
    }
}
