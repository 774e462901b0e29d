//! ninefold's world, pure: from a seed to chunks that can be drawn and walked in.
//!
//! ```text
//!   seed ─▶ biome ─▶ border contract ─▶ grid of cells ─▶ tree of planes ─▶ bytes
//!           biome     border, terrain    grid             bsp, chunk        codec
//! ```
//!
//! The same seed gives the same bytes for ever: on every machine, from any thread, in any build. Nothing
//! here asks a clock, draws a random number, or depends on the order of a map. Floats appear only in the
//! noise of biomes and terrain, whose crate is pinned and uses nothing but exact operations, and in
//! positions; geometry is integers of 1/8 unit.
#![forbid(unsafe_code)]

mod biome;
mod border;
mod bsp;
mod cell;
mod chunk;
mod codec;
mod coord;
mod door;
mod entries;
mod frustum;
mod generator;
mod grid;
mod hash;
mod lattice;
mod light;
mod mesh;
mod noise;
mod ring;
mod scratch;
mod slide;
mod spawn;
mod sweep;
mod terrain;
mod topology;
mod trace;
mod visibility;
mod walk;

pub use biome::Biome;
pub use border::Side;
pub use bsp::build;
pub use cell::{Cell, OpenCell, STEP_UNITS};
pub use chunk::{
    Axis, Child, Chunk, Column, ContentHash, Contents, FACES_MAX, Face, LEAVES_MAX, Leaf, NODES_MAX, Node,
    PLANES_MAX, Plane, VERTICES_MAX,
};
pub use codec::{
    CHUNK_KIND_BSP, DECODED_BYTES_MAX, DecodeError, ENCODED_BYTES_MAX, ENCODING_BSP, ENCODING_RECIPE,
    FORMAT_VERSION, decode, encode, encode_recipe,
};
pub use coord::{
    CELL_FIXED, CELL_UNITS, CELLS_PER_CHUNK, CHUNK_HEIGHT_UNITS, CHUNK_UNITS, ChunkCoord, FIXED_PER_UNIT,
    LocalPoint, LocalPosition, OutsideGrid, Position,
};
pub use door::{DOOR_THICKNESS_FIXED, DOORS_MAX, Door, Hinge, OpenDoors};
pub use frustum::Frustum;
pub use generator::{BspWorld, BuiltIn, Generator, Plain};
pub use grid::Grid;
pub use light::{LIGHTS_MAX, Light, SUN, Sun};
pub use mesh::Mesh;
pub use ring::{Ring, Visible, VisibleChunk};
pub use scratch::Scratch;
pub use slide::{
    FALL_UNITS_S_MAX, GRAVITY_UNITS_S2, Mover, PLAYER_HALF_WIDTH_UNITS, PLAYER_HEIGHT_UNITS, SLIDE_UNITS_MAX,
    SLIDE_US_MAX, Slide, slide,
};
pub use spawn::spawn_chunk;
pub use sweep::{HALF_EXTENT_UNITS_MAX, Hit, Loaded, Normal, REACH_UNITS};
pub use topology::Topology;
pub use trace::{HalfExtents, Trace, contents, material, trace};
pub use visibility::{LeafSet, OPENINGS_MAX, Opening, Table, Visibility};
pub use walk::{DOOR_REACH_UNITS, JUMP_UNITS_S, Pace, Walk, Wish, door_in_reach, walk};
