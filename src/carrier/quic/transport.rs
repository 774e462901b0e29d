//! What a connection may cost, in numbers: windows, buffers, times.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration as StdDuration;

use ninefold_protocol::connection::SHOWN_BYTES;
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use quinn::congestion::ControllerFactory;
use quinn::{IdleTimeout, QlogConfig, TransportConfig, VarInt};

/// UDP payload that every path must carry: what IPv6 promises (1,280 bytes less 40 and 8). NETCODE's
/// largest datagram has 1,225, so that UDP asks no less. Below this, black holes are not looked for.
const MTU_MIN: u16 = 1_232;
/// What QUIC adds to a datagram at most, beside the receiver's connection id: flags, packet number, tag,
/// frame type and length as quinn reckons them.
const OVERHEAD_BYTES: usize = 1 + 4 + 16 + 9;
/// A connection without anything from the peer for so long is gone, whatever its token says: a token
/// without a timeout must not keep a slot for ever.
const IDLE_MAX: StdDuration = StdDuration::from_secs(60);
/// Who has nothing to send says so this often.
const KEEP_ALIVE: StdDuration = StdDuration::from_secs(1);
/// The round trip before one is known. A third of it is what most clients have; what is lost on the way in
/// is sent again after three of these.
pub(super) const INITIAL_RTT: StdDuration = StdDuration::from_millis(150);
/// Bytes of packets that wait to be sent to one client, with what quinn keeps for each; beyond, the oldest
/// is dropped. One tick's worth at the highest rate: 64 fragments, 8 of neighbours, and what else there is.
pub(super) const SEND_BUFFER_BYTES: usize = 128 << 10;
/// Bytes that quinn keeps beside each waiting datagram.
pub(super) const RECORD_BYTES: usize = 32;
/// Packets that surely fit into the send buffer, less a dozen for what is no fragment.
pub(super) const ROOM_PACKETS_MAX: u32 = (SEND_BUFFER_BYTES / (PACKET_BYTES_MAX + RECORD_BYTES)) as u32 - 12;
/// Bytes of packets of one client that wait to be read; beyond, the oldest is dropped.
const RECEIVE_BUFFER_BYTES: usize = 64 << 10;
/// Connections of which a qlog is written, from the first on: a switch that was forgotten fills no disk.
const QLOGS_MAX: u32 = 64;

const _: () = assert!(MTU_MIN as usize - OVERHEAD_BYTES - 2 >= PACKET_BYTES_MAX, "with ids of two bytes");

/// The transport of one connection.
pub(super) fn transport(congestion: Congestion) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(IDLE_MAX).expect("a minute is less than 2^62 ms");
    transport
        // One stream for the token, and never another.
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(2 * SHOWN_BYTES as u32))
        .receive_window(VarInt::from_u32(2 * SHOWN_BYTES as u32))
        .send_window(SHOWN_BYTES as u64)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .datagram_receive_buffer_size(Some(RECEIVE_BUFFER_BYTES))
        .datagram_send_buffer_size(SEND_BUFFER_BYTES)
        .initial_rtt(INITIAL_RTT)
        .initial_mtu(MTU_MIN)
        .min_mtu(MTU_MIN)
        .congestion_controller_factory(congestion);
    transport
}

/// What makes congestion controllers.
pub(super) type Congestion = Arc<dyn ControllerFactory + Send + Sync>;

/// Where qlogs go.
pub(super) struct Qlogs {
    folder: PathBuf,
    congestion: Congestion,
    written: u32,
}

impl Qlogs {
    /// Into this folder.
    pub fn to(folder: &Path, congestion: Congestion) -> Self {
        Qlogs { folder: folder.to_owned(), congestion, written: 0 }
    }

