//! `ninefold-terminal`: a top-down client in the terminal, built on the client library.
//!
//! [`view`] holds what one picture shows, [`draw`] makes the picture of it, [`input`] reads the keys, [`app`] is in
//! between, and this file has the loop.
#![forbid(unsafe_code)]

mod app;
mod draw;
mod input;
mod screen;
mod token;
mod view;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration as StdDuration;

use anyhow::{Context, bail};
use clap::Parser;
use ninefold_client::net::{Driver, Trust};
use ninefold_client::protocol::connection::{ClientState, Fingerprint};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::{ClientConfig, EndReason};
use ratatui::crossterm::event::{self, Event as TerminalEvent};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::app::App;
use crate::draw::colour::Depth;
use crate::screen::Screen;

/// From one picture to the next: 30 a second.
const PICTURE_EVERY: Duration = Duration::from_us(33_333);
/// A key waits at most so long.
const KEYS_EVERY: Duration = Duration::from_ms(8);
/// Keys that are taken in one go.
const KEYS_AT_ONCE_MAX: usize = 256;
/// A socket that cannot be read is tried again after so long.
const SOCKET_AGAIN_AFTER: StdDuration = StdDuration::from_millis(20);
/// What is told to who started this when its terminal has gone: 128 and the signal's number.
const HUNG_UP: i32 = 129;
/// Ids of players that did not choose one are below this.
const RANDOM_IDS: u64 = 1_000_000;

#[derive(Debug, Parser)]
#[command(name = "ninefold-terminal", version, about = "Walk in a ninefold world, in the terminal")]
struct Arguments {
    /// The file with your connect token, from a matchmaker or `ninefold token`. Without one, a server in
    /// development on this machine is joined.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Where the server in development is; over QUIC, where the server listens for QUIC.
    #[arg(long, value_name = "ADDR")]
    server: Option<SocketAddr>,
    /// Who you are, in development; at random by default.
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    id: Option<u64>,
    /// Play over QUIC.
    #[arg(long, requires = "fingerprint")]
    quic: bool,
    /// The SHA-256 of the server's certificate, as the server prints it when it starts; for QUIC.
    #[arg(long, value_name = "HEX", requires = "quic")]
    fingerprint: Option<Fingerprint>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ninefold-terminal: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (mut driver, server) = join(arguments)?;
    // The terminal is given back after these, too.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot listen for signals")?;
    }
    // The terminal has gone: there is nothing to give back, and nobody to ask for keys.
    let always = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_shutdown(SIGHUP, HUNG_UP, always)
        .context("cannot listen for signals")?;
    let mut screen = Screen::take().context("this needs a terminal to play in")?;
    let mut app = App::new(server.to_string(), screen.tells_releases());
    let played = play(&mut driver, &mut app, &mut screen, &stop);
    drop(screen);
    match played? {
        None => Ok(()),
        Some(reason) => bail!(why_it_ended(reason, server, app.was_in(), arguments)),
    }
}

/// Begins to connect.
fn join(arguments: &Arguments) -> anyhow::Result<(Driver, SocketAddr)> {
    let in_development = || SocketAddr::from(([127, 0, 0, 1], 40_000));
    let token = match &arguments.token {
        Some(path) => token::read(path)?,
        None => {
            let id = match arguments.id {
                Some(id) => id,
                None => u64::from_le_bytes(token::random()?) % RANDOM_IDS,
            };
            token::development(arguments.server.unwrap_or_else(in_development), id)?
        }
    };
    let named = arguments.server.or(token.server_addresses.first().copied());
    let server = named.context("the connect token lists no server")?;
    let config = ClientConfig::default();
    let driver = match arguments.fingerprint {
        Some(fingerprint) => Driver::quic(&config, &token, server, &Trust::Fingerprint(fingerprint))?,
        None => Driver::udp(&config, &token)?,
    };
    Ok((driver, server))
}

/// Plays until the player leaves, which has no reason, or the session ends, which has one.
fn play(
    driver: &mut Driver,
    app: &mut App,
    screen: &mut Screen,
    stop: &AtomicBool,
) -> anyhow::Result<Option<EndReason>> {
    let depth = Depth::of(std::env::var("COLORTERM").ok().as_deref());
    let mut draw_at = Instant::ZERO;
    loop {
        // Asked for keys, a terminal that has gone answers at once, and for ever, with nothing.
        if !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        for _ in 0..KEYS_AT_ONCE_MAX {
            if !event::poll(StdDuration::ZERO)? {
                break;
            }
            match event::read()? {
                TerminalEvent::Key(key) => app.key(driver.now(), key),
                TerminalEvent::FocusLost => app.looks_away(),
                _ => {}
            }
        }
        if app.quits() || stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let input = app.input(driver.now());
        driver.client_mut().set_input(input);
        if let Err(error) = driver.step() {
            app.tell(driver.now(), format!("the network is gone: {error}"));
            std::thread::sleep(SOCKET_AGAIN_AFTER);
        }
        while let Some(event) = driver.client_mut().poll_event() {
            app.happened(driver.now(), &event);
        }
        if let Some(reason) = driver.client().ended() {
            return Ok(Some(reason));
        }
        let now = driver.now();
        if now >= draw_at {
            // A picture that comes late does not make the next ones come sooner.
            draw_at = (draw_at + PICTURE_EVERY).max(now);
            let view = app.view(driver, screen.size()?);
            screen.draw(|frame| draw::draw(&view, depth, frame))?;
        }
        driver.wait(draw_at.since(driver.now()).min(KEYS_EVERY))?;
    }
}

/// In words, and what to do.
fn why_it_ended(reason: EndReason, server: SocketAddr, was_in: bool, arguments: &Arguments) -> String {
    match reason {
        EndReason::Connection(ClientState::ConnectionDenied) => format!("the server at {server} is full"),
        EndReason::Connection(ClientState::TokenExpired) => {
            "the connect token has expired; ask for a new one".to_owned()
        }
        EndReason::Connection(ClientState::TimedOut) if was_in => {
            format!("the server at {server} has fallen silent")
        }
        EndReason::Connection(_) if was_in => format!("the server at {server} has ended the session"),
        EndReason::Connection(_) if arguments.token.is_some() => format!(
            "no server at {server} lets us in: it is not running, or the token was made for another one"
        ),
        EndReason::Connection(_) => format!(
            "no server at {server} lets us in. Start one with `cargo run --release`; one that has a key of its own \
             wants a token, which `ninefold token` makes"
        ),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
        assert!(Arguments::try_parse_from(["x", "--quic"]).is_err(), "nobody would be believed");
    }

    #[test]
    fn every_end_says_what_to_do() {
        let server = "127.0.0.1:40000".parse().unwrap();
        let arguments = Arguments::parse_from(["x"]);
        let why = |state, was_in| why_it_ended(EndReason::Connection(state), server, was_in, &arguments);
        assert!(why(ClientState::RequestTimedOut, false).contains("cargo run --release"));
        assert!(why(ClientState::TimedOut, true).contains("fallen silent"));
        assert!(why(ClientState::Disconnected, true).contains("has ended the session"));
    }
}
