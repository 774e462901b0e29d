//! A UDP socket with large buffers, as every carrier wants one.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use quinn_udp::UdpSocketState;
use socket2::{Domain, Protocol, Socket, Type};

/// Binds `listen` and asks the kernel for buffers of `buffer_bytes` each way. What it gave is logged, with
/// the remedy where that is less. The socket does not block.
pub(super) fn bind(listen: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    let socket = UdpSocket::from(socket);
    raise_buffers(&socket, buffer_bytes)?;
    Ok(socket)
}

fn raise_buffers(socket: &UdpSocket, wanted: usize) -> io::Result<()> {
    let state = UdpSocketState::new(socket.into())?;
    // Linux grants at most net.core.[rw]mem_max and reports twice what it granted.
    let _ = state.set_recv_buffer_size(socket.into(), wanted);
    let _ = state.set_send_buffer_size(socket.into(), wanted);
    let received = state.recv_buffer_size(socket.into())?;
    let sent = state.send_buffer_size(socket.into())?;
    for (what, granted, key) in
        [("receive", received, "net.core.rmem_max"), ("send", sent, "net.core.wmem_max")]
    {
        if granted < wanted {
            tracing::warn!(
                granted_bytes = granted,
                wanted_bytes = wanted,
                "the kernel caps the socket's {what} buffer; bursts of many clients may be lost; \
                 raise it with: sysctl -w {key}={wanted}"
            );
        }
    }
    Ok(())
}
