//! Writes the page for Prometheus, from the book and what the carriers show.

use std::fmt::{self, Error};
use std::sync::Arc;

use ninefold_protocol::time::Instant;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::table::{self, Kind, Metric};
use crate::telemetry::state::State;
use crate::telemetry::{Asked, Book, Histogram, Live, Part, Phase};

/// Bounds of what happens in a tick, nanoseconds.
const TICK_NS: [u64; 20] = [
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    3_000_000,
    4_000_000,
    6_000_000,
    8_000_000,
    10_000_000,
    12_000_000,
    16_000_000,
    20_000_000,
    33_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
];
/// Bounds of what happens to a chunk, nanoseconds.
const CHUNK_NS: [u64; 15] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
];
/// Bounds of round trips, nanoseconds.
const ROUND_TRIP_NS: [u64; 15] = [
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    35_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    150_000_000,
    200_000_000,
    300_000_000,
    500_000_000,
    1_000_000_000,
];
/// Bounds of what a client takes of a tick, nanoseconds.
const COST_NS: [u64; 13] =
    [500, 1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 25_000, 50_000, 100_000, 1_000_000];
/// Bounds of entities.
const ENTITIES: [u64; 11] = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
/// Bounds of the bytes of a snapshot.
const SNAPSHOT_BYTES: [u64; 10] = [25, 50, 75, 100, 150, 200, 400, 600, 800, 1_000];

const NS_PER_S: f64 = 1e9;

/// The page.
pub fn page(live: &Arc<Live>, now: Instant, refused: u64) -> Result<String, Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { live: Arc::clone(live), now, refused }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// What one page is written from.
struct Scrape {
    live: Arc<Live>,
    now: Instant,
    refused: u64,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let book = self.live.book();
        // The ticks one by one are nothing for this page.
        let state = self.live.state_of(&book, self.now, &Asked { ticks: 0, ..Asked::default() });
        let mut page = Page(encoder);
        page.server(&state)?;
        page.ticks(&book, &state)?;
        page.clients(&book, &state)?;
        page.chunks(&book, &state)?;
        page.traffic(&state)?;
        page.counters(&state)?;
        page.one(&table::TRACES_ASKED, state.recorder.asked as f64)?;
        page.one(&table::TRACES, state.recorder.written as f64)?;
        page.one(&table::CONNECTIONS_REFUSED, self.refused as f64)
    }
}

struct Page<'e>(DescriptorEncoder<'e>);

type Labels<'l, const N: usize> = [&'l str; N];

