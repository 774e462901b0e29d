//! One connection from its first packet to its last: the handshake, the token, then its packets.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use ninefold_protocol::connection::{ADMITTED_BYTES, CloseReason, DisconnectReason, SHOWN_BYTES};
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use quinn::{Connection, ConnectionError, Incoming, SendStream, ServerConfig, VarInt};
use tokio::time::timeout;

use super::Shared;
use super::peers::close;
use crate::carrier::roster::Entry;

/// Time for the handshake, for showing the token, and for hearing the answer. As QUIC repeats what is lost by
/// itself, it is half of what UDP allows.
pub(super) const STEP_MAX: StdDuration = StdDuration::from_secs(5);
/// How often a path that is too narrow yet is looked at again; the search for its MTU takes a few round
/// trips.
const WIDTH_EVERY: StdDuration = StdDuration::from_millis(10);

/// Attends to a connection until it has ended.
pub(super) async fn attend(shared: Rc<Shared>, incoming: Incoming, config: Option<Arc<ServerConfig>>) {
    let under_way = UnderWay::new(&shared);
    let connecting = match config {
        Some(config) => incoming.accept_with(config),
        None => incoming.accept(),
    };
    let connected = match connecting {
        Ok(connecting) => timeout(STEP_MAX, connecting).await.ok().and_then(Result::ok),
        Err(_) => None,
    };
    let Some(connection) = connected else {
        shared.report.borrow_mut().handshakes_failed += 1;
        return;
    };
    let let_in = let_in(&shared, &connection).await;
    drop(under_way);
    match let_in {
        Ok((entry, answer)) => {
            shared.begin(entry, connection.clone());
            serve(&shared, entry, &connection, answer).await;
        }
        Err(reason) => {
            count_refusal(&shared, reason);
            close(&connection, reason);
        }
    }
}

/// Counts itself among the connections on their way in.
struct UnderWay<'s>(&'s Shared);

impl<'s> UnderWay<'s> {
    fn new(shared: &'s Shared) -> Self {
        shared.attended.set(shared.attended.get() + 1);
        UnderWay(shared)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.attended.set(self.0.attended.get() - 1);
    }
}

fn count_refusal(shared: &Shared, reason: CloseReason) {
    let mut report = shared.report.borrow_mut();
    match reason {
        CloseReason::Left | CloseReason::TooSlow => report.tokens_not_shown += 1,
        CloseReason::NoDatagrams => report.no_datagrams += 1,
        CloseReason::NarrowPath => report.narrow_paths += 1,
        _ => report.tokens_refused += 1,
    }
}

/// Waits for the token and asks the roster.
async fn let_in(shared: &Shared, connection: &Connection) -> Result<(Entry, SendStream), CloseReason> {
    if connection.max_datagram_size().is_none() {
        return Err(CloseReason::NoDatagrams);
    }
    let shown = timeout(STEP_MAX, token(connection)).await.unwrap_or(Err(CloseReason::TooSlow));
    let (shown, answer) = shown?;
    timeout(STEP_MAX, wide_enough(connection)).await.map_err(|_| CloseReason::NarrowPath)?;
    // Not given up half-way: a slot that nobody hears of would stay taken.
    let entry = shared.door.ask(connection.remote_address(), shown).await;
    Ok((entry.unwrap_or(Err(CloseReason::Stopping))?, answer))
}

/// Reads what the client shows: the first stream's bytes to its end.
async fn token(connection: &Connection) -> Result<(Box<[u8; SHOWN_BYTES]>, SendStream), CloseReason> {
    let (answer, mut stream) = connection.accept_bi().await.map_err(|_| CloseReason::Left)?;
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(0));
    let shown = stream.read_to_end(SHOWN_BYTES).await.map_err(|_| CloseReason::Malformed)?;
    let shown = <[u8; SHOWN_BYTES]>::try_from(shown).map_err(|_| CloseReason::Malformed)?;
    Ok((Box::new(shown), answer))
}

/// Waits until the largest packet of the link fits into one datagram.
async fn wide_enough(connection: &Connection) {
    while connection.max_datagram_size().is_some_and(|bytes| bytes < PACKET_BYTES_MAX) {
        tokio::time::sleep(WIDTH_EVERY).await;
    }
}

/// Tells the client that it is in, then hands its packets to the tick until it has gone.
async fn serve(shared: &Shared, entry: Entry, connection: &Connection, mut answer: SendStream) {
    let id = entry.connection;
    let mut admitted = [0; ADMITTED_BYTES];
    admitted[..4].copy_from_slice(&id.slot.to_le_bytes());
    admitted[4..].copy_from_slice(&entry.slots.to_le_bytes());
    let told = timeout(STEP_MAX, answer.write_all(&admitted)).await;
    if !matches!(told, Ok(Ok(()))) || answer.finish().is_err() {
        shared.end(id, Some(CloseReason::Left), Some(DisconnectReason::ByPeer));
        return;
    }
    let error = loop {
        match connection.read_datagram().await {
            Ok(packet) => shared.packet(id, &packet),
            Err(error) => break error,
        }
    };
    let (reason, why) = match error {
        ConnectionError::TimedOut => (Some(CloseReason::TimedOut), DisconnectReason::TimedOut),
        // It broke QUIC's rules, and QUIC has told it so.
        ConnectionError::TransportError(_) => (None, DisconnectReason::ByPeer),
        // Also if we closed it; then it has been taken out already.
        _ => (Some(CloseReason::Left), DisconnectReason::ByPeer),
    };
    shared.end(id, reason, Some(why));
}
