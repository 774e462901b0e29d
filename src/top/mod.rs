//! `ninefold top`: a running server on a second screen, live, from its `/state`.
//!
//! ```text
//!   watcher thread ── asks ten times a second, never longer than a second ──▶ channel of one ──▶ this thread:
//!   server's /state                                                                keys, View, draw
//! ```
//!
//! `view` holds what one picture shows, `draw` makes the picture of it, `watch` asks the server. The picture goes on
//! when the server does not answer, and says so.

mod draw;
mod plain;
mod view;
mod watch;

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use self::view::View;
use self::watch::{Order, Watcher};
use crate::metrics::FetchError;

/// From one picture to the next at most.
const PICTURE_EVERY: Duration = Duration::from_millis(100);
/// Time that a name has to become an address.
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(3);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopOptions {
    /// Where the server shows its figures: an address and port, or the link that it prints.
    pub address: String,
    /// One picture as plain text, and no more.
    pub once: bool,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// It cannot be understood, or nobody knows the name.
    #[error("{address:?} is no address: {why}; give the one of --metrics, as in 127.0.0.1:9109")]
    Address {
        /// What was given.
        address: String,
        /// Why.
        why: String,
    },
    /// There is nobody to look.
    #[error("this needs a terminal; `--once` prints one picture as text")]
    NoTerminal,
    /// The server was asked once, and did not answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The terminal failed.
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

impl TopError {
    /// Whether the person who asks can mend it.
    pub fn is_mistake(&self) -> bool {
        matches!(self, TopError::Address { .. } | TopError::NoTerminal)
    }
}

/// Shows the server until somebody leaves. With [`TopOptions::once`] the text of the picture comes back.
pub fn run(options: &TopOptions) -> Result<Option<String>, TopError> {
    let address = resolve(&options.address)?;
    if options.once {
        return plain::picture(address).map(Some);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(TopError::NoTerminal);
    }
    let watcher = Watcher::start(address)?;
    let mut terminal = ratatui::try_init()?;
    let mut view = View::new(address.to_string());
    let ended = look(&mut terminal, &watcher, &mut view);
    ratatui::restore();
    ended.map(|()| None)
}

/// Draws and reads keys until somebody leaves.
fn look(terminal: &mut ratatui::DefaultTerminal, watcher: &Watcher, view: &mut View) -> Result<(), TopError> {
    loop {
        let began = Instant::now();
        watcher.news().for_each(|news| view.hear(began, news));
        view.now(began);
        terminal.draw(|frame| draw::draw(view, frame.area(), frame.buffer_mut()))?;
        let until = began + PICTURE_EVERY;
        // A key is answered with a picture at once, a held one not with more than can be drawn.
        if event::poll(until.saturating_duration_since(Instant::now()))?
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && !press(key, watcher, view)
        {
            return Ok(());
        }
        // Without its terminal it would ask for keys for ever.
        if !io::stdin().is_terminal() {
            return Ok(());
        }
    }
}

/// Does what a key asks for; says whether to go on.
fn press(key: KeyEvent, watcher: &Watcher, view: &mut View) -> bool {
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('r') => {
            let sent = watcher.order(Order::Record);
            view.say(Instant::now(), if sent { "asking for a trace" } else { "already asking for a trace" });
        }
        KeyCode::Char('p' | ' ') => view.hold(),
        KeyCode::Char('s') => view.change_scale(),
        _ => {}
    }
    true
}

/// What was given, as an address. A link is taken, too, since that is what the server prints.
fn resolve(given: &str) -> Result<SocketAddr, TopError> {
    let wrong = |why: String| TopError::Address { address: given.to_owned(), why };
    let place = given.strip_prefix("http://").unwrap_or(given).trim_end_matches('/').to_owned();
    if let Ok(address) = place.parse() {
        return Ok(address);
    }
    if !place.contains(':') {
        return Err(wrong("it has no port".to_owned()));
    }
    // Names may take the system as long as it likes.
    let (answer, answered) = bounded(1);
    let asked = std::thread::Builder::new().name("ninefold-resolve".into()).spawn(move || {
        let _ = answer.send(place.to_socket_addrs().map(|mut all| all.next()));
    });
    asked.map_err(|error| wrong(error.to_string()))?;
    match answered.recv_timeout(RESOLVE_TIME_MAX) {
        Ok(Ok(Some(address))) => Ok(address),
        Ok(Ok(None)) => Err(wrong("nobody has that name".to_owned())),
        Ok(Err(error)) => Err(wrong(error.to_string())),
        Err(_) => Err(wrong(format!("the name was not found within {} s", RESOLVE_TIME_MAX.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_link_and_a_name_are_understood_and_others_told() {
        let local: SocketAddr = "127.0.0.1:9109".parse().unwrap();
        for given in ["127.0.0.1:9109", "http://127.0.0.1:9109/"] {
            assert_eq!(resolve(given).unwrap(), local, "{given}");
        }
        assert!(resolve("localhost:9109").unwrap().ip().is_loopback());
        for given in ["127.0.0.1", "", "http://", "127.0.0.1:x", "no-such-host.invalid:1", "[::1:5"] {
            let error = resolve(given).unwrap_err();
            assert!(error.is_mistake() && error.to_string().lines().count() == 1, "{error}");
            assert!(error.to_string().contains("as in 127.0.0.1:9109"), "{error}");
        }
    }
}
