//! Datagrams in and out of a socket, many at a time.
//!
//! ```text
//!   receive ─▶ each: from whom, how long it waited, its bytes
//!   room ─▶ seal into it ─▶ sealed ─┐  a run: equally long datagrams to one address, the last one perhaps shorter
//!                                   └▶ flush: all runs with one call, or one for each
//! ```

use std::io;
use std::net::{SocketAddr, UdpSocket};

use ninefold_protocol::connection::DATAGRAM_BYTES_MAX;
use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::time::Duration;

use super::UdpReport;
#[cfg(target_os = "linux")]
use super::batch::Batch;
use super::core::Outlet;
#[cfg(not(target_os = "linux"))]
use super::portable::Batch;

/// Bytes of one receive buffer. What is longer is cut off, and is no packet of ours then either.
pub const RECEIVE_BUFFER_BYTES: usize = 2_048;
const _: () = assert!(RECEIVE_BUFFER_BYTES > DATAGRAM_BYTES_MAX);
/// Datagrams of a run: what the kernel takes with one message.
pub const SEGMENTS_MAX: usize = 64;
/// The kernel's bound on the bytes of one: 65,535 less the IP and UDP headers.
const RUN_BYTES_MAX: usize = 65_535 - 48;
/// Bytes that wait for one call at most. They are written, sealed and read by the kernel while they are in the cache.
const WAITING_BYTES_MAX: usize = 256 << 10;
const _: () = assert!(WAITING_BYTES_MAX > RUN_BYTES_MAX + DATAGRAM_BYTES_MAX);
/// Runs that wait for one call at most.
const RUNS_MAX: usize = 64;

/// A datagram that came.
#[derive(Debug)]
pub struct Came<'b> {
    /// Who sent it.
    pub from: SocketAddr,
    /// How long it lay in the socket.
    pub waited: Duration,
    /// What it says.
    pub bytes: &'b mut [u8],
}

/// Datagrams to one address that leave with one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Where to.
    pub to: SocketAddr,
    /// Where they begin.
    pub start: usize,
    /// All of them.
    pub bytes: usize,
    /// Each but the last.
    pub segment_bytes: u16,
    /// How many.
    pub datagrams: u16,
}

/// Why a run was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The kernel, or the device, cannot cut runs.
    NoSegments,
    /// Its datagrams are lost.
    Lost,
}

/// A socket and what waits to leave it.
pub struct Mail {
    socket: UdpSocket,
    batch: Batch,
    /// Sealed datagrams, run behind run.
    bytes: Vec<u8>,
    bytes_waiting: usize,
    runs: Vec<Run>,
}

impl Mail {
    /// Takes a socket that does not block.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        let batch = Batch::new(&socket)?;
        Ok(Mail {
            socket,
            batch,
            bytes: vec![0; WAITING_BYTES_MAX],
            bytes_waiting: 0,
            runs: Vec::with_capacity(RUNS_MAX),
        })
    }

    /// The socket, to wait for.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Datagrams that one [`Mail::receive`] takes at most; where it takes fewer, no more wait.
    pub const RECEIVED_MAX: usize = Batch::RECEIVED_MAX;

    /// Takes what waits, and says how many datagrams that is: [`Mail::came`] has them.
    pub fn receive(&mut self) -> io::Result<usize> {
        match self.batch.receive(&self.socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            received => received,
        }
    }

    /// The datagrams of the last [`Mail::receive`].
    pub fn came(&mut self, count: usize) -> impl Iterator<Item = Came<'_>> {
        self.batch.each(count)
    }

    /// Whether the run at the end takes one more datagram of so many bytes.
    fn run_takes(&self, to: SocketAddr, bytes: usize) -> bool {
        self.runs.last().is_some_and(|run| {
            let segment_bytes = usize::from(run.segment_bytes);
            run.to == to
                && bytes <= segment_bytes
                && run.bytes == segment_bytes * usize::from(run.datagrams)
                && run.bytes + bytes <= RUN_BYTES_MAX
                && usize::from(run.datagrams) < self.batch.segments_max()
        })
    }

    fn send_waiting(&mut self, report: &mut UdpReport) {
        let mut runs = std::mem::take(&mut self.runs);
        let mut left = &runs[..];
        while !left.is_empty() {
            let sent = self.batch.send(&self.socket, &self.bytes, left, &mut report.send_calls);
            let taken = sent.map_or_else(|(taken, _)| taken, |()| left.len());
            left[..taken].iter().for_each(|run| count(run, report));
            if let Err((_, error)) = sent {
                match error {
                    SendError::NoSegments if left[taken].datagrams > 1 => {
                        self.send_singly(left[taken], report)
                    }
                    _ => report.send_errors += u64::from(left[taken].datagrams),
                }
            }
            left = left.get(taken + 1..).unwrap_or_default();
        }
        runs.clear();
        self.runs = runs;
    }

    /// Sends a run's datagrams one by one, since they did not leave together. If they leave so, no runs can here; if not,
    /// that was about where they go: who is at an address like that must not take the runs from everybody.
    fn send_singly(&mut self, run: Run, report: &mut UdpReport) {
        let each = usize::from(run.segment_bytes);
        let sent_before = report.datagrams_out;
        for from in (0..run.bytes).step_by(each) {
            let bytes = each.min(run.bytes - from);
            let single = Run { start: run.start + from, bytes, datagrams: 1, ..run };
            match self.batch.send(&self.socket, &self.bytes, &[single], &mut report.send_calls) {
                Ok(()) => count(&single, report),
                Err(_) => report.send_errors += 1,
            }
        }
        if report.datagrams_out > sent_before {
            self.batch.forgo_segments();
        }
    }
}

