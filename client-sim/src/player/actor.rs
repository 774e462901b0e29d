//! A client core, and for a hostile one what it does to packets between the core and the seal.
//!
//! An honest client is [`Client`] as every game has it. A hostile one keeps the connection to itself, so that it can change
//! a packet before it is sealed: the server takes it for that client's, and has to live with what it says.

use std::net::SocketAddr;

use ninefold_client::protocol::connection::{self, ClientReceived, ConnectToken};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::time::Instant;
use ninefold_client::{Client, ClientConfig, ClientError};

use crate::behaviour::{Command, Mind};

/// A client over UDP.
#[derive(Debug)]
pub struct Actor {
    /// Its core.
    pub client: Client,
    /// The connection of a hostile one.
    connection: Option<Box<connection::Client>>,
}

impl Actor {
    /// A client that begins to connect.
    pub fn new(
        now: Instant,
        config: &ClientConfig,
        token: &ConnectToken,
        is_hostile: bool,
    ) -> Result<Actor, ClientError> {
        if !is_hostile {
            return Ok(Actor { client: Client::new(now, config, token)?, connection: None });
        }
        let connection = connection::Client::new(now, config.unix_s_at_origin, token)?;
        Ok(Actor { client: Client::carried(now, config), connection: Some(Box::new(connection)) })
    }

    /// One tick: the mind decides, time passes.
    pub fn tick(&mut self, now: Instant, mind: &mut Mind) -> Option<Command> {
        let decision = mind.decide(now, &self.client);
        self.client.set_input(decision.input);
        if let Some(connection) = &mut self.connection {
            connection.handle_timeout(now);
            follow(connection, &mut self.client);
        }
        self.client.handle_timeout(now);
        decision.command
    }

    /// Takes one datagram.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let Some(connection) = &mut self.connection else {
            return self.client.handle_datagram(now, from, datagram);
        };
        if let ClientReceived::Payload(packet) = connection.handle(now, from, datagram) {
            self.client.handle_packet(now, packet);
        }
        follow(connection, &mut self.client);
    }

    /// Gives each datagram that is to be sent now to `send`: as often as its mind would have it.
    pub fn transmit(&mut self, now: Instant, mind: &mut Mind, mut send: impl FnMut(SocketAddr, &[u8])) {
        let mut buffer = [0; connection::DATAGRAM_BYTES_MAX];
        while let Some((to, bytes)) = self.next_datagram(now, mind, &mut buffer) {
            let copies = mind.mischief().map_or(1, |mischief| mischief.datagram(&buffer[..bytes]));
            (0..copies).for_each(|_| send(to, &buffer[..bytes]));
        }
    }

    fn next_datagram(
        &mut self,
        now: Instant,
        mind: &mut Mind,
        buffer: &mut [u8; connection::DATAGRAM_BYTES_MAX],
    ) -> Option<(SocketAddr, usize)> {
        let Some(connection) = &mut self.connection else {
            return self.client.poll_transmit(now, buffer).map(|transmit| (transmit.to, transmit.bytes));
        };
        if let Some(transmit) = connection.poll_transmit(now, buffer) {
            return Some((transmit.to, transmit.bytes));
        }
        let mut packet = [0; PACKET_BYTES_MAX];
        let bytes = self.client.poll_packet(now, &mut packet)?;
        if let Some(mischief) = mind.mischief() {
            mischief.packet(&mut packet[..bytes]);
        }
        connection.seal(now, &[&packet[..bytes]], buffer).ok()
    }

    /// Ends the session; the farewells go out with [`Actor::transmit`].
    pub fn disconnect(&mut self) {
        self.client.disconnect();
        if let Some(connection) = &mut self.connection {
            connection.disconnect();
        }
    }
}

/// The core of a hostile client hears of its connection what a carrier would tell it.
fn follow(connection: &connection::Client, client: &mut Client) {
    match connection.state() {
        connection::ClientState::Connected => client.carrier_is_up(),
        state if state.is_final() => client.carrier_lost(),
        _ => {}
    }
}
