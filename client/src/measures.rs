//! What a client measures: how the line is, what is shown, how far the world is here.

use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::{ChunkCoord, Position, Topology};

/// Rates and losses are of the last whole span of this long.
const RATE_SPAN: Duration = Duration::from_secs(1);
/// The edge of the loaded world is looked for over so many borders of chunks.
const EDGE_BORDERS_MAX: u32 = 64;
/// Who is slower stands, in units per second.
const STANDS_UNITS_S: f64 = 1.0;

/// How a session is at a moment. Fractions are 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measures {
    /// Round trip of the line, smoothed; zero until it was measured.
    pub rtt: Duration,
    /// Its mean deviation.
    pub rtt_jitter: Duration,
    /// How late snapshots come in the mean, measured from the least delayed ones.
    pub snapshot_jitter: Duration,
    /// Packets to the server that were lost, of those of the last second.
    pub loss_up: f64,
    /// Packets from the server that were lost, of those of the last second.
    pub loss_down: f64,
    /// Bytes of packets sent in the last second, per second.
    pub bytes_up_per_s: u64,
    /// Bytes of packets received in the last second, per second.
    pub bytes_down_per_s: u64,
    /// Packets sent in the last second, per second.
    pub packets_up_per_s: u64,
    /// Packets received in the last second, per second.
    pub packets_down_per_s: u64,
    /// How far others are shown behind the newest that could be known of them.
    pub interpolation_delay: Duration,
    /// How early inputs come at the server: the least of its last second, in microseconds; negative when they are
    /// late. `None` until it was told.
    pub input_lead_us: Option<i64>,
    /// How much faster the client ticks than the server to correct that, parts per million.
    pub steering_ppm: i64,
    /// Inputs that no snapshot has confirmed.
    pub inputs_unconfirmed: usize,
    /// Ticks that were left out after pauses.
    pub ticks_skipped: u64,
    /// Snapshots that said of the player what was predicted.
    pub confirmations: u64,
    /// Snapshots that said otherwise.
    pub corrections: u64,
    /// How far the last correction went, in units.
    pub prediction_error_units: f64,
    /// How far the worst went, in units.
    pub prediction_error_worst_units: f64,
    /// Entities that are near.
    pub entities: usize,
    /// Chunks of the ring that are not here.
    pub chunks_wanted: usize,
    /// Seconds until the player, as it moves, comes to a chunk that is not here; `None` while it stands, and where
    /// that is too far off to matter.
    pub edge_s: Option<f64>,
}

/// Totals since the session began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub sent: u64,
    pub lost: u64,
    pub received: u64,
    /// Numbers up to the largest that was received.
    pub expected: u64,
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub packets_in: u64,
}

/// Rates of the last whole second, from totals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    since: Instant,
    before: Totals,
    loss_up: f64,
    loss_down: f64,
    per_s: [u64; 4],
}

impl Rates {
    pub fn new(now: Instant) -> Self {
        Rates { since: now, before: Totals::default(), loss_up: 0.0, loss_down: 0.0, per_s: [0; 4] }
    }

    /// Takes the totals at a time; each whole second they become rates.
    pub fn update(&mut self, now: Instant, totals: Totals) {
        let passed = now.since(self.since);
        if passed < RATE_SPAN {
            return;
        }
        let before = std::mem::replace(&mut self.before, totals);
        self.since = now;
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { (part as f64 / of as f64).min(1.0) };
        let sent = totals.sent.saturating_sub(before.sent);
        let expected = totals.expected.saturating_sub(before.expected);
        let received = totals.received.saturating_sub(before.received);
        self.loss_up = share(totals.lost.saturating_sub(before.lost), sent);
        self.loss_down = share(expected.saturating_sub(received), expected);
        let rate = |now: u64, before: u64| {
            (u128::from(now.saturating_sub(before)) * 1_000_000 / u128::from(passed.as_us())) as u64
        };
        self.per_s = [
            rate(totals.bytes_out, before.bytes_out),
            rate(totals.bytes_in, before.bytes_in),
            rate(totals.packets_out, before.packets_out),
            rate(totals.packets_in, before.packets_in),
        ];
    }

