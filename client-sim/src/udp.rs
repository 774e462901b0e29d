//! UDP clients, each with a socket of its own, on one thread that waits for sockets and ticks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::{Events, Interest, Poll, Token};
use ninefold::clock::Monotonic;
use ninefold_client::Client;
use ninefold_client::net::{ClientSocket, Read, ReceiveBuffers};
use ninefold_client::protocol::connection::DATAGRAM_BYTES_MAX;
use ninefold_client::protocol::time::{Duration, Instant};

use crate::capture::Capture;
use crate::member::Member;
use crate::swarm::{Figures, GOODBYE, Live, Part};

/// A client with its socket.
struct Caller {
    member: Member,
    socket: ClientSocket,
    /// Its own address, where datagrams are captured.
    captured: Option<(Arc<Capture>, SocketAddr)>,
}

/// Runs these clients until told to stop.
pub(crate) fn run(part: Part) -> io::Result<Figures> {
    let clock = part.clock;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1_024);
    let mut buffers = ReceiveBuffers::default();
    let mut figures = Figures::default();
    let mut callers: Vec<Caller> = Vec::new();
    let began = clock.now();
    while !part.is_over() {
        let now = clock.now();
        while let Some(&index) = part.indices.get(callers.len()).filter(|i| part.start(began, **i) <= now) {
            let caller = join(index, &part, now, poll.registry(), callers.len())?;
            callers.push(caller);
        }
        let next_join = part.indices.get(callers.len()).map(|i| part.start(began, *i));
        let next_tick = callers.iter().map(|c| c.member.next_tick).chain(next_join).min();
        let wait = next_tick.map_or(Duration::from_ms(10), |then| then.since(now));
        poll.poll(&mut events, Some(wait.into()))?;
        for event in &events {
            let caller = &mut callers[event.token().0];
            caller.receive(clock.now(), &mut buffers, &mut figures, &part.live)?;
        }
        let now = clock.now();
        for caller in callers.iter_mut().filter(|c| c.member.next_tick <= now) {
            caller.member.tick(now, &mut figures, &part.live);
            caller.transmit(now, &mut figures);
        }
    }
    say_goodbye(clock, &mut callers, &mut figures);
    Ok(figures)
}

fn join(index: u64, part: &Part, now: Instant, registry: &mio::Registry, token: usize) -> io::Result<Caller> {
    let plan = &part.plan;
    let client =
        Client::new(now, &part.client_config(), &plan.tokens[index as usize]).map_err(io::Error::other)?;
    let mut socket = ClientSocket::open(plan.server)?;
    registry.register(socket.source(), Token(token), Interest::READABLE)?;
    let captured = match &plan.capture {
        Some(capture) => Some((Arc::clone(capture), socket.address()?)),
        None => None,
    };
    Ok(Caller { member: Member::new(now, index, plan, client), socket, captured })
}

impl Caller {
    fn receive(
        &mut self,
        now: Instant,
        buffers: &mut ReceiveBuffers,
        figures: &mut Figures,
        live: &Live,
    ) -> io::Result<()> {
        let Caller { member, socket, captured } = self;
        let mut take = |from, datagram: &mut [u8]| {
            if let Some((capture, own)) = captured {
                capture.datagram(now, from, *own, datagram);
            }
            member.client.handle_datagram(now, from, datagram);
        };
        while socket.receive(buffers, &mut take)? == Read::Some {}
        member.take_events(now, figures, live);
        if !member.has_played() {
            self.transmit(now, figures);
        }
        Ok(())
    }

    fn transmit(&mut self, now: Instant, figures: &mut Figures) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = self.member.client.poll_transmit(now, &mut buffer) {
            if let Some((capture, own)) = &self.captured {
                capture.datagram(now, *own, transmit.to, &buffer[..transmit.bytes]);
            }
            let sent = self.socket.send(transmit.to, &buffer[..transmit.bytes]);
            figures.send_errors += u64::from(sent.is_err());
        }
    }
}

fn say_goodbye(clock: Monotonic, callers: &mut [Caller], figures: &mut Figures) {
    callers.iter_mut().for_each(|caller| caller.member.finish(figures));
    let end = clock.now() + GOODBYE;
    while clock.now() < end {
        for caller in callers.iter_mut() {
            caller.member.client.handle_timeout(clock.now());
            caller.transmit(clock.now(), figures);
        }
        clock.sleep_until(clock.now() + Duration::from_ms(10));
    }
}
