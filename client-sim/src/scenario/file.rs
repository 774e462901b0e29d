//! The scenario file: reading it, and saying in one line what is wrong with it.

use std::fs::File as OsFile;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ninefold::config::{Config, ConfigError, Effective, Origin};
use ninefold_client::protocol::time::Duration;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::fault::{Fault, FaultFile};
use super::group::Group;
use super::objective::Objective;
use super::quantity::Seconds;
use super::stage::{Stage, StageKind};

/// Bytes that a scenario file may have.
pub const SCENARIO_FILE_BYTES_MAX: u64 = 1 << 20;
/// Clients of a run, bursts of joins included.
pub const CLIENTS_MAX: u32 = 20_000;
/// Groups of a scenario.
pub const GROUPS_MAX: usize = 64;
/// Stages of a scenario.
pub const STAGES_MAX: usize = 256;
/// Faults of a scenario.
pub const FAULTS_MAX: usize = 256;
/// Objectives of a run.
pub const OBJECTIVES_MAX: usize = 64;
/// Keys of the configuration that the run sets by itself.
const SERVER_KEYS_OF_THE_RUN: [&str; 4] = ["listen", "quic_listen", "public_addrs", "private_key_file"];

/// A run as it is meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// What it is for, in a line.
    pub about: String,
    /// All that is by chance follows from it.
    pub seed: u64,
    /// The configuration of a server that is started for it.
    pub server: Config,
    /// Whether the file chooses the world; else the seed does.
    pub has_world_seed: bool,
    /// Who plays.
    pub groups: Vec<Group>,
    /// How many, when.
    pub stages: Vec<Stage>,
    /// What breaks.
    pub faults: Vec<Fault>,
    /// What must hold.
    pub objectives: Vec<Objective>,
    /// The file's text.
    pub text: String,
}

/// Why there is no scenario: one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("scenario {}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Something in it is wrong.
    #[error("scenario {}: line {line}: {why}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What, and what is allowed.
        why: String,
    },
    /// What the command line wants of it cannot be.
    #[error("{0}")]
    Order(String),
}

/// As it is in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    about: String,
    seed: u64,
    /// Read by the configuration's own rules.
    #[serde(default)]
    server: Option<Spanned<toml::Table>>,
    #[serde(default)]
    group: Vec<Spanned<Group>>,
    #[serde(default)]
    stage: Vec<Spanned<Stage>>,
    #[serde(default)]
    fault: Vec<Spanned<FaultFile>>,
    #[serde(default)]
    objectives: Objectives,
}

