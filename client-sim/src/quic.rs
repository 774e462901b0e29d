//! QUIC clients on one thread: a current-thread runtime, a few endpoints, a task for each client.

mod pinned;

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use bytes::Bytes;
use ninefold::carrier::quic::Fingerprint;
use ninefold_client::Client;
use ninefold_client::protocol::connection::{ADMITTED_BYTES, CloseReason, QUIC_ALPN, SHOWN_BYTES};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::time::Instant;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint, EndpointConfig, TokioRuntime, TransportConfig, VarInt};
use quinn_proto::RandomConnectionIdGenerator;
use socket2::SockRef;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use self::pinned::Pinned;
use crate::member::Member;
use crate::swarm::{Figures, GOODBYE, Part};

/// Clients that share a socket, and with it the kernel's buffer.
const CLIENTS_PER_ENDPOINT: usize = 32;
/// Bytes asked of the kernel for such a socket: a few ticks of all its clients.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// Bytes of a connection id. With two, the link's largest packets fit the smallest MTU from the start.
const ID_BYTES: usize = 2;
/// UDP payload that every path carries: what IPv6 promises.
const MTU_MIN: u16 = 1_232;
/// A round trip before one is known.
const INITIAL_RTT: StdDuration = StdDuration::from_millis(150);
/// Who has nothing to send says so this often.
const KEEP_ALIVE: StdDuration = StdDuration::from_secs(1);

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
    let began = part.clock.now();
    let (mut tasks, mut endpoints) = (JoinSet::new(), Vec::new());
    for clients in part.indices.chunks(CLIENTS_PER_ENDPOINT) {
        let endpoint = open(server, fingerprint)?;
        for &index in clients {
            let start = part.start(began, index);
            let (shared, endpoint) = (Rc::clone(shared), endpoint.clone());
            tasks.spawn_local(async move {
                sleep_until(&shared, start).await;
                if !shared.part.is_over() {
                    play(&shared, index, &endpoint, server).await;
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

/// A socket with a client's TLS behind it.
fn open(server: SocketAddr, fingerprint: Fingerprint) -> io::Result<Endpoint> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = std::net::UdpSocket::bind(any)?;
    // Less than asked for is no error: what the kernel then drops is sent again and counted.
    let _ = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned::new(fingerprint, provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![QUIC_ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
    let mut client = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = TransportConfig::default();
    transport.initial_mtu(MTU_MIN).min_mtu(MTU_MIN).initial_rtt(INITIAL_RTT);
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    client.transport_config(Arc::new(transport));
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(ID_BYTES)));
    let mut endpoint = Endpoint::new(config, None, socket, Arc::new(TokioRuntime))?;
    endpoint.set_default_client_config(client);
    Ok(endpoint)
}

async fn sleep_until(shared: &Shared, then: Instant) {
    tokio::time::sleep(then.since(shared.part.clock.now()).into()).await;
}

/// One client from its first packet to its last.
async fn play(shared: &Shared, index: u64, endpoint: &Endpoint, server: SocketAddr) {
    let Part { plan, clock, live, .. } = &shared.part;
    let client = Client::carried(clock.now(), &shared.part.client_config());
    let mut member = Member::new(clock.now(), index, plan, client);
    let shown = plan.tokens[index as usize].shown();
    let connected = tokio::select! {
        connected = connect(endpoint, server, &shown) => connected,
        () = over(shared) => return member.finish(&mut shared.figures.borrow_mut()),
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            end(&mut member.client, &error);
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
                    Err(error) => end(&mut member.client, &error),
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
    connection.close(VarInt::from_u32(CloseReason::Left.code()), CloseReason::Left.text().as_bytes());
}

/// Waits until the run is over.
async fn over(shared: &Shared) {
    while !shared.part.is_over() {
        tokio::time::sleep(GOODBYE.into()).await;
    }
}

/// Connects, shows the token and waits to be let in.
async fn connect(
    endpoint: &Endpoint,
    server: SocketAddr,
    shown: &[u8; SHOWN_BYTES],
) -> Result<Connection, ConnectionError> {
    let connecting = endpoint.connect(server, "localhost").map_err(|_| ConnectionError::LocallyClosed)?;
    let connection = connecting.await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    // A server that has heard enough closes the connection, and says why, before all is written.
    let _ = send.write_all(shown).await;
    let _ = send.finish();
    let mut admitted = [0; ADMITTED_BYTES];
    match receive.read_exact(&mut admitted).await {
        Ok(()) => Ok(connection),
        Err(_) => Err(connection.closed().await),
    }
}

fn transmit(shared: &Shared, member: &mut Member, connection: &Connection) {
    let mut buffer = [0; PACKET_BYTES_MAX];
    while let Some(bytes) = member.client.poll_packet(shared.part.clock.now(), &mut buffer) {
        let sent = connection.send_datagram(Bytes::copy_from_slice(&buffer[..bytes]));
        shared.figures.borrow_mut().send_errors += u64::from(sent.is_err());
    }
}

/// Tells the client why its carrier ended.
fn end(client: &mut Client, error: &ConnectionError) {
    let reason = match error {
        ConnectionError::ApplicationClosed(close) => CloseReason::from_code(close.error_code.into_inner()),
        _ => None,
    };
    match reason {
        Some(reason) => client.carrier_closed(reason),
        None => client.carrier_lost(),
    }
}
