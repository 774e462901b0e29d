//! The other end: asks a server for its state. For `ninefold top`, load testers and tests.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::telemetry::state::{STATE_VERSION, State};

/// Bytes of an answer that are read at most.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody listens, or the connection broke.
    #[error("{address}: {error}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// No answer in time.
    #[error("{address}: no answer within {} ms", .within.as_millis())]
    TimedOut {
        /// Where.
        address: SocketAddr,
        /// The time it had.
        within: Duration,
    },
    /// Something answers that is no ninefold server, or the answer is cut off.
    #[error("{address}: not the answer of a ninefold server: {why}")]
    Strange {
        /// Where.
        address: SocketAddr,
        /// What is strange.
        why: String,
    },
    /// The server says no.
    #[error("{address}: {status}: {why}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// Its status.
        status: u16,
        /// What it says.
        why: String,
    },
    /// A server of another version.
    #[error("{address}: its state has version {theirs}, this program reads version {STATE_VERSION}")]
    Version {
        /// Where.
        address: SocketAddr,
        /// The version of its document.
        theirs: u32,
    },
}

/// Fetches `/state`, waiting at most `within`. `query` is as in `clients=10&ticks=120`, or empty.
pub fn fetch_state(address: SocketAddr, query: &str, within: Duration) -> Result<State, FetchError> {
    let body = ask(address, Method::GET, &format!("/state?{query}"), within)?;
    let strange = |error: serde_json::Error| FetchError::Strange { address, why: error.to_string() };
    // A later version may not parse at all.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version: theirs } = serde_json::from_slice(&body).map_err(strange)?;
    if theirs != STATE_VERSION {
        return Err(FetchError::Version { address, theirs });
    }
    serde_json::from_slice(&body).map_err(strange)
}

/// Asks the server's flight recorder for a trace.
pub fn ask_for_trace(address: SocketAddr, within: Duration) -> Result<(), FetchError> {
    ask(address, Method::POST, "/record", within).map(drop)
}

/// Asks for anything, waiting at most `within`; answers other than 2xx are errors.
pub fn ask(address: SocketAddr, method: Method, path: &str, within: Duration) -> Result<Bytes, FetchError> {
    let unreachable = |error| FetchError::Unreachable { address, error };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
    let answered =
        runtime.block_on(async { tokio::time::timeout(within, converse(address, method, path)).await });
    let (status, body) = answered.map_err(|_| FetchError::TimedOut { address, within })??;
    if status.is_success() {
        return Ok(body);
    }
    let why = String::from_utf8_lossy(&body).lines().next().unwrap_or_default().to_owned();
    Err(FetchError::Refused { address, status: status.as_u16(), why })
}

async fn converse(
    address: SocketAddr,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Bytes), FetchError> {
    let unreachable = |error| FetchError::Unreachable { address, error };
    let strange = |why: String| FetchError::Strange { address, why };
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| strange(e.to_string()))?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| strange(e.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|e| strange(e.to_string()))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    connection.abort();
    Ok((status, body.map_err(|e| strange(e.to_string()))?.to_bytes()))
}
