//! Entities as they come, move and leave, from one snapshot to the next.
