//! The chunk service: who wants which chunk, in which order they are made, and which are ready.
//!
//! Per tick the caller pins and unpins what entered and left the rings, says with [`ChunkService::urge`]
//! how near its clients are to what they miss, hands requests out with [`ChunkService::dispatch`] and
//! takes results in with [`ChunkService::take_in`]; then [`ChunkService::changed`] lists what became
//! ready or failed. Each pin wants its unpin.
//!
//! It guarantees one request per chunk however many pin it, that no result is shown but the one its
//! chunk waits for, and that nothing is dropped without a counter. Work: O(log n) for each request that
//! changed, the jobs in the making once per tick, and nothing for what stands still.

use ahash::AHashMap;
use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::ChunkCoord;

use super::cache::{ReadyCache, ReadyChunk};
use super::counters::{ChunkCounters, ChunkGauges};
use super::heap::SlotHeap;
use super::limits::{ChunkLimits, EDITED_CHUNKS_MAX, retry_backoff};
use super::request::{GenerationId, Job, Made, NotMade, Report, Urgency, WorkerId};
use super::table::{Entry, Stage, Table};
use super::workshop::{GivenUp, Workshop};
use crate::telemetry::Histogram;

/// The version of a chunk as it was generated.
const FIRST_VERSION: u32 = 1;

/// How far a chunk is.
#[derive(Clone, Copy, Debug)]
pub enum ChunkState<'c> {
    /// Nobody wants it, or the queue had no room for it yet.
    Absent,
    /// It waits to be made, for the first time or again.
    Queued,
    /// A worker has it, or will have it next.
    Making,
    /// It is there.
    Ready(&'c ReadyChunk),
    /// It is not to be had as long as somebody pins it.
    Failed,
}

/// A chunk that became ready or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkEvent {
    /// [`ChunkService::state`] has it.
    Ready(ChunkCoord),
    /// It cannot be made; its clients are to be told.
    Failed(ChunkCoord),
}

/// Too many chunks are edited to remember the version of one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{EDITED_CHUNKS_MAX} chunks are edited already; the version of {0:?} cannot be remembered")]
pub struct EditedTableFull(pub ChunkCoord);

/// A job that the workshop has.
#[derive(Clone, Copy, Debug)]
struct InMaking {
    job: Job,
    /// By whom and since when, once its start was reported.
    started: Option<(WorkerId, Instant)>,
}

/// The chunks of one world, made to order by `W`.
#[derive(Debug)]
pub struct ChunkService<W> {
    limits: ChunkLimits,
    workshop: W,
    /// Every chunk that somebody pins.
    table: Table,
    /// Ready chunks that nobody pins.
    cache: ReadyCache,
    /// Slots in stage `Queued`, the most urgent first, then the longest asked for.
    queue: SlotHeap<(Urgency, GenerationId)>,
    /// Slots in stage `BackingOff`, the first due first.
    retries: SlotHeap<(Instant, GenerationId)>,
    /// All slots that are neither ready nor failed, the longest wanted first.
    waiting: SlotHeap<(Instant, u32)>,
    /// Jobs that the workshop has, wanted or not; at most `making_max`.
    making: Vec<InMaking>,
    /// Versions above the first.
    versions: AHashMap<ChunkCoord, u32>,
    next_generation_id: u64,

    // for one tick, kept for their memory
    /// Counts calls of `dispatch`: urgencies are said anew in each.
    round: u64,
    /// Slots whose urgency was said in this round. Slots may have been freed since.
    urged: Vec<u32>,
    changed: Vec<ChunkEvent>,
    now: Instant,
    first_now: Option<Instant>,

    counters: ChunkCounters,
    generate_times: Histogram,
    ready_times: Histogram,
}

impl<W> ChunkService<W> {
    /// A service without chunks.
    ///
    /// # Panics
    /// When a limit is zero that has to be at least one.
    pub fn new(limits: ChunkLimits, workshop: W) -> Self {
        assert!(limits.making_max > 0, "making_max of zero would make no chunk");
        assert!(limits.queued_max > 0, "queued_max of zero would take no request");
        assert!(limits.attempts_max > 0, "attempts_max of zero would make no chunk");
        ChunkService {
            limits,
            workshop,
            table: Table::default(),
            cache: ReadyCache::new(limits.cache_bytes_max),
            queue: SlotHeap::new(),
            retries: SlotHeap::new(),
            waiting: SlotHeap::new(),
            making: Vec::with_capacity(limits.making_max),
            versions: AHashMap::new(),
            next_generation_id: 1,
            round: 1,
            urged: Vec::new(),
            changed: Vec::new(),
            now: Instant::ZERO,
            first_now: None,
            counters: ChunkCounters::default(),
            generate_times: Histogram::default(),
            ready_times: Histogram::default(),
        }
    }

