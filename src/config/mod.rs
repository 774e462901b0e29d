//! The configuration: one flat table of keys, and the four layers that a key's value can come from.
//!
//! `keys.rs` defines every key once: its type, default, bounds and explanation. From that table come the
//! [`Config`] struct, the keys of the TOML file, the `NINEFOLD_*` environment variables, the flags of the
//! command line and the output of `ninefold config`. A flag goes before the environment, the environment
//! before the file, the file before the default.
//!
//! Whatever is wrong is one [`ConfigError`] that names the key, the value, where it was said and what is
//! allowed.

mod derived;
mod error;
mod keys;
mod layers;
mod print;
mod value;

pub use error::{ConfigError, Origin};
pub use keys::{Config, KEYS, Key};
pub use layers::{CONFIG_FILE_BYTES_MAX, Effective, Sources};
