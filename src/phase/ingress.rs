//! What arrived becomes session state and inputs.
//!
//! They are sorted by client first, so that each is looked at once, its timers with it, and by any thread.
//!
//! Work: the arrivals that waited when the tick began, at most [`PACKETS_PER_TICK_MAX`] packets of one
//! client, and each client's timers once.

use ninefold_protocol::frame::{
    ChunkKey, ENCODING_BSP_BIT, ENCODING_RECIPE_BIT, Hello, Inputs, Message, OFFERS_MAX, PROTOCOL_VERSION,
    RawMessage, RefuseReason, UnavailableReason, Welcome, kind,
};
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::link::{LinkError, Outcome};
use ninefold_protocol::time::Instant;
use ninefold_world::{ChunkCoord, spawn_chunk};

use super::mail::{Letter, Mail};
use super::share::{Crew, share_out, threads_for};
use crate::ahead::{Needs, for_each};
use crate::carrier::{Arrival, Arrivals, ConnectionId};
use crate::recorder::{Event, Notes};
use crate::rules::{CHUNK_REQUESTS_PER_TICK_MAX, LEAVE_AFTER, OFFERS_WAIT, PACKETS_PER_TICK_MAX, Rules};
use crate::session::{Seat, Session, Sessions, Stage};
use crate::telemetry::{Counters, TurnClock};
use crate::view::{Acked, Requested};

/// Takes what arrived. Clients that went are moved to `departed` for the later phases to forget.
pub fn ingress(
    (now, tick): (Instant, u64),
    (rules, turns): (&Rules, TurnClock<'_>),
    arrivals: &mut Arrivals,
    sessions: &mut Sessions,
    post: &mut Post,
    departed: &mut Vec<Session>,
    counters: &mut Counters,
    notes: &mut Notes,
) {
    let Post { mail, counts } = post;
    let now = Now { now, tick, rules, turns };
    mail.clear();
    sort(&now, arrivals, sessions, mail, departed, counters, notes);
    let counts = counts.of(threads_for(sessions.len(), rules.tick_threads));
    let mail = &*mail;
    share_out(sessions.seats_mut(), counts, &|_, seats: &mut [Seat], counters| {
        for_each(seats, Needs::Packet, |session| {
            let began = turns.start(session.connection.slot as usize);
            read(&now, session, mail, counters);
            session.packets_this_tick = 0;
            session.requests_this_tick = 0;
            session.link.handle_timeout(now.now);
            settle(tick, session, counters);
            turns.stop(began, &mut session.cost);
        });
    });
    counts.iter_mut().for_each(|counted| counters.take_over(counted));
}

/// What ingress keeps for its memory.
#[derive(Debug, Default)]
pub struct Post {
    mail: Mail,
    /// What each thread counts.
    counts: Crew<Counters>,
}

/// The tick, to all who read.
struct Now<'t> {
    now: Instant,
    tick: u64,
    rules: &'t Rules,
    turns: TurnClock<'t>,
}

/// Puts what arrived into order: by client, so that each is looked at once. Who comes does so at once, and who goes has
/// said what came before.
fn sort(
    now: &Now<'_>,
    arrivals: &mut Arrivals,
    sessions: &mut Sessions,
    mail: &mut Mail,
    departed: &mut Vec<Session>,
    counters: &mut Counters,
    notes: &mut Notes,
) {
    let mut buffer = [0; PACKET_BYTES_MAX];
    let mut stock = arrivals.take_stock();
    while let Some((arrival, packet)) = arrivals.pop(&mut stock, &mut buffer) {
        let (connection, letter) = match arrival {
            Arrival::Connected { connection, client_id } => {
                counters.clients_connected += 1;
                notes.push(Event::Joined { client_id });
                read_first(now, connection, sessions, mail, counters);
                now.turns.begin(connection.slot as usize);
                departed.extend(sessions.insert(Session::new(now.now, connection, client_id, now.rules)));
                continue;
            }
            Arrival::Disconnected(connection) => {
                if sessions.is_there(connection) {
                    read_first(now, connection, sessions, mail, counters);
                }
                match sessions.remove(connection) {
                    Some(session) => {
                        counters.clients_disconnected += 1;
                        departed.push(session);
                    }
                    None => counters.arrivals_stale += 1,
                }
                continue;
            }
            Arrival::Packet { connection, at } => {
                counters.packets_in += 1;
                counters.packet_bytes_in += packet.len() as u64;
                (connection, Letter::Packet { at, bytes: mail.keep(packet) })
            }
            Arrival::Room { connection, packets } => (connection, Letter::Room(packets)),
            Arrival::Late { connection, by } => (connection, Letter::Late(by)),
            Arrival::Moved(connection) => (connection, Letter::Moved),
        };
        match sessions.is_there(connection) {
            true => mail.push(connection.slot, letter),
            false => counters.arrivals_stale += 1,
        }
    }
}