    /// How far a chunk is. Looking does not keep it in the cache.
    pub fn state(&self, coord: ChunkCoord) -> ChunkState<'_> {
        let Some(slot) = self.table.slot(coord) else {
            return self.cache.peek(coord).map_or(ChunkState::Absent, ChunkState::Ready);
        };
        match &self.table[slot].stage {
            Stage::TurnedAway => ChunkState::Absent,
            Stage::Queued | Stage::BackingOff => ChunkState::Queued,
            Stage::Making => ChunkState::Making,
            Stage::Ready(ready) => ChunkState::Ready(ready),
            Stage::Failed => ChunkState::Failed,
        }
    }

    /// What became ready or failed since the last [`ChunkService::take_in`] began. A chunk that is
    /// pinned when it is ready already is not among them.
    pub fn changed(&self) -> &[ChunkEvent] {
        &self.changed
    }

    /// What has happened so far.
    pub fn counters(&self) -> &ChunkCounters {
        &self.counters
    }

    /// What is held now.
    pub fn gauges(&self, now: Instant) -> ChunkGauges {
        let wanted_at = self.waiting.peek().map(|((wanted_at, _), _)| wanted_at);
        let first_now = self.first_now.unwrap_or(now);
        ChunkGauges {
            queued: self.queued(),
            making: self.making.len(),
            ready: self.cache.len(),
            pinned: self.table.len(),
            cache_bytes: self.cache.bytes(),
            oldest_request_age: wanted_at.map_or(Duration::ZERO, |at| now.since(at.max(first_now))),
        }
    }

    /// What generating and encoding took, per result.
    pub fn generate_times(&self) -> &Histogram {
        &self.generate_times
    }

    /// What passed from the first pin of a chunk to its being ready, per chunk made.
    pub fn ready_times(&self) -> &Histogram {
        &self.ready_times
    }

    /// Where the chunks are made.
    pub fn workshop(&self) -> &W {
        &self.workshop
    }

    /// Ends the service; what it held is dropped.
    pub fn into_workshop(self) -> W {
        self.workshop
    }

    /// One more client's ring holds the chunk. If it is not there it is asked for.
    pub fn pin(&mut self, coord: ChunkCoord) {
        if let Some(slot) = self.table.slot(coord) {
            let entry = &mut self.table[slot];
            entry.pins += 1;
            self.counters.hits += u64::from(matches!(entry.stage, Stage::Ready(_)));
            return;
        }
        let cached = self.cache.pin(coord);
        self.counters.hits += u64::from(cached.is_some());
        let wanted = cached.is_none();
        let slot = self.table.insert(Entry {
            coord,
            pins: 1,
            stage: cached.map_or(Stage::TurnedAway, Stage::Ready),
            generation_id: GenerationId(0),
            attempts: 0,
            urgency: Urgency::LEAST,
            urged_round: 0,
            wanted_at: self.now,
        });
        if wanted {
            self.waiting.insert(slot, (self.now, slot));
            let queued = self.enqueue(slot);
            self.counters.queue_full += u64::from(!queued);
        }
    }

    /// One client's ring fewer holds the chunk. When none does, what waits is dropped, what is being
    /// made will be stale, what is ready goes to the cache, and a failure is forgotten.
    pub fn unpin(&mut self, coord: ChunkCoord) {
        let slot = self.table.slot(coord);
        debug_assert!(slot.is_some(), "{coord:?} is unpinned more often than pinned");
        let Some(slot) = slot else { return };
        self.table[slot].pins -= 1;
        if self.table[slot].pins > 0 {
            return;
        }
        self.waiting.remove(slot);
        let dropped = self.queue.remove(slot) || self.retries.remove(slot);
        self.counters.dropped_unwanted += u64::from(dropped);
        if let Stage::Ready(ready) = self.table.remove(slot).stage {
            self.counters.evicted += self.cache.unpin(coord, ready);
        }
    }

    /// A client misses a pinned chunk this urgently. Said every tick by each client for what it misses:
    /// the smallest of a tick counts, and a chunk that nobody urges keeps what it had.
    pub fn urge(&mut self, coord: ChunkCoord, urgency: Urgency) {
        let Some(slot) = self.table.slot(coord) else { return };
        let entry = &mut self.table[slot];
        if matches!(entry.stage, Stage::Ready(_) | Stage::Failed) {
            return;
        }
        if entry.urged_round == self.round {
            entry.urgency = entry.urgency.min(urgency);
        } else {
            entry.urged_round = self.round;
            entry.urgency = urgency;
            self.urged.push(slot);
        }
        if matches!(entry.stage, Stage::TurnedAway) {
            self.enqueue(slot);
        }
    }

    /// The chunk was edited: what there is of it is not shown any more, and pinned it is made again, as
    /// its next version, which is returned.
    pub fn invalidate(&mut self, coord: ChunkCoord) -> Result<u32, EditedTableFull> {
        if self.versions.len() >= EDITED_CHUNKS_MAX && !self.versions.contains_key(&coord) {
            return Err(EditedTableFull(coord));
        }
        let version = self.versions.entry(coord).or_insert(FIRST_VERSION);
        *version = version.saturating_add(1);
        let version = *version;
        self.cache.remove(coord);
        let Some(slot) = self.table.slot(coord) else { return Ok(version) };
        let entry = &mut self.table[slot];
        if matches!(entry.stage, Stage::TurnedAway | Stage::Queued | Stage::BackingOff) {
            return Ok(version);
        }
        let made = !matches!(entry.stage, Stage::Making);
        entry.attempts = 0;
        if let Stage::Ready(ready) = std::mem::replace(&mut entry.stage, Stage::TurnedAway) {
            self.cache.remove_pinned(&ready);
        }
        if made {
            self.table[slot].wanted_at = self.now;
            self.waiting.insert(slot, (self.now, slot));
        }
        let queued = self.enqueue(slot);
        self.counters.queue_full += u64::from(!queued);
        Ok(version)
    }

    fn queued(&self) -> usize {
        self.queue.len() + self.retries.len()
    }

    /// Gives a slot a fresh generation id and a place in the queue, if there is one.
    fn enqueue(&mut self, slot: u32) -> bool {
        let has_room = self.queued() < self.limits.queued_max;
        let entry = &mut self.table[slot];
        entry.stage = if has_room { Stage::Queued } else { Stage::TurnedAway };
        if has_room {
            entry.generation_id = GenerationId(self.next_generation_id);
            self.next_generation_id += 1;
            self.queue.insert(slot, (entry.urgency, entry.generation_id));
        }
        has_room
    }

    fn fail(&mut self, slot: u32) {
        self.table[slot].stage = Stage::Failed;
        self.waiting.remove(slot);
        self.counters.failed += 1;
        self.changed.push(ChunkEvent::Failed(self.table[slot].coord));
    }

    /// The slot that waits for just this job, if one still does.
    fn waiting_for(&self, job: Job) -> Option<u32> {
        let slot = self.table.slot(job.coord)?;
        let entry = &self.table[slot];
        let waits = matches!(entry.stage, Stage::Making) && entry.generation_id == job.generation_id;
        waits.then_some(slot)
    }

    fn see(&mut self, now: Instant) {
        self.now = now;
        self.first_now.get_or_insert(now);
    }
}

