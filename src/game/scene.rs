//! [`Scene`]: what a game may look at and change while the tick runs.

use hecs::Entity;
use ninefold_protocol::frame::{GameEvent, PlayerInput};
use ninefold_world::{
    Chunk, ChunkCoord, Loaded, LocalPosition, Pace, Position, Topology, Wish, door_in_reach, walk,
};

use super::{Body, Doors};
use crate::telemetry::Counters;

/// Doors that close by themselves wait until nobody is so near, in units: as far as a player walks while the word
/// of it travels.
const DOOR_MARGIN_UNITS: f64 = 96.0;
/// Happenings of one tick; more are dropped and counted.
pub(crate) const HAPPENINGS_PER_TICK_MAX: usize = 256;

/// Chunks that are there.
pub trait KnownChunks {
    /// A chunk, if it is there.
    fn known(&self, coord: ChunkCoord) -> Option<&Chunk>;
}

/// Something worth telling for a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Happening {
    /// What: below 256 as in [`GameEvent`], above it the game's.
    pub kind: u16,
    /// Where.
    pub at: Position,
    /// More about it.
    pub value: u32,
}

/// The world as a game sees it.
pub struct Scene<'t> {
    /// Ticks since the world began.
    pub tick: u64,
    /// How fast players walk.
    pub pace: Pace,
    /// All entities.
    pub entities: &'t mut hecs::World,
    pub(crate) doors: &'t mut Doors,
    pub(crate) chunks: &'t dyn KnownChunks,
    /// The chunks around the player whose input this is: quicker to find.
    pub(crate) around: Option<&'t dyn KnownChunks>,
    pub(crate) happenings: &'t mut Vec<Happening>,
    pub(crate) counters: &'t mut Counters,
}

impl Scene<'_> {
    /// The same, near a player whose ring is at hand.
    pub(crate) fn near<'s>(&'s mut self, around: &'s dyn KnownChunks) -> Scene<'s> {
        Scene {
            tick: self.tick,
            pace: self.pace,
            entities: self.entities,
            doors: self.doors,
            chunks: self.chunks,
            around: Some(around),
            happenings: self.happenings,
            counters: self.counters,
        }
    }

    /// A chunk that is there.
    pub fn chunk(&self, coord: ChunkCoord) -> Option<&Chunk> {
        self.around.and_then(|around| around.known(coord)).or_else(|| self.chunks.known(coord))
    }

    /// A chunk that is there, with the doors that stand open.
    pub fn loaded(&self, coord: ChunkCoord) -> Option<Loaded<'_>> {
        let open_doors = self.doors.open_in(coord);
        self.chunk(coord).map(|chunk| Loaded { chunk, open_doors })
    }

    /// Walks an entity by one tick's input, as clients predict it: its wish, its yaw and its jump.
    pub fn walk(&mut self, entity: Entity, input: &PlayerInput) {
        let (x, z) = input.wish();
        let wish = Wish { x, z, jump: input.buttons & PlayerInput::JUMP != 0 };
        self.walk_by(entity, wish, input.yaw, self.pace);
    }

    /// Walks an entity by one tick at a pace of its own.
    pub fn walk_by(&mut self, entity: Entity, wish: Wish, yaw: u16, pace: Pace) {
        let Ok(mut body) = self.entities.get::<&Body>(entity).map(|body| *body) else { return };
        let before = body.mover.position;
        let walk = walk(&|coord| self.loaded(coord), body.mover, wish, pace);
        self.counters.steps_blocked_by_missing_chunk += u64::from(walk.missing);
        self.counters.players_freed += u64::from(walk.freed);
        let after = walk.mover.position;
        let hz = f64::from(pace.tick_rate_hz);
        let way = [after.x - before.x, after.y - before.y, after.z - before.z];
        body.velocity = way.map(|units| units * hz);
        body.mover = walk.mover;
        body.yaw = yaw;
        if let Ok(mut place) = self.entities.get::<&mut Body>(entity) {
            *place = body;
        }
    }

    /// Uses the door ahead of an entity, if one is in reach: opens it, or closes it where nobody is in its way.
    /// Says which door it was.
    pub fn use_door(&mut self, entity: Entity, yaw: u16) -> Option<(ChunkCoord, usize)> {
        let at = self.entities.get::<&Body>(entity).ok()?.mover.position;
        let (coord, door) = door_in_reach(&|coord| self.chunk(coord), at, yaw)?;
        if !self.doors.open_in(coord).contains(door) {
            self.doors.open(self.tick, self.pace.tick_rate_hz, coord, door);
            self.door_happens(GameEvent::DOOR_OPENED, coord, door);
        } else if !self.somebody_is_at(coord, door, 0.0) {
            self.doors.close(coord, door);
            self.door_happens(GameEvent::DOOR_CLOSED, coord, door);
        }
        Some((coord, door))
    }

    /// Tells the clients around of something. At most 256 a tick; more are dropped and counted.
    pub fn happens(&mut self, happening: Happening) {
        if self.happenings.len() < HAPPENINGS_PER_TICK_MAX {
            self.happenings.push(happening);
        } else {
            self.counters.happenings_dropped += 1;
        }
    }

    /// Closes the doors whose time has come.
    pub(crate) fn close_doors(&mut self) {
        let (tick, hz) = (self.tick, self.pace.tick_rate_hz);
        // Taken out while this asks who is near.
        let mut doors = std::mem::take(self.doors);
        while let Some((coord, door)) =
            doors.poll_close(tick, hz, |coord, door| self.somebody_is_at(coord, door, DOOR_MARGIN_UNITS))
        {
            self.door_happens(GameEvent::DOOR_CLOSED, coord, door);
        }
        *self.doors = doors;
    }

    /// Looks at every body: doors close seldom.
    fn somebody_is_at(&self, coord: ChunkCoord, door: usize, margin_units: f64) -> bool {
        let Some(chunk) = self.chunk(coord) else { return false };
        let is_at = |body: &Body| chunk.door_is_blocked(door, body.mover.position, margin_units);
        self.entities.query::<&Body>().iter().any(is_at)
    }

    fn door_happens(&mut self, kind: u16, coord: ChunkCoord, door: usize) {
        let Some(found) = self.chunk(coord).and_then(|chunk| chunk.doors().get(door)) else { return };
        let (low, high) = found.solid_box();
        let middle = |axis: usize| (f64::from(low[axis]) + f64::from(high[axis])) / 16.0;
        let (x0, z0) = coord.origin();
        let at = Position { x: x0 + middle(0), y: f64::from(low[1]) / 8.0, z: z0 + middle(2) };
        self.happens(Happening { kind, at, value: door as u32 });
    }
}

impl Happening {
    /// As it goes over the wire; `None` outside the grid of chunks.
    pub(crate) fn event(&self, tick: u64) -> Option<GameEvent> {
        let LocalPosition { chunk, x, y, z } = LocalPosition::try_from(self.at).ok()?;
        let (cx, cz) = (chunk.cx, chunk.cz);
        let kind = self.kind;
        Some(GameEvent {
            number: 0,
            kind,
            tick: tick as u32,
            cx,
            cz,
            x,
            y,
            z,
            reserved: 0,
            value: self.value,
        })
    }
}

/// The chunks of the ring around a chunk.
pub(crate) fn ring(of: ChunkCoord) -> impl Iterator<Item = ChunkCoord> {
    Topology::Plane.ring(of)
}
