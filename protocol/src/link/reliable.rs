//! One ordered, reliable channel of small messages, carried by RELIABLE frames.
//!
//! ```text
//! body := sequence u32, kind u8, message
//! ```
//!
//! The sender keeps a message until a packet that carried it is acknowledged and sends it again when
//! that packet is lost. The receiver keeps what is early, at most [`RELIABLE_WINDOW`] ahead, and hands
//! messages out in order, each once.

use std::collections::VecDeque;

use crate::codec::{Reader, Truncated, Writer};
use crate::frame::{RawMessage, frame_header, kind};
use crate::limits::{FRAME_HEADER_BYTES, RELIABLE_BODY_BYTES_MAX, RELIABLE_QUEUE_MAX, RELIABLE_WINDOW};

/// Sequence and kind in front of a message's body.
const HEADER_BYTES: usize = 5;

/// Too many messages wait for their acknowledgement: the peer does not listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{RELIABLE_QUEUE_MAX} reliable messages wait for their acknowledgement")]
pub struct QueueFull;

/// Why a RELIABLE frame was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReliableError {
    /// It ends too early.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The message is longer than the bound.
    #[error("a reliable message of {0} bytes, {RELIABLE_BODY_BYTES_MAX} allowed")]
    TooLong(usize),
    /// Too far ahead of what is expected.
    #[error("reliable message {got}, {expected} expected: {RELIABLE_WINDOW} ahead are kept")]
    TooEarly {
        /// Its sequence.
        got: u32,
        /// The next in order.
        expected: u32,
    },
}

/// Messages that a probe says again at most.
const REPEATED_MAX: usize = 8;

#[derive(Debug)]
struct Pending {
    message: RawMessage,
    /// The newest packet that carried it; `None` when it has to be sent.
    carried_by: Option<u64>,
    acked: bool,
}

/// The sending half.
#[derive(Debug, Default)]
pub(super) struct Sender {
    /// Sequence of the front message.
    base: u32,
    queue: VecDeque<Pending>,
    unsent: usize,
}

impl Sender {
    pub fn push(&mut self, message: RawMessage) -> Result<(), QueueFull> {
        if self.queue.len() >= RELIABLE_QUEUE_MAX {
            return Err(QueueFull);
        }
        self.queue.push_back(Pending { message, carried_by: None, acked: false });
        self.unsent += 1;
        Ok(())
    }

    pub fn memory_bytes(&self) -> usize {
        self.queue.capacity() * size_of::<Pending>()
    }

    pub fn has_unsent(&self) -> bool {
        self.unsent > 0
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Writes what has to be sent into packet `number` as far as there is room; says whether anything
    /// was written.
    pub fn write(&mut self, number: u64, w: &mut Writer<'_>) -> bool {
        let before = self.unsent;
        for (index, pending) in self.queue.iter_mut().enumerate() {
            if self.unsent == 0 {
                break;
            }
            if pending.carried_by.is_some() || pending.acked {
                continue;
            }
            let body = pending.message.body();
            if w.room() < FRAME_HEADER_BYTES + HEADER_BYTES + body.len() {
                break;
            }
            w.bytes(&frame_header(kind::RELIABLE, HEADER_BYTES + body.len()));
            w.u32(self.base.wrapping_add(index as u32)).u8(pending.message.kind()).bytes(body);
            pending.carried_by = Some(number);
            self.unsent -= 1;
        }
        self.unsent < before
    }

    pub fn on_acked(&mut self, number: u64) {
        for pending in self.queue.iter_mut().filter(|p| p.carried_by == Some(number)) {
            pending.acked = true;
        }
        while self.queue.front().is_some_and(|p| p.acked) {
            self.queue.pop_front();
            self.base = self.base.wrapping_add(1);
        }
    }

    /// The oldest that were not acknowledged are said again: nothing has come back for so long that what carried
    /// them is probably lost, and a probe is to carry something worth having.
    pub fn repeat_oldest(&mut self) {
        for pending in self.queue.iter_mut().filter(|p| !p.acked).take(REPEATED_MAX) {
            self.unsent += usize::from(pending.carried_by.take().is_some());
        }
    }

    pub fn on_lost(&mut self, number: u64) {
        for pending in self.queue.iter_mut().filter(|p| p.carried_by == Some(number) && !p.acked) {
            pending.carried_by = None;
            self.unsent += 1;
        }
    }
}

/// The receiving half.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    expected: u32,
    /// Slot i is the message `expected + i`.
    early: VecDeque<Option<RawMessage>>,
    ready: VecDeque<RawMessage>,
}

