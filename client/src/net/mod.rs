//! The ready-made driver: sockets and a clock around the client core, over UDP or QUIC.
//!
//! A game with a frame loop calls [`Driver::step`] once per frame, which never waits; a program without
//! one calls [`Driver::wait`] in between. Everything else is the [`Client`]'s.
//!
//! ```text
//!   each frame:  Driver::client_mut().set_input    what the player wants
//!                Driver::step                      receive, let time pass, send
//!                Driver::client_mut().poll_event   until there is none
//!                Driver::own, Driver::entities     what to draw
//! ```
//!
//! Programs with a loop of their own for many sockets take [`ClientSocket`] or [`quic`] and the core.

pub mod quic;
mod socket;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration as StdDuration, Instant as Clock, SystemTime};

use ninefold_protocol::connection::ConnectToken;
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::time::{Duration, Instant};

pub use self::quic::Trust;
use self::quic::{QuicLine, tell_end};
pub use self::socket::{ClientSocket, Read, ReceiveBuffers};
use self::udp::UdpLine;
#[cfg(feature = "disk")]
use crate::store::Store;
use crate::{Client, ClientConfig, ClientError, EntityView, OwnView};

/// Packets handed to the client in one step, QUIC: as many as its thread may keep waiting.
const PACKETS_PER_STEP_MAX: usize = 1_024;

/// Why there is no driver.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The token is of no use.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A socket, a thread, or a certificate that is none.
    #[error("cannot open a socket: {0}")]
    System(#[from] io::Error),
}

/// What the driver counts beside [`ClientStats`](crate::ClientStats).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DriverStats {
    /// Packets that the system did not take.
    pub send_errors: u64,
    /// Packets that came while the game did not call [`Driver::step`] and found no room, QUIC only; over UDP
    /// the kernel drops them unseen.
    pub packets_dropped: u64,
}

/// A client with its own socket and clock.
#[derive(Debug)]
pub struct Driver {
    origin: Clock,
    last: Instant,
    client: Client,
    line: Line,
    #[cfg(feature = "disk")]
    store: Option<Store>,
    has_left: bool,
    stats: DriverStats,
}

#[derive(Debug)]
enum Line {
    Udp(Box<UdpLine>),
    Quic(Box<QuicLine>),
}

impl Driver {
    /// Begins to connect over UDP to the servers that the token lists. The driver's clock begins now:
    /// [`ClientConfig::unix_s_at_origin`] is taken from the system, whatever `config` says.
    pub fn udp(config: &ClientConfig, token: &ConnectToken) -> Result<Driver, DriverError> {
        let client = Client::new(Instant::ZERO, &here(config), token)?;
        Ok(Self::with_line(client, Line::Udp(Box::new(UdpLine::open(token)?))))
    }

    /// Begins to connect over QUIC to this server, which the token lets us into. `config` as in
    /// [`Driver::udp`].
    pub fn quic(
        config: &ClientConfig,
        token: &ConnectToken,
        server: SocketAddr,
        trust: &Trust,
    ) -> Result<Driver, DriverError> {
        let client = Client::carried(Instant::ZERO, &here(config));
        Ok(Self::with_line(client, Line::Quic(Box::new(QuicLine::open(server, trust, token)?))))
    }

    fn with_line(client: Client, line: Line) -> Driver {
        Driver {
            origin: Clock::now(),
            last: Instant::ZERO,
            client,
            line,
            #[cfg(feature = "disk")]
            store: None,
            has_left: false,
            stats: DriverStats::default(),
        }
    }

    /// Keeps chunks in this store, and offers the server what is in it. Before the first [`Driver::step`].
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn with_store(mut self, store: Store) -> Driver {
        self.client.offer(store.offers());
        self.store = Some(store);
        self
    }

    /// The store, for its counts.
    #[cfg(feature = "disk")]
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The time now, as the client counts it.
    pub fn now(&self) -> Instant {
        self.at(Clock::now())
    }

