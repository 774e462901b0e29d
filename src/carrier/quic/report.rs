//! What the QUIC carrier did.

use ninefold_protocol::connection::CloseReason;
use quinn::{ConnectionStats, UdpStats};

macro_rules! report {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// What the carrier did. Tokens are counted by the connection layer, for all carriers together.
        #[derive(Debug, Clone, Copy, Default)]
        pub struct QuicReport {
            $($(#[doc = $doc])+ pub $name: u64,)*
            /// CPU time of the thread, nanoseconds.
            pub cpu_ns: u64,
        }

        impl QuicReport {
            /// Every count with its name, in the order in which they are told.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

report! {
    /// Connections that somebody began.
    connections,
    /// Those that were told to come back with proof of their address, as many were under way.
    retries,
    /// Those refused because too many were under way.
    handshakes_over_limit,
    /// Those not answered because too many began in a while.
    handshakes_over_rate,
    /// Those not answered because too many began from one network.
    handshakes_network_over_rate,
    /// Those that failed: no TLS 1.3, no protocol in common, or silence.
    handshakes_failed,
    /// Clients that did not show a token in time, or something that is none.
    tokens_not_shown,
    /// Clients whose token was refused.
    tokens_refused,
    /// Clients refused because they take no datagrams.
    no_datagrams,
    /// Clients refused or closed because their path is too narrow for the link's packets.
    narrow_paths,
    /// Sessions that began.
    sessions,
    /// Sessions that the client closed.
    closed_by_client,
    /// Sessions that fell silent.
    timed_out,
    /// Sessions that made way for the same client's next one.
    replaced,
    /// Sessions that the tick ended.
    closed_by_tick,
    /// Sessions that broke QUIC's rules: streams or bytes that were not granted, or worse.
    broke_the_rules,
    /// Changes of address that a session survived.
    migrations,
    /// Packets from clients.
    packets_in,
    /// Datagrams refused: empty, or longer than a packet.
    packets_refused,
    /// Packets dropped because the tick was behind.
    arrivals_dropped,
    /// Packets to clients.
    packets_out,
    /// Packets for sessions that had ended.
    departures_stale,
    /// Packets that did not fit the path's MTU.
    packets_too_large,
    /// Packets that pushed an older one out of a full buffer.
    send_buffer_overflows,
    /// Times that a client's fragments were held back because its line had more than a tick before it.
    held_back,
    /// UDP datagrams received for connections.
    datagrams_in,
    /// Bytes of those.
    bytes_in,
    /// UDP datagrams sent.
    datagrams_out,
    /// Bytes of those.
    bytes_out,
    /// Calls that sent them.
    send_calls,
    /// Packets of QUIC that were lost on the way to clients.
    quic_packets_lost,
}

impl QuicReport {
    /// Counts a session's end; without a reason it broke QUIC's rules.
    pub(super) fn count_end(&mut self, reason: Option<CloseReason>) {
        let Some(reason) = reason else {
            self.broke_the_rules += 1;
            return;
        };
        match reason {
            CloseReason::TimedOut => self.timed_out += 1,
            CloseReason::Replaced => self.replaced += 1,
            CloseReason::Ended => self.closed_by_tick += 1,
            CloseReason::NarrowPath => self.narrow_paths += 1,
            // The server's own end is no event of a session.
            CloseReason::Stopping => {}
            _ => self.closed_by_client += 1,
        }
    }
}

/// What has been counted of one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    tx: UdpStats,
    rx: UdpStats,
    lost: u64,
}

impl Counted {
    /// Adds to the report what is new.
    pub fn take(&mut self, stats: &ConnectionStats, report: &mut QuicReport) {
        let ConnectionStats { udp_tx, udp_rx, path, .. } = *stats;
        report.datagrams_out += udp_tx.datagrams - self.tx.datagrams;
        report.bytes_out += udp_tx.bytes - self.tx.bytes;
        report.send_calls += udp_tx.ios - self.tx.ios;
        report.datagrams_in += udp_rx.datagrams - self.rx.datagrams;
        report.bytes_in += udp_rx.bytes - self.rx.bytes;
        // A new path begins its count anew.
        report.quic_packets_lost += path.lost_packets.saturating_sub(self.lost);
        *self = Counted { tx: udp_tx, rx: udp_rx, lost: path.lost_packets };
    }
}
