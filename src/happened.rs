//! What a client is yet to be told of that happened around it: told a few times, for a moment.

use std::collections::VecDeque;

use ninefold_protocol::frame::GameEvent;

/// Events that wait for one client at most; beyond it the oldest are dropped.
pub const EVENTS_WAITING_MAX: usize = 32;
/// Packets that tell of an event, since each may be lost.
const TELLINGS: u8 = 3;
/// After so many ticks an event is no news any more.
const DEADLINE_TICKS: u64 = 30;

/// The events of one client.
#[derive(Debug, Default)]
pub struct Events {
    waiting: VecDeque<Waiting>,
    next_number: u16,
}

#[derive(Debug)]
struct Waiting {
    event: GameEvent,
    tellings_left: u8,
    until: u64,
}

impl Events {
    /// One more is to be told; says whether an older one was dropped for it.
    pub fn push(&mut self, tick: u64, event: GameEvent) -> bool {
        let event = GameEvent { number: self.next_number, ..event };
        self.next_number = self.next_number.wrapping_add(1);
        if self.waiting.capacity() == 0 {
            // Once for all that may ever wait, so that no later tick has to.
            self.waiting.reserve_exact(EVENTS_WAITING_MAX + 1);
        }
        self.waiting.push_back(Waiting { event, tellings_left: TELLINGS, until: tick + DEADLINE_TICKS });
        let is_over = self.waiting.len() > EVENTS_WAITING_MAX;
        if is_over {
            self.waiting.pop_front();
        }
        is_over
    }

    /// Forgets what is no news any more.
    pub fn expire(&mut self, tick: u64) {
        while self.waiting.front().is_some_and(|w| w.until < tick || w.tellings_left == 0) {
            self.waiting.pop_front();
        }
    }

    /// Whether any is to be told.
    pub fn is_empty(&self) -> bool {
        self.waiting.iter().all(|w| w.tellings_left == 0)
    }

    /// How many are to be told.
    pub fn waiting(&self) -> usize {
        self.waiting.iter().filter(|w| w.tellings_left > 0).count()
    }

    /// Tells those that are to be told, the oldest first, for as long as `tell` has room.
    pub fn tell(&mut self, mut tell: impl FnMut(&GameEvent) -> bool) {
        for waiting in self.waiting.iter_mut().filter(|w| w.tellings_left > 0) {
            if !tell(&waiting.event) {
                break;
            }
            waiting.tellings_left -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &mut Events, room: usize) -> Vec<u16> {
        let mut told = Vec::new();
        events.tell(|event| {
            let fits = told.len() < room;
            told.extend(fits.then_some(event.number));
            fits
        });
        told
    }

    #[test]
    fn an_event_is_told_three_times_and_no_more() {
        let mut events = Events::default();
        events.push(1, GameEvent::default());
        assert_eq!(told(&mut events, 9), [0]);
        events.push(1, GameEvent::default());
        assert_eq!(
            [told(&mut events, 1), told(&mut events, 9), told(&mut events, 9)],
            [vec![0], vec![0, 1], vec![1]]
        );
        events.expire(2);
        assert!(!events.is_empty());
        assert_eq!((told(&mut events, 9), events.is_empty()), (vec![1], true));
    }

    #[test]
    fn what_had_no_room_in_time_is_no_news() {
        let mut events = Events::default();
        events.push(1, GameEvent::default());
        events.expire(31);
        assert!(!events.is_empty());
        events.expire(32);
        assert!(events.is_empty());
    }

    #[test]
    fn of_too_many_the_oldest_are_dropped() {
        let mut events = Events::default();
        let dropped = (0..40).filter(|_| events.push(1, GameEvent::default())).count();
        assert_eq!((dropped, told(&mut events, 99)[0]), (8, 8));
    }
}
