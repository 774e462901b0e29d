//! The client's end of QUIC in virtual time: quinn's sans-IO core with everything that it draws taken from a seed, and the
//! way in as on sockets.
//!
//! TLS draws its keys by itself, and they cannot be seeded. They change the bytes of the handshake, not their number nor
//! what follows from them: the certificate signs with Ed25519, whose signatures all have one length.

use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ninefold::carrier::quic::Identity;
use ninefold::carrier::quic::core::seeded_endpoint;
use ninefold::clock::Monotonic;
use ninefold_client::Client;
use ninefold_client::net::quic::{ID_BYTES, Trust, client_config, tell_end, timeout, transport};
use ninefold_client::protocol::connection::{ADMITTED_BYTES, CloseReason, ConnectToken, SHOWN_BYTES};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::time::{Duration, Instant};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, ConnectionId, DatagramEvent, Dir, Endpoint, Event,
    StreamEvent, StreamId, VarInt,
};

use super::host::SERVER;

/// Who every server of virtual time is. Published, and believed nowhere else.
const CERTIFICATE: &[u8] = include_bytes!("identity/certificate.der");
const KEY: &[u8] = include_bytes!("identity/key.der");

/// The server's certificate and key.
pub fn identity() -> Identity {
    Identity::from_der(CERTIFICATE, KEY)
}

/// What all QUIC clients of a world share.
#[derive(Clone)]
pub struct Shared {
    config: Rc<ClientConfig>,
    clock: Monotonic,
}

impl Shared {
    /// Clients that believe in [`identity`].
    pub fn new() -> Shared {
        let config = client_config(&Trust::Fingerprint(identity().fingerprint()));
        Shared {
            config: Rc::new(config.expect("the trust is in one fingerprint")),
            clock: Monotonic::start(),
        }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Shared::new()
    }
}

/// One connection.
pub struct QuicEnd {
    clock: Monotonic,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    connection: Connection,
    shown: Box<[u8; SHOWN_BYTES]>,
    stream: Option<StreamId>,
    /// Bytes of what is shown that were written.
    written: usize,
    admitted: Vec<u8>,
    /// Silence that ends the session, as its token says, and since when there is silence.
    silence_max: Option<Duration>,
    heard_at: Instant,
    /// Frames of the server that speak of the handshake or acknowledge.
    heard_frames: u64,
    buffer: Vec<u8>,
}

impl QuicEnd {
    /// Begins to connect.
    pub fn connect(now: Instant, shared: &Shared, seed: u64, token: &ConnectToken) -> QuicEnd {
        let mut random = fastrand::Rng::with_seed(seed);
        let config = seeded_endpoint(std::array::from_fn(|_| random.u8(..)), ID_BYTES);
        let mut endpoint = Endpoint::new(Arc::new(config), None, true, None);
        let mut client = ClientConfig::clone(&shared.config);
        client.transport_config(Arc::new(transport(timeout(token))));
        let first = random.u64(..).to_le_bytes();
        client.initial_dst_cid_provider(Arc::new(move || ConnectionId::new(&first)));
        let (handle, connection) = endpoint
            .connect(shared.clock.std(now), client, SERVER, "localhost")
            .expect("the address and the name are fine");
        QuicEnd {
            clock: shared.clock,
            endpoint,
            handle,
            connection,
            shown: Box::new(token.shown()),
            stream: None,
            written: 0,
            admitted: Vec::new(),
            silence_max: timeout(token).map(Duration::from),
            heard_at: now,
            heard_frames: 0,
            buffer: Vec::new(),
        }
    }

