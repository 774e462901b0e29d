//! The tick thread's side: what it notes of each tick, and when what is recorded is handed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use ninefold_protocol::limits::FRAGMENT_PAYLOAD_BYTES;
use ninefold_protocol::time::{Duration, Instant};

use super::limits::{
    AFTER_OVERRUN, ASKED_INTERVAL, DEAREST, EVENTS_PER_TICK_MAX, ORDERS_MAX, SPANS_PER_TICK_MAX,
};
use super::notes::{Event, Notes};
use super::order::{Answer, Order, RecordError, RecorderHandle, Why, orders};
use super::segment::{ClientWork, Outcome, TickRecord, WorkSpan};
use super::tape::Tape;
use super::writer::Dump;
use crate::carrier::{Carrier, Depth, TickEnd};
use crate::chunk::{NotMade, WorkLog, Workshop};
use crate::clock::{Monotonic, thread_cpu_ns};
use crate::telemetry::{Counters, Live, TickTimes};
use crate::tick::Tick;

/// A counter that is watched: its name and where it stands.
type Watched = (&'static str, fn(&Counters) -> u64);

macro_rules! watched {
    ($($name:ident),+ $(,)?) => { [$((stringify!($name), |c: &Counters| c.$name)),+] };
}

/// The counters of what should not happen: a tick in which one goes up has an event of it.
const WATCHED: [Watched; 19] = watched![
    clients_refused,
    clients_unresponsive,
    clients_flooding,
    packets_refused,
    packets_over_limit,
    arrivals_stale,
    frames_refused,
    frames_unknown,
    inputs_missing,
    inputs_ahead,
    events_dropped,
    happenings_dropped,
    chunks_requested,
    chunk_requests_refused,
    chunks_unavailable,
    clients_held_back,
    steps_blocked_by_missing_chunk,
    players_freed,
    egress_skipped,
];

/// What a watched counter is called.
pub(super) fn watched_name(counter: u16) -> &'static str {
    WATCHED.get(usize::from(counter)).map_or("unknown", |(name, _)| name)
}

/// What is known of a tick before it runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Begun {
    at_ns: u64,
    arrivals_waiting: u32,
    departures_waiting: u32,
}

/// Records the ticks of one thread.
#[derive(Debug)]
pub struct Recorder {
    clock: Monotonic,
    orders: Receiver<Order>,
    on: Option<Box<Recording>>,
}

/// What there is only while something is recorded.
#[derive(Debug)]
struct Recording {
    tape: Tape,
    notes: Notes,
    work: Option<WorkLog>,
    counters: Counters,
    cpu_ns: u64,
    skipped: u64,
    period: Duration,
    writer: Option<Sender<Dump>>,
    /// Set here, cleared by the writer when it holds nothing any more.
    is_busy: Arc<AtomicBool>,
    /// Has the switch that others ask with.
    live: Arc<Live>,
    trigger: Trigger,
}

/// When a trace is due.
#[derive(Debug)]
struct Trigger {
    /// Between two traces of overruns; `None` for no such traces.
    overrun_interval: Option<Duration>,
    overruns_from: Instant,
    asked_from: Instant,
    /// Somebody asked who waits for no answer.
    is_wanted: bool,
    /// An overrun's trace waits for a little of what comes after.
    due: Option<(Why, Instant)>,
    /// Overruns since the last trace of one that have none.
    overruns_unwritten: u64,
}

impl Trigger {
    fn overrun(&mut self, now: Instant, tick: u64) {
        let Some(interval) = self.overrun_interval.filter(|_| self.due.is_none()) else {
            self.overruns_unwritten += 1;
            return;
        };
        if now < self.overruns_from {
            self.overruns_unwritten += 1;
            return;
        }
        self.overruns_from = now + interval;
        self.due = Some((Why::Overrun { tick }, now + AFTER_OVERRUN));
    }
}

