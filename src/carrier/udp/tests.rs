//! Three threads without threads or sockets: clients come, move, come again and go while the threads take their turns in
//! any order, and at the end everybody who is in is in once, where the tick thinks that it is.

use std::collections::{HashMap, VecDeque};

use ninefold_protocol::connection::{
    Client, ClientReceived, ClientState, ConnectToken, DATAGRAM_BYTES_MAX, Extensions, HandshakeLimits,
    TokenParams,
};
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::time::Instant;
use proptest::prelude::*;

use super::core::Outlet;
use super::office::Office;
use super::*;
use crate::carrier::{self, Arrival, ConnectionId, Departure, Packets, TickEnd};

const THREADS: usize = 3;
const PLAYERS: usize = 6;
const PORTS: u16 = 18;
const KEY: [u8; 32] = [9; 32];
/// A step of time, and the silence that ends a session.
const STEP: Duration = Duration::from_ms(20);
const TIMEOUT_S: i32 = 2;

fn server() -> SocketAddr {
    "127.0.0.1:40000".parse().unwrap()
}

/// What leaves a thread.
#[derive(Default)]
struct Wire {
    sent: Vec<(SocketAddr, Vec<u8>)>,
    room: Vec<u8>,
}

impl Outlet for Wire {
    fn room(&mut self, _: &mut UdpReport, _: usize) -> &mut [u8] {
        self.room.resize(DATAGRAM_BYTES_MAX, 0xa5);
        &mut self.room
    }

    fn sealed(&mut self, to: SocketAddr, bytes: usize, _: &mut UdpReport) {
        self.sent.push((to, self.room[..bytes].to_vec()));
    }

    fn flush(&mut self, _: &mut UdpReport) {}

    fn send(&mut self, to: SocketAddr, datagram: &[u8], _: &mut UdpReport) {
        self.sent.push((to, datagram.to_vec()));
    }
}

struct Player {
    client: Client,
    at: SocketAddr,
    heard: usize,
}

/// What may happen.
#[derive(Debug, Clone)]
enum Happening {
    Join { player: usize, port: u16, is_ours: bool },
    Move { player: usize, port: u16 },
    Leave { player: usize },
    Kick { player: usize },
    Talk,
    Turn { thread: usize },
    Tick,
    Time,
}

fn happening() -> impl Strategy<Value = Happening> {
    let (player, port) = (0..PLAYERS, 0..PORTS);
    prop_oneof![
        3 => (player.clone(), port.clone(), any::<bool>())
            .prop_map(|(player, port, is_ours)| Happening::Join { player, port, is_ours }),
        3 => (player.clone(), port).prop_map(|(player, port)| Happening::Move { player, port }),
        1 => player.clone().prop_map(|player| Happening::Leave { player }),
        1 => player.prop_map(|player| Happening::Kick { player }),
        8 => Just(Happening::Talk),
        12 => (0..THREADS).prop_map(|thread| Happening::Turn { thread }),
        6 => Just(Happening::Tick),
        4 => Just(Happening::Time),
    ]
}

struct World {
    now: Instant,
    first: UdpCore,
    others: Vec<UdpCore<Branch>>,
    /// What waits at each thread's socket.
    sockets: [VecDeque<(SocketAddr, Vec<u8>)>; THREADS],
    tick: TickEnd,
    /// Whom the tick knows, by slot.
    sessions: HashMap<u32, (ConnectionId, u64)>,
    players: HashMap<usize, Player>,
    serial: u64,
    /// Packets that the tick had of each client in its present session.
    heard: HashMap<u64, usize>,
}

impl World {
    fn new(clients_max: u32) -> World {
        let (mut tick, end) = carrier::ends();
        let config = ServerConfig {
            protocol_id: 7,
            private_key: KEY,
            public_addresses: vec![server()],
            clients_max,
            unix_s_at_origin: 1_000,
            challenge_key: [5; 32],
            hash_seed: [6; 32],
            limits: HandshakeLimits::default(),
        };
        let mut front = Front::new(config.clone(), Instant::ZERO);
        let others = (1..THREADS as u8).map(|number| {
            let (to_branch, to_first) = link();
            front.add_branch(to_branch);
            let sessions = Sessions::new(&config, [10 + number; 32], [20 + number; 32]);
            let branch = Branch::new(Shard(number), sessions, to_first);
            UdpCore::of(branch, tick.add_shard(Shard(number)))
        });
        let others = others.collect();
        World {
            now: Instant::ZERO,
            first: UdpCore::of(front, end),
            others,
            sockets: Default::default(),
            tick,
            sessions: HashMap::new(),
            players: HashMap::new(),
            serial: 0,
            heard: HashMap::new(),
        }
    }

    fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::Join { player, port, is_ours } => self.join(player, port, is_ours),
            Happening::Move { player, port } => {
                let to = self.free(port, player);
                if let Some(player) = self.players.get_mut(&player) {
                    player.at = to;
                }
            }
            Happening::Leave { player } => {
                if let Some(player) = self.players.get_mut(&player) {
                    player.client.disconnect();
                }
            }
            Happening::Kick { player } => self.kick(player),
            Happening::Talk => self.talk(),
            Happening::Turn { thread } => self.turn(thread),
            Happening::Tick => self.tick(),
            Happening::Time => self.now += STEP,
        }
    }

    /// An address at which no other player is; which thread it comes to is anybody's guess.
    fn free(&self, port: u16, player: usize) -> SocketAddr {
        let mut ports = (port..PORTS).chain(0..port).map(|p| SocketAddr::from(([127, 0, 0, 1], 6_000 + p)));
        let is_free = |at: &SocketAddr| self.players.iter().all(|(n, p)| *n == player || p.at != *at);
        ports.find(is_free).expect("more ports than players")
    }

    fn join(&mut self, player: usize, port: u16, is_ours: bool) {
        self.serial += 1;
        let params = TokenParams {
            protocol_id: 7,
            client_id: player as u64,
            create_unix_s: 1_000,
            expire_unix_s: 5_000,
            timeout_s: TIMEOUT_S,
            server_addresses: vec![server()],
            user_data: [0; 256],
        };
        let [nonce, up, down] = [1, 2, 3].map(|what| {
            let mut bytes = [what; 32];
            bytes[..8].copy_from_slice(&self.serial.to_le_bytes());
            bytes
        });
        let extensions = if is_ours { Extensions::ALL } else { Extensions::default() };
        let nonce = *nonce.first_chunk().unwrap();
        let token = ConnectToken::mint_extended(&params, extensions, &KEY, nonce, up, down).unwrap();
        let at = self.free(port, player);
        let client = Client::new(self.now, 1_000, &token).unwrap();
        self.players.insert(player, Player { client, at, heard: 0 });
    }

    /// The tick sends a client away.
    fn kick(&mut self, player: usize) {
        let found = self.sessions.iter().find(|(_, (_, id))| *id == player as u64);
        if let Some((&slot, &(connection, _))) = found {
            self.sessions.remove(&slot);
            self.tick.departures.push(Departure::Disconnect(connection), &[]).unwrap();
        }
    }

    /// Everybody says what there is to say, each datagram at the socket that the kernel would choose.
    fn talk(&mut self) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        for Player { client, at, .. } in self.players.values_mut() {
            client.handle_timeout(self.now);
            let socket = &mut self.sockets[usize::from(at.port()) % THREADS];
            while let Some(transmit) = client.poll_transmit(self.now, &mut buffer) {
                socket.push_back((*at, buffer[..transmit.bytes].to_vec()));
            }
            if let Ok((_, bytes)) = client.seal(self.now, &[b"a payload of some length"], &mut buffer) {
                socket.push_back((*at, buffer[..bytes].to_vec()));
            }
        }
    }

    fn turn(&mut self, thread: usize) {
        let (now, came) = (self.now, std::mem::take(&mut self.sockets[thread]));
        let sent = match thread.checked_sub(1) {
            None => turn(&mut self.first, now, came),
            Some(other) => turn(&mut self.others[other], now, came),
        };
        for (to, mut datagram) in sent {
            // What goes to an address that somebody has left is lost.
            if let Some(player) = self.players.values_mut().find(|player| player.at == to) {
                let heard = player.client.handle(now, server(), &mut datagram);
                player.heard += usize::from(matches!(heard, ClientReceived::Payload(_)));
            }
        }
    }

    fn tick(&mut self) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        let mut stock = self.tick.arrivals.take_stock();
        while let Some((arrival, _)) = self.tick.arrivals.pop(&mut stock, &mut buffer) {
            match arrival {
                Arrival::Connected { connection, client_id } => {
                    let before = self.sessions.insert(connection.slot, (connection, client_id));
                    assert_eq!(before, None, "who had the slot goes before the next one comes");
                    let twice = self.sessions.values().filter(|(_, id)| *id == client_id).count();
                    assert_eq!(twice, 1, "a client is in the world once");
                    self.heard.insert(client_id, 0);
                }
                Arrival::Packet { connection, .. } => {
                    if let Some((_, id)) = self.sessions.get(&connection.slot).filter(|s| s.0 == connection) {
                        *self.heard.entry(*id).or_default() += 1;
                    }
                }
                Arrival::Disconnected(connection) => {
                    let slot = connection.slot;
                    if self.sessions.get(&slot).is_some_and(|(of, _)| *of == connection) {
                        self.sessions.remove(&slot);
                    }
                }
                Arrival::Moved(_) | Arrival::Room { .. } | Arrival::Late { .. } => {}
            }
        }
        for (connection, _) in self.sessions.values() {
            let packet = Departure::Packets(Packets::one(*connection, self.now, Default::default()));
            self.tick.departures.push(packet, b"and one back").unwrap();
        }
    }

    /// Time goes on and nothing else happens, until all that was under way has come to its end.
    fn settle(&mut self) {
        let rounds = 3 * TIMEOUT_S as u64 * 1_000 / STEP.as_ms();
        for round in 0..rounds {
            if round + 10 == rounds {
                self.heard.values_mut().for_each(|heard| *heard = 0);
                self.players.values_mut().for_each(|player| player.heard = 0);
            }
            self.now += STEP;
            self.talk();
            (0..THREADS).for_each(|thread| self.turn(thread));
            self.tick();
        }
    }

    fn check(&mut self) {
        let is_in = |player: &&Player| player.client.state() == ClientState::Connected;
        let players_in = self.players.values().filter(is_in).count();
        let shares = self.others.iter_mut().map(|other| other.sessions_mut().connected());
        let elsewhere = self.sessions.values().filter(|(c, _)| c.carrier != carrier::Carrier::Udp).count();
        assert_eq!(shares.sum::<usize>(), elsewhere, "sessions of the other threads");
        let counts = (self.sessions.len(), self.first.connection().connected());
        assert_eq!(counts, (players_in, players_in), "whom the tick has, and the roster");
        for (n, player) in self.players.iter().filter(|(_, player)| is_in(player)) {
            assert!(player.heard > 0, "player {n} hears the tick");
            assert!(self.heard[&(*n as u64)] > 0, "the tick hears player {n}");
        }
    }
}

