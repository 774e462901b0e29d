//! What a snapshot holds once it is read: the player's own mover, the doors of the ring, the entities.

/// Chunks along one side of a ring.
pub const RING_SIDE: usize = 3;
/// Chunks of a ring.
pub const RING_CHUNKS: usize = RING_SIDE * RING_SIDE;

const _: () = assert!(RING_CHUNKS == 9, "as many as a snapshot has masks of doors");

/// Where the receiver itself is, exactly, so that it can go on from there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnState {
    /// Chunk.
    pub cx: i32,
    /// Chunk.
    pub cz: i32,
    /// Eastward in the chunk, 1/1024 unit, below 2^20.
    pub x: u32,
    /// Upward, 1/1024 unit.
    pub y: i32,
    /// Southward in the chunk, 1/1024 unit, below 2^20.
    pub z: u32,
    /// How fast it rises, 1/1024 unit per second; 0 on the ground.
    pub velocity_y: i32,
    /// Whether it stands.
    pub on_ground: bool,
    /// What the game has to say of it, as in [`EntityState::state`].
    pub state: u32,
}

/// An entity as it goes over the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntityState {
    /// What it is, for its whole life; the game's numbers.
    pub kind: u16,
    /// Eastward in the world, 1/64 unit: the chunk's column times 65,536 and the place in it.
    pub x: i64,
    /// Upward, 1/64 unit.
    pub y: i32,
    /// Southward in the world, 1/64 unit.
    pub z: i64,
    /// How fast it moves eastward, 1/16 unit per second.
    pub velocity_x: i16,
    /// How fast it rises, 1/16 unit per second.
    pub velocity_y: i16,
    /// How fast it moves southward, 1/16 unit per second.
    pub velocity_z: i16,
    /// Where it looks, 1,024 to the full turn.
    pub yaw: u16,
    /// What the game has to say of it.
    pub state: u32,
}

/// An entity in a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SnapshotEntity {
    /// Its index: what differences speak of. Another entity may have it later.
    pub index: u32,
    /// Who it is, for ever.
    pub id: u64,
    /// How it is.
    pub state: EntityState,
}

/// A whole snapshot, as its receiver holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The low 32 bits of the server's tick.
    pub tick: u32,
    /// The newest input that is in it, the low 16 bits; see [`crate::frame::Inputs`].
    pub input: u16,
    /// How early the receiver's inputs come, in half milliseconds: the least of the last second. Negative
    /// when they come too late.
    pub lead_half_ms: i8,
    /// Whether some changes were left out for want of room: what is not mentioned may have changed since the
    /// baseline, and what an earlier snapshot said of it since may be newer.
    pub incomplete: bool,
    /// The receiver itself.
    pub own: OwnState,
    /// Which doors of the ring stand open: a bit each, by chunk, row by row from the north-west.
    // A plain number: with the constant, rustc 1.95 breaks down over closures that take a snapshot apart.
    pub open_doors: [u32; 9],
    /// The entities, by index, ascending.
    pub entities: Vec<SnapshotEntity>,
}
