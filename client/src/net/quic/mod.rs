//! QUIC for clients: the endpoint and the way in as the protocol page has them, for programs with a
//! runtime of their own, and the line of a [`Driver`](super::Driver), which brings its own.
//!
//! ```text
//!   game's thread                          ninefold-net, a thread
//!   QuicLine::receive <-- heard (bounded) -- reads datagrams, notes when they came
//!   QuicLine::send ------------------------> quinn's own send buffer (bounded)
//! ```
//!
//! The thread is there so that a frame that takes long costs no acknowledgement and no keep-alive.

mod line;
mod trust;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use ninefold_protocol::connection::{ADMITTED_BYTES, CloseReason, ConnectToken};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    Connection, ConnectionError, Endpoint, EndpointConfig, IdleTimeout, TokioRuntime, TransportConfig,
};
use quinn_proto::RandomConnectionIdGenerator;
use socket2::SockRef;

pub(super) use self::line::{Heard, QuicLine};
pub use self::trust::{Pinned, Trust};
use super::socket::any_port;
use crate::Client;

/// Bytes of a connection id. With two, the link's largest packets fit the smallest MTU from the start.
pub const ID_BYTES: usize = 2;
/// UDP payload that every path carries: what IPv6 promises.
const MTU_MIN: u16 = 1_232;
/// A round trip before one is known.
const INITIAL_RTT: StdDuration = StdDuration::from_millis(150);
/// The way in takes no longer: a server gives each of its two steps 5 s. On a line that was slow a moment ago, QUIC alone would
/// wait far longer for a server that is gone.
const WAY_IN_MAX: StdDuration = StdDuration::from_secs(10);
/// Who has nothing to send says so this often.
const KEEP_ALIVE: StdDuration = StdDuration::from_secs(1);

/// A socket on any port with a client's TLS behind it; it asks the kernel for a receive buffer of
/// `receive_buffer_bytes`. Silence of `timeout` ends a session, see [`transport`]. Call it inside a tokio runtime.
pub fn endpoint(
    server: SocketAddr,
    trust: &Trust,
    receive_buffer_bytes: usize,
    timeout: Option<StdDuration>,
) -> io::Result<Endpoint> {
    let socket = std::net::UdpSocket::bind(any_port(server))?;
    // Less than asked for is no error: what the kernel then drops is sent again and counted.
    let _ = SockRef::from(&socket).set_recv_buffer_size(receive_buffer_bytes);
    let mut client = client_config(trust)?;
    client.transport_config(Arc::new(transport(timeout)));
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(ID_BYTES)));
    let mut endpoint = Endpoint::new(config, None, socket, Arc::new(TokioRuntime))?;
    endpoint.set_default_client_config(client);
    Ok(endpoint)
}

/// A client's TLS and transport, for those who drive quinn by themselves.
pub fn client_config(trust: &Trust) -> io::Result<quinn::ClientConfig> {
    let tls = trust.tls().map_err(io::Error::other)?;
    let crypto = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
    let mut client = quinn::ClientConfig::new(Arc::new(crypto));
    client.transport_config(Arc::new(transport(None)));
    Ok(client)
}

/// A client's transport. Silence of `timeout` ends the session, as the token says ([`ConnectToken::timeout_s`]); quinn's
/// half minute if it says nothing: without it, a client would wait so long for a server that is gone.
pub fn transport(timeout: Option<StdDuration>) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.initial_mtu(MTU_MIN).min_mtu(MTU_MIN).initial_rtt(INITIAL_RTT);
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    if let Some(timeout) = timeout.and_then(|timeout| IdleTimeout::try_from(timeout).ok()) {
        transport.max_idle_timeout(Some(timeout));
    }
    transport
}

/// The silence that ends a session with this token.
pub fn timeout(token: &ConnectToken) -> Option<StdDuration> {
    let seconds = u64::try_from(token.timeout_s).ok().filter(|seconds| *seconds > 0);
    seconds.map(StdDuration::from_secs)
}

/// Connects, shows the token (`ConnectToken::shown`) and waits to be let in.
pub async fn connect(
    endpoint: &Endpoint,
    server: SocketAddr,
    trust: &Trust,
    shown: &[u8],
) -> Result<Connection, ConnectionError> {
    let connecting = endpoint.connect(server, trust.name()).map_err(|_| ConnectionError::LocallyClosed)?;
    let way_in = async {
        let connection = connecting.await?;
        show(&connection, shown).await?;
        Ok(connection)
    };
    tokio::time::timeout(WAY_IN_MAX, way_in).await.unwrap_or(Err(ConnectionError::TimedOut))
}

/// Shows these bytes on a connection and waits for the answer: slot and number of slots, each a
/// little-endian u32.
pub async fn show(connection: &Connection, shown: &[u8]) -> Result<[u8; ADMITTED_BYTES], ConnectionError> {
    let (mut send, mut receive) = connection.open_bi().await?;
    // A server that has heard enough closes the connection, and says why, before all is written.
    let _ = send.write_all(shown).await;
    let _ = send.finish();
    let mut admitted = [0; ADMITTED_BYTES];
    match receive.read_exact(&mut admitted).await {
        Ok(()) => Ok(admitted),
        Err(_) => Err(connection.closed().await),
    }
}

/// Tells the client why its carrier ended.
pub fn tell_end(client: &mut Client, error: &ConnectionError) {
    let reason = match error {
        ConnectionError::ApplicationClosed(close) => CloseReason::from_code(close.error_code.into_inner()),
        _ => None,
    };
    match reason {
        Some(reason) => client.carrier_closed(reason),
        None => client.carrier_lost(),
    }
}

/// Closes a connection because the player leaves.
pub fn leave(connection: &Connection) {
    connection.close(CloseReason::Left.code().into(), CloseReason::Left.text().as_bytes());
}
