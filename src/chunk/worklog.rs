//! When each worker was at which chunk: a queue from the workers to whoever looks, which holds nobody up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant as StdInstant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::request::{Job, NotMade, WorkerId};
use crate::recorder::SPANS_WAITING_MAX;

/// One chunk that a worker was at.
#[derive(Clone, Copy, Debug)]
pub struct Worked {
    /// Who.
    pub worker: WorkerId,
    /// At what.
    pub job: Job,
    /// From when.
    pub began: StdInstant,
    /// To when.
    pub ended: StdInstant,
    /// What went wrong, if anything did.
    pub not_made: Option<NotMade>,
}

/// The end that reads. At most [`SPANS_WAITING_MAX`] wait; more are lost and counted.
#[derive(Debug)]
pub struct WorkLog {
    worked: Receiver<Worked>,
    lost: Arc<AtomicU32>,
}

/// The workers' end.
#[derive(Debug)]
pub(super) struct WorkLogger {
    worked: Sender<Worked>,
    lost: Arc<AtomicU32>,
}

/// An empty log.
pub(super) fn work_log() -> (WorkLogger, WorkLog) {
    let (worked_in, worked) = bounded(SPANS_WAITING_MAX);
    let lost = Arc::new(AtomicU32::new(0));
    (WorkLogger { worked: worked_in, lost: Arc::clone(&lost) }, WorkLog { worked, lost })
}

impl WorkLogger {
    pub(super) fn log(&self, worked: Worked) {
        if self.worked.try_send(worked).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl WorkLog {
    /// What was done since it was last asked, in the order in which it ended.
    pub fn worked(&self) -> impl Iterator<Item = Worked> {
        self.worked.try_iter()
    }

    /// What was lost since it was last asked.
    pub fn take_lost(&self) -> u32 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}
