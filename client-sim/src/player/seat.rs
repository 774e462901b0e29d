//! When one client of the cast is there: its visits, and within them leaving and coming again.

use ninefold_client::protocol::time::{Duration, Instant};

use crate::behaviour::Mind;
use crate::scenario::{Part, Scenario};

/// Who lost its session comes again after so long.
pub const REJOIN_AFTER: Duration = Duration::from_secs(1);
/// A session that would have less time than this is not begun.
const SESSION_MIN: Duration = Duration::from_ms(100);

/// A client's place in a run, whether or not it is there.
#[derive(Debug)]
pub struct Seat {
    /// Its index in the cast.
    pub index: u64,
    /// Its part.
    pub part: Part,
    /// Its mind.
    pub mind: Mind,
    origin: Instant,
    visit: usize,
    join_at: Option<Instant>,
    sessions: u64,
}

impl Seat {
    /// The client with this index; the run begins at `origin`.
    pub fn new(index: u64, part: Part, scenario: &Scenario, origin: Instant) -> Seat {
        let mind = Mind::new(&scenario.groups[part.group].behaviour, part.seed);
        let mut seat = Seat { index, part, mind, origin, visit: 0, join_at: None, sessions: 0 };
        seat.join_at = seat.from();
        seat
    }

    fn at(&self, of_run: Instant) -> Instant {
        self.origin + of_run.since(Instant::ZERO)
    }

    fn from(&self) -> Option<Instant> {
        self.part.visits.get(self.visit).map(|visit| self.at(visit.from))
    }

    /// When its next session is to begin; `None` when there is none any more.
    pub fn join_at(&self) -> Option<Instant> {
        self.join_at
    }

    /// When it has to be gone, at the latest.
    pub fn until(&self) -> Instant {
        self.part.visits.get(self.visit).map_or(self.origin, |visit| self.at(visit.until))
    }

    /// A session begins; gives the id by which its token calls it. Each session has one of its own, so that the server
    /// never takes it for one that it has not heard the end of.
    pub fn sit_down(&mut self) -> u64 {
        let id = self.sessions << 32 | self.index;
        self.sessions += 1;
        self.mind.begin_again();
        self.join_at = None;
        id
    }

    /// Its session is over; it comes again after so long, if its visit goes on for so long, or with its next visit.
    pub fn stand_up(&mut self, now: Instant, away: Duration) {
        let again = now + away;
        if again + SESSION_MIN < self.until() {
            self.join_at = Some(again);
            return;
        }
        self.visit += 1;
        self.join_at = self.from().map(|from| from.max(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Visit;
    use crate::swarm::Carrier;

    fn at(ms: u64) -> Instant {
        Instant::from_us(ms * 1_000)
    }

    #[test]
    fn who_leaves_comes_again_within_its_visit_or_with_the_next() {
        let text = "name = \"x\"\nabout = \"\"\nseed = 1\n[[group]]\nname = \"a\"\nclients = 1\nbehaviour = \"idle\"\n\
                    [[stage]]\nkind = \"ramp\"\nseconds = 1\n";
        let scenario = Scenario::parse("x".as_ref(), text).unwrap();
        let visit = |from, until| Visit { from: at(from), until: at(until) };
        let visits = vec![visit(1_000, 5_000), visit(8_000, 9_000)];
        let part = Part { group: 0, carrier: Carrier::Udp, seed: 1, visits };
        let mut seat = Seat::new(7, part, &scenario, at(100));
        assert_eq!((seat.join_at(), seat.until()), (Some(at(1_100)), at(5_100)));
        assert_eq!((seat.sit_down(), seat.join_at()), (7, None));
        seat.stand_up(at(2_000), Duration::from_secs(1));
        assert_eq!((seat.join_at(), seat.sit_down()), (Some(at(3_000)), 1 << 32 | 7));
        seat.stand_up(at(4_500), Duration::from_secs(1));
        assert_eq!((seat.join_at(), seat.until()), (Some(at(8_100)), at(9_100)));
        seat.stand_up(at(9_100), Duration::ZERO);
        assert_eq!(seat.join_at(), None);
    }
}
