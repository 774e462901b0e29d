//! The layers of the configuration, laid over each other: default, file, environment, flags.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin, nearest_key};
use super::keys::{Config, ENV_PREFIX, KEYS, Key};
use super::value::{Problem, Raw};

/// Bytes that a configuration file may have.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1 << 20;

/// What a configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file.
    pub file: Option<PathBuf>,
    /// The environment; only names that begin with `NINEFOLD_` are looked at.
    pub env: Vec<(OsString, OsString)>,
    /// Names of keys and what the flags say.
    pub flags: Vec<(String, OsString)>,
}

/// A configuration, and where each of its values was said.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The values.
    pub config: Config,
    /// By key, in the order of [`KEYS`].
    origins: Vec<Origin>,
}

impl Effective {
    /// Lays the layers over each other and checks the whole.
    pub fn load(sources: &Sources) -> Result<Effective, ConfigError> {
        let origins = vec![Origin::Default; KEYS.len()];
        let mut effective = Effective { config: Config::default(), origins };
        if let Some(path) = &sources.file {
            effective.lay_file(path)?;
        }
        effective.lay_env(&sources.env)?;
        effective.lay_flags(&sources.flags)?;
        effective.check()?;
        Ok(effective)
    }

    /// The configuration of a section of some other file, such as a scenario's: its keys laid over the defaults.
    /// Without the section the defaults. `path` is what errors call the file.
    pub fn of_section(path: &Path, text: &str, section: &str) -> Result<Effective, ConfigError> {
        let origins = vec![Origin::Default; KEYS.len()];
        let mut effective = Effective { config: Config::default(), origins };
        let table = parse(path, text)?;
        if let Some(DeValue::Table(keys)) = table.get_ref().get(section).map(|value| value.get_ref()) {
            effective.lay_table(path, text, keys)?;
        }
        effective.check()?;
        Ok(effective)
    }

    /// Where a key's value was said.
    pub fn origin(&self, key: &str) -> &Origin {
        Key::index(key).map_or(&Origin::Default, |index| &self.origins[index])
    }

    fn lay_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = read(path)?;
        let table = parse(path, &text)?;
        self.lay_table(path, &text, table.get_ref())
    }

    fn lay_table(&mut self, path: &Path, text: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        // In the order of the lines, so that the first mistake is told first.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let origin = origin(path, text, name.span().start);
            let name: &str = name.get_ref();
            let value = value.get_ref();
            if let (None, DeValue::Table(_)) = (Key::index(name), value) {
                return Err(ConfigError::Section { origin, name: name.to_owned() });
            }
            self.set(name, Raw::Toml(value), origin, |key| key.name.to_owned())?;
        }
        Ok(())
    }

    fn lay_env(&mut self, env: &[(OsString, OsString)]) -> Result<(), ConfigError> {
        for (name, value) in env {
            let name = name.to_string_lossy().into_owned();
            let Some(key) = name.strip_prefix(ENV_PREFIX) else { continue };
            let key = key.to_ascii_lowercase();
            let origin = Origin::Env { name: name.clone() };
            let Some(value) = value.to_str() else { return Err(ConfigError::NotText { origin }) };
            self.set(&key, Raw::Text(value), origin, Key::env_name)?;
        }
        Ok(())
    }

    fn lay_flags(&mut self, flags: &[(String, OsString)]) -> Result<(), ConfigError> {
        let as_flag = |key: &Key| format!("--{}", key.flag_name());
        for (name, value) in flags {
            let origin = Origin::Flag { name: format!("--{}", name.replace('_', "-")) };
            let Some(value) = value.to_str() else { return Err(ConfigError::NotText { origin }) };
            self.set(name, Raw::Text(value), origin, as_flag)?;
        }
        Ok(())
    }

    /// `said_as`: how a key is called in this layer.
    fn set(
        &mut self,
        name: &str,
        raw: Raw<'_>,
        origin: Origin,
        said_as: impl Fn(&Key) -> String,
    ) -> Result<(), ConfigError> {
        let Some(index) = Key::index(name) else {
            let nearest = nearest_key(name).and_then(Key::index).map(|index| said_as(&KEYS[index]));
            return Err(ConfigError::UnknownKey { origin, name: name.to_owned(), nearest });
        };
        let Key { name: key, wants, allowed, set, .. } = &KEYS[index];
        match set(&mut self.config, raw) {
            Ok(()) => self.origins[index] = origin,
            Err(Problem::WrongType { found }) => {
                return Err(ConfigError::WrongType { origin, key, wants, found });
            }
            Err(Problem::OutOfRange { value }) => {
                return Err(ConfigError::OutOfRange { origin, key, value, allowed: allowed() });
            }
        }
        Ok(())
    }

    /// What single keys cannot know.
    fn check(&self) -> Result<(), ConfigError> {
        let Some((key, why)) = self.config.contradiction() else { return Ok(()) };
        let index = Key::index(key).expect("a contradiction names a key of the table");
        let value = (KEYS[index].show)(&self.config);
        Err(ConfigError::Unusable { origin: self.origins[index].clone(), key, value, why })
    }
}

