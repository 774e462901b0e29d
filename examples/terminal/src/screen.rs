//! The terminal while the game has it, and as it was before when the game is over, in whatever way.

use std::io::{self, stdout};

use ratatui::crossterm::event::{
    DisableFocusChange, EnableFocusChange, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags,
    PushKeyboardEnhancementFlags,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::supports_keyboard_enhancement;
use ratatui::{DefaultTerminal, Frame};

/// The terminal. Dropping it gives it back; a panic does so, too, before it is told of.
#[derive(Debug)]
pub struct Screen {
    terminal: DefaultTerminal,
    tells_releases: bool,
}

impl Screen {
    /// Takes the terminal.
    pub fn take() -> io::Result<Screen> {
        let terminal = ratatui::try_init()?;
        let mut screen = Screen { terminal, tells_releases: false };
        if supports_keyboard_enhancement().unwrap_or(false) {
            let flags = KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES
                | KeyboardEnhancementFlags::REPORT_EVENT_TYPES;
            execute!(stdout(), PushKeyboardEnhancementFlags(flags), EnableFocusChange)?;
            screen.tells_releases = true;
            // Before the hook that leaves the alternate screen: what was pushed there is taken off there.
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                let _ = execute!(stdout(), DisableFocusChange, PopKeyboardEnhancementFlags);
                next(panic);
            }));
        }
        Ok(screen)
    }

    /// Whether it tells when a key is let go.
    pub fn tells_releases(&self) -> bool {
        self.tells_releases
    }

    /// Its columns and rows.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Draws a picture; only what has changed is written.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(picture).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The hooks have given it back, and what they have written stays readable.
        if std::thread::panicking() {
            return;
        }
        if self.tells_releases {
            let _ = execute!(stdout(), DisableFocusChange, PopKeyboardEnhancementFlags);
        }
        ratatui::restore();
    }
}
