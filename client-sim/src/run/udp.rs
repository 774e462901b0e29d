//! UDP clients, each with a socket of its own, on one thread that waits for sockets and for ticks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use mio::{Events, Interest, Poll, Registry, Token};
use ninefold_client::net::{ClientSocket, Read, ReceiveBuffers};
use ninefold_client::protocol::time::{Duration, Instant};

use super::crew::{Crew, Log, Shared, WAIT_MAX};
use crate::behaviour::Command;
use crate::player::{Actor, Counts, End, Gauge, REJOIN_AFTER, Seat, Tally};

/// Events that are taken at once.
const EVENTS_MAX: usize = 1_024;

/// A client that is there.
struct Session {
    id: u64,
    actor: Actor,
    gauge: Gauge,
    socket: ClientSocket,
    /// Whether it counts as playing.
    plays: bool,
    /// Changes of address that have been seen.
    changes_seen: usize,
}

/// A seat, and who sits there.
struct Place {
    seat: Seat,
    session: Option<Session>,
}

/// What the thread works with.
struct Desk {
    shared: std::sync::Arc<Shared>,
    registry: Registry,
    log: Log,
}

/// Runs these clients until the last one has gone.
pub fn run(crew: Crew) -> io::Result<Tally> {
    let Crew { seats, shared } = crew;
    let mut poll = Poll::new()?;
    let registry = poll.registry().try_clone()?;
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut buffers = ReceiveBuffers::default();
    let mut places: Vec<Place> = seats.into_iter().map(|seat| Place { seat, session: None }).collect();
    // One entry for each seat that is not done: when it is next looked at.
    let mut due: BinaryHeap<Reverse<(Instant, usize)>> =
        places.iter().enumerate().filter_map(|(n, p)| Some(Reverse((p.seat.join_at()?, n)))).collect();
    let mut desk = Desk { log: Log::new(&shared), shared, registry };
    while let (Some(Reverse((next, _))), false) = (due.peek(), desk.shared.is_over()) {
        let next = (*next).min(desk.log.next_turn(&desk.shared));
        let wait = next.since(desk.shared.clock.now()).min(WAIT_MAX);
        match poll.poll(&mut events, Some(wait.into())) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            places[event.token().0].receive(&mut buffers, &mut desk)?;
        }
        let now = desk.shared.clock.now();
        desk.log.turn(&desk.shared, now);
        while let Some(Reverse((at, n))) = due.peek().copied().filter(|next| next.0.0 <= now) {
            due.pop();
            let next = places[n].serve(n, at, &mut desk)?;
            due.extend(next.map(|next| Reverse((next, n))));
        }
    }
    let now = desk.shared.clock.now();
    for place in &mut places {
        place.leave(now, End::Meant, true, &mut desk);
    }
    desk.log.put(&desk.shared, now);
    Ok(desk.log.tally)
}

impl Place {
    /// What was due at `due`; gives when there is more to do, if ever.
    fn serve(&mut self, n: usize, due: Instant, desk: &mut Desk) -> io::Result<Option<Instant>> {
        let now = desk.shared.clock.now();
        let Some(session) = &mut self.session else {
            self.session = Some(self.join(n, due, desk)?);
            return Ok(Some(now));
        };
        if now >= self.seat.until() {
            return Ok(self.end(now, End::Meant, Duration::ZERO, true, desk));
        }
        if session.actor.client.ended().is_some() {
            let is_hostile = desk.shared.is_hostile(self.seat.part.group);
            let end = if is_hostile { End::Deserved } else { End::Lost };
            return Ok(self.end(now, end, REJOIN_AFTER, false, desk));
        }
        desk.log.late(due, now);
        session.change_address(n, now, self.seat.part.group, desk)?;
        let command = session.actor.tick(now, &mut self.seat.mind);
        session.gauge.ticked(now, &mut session.actor.client, &mut desk.log.tally);
        session.transmit(now, &mut self.seat, desk);
        session.mischief(&mut self.seat, desk);
        match command {
            Some(Command::Leave { goodbye, away }) => {
                return Ok(self.end(now, End::Meant, away, goodbye, desk));
            }
            Some(Command::Teleport(to)) => {
                session.gauge.ordered(now);
                let orders_dropped = u64::from(!desk.shared.teleport((session.id, to)));
                desk.log.count(self.seat.part.group, Counts { orders_dropped, ..Counts::default() });
            }
            None => {}
        }
        let next = session.actor.client.next_timeout().unwrap_or(now);
        Ok(Some(next.min(self.seat.until())))
    }