impl Recorder {
    /// A recorder that records nothing and says so to who asks.
    pub fn off(clock: Monotonic) -> (Recorder, RecorderHandle) {
        let (handle, orders) = orders(ORDERS_MAX);
        (Recorder { clock, orders, on: None }, handle)
    }

    /// A recorder of ticks at this rate. `writer` takes what is recorded; without one it stays in memory. `live` has the
    /// switch by which others ask, too.
    /// `overrun_interval` is the time between two traces of overruns, `None` for none of them.
    pub fn new(
        clock: Monotonic,
        tick_rate_hz: u32,
        work: Option<WorkLog>,
        writer: Option<Sender<Dump>>,
        overrun_interval: Option<Duration>,
        live: Arc<Live>,
    ) -> (Recorder, RecorderHandle) {
        let (handle, orders) = orders(ORDERS_MAX);
        let trigger = Trigger {
            overrun_interval,
            overruns_from: Instant::ZERO,
            asked_from: Instant::ZERO,
            is_wanted: false,
            due: None,
            overruns_unwritten: 0,
        };
        let recording = Recording {
            tape: Tape::new(tick_rate_hz),
            notes: Notes::new(EVENTS_PER_TICK_MAX),
            work,
            counters: Counters::default(),
            cpu_ns: 0,
            skipped: 0,
            period: Duration::from_us(1_000_000 / u64::from(tick_rate_hz)),
            writer,
            is_busy: Arc::new(AtomicBool::new(false)),
            live,
            trigger,
        };
        (Recorder { clock, orders, on: Some(Box::new(recording)) }, handle)
    }

    /// Notes something that happens outside the tick's phases.
    pub fn note(&mut self, event: Event) {
        if let Some(on) = &mut self.on {
            on.notes.push(event);
        }
    }

    /// To be called in front of each tick.
    pub fn begin(&self, end: &TickEnd) -> Begun {
        if self.on.is_none() {
            return Begun::default();
        }
        Begun {
            arrivals_waiting: waiting(end.arrivals.depths()),
            departures_waiting: waiting(end.departures.depths()),
            at_ns: self.clock.now_ns(),
        }
    }

    /// To be called when all of a tick is done, with the ticks that were skipped since the start. Hands over what is
    /// recorded if a trace is due.
    pub fn end<W: Workshop>(
        &mut self,
        begun: Begun,
        lateness: Duration,
        skipped: u64,
        times: &TickTimes,
        tick: &Tick<W>,
    ) {
        let ended_ns = self.clock.now_ns();
        if let Some(on) = &mut self.on {
            on.take_spans(&self.clock);
            on.push(begun, lateness, skipped, times, tick, ended_ns);
            on.hand_over_if_due(Instant::from_us(ended_ns / 1_000));
            on.hear_switch(Instant::from_us(ended_ns / 1_000));
        }
        for Order { why, answer } in self.orders.try_iter() {
            match &mut self.on {
                Some(on) => on.obey(Instant::from_us(ended_ns / 1_000), why, answer),
                None => refuse(&answer, RecordError::Off),
            }
        }
    }
}

impl Recording {
    fn take_spans(&mut self, clock: &Monotonic) {
        let Some(work) = &self.work else { return };
        for worked in work.worked().take(SPANS_PER_TICK_MAX) {
            self.tape.push_span(WorkSpan {
                worker: worked.worker.0,
                job: worked.job,
                began_ns: clock.ns_at(worked.began),
                ended_ns: clock.ns_at(worked.ended),
                outcome: outcome(worked.not_made),
            });
        }
        self.tape.count_lost_spans(work.take_lost());
    }

