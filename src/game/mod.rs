//! The rules of a game, apart from everything that serves it.
//!
//! A [`Game`] makes entities in a `hecs` world and moves them with what [`Scene`] offers. Those that have a [`Body`]
//! and are [`Replicated`] are shown to the clients around them; how that is done is none of the game's business.
//!
//! ```text
//!   connect ─▶ makes the player's entity
//!   input   ─▶ each input of each player, in order      Scene: entities, walk, doors, chunks, events
//!   tick    ─▶ once a tick, after the inputs
//!   despawn ─▶ the player has gone
//! ```
//!
//! Clients predict their own movement as [`Scene::walk`] and [`Scene::use_door`] do it. A game that moves players
//! otherwise is served all the same; its clients see more corrections.

mod body;
mod doors;
pub mod explore;
mod living;
mod scene;

pub use body::{Body, Replicated};
pub(crate) use body::{chunk_of, own_state};
pub use doors::Doors;
pub use hecs;
pub use living::{Living, Setting};
pub use scene::{Happening, KnownChunks, Scene};

use hecs::Entity;
use ninefold_protocol::frame::PlayerInput;
use ninefold_world::Mover;

/// A player that comes into the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Player {
    /// Its index on the wire as long as it is here.
    pub slot: u32,
    /// Who it is, from its connect token.
    pub client_id: u64,
}

/// The rules. All of it runs in the tick, on the tick's thread: what takes long belongs elsewhere.
pub trait Game: Send {
    /// A player comes in at a place that is safe to stand on. Makes its entity, with a [`Body`] there.
    fn connect(&mut self, scene: &mut Scene<'_>, player: Player, at: Mover) -> Entity;

    /// One input of a player. `pressed` are the buttons that were not held in the input before.
    fn input(&mut self, scene: &mut Scene<'_>, player: Entity, input: &PlayerInput, pressed: u16);

    /// The world goes on by one tick.
    fn tick(&mut self, scene: &mut Scene<'_>);

    /// A player goes. Its entity is removed after this, if it is still there.
    fn despawn(&mut self, _scene: &mut Scene<'_>, _player: Entity) {}
}
