//! What one session measures.
//!
//! Latencies count from when an input was due, not from when the generator came to make it: a generator or a server that
//! falls behind makes them longer, never fewer.

use std::collections::VecDeque;

use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::ChunkCoord;
use ninefold_client::{Client, Event, UNCONFIRMED_INPUTS_MAX};

use super::tally::{Counts, Tally};

/// Who has not come to play after so long has failed to.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);
/// The edge of the loaded world is looked for so often.
const EDGE_EVERY: Duration = Duration::from_ms(100);
/// Rates and round trips are taken so often.
const SECOND: Duration = Duration::from_secs(1);
/// Nobody that goes by itself is found so far from where it should be: two chunks.
const PUT_ELSEWHERE_UNITS: f64 = 2_048.0;
/// The least delayed snapshot counts for one to two spans of this long.
const LEAST_SPAN: Duration = Duration::from_secs(5);

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was meant to: its visit was over, or it left.
    Meant,
    /// It was not.
    Lost,
    /// The client is hostile, and nothing else was to be expected.
    Deserved,
}

/// The measures of a session.
#[derive(Debug)]
pub struct Gauge {
    group: usize,
    began: Instant,
    playable_at: Option<Instant>,
    chunk: Option<ChunkCoord>,
    /// Since when it stands in a chunk that is not there, and whether it was put there.
    without_chunk: Option<(Instant, bool)>,
    /// When it was ordered to be put elsewhere.
    ordered_at: Option<Instant>,
    /// How often it was.
    teleports: u64,
    /// When inputs were due that are not confirmed.
    dues: VecDeque<(u32, Instant)>,
    newest_input: u32,
    last_latency_us: u64,
    snapshots: SnapshotClock,
    /// What was counted when it was last looked at.
    before: Counts,
    corrections_before: u64,
    next_edge: Instant,
    next_second: Instant,
}

impl Gauge {
    /// A session that was to begin at `due`.
    pub fn new(due: Instant, group: usize, tally: &mut Tally) -> Gauge {
        tally.count(group, &Counts { sessions: 1, ..Counts::default() });
        Gauge {
            group,
            began: due,
            playable_at: None,
            chunk: None,
            without_chunk: None,
            ordered_at: None,
            teleports: 0,
            dues: VecDeque::new(),
            newest_input: 0,
            last_latency_us: 0,
            snapshots: SnapshotClock::default(),
            before: Counts::default(),
            corrections_before: 0,
            next_edge: due,
            next_second: due + SECOND,
        }
    }

    /// Whether it has come to play.
    pub fn has_played(&self) -> bool {
        self.playable_at.is_some()
    }

    /// The client has asked to be put elsewhere: how long that takes counts from now.
    pub fn ordered(&mut self, now: Instant) {
        self.ordered_at.get_or_insert(now);
    }

    /// The client has taken a datagram. Call it after each one.
    pub fn heard(&mut self, now: Instant, client: &mut Client, tally: &mut Tally) {
        while let Some(event) = client.poll_event() {
            self.take(now, &event, tally);
        }
        self.confirm(now, client, tally);
        let lateness = self.snapshots.look(now, client);
        if let Some(us) = lateness {
            tally.groups[self.group].spreads.snapshot_late.record(us);
            tally.second.snapshot_late.record(us);
            let on_time = u64::from(us <= self.snapshots.tick_us());
            tally.count(self.group, &Counts { snapshots_on_time: on_time, ..Counts::default() });
        }
        self.look_around(now, client, tally);
    }

    fn look_around(&mut self, now: Instant, client: &Client, tally: &mut Tally) {
        if !client.is_playable() || self.playable_at.is_some() && self.without_chunk.is_none() {
            return;
        }
        let spreads = &mut tally.groups[self.group].spreads;
        match self.without_chunk.take() {
            Some((since, true)) => spreads.teleport_usable.record(now.since(since).as_us()),
            Some((since, false)) if self.playable_at.is_some() => {
                spreads.enter_usable.record(now.since(since).as_us());
            }
            _ => {}
        }
        if self.playable_at.is_none() {
            self.playable_at = Some(now);
            spreads.join.record(now.since(self.began).as_us());
            tally.count(self.group, &Counts { joined: 1, ..Counts::default() });
        }
    }

