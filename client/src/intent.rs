//! What the player wants, until the next tick takes it: no button that was pressed gets lost.

use ninefold_protocol::frame::PlayerInput;

/// The player's wish between two ticks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Intent {
    current: PlayerInput,
    /// Buttons pressed since the last tick, whether or not they are still held.
    pressed: u16,
    /// What the last tick took.
    taken: PlayerInput,
}

impl Intent {
    /// What the player wants from now on.
    pub fn set(&mut self, input: PlayerInput) {
        self.pressed |= input.buttons & !self.current.buttons;
        self.current = input;
    }

    /// What it wants right now.
    pub fn current(&self) -> PlayerInput {
        self.current
    }

    /// The input of a tick.
    pub fn take(&mut self) -> PlayerInput {
        // Released and pressed again within one tick: this tick releases, the next one presses.
        let again = self.pressed & self.taken.buttons;
        let buttons = (self.current.buttons | self.pressed) & !again;
        self.pressed = again;
        self.taken = PlayerInput { buttons, ..self.current };
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USE: u16 = PlayerInput::USE;

    fn press(intent: &mut Intent, buttons: u16) {
        intent.set(PlayerInput { buttons, ..PlayerInput::default() });
    }

    fn taken(intent: &mut Intent) -> u16 {
        intent.take().buttons
    }

    #[test]
    fn a_button_pressed_and_released_between_two_ticks_is_told_once() {
        let mut intent = Intent::default();
        press(&mut intent, USE);
        press(&mut intent, 0);
        assert_eq!((taken(&mut intent), taken(&mut intent)), (USE, 0));
    }

    #[test]
    fn a_button_that_is_held_is_told_in_every_tick() {
        let mut intent = Intent::default();
        press(&mut intent, USE);
        assert_eq!((taken(&mut intent), taken(&mut intent)), (USE, USE));
        press(&mut intent, 0);
        assert_eq!(taken(&mut intent), 0);
    }

    #[test]
    fn a_button_pressed_again_between_two_ticks_is_released_first() {
        let mut intent = Intent::default();
        press(&mut intent, USE);
        assert_eq!(taken(&mut intent), USE);
        press(&mut intent, 0);
        press(&mut intent, USE);
        press(&mut intent, USE | PlayerInput::JUMP);
        let all = USE | PlayerInput::JUMP;
        assert_eq!((taken(&mut intent), taken(&mut intent)), (PlayerInput::JUMP, all));
        press(&mut intent, 0);
        assert_eq!(taken(&mut intent), 0);
    }

    #[test]
    fn the_newest_wish_counts() {
        let mut intent = Intent::default();
        intent.set(PlayerInput { move_x: 5, yaw: 1, ..PlayerInput::default() });
        intent.set(PlayerInput { move_x: -5, yaw: 2, ..PlayerInput::default() });
        assert_eq!((intent.take().move_x, intent.current().yaw), (-5, 2));
    }
}
