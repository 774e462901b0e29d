//! What is recorded as a trace: the JSON of Chrome's trace events, which ui.perfetto.dev and `jq` read.
//!
//! Of the two formats that Perfetto takes, this one needs no schema and no viewer of its own to be looked at, and one
//! event stands on a line, so that `grep` will do. Ten seconds are one to three megabytes.
//!
//! ```text
//!   ninefold-tick     tick { ingress simulate interest generate replicate stream egress report }
//!   deadlines         the period that each tick had for itself
//!   clients, chunks, trouble    what happened, at the end of its phase
//!   ninefold-gen-*    each chunk that a worker was at
//!   counters          tick us, late us, clients, packets, bytes, what waits where
//! ```
//!
//! Times count from the beginning of the trace, in microseconds with three places. On each track they never go back.

use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use super::notes::Event;
use super::order::Why;
use super::recording::watched_name;
use super::segment::{Outcome, Segment, TickRecord, WorkSpan};
use crate::telemetry::Phase;

/// What a trace says about itself.
#[derive(Debug, Clone)]
pub struct About {
    /// Why it is written.
    pub why: Why,
    /// When, in UTC.
    pub written_at: String,
    /// Ticks a second.
    pub tick_rate_hz: u32,
    /// The configuration: keys and values.
    pub config: Vec<(&'static str, String)>,
    /// Overruns since the last trace of one that have none of their own.
    pub overruns_unwritten: u64,
    /// Ticks that could not be recorded since the start.
    pub ticks_lost: u64,
}

impl About {
    /// What is known at the start.
    pub fn new(tick_rate_hz: u32, config: Vec<(&'static str, String)>) -> Self {
        let written_at = String::new();
        About { why: Why::Asked, written_at, tick_rate_hz, config, overruns_unwritten: 0, ticks_lost: 0 }
    }
}

/// The process in the trace: there is one.
const PID: u32 = 1;
/// The tracks that are no workers.
const TRACKS: [(u32, &str); 5] = [
    (TICK, "ninefold-tick"),
    (DEADLINES, "deadlines"),
    (CLIENTS, "clients"),
    (CHUNKS, "chunks"),
    (TROUBLE, "trouble"),
];
const TICK: u32 = 1;
const DEADLINES: u32 = 2;
const CLIENTS: u32 = 3;
const CHUNKS: u32 = 4;
const TROUBLE: u32 = 5;
/// A worker's track is its number above this.
const WORKERS: u32 = 100;

/// One line of the trace.
#[derive(Serialize)]
struct Line<'a, A: Serialize> {
    name: &'a str,
    ph: &'static str,
    pid: u32,
    tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    args: A,
}

/// One counter's value.
struct Series(&'static str, u64);

impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0, &self.1)?;
        map.end()
    }
}

/// What a tick's span says.
#[derive(Serialize)]
struct TickArgs {
    number: u64,
    late_us: u32,
    cpu_us: f64,
    clients: u32,
    packets_in: u32,
    packets_out: u32,
    bytes_out: u32,
    dearest: Vec<Dearest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dearest_timed: Option<Timed>,
    #[serde(skip_serializing_if = "is_zero")]
    events_lost: u32,
}

#[derive(Serialize)]
struct Dearest {
    client_id: u64,
    snapshot_bytes: u32,
    fragments: u32,
}

/// Of the clients that were timed in this tick, the one that took longest.
#[derive(Serialize)]
struct Timed {
    client_id: u64,
    us: f64,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Writes what is recorded. The segments follow each other.
pub fn write_trace(segments: &[Arc<Segment>], about: &About, out: &mut dyn Write) -> io::Result<()> {
    let period_ns = 1_000_000_000 / u64::from(about.tick_rate_hz);
    let ticks = || segments.iter().flat_map(|segment| segment.ticks());
    let spans = || segments.iter().flat_map(|segment| segment.spans());
    let deadlines = ticks().map(|(tick, _)| deadline_ns(tick)).next();
    let from_ns = deadlines.into_iter().chain(spans().map(|span| span.began_ns)).min().unwrap_or(0);
    let mut trace = Trace { out, from_ns, is_first: true };
    trace.out.write_all(b"{\"traceEvents\":[\n")?;
    trace.name_tracks(spans())?;
    let recording = json!({ "why": about.why.to_string(), "written_at": about.written_at });
    trace.instant(TICK, "recording begins", from_ns, "g", recording)?;
    let mut counters = [None; COUNTERS.len()];
    let mut next = ticks().skip(1).map(|(tick, _)| deadline_ns(tick));
    for (tick, events) in ticks() {
        let deadline_ns = deadline_ns(tick);
        // Deadlines are told to a microsecond, and a period must not reach into the next.
        let until_ns = next.next().unwrap_or(u64::MAX).min(deadline_ns + period_ns);
        let number = json!({ "number": tick.number });
        trace.complete(DEADLINES, "period", (deadline_ns, until_ns), &number)?;
        trace.tick(tick)?;
        if tick.times.total_ns() > period_ns {
            let over_us = (tick.times.total_ns() - period_ns) / 1_000;
            let args = json!({ "number": tick.number, "over_us": over_us });
            trace.instant(TROUBLE, "overrun", tick.phases_ended_ns(), "p", args)?;
        }
        trace.counters(tick, &mut counters)?;
        for event in events {
            trace.event(tick, event)?;
        }
    }
    for span in spans() {
        trace.span(span)?;
    }
    trace.out.write_all(b"\n],\n\"displayTimeUnit\":\"ns\",\n\"otherData\":")?;
    serde_json::to_writer(&mut *trace.out, &other_data(about))?;
    trace.out.write_all(b"}\n")
}

fn deadline_ns(tick: &TickRecord) -> u64 {
    tick.began_ns.saturating_sub(u64::from(tick.late_us) * 1_000)
}

fn other_data(about: &About) -> Value {
    let config: serde_json::Map<String, Value> =
        about.config.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into())).collect();
    json!({
        "program": "ninefold",
        "version": env!("CARGO_PKG_VERSION"),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "why": about.why.to_string(),
        "written_at": about.written_at,
        "tick_rate_hz": about.tick_rate_hz,
        "overruns_without_a_trace": about.overruns_unwritten,
        "ticks_not_recorded": about.ticks_lost,
        "config": config,
    })
}

