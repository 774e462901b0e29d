//! A packet while it is written.

use super::endpoint::Link;
use super::sent::Sent;
use crate::codec::Writer;
use crate::frame::{frame_header, kind};
use crate::limits::{FRAME_HEADER_BYTES, PACKET_BYTES_MAX};
use crate::time::Instant;

/// Writes one packet: the link's own frames first (acknowledgement, reliable messages), then the
/// owner's. Made by [`Link::packet`] or [`Link::bare_packet`], ended by [`PacketBuilder::finish`].
#[derive(Debug)]
#[must_use = "a packet is sent only when it is finished"]
pub struct PacketBuilder<'l, 'b, T> {
    link: &'l mut Link<T>,
    now: Instant,
    writer: Writer<'b>,
    sent: Sent<T>,
    /// Bytes that the carrier will append to what is written here.
    tail_bytes: usize,
}

/// A finished packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Built {
    /// Bytes at the front of the buffer.
    pub head_bytes: usize,
    /// Bytes of the tail that the owner promised in [`PacketBuilder::push_with_tail`].
    pub tail_bytes: usize,
}

impl<'l, 'b, T> PacketBuilder<'l, 'b, T> {
    /// Nothing but the header.
    pub(super) fn new(link: &'l mut Link<T>, now: Instant, buffer: &'b mut [u8]) -> Self {
        assert!(buffer.len() >= PACKET_BYTES_MAX, "a packet needs a buffer of {PACKET_BYTES_MAX} bytes");
        let mut writer = Writer::new(&mut buffer[..PACKET_BYTES_MAX]);
        writer.u32(link.outgoing.sent.next_number() as u32);
        PacketBuilder { link, now, writer, sent: Sent::new(now), tail_bytes: 0 }
    }

    /// What the link itself has to say.
    pub(super) fn with_links_own(mut self) -> Self {
        let PacketBuilder { link, now, writer, sent, .. } = &mut self;
        sent.acks_below = link.incoming.write(*now, writer).unwrap_or(0);
        sent.reliable = link.outgoing.outbox.write(link.outgoing.sent.next_number(), writer);
        sent.eliciting = sent.reliable;
        self
    }

    /// Bytes that still fit, frame header included.
    pub fn room(&self) -> usize {
        self.writer.room() - self.tail_bytes
    }

    /// Whether a body of this many bytes fits.
    pub fn fits(&self, body_bytes: usize) -> bool {
        self.tail_bytes == 0 && self.room() >= FRAME_HEADER_BYTES + body_bytes
    }

    /// Appends a frame whose body is `parts`, one after the other.
    ///
    /// # Panics
    /// When it does not fit: ask [`PacketBuilder::fits`] first.
    pub fn push(&mut self, kind: u8, parts: &[&[u8]]) -> &mut Self {
        let body_bytes = parts.iter().map(|p| p.len()).sum();
        assert!(self.fits(body_bytes), "{body_bytes} bytes into {} of room", self.room());
        self.writer.bytes(&frame_header(kind, body_bytes));
        for part in parts {
            self.writer.bytes(part);
        }
        self.sent.eliciting = true;
        self
    }

    /// Appends the last frame, of which only `head` is written here; the carrier puts the shared
    /// `tail_bytes` bytes behind it.
    ///
    /// # Panics
    /// When it does not fit.
    pub fn push_with_tail(&mut self, kind: u8, head: &[u8], tail_bytes: usize) -> &mut Self {
        let body_bytes = head.len() + tail_bytes;
        assert!(self.fits(body_bytes), "{body_bytes} bytes into {} of room", self.room());
        self.writer.bytes(&frame_header(kind, body_bytes)).bytes(head);
        self.tail_bytes = tail_bytes;
        self.sent.eliciting = true;
        self
    }

    /// Says what the packet carries, to be told whether it arrived. The last word counts.
    pub fn token(&mut self, token: T) -> &mut Self {
        self.sent.token = Some(token);
        self
    }

    /// Ends the packet; `None` when there is nothing in it, and then nothing happened.
    pub fn finish(mut self) -> Option<Built> {
        if self.link.outgoing.probe_due && !self.sent.eliciting && self.fits(0) {
            self.push(kind::PING, &[]);
        }
        if !self.sent.eliciting && self.sent.acks_below == 0 {
            return None;
        }
        let built = Built { head_bytes: self.writer.written(), tail_bytes: self.tail_bytes };
        self.sent.bytes = (built.head_bytes + built.tail_bytes) as u16;
        self.link.on_sent(self.now, self.sent);
        Some(built)
    }
}
