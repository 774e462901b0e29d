//! How a run is looked at: on the whole screen, as a line, or not at all; and how somebody ends it before its time.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Watch;
use crate::run::{Glimpse, Progress};

/// Looks at a run.
pub struct Look {
    view: View,
    /// Set by SIGINT and SIGTERM.
    is_ending: Arc<AtomicBool>,
}

enum View {
    Screen(Box<Watch>),
    Line(Progress),
}

impl Look {
    /// Takes the screen if there is one; `quiet` shows nothing. From now on SIGINT and SIGTERM end the run in good
    /// order, and the second one ends the program.
    pub fn begin(quiet: bool) -> anyhow::Result<Look> {
        let screen = if quiet { None } else { Watch::begin().context("the terminal cannot be drawn on")? };
        let view = screen.map(|watch| View::Screen(Box::new(watch)));
        Self::with_view(view.unwrap_or_else(|| View::Line(Progress::new(quiet))))
    }

    /// The same without the screen: a line where there is a terminal.
    pub fn line(quiet: bool) -> anyhow::Result<Look> {
        Self::with_view(View::Line(Progress::new(quiet)))
    }

    fn with_view(view: View) -> anyhow::Result<Look> {
        let is_ending = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal only sets the flag that makes the second one end everything.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_ending))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&is_ending)))
                .context("signals cannot be handled")?;
        }
        Ok(Look { view, is_ending })
    }

    /// Looks; breaks when the run is to end.
    pub fn look(&mut self, glimpse: &Glimpse<'_>) -> ControlFlow<()> {
        let wants_end = match &mut self.view {
            View::Line(progress) => {
                progress.look(glimpse);
                false
            }
            View::Screen(watch) => match watch.look(glimpse) {
                Ok(wants_end) => wants_end,
                // A terminal that went away cannot be looked at, nor told so; the run is not worse for it.
                Err(_) => {
                    self.view = View::Line(Progress::new(true));
                    false
                }
            },
        };
        if wants_end {
            self.is_ending.store(true, Ordering::Relaxed);
        }
        if self.is_asked_to_end() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether somebody wanted an end.
    pub fn is_asked_to_end(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// Gives the screen back.
    pub fn finish(self) {
        if let View::Line(progress) = self.view {
            progress.finish();
        }
    }
}
