//! A thread of the UDP carrier without its socket: datagrams in, datagrams out, packets for the tick.
//!
//! ```text
//!   a datagram came   -> handle          tick wrote, or another thread -> depart
//!   time has passed   -> handle_timeout  other carriers                -> admit, release, poll_evicted
//!   all of them       -> flush: what the connection layer itself has to say
//! ```
//!
//! It owns its ends of the lanes, and asks no clock: the thread in `udp.rs` drives it on a socket, the simulator in
//! virtual time. Where sealed datagrams go is an [`Outlet`]. Who judges what comes is an `Office`: the `Front`, which
//! has the roster of all carriers, or a `Branch`, which has a shard of the sessions.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use ninefold_protocol::connection::{
    CloseReason, DATAGRAM_BYTES_MAX, DisconnectReason, Fetch, Received, SHOWN_BYTES, Server, ServerConfig,
    Sessions,
};
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::time::{Duration, Instant};

use super::UdpReport;
use super::front::Front;
use super::handing::{Came, HANDED_BYTES_MAX, Taken};
use super::lateness::Lateness;
use super::office::Office;
use crate::carrier::held::Held;
use crate::carrier::roster::{Entry, Generations};
use crate::carrier::{Arrival, CarrierEnd, ConnectionId, Departure, Packets, Shard};

/// Packets before arrivals get their turn, and the clock is read again: half a millisecond's.
const DEPARTURES_PER_TURN_MAX: usize = 256;
/// So many records ahead the memory of each is asked for.
const FETCHED_AHEAD: [(usize, Fetch); 3] = [(6, Fetch::Session), (4, Fetch::Extensions), (2, Fetch::Key)];
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

/// The carrier, or a thread of it. After each call that takes `now`, call [`UdpCore::flush`].
#[derive(Debug)]
pub struct UdpCore<O = Front> {
    office: O,
    generations: Generations,
    end: CarrierEnd,
    /// Comings and goings that found the lane full; they are never dropped.
    waiting: VecDeque<Arrival>,
    /// Packets that are not due yet.
    held: Held,
    lateness: Lateness,
    report: UdpReport,
}

impl UdpCore {
    /// A carrier of one thread, without clients, and its ends of the lanes.
    pub fn new(config: ServerConfig, end: CarrierEnd, now: Instant) -> Self {
        UdpCore::of(Front::new(config, now), end)
    }

    /// Another carrier asks for a client to be let in.
    pub fn admit(
        &mut self,
        now: Instant,
        from: SocketAddr,
        shown: &mut [u8; SHOWN_BYTES],
    ) -> Result<Entry, CloseReason> {
        let UdpCore { office, generations, waiting, .. } = self;
        let entry = office.admit(now, from, shown, generations, waiting);
        self.tell_waiting();
        entry
    }

    /// A client of another carrier has gone, or never heard that it was let in.
    pub fn release(&mut self, connection: ConnectionId, reason: DisconnectReason) {
        self.office.release(connection, reason, &self.generations);
        self.tell_events();
    }

    /// The next session of another carrier that has to make way; its slot is not its own any more.
    pub fn poll_evicted(&mut self) -> Option<ConnectionId> {
        self.office.poll_evicted()
    }

    /// The connection layer: sessions, handshakes, counts.
    pub fn connection(&self) -> &Server {
        self.office.connection()
    }
}

impl<O: Office> UdpCore<O> {
    /// A thread with this office.
    pub fn of(office: O, end: CarrierEnd) -> Self {
        UdpCore {
            office,
            generations: Generations::default(),
            end,
            waiting: VecDeque::new(),
            held: Held::default(),
            lateness: Lateness::default(),
            report: UdpReport::default(),
        }
    }

    /// Whether it can take more before the tick, and other threads, have read.
    pub fn has_room(&self) -> bool {
        self.waiting.len().max(self.office.waiting()) < WAITING_MAX
    }

    /// Whether the tick has ended.
    pub fn is_abandoned(&self) -> bool {
        self.end.departures.is_abandoned()
    }

    /// The counts, those of the connection layer included.
    pub fn report(&self) -> UdpReport {
        UdpReport { connection: *self.office.counters(), ..self.report }
    }

    /// The counts of the carrier itself.
    pub fn counts(&self) -> &UdpReport {
        &self.report
    }

    /// The counts of the carrier itself, to add to.
    pub(super) fn report_mut(&mut self) -> &mut UdpReport {
        &mut self.report
    }

    #[cfg(test)]
    pub(super) fn sessions_mut(&mut self) -> &mut Sessions {
        self.office.sessions()
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
        held.map_or(self.office.next_deadline(), |at| at.min(self.office.next_deadline()))
    }

    /// Takes one datagram, which came at `at`; it is decrypted in place.
    pub fn handle(&mut self, now: Instant, at: Instant, from: SocketAddr, datagram: &mut [u8]) {
        self.report.datagrams_in += 1;
        self.report.bytes_in += datagram.len() as u64;
        let received = self.office.handle(now, from, datagram);
        if let Some(shard) = self.received(at, &received) {
            self.hand_on(shard, Came { at, from, by: Shard::FIRST }, datagram);
        }
        self.tell_events();
    }

    /// Gives a packet to the tick; says which thread is to judge a datagram that is not for this one.
    fn received(&mut self, at: Instant, received: &Received<'_>) -> Option<Shard> {
        match *received {
            Received::Payload { slot, bytes } => {
                let arrival = Arrival::Packet { connection: self.generations.current(slot), at };
                // While comings wait for room, packets behind them would overtake them.
                if !self.waiting.is_empty() || self.end.arrivals.push(arrival, bytes).is_err() {
                    self.report.arrivals_dropped += 1;
                }
                None
            }
            Received::Elsewhere(shard) => Some(shard),
            Received::Nothing => None,
        }
    }

