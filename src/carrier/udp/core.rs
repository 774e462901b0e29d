//! The UDP carrier without its socket: datagrams in, datagrams out, packets for the tick, and the roster of all carriers.
//!
//! ```text
//!   a datagram came   -> handle          tick wrote      -> depart
//!   time has passed   -> handle_timeout  other carriers  -> admit, release, poll_evicted
//!   all of them       -> flush: what the connection layer itself has to say
//! ```
//!
//! It owns its ends of the lanes, and asks no clock: the thread in `udp.rs` drives it on a socket, the simulator in
//! virtual time. Where sealed datagrams go is an [`Outlet`].

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use ninefold_protocol::connection::{
    self, CloseReason, DATAGRAM_BYTES_MAX, DisconnectReason, Event, Received, SHOWN_BYTES, ServerConfig,
};
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::time::{Duration, Instant};

use super::UdpReport;
use crate::carrier::held::{HELD_MAX, Held};
use crate::carrier::roster::{Entry, Generations};
use crate::carrier::{Arrival, Carrier, CarrierEnd, ConnectionId, Departure, is_other_path};

/// Departures before arrivals get their turn.
const DEPARTURES_PER_TURN_MAX: usize = 4_096;
/// Comings and goings that may wait for room in the lane; at so many nothing more is to be taken until the tick has
/// taken some, and the kernel's buffer decides what is lost.
pub const WAITING_MAX: usize = 1 << 16;
/// A packet may leave this much before its time: those that are due within as long again leave with it, for one waking.
const DEPARTURE_EARLY_MAX: Duration = Duration::from_us(500);
/// From so much on a held packet counts as late.
const DEPARTURE_LATE_MIN: Duration = Duration::from_ms(2);

/// Where datagrams go. What it does not take is lost as if on the wire: the link notices and sends it again.
pub trait Outlet {
    /// Room for one more datagram of a payload of at most `bytes`, to be sealed into.
    fn room(&mut self, report: &mut UdpReport, bytes: usize) -> &mut [u8];

    /// The datagram that was just sealed into [`Outlet::room`] is `bytes` long and goes to `to`.
    fn sealed(&mut self, to: SocketAddr, bytes: usize, report: &mut UdpReport);

    /// Nothing more comes for now: what waits leaves.
    fn flush(&mut self, report: &mut UdpReport);

    /// Takes one datagram of the connection layer's own.
    fn send(&mut self, to: SocketAddr, datagram: &[u8], report: &mut UdpReport);
}

/// The carrier. After each call that takes `now`, call [`UdpCore::flush`].
#[derive(Debug)]
pub struct UdpCore {
    connection: connection::Server,
    clients_max: u32,
    generations: Generations,
    end: CarrierEnd,
    /// Comings and goings that found the lane full; they are never dropped.
    waiting: VecDeque<Arrival>,
    /// Packets that are not due yet.
    held: Held,
    /// Sessions of other carriers that have to make way. Each is told once, so there are never more than sessions.
    evicted: VecDeque<ConnectionId>,
    report: UdpReport,
}

impl UdpCore {
    /// A carrier without clients, and its ends of the lanes.
    pub fn new(config: ServerConfig, end: CarrierEnd, now: Instant) -> Self {
        UdpCore {
            clients_max: config.clients_max,
            connection: connection::Server::new(config, now),
            generations: Generations::default(),
            end,
            waiting: VecDeque::new(),
            held: Held::default(),
            evicted: VecDeque::new(),
            report: UdpReport::default(),
        }
    }

    /// Whether it can take more before the tick has read.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// Whether the tick has ended.
    pub fn is_abandoned(&self) -> bool {
        self.end.departures.is_abandoned()
    }

    /// The counts, those of the connection layer included.
    pub fn report(&self) -> UdpReport {
        UdpReport { connection: *self.connection.counters(), ..self.report }
    }

    /// The counts of the carrier itself.
    pub fn counts(&self) -> &UdpReport {
        &self.report
    }

    /// The counts of the carrier itself, to add to.
    pub(super) fn report_mut(&mut self) -> &mut UdpReport {
        &mut self.report
    }

    /// The connection layer: sessions, handshakes, counts.
    pub fn connection(&self) -> &connection::Server {
        &self.connection
    }

    /// Packets that wait for their time, and comings and goings that wait for room in the lane.
    pub fn waiting(&self) -> (usize, usize) {
        (self.held.len(), self.waiting.len())
    }

    /// Records that the tick wrote and that were not looked at yet.
    pub fn departures_waiting(&self) -> usize {
        self.end.departures.len()
    }

    /// When there is something to do, from now on.
    pub fn next_deadline(&self) -> Instant {
        let held = self.held.next_at().map(|at| Instant::from_us(at.as_us().saturating_sub(EARLY_US)));
        held.map_or(self.connection.next_deadline(), |at| at.min(self.connection.next_deadline()))
    }

    /// Takes one datagram, which came at `at`; it is decrypted in place.
    pub fn handle(&mut self, now: Instant, at: Instant, from: SocketAddr, datagram: &mut [u8]) {
        self.report.datagrams_in += 1;
        self.report.bytes_in += datagram.len() as u64;
        if let Received::Payload { slot, bytes } = self.connection.handle(now, from, datagram) {
            let arrival = Arrival::Packet { connection: self.generations.current(slot), at };
            // While comings wait for room, packets behind them would overtake them.
            if !self.waiting.is_empty() || self.end.arrivals.push(arrival, bytes).is_err() {
                self.report.arrivals_dropped += 1;
            }
        }
        self.tell_events();
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
        self.tell_events();
    }

