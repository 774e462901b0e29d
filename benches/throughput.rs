//! What one thread gets through the UDP carrier to one receiver on loopback, beside a bare socket that sends packets sealed
//! with the same cipher in the same runs (GSO).
//!
//! cargo bench --bench throughput
//!
//! Both ways in turns within one run, so that a noisy machine troubles both. Counted is what the receiver got, from the
//! first packet's departure to the last one's arrival. The carrier's packets are written into its lane before it
//! wakes, as a tick does; all work after that is its thread's: lane, session, sealing, sending.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration as StdDuration;

use bytes::Bytes;
use ninefold::carrier::udp::{BoundUdp, RunningUdp, Surroundings};
use ninefold::carrier::{self, Arrival, ConnectionId, Departure, Packets, TickEnd};
use ninefold::clock::{Beat, Monotonic};
use ninefold::telemetry::Live;
use ninefold_client::protocol::connection::{
    Client, ConnectToken, DATAGRAM_BYTES_MAX, Extensions, HandshakeLimits, ServerConfig, TokenParams,
};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use ring::aead::{AES_128_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// A fragment's packet: numbers and headers, then a slice of the chunk.
const HEAD: [u8; 36] = [7; 36];
const TAIL_BYTES: usize = 1_150;
/// Prefix, sequence and tag of the standard around it.
const SEALED_BYTES: usize = 1 + 8 + HEAD.len() + TAIL_BYTES + 16;
const PACKETS_PER_ROUND: u64 = 32_768;
const ROUNDS: usize = 41;
const RUN_BYTES_MAX: usize = 65_535 - 48;
const BUFFER_BYTES: usize = 8 << 20;
/// With nothing for so long, all has come that comes.
const QUIET_US: u64 = 10_000;

/// Counts what comes to a socket, on a thread of its own.
struct Receiver {
    address: SocketAddr,
    packets: Arc<AtomicU64>,
    last_us: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Receiver {
    fn start(socket: UdpSocket, clock: Monotonic) -> Receiver {
        let address = socket.local_addr().unwrap();
        let state = UdpSocketState::new((&socket).into()).unwrap();
        let _ = state.set_recv_buffer_size((&socket).into(), BUFFER_BYTES);
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(StdDuration::from_millis(50))).unwrap();
        let [packets, last_us] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let (counted, last, stopped) = (Arc::clone(&packets), Arc::clone(&last_us), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            // One train at a time: a call that blocks would wait for as many as there are buffers.
            let mut train = vec![0; 65_536];
            let mut metas = [RecvMeta::default()];
            while !stopped.load(Relaxed) {
                let mut slices = [IoSliceMut::new(&mut train)];
                let Ok(messages) = state.recv((&socket).into(), &mut slices, &mut metas) else { continue };
                let came = metas[..messages].iter().map(|m| m.len.div_ceil(m.stride.max(1)) as u64).sum();
                counted.fetch_add(came, Relaxed);
                last.store(clock.now().as_us(), Relaxed);
            }
        });
        Receiver { address, packets, last_us, stop, thread }
    }

    /// Lets `send` send a round; packets a second that came, and how many did.
    fn measure(&self, clock: Monotonic, send: impl FnOnce()) -> (f64, u64) {
        let before = self.packets.load(Relaxed);
        let began_us = clock.now().as_us();
        send();
        loop {
            std::thread::sleep(StdDuration::from_millis(2));
            let came = self.packets.load(Relaxed) - before;
            let last_us = self.last_us.load(Relaxed);
            let is_quiet = last_us > began_us && clock.now().as_us() - last_us > QUIET_US;
            if came == PACKETS_PER_ROUND || is_quiet {
                return (came as f64 * 1e6 / (last_us - began_us) as f64, came);
            }
        }
    }

    fn stop(self) {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap();
    }
}

/// The carrier with one client, whose packets the receiver counts.
struct Ours {
    udp: RunningUdp,
    tick: TickEnd,
    connection: ConnectionId,
    receiver: Receiver,
    tail: Bytes,
}

impl Ours {
    fn start(extensions: Extensions, clock: Monotonic) -> Ours {
        let bound = BoundUdp::bind("127.0.0.1:0".parse().unwrap(), BUFFER_BYTES).unwrap();
        let address = bound.address();
        let config = ServerConfig {
            protocol_id: 1,
            private_key: [1; 32],
            public_addresses: vec![address],
            clients_max: 1,
            unix_s_at_origin: 1_000,
            challenge_key: [2; 32],
            hash_seed: [3; 32],
            limits: HandshakeLimits::default(),
        };
        let params = TokenParams {
            protocol_id: 1,
            client_id: 1,
            create_unix_s: 1_000,
            expire_unix_s: 2_000,
            timeout_s: 0,
            server_addresses: vec![address],
            user_data: [0; 256],
        };
        let token =
            ConnectToken::mint_extended(&params, extensions, &[1; 32], [4; 24], [5; 32], [6; 32]).unwrap();
        let (mut tick, end) = carrier::ends();
        let (beat, live) = (Arc::new(Beat::default()), Arc::new(Live::default()));
        let surroundings = Surroundings {
            guests_max: 0,
            clock,
            beat,
            gather: ninefold_client::protocol::time::Duration::ZERO,
            live,
        };
        let udp = bound.serve(config, end, surroundings).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut client = Client::new(clock.now(), 1_000, &token).unwrap();
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let connection = loop {
            client.handle_timeout(clock.now());
            while let Some(t) = client.poll_transmit(clock.now(), &mut buffer) {
                socket.send_to(&buffer[..t.bytes], t.to).unwrap();
            }
            while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
                client.handle(clock.now(), from, &mut buffer[..bytes]);
            }
            let mut stock = tick.arrivals.take_stock();
            match tick.arrivals.pop(&mut stock, &mut buffer) {
                Some((Arrival::Connected { connection, .. }, _)) => break connection,
                _ => std::thread::sleep(StdDuration::from_millis(1)),
            }
        };
        // What the client shows, the server may use.
        let (_, bytes) = client.seal(clock.now(), &[&[7]], &mut buffer).unwrap();
        socket.send_to(&buffer[..bytes], address).unwrap();
        std::thread::sleep(StdDuration::from_millis(50));
        let receiver = Receiver::start(socket, clock);
        Ours { udp, tick, connection, receiver, tail: Bytes::from(vec![9; TAIL_BYTES]) }
    }

    fn round(&mut self, clock: Monotonic) -> (f64, u64) {
        let Ours { udp, tick, connection, receiver, tail } = self;
        receiver.measure(clock, || {
            for _ in 0..PACKETS_PER_ROUND {
                let (connection, at) = (*connection, clock.now());
                let packet = Departure::Packets(Packets::one(connection, at, tail.clone()));
                assert!(tick.departures.push(packet, &HEAD).is_ok(), "a round fits into the lane");
            }
            udp.doorbell().ring();
        })
    }
}

