//! The behaviours of the chunk service, one a test, with a workshop that needs no thread.

use super::*;
use crate::chunk::Inline;
use ninefold_world::{Generator, Grid, Plain};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const ALL: usize = usize::MAX;

fn at(cx: i32) -> ChunkCoord {
    ChunkCoord { cx, cz: 0 }
}

fn ms(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_ms(ms)
}

/// Safe chunks; panics, without the noise of a panic, at negative `cx` while it has panics left.
struct Flaky {
    panics_left: AtomicU32,
}

impl Generator for Flaky {
    fn grid(&self, coord: ChunkCoord) -> Grid {
        let left = |n: u32| n.checked_sub(1);
        let strikes =
            coord.cx < 0 && self.panics_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        if strikes {
            std::panic::resume_unwind(Box::new("planted"));
        }
        Plain::new(0).grid(coord)
    }

    fn world_id(&self) -> u64 {
        0
    }
}

fn limits() -> ChunkLimits {
    ChunkLimits { making_max: 2, ..ChunkLimits::default() }
}

fn service(limits: ChunkLimits) -> ChunkService<Inline> {
    service_with_panics(limits, u32::MAX)
}

fn service_with_panics(limits: ChunkLimits, panics: u32) -> ChunkService<Inline> {
    let generator = Flaky { panics_left: AtomicU32::new(panics) };
    ChunkService::new(limits, Inline::new(Arc::new(generator)))
}

fn tick(service: &mut ChunkService<Inline>, now: Instant) -> Vec<ChunkEvent> {
    service.take_in(now, ALL, || true);
    let changed = service.changed().to_vec();
    service.dispatch(now);
    changed
}

fn ready(service: &ChunkService<Inline>, coord: ChunkCoord) -> bool {
    matches!(service.state(coord), ChunkState::Ready(_))
}

#[test]
fn the_nearest_is_made_first_and_the_order_follows_the_players() {
    let mut service = service(limits());
    (0..6).for_each(|cx| service.pin(at(cx)));
    let walk = |service: &mut ChunkService<Inline>, player: i32| {
        for cx in 0..6 {
            service.urge(at(cx), Urgency::neighbour(u64::from(cx.abs_diff(player))));
        }
    };
    walk(&mut service, 0);
    tick(&mut service, ms(0));
    // The player turns up at the other end: what is not begun is re-ordered.
    walk(&mut service, 5);
    let first = tick(&mut service, ms(16));
    assert_eq!(first, [ChunkEvent::Ready(at(0)), ChunkEvent::Ready(at(1))]);
    let second = tick(&mut service, ms(32));
    assert_eq!(second, [ChunkEvent::Ready(at(5)), ChunkEvent::Ready(at(4))]);
}

#[test]
fn the_smallest_urgency_of_a_tick_counts_whoever_speaks_last() {
    let mut service = service(ChunkLimits { making_max: 1, ..limits() });
    [1, 2, 3].into_iter().for_each(|cx| service.pin(at(cx)));
    for (cx, urgency) in [
        (1, Urgency::neighbour(5)),
        (2, Urgency::active()),
        (3, Urgency::neighbour(1)),
        (2, Urgency::prefetch(0)),
    ] {
        service.urge(at(cx), urgency);
    }
    let made: Vec<_> = (0..4).flat_map(|n| tick(&mut service, ms(n))).collect();
    assert_eq!(made, [2, 3, 1].map(|cx| ChunkEvent::Ready(at(cx))));
}

#[test]
fn a_chunk_is_made_once_however_many_pin_it() {
    let mut service = service(limits());
    (0..100).for_each(|_| service.pin(at(1)));
    tick(&mut service, ms(0));
    (0..100).for_each(|_| service.pin(at(1)));
    tick(&mut service, ms(1));
    service.pin(at(1));
    tick(&mut service, ms(2));
    let counters = service.counters();
    assert_eq!((counters.made, counters.hits, counters.stale), (1, 1, 0));
    assert_eq!(service.ready_times().percentiles().count, 1);
}

#[test]
fn a_queued_chunk_that_nobody_wants_is_dropped() {
    let mut service = service(ChunkLimits { making_max: 1, ..limits() });
    [1, 2].into_iter().for_each(|cx| service.pin(at(cx)));
    service.dispatch(ms(0));
    service.unpin(at(2));
    assert!(matches!(service.state(at(2)), ChunkState::Absent));
    assert_eq!(tick(&mut service, ms(1)), [ChunkEvent::Ready(at(1))]);
    assert_eq!(tick(&mut service, ms(2)), []);
    assert_eq!((service.counters().dropped_unwanted, service.counters().made), (1, 1));
}

