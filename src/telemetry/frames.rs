//! Frames and their bytes by type, both ways.

use ninefold_protocol::frame::{Frames, kind};
use ninefold_protocol::limits::{FRAGMENT_HEADER_BYTES, FRAME_HEADER_BYTES, PACKET_HEADER_BYTES};

/// What packets are made of, with the names that are told. A frame of a type that is not here counts as "other".
const NAMES: [&str; 9] =
    ["header", "ack", "reliable", "ping", "fragment", "inputs", "snapshot", "event", "other"];
const HEADER: usize = 0;
const OTHER: usize = NAMES.len() - 1;

/// Frames of each type, one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameCounts {
    frames: [u64; NAMES.len()],
    bytes: [u64; NAMES.len()],
}

/// Frames both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FramesBothWays {
    /// From clients.
    pub arrived: FrameCounts,
    /// To clients.
    pub sent: FrameCounts,
}

impl FramesBothWays {
    pub(super) fn add(&mut self, more: &FramesBothWays) {
        self.arrived.add(&more.arrived);
        self.sent.add(&more.sent);
    }
}

const fn place(kind: u8) -> usize {
    match kind {
        kind::ACK => 1,
        kind::RELIABLE => 2,
        kind::PING => 3,
        kind::FRAGMENT => 4,
        kind::INPUTS => 5,
        kind::SNAPSHOT => 6,
        kind::EVENT => 7,
        _ => OTHER,
    }
}

impl FrameCounts {
    /// Counts a packet and its frames.
    pub fn packet(&mut self, packet: &[u8]) {
        self.frames[HEADER] += 1;
        self.bytes[HEADER] += PACKET_HEADER_BYTES as u64;
        for (kind, body) in Frames::new(packet.get(PACKET_HEADER_BYTES..).unwrap_or_default()).flatten() {
            self.frame(kind, body.len());
        }
    }

    /// Counts a packet of which only the head is here; so many bytes behind it are the rest of a fragment's frame.
    pub fn packet_with_tail(&mut self, head: &[u8], tail_bytes: usize) {
        self.packet(head);
        if tail_bytes > 0 {
            self.frame(kind::FRAGMENT, FRAGMENT_HEADER_BYTES + tail_bytes);
        }
    }

    /// Counts a packet with nothing in it but a fragment whose body has so many bytes.
    pub fn fragment_packet(&mut self, body_bytes: usize) {
        self.frames[HEADER] += 1;
        self.bytes[HEADER] += PACKET_HEADER_BYTES as u64;
        self.frame(kind::FRAGMENT, body_bytes);
    }

    fn add(&mut self, more: &FrameCounts) {
        self.frames.iter_mut().zip(more.frames).for_each(|(sum, more)| *sum += more);
        self.bytes.iter_mut().zip(more.bytes).for_each(|(sum, more)| *sum += more);
    }

    fn frame(&mut self, kind: u8, body_bytes: usize) {
        let place = place(kind);
        self.frames[place] += 1;
        self.bytes[place] += (FRAME_HEADER_BYTES + body_bytes) as u64;
    }

    /// Every type's name, frames and bytes.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let FrameCounts { frames, bytes } = *self;
        NAMES
            .into_iter()
            .zip(frames.into_iter().zip(bytes))
            .map(|(name, (frames, bytes))| (name, frames, bytes))
    }

    /// Bytes of all types.
    pub fn bytes(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_protocol::frame::frame_header;

    #[test]
    fn every_byte_of_a_packet_is_some_frames() {
        let mut packet = vec![1, 0, 0, 0];
        for (kind, length) in [(kind::ACK, 9), (kind::RELIABLE, 20), (kind::SNAPSHOT, 100), (0xee, 2)] {
            packet.extend_from_slice(&frame_header(kind, length));
            packet.resize(packet.len() + length, 0);
        }
        let mut counts = FrameCounts::default();
        counts.packet(&packet);
        // The same, and the head of a fragment behind it.
        let mut with_tail = packet.clone();
        with_tail.extend_from_slice(&frame_header(kind::FRAGMENT, 29 + 1_000));
        with_tail.resize(with_tail.len() + 29, 0);
        counts.packet_with_tail(&with_tail, 1_000);
        counts.fragment_packet(29 + 1_000);
        assert_eq!(counts.bytes(), (packet.len() + with_tail.len()) as u64 + 1_000 + 1_036);
        let told: Vec<_> = counts.each().filter(|(_, frames, _)| *frames > 0).collect();
        let expected = [
            ("header", 3, 12),
            ("ack", 2, 24),
            ("reliable", 2, 46),
            ("fragment", 2, 2_064),
            ("snapshot", 2, 206),
            ("other", 2, 10),
        ];
        assert_eq!(told, expected);
    }
}
