//! What a thread of the carrier asks of who judges its datagrams: the [`Front`](super::front::Front), which has the way in
//! and the roster, or a [`Branch`](super::branch::Branch), which has sessions alone.
//!
//! After each call that takes `now`, [`Office::tell`].

use std::collections::VecDeque;
use std::net::SocketAddr;

use ninefold_protocol::connection::{Counters, Received, Sessions};
use ninefold_protocol::time::Instant;

use super::handing::{Came, Taken};
use crate::carrier::roster::Generations;
use crate::carrier::{Arrival, Shard};

/// Who judges the datagrams of a thread, and tells who comes and goes.
pub trait Office {
    /// Takes a datagram that came to the thread's own socket.
    fn handle<'d>(&mut self, now: Instant, from: SocketAddr, datagram: &'d mut [u8]) -> Received<'d>;

    /// Takes a datagram that another thread has handed over.
    fn handle_handed<'d>(&mut self, now: Instant, came: Came, datagram: &'d mut [u8]) -> Received<'d>;

    /// Hands a datagram to another thread; says whether there was room.
    fn hand_on(&mut self, to: Shard, came: Came, datagram: &[u8]) -> bool;

    /// Records that other threads have handed over.
    fn handed(&self) -> usize;

    /// Takes the next of them; the bytes of a datagram go into `buffer`. [`Office::tell`] what came of it before the next.
    fn take_handed<'b>(
        &mut self,
        now: Instant,
        generations: &mut Generations,
        waiting: &mut VecDeque<Arrival>,
        buffer: &'b mut [u8],
    ) -> Option<Taken<'b>>;

    /// Tells the tick, or who tells it, what has happened since the last time.
    fn tell(&mut self, generations: &mut Generations, waiting: &mut VecDeque<Arrival>);

    /// A thread to be woken, since it was handed something.
    fn poll_ring(&mut self) -> Option<Shard>;

    /// Words to other threads that wait for room.
    fn waiting(&self) -> usize;

    /// Ends what has fallen silent.
    fn handle_timeout(&mut self, now: Instant);

    /// The sessions of this thread.
    fn sessions(&mut self) -> &mut Sessions;

    /// When there is something to do for time alone.
    fn next_deadline(&self) -> Instant;

    /// What the connection layer has counted.
    fn counters(&self) -> &Counters;
}