    /// A transport that writes its qlog into a file of its own; `None` when there are enough of them.
    pub fn next(&mut self) -> Option<io::Result<TransportConfig>> {
        if self.written >= QLOGS_MAX {
            return None;
        }
        self.written += 1;
        let path = self.folder.join(format!("connection-{:03}.sqlog", self.written));
        Some(File::create(path).map(|file| {
            let mut qlog = QlogConfig::default();
            qlog.writer(Box::new(BufWriter::new(file))).title(Some("ninefold".into()));
            let mut transport = transport(Arc::clone(&self.congestion));
            transport.qlog_stream(qlog.into_stream());
            transport
        }))
    }
}

/// What a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    /// Bytes that wait in front of it now.
    pub queued: usize,
    /// Bytes of those that waited a tick ago already.
    pub left_over: usize,
    /// Bytes that left in the last tick.
    pub drained: usize,
    /// Bytes that may be on their way.
    pub window: u64,
    /// The round trip, microseconds.
    pub rtt_us: u64,
}

/// Chunk fragments that a client should get in the next tick, so that no more waits in front of its line
/// than it takes in one tick.
pub(super) fn room(flow: Flow, tick_us: u64) -> u32 {
    let by_window = flow.window.saturating_mul(tick_us) / flow.rtt_us.max(1);
    // Where something is left over, the line took all that it can, and a window says nothing of one that
    // stands still.
    let a_tick = if flow.left_over > 0 { by_window.min(flow.drained as u64) } else { by_window };
    let a_tick = a_tick.min(SEND_BUFFER_BYTES as u64);
    // What waits now leaves during the tick that passes until the room is used.
    let left_over = (flow.queued as u64).saturating_sub(a_tick);
    let packet_bytes = (PACKET_BYTES_MAX + RECORD_BYTES) as u64;
    let packets = a_tick.saturating_sub(left_over) / packet_bytes;
    // The slowest line still gets one when its last has left.
    let least = u64::from((flow.queued as u64) < packet_bytes);
    packets.max(least).min(u64::from(ROOM_PACKETS_MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_one_tick_of_the_window_less_what_is_left_over() {
        const TICK_US: u64 = 16_667;
        let near = Flow { queued: 0, left_over: 0, drained: 0, window: 40_000, rtt_us: 300 };
        // 60 KB in 100 ms are 10 KB a tick, eight packets.
        let far = Flow { window: 60_000, rtt_us: 100_000, ..near };
        let thin = Flow { window: 2_464, rtt_us: 1_000_000, ..near };
        for (what, flow, expected) in [
            ("a window many times a tick", near, ROOM_PACKETS_MAX),
            (
                "the same with a tick's packets just written",
                Flow { queued: 100_000, ..near },
                ROOM_PACKETS_MAX,
            ),
            ("a few windows a second", far, 8),
            ("a tick of it waits", Flow { queued: 10_000, ..far }, 8),
            ("half a tick too much", Flow { queued: 15_000, ..far }, 4),
            ("a tick too much", Flow { queued: 20_100, ..far }, 0),
            (
                "more than it can ever take",
                Flow { queued: 90_000, left_over: 80_000, drained: 10_000, ..far },
                0,
            ),
            ("a near line that stands still", Flow { queued: 5_000, left_over: 5_000, ..near }, 0),
            ("it moves again", Flow { queued: 5_000, left_over: 5_000, drained: 20_000, ..near }, 16),
            ("the slowest", thin, 1),
            ("the slowest, busy", Flow { queued: 2_464, ..thin }, 0),
            ("no round trip known", Flow { rtt_us: 0, ..thin }, ROOM_PACKETS_MAX),
        ] {
            assert_eq!(room(flow, TICK_US), expected, "{what}");
        }
    }

    #[test]
    fn a_full_room_fits_into_the_send_buffer() {
        let bytes = (ROOM_PACKETS_MAX as usize + 12) * (PACKET_BYTES_MAX + RECORD_BYTES);
        assert!(bytes <= SEND_BUFFER_BYTES && ROOM_PACKETS_MAX >= 72);
    }
}
