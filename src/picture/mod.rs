//! Pictures of the world, by which a person judges it without writing a client.
//!
//! ```text
//!   generator ─▶ encode ─▶ decode ─▶ chunks ─┬─▶ survey ─▶ map      ─▶ canvas ─▶ PNG
//!              (what a client would get)     └─▶ scene  ─▶ view ... ─▶ canvas ─▶ PNG
//! ```
//!
//! The same arguments give the same picture, whatever the number of threads: each pixel is computed from
//! its place alone. Nothing here is part of serving; the tick never draws.

mod canvas;
mod chunks;
mod error;
mod map;
mod view;

pub use canvas::Canvas;
pub use error::PictureError;
pub use map::{MapOptions, RADIUS_MAX, map, map_of};
pub use view::{EYE_UNITS, SIDE_PIXELS_MAX, View, ViewCounts, ViewOptions, view, view_of};
