//! Our two ends against other implementations of NETCODE 1.02, over sockets on the loopback interface.
//!
//! Each pair connects with a token that one side minted, exchanges payloads of the shortest and the
//! longest length that both take, and is parted by each side in turn. A test gives up after five
//! seconds; nothing leaves 127.0.0.1.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "real peers need clocks and sockets")]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration as StdDuration, Instant as StdInstant, SystemTime, UNIX_EPOCH};

use ninefold_protocol::connection::{
    Client, ClientReceived, ClientState, ConnectToken, DATAGRAM_BYTES_MAX, DisconnectReason, Event,
    Extensions, HandshakeLimits, PACKET_OVERHEAD, PAYLOAD_LEN_MAX, Received, Server, ServerConfig,
    TokenParams,
};
use ninefold_protocol::time::Instant;

const PROTOCOL_ID: u64 = 0x1122_3344_5566_7788;
const PRIVATE_KEY: [u8; 32] = *b"a key that only this test knows!";
const CLIENT_ID: u64 = 0xfeed_beef;
const USER_DATA: [u8; 256] = [0xc3; 256];
const TIMEOUT_S: i32 = 5;
const LIFETIME_S: u64 = 30;
/// `netcode-rs` takes datagrams of up to 1,200 bytes, header and tag included.
const NETCODE_RS_PAYLOAD_MAX: usize = netcode::MAX_PACKET_SIZE - PACKET_OVERHEAD;
const PATIENCE: StdDuration = StdDuration::from_secs(5);
const STEP: StdDuration = StdDuration::from_millis(2);

fn unix() -> StdDuration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970")
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("the loopback interface has free ports");
    socket.set_nonblocking(true).expect("a socket can be made non-blocking");
    socket
}

/// Everything that has come to `socket`.
fn received(socket: &UdpSocket) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut buffer = [0; 2_048];
    let datagrams =
        std::iter::from_fn(|| socket.recv_from(&mut buffer).ok().map(|(n, a)| (a, buffer[..n].to_vec())));
    datagrams.collect()
}

fn until(what: &str, mut is_done: impl FnMut() -> bool) {
    let start = StdInstant::now();
    while !is_done() {
        assert!(start.elapsed() < PATIENCE, "gave up: {what}");
        std::thread::sleep(STEP);
    }
}

fn mint(server: SocketAddr) -> ConnectToken {
    let create_unix_s = unix().as_secs();
    let params = TokenParams {
        protocol_id: PROTOCOL_ID,
        client_id: CLIENT_ID,
        create_unix_s,
        expire_unix_s: create_unix_s + LIFETIME_S,
        timeout_s: TIMEOUT_S,
        server_addresses: vec![server],
        user_data: USER_DATA,
    };
    ConnectToken::mint(&params, &PRIVATE_KEY, [1; 24], [2; 32], [3; 32]).expect("the parameters are sound")
}

/// A token that allows our own clients everything; who does not know of that takes it for any other.
fn mint_extended(server: SocketAddr) -> ConnectToken {
    let create_unix_s = unix().as_secs();
    let params = TokenParams {
        protocol_id: PROTOCOL_ID,
        client_id: CLIENT_ID,
        create_unix_s,
        expire_unix_s: create_unix_s + LIFETIME_S,
        timeout_s: TIMEOUT_S,
        server_addresses: vec![server],
        user_data: [0; 256],
    };
    ConnectToken::mint_extended(&params, Extensions::ALL, &PRIVATE_KEY, [1; 24], [2; 32], [3; 32])
        .expect("the parameters are sound")
}

/// The token in the other crate's shape, read from our bytes at the standard's offsets.
fn for_renetcode(token: &ConnectToken) -> renetcode::ConnectToken {
    let bytes = token.to_bytes();
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let mut server_addresses = [None; 32];
    server_addresses[0] = Some(token.server_addresses[0]);
    renetcode::ConnectToken {
        client_id: CLIENT_ID,
        version_info: bytes[..13].try_into().expect("13 bytes"),
        protocol_id: u64_at(13),
        create_timestamp: u64_at(21),
        expire_timestamp: u64_at(29),
        xnonce: bytes[37..61].try_into().expect("24 bytes"),
        private_data: bytes[61..1_085].try_into().expect("1,024 bytes"),
        timeout_seconds: i32::from_le_bytes(bytes[1_085..1_089].try_into().expect("four bytes")),
        server_addresses, // a count and one IPv4 address: 11 bytes
        client_to_server_key: bytes[1_100..1_132].try_into().expect("32 bytes"),
        server_to_client_key: bytes[1_132..1_164].try_into().expect("32 bytes"),
    }
}

