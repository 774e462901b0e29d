//! [`Incoming`]: which packets came, and the acknowledgement that is owed for them.

use super::ack::{AckRanges, Received};
use crate::codec::Writer;
use crate::frame::{frame_header, kind};
use crate::limits::{ACK_BYTES_MIN, FRAME_HEADER_BYTES};
use crate::time::{Duration, Instant};

/// Packets with nothing but inputs are acknowledged this late, unless a packet goes out anyway: a client that stands
/// still sends sixty a second, and an answer to each would be most of what it is sent.
const INPUT_ACK_DELAY: Duration = Duration::from_ms(250);

/// How soon a packet wants to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Eliciting {
    /// It has nothing but acknowledgements in it.
    No,
    /// It has inputs in it, which the snapshots confirm: within [`INPUT_ACK_DELAY`].
    Later,
    /// With the next packet.
    Now,
}

/// What came.
#[derive(Debug)]
pub(super) struct Incoming {
    numbers: AckRanges,
    largest_at: Instant,
    /// Something came that no acknowledgement of ours has told of.
    has_news: bool,
    /// Something came that wants to be acknowledged.
    is_due: bool,
    /// When that is so of what can wait.
    due_at: Option<Instant>,
}

impl Incoming {
    pub fn new(now: Instant) -> Self {
        Incoming {
            numbers: AckRanges::default(),
            largest_at: now,
            has_news: false,
            is_due: false,
            due_at: None,
        }
    }

    pub fn largest(&self) -> Option<u64> {
        self.numbers.largest()
    }

    /// Takes one packet's number.
    pub fn take(&mut self, now: Instant, number: u64, eliciting: Eliciting) -> Received {
        if self.numbers.insert(number) == Received::Duplicate {
            return Received::Duplicate;
        }
        self.has_news = true;
        match eliciting {
            Eliciting::No => {}
            Eliciting::Later => {
                self.due_at.get_or_insert(now + INPUT_ACK_DELAY);
            }
            Eliciting::Now => self.is_due = true,
        }
        if self.largest() == Some(number) {
            self.largest_at = now;
        }
        Received::New
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.is_due |= self.due_at.is_some_and(|at| at <= now);
    }

    /// Whether an acknowledgement should not wait for anything else to be sent.
    pub fn is_due(&self) -> bool {
        self.is_due
    }

    /// Bytes that [`Incoming::write`] takes at most.
    pub fn frame_bytes(&self) -> usize {
        if self.has_news { FRAME_HEADER_BYTES + self.numbers.body_bytes() } else { 0 }
    }

    /// Writes the acknowledgement, if there is something new to tell. Says below which number it told everything that is
    /// remembered.
    pub fn write(&self, now: Instant, writer: &mut Writer<'_>) -> Option<u64> {
        let largest = self.largest().filter(|_| self.has_news)?;
        let body_bytes = self.numbers.body_bytes();
        debug_assert!(FRAME_HEADER_BYTES + body_bytes <= writer.room(), "it comes first in its packet");
        writer.bytes(&frame_header(kind::ACK, body_bytes));
        let start = writer.written();
        self.numbers.write(now.since(self.largest_at), writer);
        // Ranges too long for their fields end the list early: the rest of the body is not written.
        let written = writer.written() - start;
        debug_assert!((ACK_BYTES_MIN..=body_bytes).contains(&written));
        if written < body_bytes {
            writer.patch(start - FRAME_HEADER_BYTES, &frame_header(kind::ACK, written));
        }
        Some(largest + 1)
    }

    /// A packet with the acknowledgement leaves.
    pub fn on_told(&mut self) {
        self.has_news = false;
        self.is_due = false;
        self.due_at = None;
    }

    /// The peer knows of everything below this number.
    pub fn forget_below(&mut self, number: u64) {
        self.numbers.forget_below(number);
    }
}
