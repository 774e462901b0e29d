//! The `ninefold` command: arguments, logging, and what a person is told when something is wrong.
//!
//! A mistake of the person who runs it is one line on standard error and exit code 2; anything else that
//! goes wrong is one line and exit code 1.
#![forbid(unsafe_code)]

mod cli;
mod mint;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use ninefold::config::{Config, ConfigError, Effective};
use ninefold::picture::{self, MapOptions, PictureError, ViewOptions};
use ninefold::server::{Server, StartError};
use ninefold_world::BuiltIn;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Request, UsageError};
use crate::mint::MintError;

/// What a person can mend.
const EXIT_MISTAKE: u8 = 2;
/// How often a running server is asked whether it still is.
const HEALTH_CHECK: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            // Names and paths may hold anything, and one line is promised.
            let line = format!("{error:#}").replace(char::is_control, "?");
            eprintln!("ninefold: {line}");
            let is_mistake = error.is::<UsageError>()
                || error.is::<ConfigError>()
                || error.is::<StartError>()
                || error.is::<PictureError>()
                || error.downcast_ref::<MintError>().is_some_and(MintError::is_mistake);
            if is_mistake { ExitCode::from(EXIT_MISTAKE) } else { ExitCode::FAILURE }
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    match cli::parse(std::env::args_os(), std::env::vars_os().collect())? {
        Request::Tell(text) => tell(&text),
        Request::Config(sources) => tell(&Effective::load(&sources)?.to_toml()),
        Request::Map(generator, options, out) => map(generator, options, &out),
        Request::View(generator, seed, options, out) => view(generator, seed, options, &out),
        Request::Key(path) => tell(&mint::key(&path)?),
        Request::Token(order) => tell(&mint::token(&order)?),
        Request::Serve(sources) => {
            let config = Effective::load(&sources)?.config;
            init_logging(&config);
            serve(config)
        }
    }
}

/// To standard output; a reader that has seen enough, as in `ninefold config | head`, is no error.
fn tell(text: &str) -> anyhow::Result<ExitCode> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Draws a map and says what is on it.
fn map(generator: BuiltIn, options: MapOptions, out: &Path) -> anyhow::Result<ExitCode> {
    let canvas = picture::map(&*generator.world(options.world_seed), options)?;
    canvas.save(out)?;
    tell(&format!("{}: {} x {} pixels\n", out.display(), canvas.width(), canvas.height()))
}

/// Draws a view and says what was drawn of the ring.
fn view(generator: BuiltIn, seed: u64, options: ViewOptions, out: &Path) -> anyhow::Result<ExitCode> {
    let view = picture::view(&*generator.world(seed), options)?;
    view.canvas.save(out)?;
    let size = format!("{} x {}", view.canvas.width(), view.canvas.height());
    tell(&format!("{}: {size} pixels\n{}\n", out.display(), view.counts))
}

/// For people, to standard error.
fn init_logging(config: &Config) {
    let filter = config.log_filter().expect("the filter was checked with the configuration");
    let is_terminal = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_terminal).with_writer(io::stderr).init();
}

/// Serves until Ctrl-C or SIGTERM, says goodbye to every client, and prints what happened.
fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the server starts, so that no signal can end it without a goodbye.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let server = Server::start(&config, config.generator.world(config.world_seed))?;
        tracing::info!(address = %server.address(), world_seed = config.world_seed, "serving");
        tell(&format!("listening on {}\n", server.address()))?;
        if let Some((address, fingerprint)) = server.quic() {
            tell(&format!("listening for QUIC on {address}, certificate SHA-256 {fingerprint}\n"))?;
        }
        if let Some(address) = server.metrics() {
            tell(&format!("metrics on http://{address}/\n"))?;
        }
        let mut health = tokio::time::interval(HEALTH_CHECK);
        while !server.is_dead() {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = health.tick() => {}
            }
        }
        let is_dead = server.is_dead();
        tracing::info!("stopping");
        tell(&format!("{}\n", server.stop()?))?;
        anyhow::ensure!(!is_dead, "a thread of the server ended by itself");
        Ok(ExitCode::SUCCESS)
    })
}