impl Scenario {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
        let text = read(path).map_err(|why| ScenarioError::File { path: path.to_owned(), why })?;
        Scenario::parse(path, &text)
    }

    /// Reads the text of a file; `path` is what errors call it.
    pub fn parse(path: &Path, text: &str) -> Result<Scenario, ScenarioError> {
        let source = Source { path, text };
        let file: File = toml::from_str(text).map_err(|error| source.toml_error(&error))?;
        let server = source.server(file.server.as_ref())?;
        let has_world_seed = file.server.as_ref().is_some_and(|s| s.get_ref().contains_key("world_seed"));
        for (list, entries, max) in [
            ("group", file.group.len(), GROUPS_MAX),
            ("stage", file.stage.len(), STAGES_MAX),
            ("fault", file.fault.len(), FAULTS_MAX),
        ] {
            if entries > max {
                let why = format!("{entries} times [[{list}]]; {max} are the most");
                return Err(ScenarioError::File { path: path.to_owned(), why });
            }
        }
        source.check(&file)?;
        let faults = source.faults(file.fault, &file.group)?;
        let scenario = Scenario {
            name: file.name,
            about: file.about,
            seed: file.seed,
            server,
            has_world_seed,
            groups: file.group.into_iter().map(Spanned::into_inner).collect(),
            stages: file.stage.into_iter().map(Spanned::into_inner).collect(),
            faults,
            objectives: file.objectives.0,
            text: text.to_owned(),
        };
        match scenario.problem() {
            Some(why) => Err(ScenarioError::File { path: path.to_owned(), why }),
            None => Ok(scenario),
        }
    }

    /// What single parts cannot know.
    fn problem(&self) -> Option<String> {
        if self.groups.is_empty() {
            return Some("nobody plays; add a [[group]]".into());
        }
        if self.stages.iter().all(|stage| stage.seconds == Seconds::default()) {
            return Some("it takes no time; add a [[stage]]".into());
        }
        if self.clients() > CLIENTS_MAX.into() {
            return Some(format!("{} clients in all; {CLIENTS_MAX} are the most", self.clients()));
        }
        None
    }

    /// Clients in all, bursts of joins included.
    pub fn clients(&self) -> u64 {
        let bursts = self.faults.iter().map(|fault| match fault.kind {
            super::FaultKind::JoinBurst { clients } => u64::from(clients),
            _ => 0,
        });
        self.groups.iter().map(|group| u64::from(group.clients)).chain(bursts).sum()
    }

    /// How long it takes.
    pub fn length(&self) -> Duration {
        self.stages.iter().fold(Duration::ZERO, |sum, stage| sum + stage.seconds.0)
    }

    /// As many clients in all, the groups in their proportions; each keeps at least one.
    pub fn with_clients(mut self, clients: u32) -> Result<Scenario, ScenarioError> {
        let before: u64 = self.groups.iter().map(|group| u64::from(group.clients)).sum();
        if (clients as usize) < self.groups.len() || clients > CLIENTS_MAX {
            let least = self.groups.len();
            return Err(ScenarioError::Order(format!(
                "--clients {clients}: scenario {} has {least} groups and needs {least} to {CLIENTS_MAX} clients",
                self.name
            )));
        }
        let (mut left, mut left_before) = (u64::from(clients), before);
        let mut others = self.groups.len() as u64;
        for group in &mut self.groups {
            others -= 1;
            let share = (left * u64::from(group.clients) + left_before / 2) / left_before.max(1);
            let share = share.clamp(1, left - others);
            left_before -= u64::from(group.clients);
            left -= share;
            group.clients = share as u32;
        }
        match self.problem() {
            Some(why) => Err(ScenarioError::Order(format!("--clients {clients}: {why}"))),
            None => Ok(self),
        }
    }

    /// With a first ramp that takes so long; one is added where there is none.
    #[must_use]
    pub fn with_ramp(mut self, ramp: Duration) -> Scenario {
        match self.stages.iter_mut().find(|stage| stage.kind == StageKind::Ramp) {
            Some(stage) => stage.seconds = Seconds(ramp),
            None => self.stages.insert(0, Stage::new(StageKind::Ramp, Seconds(ramp))),
        }
        self
    }

    /// With all stages and the times of faults shortened or stretched, so that the whole takes so long.
    #[must_use]
    pub fn with_length(mut self, length: Duration) -> Scenario {
        let before = self.length().as_us().max(1);
        let scaled = |time: &mut Seconds| {
            let us = u128::from(time.0.as_us()) * u128::from(length.as_us()) + u128::from(before) / 2;
            time.0 = Duration::from_us((us / u128::from(before)) as u64);
        };
        self.stages.iter_mut().for_each(|stage| scaled(&mut stage.seconds));
        self.faults.iter_mut().for_each(|fault| scaled(&mut fault.at));
        self
    }
}

/// A file that is being read.
struct Source<'s> {
    path: &'s Path,
    text: &'s str,
}

