//! A game of one's own: tag, built on the server without touching it.
//!
//! `cargo run --example tag` serves it on loopback until Ctrl-C; play it with `cargo run -p ninefold-terminal`, in two
//! terminals. One player is it, whom the others see by a bit in its state; touching another makes that one it, and
//! an event says so to those who are near. Who was just touched cannot touch back at once. When the one who is it
//! leaves, another becomes it.
//!
//! Walking and doors are those of `explore`, which this game has inside; it adds the rules.

use std::time::Duration;

use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold::game::hecs::Entity;
use ninefold::game::{Body, Game, Happening, Player, Replicated, Scene};
use ninefold::server::Server;
use ninefold_protocol::frame::PlayerInput;
use ninefold_world::{Mover, PLAYER_HALF_WIDTH_UNITS, PLAYER_HEIGHT_UNITS, Position};

/// The bit in a player's state: it is it.
pub const STATE_IT: u32 = 1;
/// Somebody has become it; the value is the low 32 bits of who.
pub const EVENT_TAGGED: u16 = 256;
/// Who has become it touches nobody for so long.
pub const COOL_DOWN_MS: u64 = 1_000;
/// Players touch when no more than this is between them, in units.
pub const REACH_UNITS: f64 = 4.0;

/// The rules of tag around those of walking.
pub struct Tag {
    explore: Explore,
    /// Those who play, in the order in which they came.
    players: Vec<Entity>,
    it: Option<It>,
}

/// The one who is it.
struct It {
    who: Entity,
    /// From this tick on it can touch others.
    touches_from: u64,
    /// Whether that was told. Players come and go between ticks, and what happens is told in one.
    is_told: bool,
}

impl Tag {
    /// A game in a world without creatures.
    pub fn new(seed: u64) -> Self {
        Tag { explore: Explore::new(seed, 0), players: Vec::new(), it: None }
    }

    /// Makes a player it, and nobody else.
    fn pass_to(&mut self, scene: &mut Scene<'_>, who: Entity) {
        if let Some(before) = &self.it {
            mark(scene, before.who, 0);
        }
        mark(scene, who, STATE_IT);
        let cool_down_ticks = COOL_DOWN_MS * u64::from(scene.pace.tick_rate_hz) / 1_000;
        self.it = Some(It { who, touches_from: scene.tick + cool_down_ticks, is_told: false });
    }

    /// The first whom it touches.
    fn touched(&self, scene: &Scene<'_>) -> Option<Entity> {
        let it = self.it.as_ref().filter(|it| scene.tick >= it.touches_from)?;
        let at = place(scene, it.who)?;
        let is_touched = |other: Entity| place(scene, other).is_some_and(|other| touch(at, other));
        self.players.iter().copied().find(|other| *other != it.who && is_touched(*other))
    }

    /// Tells those around once who has become it.
    fn tell(&mut self, scene: &mut Scene<'_>) {
        let Some(it) = self.it.as_mut().filter(|it| !it.is_told) else { return };
        it.is_told = true;
        let id = scene.entities.get::<&Replicated>(it.who).map(|replicated| replicated.id);
        if let (Ok(id), Some(at)) = (id, place(scene, it.who)) {
            scene.happens(Happening { kind: EVENT_TAGGED, at, value: id as u32 });
        }
    }
}

impl Game for Tag {
    fn connect(&mut self, scene: &mut Scene<'_>, player: Player, at: Mover) -> Entity {
        let entity = self.explore.connect(scene, player, at);
        self.players.push(entity);
        if self.it.is_none() {
            self.pass_to(scene, entity);
        }
        entity
    }

    fn input(&mut self, scene: &mut Scene<'_>, player: Entity, input: &PlayerInput, pressed: u16) {
        self.explore.input(scene, player, input, pressed);
    }

    fn tick(&mut self, scene: &mut Scene<'_>) {
        self.explore.tick(scene);
        if let Some(next) = self.touched(scene) {
            self.pass_to(scene, next);
        }
        self.tell(scene);
    }

    fn despawn(&mut self, scene: &mut Scene<'_>, player: Entity) {
        self.explore.despawn(scene, player);
        self.players.retain(|other| *other != player);
        if self.it.as_ref().is_some_and(|it| it.who == player) {
            self.it = None;
            // Whoever has been here longest.
            if let Some(next) = self.players.first() {
                self.pass_to(scene, *next);
            }
        }
    }
}

/// Sets what the others see of a player.
fn mark(scene: &mut Scene<'_>, player: Entity, state: u32) {
    if let Ok(mut replicated) = scene.entities.get::<&mut Replicated>(player) {
        replicated.state = state;
    }
}

fn place(scene: &Scene<'_>, player: Entity) -> Option<Position> {
    scene.entities.get::<&Body>(player).ok().map(|body| body.mover.position)
}

/// Whether two players touch: their boxes, a little wider.
fn touch(a: Position, b: Position) -> bool {
    let wide = f64::from(2 * PLAYER_HALF_WIDTH_UNITS) + REACH_UNITS;
    let high = f64::from(PLAYER_HEIGHT_UNITS);
    (a.x - b.x).abs() <= wide && (a.z - b.z).abs() <= wide && (a.y - b.y).abs() <= high
}

#[allow(dead_code)] // a test takes the game in without its main
fn main() -> anyhow::Result<()> {
    // Near enough to find each other.
    let config = Config { spawn_radius_chunks: 0, ..Config::default() };
    let world = config.generator.world(config.world_seed);
    let server = Server::start_game(&config, world, Box::new(Tag::new(config.world_seed)))?;
    println!("tag on {}; play with `cargo run -p ninefold-terminal`, in two terminals", server.address());
    while !server.is_dead() {
        std::thread::sleep(Duration::from_millis(250));
    }
    println!("{}", server.stop()?);
    Ok(())
}
