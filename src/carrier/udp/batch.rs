//! Many datagrams with one system call: `recvmmsg` for what lone clients send, `sendmmsg` whose messages are each one
//! client's run (GSO). Linux alone; elsewhere `portable.rs` does the same, one call for each.
//!
//! All `unsafe` of the server is here. A call's headers are made anew on the stack and point at buffers that are borrowed
//! for as long as the call takes; nothing keeps a pointer.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use ninefold_protocol::time::Duration;
use rustix::time::{ClockId, clock_gettime};

use super::mail::{Came, RECEIVE_BUFFER_BYTES, Run, SEGMENTS_MAX, SendError};

/// Datagrams that one call receives at most.
const RECEIVE_MAX: usize = 64;
/// Messages that one call sends at most.
const SEND_MAX: usize = 64;
/// A datagram that is said to have waited longer was not: somebody has set the clock.
const WAITED_MAX: Duration = Duration::from_ms(100);
/// Room for one control message of up to 16 bytes: a time stamp, or the length of a segment.
// SAFETY: it computes a length.
const CONTROL_BYTES: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::timespec>() as u32) as usize };

/// The room of a control message, aligned as its header must be.
#[repr(C)]
#[derive(Clone, Copy)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; CONTROL_BYTES],
}

/// An address of either family; `sockaddr_in` is shorter, and its family is in the same place.
type Name = libc::sockaddr_in6;

fn set(socket: &UdpSocket, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer is to a value that lives through the call, and the length is its own.
    let result = unsafe {
        let length = size_of::<i32>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(&value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The buffers of its calls.
pub struct Batch {
    segments_max: usize,
    buffers: Box<[[u8; RECEIVE_BUFFER_BYTES]]>,
    lengths: [usize; RECEIVE_MAX],
    names: [Name; RECEIVE_MAX],
    waited: [Duration; RECEIVE_MAX],
}

impl Batch {
    /// Datagrams that one call receives at most.
    pub const RECEIVED_MAX: usize = RECEIVE_MAX;

    /// Sets what the carrier wants of its socket: arrival times, and that nothing is fragmented.
    pub fn new(socket: &UdpSocket) -> io::Result<Self> {
        set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        // A path that takes less than a packet would be found by nobody if routers cut them up.
        if socket.local_addr()?.is_ipv4() {
            set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
        } else {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
        }
        // Setting the default segment to none changes nothing, and fails where the kernel knows no segments.
        let has_segments = set(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
        // SAFETY: an address is plain numbers, for which zeros are valid.
        let name = unsafe { mem::zeroed() };
        Ok(Batch {
            segments_max: if has_segments { SEGMENTS_MAX } else { 1 },
            buffers: vec![[0; RECEIVE_BUFFER_BYTES]; RECEIVE_MAX].into(),
            lengths: [0; RECEIVE_MAX],
            names: [name; RECEIVE_MAX],
            waited: [Duration::ZERO; RECEIVE_MAX],
        })
    }

    /// Datagrams that one run may have.
    pub fn segments_max(&self) -> usize {
        self.segments_max
    }

    /// From now on a run is one datagram.
    pub fn forgo_segments(&mut self) {
        self.segments_max = 1;
    }

    /// Takes what waits at a socket that does not block, and says how many datagrams that is; [`Batch::each`] has
    /// them. Fewer than [`Batch::RECEIVED_MAX`]: no more wait.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let mut controls = [Control { bytes: [0; CONTROL_BYTES] }; RECEIVE_MAX];
        let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; RECEIVE_MAX];
        let headers: [libc::mmsghdr; RECEIVE_MAX] = std::array::from_fn(|n| {
            let buffer = &mut self.buffers[n];
            let part = parts[n]
                .write(libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: RECEIVE_BUFFER_BYTES });
            // SAFETY: a header is numbers and pointers, for which zeros are valid.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(&mut self.names[n]).cast();
            header.msg_hdr.msg_namelen = size_of::<Name>() as libc::socklen_t;
            header.msg_hdr.msg_control = ptr::from_mut(&mut controls[n]).cast();
            header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
            header
        });
        let mut headers = headers;
        // SAFETY: each header points at a part, a name and a control of its own, which live through the call, with the
        // lengths that they have.
        let count = unsafe {
            let (flags, no_timeout) = (libc::MSG_DONTWAIT as _, ptr::null_mut());
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), RECEIVE_MAX as u32, flags, no_timeout)
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        let now_ns = unix_ns();
        for (n, header) in headers[..count].iter().enumerate() {
            self.lengths[n] = header.msg_len as usize;
            let stamp_ns = stamp_ns(&header.msg_hdr, &controls[n]);
            let waited_ns = stamp_ns.map_or(0, |then| now_ns.saturating_sub(then));
            let waited = Duration::from_us(waited_ns / 1_000);
            self.waited[n] = if waited > WAITED_MAX { Duration::ZERO } else { waited };
        }
        Ok(count)
    }

    /// The first `count` datagrams.
    pub fn each(&mut self, count: usize) -> impl Iterator<Item = Came<'_>> {
        let all = self.buffers.iter_mut().zip(&self.lengths).zip(&self.names).zip(&self.waited);
        all.take(count).filter_map(|(((buffer, length), name), waited)| {
            Some(Came { from: address(name)?, waited: *waited, bytes: &mut buffer[..*length] })
        })
    }

    /// Sends runs whose datagrams lie in `bytes`, with as few calls as there can be; `calls` counts them. An error tells
    /// how many runs the kernel has taken, and is about the one behind them.
    pub fn send(
        &mut self,
        socket: &UdpSocket,
        bytes: &[u8],
        runs: &[Run],
        calls: &mut u64,
    ) -> Result<(), (usize, SendError)> {
        let mut sent = 0;
        for runs in runs.chunks(SEND_MAX) {
            send_some(socket, bytes, runs, calls).map_err(|(taken, error)| (sent + taken, error))?;
            sent += runs.len();
        }
        Ok(())
    }
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        // EIO: the device cannot checksum segments. EINVAL: the kernel does not know them, or nothing goes to that address.
        match error.raw_os_error() {
            Some(libc::EIO | libc::EINVAL) => SendError::NoSegments,
            _ => SendError::Lost,
        }
    }
}

