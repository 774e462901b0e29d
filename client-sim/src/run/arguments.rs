//! The arguments of `ninefold-sim run`, and what they make of a scenario.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, value_parser};
use ninefold::key_file;
use ninefold_client::protocol::connection::Fingerprint;
use ninefold_client::protocol::time::Duration;

use super::host::OuterServer;
use super::mint::Tokens;
use super::order::{CACHE_CHUNKS, Order, Target};
use crate::outcome::Limits;
use crate::scenario::{OBJECTIVES_MAX, Objective, SECONDS_MAX, Scenario};

/// The number of the game unless told otherwise: "ninefold" in ASCII.
const PROTOCOL_ID: u64 = u64::from_be_bytes(*b"ninefold");

/// What to run, and how. Other commands that run scenarios take the same.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// The scenario: a TOML file; scenarios/ has some.
    pub scenario: PathBuf,
    /// Test the server at this address, over UDP; without it, one is started in this process.
    #[arg(long, value_name = "ADDR")]
    pub server: Option<SocketAddr>,
    /// Start a server in this process, which is the default.
    #[arg(long, conflicts_with = "server")]
    pub in_process: bool,
    /// Start this program (target/release/ninefold) as the server, in a process of its own on loopback: its memory and CPU
    /// time are then its own.
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["server", "in_process"])]
    pub server_program: Option<PathBuf>,
    /// Where that server is over QUIC.
    #[arg(long, value_name = "ADDR", requires = "server", requires = "quic_fingerprint")]
    pub quic_server: Option<SocketAddr>,
    /// The SHA-256 of the certificate that it shows over QUIC: 64 hexadecimal digits, which it logs when it starts.
    #[arg(long, value_name = "SHA256", requires = "quic_server")]
    pub quic_fingerprint: Option<Fingerprint>,
    /// Where that server tells its state (its --metrics-listen): gives its tick table.
    #[arg(long, value_name = "ADDR", requires = "server")]
    pub server_metrics: Option<SocketAddr>,
    /// The server's private key, to make connect tokens with. Without it, the published one of development.
    #[arg(long, value_name = "FILE", requires = "server", conflicts_with = "token_file")]
    pub key_file: Option<PathBuf>,
    /// Connect tokens, one in base64 on each line, as `ninefold token` writes them; each is for one session.
    #[arg(long, value_name = "FILE", requires = "server")]
    pub token_file: Vec<PathBuf>,
    /// The number of the game, which the server and its tokens agree on.
    #[arg(long, value_name = "N", requires = "server", default_value_t = PROTOCOL_ID)]
    pub protocol_id: u64,
    /// Clients in all; the groups keep their proportions.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub clients: Option<u32>,
    /// All that is by chance follows from it: the world of a server in this process, ways, fates of packets.
    #[arg(long, value_name = "S", value_parser = value_parser!(u64).range(0..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// How long the first ramp takes, as in 30s or 2m; one is put in front where there is none.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub ramp: Option<Duration>,
    /// How long the whole takes, as in 20s or 1h: stages and faults come sooner or later in proportion.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,
    /// Threads for the clients.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// Chunks that each client keeps.
    #[arg(long, value_name = "N", default_value_t = CACHE_CHUNKS as u32, value_parser = value_parser!(u32).range(9..=65_535))]
    pub cache_chunks: u32,
    /// One more objective, as in 'tick_p99<8ms' or 'crossings_without_chunk==0'.
    #[arg(long, value_name = "OBJECTIVE")]
    pub slo: Vec<Objective>,
}

/// A time such as 500ms, 30s, 2m, 1h; a bare number is seconds.
fn time(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let us = match unit.trim() {
        "ms" => 1e3,
        "s" | "" => 1e6,
        "m" | "min" => 60e6,
        "h" => 3_600e6,
        _ => return Err("a time is a number with ms, s, m or h behind it, as in 30s".into()),
    };
    let number: f64 =
        number.parse().map_err(|_| "a time is a number with ms, s, m or h behind it, as in 30s")?;
    let us = number * us;
    let most = f64::from(SECONDS_MAX) * 1e6;
    if us > most { Err("more than a day".into()) } else { Ok(Duration::from_us(us as u64)) }
}

impl RunArguments {
    /// The scenario of the file with what the arguments make of it.
    pub fn scenario(&self) -> anyhow::Result<Scenario> {
        let mut scenario = Scenario::load(&self.scenario)?;
        if let Some(clients) = self.clients {
            scenario = scenario.with_clients(clients)?;
        }
        if let Some(ramp) = self.ramp {
            scenario = scenario.with_ramp(ramp);
        }
        if let Some(duration) = self.duration {
            anyhow::ensure!(duration.as_ms() >= 100, "--duration: a run takes a tenth of a second at least");
            scenario = scenario.with_length(duration);
        }
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        scenario.objectives.extend(self.slo.iter().cloned());
        let objectives = scenario.objectives.len();
        anyhow::ensure!(
            objectives <= OBJECTIVES_MAX,
            "{objectives} objectives; {OBJECTIVES_MAX} are the most"
        );
        Ok(scenario)
    }

    /// What is to be run.
    pub fn order(&self) -> anyhow::Result<Order> {
        let order = Order {
            scenario: self.scenario()?,
            target: self.target()?,
            threads: self.threads as usize,
            cache_chunks: self.cache_chunks as usize,
            limits: Limits::USUAL,
            command: std::env::args().skip(1).collect(),
        };
        order.check()?;
        Ok(order)
    }

    fn target(&self) -> anyhow::Result<Target> {
        if let Some(program) = &self.server_program {
            return Ok(Target::Program(program.clone()));
        }
        let Some(address) = self.server else { return Ok(Target::InProcess) };
        let tokens = match (&self.key_file, &self.token_file[..]) {
            (Some(path), _) => {
                let key = key_file::read(path);
                Tokens::Key(key.map_err(|error| anyhow::anyhow!("--key-file {}: {error}", path.display()))?)
            }
            (None, []) => Tokens::Development,
            (None, files) => Tokens::of_files(files)?,
        };
        let quic = self.quic_server.zip(self.quic_fingerprint);
        let (metrics, protocol_id) = (self.server_metrics, self.protocol_id);
        Ok(Target::Outer(OuterServer { address, quic, metrics, tokens, protocol_id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, ms) in [
            ("30s", 30_000),
            ("2m", 120_000),
            ("500ms", 500),
            ("1h", 3_600_000),
            ("7", 7_000),
            ("1.5 s", 1_500),
        ] {
            assert_eq!(time(text).map(Duration::as_ms), Ok(ms), "{text}");
        }
        for text in ["", "s", "3d", "1.2.3s", "-5s", "25h", "inf"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
