//! The sockets of a driver's UDP client: one for each family of addresses that its token lists.

use std::io;
use std::net::SocketAddr;
use std::time::Duration as StdDuration;

use mio::{Events, Interest, Poll, Token};
use ninefold_protocol::connection::{ConnectToken, DATAGRAM_BYTES_MAX};
use ninefold_protocol::time::Instant;

use super::socket::{ClientSocket, Read, ReceiveBuffers};
use crate::Client;

/// Sockets that tell at once that they can be read.
const EVENTS_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct UdpLine {
    poll: Poll,
    events: Events,
    /// An address of each family, with its socket.
    sockets: Vec<(SocketAddr, ClientSocket)>,
    buffers: ReceiveBuffers,
    /// A socket was not read to its end.
    more: bool,
}

impl UdpLine {
    pub fn open(token: &ConnectToken) -> io::Result<UdpLine> {
        let mut line = UdpLine {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            sockets: Vec::new(),
            buffers: ReceiveBuffers::default(),
            more: false,
        };
        for &server in &token.server_addresses {
            if line.socket_for(server).is_none() {
                line.add(server)?;
            }
        }
        Ok(line)
    }

    fn add(&mut self, server: SocketAddr) -> io::Result<()> {
        let mut socket = ClientSocket::open(server)?;
        self.poll.registry().register(socket.source(), Token(self.sockets.len()), Interest::READABLE)?;
        self.sockets.push((server, socket));
        Ok(())
    }

    fn socket_for(&self, to: SocketAddr) -> Option<&ClientSocket> {
        self.sockets.iter().find(|(server, _)| server.is_ipv4() == to.is_ipv4()).map(|(_, socket)| socket)
    }

    /// Gives the client what has come.
    pub fn receive(&mut self, now: Instant, client: &mut Client) -> io::Result<()> {
        self.more = false;
        for (_, socket) in &self.sockets {
            let take = |from, datagram: &mut [u8]| client.handle_datagram(now, from, datagram);
            self.more |= socket.receive(&mut self.buffers, take)? == Read::Some;
        }
        Ok(())
    }

    /// Sends what the client has to say; tells how many datagrams found no way out.
    pub fn transmit(&self, now: Instant, client: &mut Client) -> u64 {
        let (mut buffer, mut errors) = ([0; DATAGRAM_BYTES_MAX], 0);
        while let Some(transmit) = client.poll_transmit(now, &mut buffer) {
            let socket = self.socket_for(transmit.to);
            let sent = socket.is_some_and(|s| s.send(transmit.to, &buffer[..transmit.bytes]).is_ok());
            errors += u64::from(!sent);
        }
        errors
    }

    /// Waits until there is something to receive; a wait that is interrupted is over.
    pub fn wait(&mut self, at_most: StdDuration) -> io::Result<()> {
        if self.more {
            return Ok(());
        }
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            polled => polled,
        }
    }

    /// Goes on from other ports.
    pub fn rebind(&mut self) -> io::Result<()> {
        let servers: Vec<SocketAddr> = self.sockets.iter().map(|(server, _)| *server).collect();
        // What the old ones still hold is lost, as it is on any change of address.
        for (_, socket) in &mut self.sockets {
            self.poll.registry().deregister(socket.source())?;
        }
        self.sockets.clear();
        servers.into_iter().try_for_each(|server| self.add(server))
    }
}
