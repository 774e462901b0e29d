//! What the tick hands a carrier to be sealed and sent.
//!
//! A chunk's fragments follow each other: their heads differ in two numbers, and their payloads lie side by side in the
//! chunk's bytes, which all clients share. So a run of them is one record, and takes its share in those bytes once.

use bytes::Bytes;
use ninefold_protocol::limits::FRAGMENT_PAYLOAD_BYTES;
use ninefold_protocol::time::Instant;

use super::ConnectionId;

/// Packets of one client that leave one behind the other. Their heads, equally long, ride in the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packets {
    /// Whose.
    pub connection: ConnectionId,
    /// When they are to leave: UDP keeps to it within about a millisecond. What rides with QUIC, which paces by
    /// itself, leaves at once.
    pub at: Instant,
    /// How many, at least 1.
    pub count: u16,
    /// Bytes shared with other packets; copied once, into the sealed ones. Each has
    /// [`FRAGMENT_PAYLOAD_BYTES`] of them behind its head, the last one what is left.
    pub tail: Bytes,
}

impl Packets {
    /// One packet.
    pub fn one(connection: ConnectionId, at: Instant, tail: Bytes) -> Self {
        Packets { connection, at, count: 1, tail }
    }

    /// Each packet: its head, which is a part of `heads`, and what follows it.
    pub fn each<'p>(&'p self, heads: &'p [u8]) -> impl Iterator<Item = [&'p [u8]; 2]> {
        let count = usize::from(self.count);
        let head_bytes = heads.len() / count.max(1);
        (0..count).map(move |n| {
            let head = &heads[n * head_bytes..][..head_bytes];
            let rest = &self.tail[n * FRAGMENT_PAYLOAD_BYTES..];
            let is_last = n + 1 == count;
            [head, if is_last { rest } else { &rest[..FRAGMENT_PAYLOAD_BYTES] }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::Carrier;
    use proptest::prelude::*;

    const ME: ConnectionId = ConnectionId { slot: 1, generation: 1, carrier: Carrier::Udp };

    #[test]
    fn one_packet_has_all_of_both_parts_however_long() {
        let tail = Bytes::from(vec![7; 3 * FRAGMENT_PAYLOAD_BYTES]);
        let one = Packets::one(ME, Instant::ZERO, tail.clone());
        assert_eq!(one.each(b"head").collect::<Vec<_>>(), [[b"head", &tail[..]]]);
        let bare = Packets::one(ME, Instant::ZERO, Bytes::new());
        assert_eq!(bare.each(b"head").collect::<Vec<_>>(), [[&b"head"[..], b""]]);
    }

    proptest! {
        #[test]
        fn a_run_comes_apart_into_what_was_put_together(
            count in 1u16..30,
            head_bytes in 1usize..60,
            last in 1..=FRAGMENT_PAYLOAD_BYTES,
        ) {
            let heads: Vec<Vec<u8>> = (0..count).map(|n| vec![n as u8; head_bytes]).collect();
            let payload_bytes = |n| if n + 1 == count { last } else { FRAGMENT_PAYLOAD_BYTES };
            let payloads: Vec<Vec<u8>> = (0..count).map(|n| vec![!n as u8; payload_bytes(n)]).collect();
            let run = Packets { connection: ME, at: Instant::ZERO, count, tail: payloads.concat().into() };
            let heads_together = heads.concat();
            let each: Vec<_> = run.each(&heads_together).collect();
            prop_assert_eq!(each.len(), usize::from(count));
            for (n, [head, payload]) in each.into_iter().enumerate() {
                prop_assert_eq!((head, payload), (&heads[n][..], &payloads[n][..]));
            }
        }
    }
}
