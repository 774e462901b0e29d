//! Where chunks are made: the one seam between the service and threads.
//!
//! A service hands over jobs and reads reports; neither ever waits. Two workshops exist: the
//! [`Pool`](super::Pool) of threads, and [`Inline`], which makes a chunk when it is asked for a report
//! and so runs in virtual time, in tests and in benchmarks without a thread or a clock.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use ninefold_protocol::limits::CHUNK_BYTES_MAX;
use ninefold_protocol::time::Duration;
use ninefold_world::{Generator, Scratch, build, encode, encode_recipe};

use super::request::{Encoded, Job, Made, NotMade, Report, WorkerId};

/// Makes chunks for a service.
pub trait Workshop {
    /// Takes a job; gives it back if there is no room, which a service that keeps to the workshop's
    /// `making_max` never sees.
    fn submit(&mut self, job: Job) -> Result<(), Job>;

    /// The next report, if there is one.
    fn poll(&mut self) -> Option<Report>;

    /// Gives up a worker that is overdue with `job`.
    fn give_up(&mut self, worker: WorkerId, job: Job) -> GivenUp;

    /// Workers that are not known to hang. While there is none, no job is started.
    fn workers_alive(&self) -> usize;
}

/// What became of a worker that was overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum GivenUp {
    /// It had just finished: its report is on the way, nothing is lost.
    Finished,
    /// A fresh worker takes its place; it ends by itself if it ever comes back.
    Replaced,
    /// There are no more replacements; it goes on if it ever comes back.
    NotReplaced,
}

/// Generates and encodes one chunk; what goes wrong is logged with the place and the attempt.
///
/// After a panic the scratch, which may be half-written, is replaced.
pub(super) fn make(generator: &dyn Generator, job: Job, scratch: &mut Scratch) -> Result<Made, NotMade> {
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let grid = generator.grid(job.coord);
        let chunk = Arc::new(build(&grid, scratch));
        let recipe = encode_recipe(&grid, &chunk).map(Bytes::from);
        let encoded = Encoded::new(Bytes::from(encode(&chunk)), recipe);
        Made { chunk, encoded, generate_time: Duration::ZERO }
    }));
    let (cx, cz, generation_id) = (job.coord.cx, job.coord.cz, job.generation_id.0);
    match attempt {
        Ok(made) if (1..=CHUNK_BYTES_MAX).contains(&made.encoded.bsp.len()) => Ok(made),
        Ok(made) => {
            let bytes = made.encoded.bsp.len();
            tracing::error!(cx, cz, generation_id, "an encoded chunk of {bytes} bytes cannot be sent");
            Err(NotMade::WrongSize { bytes })
        }
        Err(panic) => {
            *scratch = Scratch::default();
            tracing::error!(cx, cz, generation_id, "the generator panicked: {}", message(panic.as_ref()));
            // What was thrown may panic again when it is dropped, and must not take the worker with it.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
            Err(NotMade::Panicked)
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

/// A workshop without threads: each report asked for makes one chunk, in the order of the jobs.
///
/// A generator that hangs hangs its caller: there is nobody to overtake it.
pub struct Inline {
    generator: Arc<dyn Generator>,
    scratch: Scratch,
    /// At most the service's `making_max`.
    jobs: VecDeque<Job>,
}

impl Inline {
    /// A workshop for one generator.
    pub fn new(generator: Arc<dyn Generator>) -> Self {
        Inline { generator, scratch: Scratch::default(), jobs: VecDeque::new() }
    }
}

impl fmt::Debug for Inline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inline").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

impl Workshop for Inline {
    fn submit(&mut self, job: Job) -> Result<(), Job> {
        self.jobs.push_back(job);
        Ok(())
    }

    fn poll(&mut self) -> Option<Report> {
        let job = self.jobs.pop_front()?;
        Some(match make(self.generator.as_ref(), job, &mut self.scratch) {
            Ok(made) => Report::Made { job, made },
            Err(why) => Report::NotMade { job, why },
        })
    }

    fn give_up(&mut self, _: WorkerId, _: Job) -> GivenUp {
        // It reports no start, so nothing of it is ever overdue.
        GivenUp::Finished
    }

    fn workers_alive(&self) -> usize {
        1
    }
}
