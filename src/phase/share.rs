//! Shares a phase's clients out among threads.
//!
//! A phase that does the same for each client, on a world that does not change meanwhile, may do it for many at once.
//! Each thread has a run of clients that stand near to each other, and whatever else it needs for itself; what becomes of
//! a client depends on neither, so the outcome is the same on any number of threads. Threads are those of the pool that
//! the tick runs in (`rayon`); one that has no time costs no waiting, since the tick's own thread does its part, too.

use crate::session::Seat;

/// Fewer clients than this are not worth another thread: waking it takes as long.
const CLIENTS_PER_THREAD_MIN: usize = 128;

/// How many of so many threads are worth it for so many clients; at least one.
pub(super) fn threads_for(clients: usize, threads: usize) -> usize {
    threads.min(clients / CLIENTS_PER_THREAD_MIN).max(1)
}

/// What each thread has for itself; kept for its memory.
#[derive(Debug)]
pub(super) struct Crew<P>(Vec<P>);

impl<P> Default for Crew<P> {
    fn default() -> Self {
        Crew(Vec::new())
    }
}

impl<P: Default> Crew<P> {
    /// For so many threads.
    pub fn of(&mut self, threads: usize) -> &mut [P] {
        if self.0.len() < threads {
            self.0.resize_with(threads, P::default);
        }
        &mut self.0[..threads]
    }

    /// All that there ever were.
    pub fn iter(&self) -> impl Iterator<Item = &P> {
        self.0.iter()
    }
}

/// Does `work` for all, one of the `parts` with each run of them; it is told where its run begins.
pub(super) fn share_out<P: Send>(
    seats: &mut [Seat],
    parts: &mut [P],
    work: &(impl Fn(usize, &mut [Seat], &mut P) + Sync),
) {
    share_out_from(0, seats, parts, work);
}

fn share_out_from<P: Send>(
    first: usize,
    seats: &mut [Seat],
    parts: &mut [P],
    work: &(impl Fn(usize, &mut [Seat], &mut P) + Sync),
) {
    match parts {
        [] => debug_assert!(false, "somebody has to do it"),
        [part] => work(first, seats, part),
        parts => {
            let half = parts.len() / 2;
            let middle = seats.len() * half / parts.len();
            let (left, right) = seats.split_at_mut(middle);
            let (left_parts, right_parts) = parts.split_at_mut(half);
            rayon::join(
                || share_out_from(first, left, left_parts, work),
                || share_out_from(first + middle, right, right_parts, work),
            );
        }
    }
}
