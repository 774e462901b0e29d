//! Where chunks are made in virtual time: workers that take as long as a seed says, panic, hang, and come back too late.
//!
//! The chunks are real: the generator runs when a result is handed over. What it costs in virtual time is drawn, and a
//! [`Yard`], which the world shares with the workshop, says how bad things are.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ninefold::chunk::{GivenUp, Inline, Job, Report, WORKERS_LOST_MAX, WorkerId, Workshop};
use ninefold_client::protocol::time::Duration;
use ninefold_client::world::{Chunk, ChunkCoord, Generator, Grid};

/// What a chunk takes a healthy worker, microseconds.
pub const COST_US: Range<u64> = 150..2_500;
/// How long a worker that hangs stays away. It comes back after the deadline, when nobody waits for it.
const HANG_US: Range<u64> = 12_000_000..20_000_000;
/// Results that are remembered for the checks; the oldest are forgotten beyond it.
const HANDED_OVER_MAX: usize = 256;

/// What the world tells the workshop, and what it sees of it.
#[derive(Debug)]
pub struct Yard {
    /// The server's time.
    pub now_us: Cell<u64>,
    /// A chunk takes so much longer.
    pub slower_us: Cell<u64>,
    /// One attempt in so many panics; 0 for none.
    pub panics_one_in: Cell<u32>,
    /// One attempt in so many hangs; 0 for none.
    pub hangs_one_in: Cell<u32>,
    /// Jobs that were submitted and whose result was not handed over.
    pub outstanding: RefCell<Vec<Job>>,
    /// Results that were handed over since the checks last looked.
    pub handed_over: RefCell<VecDeque<(Job, Option<Arc<Chunk>>)>>,
    random: RefCell<fastrand::Rng>,
}

impl Yard {
    /// A yard where all is well.
    pub fn new(seed: u64) -> Rc<Yard> {
        Rc::new(Yard {
            now_us: Cell::new(0),
            slower_us: Cell::new(0),
            panics_one_in: Cell::new(0),
            hangs_one_in: Cell::new(0),
            outstanding: RefCell::default(),
            handed_over: RefCell::default(),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
        })
    }

    /// All is well from now on.
    pub fn heal(&self) {
        self.slower_us.set(0);
        self.panics_one_in.set(0);
        self.hangs_one_in.set(0);
    }

    fn happens(&self, one_in: u32) -> bool {
        one_in > 0 && self.random.borrow_mut().u32(..one_in) == 0
    }
}

/// Panics when it is told to, without a word on standard error.
struct Fragile {
    generator: Arc<dyn Generator>,
    panics: Arc<AtomicBool>,
}

impl Generator for Fragile {
    fn grid(&self, coord: ChunkCoord) -> Grid {
        if self.panics.load(Ordering::Relaxed) {
            // Past the panic hook: a sweep has thousands of these.
            std::panic::resume_unwind(Box::new("the scenario wants a panic here"));
        }
        self.generator.grid(coord)
    }

    fn world_id(&self) -> u64 {
        self.generator.world_id()
    }
}

/// What a worker is at.
#[derive(Debug, Clone, Copy)]
struct Worker {
    id: WorkerId,
    job: Option<Job>,
    /// When it is done, or since when it has nothing to do.
    at_us: u64,
}

/// A workshop in virtual time.
pub struct VirtualWorkshop {
    inline: Inline,
    panics: Arc<AtomicBool>,
    yard: Rc<Yard>,
    workers: Vec<Worker>,
    /// Workers that were given up and are not back, with their jobs.
    lost: Vec<Worker>,
    lost_ever: usize,
    next_worker: u32,
    /// Jobs with the time at which they came.
    queue: VecDeque<(u64, Job)>,
    /// What is to be told: a start, or an end with what it took.
    reports: VecDeque<(Job, WorkerId, Option<u64>)>,
}

impl fmt::Debug for VirtualWorkshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VirtualWorkshop { workers, lost, queue, reports, .. } = self;
        write!(f, "VirtualWorkshop({workers:?}, lost {lost:?}, {queue:?}, {reports:?})")
    }
}

impl VirtualWorkshop {
    /// So many workers with this generator.
    pub fn new(generator: Arc<dyn Generator>, workers: u32, yard: Rc<Yard>) -> Self {
        let panics = Arc::new(AtomicBool::new(false));
        let inline = Inline::new(Arc::new(Fragile { generator, panics: Arc::clone(&panics) }));
        let workers: Vec<Worker> =
            (0..workers).map(|id| Worker { id: WorkerId(id), job: None, at_us: 0 }).collect();
        VirtualWorkshop {
            inline,
            panics,
            yard,
            next_worker: workers.len() as u32,
            workers,
            lost: Vec::new(),
            lost_ever: 0,
            queue: VecDeque::new(),
            reports: VecDeque::new(),
        }
    }

    /// Lets the workers work until now, each start and end in its order.
    fn advance(&mut self) {
        let now_us = self.yard.now_us.get();
        loop {
            let ends = |w: &&mut Worker| w.job.is_some() && w.at_us <= now_us;
            let end = self.workers.iter_mut().chain(&mut self.lost).filter(ends).min_by_key(|w| w.at_us);
            let end_us = end.as_ref().map_or(u64::MAX, |w| w.at_us);
            let idle = self.workers.iter().enumerate().filter(|(_, w)| w.job.is_none());
            let next = idle.min_by_key(|(_, w)| w.at_us).zip(self.queue.front());
            let start = next.map(|((index, worker), (came_us, _))| (index, worker.at_us.max(*came_us)));
            match start.filter(|(_, at_us)| *at_us <= now_us) {
                Some((index, at_us)) if at_us < end_us => self.start(index, at_us),
                _ if end_us < u64::MAX => self.end(end_us),
                _ => break,
            }
        }
    }

