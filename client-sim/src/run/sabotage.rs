//! Faults inside a server of this process: a generator that is slow or panics, a tick that stalls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ninefold::clock::Monotonic;
use ninefold::game::{Game, Player, Scene, hecs};
use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::{ChunkCoord, Generator, Grid, Mover};

use crate::scenario::{FaultKind, Scenario, mixed_seed};

/// A time in which the generator is not as it should be.
#[derive(Debug, Clone, Copy)]
struct Spell {
    from: Instant,
    until: Instant,
    what: Ill,
}

#[derive(Debug, Clone, Copy)]
enum Ill {
    Slow(Duration),
    Panics(u32),
}

/// A generator with spells of illness.
pub struct FaultyGenerator {
    inner: Arc<dyn Generator>,
    clock: Monotonic,
    seed: u64,
    spells: Vec<Spell>,
    attempts: AtomicU64,
}

impl FaultyGenerator {
    /// The generator with what the scenario has for it.
    pub fn new(inner: Arc<dyn Generator>, scenario: &Scenario, clock: Monotonic, origin: Instant) -> Self {
        let spells = scenario.faults.iter().filter_map(|fault| {
            let (what, seconds) = match fault.kind {
                FaultKind::SlowGenerator { ms, seconds } => {
                    (Ill::Slow(Duration::from_ms(ms.into())), seconds)
                }
                FaultKind::PanickingGenerator { one_in, seconds } => (Ill::Panics(one_in), seconds),
                _ => return None,
            };
            let from = origin + fault.at.0;
            Some(Spell { from, until: from + seconds.0, what })
        });
        let spells = spells.collect();
        FaultyGenerator { inner, clock, seed: scenario.seed, spells, attempts: AtomicU64::new(0) }
    }

    fn suffer(&self, coord: ChunkCoord) {
        let now = self.clock.now();
        for spell in self.spells.iter().filter(|spell| spell.from <= now && now < spell.until) {
            match spell.what {
                Ill::Slow(by) => self.clock.sleep_until(now + by),
                Ill::Panics(one_in) => {
                    let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
                    let place = (coord.cx as u32 as u64) << 32 | u64::from(coord.cz as u32);
                    if mixed_seed(self.seed ^ place, attempt).is_multiple_of(one_in.into()) {
                        // As a panic is, but for the words on standard error: it is meant.
                        std::panic::resume_unwind(Box::new("a fault of the scenario"));
                    }
                }
            }
        }
    }
}

impl Generator for FaultyGenerator {
    fn grid(&self, coord: ChunkCoord) -> Grid {
        self.suffer(coord);
        self.inner.grid(coord)
    }

    fn world_id(&self) -> u64 {
        self.inner.world_id()
    }
}

/// A game whose tick stalls now and then.
pub struct StallingGame {
    inner: Box<dyn Game>,
    clock: Monotonic,
    /// When and for how long, the next one last.
    stalls: Vec<(Instant, Duration)>,
}

impl StallingGame {
    /// The game with what the scenario has for it.
    pub fn new(inner: Box<dyn Game>, scenario: &Scenario, clock: Monotonic, origin: Instant) -> Self {
        let now = clock.now();
        let mut stalls: Vec<(Instant, Duration)> = (scenario.faults.iter())
            .filter_map(|fault| match fault.kind {
                FaultKind::StalledTick { ms } => Some((origin + fault.at.0, Duration::from_ms(ms.into()))),
                _ => None,
            })
            // A server that is started again has not to suffer what the first one has.
            .filter(|(at, _)| *at >= now)
            .collect();
        stalls.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
        StallingGame { inner, clock, stalls }
    }
}

impl Game for StallingGame {
    fn connect(&mut self, scene: &mut Scene<'_>, player: Player, at: Mover) -> hecs::Entity {
        self.inner.connect(scene, player, at)
    }

    fn input(&mut self, scene: &mut Scene<'_>, player: hecs::Entity, input: &PlayerInput, pressed: u16) {
        self.inner.input(scene, player, input, pressed);
    }

    fn tick(&mut self, scene: &mut Scene<'_>) {
        let now = self.clock.now();
        if let Some((_, long)) = self.stalls.pop_if(|(at, _)| *at <= now) {
            self.clock.sleep_until(now + long);
        }
        self.inner.tick(scene);
    }

    fn despawn(&mut self, scene: &mut Scene<'_>, player: hecs::Entity) {
        self.inner.despawn(scene, player);
    }
}
