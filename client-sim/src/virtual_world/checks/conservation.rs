//! Nothing vanishes, and nothing that is stale comes back.
//!
//! - A chunk of a ring is missing and asked for, or made and then known or on its way, or told to be unavailable.
//! - A fragment that was sent is acknowledged, lost, or in a packet that is under way; a packet likewise.
//! - What the tick wrote was sent, is held, or was for a session that had ended.
//! - A datagram came out of its line, was dropped there for a reason, or is on it.
//! - A result that nobody waits for any more is not shown.
//! - A chunk that the server takes for known is at the client, unless word of its end is under way.

use std::sync::Arc;

use ninefold::chunk::{ChunkState, Job};
use ninefold::session::Session;
use ninefold::view::RingState;
use ninefold_client::protocol::connection::PACKET_OVERHEAD;

use crate::virtual_world::guest::Guest;
use crate::virtual_world::host::Host;
use crate::virtual_world::world::World;

/// What sealing adds to a packet.
const SEALING_BYTES: u64 = PACKET_OVERHEAD as u64;

/// Jobs of which the world has seen that nobody waits for them any more.
#[derive(Debug, Default)]
pub struct Abandoned(Vec<Job>);

impl Abandoned {
    /// Looks at jobs that are out, and at results that came in this tick.
    pub fn look(&mut self, world: &World, host: &Host) -> Result<(), String> {
        let chunks = host.tick.chunks();
        let mut handed_over = world.yard.handed_over.borrow_mut();
        while let Some((job, chunk)) = handed_over.pop_front() {
            let was_abandoned = self.0.iter().position(|of| *of == job).map(|at| self.0.swap_remove(at));
            let (Some(_), Some(stale)) = (was_abandoned, chunk) else { continue };
            if let ChunkState::Ready(ready) = chunks.state(job.coord)
                && Arc::ptr_eq(&ready.chunk, &stale)
            {
                return Err(format!(
                    "{:?}: the result of attempt {}, which nobody waited for any more, is shown",
                    job.coord, job.generation_id.0
                ));
            }
        }
        for job in world.yard.outstanding.borrow().iter() {
            let is_wanted = host.tick.sessions().any(|s| s.view.ring().iter().any(|r| r.coord == job.coord));
            if !is_wanted && !self.0.contains(job) {
                self.0.push(*job);
            }
        }
        Ok(())
    }
}

/// What the tick wrote, and what became of it.
pub fn of_carriers(host: &Host) -> Result<(), String> {
    // While a tick is at it, what it wrote is not there yet.
    if host.udp.departures_waiting() + host.quic.departures_waiting() > 0 || host.is_busy() {
        return Ok(());
    }
    let (counters, report) = (host.tick.counters(), host.udp.counts());
    let (held, _) = host.udp.waiting();
    let quic = host.quic.report();
    let quic_out = quic.packets_out + quic.departures_stale + quic.packets_too_large;
    let gone = host.outbox.sealed + report.departures_stale + held as u64 + quic_out;
    if counters.packets_out != gone {
        return Err(format!(
            "the tick wrote {} packets; UDP sent {}, {} were for sessions that had ended, {held} are held; QUIC took \
             {quic_out}",
            counters.packets_out, host.outbox.sealed, report.departures_stale
        ));
    }
    let payload_bytes = host.outbox.sealed_bytes - SEALING_BYTES * host.outbox.sealed;
    if report.departures_stale == 0
        && held == 0
        && quic_out == 0
        && counters.packet_bytes_out != payload_bytes
    {
        let wrote = counters.packet_bytes_out;
        return Err(format!("the tick wrote {wrote} bytes of packets, {payload_bytes} were sent"));
    }
    Ok(())
}

