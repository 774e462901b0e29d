//! QUIC over an emulated line in virtual time: two of quinn's sans-IO ends, the server's with the carrier's own transport,
//! and an owner that sends in ticks what the line has room for. It compares what quinn brings with ours.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant as StdInstant};

use bytes::{Bytes, BytesMut};
use ninefold_netem::{Bottleneck, Link, Loss, Profile, Ratio};
use ninefold_protocol::link::congestion::CongestionConfig;
use ninefold_protocol::time::Instant;
use quinn::congestion::{ControllerFactory, CubicConfig};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Endpoint, EndpointConfig, Event, ServerConfig,
    Transmit, TransportConfig,
};

use super::certificate::Identity;
use super::congestion::{FlowController, FlowFactory, HeldBack};
use super::transport::{Flow, RECORD_BYTES, ROOM_PACKETS_MAX, SEND_BUFFER_BYTES, room, transport};
use crate::clock::Monotonic;

const SEEDS: u64 = 20;
const TICK_US: u64 = 16_667;
const PACKET_BYTES: usize = 1_186;
const SNAPSHOT_BYTES: usize = 80;
/// 5 Mbit/s.
const RATE: u64 = 625_000;
const SERVER: &str = "192.0.2.1:4433";
const CLIENT: &str = "192.0.2.2:5000";

/// One end: an endpoint with its one connection.
struct End {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    /// Where its datagrams go.
    line: Link<Vec<u8>>,
    peer: SocketAddr,
}

struct Pair {
    origin: StdInstant,
    now_us: u64,
    server: End,
    client: End,
    /// Snapshots that came: when they had left, when they came.
    snapshots: Vec<(u64, u64)>,
    /// Bytes of datagrams that came to the client, with the time.
    came: Vec<(u64, u64)>,
}

/// The client takes any certificate: it knows whom it talks to.
mod trust {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub struct Anybody;

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
}

fn client_config() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut crypto = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust::Anybody))
        .with_no_client_auth();
    crypto.alpn_protocols = vec![ninefold_protocol::connection::QUIC_ALPN.to_vec()];
    let crypto = quinn_proto::crypto::rustls::QuicClientConfig::try_from(crypto).unwrap();
    let mut config = ClientConfig::new(Arc::new(crypto));
    let mut transport = TransportConfig::default();
    transport.datagram_receive_buffer_size(Some(1 << 20));
    config.transport_config(Arc::new(transport));
    config
}

/// Which controller the server has.
#[derive(Debug, Clone, Copy)]
enum Which {
    Cubic,
    Ours,
}

impl End {
    fn new(server: Option<Arc<ServerConfig>>, line: Link<Vec<u8>>, peer: &str, seed: u64) -> End {
        let seed = [seed as u8; 32];
        let endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), server, true, Some(seed));
        End { endpoint, connection: None, line, peer: peer.parse().unwrap() }
    }

    fn connection(&mut self) -> &mut Connection {
        &mut self.connection.as_mut().expect("it is connected").1
    }

    fn take(&mut self, now: StdInstant, datagram: &[u8]) {
        let mut answer = Vec::new();
        let event = self.endpoint.handle(now, self.peer, None, None, BytesMut::from(datagram), &mut answer);
        match event {
            Some(DatagramEvent::ConnectionEvent(_, event)) => self.connection().handle_event(event),
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut answer, None);
                self.connection = Some(accepted.unwrap_or_else(|_| panic!("a first connection is taken")));
            }
            Some(DatagramEvent::Response(_)) | None => {}
        }
    }

    /// Sends what is to be sent by now.
    fn drive(&mut self, now: StdInstant, now_us: u64) {
        let Some((handle, connection)) = &mut self.connection else { return };
        if connection.poll_timeout().is_some_and(|at| at <= now) {
            connection.handle_timeout(now);
        }
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
        let mut buffer = Vec::new();
        while let Some(Transmit { size, segment_size, .. }) = connection.poll_transmit(now, 10, &mut buffer) {
            for datagram in buffer[..size].chunks(segment_size.unwrap_or(size)) {
                self.line.send(now_us, datagram.len(), datagram.to_vec());
            }
            buffer.clear();
        }
    }

    fn next_us(&mut self, origin: StdInstant) -> Option<u64> {
        let at = self.connection.as_mut()?.1.poll_timeout()?;
        Some((at.saturating_duration_since(origin).as_nanos().div_ceil(1_000)) as u64)
    }
}

