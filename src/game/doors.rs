//! Which doors of the world stand open. One that was opened closes by itself after a while, once nobody is near.
//!
//! All doors of a chunk that nobody has touched lately are closed and cost nothing.

use ahash::AHashMap;
use ninefold_world::{ChunkCoord, DOORS_MAX, OpenDoors};

/// A door stands open for so many seconds after it was used.
const OPEN_S: u64 = 4;
/// Where somebody is near, it is tried again so many times a second.
const RETRIES_S: u64 = 4;

/// The doors that are open.
#[derive(Debug, Default)]
pub struct Doors {
    chunks: AHashMap<ChunkCoord, OpenDoors>,
    /// Open doors and the tick in which each wants to close.
    closing: Vec<Closing>,
}

/// An open door.
#[derive(Debug, Clone, Copy)]
struct Closing {
    chunk: ChunkCoord,
    door: usize,
    at: u64,
}

impl Doors {
    /// The open doors of a chunk.
    pub fn open_in(&self, chunk: ChunkCoord) -> OpenDoors {
        if self.chunks.is_empty() {
            OpenDoors::NONE
        } else {
            self.chunks.get(&chunk).copied().unwrap_or_default()
        }
    }

    /// Doors that stand open.
    pub fn len(&self) -> usize {
        self.closing.len()
    }

    /// Whether all are closed.
    pub fn is_empty(&self) -> bool {
        self.closing.is_empty()
    }

    /// Opens a closed door. It closes by itself.
    pub fn open(&mut self, tick: u64, tick_rate_hz: u32, chunk: ChunkCoord, door: usize) {
        if door >= DOORS_MAX || self.open_in(chunk).contains(door) {
            return;
        }
        self.chunks.entry(chunk).or_default().0 |= 1 << door;
        self.closing.push(Closing { chunk, door, at: tick + OPEN_S * u64::from(tick_rate_hz) });
    }

    /// Closes an open door.
    pub fn close(&mut self, chunk: ChunkCoord, door: usize) {
        self.closing.retain(|c| (c.chunk, c.door) != (chunk, door));
        if let Some(open) = self.chunks.get_mut(&chunk) {
            open.0 &= !(1 << door);
            if *open == OpenDoors::NONE {
                self.chunks.remove(&chunk);
            }
        }
    }

    /// The next door whose time has come and at which nobody is near, as `is_near` says; it is closed. Those with
    /// somebody near are tried again later.
    pub fn poll_close(
        &mut self,
        tick: u64,
        tick_rate_hz: u32,
        is_near: impl Fn(ChunkCoord, usize) -> bool,
    ) -> Option<(ChunkCoord, usize)> {
        for closing in &mut self.closing {
            if closing.at > tick {
                continue;
            }
            if is_near(closing.chunk, closing.door) {
                closing.at = tick + (u64::from(tick_rate_hz) / RETRIES_S).max(1);
                continue;
            }
            let Closing { chunk, door, .. } = *closing;
            self.close(chunk, door);
            return Some((chunk, door));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: ChunkCoord = ChunkCoord::new(-3, 5);

    #[test]
    fn a_door_closes_by_itself_once_nobody_is_near() {
        let mut doors = Doors::default();
        doors.open(10, 60, HERE, 3);
        doors.open(11, 60, HERE, 3);
        assert_eq!((doors.len(), doors.open_in(HERE)), (1, OpenDoors(1 << 3)));
        assert_eq!(doors.poll_close(10 + 239, 60, |_, _| false), None);
        assert_eq!(doors.poll_close(10 + 240, 60, |_, _| true), None);
        assert_eq!(doors.poll_close(10 + 241, 60, |_, _| false), None);
        assert_eq!(doors.poll_close(10 + 255, 60, |_, _| false), Some((HERE, 3)));
        assert!(doors.is_empty() && doors.chunks.is_empty());
    }

    #[test]
    fn doors_of_a_chunk_are_told_apart() {
        let mut doors = Doors::default();
        doors.open(0, 60, HERE, 0);
        doors.open(0, 60, HERE, 31);
        doors.open(0, 60, HERE, DOORS_MAX);
        assert_eq!(doors.open_in(HERE), OpenDoors(1 | 1 << 31));
        doors.close(HERE, 0);
        assert_eq!((doors.open_in(HERE), doors.len()), (OpenDoors(1 << 31), 1));
        assert_eq!(doors.open_in(ChunkCoord::new(0, 0)), OpenDoors::NONE);
    }
}
