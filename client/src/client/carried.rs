//! A client whose packets another carrier brings, such as QUIC: it has encryption, addresses and timeouts
//! of its own, so that packets go in and out as they are.
//!
//! ```text
//!   carrier is connected, has shown ConnectToken::shown() and was let in -> Client::carrier_is_up
//!   a datagram came      -> Client::handle_packet
//!   Client::poll_packet  -> send a datagram
//!   the carrier ended    -> Client::carrier_closed, Client::carrier_lost
//! ```
//!
//! All else is as with [`Client::new`]: timeouts, inputs, events.

use ninefold_protocol::connection::{ClientState, CloseReason};
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::time::Instant;

use super::{Client, Way};
use crate::config::ClientConfig;
use crate::event::EndReason;

impl Client {
    /// A client that waits for its carrier.
    pub fn carried(now: Instant, config: &ClientConfig) -> Self {
        Self::with_way(now, config, Way::Carried(ClientState::SendingRequest))
    }

    /// The server has let us in: the client greets with its next packet.
    pub fn carrier_is_up(&mut self) {
        if let Way::Carried(state @ ClientState::SendingRequest) = &mut self.way {
            *state = ClientState::Connected;
            self.follow_connection();
        }
    }

    /// The server closed the connection, or did not let us in.
    pub fn carrier_closed(&mut self, reason: CloseReason) {
        if let Way::Carried(state) = &mut self.way {
            *state = ClientState::Disconnected;
            self.end(EndReason::Closed(reason));
        }
    }

    /// The connection broke: silence, or a fault of the carrier.
    pub fn carrier_lost(&mut self) {
        if let Way::Carried(state) = &mut self.way {
            *state = ClientState::TimedOut;
            self.follow_connection();
        }
    }

    /// Takes one packet from the carrier.
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        if matches!(self.way, Way::Carried(ClientState::Connected)) {
            self.stats.datagrams_in += 1;
            self.stats.bytes_in += packet.len() as u64;
            self.take_packet(now, packet);
        }
    }

    /// The next packet for the carrier, written to the front of `buffer`.
    ///
    /// # Panics
    /// When `buffer` is shorter than [`PACKET_BYTES_MAX`].
    pub fn poll_packet(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        assert!(buffer.len() >= PACKET_BYTES_MAX, "room for a packet, not {} bytes", buffer.len());
        if !matches!(self.way, Way::Carried(ClientState::Connected)) {
            return None;
        }
        let bytes = self.next_packet(now, buffer)?;
        self.stats.datagrams_out += 1;
        self.stats.bytes_out += bytes as u64;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use ninefold_protocol::frame::PlayerInput;

    fn client() -> Client {
        Client::carried(Instant::ZERO, &ClientConfig { cache_chunks_max: 9, ..ClientConfig::new(0) })
    }

    #[test]
    fn it_greets_when_its_carrier_is_up_and_not_before() {
        let (mut client, mut buffer) = (client(), [0; PACKET_BYTES_MAX]);
        client.set_input(PlayerInput { move_x: 1, ..PlayerInput::default() });
        client.handle_timeout(Instant::ZERO);
        assert!(!client.is_connected() && client.poll_packet(Instant::ZERO, &mut buffer).is_none());
        client.carrier_is_up();
        let bytes = client.poll_packet(Instant::ZERO, &mut buffer).unwrap();
        // Packet 0, a reliable frame, sequence 0, HELLO.
        assert_eq!(buffer[..5], [0, 0, 0, 0, 0x11]);
        assert_eq!((buffer[7..11].to_vec(), buffer[11]), (vec![0; 4], 1));
        assert!(client.is_connected() && bytes > 12);
    }

    #[test]
    fn it_ends_with_the_reason_that_its_carrier_heard() {
        let mut refused = client();
        refused.carrier_closed(CloseReason::Used);
        assert_eq!(refused.ended(), Some(EndReason::Closed(CloseReason::Used)));
        assert_eq!(refused.poll_event(), Some(Event::Ended(EndReason::Closed(CloseReason::Used))));
        let mut lost = client();
        lost.carrier_is_up();
        lost.carrier_lost();
        assert_eq!(lost.ended(), Some(EndReason::Connection(ClientState::TimedOut)));
        assert!(lost.poll_packet(Instant::ZERO, &mut [0; PACKET_BYTES_MAX]).is_none());
        lost.carrier_is_up();
        assert!(!lost.is_connected());
    }
}
