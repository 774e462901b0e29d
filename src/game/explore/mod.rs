//! The game that ships: walk, open doors, meet others and the creatures that wander about.

mod creature;
mod path;

use hecs::Entity;
use ninefold_protocol::frame::PlayerInput;
use ninefold_world::{ChunkCoord, Mover};

use super::scene::ring;
use super::{Body, Game, Player, Replicated, Scene};
use creature::Creatures;

/// What a player is on the wire.
pub const KIND_PLAYER: u16 = 1;
/// What a creature is on the wire.
pub const KIND_CREATURE: u16 = 2;

/// Marks a player's entity.
struct Avatar;

/// Walking, doors and creatures.
#[derive(Debug)]
pub struct Explore {
    creatures: Creatures,
    /// Chunks in which players are; of one census, kept for its memory.
    players: Vec<ChunkCoord>,
}

impl Explore {
    /// A world in which so many creatures live in each chunk where a player is. The seed decides where they go.
    pub fn new(seed: u64, creatures_per_chunk: u32) -> Self {
        Explore { creatures: Creatures::new(seed, creatures_per_chunk), players: Vec::new() }
    }

    /// Creatures that are about.
    pub fn creatures(&self) -> usize {
        self.creatures.len()
    }
}

impl Game for Explore {
    fn connect(&mut self, scene: &mut Scene<'_>, player: Player, at: Mover) -> Entity {
        scene.entities.spawn((Body::standing(at), Replicated::new(player.client_id, KIND_PLAYER), Avatar))
    }

    fn input(&mut self, scene: &mut Scene<'_>, player: Entity, input: &PlayerInput, pressed: u16) {
        // The door first, so that who opens it walks through it in the same tick; clients predict it so.
        if pressed & PlayerInput::USE != 0 {
            scene.use_door(player, input.yaw);
        }
        scene.walk(player, input);
    }

    fn tick(&mut self, scene: &mut Scene<'_>) {
        if self.creatures.is_time_for_census(scene.tick) {
            let players = &mut self.players;
            players.clear();
            for (body, _) in scene.entities.query::<(&Body, &Avatar)>().iter() {
                players.extend(body.mover.position.chunk());
            }
            players.sort_unstable();
            players.dedup();
            self.creatures.census(scene, players);
        }
        self.creatures.wander(scene);
    }
}
