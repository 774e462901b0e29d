//! Worker threads that make chunks, and what becomes of one that hangs.
//!
//! ```text
//!   tick --- jobs, making_max ---> workers --- reports, more than there can be ---> tick
//!     \--- orders ---> supervisor: starts a fresh worker for a hung one
//! ```
//!
//! The tick never waits for a worker and a worker never waits for the tick. A thread cannot be killed: a
//! worker that is given up keeps its thread until the generator returns, reports a result that is stale
//! by then, and ends. Whether it finished or was given up first is decided by one compare-and-swap on its
//! place, so that no result is lost to a race.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration as StdDuration;
use std::time::Instant as StdInstant;

use crossbeam_channel::{Receiver, Sender, bounded};
use ninefold_world::{Generator, Scratch};

use super::limits::WORKERS_LOST_MAX;
use super::request::{Job, Report, WorkerId};
use super::worklog::{self, WorkLog, WorkLogger, Worked};
use super::workshop::{GivenUp, Workshop, make};
use crate::clock::thread_cpu_ns;

/// How long stopping waits for workers that are in the middle of a chunk.
const STOP_WAIT: StdDuration = StdDuration::from_millis(500);
/// How often stopping looks whether they are done.
const STOP_POLL: StdDuration = StdDuration::from_millis(1);

/// A worker's place holds the generation id of the job it is at, or one of these.
const IDLE: u64 = 0;
/// Given up and replaced: it ends when it comes back.
const LOST: u64 = u64::MAX;
/// Given up without a replacement: it goes on when it comes back.
const MISSED: u64 = u64::MAX - 1;

/// A pool of threads that make chunks.
pub struct Pool {
    shared: Arc<Shared>,
    /// `None` once it is stopping.
    jobs: Option<Sender<Job>>,
    reports: Receiver<Report>,
    /// `None` once it is stopping.
    orders: Option<Sender<Order>>,
    supervisor: Option<JoinHandle<()>>,
    /// Places given to workers so far.
    places_used: usize,
    said_exhausted: bool,
    /// `None` once somebody has it.
    work_log: Option<WorkLog>,
}

/// What the workers, the supervisor and the tick share.
struct Shared {
    generator: Arc<dyn Generator>,
    jobs: Receiver<Job>,
    reports: Sender<Report>,
    logger: WorkLogger,
    /// By worker. There is one for every worker that can ever be started.
    places: Box<[AtomicU64]>,
    /// Workers that are not known to hang.
    alive: AtomicUsize,
    is_stopping: AtomicBool,
    /// Of workers that have ended.
    cpu_ns: AtomicU64,
}

/// What the tick tells the supervisor, who may wait and log.
enum Order {
    Replace { hung: Job, by: WorkerId },
    Exhausted { hung: Job },
}

impl Pool {
    /// Starts `workers` threads that take up to `making_max` jobs from one service.
    ///
    /// # Panics
    /// When `workers` or `making_max` is zero.
    pub fn start(generator: Arc<dyn Generator>, workers: usize, making_max: usize) -> io::Result<Pool> {
        assert!(workers > 0, "a pool without workers makes no chunk");
        assert!(making_max > 0, "a pool without room for jobs makes no chunk");
        let places = workers + WORKERS_LOST_MAX;
        let (jobs, jobs_out) = bounded(making_max);
        // Two for each job in the making, and the late result of every worker that was given up.
        let (reports_in, reports) = bounded(2 * making_max + places);
        let (logger, work_log) = worklog::work_log();
        let shared = Arc::new(Shared {
            generator,
            jobs: jobs_out,
            reports: reports_in,
            logger,
            places: (0..places).map(|_| AtomicU64::new(IDLE)).collect(),
            alive: AtomicUsize::new(workers),
            is_stopping: AtomicBool::new(false),
            cpu_ns: AtomicU64::new(0),
        });
        let (orders, orders_out) = bounded(WORKERS_LOST_MAX + 1);
        // From here on dropping the pool ends whatever has been started.
        let mut pool = Pool {
            shared: Arc::clone(&shared),
            jobs: Some(jobs),
            reports,
            orders: Some(orders),
            supervisor: None,
            places_used: workers,
            said_exhausted: false,
            work_log: Some(work_log),
        };
        let handles = (0..workers)
            .map(|n| start_worker(&shared, WorkerId(n as u32)))
            .collect::<io::Result<Vec<JoinHandle<()>>>>()?;
        let supervisor = Builder::new().name("ninefold-gen-sup".into());
        pool.supervisor = Some(supervisor.spawn(move || supervise(&shared, &orders_out, handles))?);
        Ok(pool)
    }

