//! `ninefold config`: the effective configuration as TOML that explains itself.

use std::fmt::Write;

use super::error::Origin;
use super::keys::{Config, KEYS};
use super::layers::Effective;

impl Config {
    /// Every key with its value as TOML.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, String)> {
        KEYS.iter().map(|key| (key.name, (key.show)(self)))
    }
}

impl Effective {
    /// Every key with its explanation, default and origin, as a file that gives this configuration again.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# The effective configuration of ninefold. Given back with --config it gives the same again.\n\
             # A flag goes before the environment, the environment before the file, the file before the \
             default.\n",
        );
        for key in KEYS {
            text.push('\n');
            for line in key.explanation {
                push(&mut text, format_args!("# {}\n", line.trim()));
            }
            let allowed = (key.allowed)();
            if !allowed.is_empty() {
                push(&mut text, format_args!("# Allowed: {allowed}.\n"));
            }
            let default = key.default_toml();
            match self.origin(key.name) {
                Origin::Default => push(&mut text, format_args!("# Default: {default}. This is it.\n")),
                origin => {
                    // A path may hold anything, and a comment ends with its line.
                    let from = origin.to_string().replace(|c: char| c.is_control(), "?");
                    push(&mut text, format_args!("# Default: {default}. From: {from}.\n"));
                }
            }
            push(&mut text, format_args!("{} = {}\n", key.name, (key.show)(&self.config)));
        }
        text
    }
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Effective, KEYS, Sources};

    #[test]
    fn every_key_is_printed_with_default_and_origin() {
        let flags = vec![("tick_rate_hz".to_owned(), "30".into())];
        let text = Effective::load(&Sources { flags, ..Sources::default() }).unwrap().to_toml();
        for key in KEYS {
            assert!(text.contains(&format!("\n{} = ", key.name)), "{}", key.name);
        }
        assert!(text.contains("# Default: 60. From: flag --tick-rate-hz.\ntick_rate_hz = 30\n"), "{text}");
        assert!(text.contains("# Default: 9. This is it.\nworld_seed = 9\n"), "{text}");
    }

    #[test]
    fn the_output_is_toml_of_the_same_values() {
        let text = Effective::load(&Sources::default()).unwrap().to_toml();
        let table: toml::Table = text.parse().expect("it is TOML");
        assert_eq!(table.len(), KEYS.len());
        assert_eq!(table["clients_max"].as_integer(), Some(Config::default().clients_max.into()));
    }
}
