//! The link between an honest peer and somebody who says anything in its name.

use std::collections::BTreeSet;

use ninefold_fuzz::{Record, records, target};

use super::at;
use crate::frame::Message;
use crate::limits::{FRAME_HEADER_BYTES, PACKET_BYTES_MAX, RELIABLE_QUEUE_MAX, SENT_PACKETS_MAX};
use crate::link::{Link, Outcome};

target! {
    /// No panic, bounded memory, and each token told of at most once.
    a_link_stands_whatever_is_said(Script, 1_200) |script: &[u8]| {
        let mut line = Line::new();
        records(script).for_each(|record| line.step(record));
    }
}

/// The link that is tried, and its peer.
struct Line {
    own: Link<u32>,
    peer: Link<u32>,
    now_ms: u64,
    /// The next token.
    token: u32,
    told: BTreeSet<u32>,
}

impl Line {
    fn new() -> Line {
        Line { own: Link::new(at(0)), peer: Link::new(at(0)), now_ms: 0, token: 0, told: BTreeSet::new() }
    }

    fn step(&mut self, record: Record<'_>) {
        let Record { what, body } = record;
        let now = at(self.now_ms);
        match what % 8 {
            0 => {
                self.now_ms += u64::from(body.first().copied().unwrap_or(4)) * 4;
                self.own.handle_timeout(at(self.now_ms));
                self.peer.handle_timeout(at(self.now_ms));
            }
            // A packet with a message arrives, or is lost.
            1 | 2 => {
                // A full queue is the owner's to see.
                let _ = self.own.send_message(&Message::ChunkEnter { cx: self.token as i32, cz: 0 });
                let packet = say(&mut self.own, self.now_ms, Some(self.token), 0x7f, body);
                self.token += 1;
                if what % 8 == 1
                    && let Ok(frames) = self.peer.handle_packet(now, &packet)
                {
                    frames.for_each(drop);
                }
            }
            3 => {
                let _ = self.peer.send_message(&Message::ChunkEnter { cx: 0, cz: self.now_ms as i32 });
                let packet = say(&mut self.peer, self.now_ms, None, 0x7f, &[]);
                self.hear(&packet);
            }
            4 => {
                let mut packet = say(&mut self.peer, self.now_ms, None, 0x7f, &[1, 2, 3]);
                for edit in body.chunks_exact(2) {
                    let length = packet.len().max(1);
                    packet
                        .get_mut(usize::from(edit[0]) % length)
                        .into_iter()
                        .for_each(|byte| *byte ^= edit[1]);
                }
                self.hear(&packet);
            }
            5 => {
                let (kind, body) = body.split_first().unwrap_or((&0, &[]));
                let packet = say(&mut self.peer, self.now_ms, None, *kind, body);
                self.hear(&packet);
            }
            6 => _ = say(&mut self.peer, self.now_ms, None, 0x7f, body),
            _ => self.hear(body),
        }
        self.check();
    }

    fn hear(&mut self, packet: &[u8]) {
        if let Ok(frames) = self.own.handle_packet(at(self.now_ms), packet) {
            let bytes: usize = frames.map(|(_, body)| body.len()).sum();
            assert!(bytes <= packet.len(), "frames are slices of their packet");
        }
    }

    fn check(&mut self) {
        let heard = std::iter::from_fn(|| self.own.poll_message()).count();
        assert!(heard <= RELIABLE_QUEUE_MAX, "{heard} messages waited");
        while self.peer.poll_message().is_some() {}
        while let Some(outcome) = self.own.poll_outcome() {
            let (Outcome::Acked(token) | Outcome::Lost(token)) = outcome;
            assert!(token < self.token, "token {token} was never sent");
            assert!(self.told.insert(token), "token {token} was told of twice");
        }
        assert!(self.own.packets_in_flight() <= SENT_PACKETS_MAX);
        assert!(self.own.bytes_in_flight() <= SENT_PACKETS_MAX * PACKET_BYTES_MAX);
        let stats = self.own.stats();
        assert!(stats.packets_acked + stats.packets_lost <= stats.packets_sent, "{stats:?}");
        assert!(self.own.loss_permille() <= 1_000);
    }
}

/// A packet with a frame, unless messages leave no room for one; empty if there is nothing to say.
fn say(link: &mut Link<u32>, now_ms: u64, token: Option<u32>, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut buffer = [0xa5; PACKET_BYTES_MAX];
    let mut packet = link.packet(at(now_ms), &mut buffer);
    let room = packet.room().saturating_sub(FRAME_HEADER_BYTES);
    let body = &body[..body.len().min(room)];
    if packet.fits(body.len()) {
        packet.push(kind, &[body]);
    }
    if let Some(token) = token {
        packet.token(token);
    }
    packet.finish().map_or(Vec::new(), |built| buffer[..built.head_bytes].to_vec())
}