    /// What the workers will do from now on, for who looks at single chunks. There is one.
    pub fn take_work_log(&mut self) -> Option<WorkLog> {
        self.work_log.take()
    }

    /// Ends the workers; one that hangs is left behind after half a second. Returns the CPU time of all
    /// that ended, in nanoseconds.
    pub fn stop(mut self) -> u64 {
        self.end();
        self.shared.cpu_ns.load(Ordering::Acquire)
    }

    fn end(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.jobs = None;
        self.orders = None;
        if let Some(supervisor) = self.supervisor.take()
            && supervisor.join().is_err()
        {
            tracing::error!("the supervisor of the generation workers panicked");
        }
    }

    fn order(&self, order: Order) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.try_send(order).is_ok())
    }

    fn lose_one(&mut self, hung: Job) {
        self.shared.alive.fetch_sub(1, Ordering::AcqRel);
        if !self.said_exhausted {
            self.said_exhausted = true;
            self.order(Order::Exhausted { hung });
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("workers_alive", &self.workers_alive())
            .field("places_used", &self.places_used)
            .field("jobs_waiting", &self.shared.jobs.len())
            .field("reports_waiting", &self.reports.len())
            .finish_non_exhaustive()
    }
}

impl Workshop for Pool {
    fn submit(&mut self, job: Job) -> Result<(), Job> {
        debug_assert!((IDLE + 1..MISSED).contains(&job.generation_id.0));
        let Some(jobs) = &self.jobs else { return Err(job) };
        jobs.try_send(job).map_err(|e| e.into_inner())
    }

    fn poll(&mut self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    fn give_up(&mut self, worker: WorkerId, job: Job) -> GivenUp {
        let is_replaceable = self.places_used < self.shared.places.len();
        let fate = if is_replaceable { LOST } else { MISSED };
        let place = &self.shared.places[worker.0 as usize];
        let at_it = job.generation_id.0;
        if place.compare_exchange(at_it, fate, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return GivenUp::Finished;
        }
        if !is_replaceable {
            self.lose_one(job);
            return GivenUp::NotReplaced;
        }
        let by = WorkerId(self.places_used as u32);
        self.places_used += 1;
        if self.order(Order::Replace { hung: job, by }) {
            return GivenUp::Replaced;
        }
        self.lose_one(job);
        GivenUp::NotReplaced
    }

    fn workers_alive(&self) -> usize {
        self.shared.alive.load(Ordering::Acquire)
    }
}

fn start_worker(shared: &Arc<Shared>, worker: WorkerId) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    Builder::new().name(format!("ninefold-gen-{}", worker.0)).spawn(move || {
        work(&shared, worker);
        shared.cpu_ns.fetch_add(thread_cpu_ns(), Ordering::AcqRel);
    })
}

/// A worker's life: until the jobs end, the pool stops, or it finds itself given up.
fn work(shared: &Shared, worker: WorkerId) {
    let place = &shared.places[worker.0 as usize];
    let mut scratch = Scratch::default();
    for job in &shared.jobs {
        if shared.is_stopping.load(Ordering::Acquire) {
            return;
        }
        place.store(job.generation_id.0, Ordering::Release);
        if shared.reports.send(Report::Started { job, worker }).is_err() {
            return;
        }
        let began = StdInstant::now();
        let result = make(shared.generator.as_ref(), job, &mut scratch);
        let ended = StdInstant::now();
        let not_made = result.as_ref().err().copied();
        shared.logger.log(Worked { worker, job, began, ended, not_made });
        let report = match result {
            Ok(mut made) => {
                made.generate_time = ended.duration_since(began).into();
                Report::Made { job, made }
            }
            Err(why) => Report::NotMade { job, why },
        };
        let at_it = job.generation_id.0;
        let fate = place.compare_exchange(at_it, IDLE, Ordering::AcqRel, Ordering::Acquire);
        if fate == Err(MISSED) {
            place.store(IDLE, Ordering::Release);
            shared.alive.fetch_add(1, Ordering::AcqRel);
        }
        if shared.reports.send(report).is_err() || fate == Err(LOST) {
            return;
        }
    }
}