impl Page<'_> {
    fn begin<'s>(&'s mut self, metric: &'static Metric) -> Result<MetricEncoder<'s>, Error> {
        let kind = match metric.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        self.0.encode_descriptor(metric.name, metric.help, None, kind)
    }

    /// A metric without labels.
    fn one(&mut self, metric: &'static Metric, value: f64) -> Result<(), Error> {
        debug_assert!(metric.labels.is_empty());
        put(self.begin(metric)?, metric.kind, value)
    }

    /// A metric with labels.
    fn each<'l, const N: usize>(
        &mut self,
        metric: &'static Metric,
        samples: impl IntoIterator<Item = (Labels<'l, N>, f64)>,
    ) -> Result<(), Error> {
        let mut family = self.begin(metric)?;
        for (values, value) in samples {
            put(family.encode_family(&labels(metric, values))?, metric.kind, value)?;
        }
        Ok(())
    }

    /// A histogram, its values divided by `unit`.
    fn histogram(
        &mut self,
        metric: &'static Metric,
        histogram: &Histogram,
        bounds: &[u64],
        unit: f64,
    ) -> Result<(), Error> {
        put_histogram(self.begin(metric)?, histogram, bounds, unit)
    }

    fn server(&mut self, state: &State) -> Result<(), Error> {
        self.each(&table::BUILD, [([state.server.version.as_str()], 1.0)])?;
        self.one(&table::UPTIME, state.server.uptime_s)?;
        self.each(&table::CPU, state.server.cpu_s.iter().map(|(thread, s)| ([thread.as_str()], *s)))
    }

    fn ticks(&mut self, book: &Book, state: &State) -> Result<(), Error> {
        let telemetry = &book.telemetry;
        self.one(&table::TICK_BUDGET, state.server.budget_us as f64 / 1e6)?;
        self.histogram(&table::TICK, &telemetry.tick, &TICK_NS, NS_PER_S)?;
        self.histogram(&table::LATENESS, &telemetry.lateness, &TICK_NS, NS_PER_S)?;
        let mut phases = self.begin(&table::PHASE)?;
        for (phase, histogram) in Phase::ALL.iter().zip(&telemetry.phases) {
            let labels = labels(&table::PHASE, [phase.name()]);
            put_histogram(phases.encode_family(&labels)?, histogram, &TICK_NS, NS_PER_S)?;
        }
        self.one(&table::OVERRUNS, state.ticks.overruns as f64)?;
        self.one(&table::OVERRUNS_IN_A_ROW, state.ticks.overruns_in_a_row_max as f64)?;
        self.one(&table::SKIPPED, state.ticks.skipped as f64)?;
        self.one(&table::UNRECORDED, state.ticks.unrecorded as f64)
    }

    fn clients(&mut self, book: &Book, state: &State) -> Result<(), Error> {
        let clients = &state.clients;
        let states = [
            ("connected", clients.connected),
            ("playing", clients.playing),
            ("missing_chunks", clients.missing_chunks),
        ];
        self.each(&table::CLIENTS, states.map(|(name, count)| ([name], count as f64)))?;
        self.histogram(&table::ROUND_TRIP, &book.telemetry.round_trip, &ROUND_TRIP_NS, NS_PER_S)?;
        self.histogram(&table::CLIENT_COST, &book.client_cost, &COST_NS, NS_PER_S)?;
        let ranks: Vec<String> = (1..=clients.dearest.len()).map(|rank| rank.to_string()).collect();
        let dearest = ranks.iter().zip(&clients.dearest);
        self.each(&table::DEAREST, dearest.map(|(rank, client)| ([rank.as_str()], client.cost_us / 1e6)))?;
        self.histogram(&table::INTEREST, &book.interest, &ENTITIES, 1.0)?;
        self.histogram(&table::SNAPSHOT, &book.snapshot_bytes, &SNAPSHOT_BYTES, 1.0)
    }

    fn chunks(&mut self, book: &Book, state: &State) -> Result<(), Error> {
        let chunks = &state.chunks;
        let states = [
            ("queued", chunks.queued),
            ("making", chunks.making),
            ("ready", chunks.ready),
            ("pinned", chunks.pinned),
        ];
        self.each(&table::CHUNKS, states.map(|(name, count)| ([name], count as f64)))?;
        self.one(&table::OLDEST_REQUEST, chunks.oldest_request_age_us as f64 / 1e6)?;
        let events = state.counters.get(Part::Chunks.name()).into_iter().flatten();
        self.each(&table::GENERATION, events.map(|(event, count)| ([event.as_str()], *count as f64)))?;
        self.histogram(&table::GENERATE, &book.generate, &CHUNK_NS, NS_PER_S)?;
        self.histogram(&table::READY, &book.ready, &CHUNK_NS, NS_PER_S)?;
        self.one(&table::WORKERS, chunks.workers as f64)
    }

    fn traffic(&mut self, state: &State) -> Result<(), Error> {
        let ways =
            |name, arrived: u64, sent: u64| [(["in", name], arrived as f64), (["out", name], sent as f64)];
        let frames = || state.frames.iter();
        self.each(&table::FRAMES, frames().flat_map(|f| ways(f.name.as_str(), f.frames_in, f.frames_out)))?;
        self.each(
            &table::FRAME_BYTES,
            frames().flat_map(|f| ways(f.name.as_str(), f.bytes_in, f.bytes_out)),
        )?;
        let ways =
            |name, arrived: u64, sent: u64| [([name, "in"], arrived as f64), ([name, "out"], sent as f64)];
        let sockets = || state.sockets.iter();
        self.each(
            &table::DATAGRAMS,
            sockets().flat_map(|s| ways(s.carrier.as_str(), s.datagrams_in, s.datagrams_out)),
        )?;
        self.each(
            &table::DATAGRAM_BYTES,
            sockets().flat_map(|s| ways(s.carrier.as_str(), s.bytes_in, s.bytes_out)),
        )?;
        let queues = || state.queues.iter();
        self.each(&table::QUEUE_DEPTH, queues().map(|q| ([q.name.as_str()], q.depth as f64)))?;
        self.each(&table::QUEUE_HIGH_WATER, queues().map(|q| ([q.name.as_str()], q.high_water as f64)))?;
        self.each(&table::QUEUE_BOUND, queues().map(|q| ([q.name.as_str()], q.bound as f64)))
    }

    fn counters(&mut self, state: &State) -> Result<(), Error> {
        let of = |drops: bool| {
            let parts = Part::ALL.into_iter().filter(move |part| *part != Part::Chunks || drops);
            parts.flat_map(move |part| {
                let counters = state.counters.get(part.name()).into_iter().flatten();
                let chosen = counters.filter(move |(name, _)| part.is_drop(name) == drops);
                chosen.map(move |(name, count)| ([part.name(), name.as_str()], *count as f64))
            })
        };
        self.each(&table::DROPS, of(true))?;
        self.each(&table::EVENTS, of(false))?;
        self.one(&table::RESIDENT, state.server.resident_bytes as f64)?;
        self.each(&table::MEMORY, state.memory.iter().map(|m| ([m.part.as_str()], m.bytes as f64)))
    }
}

fn labels<'l, const N: usize>(metric: &Metric, values: Labels<'l, N>) -> [(&'static str, &'l str); N] {
    debug_assert_eq!(metric.labels.len(), N, "{}", metric.name);
    std::array::from_fn(|n| (metric.labels[n], values[n]))
}

fn put(mut encoder: MetricEncoder<'_>, kind: Kind, value: f64) -> Result<(), Error> {
    match kind {
        Kind::Counter => encoder.encode_counter::<[(&str, &str); 0], _, u64>(&value, None),
        Kind::Gauge | Kind::Histogram => encoder.encode_gauge(&value),
    }
}

fn put_histogram(
    mut encoder: MetricEncoder<'_>,
    histogram: &Histogram,
    bounds: &[u64],
    unit: f64,
) -> Result<(), Error> {
    let up_to = histogram.up_to(bounds);
    let below = std::iter::once(0).chain(up_to.iter().copied());
    let mut buckets: Vec<(f64, u64)> = (bounds.iter().zip(&up_to).zip(below))
        .map(|((bound, up_to), below)| (*bound as f64 / unit, up_to - below))
        .collect();
    buckets.push((f64::INFINITY, histogram.count() - up_to.last().copied().unwrap_or_default()));
    let sum = histogram.sum() as f64 / unit;
    encoder.encode_histogram::<[(&str, &str); 0]>(sum, histogram.count(), &buckets, None)
}