/// The counter tracks: their names, their series, and what a tick says of them.
type Counter = (&'static str, &'static str, fn(&TickRecord) -> u64);
const COUNTERS: [Counter; 13] = [
    ("tick wall", "us", |t| t.times.total_ns() / 1_000),
    ("tick cpu", "us", |t| t.cpu_ns / 1_000),
    ("tick late", "us", |t| t.late_us.into()),
    ("clients", "clients", |t| t.clients.into()),
    ("arrivals waiting", "records", |t| t.arrivals_waiting.into()),
    ("departures waiting", "records", |t| t.departures_waiting.into()),
    ("chunks queued", "chunks", |t| t.chunks_queued.into()),
    ("chunks making", "chunks", |t| t.chunks_making.into()),
    ("oldest chunk request", "ms", |t| t.oldest_request_ms.into()),
    ("packets in", "packets", |t| t.packets_in.into()),
    ("packets out", "packets", |t| t.packets_out.into()),
    ("bytes out", "bytes", |t| t.bytes_out.into()),
    ("dearest client", "bytes", |t| dearest_bytes(t)),
];

fn dearest_bytes(tick: &TickRecord) -> u64 {
    let dearest = &tick.dearest[0];
    let payload = ninefold_protocol::limits::FRAGMENT_PAYLOAD_BYTES as u64;
    u64::from(dearest.snapshot_bytes) + u64::from(dearest.fragments) * payload
}

struct Trace<'o> {
    out: &'o mut dyn Write,
    from_ns: u64,
    is_first: bool,
}

