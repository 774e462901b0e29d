//! Carriers move packets between the network and the tick: they know addresses, handshakes and keys,
//! and nothing of what the packets say.
//!
//! ```text
//!              arrivals (connected, packet, disconnected)
//!   carrier  ───────────────────────────────────────────▶  tick
//!   thread   ◀───────────────────────────────────────────  thread
//!              departures (packet with a shared tail, disconnect)
//! ```
//!
//! Both ways are a [`lane`]: bounded, lock-free, one writer and one reader. A carrier whose arrivals lane
//! is full drops packets and counts them; the tick asks for room before it writes departures.

pub mod held;
pub mod lane;
pub mod udp;

use bytes::Bytes;
use ninefold_protocol::time::Instant;

/// One session of a carrier: a slot that is used again, and how often it was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// Dense index.
    pub slot: u32,
    /// Tells sessions in the same slot apart.
    pub generation: u32,
}

/// What a carrier tells the tick. A packet's bytes ride in the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A client has authenticated.
    Connected {
        /// Its session.
        connection: ConnectionId,
        /// What its token calls it.
        client_id: u64,
    },
    /// A packet came.
    Packet {
        /// Whose.
        connection: ConnectionId,
        /// When: the tick that takes it comes later, and a round trip must not depend on that.
        at: Instant,
    },
    /// The session has ended.
    Disconnected(ConnectionId),
}

/// What the tick tells a carrier. A packet's head rides in the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// Seal and send the head with this tail behind it.
    Packet {
        /// Whose.
        connection: ConnectionId,
        /// When it is to leave. The carrier keeps to it within about a millisecond.
        at: Instant,
        /// Bytes shared with other packets; copied once, into the sealed packet.
        tail: Bytes,
    },
    /// End the session.
    Disconnect(ConnectionId),
}

/// The tick's end of a carrier.
#[derive(Debug)]
pub struct TickEnd {
    /// From the carrier.
    pub arrivals: lane::Receiver<Arrival>,
    /// To the carrier.
    pub departures: lane::Sender<Departure>,
}

/// The carrier's own end.
#[derive(Debug)]
pub struct CarrierEnd {
    /// To the tick.
    pub arrivals: lane::Sender<Arrival>,
    /// From the tick.
    pub departures: lane::Receiver<Departure>,
}

/// Arrivals that may wait for the tick.
pub const ARRIVALS_MAX: usize = 1 << 16;
/// Bytes of packets that may wait for the tick.
pub const ARRIVAL_BYTES_MAX: usize = 8 << 20;
/// Departures that may wait for the carrier.
pub const DEPARTURES_MAX: usize = 1 << 16;
/// Bytes of packet heads that may wait for the carrier; their tails are shared and not counted.
pub const DEPARTURE_BYTES_MAX: usize = 8 << 20;

/// The two ends of a carrier's lanes.
pub fn ends() -> (TickEnd, CarrierEnd) {
    let (arrivals_in, arrivals_out) = lane::lane(ARRIVALS_MAX, ARRIVAL_BYTES_MAX);
    let (departures_in, departures_out) = lane::lane(DEPARTURES_MAX, DEPARTURE_BYTES_MAX);
    (
        TickEnd { arrivals: arrivals_out, departures: departures_in },
        CarrierEnd { arrivals: arrivals_in, departures: departures_out },
    )
}
