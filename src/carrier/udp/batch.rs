//! Many datagrams with one system call: `recvmmsg` for what lone clients send, `sendmmsg` whose messages are each one
//! client's run (GSO). Linux alone; elsewhere `portable.rs` does the same, one call for each.
//!
//! All `unsafe` of the server is here, and there are four of it: an empty header, and three system calls. A call's headers are
//! made anew on the stack and point at buffers that are borrowed for as long as the call takes; nothing keeps a pointer. What
//! the kernel wrote is read as bytes, in `control.rs`. Valgrind runs the tests of this module (`.ci/memory`), and knows what the
//! calls read and write.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{mem, ptr};

use ninefold_protocol::time::Duration;

use super::control::{CONTROL_BYTES, Control, Name};
use super::mail::{Came, RECEIVE_BUFFER_BYTES, Run, SEGMENTS_MAX, SendError};

/// Datagrams that one call receives at most.
const RECEIVE_MAX: usize = 64;
/// Messages that one call sends at most.
const SEND_MAX: usize = 64;
/// A datagram that is said to have waited longer was not: somebody has set the clock.
const WAITED_MAX: Duration = Duration::from_ms(100);
/// A header that points at nothing.
// SAFETY: it is numbers and pointers, for which zeros are valid.
const NO_HEADER: libc::mmsghdr = unsafe { mem::zeroed() };
const NO_PART: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

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
        Ok(Batch {
            segments_max: if has_segments { SEGMENTS_MAX } else { 1 },
            buffers: vec![[0; RECEIVE_BUFFER_BYTES]; RECEIVE_MAX].into(),
            lengths: [0; RECEIVE_MAX],
            names: [Name::EMPTY; RECEIVE_MAX],
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
        let mut controls = [Control::EMPTY; RECEIVE_MAX];
        let mut parts = [NO_PART; RECEIVE_MAX];
        let mut headers = [NO_HEADER; RECEIVE_MAX];
        for (n, header) in headers.iter_mut().enumerate() {
            parts[n] =
                libc::iovec { iov_base: self.buffers[n].as_mut_ptr().cast(), iov_len: RECEIVE_BUFFER_BYTES };
            let header = &mut header.msg_hdr;
            (header.msg_iov, header.msg_iovlen) = (&raw mut parts[n], 1);
            header.msg_name = self.names[n].0.as_mut_ptr().cast();
            header.msg_namelen = self.names[n].0.len() as libc::socklen_t;
            header.msg_control = controls[n].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        // SAFETY: each header points at a part, a name and a control of its own, and the part at a buffer of its own, which
        // live through the call, are borrowed by nobody else, and have the lengths that are said.
        let count = unsafe {
            let (flags, no_timeout) = (libc::MSG_DONTWAIT as _, ptr::null_mut());
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), RECEIVE_MAX as u32, flags, no_timeout)
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        let now_ns = unix_ns();
        for (n, header) in headers[..count].iter().enumerate() {
            self.lengths[n] = (header.msg_len as usize).min(RECEIVE_BUFFER_BYTES);
            let stamp_ns = controls[n].stamp_ns(header.msg_hdr.msg_controllen);
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
            Some(Came { from: name.address()?, waited: *waited, bytes: &mut buffer[..*length] })
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

/// By the clock that the kernel's stamps are from.
fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64)
}

fn send_some(
    socket: &UdpSocket,
    bytes: &[u8],
    runs: &[Run],
    calls: &mut u64,
) -> Result<(), (usize, SendError)> {
    let mut names = [Name::EMPTY; SEND_MAX];
    let mut parts = [NO_PART; SEND_MAX];
    let mut controls = [Control::EMPTY; SEND_MAX];
    let mut headers = [NO_HEADER; SEND_MAX];
    for (n, run) in runs.iter().enumerate() {
        let contents = &bytes[run.start..][..run.bytes];
        let header = &mut headers[n].msg_hdr;
        let (name, name_bytes) = Name::of(run.to);
        names[n] = name;
        (header.msg_name, header.msg_namelen) =
            (names[n].0.as_mut_ptr().cast(), name_bytes as libc::socklen_t);
        // The kernel reads from it alone.
        parts[n] = libc::iovec { iov_base: contents.as_ptr().cast_mut().cast(), iov_len: contents.len() };
        (header.msg_iov, header.msg_iovlen) = (&raw mut parts[n], 1);
        if run.datagrams > 1 {
            let (control, control_bytes) = Control::segment(run.segment_bytes);
            controls[n] = control;
            header.msg_control = controls[n].0.as_mut_ptr().cast();
            header.msg_controllen = control_bytes as _;
        }
    }
    let mut left = &mut headers[..runs.len()];
    while !left.is_empty() {
        *calls += 1;
        // SAFETY: each header points at a name, a part and perhaps a control of its own, which live through the call with the
        // lengths that are said; the part points into `bytes`, of which the kernel only reads.
        let result = unsafe { libc::sendmmsg(socket.as_raw_fd(), left.as_mut_ptr(), left.len() as u32, 0) };
        match usize::try_from(result) {
            Ok(more) => left = &mut left[more..],
            Err(_) => return Err((runs.len() - left.len(), SendError::from(io::Error::last_os_error()))),
        }
    }
    Ok(())
}
