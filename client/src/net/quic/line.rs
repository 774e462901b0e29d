//! The thread of a driver's QUIC connection and the bounded queue behind it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration as StdDuration, Instant as Clock};

use bytes::Bytes;
use ninefold_protocol::connection::{CloseReason, ConnectToken, SHOWN_BYTES};
use quinn::{Connection, ConnectionError, Endpoint};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;

use super::{Trust, connect, endpoint, leave, timeout};
use crate::net::socket::any_port;

/// Packets that may wait for the game's next frame; beyond it they are dropped and counted, and the link
/// takes them for lost. Two seconds at five megabits.
const HEARD_MAX: usize = 1_024;
/// Bytes asked of the kernel for the socket.
const RECEIVE_BUFFER_BYTES: usize = 512 << 10;
/// Time that the goodbye has to get out.
const GOODBYE: StdDuration = StdDuration::from_millis(100);

/// What the thread tells.
pub(crate) enum Heard {
    /// The server has let us in.
    Up,
    /// A packet, and when it came.
    Packet(Clock, Bytes),
    /// It is over.
    Ended(ConnectionError),
}

enum Told {
    Up(Connection),
    Packet(Clock, Bytes),
}

/// A connection to one server.
#[derive(Debug)]
pub(crate) struct QuicLine {
    endpoint: Endpoint,
    connection: Option<Connection>,
    heard: Receiver<Told>,
    /// What a wait has taken out of the queue.
    waiting: Option<Told>,
    shared: Arc<Shared>,
    end_is_told: bool,
    thread: Option<JoinHandle<()>>,
    server: SocketAddr,
    /// The thread's runtime, where sockets belong.
    runtime: Handle,
}

/// What both threads see.
#[derive(Debug, Default)]
struct Shared {
    stop: Notify,
    ended: OnceLock<ConnectionError>,
    dropped: AtomicU64,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Told::Up(_) => "Up",
            Told::Packet(..) => "Packet",
        })
    }
}

impl QuicLine {
    /// Begins to connect.
    pub fn open(server: SocketAddr, trust: &Trust, token: &ConnectToken) -> io::Result<QuicLine> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let entered = runtime.enter();
        let endpoint = endpoint(server, trust, RECEIVE_BUFFER_BYTES, timeout(token))?;
        drop(entered);
        let (tell, heard) = sync_channel(HEARD_MAX);
        let shared = Arc::new(Shared::default());
        let attempt = Attempt {
            endpoint: endpoint.clone(),
            server,
            trust: trust.clone(),
            shown: token.shown(),
            timeout: timeout(token),
            tell,
            shared: Arc::clone(&shared),
        };
        let handle = runtime.handle().clone();
        let thread =
            std::thread::Builder::new().name("ninefold-net".into()).spawn(move || attempt.run(&runtime))?;
        Ok(QuicLine {
            endpoint,
            connection: None,
            heard,
            waiting: None,
            shared,
            end_is_told: false,
            thread: Some(thread),
            server,
            runtime: handle,
        })
    }

    /// What the thread tells next.
    pub fn receive(&mut self) -> Option<Heard> {
        let told = match self.waiting.take().map_or_else(|| self.heard.try_recv(), Ok) {
            Ok(told) => told,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) if self.end_is_told => return None,
            Err(TryRecvError::Disconnected) => {
                self.end_is_told = true;
                let error = self.shared.ended.get().cloned();
                return Some(Heard::Ended(error.unwrap_or(ConnectionError::LocallyClosed)));
            }
        };
        Some(match told {
            Told::Packet(at, packet) => Heard::Packet(at, packet),
            Told::Up(connection) => {
                self.connection = Some(connection);
                Heard::Up
            }
        })
    }

    /// Waits until there is something to receive.
    pub fn wait(&mut self, at_most: StdDuration) {
        if self.waiting.is_some() {
            return;
        }
        match self.heard.recv_timeout(at_most) {
            Ok(told) => self.waiting = Some(told),
            Err(RecvTimeoutError::Timeout) => {}
            // Nothing comes any more, and a loop around this must not spin.
            Err(RecvTimeoutError::Disconnected) if self.end_is_told => std::thread::sleep(at_most),
            Err(RecvTimeoutError::Disconnected) => {}
        }
    }

    /// Sends one packet; says whether it was taken.
    pub fn send(&self, packet: &[u8]) -> bool {
        let sent = self.connection.as_ref().map(|c| c.send_datagram(Bytes::copy_from_slice(packet)));
        sent.is_some_and(|sent| sent.is_ok())
    }

    /// Goes on from another port.
    pub fn rebind(&self) -> io::Result<()> {
        let _entered = self.runtime.enter();
        self.endpoint.rebind(std::net::UdpSocket::bind(any_port(self.server))?)
    }

    /// Packets that waited too long for a frame.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Says goodbye; the thread ends by itself.
    pub fn leave(&self) {
        if let Some(connection) = &self.connection {
            leave(connection);
        }
        self.shared.stop.notify_one();
    }
}

impl Drop for QuicLine {
    fn drop(&mut self) {
        self.leave();
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic but ours to call; a dead one has nothing to say.
            let _ = thread.join();
        }
    }
}

/// What the thread is made from.
struct Attempt {
    endpoint: Endpoint,
    server: SocketAddr,
    trust: Trust,
    shown: [u8; SHOWN_BYTES],
    /// Silence that ends the session, as its token says.
    timeout: Option<StdDuration>,
    tell: SyncSender<Told>,
    shared: Arc<Shared>,
}

impl Attempt {
    fn run(self, runtime: &Runtime) {
        let shared = Arc::clone(&self.shared);
        runtime.block_on(async move {
            tokio::select! {
                error = self.live() => {
                    // Set once, here.
                    let _ = self.shared.ended.set(error);
                }
                () = shared.stop.notified() => {}
            }
            let Attempt { endpoint, tell, .. } = self;
            drop(tell);
            endpoint.close(CloseReason::Left.code().into(), CloseReason::Left.text().as_bytes());
            // Who has not heard the goodbye by then will miss us.
            let _ = tokio::time::timeout(GOODBYE, endpoint.wait_idle()).await;
        });
    }

    async fn live(&self) -> ConnectionError {
        let connection = match connect(&self.endpoint, self.server, &self.trust, &self.shown).await {
            Ok(connection) => connection,
            Err(error) => return error,
        };
        if self.tell.try_send(Told::Up(connection.clone())).is_err() {
            return ConnectionError::LocallyClosed;
        }
        loop {
            // Where round trips were long, QUIC alone would wait far longer (RFC 9000 §10.1: three probe timeouts).
            let silence_max = self.timeout.unwrap_or(StdDuration::MAX);
            let packet = match tokio::time::timeout(silence_max, connection.read_datagram()).await {
                Ok(Ok(packet)) => packet,
                Ok(Err(error)) => return error,
                Err(_) => return ConnectionError::TimedOut,
            };
            match self.tell.try_send(Told::Packet(Clock::now(), packet)) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                }
                Err(TrySendError::Disconnected(_)) => return ConnectionError::LocallyClosed,
            }
        }
    }
}
