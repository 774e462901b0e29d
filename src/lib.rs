//! The ninefold server.
