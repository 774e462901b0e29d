//! A UDP socket with large buffers, as every carrier wants one.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Binds `listen` and asks the kernel for buffers of `buffer_bytes` each way. What it gave is logged, with
/// the remedy where that is less. The socket does not block.
pub(super) fn bind(listen: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    raise_buffers(&socket, buffer_bytes)?;
    Ok(socket.into())
}

/// Lets a socket that is bound share its port with others that [`bind_beside`] it.
///
/// Only now: it was bound alone, so that nobody else has the port, who shared it or not.
pub(super) fn share_port(socket: &UdpSocket) -> io::Result<()> {
    if cfg!(target_os = "linux") { SockRef::from(socket).set_reuse_port(true) } else { Err(unshared()) }
}

/// Binds another socket to the address of one that shares its port. The kernel parts what comes by the hash of both
/// addresses.
pub(super) fn bind_beside(address: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    raise_buffers(&socket, buffer_bytes)?;
    Ok(socket.into())
}

/// Other systems have the option and give all to one of the sockets.
fn unshared() -> io::Error {
    let words = "only Linux parts a port among sockets";
    io::Error::new(io::ErrorKind::Unsupported, words)
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