/// The place of a byte of a file.
fn origin(path: &Path, text: &str, offset: usize) -> Origin {
    let line = text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1;
    Origin::File { path: path.to_owned(), line }
}

fn parse<'t>(path: &Path, text: &'t str) -> Result<Spanned<DeTable<'t>>, ConfigError> {
    DeTable::parse(text).map_err(|error| {
        let why = format!("not valid TOML: {}", error.message().replace('\n', "; "));
        let offset = error.span().map_or(0, |span| span.start);
        ConfigError::Syntax { origin: origin(path, text, offset), why }
    })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let error = |why: &str| ConfigError::File { path: path.to_owned(), why: why.to_owned() };
    let mut bytes = Vec::new();
    let file = File::open(path);
    file.and_then(|file| file.take(CONFIG_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(
        |e| match e.kind() {
            io::ErrorKind::NotFound => error("there is no such file"),
            io::ErrorKind::PermissionDenied => error("it may not be read; see its permissions"),
            io::ErrorKind::IsADirectory => error("it is a directory, not a file"),
            _ => error(&e.to_string()),
        },
    )?;
    if bytes.len() as u64 > CONFIG_FILE_BYTES_MAX {
        return Err(error("it has more than 1 MiB, too much for a configuration"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count() + 1;
        error(&format!("line {line}: not UTF-8 text"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(pairs: &[(&str, &str)]) -> Sources {
        let flags = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.into())).collect();
        Sources { flags, ..Sources::default() }
    }

    fn env(pairs: &[(&str, &str)]) -> Sources {
        let env = pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Sources { env, ..Sources::default() }
    }

    fn error(sources: &Sources) -> String {
        Effective::load(sources).expect_err("it is wrong").to_string()
    }

    #[test]
    fn nothing_said_gives_the_defaults() {
        let effective = Effective::load(&env(&[("HOME", "/"), ("ninefold_listen", "no")])).unwrap();
        assert_eq!(effective.config, Config::default());
        assert_eq!(effective.origin("listen"), &Origin::Default);
    }

    #[test]
    fn a_flag_goes_before_the_environment() {
        let mut sources = env(&[("NINEFOLD_TICK_RATE_HZ", "30"), ("NINEFOLD_WORLD_SEED", "0x10")]);
        sources.flags = flags(&[("tick_rate_hz", "20")]).flags;
        let effective = Effective::load(&sources).unwrap();
        assert_eq!((effective.config.tick_rate_hz, effective.config.world_seed), (20, 16));
        assert_eq!(effective.origin("tick_rate_hz").to_string(), "flag --tick-rate-hz");
        let from = effective.origin("world_seed").to_string();
        assert_eq!(from, "environment variable NINEFOLD_WORLD_SEED");
    }

    #[test]
    fn an_unknown_variable_is_an_error_and_finds_the_right_one() {
        assert_eq!(
            error(&env(&[("NINEFOLD_TICK_RATE", "30")])),
            "environment variable NINEFOLD_TICK_RATE: unknown key `tick_rate`; did you mean \
             `NINEFOLD_TICK_RATE_HZ`?"
        );
    }

    #[test]
    fn bounds_are_told() {
        assert_eq!(
            error(&flags(&[("tick_rate_hz", "241")])),
            "flag --tick-rate-hz: `tick_rate_hz` = 241 is out of range; allowed: 1 to 240"
        );
        assert_eq!(
            error(&flags(&[("world_seed", "-1")])),
            "flag --world-seed: `world_seed` = -1 is out of range; allowed: 0 to 18446744073709551615"
        );
    }

    #[test]
    fn keys_that_contradict_each_other_are_told_with_their_remedy() {
        let key = ("private_key_file", "key");
        let open = ("listen", "0.0.0.0:1");
        assert!(error(&flags(&[open])).contains("private_key_file"));
        assert!(error(&flags(&[open, key])).contains("public_addrs"));
        let public = ("public_addrs", "203.0.113.9:1");
        assert!(Effective::load(&flags(&[open, key, public])).is_ok());
        assert!(error(&flags(&[("public_addrs", "203.0.113.9:0")])).contains("port"));
        assert!(error(&flags(&[("public_addrs", "0.0.0.0:9")])).contains("every"));
        let many = vec!["127.0.0.1:1"; 33].join(",");
        assert!(error(&flags(&[("public_addrs", &many)])).contains("32"));
    }

    #[test]
    fn a_log_filter_that_means_nothing_is_refused() {
        for good in ["off", "TRACE", "info,ninefold::chunk=debug", "ninefold=warn"] {
            assert!(Effective::load(&flags(&[("log", good)])).is_ok(), "{good}");
        }
        for bad in ["inof", "info,ninefold::chunk=loud", "", "=,="] {
            assert!(error(&flags(&[("log", bad)])).contains("trace"), "{bad}");
        }
    }
}
