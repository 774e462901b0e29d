//! What a client wants of its surroundings.

/// What a client wants of its surroundings.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Chunks that it keeps.
    pub cache_chunks_max: usize,
    /// Whether it builds chunks from recipes: a third of the bytes on the wire, for a tenth of a
    /// millisecond of work a chunk.
    pub recipes: bool,
    /// Seconds since the Unix epoch at the client's time zero: connect tokens expire by the wall clock.
    pub unix_s_at_origin: u64,
}

/// Chunks that a client keeps if it does not say otherwise.
const CACHE_CHUNKS_MAX: usize = 512;

impl Default for ClientConfig {
    /// The ordinary client, whose time begins with the Unix epoch.
    fn default() -> Self {
        ClientConfig::new(0)
    }
}

impl ClientConfig {
    /// The ordinary client: 512 chunks kept, built from recipes.
    pub fn new(unix_s_at_origin: u64) -> ClientConfig {
        ClientConfig { cache_chunks_max: CACHE_CHUNKS_MAX, recipes: true, unix_s_at_origin }
    }
}
