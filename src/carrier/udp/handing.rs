//! What the threads of the UDP carrier hand each other.
//!
//! ```text
//!   first thread   -- adopt, evict, datagrams of its sessions --------------------▶  another
//!                  ◀-- gone, moved, ways in, datagrams of sessions it has not ----   thread
//! ```
//!
//! Both ways are a lane. Datagrams that find it full are dropped and counted, as the kernel drops what a socket has no room
//! for; words are never dropped, and wait in order. A thread hands to the first alone, and what the first hands on stays
//! there: no datagram goes round.

use std::collections::VecDeque;
use std::net::SocketAddr;

use ninefold_protocol::connection::{DisconnectReason, Newcomer};
use ninefold_protocol::time::Instant;

use super::mail::RECEIVE_BUFFER_BYTES;
use crate::carrier::{ConnectionId, Shard, lane};

/// Records that may wait for another thread: what it takes of them before anything else has its turn.
const HANDED_MAX: usize = 1_024;
/// Bytes of one of them.
pub(super) const HANDED_BYTES_MAX: usize = RECEIVE_BUFFER_BYTES;

/// What the first thread tells another.
#[derive(Debug)]
pub(super) enum Order {
    /// A client that it let in on your socket. Serve it.
    Adopt(ConnectionId, Newcomer),
    /// This session has to make way; its slot is not its own any more.
    Evict(ConnectionId),
}

/// What another thread tells the first.
#[derive(Debug)]
pub(super) enum Word {
    /// A session has ended.
    Gone(ConnectionId, DisconnectReason),
    /// A session has followed its client to this address.
    Moved(ConnectionId, SocketAddr),
}

/// Where a datagram came from.
#[derive(Debug, Clone, Copy)]
pub struct Came {
    /// When the kernel took it.
    pub at: Instant,
    /// Who sent it.
    pub from: SocketAddr,
    /// On whose socket.
    pub by: Shard,
}

/// What was taken of another thread's.
#[derive(Debug)]
pub enum Taken<'b> {
    /// A datagram.
    Datagram(Came, &'b mut [u8]),
    /// A word, which was done.
    Word,
}

/// A record on its way.
#[derive(Debug)]
pub(super) enum Handed<W> {
    Datagram(Came),
    Word(W),
}

/// One thread's end of what it and another hand each other: it says `Out` and hears `In`.
#[derive(Debug)]
pub(super) struct Link<Out, In> {
    to: lane::Sender<Handed<Out>>,
    from: lane::Receiver<Handed<In>>,
    /// Words that found the lane full.
    waiting: VecDeque<Out>,
    /// The other is to be woken.
    rings: bool,
}

/// The two ends.
pub(super) fn link<A, B>() -> (Link<A, B>, Link<B, A>) {
    let (to_there, from_here) = lane::lane(HANDED_MAX, HANDED_MAX * HANDED_BYTES_MAX);
    let (to_here, from_there) = lane::lane(HANDED_MAX, HANDED_MAX * HANDED_BYTES_MAX);
    (Link::new(to_there, from_there), Link::new(to_here, from_here))
}

impl<Out, In> Link<Out, In> {
    fn new(to: lane::Sender<Handed<Out>>, from: lane::Receiver<Handed<In>>) -> Self {
        Link { to, from, waiting: VecDeque::new(), rings: false }
    }

    /// Says a word, now or when there is room.
    pub fn say(&mut self, word: Out) {
        self.waiting.push_back(word);
        self.say_waiting();
    }

    /// Says what waits, as far as there is room.
    pub fn say_waiting(&mut self) {
        while let Some(word) = self.waiting.pop_front() {
            match self.to.push(Handed::Word(word), &[]) {
                Ok(()) => self.rings = true,
                Err(lane::Full(Handed::Word(word))) => return self.waiting.push_front(word),
                Err(lane::Full(Handed::Datagram(_))) => return,
            }
        }
    }

    /// Hands a datagram over; says whether there was room. None overtakes a word.
    pub fn hand(&mut self, came: Came, datagram: &[u8]) -> bool {
        let has_room = self.waiting.is_empty() && self.to.push(Handed::Datagram(came), datagram).is_ok();
        self.rings |= has_room;
        has_room
    }

    /// Takes the next record of the other, and its bytes.
    pub fn take<'b>(&mut self, buffer: &'b mut [u8]) -> Option<(Handed<In>, &'b mut [u8])> {
        self.from.pop(buffer)
    }

    /// Records of the other that wait here.
    pub fn len(&self) -> usize {
        self.from.len()
    }

    /// Words that wait for room.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the other is to be woken since the last call.
    pub fn poll_ring(&mut self) -> bool {
        std::mem::take(&mut self.rings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came() -> Came {
        Came { at: Instant::ZERO, from: SocketAddr::from(([10, 0, 0, 1], 5_000)), by: Shard(1) }
    }

    #[test]
    fn words_wait_in_order_and_datagrams_without_room_are_refused() {
        let (mut here, mut there) = link::<usize, ()>();
        assert!(here.hand(came(), b"first") && here.poll_ring() && !here.poll_ring());
        let words = HANDED_MAX + 100;
        (0..words).for_each(|word| here.say(word));
        assert_eq!((there.len(), here.waiting()), (HANDED_MAX, words - (HANDED_MAX - 1)));
        assert!(!here.hand(came(), b"no room"));
        let mut buffer = [0; HANDED_BYTES_MAX];
        let (first, bytes) = there.take(&mut buffer).unwrap();
        assert!(matches!(first, Handed::Datagram(Came { by: Shard(1), .. })) && bytes == b"first");
        // There is room now, and it is the words'.
        assert!(!here.hand(came(), b"would overtake"));
        let mut heard = Vec::new();
        while heard.len() < words {
            here.say_waiting();
            while let Some((record, _)) = there.take(&mut buffer) {
                match record {
                    Handed::Word(word) => heard.push(word),
                    Handed::Datagram(_) => panic!("none had room"),
                }
            }
        }
        assert_eq!((heard, here.waiting()), ((0..words).collect(), 0));
        assert!(here.hand(came(), &[7; HANDED_BYTES_MAX]));
    }

    #[test]
    fn a_lane_takes_as_many_datagrams_as_records_however_long() {
        let (mut here, there) = link::<(), ()>();
        let taken = (0..2 * HANDED_MAX).filter(|_| here.hand(came(), &[7; HANDED_BYTES_MAX])).count();
        assert_eq!((taken, there.len()), (HANDED_MAX, HANDED_MAX));
    }
}