impl Pair {
    fn new(which: Which, down: Profile, seed: u64) -> Pair {
        let origin = StdInstant::now();
        let factory: Arc<dyn ControllerFactory + Send + Sync> = match which {
            Which::Ours => {
                Arc::new(FlowFactory { clock: Monotonic::from(origin), config: CongestionConfig::default() })
            }
            Which::Cubic => {
                let mut cubic = CubicConfig::default();
                cubic.initial_window(32 * 1_232);
                Arc::new(cubic)
            }
        };
        let crypto = Identity::development().unwrap().crypto(None).unwrap();
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::new(transport(factory)));
        let up = Profile { delay_us: down.delay_us, ..Profile::default() };
        let mut pair = Pair {
            origin,
            now_us: 0,
            server: End::new(Some(Arc::new(config)), Link::new(down, seed), CLIENT, 1),
            client: End::new(None, Link::new(up, seed), SERVER, 2),
            snapshots: Vec::new(),
            came: Vec::new(),
        };
        let peer = pair.client.peer;
        let connecting = pair.client.endpoint.connect(origin, client_config(), peer, "localhost");
        pair.client.connection = Some(connecting.unwrap());
        for _ in 0..1_000 {
            pair.run_until(pair.now_us + 10_000);
            if pair.server.connection.as_mut().is_some_and(|(_, c)| !c.is_handshaking()) {
                return pair;
            }
        }
        panic!("no connection in ten seconds, seed {seed}");
    }

    fn at(&self, us: u64) -> StdInstant {
        self.origin + StdDuration::from_micros(us)
    }

    /// Lets both ends do all that is due until then.
    fn run_until(&mut self, until_us: u64) {
        loop {
            let now = self.at(self.now_us);
            self.server.drive(now, self.now_us);
            self.client.drive(now, self.now_us);
            while let Some(due) = self.server.line.next_due_us().filter(|due| *due <= self.now_us) {
                let datagram = self.server.line.poll(due).unwrap();
                self.came.push((self.now_us, datagram.len() as u64));
                self.client.take(now, &datagram);
            }
            while let Some(due) = self.client.line.next_due_us().filter(|due| *due <= self.now_us) {
                let datagram = self.client.line.poll(due).unwrap();
                self.server.take(now, &datagram);
            }
            self.hear();
            let timers = [self.server.next_us(self.origin), self.client.next_us(self.origin)];
            let lines = [self.server.line.next_due_us(), self.client.line.next_due_us()];
            let next = timers.into_iter().chain(lines).flatten().min().unwrap_or(until_us);
            if next > until_us {
                self.now_us = until_us;
                return;
            }
            self.now_us = next.max(self.now_us + 1);
        }
    }

    fn hear(&mut self) {
        let Pair { server, client, snapshots, now_us, .. } = self;
        for (_, connection) in client.connection.iter_mut() {
            while let Some(event) = connection.poll() {
                assert!(!matches!(event, Event::ConnectionLost { .. }), "{event:?}");
            }
            while let Some(datagram) = connection.datagrams().recv() {
                if datagram.len() == SNAPSHOT_BYTES {
                    let left = u64::from_le_bytes(*datagram.first_chunk().unwrap());
                    snapshots.push((left, *now_us));
                }
            }
        }
        for (_, connection) in server.connection.iter_mut() {
            while connection.poll().is_some() {}
            while connection.datagrams().recv().is_some() {}
        }
    }

    /// Ticks of a server with always more to send than there is room for, as the carrier's peers reckon it.
    fn saturate(&mut self, ticks: u64) {
        let controller = self.server.connection().congestion_state().clone_box();
        let held_back = controller.into_any().downcast::<FlowController>().ok();
        let held_back = held_back.map_or_else(HeldBack::default, |c| c.shared());
        let (mut packets, mut queued) = (0, 0);
        for _ in 0..ticks {
            let now_us = self.now_us;
            let connection = self.server.connection();
            let waits = |c: &mut Connection| {
                (SEND_BUFFER_BYTES - RECORD_BYTES).saturating_sub(c.datagrams().send_buffer_space())
            };
            let left_over = waits(connection);
            let mut snapshot = [0; SNAPSHOT_BYTES];
            snapshot[..8].copy_from_slice(&now_us.to_le_bytes());
            connection.datagrams().send(Bytes::copy_from_slice(&snapshot), true).unwrap();
            for _ in 0..packets {
                connection.datagrams().send(Bytes::from(vec![7; PACKET_BYTES]), true).unwrap();
            }
            held_back.until(Instant::from_us(now_us + TICK_US));
            let drained = queued_less(queued, left_over);
            queued = waits(connection);
            let path = connection.stats().path;
            let (window, rtt_us) = (path.cwnd, path.rtt.as_micros() as u64);
            packets = room(Flow { queued, left_over, drained, window, rtt_us }, TICK_US);
            assert!(packets <= ROOM_PACKETS_MAX);
            // The client's own packet of the tick, which brings acknowledgements along.
            let client = self.client.connection();
            client.datagrams().send(Bytes::from_static(&[1; 40]), true).unwrap();
            self.run_until(now_us + TICK_US);
        }
    }

    /// Bytes a second that came since then.
    fn goodput(&self, since_us: u64) -> u64 {
        let bytes: u64 = self.came.iter().filter(|(at, _)| *at >= since_us).map(|(_, bytes)| bytes).sum();
        bytes * 1_000_000 / (self.now_us - since_us)
    }
}

