//! A bucket of lines for each kind of message. A kind is a place in the code.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant as StdInstant;

use ahash::AHashMap;
use ninefold_protocol::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines of a kind that may come at once.
pub(super) const BURST_LINES: u64 = 10;
/// Kinds that are told apart; those beyond share one bucket.
const KINDS_MAX: usize = 1_024;
/// What is left out of a kind that never pauses is told after so long.
const TELL_AFTER: Duration = Duration::from_secs(60);
/// A kind that was left out and is quiet for so long is over.
const QUIET: Duration = Duration::from_secs(1);

/// Microseconds since the first call: all that buckets need.
pub(super) fn now_us() -> u64 {
    static ORIGIN: LazyLock<StdInstant> = LazyLock::new(StdInstant::now);
    ORIGIN.elapsed().as_micros() as u64
}

/// The lines that a kind may still have.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Millionths of a line.
    micro_lines: u64,
    filled_at: Instant,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Bucket { micro_lines: BURST_LINES * 1_000_000, filled_at: now }
    }

    /// Takes a line out, if there is one.
    fn take(&mut self, now: Instant, lines_per_s: u32) -> bool {
        let came = now.since(self.filled_at).as_us().saturating_mul(lines_per_s.into());
        self.micro_lines = self.micro_lines.saturating_add(came).min(BURST_LINES * 1_000_000);
        self.filled_at = now;
        let is_there = self.micro_lines >= 1_000_000;
        self.micro_lines -= if is_there { 1_000_000 } else { 0 };
        is_there
    }
}

#[derive(Debug)]
struct Kind {
    meta: &'static Metadata<'static>,
    bucket: Bucket,
    left_out: u64,
    /// When the first and the last of them were.
    since: Instant,
    last: Instant,
}

/// What was left out of a kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub kind: String,
    pub level: Level,
    pub lines: u64,
}

/// The buckets of all kinds.
#[derive(Debug)]
pub(super) struct RateLimit {
    lines_per_s: u32,
    kinds: Mutex<AHashMap<Option<Identifier>, Kind>>,
}

impl RateLimit {
    /// So many lines a second of each kind; 0 for no bound.
    pub(super) fn new(lines_per_s: u32) -> Self {
        RateLimit { lines_per_s, kinds: Mutex::new(AHashMap::new()) }
    }

    /// Whether a line of this kind may be written now.
    fn allows(&self, now: Instant, meta: &'static Metadata<'static>) -> bool {
        if self.lines_per_s == 0 {
            return true;
        }
        // Nobody waits for a log: two at once both pass, and the queue bounds them.
        let Ok(mut kinds) = self.kinds.try_lock() else { return true };
        let own = Some(meta.callsite());
        let key = if kinds.len() < KINDS_MAX || kinds.contains_key(&own) { own } else { None };
        let kind = kinds.entry(key).or_insert_with(|| Kind {
            meta,
            bucket: Bucket::full(now),
            left_out: 0,
            since: now,
            last: now,
        });
        let is_allowed = kind.bucket.take(now, self.lines_per_s);
        if !is_allowed {
            kind.since = if kind.left_out == 0 { now } else { kind.since };
            kind.last = now;
            kind.left_out += 1;
        }
        is_allowed
    }

    /// What is to be told: of kinds that are quiet again or went on for a minute, or of all at the end.
    pub(super) fn take_left_out(&self, now: Instant, is_end: bool) -> Vec<LeftOut> {
        let Ok(mut kinds) = self.kinds.lock() else { return Vec::new() };
        let is_due = |kind: &Kind| {
            kind.left_out > 0
                && (is_end || now.since(kind.last) >= QUIET || now.since(kind.since) >= TELL_AFTER)
        };
        let due = kinds.values_mut().filter(|kind| is_due(kind));
        let mut all: Vec<LeftOut> = due
            .map(|kind| LeftOut {
                kind: format!(
                    "{}:{}",
                    kind.meta.file().unwrap_or(kind.meta.target()),
                    kind.meta.line().unwrap_or_default()
                ),
                level: *kind.meta.level(),
                lines: std::mem::take(&mut kind.left_out),
            })
            .collect();
        all.sort_by(|a, b| a.kind.cmp(&b.kind));
        all
    }
}

/// Lets through what the buckets allow.
pub(super) struct Limited(pub Arc<RateLimit>);

impl<S: Subscriber> Layer<S> for Limited {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.allows(Instant::from_us(now_us()), event.metadata())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_us(ms * 1_000)
    }

    #[test]
    fn ten_at_once_then_so_many_a_second() {
        let mut bucket = Bucket::full(at(0));
        let taken = (0..100).filter(|_| bucket.take(at(0), 2)).count();
        assert_eq!(taken, 10);
        let taken = (1..=10_000).filter(|ms| bucket.take(at(*ms), 2)).count();
        assert_eq!(taken, 20);
        // However long it is quiet, no more than ten wait.
        let taken = (0..100).filter(|_| bucket.take(at(10_000_000), 2)).count();
        assert_eq!(taken, 10);
    }
}
