//! What a client tells its game.

use std::sync::Arc;

use ninefold_protocol::connection::{ClientState, CloseReason};
use ninefold_protocol::frame::{ENCODING_BSP_BIT, GameEvent, PROTOCOL_VERSION, RefuseReason, Welcome};
use ninefold_protocol::time::Duration;
use ninefold_world::{Chunk, ChunkCoord};

/// Something that the game may want to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The server let us in.
    Welcome(Welcome),
    /// The player stands in another chunk now.
    Entered {
        /// Which.
        coord: ChunkCoord,
        /// Whether it is here to stand on.
        present: bool,
    },
    /// A chunk is here.
    ChunkReady {
        /// The chunk.
        chunk: Arc<Chunk>,
        /// Its version.
        version: u32,
        /// Bytes that it had on the wire; 0 where it came out of the store.
        encoded_bytes: usize,
        /// How long it was wanted, if it is in the ring.
        waited: Option<Duration>,
    },
    /// A chunk cannot be had; a safe one stands in for it.
    ChunkUnavailable {
        /// The stand-in.
        chunk: Arc<Chunk>,
    },
    /// An entity came near. Its index may have been another one's before.
    EntityEntered {
        /// Its index while it is near.
        index: u32,
        /// Who it is, for ever.
        id: u64,
        /// What it is; the game's numbers.
        kind: u16,
    },
    /// An entity is no longer near.
    EntityLeft {
        /// The index that it had.
        index: u32,
        /// Who it was.
        id: u64,
    },
    /// Something happened near the player; once each.
    Happened(GameEvent),
    /// The player is suddenly elsewhere: what is shown of it does not go there, it is there.
    Teleported,
    /// The session is over.
    Ended(EndReason),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The connection ended.
    #[error("the connection ended: {0:?}")]
    Connection(ClientState),
    /// The server closed the connection.
    #[error("the server closed the connection: {0}")]
    Closed(CloseReason),
    /// The server does not let us in.
    #[error(
        "the server {0}; this client speaks protocol version {PROTOCOL_VERSION} and the chunk encodings \
         {ENCODING_BSP_BIT:#b}"
    )]
    Refused(RefuseReason),
    /// The server chose a version that was not offered.
    #[error("the server chose protocol version {0}; this client speaks {PROTOCOL_VERSION}")]
    Version(u16),
    /// The server no longer acknowledges what we say.
    #[error("the server no longer acknowledges what this client says")]
    Unresponsive,
}
