//! What the keys say, as a player's input.
//!
//! Most terminals never tell that a key was let go: a walk then lasts while the key repeats. Those with the kitty
//! keyboard protocol tell, and a walk ends with its key.

use std::f64::consts::TAU;

use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::protocol::time::{Duration, Instant};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Where no key is known to be let go: a first press walks so long,
const PRESS_LASTS: Duration = Duration::from_ms(250);
/// and a repeated one so much longer.
const REPEAT_LASTS: Duration = Duration::from_ms(150);
/// A key that is held down repeats sooner than this: it uses a door once.
const USE_AGAIN_AFTER: Duration = Duration::from_ms(700);
/// The eight ways, eastward and southward: east, then clockwise.
const WAYS: [(i16, i16); 8] = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)];

/// What a key means beside walking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Leave.
    Quit,
    /// Show less, larger.
    ZoomIn,
    /// Show more, smaller.
    ZoomOut,
    /// Show who everybody is, or no longer.
    Ids,
}

/// The keys.
#[derive(Debug)]
pub struct Keys {
    /// Whether the terminal tells when a key is let go.
    tells_releases: bool,
    /// Until when each of the [`WAYS`] is walked.
    until: [Option<Instant>; WAYS.len()],
    jumps: bool,
    uses: bool,
    /// When the key for doors last said anything.
    use_heard: Option<Instant>,
    yaw: u16,
}

impl Keys {
    /// No key is down.
    pub fn new(tells_releases: bool) -> Keys {
        Keys { tells_releases, until: [None; WAYS.len()], jumps: false, uses: false, use_heard: None, yaw: 0 }
    }

    /// Takes a key; tells what it means, if it is no move of the player's.
    pub fn take(&mut self, now: Instant, key: KeyEvent) -> Option<Command> {
        let goes_down = key.kind != KeyEventKind::Release;
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return goes_down.then_some(Command::Quit);
        }
        if let Some(way) = way_of(key.code) {
            self.walk(now, way, goes_down);
            return None;
        }
        match key.code {
            KeyCode::Char(' ') => self.jumps |= goes_down,
            KeyCode::Char('e' | 'E') if goes_down => self.use_door(now, key.kind),
            KeyCode::Char('+' | '=') if goes_down => return Some(Command::ZoomIn),
            KeyCode::Char('-' | '_') if goes_down => return Some(Command::ZoomOut),
            KeyCode::Char('i' | 'I') if key.kind == KeyEventKind::Press => return Some(Command::Ids),
            KeyCode::Char('q' | 'Q') | KeyCode::Esc if goes_down => return Some(Command::Quit),
            _ => {}
        }
        None
    }

    /// No key is down any more: a terminal that somebody looks away from does not tell of those that are let go.
    pub fn let_go(&mut self) {
        self.until = [None; WAYS.len()];
    }

    fn walk(&mut self, now: Instant, way: usize, goes_down: bool) {
        if self.tells_releases {
            self.until[way] = goes_down.then_some(Instant::from_us(u64::MAX));
            return;
        }
        let is_repeat = self.until[way].is_some_and(|until| until > now);
        // Who turns round does not first stand still.
        self.until[(way + WAYS.len() / 2) % WAYS.len()] = None;
        let lasts = if is_repeat { REPEAT_LASTS } else { PRESS_LASTS };
        self.until[way] = self.until[way].max(Some(now + lasts));
    }

    fn use_door(&mut self, now: Instant, kind: KeyEventKind) {
        let is_held = match self.tells_releases {
            true => kind == KeyEventKind::Repeat,
            false => self.use_heard.is_some_and(|heard| now.since(heard) < USE_AGAIN_AFTER),
        };
        self.use_heard = Some(now);
        self.uses |= !is_held;
    }

    /// What the player wants now. A button is told once; the client sees to it that no tick misses it.
    pub fn input(&mut self, now: Instant) -> PlayerInput {
        let (mut x, mut z) = (0, 0);
        for (until, way) in self.until.iter().zip(WAYS) {
            if until.is_some_and(|until| until > now) {
                x += way.0;
                z += way.1;
            }
        }
        let (x, z) = (x.signum(), z.signum());
        if (x, z) != (0, 0) {
            let turns = f64::from(z).atan2(f64::from(x)) / TAU;
            self.yaw = (turns.rem_euclid(1.0) * 65_536.0) as u32 as u16;
        }
        let button = |is_pressed: bool, bit: u16| if is_pressed { bit } else { 0 };
        let jumps = button(std::mem::take(&mut self.jumps), PlayerInput::JUMP);
        let buttons = jumps | button(std::mem::take(&mut self.uses), PlayerInput::USE);
        let full = PlayerInput::FULL_SPEED;
        PlayerInput { move_x: x * full, move_z: z * full, yaw: self.yaw, buttons }
    }
}