impl Trace<'_> {
    fn line<A: Serialize>(&mut self, line: &Line<'_, A>) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut *self.out, line).map_err(io::Error::from)
    }

    /// Microseconds since the beginning of the trace.
    fn us(&self, ns: u64) -> f64 {
        ns.saturating_sub(self.from_ns) as f64 / 1_000.0
    }

    fn name_tracks<'s>(&mut self, spans: impl Iterator<Item = &'s WorkSpan>) -> io::Result<()> {
        let mut workers: Vec<u32> = spans.map(|span| span.worker).collect();
        workers.sort_unstable();
        workers.dedup();
        let named = TRACKS.map(|(tid, name)| (tid, name.to_owned())).into_iter();
        let workers = workers.into_iter().map(|worker| (WORKERS + worker, format!("ninefold-gen-{worker}")));
        self.meta(0, "process_name", json!({ "name": "ninefold" }))?;
        for (tid, name) in named.chain(workers) {
            self.meta(tid, "thread_name", json!({ "name": name }))?;
            self.meta(tid, "thread_sort_index", json!({ "sort_index": tid }))?;
        }
        Ok(())
    }

    fn meta(&mut self, tid: u32, name: &str, args: Value) -> io::Result<()> {
        self.line(&Line { name, ph: "M", pid: PID, tid, ts: None, dur: None, s: None, args })
    }

    fn complete<A: Serialize>(
        &mut self,
        tid: u32,
        name: &str,
        (from_ns, to_ns): (u64, u64),
        args: A,
    ) -> io::Result<()> {
        // A nanosecond less than it was: who reads microseconds with rounding must not find that it reaches into what
        // comes next.
        let dur_ns = to_ns.saturating_sub(from_ns).saturating_sub(1);
        let (ts, dur) = (Some(self.us(from_ns)), Some(dur_ns as f64 / 1_000.0));
        self.line(&Line { name, ph: "X", pid: PID, tid, ts, dur, s: None, args })
    }

    /// `scope`: "t" for its track, "g" for all of the trace.
    fn instant(
        &mut self,
        tid: u32,
        name: &str,
        at_ns: u64,
        scope: &'static str,
        args: Value,
    ) -> io::Result<()> {
        let ts = Some(self.us(at_ns));
        self.line(&Line { name, ph: "i", pid: PID, tid, ts, dur: None, s: Some(scope), args })
    }

    fn tick(&mut self, tick: &TickRecord) -> io::Result<()> {
        let dearest = tick.dearest.iter().filter(|work| work.snapshot_bytes + work.fragments > 0);
        let args = TickArgs {
            number: tick.number,
            late_us: tick.late_us,
            cpu_us: tick.cpu_ns as f64 / 1_000.0,
            clients: tick.clients,
            packets_in: tick.packets_in,
            packets_out: tick.packets_out,
            bytes_out: tick.bytes_out,
            dearest: dearest
                .map(|work| Dearest {
                    client_id: work.client_id,
                    snapshot_bytes: work.snapshot_bytes,
                    fragments: work.fragments,
                })
                .collect(),
            dearest_timed: Some(tick.dearest_timed)
                .filter(|(_, ns)| *ns > 0)
                .map(|(client_id, ns)| Timed { client_id, us: ns as f64 / 1_000.0 }),
            events_lost: tick.lost,
        };
        let ended_ns = tick.ended_ns.max(tick.phases_ended_ns());
        // A nanosecond more, so that its last part ends within it.
        self.complete(TICK, "tick", (tick.began_ns, ended_ns + 1), args)?;
        let mut from_ns = tick.began_ns;
        for phase in Phase::ALL {
            let to_ns = tick.phase_ended_ns(phase);
            self.complete(TICK, phase.name(), (from_ns, to_ns), json!({}))?;
            from_ns = to_ns;
        }
        self.complete(TICK, "report", (from_ns, ended_ns), json!({}))
    }

    /// A value is told when it has changed.
    fn counters(&mut self, tick: &TickRecord, last: &mut [Option<u64>; COUNTERS.len()]) -> io::Result<()> {
        let ts = Some(self.us(tick.began_ns));
        for ((name, series, of), last) in COUNTERS.iter().zip(last) {
            let value = of(tick);
            if last.replace(value) != Some(value) {
                let args = Series(series, value);
                self.line(&Line { name, ph: "C", pid: PID, tid: 0, ts, dur: None, s: None, args })?;
            }
        }
        Ok(())
    }

    fn event(&mut self, tick: &TickRecord, event: &Event) -> io::Result<()> {
        let ingress_ns = tick.phase_ended_ns(Phase::Ingress);
        let generate_ns = tick.phase_ended_ns(Phase::Generate);
        let chunk = |job: &crate::chunk::Job| json!({ "cx": job.coord.cx, "cz": job.coord.cz, "attempt": job.generation_id.0 });
        let (tid, name, at_ns, args) = match event {
            Event::Joined { client_id } => (CLIENTS, "joined", ingress_ns, json!({ "client_id": client_id })),
            Event::Left { client_id } => (CLIENTS, "left", ingress_ns, json!({ "client_id": client_id })),
            Event::Teleported { client_id, to } => {
                let args = json!({ "client_id": client_id, "cx": to.cx, "cz": to.cz });
                (CLIENTS, "teleported", ingress_ns, args)
            }
            Event::ChunkAsked(job) => (CHUNKS, "asked", generate_ns, chunk(job)),
            Event::ChunkMade(job) => (CHUNKS, "made", generate_ns, chunk(job)),
            Event::ChunkStale(job) => (CHUNKS, "stale", generate_ns, chunk(job)),
            Event::ChunkPanicked(job) => (CHUNKS, "panicked", generate_ns, chunk(job)),
            Event::ChunkOverdue(job) => (CHUNKS, "overdue", generate_ns, chunk(job)),
            Event::ChunkFailed(at) => (CHUNKS, "failed", generate_ns, json!({ "cx": at.cx, "cz": at.cz })),
            Event::Counted { counter, n } => {
                (TROUBLE, watched_name(*counter), tick.phases_ended_ns(), json!({ "n": n }))
            }
            Event::Skipped { ticks } => {
                (TROUBLE, "ticks skipped", tick.phases_ended_ns(), json!({ "n": ticks }))
            }
        };
        self.instant(tid, name, at_ns, "t", args)
    }

    fn span(&mut self, span: &WorkSpan) -> io::Result<()> {
        let name = match span.outcome {
            Outcome::Made => "make chunk",
            Outcome::Panicked => "panicked",
            Outcome::WrongSize => "wrong size",
        };
        let job = &span.job;
        let args = json!({ "cx": job.coord.cx, "cz": job.coord.cz, "attempt": job.generation_id.0 });
        self.complete(WORKERS + span.worker, name, (span.began_ns, span.ended_ns), args)
    }
}