impl<W: Workshop> ChunkService<W> {
    /// Hands out the most urgent requests, up to `making_max` in the making; first gives up workers past
    /// their deadline and lets retries back in whose time has come.
    pub fn dispatch(&mut self, now: Instant) {
        self.see(now);
        self.apply_urgencies();
        self.overtake(now);
        self.readmit(now);
        if self.workshop.workers_alive() == 0 {
            self.fail_without_worker();
            return;
        }
        while self.making.len() < self.limits.making_max {
            let Some((_, slot)) = self.queue.pop() else { break };
            let entry = &mut self.table[slot];
            let job = Job { coord: entry.coord, generation_id: entry.generation_id };
            if self.workshop.submit(job).is_err() {
                debug_assert!(false, "the workshop has room for making_max jobs");
                self.queue.insert(slot, (entry.urgency, entry.generation_id));
                break;
            }
            entry.stage = Stage::Making;
            self.making.push(InMaking { job, started: None });
        }
    }

    /// Takes in results: at most `chunks_max`, and after the first only while there is `time_left`. The
    /// rest wait for the next call; none is dropped. Returns how many were taken, stale ones included.
    pub fn take_in(
        &mut self,
        now: Instant,
        chunks_max: usize,
        mut time_left: impl FnMut() -> bool,
    ) -> usize {
        self.see(now);
        self.changed.clear();
        let mut taken = 0;
        while taken < chunks_max && (taken == 0 || time_left()) {
            let Some(report) = self.workshop.poll() else { break };
            match report {
                Report::Started { job, worker } => {
                    if let Some(at) = self.making.iter().position(|m| m.job == job) {
                        self.making[at].started = Some((worker, now));
                    }
                    continue;
                }
                Report::Made { job, made } => self.take_made(now, job, made),
                Report::NotMade { job, why } => self.take_not_made(now, job, why),
            }
            taken += 1;
        }
        taken
    }