/// One turn of a thread; what it sent.
fn turn<O: Office>(
    core: &mut UdpCore<O>,
    now: Instant,
    came: VecDeque<(SocketAddr, Vec<u8>)>,
) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut wire = Wire::default();
    for (from, mut datagram) in came {
        core.handle(now, now, from, &mut datagram);
    }
    while core.depart(now, &mut wire) {}
    core.handle_timeout(now);
    core.flush(now, &mut wire);
    while core.poll_ring().is_some() {}
    let report = core.report();
    assert_eq!((report.handings_dropped, report.arrivals_dropped), (0, 0));
    wire.sent
}

proptest! {
    #[test]
    fn whoever_is_in_is_in_once_whatever_the_threads_do_meanwhile(
        happenings in prop::collection::vec(happening(), 1..300),
        clients_max in 2..=PLAYERS as u32,
    ) {
        let mut world = World::new(clients_max);
        for happening in &happenings {
            world.happen(happening);
        }
        world.settle();
        world.check();
    }
}

#[test]
fn a_departure_to_a_newcomer_finds_it_there_however_late_its_thread_looks() {
    let mut world = World::new(4);
    world.join(1, 1, true);
    for thread in [1, 0, 1, 0] {
        world.talk();
        world.turn(thread);
        world.now += Duration::from_ms(100);
    }
    world.talk();
    // The response goes up; the tick hears of the client and writes before its thread has looked.
    world.turn(1);
    world.turn(0);
    world.tick();
    world.tick();
    assert_eq!(world.sessions.len(), 1);
    assert!(world.others[0].departures_waiting() > 0);
    world.turn(1);
    assert_eq!(world.others[0].counts().departures_stale, 0);
    assert_eq!(world.players[&1].client.state(), ClientState::Connected);
    assert!(world.players[&1].heard > 0);
}
