//! What one picture shows: the last state, the ticks of a while, and how fast counters grow.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::watch::News;
use crate::telemetry::State;
use crate::telemetry::state::RecentTick;

/// Ticks that are kept to be drawn: more than any screen is wide.
const TICKS_MAX: usize = 2_048;
/// Rates are of about so long.
const RATE_SPAN: Duration = Duration::from_secs(1);
/// States that are kept for rates.
const STATES_MAX: usize = 16;
/// A word to the one who looks stands for so long.
const SAID_FOR: Duration = Duration::from_secs(5);

/// How tall a tick is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Each row is some factor more: short ticks and the budget in one picture.
    Logarithmic,
    /// From nothing to the budget, or to the longest tick.
    Linear,
}

/// What is shown.
#[derive(Debug)]
pub struct View {
    /// Where the server is.
    pub name: String,
    /// How tall ticks are drawn.
    pub scale: Scale,
    /// Whether the picture is held.
    pub is_held: bool,
    /// Ticks, the oldest first.
    pub ticks: VecDeque<RecentTick>,
    /// States of about the last second, the oldest first.
    states: VecDeque<State>,
    /// Since when the server is silent, and why.
    silent: Option<(Instant, String)>,
    said: Option<(Instant, String)>,
    now: Option<Instant>,
}

impl View {
    /// Nothing was heard yet.
    pub fn new(name: String) -> View {
        View {
            name,
            scale: Scale::Logarithmic,
            is_held: false,
            ticks: VecDeque::new(),
            states: VecDeque::new(),
            silent: None,
            said: None,
            now: None,
        }
    }

    /// Takes news that came at `at`.
    pub fn hear(&mut self, at: Instant, news: News) {
        match news {
            News::State(state) => {
                self.silent = None;
                if !self.is_held {
                    self.take(*state);
                }
            }
            News::Silent(why) => {
                let since = self.silent.take().map_or(at, |(since, _)| since);
                self.silent = Some((since, why));
            }
            News::Told(what) => self.say(at, &what),
        }
    }

    fn take(&mut self, mut state: State) {
        let is_another = self.state().is_some_and(|last| state.server.uptime_s < last.server.uptime_s);
        if is_another {
            self.states.clear();
            self.ticks.clear();
        }
        let last = self.last_tick();
        let fresh = std::mem::take(&mut state.ticks.recent);
        self.ticks.extend(fresh.into_iter().filter(|tick| tick.number > last));
        self.ticks.drain(..self.ticks.len().saturating_sub(TICKS_MAX));
        let written = |state: &State| state.recorder.written;
        if self.state().is_some_and(|before| written(before) < written(&state)) {
            let file = state.recorder.last.clone().unwrap_or_default();
            self.said = self.now.map(|now| (now, format!("a trace was written: {file}")));
        }
        self.states.push_back(state);
        let newest = self.states.back().map_or(0.0, |s| s.server.uptime_s);
        // One older than the span is kept, to count from.
        while self.states.len() > STATES_MAX
            || self.states.get(1).is_some_and(|s| newest - s.server.uptime_s >= RATE_SPAN.as_secs_f64())
        {
            self.states.pop_front();
        }
    }

    /// The time of the coming picture.
    pub fn now(&mut self, now: Instant) {
        self.now = Some(now);
        if self.said.as_ref().is_some_and(|(at, _)| now.duration_since(*at) > SAID_FOR) {
            self.said = None;
        }
    }

    /// A word to the one who looks.
    pub fn say(&mut self, at: Instant, what: &str) {
        self.said = Some((at, what.to_owned()));
    }

    /// The word that stands.
    pub fn said(&self) -> Option<&str> {
        self.said.as_ref().map(|(_, what)| what.as_str())
    }

    /// Holds the picture, or lets it go on.
    pub fn hold(&mut self) {
        self.is_held = !self.is_held;
    }

    /// The other scale.
    pub fn change_scale(&mut self) {
        self.scale = match self.scale {
            Scale::Logarithmic => Scale::Linear,
            Scale::Linear => Scale::Logarithmic,
        };
    }

    /// The last state.
    pub fn state(&self) -> Option<&State> {
        self.states.back()
    }

    /// The number of the last tick; 0 before the first.
    pub fn last_tick(&self) -> u64 {
        self.ticks.back().map_or(0, |tick| tick.number)
    }

    /// For how long the server has been silent, in seconds, and why.
    pub fn silence(&self) -> Option<(u64, &str)> {
        let (since, why) = self.silent.as_ref()?;
        let now = self.now.unwrap_or(*since);
        Some((now.duration_since(*since).as_secs(), why))
    }

    /// How fast something of the state grew, a second; `None` before there are two states.
    pub fn rate(&self, of: impl Fn(&State) -> f64) -> Option<f64> {
        let (first, last) = (self.states.front()?, self.states.back()?);
        let seconds = last.server.uptime_s - first.server.uptime_s;
        (seconds > 0.0).then(|| (of(last) - of(first)).max(0.0) / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(uptime_s: f64, ticks: std::ops::Range<u64>, made: u64) -> News {
        let mut state = State::default();
        state.server.uptime_s = uptime_s;
        state.counters.entry("chunks".into()).or_default().insert("made".into(), made);
        state.ticks.recent = ticks.map(|number| RecentTick { number, ..RecentTick::default() }).collect();
        News::State(Box::new(state))
    }

    fn numbers(view: &View) -> Vec<u64> {
        view.ticks.iter().map(|tick| tick.number).collect()
    }

    #[test]
    fn ticks_are_kept_once_and_rates_are_of_the_last_second() {
        let (mut view, at) = (View::new("x".into()), Instant::now());
        for n in 0..30u64 {
            view.hear(at, state(n as f64 / 10.0, n + 1..n + 5, 10 * n));
        }
        assert_eq!(numbers(&view), (1..=33).collect::<Vec<_>>());
        let made = view.rate(|state| state.counters["chunks"]["made"] as f64).unwrap();
        assert!((made - 100.0).abs() < 1.0 && view.states.len() <= 12, "{made}");
    }

    #[test]
    fn another_server_at_the_same_place_begins_anew() {
        let (mut view, at) = (View::new("x".into()), Instant::now());
        view.hear(at, state(100.0, 500..600, 5));
        view.hear(at, News::Silent("refused".into()));
        assert_eq!(view.silence(), Some((0, "refused")));
        view.now(at + Duration::from_secs(3));
        view.hear(at + Duration::from_secs(3), News::Silent("refused".into()));
        assert_eq!(view.silence(), Some((3, "refused")));
        view.hear(at, state(1.0, 1..3, 0));
        assert_eq!((numbers(&view), view.silence(), view.rate(|_| 1.0)), (vec![1, 2], None, None));
    }

    #[test]
    fn a_held_picture_stays_and_still_says_when_the_server_goes() {
        let (mut view, at) = (View::new("x".into()), Instant::now());
        view.hear(at, state(1.0, 1..3, 0));
        view.hold();
        view.hear(at, state(2.0, 3..5, 0));
        view.hear(at, News::Silent("gone".into()));
        assert_eq!((numbers(&view), view.silence()), (vec![1, 2], Some((0, "gone"))));
    }
}