    fn push<W: Workshop>(
        &mut self,
        begun: Begun,
        lateness: Duration,
        skipped: u64,
        times: &TickTimes,
        tick: &Tick<W>,
        ended_ns: u64,
    ) {
        let (before, after) = (self.counters, *tick.counters());
        for (counter, (_, of)) in (0..).zip(WATCHED) {
            let n = of(&after) - of(&before);
            if n > 0 {
                self.notes.push(Event::Counted { counter, n: count(n) });
            }
        }
        if skipped > self.skipped {
            self.notes.push(Event::Skipped { ticks: count(skipped - self.skipped) });
        }
        let gauges = tick.chunks().gauges(tick.now());
        let cpu_ns = thread_cpu_ns();
        let record = TickRecord {
            number: tick.number(),
            began_ns: begun.at_ns,
            ended_ns,
            late_us: count(lateness.as_us()),
            times: *times,
            cpu_ns: if self.cpu_ns == 0 { 0 } else { cpu_ns - self.cpu_ns },
            clients: count(tick.clients() as u64),
            arrivals_waiting: begun.arrivals_waiting,
            departures_waiting: begun.departures_waiting,
            packets_in: count(after.packets_in - before.packets_in),
            packets_out: count(after.packets_out - before.packets_out),
            bytes_out: count(after.packet_bytes_out - before.packet_bytes_out),
            chunks_queued: count(gauges.queued as u64),
            chunks_making: count(gauges.making as u64),
            oldest_request_ms: count(gauges.oldest_request_age.as_us() / 1_000),
            dearest: dearest(tick),
            dearest_timed: dearest_timed(tick),
            events: 0,
            lost: 0,
        };
        self.tape.push(record, &[&self.notes, tick.notes(), tick.chunks().notes()]);
        self.notes.clear();
        (self.counters, self.cpu_ns, self.skipped) = (after, cpu_ns, skipped);
        if times.total_ns() > self.period.as_us() * 1_000 {
            self.trigger.overrun(Instant::from_us(ended_ns / 1_000), tick.number());
        }
    }

    fn hand_over_if_due(&mut self, now: Instant) {
        let Some((why, _)) = self.trigger.due.filter(|(_, at)| now >= *at) else { return };
        self.trigger.due = None;
        if self.hand_over(why, None).is_err() {
            self.trigger.overruns_unwritten += 1;
        }
    }

    /// The switch's wish keeps until a trace may be written again.
    fn hear_switch(&mut self, now: Instant) {
        self.trigger.is_wanted |= self.live.recorder.is_asked();
        if self.trigger.is_wanted && now >= self.trigger.asked_from {
            let handed_over = self.hand_over(Why::Asked, None);
            self.trigger.is_wanted = matches!(handed_over, Err((RecordError::Busy, _)));
            self.trigger.asked_from = now + ASKED_INTERVAL;
        }
    }

    fn obey(&mut self, now: Instant, why: Why, answer: Sender<Answer>) {
        if now < self.trigger.asked_from {
            refuse(&answer, RecordError::TooSoon);
        } else if let Err((error, Some(answer))) = self.hand_over(why, Some(answer)) {
            refuse(&answer, error);
        } else {
            self.trigger.asked_from = now + ASKED_INTERVAL;
        }
    }

    /// Shares what is recorded with the writer, who answers.
    fn hand_over(
        &mut self,
        why: Why,
        answer: Option<Sender<Answer>>,
    ) -> Result<(), (RecordError, Option<Sender<Answer>>)> {
        let Some(writer) = &self.writer else { return Err((RecordError::NoFolder, answer)) };
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return Err((RecordError::Busy, answer));
        }
        let Some(segments) = self.tape.share() else {
            self.is_busy.store(false, Ordering::Release);
            return Err((RecordError::Busy, answer));
        };
        let overruns_unwritten = self.trigger.overruns_unwritten;
        let ticks_lost = self.tape.ticks_lost();
        let is_busy = Arc::clone(&self.is_busy);
        let dump = Dump { segments, why, answer, overruns_unwritten, ticks_lost, is_busy };
        match writer.try_send(dump) {
            Ok(()) => {
                self.trigger.overruns_unwritten = 0;
                Ok(())
            }
            Err(error) => {
                self.is_busy.store(false, Ordering::Release);
                Err((RecordError::NoAnswer, error.into_inner().answer))
            }
        }
    }
}

