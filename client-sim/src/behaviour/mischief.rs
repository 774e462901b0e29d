//! How a hostile client misbehaves: floods, wishes that cannot be, garbage, silence, lies, replays.
//!
//! It plays as others do, and from time to time does one misdeed for a second at most. All of it is bounded: what a flood
//! multiplies, how much garbage goes out in a tick. It never touches anything but its own client's input, packets and
//! datagrams, and who drives it sends them to the one server of the run.

use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::protocol::time::{Duration, Instant};

use crate::scenario::Misdeed;

/// A misdeed lasts so long at most.
pub const EPISODE_MAX: Duration = Duration::from_secs(1);
/// A flood sends each datagram so often.
pub const FLOOD_COPIES: u32 = 16;
/// Datagrams of random bytes, or sent again, in one tick.
pub const GARBAGE_PER_TICK: u32 = 8;
/// Bytes of a datagram of random bytes at most.
pub const GARBAGE_BYTES_MAX: usize = 1_200;
/// Datagrams that are kept to be sent again.
const KEPT_MAX: usize = 16;
/// The front of a packet: its number and what it acknowledges.
const HEAD_BYTES: usize = 16;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MischiefCounts {
    /// Datagrams that went out more often than once.
    pub flooded: u64,
    /// Inputs that no stick can make.
    pub impossible: u64,
    /// Datagrams of random bytes.
    pub garbage: u64,
    /// Datagrams that were swallowed.
    pub silenced: u64,
    /// Packets that were changed.
    pub lies: u64,
    /// Datagrams that were sent again.
    pub replayed: u64,
}

/// What a hostile client does to its input, packets and datagrams.
#[derive(Debug)]
pub struct Mischief {
    random: fastrand::Rng,
    every: Duration,
    misdeeds: Vec<Misdeed>,
    /// What it does now, and until when.
    now_doing: Option<(Misdeed, Instant)>,
    next_at: Option<Instant>,
    /// Some that were sent before, each replaced by chance.
    kept: Vec<Vec<u8>>,
    counts: MischiefCounts,
}

impl Mischief {
    /// Misdeeds of these kinds, one in `every` in the mean.
    ///
    /// # Panics
    /// When there are none.
    pub fn new(seed: u64, every: Duration, misdeeds: Vec<Misdeed>) -> Mischief {
        assert!(!misdeeds.is_empty(), "a hostile client has something to do");
        Mischief {
            random: fastrand::Rng::with_seed(seed),
            every,
            misdeeds,
            now_doing: None,
            next_at: None,
            kept: Vec::new(),
            counts: MischiefCounts::default(),
        }
    }

    /// What was done so far.
    pub fn counts(&self) -> &MischiefCounts {
        &self.counts
    }

    /// What it does now.
    pub fn doing(&self) -> Option<Misdeed> {
        self.now_doing.map(|(misdeed, _)| misdeed)
    }

    /// The input that it gives instead of an honest one. Once a tick: time passes here.
    pub fn input(&mut self, now: Instant, honest: PlayerInput) -> PlayerInput {
        self.turn(now);
        if self.doing() != Some(Misdeed::Impossible) {
            return honest;
        }
        self.counts.impossible += 1;
        let mut far = || if self.random.bool() { i16::MAX } else { i16::MIN };
        let (move_x, move_z) = (far(), far());
        PlayerInput { move_x, move_z, yaw: self.random.u16(..), buttons: self.random.u16(..) }
    }

    fn turn(&mut self, now: Instant) {
        if self.now_doing.is_some_and(|(_, until)| until <= now) {
            self.now_doing = None;
        }
        let every_us = self.every.as_us();
        let next_at = *self.next_at.get_or_insert(now + Duration::from_us(self.random.u64(..=every_us)));
        if next_at <= now {
            self.next_at = Some(now + Duration::from_us(every_us / 2 + self.random.u64(..=every_us)));
            let misdeed = self.misdeeds[self.random.usize(..self.misdeeds.len())];
            let us = self.random.u64(EPISODE_MAX.as_us() / 10..=EPISODE_MAX.as_us());
            self.now_doing = Some((misdeed, now + Duration::from_us(us)));
        }
    }