impl Source<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    fn at(&self, offset: usize, why: String) -> ScenarioError {
        let why = why.replace('\n', "; ");
        ScenarioError::Line { path: self.path.to_owned(), line: self.line(offset), why }
    }

    /// What the parser says, with the key in front where the line has one and the words do not name it.
    fn toml_error(&self, error: &toml::de::Error) -> ScenarioError {
        let offset = error.span().map_or(0, |span| span.start);
        let line = self.text.lines().nth(self.line(offset) - 1).unwrap_or_default();
        let key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| !key.is_empty());
        let why = error.message().to_owned();
        self.at(
            offset,
            match key.filter(|key| !why.contains(&format!("`{key}`"))) {
                Some(key) => format!("`{key}`: {why}"),
                None => why,
            },
        )
    }

    fn server(&self, section: Option<&Spanned<toml::Table>>) -> Result<Config, ScenarioError> {
        if let Some(section) = section
            && let Some(key) = SERVER_KEYS_OF_THE_RUN.iter().find(|key| section.get_ref().contains_key(**key))
        {
            let why = format!("[server]: `{key}` is set by the run itself; leave it out");
            return Err(self.at(section.span().start, why));
        }
        let effective = Effective::of_section(self.path, self.text, "server");
        effective.map(|effective| effective.config).map_err(|error| self.config_error(&error))
    }

    /// A mistake in `[server]`, told as the scenario's.
    fn config_error(&self, error: &ConfigError) -> ScenarioError {
        let all = error.to_string();
        let Some(origin @ Origin::File { line, .. }) = error.origin() else {
            return ScenarioError::File { path: self.path.to_owned(), why: format!("[server]: {all}") };
        };
        let why = all.strip_prefix(&format!("{origin}: ")).unwrap_or(&all);
        let why = format!("[server]: {why}");
        ScenarioError::Line { path: self.path.to_owned(), line: *line, why }
    }

    fn check(&self, file: &File) -> Result<(), ScenarioError> {
        for (n, group) in file.group.iter().enumerate() {
            let name = &group.get_ref().name;
            if file.group[..n].iter().any(|other| other.get_ref().name == *name) {
                return Err(self.at(group.span().start, format!("[[group]]: a second one named `{name}`")));
            }
            if let Some(why) = group.get_ref().problem() {
                return Err(self.at(group.span().start, format!("[[group]] {name}: {why}")));
            }
        }
        for stage in &file.stage {
            if let Some(why) = stage.get_ref().problem() {
                return Err(self.at(stage.span().start, format!("[[stage]]: {why}")));
            }
        }
        Ok(())
    }

    fn faults(
        &self,
        files: Vec<Spanned<FaultFile>>,
        groups: &[Spanned<Group>],
    ) -> Result<Vec<Fault>, ScenarioError> {
        let fault = |file: Spanned<FaultFile>| {
            let at = file.span().start;
            let fault = file.into_inner().fault().map_err(|why| self.at(at, format!("[[fault]]: {why}")))?;
            let Some(name) = &fault.group else { return Ok(fault) };
            if groups.iter().any(|group| group.get_ref().name == *name) {
                return Ok(fault);
            }
            let known: Vec<&str> = groups.iter().map(|g| g.get_ref().name.as_str()).collect();
            let why = format!("[[fault]]: no group is named `{name}`; there are: {}", known.join(", "));
            Err(self.at(at, why))
        };
        files.into_iter().map(fault).collect()
    }
}

/// `[objectives]`, in the order of the file.
#[derive(Default)]
struct Objectives(Vec<Objective>);

impl<'de> Deserialize<'de> for Objectives {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// The comparison behind a name, so that an error has the line of its own.
        struct Behind(String);
        impl<'de> DeserializeSeed<'de> for Behind {
            /// With its place in the file: the table has them by name.
            type Value = (usize, Objective);

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
                let comparison = Spanned::<String>::deserialize(from)?;
                let objective = Objective::new(&self.0, comparison.get_ref());
                Ok((comparison.span().start, objective.map_err(serde::de::Error::custom)?))
            }
        }
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Objectives;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of figures, each with a comparison such as \"< 8ms\"")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Objectives, A::Error> {
                let mut objectives = Vec::new();
                while let Some(name) = table.next_key::<String>()? {
                    objectives.push(table.next_value_seed(Behind(name))?);
                }
                if objectives.len() > OBJECTIVES_MAX {
                    return Err(serde::de::Error::custom(format_args!(
                        "more than {OBJECTIVES_MAX} objectives"
                    )));
                }
                objectives.sort_by_key(|(at, _)| *at);
                Ok(Objectives(objectives.into_iter().map(|(_, objective)| objective).collect()))
            }
        }
        from.deserialize_map(Table)
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = OsFile::open(path);
    file.and_then(|file| file.take(SCENARIO_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(
        |error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
            _ => error.to_string(),
        },
    )?;
    if bytes.len() as u64 > SCENARIO_FILE_BYTES_MAX {
        return Err("it has more than 1 MiB, too much for a scenario".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

#[cfg(test)]
mod tests;
