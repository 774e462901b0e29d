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
