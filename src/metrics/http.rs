//! The thread that answers over HTTP.
//!
//! Bounds: [`CONNECTIONS_MAX`] connections, further ones are closed at once and counted; [`HEAD_BYTES_MAX`] bytes of a
//! request, of which no body is read; [`HEAD_TIME_MAX`] for it to come, [`CONNECTION_TIME_MAX`] for a connection.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};

use super::routes::Source;
use crate::clock::Monotonic;
use crate::telemetry::Live;

/// Connections at once.
const CONNECTIONS_MAX: usize = 16;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// Time for a request's head to come.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// A connection is ended after this long, when it has its answer.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(60);
/// Time for its last answer.
const LAST_ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// A wait after a connection could not be accepted: the process may have too many files.
const ACCEPT_ERROR_WAIT: Duration = Duration::from_millis(100);

/// A socket that is bound and not served yet.
#[derive(Debug)]
pub struct BoundMetrics {
    listener: TcpListener,
    address: SocketAddr,
}

/// A thread that serves.
#[derive(Debug)]
pub struct RunningMetrics {
    address: SocketAddr,
    stop: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl BoundMetrics {
    /// Binds `listen`.
    pub fn bind(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(BoundMetrics { listener, address })
    }

    /// Serves on a thread of its own. `clock` is the server's.
    pub fn serve(self, clock: Monotonic, live: Arc<Live>) -> io::Result<RunningMetrics> {
        let BoundMetrics { listener, address } = self;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let source = Arc::new(Source { live, refused: AtomicU64::new(0) });
        let thread = std::thread::Builder::new().name("ninefold-metrics".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, clock, source) => {}
                    () = stopped.notified() => {}
                }
            });
        })?;
        Ok(RunningMetrics { address, stop, thread })
    }
}

impl RunningMetrics {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the thread; answers under way are cut off.
    pub fn stop(self) {
        self.stop.notify_one();
        if self.thread.join().is_err() {
            tracing::error!("the metrics thread panicked");
        }
    }
}

async fn accept(listener: TcpListener, clock: Monotonic, source: Arc<Source>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the metrics cannot be served"),
    };
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match Arc::clone(&connections).try_acquire_owned() {
                Ok(permit) => {
                    let source = Arc::clone(&source);
                    tokio::spawn(async move {
                        serve_one(stream, clock, source).await;
                        drop(permit);
                    });
                }
                Err(_) => source.count_refused(),
            },
            Err(error) => {
                tracing::debug!(%error, "a connection for the metrics was not accepted");
                tokio::time::sleep(ACCEPT_ERROR_WAIT).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, clock: Monotonic, source: Arc<Source>) {
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let answer = source.answer(clock.now(), request.method(), request.uri(), request.headers());
        async { Ok::<_, Infallible>(answer) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    // What goes wrong with a connection is its client's to notice.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = tokio::time::sleep(CONNECTION_TIME_MAX) => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(LAST_ANSWER_TIME_MAX, connection).await;
        }
    }
}
