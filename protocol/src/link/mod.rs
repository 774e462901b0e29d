//! What arrived: the link.