#[test]
fn a_stale_result_is_counted_and_not_shown() {
    let mut service = service(ChunkLimits { making_max: 1, ..limits() });
    service.pin(at(1));
    service.dispatch(ms(0));
    assert!(matches!(service.state(at(1)), ChunkState::Making));
    service.unpin(at(1));
    service.pin(at(1));
    // The result of the first attempt arrives while the chunk waits for the second.
    service.take_in(ms(1), ALL, || true);
    assert!(matches!(service.state(at(1)), ChunkState::Queued));
    assert_eq!((service.counters().stale, service.counters().made), (1, 0));
    tick(&mut service, ms(2));
    tick(&mut service, ms(3));
    assert!(ready(&service, at(1)));
    assert_eq!((service.counters().stale, service.counters().made), (1, 1));
}

#[test]
fn an_old_result_is_stale_even_while_the_next_attempt_is_being_made() {
    let mut service = service(limits());
    service.pin(at(1));
    service.dispatch(ms(0));
    service.unpin(at(1));
    service.pin(at(1));
    service.dispatch(ms(1));
    // Both attempts are with the workshop; only the second one's result is waited for.
    assert_eq!(service.gauges(ms(1)).making, 2);
    assert_eq!(service.take_in(ms(2), 1, || true), 1);
    assert!(matches!(service.state(at(1)), ChunkState::Making));
    assert_eq!((service.counters().stale, service.counters().made), (1, 0));
    assert_eq!(service.take_in(ms(3), 1, || true), 1);
    assert!(ready(&service, at(1)));
    assert_eq!((service.counters().stale, service.counters().made), (1, 1));
}

#[test]
fn an_edit_gives_a_failed_chunk_all_its_attempts_again() {
    let mut service = service(limits());
    service.pin(at(-1));
    for now_ms in [0, 1, 101, 102, 502, 503] {
        tick(&mut service, ms(now_ms));
    }
    assert!(matches!(service.state(at(-1)), ChunkState::Failed));
    assert_eq!(service.invalidate(at(-1)), Ok(2));
    for now_ms in [1_000, 1_001, 1_101, 1_102] {
        tick(&mut service, ms(now_ms));
        assert!(matches!(service.state(at(-1)), ChunkState::Queued | ChunkState::Making), "at {now_ms} ms");
    }
    assert_eq!(service.counters().panics, 5);
}

#[test]
fn a_panic_is_tried_again_after_a_backoff_and_then_failed() {
    let mut service = service(limits());
    service.pin(at(-1));
    service.pin(at(1));
    service.dispatch(ms(0));
    tick(&mut service, ms(10));
    assert!(ready(&service, at(1)), "the worker lives on");
    // Failed at 10; due at 110, fails at 111; due at 511, fails at 512.
    for (now_ms, panics) in [(109, 1), (110, 1), (111, 2), (510, 2), (511, 2)] {
        assert_eq!(tick(&mut service, ms(now_ms)), [], "at {now_ms} ms");
        assert_eq!(service.counters().panics, panics, "at {now_ms} ms");
    }
    assert_eq!(tick(&mut service, ms(512)), [ChunkEvent::Failed(at(-1))]);
    assert!(matches!(service.state(at(-1)), ChunkState::Failed));
    let counters = *service.counters();
    assert_eq!((counters.panics, counters.retries, counters.failed), (3, 2, 1));
    tick(&mut service, ms(60_000));
    assert_eq!(*service.counters(), counters, "failed stays failed");
    // Nobody wants it: forgotten. Wanted again: asked for again.
    service.unpin(at(-1));
    assert!(matches!(service.state(at(-1)), ChunkState::Absent));
    service.pin(at(-1));
    assert!(matches!(service.state(at(-1)), ChunkState::Queued));
}

#[test]
fn a_retry_that_succeeds_is_an_ordinary_chunk() {
    let mut service = service_with_panics(limits(), 1);
    service.pin(at(-1));
    for now_ms in [0, 1, 101, 102] {
        tick(&mut service, ms(now_ms));
    }
    assert!(ready(&service, at(-1)));
    assert_eq!((service.counters().panics, service.counters().failed), (1, 0));
}

