//! What encoder and decoder have to agree on: widths, the ring's frame, and where an entity is expected.

use super::bits::sign_extend;
use super::state::{EntityState, OwnState, RING_CHUNKS, RING_SIDE};

/// The head's bytes: tick, the baseline's age, input, lead.
pub const HEAD_BYTES: usize = 8;
/// The bit of the baseline's age that says that changes were left out.
pub(crate) const INCOMPLETE: u8 = 0x80;

/// Bits of a place in the whole world, 1/64 unit: 16 in the chunk, 32 of the chunk.
pub(crate) const PLACE_BITS: u32 = 48;
/// Bits of an own place in the whole world, 1/1024 unit: 20 in the chunk, 32 of the chunk.
pub(crate) const OWN_PLACE_BITS: u32 = 52;
/// Bits of a place in a chunk, 1/1024 unit.
pub(crate) const OWN_IN_CHUNK_BITS: u32 = 20;
/// Bits of a place in a chunk, 1/64 unit.
const IN_CHUNK_BITS: u32 = 16;
/// Bits of a place in the ring, counted from its north-west corner, 1/64 unit.
pub(crate) const IN_RING_BITS: u32 = 18;
/// Bits of a yaw.
pub(crate) const YAW_BITS: u32 = 10;

/// How far the receiver's own mover came, each axis alone.
pub(crate) const OWN_PLACE: [u32; 4] = [0, 13, 18, OWN_PLACE_BITS];
/// How its height and its speed upward changed.
pub(crate) const OWN_HEIGHT: [u32; 4] = [0, 14, 20, 32];
/// Which door of a chunk.
pub(crate) const DOOR_INDEX_BITS: u32 = 5;

// The widths of what moves are the cheapest for the crowd in tests/snapshot_size.rs.

/// How the speeds eastward and southward changed, or that upward.
pub(crate) const VELOCITY: [u32; 4] = [0, 12, 14, 16];
/// How far the height is from where it was expected.
pub(crate) const HEIGHT: [u32; 4] = [0, 2, 12, 32];
/// How the yaw changed.
pub(crate) const YAW: [u32; 3] = [0, 8, YAW_BITS];
/// What the game says: the bits that changed.
pub(crate) const STATE: [u32; 3] = [0, 8, 32];
/// How far east and south is from where it was expected.
pub(crate) const PLACE: [u32; 4] = [2, 8, 13, PLACE_BITS];

/// By how much an entered index is above the one before it.
pub(crate) const INDEX_GAP: [u32; 3] = [4, 10, 32];
/// Who an entered entity is.
pub(crate) const ID: [u32; 4] = [16, 32, 48, 64];
/// What an entered entity is.
pub(crate) const KIND: [u32; 2] = [4, 16];
/// An entered entity's height.
pub(crate) const ENTERED_HEIGHT: [u32; 3] = [13, 18, 32];
/// An entered entity's speeds.
pub(crate) const ENTERED_VELOCITY: [u32; 3] = [0, 14, 16];

const fn widest<const N: usize>(widths: &[u32; N]) -> usize {
    N - 1 + widths[N - 1] as usize
}

/// Bits of the receiver's own mover at most.
pub const OWN_BITS_MAX: usize = 1 + 2 * widest(&OWN_PLACE) + 1 + 1 + 2 * widest(&OWN_HEIGHT) + widest(&STATE);
/// Bits of the open doors at most.
pub const DOORS_BITS_MAX: usize = 1 + RING_CHUNKS * (2 + 32);
/// Bytes at most of all that is not an entity.
pub const HEAD_BYTES_MAX: usize = HEAD_BYTES + (OWN_BITS_MAX + DOORS_BITS_MAX + 2).div_ceil(8);
/// Bits of an entity that is as it was in the baseline.
pub const SAME_BITS: usize = 1;
/// Bits of an entity that is gone.
pub const GONE_BITS: usize = 2;
/// Bits of a changed entity at most.
pub const CHANGED_BITS_MAX: usize = 3
    + (3 + 2 * 16)
    + (1 + widest(&VELOCITY) + widest(&HEIGHT))
    + widest(&YAW)
    + widest(&STATE)
    + (3 + 2 * PLACE_BITS as usize);
/// Bits of an entity that entered at most.
pub const ENTERED_BITS_MAX: usize = 1
    + widest(&INDEX_GAP)
    + widest(&ID)
    + widest(&KIND)
    + (1 + 2 * PLACE_BITS as usize)
    + widest(&ENTERED_HEIGHT)
    + (2 + 3 * 16)
    + YAW_BITS as usize
    + widest(&STATE);

/// A place in the world, from any number.
pub(crate) const fn place(value: i64) -> i64 {
    sign_extend(value, PLACE_BITS)
}

/// An axis of the own place in the whole world.
pub(crate) const fn own_place(chunk: i32, in_chunk: u32) -> i64 {
    ((chunk as i64) << OWN_IN_CHUNK_BITS) + in_chunk as i64
}

/// Where the ring of a player begins along one axis, 1/64 unit; meaningless at the world's edge, where it wraps.
pub(crate) const fn ring_start(chunk: i32) -> i64 {
    (chunk.wrapping_sub(1) as i64) << IN_CHUNK_BITS
}

/// The door masks of `base` as they lie in the ring of another chunk; 0 for chunks that it did not hold.
pub(super) fn doors_in_ring(
    base: &[u32; RING_CHUNKS],
    from: (i32, i32),
    to: (i32, i32),
) -> [u32; RING_CHUNKS] {
    let side = RING_SIDE as i32;
    let (dx, dz) = (to.0.wrapping_sub(from.0), to.1.wrapping_sub(from.1));
    std::array::from_fn(|cell| {
        let (column, row) = (cell as i32 % side, cell as i32 / side);
        let (column, row) = (column.wrapping_add(dx), row.wrapping_add(dz));
        let both_hold_it = (0..side).contains(&column) && (0..side).contains(&row);
        if both_hold_it { base[(row * side + column) as usize] } else { 0 }
    })
}

/// The chunk in which a mover stands.
pub(crate) const fn chunk_of(own: &OwnState) -> (i32, i32) {
    (own.cx, own.cz)
}

/// How long ago the baseline was, for what moved on since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elapsed {
    ticks: i32,
    hz: i32,
}

impl Elapsed {
    /// `ticks` are at most [`super::BASELINE_TICKS_MAX`]; a rate of 0 counts as 1.
    pub fn new(ticks: u32, hz: u16) -> Self {
        Elapsed { ticks: ticks as i32, hz: i32::from(hz.max(1)) }
    }

    /// Ticks since the baseline.
    pub fn ticks(self) -> i32 {
        self.ticks
    }

    /// How far something came whose speed changed evenly, 1/64 unit from 1/16 unit per second, to the
    /// nearest, halves upward: `floor(2 * (v0 + v1) * ticks / hz + 1/2)`.
    pub fn distance(self, before: i16, now: i16) -> i32 {
        let twice = 4 * (i32::from(before) + i32::from(now)) * self.ticks + self.hz;
        twice.div_euclid(2 * self.hz)
    }

    /// Where an entity is expected, from where it was and its speeds then and now.
    pub fn expected(self, base: &EntityState, velocity: [i16; 3]) -> (i64, i32, i64) {
        let [x, y, z] = velocity;
        (
            base.x.wrapping_add(self.distance(base.velocity_x, x).into()),
            base.y.wrapping_add(self.distance(base.velocity_y, y)),
            base.z.wrapping_add(self.distance(base.velocity_z, z).into()),
        )
    }
}