impl Receiver {
    /// Checks a frame's body against the window without taking it.
    pub fn check(&self, body: &[u8]) -> Result<(), ReliableError> {
        self.parse(body).map(|_| ())
    }

    /// Takes a frame's body; says whether it was new.
    pub fn handle(&mut self, body: &[u8]) -> Result<bool, ReliableError> {
        let Some((ahead, message)) = self.parse(body)? else { return Ok(false) };
        if self.early.len() <= ahead {
            self.early.resize(ahead + 1, None);
        }
        let is_new = self.early[ahead].replace(message).is_none();
        while let Some(Some(message)) = self.early.front().copied() {
            self.early.pop_front();
            self.expected = self.expected.wrapping_add(1);
            self.ready.push_back(message);
        }
        Ok(is_new)
    }

    /// The next message in order.
    pub fn poll(&mut self) -> Option<RawMessage> {
        self.ready.pop_front()
    }

    pub fn is_drained(&self) -> bool {
        self.ready.is_empty()
    }

    /// The message and how far ahead of the expected one it is; `None` when it came before.
    fn parse(&self, body: &[u8]) -> Result<Option<(usize, RawMessage)>, ReliableError> {
        let mut r = Reader::new(body);
        let sequence = r.u32("reliable sequence")?;
        let kind = r.u8("reliable kind")?;
        let message = RawMessage::new(kind, r.rest()).ok_or(ReliableError::TooLong(r.rest().len()))?;
        let ahead = sequence.wrapping_sub(self.expected);
        if ahead < RELIABLE_WINDOW {
            return Ok(Some((ahead as usize, message)));
        }
        if ahead > u32::MAX / 2 {
            return Ok(None);
        }
        Err(ReliableError::TooEarly { got: sequence, expected: self.expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: u8) -> RawMessage {
        RawMessage::new(4, &[n]).unwrap()
    }

    fn body(sequence: u32, n: u8) -> Vec<u8> {
        [&sequence.to_le_bytes()[..], &[4, n]].concat()
    }

    #[test]
    fn messages_come_out_in_order_and_once() {
        let mut receiver = Receiver::default();
        assert_eq!(receiver.handle(&body(1, 11)), Ok(true));
        assert_eq!(receiver.poll(), None);
        assert_eq!(receiver.handle(&body(0, 10)), Ok(true));
        assert_eq!(receiver.handle(&body(0, 10)), Ok(false));
        assert_eq!((receiver.poll(), receiver.poll()), (Some(message(10)), Some(message(11))));
        assert!(receiver.is_drained());
    }

    #[test]
    fn the_window_is_bounded_and_wraps() {
        let mut receiver = Receiver { expected: u32::MAX, ..Receiver::default() };
        assert_eq!(receiver.handle(&body(0, 1)), Ok(true));
        assert_eq!(receiver.handle(&body(u32::MAX, 0)), Ok(true));
        assert_eq!(receiver.expected, 1);
        let error = receiver.handle(&body(1 + RELIABLE_WINDOW, 0)).unwrap_err();
        assert_eq!(error, ReliableError::TooEarly { got: 513, expected: 1 });
    }

    #[test]
    fn a_lost_packets_messages_are_sent_again() {
        let mut sender = Sender::default();
        let mut buffer = [0; 100];
        sender.push(message(1)).unwrap();
        sender.push(message(2)).unwrap();
        assert!(sender.write(0, &mut Writer::new(&mut buffer)));
        assert_eq!(buffer[..9], [kind::RELIABLE, 6, 0, 0, 0, 0, 0, 4, 1]);
        assert!(!sender.write(1, &mut Writer::new(&mut buffer)));
        sender.on_lost(0);
        assert!(sender.has_unsent() && sender.write(2, &mut Writer::new(&mut buffer)));
        sender.on_acked(2);
        assert!(sender.is_empty());
    }

    #[test]
    fn a_full_queue_says_so() {
        let mut sender = Sender::default();
        for _ in 0..RELIABLE_QUEUE_MAX {
            sender.push(message(0)).unwrap();
        }
        assert_eq!(sender.push(message(0)), Err(QueueFull));
    }
}
