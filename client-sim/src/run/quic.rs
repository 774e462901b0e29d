//! QUIC clients on one thread: a current-thread runtime, a task for each seat, and sockets that some of them share.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use ninefold_client::Client;
use ninefold_client::net::quic::{self, Trust};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::time::{Duration, Instant};
use quinn::{Connection, Endpoint};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::crew::{Crew, Log, Shared, WAIT_MAX};
use super::mint::TIMEOUT_S;
use crate::behaviour::Command;
use crate::player::{Counts, End, Gauge, REJOIN_AFTER, Seat, Tally};
use crate::scenario::FaultKind;

/// Clients that share a socket, and with it the kernel's buffer, where each has no line of its own.
const CLIENTS_PER_ENDPOINT: usize = 32;
/// Bytes asked of the kernel for a socket: a few ticks of all its clients.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// A goodbye has so long to get out.
const GOODBYE: Duration = Duration::from_ms(100);

/// What the tasks of a thread share.
struct Desk {
    shared: Arc<Shared>,
    log: RefCell<Log>,
    /// A socket for each so many clients; empty where each session makes its own.
    endpoints: RefCell<Vec<Option<Endpoint>>>,
}

/// A session that goes on.
struct Session {
    id: u64,
    client: Client,
    gauge: Gauge,
    plays: bool,
    changes_seen: usize,
}

/// How a session ended, how long the client stays away, and whether it says goodbye.
type Ending = (End, Duration, bool);

/// Runs these clients until the last one has gone.
pub fn run(crew: Crew) -> io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Crew { seats, shared } = crew;
    let desk = Rc::new(Desk {
        log: RefCell::new(Log::new(&shared)),
        endpoints: RefCell::new(vec![None; seats.len().div_ceil(CLIENTS_PER_ENDPOINT)]),
        shared,
    });
    LocalSet::new().block_on(&runtime, all(&desk, seats))?;
    let mut log = desk.log.borrow_mut();
    log.put(&desk.shared, desk.shared.clock.now());
    Ok(std::mem::take(&mut log.tally))
}

async fn all(desk: &Rc<Desk>, seats: Vec<Seat>) -> io::Result<()> {
    let mut tasks = JoinSet::new();
    for (n, seat) in seats.into_iter().enumerate() {
        let desk = Rc::clone(desk);
        tasks.spawn_local(async move { occupy(&desk, n, seat).await });
    }
    loop {
        let turn = desk.log.borrow().next_turn(&desk.shared);
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(ended) => ended.map_err(io::Error::other)??,
                None => break,
            },
            () = sleep_until(&desk.shared, turn) => desk.log.borrow_mut().turn(&desk.shared, desk.shared.clock.now()),
        }
    }
    for endpoint in desk.endpoints.take().into_iter().flatten() {
        // Who has not heard the goodbye by then will miss us.
        let _ = timeout(GOODBYE.into(), endpoint.wait_idle()).await;
    }
    Ok(())
}

async fn sleep_until(shared: &Shared, then: Instant) {
    tokio::time::sleep(then.since(shared.clock.now()).into()).await;
}

/// A seat from its first visit to its last.
async fn occupy(desk: &Desk, n: usize, mut seat: Seat) -> io::Result<()> {
    let shared = &desk.shared;
    while let Some(due) = seat.join_at() {
        while shared.clock.now() < due && !shared.is_over() {
            sleep_until(shared, due.min(shared.clock.now() + WAIT_MAX)).await;
        }
        if shared.is_over() {
            break;
        }
        let id = seat.sit_down();
        let group = seat.part.group;
        let gauge = Gauge::new(due, group, &mut desk.log.borrow_mut().tally);
        let client = Client::carried(shared.clock.now(), &shared.client_config());
        let (changes_seen, _) = shared.address_changes(group, 0, shared.clock.now());
        let mut session = Session { id, client, gauge, plays: false, changes_seen };
        let (end, away, _) = visit(desk, n, &mut seat, &mut session).await?;
        let now = shared.clock.now();
        session.gauge.finish(now, &session.client, end, &mut desk.log.borrow_mut().tally);
        if session.plays {
            shared.board.plays(false);
        }
        seat.stand_up(now, away);
    }
    Ok(())
}