fn queued_less(queued: usize, left_over: usize) -> usize {
    queued.saturating_sub(left_over)
}

fn p99(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[(values.len() - 1) * 99 / 100]
}

/// 5 Mbit/s with 250 ms of buffer: the least part of the line that was used, percent, and what snapshots took above the
/// line's own delay at p99, milliseconds.
fn thin(which: Which) -> (u64, u64) {
    let (mut used, mut delays) = (u64::MAX, Vec::new());
    for seed in 0..SEEDS {
        let delay_us = 10_000 + 1_000 * seed;
        let bottleneck = Some(Bottleneck { bytes_per_s: RATE, queue_bytes_max: RATE / 4 });
        let mut pair = Pair::new(which, Profile { delay_us, bottleneck, ..Profile::default() }, seed);
        pair.saturate(60);
        let since_us = pair.now_us;
        pair.saturate(10 * 60);
        used = used.min(pair.goodput(since_us) * 100 / RATE);
        let later = pair.snapshots.iter().filter(|(left, _)| *left >= since_us);
        delays.extend(later.map(|(left, came)| came - left - delay_us));
    }
    (used, p99(delays) / 1_000)
}

/// The least goodput over 80 ms and 40 Mbit/s at so much loss, bytes a second.
fn lossy(which: Which, percent: u32) -> u64 {
    let goodput = |seed| {
        let loss = Loss::Independent(Ratio::percent(percent));
        let bottleneck = Some(Bottleneck { bytes_per_s: 8 * RATE, queue_bytes_max: 2 * RATE });
        let mut pair =
            Pair::new(which, Profile { delay_us: 40_000, loss, bottleneck, ..Profile::default() }, seed);
        pair.saturate(3 * 60);
        let since_us = pair.now_us;
        pair.saturate(10 * 60);
        pair.goodput(since_us)
    };
    (0..SEEDS).map(goodput).min().unwrap()
}

#[test]
fn on_a_thin_line_snapshots_hardly_wait_and_the_line_is_used() {
    let [cubic, ours] = [Which::Cubic, Which::Ours].map(thin);
    for (what, (used, p99_ms)) in [("CUBIC", cubic), ("ours", ours)] {
        println!("QUIC, 5 Mbit/s, {what}: line used {used} % at least, snapshots p99 +{p99_ms} ms");
    }
    assert!(ours.0 >= 85 && ours.1 <= 50);
}

#[test]
fn five_percent_of_loss_leave_most_of_the_goodput() {
    let [cubic, ours] = [Which::Cubic, Which::Ours].map(|which| (lossy(which, 0), lossy(which, 5)));
    for (what, (clean, lossy)) in [("CUBIC", cubic), ("ours", ours)] {
        println!("QUIC, 40 Mbit/s, 80 ms, {what}: {clean} bytes/s clean, {lossy} at 5 % loss");
    }
    assert!(ours.1 * 100 >= ours.0 * 95 * 80 / 100, "{ours:?}");
}