fn unix_ns() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// When the kernel took a datagram, nanoseconds since the Unix epoch.
fn stamp_ns(header: &libc::msghdr, control: &Control) -> Option<u64> {
    if header.msg_controllen < CONTROL_BYTES as _ {
        return None;
    }
    // SAFETY: the union is all initialized bytes, of which any make a header; the kernel has written one.
    let first = unsafe { control.header };
    if (first.cmsg_level, first.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    // SAFETY: as above, bytes are always there; the stamp stands behind the header, perhaps not aligned.
    let stamp: libc::timespec = unsafe {
        let behind = control.bytes.as_ptr().add(libc::CMSG_LEN(0) as usize);
        ptr::read_unaligned(behind.cast())
    };
    Some(stamp.tv_sec as u64 * 1_000_000_000 + stamp.tv_nsec as u64)
}

fn address(name: &Name) -> Option<SocketAddr> {
    match i32::from(name.sin6_family) {
        libc::AF_INET => {
            // SAFETY: the kernel wrote an IPv4 address, which is shorter than the IPv6 one and no more aligned.
            let name: &libc::sockaddr_in = unsafe { &*ptr::from_ref(name).cast() };
            let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            let (ip, port) = (Ipv6Addr::from(name.sin6_addr.s6_addr), u16::from_be(name.sin6_port));
            Some(SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// The address as the kernel wants it, and its length.
fn name(address: SocketAddr) -> (Name, libc::socklen_t) {
    // SAFETY: an address is plain numbers, for which zeros are valid.
    let mut name: Name = unsafe { mem::zeroed() };
    match address {
        SocketAddr::V4(v4) => {
            // SAFETY: an IPv4 address is shorter than the IPv6 one and no more aligned, and nobody else has it.
            let name: &mut libc::sockaddr_in = unsafe { &mut *ptr::from_mut(&mut name).cast() };
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_port = v4.port().to_be();
            name.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
        }
        SocketAddr::V6(v6) => {
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_port = v6.port().to_be();
            name.sin6_addr.s6_addr = v6.ip().octets();
            name.sin6_flowinfo = v6.flowinfo();
            name.sin6_scope_id = v6.scope_id();
        }
    }
    let bytes = if address.is_ipv4() { size_of::<libc::sockaddr_in>() } else { size_of::<Name>() };
    (name, bytes as libc::socklen_t)
}

/// Tells the kernel where to cut a run into datagrams.
fn segment(bytes: u16) -> Control {
    let mut control = Control { bytes: [0; CONTROL_BYTES] };
    // SAFETY: it computes a length.
    let length = unsafe { libc::CMSG_LEN(size_of::<u16>() as u32) };
    control.header =
        libc::cmsghdr { cmsg_len: length as _, cmsg_level: libc::SOL_UDP, cmsg_type: libc::UDP_SEGMENT };
    // SAFETY: all bytes are initialized, and the number has room behind the header.
    unsafe { control.bytes[libc::CMSG_LEN(0) as usize..][..2].copy_from_slice(&bytes.to_ne_bytes()) };
    control
}

fn send_some(
    socket: &UdpSocket,
    bytes: &[u8],
    runs: &[Run],
    calls: &mut u64,
) -> Result<(), (usize, SendError)> {
    let mut names = [const { MaybeUninit::<Name>::uninit() }; SEND_MAX];
    let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; SEND_MAX];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; SEND_MAX];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; SEND_MAX];
    for (n, run) in runs.iter().enumerate() {
        let contents = &bytes[run.start..][..run.bytes];
        let (name, name_bytes) = name(run.to);
        // SAFETY: a header is numbers and pointers, for which zeros are valid.
        let header = headers[n].write(unsafe { mem::zeroed() });
        header.msg_hdr.msg_name = ptr::from_mut(names[n].write(name)).cast();
        header.msg_hdr.msg_namelen = name_bytes;
        // The kernel reads from it alone.
        let part = libc::iovec { iov_base: contents.as_ptr().cast_mut().cast(), iov_len: contents.len() };
        header.msg_hdr.msg_iov = parts[n].write(part);
        header.msg_hdr.msg_iovlen = 1;
        if run.datagrams > 1 {
            header.msg_hdr.msg_control = ptr::from_mut(controls[n].write(segment(run.segment_bytes))).cast();
            // SAFETY: it computes a length.
            header.msg_hdr.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<u16>() as u32) } as _;
        }
    }
    let mut taken = 0;
    while taken < runs.len() {
        *calls += 1;
        // SAFETY: the headers up to the last of `runs` were written above, and what they point at lives through the call.
        let result = unsafe {
            let first = headers.as_mut_ptr().add(taken).cast();
            libc::sendmmsg(socket.as_raw_fd(), first, (runs.len() - taken) as u32, 0)
        };
        match usize::try_from(result) {
            Ok(more) => taken += more,
            Err(_) => return Err((taken, SendError::from(io::Error::last_os_error()))),
        }
    }
    Ok(())
}
