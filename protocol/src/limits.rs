//! Bounds of the wire.
