//! Something that happened at a place and is worth telling for a moment only, such as the sound of a door.

use super::FrameError;
use crate::codec::{Reader, Writer};

/// Bytes of an event's body.
pub const EVENT_BYTES: usize = 28;

/// An event. It is sent again until it was acknowledged or its time is over, so it may come more than once:
/// its number tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GameEvent {
    /// Counts the events that one client is told of, from 0, wrapping.
    pub number: u16,
    /// What happened; below 256 the library's ([`GameEvent::DOOR_OPENED`]), above it the game's.
    pub kind: u16,
    /// When: the low 32 bits of the tick.
    pub tick: u32,
    /// Where: chunk.
    pub cx: i32,
    /// Where: chunk.
    pub cz: i32,
    /// Eastward in the chunk, 1/64 unit.
    pub x: u16,
    /// Upward, 1/64 unit.
    pub y: i16,
    /// Southward in the chunk, 1/64 unit.
    pub z: u16,
    /// Reserved, 0.
    pub reserved: u16,
    /// More about it; a door's index in its chunk.
    pub value: u32,
}

impl GameEvent {
    /// A door was opened.
    pub const DOOR_OPENED: u16 = 1;
    /// A door was closed, or closed by itself.
    pub const DOOR_CLOSED: u16 = 2;

    /// The body as bytes.
    pub fn to_bytes(&self) -> [u8; EVENT_BYTES] {
        let mut bytes = [0; EVENT_BYTES];
        let mut w = Writer::new(&mut bytes);
        w.u16(self.number).u16(self.kind).u32(self.tick).i32(self.cx).i32(self.cz);
        w.u16(self.x).u16(self.y as u16).u16(self.z).u16(self.reserved).u32(self.value);
        bytes
    }

    /// Reads a frame's body.
    pub fn parse(body: &[u8]) -> Result<Self, FrameError> {
        let mut r = Reader::new(body);
        Ok(GameEvent {
            number: r.u16("event number")?,
            kind: r.u16("event kind")?,
            tick: r.u32("event tick")?,
            cx: r.i32("event cx")?,
            cz: r.i32("event cz")?,
            x: r.u16("event x")?,
            y: r.u16("event y")? as i16,
            z: r.u16("event z")?,
            reserved: r.u16("event reserved")?,
            value: r.u32("event value")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_as_documented() {
        let event = GameEvent {
            number: 0x0102,
            kind: GameEvent::DOOR_OPENED,
            tick: 3,
            cx: -1,
            cz: 4,
            x: 5,
            y: -2,
            z: 6,
            reserved: 0,
            value: 7,
        };
        let literal =
            [2, 1, 1, 0, 3, 0, 0, 0, 255, 255, 255, 255, 4, 0, 0, 0, 5, 0, 254, 255, 6, 0, 0, 0, 7, 0, 0, 0];
        assert_eq!(event.to_bytes(), literal);
        assert_eq!(GameEvent::parse(&literal), Ok(event));
        assert!(GameEvent::parse(&literal[..27]).unwrap_err().to_string().contains("event value"));
    }
}
