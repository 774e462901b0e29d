//! Log lines: for people or for programs, never more than so many of a kind, never in the way of a tick.
//!
//! ```text
//!   any thread ── filter (log) ── limit.rs: a bucket for each kind ── line.rs: no control characters
//!              ── 4,096 lines, full: dropped and counted ──▶ ninefold-log ──▶ standard error
//! ```
//!
//! A standard error that nobody reads fills the queue and nothing else: no thread of the server waits for it. What a
//! kind of message had too many of is counted and told once, when it is over or after a minute.

mod limit;
mod line;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;
use std::time::{Duration as StdDuration, Instant as StdInstant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ninefold_protocol::time::Instant;
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use self::limit::{LeftOut, RateLimit};

/// Lines that may wait to be written.
const LINES_WAITING_MAX: usize = 4_096;
/// Bytes of a line; what is beyond is cut off.
const LINE_BYTES_MAX: usize = 8_192;
/// How often it is looked whether something was left out.
const LOOK: StdDuration = StdDuration::from_secs(1);
/// How long the end of the program waits for the last lines.
const FLUSH_WAIT: StdDuration = StdDuration::from_secs(1);

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// How to log.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// How lines look.
    pub format: LogFormat,
    /// Whether the level is in colour, for a terminal.
    pub in_colour: bool,
    /// Lines a second of each kind, after the first ten; 0 for no bound.
    pub lines_per_kind_s: u32,
}

/// What waits for the writing thread.
enum Message {
    Line(Vec<u8>),
    Flush(Sender<()>),
}

/// Lets the last lines out when it is dropped.
#[derive(Debug)]
#[must_use = "the last lines are lost if it is dropped at once"]
pub struct Logging {
    messages: Sender<Message>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Message::Line(_) => "Line",
            Message::Flush(_) => "Flush",
        })
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let (done, is_done) = bounded(1);
        if self.messages.send_timeout(Message::Flush(done), FLUSH_WAIT).is_ok() {
            // A standard error that hangs has had its time.
            let _ = is_done.recv_timeout(FLUSH_WAIT);
        }
    }
}

/// Logs what passes the filter to `out`, by a thread of its own.
pub fn start(
    filter: EnvFilter,
    options: LogOptions,
    out: impl Write + Send + 'static,
) -> io::Result<(Dispatch, Logging)> {
    let (messages, waiting) = bounded(LINES_WAITING_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let limit = Arc::new(RateLimit::new(options.lines_per_kind_s));
    let writer = Writer { out, options, waiting, limit: Arc::clone(&limit), dropped: Arc::clone(&dropped) };
    Builder::new().name("ninefold-log".into()).spawn(move || writer.run())?;
    let lines = Lines { messages: messages.clone(), dropped };
    let registry = tracing_subscriber::registry().with(filter).with(limit::Limited(limit));
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(lines);
    let dispatch = match options.format {
        LogFormat::Text => Dispatch::new(registry.with(layer)),
        LogFormat::Json => Dispatch::new(registry.with(layer.json().flatten_event(true))),
    };
    Ok((dispatch, Logging { messages }))
}

/// Takes whole lines from any thread.
struct Lines {
    messages: Sender<Message>,
    dropped: Arc<AtomicU64>,
}

/// Takes one line.
struct OneLine<'l>(&'l Lines);

impl<'l> MakeWriter<'l> for Lines {
    type Writer = OneLine<'l>;

    fn make_writer(&'l self) -> OneLine<'l> {
        OneLine(self)
    }
}

impl Write for OneLine<'_> {
    /// The formatter writes each line with one call.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = bytes[..bytes.len().min(LINE_BYTES_MAX)].to_vec();
        if self.0.messages.try_send(Message::Line(line)).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The writing thread.
struct Writer<W> {
    out: W,
    options: LogOptions,
    waiting: Receiver<Message>,
    limit: Arc<RateLimit>,
    dropped: Arc<AtomicU64>,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        let mut look_at = StdInstant::now() + LOOK;
        loop {
            match self.waiting.recv_deadline(look_at) {
                Ok(Message::Line(line)) => self.write(&line),
                Ok(Message::Flush(done)) => {
                    self.tell_left_out(true);
                    // Who waited may have given up.
                    let _ = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if StdInstant::now() >= look_at {
                self.tell_left_out(false);
                look_at = StdInstant::now() + LOOK;
            }
        }
    }

    fn write(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let clean = line::clean(text.trim_end_matches('\n'), self.options.format);
        let clean = if self.options.in_colour { line::coloured(&clean) } else { clean };
        // There is nobody to be told that nothing can be told.
        let _ = writeln!(self.out, "{clean}");
    }

    fn tell_left_out(&mut self, is_end: bool) {
        for LeftOut { kind, level, lines } in
            self.limit.take_left_out(Instant::from_us(limit::now_us()), is_end)
        {
            self.tell(&format!("{lines} more lines of {level} from {kind} left out"));
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            self.tell(&format!("{dropped} lines dropped: standard error does not keep up"));
        }
    }

    fn tell(&mut self, message: &str) {
        let line = line::own(message, self.options.format);
        self.write(line.as_bytes());
    }
}

#[cfg(test)]
mod tests;
