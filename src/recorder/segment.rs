//! A second of the record: its ticks, what happened in them, and what the workers did.

use crate::chunk::{GenerationId, Job};
use crate::telemetry::{Phase, TickTimes};

use super::limits::{DEAREST, EVENTS_PER_S_MAX, SPANS_PER_S_MAX};
use super::notes::{Event, Notes};

/// One tick. Times are nanoseconds since the server's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TickRecord {
    /// Ticks since the world began, this one included.
    pub number: u64,
    /// When it began.
    pub began_ns: u64,
    /// When its thread was done with it, reporting included.
    pub ended_ns: u64,
    /// How late it began after its deadline.
    pub late_us: u32,
    /// Each phase.
    pub times: TickTimes,
    /// CPU time of its thread since the tick before.
    pub cpu_ns: u64,
    /// Clients.
    pub clients: u32,
    /// Packets and other news that waited when it began.
    pub arrivals_waiting: u32,
    /// Packets of earlier ticks that carriers had not taken yet.
    pub departures_waiting: u32,
    /// Packets taken in.
    pub packets_in: u32,
    /// Packets handed out.
    pub packets_out: u32,
    /// Bytes of those, before sealing.
    pub bytes_out: u32,
    /// Chunks that wait for a worker.
    pub chunks_queued: u32,
    /// Chunks that the workers have.
    pub chunks_making: u32,
    /// How long the chunk has been waited for that has been for longest.
    pub oldest_request_ms: u32,
    /// The clients to which most was sent, the dearest first.
    pub dearest: [ClientWork; DEAREST],
    /// Of the clients that were timed in this tick, the one that took longest, and its nanoseconds.
    pub dearest_timed: (u64, u64),
    /// Events of it that are kept.
    pub events: u16,
    /// Events and spans that found no room.
    pub lost: u32,
}

/// What a tick sent to one client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientWork {
    /// Who.
    pub client_id: u64,
    /// Bytes of its snapshot.
    pub snapshot_bytes: u32,
    /// Chunk fragments.
    pub fragments: u32,
}

impl TickRecord {
    /// When its phases were done.
    pub fn phases_ended_ns(&self) -> u64 {
        self.began_ns + self.times.total_ns()
    }

    /// When a phase was done.
    pub fn phase_ended_ns(&self, phase: Phase) -> u64 {
        self.began_ns + self.times.phases_ns[..=phase as usize].iter().sum::<u64>()
    }
}

/// One chunk that a worker was at. Times are nanoseconds since the server's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkSpan {
    /// Which worker.
    pub worker: u32,
    /// Which chunk, which attempt.
    pub job: Job,
    /// From when.
    pub began_ns: u64,
    /// To when.
    pub ended_ns: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of making a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Made,
    /// The generator panicked.
    Panicked,
    /// It was made, of a size that cannot be sent.
    WrongSize,
}

/// A second of ticks, in memory that was taken at the start.
#[derive(Debug, Clone)]
pub struct Segment {
    ticks: Vec<TickRecord>,
    events: Vec<Event>,
    spans: Vec<WorkSpan>,
    ticks_max: usize,
}

impl Segment {
    /// Room for so many ticks.
    pub fn new(ticks_max: usize) -> Self {
        // Written once, so that no tick meets a page for the first time.
        let job = Job { coord: ninefold_world::ChunkCoord { cx: 0, cz: 0 }, generation_id: GenerationId(1) };
        let span = WorkSpan { worker: 0, job, began_ns: 1, ended_ns: 1, outcome: Outcome::Made };
        let event = Event::Joined { client_id: 1 };
        let mut segment = Segment {
            ticks: vec![TickRecord { number: 1, ..TickRecord::default() }; ticks_max],
            events: vec![event; EVENTS_PER_S_MAX],
            spans: vec![span; SPANS_PER_S_MAX],
            ticks_max,
        };
        segment.clear();
        segment
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.ticks.clear();
        self.events.clear();
        self.spans.clear();
    }

    /// Becomes like another, in its own memory.
    pub fn copy_from(&mut self, other: &Segment) {
        self.clear();
        self.ticks.extend_from_slice(&other.ticks);
        self.events.extend_from_slice(&other.events);
        self.spans.extend_from_slice(&other.spans);
    }

    /// Whether it has no room for another tick.
    pub fn is_full(&self) -> bool {
        self.ticks.len() == self.ticks_max
    }

    /// Appends a tick and what happened in it. What finds no room is counted in the tick.
    pub fn push(&mut self, mut tick: TickRecord, notes: &[&Notes]) {
        debug_assert!(!self.is_full());
        let mut kept = 0;
        for notes in notes {
            tick.lost = tick.lost.saturating_add(notes.lost());
            let room = EVENTS_PER_S_MAX - self.events.len();
            let fits = notes.events().len().min(room);
            self.events.extend_from_slice(&notes.events()[..fits]);
            tick.lost = tick.lost.saturating_add((notes.events().len() - fits) as u32);
            kept += fits;
        }
        tick.events = kept as u16;
        self.ticks.push(tick);
    }

    /// Appends what a worker did, if there is room.
    pub fn push_span(&mut self, span: WorkSpan) -> bool {
        let has_room = self.spans.len() < SPANS_PER_S_MAX;
        if has_room {
            self.spans.push(span);
        }
        has_room
    }

    /// The ticks, each with its events.
    pub fn ticks(&self) -> impl Iterator<Item = (&TickRecord, &[Event])> {
        let mut from = 0;
        self.ticks.iter().map(move |tick| {
            let events = &self.events[from..from + usize::from(tick.events)];
            from += events.len();
            (tick, events)
        })
    }

    /// What the workers did, in the order in which it was heard.
    pub fn spans(&self) -> &[WorkSpan] {
        &self.spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tick_has_its_own_events_and_counts_what_is_lost() {
        let mut segment = Segment::new(3);
        let mut notes = Notes::new(2);
        for number in 1..=3 {
            notes.clear();
            (0..number).for_each(|client_id| notes.push(Event::Joined { client_id }));
            segment.push(TickRecord { number, ..TickRecord::default() }, &[&notes]);
        }
        let ticks: Vec<(u64, usize, u32)> =
            segment.ticks().map(|(tick, events)| (tick.number, events.len(), tick.lost)).collect();
        assert_eq!(ticks, [(1, 1, 0), (2, 2, 0), (3, 2, 1)]);
        assert!(segment.is_full());
    }

    #[test]
    fn a_second_keeps_so_many_events_and_says_what_it_does_not() {
        let mut segment = Segment::new(1_000);
        let mut notes = Notes::new(64);
        (0..64).for_each(|client_id| notes.push(Event::Left { client_id }));
        for number in 0..40 {
            segment.push(TickRecord { number, ..TickRecord::default() }, &[&notes]);
        }
        let kept: usize = segment.ticks().map(|(_, events)| events.len()).sum();
        let lost: u32 = segment.ticks().map(|(tick, _)| tick.lost).sum();
        assert_eq!((kept, kept + lost as usize), (EVENTS_PER_S_MAX, 40 * 64));
    }
}