/// One of the two ends of a pair, ours or another's.
trait End {
    /// Sends and receives what there is.
    fn step(&mut self);
    fn is_connected(&self) -> bool;
    fn say(&mut self, payload: &[u8]);
    /// Payloads that have come, oldest first.
    fn heard(&mut self) -> &mut Vec<Vec<u8>>;
    fn leave(&mut self);
}

struct OurServer {
    socket: UdpSocket,
    server: Server,
    start: StdInstant,
    events: Vec<Event>,
    heard: Vec<Vec<u8>>,
}

impl OurServer {
    fn new() -> Self {
        let socket = socket();
        let config = ServerConfig {
            protocol_id: PROTOCOL_ID,
            private_key: PRIVATE_KEY,
            public_addresses: vec![socket.local_addr().expect("it is bound")],
            clients_max: 4,
            unix_s_at_origin: unix().as_secs(),
            challenge_key: [4; 32],
            hash_seed: [5; 32],
            limits: HandshakeLimits::default(),
        };
        let server = Server::new(config, Instant::ZERO);
        OurServer { socket, server, start: StdInstant::now(), events: Vec::new(), heard: Vec::new() }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    fn now(&self) -> Instant {
        Instant::from_us(self.start.elapsed().as_micros() as u64)
    }

    fn flush(&mut self) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = self.server.poll_transmit(self.now(), &mut buffer) {
            self.socket.send_to(&buffer[..transmit.bytes], transmit.to).expect("the loopback takes it");
        }
        self.events.extend(std::iter::from_fn(|| self.server.poll_event()));
    }
}

impl End for OurServer {
    fn step(&mut self) {
        for (from, mut datagram) in received(&self.socket) {
            if let Received::Payload { bytes, .. } = self.server.handle(self.now(), from, &mut datagram) {
                self.heard.push(bytes.to_vec());
            }
        }
        self.server.handle_timeout(self.now());
        self.flush();
    }

    fn is_connected(&self) -> bool {
        self.server.connected() == 1
    }

    fn say(&mut self, payload: &[u8]) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let (to, bytes) =
            self.server.seal(self.now(), 0, &[payload], &mut buffer).expect("slot 0 is connected");
        self.socket.send_to(&buffer[..bytes], to).expect("the loopback takes it");
    }

    fn heard(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.heard
    }

    fn leave(&mut self) {
        assert!(self.server.disconnect(0));
        self.flush();
    }
}

struct OurClient {
    socket: UdpSocket,
    client: Client,
    start: StdInstant,
    heard: Vec<Vec<u8>>,
}

impl OurClient {
    fn new(token: &ConnectToken) -> Self {
        let client = Client::new(Instant::ZERO, unix().as_secs(), token).expect("the token lists a server");
        OurClient { socket: socket(), client, start: StdInstant::now(), heard: Vec::new() }
    }

    fn now(&self) -> Instant {
        Instant::from_us(self.start.elapsed().as_micros() as u64)
    }

    fn flush(&mut self) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = self.client.poll_transmit(self.now(), &mut buffer) {
            self.socket.send_to(&buffer[..transmit.bytes], transmit.to).expect("the loopback takes it");
        }
    }
}

impl End for OurClient {
    fn step(&mut self) {
        for (from, mut datagram) in received(&self.socket) {
            if let ClientReceived::Payload(bytes) = self.client.handle(self.now(), from, &mut datagram) {
                self.heard.push(bytes.to_vec());
            }
        }
        self.client.handle_timeout(self.now());
        self.flush();
    }

    fn is_connected(&self) -> bool {
        self.client.state() == ClientState::Connected
    }

    fn say(&mut self, payload: &[u8]) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let (to, bytes) = self.client.seal(self.now(), &[payload], &mut buffer).expect("it is connected");
        self.socket.send_to(&buffer[..bytes], to).expect("the loopback takes it");
    }

    fn heard(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.heard
    }

    fn leave(&mut self) {
        self.client.disconnect();
        self.flush();
    }
}

struct RenetcodeClient {
    socket: UdpSocket,
    client: renetcode::NetcodeClient,
    stepped: StdInstant,
    heard: Vec<Vec<u8>>,
}