/// Index into [`WAYS`]: arrows, WASD, and the eight keys of old.
fn way_of(code: KeyCode) -> Option<usize> {
    let code = match code {
        KeyCode::Char(letter) => KeyCode::Char(letter.to_ascii_lowercase()),
        other => other,
    };
    Some(match code {
        KeyCode::Right | KeyCode::Char('d' | 'l') => 0,
        KeyCode::Char('n') => 1,
        KeyCode::Down | KeyCode::Char('s' | 'j') => 2,
        KeyCode::Char('b') => 3,
        KeyCode::Left | KeyCode::Char('a' | 'h') => 4,
        KeyCode::Char('y') => 5,
        KeyCode::Up | KeyCode::Char('w' | 'k') => 6,
        KeyCode::Char('u') => 7,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: i16 = PlayerInput::FULL_SPEED;

    fn at(ms: u64) -> Instant {
        Instant::from_us(1_000_000 + ms * 1_000)
    }

    fn key(code: KeyCode, kind: KeyEventKind) -> KeyEvent {
        KeyEvent::new_with_kind(code, KeyModifiers::NONE, kind)
    }

    fn press(keys: &mut Keys, ms: u64, code: KeyCode) -> Option<Command> {
        keys.take(at(ms), key(code, KeyEventKind::Press))
    }

    fn walks(keys: &mut Keys, ms: u64) -> (i16, i16) {
        let input = keys.input(at(ms));
        (input.move_x, input.move_z)
    }

    #[test]
    fn without_releases_a_walk_lasts_while_the_key_repeats() {
        let mut keys = Keys::new(false);
        press(&mut keys, 0, KeyCode::Right);
        assert_eq!((walks(&mut keys, 249), walks(&mut keys, 250)), ((FULL, 0), (0, 0)));
        press(&mut keys, 500, KeyCode::Right);
        press(&mut keys, 700, KeyCode::Right);
        assert_eq!((walks(&mut keys, 849), walks(&mut keys, 850)), ((FULL, 0), (0, 0)));
    }

    #[test]
    fn with_releases_a_walk_ends_with_its_key() {
        let mut keys = Keys::new(true);
        press(&mut keys, 0, KeyCode::Char('w'));
        press(&mut keys, 10, KeyCode::Char('d'));
        assert_eq!(walks(&mut keys, 9_000), (FULL, -FULL));
        keys.take(at(9_001), key(KeyCode::Char('w'), KeyEventKind::Release));
        assert_eq!(walks(&mut keys, 9_002), (FULL, 0));
    }

    #[test]
    fn who_looks_away_stands() {
        let mut keys = Keys::new(true);
        press(&mut keys, 0, KeyCode::Char('w'));
        keys.let_go();
        assert_eq!(walks(&mut keys, 10), (0, 0));
    }

    #[test]
    fn who_turns_round_does_so_at_once() {
        let mut keys = Keys::new(false);
        press(&mut keys, 0, KeyCode::Char('h'));
        press(&mut keys, 50, KeyCode::Char('l'));
        assert_eq!(walks(&mut keys, 60), (FULL, 0));
    }

    #[test]
    fn a_player_looks_where_it_went_last() {
        let mut keys = Keys::new(false);
        for (ms, code, yaw) in [(0, 's', 16_384), (1_000, 'u', 57_344), (2_000, 'a', 32_768), (3_000, 'l', 0)]
        {
            press(&mut keys, ms, KeyCode::Char(code));
            assert_eq!(keys.input(at(ms)).yaw, yaw, "{code}");
            assert_eq!(keys.input(at(ms + 900)).yaw, yaw, "{code}, standing");
        }
    }

    #[test]
    fn a_held_key_uses_a_door_once() {
        let mut keys = Keys::new(false);
        let uses = |keys: &mut Keys, ms| {
            press(keys, ms, KeyCode::Char('e'));
            keys.input(at(ms)).buttons
        };
        assert_eq!(
            (uses(&mut keys, 0), uses(&mut keys, 500), uses(&mut keys, 530)),
            (PlayerInput::USE, 0, 0)
        );
        assert_eq!(uses(&mut keys, 1_230), PlayerInput::USE);
        let mut keys = Keys::new(true);
        assert_eq!(uses(&mut keys, 0), PlayerInput::USE);
        keys.take(at(10), key(KeyCode::Char('e'), KeyEventKind::Repeat));
        assert_eq!(keys.input(at(10)).buttons, 0);
        assert_eq!(uses(&mut keys, 50), PlayerInput::USE);
    }

    #[test]
    fn a_button_is_told_once_and_commands_are_no_input() {
        let mut keys = Keys::new(false);
        press(&mut keys, 0, KeyCode::Char(' '));
        assert_eq!((keys.input(at(0)).buttons, keys.input(at(1)).buttons), (PlayerInput::JUMP, 0));
        assert_eq!(press(&mut keys, 2, KeyCode::Char('+')), Some(Command::ZoomIn));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(keys.take(at(3), interrupt), Some(Command::Quit));
        assert_eq!(keys.input(at(4)), PlayerInput::default());
    }
}
