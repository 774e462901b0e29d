//! What an entity must have to be seen: a [`Body`], and that it is [`Replicated`].

use ninefold_protocol::snapshot::{EntityState, OwnState};
use ninefold_world::{CHUNK_UNITS, ChunkCoord, Mover};

/// Steps of a place on the wire in one unit.
const PLACE_PER_UNIT: f64 = 64.0;
/// Steps of the own place on the wire in one unit: the lattice on which everything moves.
const EXACT_PER_UNIT: f64 = 1_024.0;
/// Steps of a velocity on the wire in one unit per second.
const VELOCITY_PER_UNIT_S: f64 = 16.0;

/// Where an entity is and how it moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Body {
    /// Where its feet are and how it falls.
    pub mover: Mover,
    /// How fast it moves along x, y and z, in units per second; clients draw it on by that.
    pub velocity: [f64; 3],
    /// Where it looks, 65,536 to the full turn.
    pub yaw: u16,
}

/// Marks an entity that clients are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicated {
    /// Who it is, for ever: no two entities have the same, and none that comes later.
    pub id: u64,
    /// What it is, for its whole life; the game's numbers.
    pub kind: u16,
    /// What clients should know of it besides; the game's bits.
    pub state: u32,
    /// Where the tick keeps what it tells of it.
    pub(crate) replica: Option<u32>,
}

impl Replicated {
    /// An entity that clients are told of from the next snapshot on.
    pub fn new(id: u64, kind: u16) -> Self {
        Replicated { id, kind, state: 0, replica: None }
    }
}

impl Body {
    /// One that stands at a place and looks east.
    pub fn standing(mover: Mover) -> Self {
        Body { mover, velocity: [0.0; 3], yaw: 0 }
    }

    /// As it goes over the wire; `None` outside the grid of chunks.
    pub(crate) fn state(&self, replicated: &Replicated) -> Option<EntityState> {
        let at = self.mover.position;
        at.chunk()?;
        let place = |units: f64| (units * PLACE_PER_UNIT).floor();
        let velocity = |units_s: f64| (units_s * VELOCITY_PER_UNIT_S).round() as i16;
        Some(EntityState {
            kind: replicated.kind,
            x: place(at.x) as i64,
            y: place(at.y) as i32,
            z: place(at.z) as i64,
            velocity_x: velocity(self.velocity[0]),
            velocity_y: velocity(self.velocity[1]),
            velocity_z: velocity(self.velocity[2]),
            yaw: self.yaw >> 6,
            state: replicated.state,
        })
    }
}

/// A player's own mover as it goes over the wire, exactly; `None` outside the grid of chunks.
pub(crate) fn own_state(mover: &Mover, state: u32) -> Option<OwnState> {
    let chunk = mover.position.chunk()?;
    let (x0, z0) = chunk.origin();
    let exact = |units: f64| units * EXACT_PER_UNIT;
    Some(OwnState {
        cx: chunk.cx,
        cz: chunk.cz,
        x: exact(mover.position.x - x0) as u32,
        y: exact(mover.position.y) as i32,
        z: exact(mover.position.z - z0) as u32,
        velocity_y: exact(mover.velocity_y) as i32,
        on_ground: mover.on_ground,
        state,
    })
}

/// The chunk of a place on the wire.
pub(crate) fn chunk_of(state: &EntityState) -> ChunkCoord {
    let index = |place: i64| (place >> 16) as i32;
    ChunkCoord { cx: index(state.x), cz: index(state.z) }
}

const _: () = assert!(CHUNK_UNITS * 64 == 1 << 16, "a chunk's side is 65,536 steps");

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_world::{LocalPosition, Position};

    #[test]
    fn a_place_on_the_wire_lies_in_its_chunk() {
        for (x, y, z) in [(0.0, 0.0, 0.0), (-0.01, 31.99, 1_023.999), (-1_024.0, -3.5, 5e9 + 0.3)] {
            let position = Position { x, y, z };
            let body = Body::standing(Mover::standing(position));
            let state = body.state(&Replicated::new(1, 2)).unwrap();
            let local = LocalPosition::try_from(position).unwrap();
            assert_eq!(chunk_of(&state), local.chunk);
            assert_eq!(
                (state.x & 0xffff, state.y, state.z & 0xffff),
                (local.x.into(), local.y.into(), local.z.into())
            );
        }
    }

    #[test]
    fn the_own_mover_goes_over_the_wire_exactly() {
        let position = Position { x: -3.0 + 1.0 / 1_024.0, y: 17.5, z: 2_048.75 };
        let mover = Mover { position, velocity_y: -13.0 - 3.0 / 1_024.0, on_ground: false };
        let own = own_state(&mover, 7).unwrap();
        assert_eq!((own.cx, own.cz, own.x, own.z), (-1, 2, 1_021 * 1_024 + 1, 768));
        assert_eq!((own.y, own.velocity_y, own.on_ground, own.state), (17_920, -13_315, false, 7));
    }

    #[test]
    fn what_is_outside_the_grid_is_told_to_nobody() {
        let body = Body::standing(Mover::standing(Position { x: f64::NAN, y: 0.0, z: 0.0 }));
        assert_eq!(body.state(&Replicated::new(1, 2)), None);
        assert_eq!(own_state(&body.mover, 0), None);
    }
}
