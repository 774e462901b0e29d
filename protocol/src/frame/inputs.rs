//! What a player wants to do, tick by tick of its own: the newest inputs and those before it that the
//! server has not confirmed, so that a lost packet loses none.
//!
//! ```text
//! body  := newest u32, count u8, input[count]            oldest first
//! input := changed u8, [move_x i16, move_z i16], [yaw u16], [buttons u16]
//! ```
//!
//! `changed` says which fields differ from the input before it (the first: from nothing at all): 1 the
//! wish to move, 2 the yaw, 4 the buttons.

use super::FrameError;
use crate::codec::{Reader, Writer};

/// Inputs that one frame may hold: half a second at 60 ticks a second.
pub const INPUTS_PER_FRAME_MAX: usize = 32;
/// Bytes of the longest body.
pub const INPUTS_BYTES_MAX: usize = 5 + INPUTS_PER_FRAME_MAX * 9;

const MOVE: u8 = 1;
const YAW: u8 = 2;
const BUTTONS: u8 = 4;

/// What a player wants in one tick. Any bytes are a valid input: a wish longer than full speed is shortened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlayerInput {
    /// Eastward wish, 32,767 is full speed.
    pub move_x: i16,
    /// Southward wish, 32,767 is full speed.
    pub move_z: i16,
    /// Where the player looks, 65,536 to the full turn: 0 is east, a quarter is south.
    pub yaw: u16,
    /// Bits that are set while a button is held: [`PlayerInput::JUMP`], [`PlayerInput::USE`], and the
    /// game's own from bit 4 on.
    pub buttons: u16,
}

impl PlayerInput {
    /// Full speed along one axis.
    pub const FULL_SPEED: i16 = i16::MAX;
    /// Jumps, if on the ground.
    pub const JUMP: u16 = 1;
    /// Opens or closes the door ahead, in the first tick in which it is held.
    pub const USE: u16 = 2;

    /// Whether it wishes to be elsewhere.
    pub fn is_walking(&self) -> bool {
        (self.move_x, self.move_z) != (0, 0)
    }

    /// The wish as a vector of length 0 to 1.
    pub fn wish(&self) -> (f64, f64) {
        let full = f64::from(Self::FULL_SPEED);
        let (x, z) = (f64::from(self.move_x) / full, f64::from(self.move_z) / full);
        let length_squared = x * x + z * z;
        if length_squared <= 1.0 {
            return (x, z);
        }
        let length = length_squared.sqrt();
        (x / length, z / length)
    }
}

/// An inputs frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs<'a> {
    /// The number of the newest one; inputs count from 1.
    pub newest: u32,
    count: u8,
    body: &'a [u8],
}

impl<'a> Inputs<'a> {
    /// Writes a body to the front of `out` and tells its length: `inputs` are the newest, oldest first.
    ///
    /// # Panics
    /// When there are none or more than [`INPUTS_PER_FRAME_MAX`], or `out` is shorter than
    /// [`INPUTS_BYTES_MAX`].
    pub fn write(newest: u32, inputs: impl ExactSizeIterator<Item = PlayerInput>, out: &mut [u8]) -> usize {
        let count = inputs.len();
        assert!((1..=INPUTS_PER_FRAME_MAX).contains(&count), "{count} inputs in one frame");
        let mut w = Writer::new(&mut out[..INPUTS_BYTES_MAX]);
        w.u32(newest).u8(count as u8);
        let mut before = PlayerInput::default();
        for input in inputs {
            let moved = (input.move_x, input.move_z) != (before.move_x, before.move_z);
            let (turned, pressed) = (input.yaw != before.yaw, input.buttons != before.buttons);
            w.u8((u8::from(moved) * MOVE) | (u8::from(turned) * YAW) | (u8::from(pressed) * BUTTONS));
            if moved {
                w.u16(input.move_x as u16).u16(input.move_z as u16);
            }
            if turned {
                w.u16(input.yaw);
            }
            if pressed {
                w.u16(input.buttons);
            }
            before = input;
        }
        w.written()
    }