/// A socket that seals and sends, and nothing else.
struct Bare {
    socket: UdpSocket,
    state: UdpSocketState,
    key: LessSafeKey,
    sequence: u64,
    run: Vec<u8>,
    receiver: Receiver,
}

impl Bare {
    fn start(cipher: &'static Algorithm, clock: Monotonic) -> Bare {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let state = UdpSocketState::new((&socket).into()).unwrap();
        let _ = state.set_send_buffer_size((&socket).into(), BUFFER_BYTES);
        let key = UnboundKey::new(cipher, &[7; 32][..cipher.key_len()]).unwrap();
        let receiver = Receiver::start(UdpSocket::bind("127.0.0.1:0").unwrap(), clock);
        Bare { socket, state, key: LessSafeKey::new(key), sequence: 0, run: vec![0; RUN_BYTES_MAX], receiver }
    }

    fn round(&mut self, clock: Monotonic) -> (f64, u64) {
        let Bare { socket, state, key, sequence, run, receiver } = self;
        let segments = (RUN_BYTES_MAX / SEALED_BYTES).min(state.max_gso_segments()) as u64;
        let destination = receiver.address;
        receiver.measure(clock, || {
            let mut left = PACKETS_PER_ROUND;
            while left > 0 {
                let datagrams = segments.min(left);
                let bytes = datagrams as usize * SEALED_BYTES;
                for datagram in run[..bytes].chunks_exact_mut(SEALED_BYTES) {
                    *sequence += 1;
                    datagram[1..9].copy_from_slice(&sequence.to_le_bytes());
                    datagram[9..9 + HEAD.len()].copy_from_slice(&HEAD);
                    datagram[9 + HEAD.len()..SEALED_BYTES - 16].fill(9);
                    let mut nonce = [0; 12];
                    nonce[4..].copy_from_slice(&sequence.to_le_bytes());
                    let nonce = Nonce::assume_unique_for_key(nonce);
                    let (body, tag) = datagram[9..].split_at_mut(HEAD.len() + TAIL_BYTES);
                    let made = key.seal_in_place_separate_tag(nonce, Aad::from([1; 22]), body).unwrap();
                    tag.copy_from_slice(made.as_ref());
                }
                let contents = &run[..bytes];
                let segment_size = Some(SEALED_BYTES);
                let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
                state.try_send((&*socket).into(), &transmit).unwrap();
                left -= datagrams;
            }
        })
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let ciphers: [(&str, Extensions, &'static Algorithm); 2] = [
        ("ChaCha20-Poly1305", Extensions::default(), &CHACHA20_POLY1305),
        ("AES-128-GCM", Extensions::ALL, &AES_128_GCM),
    ];
    for (name, extensions, algorithm) in ciphers {
        // A token is not older than its server.
        let clock = Monotonic::start();
        let (mut ours, mut bare) = (Ours::start(extensions, clock), Bare::start(algorithm, clock));
        let mut rates = [Vec::new(), Vec::new()];
        let mut ratios = Vec::new();
        let mut came = [0, 0];
        for round in 0..ROUNDS {
            let (o, b) = if round % 2 == 0 {
                let o = ours.round(clock);
                (o, bare.round(clock))
            } else {
                let b = bare.round(clock);
                (ours.round(clock), b)
            };
            rates[0].push(o.0);
            rates[1].push(b.0);
            ratios.push(o.0 / b.0);
            came[0] += o.1;
            came[1] += b.1;
        }
        let [ours_rate, bare_rate] = rates.each_mut().map(|rates| median(rates));
        let all = PACKETS_PER_ROUND * ROUNDS as u64;
        let arrived = came.map(|came| came as f64 * 100.0 / all as f64);
        println!(
            "{name}: ours {:.0} packets/s ({:.2} Gbit/s, {:.1} % came), bare {:.0} packets/s ({:.1} % came); ours / \
             bare {:.2} at the median",
            ours_rate,
            ours_rate * SEALED_BYTES as f64 * 8.0 / 1e9,
            arrived[0],
            bare_rate,
            arrived[1],
            median(&mut ratios),
        );
        let Ours { udp, receiver, .. } = ours;
        let report = udp.stop().unwrap();
        println!(
            "  {} datagrams in {} calls, {} errors",
            report.datagrams_out, report.send_calls, report.send_errors
        );
        receiver.stop();
        bare.receiver.stop();
    }
}
