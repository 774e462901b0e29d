//! How much waits where, and the most that ever did.

use serde::Serialize;

/// A queue that the tick's thread looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// From the UDP carrier to the tick.
    ArrivalsUdp,
    /// From the QUIC carrier to the tick.
    ArrivalsQuic,
    /// From the tick to the UDP carrier.
    DeparturesUdp,
    /// From the tick to the QUIC carrier.
    DeparturesQuic,
    /// Commands to the tick.
    Commands,
    /// Chunks that wait to be given to a worker.
    ChunksQueued,
    /// Chunks that workers have.
    ChunksMaking,
}

impl Queue {
    /// All of them.
    pub const ALL: [Queue; 7] = [
        Queue::ArrivalsUdp,
        Queue::ArrivalsQuic,
        Queue::DeparturesUdp,
        Queue::DeparturesQuic,
        Queue::Commands,
        Queue::ChunksQueued,
        Queue::ChunksMaking,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Queue::ArrivalsUdp => "arrivals_udp",
            Queue::ArrivalsQuic => "arrivals_quic",
            Queue::DeparturesUdp => "departures_udp",
            Queue::DeparturesQuic => "departures_quic",
            Queue::Commands => "commands",
            Queue::ChunksQueued => "chunks_queued",
            Queue::ChunksMaking => "chunks_making",
        }
    }
}

/// How much waits, and the most that ever did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// What waits.
    pub depth: u64,
    /// The most that ever waited.
    pub high_water: u64,
    /// The most that may; 0 where there is no such queue.
    pub bound: u64,
}

impl Mark {
    /// So much waits now.
    pub fn note(&mut self, depth: usize, bound: usize) {
        self.depth = depth as u64;
        self.high_water = self.high_water.max(self.depth);
        self.bound = bound as u64;
    }
}

/// Queues of one name are one: the most that waited in each may have been at different times.
impl std::ops::AddAssign for Mark {
    fn add_assign(&mut self, other: Self) {
        self.depth += other.depth;
        self.high_water += other.high_water;
        self.bound += other.bound;
    }
}

/// The queues of the tick's thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queues([Mark; Queue::ALL.len()]);

impl Queues {
    /// So much waits in this queue now.
    pub fn note(&mut self, queue: Queue, depth: usize, bound: usize) {
        self.0[queue as usize].note(depth, bound);
    }

    /// All of them.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, Mark)> {
        Queue::ALL.into_iter().map(Queue::name).zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_stays() {
        let mut queues = Queues::default();
        for depth in [3, 9, 1] {
            queues.note(Queue::Commands, depth, 64);
        }
        let mark = queues.each().find(|(name, _)| *name == "commands").map(|(_, mark)| mark);
        assert_eq!(mark, Some(Mark { depth: 1, high_water: 9, bound: 64 }));
    }
}
