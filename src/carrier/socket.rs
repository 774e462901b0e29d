//! A UDP socket with large buffers, as every carrier wants one.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Binds `listen` and asks the kernel for buffers of `buffer_bytes` each way. What it gave is logged, with
/// the remedy where that is less. The socket does not block.
pub(super) fn bind(listen: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    raise_buffers(&socket, buffer_bytes)?;
    Ok(socket.into())
}

fn raise_buffers(socket: &Socket, wanted: usize) -> io::Result<()> {
    // Linux grants at most net.core.[rw]mem_max and reports twice what it granted.
    let _ = socket.set_recv_buffer_size(wanted);
    let _ = socket.set_send_buffer_size(wanted);
    let received = socket.recv_buffer_size()?;
    let sent = socket.send_buffer_size()?;
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
