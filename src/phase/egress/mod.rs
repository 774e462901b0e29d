//! Writes the packets that were planned and hands them to the carrier, which seals and sends them.
//!
//! What a message to the kernel costs hardly depends on how many equally long datagrams it has, of which the last may be
//! shorter. So a few packets that the line takes in a moment leave as one train ([`ends`]), and more as the line takes them:
//!
//! ```text
//!   a train   full fragments │ chunks' shorter ends, padded │ acknowledgement, snapshot, events, a shorter end
//!   more      acknowledgement, snapshot, events │ fragment │ fragment │ ...     fragments at their departure times
//! ```
//!
//! Work: what the plan holds; a client with a long queue of reliable messages gets at most
//! [`writing::CONTROL_PACKETS_MAX`] packets of them.

mod ends;
mod writing;

use ninefold_protocol::time::Instant;

use super::Plan;
use super::share::{Crew, share_out, threads_for};
use crate::carrier::{ConnectionId, Departure, Departures, Spaces};
use crate::rules::Rules;
use crate::session::{Seat, Session, Sessions, Stage};
use crate::telemetry::{Counters, TurnClock};
use writing::{Desk, Outlet, Way, Writing};

/// So many clients ahead the memory of chunks on their way is asked for.
const SENDINGS_AHEAD: usize = 2;

/// Sends what was planned. Clients whose time to leave has come are moved to `departed`.
pub fn egress(
    (now, tick): (Instant, u64),
    (rules, turns): (&Rules, TurnClock<'_>),
    plan: &Plan,
    sessions: &mut Sessions,
    clerks: &mut Clerks,
    departures: &mut Departures,
    departed: &mut Vec<Session>,
    counters: &mut Counters,
) {
    let clerks = clerks.0.of(threads_for(sessions.len(), rules.tick_threads));
    let spaces = departures.spaces(clerks.len());
    let work = Work { now, tick, turns, plan, spaces };
    match &mut *clerks {
        [clerk] => clerk.write(&work, 0, sessions.seats_mut(), departures),
        clerks => {
            share_out(sessions.seats_mut(), clerks, &|first, seats: &mut [Seat], clerk| {
                let mut basket = std::mem::take(&mut clerk.basket);
                clerk.write(&work, first, seats, &mut basket);
                clerk.basket = basket;
            });
            clerks.iter_mut().for_each(|clerk| clerk.basket.empty_into(departures, counters));
        }
    }
    for clerk in clerks {
        counters.take_over(&mut clerk.counters);
        for connection in clerk.leaving.drain(..) {
            if departures.push(Departure::Disconnect(connection), &[]).is_ok() {
                counters.clients_disconnected += 1;
                departed.extend(sessions.remove(connection));
            }
        }
    }
}

/// What is to be written in a tick.
struct Work<'t> {
    now: Instant,
    tick: u64,
    turns: TurnClock<'t>,
    plan: &'t Plan,
    /// For each clerk.
    spaces: Spaces,
}

/// Writes the packets of a run of clients.
#[derive(Debug, Default)]
struct Clerk {
    desk: Desk,
    /// What it has written beside others; only the thread of the tick writes to carriers.
    basket: Basket,
    leaving: Vec<ConnectionId>,
    counters: Counters,
}

/// One for each thread.
#[derive(Debug, Default)]
pub struct Clerks(Crew<Clerk>);

impl Clerk {
    /// Writes what goes to these clients; the plan has them in the same order, from `first` on.
    fn write(&mut self, work: &Work<'_>, first: usize, seats: &mut [Seat], outlet: &mut impl Outlet) {
        let Work { now, tick, turns, plan, spaces } = *work;
        let Clerk { desk, leaving, counters, .. } = self;
        let way = Way { outlet, spaces, counters };
        let mut writing = Writing { now, tick, turns, way, desk };
        let planned = &plan.clients[first..][..seats.len()];
        for (at, planned) in planned.iter().enumerate() {
            let has_fragments =
                plan.clients.get(first + at + SENDINGS_AHEAD).is_some_and(|p| !p.picks.is_empty());
            if let Some(coming) = seats.get(at + SENDINGS_AHEAD).filter(|_| has_fragments) {
                coming.session.view.fetch_fragments();
            }
            let session = &mut *seats[at].session;
            debug_assert_eq!(
                session.connection.slot as usize, planned.slot,
                "nobody changed places in this tick"
            );
            let began = turns.start(planned.slot);
            let snapshot = &plan.snapshots[planned.snapshot.clone()];
            writing.packets(session, snapshot, &plan.picks[planned.picks.clone()]);
            turns.stop(began, &mut session.cost);
            if session.has_left(now) {
                leaving.push(session.connection);
            }
        }
    }
}

/// Records on their way to the lanes.
#[derive(Debug, Default)]
struct Basket {
    records: Vec<(Departure, usize)>,
    /// Theirs, one behind the other.
    bytes: Vec<u8>,
}

impl Outlet for Basket {
    fn take(&mut self, departure: Departure, bytes: &[u8]) -> bool {
        self.records.push((departure, bytes.len()));
        self.bytes.extend_from_slice(bytes);
        true
    }
}

impl Basket {
    /// Puts all of it into the lanes. What finds no room is lost as if on the wire.
    fn empty_into(&mut self, departures: &mut Departures, counters: &mut Counters) {
        let mut rest = &self.bytes[..];
        for (departure, bytes) in self.records.drain(..) {
            let (these, others) = rest.split_at(bytes);
            counters.egress_skipped += u64::from(departures.push(departure, these).is_err());
            rest = others;
        }
        self.bytes.clear();
    }
}

impl Session {
    /// Whether its time to leave has come: it has heard why, or does not answer.
    fn has_left(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Leaving(by) if now >= by || self.link.reliable_is_settled())
    }
}
