//! Reads a trace and refuses whatever Chrome's trace event format or our own promises do not allow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

/// What rounding to microseconds with three places may do.
const EPSILON_US: f64 = 0.000_5;
/// The parts of a tick, in their order.
pub const PARTS: [&str; 8] =
    ["ingress", "simulate", "interest", "generate", "replicate", "stream", "egress", "report"];

/// A span or an instant (which lasts 0).
#[derive(Debug, Clone)]
pub struct Mark {
    pub name: String,
    pub from_us: f64,
    pub took_us: f64,
    pub args: Map<String, Value>,
}

/// A trace that keeps to the format.
#[derive(Debug, Default)]
pub struct Trace {
    /// Spans by the name of their track, in their order.
    pub spans: BTreeMap<String, Vec<Mark>>,
    /// Instants, likewise.
    pub instants: BTreeMap<String, Vec<Mark>>,
    /// Counters by name: when, and what.
    pub counters: BTreeMap<String, Vec<(f64, f64)>>,
    pub other: Map<String, Value>,
}

impl Trace {
    pub fn read(path: &Path) -> Trace {
        let text = std::fs::read_to_string(path).expect("the trace can be read");
        Trace::parse(&text)
    }

    pub fn parse(text: &str) -> Trace {
        let Value::Object(top) = serde_json::from_str(text).expect("a trace is JSON") else {
            panic!("a trace is an object")
        };
        assert_eq!(keys(&top), ["displayTimeUnit", "otherData", "traceEvents"]);
        assert_eq!(top["displayTimeUnit"], "ns");
        let mut trace = Trace { other: object(&top["otherData"]).clone(), ..Trace::default() };
        let events = top["traceEvents"].as_array().expect("traceEvents is a list");
        let mut names: BTreeMap<u64, String> = BTreeMap::new();
        let mut indices = BTreeSet::new();
        let mut process = None;
        for event in events {
            let event = object(event);
            let (name, ph) = (text_of(event, "name"), text_of(event, "ph"));
            let (pid, tid) = (whole(event, "pid"), whole(event, "tid"));
            assert_eq!(pid, 1, "{event:?}");
            let args = object(&event["args"]);
            match ph {
                "M" => {
                    assert_eq!(keys(event), ["args", "name", "ph", "pid", "tid"]);
                    match name {
                        "process_name" => process = Some(text_of(args, "name")),
                        "thread_name" => {
                            let fresh = names.insert(tid, text_of(args, "name").to_owned()).is_none();
                            assert!(fresh, "track {tid} has two names");
                        }
                        "thread_sort_index" => assert!(indices.insert(whole(args, "sort_index"))),
                        other => panic!("metadata {other}"),
                    }
                }
                "X" => {
                    assert_eq!(keys(event), ["args", "dur", "name", "ph", "pid", "tid", "ts"]);
                    let mark = mark(event, name, number(event, "dur"));
                    trace.spans.entry(names[&tid].clone()).or_default().push(mark);
                }
                "i" => {
                    assert_eq!(keys(event), ["args", "name", "ph", "pid", "s", "tid", "ts"]);
                    assert!(["g", "p", "t"].contains(&text_of(event, "s")), "{event:?}");
                    let mark = mark(event, name, 0.0);
                    trace.instants.entry(names[&tid].clone()).or_default().push(mark);
                }
                "C" => {
                    assert_eq!(keys(event), ["args", "name", "ph", "pid", "tid", "ts"]);
                    assert_eq!(args.len(), 1, "{event:?}");
                    let value = args.values().next().and_then(Value::as_f64).expect("a counter is a number");
                    trace.counters.entry(name.into()).or_default().push((number(event, "ts"), value));
                }
                other => panic!("an event of kind {other}"),
            }
        }
        assert_eq!(process, Some("ninefold"));
        assert_eq!(names.len(), indices.len());
        trace.check_order();
        trace
    }