impl RenetcodeClient {
    fn new(connect_token: renetcode::ConnectToken) -> Self {
        let secure = renetcode::ClientAuthentication::Secure { connect_token };
        let client = renetcode::NetcodeClient::new(unix(), secure).expect("the token is sound");
        RenetcodeClient { socket: socket(), client, stepped: StdInstant::now(), heard: Vec::new() }
    }
}

impl End for RenetcodeClient {
    fn step(&mut self) {
        for (_, mut datagram) in received(&self.socket) {
            self.heard.extend(self.client.process_packet(&mut datagram).map(<[u8]>::to_vec));
        }
        let passed = self.stepped.elapsed();
        self.stepped += passed;
        if let Some((datagram, to)) = self.client.update(passed) {
            self.socket.send_to(datagram, to).expect("the loopback takes it");
        }
    }

    fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    fn say(&mut self, payload: &[u8]) {
        let (to, datagram) = self.client.generate_payload_packet(payload).expect("it is connected");
        self.socket.send_to(datagram, to).expect("the loopback takes it");
    }

    fn heard(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.heard
    }

    fn leave(&mut self) {
        let (to, datagram) = self.client.disconnect().expect("it is connected");
        self.socket.send_to(datagram, to).expect("the loopback takes it");
    }
}

struct RenetcodeServer {
    socket: UdpSocket,
    server: renetcode::NetcodeServer,
    stepped: StdInstant,
    heard: Vec<Vec<u8>>,
}

impl RenetcodeServer {
    fn new() -> Self {
        let socket = socket();
        let server = renetcode::NetcodeServer::new(renetcode::ServerConfig {
            current_time: unix(),
            max_clients: 4,
            protocol_id: PROTOCOL_ID,
            public_addresses: vec![socket.local_addr().expect("it is bound")],
            authentication: renetcode::ServerAuthentication::Secure { private_key: PRIVATE_KEY },
        });
        RenetcodeServer { socket, server, stepped: StdInstant::now(), heard: Vec::new() }
    }

    fn follow(socket: &UdpSocket, heard: &mut Vec<Vec<u8>>, result: renetcode::ServerResult<'_, '_>) {
        use renetcode::ServerResult::{ClientConnected, ClientDisconnected, None, PacketToSend, Payload};
        let (to, datagram) = match result {
            PacketToSend { addr, payload } | ClientConnected { addr, payload, .. } => (addr, payload),
            ClientDisconnected { addr, payload: Some(payload), .. } => (addr, payload),
            Payload { payload, .. } => return heard.push(payload.to_vec()),
            ClientDisconnected { .. } | None => return,
        };
        socket.send_to(datagram, to).expect("the loopback takes it");
    }
}

impl End for RenetcodeServer {
    fn step(&mut self) {
        let RenetcodeServer { socket, server, stepped, heard } = self;
        for (from, mut datagram) in received(socket) {
            Self::follow(socket, heard, server.process_packet(from, &mut datagram));
        }
        let passed = stepped.elapsed();
        *stepped += passed;
        server.update(passed);
        Self::follow(socket, heard, server.update_client(CLIENT_ID));
    }

    fn is_connected(&self) -> bool {
        self.server.is_client_connected(CLIENT_ID)
    }

    fn say(&mut self, payload: &[u8]) {
        let (to, datagram) =
            self.server.generate_payload_packet(CLIENT_ID, payload).expect("it is connected");
        self.socket.send_to(datagram, to).expect("the loopback takes it");
    }

    fn heard(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.heard
    }

    fn leave(&mut self) {
        Self::follow(&self.socket, &mut self.heard, self.server.disconnect(CLIENT_ID));
    }
}

fn netcode_rs_socket() -> netcode::NetcodeSocket {
    netcode::NetcodeSocket::new("127.0.0.1:0", 256 * 1_024, 256 * 1_024).expect("the loopback has free ports")
}

struct NetcodeRsClient {
    client: netcode::Client<netcode::NetcodeSocket>,
    start: StdInstant,
    heard: Vec<Vec<u8>>,
}

impl NetcodeRsClient {
    fn new(token: &[u8; 2_048]) -> Self {
        let config = netcode::ClientConfig::default();
        let client = netcode::Client::with_config_and_transceiver(token, config, netcode_rs_socket());
        let mut client = client.expect("the token is sound");
        client.connect();
        NetcodeRsClient { client, start: StdInstant::now(), heard: Vec::new() }
    }
}