    /// Writes the rates.
    pub fn tell(&self, into: &mut Measures) {
        (into.loss_up, into.loss_down) = (self.loss_up, self.loss_down);
        [into.bytes_up_per_s, into.bytes_down_per_s, into.packets_up_per_s, into.packets_down_per_s] =
            self.per_s;
    }
}

/// Seconds until a player at a place, with a velocity along x and z, comes into a chunk that is not here.
pub(crate) fn seconds_to_edge(
    is_here: impl Fn(ChunkCoord) -> bool,
    at: Position,
    velocity: [f64; 2],
) -> Option<f64> {
    let speed = velocity[0].hypot(velocity[1]);
    // Not a number is no speed either.
    if speed.is_nan() || speed < STANDS_UNITS_S {
        return None;
    }
    let mut chunk = at.chunk()?;
    if !is_here(chunk) {
        return Some(0.0);
    }
    for _ in 0..EDGE_BORDERS_MAX {
        let (x0, z0) = chunk.origin();
        let (x1, z1) =
            (x0 + f64::from(ninefold_world::CHUNK_UNITS), z0 + f64::from(ninefold_world::CHUNK_UNITS));
        let until = |at: f64, speed: f64, low: f64, high: f64| match speed {
            s if s > 0.0 => (high - at) / s,
            s if s < 0.0 => (low - at) / s,
            _ => f64::INFINITY,
        };
        let (x_s, z_s) = (until(at.x, velocity[0], x0, x1), until(at.z, velocity[1], z0, z1));
        let step = |speed: f64| if speed > 0.0 { 1 } else { -1 };
        let next = match x_s <= z_s {
            true => Topology::Plane.neighbour(chunk, step(velocity[0]), 0),
            false => Topology::Plane.neighbour(chunk, 0, step(velocity[1])),
        };
        // Where the grid of chunks ends nobody waits for one.
        chunk = next?;
        if !is_here(chunk) {
            return Some(x_s.min(z_s).max(0.0));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(x: f64, z: f64, velocity: [f64; 2]) -> Option<f64> {
        let ring: Vec<_> = Topology::Plane.ring(ChunkCoord::new(0, 0)).collect();
        seconds_to_edge(|chunk| ring.contains(&chunk), Position { x, y: 0.0, z }, velocity)
    }

    #[test]
    fn the_edge_is_as_far_as_the_way_through_the_chunks_that_are_here() {
        assert_eq!(edge(24.0, 512.0, [200.0, 0.0]), Some(10.12));
        assert_eq!(edge(24.0, 512.0, [-200.0, 0.0]), Some(5.24));
        assert_eq!(edge(512.0, 1_024.0, [0.0, 512.0]), Some(2.0));
        assert_eq!(edge(512.0, 512.0, [-300.0, -400.0]), Some(1_536.0 / 400.0));
        assert_eq!((edge(0.0, 0.0, [0.0, 0.0]), edge(0.0, 0.0, [f64::NAN, 1.0])), (None, None));
        assert_eq!(edge(3_000.0, 0.0, [5.0, 0.0]), Some(0.0));
    }

    #[test]
    fn a_world_that_is_here_as_far_as_anybody_looks_has_no_edge() {
        let at = Position { x: 1.0, y: 0.0, z: 1.0 };
        assert_eq!(seconds_to_edge(|_| true, at, [320.0, 100.0]), None);
        assert_eq!(seconds_to_edge(|_| true, Position { x: f64::NAN, ..at }, [320.0, 0.0]), None);
    }

    #[test]
    fn rates_are_of_the_last_whole_second() {
        let at = |ms: u64| Instant::ZERO + Duration::from_ms(ms);
        let mut rates = Rates::new(at(0));
        let half =
            Totals { sent: 30, lost: 3, received: 57, expected: 60, bytes_in: 10_000, ..Totals::default() };
        rates.update(at(500), half);
        let mut measures = Measures::default();
        rates.tell(&mut measures);
        assert_eq!(measures, Measures::default());
        rates.update(at(2_000), half);
        rates.tell(&mut measures);
        assert_eq!((measures.loss_up, measures.loss_down), (0.1, 0.05));
        assert_eq!((measures.bytes_down_per_s, measures.bytes_up_per_s), (5_000, 0));
        rates.update(at(3_000), half);
        rates.tell(&mut measures);
        assert_eq!(measures, Measures::default());
    }
}
