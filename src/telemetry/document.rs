//! Puts the document together: the book, what the carriers show, and figures of both.

use std::collections::BTreeMap;

use ninefold_protocol::time::Instant;

use super::book::{Book, TickSample};
use super::client::{CLIENT_TURN_TICKS, ClientRow};
use super::drops::{Part, counters};
use super::live::{Live, UdpShown};
use super::process::resident_bytes;
use super::queues::Mark;
use super::state::{
    ChunksState, ClientState, ClientsState, DEAREST_CLIENTS, DropState, Figures, FrameState, MemoryState,
    PhaseState, QueueState, RecentTick, RecorderState, STATE_VERSION, ServerState, SocketState, State,
    TicksState,
};
use super::tick::Phase;
use crate::carrier::quic::QuicReport;

/// How much of the document is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Clients to list.
    pub clients: usize,
    /// Ticks to list, the last ones.
    pub ticks: usize,
    /// Of these only those after this one.
    pub after_tick: u64,
}

impl Default for Asked {
    fn default() -> Self {
        Asked { clients: DEAREST_CLIENTS, ticks: 120, after_tick: 0 }
    }
}

impl Live {
    /// The whole state at `now`, the server's own time. Takes a few milliseconds: not for the tick's thread.
    pub fn state(&self, now: Instant, asked: &Asked) -> State {
        self.state_of(&self.book(), now, asked)
    }