    fn take(&mut self, now: Instant, event: &Event, tally: &mut Tally) {
        match event {
            Event::Entered { coord, present } => self.entered(now, *coord, *present, tally),
            Event::ChunkReady { chunk, waited, .. } => {
                tally.saw(chunk.coord(), chunk.content_hash().0);
                if let Some(waited) = waited {
                    tally.groups[self.group].spreads.chunk_complete.record(waited.as_us());
                }
            }
            _ => {}
        }
    }

    fn entered(&mut self, now: Instant, coord: ChunkCoord, present: bool, tally: &mut Tally) {
        let Some(from) = self.chunk.replace(coord) else { return };
        let near = |a: i32, b: i32| (i64::from(a) - i64::from(b)).abs() <= 1;
        let is_crossing = near(from.cx, coord.cx) && near(from.cz, coord.cz);
        if !is_crossing {
            // Who was put elsewhere waits on until it stands somewhere, wherever it goes meanwhile.
            self.teleports += 1;
            self.without_chunk = Some((self.ordered_at.take().unwrap_or(now), true));
        } else if !present {
            self.without_chunk.get_or_insert((now, false));
        } else if is_crossing && self.playable_at.is_some() {
            tally.groups[self.group].spreads.enter_usable.record(0);
        }
        let was_put = self.without_chunk.is_some_and(|(_, was_put)| was_put);
        tally.count(
            self.group,
            &Counts {
                crossings: u64::from(is_crossing),
                crossings_without_chunk: u64::from(is_crossing && !present && !was_put),
                teleports: u64::from(!is_crossing),
                ..Counts::default()
            },
        );
    }

    fn confirm(&mut self, now: Instant, client: &Client, tally: &mut Tally) {
        let confirmed = client.input_confirmed();
        while let Some((_, due)) = self.dues.front().filter(|(number, _)| *number <= confirmed) {
            self.last_latency_us = now.since(*due).as_us();
            tally.groups[self.group].spreads.input_state.record(self.last_latency_us);
            tally.second.input_state.record(self.last_latency_us);
            self.dues.pop_front();
        }
    }

    /// The client has made its tick.
    pub fn ticked(&mut self, now: Instant, client: &mut Client, tally: &mut Tally) {
        while let Some(event) = client.poll_event() {
            self.take(now, &event, tally);
        }
        if let Some((newest, mover)) = client.predicted() {
            for number in self.newest_input + 1..=newest {
                let Some(due) = client.input_due(number) else { continue };
                if self.dues.len() == UNCONFIRMED_INPUTS_MAX {
                    self.dues.pop_front();
                }
                self.dues.push_back((number, due));
            }
            let inputs = u64::from(newest.saturating_sub(self.newest_input));
            self.newest_input = newest;
            let stands_in = mover.position.chunk();
            let is_there = stands_in.is_none_or(|coord| client.chunk(coord).is_some());
            let was_put = self.without_chunk.is_some_and(|(_, was_put)| was_put);
            let without = self.playable_at.is_some() && !is_there && !was_put;
            let ticks_without_chunk = u64::from(without);
            tally.count(self.group, &Counts { inputs, ticks_without_chunk, ..Counts::default() });
        }
        if now >= self.next_edge && self.playable_at.is_some() {
            self.next_edge = now + EDGE_EVERY;
            self.measure(now, client, tally);
        }
    }

    /// What is measured now and then.
    fn measure(&mut self, now: Instant, client: &Client, tally: &mut Tally) {
        let measures = client.measures(now);
        let spreads = &mut tally.groups[self.group].spreads;
        if let Some(edge_s) = measures.edge_s.filter(|_| self.without_chunk.is_none_or(|w| !w.1)) {
            let us = (edge_s * 1e6) as u64;
            spreads.edge.record(us);
            tally.second.edge_min_us = Some(tally.second.edge_min_us.map_or(us, |least| least.min(us)));
        }
        if measures.corrections > self.corrections_before {
            self.corrections_before = measures.corrections;
            // Who was put elsewhere was not corrected.
            if measures.prediction_error_units < PUT_ELSEWHERE_UNITS {
                spreads.correction.record((measures.prediction_error_units * 1e3) as u64);
            }
        }
        if now < self.next_second {
            return;
        }
        self.next_second = now + SECOND;
        if measures.rtt > Duration::ZERO {
            spreads.rtt.record(measures.rtt.as_us());
            tally.second.rtt.record(measures.rtt.as_us());
        }
        spreads.client_down.record(measures.bytes_down_per_s);
        spreads.client_up.record(measures.bytes_up_per_s);
        self.count(now, client, tally);
    }