#[test]
fn a_budget_leaves_the_rest_for_the_next_tick_and_loses_nothing() {
    let mut service = service(ChunkLimits { making_max: 10, ..limits() });
    (0..10).for_each(|cx| service.pin(at(cx)));
    service.dispatch(ms(0));
    assert_eq!(service.take_in(ms(1), 4, || true), 4);
    assert_eq!(service.changed().len(), 4);
    assert_eq!(service.take_in(ms(2), ALL, || false), 1, "one is taken even without time");
    let mut looks = 0;
    let two_looks = || {
        looks += 1;
        looks <= 2
    };
    assert_eq!(service.take_in(ms(3), ALL, two_looks), 3);
    assert_eq!(service.gauges(ms(3)).making, 2);
    assert_eq!(service.take_in(ms(4), ALL, || true), 2);
    assert!((0..10).all(|cx| ready(&service, at(cx))));
}

#[test]
fn a_ready_chunk_stays_cached_and_is_a_hit_when_it_comes_back() {
    let mut service = service(limits());
    service.pin(at(1));
    tick(&mut service, ms(0));
    tick(&mut service, ms(1));
    service.unpin(at(1));
    assert!(ready(&service, at(1)));
    service.pin(at(1));
    assert!(ready(&service, at(1)));
    assert_eq!((service.counters().hits, service.counters().made), (1, 1));
}

#[test]
fn pinned_chunks_are_never_evicted_and_cached_ones_keep_to_their_bytes() {
    let mut service = service(ChunkLimits { cache_bytes_max: 1, ..limits() });
    [1, 2].into_iter().for_each(|cx| service.pin(at(cx)));
    tick(&mut service, ms(0));
    tick(&mut service, ms(1));
    assert!(ready(&service, at(1)) && ready(&service, at(2)));
    service.unpin(at(1));
    assert!(matches!(service.state(at(1)), ChunkState::Absent));
    assert!(ready(&service, at(2)));
    assert_eq!((service.counters().evicted, service.gauges(ms(1)).ready), (1, 1));
}

#[test]
fn a_full_queue_turns_requests_away_until_there_is_room() {
    let mut service = service(ChunkLimits { making_max: 1, queued_max: 2, ..limits() });
    (0..4).for_each(|cx| service.pin(at(cx)));
    assert_eq!(service.counters().queue_full, 2);
    assert!(matches!(service.state(at(3)), ChunkState::Absent));
    for now in 0..10 {
        (0..4).for_each(|cx| service.urge(at(cx), Urgency::neighbour(cx as u64)));
        assert!(service.gauges(ms(now)).queued <= 2);
        tick(&mut service, ms(now));
    }
    assert!((0..4).all(|cx| ready(&service, at(cx))));
    assert_eq!(service.counters().queue_full, 2);
}

#[test]
fn an_edited_chunk_is_made_again_as_its_next_version() {
    let mut service = service(ChunkLimits { making_max: 4, ..limits() });
    let version = |service: &ChunkService<Inline>| match service.state(at(1)) {
        ChunkState::Ready(ready) => ready.version,
        _ => 0,
    };
    service.pin(at(1));
    service.dispatch(ms(0));
    // An edit while it is being made: what comes of that attempt is old.
    assert_eq!(service.invalidate(at(1)), Ok(2));
    tick(&mut service, ms(1));
    assert_eq!((version(&service), service.counters().stale), (0, 1));
    tick(&mut service, ms(2));
    assert_eq!(version(&service), 2);
    assert_eq!(service.invalidate(at(1)), Ok(3));
    assert_eq!(version(&service), 0, "an old version is not shown");
    tick(&mut service, ms(3));
    tick(&mut service, ms(4));
    assert_eq!(version(&service), 3);
    // An edit of a cached chunk drops it; the version is remembered.
    service.unpin(at(1));
    assert_eq!(service.invalidate(at(1)), Ok(4));
    assert!(matches!(service.state(at(1)), ChunkState::Absent));
    service.pin(at(1));
    tick(&mut service, ms(5));
    tick(&mut service, ms(6));
    assert_eq!(version(&service), 4);
}

#[test]
fn the_oldest_request_is_as_old_as_its_first_pin() {
    let mut service = service(ChunkLimits { making_max: 1, ..limits() });
    service.pin(at(1));
    service.dispatch(ms(1_000));
    service.pin(at(2));
    assert_eq!(service.gauges(ms(1_500)).oldest_request_age, Duration::from_ms(500));
    tick(&mut service, ms(1_600));
    assert_eq!(service.gauges(ms(1_700)).oldest_request_age, Duration::from_ms(700));
    tick(&mut service, ms(1_800));
    assert_eq!(service.gauges(ms(1_800)).oldest_request_age, Duration::ZERO);
}