    /// The same from a copy of the book.
    pub fn state_of(&self, book: &Book, now: Instant, asked: &Asked) -> State {
        let udp = self.udp().map(|(_, shown)| shown).unwrap_or_default();
        let quic = self.quic.read().map(|(_, report)| report);
        let facts = &book.facts;
        let all = counters(&facts.counters, &facts.chunks, &udp, quic.as_ref());
        let (asked_for, written, last) = self.recorder.told();
        State {
            version: STATE_VERSION,
            server: server(now, book, &udp, quic.as_ref()),
            ticks: ticks(now, book, asked),
            clients: clients(book, asked),
            chunks: chunks(book),
            frames: frames(book),
            queues: queues(book, &udp),
            sockets: sockets(&udp, quic.as_ref()),
            drops: drops(&all),
            memory: memory(book),
            counters: by_part(&all),
            recorder: RecorderState { present: self.recorder.is_present(), asked: asked_for, written, last },
        }
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

fn server(now: Instant, book: &Book, udp: &UdpShown, quic: Option<&QuicReport>) -> ServerState {
    let mut cpu_s = BTreeMap::from([
        ("tick".to_owned(), seconds(book.facts.cpu_ns)),
        ("udp".to_owned(), seconds(udp.report.cpu_ns)),
    ]);
    cpu_s.extend(quic.map(|quic| ("quic".to_owned(), seconds(quic.cpu_ns))));
    ServerState {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: now.as_us() as f64 / 1e6,
        tick_rate_hz: book.facts.tick_rate_hz,
        budget_us: book.facts.budget.as_us(),
        cpu_s,
        resident_bytes: resident_bytes(),
    }
}

fn ticks(now: Instant, book: &Book, asked: &Asked) -> TicksState {
    let telemetry = &book.telemetry;
    let totals: Vec<u64> = book.recent.iter().map(|tick| tick.times.total_ns()).collect();
    let all_ns = totals.iter().sum::<u64>().max(1) as f64;
    let phases = Phase::ALL.iter().zip(&telemetry.phases).map(|(phase, histogram)| {
        let recent: Vec<u64> = book.recent.iter().map(|tick| tick.phase_ns(*phase)).collect();
        PhaseState {
            name: phase.name().to_owned(),
            time_us: histogram.figures(1e3),
            recent_share: recent.iter().sum::<u64>() as f64 / all_ns,
            recent_us: figures(recent),
        }
    });
    let last = book.recent.back().map_or(now, |tick| tick.began);
    let listed = book.recent.iter().rev().take(asked.ticks).take_while(|t| t.number > asked.after_tick);
    let mut recent: Vec<RecentTick> = listed.map(recent_tick).collect();
    recent.reverse();
    TicksState {
        run: telemetry.ticks,
        overruns: telemetry.overruns,
        overruns_in_a_row_max: telemetry.overruns_in_a_row_max,
        skipped: book.facts.skipped,
        unrecorded: book.unrecorded,
        last_began_us_ago: now.since(last).as_us(),
        time_us: telemetry.tick.figures(1e3),
        lateness_us: telemetry.lateness.figures(1e3),
        phases: phases.collect(),
        recent_overruns: totals.iter().filter(|ns| **ns / 1_000 > book.facts.budget.as_us()).count() as u64,
        recent_time_us: figures(totals),
        recent_lateness_us: figures(book.recent.iter().map(|t| t.lateness.as_us() * 1_000).collect()),
        recent,
    }
}

fn recent_tick(sample: &TickSample) -> RecentTick {
    RecentTick {
        number: sample.number,
        began_us: sample.began.as_us(),
        lateness_us: sample.lateness.as_us(),
        total_us: us(sample.times.total_ns()),
        phases_us: sample.times.phases_ns.map(us).to_vec(),
        clients: sample.clients,
    }
}

/// The exact figures of a few values, from nanoseconds to microseconds.
fn figures(mut ns: Vec<u64>) -> Figures {
    if ns.is_empty() {
        return Figures::default();
    }
    ns.sort_unstable();
    let at = |of_10_000: usize| us(ns[(ns.len() * of_10_000).div_ceil(10_000).clamp(1, ns.len()) - 1]);
    Figures {
        count: ns.len() as u64,
        mean: us(ns.iter().sum::<u64>()) / ns.len() as f64,
        p50: at(5_000),
        p90: at(9_000),
        p99: at(9_900),
        p999: at(9_990),
        p9999: at(9_999),
        max: at(10_000),
    }
}

fn clients(book: &Book, asked: &Asked) -> ClientsState {
    let mut rows: Vec<(usize, &ClientRow)> =
        book.clients.iter().enumerate().filter_map(|(slot, row)| Some((slot, row.as_ref()?))).collect();
    rows.sort_by_key(|(slot, row)| (std::cmp::Reverse(row.median_ns), *slot));
    let count = |is: fn(&ClientRow) -> bool| rows.iter().filter(|(_, row)| is(row)).count() as u64;
    let hz = book.facts.tick_rate_hz;
    ClientsState {
        connected: book.recent.back().map_or(0, |tick| tick.clients.into()),
        playing: count(|row| row.stage == "playing"),
        missing_chunks: count(|row| row.missing_chunks > 0),
        round_trip_us: book.telemetry.round_trip.figures(1e3),
        cost_us: book.client_cost.figures(1e3),
        interest_entities: book.interest.figures(1.0),
        snapshot_bytes: book.snapshot_bytes.figures(1.0),
        dearest: rows.iter().take(asked.clients).map(|(slot, row)| client(*slot, row, hz)).collect(),
    }
}

fn client(slot: usize, row: &ClientRow, tick_rate_hz: u32) -> ClientState {
    let a_second = |bytes: u64| bytes * u64::from(tick_rate_hz) / CLIENT_TURN_TICKS;
    ClientState {
        client_id: row.client_id,
        slot: slot as u32,
        carrier: row.carrier.name().to_owned(),
        stage: row.stage.to_owned(),
        cost_us: us(row.median_ns),
        cost_max_us: us(row.max_ns),
        rtt_us: row.rtt_us,
        loss_permille: row.loss_permille,
        rate_bytes_s: row.rate_bytes_s,
        window_bytes: row.window_bytes,
        in_flight_bytes: row.in_flight_bytes,
        bytes_in_s: a_second(row.bytes_in.1),
        bytes_out_s: a_second(row.bytes_out.1),
        bytes_in: row.bytes_in.0,
        bytes_out: row.bytes_out.0,
        packets_lost: row.packets_lost,
        entities: row.entities,
        snapshot_bytes: row.snapshot_bytes,
        missing_chunks: row.missing_chunks,
        sendings: row.sendings,
        memory_bytes: row.memory.bytes(),
    }
}

fn chunks(book: &Book) -> ChunksState {
    let (gauges, counters) = (&book.facts.gauges, &book.facts.chunks);
    let pins = (counters.hits + counters.misses).max(1);
    ChunksState {
        queued: gauges.queued as u64,
        making: gauges.making as u64,
        ready: gauges.ready as u64,
        pinned: gauges.pinned as u64,
        cache_bytes: gauges.cache_bytes,
        cache_bytes_max: book.facts.cache_bytes_max,
        oldest_request_age_us: gauges.oldest_request_age.as_us(),
        hit_share: counters.hits as f64 / pins as f64,
        workers: book.facts.workers as u64,
        generate_us: book.generate.figures(1e3),
        ready_us: book.ready.figures(1e3),
    }
}

fn frames(book: &Book) -> Vec<FrameState> {
    let counts = &book.facts.counters.frames;
    let both = counts.arrived.each().zip(counts.sent.each());
    both.map(|((name, frames_in, bytes_in), (_, frames_out, bytes_out))| FrameState {
        name: name.to_owned(),
        frames_in,
        bytes_in,
        frames_out,
        bytes_out,
    })
    .collect()
}

fn queues(book: &Book, udp: &UdpShown) -> Vec<QueueState> {
    let of_carrier = [("departures_held", udp.held), ("comings_waiting", udp.comings)];
    let there = book.facts.queues.each().chain(of_carrier).filter(|(_, mark)| mark.bound > 0);
    there
        .map(|(name, Mark { depth, high_water, bound })| QueueState {
            name: name.to_owned(),
            depth,
            high_water,
            bound,
        })
        .collect()
}

fn sockets(udp: &UdpShown, quic: Option<&QuicReport>) -> Vec<SocketState> {
    let of_udp = &udp.report;
    let mut sockets = vec![SocketState {
        carrier: "udp".to_owned(),
        datagrams_in: of_udp.datagrams_in,
        bytes_in: of_udp.bytes_in,
        datagrams_out: of_udp.datagrams_out,
        bytes_out: of_udp.bytes_out,
        send_calls: of_udp.send_calls,
        send_errors: of_udp.send_errors,
        cpu_s: seconds(of_udp.cpu_ns),
    }];
    sockets.extend(quic.map(|quic| SocketState {
        carrier: "quic".to_owned(),
        datagrams_in: quic.datagrams_in,
        bytes_in: quic.bytes_in,
        datagrams_out: quic.datagrams_out,
        bytes_out: quic.bytes_out,
        send_calls: quic.send_calls,
        send_errors: 0,
        cpu_s: seconds(quic.cpu_ns),
    }));
    sockets
}

fn drops(all: &[(Part, &'static str, u64)]) -> Vec<DropState> {
    let happened = all.iter().filter(|(part, name, count)| *count > 0 && part.is_drop(name));
    let mut drops: Vec<DropState> = happened
        .map(|(part, name, count)| DropState {
            part: part.name().to_owned(),
            cause: (*name).to_owned(),
            count: *count,
        })
        .collect();
    drops.sort_by_key(|drop| std::cmp::Reverse(drop.count));
    drops
}

fn by_part(all: &[(Part, &'static str, u64)]) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut parts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (part, name, count) in all {
        parts.entry(part.name().to_owned()).or_default().insert((*name).to_owned(), *count);
    }
    parts
}

fn memory(book: &Book) -> Vec<MemoryState> {
    let facts = &book.facts;
    let rows = || book.clients.iter().flatten();
    let of_clients = |part: fn(&ClientRow) -> u32| rows().map(|row| u64::from(part(row))).sum::<u64>();
    [
        ("sessions", of_clients(|row| row.memory.session)),
        ("links", of_clients(|row| row.memory.link)),
        ("snapshots", of_clients(|row| row.memory.snapshots)),
        ("chunks", facts.gauges.cache_bytes),
        ("lanes", facts.lanes_bytes as u64),
        ("entities", facts.entities_bytes as u64),
        ("replicas", facts.replicas_bytes as u64),
        ("telemetry", book.memory_bytes() as u64),
    ]
    .map(|(part, bytes)| MemoryState { part: part.to_owned(), bytes })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::state::State;

    #[test]
    fn figures_of_a_few_values_are_exact() {
        let of = figures((1..=200).rev().map(|us| us * 1_000).collect());
        assert_eq!((of.count, of.p50, of.p90, of.p99, of.max), (200, 100.0, 180.0, 198.0, 200.0));
        assert_eq!(figures(vec![7_000]).p50, 7.0);
        assert_eq!(figures(Vec::new()), Figures::default());
    }

    #[test]
    fn the_document_survives_its_own_text() {
        let live = Live::default();
        let state = live.state(Instant::from_us(3_500_000), &Asked::default());
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
        assert_eq!((state.version, state.server.uptime_s), (STATE_VERSION, 3.5));
    }
}