/// Reads what waits for a slot before somebody else has it.
fn read_first(
    now: &Now<'_>,
    connection: ConnectionId,
    sessions: &mut Sessions,
    mail: &mut Mail,
    counters: &mut Counters,
) {
    if let Some(session) = sessions.in_slot(connection.slot as usize) {
        read(now, session, mail, counters);
    }
    mail.forget(connection.slot);
}

/// Gives a client what came for it, in the order in which it came.
fn read(now: &Now<'_>, session: &mut Session, mail: &Mail, counters: &mut Counters) {
    for letter in mail.of(session.connection.slot) {
        match letter {
            Letter::Packet { at, bytes } => packet_arrived(now, session, *at, mail.bytes(bytes), counters),
            Letter::Room(packets) => session.carrier_room = *packets as usize,
            Letter::Late(by) => session.leaves_late_by = *by,
            Letter::Moved => session.link.path_changed(now.now),
        }
    }
}

fn packet_arrived(now: &Now<'_>, session: &mut Session, at: Instant, packet: &[u8], counters: &mut Counters) {
    now.turns.arrived(session.connection.slot as usize, packet, &mut counters.frames.arrived);
    session.packets_this_tick += 1;
    if session.packets_this_tick > PACKETS_PER_TICK_MAX {
        counters.packets_over_limit += 1;
        return;
    }
    let frames = match session.link.handle_packet(at, packet) {
        Ok(frames) => frames,
        Err(LinkError::Duplicate(_)) => {
            counters.packets_duplicate += 1;
            return;
        }
        Err(_) => {
            counters.packets_refused += 1;
            return;
        }
    };
    for (kind, body) in frames {
        match kind {
            kind::INPUTS => match Inputs::parse(body) {
                Ok(inputs) => take_inputs(now.now, at, now.rules, session, &inputs, counters),
                Err(_) => counters.frames_refused += 1,
            },
            _ => counters.frames_unknown += 1,
        }
    }
    settle(now.tick, session, counters);
    while let Some(raw) = session.link.poll_message() {
        take_message(now.now, now.tick, now.rules, session, &raw, counters);
    }
}

fn take_inputs(
    now: Instant,
    at: Instant,
    rules: &Rules,
    session: &mut Session,
    inputs: &Inputs<'_>,
    counters: &mut Counters,
) {
    // Before it is in the world there is nobody to move.
    if !session.is_playing() {
        return;
    }
    let offered = session.inputs.offer(now, at, rules.period(), inputs);
    counters.inputs_missing += u64::from(offered.skipped);
    counters.inputs_ahead += u64::from(offered.ahead);
    if offered.flood {
        counters.clients_flooding += 1;
        session.send(now, &Message::Refuse(RefuseReason::Flood), counters);
        session.stage = Stage::Leaving(now + LEAVE_AFTER);
    }
}

/// Hears from the link what became of what was sent.
fn settle(tick: u64, session: &mut Session, counters: &mut Counters) {
    while let Some(outcome) = session.link.poll_outcome() {
        match outcome {
            Outcome::Acked(receipt) => {
                for token in receipt.fragments() {
                    if let Acked::Whole { by_parity, .. } = session.view.on_acked(token) {
                        counters.chunks_delivered += 1;
                        counters.parity_used += by_parity as u64;
                    }
                }
                receipt.snapshot(tick).into_iter().for_each(|tick| session.snapshots.on_acked(tick));
            }
            // The next snapshot says it all.
            Outcome::Lost(receipt) => receipt.fragments().for_each(|token| session.view.on_lost(token)),
        }
    }
}

