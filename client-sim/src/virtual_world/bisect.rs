//! The state after every tick, written down by one build and compared by another: the first tick in which they differ,
//! and in which part.
//!
//! A log is text: a line that says what was run, then a line for each tick with its number and a hash for each part.

use std::fmt;
use std::io::{self, BufRead, Write};

use super::digest::Digest;
use super::run::Witness;
use super::world::World;

/// What a log begins with; another form of it gets another number.
const HEADING: &str = "ninefold virtual log 1";

/// Why a log cannot be compared with.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is none, or of another form.
    #[error("line {0} is not of such a log; write one with --log")]
    Form(usize),
    /// It was written for another run.
    #[error(
        "it was written for \"{written}\", and this is \"{here}\"; give the same scenario, seed and options"
    )]
    OtherRun {
        /// What it says.
        written: String,
        /// What this run is.
        here: String,
    },
}

/// Writes down the state after every tick.
pub struct Log<W> {
    into: W,
    /// The first error; nothing is written after it.
    pub error: Option<io::Error>,
}

impl<W: Write> Log<W> {
    /// A log of a run that is called so.
    pub fn begin(mut into: W, run: &str) -> io::Result<Log<W>> {
        writeln!(into, "{HEADING}: {run}")?;
        Ok(Log { into, error: None })
    }

    /// Notes the state after a tick.
    pub fn note(&mut self, world: &World) {
        let Some(host) = &world.host else { return };
        if self.error.is_some() {
            return;
        }
        let line = entry(world.hosts, host.tick.number(), &Digest::of(world));
        self.error = writeln!(self.into, "{line}").err();
    }

    /// Says whether all was written.
    pub fn end(mut self) -> io::Result<()> {
        match self.error {
            Some(error) => Err(error),
            None => self.into.flush(),
        }
    }
}

fn entry(host: u64, tick: u64, digest: &Digest) -> String {
    let parts = digest.parts().map(|part| format!("{part:016x}"));
    format!("{host}.{tick} {}", parts.join(" "))
}

/// Where two builds part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parting {
    /// The server and its tick, as `server.tick`.
    pub tick: String,
    /// Virtual microseconds since the beginning.
    pub at_us: u64,
    /// The parts of the state that differ; empty if the other build has no such tick.
    pub parts: Vec<&'static str>,
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parting { tick, at_us, parts } = self;
        write!(f, "tick {tick}, {} ms: ", at_us / 1_000)?;
        match parts.as_slice() {
            [] => write!(f, "the log has another tick there, or none"),
            parts => write!(f, "{} differ", parts.join(", ")),
        }
    }
}

/// Compares a run with a log.
pub struct Comparison<R> {
    log: R,
    lines: usize,
    /// The first difference.
    pub parting: Option<Parting>,
    /// What went wrong in reading.
    pub error: Option<LogError>,
    /// Ticks that were the same.
    pub same: u64,
}

impl<R: BufRead> Comparison<R> {
    /// With a log of a run that is called so.
    pub fn begin(mut log: R, run: &str) -> Result<Comparison<R>, LogError> {
        let mut line = String::new();
        log.read_line(&mut line)?;
        let written = line.trim_end().strip_prefix(HEADING).and_then(|rest| rest.strip_prefix(": "));
        match written {
            None => Err(LogError::Form(1)),
            Some(written) if written != run => {
                Err(LogError::OtherRun { written: written.to_owned(), here: run.to_owned() })
            }
            Some(_) => Ok(Comparison { log, lines: 1, parting: None, error: None, same: 0 }),
        }
    }

    /// Compares the state after a tick; after the first difference nothing more.
    pub fn compare(&mut self, world: &World) {
        let Some(host) = &world.host else { return };
        if self.parting.is_some() || self.error.is_some() {
            return;
        }
        let mut line = String::new();
        self.lines += 1;
        if let Err(error) = self.log.read_line(&mut line) {
            self.error = Some(error.into());
            return;
        }
        let here = entry(world.hosts, host.tick.number(), &Digest::of(world));
        if here == line.trim_end() {
            self.same += 1;
            return;
        }
        let (mut ours, mut theirs) = (here.split(' '), line.trim_end().split(' '));
        let (our_tick, their_tick) = (ours.next(), theirs.next());
        let differ = |(name, (ours, theirs)): (&'static str, (&str, &str))| (ours != theirs).then_some(name);
        let parts = if our_tick == their_tick {
            Digest::PARTS.into_iter().zip(ours.zip(theirs)).filter_map(differ).collect()
        } else {
            Vec::new()
        };
        let tick = format!("{}.{}", world.hosts, host.tick.number());
        self.parting = Some(Parting { tick, at_us: world.elapsed_us(), parts });
    }
}

impl<W: Write> Witness for Log<W> {
    fn second(&mut self, _: u64, _: &Digest) {}

    fn tick(&mut self, world: &World) {
        self.note(world);
    }
}

impl<R: BufRead> Witness for Comparison<R> {
    fn second(&mut self, _: u64, _: &Digest) {}

    fn tick(&mut self, world: &World) {
        self.compare(world);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtual_world::plan::Plan;
    use crate::virtual_world::run::{Manner, run};

    fn log(seed: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut log = Log::begin(&mut bytes, "a walk").unwrap();
        run(&Plan::walk(2, 1), Manner { seed, ..Manner::default() }, &mut log);
        log.end().unwrap();
        bytes
    }

    fn compared(log: &[u8]) -> Comparison<&[u8]> {
        let mut comparison = Comparison::begin(log, "a walk").unwrap();
        run(&Plan::walk(2, 1), Manner { seed: 3, ..Manner::default() }, &mut comparison);
        comparison
    }

    #[test]
    fn a_run_is_the_same_as_its_own_log_and_parts_from_another_where_that_was_changed() {
        let own = log(3);
        let comparison = compared(&own);
        assert!(comparison.parting.is_none() && comparison.same >= 300, "{:?}", comparison.parting);
        // The eleventh tick's doors are others: as if another build had opened one.
        let text = String::from_utf8(own).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut parts: Vec<String> = lines[11].split(' ').map(str::to_owned).collect();
        parts[2] = "0123456789abcdef".into();
        lines[11] = parts.join(" ");
        let comparison = compared(lines.join("\n").as_bytes()).parting.unwrap();
        assert_eq!((comparison.tick.as_str(), comparison.parts.as_slice()), ("1.11", &["doors"][..]));
    }

    #[test]
    fn a_log_of_something_else_is_refused_in_a_line() {
        let refused = |bytes: &[u8]| Comparison::begin(bytes, "a walk").err().map(|e| e.to_string());
        assert!(refused(b"hello").unwrap().starts_with("line 1"));
        let other = Log::begin(Vec::new(), "a run").unwrap().into;
        assert!(refused(&other).unwrap().contains("\"a run\""));
    }
}
