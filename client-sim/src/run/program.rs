//! A server in a process of its own, started for a run and ended with it.
//!
//! It is configured as a server in this process would be, listens on loopback at ports that it says on its standard
//! output, and takes the published key of development. What it logs goes where this program's messages go.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ninefold::config::Config;
use rustix::process::{Pid, Signal, kill_process};

use super::crew::Place;
use super::host::config_of;
use crate::scenario::Scenario;

/// It has so long to say goodbye before it is killed.
const GOODBYE_WITHIN: Duration = Duration::from_secs(5);
/// While it does, it is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A server's process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    /// What was started.
    pub path: PathBuf,
    /// Where it is.
    pub place: Place,
    /// Where it tells its state.
    pub metrics: SocketAddr,
    process: Child,
    /// Open as long as it runs: its last words go there.
    _words: BufReader<ChildStdout>,
}

/// Ends a process that has not come to be a server.
struct Unfinished(Option<Child>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.as_mut().into_iter().for_each(end);
    }
}

impl Program {
    /// Starts it as the scenario wants it, and waits until it listens.
    pub fn start(path: &Path, scenario: &Scenario) -> anyhow::Result<Program> {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config { metrics_listen: Some(any_port), ..config_of(scenario) };
        let mut command = Command::new(path);
        // What this process was told is not meant for it.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NINEFOLD_"))
        {
            command.env_remove(name);
        }
        command.args(["serve", "--config", "/dev/stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let process = command.spawn().with_context(|| format!("--server-program {}", path.display()))?;
        let mut unfinished = Unfinished(Some(process));
        let Some(process) = &mut unfinished.0 else { unreachable!("it was just put there") };
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (stdin, stdout) = pipes.expect("both were asked for");
        let mut words = BufReader::new(stdout);
        let said = tell(stdin, &config).and_then(|()| listen(&mut words, config.quic_listen.is_some()));
        let (place, metrics) =
            said.with_context(|| format!("--server-program {}: it is no server", path.display()))?;
        let process = unfinished.0.take().expect("nobody else takes it");
        Ok(Program { path: path.to_owned(), place, metrics, process, _words: words })
    }

    /// Whether it has ended by itself.
    pub fn is_dead(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("the server's process has no id")?, Signal::TERM)?;
        let until = Instant::now() + GOODBYE_WITHIN;
        loop {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            ensure!(Instant::now() < until, "the server did not end within {GOODBYE_WITHIN:?}");
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// Kills it if it still runs, and lets it go.
fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

/// Gives it its configuration.
fn tell(mut stdin: ChildStdin, config: &Config) -> anyhow::Result<()> {
    for (name, value) in config.shown() {
        writeln!(stdin, "{name} = {value}")?;
    }
    Ok(())
}

/// Hears where it listens, over each carrier and for who asks for its state.
fn listen(words: &mut impl BufRead, has_quic: bool) -> anyhow::Result<(Place, SocketAddr)> {
    let mut line = |begin: &str| -> anyhow::Result<String> {
        let mut line = String::new();
        words.read_line(&mut line)?;
        let rest = line.trim_end().strip_prefix(begin);
        Ok(rest.with_context(|| format!("it said {line:?} and not {begin:?}"))?.to_owned())
    };
    let udp = line("listening on ")?.parse()?;
    let quic = match has_quic {
        true => {
            let said = line("listening for QUIC on ")?;
            let told = said.split_once(", certificate SHA-256 ");
            let (address, fingerprint) = told.with_context(|| format!("no fingerprint in {said:?}"))?;
            Some((address.parse()?, fingerprint.parse()?))
        }
        false => None,
    };
    let metrics = line("metrics on http://")?.trim_end_matches('/').parse()?;
    Ok((Place { udp, quic }, metrics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_say_where_it_is() {
        let hex = "ab".repeat(32);
        let words = format!(
            "listening on 127.0.0.1:40000\nlistening for QUIC on 127.0.0.1:40001, certificate SHA-256 {hex}\n\
             metrics on http://127.0.0.1:9100/\n"
        );
        let (place, metrics) = listen(&mut words.as_bytes(), true).unwrap();
        assert_eq!((place.udp.port(), metrics.port()), (40_000, 9_100));
        assert_eq!(place.quic.map(|(address, _)| address.port()), Some(40_001));
        assert!(listen(&mut words.as_bytes(), false).is_err(), "it was not to have QUIC");
        for wrong in ["", "hello\n", "listening on nowhere\n", "listening on 127.0.0.1:1\n"] {
            assert!(listen(&mut wrong.as_bytes(), false).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_program_that_is_no_server_is_told_by_its_path() {
        let scenario = Scenario::parse(
            Path::new("one.toml"),
            "name = \"one\"\nabout = \"one\"\nseed = 1\n[[group]]\nname = \"a\"\nclients = 1\nbehaviour = \"idle\"\n\
             [[stage]]\nkind = \"hold\"\nseconds = 1\n",
        );
        let scenario = scenario.unwrap();
        for path in ["/nonexistent/ninefold", "/bin/true"] {
            let error = format!("{:#}", Program::start(Path::new(path), &scenario).unwrap_err());
            assert!(error.contains(path), "{error}");
        }
    }
}
