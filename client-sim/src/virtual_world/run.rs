//! One world from its beginning to its end, looked at all the while: what a seed gives.

use std::fmt;

use ninefold::clock::thread_cpu_ns;

use super::checks::{Checks, Violation};
use super::digest::Digest;
use super::plan::{Plan, SECOND_US};
use super::world::{Happened, World};

/// How a world is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Chooses everything that is by chance.
    pub seed: u64,
    /// Whether each tick takes as long as it really took. The hashes then say nothing.
    pub charges: bool,
    /// Whether nobody looks.
    pub unchecked: bool,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The state at the end.
    pub digest: Digest,
    /// The first thing that must not be.
    pub violation: Option<Violation>,
    /// What happened, in numbers.
    pub figures: Figures,
}

/// What happened, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Virtual microseconds.
    pub virtual_us: u64,
    /// CPU time of it, nanoseconds.
    pub cpu_ns: u64,
    /// Ticks of the last server.
    pub ticks: u64,
    /// Ticks that it left out.
    pub ticks_skipped: u64,
    /// What its ticks really cost, nanoseconds, where that is charged.
    pub charged_ns: u64,
    /// Servers that there were.
    pub servers: u64,
    /// Clients that ever came.
    pub clients: u64,
    /// Sessions that they began.
    pub sessions: u64,
    /// Sessions that ended without their wish.
    pub lost: u64,
    /// Datagrams that went into a line, copies included.
    pub datagrams: u64,
    /// Those that never came out.
    pub datagrams_dropped: u64,
    /// Chunks that clients acknowledged whole, at the last server.
    pub chunks_delivered: u64,
    /// Results that nobody waited for any more.
    pub chunks_stale: u64,
    /// Looks that the checks took.
    pub looks: u64,
}

impl Figures {
    fn of(world: &World, checks: &Checks, cpu_ns: u64) -> Figures {
        let mut figures = Figures {
            virtual_us: world.elapsed_us(),
            cpu_ns,
            servers: world.hosts,
            clients: world.guests.len() as u64,
            looks: checks.looks,
            ..Figures::default()
        };
        if let Some(host) = &world.host {
            figures.ticks = host.tick.number();
            figures.ticks_skipped = host.ticks_skipped();
            figures.charged_ns = host.charged_ns;
            figures.chunks_delivered = host.tick.counters().chunks_delivered;
            figures.chunks_stale = host.tick.chunks().counters().stale;
        }
        for guest in &world.guests {
            figures.sessions += guest.sessions;
            figures.lost += guest.lost.len() as u64;
            let totals = guest.totals(false);
            figures.datagrams += totals.sent;
            figures.datagrams_dropped += totals.dropped;
        }
        figures
    }

    /// Virtual seconds for each second of CPU time.
    pub fn pace(&self) -> f64 {
        self.virtual_us as f64 * 1_000.0 / self.cpu_ns.max(1) as f64
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { virtual_us, cpu_ns, clients, sessions, lost, ticks, ticks_skipped, .. } = *self;
        let Figures { datagrams, datagrams_dropped, chunks_delivered, chunks_stale, servers, looks, .. } =
            *self;
        let (virtual_s, cpu_s) = (virtual_us as f64 / 1e6, cpu_ns as f64 / 1e9);
        writeln!(f, "{virtual_s:.0} virtual seconds in {cpu_s:.2} s of CPU time: {:.2} to one", self.pace())?;
        writeln!(
            f,
            "{clients} clients, {sessions} sessions, {lost} lost; {servers} servers, the last with {ticks} ticks"
        )?;
        write!(
            f,
            "and {ticks_skipped} skipped; {datagrams} datagrams, {datagrams_dropped} dropped; \
             {chunks_delivered} chunks delivered, {chunks_stale} stale; {looks} looks of the checks"
        )?;
        match self.charged_ns {
            0 => Ok(()),
            ns => write!(f, "\na tick cost {:.0} us in the mean", ns as f64 / 1e3 / ticks.max(1) as f64),
        }
    }
}

/// What is told while a world runs.
pub trait Witness {
    /// A virtual second is over.
    fn second(&mut self, second: u64, digest: &Digest);

    /// The server has had a tick.
    fn tick(&mut self, world: &World);
}

/// Nobody listens.
pub struct Nobody;

impl Witness for Nobody {
    fn second(&mut self, _: u64, _: &Digest) {}

    fn tick(&mut self, _: &World) {}
}

/// Runs a world to its end, or to the first thing that must not be.
pub fn run(plan: &Plan, manner: Manner, witness: &mut impl Witness) -> Outcome {
    let began_ns = thread_cpu_ns();
    let mut world = World::new(plan, manner.seed, manner.charges);
    let mut checks = Checks::default();
    let mut violation = None;
    let mut next_us = SECOND_US;
    while let Some(happened) = world.step() {
        if happened == Happened::Tick {
            witness.tick(&world);
        }
        if !manner.unchecked
            && let Err(found) = checks.look(&world, happened)
        {
            violation = Some(found);
            break;
        }
        while world.elapsed_us() >= next_us {
            witness.second(next_us / SECOND_US, &Digest::of(&world));
            next_us += SECOND_US;
        }
    }
    if violation.is_none() && !manner.unchecked {
        violation = checks.look_at_the_end(&world).err();
    }
    let digest = Digest::of(&world);
    let figures = Figures::of(&world, &checks, thread_cpu_ns() - began_ns);
    Outcome { seed: manner.seed, digest, violation, figures }
}
