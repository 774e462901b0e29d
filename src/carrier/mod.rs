//! Carriers move packets between the network and the tick: they know addresses, handshakes and keys,
//! and nothing of what the packets say.
//!
//! ```text
//!              arrivals (connected, packet, room, moved, disconnected)
//!   carrier  ───────────────────────────────────────────▶  tick
//!   thread   ◀───────────────────────────────────────────  thread
//!              departures (packet with a shared tail, disconnect)
//! ```
//!
//! Both ways are a [`lane`]: bounded, lock-free, one writer and one reader. A carrier whose arrivals lane
//! is full drops packets and counts them; the tick asks for room before it writes departures.
//!
//! Each carrier has lanes of its own, which [`Arrivals`] and [`Departures`] join: the tick does not ask
//! whom a client rides with. Who is there is decided at one place, the [`roster`] on the UDP thread: it
//! alone gives slots and tells comings and goings, for all carriers.

pub mod doorbell;
pub mod held;
pub mod lane;
pub mod quic;
pub mod roster;
mod socket;
pub mod udp;

use std::net::SocketAddr;

use bytes::Bytes;
use ninefold_protocol::time::Instant;
use smallvec::SmallVec;

/// What brings packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// NETCODE 1.02 over UDP.
    Udp,
    /// QUIC datagrams.
    Quic,
}

impl Carrier {
    /// How many there are.
    pub const COUNT: usize = 2;

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Carrier::Udp => "udp",
            Carrier::Quic => "quic",
        }
    }
}

/// One session of a carrier: a slot that is used again, and how often it was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// Dense index.
    pub slot: u32,
    /// Tells sessions in the same slot apart.
    pub generation: u32,
    /// Which lanes its packets take; nobody else looks at it.
    pub carrier: Carrier,
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
    /// From now on the carrier wants at most so many chunk fragments of this client in a tick: what is
    /// beyond would only wait in front of its line.
    Room {
        /// Whose.
        connection: ConnectionId,
        /// Packets a tick.
        packets: u32,
    },
    /// The client is at another address: what was known of its line holds no more.
    Moved(ConnectionId),
    /// The session has ended.
    Disconnected(ConnectionId),
}

/// Whether an address is reached by another path. Another port alone is a middlebox that has forgotten the old one
/// (RFC 9000 §9.4).
fn is_other_path(before: SocketAddr, after: SocketAddr) -> bool {
    before.ip().to_canonical() != after.ip().to_canonical()
}

/// What the tick tells a carrier. A packet's head rides in the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// Seal and send the head with this tail behind it.
    Packet {
        /// Whose.
        connection: ConnectionId,
        /// When it is to leave: UDP keeps to it within about a millisecond. What rides with QUIC, which paces by
        /// itself, leaves at once.
        at: Instant,
        /// Bytes shared with other packets; copied once, into the sealed packet.
        tail: Bytes,
    },
    /// End the session.
    Disconnect(ConnectionId),
}

impl Departure {
    fn carrier(&self) -> Carrier {
        match self {
            Departure::Packet { connection, .. } | Departure::Disconnect(connection) => connection.carrier,
        }
    }
}

/// The tick's end of all carriers.
#[derive(Debug)]
pub struct TickEnd {
    /// From the carriers.
    pub arrivals: Arrivals,
    /// To the carriers.
    pub departures: Departures,
}

/// The arrivals of all carriers.
#[derive(Debug)]
pub struct Arrivals(SmallVec<[lane::Receiver<Arrival>; Carrier::COUNT]>);

/// What waits in a lane; a carrier that is not there has room for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Records that wait.
    pub waiting: usize,
    /// Records that may.
    pub bound: usize,
}

/// How many arrivals of each carrier one tick takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stock([usize; Carrier::COUNT]);

impl Arrivals {
    /// What waits now.
    ///
    /// The roster's lane is looked at last and read first: a packet of another carrier that is in the stock
    /// was sent after its client's coming was told there, so that is in the stock, too.
    pub fn take_stock(&self) -> Stock {
        let mut stock = Stock::default();
        for (lane, count) in self.0.iter().zip(&mut stock.0).rev() {
            *count = lane.len();
        }
        stock
    }

    /// Records that wait in each carrier's lane, and may.
    pub fn depths(&self) -> [Depth; Carrier::COUNT] {
        let mut depths = [Depth::default(); Carrier::COUNT];
        for (depth, lane) in depths.iter_mut().zip(&self.0) {
            *depth = Depth { waiting: lane.len(), bound: lane.capacity() };
        }
        depths
    }

    /// Bytes of memory of all lanes.
    pub fn memory_bytes(&self) -> usize {
        self.0.iter().map(lane::Receiver::memory_bytes).sum()
    }

    /// The next record of the stock and its bytes, which `buffer` must have room for.
    pub fn pop<'b>(&mut self, stock: &mut Stock, buffer: &'b mut [u8]) -> Option<(Arrival, &'b mut [u8])> {
        let (lane, count) = self.0.iter_mut().zip(&mut stock.0).find(|(_, count)| **count > 0)?;
        *count -= 1;
        lane.pop(buffer)
    }
}

/// The departures of all carriers.
#[derive(Debug)]
pub struct Departures(SmallVec<[lane::Sender<Departure>; Carrier::COUNT]>);

/// Packets that each carrier takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rooms([usize; Carrier::COUNT]);

impl Rooms {
    /// The same room for every carrier.
    pub fn all(packets: usize) -> Self {
        Rooms([packets; Carrier::COUNT])
    }

