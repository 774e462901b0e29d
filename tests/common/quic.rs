//! QUIC clients for the tests: one that plays, and bare connections for those that misbehave.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use ninefold::server::Server;
use ninefold_client::net::quic::{self, Pinned};
use ninefold_client::protocol::connection::{CloseReason, ConnectToken, Fingerprint, QUIC_ALPN};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, TokioRuntime, TransportConfig,
};
use quinn_proto::RandomConnectionIdGenerator;
use tokio::runtime::Runtime;

/// Where the sockets of all QUIC clients are served.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
});

/// How a client connects.
pub struct Setup {
    pub alpn: &'static [u8],
    pub id_bytes: usize,
    pub udp_payload_max: u16,
    pub transport: TransportConfig,
}

impl Default for Setup {
    fn default() -> Self {
        let mut transport = TransportConfig::default();
        transport.initial_mtu(1_232).initial_rtt(std::time::Duration::from_millis(150));
        Setup { alpn: QUIC_ALPN, id_bytes: 2, udp_payload_max: 1_472, transport }
    }
}

/// An endpoint with a socket of its own that trusts this fingerprint.
pub fn endpoint(fingerprint: Fingerprint, setup: Setup) -> Endpoint {
    let _entered = RUNTIME.enter();
    endpoint_here(fingerprint, setup)
}

/// The same on the runtime that this is called on.
pub fn endpoint_here(fingerprint: Fingerprint, setup: Setup) -> Endpoint {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned::new(fingerprint, provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![setup.alpn.to_vec()];
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    config.transport_config(Arc::new(setup.transport));
    let mut endpoint_config = EndpointConfig::default();
    let id_bytes = setup.id_bytes;
    endpoint_config.cid_generator(move || Box::new(RandomConnectionIdGenerator::new(id_bytes)));
    endpoint_config.max_udp_payload_size(setup.udp_payload_max).unwrap();
    let mut endpoint = Endpoint::new(endpoint_config, None, socket(), Arc::new(TokioRuntime)).unwrap();
    endpoint.set_default_client_config(config);
    endpoint
}

/// A socket on loopback.
pub fn socket() -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
    socket
}

/// A bare connection to a server.
pub fn connect(server: &Server, setup: Setup) -> Result<(Endpoint, Connection), ConnectionError> {
    let (address, fingerprint) = server.quic().expect("the server has QUIC");
    let endpoint = endpoint(fingerprint, setup);
    let connection = RUNTIME.block_on(async { endpoint.connect(address, "localhost").unwrap().await })?;
    Ok((endpoint, connection))
}

/// Shows these bytes and gives the slot, or why not.
pub async fn show(connection: &Connection, shown: &[u8]) -> Result<u32, ConnectionError> {
    let admitted = quic::show(connection, shown).await?;
    Ok(u32::from_le_bytes(admitted[..4].try_into().unwrap()))
}

/// Joins with this token on a connection of its own; says why not in the server's own words.
pub fn join(server: &Server, token: &ConnectToken) -> Result<(Endpoint, Connection), CloseReason> {
    join_showing(server, &token.shown())
}

/// Joins by showing these bytes.
pub fn join_showing(server: &Server, shown: &[u8]) -> Result<(Endpoint, Connection), CloseReason> {
    let (endpoint, connection) = connect(server, Setup::default()).expect("the handshake succeeds");
    match RUNTIME.block_on(show(&connection, shown)) {
        Ok(_) => Ok((endpoint, connection)),
        Err(error) => Err(reason(&error)),
    }
}

/// The server's reason for closing a connection. Its words must say the same as its code.
pub fn reason(error: &ConnectionError) -> CloseReason {
    let ConnectionError::ApplicationClosed(close) = error else {
        panic!("not closed by the server: {error}")
    };
    let reason = CloseReason::from_code(close.error_code.into_inner()).expect("a reason of ours");
    assert_eq!(close.reason, reason.text().as_bytes());
    reason
}

/// What a QUIC client hears.
pub enum Heard {
    Up(Connection),
    Packet(Bytes),
    Ended(ConnectionError),
}

/// The carrier of a client that plays.
pub struct QuicLine {
    pub endpoint: Endpoint,
    pub connection: Option<Connection>,
    pub heard: Receiver<Heard>,
}

impl QuicLine {
    pub fn open(server: &Server, token: &ConnectToken) -> QuicLine {
        let (address, fingerprint) = server.quic().expect("the server has QUIC");
        let endpoint = endpoint(fingerprint, Setup::default());
        let (tell, heard) = channel();
        let (client, shown) = (endpoint.clone(), token.shown());
        RUNTIME.spawn(async move {
            let error = live(client, address, &shown, &tell).await;
            let _ = tell.send(Heard::Ended(error));
        });
        QuicLine { endpoint, connection: None, heard }
    }
}

async fn live(endpoint: Endpoint, server: SocketAddr, shown: &[u8], tell: &Sender<Heard>) -> ConnectionError {
    let connection = match endpoint.connect(server, "localhost").unwrap().await {
        Ok(connection) => connection,
        Err(error) => return error,
    };
    if let Err(error) = show(&connection, shown).await {
        return error;
    }
    let _ = tell.send(Heard::Up(connection.clone()));
    loop {
        match connection.read_datagram().await {
            Ok(packet) => drop(tell.send(Heard::Packet(packet))),
            Err(error) => return error,
        }
    }
}
