//! What is wrong with a configuration, in one line each.

use std::fmt;
use std::path::PathBuf;

use super::keys::KEYS;

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the default of the table.
    Default,
    /// In the configuration file.
    File {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// In the environment.
    Env {
        /// The variable.
        name: String,
    },
    /// On the command line.
    Flag {
        /// With its two dashes.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "config file {}: line {line}", path.display()),
            Origin::Env { name } => write!(f, "environment variable {name}"),
            Origin::Flag { name } => write!(f, "flag {name}"),
        }
    }
}

/// Why there is no configuration. Its text is one line and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config file {}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why, after the file's name.
        why: String,
    },
    /// The file is no TOML.
    #[error("{origin}: {why}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser says.
        why: String,
    },
    /// A key that does not exist.
    #[error("{origin}: unknown key `{name}`{}", suggestion(.nearest.as_deref()))]
    UnknownKey {
        /// Where.
        origin: Origin,
        /// What was said.
        name: String,
        /// What may have been meant, as it is said there.
        nearest: Option<String>,
    },
    /// A section, where keys are flat.
    #[error("{origin}: unknown section [{name}]; all keys stand at the top, in no section")]
    Section {
        /// Where.
        origin: Origin,
        /// The section.
        name: String,
    },
    /// A value of another type than the key's.
    #[error("{origin}: `{key}` must be {wants}, not {found}")]
    WrongType {
        /// Where.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// What is wanted.
        wants: &'static str,
        /// What was said.
        found: String,
    },
    /// A value outside the key's bounds.
    #[error("{origin}: `{key}` = {value} is out of range; allowed: {allowed}")]
    OutOfRange {
        /// Where.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// What was said.
        value: String,
        /// What may be said.
        allowed: String,
    },
    /// A value that does not go with itself or with another key's.
    #[error("{origin}: `{key}` = {value}: {why}")]
    Unusable {
        /// Where.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// What was said.
        value: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// An environment variable that is not text.
    #[error("{origin}: its value is not UTF-8 text")]
    NotText {
        /// Which.
        origin: Origin,
    },
}

impl ConfigError {
    /// Where it is; `None` where a file cannot be read at all.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            ConfigError::File { .. } => None,
            ConfigError::Syntax { origin, .. }
            | ConfigError::UnknownKey { origin, .. }
            | ConfigError::Section { origin, .. }
            | ConfigError::WrongType { origin, .. }
            | ConfigError::OutOfRange { origin, .. }
            | ConfigError::Unusable { origin, .. }
            | ConfigError::NotText { origin } => Some(origin),
        }
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest
        .map_or("; `ninefold config` lists all keys".to_owned(), |name| format!("; did you mean `{name}`?"))
}

/// Longest name of a key that is compared; nothing longer was meant to be one.
const NAME_BYTES_MAX: usize = 64;

/// The key that may have been meant by an unknown name: one that begins or ends like it, or the one with
/// the fewest changed letters, if they are few.
pub(super) fn nearest_key(name: &str) -> Option<&'static str> {
    if name.len() > NAME_BYTES_MAX || name.is_empty() {
        return None;
    }
    let contains = |key: &&str| name.len() >= 4 && key.contains(name);
    let names = || KEYS.iter().map(|key| key.name);
    let few = name.len().div_ceil(3);
    names().find(contains).or_else(|| {
        let nearest = names().min_by_key(|key| changed_letters(key, name))?;
        (changed_letters(nearest, name) <= few).then_some(nearest)
    })
}

/// Levenshtein's distance, in bytes.
fn changed_letters(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_finds_the_one_that_was_meant() {
        let cases = [
            ("tick_rate", Some("tick_rate_hz")),
            ("tickrate_hz", Some("tick_rate_hz")),
            ("Listen", Some("listen")),
            ("lisen", Some("listen")),
            ("max_clients", None),
            ("generate_worker", Some("generate_workers")),
            ("cache_bytes", Some("cache_bytes_max")),
            ("", None),
            ("colour", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest_key(name), expected, "{name}");
        }
        assert_eq!(nearest_key(&"x".repeat(1_000_000)), None);
    }

    #[test]
    fn changed_letters_are_counted() {
        assert_eq!(changed_letters("", "abc"), 3);
        assert_eq!(changed_letters("kitten", "sitting"), 3);
        assert_eq!(changed_letters("same", "same"), 0);
    }
}
