//! The office of the first thread, or of the only one: the way in, the roster of all carriers, sessions of its own.

use std::collections::VecDeque;
use std::net::SocketAddr;

use ninefold_protocol::connection::{
    CloseReason, Counters, DisconnectReason, Event, Received, SHOWN_BYTES, Server, ServerConfig, Sessions,
};
use ninefold_protocol::time::Instant;

use super::handing::{Came, Handed, Link, Order, Taken, Word};
use super::office::Office;
use crate::carrier::roster::{self, Ask, Desk, Entry, Generations};
use crate::carrier::{Arrival, Carrier, ConnectionId, Shard, is_other_path};

/// Orders of other carriers before anything else gets its turn.
const ORDERS_PER_TURN_MAX: usize = 256;

/// See the module.
#[derive(Debug)]
pub struct Front {
    connection: Server,
    clients_max: u32,
    /// Where another carrier asks, unless it asks for itself ([`super::core::UdpCore::admit`]).
    desk: Option<Desk>,
    /// Sessions of other carriers that have to make way, where there is no desk. Each is told once, so there are never
    /// more than sessions.
    evicted: VecDeque<ConnectionId>,
    /// The other threads, from the second on.
    branches: Vec<Link<Order, Word>>,
}

impl Front {
    /// One without clients, and alone.
    pub fn new(config: ServerConfig, now: Instant) -> Self {
        Front {
            clients_max: config.clients_max,
            connection: Server::new(config, now),
            desk: None,
            evicted: VecDeque::new(),
            branches: Vec::new(),
        }
    }

    /// Another carrier asks here, from now on.
    pub(super) fn open(&mut self, desk: Desk) {
        self.desk = Some(desk);
    }

    /// Another thread takes a share of the clients, from now on.
    pub(super) fn add_branch(&mut self, link: Link<Order, Word>) {
        self.branches.push(link);
    }

    pub(super) fn connection(&self) -> &Server {
        &self.connection
    }

    pub(super) fn poll_evicted(&mut self) -> Option<ConnectionId> {
        self.evicted.pop_front()
    }

    pub(super) fn admit(
        &mut self,
        now: Instant,
        from: SocketAddr,
        shown: &mut [u8; SHOWN_BYTES],
        generations: &mut Generations,
        waiting: &mut VecDeque<Arrival>,
    ) -> Result<Entry, CloseReason> {
        let admitted = self.connection.admit(now, from, &mut shown[..]);
        // Who had the slot a moment ago goes before this one comes.
        self.tell(generations, waiting);
        let admitted = admitted?;
        let connection = generations.enter(admitted.slot, Carrier::Quic);
        waiting.push_back(Arrival::Connected { connection, client_id: admitted.client_id });
        Ok(Entry { connection, slots: self.clients_max, timeout: admitted.timeout })
    }

    pub(super) fn release(
        &mut self,
        connection: ConnectionId,
        reason: DisconnectReason,
        generations: &Generations,
    ) {
        if generations.is_current(connection) {
            self.connection.release(connection.slot, reason);
        }
    }

    fn branch(&mut self, shard: Shard) -> Option<&mut Link<Order, Word>> {
        self.branches.get_mut(usize::from(shard.0).checked_sub(1)?)
    }

    /// Gives a new session to who is to serve it.
    fn enter(&mut self, slot: u32, generations: &mut Generations) -> ConnectionId {
        let Some((shard, newcomer)) = self.connection.poll_newcomer(slot) else {
            return generations.enter(slot, Carrier::Udp);
        };
        let connection = generations.enter(slot, Carrier::UdpShard(shard));
        if let Some(branch) = self.branch(shard) {
            branch.say(Order::Adopt(connection, newcomer));
        }
        connection
    }

    /// Tells who serves a session that it has to make way.
    fn evict(&mut self, connection: ConnectionId) {
        match connection.carrier {
            Carrier::Udp => {}
            Carrier::Quic => match &self.desk {
                Some(desk) => desk.evict(connection),
                None => self.evicted.push_back(connection),
            },
            Carrier::UdpShard(shard) => {
                if let Some(branch) = self.branch(shard) {
                    branch.say(Order::Evict(connection));
                }
            }
        }
    }

