//! Carriers move packets between the network and the tick: they know addresses, handshakes and keys,
//! and nothing of what the packets say.
//!
//! ```text
//!              arrivals (connected, packet, room, moved, disconnected)
//!   carrier  ───────────────────────────────────────────▶  tick
//!   thread   ◀───────────────────────────────────────────  thread
//!              departures (packets with a shared tail, disconnect)
//! ```
//!
//! Both ways are a [`lane`]: bounded, lock-free, one writer and one reader. A carrier whose arrivals lane
//! is full drops packets and counts them; the tick asks for room before it writes departures.
//!
//! Each carrier, and each thread of it, has lanes of its own, which [`Arrivals`] and [`Departures`] join: the tick does
//! not ask whom a client rides with. Who is there is decided at one place, the [`roster`] on the first UDP thread: it
//! alone gives slots and tells comings and goings, for all carriers.

pub mod doorbell;
pub mod held;
pub mod lane;
mod packets;
pub mod quic;
pub mod roster;
mod socket;
pub mod udp;

use std::net::SocketAddr;

pub use ninefold_protocol::connection::Shard;
use ninefold_protocol::time::{Duration, Instant};
pub use packets::Packets;
use smallvec::SmallVec;

/// Threads that UDP sockets may have.
pub const UDP_THREADS_MAX: usize = 16;
/// A lane for each of them, and QUIC's.
const LANES_MAX: usize = UDP_THREADS_MAX + 1;

/// What brings packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// NETCODE 1.02 over UDP, on the thread that keeps the roster.
    Udp,
    /// QUIC datagrams.
    Quic,
    /// NETCODE 1.02 over UDP, on another thread.
    UdpShard(Shard),
}

impl Carrier {
    /// How many names there are.
    pub const COUNT: usize = 2;

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Carrier::Udp | Carrier::UdpShard(_) => "udp",
            Carrier::Quic => "quic",
        }
    }

    /// Which lanes are its own.
    fn lane(self) -> usize {
        match self {
            Carrier::Udp => 0,
            Carrier::Quic => QUIC_LANE,
            Carrier::UdpShard(Shard(number)) => QUIC_LANE + usize::from(number),
        }
    }
}

/// The roster's is before it, those of further UDP threads behind it.
const QUIC_LANE: usize = 1;

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
    /// From now on what the tick writes for this client leaves so long after the tick.
    Late {
        /// Whose.
        connection: ConnectionId,
        /// How long.
        by: Duration,
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

/// What the tick tells a carrier. Packets' heads ride in the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// Seal and send these.
    Packets(Packets),
    /// End the session.
    Disconnect(ConnectionId),
}