    fn tell_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            let arrival = match event {
                Event::Connected { slot, client_id, .. } => {
                    let connection = self.generations.enter(slot, Carrier::Udp);
                    Arrival::Connected { connection, client_id }
                }
                Event::Moved { from, to, .. } if !is_other_path(from, to) => continue,
                Event::Moved { slot, .. } => Arrival::Moved(self.generations.current(slot)),
                Event::Disconnected { reason: DisconnectReason::ByServer, .. } => continue,
                Event::Disconnected { slot, reason, .. } => {
                    let connection = self.generations.current(slot);
                    if connection.carrier != Carrier::Udp && reason == DisconnectReason::Replaced {
                        self.evicted.push_back(connection);
                    }
                    Arrival::Disconnected(connection)
                }
            };
            self.waiting.push_back(arrival);
        }
        self.tell_waiting();
    }

    fn tell_waiting(&mut self) {
        while let Some(arrival) = self.waiting.front().copied() {
            if self.end.arrivals.push(arrival, &[]).is_err() {
                break;
            }
            self.waiting.pop_front();
        }
    }

    /// Another carrier asks for a client to be let in.
    pub fn admit(
        &mut self,
        now: Instant,
        from: SocketAddr,
        shown: &mut [u8; SHOWN_BYTES],
    ) -> Result<Entry, CloseReason> {
        let admitted = self.connection.admit(now, from, &mut shown[..]);
        // Who had the slot a moment ago goes before this one comes.
        self.tell_events();
        let entry = admitted.map(|admitted| {
            let connection = self.generations.enter(admitted.slot, Carrier::Quic);
            self.waiting.push_back(Arrival::Connected { connection, client_id: admitted.client_id });
            Entry { connection, slots: self.clients_max, timeout: admitted.timeout }
        });
        self.tell_waiting();
        entry
    }

    /// A client of another carrier has gone, or never heard that it was let in.
    pub fn release(&mut self, connection: ConnectionId, reason: DisconnectReason) {
        if self.generations.is_current(connection) {
            self.connection.release(connection.slot, reason);
            self.tell_events();
        }
    }

    /// The next session of another carrier that has to make way; its slot is not its own any more.
    pub fn poll_evicted(&mut self) -> Option<ConnectionId> {
        self.evicted.pop_front()
    }

    /// Seals and sends what is due; says whether there is more that is.
    pub fn depart(&mut self, now: Instant, outlet: &mut impl Outlet) -> bool {
        self.depart_until(now, now + DEPARTURE_EARLY_MAX, outlet)
    }

    /// Sends held packets and then what the tick wrote, as far as it leaves by `until`; holds the rest.
    fn depart_until(&mut self, now: Instant, until: Instant, outlet: &mut impl Outlet) -> bool {
        let UdpCore { held, end, report, connection: connections, generations, .. } = self;
        let mut turn = Turn { now, outlet, report };
        while let Some(place) = held.pop(until) {
            let late = now.since(place.at) > DEPARTURE_LATE_MIN;
            turn.report.departures_late += u64::from(late);
            let parts: [&[u8]; 2] = [&place.head, &place.tail];
            turn.send(connections, generations, place.connection, &parts);
            place.tail = Bytes::new();
        }
        let mut head = [0; PACKET_BYTES_MAX];
        let mut more = true;
        for _ in 0..DEPARTURES_PER_TURN_MAX {
            let has_room = held.len() < HELD_MAX;
            let Some((departure, head)) = has_room.then(|| end.departures.pop(&mut head)).flatten() else {
                more = false;
                break;
            };
            match departure {
                Departure::Packet { connection, at, tail } if at > until => {
                    turn.report.departures_held += 1;
                    held.push(at, connection, head, tail);
                }
                Departure::Packet { connection, tail, .. } => {
                    turn.send(connections, generations, connection, &[head, &tail]);
                }
                Departure::Disconnect(connection) => {
                    if generations.is_current(connection) {
                        connections.disconnect(connection.slot);
                    }
                }
            }
        }
        turn.outlet.flush(turn.report);
        more
    }

    /// Sends what the connection layer itself has to say.
    pub fn flush(&mut self, now: Instant, outlet: &mut impl Outlet) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = self.connection.poll_transmit(now, &mut buffer) {
            outlet.send(transmit.to, &buffer[..transmit.bytes], &mut self.report);
        }
        outlet.flush(&mut self.report);
    }

    /// Sends all that waits and says goodbye to everybody.
    pub fn say_goodbye(&mut self, now: Instant, outlet: &mut impl Outlet) {
        // Nobody is there to hold anything any longer.
        while self.depart_until(now, Instant::from_us(u64::MAX), outlet) {}
        self.connection.disconnect_all();
        self.flush(now, outlet);
    }
}

const EARLY_US: u64 = DEPARTURE_EARLY_MAX.as_us();

/// What sealing and sending one turn's packets needs.
struct Turn<'u, O> {
    now: Instant,
    outlet: &'u mut O,
    report: &'u mut UdpReport,
}

impl<O: Outlet> Turn<'_, O> {
    /// Seals a packet, unless its session has ended.
    fn send(
        &mut self,
        connections: &mut connection::Server,
        generations: &Generations,
        to: ConnectionId,
        parts: &[&[u8]; 2],
    ) {
        if !generations.is_current(to) {
            self.report.departures_stale += 1;
            return;
        }
        let room = self.outlet.room(self.report, PACKET_BYTES_MAX);
        match connections.seal(self.now, to.slot, parts, room) {
            Ok((to, bytes)) => self.outlet.sealed(to, bytes, self.report),
            Err(_) => self.report.departures_stale += 1,
        }
    }
}