/// Starts replacements, and at the end waits for the workers, but not for ever.
fn supervise(shared: &Arc<Shared>, orders: &Receiver<Order>, mut workers: Vec<JoinHandle<()>>) {
    for order in orders {
        match order {
            Order::Replace { hung: Job { coord, generation_id }, by } => {
                let (cx, cz, generation_id) = (coord.cx, coord.cz, generation_id.0);
                tracing::error!(cx, cz, generation_id, "the generator hangs; a fresh worker takes over");
                match start_worker(shared, by) {
                    Ok(worker) => workers.push(worker),
                    Err(error) => {
                        shared.alive.fetch_sub(1, Ordering::AcqRel);
                        tracing::error!(%error, "no thread for a fresh generation worker");
                    }
                }
            }
            Order::Exhausted { hung: Job { coord, generation_id } } => tracing::error!(
                cx = coord.cx,
                cz = coord.cz,
                generation_id = generation_id.0,
                "the generator hangs again; {WORKERS_LOST_MAX} workers have been replaced and no more will \
                 be: mend the generator and start the server again"
            ),
        }
    }
    let end = StdInstant::now() + STOP_WAIT;
    loop {
        workers.retain(|worker| !worker.is_finished());
        if workers.is_empty() {
            return;
        }
        if StdInstant::now() >= end {
            tracing::warn!("{} generation workers hang and are left behind", workers.len());
            return;
        }
        std::thread::sleep(STOP_POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{ChunkLimits, ChunkService, ChunkState, Urgency};
    use ninefold_protocol::time::{Duration, Instant};
    use ninefold_world::{ChunkCoord, Grid, Plain};
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    /// Real time that a test may take before it fails.
    const PATIENCE: StdDuration = StdDuration::from_secs(20);

    fn at(cx: i32) -> ChunkCoord {
        ChunkCoord { cx, cz: 0 }
    }

    fn ms(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_ms(ms)
    }

    /// Panics at -1; waits for its gate at 100 and beyond, each time it is asked; else a safe chunk.
    struct Gated {
        open: AtomicBool,
        asked: Mutex<Vec<ChunkCoord>>,
    }

    impl Gated {
        fn new() -> Arc<Gated> {
            Arc::new(Gated { open: AtomicBool::new(false), asked: Mutex::default() })
        }
    }

    impl Generator for Gated {
        fn grid(&self, coord: ChunkCoord) -> Grid {
            self.asked.lock().unwrap().push(coord);
            if coord == at(-1) {
                std::panic::resume_unwind(Box::new("planted"));
            }
            while coord.cx >= 100 && !self.open.load(Ordering::Acquire) {
                std::thread::sleep(STOP_POLL);
            }
            Plain::new(0).grid(coord)
        }

        fn world_id(&self) -> u64 {
            0
        }
    }

    fn service(generator: &Arc<Gated>, workers: usize, limits: ChunkLimits) -> ChunkService<Pool> {
        let pool = Pool::start(Arc::clone(generator) as Arc<dyn Generator>, workers, limits.making_max);
        ChunkService::new(limits, pool.expect("threads can be started"))
    }

    fn limits() -> ChunkLimits {
        ChunkLimits { making_max: 4, ..ChunkLimits::default() }
    }

    /// Ticks at a standing `now` until something comes true.
    fn until(
        service: &mut ChunkService<Pool>,
        now: Instant,
        mut done: impl FnMut(&ChunkService<Pool>) -> bool,
    ) {
        let began = StdInstant::now();
        loop {
            service.take_in(now, usize::MAX, || true);
            service.dispatch(now);
            if done(service) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "never came true: {service:?}");
            std::thread::sleep(STOP_POLL);
        }
    }

    fn is_ready(service: &ChunkService<Pool>, coord: ChunkCoord) -> bool {
        matches!(service.state(coord), ChunkState::Ready(_))
    }

    fn is_failed(service: &ChunkService<Pool>, coord: ChunkCoord) -> bool {
        matches!(service.state(coord), ChunkState::Failed)
    }

    #[test]
    fn every_chunk_is_made_once_and_the_time_is_told() {
        let generator = Gated::new();
        let mut service = service(&generator, 3, limits());
        for _ in 0..3 {
            (0..50).for_each(|cx| service.pin(at(cx)));
        }
        until(&mut service, ms(0), |s| (0..50).all(|cx| is_ready(s, at(cx))));
        let asked = generator.asked.lock().unwrap().clone();
        assert_eq!((asked.len(), asked.iter().collect::<BTreeSet<_>>().len()), (50, 50));
        assert_eq!(service.counters().made, 50);
        assert_eq!(service.generate_times().percentiles().count, 50);
        service.into_workshop().stop();
    }

    #[test]
    fn one_worker_makes_the_nearest_first() {
        let generator = Gated::new();
        let mut service = service(&generator, 1, limits());
        for cx in 0..20 {
            service.pin(at(cx));
            service.urge(at(cx), Urgency::neighbour(20 - cx as u64));
        }
        until(&mut service, ms(0), |s| (0..20).all(|cx| is_ready(s, at(cx))));
        let expected: Vec<_> = (0..20).rev().map(at).collect();
        assert_eq!(*generator.asked.lock().unwrap(), expected);
    }

    #[test]
    fn a_panic_is_caught_and_its_worker_lives_on() {
        let generator = Gated::new();
        let mut service = service(&generator, 1, limits());
        service.pin(at(-1));
        let mut now = ms(0);
        until(&mut service, now, |s| s.counters().panics == 1);
        for attempts in 2..=3 {
            now += Duration::from_secs(1);
            until(&mut service, now, |s| s.counters().panics == attempts);
        }
        assert!(is_failed(&service, at(-1)));
        service.pin(at(1));
        until(&mut service, now, |s| is_ready(s, at(1)));
        assert_eq!(service.workshop().workers_alive(), 1);
        assert_eq!(service.counters().workers_replaced, 0);
    }

    #[test]
    fn a_hung_generator_is_overtaken_and_its_late_result_is_stale() {
        let generator = Gated::new();
        let mut service = service(&generator, 1, limits());
        service.pin(at(100));
        service.pin(at(1));
        until(&mut service, ms(0), |_| !generator.asked.lock().unwrap().is_empty());
        // Its start is read here at the latest; the deadline runs from then.
        until(&mut service, ms(0), |_| true);
        until(&mut service, ms(1_999), |s| !is_failed(s, at(100)));
        until(&mut service, ms(2_000), |s| is_failed(s, at(100)));
        // A fresh worker goes on with the rest.
        until(&mut service, ms(2_001), |s| is_ready(s, at(1)));
        assert_eq!((service.counters().deadline, service.counters().workers_replaced), (1, 1));
        assert_eq!(service.counters().retries, 0);
        generator.open.store(true, Ordering::Release);
        until(&mut service, ms(2_002), |s| s.counters().stale == 1);
        assert!(is_failed(&service, at(100)));
        // The hung worker ends by itself: the pool, its supervisor and the fresh worker are left.
        until(&mut service, ms(2_003), |s| Arc::strong_count(&s.workshop().shared) == 3);
    }

    #[test]
    fn a_result_that_waits_for_the_tick_is_not_overdue() {
        let generator = Gated::new();
        let mut pool = Pool::start(Arc::clone(&generator) as Arc<dyn Generator>, 1, 1).unwrap();
        let job = Job { coord: at(1), generation_id: crate::chunk::GenerationId(1) };
        pool.submit(job).unwrap();
        let began = StdInstant::now();
        while pool.reports.len() < 2 {
            assert!(began.elapsed() < PATIENCE);
            std::thread::sleep(STOP_POLL);
        }
        // The tick slept for long, sees the start, and only then looks at the deadline.
        let Some(Report::Started { worker, .. }) = pool.poll() else { panic!("a start comes first") };
        assert_eq!(pool.give_up(worker, job), GivenUp::Finished);
        assert!(matches!(pool.poll(), Some(Report::Made { .. })));
        assert_eq!(pool.workers_alive(), 1);
    }

    #[test]
    fn when_replacements_run_out_chunks_fail_until_a_worker_comes_back() {
        let generator = Gated::new();
        let mut service = service(&generator, 1, limits());
        let hangs = 1 + WORKERS_LOST_MAX as i32;
        let mut now = ms(0);
        for cx in 100..100 + hangs {
            service.pin(at(cx));
            until(&mut service, now, |_| generator.asked.lock().unwrap().contains(&at(cx)));
            until(&mut service, now, |_| true);
            now += limits().generate_deadline;
            until(&mut service, now, |s| is_failed(s, at(cx)));
        }
        assert_eq!(service.workshop().workers_alive(), 0);
        assert_eq!(service.counters().workers_replaced, WORKERS_LOST_MAX as u64);
        service.pin(at(1));
        until(&mut service, now, |s| is_failed(s, at(1)));
        assert_eq!(service.counters().without_worker, 1);
        // The generator is itself again: the last worker goes on, the replaced ones end.
        generator.open.store(true, Ordering::Release);
        until(&mut service, now, |s| s.workshop().workers_alive() == 1);
        service.unpin(at(1));
        service.pin(at(1));
        until(&mut service, now, |s| is_ready(s, at(1)));
        until(&mut service, now, |s| s.counters().stale == hangs as u64);
    }

    #[test]
    fn stopping_does_not_wait_for_a_hung_worker_nor_for_waiting_jobs() {
        let generator = Gated::new();
        let mut service = service(&generator, 2, limits());
        [100, 101, 102, 103].into_iter().for_each(|cx| service.pin(at(cx)));
        until(&mut service, ms(0), |_| generator.asked.lock().unwrap().len() == 2);
        let shared = Arc::clone(&service.workshop().shared);
        let began = StdInstant::now();
        service.into_workshop().stop();
        assert!(began.elapsed() < 4 * STOP_WAIT, "{:?}", began.elapsed());
        // Back from the generator, the workers end and leave the other two jobs alone.
        generator.open.store(true, Ordering::Release);
        while Arc::strong_count(&shared) > 1 {
            assert!(began.elapsed() < PATIENCE, "the workers never ended");
            std::thread::sleep(STOP_POLL);
        }
        assert_eq!(generator.asked.lock().unwrap().len(), 2);
    }

    #[test]
    fn jobs_that_wait_are_not_begun_once_the_pool_stops() {
        let generator = Gated::new();
        let mut service = service(&generator, 1, limits());
        [100, 101, 102].into_iter().for_each(|cx| service.pin(at(cx)));
        until(&mut service, ms(0), |_| generator.asked.lock().unwrap().len() == 1);
        // The worker comes back while stopping still waits for it.
        let gate = Arc::clone(&generator);
        let opener = std::thread::spawn(move || {
            std::thread::sleep(STOP_WAIT / 10);
            gate.open.store(true, Ordering::Release);
        });
        service.into_workshop().stop();
        opener.join().unwrap();
        assert_eq!(*generator.asked.lock().unwrap(), [at(100)]);
    }

    #[test]
    fn idle_workers_stop_at_once() {
        let generator = Gated::new();
        let mut service = service(&generator, 4, limits());
        service.pin(at(1));
        until(&mut service, ms(0), |s| is_ready(s, at(1)));
        let began = StdInstant::now();
        assert!(service.into_workshop().stop() > 0, "workers used the processor");
        assert!(began.elapsed() < STOP_WAIT, "{:?}", began.elapsed());
    }
}