    /// What is left for the packets of this client.
    pub fn of(&mut self, connection: ConnectionId) -> &mut usize {
        &mut self.0[connection.carrier as usize]
    }
}

impl Departures {
    /// Appends a record to its carrier's lane.
    pub fn push(&mut self, departure: Departure, bytes: &[u8]) -> Result<(), lane::Full<Departure>> {
        match self.0.get_mut(departure.carrier() as usize) {
            Some(lane) => lane.push(departure, bytes),
            None => Err(lane::Full(departure)),
        }
    }

    /// Packets of at most `bytes_each` bytes that surely fit for this client.
    pub fn room(&self, connection: ConnectionId, bytes_each: usize) -> usize {
        self.0.get(connection.carrier as usize).map_or(0, |lane| lane.room(bytes_each))
    }

    /// Records that wait in each carrier's lane, and may.
    pub fn depths(&self) -> [Depth; Carrier::COUNT] {
        let mut depths = [Depth::default(); Carrier::COUNT];
        for (depth, lane) in depths.iter_mut().zip(&self.0) {
            *depth = Depth { waiting: lane.len(), bound: lane.capacity() };
        }
        depths
    }

    /// Bytes of memory of all lanes.
    pub fn memory_bytes(&self) -> usize {
        self.0.iter().map(lane::Sender::memory_bytes).sum()
    }

    /// The same for all carriers, less `reserved` of each.
    pub fn rooms(&self, bytes_each: usize, reserved: usize) -> Rooms {
        let mut rooms = Rooms::default();
        for (room, lane) in rooms.0.iter_mut().zip(&self.0) {
            *room = lane.room(bytes_each).saturating_sub(reserved);
        }
        rooms
    }

    /// Whether a carrier is gone.
    pub fn is_abandoned(&self) -> bool {
        self.0.iter().any(lane::Sender::is_abandoned)
    }
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

/// The two ends of the lanes of [`Carrier::Udp`], which is always there.
pub fn ends() -> (TickEnd, CarrierEnd) {
    let mut end = TickEnd { arrivals: Arrivals(SmallVec::new()), departures: Departures(SmallVec::new()) };
    let carrier = end.add();
    (end, carrier)
}

impl TickEnd {
    /// Adds the lanes of [`Carrier::Quic`] and gives their other end.
    ///
    /// # Panics
    /// When there are lanes for every carrier already.
    pub fn add(&mut self) -> CarrierEnd {
        assert!(self.arrivals.0.len() < Carrier::COUNT, "every carrier has its lanes");
        let (arrivals_in, arrivals_out) = lane::lane(ARRIVALS_MAX, ARRIVAL_BYTES_MAX);
        let (departures_in, departures_out) = lane::lane(DEPARTURES_MAX, DEPARTURE_BYTES_MAX);
        self.arrivals.0.push(arrivals_out);
        self.departures.0.push(departures_in);
        CarrierEnd { arrivals: arrivals_in, departures: departures_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(carrier: Carrier) -> ConnectionId {
        ConnectionId { slot: 1, generation: 1, carrier }
    }

    #[test]
    fn a_departure_takes_the_lane_of_its_own_carrier() {
        let (mut tick, mut udp) = ends();
        let mut quic = tick.add();
        for carrier in [Carrier::Quic, Carrier::Udp, Carrier::Quic] {
            tick.departures.push(Departure::Disconnect(id(carrier)), &[]).unwrap();
        }
        let mut buffer = [0; 8];
        assert_eq!((udp.departures.len(), quic.departures.len()), (1, 2));
        assert_eq!(
            udp.departures.pop(&mut buffer).map(|d| d.0),
            Some(Departure::Disconnect(id(Carrier::Udp)))
        );
        assert_eq!(
            quic.departures.pop(&mut buffer).map(|d| d.0),
            Some(Departure::Disconnect(id(Carrier::Quic)))
        );
    }

    #[test]
    fn a_coming_is_read_before_the_packets_of_other_carriers() {
        let (mut tick, mut udp) = ends();
        let mut quic = tick.add();
        let (connection, mut buffer) = (id(Carrier::Quic), [0; 8]);
        udp.arrivals.push(Arrival::Connected { connection, client_id: 7 }, &[]).unwrap();
        let packet = Arrival::Packet { connection, at: Instant::ZERO };
        quic.arrivals.push(packet, b"hello").unwrap();
        let mut stock = tick.arrivals.take_stock();
        // What comes later is of the next tick.
        quic.arrivals.push(packet, b"later").unwrap();
        let first = tick.arrivals.pop(&mut stock, &mut buffer).map(|a| a.0);
        assert_eq!(first, Some(Arrival::Connected { connection, client_id: 7 }));
        let (arrival, bytes) = tick.arrivals.pop(&mut stock, &mut buffer).unwrap();
        assert_eq!((arrival, &*bytes), (packet, &b"hello"[..]));
        assert!(tick.arrivals.pop(&mut stock, &mut buffer).is_none());
    }

    #[test]
    fn a_full_lane_of_one_carrier_leaves_the_others_their_room() {
        let (mut tick, _udp) = ends();
        let _quic = tick.add();
        let head = [0; 60_000];
        while tick.departures.push(Departure::Disconnect(id(Carrier::Quic)), &head).is_ok() {}
        let mut rooms = tick.departures.rooms(60_000, 1);
        assert_eq!(*rooms.of(id(Carrier::Quic)), 0);
        assert!(*rooms.of(id(Carrier::Udp)) > 100);
        assert_eq!(tick.departures.room(id(Carrier::Quic), 60_000), 0);
    }
}
