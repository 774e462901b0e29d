//! What a flow knows of its path: round trips, how long bytes are in flight, how much is delivered.

use super::PACKET;
use crate::link::congestion::controller::AckSample;
use crate::link::congestion::filter::{Recent, RoundsMax, WindowedMin};
use crate::time::{Duration, Instant};

/// The smallest round trip is that of this long.
const MIN_RTT_WINDOW: Duration = Duration::from_secs(10);
/// The standing round trip is the smallest of half a round trip, but of at least this long: a few
/// acknowledgements, so that jitter is not taken for a queue.
const STANDING_WINDOW_MIN: Duration = Duration::from_ms(50);
/// The same in slow start: two acknowledgements.
const SLOW_START_STANDING_MIN: Duration = Duration::from_ms(20);
/// A queue shorter than this is empty, whatever the round trips' spread.
const EMPTY_QUEUE_MAX: Duration = Duration::from_ms(4);
/// Delivery rates are remembered for one to two times so many round trips.
const CAPACITY_ROUND_LOOPS: u64 = 5;

/// The path of one flow.
#[derive(Debug, Clone)]
pub(super) struct Path {
    min_rtt: WindowedMin,
    recent: Recent,
    /// Smoothed time that bytes are in flight, microseconds; 0 before the first acknowledgement.
    loop_us: u64,
    /// Smoothed part of that which is not the path's: what packets and acknowledgements wait for ticks.
    ticks_us: u64,
    /// Largest delivery rate of late.
    capacity: RoundsMax,
    /// The smallest round trip before somebody filled the queue, and until when it is believed: a queue that
    /// is never empty must not become the measure of an empty one.
    believed: Option<(u64, Instant)>,
}

impl Path {
    /// Nothing is known.
    pub fn new() -> Self {
        Path {
            min_rtt: WindowedMin::new(MIN_RTT_WINDOW),
            recent: Recent::new(),
            loop_us: 0,
            ticks_us: 0,
            capacity: RoundsMax::default(),
            believed: None,
        }
    }

    /// Learns from what acknowledgements told.
    pub fn learn(&mut self, ack: &AckSample) {
        let now = ack.now;
        if let Some(rtt) = ack.path_rtt {
            self.min_rtt.push(now, rtt.as_us());
            self.recent.push(now, rtt.as_us());
        }
        let loop_us = ack.loop_time.as_us().max(1);
        self.loop_us = if self.loop_us == 0 { loop_us } else { (7 * self.loop_us + loop_us) / 8 };
        if let Some(rtt) = ack.path_rtt {
            self.ticks_us = (7 * self.ticks_us + loop_us.saturating_sub(rtt.as_us())) / 8;
        }
        if let Some(sample) = ack.delivery
            && (!sample.app_limited || self.capacity.get().is_some_and(|c| sample.rate_bytes_s > c))
        {
            let round = self.loops(CAPACITY_ROUND_LOOPS);
            self.capacity.push(now, round, sample.rate_bytes_s);
        }
    }

    /// What it carries has to be found out again.
    pub fn forget_capacity(&mut self) {
        self.capacity = RoundsMax::default();
    }

    /// The smallest round trip is this one until then, whatever is measured.
    pub fn believe(&mut self, min_us: u64, until: Instant) {
        self.believed = Some((min_us, until));
    }

    /// What is measured counts again.
    pub fn believe_measured(&mut self) {
        self.believed = None;
    }

    /// Microseconds that bytes are in flight; 0 before the first acknowledgement.
    pub fn loop_us(&self) -> u64 {
        self.loop_us
    }

    /// Bytes a second that it delivers; `None` where that was not seen.
    pub fn capacity(&self) -> Option<u64> {
        self.capacity.get()
    }

    /// Tenths of the bytes that are in flight when it delivers all that it can and no queue is there.
    pub fn holds(&self, trips: RoundTrips, tenths: u128) -> Option<u64> {
        let loop_us = trips.min + self.ticks_us;
        Some((u128::from(self.capacity()?) * u128::from(loop_us) * tenths / 10_000_000) as u64)
    }

    /// The smallest round trip of late, microseconds.
    pub fn standing_us(&self) -> Option<u64> {
        Some(self.recent.range_since(Instant::from_us(u64::MAX))?.0)
    }

    /// So many times the time that bytes are in flight.
    pub fn loops(&self, count: u64) -> Duration {
        Duration::from_us(self.loop_us * count)
    }

    /// The smallest and the largest round trip of late, the smallest of all; `None` before the first.
    pub fn round_trips(&self, now: Instant, is_slow_start: bool) -> Option<RoundTrips> {
        // A window that doubles has to hear of a queue sooner, at the risk that it was jitter.
        let standing_window = if is_slow_start {
            self.loops(1).scaled(1, 4).max(SLOW_START_STANDING_MIN)
        } else {
            self.loops(1).scaled(1, 2).max(STANDING_WINDOW_MIN)
        };
        let (standing, _) = self.recent.range_since(now - standing_window)?;
        let (low, high) = self.recent.range_since(now - self.loops(4).max(STANDING_WINDOW_MIN))?;
        let mut min = self.min_rtt.get()?;
        if let Some((before, until)) = self.believed
            && now < until
        {
            min = min.min(before);
        }
        Some(RoundTrips { min, standing, low, high })
    }

    /// A queue of this is none: a packet on its way out, or less than can be measured.
    pub fn empty_queue_us(&self) -> u64 {
        let packet_us = self.capacity.get().map_or(0, |rate| PACKET * 1_000_000 / rate.max(1));
        packet_us.max(EMPTY_QUEUE_MAX.as_us())
    }
}

/// Microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoundTrips {
    pub min: u64,
    pub standing: u64,
    /// Of four round trips.
    pub low: u64,
    pub high: u64,
}

impl RoundTrips {
    /// What the queues of the path add.
    pub fn queue_us(&self) -> u64 {
        self.standing.saturating_sub(self.min)
    }

    /// How much the last round trips differ.
    pub fn spread_us(&self) -> u64 {
        self.high - self.low
    }
}
