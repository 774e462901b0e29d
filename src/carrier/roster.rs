//! The roster: who has which slot, whatever carrier brought it.
//!
//! The first UDP thread keeps it, since the connection layer's way in lives there: slots, client ids, used tokens and the
//! bound on clients are one table without a lock. Another carrier asks over a [`Door`] and is answered at
//! once; what it reports is told to the tick from here, so that comings and goings of one slot have one
//! order.
//!
//! ```text
//!   QUIC thread --- Ask: what a client shows ----------> UDP thread ---> tick: connected
//!               <-- a slot, or why not -----------------
//!               --- Release: it has gone --------------->            ---> tick: disconnected
//!               <-- evicted: the client came again ------
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use ninefold_protocol::connection::{CloseReason, DisconnectReason, SHOWN_BYTES};
use ninefold_protocol::time::Duration;
use tokio::sync::{mpsc, oneshot};

use super::doorbell::Doorbell;
use super::{Carrier, ConnectionId};

/// What another carrier asks of the roster.
#[derive(Debug)]
pub(super) enum Order {
    /// Let a client in.
    Admit(Ask),
    /// A client that was let in has gone, or never heard that it was let in.
    Release(ConnectionId, DisconnectReason),
}

/// A client that wants to come in.
#[derive(Debug)]
pub(super) struct Ask {
    /// Where it is.
    pub from: SocketAddr,
    /// What it shows.
    pub shown: Box<[u8; SHOWN_BYTES]>,
    /// Who waits for the answer.
    pub answer: oneshot::Sender<Result<Entry, CloseReason>>,
}

/// A client that is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its session.
    pub connection: ConnectionId,
    /// Slots that there are.
    pub slots: u32,
    /// Silence that ends its session.
    pub timeout: Option<Duration>,
}

/// Where another carrier asks.
#[derive(Debug)]
pub struct Door {
    orders: Sender<Order>,
    doorbell: Arc<Doorbell>,
    evicted: Option<Evicted>,
}

/// Clients that have to make way; their slots are not theirs any more.
pub(super) type Evicted = mpsc::UnboundedReceiver<ConnectionId>;

/// The roster's side of it.
#[derive(Debug)]
pub struct Desk {
    orders: Receiver<Order>,
    evicted: mpsc::UnboundedSender<ConnectionId>,
}

/// The two sides. `orders_max` is how many clients the carrier can have at once, on their way in included:
/// each of them has one order under way at most.
pub(super) fn open(orders_max: usize, doorbell: Arc<Doorbell>) -> (Door, Desk) {
    let (orders_in, orders_out) = bounded(orders_max);
    // Each session is evicted once at most, so that there are never more than sessions.
    let (evicted_in, evicted_out) = mpsc::unbounded_channel();
    let door = Door { orders: orders_in, doorbell, evicted: Some(evicted_out) };
    (door, Desk { orders: orders_out, evicted: evicted_in })
}

impl Door {
    /// Asks for a client to be let in.
    pub(super) fn ask(
        &self,
        from: SocketAddr,
        shown: Box<[u8; SHOWN_BYTES]>,
    ) -> oneshot::Receiver<Result<Entry, CloseReason>> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Admit(Ask { from, shown, answer }));
        answered
    }

    /// Says that a client has gone.
    pub(super) fn release(&self, connection: ConnectionId, reason: DisconnectReason) {
        self.order(Order::Release(connection, reason));
    }

    /// Who has to make way. There is one to listen.
    pub(super) fn take_evicted(&mut self) -> Option<Evicted> {
        self.evicted.take()
    }

    fn order(&self, order: Order) {
        match self.orders.try_send(order) {
            Ok(()) => self.doorbell.ring(),
            // The roster's thread has ended, and all sessions with it.
            Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(order)) => debug_assert!(false, "more orders than clients: {order:?}"),
        }
    }
}

/// How often each slot was used, and whose it is.
#[derive(Debug, Default)]
pub struct Generations(Vec<ConnectionId>);

impl Generations {
    /// A new session in this slot.
    pub fn enter(&mut self, slot: u32, carrier: Carrier) -> ConnectionId {
        let index = slot as usize;
        for slot in self.0.len()..=index {
            self.0.push(ConnectionId { slot: slot as u32, generation: 0, carrier });
        }
        let connection = &mut self.0[index];
        connection.generation = connection.generation.wrapping_add(1);
        connection.carrier = carrier;
        *connection
    }

    /// Another thread says that this is the session in its slot.
    pub fn adopt(&mut self, connection: ConnectionId) {
        self.enter(connection.slot, connection.carrier);
        self.0[connection.slot as usize] = connection;
    }

    /// The last session in this slot.
    pub fn current(&self, slot: u32) -> ConnectionId {
        self.0[slot as usize]
    }

    /// Whether this is the last session in its slot.
    pub fn is_current(&self, connection: ConnectionId) -> bool {
        self.0.get(connection.slot as usize) == Some(&connection)
    }
}

impl Desk {
    /// The next order.
    pub(super) fn take(&self) -> Option<Order> {
        self.orders.try_recv().ok()
    }

    /// Orders that wait.
    pub(super) fn waiting(&self) -> usize {
        self.orders.len()
    }

    /// Tells the carrier that a client has to make way.
    pub(super) fn evict(&self, connection: ConnectionId) {
        // Without a carrier there is nobody to tell.
        let _ = self.evicted.send(connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_used_again_is_another_session_even_on_another_carrier() {
        let mut generations = Generations::default();
        let first = generations.enter(2, Carrier::Udp);
        assert!(generations.is_current(first));
        let second = generations.enter(2, Carrier::Quic);
        assert!(generations.is_current(second) && !generations.is_current(first));
        assert_eq!((first.generation, second.generation), (1, 2));
        assert_eq!(generations.current(2), second);
        let other = ConnectionId { carrier: Carrier::Udp, ..second };
        assert!(!generations.is_current(other));
    }
}
