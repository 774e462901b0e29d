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
use super::parity::MadeParity;
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

/// A result that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenIn {
    /// What generating and encoding took, microseconds.
    pub generate_us: u64,
    /// What passed since the chunk was first wanted, if it still was.
    pub ready_us: Option<u64>,
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
    /// Results since the last `take_in` began.
    taken: Vec<TakenIn>,
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
            taken: Vec::new(),
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

    /// What the last [`ChunkService::take_in`] took in, whether it was still wanted or not.
    pub fn taken_in(&self) -> &[TakenIn] {
        &self.taken
    }

    /// The bounds.
    pub fn limits(&self) -> &ChunkLimits {
        &self.limits
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
            let is_hit = matches!(entry.stage, Stage::Ready(_));
            self.counters.hits += u64::from(is_hit);
            self.counters.misses += u64::from(!is_hit);
            return;
        }
        let cached = self.cache.pin(coord);
        self.counters.hits += u64::from(cached.is_some());
        let wanted = cached.is_none();
        self.counters.misses += u64::from(wanted);
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

    /// Counts parity that was made, with the chunk that it is of; of one that is gone meanwhile it lives only as
    /// long as it is being sent.
    pub fn count_parity(&mut self, made: &MadeParity) {
        self.counters.parity_made += 1;
        let slot = self.table.slot(made.coord);
        self.counters.evicted += match slot.map(|slot| &mut self.table[slot].stage) {
            Some(Stage::Ready(ready)) if ready.version == made.version => {
                self.cache.grow_pinned(ready, made.bytes)
            }
            Some(_) => 0,
            None => self.cache.grow_unpinned(made.coord, made.version, made.bytes),
        };
    }

    fn queued(&self) -> usize {
        self.queue.len() + self.retries.len()
    }

    /// Gives a slot a fresh generation id and a place in the queue, if there is one.
    fn enqueue(&mut self, slot: u32) -> bool {
        let has_room = self.queued() < self.limits.queued_max;
        #[cfg(feature = "planted-bugs")]
        let has_room = has_room || crate::planted::Planted::SkipQueueBound.is_there();
        let entry = &mut self.table[slot];
        entry.stage = if has_room { Stage::Queued } else { Stage::TurnedAway };
        if has_room {
            entry.generation_id = GenerationId(self.next_generation_id);
            self.next_generation_id += 1;
            self.counters.asked += 1;
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
        #[cfg(feature = "planted-bugs")]
        let waits = waits
            || matches!(entry.stage, Stage::Making) && crate::planted::Planted::ApplyStaleResults.is_there();
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
    pub fn take_in(&mut self, now: Instant, chunks_max: usize, mut time_left: impl FnMut() -> bool) -> usize {
        self.see(now);
        self.changed.clear();
        self.taken.clear();
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
        self.taken.push(TakenIn { generate_us: made.generate_time.as_us(), ready_us: None });
        let Some(slot) = self.take_back(job) else { return };
        let version = self.versions.get(&job.coord).copied().unwrap_or(FIRST_VERSION);
        let ready = ReadyChunk::new(made, version);
        self.counters.made += 1;
        self.counters.evicted += self.cache.add_pinned(&ready);
        self.waiting.remove(slot);
        let entry = &mut self.table[slot];
        let wanted_at = entry.wanted_at.max(self.first_now.unwrap_or(now));
        let ready_us = now.since(wanted_at).as_us();
        self.ready_times.record_us(ready_us);
        if let Some(taken) = self.taken.last_mut() {
            taken.ready_us = Some(ready_us);
        }
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
mod tests;
