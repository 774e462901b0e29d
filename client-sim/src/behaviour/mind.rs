//! One client's mind.

use ninefold_client::Client;
use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::{ChunkCoord, door_in_reach};

use super::mischief::Mischief;
use crate::scenario::{Behaviour, Seconds};
use crate::walker::{Course, Walker};

/// What a client wants, beside what it walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Its session ends, and another one begins after a while.
    Leave {
        /// Says so; else it is simply gone.
        goodbye: bool,
        /// How long it stays away.
        away: Duration,
    },
    /// It is to be put into another chunk, which is the server's to do.
    Teleport(ChunkCoord),
}

/// What a client does in a tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decision {
    /// The input from now on.
    pub input: PlayerInput,
    /// What else it wants.
    pub command: Option<Command>,
}

/// A client's mind, for one session after the other.
#[derive(Debug)]
pub struct Mind {
    behaviour: Behaviour,
    random: fastrand::Rng,
    /// `None` for who stands.
    walker: Option<Walker>,
    /// When it next does what its behaviour does from time to time; `None` until its session can be played.
    next_deed: Option<Instant>,
    mischief: Option<Mischief>,
}

impl Mind {
    /// A mind whose ways follow from `seed`.
    pub fn new(behaviour: &Behaviour, seed: u64) -> Mind {
        let mut random = fastrand::Rng::with_seed(seed);
        let walker = walker(behaviour, random.u64(..));
        let mischief = match behaviour {
            Behaviour::Hostile { every, misdeeds, .. } => {
                Some(Mischief::new(random.u64(..), every.0, misdeeds.clone()))
            }
            _ => None,
        };
        Mind { behaviour: behaviour.clone(), random, walker, next_deed: None, mischief }
    }

    /// What it does to its packets, if it is hostile.
    pub fn mischief(&mut self) -> Option<&mut Mischief> {
        self.mischief.as_mut()
    }

    /// Another session begins: it knows its ways no longer.
    pub fn begin_again(&mut self) {
        self.next_deed = None;
        self.walker = walker(&self.behaviour, self.random.u64(..));
    }

    /// What to do now. Call it once in each tick of the client.
    pub fn decide(&mut self, now: Instant, client: &Client) -> Decision {
        if !client.is_playable() {
            return Decision::default();
        }
        let wish = self.walker.as_mut().map_or((0.0, 0.0), |walker| walker.decide(now, client));
        let mut decision = Decision { input: walking(wish), command: None };
        if let Some(mischief) = &mut self.mischief {
            decision.input = mischief.input(now, decision.input);
        } else if self.is_time(now) {
            self.act(now, client, &mut decision);
        }
        decision
    }

    /// How often it does something beside walking, in the mean.
    fn every(&self) -> Option<Seconds> {
        match &self.behaviour {
            Behaviour::Teleport { every, .. } | Behaviour::Doors { every, .. } => Some(*every),
            Behaviour::Churn { stay, .. } => Some(*stay),
            _ => None,
        }
    }

    fn is_time(&mut self, now: Instant) -> bool {
        let Some(every) = self.every() else { return false };
        match self.next_deed {
            Some(then) => then <= now,
            None => {
                self.next_deed = Some(now + self.around(every));
                false
            }
        }
    }

    /// From half to three halves of a time.
    fn around(&mut self, mean: Seconds) -> Duration {
        let us = mean.0.as_us();
        Duration::from_us(us / 2 + self.random.u64(..=us))
    }

    fn act(&mut self, now: Instant, client: &Client, decision: &mut Decision) {
        match self.behaviour {
            Behaviour::Doors { every, .. } => {
                let Some(yaw) = yaw_to_door(client) else { return };
                decision.input.yaw = yaw;
                decision.input.buttons |= PlayerInput::USE;
                self.next_deed = Some(now + self.around(every));
            }
            Behaviour::Teleport { every, radius_chunks, .. } => {
                self.next_deed = Some(now + self.around(every));
                let Some(own) = client.predicted().and_then(|(_, mover)| mover.position.chunk()) else {
                    return;
                };
                let radius = radius_chunks as i32;
                let mut coordinate = |from: i32| from.saturating_add(self.random.i32(-radius..=radius));
                let to = ChunkCoord { cx: coordinate(own.cx), cz: coordinate(own.cz) };
                decision.command = Some(Command::Teleport(to));
            }
            Behaviour::Churn { away, crash, .. } => {
                let away = self.around(away);
                let goodbye = self.random.u32(..1_000_000) >= crash.millionths();
                self.next_deed = None;
                decision.command = Some(Command::Leave { goodbye, away });
            }
            _ => {}
        }
    }
}

fn walker(behaviour: &Behaviour, seed: u64) -> Option<Walker> {
    let (course, pace) = match behaviour {
        Behaviour::Idle => return None,
        Behaviour::Sprint { pace } => (Course::Straight, pace),
        Behaviour::Crowd { at: [cx, cz], pace } => (Course::To(ChunkCoord { cx: *cx, cz: *cz }), pace),
        Behaviour::Explore { pace } => (Course::Outward, pace),
        Behaviour::Doors { pace, .. } => (Course::Doors, pace),
        Behaviour::Walk { pace }
        | Behaviour::Teleport { pace, .. }
        | Behaviour::Churn { pace, .. }
        | Behaviour::Hostile { pace, .. } => (Course::Wander, pace),
    };
    Some(Walker::on(course, seed, pace.0))
}

/// The input of who walks along a wish of -1 to 1 along each axis, and looks where it goes.
fn walking((x, z): (f64, f64)) -> PlayerInput {
    if (x, z) == (0.0, 0.0) {
        return PlayerInput::default();
    }
    let axis = |wish: f64| (wish.clamp(-1.0, 1.0) * f64::from(PlayerInput::FULL_SPEED)) as i16;
    let turns = z.atan2(x) / std::f64::consts::TAU;
    let yaw = (turns.rem_euclid(1.0) * 65_536.0) as u16;
    PlayerInput { move_x: axis(x), move_z: axis(z), yaw, buttons: 0 }
}

/// Where to look for a door that can be reached from here.
fn yaw_to_door(client: &Client) -> Option<u16> {
    let at = client.predicted()?.1.position;
    let chunk_at = |coord| client.chunk(coord).map(|chunk| chunk.as_ref());
    (0..8).map(|eighth| eighth * 8_192).find(|yaw| door_in_reach(&chunk_at, at, *yaw).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_walks_looks_where_it_goes() {
        let full = PlayerInput::FULL_SPEED;
        for (wish, yaw) in
            [((1.0, 0.0), 0), ((0.0, 1.0), 16_384), ((-1.0, 0.0), 32_768), ((0.0, -1.0), 49_152)]
        {
            assert_eq!(walking(wish).yaw, yaw, "{wish:?}");
        }
        assert_eq!((walking((2.0, 0.0)).move_x, walking((0.0, 0.0))), (full, PlayerInput::default()));
    }

    #[test]
    fn deeds_come_as_often_as_they_are_meant_to() {
        let behaviour = Behaviour::Doors { every: Seconds::new(2), pace: Default::default() };
        let mut mind = Mind::new(&behaviour, 5);
        let sum: u64 = (0..1_000).map(|_| mind.around(Seconds::new(2)).as_us()).sum();
        assert!((1_900_000..2_100_000).contains(&(sum / 1_000)), "{sum}");
        assert!((0..1_000).all(|_| (1_000_000..=3_000_000).contains(&mind.around(Seconds::new(2)).as_us())));
    }
}
