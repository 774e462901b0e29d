//! What must hold, looked at from outside: none of this lives in the code that it checks, and none of it changes the world.
//!
//! | check | what it demands |
//! |---|---|
//! | [`agreement`] | what a client reads in a snapshot is what the server had in that tick; in the end, all is the same |
//! | [`conservation`] | chunks, fragments, packets and bytes do not vanish, and nothing stale is shown |
//! | [`bounds`] | no queue, cache or table exceeds its bound |
//! | [`starvation`] | who waits is served while nothing is broken, and everybody in the end |
//!
//! With many clients each tick looks at some of them in turn, so that looking costs the same whoever many there are.

pub mod agreement;
pub mod bounds;
pub mod conservation;
pub mod starvation;

use std::fmt;

use self::agreement::History;
use self::conservation::Abandoned;
use super::world::{Happened, World};

/// Clients that are looked at in a tick.
const CLIENTS_PER_TICK: usize = 32;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Virtual microseconds since the beginning.
    pub at_us: u64,
    /// The server's tick.
    pub tick: u64,
    /// Which check.
    pub check: &'static str,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { at_us, tick, check, what } = self;
        let (s, ms) = (at_us / 1_000_000, at_us / 1_000 % 1_000);
        write!(f, "{check}: tick {tick}, {s}.{ms:03} s: {what}")
    }
}

/// What the checks remember.
#[derive(Debug, Default)]
pub struct Checks {
    history: History,
    abandoned: Abandoned,
    /// The tick of the snapshot of each client that was looked at last.
    seen: Vec<Option<(u64, u32)>>,
    /// Servers that there were: another one has another history.
    hosts: u64,
    /// Who is looked at next.
    turn: usize,
    /// Looks that were taken.
    pub looks: u64,
}

impl Checks {
    /// Looks at the world after something happened.
    pub fn look(&mut self, world: &World, happened: Happened) -> Result<(), Violation> {
        if self.hosts != world.hosts {
            *self = Checks { hosts: world.hosts, looks: self.looks, ..Checks::default() };
        }
        let found = match happened {
            Happened::Tick => self.look_at_tick(world),
            Happened::Guest(index) => self.look_at_guest(world, index),
            Happened::Other => Ok(()),
        };
        found.map_err(|(check, what)| violation(world, check, what))
    }

    fn look_at_tick(&mut self, world: &World) -> Result<(), (&'static str, String)> {
        let Some(host) = &world.host else { return Ok(()) };
        self.looks += 1;
        self.history.note(host);
        let in_turn = Turn::new(&mut self.turn, world.guests.len());
        conservation::of_carriers(host).map_err(|what| ("conservation", what))?;
        self.abandoned.look(world, host).map_err(|what| ("conservation", what))?;
        bounds::of_host(world, host).map_err(|what| ("bounds", what))?;
        let sessions = host.tick.sessions().count();
        let first = if sessions > CLIENTS_PER_TICK { self.turn % sessions } else { 0 };
        for session in host.tick.sessions().skip(first).take(CLIENTS_PER_TICK) {
            conservation::of_session(host, session).map_err(|what| ("conservation", what))?;
            bounds::of_session(&world.plan.config, session).map_err(|what| ("bounds", what))?;
        }
        for index in in_turn {
            let guest = &world.guests[index];
            conservation::of_guest(world, guest).map_err(|what| ("conservation", what))?;
            bounds::of_guest(world, guest).map_err(|what| ("bounds", what))?;
            starvation::of_guest(world, guest).map_err(|what| ("starvation", what))?;
        }
        Ok(())
    }

    fn look_at_guest(&mut self, world: &World, index: usize) -> Result<(), (&'static str, String)> {
        let guest = &world.guests[index];
        let Some(tick) = guest.client.as_ref().and_then(|client| client.snapshot()).map(|s| s.tick) else {
            return Ok(());
        };
        if self.seen.len() <= index {
            self.seen.resize(index + 1, None);
        }
        let seen = Some((guest.sessions, tick));
        let is_new = std::mem::replace(&mut self.seen[index], seen) != seen;
        let in_turn = world.guests.len() <= CLIENTS_PER_TICK
            || (index + tick as usize).is_multiple_of(world.guests.len().div_ceil(CLIENTS_PER_TICK));
        if is_new && in_turn {
            self.looks += 1;
            agreement::of_snapshot(world, &self.history, guest).map_err(|what| ("agreement", what))?;
        }
        Ok(())
    }

    /// Looks at a world whose time is over and in which all was well for a while: everything must be complete.
    pub fn look_at_the_end(&mut self, world: &World) -> Result<(), Violation> {
        let found =
            world.guests.iter().filter(|guest| guest.leaves_us > world.now_us).try_for_each(|guest| {
                starvation::at_the_end(world, guest).map_err(|what| ("starvation", what))?;
                conservation::at_the_end(world, guest).map_err(|what| ("conservation", what))?;
                agreement::at_the_end(world, guest).map_err(|what| ("agreement", what))
            });
        found.map_err(|(check, what)| violation(world, check, what))
    }
}

fn violation(world: &World, check: &'static str, what: String) -> Violation {
    let tick = world.host.as_ref().map_or(0, |host| host.tick.number());
    Violation { at_us: world.elapsed_us(), tick, check, what }
}

/// Some of many, others each time.
struct Turn {
    next: usize,
    left: usize,
    of: usize,
}

impl Turn {
    fn new(turn: &mut usize, of: usize) -> Turn {
        let left = of.min(CLIENTS_PER_TICK);
        let next = if of > 0 { *turn % of } else { 0 };
        *turn = turn.wrapping_add(left);
        Turn { next, left, of }
    }
}

impl Iterator for Turn {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let index = self.next;
        self.next = (index + 1) % self.of;
        Some(index)
    }
}
