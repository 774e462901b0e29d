//! The numbers that the tick goes by, taken from the configuration once.

use ninefold_protocol::link::congestion::{CongestionConfig, Mode};
use ninefold_protocol::time::Duration;
use ninefold_world::Pace;

use crate::carrier::Carrier;

/// What the tick may do and how much of it.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Ticks a second.
    pub tick_rate_hz: u32,
    /// Names the world to clients.
    pub world_id: u64,
    /// Full walking speed, units a second.
    pub walk_speed_units_s: u32,
    /// Snapshots go out every so many ticks.
    pub snapshot_every_ticks: u32,
    /// Bytes that one snapshot may have.
    pub snapshot_bytes_max: usize,
    /// Clients come into the world in the square of chunks this far around the origin.
    pub spawn_radius_chunks: u32,
    /// Fragments of the active chunk per client and tick.
    pub active_fragments_per_tick: usize,
    /// Fragments of all neighbours together per client and tick.
    pub neighbour_fragments_per_tick: usize,
    /// Unacknowledged bytes of one client at which chunk fragments wait, whatever congestion control says.
    pub in_flight_bytes_max: usize,
    /// How each client's share of its line is found.
    pub congestion: CongestionConfig,
    /// Chunks that the server remembers a client to hold.
    pub known_chunks_max: usize,
    /// Finished chunks taken in per tick.
    pub take_in_chunks_per_tick: usize,
    /// Time for taking in finished chunks per tick.
    pub take_in_time_per_tick: Duration,
    /// Threads that share the clients of a phase out, the tick's own among them.
    pub tick_threads: usize,
}

/// Packets that one client may send in a tick; more are dropped and counted.
pub const PACKETS_PER_TICK_MAX: u32 = 64;
/// Requests for chunks that one client may make in a tick.
pub const CHUNK_REQUESTS_PER_TICK_MAX: u32 = 9;
/// A player of whom no input comes for so long falls, if it is in the air.
pub const SILENCE_MAX: Duration = Duration::from_ms(250);
/// Snapshots go out this many times from the last change in a client's ring on, since each may be lost.
pub const SNAPSHOT_REPEATS: u32 = 3;
/// Without any change one goes out so many times a second.
pub const SNAPSHOTS_IDLE_HZ: u64 = 4;
/// Chunks that a client has from an earlier session are waited for so long before any is sent.
pub const OFFERS_WAIT: Duration = Duration::from_ms(250);
/// A client that was told to go is gone after this long even if it does not answer.
pub const LEAVE_AFTER: Duration = Duration::from_ms(500);

impl Rules {
    /// How fast players walk.
    pub fn pace(&self) -> Pace {
        Pace { speed_units_s: self.walk_speed_units_s, tick_rate_hz: self.tick_rate_hz }
    }

    /// How a client's share of its line is found by the link. QUIC has the same below the link, and two of them
    /// would only wait for each other: there the link keeps to the ceiling alone.
    pub fn congestion_on(&self, carrier: Carrier) -> CongestionConfig {
        match carrier {
            Carrier::Udp | Carrier::UdpShard(_) => self.congestion,
            Carrier::Quic => CongestionConfig { mode: Mode::Fixed, ..self.congestion },
        }
    }

    /// The time of one tick, rounded down to a microsecond.
    pub fn period(&self) -> Duration {
        Duration::from_us(1_000_000 / u64::from(self.tick_rate_hz))
    }
}