impl End for NetcodeRsClient {
    fn step(&mut self) {
        self.client.try_update(self.start.elapsed().as_secs_f64()).expect("the loopback takes it");
        self.heard.extend(std::iter::from_fn(|| self.client.recv()));
    }

    fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    fn say(&mut self, payload: &[u8]) {
        self.client.send(payload).expect("the loopback takes it");
    }

    fn heard(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.heard
    }

    fn leave(&mut self) {
        self.client.disconnect().expect("the loopback takes it");
    }
}

struct NetcodeRsServer {
    server: netcode::Server<netcode::NetcodeSocket>,
    start: StdInstant,
    index: Option<netcode::ClientIndex>,
    heard: Vec<Vec<u8>>,
}

impl NetcodeRsServer {
    fn new() -> Self {
        let config = netcode::ServerConfig::default();
        let server = netcode::Server::with_config_and_transceiver(
            PROTOCOL_ID,
            PRIVATE_KEY,
            config,
            netcode_rs_socket(),
        );
        let server = server.expect("the configuration is sound");
        NetcodeRsServer { server, start: StdInstant::now(), index: None, heard: Vec::new() }
    }
}

impl End for NetcodeRsServer {
    fn step(&mut self) {
        self.server.try_update(self.start.elapsed().as_secs_f64()).expect("the loopback takes it");
        while let Some((payload, index)) = self.server.recv() {
            self.index = Some(index);
            self.heard.push(payload);
        }
    }

    fn is_connected(&self) -> bool {
        self.server.num_connected_clients() == 1
    }

    fn say(&mut self, payload: &[u8]) {
        let index = self.index.expect("the client has spoken first");
        self.server.send(payload, index).expect("the loopback takes it");
    }

    fn heard(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.heard
    }

    fn leave(&mut self) {
        let index = self.index.expect("the client has spoken first");
        self.server.disconnect(index).expect("the loopback takes it");
    }
}

fn connect(server: &mut dyn End, client: &mut dyn End) {
    until("both sides are connected", || {
        client.step();
        server.step();
        client.is_connected() && server.is_connected()
    });
}

/// Payloads of one byte and of `longest`, first up and then down.
fn talk(server: &mut dyn End, client: &mut dyn End, longest: usize) {
    let mut payloads = vec![vec![7]];
    payloads.push((0..longest).map(|i| i as u8).collect());
    for payload in &payloads {
        client.say(payload);
    }
    until("the server hears the client", || {
        client.step();
        server.step();
        server.heard().len() >= payloads.len()
    });
    for payload in &payloads {
        server.say(payload);
    }
    until("the client hears the server", || {
        server.step();
        client.step();
        client.heard().len() >= payloads.len()
    });
    assert_eq!(
        (std::mem::take(server.heard()), std::mem::take(client.heard())),
        (payloads.clone(), payloads)
    );
}

fn part(what: &str, leaving: &mut dyn End, staying: &mut dyn End) {
    leaving.leave();
    until(what, || {
        staying.step();
        !staying.is_connected()
    });
}

fn ended_by_peer(server: &OurServer) -> bool {
    let reason = DisconnectReason::ByPeer;
    server.events.last() == Some(&Event::Disconnected { slot: 0, client_id: CLIENT_ID, reason })
}

fn greeted(server: &OurServer) -> bool {
    let user_data = Box::new(USER_DATA);
    server.events.first() == Some(&Event::Connected { slot: 0, client_id: CLIENT_ID, user_data })
}

#[test]
fn a_renetcode_client_with_its_own_token_plays_on_our_server_and_leaves() {
    let mut server = OurServer::new();
    let addresses = vec![server.address()];
    let token = renetcode::ConnectToken::generate(
        unix(),
        PROTOCOL_ID,
        LIFETIME_S,
        CLIENT_ID,
        TIMEOUT_S,
        addresses,
        Some(&USER_DATA),
        &PRIVATE_KEY,
    );
    let mut client = RenetcodeClient::new(token.expect("the parameters are sound"));
    connect(&mut server, &mut client);
    assert!(greeted(&server));
    talk(&mut server, &mut client, PAYLOAD_LEN_MAX);
    part("our server notices", &mut client, &mut server);
    assert!(ended_by_peer(&server));
    assert_eq!(server.server.counters().refused(), 0);
}