    /// When it is to be woken.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        let quic = self.connection.poll_timeout().map(|at| self.clock.at_or_after(at));
        quic.into_iter().chain(self.silent_at()).min()
    }

    /// When it has been silent for too long: QUIC alone would wait for three probe timeouts (RFC 9000 §10.1), which are
    /// long where round trips were.
    fn silent_at(&self) -> Option<Instant> {
        self.silence_max.map(|silence_max| self.heard_at + silence_max)
    }

    fn is_in(&self) -> bool {
        self.admitted.len() >= ADMITTED_BYTES
    }

    /// Takes a datagram.
    pub fn handle(&mut self, now: Instant, datagram: &[u8], client: &mut Client) {
        let (then, data) = (self.clock.std(now), BytesMut::from(datagram));
        self.buffer.clear();
        let event = self.endpoint.handle(then, SERVER, None, None, data, &mut self.buffer);
        if let Some(DatagramEvent::ConnectionEvent(_, event)) = event {
            self.connection.handle_event(event);
        }
        self.follow(now, client);
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant, client: &mut Client) {
        let then = self.clock.std(now);
        if self.connection.poll_timeout().is_some_and(|at| at <= then) {
            self.connection.handle_timeout(then);
        }
        if self.silent_at().is_some_and(|at| at <= now) {
            client.carrier_lost();
            self.silence_max = None;
        }
        self.follow(now, client);
    }

    /// On the way in whatever the server says is a sign of life; later only what the link says. What a server that was started
    /// again says to a connection that it does not know is none.
    fn hear(&mut self, now: Instant) {
        let heard = self.connection.stats().frame_rx;
        let heard = heard.crypto + heard.acks;
        if std::mem::replace(&mut self.heard_frames, heard) != heard && !self.is_in() {
            self.heard_at = now;
        }
    }

    fn follow(&mut self, now: Instant, client: &mut Client) {
        self.hear(now);
        while let Some(event) = self.connection.poll() {
            match event {
                Event::Connected => self.stream = self.connection.streams().open(Dir::Bi),
                Event::Stream(StreamEvent::Readable { .. }) => self.hear_the_answer(now, client),
                Event::ConnectionLost { reason } => tell_end(client, &reason),
                _ => {}
            }
        }
        self.show();
        while let Some(packet) = self.connection.datagrams().recv() {
            self.heard_at = now;
            client.handle_packet(now, &packet);
        }
        while let Some(event) = self.connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(answer);
            }
        }
    }

    /// Writes what is to be shown, as far as the window goes.
    fn show(&mut self) {
        let Some(stream) = self.stream.filter(|_| self.written < SHOWN_BYTES) else { return };
        let mut send = self.connection.send_stream(stream);
        while let Ok(bytes) = send.write(&self.shown[self.written..]) {
            self.written += bytes;
            if self.written == SHOWN_BYTES {
                // It was opened just now, and nobody else ends it.
                let _ = send.finish();
                break;
            }
        }
    }

    fn hear_the_answer(&mut self, now: Instant, client: &mut Client) {
        let Some(stream) = self.stream else { return };
        let mut receive = self.connection.recv_stream(stream);
        let Ok(mut chunks) = receive.read(true) else { return };
        while let Ok(Some(chunk)) = chunks.next(ADMITTED_BYTES) {
            self.admitted.extend_from_slice(&chunk.bytes);
        }
        let _ = chunks.finalize();
        if self.is_in() {
            self.heard_at = now;
            client.carrier_is_up();
        }
    }

    /// Takes over what the client has to say.
    pub fn take_packets(&mut self, now: Instant, client: &mut Client) {
        let mut packet = [0; PACKET_BYTES_MAX];
        while let Some(bytes) = client.poll_packet(now, &mut packet) {
            // What a connection that has ended does not take has nobody to go to.
            let _ = self.connection.datagrams().send(Bytes::copy_from_slice(&packet[..bytes]), true);
        }
    }

    /// Sends what QUIC has to say, packets of the client included.
    pub fn transmit(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        let then = self.clock.std(now);
        self.buffer.clear();
        while let Some(transmit) = self.connection.poll_transmit(then, 1, &mut self.buffer) {
            debug_assert_eq!(transmit.destination, SERVER);
            send(&self.buffer[..transmit.size]);
            self.buffer.clear();
        }
    }

    /// Says goodbye; it goes out with the next [`QuicEnd::transmit`].
    pub fn leave(&mut self, now: Instant) {
        let text = Bytes::from_static(CloseReason::Left.text().as_bytes());
        self.connection.close(self.clock.std(now), VarInt::from_u32(CloseReason::Left.code()), text);
    }
}