/// One session: connects, plays, leaves.
async fn visit(desk: &Desk, n: usize, seat: &mut Seat, session: &mut Session) -> io::Result<Ending> {
    let shared = &desk.shared;
    let until = seat.until();
    let Some((_, fingerprint)) = shared.place().quic else {
        return Err(io::Error::other("there is no QUIC server"));
    };
    let dial = shared.dial(&seat.part).ok_or_else(|| io::Error::other("there is no QUIC server"))?;
    let token = shared.token(session.id, dial)?;
    let trust = Trust::Fingerprint(fingerprint);
    let is_own = shared.has_own_endpoints(seat.part.group);
    let endpoint = desk.endpoint(n, dial, &trust, is_own)?;
    let shown = token.shown();
    let connected = tokio::select! {
        connected = quic::connect(&endpoint, dial, &trust, &shown) => connected,
        () = sleep_until(shared, until) => return Ok((End::Meant, Duration::ZERO, false)),
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            quic::tell_end(&mut session.client, &error);
            return Ok(Session::lost(shared, seat));
        }
    };
    session.client.carrier_is_up();
    transmit(desk, seat, session, &connection);
    let ending = play(desk, seat, session, &connection, &endpoint).await?;
    if ending.2 {
        session.client.disconnect();
        quic::leave(&connection);
    }
    if is_own {
        // A client that crashes is gone without a word: its socket closes before its connection can say so.
        if !ending.2 {
            endpoint.rebind(std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?)?;
        }
        let _ = timeout(GOODBYE.into(), endpoint.wait_idle()).await;
    }
    Ok(ending)
}

async fn play(
    desk: &Desk,
    seat: &mut Seat,
    session: &mut Session,
    connection: &Connection,
    endpoint: &Endpoint,
) -> io::Result<Ending> {
    let shared = &desk.shared;
    let (until, mut due) = (seat.until(), shared.clock.now());
    loop {
        if shared.is_over() || shared.clock.now() >= until {
            return Ok((End::Meant, Duration::ZERO, true));
        }
        if session.client.ended().is_some() {
            return Ok(Session::lost(shared, seat));
        }
        tokio::select! {
            biased;
            () = sleep_until(shared, due) => {
                let ending = tick(desk, seat, session, connection, due);
                if let Some(ending) = ending {
                    return Ok(ending);
                }
                change_address(shared, seat.part.group, session, endpoint)?;
                let now = shared.clock.now();
                due = session.client.next_timeout().unwrap_or(now).min(until).min(now + WAIT_MAX);
            }
            received = connection.read_datagram() => {
                let now = shared.clock.now();
                match received {
                    Ok(packet) => session.client.handle_packet(now, &packet),
                    Err(error) => quic::tell_end(&mut session.client, &error),
                }
                session.gauge.heard(now, &mut session.client, &mut desk.log.borrow_mut().tally);
                if !session.plays {
                    transmit(desk, seat, session, connection);
                    if session.gauge.has_played() {
                        session.plays = true;
                        shared.board.plays(true);
                    }
                }
            }
        }
    }
}