#[test]
fn our_server_parts_from_a_renetcode_client_with_our_token() {
    let mut server = OurServer::new();
    let mut client = RenetcodeClient::new(for_renetcode(&mint(server.address())));
    connect(&mut server, &mut client);
    talk(&mut server, &mut client, PAYLOAD_LEN_MAX);
    part("the client notices", &mut server, &mut client);
    assert_eq!(client.client.disconnect_reason(), Some(renetcode::DisconnectReason::DisconnectedByServer));
}

#[test]
fn a_netcode_rs_client_with_its_own_token_plays_on_our_server_and_leaves() {
    let mut server = OurServer::new();
    let token = netcode::ConnectToken::build(server.address(), PROTOCOL_ID, CLIENT_ID, PRIVATE_KEY);
    let token = token.timeout_seconds(TIMEOUT_S).user_data(USER_DATA).generate().expect("it is sound");
    let mut client = NetcodeRsClient::new(&token.try_into_bytes().expect("it fits"));
    connect(&mut server, &mut client);
    assert!(greeted(&server));
    talk(&mut server, &mut client, NETCODE_RS_PAYLOAD_MAX);
    part("our server notices", &mut client, &mut server);
    assert!(ended_by_peer(&server));
}

#[test]
fn our_server_parts_from_a_netcode_rs_client_with_our_token() {
    let mut server = OurServer::new();
    let mut client = NetcodeRsClient::new(&mint(server.address()).to_bytes());
    connect(&mut server, &mut client);
    talk(&mut server, &mut client, NETCODE_RS_PAYLOAD_MAX);
    part("the client notices", &mut server, &mut client);
    assert_eq!(client.client.state(), netcode::ClientState::Disconnected);
}

#[test]
fn a_renetcode_client_plays_with_a_token_that_allows_more_than_it_knows() {
    let mut server = OurServer::new();
    let mut client = RenetcodeClient::new(for_renetcode(&mint_extended(server.address())));
    connect(&mut server, &mut client);
    talk(&mut server, &mut client, PAYLOAD_LEN_MAX);
    part("the client notices", &mut server, &mut client);
    assert_eq!(server.server.counters().refused(), 0);
}

#[test]
fn a_netcode_rs_client_plays_with_a_token_that_allows_more_than_it_knows() {
    let mut server = OurServer::new();
    let mut client = NetcodeRsClient::new(&mint_extended(server.address()).to_bytes());
    connect(&mut server, &mut client);
    talk(&mut server, &mut client, NETCODE_RS_PAYLOAD_MAX);
    part("our server notices", &mut client, &mut server);
    assert!(ended_by_peer(&server));
}

#[test]
fn our_client_plays_on_a_renetcode_server_and_leaves() {
    let mut server = RenetcodeServer::new();
    let address = server.socket.local_addr().expect("it is bound");
    let mut client = OurClient::new(&mint(address));
    connect(&mut server, &mut client);
    assert_eq!(server.server.user_data(CLIENT_ID), Some(USER_DATA));
    assert_eq!(client.client.slot(), Some((0, 4)));
    talk(&mut server, &mut client, PAYLOAD_LEN_MAX);
    part("the server notices", &mut client, &mut server);
}

#[test]
fn a_renetcode_server_parts_from_our_client() {
    let mut server = RenetcodeServer::new();
    let address = server.socket.local_addr().expect("it is bound");
    let mut client = OurClient::new(&mint(address));
    connect(&mut server, &mut client);
    talk(&mut server, &mut client, PAYLOAD_LEN_MAX);
    part("our client notices", &mut server, &mut client);
    assert_eq!(client.client.state(), ClientState::Disconnected);
}

#[test]
fn our_client_plays_on_a_netcode_rs_server_and_leaves() {
    let mut server = NetcodeRsServer::new();
    let token = server.server.token(CLIENT_ID).timeout_seconds(TIMEOUT_S).generate().expect("it is sound");
    let token = ConnectToken::from_bytes(&token.try_into_bytes().expect("it fits"));
    let mut client = OurClient::new(&token.expect("their tokens are ours"));
    connect(&mut server, &mut client);
    talk(&mut server, &mut client, NETCODE_RS_PAYLOAD_MAX);
    part("the server notices", &mut client, &mut server);
}

#[test]
fn a_netcode_rs_server_parts_from_our_client() {
    let mut server = NetcodeRsServer::new();
    let mut client = OurClient::new(&mint(server.server.addr()));
    connect(&mut server, &mut client);
    talk(&mut server, &mut client, NETCODE_RS_PAYLOAD_MAX);
    part("our client notices", &mut server, &mut client);
    assert_eq!(client.client.state(), ClientState::Disconnected);
}