    fn apply_urgencies(&mut self) {
        self.round += 1;
        for slot in self.urged.drain(..) {
            if let Some(entry) = self.table.get(slot) {
                self.queue.change(slot, (entry.urgency, entry.generation_id));
            }
        }
    }

    fn overtake(&mut self, now: Instant) {
        let mut at = 0;
        while at < self.making.len() {
            let InMaking { job, started } = self.making[at];
            let overdue = started.filter(|(_, since)| now.since(*since) >= self.limits.generate_deadline);
            let given_up = overdue.map(|(worker, _)| self.workshop.give_up(worker, job));
            match given_up {
                None | Some(GivenUp::Finished) => {
                    at += 1;
                    continue;
                }
                Some(GivenUp::Replaced) => self.counters.workers_replaced += 1,
                Some(GivenUp::NotReplaced) => {}
            }
            self.counters.deadline += 1;
            self.making.swap_remove(at);
            // Not tried again: it would hang the next worker too.
            if let Some(slot) = self.waiting_for(job) {
                self.fail(slot);
            }
        }
    }

    fn readmit(&mut self, now: Instant) {
        for _ in 0..self.limits.making_max {
            let Some(((due, _), slot)) = self.retries.peek() else { break };
            if due > now {
                break;
            }
            self.retries.remove(slot);
            let queued = self.enqueue(slot);
            debug_assert!(queued, "its place among the retries was free");
        }
    }

    /// With every worker hung nothing more will be made: better an explicit "unavailable" than silence.
    /// At most `making_max` requests a tick, and those that the workshop has not begun.
    fn fail_without_worker(&mut self) {
        for at in 0..self.making.len() {
            let InMaking { job, started } = self.making[at];
            if let (None, Some(slot)) = (started, self.waiting_for(job)) {
                self.counters.without_worker += 1;
                self.fail(slot);
            }
        }
        for _ in 0..self.limits.making_max {
            let Some((_, slot)) = self.queue.pop() else { break };
            self.counters.without_worker += 1;
            self.fail(slot);
        }
    }

    /// The slot that waits for a job that came back; a job without one is counted as stale.
    fn take_back(&mut self, job: Job) -> Option<u32> {
        if let Some(at) = self.making.iter().position(|m| m.job == job) {
            self.making.swap_remove(at);
        }
        let slot = self.waiting_for(job);
        self.counters.stale += u64::from(slot.is_none());
        slot
    }

    fn take_made(&mut self, now: Instant, job: Job, made: Made) {
        self.generate_times.record_us(made.generate_time.as_us());
        let Some(slot) = self.take_back(job) else { return };
        let version = self.versions.get(&job.coord).copied().unwrap_or(FIRST_VERSION);
        let ready = ReadyChunk::new(made, version);
        self.counters.made += 1;
        self.counters.evicted += self.cache.add_pinned(&ready);
        self.waiting.remove(slot);
        let entry = &mut self.table[slot];
        let wanted_at = entry.wanted_at.max(self.first_now.unwrap_or(now));
        self.ready_times.record_us(now.since(wanted_at).as_us());
        entry.stage = Stage::Ready(ready);
        self.changed.push(ChunkEvent::Ready(job.coord));
    }

    fn take_not_made(&mut self, now: Instant, job: Job, why: NotMade) {
        match why {
            NotMade::Panicked => self.counters.panics += 1,
            NotMade::WrongSize { .. } => self.counters.wrong_size += 1,
        }
        let Some(slot) = self.take_back(job) else { return };
        let has_room = self.queued() < self.limits.queued_max;
        let entry = &mut self.table[slot];
        entry.attempts += 1;
        if matches!(why, NotMade::WrongSize { .. }) || entry.attempts >= self.limits.attempts_max {
            self.fail(slot);
        } else if has_room {
            entry.stage = Stage::BackingOff;
            self.retries.insert(slot, (now + retry_backoff(entry.attempts), entry.generation_id));
            self.counters.retries += 1;
        } else {
            entry.stage = Stage::TurnedAway;
            self.counters.queue_full += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Inline;
    use ninefold_world::{Chunk, Generator, Scratch};
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
        fn generate(&self, coord: ChunkCoord, _: &mut Scratch) -> Chunk {
            let left = |n: u32| n.checked_sub(1);
            let strikes = coord.cx < 0
                && self.panics_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
            if strikes {
                std::panic::resume_unwind(Box::new("planted"));
            }
            Chunk::safe(coord)
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
        [1, 2, 3].map(|cx| service.pin(at(cx)));
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
        [1, 2].map(|cx| service.pin(at(cx)));
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
        [1, 2].map(|cx| service.pin(at(cx)));
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
}