    fn hand_on(&mut self, to: Shard, came: Came, datagram: &[u8]) {
        let has_room = self.office.hand_on(to, came, datagram);
        let counted = if has_room { &mut self.report.handed_on } else { &mut self.report.handings_dropped };
        *counted += 1;
    }

    /// Takes what other threads and carriers had handed over when it began, as long as there is room for what comes of it.
    fn take_handed(&mut self, now: Instant) {
        let handed = self.office.handed();
        if handed == 0 {
            return;
        }
        let mut buffer = [0; HANDED_BYTES_MAX];
        for _ in 0..handed {
            if !self.has_room() {
                return;
            }
            let UdpCore { office, generations, waiting, .. } = self;
            let taken = office.take_handed(now, generations, waiting, &mut buffer);
            if let Some(Taken::Datagram(came, datagram)) = taken {
                let received = self.office.handle_handed(now, came, datagram);
                if let Some(shard) = self.received(came.at, &received) {
                    self.hand_on(shard, came, datagram);
                }
            }
            self.tell_events();
        }
    }

    /// A thread to be woken, since it was handed something.
    pub fn poll_ring(&mut self) -> Option<Shard> {
        self.office.poll_ring()
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.office.handle_timeout(now);
        self.tell_events();
    }

    fn tell_events(&mut self) {
        self.office.tell(&mut self.generations, &mut self.waiting);
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

    /// Takes what was handed over, seals and sends what is due; says whether there is more of either.
    pub fn depart(&mut self, now: Instant, outlet: &mut impl Outlet) -> bool {
        let more = self.depart_until(now, now + DEPARTURE_EARLY_MAX, outlet);
        more || self.has_room() && self.office.handed() > 0
    }

    /// Sends held packets and then what the tick wrote, as far as it leaves by `until`; holds the rest.
    ///
    /// Whoever the tick writes to has been handed over before: so much as is written by now, behind what is handed over.
    fn depart_until(&mut self, now: Instant, until: Instant, outlet: &mut impl Outlet) -> bool {
        let written = self.end.departures.len();
        self.take_handed(now);
        let UdpCore { held, lateness, end, report, office, generations, .. } = self;
        let sessions = office.sessions();
        let mut turn = Turn { now, outlet, report };
        while let Some(place) = held.pop(until) {
            let late = now.since(place.packets.at) > DEPARTURE_LATE_MIN;
            turn.report.departures_late += u64::from(late) * u64::from(place.packets.count);
            turn.send(sessions, generations, &place.packets, &place.heads);
            place.packets.tail = Bytes::new();
        }
        let mut heads = [0; PACKET_BYTES_MAX];
        let (mut left, mut packets) = (written, 0);
        while left > 0 && packets < DEPARTURES_PER_TURN_MAX {
            let mut ahead = |records| end.departures.look_ahead(records, |record| record.connection().slot);
            for (records, step) in FETCHED_AHEAD {
                ahead(records).inspect(|slot| sessions.fetch(*slot, step));
            }
            let popped = held.has_room().then(|| end.departures.pop(&mut heads)).flatten();
            let Some((departure, heads)) = popped else {
                left = 0;
                break;
            };
            left -= 1;
            match departure {
                Departure::Packets(run) if run.at > until => {
                    packets += usize::from(run.count);
                    turn.report.departures_held += u64::from(run.count);
                    held.push(run, heads);
                }
                Departure::Packets(run) => {
                    packets += usize::from(run.count);
                    turn.send(sessions, generations, &run, heads);
                    if let Some(by) = lateness.note(run.connection, run.at, now) {
                        let connection = run.connection;
                        // Where there is no room it is told when it has changed again.
                        let _ = end.arrivals.push(Arrival::Late { connection, by }, &[]);
                    }
                }
                Departure::Disconnect(connection) => {
                    packets += 1;
                    if generations.is_current(connection) {
                        sessions.disconnect(connection.slot);
                    }
                }
            }
        }
        turn.outlet.flush(turn.report);
        left > 0
    }

    /// Sends what the connection layer itself has to say.
    pub fn flush(&mut self, now: Instant, outlet: &mut impl Outlet) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = self.office.sessions().poll_transmit(now, &mut buffer) {
            outlet.send(transmit.to, &buffer[..transmit.bytes], &mut self.report);
        }
        outlet.flush(&mut self.report);
    }

    /// Sends all that waits and says goodbye to everybody.
    pub fn say_goodbye(&mut self, now: Instant, outlet: &mut impl Outlet) {
        // Nobody is there to hold anything any longer.
        while self.depart_until(now, Instant::from_us(u64::MAX), outlet) {}
        self.office.sessions().disconnect_all();
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
    /// Seals packets, unless their session has ended.
    fn send(&mut self, sessions: &mut Sessions, generations: &Generations, packets: &Packets, heads: &[u8]) {
        let to = packets.connection;
        if !generations.is_current(to) {
            self.report.departures_stale += u64::from(packets.count);
            return;
        }
        for parts in packets.each(heads) {
            let room = self.outlet.room(self.report, PACKET_BYTES_MAX);
            match sessions.seal(self.now, to.slot, &parts, room) {
                Ok((to, bytes)) => self.outlet.sealed(to, bytes, self.report),
                Err(_) => self.report.departures_stale += 1,
            }
        }
    }
}
