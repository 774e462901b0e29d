//! QUIC clients on one thread: a current-thread runtime, a few endpoints, a task for each client.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use ninefold_client::Client;
use ninefold_client::net::quic::{self, Trust};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::time::Instant;
use quinn::{Connection, Endpoint};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use crate::member::Member;
use crate::swarm::{Figures, GOODBYE, Part};

/// Clients that share a socket, and with it the kernel's buffer.
const CLIENTS_PER_ENDPOINT: usize = 32;
/// Bytes asked of the kernel for such a socket: a few ticks of all its clients.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// What the clients of a thread share.
struct Shared {
    part: Part,
    figures: RefCell<Figures>,
}

/// Runs these clients until told to stop.
pub(crate) fn run(part: Part) -> io::Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared = Rc::new(Shared { part, figures: RefCell::default() });
    LocalSet::new().block_on(&runtime, all(&shared))?;
    Ok(shared.figures.take())
}

async fn all(shared: &Rc<Shared>) -> io::Result<()> {
    let part = &shared.part;
    let (server, fingerprint) =
        part.plan.quic.ok_or_else(|| io::Error::other("the server has no address for QUIC"))?;
    let trust = Trust::Fingerprint(fingerprint);
    let began = part.clock.now();
    let (mut tasks, mut endpoints) = (JoinSet::new(), Vec::new());
    for clients in part.indices.chunks(CLIENTS_PER_ENDPOINT) {
        let timeout = part.plan.tokens.first().and_then(quic::timeout);
        let endpoint = quic::endpoint(server, &trust, RECEIVE_BUFFER_BYTES, timeout)?;
        for &index in clients {
            let start = part.start(began, index);
            let (shared, endpoint, trust) = (Rc::clone(shared), endpoint.clone(), trust.clone());
            tasks.spawn_local(async move {
                sleep_until(&shared, start).await;
                if !shared.part.is_over() {
                    play(&shared, index, &endpoint, server, &trust).await;
                }
            });
        }
        endpoints.push(endpoint);
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(io::Error::other)?;
    }
    for endpoint in endpoints {
        // Who has not heard the goodbye by then will miss us.
        let _ = timeout(GOODBYE.into(), endpoint.wait_idle()).await;
    }
    Ok(())
}

async fn sleep_until(shared: &Shared, then: Instant) {
    tokio::time::sleep(then.since(shared.part.clock.now()).into()).await;
}

/// One client from its first packet to its last.
async fn play(shared: &Shared, index: u64, endpoint: &Endpoint, server: SocketAddr, trust: &Trust) {
    let Part { plan, clock, live, .. } = &shared.part;
    let client = Client::carried(clock.now(), &shared.part.client_config());
    let mut member = Member::new(clock.now(), index, plan, client);
    let shown = plan.tokens[index as usize].shown();
    let connected = tokio::select! {
        connected = quic::connect(endpoint, server, trust, &shown) => connected,
        () = over(shared) => return member.finish(&mut shared.figures.borrow_mut()),
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            quic::tell_end(&mut member.client, &error);
            member.take_events(clock.now(), &mut shared.figures.borrow_mut(), live);
            return;
        }
    };
    member.client.carrier_is_up();
    transmit(shared, &mut member, &connection);
    while !shared.part.is_over() {
        tokio::select! {
            received = connection.read_datagram() => {
                let now = clock.now();
                match received {
                    Ok(packet) => member.client.handle_packet(now, &packet),
                    Err(error) => quic::tell_end(&mut member.client, &error),
                }
                member.take_events(now, &mut shared.figures.borrow_mut(), live);
                if member.client.ended().is_some() {
                    break;
                }
                if !member.has_played() {
                    transmit(shared, &mut member, &connection);
                }
            }
            () = sleep_until(shared, member.next_tick) => {
                member.tick(clock.now(), &mut shared.figures.borrow_mut(), live);
                transmit(shared, &mut member, &connection);
            }
        }
    }
    member.finish(&mut shared.figures.borrow_mut());
    quic::leave(&connection);
}

/// Waits until the run is over.
async fn over(shared: &Shared) {
    while !shared.part.is_over() {
        tokio::time::sleep(GOODBYE.into()).await;
    }
}

fn transmit(shared: &Shared, member: &mut Member, connection: &Connection) {
    let mut buffer = [0; PACKET_BYTES_MAX];
    while let Some(bytes) = member.client.poll_packet(shared.part.clock.now(), &mut buffer) {
        let sent = connection.send_datagram(Bytes::copy_from_slice(&buffer[..bytes]));
        shared.figures.borrow_mut().send_errors += u64::from(sent.is_err());
    }
}