    fn join(&mut self, n: usize, due: Instant, desk: &mut Desk) -> io::Result<Session> {
        let group = self.seat.part.group;
        let id = self.seat.sit_down();
        let shared = &desk.shared;
        let dial = shared.dial(&self.seat.part).ok_or_else(|| io::Error::other("there is no UDP server"))?;
        let token = shared.token(id, dial)?;
        let is_hostile = shared.is_hostile(group);
        let actor = Actor::new(shared.clock.now(), &shared.client_config(), &token, is_hostile);
        let socket = desk.open(n, dial)?;
        let (changes_seen, _) = desk.shared.address_changes(group, 0, desk.shared.clock.now());
        Ok(Session {
            id,
            actor: actor.map_err(io::Error::other)?,
            gauge: Gauge::new(due, group, &mut desk.log.tally),
            socket,
            plays: false,
            changes_seen,
        })
    }

    fn receive(&mut self, buffers: &mut ReceiveBuffers, desk: &mut Desk) -> io::Result<()> {
        // What came for a session that has just ended is nobody's.
        let Some(session) = &mut self.session else { return Ok(()) };
        let Session { actor, gauge, socket, .. } = session;
        let clock = desk.shared.clock;
        let mut take = |from, datagram: &mut [u8]| {
            let now = clock.now();
            actor.handle_datagram(now, from, datagram);
            gauge.heard(now, &mut actor.client, &mut desk.log.tally);
        };
        while socket.receive(buffers, &mut take)? == Read::Some {}
        // On the way in every answer is waited for; later an acknowledgement can wait for the next tick.
        if !session.plays {
            session.transmit(clock.now(), &mut self.seat, desk);
            if session.gauge.has_played() {
                session.plays = true;
                desk.shared.board.plays(true);
            }
        }
        Ok(())
    }

    /// Ends the session; gives when the next one is to begin, if ever.
    fn end(
        &mut self,
        now: Instant,
        end: End,
        away: Duration,
        goodbye: bool,
        desk: &mut Desk,
    ) -> Option<Instant> {
        self.leave(now, end, goodbye, desk);
        self.seat.stand_up(now, away);
        self.seat.join_at()
    }

    fn leave(&mut self, now: Instant, end: End, goodbye: bool, desk: &mut Desk) {
        let Some(mut session) = self.session.take() else { return };
        session.gauge.finish(now, &session.actor.client, end, &mut desk.log.tally);
        if session.plays {
            desk.shared.board.plays(false);
        }
        if goodbye {
            session.actor.disconnect();
            session.transmit(now, &mut self.seat, desk);
        }
        // A socket that is closed is no longer polled either.
        let _ = desk.registry.deregister(session.socket.source());
    }
}

impl Session {
    fn transmit(&mut self, now: Instant, seat: &mut Seat, desk: &mut Desk) {
        let (socket, mut send_errors) = (&self.socket, 0);
        self.actor.transmit(now, &mut seat.mind, |to, datagram| {
            send_errors += u64::from(socket.send(to, datagram).is_err());
        });
        if send_errors > 0 {
            desk.log.count(seat.part.group, Counts { send_errors, ..Counts::default() });
        }
    }

    /// What no client has to send.
    fn mischief(&mut self, seat: &mut Seat, desk: &mut Desk) {
        let Some(mischief) = seat.mind.mischief() else { return };
        let Some(to) = desk.shared.dial(&seat.part) else { return };
        let (socket, mut send_errors) = (&self.socket, 0);
        mischief.extra(|datagram| send_errors += u64::from(socket.send(to, datagram).is_err()));
        desk.log.count(seat.part.group, Counts { send_errors, ..Counts::default() });
    }

    fn change_address(&mut self, n: usize, now: Instant, group: usize, desk: &mut Desk) -> io::Result<()> {
        let (seen, changes) = desk.shared.address_changes(group, self.changes_seen, now);
        self.changes_seen = seen;
        if changes {
            let peer = self.socket.address()?;
            let _ = desk.registry.deregister(self.socket.source());
            self.socket = desk.open(n, peer)?;
        }
        Ok(())
    }
}

impl Desk {
    /// A socket that reaches as far as `to`.
    fn open(&self, n: usize, to: std::net::SocketAddr) -> io::Result<ClientSocket> {
        let mut socket = ClientSocket::open(to)?;
        self.registry.register(socket.source(), Token(n), Interest::READABLE)?;
        self.shared.own_port(socket.address());
        Ok(socket)
    }
}
