//! Everything in the world that lives, and the rules that it lives by.

use ninefold_world::Pace;

use super::scene::{Happening, KnownChunks, Scene};
use super::{Body, Doors, Game, Replicated};
use crate::telemetry::Counters;

/// Entities, doors and what has just happened.
pub struct Living {
    game: Box<dyn Game>,
    /// All entities.
    pub entities: hecs::World,
    /// The doors that stand open.
    pub doors: Doors,
    /// What happened in this tick.
    pub happenings: Vec<Happening>,
}

impl std::fmt::Debug for Living {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entities = self.entities.len();
        f.debug_struct("Living")
            .field("entities", &entities)
            .field("doors", &self.doors)
            .finish_non_exhaustive()
    }
}

/// What a scene is set in.
pub struct Setting<'t> {
    /// Ticks since the world began.
    pub tick: u64,
    /// How fast players walk.
    pub pace: Pace,
    /// The chunks that are there.
    pub chunks: &'t dyn KnownChunks,
    /// What happens is counted here.
    pub counters: &'t mut Counters,
}

impl Living {
    /// A world in which nobody lives yet.
    pub fn new(game: Box<dyn Game>) -> Self {
        let (entities, doors) = (hecs::World::new(), Doors::default());
        Living { game, entities, doors, happenings: Vec::new() }
    }

    /// Bytes of memory of the entities as far as they are the library's: a game's own components do not tell their size.
    pub fn memory_bytes(&self) -> usize {
        self.entities.len() as usize
            * (size_of::<hecs::Entity>() + size_of::<Body>() + size_of::<Replicated>())
    }

    /// The rules and what they act on.
    pub fn scene<'t>(&'t mut self, setting: Setting<'t>) -> (&'t mut dyn Game, Scene<'t>) {
        let Setting { tick, pace, chunks, counters } = setting;
        let Living { game, entities, doors, happenings } = self;
        let scene = Scene { tick, pace, entities, doors, chunks, around: None, happenings, counters };
        (game.as_mut(), scene)
    }
}
