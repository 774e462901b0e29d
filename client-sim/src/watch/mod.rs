//! A run to look at while it goes: stage and progress, clients, charts of the last minutes, what the generator's audit says,
//! and the objectives as they stand.
//!
//! [`Scene`] is what is shown, taken from a [`Glimpse`]; `draw` puts it into any terminal's buffer; [`Watch`] owns the real
//! one, which it gives back on every way out: at the end, on a panic, and on Ctrl-C, which is a key here and asks the
//! run to end.

mod draw;
mod look;
mod scene;

pub use draw::draw;
pub use look::Look;
pub use scene::{Scene, Standing};

use std::io::{self, IsTerminal, Stderr, stderr};
use std::sync::Once;

use ninefold_client::protocol::time::Duration;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};

use crate::run::Glimpse;

/// It is drawn this often at most.
const DRAW_EVERY: Duration = Duration::from_ms(100);
/// Key presses that are looked at each time.
const KEYS_MAX: usize = 16;

/// The view on the terminal that the program runs in.
#[derive(Debug)]
pub struct Watch {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    scene: Scene,
    drawn_at: Option<Duration>,
    is_ending: bool,
}

impl Watch {
    /// Takes the terminal over; `None` where there is none to draw on and to press keys in. Tables go to standard
    /// output as ever: it draws on standard error.
    pub fn begin() -> io::Result<Option<Watch>> {
        if !stderr().is_terminal() || !io::stdin().is_terminal() {
            return Ok(None);
        }
        restore_on_panic();
        enable_raw_mode()?;
        let begun = execute!(stderr(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stderr())));
        match begun {
            Ok(terminal) => {
                Ok(Some(Watch { terminal, scene: Scene::default(), drawn_at: None, is_ending: false }))
            }
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Looks at the run; says whether somebody wants it to end.
    pub fn look(&mut self, glimpse: &Glimpse<'_>) -> io::Result<bool> {
        let is_due = self.drawn_at.is_none_or(|at| glimpse.elapsed >= at + DRAW_EVERY);
        if !is_due && !glimpse.is_new_second {
            return Ok(self.is_ending);
        }
        self.drawn_at = Some(glimpse.elapsed);
        for _ in 0..KEYS_MAX {
            if !event::poll(std::time::Duration::ZERO)? {
                break;
            }
            self.is_ending |= wants_end(&event::read()?);
        }
        self.scene.take(glimpse);
        self.scene.is_ending = self.is_ending;
        let scene = &self.scene;
        self.terminal.draw(|frame| draw(scene, frame))?;
        Ok(self.is_ending)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        restore();
    }
}

fn wants_end(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let is_ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (is_ctrl_c || key.code == KeyCode::Char('q'))
}

/// Gives the terminal back. Whatever fails, there is nothing better to do.
fn restore() {
    let _ = execute!(stderr(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// A panic's message is worth nothing on a screen that goes away.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            hook(info);
        }));
    });
}

#[cfg(test)]
mod tests;