impl Departure {
    /// Whom it is about.
    pub fn connection(&self) -> ConnectionId {
        match self {
            Departure::Packets(Packets { connection, .. }) | Departure::Disconnect(connection) => *connection,
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

/// The arrivals of all carriers. A carrier that is not there has no lane in its place.
#[derive(Debug)]
pub struct Arrivals(SmallVec<[Option<lane::Receiver<Arrival>>; Carrier::COUNT]>);

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
pub struct Stock([usize; LANES_MAX]);

impl Arrivals {
    /// What waits now.
    ///
    /// The roster's lane is looked at last and read first: a packet of another carrier that is in the stock
    /// was sent after its client's coming was told there, so that is in the stock, too.
    pub fn take_stock(&self) -> Stock {
        let mut stock = Stock::default();
        for (lane, count) in self.0.iter().zip(&mut stock.0).rev() {
            *count = lane.as_ref().map_or(0, lane::Receiver::len);
        }
        stock
    }

    /// Records that wait in the lanes of UDP and of QUIC, and may.
    pub fn depths(&self) -> [Depth; Carrier::COUNT] {
        depths(self.0.iter().map(|lane| lane.as_ref().map(|lane| (lane.len(), lane.capacity()))))
    }

    /// Bytes of memory of all lanes.
    pub fn memory_bytes(&self) -> usize {
        self.0.iter().flatten().map(lane::Receiver::memory_bytes).sum()
    }

    /// The next record of the stock and its bytes, which `buffer` must have room for.
    pub fn pop<'b>(&mut self, stock: &mut Stock, buffer: &'b mut [u8]) -> Option<(Arrival, &'b mut [u8])> {
        let (lane, count) = self.0.iter_mut().zip(&mut stock.0).find(|(_, count)| **count > 0)?;
        *count -= 1;
        lane.as_mut().and_then(|lane| lane.pop(buffer))
    }
}

/// What waits in lanes and may, those of one name together.
fn depths(lanes: impl Iterator<Item = Option<(usize, usize)>>) -> [Depth; Carrier::COUNT] {
    let [mut udp, mut quic] = [Depth::default(); Carrier::COUNT];
    for (place, lane) in lanes.enumerate() {
        let depth = if place == QUIC_LANE { &mut quic } else { &mut udp };
        let (waiting, bound) = lane.unwrap_or_default();
        depth.waiting += waiting;
        depth.bound += bound;
    }
    [udp, quic]
}

/// The departures of all carriers, as [`Arrivals`] are.
#[derive(Debug)]
pub struct Departures(SmallVec<[Option<lane::Sender<Departure>>; Carrier::COUNT]>);

/// Packets that each carrier takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rooms([usize; LANES_MAX]);

impl Rooms {
    /// The same room for every carrier.
    pub fn all(packets: usize) -> Self {
        Rooms([packets; LANES_MAX])
    }

    /// What is left for the packets of this client.
    pub fn of(&mut self, connection: ConnectionId) -> &mut usize {
        &mut self.0[connection.carrier.lane()]
    }
}

/// What may be written to each carrier.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spaces([Space; LANES_MAX]);

#[derive(Debug, Clone, Copy, Default)]
struct Space {
    records: usize,
    bytes: usize,
}

impl Spaces {
    /// Whether a record with so many bytes fits for this client.
    pub fn fits(&self, connection: ConnectionId, bytes: usize) -> bool {
        let space = &self.0[connection.carrier.lane()];
        space.records > 0 && space.bytes >= bytes
    }

    /// Takes what a record of it needs off.
    pub fn spend(&mut self, connection: ConnectionId, bytes: usize) {
        let space = &mut self.0[connection.carrier.lane()];
        space.records = space.records.saturating_sub(1);
        space.bytes = space.bytes.saturating_sub(bytes);
    }
}

impl Departures {
    /// Appends a record to its carrier's lane.
    pub fn push(&mut self, departure: Departure, bytes: &[u8]) -> Result<(), lane::Full<Departure>> {
        match self.0.get_mut(departure.connection().carrier.lane()) {
            Some(Some(lane)) => lane.push(departure, bytes),
            _ => Err(lane::Full(departure)),
        }
    }

    /// What is free in each lane, in so many equal shares.
    pub fn spaces(&self, shares: usize) -> Spaces {
        let mut spaces = Spaces::default();
        for (space, lane) in spaces.0.iter_mut().zip(&self.0) {
            let (records, bytes) = lane.as_ref().map_or((0, 0), lane::Sender::free);
            *space = Space { records: records / shares, bytes: bytes / shares };
        }
        spaces
    }

    /// Records that wait in the lanes of UDP and of QUIC, and may.
    pub fn depths(&self) -> [Depth; Carrier::COUNT] {
        depths(self.0.iter().map(|lane| lane.as_ref().map(|lane| (lane.len(), lane.capacity()))))
    }

    /// Bytes of memory of all lanes.
    pub fn memory_bytes(&self) -> usize {
        self.0.iter().flatten().map(lane::Sender::memory_bytes).sum()
    }

    /// The same for all carriers, less `reserved` of each.
    pub fn rooms(&self, bytes_each: usize, reserved: usize) -> Rooms {
        let mut rooms = Rooms::default();
        for (room, lane) in rooms.0.iter_mut().zip(&self.0) {
            let free = lane.as_ref().map_or(0, |lane| lane.room(bytes_each));
            *room = free.saturating_sub(reserved);
        }
        rooms
    }

    /// Whether a carrier is gone.
    pub fn is_abandoned(&self) -> bool {
        self.0.iter().flatten().any(lane::Sender::is_abandoned)
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
    let carrier = end.add_lanes(Carrier::Udp);
    (end, carrier)
}

impl TickEnd {
    /// Adds the lanes of [`Carrier::Quic`] and gives their other end.
    ///
    /// # Panics
    /// When it has them already.
    pub fn add(&mut self) -> CarrierEnd {
        self.add_lanes(Carrier::Quic)
    }

    /// Adds the lanes of a [`Carrier::UdpShard`] and gives their other end.
    ///
    /// # Panics
    /// When it has them already, or its number is beyond [`UDP_THREADS_MAX`].
    pub fn add_shard(&mut self, shard: Shard) -> CarrierEnd {
        assert!(shard != Shard::FIRST, "the first has the lanes of Carrier::Udp");
        self.add_lanes(Carrier::UdpShard(shard))
    }

    fn add_lanes(&mut self, carrier: Carrier) -> CarrierEnd {
        let place = carrier.lane();
        assert!(place < LANES_MAX, "{carrier:?} is beyond the lanes that there can be");
        let count = self.arrivals.0.len().max(place + 1);
        self.arrivals.0.resize_with(count, || None);
        self.departures.0.resize_with(count, || None);
        let (arrivals_in, arrivals_out) = lane::lane(ARRIVALS_MAX, ARRIVAL_BYTES_MAX);
        let (departures_in, departures_out) = lane::lane(DEPARTURES_MAX, DEPARTURE_BYTES_MAX);
        let before = self.arrivals.0[place].replace(arrivals_out);
        assert!(before.is_none(), "{carrier:?} has its lanes");
        self.departures.0[place] = Some(departures_in);
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
    fn each_udp_thread_has_lanes_of_its_own_and_is_counted_with_udp() {
        let (mut tick, _first) = ends();
        let [two, five] = [2, 5].map(|number| Carrier::UdpShard(Shard(number)));
        let mut ends = [2, 5].map(|number| tick.add_shard(Shard(number)));
        for carrier in [five, two, five, Carrier::Udp] {
            tick.departures.push(Departure::Disconnect(id(carrier)), &[]).unwrap();
        }
        let elsewhere = Departure::Disconnect(id(Carrier::UdpShard(Shard(3))));
        assert_eq!(tick.departures.push(elsewhere.clone(), &[]), Err(lane::Full(elsewhere)));
        assert_eq!(ends.each_ref().map(|end| end.departures.len()), [1, 2]);
        let [udp, quic] = tick.departures.depths();
        assert_eq!((udp.waiting, udp.bound, quic), (4, 3 * DEPARTURES_MAX, Depth::default()));
        let packet = Arrival::Packet { connection: id(five), at: Instant::ZERO };
        ends[1].arrivals.push(packet, b"hello").unwrap();
        let (mut stock, mut buffer) = (tick.arrivals.take_stock(), [0; 8]);
        assert_eq!(tick.arrivals.pop(&mut stock, &mut buffer).map(|a| a.0), Some(packet));
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
        let spaces = tick.departures.spaces(2);
        assert!(!spaces.fits(id(Carrier::Quic), 60_000) && spaces.fits(id(Carrier::Udp), 60_000));
        assert!(!spaces.fits(id(Carrier::Udp), DEPARTURE_BYTES_MAX / 2 + 1));
    }
}
