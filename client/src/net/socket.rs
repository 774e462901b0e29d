//! One client's UDP socket. Bursts from the server are read whole (GRO) where the kernel can.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, UdpSocketState};

/// Bytes that the kernel keeps for a client while its thread is busy: three bursts of a whole tick.
const RECEIVE_BUFFER_BYTES: usize = 512 << 10;
/// One GRO train.
const TRAIN_BYTES: usize = 65_536;
/// Trains read at once.
const TRAINS: usize = 4;
/// Reads before the caller gets its turn again: 16 MiB at most, and a frame of any game at a gigabit.
const READS_MAX: usize = 64;

/// A socket.
#[derive(Debug)]
pub struct ClientSocket {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Buffers for receiving, shared by all sockets of a thread.
#[derive(Debug)]
pub struct ReceiveBuffers {
    bytes: Vec<u8>,
    metas: [RecvMeta; TRAINS],
}

impl Default for ReceiveBuffers {
    fn default() -> Self {
        ReceiveBuffers { bytes: vec![0; TRAINS * TRAIN_BYTES], metas: [RecvMeta::default(); TRAINS] }
    }
}

/// Whether a socket was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Read {
    /// Nothing waits.
    All,
    /// Something may wait still; a poll does not tell of it again.
    Some,
}

/// Any port, reaching as far as `server` is.
pub(super) fn any_port(server: SocketAddr) -> SocketAddr {
    match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

impl ClientSocket {
    /// A socket that can reach `server`.
    pub fn open(server: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(any_port(server))?;
        let state = UdpSocketState::new((&socket).into())?;
        // Less than asked for is no error: what the kernel then drops is sent again and counted.
        let _ = state.set_recv_buffer_size((&socket).into(), RECEIVE_BUFFER_BYTES);
        Ok(ClientSocket { socket, state })
    }

    /// For the poll that waits for it.
    pub fn source(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    /// Where it is bound.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends one datagram.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, to).map(|_| ())
    }

    /// Reads what has come, as far as one turn goes, and gives it to `take`, datagram by datagram.
    pub fn receive(
        &self,
        buffers: &mut ReceiveBuffers,
        mut take: impl FnMut(SocketAddr, &mut [u8]),
    ) -> io::Result<Read> {
        for _ in 0..READS_MAX {
            let ReceiveBuffers { bytes, metas } = buffers;
            let mut chunks = bytes.chunks_exact_mut(TRAIN_BYTES);
            let mut slices: [IoSliceMut<'_>; TRAINS] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().expect("one for each train")));
            let trains = match self.state.recv((&self.socket).into(), &mut slices, metas) {
                Ok(trains) => trains,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Read::All),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A refused datagram of an earlier send says nothing of this one.
                Err(error) if is_of_an_earlier_send(&error) => continue,
                Err(error) => return Err(error),
            };
            for (meta, train) in metas[..trains].iter().zip(bytes.chunks_exact_mut(TRAIN_BYTES)) {
                for datagram in train[..meta.len].chunks_mut(meta.stride.max(1)) {
                    take(meta.addr, datagram);
                }
            }
        }
        Ok(Read::Some)
    }
}

/// Where nobody listens, or the way there is gone for now, a later read may hear of it.
fn is_of_an_earlier_send(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}