fn count(run: &Run, report: &mut UdpReport) {
    report.runs_out += 1;
    report.datagrams_out += u64::from(run.datagrams);
    report.bytes_out += run.bytes as u64;
}

impl Outlet for Mail {
    fn room(&mut self, report: &mut UdpReport, bytes: usize) -> &mut [u8] {
        let needed = bytes + DATAGRAM_BYTES_MAX - PACKET_BYTES_MAX;
        if self.bytes_waiting + needed > self.bytes.len() || self.runs.len() == RUNS_MAX {
            self.flush(report);
        }
        &mut self.bytes[self.bytes_waiting..]
    }

    fn sealed(&mut self, to: SocketAddr, bytes: usize, _: &mut UdpReport) {
        let start = self.bytes_waiting;
        self.bytes_waiting += bytes;
        if self.run_takes(to, bytes) {
            let run = self.runs.last_mut().expect("a run that takes it");
            run.bytes += bytes;
            run.datagrams += 1;
            return;
        }
        let segment_bytes = u16::try_from(bytes).expect("a datagram is shorter than 64 KiB");
        self.runs.push(Run { to, start, bytes, segment_bytes, datagrams: 1 });
    }

    fn flush(&mut self, report: &mut UdpReport) {
        if !self.runs.is_empty() {
            self.send_waiting(report);
        }
        self.bytes_waiting = 0;
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8], report: &mut UdpReport) {
        self.room(report, PACKET_BYTES_MAX)[..datagram.len()].copy_from_slice(datagram);
        self.sealed(to, datagram.len(), report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(listen: &str) -> (Mail, UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind(listen).unwrap();
        socket.set_nonblocking(true).unwrap();
        let peer = UdpSocket::bind(listen).unwrap();
        peer.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let to = peer.local_addr().unwrap();
        (Mail::new(socket).unwrap(), peer, to)
    }

    fn put(mail: &mut Mail, report: &mut UdpReport, to: SocketAddr, byte: u8, bytes: usize) {
        mail.room(report, PACKET_BYTES_MAX)[..bytes].fill(byte);
        mail.sealed(to, bytes, report);
    }

    fn next(peer: &UdpSocket) -> (u8, usize) {
        let mut buffer = [0; 2_000];
        let bytes = peer.recv(&mut buffer).unwrap();
        assert!(buffer[..bytes].iter().all(|b| *b == buffer[0]));
        (buffer[0], bytes)
    }

    #[test]
    fn datagrams_leave_as_they_were_sealed_and_equally_long_ones_together() {
        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let (mut mail, peer, to) = pair(listen);
            let other = UdpSocket::bind(listen).unwrap();
            let mut report = UdpReport::default();
            let lengths = [100, 1_200, 1_200, 1_200, 700, 1_200];
            for (n, bytes) in lengths.into_iter().enumerate() {
                put(&mut mail, &mut report, to, n as u8, bytes);
            }
            put(&mut mail, &mut report, other.local_addr().unwrap(), 9, 50);
            // The short one, three with a shorter one behind them, one more, and the other's.
            assert_eq!(mail.runs.iter().map(|run| run.datagrams).collect::<Vec<_>>(), [1, 4, 1, 1]);
            mail.flush(&mut report);
            for (n, bytes) in lengths.into_iter().enumerate() {
                assert_eq!(next(&peer), (n as u8, bytes), "{listen}");
            }
            assert_eq!(next(&other), (9, 50));
            assert_eq!((report.datagrams_out, report.bytes_out, report.send_errors), (7, 5_650, 0));
            assert!(mail.runs.is_empty() && mail.bytes_waiting == 0);
        }
    }

    #[test]
    fn more_than_a_call_takes_leaves_with_several() {
        let (mut mail, peer, to) = pair("127.0.0.1:0");
        let others: Vec<_> = (0..3 * RUNS_MAX).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut report = UdpReport::default();
        for (n, other) in others.iter().enumerate() {
            put(&mut mail, &mut report, other.local_addr().unwrap(), n as u8, 40 + n);
        }
        (0..100).for_each(|n| put(&mut mail, &mut report, to, n as u8, 300));
        mail.flush(&mut report);
        for (n, other) in others.iter().enumerate() {
            assert_eq!(next(other), (n as u8, 40 + n));
        }
        (0..100).for_each(|n| assert_eq!(next(&peer), (n as u8, 300)));
        assert_eq!((report.datagrams_out, report.send_errors), (100 + others.len() as u64, 0));
    }

    #[test]
    fn what_came_is_told_with_its_sender_and_how_long_it_waited() {
        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let (mut mail, peer, to) = pair(listen);
            let here = mail.socket().local_addr().unwrap();
            assert_eq!(mail.receive().unwrap(), 0);
            let long = vec![7; 3 * RECEIVE_BUFFER_BYTES];
            for datagram in [&[1][..], &[2; 1_231], &[], &long] {
                peer.send_to(datagram, here).unwrap();
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
            let mut came = Vec::new();
            while let count @ 1.. = mail.receive().unwrap() {
                for datagram in mail.came(count) {
                    assert_eq!(datagram.from, to);
                    let waited_us = datagram.waited.as_us();
                    // Who is held up for longer than is believed says that it did not wait.
                    assert!(
                        waited_us >= 20_000 || waited_us == 0 || !cfg!(target_os = "linux"),
                        "{waited_us}"
                    );
                    came.push(datagram.bytes.len());
                }
            }
            assert_eq!(came, [1, 1_231, 0, RECEIVE_BUFFER_BYTES], "{listen}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_tells_when_a_datagram_came() {
        let (mut mail, peer, _) = pair("127.0.0.1:0");
        let here = mail.socket().local_addr().unwrap();
        // Where the machine holds the test up, what is said to have waited for over 100 ms is not believed.
        let has_waited = (0..10).any(|_| {
            peer.send_to(&[1], here).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20));
            let count = mail.receive().unwrap();
            mail.came(count).all(|came| came.waited >= Duration::from_ms(20))
        });
        assert!(has_waited);
    }

    #[test]
    fn a_run_that_cannot_be_cut_leaves_one_by_one() {
        let (mut mail, peer, to) = pair("127.0.0.1:0");
        let mut report = UdpReport::default();
        (0..5).for_each(|n| put(&mut mail, &mut report, to, n, 500));
        put(&mut mail, &mut report, to, 5, 20);
        let run = mail.runs.pop().unwrap();
        mail.send_singly(run, &mut report);
        assert_eq!((0..6).map(|_| next(&peer)).collect::<Vec<_>>(), {
            let whole = (0..5).map(|n| (n, 500));
            whole.chain([(5, 20)]).collect::<Vec<_>>()
        });
        assert_eq!((report.datagrams_out, report.bytes_out), (6, 2_520));
    }

    /// A source port can be forged to be 0, which the kernel refuses to answer as if it did not know runs.
    #[test]
    #[cfg(target_os = "linux")]
    fn whom_nothing_can_be_sent_to_takes_the_runs_from_nobody() {
        let (mut mail, peer, to) = pair("127.0.0.1:0");
        let mut report = UdpReport::default();
        let segments_max = mail.batch.segments_max();
        for to in [SocketAddr::from(([127, 0, 0, 1], 0)), to] {
            (0..4).for_each(|n| put(&mut mail, &mut report, to, n, 500));
        }
        mail.flush(&mut report);
        (0..4).for_each(|n| assert_eq!(next(&peer), (n, 500)));
        assert_eq!((report.datagrams_out, report.send_errors), (4, 4));
        assert_eq!(mail.batch.segments_max(), segments_max);
    }

    #[test]
    fn what_cannot_be_sent_is_counted_and_the_rest_leaves() {
        let (mut mail, peer, to) = pair("127.0.0.1:0");
        let mut report = UdpReport::default();
        // An IPv4 socket reaches no IPv6 address.
        let nowhere = "[2001:db8::1]:9".parse().unwrap();
        put(&mut mail, &mut report, to, 1, 30);
        put(&mut mail, &mut report, nowhere, 2, 30);
        put(&mut mail, &mut report, nowhere, 3, 30);
        put(&mut mail, &mut report, to, 4, 30);
        mail.flush(&mut report);
        assert_eq!((next(&peer), next(&peer)), ((1, 30), (4, 30)));
        assert_eq!((report.datagrams_out, report.send_errors), (2, 2));
    }
}