/// One tick of the client; gives how its session ends, if it does.
fn tick(
    desk: &Desk,
    seat: &mut Seat,
    session: &mut Session,
    connection: &Connection,
    due: Instant,
) -> Option<Ending> {
    let now = desk.shared.clock.now();
    let decision = seat.mind.decide(now, &session.client);
    session.client.set_input(decision.input);
    session.client.handle_timeout(now);
    {
        let mut log = desk.log.borrow_mut();
        log.late(due, now);
        session.gauge.ticked(now, &mut session.client, &mut log.tally);
    }
    transmit(desk, seat, session, connection);
    if let Some(mischief) = seat.mind.mischief() {
        mischief.extra(|datagram| {
            let bytes = Bytes::copy_from_slice(&datagram[..datagram.len().min(PACKET_BYTES_MAX)]);
            // What does not fit into QUIC's buffer is one piece of garbage fewer.
            let _ = connection.send_datagram(bytes);
        });
    }
    match decision.command {
        Some(Command::Leave { goodbye, away }) => Some((End::Meant, away, goodbye)),
        Some(Command::Teleport(to)) => {
            session.gauge.ordered(now);
            let orders_dropped = u64::from(!desk.shared.teleport((session.id, to)));
            desk.log.borrow_mut().count(seat.part.group, Counts { orders_dropped, ..Counts::default() });
            None
        }
        None => None,
    }
}

fn transmit(desk: &Desk, seat: &mut Seat, session: &mut Session, connection: &Connection) {
    let (mut buffer, mut send_errors) = ([0; PACKET_BYTES_MAX], 0);
    let now = desk.shared.clock.now();
    while let Some(bytes) = session.client.poll_packet(now, &mut buffer) {
        let packet = &mut buffer[..bytes];
        let copies = seat.mind.mischief().map_or(1, |mischief| {
            mischief.packet(packet);
            mischief.datagram(packet)
        });
        for _ in 0..copies {
            let sent = connection.send_datagram(Bytes::copy_from_slice(packet));
            // A connection that has ended is no fault of the generator's.
            send_errors += u64::from(sent.is_err() && connection.close_reason().is_none());
        }
    }
    if send_errors > 0 {
        desk.log.borrow_mut().count(seat.part.group, Counts { send_errors, ..Counts::default() });
    }
}

fn change_address(
    shared: &Shared,
    group: usize,
    session: &mut Session,
    endpoint: &Endpoint,
) -> io::Result<()> {
    let (seen, changes) = shared.address_changes(group, session.changes_seen, shared.clock.now());
    session.changes_seen = seen;
    if changes {
        let any: SocketAddr = match endpoint.local_addr()? {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        endpoint.rebind(std::net::UdpSocket::bind(any)?)?;
        shared.own_port(endpoint.local_addr());
    }
    Ok(())
}

impl Session {
    /// It ended and was not meant to, unless the client deserved it.
    fn lost(shared: &Shared, seat: &Seat) -> Ending {
        let end = if shared.is_hostile(seat.part.group) { End::Deserved } else { End::Lost };
        (end, REJOIN_AFTER, false)
    }
}

impl Shared {
    /// Whether each QUIC client of a group has a socket of its own: it has a line, it moves, it crashes, or the server
    /// shows another certificate in the middle of the run.
    fn has_own_endpoints(&self, group: usize) -> bool {
        let is_moved = |fault: &crate::scenario::Fault| {
            matches!(
                fault.kind,
                FaultKind::AddressChange | FaultKind::KillServer { .. } | FaultKind::RestartServer { .. }
            )
        };
        let churns =
            matches!(self.scenario.groups[group].behaviour, crate::scenario::Behaviour::Churn { .. });
        churns || self.dial.contains_key(&(group, true)) || self.scenario.faults.iter().any(is_moved)
    }
}

impl Desk {
    fn endpoint(&self, n: usize, dial: SocketAddr, trust: &Trust, is_own: bool) -> io::Result<Endpoint> {
        let mut endpoints = self.endpoints.borrow_mut();
        let shared = &mut endpoints[n / CLIENTS_PER_ENDPOINT];
        if let (Some(endpoint), false) = (&*shared, is_own) {
            return Ok(endpoint.clone());
        }
        let timeout = u64::try_from(TIMEOUT_S).ok().map(std::time::Duration::from_secs);
        let endpoint = quic::endpoint(dial, trust, RECEIVE_BUFFER_BYTES, timeout)?;
        self.shared.own_port(endpoint.local_addr());
        if !is_own {
            *shared = Some(endpoint.clone());
        }
        Ok(endpoint)
    }
}