    fn at(&self, clock: Clock) -> Instant {
        Instant::ZERO + Duration::from(clock.saturating_duration_since(self.origin))
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The client, to give it inputs and take its events.
    pub fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    /// The counts.
    pub fn stats(&self) -> DriverStats {
        let packets_dropped = match &self.line {
            Line::Udp(_) => 0,
            Line::Quic(line) => line.dropped(),
        };
        DriverStats { packets_dropped, ..self.stats }
    }

    /// One frame: takes what came, lets time pass, sends what there is to say. Never waits.
    ///
    /// # Errors
    /// When a socket cannot be read at all. The session lives on for as long as its token allows, so that a
    /// game may [rebind](Driver::rebind) or step on.
    pub fn step(&mut self) -> io::Result<()> {
        let received = self.receive();
        self.last = self.now();
        #[cfg(feature = "disk")]
        if let Some(store) = &mut self.store {
            store.serve(self.last, &mut self.client);
        }
        self.client.handle_timeout(self.last);
        self.transmit();
        received
    }

    fn receive(&mut self) -> io::Result<()> {
        let now = self.now();
        let line = match &mut self.line {
            Line::Udp(line) => return line.receive(now, &mut self.client),
            Line::Quic(line) => line,
        };
        for _ in 0..PACKETS_PER_STEP_MAX {
            let Some(heard) = line.receive() else { break };
            match heard {
                quic::Heard::Up => self.client.carrier_is_up(),
                quic::Heard::Packet(came, packet) => {
                    let came = Instant::ZERO + Duration::from(came.saturating_duration_since(self.origin));
                    // What came while the last step ran was not there for it: time never runs backwards.
                    self.client.handle_packet(came.max(self.last), &packet);
                }
                quic::Heard::Ended(error) => tell_end(&mut self.client, &error),
            }
        }
        Ok(())
    }

    fn transmit(&mut self) {
        match &self.line {
            Line::Udp(line) => self.stats.send_errors += line.transmit(self.last, &mut self.client),
            Line::Quic(line) => {
                let mut buffer = [0; PACKET_BYTES_MAX];
                while let Some(bytes) = self.client.poll_packet(self.last, &mut buffer) {
                    self.stats.send_errors += u64::from(!line.send(&buffer[..bytes]));
                }
                if self.client.ended().is_some() && !self.has_left {
                    self.has_left = true;
                    line.leave();
                }
            }
        }
    }

    /// The player as it is to be shown now: see [`Client::own`].
    pub fn own(&self) -> Option<OwnView> {
        self.client.own(self.now())
    }

    /// The entities around the player as they are to be shown now: see [`Client::entities`].
    pub fn entities(&self) -> impl Iterator<Item = EntityView> {
        self.client.entities(self.now())
    }

    /// Waits until something has come or the client has something to do, at most so long; it may be over earlier
    /// for no reason. For programs without a frame loop.
    pub fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        let due_in = self.client.next_timeout().map(|due| due.since(self.now()));
        let at_most = due_in.map_or(at_most, |due_in| due_in.min(at_most));
        match &mut self.line {
            Line::Udp(line) => line.wait(at_most.into()),
            Line::Quic(line) => {
                line.wait(StdDuration::from(at_most));
                Ok(())
            }
        }
    }

    /// Goes on from another port, as after a change of network. The session follows where the token or the
    /// carrier lets it.
    pub fn rebind(&mut self) -> io::Result<()> {
        match &mut self.line {
            Line::Udp(line) => line.rebind(),
            Line::Quic(line) => line.rebind(),
        }
    }

    /// Ends the session and says goodbye. Dropping the driver does the same.
    pub fn leave(&mut self) {
        self.client.disconnect();
        self.last = self.now();
        self.transmit();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The configuration with this machine's time.
fn here(config: &ClientConfig) -> ClientConfig {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ClientConfig { unix_s_at_origin: unix.as_secs(), ..config.clone() }
}
