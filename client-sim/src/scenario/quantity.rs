//! Quantities as people write them in a scenario: seconds, shares, paces. Read with their bounds, kept as integers.

use std::fmt;

use ninefold_client::protocol::time::Duration;
use serde::{Deserialize, Deserializer};

/// The longest time in a scenario, seconds: a day.
pub const SECONDS_MAX: u32 = 86_400;

/// A time: a number of seconds, whole or not, from 0 to a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

impl Seconds {
    /// So many.
    pub const fn new(seconds: u64) -> Seconds {
        Seconds(Duration::from_secs(seconds))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_us() as f64 / 1e6)
    }
}

/// A number as TOML has them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a number")]
enum Number {
    Whole(i64),
    Fraction(f64),
}

impl Number {
    fn within<D: serde::de::Error>(self, low: f64, high: f64, of: &str) -> Result<f64, D> {
        let number = match self {
            Number::Whole(whole) => whole as f64,
            Number::Fraction(fraction) => fraction,
        };
        // Not a number lies nowhere.
        if (low..=high).contains(&number) {
            return Ok(number);
        }
        Err(D::custom(format_args!("{number} is out of range; allowed: {low} to {high} {of}")))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = Number::deserialize(from)?.within(0.0, SECONDS_MAX.into(), "seconds")?;
        Ok(Seconds(Duration::from_us((seconds * 1e6).round() as u64)))
    }
}

/// A share: 0 to 100 of a hundred, kept in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    millionths: u32,
}

impl Percent {
    /// All of it.
    pub const ALL: Percent = Percent { millionths: 1_000_000 };
    /// Nothing of it.
    pub const NONE: Percent = Percent { millionths: 0 };

    /// So many of a hundred.
    ///
    /// # Panics
    /// When that is more than all.
    pub const fn new(percent: u32) -> Percent {
        assert!(percent <= 100, "a share lies between nothing and all");
        Percent { millionths: percent * 10_000 }
    }

    /// Parts of a million.
    pub const fn millionths(self) -> u32 {
        self.millionths
    }

    /// So much of a number, rounded to the nearest.
    pub const fn of(self, number: u64) -> u64 {
        (number * self.millionths as u64 + 500_000) / 1_000_000
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let percent = Number::deserialize(from)?.within(0.0, 100.0, "percent")?;
        Ok(Percent { millionths: (percent * 10_000.0).round() as u32 })
    }
}

/// How fast one goes: a part, 0 to 1, of the server's full walking speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(pub f64);

impl Default for Pace {
    fn default() -> Self {
        Pace(1.0)
    }
}

impl<'de> Deserialize<'de> for Pace {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Number::deserialize(from)?.within(0.0, 1.0, "of full walking speed").map(Pace)
    }
}