    /// Changes a packet before it is sealed, if it is to lie.
    pub fn packet(&mut self, packet: &mut [u8]) {
        if self.doing() != Some(Misdeed::Lies) || packet.is_empty() {
            return;
        }
        self.counts.lies += 1;
        // What is said of numbers and acknowledgements as often as all the rest.
        let bytes = if self.random.bool() { packet.len().min(HEAD_BYTES) } else { packet.len() };
        for _ in 0..self.random.u32(1..=4) {
            packet[self.random.usize(..bytes)] = self.random.u8(..);
        }
    }

    /// How often a datagram is to be sent; 0 for not at all.
    pub fn datagram(&mut self, datagram: &[u8]) -> u32 {
        if self.random.u32(..64) == 0 || self.kept.is_empty() {
            if self.kept.len() == KEPT_MAX {
                self.kept.swap_remove(self.random.usize(..KEPT_MAX));
            }
            self.kept.push(datagram.to_vec());
        }
        match self.doing() {
            Some(Misdeed::Silence) => {
                self.counts.silenced += 1;
                0
            }
            Some(Misdeed::Flood) => {
                self.counts.flooded += 1;
                FLOOD_COPIES
            }
            _ => 1,
        }
    }

    /// Datagrams that no client has to send. Once a tick.
    pub fn extra(&mut self, mut send: impl FnMut(&[u8])) {
        for _ in 0..GARBAGE_PER_TICK {
            match self.doing() {
                Some(Misdeed::Garbage) => {
                    let mut bytes = [0; GARBAGE_BYTES_MAX];
                    let length = self.random.usize(..=GARBAGE_BYTES_MAX);
                    self.random.fill(&mut bytes[..length]);
                    self.counts.garbage += 1;
                    send(&bytes[..length]);
                }
                Some(Misdeed::Replay) if !self.kept.is_empty() => {
                    self.counts.replayed += 1;
                    send(&self.kept[self.random.usize(..self.kept.len())]);
                }
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten minutes of a client that does one thing.
    fn played(misdeed: Misdeed) -> (MischiefCounts, u64) {
        let mut mischief = Mischief::new(3, Duration::from_secs(5), vec![misdeed]);
        let mut sent = 0;
        for tick in 0..36_000 {
            mischief.input(Instant::from_us(tick * 16_667), PlayerInput::default());
            let mut packet = [7; 100];
            mischief.packet(&mut packet);
            sent += u64::from(mischief.datagram(&packet));
            mischief.extra(|datagram| {
                assert!(datagram.len() <= GARBAGE_BYTES_MAX);
                sent += 1;
            });
        }
        (*mischief.counts(), sent)
    }

    #[test]
    fn each_misdeed_is_done_now_and_then_within_its_bounds() {
        for misdeed in Misdeed::ALL {
            let (counts, sent) = played(misdeed);
            let MischiefCounts { flooded, impossible, garbage, silenced, lies, replayed } = counts;
            let (done, expected) = match misdeed {
                Misdeed::Flood => (flooded, 36_000 + u64::from(FLOOD_COPIES - 1) * flooded),
                Misdeed::Impossible => (impossible, 36_000),
                Misdeed::Garbage => (garbage / u64::from(GARBAGE_PER_TICK), 36_000 + garbage),
                Misdeed::Silence => (silenced, 36_000 - silenced),
                Misdeed::Lies => (lies, 36_000),
                Misdeed::Replay => (replayed / u64::from(GARBAGE_PER_TICK), 36_000 + replayed),
            };
            // Half a second in five.
            assert!((1_500..8_000).contains(&done), "{misdeed:?}: {counts:?}");
            assert_eq!(sent, expected, "{misdeed:?}: {counts:?}");
            let kinds = [flooded, impossible, garbage, silenced, lies, replayed];
            assert_eq!(kinds.iter().filter(|n| **n > 0).count(), 1, "{misdeed:?}: {counts:?}");
        }
    }

    #[test]
    fn an_honest_moment_changes_nothing() {
        let mut mischief = Mischief::new(1, Duration::from_secs(3_600), Misdeed::ALL.to_vec());
        let input = PlayerInput { move_x: 5, ..PlayerInput::default() };
        assert_eq!(mischief.input(Instant::ZERO, input), input);
        let mut packet = [1, 2, 3];
        mischief.packet(&mut packet);
        assert_eq!((packet, mischief.datagram(&packet)), ([1, 2, 3], 1));
        mischief.extra(|_| panic!("nothing extra"));
    }
}