impl Drop for Recording {
    /// What was due is not lost with the server, nor is what led to a panic.
    fn drop(&mut self) {
        let due = self.trigger.due.take().map(|(why, _)| why);
        if let Some(why) = if std::thread::panicking() { Some(Why::Panic) } else { due } {
            // There is nobody left to be told.
            let _ = self.hand_over(why, None);
        }
    }
}

fn refuse(answer: &Sender<Answer>, error: RecordError) {
    // Who asked may have gone.
    let _ = answer.try_send(Err(error));
}

fn outcome(not_made: Option<NotMade>) -> Outcome {
    match not_made {
        None => Outcome::Made,
        Some(NotMade::Panicked) => Outcome::Panicked,
        Some(NotMade::WrongSize { .. }) => Outcome::WrongSize,
    }
}

fn waiting(depths: [Depth; Carrier::COUNT]) -> u32 {
    count(depths.iter().map(|depth| depth.waiting as u64).sum())
}

/// Of the clients whose turn it was to be timed, the one that took longest.
fn dearest_timed<W: Workshop>(tick: &Tick<W>) -> (u64, u64) {
    let rows = tick.surveyed().iter().filter_map(|(_, row)| row.as_ref());
    rows.map(|row| (row.client_id, row.turn_ns)).max_by_key(|(_, ns)| *ns).unwrap_or_default()
}

/// As many as can be told apart.
fn count(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The clients to which most was sent, the dearest first.
fn dearest<W: Workshop>(tick: &Tick<W>) -> [ClientWork; DEAREST] {
    let plan = tick.plan();
    let mut most = [(0, usize::MAX); DEAREST];
    for (at, planned) in plan.clients.iter().enumerate() {
        let bytes = planned.snapshot.len() + planned.picks.len() * FRAGMENT_PAYLOAD_BYTES;
        if bytes <= most[DEAREST - 1].0 {
            continue;
        }
        let rank = most.partition_point(|(more, _)| *more >= bytes);
        most[rank..].rotate_right(1);
        most[rank] = (bytes, at);
    }
    most.map(|(_, at)| {
        // One that has left in this very tick is told as nobody.
        let planned = plan.clients.get(at);
        planned.map_or(ClientWork::default(), |planned| ClientWork {
            client_id: tick.client_in(planned.slot).unwrap_or_default(),
            snapshot_bytes: count(planned.snapshot.len() as u64),
            fragments: count(planned.picks.len() as u64),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(interval_ms: Option<u64>) -> Trigger {
        Trigger {
            overrun_interval: interval_ms.map(Duration::from_ms),
            overruns_from: Instant::ZERO,
            asked_from: Instant::ZERO,
            is_wanted: false,
            due: None,
            overruns_unwritten: 0,
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_us(ms * 1_000)
    }

    #[test]
    fn one_overrun_an_interval_has_a_trace_and_the_others_are_counted() {
        let mut trigger = trigger(Some(60_000));
        trigger.overrun(at(1_000), 60);
        trigger.overrun(at(1_020), 61);
        assert_eq!(trigger.due, Some((Why::Overrun { tick: 60 }, at(1_250))));
        trigger.due = None;
        trigger.overrun(at(60_900), 3_600);
        assert_eq!((trigger.due, trigger.overruns_unwritten), (None, 2));
        trigger.overrun(at(61_000), 3_606);
        assert!(trigger.due.is_some());
    }

    #[test]
    fn without_an_interval_overruns_have_no_trace() {
        let mut trigger = trigger(None);
        trigger.overrun(at(1), 1);
        assert_eq!((trigger.due, trigger.overruns_unwritten), (None, 1));
    }
}
