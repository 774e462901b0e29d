//! Asking for a trace from any thread.

use std::path::PathBuf;
use std::time::Duration as StdDuration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// How long one who asked waits for the file.
const ANSWER_WAIT: StdDuration = StdDuration::from_secs(10);

/// Why a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A tick took longer than its period.
    Overrun {
        /// Which.
        tick: u64,
    },
    /// The process got SIGUSR1.
    Signal,
    /// Somebody asked, over the network or in the program.
    Asked,
    /// The tick's thread panicked.
    Panic,
}

impl Why {
    /// In one word, as in the file's name.
    pub const fn word(self) -> &'static str {
        match self {
            Why::Overrun { .. } => "overrun",
            Why::Signal => "signal",
            Why::Asked => "asked",
            Why::Panic => "panic",
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Overrun { tick } => write!(f, "tick {tick} overran"),
            Why::Signal => f.write_str("SIGUSR1"),
            Why::Asked => f.write_str("asked for"),
            Why::Panic => f.write_str("the tick panicked"),
        }
    }
}

/// Why there is no trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Nothing is recorded.
    #[error("nothing is recorded; set recorder = true")]
    Off,
    /// There is no folder for it.
    #[error("traces have no folder; set trace_dir")]
    NoFolder,
    /// The writer is not done with the last one.
    #[error("a trace is being written; ask again when it is done")]
    Busy,
    /// The last one is too young.
    #[error("a trace was written just now; ask again in two seconds")]
    TooSoon,
    /// The file could not be written.
    #[error("{0}")]
    NotWritten(String),
    /// The server ended, or did not answer in time.
    #[error("the server does not answer")]
    NoAnswer,
}

/// What one who asked is told.
pub(super) type Answer = Result<PathBuf, RecordError>;

/// An order to write what is recorded.
#[derive(Debug)]
pub(super) struct Order {
    pub why: Why,
    pub answer: Sender<Answer>,
}

/// Asks a running server for a trace. Clones ask the same server.
#[derive(Debug, Clone)]
pub struct RecorderHandle {
    orders: Sender<Order>,
}

/// The two ends of the orders' queue.
pub(super) fn orders(orders_max: usize) -> (RecorderHandle, Receiver<Order>) {
    let (orders_in, orders_out) = bounded(orders_max);
    (RecorderHandle { orders: orders_in }, orders_out)
}

impl RecorderHandle {
    /// Writes the last ten seconds as a trace and gives its file. Waits for it, for ten seconds at most: not for a
    /// thread that must not wait.
    pub fn record(&self, why: Why) -> Result<PathBuf, RecordError> {
        let (answer_in, answer) = bounded(1);
        let order = Order { why, answer: answer_in };
        self.orders.try_send(order).map_err(|error| match error {
            crossbeam_channel::TrySendError::Full(_) => RecordError::Busy,
            crossbeam_channel::TrySendError::Disconnected(_) => RecordError::NoAnswer,
        })?;
        answer.recv_timeout(ANSWER_WAIT).unwrap_or(Err(RecordError::NoAnswer))
    }
}