    /// Counts what the client has counted since it was last looked at.
    fn count(&mut self, now: Instant, client: &Client, tally: &mut Tally) {
        let (stats, link, measures) = (client.stats(), client.link().stats(), client.measures(now));
        let all = Counts {
            chunks: stats.chunks_complete,
            chunks_wrong: stats.chunks_hash_failed + stats.chunks_undecodable,
            chunks_unavailable: stats.chunks_unavailable,
            snapshots: stats.snapshots_in,
            snapshots_old: stats.snapshots_old,
            corrections: measures.corrections.saturating_sub(self.teleports),
            inputs_skipped: measures.ticks_skipped,
            packets_up: link.packets_sent,
            packets_up_lost: link.packets_lost,
            packets_down: client.link().largest_received().map_or(0, |largest| largest + 1),
            packets_down_came: link.packets_received,
            datagrams_in: stats.datagrams_in,
            datagrams_out: stats.datagrams_out,
            bytes_down: stats.bytes_in,
            bytes_up: stats.bytes_out,
            fragment_bytes_in: stats.fragment_bytes_in,
            snapshot_bytes_in: stats.snapshot_bytes_in,
            event_bytes_in: stats.event_bytes_in,
            input_bytes_out: stats.input_bytes_out,
            ..Counts::default()
        };
        tally.count(self.group, &all.since(&self.before));
        self.before = all;
    }

    /// The session is over.
    pub fn finish(&mut self, now: Instant, client: &Client, end: End, tally: &mut Tally) {
        self.count(now, client, tally);
        // What was not answered took at least until now. The last ones would have been in time, mostly: those that
        // waited longer than the last answer count.
        for (_, due) in self.dues.drain(..) {
            let waited_us = now.since(due).as_us();
            if waited_us > self.last_latency_us && self.playable_at.is_some() {
                tally.groups[self.group].spreads.input_state.record(waited_us);
                tally.second.input_state.record(waited_us);
            }
        }
        let played = self.playable_at.is_some();
        let had_time = end == End::Lost || now.since(self.began) >= JOIN_PATIENCE;
        tally.count(
            self.group,
            &Counts {
                lost: u64::from(played && end == End::Lost),
                joins_failed: u64::from(!played && had_time && end != End::Deserved),
                ..Counts::default()
            },
        );
        if end == End::Lost {
            let why = client.ended().map_or("its carrier failed".to_owned(), |reason| reason.to_string());
            *tally.ends.entry(why).or_default() += 1;
        }
    }
}

/// How late snapshots come, measured from the least delayed ones.
#[derive(Debug, Default)]
struct SnapshotClock {
    hz: i64,
    tick: Option<i64>,
    /// The least of this span, when it began, and the least of the one before.
    least: Option<(Instant, i64, i64)>,
}

impl SnapshotClock {
    fn tick_us(&self) -> u64 {
        1_000_000 / self.hz.max(1) as u64
    }

    /// Looks whether a newer snapshot has come, and how late.
    fn look(&mut self, now: Instant, client: &Client) -> Option<u64> {
        let tick = client.snapshot_tick()?;
        if self.tick == Some(tick) {
            return None;
        }
        self.tick = Some(tick);
        self.hz = client.tick_rate_hz()?.into();
        let offset_us = now.as_us() as i64 - tick.saturating_mul(1_000_000) / self.hz.max(1);
        let (began, least, before) = self.least.unwrap_or((now, offset_us, offset_us));
        let (began, least, before) = match now.since(began) >= LEAST_SPAN {
            true => (now, offset_us, least),
            false => (began, least.min(offset_us), before),
        };
        self.least = Some((began, least, before));
        Some((offset_us - least.min(before)).max(0) as u64)
    }
}