    fn start(&mut self, index: usize, at_us: u64) {
        let Some((_, job)) = self.queue.pop_front() else { return };
        let hangs = self.yard.happens(self.yard.hangs_one_in.get());
        let mut random = self.yard.random.borrow_mut();
        let cost_us = random.u64(COST_US) + self.yard.slower_us.get();
        let cost_us = if hangs { random.u64(HANG_US) } else { cost_us };
        let worker = &mut self.workers[index];
        (worker.job, worker.at_us) = (Some(job), at_us + cost_us);
        self.reports.push_back((job, worker.id, None));
    }

    fn end(&mut self, at_us: u64) {
        let done = |w: &Worker| w.job.is_some() && w.at_us == at_us;
        if let Some(worker) = self.workers.iter_mut().find(|w| done(w)) {
            let job = worker.job.take().expect("it was looked for by its job");
            self.reports.push_back((job, worker.id, Some(at_us)));
        } else if let Some(at) = self.lost.iter().position(done) {
            let worker = self.lost.swap_remove(at);
            let job = worker.job.expect("it was looked for by its job");
            self.reports.push_back((job, worker.id, Some(at_us)));
        }
    }
}

impl Workshop for VirtualWorkshop {
    fn submit(&mut self, job: Job) -> Result<(), Job> {
        self.queue.push_back((self.yard.now_us.get(), job));
        self.yard.outstanding.borrow_mut().push(job);
        Ok(())
    }

    fn poll(&mut self) -> Option<Report> {
        self.advance();
        let (job, worker, ended) = self.reports.pop_front()?;
        if ended.is_none() {
            return Some(Report::Started { job, worker });
        }
        self.panics.store(self.yard.happens(self.yard.panics_one_in.get()), Ordering::Relaxed);
        self.inline.submit(job).expect("it takes every job");
        let mut report = self.inline.poll();
        if let Some(Report::Made { made, .. }) = &mut report {
            made.generate_time = Duration::from_us(COST_US.start);
        }
        let chunk = match &report {
            Some(Report::Made { made, .. }) => Some(Arc::clone(&made.chunk)),
            _ => None,
        };
        self.yard.outstanding.borrow_mut().retain(|waiting| *waiting != job);
        let mut handed_over = self.yard.handed_over.borrow_mut();
        if handed_over.len() >= HANDED_OVER_MAX {
            handed_over.pop_front();
        }
        handed_over.push_back((job, chunk));
        report
    }

    fn give_up(&mut self, worker: WorkerId, job: Job) -> GivenUp {
        self.advance();
        let Some(index) = self.workers.iter().position(|w| w.id == worker && w.job == Some(job)) else {
            return GivenUp::Finished;
        };
        let now_us = self.yard.now_us.get();
        self.lost_ever += 1;
        let replaced = self.lost_ever <= WORKERS_LOST_MAX;
        let fresh = Worker { id: WorkerId(self.next_worker), job: None, at_us: now_us };
        if replaced {
            self.next_worker += 1;
            self.lost.push(std::mem::replace(&mut self.workers[index], fresh));
            GivenUp::Replaced
        } else {
            self.lost.push(self.workers.swap_remove(index));
            GivenUp::NotReplaced
        }
    }

    fn workers_alive(&self) -> usize {
        self.workers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold::chunk::GenerationId;
    use ninefold_client::world::Plain;

    fn job(id: u64) -> Job {
        Job { coord: ChunkCoord { cx: id as i32, cz: 0 }, generation_id: GenerationId(id) }
    }

    fn workshop(yard: &Rc<Yard>) -> VirtualWorkshop {
        VirtualWorkshop::new(Arc::new(Plain::new(1)), 1, Rc::clone(yard))
    }

    fn told(workshop: &mut VirtualWorkshop) -> Vec<String> {
        std::iter::from_fn(|| workshop.poll())
            .map(|report| match report {
                Report::Started { job, .. } => format!("started {}", job.generation_id.0),
                Report::Made { job, .. } => format!("made {}", job.generation_id.0),
                Report::NotMade { job, why } => format!("{why:?} {}", job.generation_id.0),
            })
            .collect()
    }

    #[test]
    fn one_worker_makes_one_chunk_after_the_other_and_each_takes_its_time() {
        let yard = Yard::new(1);
        let mut workshop = workshop(&yard);
        (1..=2).for_each(|id| workshop.submit(job(id)).unwrap());
        assert_eq!(told(&mut workshop), ["started 1"]);
        yard.now_us.set(2 * COST_US.end);
        assert_eq!(told(&mut workshop), ["made 1", "started 2", "made 2"]);
        assert!(yard.outstanding.borrow().is_empty());
    }

    #[test]
    fn a_worker_that_hangs_is_replaced_and_its_result_comes_late() {
        let yard = Yard::new(1);
        let mut workshop = workshop(&yard);
        yard.hangs_one_in.set(1);
        workshop.submit(job(1)).unwrap();
        assert_eq!(told(&mut workshop), ["started 1"]);
        yard.now_us.set(10_000_000);
        yard.heal();
        assert_eq!(workshop.give_up(WorkerId(0), job(1)), GivenUp::Replaced);
        workshop.submit(job(2)).unwrap();
        yard.now_us.set(HANG_US.end);
        assert_eq!(told(&mut workshop), ["started 2", "made 2", "made 1"]);
    }

    #[test]
    fn a_panic_is_the_real_one_of_a_generator() {
        let yard = Yard::new(1);
        let mut workshop = workshop(&yard);
        yard.panics_one_in.set(1);
        workshop.submit(job(1)).unwrap();
        yard.now_us.set(COST_US.end);
        assert_eq!(told(&mut workshop), ["started 1", "Panicked 1"]);
    }
}