    /// Reads a frame's body, all of it, so that [`Inputs::iter`] cannot fail.
    pub fn parse(body: &'a [u8]) -> Result<Self, FrameError> {
        let mut r = Reader::new(body);
        let newest = r.u32("inputs newest")?;
        let count = r.u8("inputs count")?;
        let refuse = |field, value: i64| Err(FrameError::Value { frame: "inputs", field, value });
        if count == 0 || usize::from(count) > INPUTS_PER_FRAME_MAX {
            return refuse("count", count.into());
        }
        if newest < u32::from(count) {
            return refuse("newest", newest.into());
        }
        let inputs = Inputs { newest, count, body: &body[5..] };
        let mut before = PlayerInput::default();
        for _ in 0..count {
            before = read(&mut r, before)?;
        }
        Ok(inputs)
    }

    /// The inputs with their numbers, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, PlayerInput)> + use<'a> {
        let mut r = Reader::new(self.body);
        let mut before = PlayerInput::default();
        let first = self.newest - u32::from(self.count) + 1;
        (first..=self.newest).map_while(move |number| {
            before = read(&mut r, before).ok()?;
            Some((number, before))
        })
    }
}

fn read(r: &mut Reader<'_>, before: PlayerInput) -> Result<PlayerInput, FrameError> {
    let changed = r.u8("input changed")?;
    if changed & !(MOVE | YAW | BUTTONS) != 0 {
        return Err(FrameError::Value { frame: "inputs", field: "changed", value: changed.into() });
    }
    let mut input = before;
    if changed & MOVE != 0 {
        input.move_x = r.u16("input move_x")? as i16;
        input.move_z = r.u16("input move_z")? as i16;
    }
    if changed & YAW != 0 {
        input.yaw = r.u16("input yaw")?;
    }
    if changed & BUTTONS != 0 {
        input.buttons = r.u16("input buttons")?;
    }
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inputs() -> impl Strategy<Value = Vec<PlayerInput>> {
        let one = (any::<[i16; 2]>(), any::<u16>(), any::<u16>());
        let one =
            one.prop_map(|([move_x, move_z], yaw, buttons)| PlayerInput { move_x, move_z, yaw, buttons });
        proptest::collection::vec((one, 0..3_usize), 1..12).prop_map(|runs| {
            let repeated = runs.into_iter().flat_map(|(input, again)| std::iter::repeat_n(input, again + 1));
            repeated.take(INPUTS_PER_FRAME_MAX).collect()
        })
    }

    #[test]
    fn the_layout_is_as_documented() {
        let walk = PlayerInput { move_x: 32_767, move_z: -1, yaw: 0x4000, buttons: 0 };
        let sent = [walk, walk, PlayerInput { buttons: PlayerInput::USE, ..walk }];
        let mut out = [0xa5; INPUTS_BYTES_MAX];
        let bytes = Inputs::write(9, sent.into_iter(), &mut out);
        let literal = [9, 0, 0, 0, 3, 3, 0xff, 0x7f, 0xff, 0xff, 0, 0x40, 0, 4, 2, 0];
        assert_eq!(out[..bytes], literal);
        let read: Vec<_> = Inputs::parse(&literal).unwrap().iter().collect();
        assert_eq!(read, [(7, sent[0]), (8, sent[1]), (9, sent[2])]);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (body, said) in [
            (&[1, 0, 0, 0, 0][..], "count"),
            (&[1, 0, 0, 0, 33], "count"),
            (&[1, 0, 0, 0, 2, 0, 0], "newest"),
            (&[1, 0, 0, 0, 1, 8], "changed"),
            (&[1, 0, 0, 0, 1, 2, 0], "yaw"),
            (&[1, 0, 0], "newest"),
        ] {
            let error = Inputs::parse(body).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(inputs in inputs(), more in 0..1_000_000_u32) {
            let newest = inputs.len() as u32 + more;
            let mut out = [0; INPUTS_BYTES_MAX];
            let bytes = Inputs::write(newest, inputs.iter().copied(), &mut out);
            let read: Vec<_> = Inputs::parse(&out[..bytes]).unwrap().iter().collect();
            let first = newest - inputs.len() as u32 + 1;
            let expected: Vec<_> = (first..).zip(inputs).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(inputs) = Inputs::parse(&body) {
                prop_assert_eq!(inputs.iter().count(), usize::from(inputs.count));
            }
        }
    }
}