    /// Times never go back on a track; spans lie in each other or beside each other.
    fn check_order(&self) {
        for (track, spans) in &self.spans {
            let mut open: Vec<&Mark> = Vec::new();
            let mut last_us = 0.0;
            for span in spans {
                assert!(span.from_us >= last_us - EPSILON_US, "{track}: {span:?} goes back");
                last_us = span.from_us;
                while open.last().is_some_and(|above| above.end_us() <= span.from_us + EPSILON_US) {
                    open.pop();
                }
                if let Some(above) = open.last() {
                    let reach = above.end_us() + EPSILON_US;
                    assert!(span.end_us() <= reach, "{track}: {span:?} reaches out of {above:?}");
                    assert_eq!(above.name, "tick", "{track}: {span:?}");
                }
                open.push(span);
            }
        }
        for (track, instants) in &self.instants {
            assert!(
                instants.windows(2).all(|w| w[0].from_us <= w[1].from_us + EPSILON_US),
                "{track}: instants go back"
            );
        }
        for (name, values) in &self.counters {
            assert!(values.windows(2).all(|w| w[0].0 <= w[1].0), "{name} goes back");
            assert!(values.windows(2).all(|w| w[0].1 != w[1].1), "{name} is told again unchanged");
        }
    }

    /// The ticks, each with its parts.
    pub fn ticks(&self) -> Vec<(&Mark, &[Mark])> {
        let spans = &self.spans["ninefold-tick"];
        assert!(spans.len().is_multiple_of(PARTS.len() + 1));
        let ticks: Vec<(&Mark, &[Mark])> = spans
            .chunks(PARTS.len() + 1)
            .map(|all| all.split_first().expect("a chunk is not empty"))
            .collect();
        let mut last = None;
        for (tick, parts) in &ticks {
            assert_eq!(tick.name, "tick");
            let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
            assert_eq!(names, PARTS);
            let number = tick.args["number"].as_u64().expect("a tick has its number");
            assert!(last.is_none_or(|last| number == last + 1), "tick {number} follows {last:?}");
            last = Some(number);
        }
        ticks
    }

    /// The instants of that name on that track.
    pub fn instants(&self, track: &str, name: &str) -> Vec<&Mark> {
        self.instants.get(track).into_iter().flatten().filter(|mark| mark.name == name).collect()
    }
}

impl Mark {
    pub fn end_us(&self) -> f64 {
        self.from_us + self.took_us
    }
}

fn mark(event: &Map<String, Value>, name: &str, took_us: f64) -> Mark {
    let args = object(&event["args"]).clone();
    Mark { name: name.to_owned(), from_us: number(event, "ts"), took_us, args }
}

fn keys(object: &Map<String, Value>) -> Vec<&str> {
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
}

fn text_of<'e>(event: &'e Map<String, Value>, key: &str) -> &'e str {
    let text = event.get(key).and_then(Value::as_str).unwrap_or_default();
    assert!(!text.is_empty() && !text.chars().any(char::is_control), "{key} of {event:?}");
    text
}

fn whole(event: &Map<String, Value>, key: &str) -> u64 {
    event.get(key).and_then(Value::as_u64).unwrap_or_else(|| panic!("{key} of {event:?}"))
}

fn number(event: &Map<String, Value>, key: &str) -> f64 {
    let number = event.get(key).and_then(Value::as_f64).unwrap_or_else(|| panic!("{key} of {event:?}"));
    assert!(number.is_finite() && number >= 0.0, "{key} of {event:?}");
    number
}

/// A folder of the test's own for its traces, removed at its end.
pub struct TraceFolder(pub PathBuf);

impl TraceFolder {
    pub fn new(name: &str) -> TraceFolder {
        let path = std::env::temp_dir().join(format!("ninefold-traces-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        TraceFolder(path)
    }

    /// The whole traces in it, the oldest first.
    pub fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        files.sort();
        files
    }

    /// Waits for a trace of which this is so.
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&Trace) -> bool) -> Trace {
        let end = Instant::now() + Duration::from_secs(15);
        let mut seen = BTreeSet::new();
        while Instant::now() < end {
            for file in self.files() {
                if seen.insert(file.clone()) {
                    let trace = Trace::read(&file);
                    if is_it(&trace) {
                        return trace;
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no trace in 15 s: {what}");
    }
}

impl Drop for TraceFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
