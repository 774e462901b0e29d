//! The ring of segments: what is recorded, and how it is handed over without being copied or lost.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::limits::{SEGMENTS, SEGMENTS_KEPT};
use super::notes::Notes;
use super::segment::{Segment, TickRecord, WorkSpan};

/// A ring's segments, the oldest first, shared with whoever writes them.
pub type Shared = SmallVec<[Arc<Segment>; 16]>;

/// The last ten seconds and a bit. Nothing is allocated after the start.
#[derive(Debug)]
pub struct Tape {
    /// All the memory there is.
    segments: Vec<Arc<Segment>>,
    /// Those in use, the oldest first. The last is being written and never shared.
    ring: VecDeque<usize>,
    /// Spans that found no room since the last tick.
    spans_lost: u32,
    /// Ticks that found no segment, since the writer holds more than it may.
    ticks_lost: u64,
}

impl Tape {
    /// An empty tape for a tick rate.
    pub fn new(tick_rate_hz: u32) -> Self {
        // Each on its own: clones would share one.
        let segments = (0..SEGMENTS).map(|_| Arc::new(Segment::new(tick_rate_hz as usize))).collect();
        let mut ring = VecDeque::with_capacity(SEGMENTS_KEPT + 1);
        ring.push_back(0);
        Tape { segments, ring, spans_lost: 0, ticks_lost: 0 }
    }

    /// Appends a tick and what happened in it.
    pub fn push(&mut self, mut tick: TickRecord, notes: &[&Notes]) {
        if self.current().is_full() && !self.turn() {
            self.ticks_lost += 1;
            return;
        }
        tick.lost = tick.lost.saturating_add(std::mem::take(&mut self.spans_lost));
        self.current().push(tick, notes);
    }

    /// Appends what a worker did.
    pub fn push_span(&mut self, span: WorkSpan) {
        let pushed = self.current().push_span(span);
        self.spans_lost = self.spans_lost.saturating_add(u32::from(!pushed));
    }

    /// Counts spans that were lost before they came here.
    pub fn count_lost_spans(&mut self, n: u32) {
        self.spans_lost = self.spans_lost.saturating_add(n);
    }

    /// Ticks that could not be recorded.
    pub fn ticks_lost(&self) -> u64 {
        self.ticks_lost
    }

    /// All that is recorded. `None` while what was shared before is still held.
    pub fn share(&mut self) -> Option<Shared> {
        let both = [self.youngest(), self.free()?];
        let [youngest, copy] = self.segments.get_disjoint_mut(both).ok()?;
        Arc::get_mut(copy)?.copy_from(youngest);
        let copy = Arc::clone(copy);
        let past = self.ring.len() - 1;
        let mut shared: Shared =
            self.ring.iter().take(past).map(|at| Arc::clone(&self.segments[*at])).collect();
        shared.push(copy);
        Some(shared)
    }

    fn youngest(&self) -> usize {
        *self.ring.back().expect("one segment is always being written")
    }

    fn current(&mut self) -> &mut Segment {
        let at = self.youngest();
        Arc::get_mut(&mut self.segments[at]).expect("what is being written is never shared")
    }

    /// Begins the next segment; the oldest goes.
    fn turn(&mut self) -> bool {
        if self.ring.len() == SEGMENTS_KEPT {
            self.ring.pop_front();
        }
        let Some(at) = self.free() else { return false };
        self.ring.push_back(at);
        self.current().clear();
        true
    }

    /// A segment that is neither in the ring nor held by anybody.
    fn free(&mut self) -> Option<usize> {
        let ring = &self.ring;
        (self.segments.iter_mut().enumerate())
            .find_map(|(at, segment)| (!ring.contains(&at) && Arc::get_mut(segment).is_some()).then_some(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u32 = 20;

    fn tick(number: u64) -> TickRecord {
        TickRecord { number, ..TickRecord::default() }
    }

    fn numbers(shared: &Shared) -> Vec<u64> {
        shared.iter().flat_map(|segment| segment.ticks().map(|(tick, _)| tick.number)).collect()
    }

    #[test]
    fn ten_seconds_are_kept_in_their_order() {
        let mut tape = Tape::new(HZ);
        for number in 1..=1_000 {
            tape.push(tick(number), &[]);
            let kept = numbers(&tape.share().expect("nobody holds anything"));
            let expected: Vec<u64> = (number + 1 - kept.len() as u64..=number).collect();
            assert_eq!(kept, expected);
            assert!(kept.len() as u64 >= number.min(10 * u64::from(HZ)));
            assert!(kept.len() <= 11 * HZ as usize);
        }
    }

    #[test]
    fn what_is_being_written_to_disk_does_not_change_and_stops_nothing() {
        let mut tape = Tape::new(HZ);
        (1..=250).for_each(|number| tape.push(tick(number), &[]));
        let held = tape.share().unwrap();
        let before = numbers(&held);
        // A disk that takes a minute.
        (251..=1_500).for_each(|number| tape.push(tick(number), &[]));
        assert_eq!(numbers(&held), before);
        assert_eq!(tape.ticks_lost(), 0);
        drop(held);
        assert_eq!(numbers(&tape.share().unwrap()).last(), Some(&1_500));
    }

    #[test]
    fn recording_allocates_nothing() {
        let mut tape = Tape::new(HZ);
        let mut notes = Notes::new(64);
        let allocated = allocation_counter::measure(|| {
            for number in 1..=1_000 {
                notes.clear();
                (0..70).for_each(|client_id| notes.push(super::super::Event::Joined { client_id }));
                tape.push(tick(number), &[&notes]);
                if number % 100 == 0 {
                    drop(tape.share());
                }
            }
        });
        assert_eq!(allocated.count_total, 0);
    }
}