fn take_message(
    now: Instant,
    tick: u64,
    rules: &Rules,
    session: &mut Session,
    raw: &RawMessage,
    counters: &mut Counters,
) {
    let Ok(message) = Message::decode(raw) else {
        counters.frames_refused += 1;
        return;
    };
    match message {
        Message::Hello(hello) => greet(now, tick, rules, session, hello, counters),
        Message::ChunkForget(at) => {
            let Some(coord) = on_the_ground(at.key) else {
                counters.frames_refused += 1;
                return;
            };
            counters.chunks_forgotten += 1;
            #[cfg(feature = "planted-bugs")]
            if crate::planted::Planted::LoseForgets.is_there() && tick.is_multiple_of(100) {
                return;
            }
            session.view.forget(coord, at.version);
        }
        Message::ChunkRequest(key) => {
            session.requests_this_tick += 1;
            if session.requests_this_tick > CHUNK_REQUESTS_PER_TICK_MAX {
                counters.chunk_requests_refused += 1;
                return;
            }
            request(session, key, counters);
        }
        Message::Unknown(_) => counters.frames_unknown += 1,
        Message::ChunkHave { key, content_hash } => {
            let awaited = &mut session.offers_awaited.0;
            match on_the_ground(key).filter(|_| *awaited > 0) {
                Some(coord) => session.view.offer(coord, content_hash),
                None => counters.frames_refused += 1,
            }
            *awaited = awaited.saturating_sub(1);
        }
        // What only a server says.
        Message::Welcome(_)
        | Message::Refuse(_)
        | Message::ChunkEnter { .. }
        | Message::ChunkKnown(_)
        | Message::ChunkUnavailable(..) => counters.frames_refused += 1,
    }
}

fn greet(
    now: Instant,
    tick: u64,
    rules: &Rules,
    session: &mut Session,
    hello: Hello,
    counters: &mut Counters,
) {
    if session.stage != Stage::Greeting {
        counters.frames_refused += 1;
        return;
    }
    let refusal = if !(hello.version_min..=hello.version_max).contains(&PROTOCOL_VERSION) {
        Some(RefuseReason::Version { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION })
    } else if hello.encodings & ENCODING_BSP_BIT == 0 {
        Some(RefuseReason::Encoding(ENCODING_BSP_BIT))
    } else {
        None
    };
    let answer = match refusal {
        Some(reason) => {
            counters.clients_refused += 1;
            session.stage = Stage::Leaving(now + LEAVE_AFTER);
            Message::Refuse(reason)
        }
        None => {
            if hello.encodings & ENCODING_RECIPE_BIT != 0 {
                session.view.take_recipes();
            }
            session.offers_awaited = (hello.offers.min(OFFERS_MAX), now + OFFERS_WAIT);
            session.stage = Stage::Spawning(spawn_chunk(session.client_id, rules.spawn_radius_chunks));
            Message::Welcome(Welcome {
                version: PROTOCOL_VERSION,
                tick_rate_hz: rules.tick_rate_hz as u16,
                player: session.player(),
                world_id: rules.world_id,
                tick,
                walk_speed_units_s: u16::try_from(rules.walk_speed_units_s).unwrap_or(u16::MAX),
            })
        }
    };
    session.send(now, &answer, counters);
}

fn request(session: &mut Session, key: ChunkKey, counters: &mut Counters) {
    let requested = on_the_ground(key).map_or(Requested::NotInRing, |coord| session.view.request(coord));
    match requested {
        Requested::Coming => counters.chunks_requested += 1,
        Requested::NotInRing => counters.chunk_requests_refused += 1,
        // It was told once, reliably; a client that asks again gets no second answer to count on.
        Requested::Unavailable => counters.chunks_requested += 1,
    }
}

/// This world has one floor.
fn on_the_ground(key: ChunkKey) -> Option<ChunkCoord> {
    (key.cy == 0).then_some(ChunkCoord { cx: key.cx, cz: key.cz })
}

/// The reason that goes with a chunk that cannot be made.
pub(super) const UNAVAILABLE: UnavailableReason = UnavailableReason::Failed;
