//! The least server, and the callers that it serves.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ahash::RandomState;
use ninefold::carrier::udp::UdpReport;
use ninefold::carrier::udp::core::Outlet;
use ninefold::carrier::udp::mail::Mail;
use ring::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use crate::clients::{Caller, bind};

/// Sequence and tag of a datagram.
const SEQUENCE_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
pub const BYTES_IN: usize = 60;
pub const BYTES_OUT: usize = 1_200;
/// Different payloads, so that their memory is not always in the nearest cache.
const PAYLOADS: usize = 256;

/// A key with its sequence.
pub struct Sealer {
    key: LessSafeKey,
    sequence: u64,
}

impl Sealer {
    fn new(is_aes: bool, number: u64) -> Self {
        let algorithm = if is_aes { &AES_128_GCM } else { &CHACHA20_POLY1305 };
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let key = UnboundKey::new(algorithm, &bytes[..algorithm.key_len()]).unwrap();
        Sealer { key: LessSafeKey::new(key), sequence: 0 }
    }

    /// Seals what stands between the sequence and the tag.
    pub fn seal(&mut self, datagram: &mut [u8]) {
        self.sequence += 1;
        let (head, rest) = datagram.split_at_mut(SEQUENCE_BYTES);
        head.copy_from_slice(&self.sequence.to_le_bytes());
        let (body, tag) = rest.split_at_mut(rest.len() - TAG_BYTES);
        let made = self.key.seal_in_place_separate_tag(nonce(self.sequence), Aad::from(&*head), body);
        tag.copy_from_slice(made.unwrap().as_ref());
    }

    fn open(&self, datagram: &mut [u8]) -> bool {
        let (head, rest) = datagram.split_at_mut(SEQUENCE_BYTES);
        let sequence = u64::from_le_bytes((&*head).try_into().unwrap());
        self.key.open_in_place(nonce(sequence), Aad::from(&*head), rest).is_ok()
    }
}

fn nonce(sequence: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&sequence.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

struct Session {
    address: SocketAddr,
    up: Sealer,
    down: Sealer,
}

/// A caller of the bare server.
pub struct BareCaller {
    up: Sealer,
}

impl BareCaller {
    /// The next datagram to the server.
    pub fn call(&mut self, datagram: &mut [u8; BYTES_IN]) {
        self.up.seal(datagram);
    }
}

/// The server on its thread.
pub struct Bare {
    address: SocketAddr,
    callers: std::cell::RefCell<Vec<Caller>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Bare {
    pub fn start(is_aes: bool, clients: usize, k: usize, every_ticks: u32, hz: u32) -> Bare {
        let socket = bind();
        let address = socket.local_addr().unwrap();
        let mut sessions = Vec::new();
        let mut callers = Vec::new();
        for number in 0..clients as u64 {
            let caller = bind();
            let sealer = |way: u64| Sealer::new(is_aes, 2 * number + way);
            sessions.push(Session { address: caller.local_addr().unwrap(), up: sealer(0), down: sealer(1) });
            callers.push(Caller::bare(caller, address, BareCaller { up: sealer(0) }));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || serve(socket, sessions, k, every_ticks, hz, &stopped));
        Bare { address, callers: callers.into(), stop, thread }
    }

    /// Its callers, once.
    pub fn callers(&self) -> Vec<Caller> {
        debug_assert_ne!(self.address.port(), 0);
        self.callers.take()
    }

    pub fn stop(self) {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap();
    }
}

fn serve(
    socket: UdpSocket,
    mut sessions: Vec<Session>,
    k: usize,
    every_ticks: u32,
    hz: u32,
    stop: &AtomicBool,
) {
    let by_address: HashMap<SocketAddr, usize, RandomState> =
        sessions.iter().enumerate().map(|(n, session)| (session.address, n)).collect();
    let mut mail = Mail::new(socket).unwrap();
    let mut report = UdpReport::default();
    let body_bytes = BYTES_OUT - SEQUENCE_BYTES - TAG_BYTES;
    let payloads: Vec<u8> = (0..PAYLOADS * body_bytes).map(|n| n as u8).collect();
    let period = Duration::from_secs(1) / hz;
    let mut next = Instant::now();
    let mut tick = 0;
    while !stop.load(Relaxed) {
        loop {
            let count = mail.receive().unwrap();
            for came in mail.came(count) {
                let session = &sessions[by_address[&came.from]];
                assert!(session.up.open(came.bytes), "a caller's datagram opens");
            }
            if count < Mail::RECEIVED_MAX {
                break;
            }
        }
        tick += 1;
        // Each has its turn in another tick, as who asks at a time of its own.
        let turn = |n: usize| (n + tick).is_multiple_of(every_ticks as usize);
        for (n, session) in sessions.iter_mut().enumerate().filter(|(n, _)| turn(*n)) {
            for _ in 0..k {
                let datagram = &mut mail.room(&mut report, BYTES_OUT)[..BYTES_OUT];
                let payload = (session.down.sequence as usize * 7 + n) % PAYLOADS;
                datagram[SEQUENCE_BYTES..][..body_bytes]
                    .copy_from_slice(&payloads[payload * body_bytes..][..body_bytes]);
                session.down.seal(datagram);
                mail.sealed(session.address, BYTES_OUT, &mut report);
            }
        }
        mail.flush(&mut report);
        assert_eq!(report.send_errors, 0);
        next += period;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
