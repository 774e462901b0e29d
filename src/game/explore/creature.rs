//! Creatures: they live where players are, wander along paths from cell to cell, and rest.
//!
//! Work: each creature moves by one walk a tick; a census every half second looks at the chunks with players.

use ahash::AHashMap;
use fastrand::Rng;
use hecs::Entity;
use ninefold_world::{CHUNK_UNITS, ChunkCoord, Mover, Pace, Position, Wish};
use smallvec::SmallVec;

use super::path::{self, Way};
use super::ring;
use super::{Body, KIND_CREATURE, Replicated, Scene};

/// Creatures that one chunk may have.
pub const CREATURES_PER_CHUNK_MAX: u32 = 16;
/// Ticks from one census to the next.
const CENSUS_TICKS: u64 = 30;
/// How fast creatures walk, in units a second.
const SPEED_UNITS_S: u32 = 96;
/// From so near, in units, a creature has come to the middle of a cell.
const NEAR_UNITS: f64 = 2.0;
/// Ticks that a creature rests between two ways, at most.
const REST_TICKS_MAX: u64 = 240;
/// A creature that has not come to its next cell by then looks for another way, in ticks.
const STUCK_TICKS: u64 = 180;
/// The highest bit of an id tells creatures from players, whose ids come with their tokens.
const CREATURE_ID: u64 = 1 << 63;

/// The bit of [`Replicated::state`] that is set while a creature walks.
const WALKS: u32 = 1;

/// All creatures.
#[derive(Debug)]
pub struct Creatures {
    per_chunk: u32,
    random: Rng,
    /// Those that were made for a chunk.
    homes: AHashMap<ChunkCoord, SmallVec<[Entity; 4]>>,
    made: u64,
    /// All of them as they move: put in order by each census, so that a tick allocates nothing for it.
    order: Vec<Entity>,
    /// The chunks that creatures were made for, in ascending order; of the last census, kept for its memory.
    inhabited: Vec<ChunkCoord>,
}

/// Where a creature is going.
struct Wanderer {
    /// Cells still to be gone to.
    way: Way,
    /// Rests until then, or has given up on its next cell by then.
    until: u64,
}

impl Creatures {
    pub fn new(seed: u64, per_chunk: u32) -> Self {
        let per_chunk = per_chunk.min(CREATURES_PER_CHUNK_MAX);
        Creatures {
            per_chunk,
            random: Rng::with_seed(seed),
            homes: AHashMap::new(),
            made: 0,
            order: Vec::new(),
            inhabited: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.homes.values().map(|entities| entities.len()).sum()
    }

    pub fn is_time_for_census(&self, tick: u64) -> bool {
        self.per_chunk > 0 && tick.is_multiple_of(CENSUS_TICKS)
    }

    /// Makes creatures for chunks that players are in, in ascending order, and removes those of chunks that no player
    /// is near any more.
    pub fn census(&mut self, scene: &mut Scene<'_>, players: &[ChunkCoord]) {
        let is_near = |coord: &ChunkCoord| ring(*coord).any(|near| players.binary_search(&near).is_ok());
        self.homes.retain(|coord, entities| {
            let stays = is_near(coord);
            if !stays {
                entities.iter().for_each(|entity| drop(scene.entities.despawn(*entity)));
            }
            stays
        });
        for coord in players {
            if !self.homes.contains_key(coord) && scene.chunk(*coord).is_some() {
                let entities = (0..self.per_chunk).filter_map(|_| self.spawn(scene, *coord)).collect();
                self.homes.insert(*coord, entities);
            }
        }
        // The order of a map means nothing, and the random numbers must be the same again.
        self.inhabited.clear();
        self.inhabited.extend(self.homes.keys());
        self.inhabited.sort_unstable();
        self.order.clear();
        self.order.extend(self.inhabited.iter().flat_map(|coord| &self.homes[coord]));
    }

    fn spawn(&mut self, scene: &mut Scene<'_>, coord: ChunkCoord) -> Option<Entity> {
        let at = scene.chunk(coord)?.spawn(self.random.u64(..));
        self.made += 1;
        let id = CREATURE_ID | (scene.tick << 24) | (self.made & 0xff_ffff);
        let body = Body::standing(Mover::standing(at));
        let wanderer = Wanderer { way: Way::none(), until: scene.tick };
        Some(scene.entities.spawn((body, Replicated::new(id, KIND_CREATURE), wanderer)))
    }

    /// Moves all creatures on by one tick, in the order of their chunks.
    pub fn wander(&mut self, scene: &mut Scene<'_>) {
        for at in 0..self.order.len() {
            self.step(scene, self.order[at]);
        }
    }

    fn step(&mut self, scene: &mut Scene<'_>, entity: Entity) {
        let Ok(body) = scene.entities.get::<&Body>(entity).map(|body| *body) else { return };
        let at = body.mover.position;
        let wish = {
            let Ok(mut wanderer) = scene.entities.get::<&mut Wanderer>(entity) else { return };
            let next = wanderer.way.next();
            match next {
                Some((x, z)) if (x - at.x).abs() < NEAR_UNITS && (z - at.z).abs() < NEAR_UNITS => {
                    let rests = wanderer.way.advance();
                    let ticks = if rests { self.random.u64(..REST_TICKS_MAX) } else { STUCK_TICKS };
                    wanderer.until = scene.tick + ticks;
                    Wish::default()
                }
                Some(_) if scene.tick > wanderer.until => {
                    wanderer.way = Way::none();
                    Wish::default()
                }
                Some(to) => towards(at, to),
                None if scene.tick >= wanderer.until => {
                    drop(wanderer);
                    self.set_out(scene, entity, at);
                    Wish::default()
                }
                None => Wish::default(),
            }
        };
        let pace = Pace { speed_units_s: SPEED_UNITS_S, ..scene.pace };
        let walks = wish != Wish::default();
        let is_at_rest = !walks && body.mover.on_ground && body.velocity == [0.0; 3];
        if !is_at_rest {
            scene.walk_by(entity, wish, if walks { yaw(wish) } else { body.yaw }, pace);
        }
        if let Ok(mut replicated) = scene.entities.get::<&mut Replicated>(entity) {
            replicated.state = if walks { WALKS } else { 0 };
        }
    }

    /// Finds a way to somewhere in the chunk that it is in, or over its border.
    fn set_out(&mut self, scene: &mut Scene<'_>, entity: Entity, at: Position) {
        let salt = self.random.u64(..);
        let way = at.chunk().and_then(|coord| {
            let loaded = scene.loaded(coord)?;
            Some(path::find(loaded.chunk, loaded.open_doors, at, salt, |coord| scene.chunk(coord)))
        });
        let Ok(mut wanderer) = scene.entities.get::<&mut Wanderer>(entity) else { return };
        wanderer.way = way.unwrap_or(Way::none());
        wanderer.until = scene.tick + STUCK_TICKS;
    }
}

/// Along the axis that has the longer way to go.
pub(super) fn towards(at: Position, to: (f64, f64)) -> Wish {
    let (dx, dz) = (to.0 - at.x, to.1 - at.z);
    let (x, z) = if dx.abs() > dz.abs() { (dx.signum(), 0.0) } else { (0.0, dz.signum()) };
    Wish { x, z, jump: false }
}

/// East, south, west, north.
fn yaw(wish: Wish) -> u16 {
    match (wish.x > 0.0, wish.z > 0.0, wish.x < 0.0) {
        (true, ..) => 0,
        (_, true, _) => 0x4000,
        (.., true) => 0x8000,
        _ => 0xc000,
    }
}

const _: () = assert!(CHUNK_UNITS as f64 > NEAR_UNITS);
