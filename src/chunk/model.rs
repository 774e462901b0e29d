//! Random lives of a chunk service against a model that only counts pins.
//!
//! The model is simple where the service is clever: who is pinned, and nothing else. After every step the
//! bounds must hold and nothing may leak; at the end everybody lets go, and only cached chunks may be left.

use std::collections::BTreeMap;
use std::sync::Arc;

use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::{ChunkCoord, Generator, Grid, Plain};
use proptest::prelude::*;

use super::{ChunkEvent, ChunkLimits, ChunkService, ChunkState, Inline, Urgency};

/// What a player's ring, a tick or an editor may do.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pin(u8),
    Unpin(u8),
    Urge(u8, u8),
    Invalidate(u8),
    Dispatch,
    TakeIn { chunks_max: usize, looks: u8 },
    Wait { ms: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..16).prop_map(Step::Pin),
        4 => (0u8..16).prop_map(Step::Unpin),
        4 => (0u8..16, any::<u8>()).prop_map(|(n, urgency)| Step::Urge(n, urgency)),
        1 => (0u8..16).prop_map(Step::Invalidate),
        3 => Just(Step::Dispatch),
        3 => (0usize..5, 0u8..5).prop_map(|(chunks_max, looks)| Step::TakeIn { chunks_max, looks }),
        2 => (0u16..1_000).prop_map(|ms| Step::Wait { ms }),
    ]
}

fn at(n: u8) -> ChunkCoord {
    ChunkCoord { cx: i32::from(n) - 8, cz: 7 }
}

/// Every fourth chunk cannot be generated.
struct Patchy;

impl Generator for Patchy {
    fn grid(&self, coord: ChunkCoord) -> Grid {
        if coord.cx.rem_euclid(4) == 3 {
            std::panic::resume_unwind(Box::new(String::from("planted")));
        }
        Plain::new(0).grid(coord)
    }

    fn world_id(&self) -> u64 {
        0
    }
}

struct Life {
    service: ChunkService<Inline>,
    limits: ChunkLimits,
    pins: BTreeMap<u8, u32>,
    now: Instant,
}

impl Life {
    fn new(limits: ChunkLimits) -> Life {
        let service = ChunkService::new(limits, Inline::new(Arc::new(Patchy)));
        Life { service, limits, pins: BTreeMap::new(), now: Instant::ZERO }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pin(n) => {
                self.service.pin(at(n));
                *self.pins.entry(n).or_default() += 1;
            }
            Step::Unpin(n) => {
                let Some(pins) = self.pins.get_mut(&n) else { return };
                *pins -= 1;
                if *pins == 0 {
                    self.pins.remove(&n);
                }
                self.service.unpin(at(n));
            }
            Step::Urge(n, urgency) => self.service.urge(at(n), Urgency::neighbour(urgency.into())),
            Step::Invalidate(n) => {
                self.service.invalidate(at(n)).expect("sixteen versions can be remembered");
            }
            Step::Dispatch => self.service.dispatch(self.now),
            Step::TakeIn { chunks_max, mut looks } => {
                let taken = self.service.take_in(self.now, chunks_max, || {
                    looks = looks.saturating_sub(1);
                    looks > 0
                });
                assert!(taken <= chunks_max);
                self.check_changes(taken);
            }
            Step::Wait { ms } => self.now += Duration::from_ms(ms.into()),
        }
    }

    fn check_changes(&self, taken: usize) {
        assert!(self.service.changed().len() <= taken);
        for event in self.service.changed() {
            match *event {
                ChunkEvent::Ready(coord) => {
                    assert!(matches!(self.service.state(coord), ChunkState::Ready(_)));
                }
                ChunkEvent::Failed(coord) => {
                    assert!(matches!(self.service.state(coord), ChunkState::Failed));
                }
            }
        }
    }

    fn check(&self) {
        let gauges = self.service.gauges(self.now);
        assert!(gauges.making <= self.limits.making_max);
        assert!(gauges.queued <= self.limits.queued_max);
        assert_eq!(gauges.pinned, self.pins.len());
        let (mut queued, mut making, mut ready, mut pinned_bytes) = (0, 0, 0, 0);
        for n in 0..16 {
            let is_pinned = self.pins.contains_key(&n);
            match self.service.state(at(n)) {
                ChunkState::Absent => {}
                ChunkState::Ready(chunk) => {
                    ready += 1;
                    pinned_bytes += if is_pinned { chunk.bytes() } else { 0 };
                    assert_eq!(chunk.chunk.coord(), at(n));
                }
                ChunkState::Queued => queued += 1,
                ChunkState::Making => making += 1,
                ChunkState::Failed => assert!(is_pinned),
            }
            let is_idle = matches!(self.service.state(at(n)), ChunkState::Absent | ChunkState::Ready(_));
            assert!(is_pinned || is_idle, "{n} is worked for and nobody wants it");
        }
        assert_eq!((gauges.queued, gauges.ready), (queued, ready));
        assert!(making <= gauges.making);
        assert!(gauges.cache_bytes <= self.limits.cache_bytes_max.max(pinned_bytes));
    }

    /// Time enough for every attempt of every chunk, with everybody saying what is missing.
    fn settle(&mut self) {
        for _ in 0..200 {
            for n in 0..16 {
                self.take(Step::Urge(n, n));
            }
            self.take(Step::TakeIn { chunks_max: usize::MAX, looks: u8::MAX });
            self.take(Step::Dispatch);
            self.take(Step::Wait { ms: 200 });
        }
    }
}

proptest! {
    #[test]
    fn bounds_hold_whatever_happens_and_nothing_leaks(
        steps in prop::collection::vec(step(), 1..200),
        making_max in 1usize..4,
        queued_max in 1usize..8,
        cache_bytes_max in 0u64..6_000,
    ) {
        let limits = ChunkLimits { making_max, queued_max, cache_bytes_max, ..ChunkLimits::default() };
        let mut life = Life::new(limits);
        for step in steps {
            life.take(step);
            life.check();
        }
        life.settle();
        for &n in life.pins.keys() {
            let state = life.service.state(at(n));
            let is_settled = matches!(state, ChunkState::Ready(_) | ChunkState::Failed);
            prop_assert!(is_settled, "{n} is pinned and still {state:?}");
        }
        for (n, pins) in std::mem::take(&mut life.pins) {
            (0..pins).for_each(|_| life.service.unpin(at(n)));
        }
        life.settle();
        life.check();
        let gauges = life.service.gauges(life.now);
        prop_assert_eq!((gauges.queued, gauges.making, gauges.pinned), (0, 0, 0));
        prop_assert!(gauges.cache_bytes <= cache_bytes_max);
        prop_assert_eq!(gauges.oldest_request_age, Duration::ZERO);
    }

    #[test]
    fn the_same_steps_give_the_same_life(steps in prop::collection::vec(step(), 1..100)) {
        let limits = ChunkLimits { making_max: 2, queued_max: 6, cache_bytes_max: 3_000, ..ChunkLimits::default() };
        let mut lives = [Life::new(limits), Life::new(limits)];
        for step in steps {
            for life in &mut lives {
                life.take(step);
            }
            let [a, b] = &lives;
            prop_assert_eq!(a.service.changed(), b.service.changed());
            prop_assert_eq!(a.service.counters(), b.service.counters());
        }
    }
}
