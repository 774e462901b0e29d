//! Clients and servers that are not ours, over real sockets on loopback: whoever speaks NETCODE 1.02
//! connects, and payloads go both ways.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of real sockets has a clock")]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration as StdDuration, SystemTime};

use ninefold_protocol::connection::{
    Client, ClientReceived, ClientState, ConnectToken, DATAGRAM_BYTES_MAX, DisconnectReason, Event, Received,
    Server, ServerConfig, TokenParams,
};
use ninefold_protocol::time::{Duration, Instant};

const PROTOCOL_ID: u64 = 0x1122_3344_5566_7788;
const PRIVATE_KEY: [u8; 32] = [7; 32];
const CLIENT_ID: u64 = 99;
/// A step of both sides; none of the tests takes more than so many.
const STEP: StdDuration = StdDuration::from_millis(5);
const STEPS_MAX: u32 = 1_000;

fn unix() -> StdDuration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// A clock whose origin is the start of the test.
struct Clock {
    started: std::time::Instant,
    unix_s: u64,
}

impl Clock {
    fn start() -> Clock {
        Clock { started: std::time::Instant::now(), unix_s: unix().as_secs() }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + Duration::from(self.started.elapsed())
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Different keys for each token, as a matchmaker would draw them.
fn mint(server: SocketAddr, serial: u8) -> ConnectToken {
    let now = unix().as_secs();
    let params = TokenParams {
        protocol_id: PROTOCOL_ID,
        client_id: CLIENT_ID,
        create_unix_s: now,
        expire_unix_s: now + 60,
        timeout_s: 5,
        server_addresses: vec![server],
        user_data: [3; 256],
    };
    ConnectToken::mint(&params, &PRIVATE_KEY, [serial; 24], [serial; 32], [!serial; 32]).unwrap()
}

/// Our server on a socket; it answers each payload with the payload turned round.
struct OurServer {
    server: Server,
    socket: UdpSocket,
    clock: Clock,
    heard: Vec<Vec<u8>>,
    events: Vec<Event>,
}

impl OurServer {
    fn start() -> OurServer {
        let (socket, clock) = (socket(), Clock::start());
        let config = ServerConfig {
            protocol_id: PROTOCOL_ID,
            private_key: PRIVATE_KEY,
            public_addresses: vec![socket.local_addr().unwrap()],
            clients_max: 4,
            unix_s_at_origin: clock.unix_s,
            challenge_key: [1; 32],
            hash_seed: [2; 32],
        };
        let server = Server::new(config, clock.now());
        OurServer { server, socket, clock, heard: Vec::new(), events: Vec::new() }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn step(&mut self) {
        let mut buffer = [0; 2_048];
        while let Ok((bytes, from)) = self.socket.recv_from(&mut buffer) {
            let now = self.clock.now();
            if let Received::Payload { slot, bytes } = self.server.handle(now, from, &mut buffer[..bytes]) {
                let (payload, mut turned) = (bytes.to_vec(), bytes.to_vec());
                turned.reverse();
                self.heard.push(payload);
                let mut out = [0; DATAGRAM_BYTES_MAX];
                let (to, bytes) = self.server.seal(now, slot, &[&turned], &mut out).unwrap();
                self.socket.send_to(&out[..bytes], to).unwrap();
            }
        }
        self.server.handle_timeout(self.clock.now());
        self.flush();
        self.events.extend(std::iter::from_fn(|| self.server.poll_event()));
    }

    fn flush(&mut self) {
        let mut out = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = self.server.poll_transmit(self.clock.now(), &mut out) {
            self.socket.send_to(&out[..transmit.bytes], transmit.to).unwrap();
        }
    }

    fn ended(&self) -> Option<DisconnectReason> {
        self.events.iter().find_map(|e| match e {
            Event::Disconnected { reason, .. } => Some(*reason),
            Event::Connected { .. } => None,
        })
    }
}

/// Our client on a socket.
struct OurClient {
    client: Client,
    socket: UdpSocket,
    clock: Clock,
    heard: Vec<Vec<u8>>,
}

impl OurClient {
    fn start(server: SocketAddr) -> OurClient {
        let clock = Clock::start();
        let client = Client::new(clock.now(), clock.unix_s, &mint(server, 1)).unwrap();
        OurClient { client, socket: socket(), clock, heard: Vec::new() }
    }

    fn step(&mut self) {
        let mut buffer = [0; 2_048];
        while let Ok((bytes, from)) = self.socket.recv_from(&mut buffer) {
            let received = self.client.handle(self.clock.now(), from, &mut buffer[..bytes]);
            if let ClientReceived::Payload(payload) = received {
                self.heard.push(payload.to_vec());
            }
        }
        self.client.handle_timeout(self.clock.now());
        while let Some(transmit) = self.client.poll_transmit(self.clock.now(), &mut buffer) {
            self.socket.send_to(&buffer[..transmit.bytes], transmit.to).unwrap();
        }
    }

    fn say(&mut self, payload: &[u8]) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        if let Ok((to, bytes)) = self.client.seal(self.clock.now(), &[payload], &mut buffer) {
            self.socket.send_to(&buffer[..bytes], to).unwrap();
        }
    }
}

fn until(what: &str, mut step: impl FnMut() -> bool) {
    for _ in 0..STEPS_MAX {
        if step() {
            return;
        }
        std::thread::sleep(STEP);
    }
    panic!("did not come true: {what}");
}

/// A payload that says its number, as long as a payload may be.
fn payload(n: u32) -> Vec<u8> {
    let mut payload = vec![n as u8; 1_200];
    payload[..4].copy_from_slice(&n.to_le_bytes());
    payload
}

/// A `renetcode` client with the socket that it leaves to its user.
struct Renet {
    client: renetcode::NetcodeClient,
    socket: UdpSocket,
    heard: Vec<Vec<u8>>,
}

impl Renet {
    fn start(server: SocketAddr) -> Renet {
        // It keeps the client's id in front of the standard's bytes.
        let token = [&CLIENT_ID.to_le_bytes()[..], &mint(server, 2).to_bytes()].concat();
        let connect_token = renetcode::ConnectToken::read(&mut &token[..]).unwrap();
        let authentication = renetcode::ClientAuthentication::Secure { connect_token };
        let client = renetcode::NetcodeClient::new(unix(), authentication).unwrap();
        Renet { client, socket: socket(), heard: Vec::new() }
    }

    fn step(&mut self) {
        let mut buffer = [0; 2_048];
        while let Ok((bytes, _)) = self.socket.recv_from(&mut buffer) {
            if let Some(payload) = self.client.process_packet(&mut buffer[..bytes]) {
                self.heard.push(payload.to_vec());
            }
        }
        if let Some((packet, to)) = self.client.update(STEP) {
            self.socket.send_to(packet, to).unwrap();
        }
    }

    fn say(&mut self, payload: &[u8]) {
        if let Ok((to, packet)) = self.client.generate_payload_packet(payload) {
            self.socket.send_to(packet, to).unwrap();
        }
    }
}

#[test]
fn a_renetcode_client_talks_to_our_server_and_leaves() {
    let mut server = OurServer::start();
    let mut client = Renet::start(server.address());
    let mut said = 0;
    until("payloads both ways", || {
        server.step();
        client.step();
        if client.client.is_connected() {
            said += 1;
            client.say(&payload(said));
        }
        client.heard.len() > 50
    });
    assert_eq!(server.heard[0].len(), 1_200);
    assert_eq!(client.heard[0].iter().rev().copied().collect::<Vec<u8>>(), server.heard[0]);
    let (to, packet) = client.client.disconnect().unwrap();
    client.socket.send_to(packet, to).unwrap();
    until("the server hears of it", || {
        server.step();
        server.ended() == Some(DisconnectReason::ByPeer)
    });
}

#[test]
fn our_server_says_goodbye_to_a_renetcode_client() {
    let mut server = OurServer::start();
    let mut client = Renet::start(server.address());
    until("connected", || {
        server.step();
        client.step();
        client.client.is_connected()
    });
    server.server.disconnect_all();
    server.flush();
    until("the client hears of it", || {
        client.step();
        client.client.is_disconnected()
    });
}

#[test]
fn a_netcode_rs_client_talks_to_our_server() {
    let mut server = OurServer::start();
    let token = mint(server.address(), 3).to_bytes();
    let mut client = netcode::Client::new(&token).unwrap();
    client.connect();
    let started = std::time::Instant::now();
    let (mut heard, mut said) = (Vec::new(), 0);
    until("payloads both ways", || {
        server.step();
        client.update(started.elapsed().as_secs_f64());
        heard.extend(std::iter::from_fn(|| client.recv()));
        if client.is_connected() {
            said += 1;
            client.send(&payload(said)[..1_100]).unwrap();
        }
        heard.len() > 50
    });
    assert_eq!(heard[0].iter().rev().copied().collect::<Vec<u8>>(), server.heard[0]);
    client.disconnect().unwrap();
    until("the server hears of it", || {
        server.step();
        server.ended() == Some(DisconnectReason::ByPeer)
    });
}

#[test]
fn our_client_talks_to_a_renetcode_server() {
    let socket = socket();
    let address = socket.local_addr().unwrap();
    let mut server = renetcode::NetcodeServer::new(renetcode::ServerConfig {
        current_time: unix(),
        max_clients: 4,
        protocol_id: PROTOCOL_ID,
        public_addresses: vec![address],
        authentication: renetcode::ServerAuthentication::Secure { private_key: PRIVATE_KEY },
    });
    let mut client = OurClient::start(address);
    let (mut heard, mut said) = (Vec::new(), 0);
    let mut step = |client: &mut OurClient, heard: &mut Vec<Vec<u8>>| {
        let mut buffer = [0; 2_048];
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
            match server.process_packet(from, &mut buffer[..bytes]) {
                renetcode::ServerResult::PacketToSend { addr, payload }
                | renetcode::ServerResult::ClientConnected { addr, payload, .. } => {
                    socket.send_to(payload, addr).unwrap();
                }
                renetcode::ServerResult::Payload { payload, .. } => heard.push(payload.to_vec()),
                _ => {}
            }
        }
        server.update(STEP);
        if let renetcode::ServerResult::PacketToSend { addr, payload } = server.update_client(CLIENT_ID) {
            socket.send_to(payload, addr).unwrap();
        }
        for payload in heard.iter().skip(heard.len().saturating_sub(1)) {
            let (to, packet) = server.generate_payload_packet(CLIENT_ID, payload).unwrap();
            socket.send_to(packet, to).unwrap();
        }
        client.step();
    };
    until("payloads both ways", || {
        step(&mut client, &mut heard);
        if client.client.state() == ClientState::Connected {
            said += 1;
            client.say(&payload(said));
        }
        client.heard.len() > 50
    });
    assert!(heard.contains(&client.heard[0]));
}

#[test]
fn our_client_talks_to_a_netcode_rs_server() {
    let mut server = netcode::Server::new("127.0.0.1:0", PROTOCOL_ID, PRIVATE_KEY).unwrap();
    let mut client = OurClient::start(server.addr());
    let started = std::time::Instant::now();
    let (mut heard, mut said) = (Vec::new(), 0);
    until("payloads both ways", || {
        server.update(started.elapsed().as_secs_f64());
        while let Some((payload, from)) = server.recv() {
            server.send(&payload, from).unwrap();
            heard.push(payload);
        }
        client.step();
        if client.client.state() == ClientState::Connected {
            said += 1;
            client.say(&payload(said)[..1_100]);
        }
        client.heard.len() > 50
    });
    assert_eq!(client.heard[0], heard[0]);
    client.client.disconnect();
    client.step();
    until("the server hears of it", || {
        server.update(started.elapsed().as_secs_f64());
        server.num_connected_clients() == 0
    });
}