    /// Does what another carrier asks.
    fn serve(
        &mut self,
        now: Instant,
        order: roster::Order,
        generations: &mut Generations,
        waiting: &mut VecDeque<Arrival>,
    ) {
        match order {
            roster::Order::Admit(Ask { from, mut shown, answer }) => {
                let entry = self.admit(now, from, &mut shown, generations, waiting);
                if let Err(Ok(Entry { connection, .. })) = answer.send(entry) {
                    self.release(connection, DisconnectReason::ByPeer, generations);
                }
            }
            roster::Order::Release(connection, reason) => self.release(connection, reason, generations),
        }
    }

    fn obey(&mut self, word: Word, generations: &Generations) {
        match word {
            Word::Gone(connection, reason) => self.release(connection, reason, generations),
            Word::Moved(connection, to) => {
                if generations.is_current(connection) {
                    self.connection.follow(connection.slot, to);
                }
            }
        }
    }
}

impl Office for Front {
    fn handle<'d>(&mut self, now: Instant, from: SocketAddr, datagram: &'d mut [u8]) -> Received<'d> {
        self.connection.handle(now, from, datagram)
    }

    fn handle_handed<'d>(&mut self, now: Instant, came: Came, datagram: &'d mut [u8]) -> Received<'d> {
        self.connection.handle_of(now, came.by, came.from, datagram)
    }

    fn hand_on(&mut self, to: Shard, came: Came, datagram: &[u8]) -> bool {
        self.branch(to).is_some_and(|branch| branch.hand(came, datagram))
    }

    fn handed(&self) -> usize {
        let asked = self.desk.as_ref().map_or(0, Desk::waiting).min(ORDERS_PER_TURN_MAX);
        asked + self.branches.iter().map(Link::len).sum::<usize>()
    }

    fn take_handed<'b>(
        &mut self,
        now: Instant,
        generations: &mut Generations,
        waiting: &mut VecDeque<Arrival>,
        buffer: &'b mut [u8],
    ) -> Option<Taken<'b>> {
        if let Some(order) = self.desk.as_ref().and_then(Desk::take) {
            self.serve(now, order, generations, waiting);
            return Some(Taken::Word);
        }
        let branch = self.branches.iter_mut().find(|branch| branch.len() > 0)?;
        match branch.take(buffer)? {
            (Handed::Datagram(came), bytes) => Some(Taken::Datagram(came, bytes)),
            (Handed::Word(word), _) => {
                self.obey(word, generations);
                Some(Taken::Word)
            }
        }
    }

    fn tell(&mut self, generations: &mut Generations, waiting: &mut VecDeque<Arrival>) {
        while let Some(event) = self.connection.poll_event() {
            let arrival = match event {
                Event::Connected { slot, client_id, .. } => {
                    let connection = self.enter(slot, generations);
                    Arrival::Connected { connection, client_id }
                }
                Event::Moved { from, to, .. } if !is_other_path(from, to) => continue,
                Event::Moved { slot, .. } => Arrival::Moved(generations.current(slot)),
                Event::Disconnected { reason: DisconnectReason::ByServer, .. } => continue,
                Event::Disconnected { slot, reason, .. } => {
                    let connection = generations.current(slot);
                    if reason == DisconnectReason::Replaced {
                        self.evict(connection);
                    }
                    Arrival::Disconnected(connection)
                }
            };
            waiting.push_back(arrival);
        }
        self.branches.iter_mut().for_each(Link::say_waiting);
    }

    fn poll_ring(&mut self) -> Option<Shard> {
        let index = self.branches.iter_mut().position(Link::poll_ring)?;
        Some(Shard(index as u8 + 1))
    }

    fn waiting(&self) -> usize {
        self.branches.iter().map(Link::waiting).max().unwrap_or_default()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
    }

    fn sessions(&mut self) -> &mut Sessions {
        self.connection.sessions()
    }

    fn next_deadline(&self) -> Instant {
        self.connection.next_deadline()
    }

    fn counters(&self) -> &Counters {
        self.connection.counters()
    }
}
