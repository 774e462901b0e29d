//! What `batch.rs` does, with `quinn-udp`, for systems whose calls we do not know.
//!
//! Arrival times are those of the reading, so a round trip is measured as long as the thread took to look.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};

use ninefold_protocol::time::Duration;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};

use super::mail::{Came, Run, SendError};

/// Bytes of one receive buffer: a whole GRO train.
const TRAIN_BYTES: usize = 65_536;

/// The buffers of its calls.
pub struct Batch {
    state: UdpSocketState,
    trains: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    /// Datagrams of the last call: whose, where and how long.
    came: Vec<(SocketAddr, usize, usize)>,
}

impl Batch {
    /// Where a call has received fewer datagrams than so many, no more wait.
    pub const RECEIVED_MAX: usize = 1;

    /// Sets what the carrier wants of its socket.
    pub fn new(socket: &UdpSocket) -> io::Result<Self> {
        let (trains, metas) = (vec![0; BATCH_SIZE * TRAIN_BYTES], [RecvMeta::default(); BATCH_SIZE]);
        Ok(Batch { state: UdpSocketState::new(socket.into())?, trains, metas, came: Vec::new() })
    }

    /// Datagrams that one run may have.
    pub fn segments_max(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Nothing to do: the state has found out, too.
    #[cfg(not(target_os = "linux"))]
    pub fn forgo_segments(&mut self) {}

    /// Takes what waits at a socket that does not block, and says how many datagrams that is.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.came.clear();
        let mut trains = self.trains.chunks_exact_mut(TRAIN_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(trains.next().expect("one for each message")));
        let messages = self.state.recv(socket.into(), &mut slices, &mut self.metas)?;
        for (n, meta) in self.metas[..messages].iter().enumerate() {
            let (train, stride) = (n * TRAIN_BYTES, meta.stride.max(1));
            let each =
                (0..meta.len).step_by(stride).map(|at| (meta.addr, train + at, stride.min(meta.len - at)));
            self.came.extend(each);
        }
        Ok(self.came.len())
    }

    /// The first `count` datagrams.
    pub fn each(&mut self, count: usize) -> impl Iterator<Item = Came<'_>> {
        let mut rest = &mut self.trains[..];
        let mut passed = 0;
        self.came.iter().take(count).map(move |(from, start, bytes)| {
            let (_, behind) = std::mem::take(&mut rest).split_at_mut(start - passed);
            let (bytes, behind) = behind.split_at_mut(*bytes);
            passed = start + bytes.len();
            rest = behind;
            Came { from: *from, waited: Duration::ZERO, bytes }
        })
    }

    /// Sends runs whose datagrams lie in `bytes`; `calls` counts the calls. An error tells how many runs the kernel has
    /// taken, and is about the one behind them.
    pub fn send(
        &mut self,
        socket: &UdpSocket,
        bytes: &[u8],
        runs: &[Run],
        calls: &mut u64,
    ) -> Result<(), (usize, SendError)> {
        for (n, run) in runs.iter().enumerate() {
            *calls += 1;
            let segment_size = (run.datagrams > 1).then_some(usize::from(run.segment_bytes));
            let contents = &bytes[run.start..][..run.bytes];
            let transmit = Transmit { destination: run.to, ecn: None, contents, segment_size, src_ip: None };
            self.state.try_send(socket.into(), &transmit).map_err(|_| {
                let could_cut = usize::from(run.datagrams) <= self.segments_max();
                (n, if could_cut { SendError::Lost } else { SendError::NoSegments })
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_runs_and_lone_datagrams_as_the_other_does() {
        let [here, there] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [mut near, mut far] = [&here, &there].map(|socket| Batch::new(socket).unwrap());
        let to = there.local_addr().unwrap();
        let bytes: Vec<u8> = (0..3_500_u16).map(|n| (n / 1_000) as u8).collect();
        let run = Run { to, start: 0, bytes: 3_500, segment_bytes: 1_000, datagrams: 4 };
        let runs = if near.segments_max() >= 4 {
            vec![run]
        } else {
            let each = (0..4).map(|n| (1_000 * n, 1_000.min(3_500 - 1_000 * n)));
            each.map(|(start, bytes)| Run { start, bytes, datagrams: 1, ..run }).collect()
        };
        let mut calls = 0;
        near.send(&here, &bytes, &runs, &mut calls).unwrap();
        assert_eq!(calls, runs.len() as u64);
        there.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let mut came = Vec::new();
        while came.len() < 4 {
            let count = far.receive(&there).unwrap();
            assert!(count >= Batch::RECEIVED_MAX);
            for datagram in far.each(count) {
                assert_eq!((datagram.from, datagram.waited), (here.local_addr().unwrap(), Duration::ZERO));
                assert!(datagram.bytes.iter().all(|b| *b == datagram.bytes[0]));
                came.push((datagram.bytes[0], datagram.bytes.len()));
            }
        }
        assert_eq!(came, [(0, 1_000), (1, 1_000), (2, 1_000), (3, 500)]);
    }
}
