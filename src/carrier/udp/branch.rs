//! The office of a thread that is not the first: sessions, and somebody to ask.
//!
//! What it cannot judge by itself it hands to the first: ways in, and packets of clients that have moved here from another
//! thread's socket. Whoever has a session here came in on this thread's socket.

use std::collections::VecDeque;
use std::net::SocketAddr;

use ninefold_protocol::connection::{Counters, Event, Received, Sessions};
use ninefold_protocol::time::Instant;

use super::handing::{Came, Handed, Link, Order, Taken, Word};
use super::office::Office;
use crate::carrier::roster::Generations;
use crate::carrier::{Arrival, Shard};

/// See the module.
#[derive(Debug)]
pub struct Branch {
    shard: Shard,
    sessions: Sessions,
    first: Link<Word, Order>,
}

impl Branch {
    /// One without clients.
    pub(super) fn new(shard: Shard, sessions: Sessions, first: Link<Word, Order>) -> Self {
        Branch { shard, sessions, first }
    }

    fn obey(&mut self, now: Instant, order: Order, generations: &mut Generations) {
        match order {
            Order::Adopt(connection, newcomer) => {
                generations.adopt(connection);
                self.sessions.adopt(now, connection.slot, newcomer);
            }
            Order::Evict(connection) => {
                if generations.is_current(connection) {
                    self.sessions.evict(connection.slot);
                }
            }
        }
    }
}

impl Office for Branch {
    fn handle<'d>(&mut self, now: Instant, from: SocketAddr, datagram: &'d mut [u8]) -> Received<'d> {
        self.sessions.handle(now, from, datagram)
    }

    fn handle_handed<'d>(&mut self, now: Instant, came: Came, datagram: &'d mut [u8]) -> Received<'d> {
        self.sessions.handle_handed(now, came.from, datagram)
    }

    fn hand_on(&mut self, _: Shard, came: Came, datagram: &[u8]) -> bool {
        self.first.hand(Came { by: self.shard, ..came }, datagram)
    }

    fn handed(&self) -> usize {
        self.first.len()
    }

    fn take_handed<'b>(
        &mut self,
        now: Instant,
        generations: &mut Generations,
        _: &mut VecDeque<Arrival>,
        buffer: &'b mut [u8],
    ) -> Option<Taken<'b>> {
        match self.first.take(buffer)? {
            (Handed::Datagram(came), bytes) => Some(Taken::Datagram(came, bytes)),
            (Handed::Word(order), _) => {
                self.obey(now, order, generations);
                Some(Taken::Word)
            }
        }
    }

    fn tell(&mut self, generations: &mut Generations, _: &mut VecDeque<Arrival>) {
        while let Some(event) = self.sessions.poll_event() {
            match event {
                Event::Moved { slot, to, .. } => self.first.say(Word::Moved(generations.current(slot), to)),
                Event::Disconnected { slot, reason, .. } => {
                    self.first.say(Word::Gone(generations.current(slot), reason));
                }
                Event::Connected { .. } => debug_assert!(false, "comings are the first one's to tell"),
            }
        }
        self.first.say_waiting();
    }

    fn poll_ring(&mut self) -> Option<Shard> {
        self.first.poll_ring().then_some(Shard::FIRST)
    }

    fn waiting(&self) -> usize {
        self.first.waiting()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.sessions.handle_timeout(now);
    }

    fn sessions(&mut self) -> &mut Sessions {
        &mut self.sessions
    }

    fn next_deadline(&self) -> Instant {
        self.sessions.next_deadline()
    }

    fn counters(&self) -> &Counters {
        self.sessions.counters()
    }
}