/// A session's chunks, fragments and packets.
pub fn of_session(host: &Host, session: &Session) -> Result<(), String> {
    let (id, view, link) = (session.client_id, &session.view, &session.link);
    for place in view.ring() {
        let coord = place.coord;
        match &place.state {
            RingState::Ready(ready) => {
                let is_known = view.knows(coord).is_some_and(|version| version >= ready.version);
                let on_its_way = |s: &ninefold::sending::Sending| {
                    s.coord == coord && s.fragmenter.version() >= ready.version
                };
                if !is_known && !view.sendings().iter().any(on_its_way) {
                    return Err(format!("client {id}: {coord:?} is made and neither known nor on its way"));
                }
            }
            RingState::Missing if matches!(host.tick.chunks().state(coord), ChunkState::Absent) => {
                let gauges = host.tick.chunks().gauges(ninefold_client::protocol::time::Instant::ZERO);
                if host.tick.chunks().counters().queue_full == 0 {
                    return Err(format!("client {id}: {coord:?} is missing and not asked for: {gauges:?}"));
                }
            }
            RingState::Missing | RingState::Unavailable(_) => {}
        }
    }
    let stats = link.stats();
    if stats.eliciting_sent != stats.eliciting_settled + link.packets_in_flight() as u64 {
        let in_flight = link.packets_in_flight();
        return Err(format!(
            "client {id}: of the packets to it some are nowhere: {stats:?}, {in_flight} in flight"
        ));
    }
    let under_way: usize = view.sendings().iter().map(|sending| sending.under_way()).sum();
    let carried: usize = link.tokens_in_flight().map(|receipt| receipt.fragments().count()).sum();
    if under_way > carried {
        return Err(format!(
            "client {id}: {under_way} fragments are neither acknowledged nor lost, and packets under way carry {carried}"
        ));
    }
    Ok(())
}

/// A client's lines and packets, and what the server believes of it.
pub fn of_guest(world: &World, guest: &Guest) -> Result<(), String> {
    let id = guest.client_id;
    let totals = guest.totals(false);
    let on_lines = (guest.up.in_flight() + guest.down.in_flight()) as u64;
    if totals.sent != totals.delivered + totals.dropped + on_lines {
        return Err(format!("client {id}: {totals:?} and {on_lines} on its lines"));
    }
    let (Some(client), Some(session)) = (&guest.client, world.session(guest)) else { return Ok(()) };
    let stats = client.link().stats();
    let in_flight = client.link().packets_in_flight();
    if stats.eliciting_sent != stats.eliciting_settled + in_flight as u64 {
        return Err(format!(
            "client {id}: of its packets some are nowhere: {stats:?}, {in_flight} in flight"
        ));
    }
    // Word of what it forgot is under way as long as the server has not acknowledged all that it said.
    if !client.link().reliable_is_settled() || !client.is_connected() {
        return Ok(());
    }
    known_is_there(session, guest)
}

/// In the end nothing is under way that could excuse anything.
pub fn at_the_end(world: &World, guest: &Guest) -> Result<(), String> {
    let id = guest.client_id;
    let (Some(client), Some(session)) = (&guest.client, world.session(guest)) else { return Ok(()) };
    if !client.link().reliable_is_settled() {
        return Err(format!("client {id}: what it said is not acknowledged"));
    }
    if !session.link.reliable_is_settled() {
        return Err(format!("client {id}: what it was told is not acknowledged"));
    }
    known_is_there(session, guest)
}

/// What the server takes for known is at the client.
fn known_is_there(session: &Session, guest: &Guest) -> Result<(), String> {
    let Some(client) = &guest.client else { return Ok(()) };
    let lost = session.view.known_chunks().filter(|(coord, version)| {
        client.cache().peek(*coord).is_none_or(|cached| cached.version < *version)
    });
    match lost.min_by_key(|(coord, _)| (coord.cx, coord.cz)) {
        None => Ok(()),
        Some((coord, version)) => Err(format!(
            "client {}: the server takes version {version} of {coord:?} for known, the client has it no more, and no \
             word of that is under way",
            guest.client_id
        )),
    }
}
