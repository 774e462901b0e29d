//! What a player wants to do in one tick of its own.

use zerocopy::byteorder::little_endian::{I16, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::FrameError;

/// An input as it lies in the datagram, 14 bytes. Any bytes are a valid input: a wish longer than
/// full speed is shortened by the server, not believed.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Input {
    /// Counts the client's inputs, from 1; the server takes only newer ones.
    pub sequence: U32,
    /// Eastward wish, 32,767 is full speed.
    pub move_x: I16,
    /// Southward wish, 32,767 is full speed.
    pub move_z: I16,
    /// Where the player looks, 65,536 to the full turn.
    pub yaw: U16,
    /// Reserved for the game, 0.
    pub buttons: U32,
}

impl Input {
    /// Full speed along one axis.
    pub const FULL_SPEED: i16 = i16::MAX;

    /// Reads a frame's body.
    pub fn parse(body: &[u8]) -> Result<Self, FrameError> {
        let wanted = size_of::<Input>();
        let (input, _) = Input::read_from_prefix(body).map_err(|_| FrameError::Short {
            frame: "input",
            wanted,
            got: body.len(),
        })?;
        Ok(input)
    }

    /// The wish as a vector of length 0 to 1.
    pub fn wish(&self) -> (f64, f64) {
        let full = f64::from(Self::FULL_SPEED);
        let (x, z) = (f64::from(self.move_x.get()) / full, f64::from(self.move_z.get()) / full);
        let length_squared = x * x + z * z;
        if length_squared <= 1.0 {
            return (x, z);
        }
        let length = length_squared.sqrt();
        (x / length, z / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_bytes_both_ways() {
        let bytes = [7, 0, 0, 0, 0xff, 0x7f, 0x01, 0x80, 0, 0x40, 0, 0, 0, 0];
        let input = Input::parse(&bytes).unwrap();
        assert_eq!(input.sequence.get(), 7);
        assert_eq!((input.move_x.get(), input.move_z.get()), (32_767, -32_767));
        assert_eq!(input.yaw.get(), 16_384);
        assert_eq!(input.as_bytes(), bytes);
    }

    #[test]
    fn a_wish_is_never_faster_than_full_speed() {
        for (x, z) in [(i16::MAX, i16::MAX), (i16::MIN, i16::MIN), (i16::MIN, 0)] {
            let input = Input { move_x: x.into(), move_z: z.into(), ..Input::default() };
            let (x, z) = input.wish();
            assert!(x * x + z * z <= 1.0 + 1e-12);
        }
    }

    #[test]
    fn a_short_body_is_named() {
        assert_eq!(Input::parse(&[0; 3]).unwrap_err().to_string(), "frame `input` needs 14 bytes and has 3");
    }
}
