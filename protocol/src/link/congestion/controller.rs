//! The seam between what is measured and what is allowed.

use super::copa::Copa;
use super::delivery::DeliverySample;
use super::fixed::FixedRate;
use crate::time::{Duration, Instant};

/// What acknowledgements told since the last sample: all that came in a tick are one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckSample {
    /// When the sender acts on it.
    pub now: Instant,
    /// Bytes that were acknowledged first.
    pub acked_bytes: u64,
    /// The smallest round trip of the path among them, the peer's own delay and the sender's tick taken off.
    pub path_rtt: Option<Duration>,
    /// Mean time from departure to `now`: what the bytes were in flight for, delays of both ticks included.
    pub loop_time: Duration,
    /// How fast they were delivered, in bytes a second.
    pub delivery: Option<DeliverySample>,
    /// Bytes that are still in flight.
    pub in_flight_bytes: u64,
    /// Whether the controller has held the sender back since the newest of them left.
    pub is_limited: bool,
}

/// Bytes that were found lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossSample {
    /// When the packet had left.
    pub sent_at: Instant,
    /// Its bytes.
    pub bytes: u64,
}

/// Says how much may be sent. The owner calls [`Controller::on_sent`] for each packet, and once a tick
/// [`Controller::on_lost`] for each loss and then [`Controller::on_ack`].
pub trait Controller {
    /// A packet leaves; `in_flight_bytes` count it.
    fn on_sent(&mut self, at: Instant, bytes: u64, in_flight_bytes: u64);

    /// Acknowledgements came.
    fn on_ack(&mut self, ack: &AckSample);

    /// A packet was found lost.
    fn on_lost(&mut self, loss: &LossSample);

    /// Nothing was heard for several probe timeouts while packets were in flight: an outage, or another path.
    fn on_silence(&mut self, now: Instant);

    /// Bytes a second that packets are paced at.
    fn rate_bytes_s(&self) -> u64;

    /// Whether it is known what the line carries. It is not of a line that nothing was ever held back for, whatever the rate.
    fn knows_line(&self) -> bool;

    /// Bytes that may be in flight.
    fn window_bytes(&self) -> u64;

    /// The round trip that the queues of the path last added to, if the controller follows it.
    fn standing_rtt(&self) -> Option<Duration>;
}

/// Which controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// [`Copa`]: as much as the line carries without a queue.
    Copa,
    /// [`FixedRate`]: the ceiling, whatever the line says.
    Fixed,
}

/// What a controller goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CongestionConfig {
    /// Which.
    pub mode: Mode,
    /// It never says less, in bytes a second.
    pub rate_min_bytes_s: u64,
    /// It never says more, in bytes a second.
    pub rate_max_bytes_s: u64,
}

impl Default for CongestionConfig {
    fn default() -> Self {
        CongestionConfig { mode: Mode::Copa, rate_min_bytes_s: 32_000, rate_max_bytes_s: 12_500_000 }
    }
}

/// The controller of one flow.
#[expect(clippy::large_enum_variant, reason = "nearly every flow has the large one, and none allocates")]
#[derive(Debug, Clone)]
pub enum Control {
    /// Delay-based.
    Copa(Copa),
    /// None.
    Fixed(FixedRate),
}

impl Control {
    /// As the configuration says.
    ///
    /// # Panics
    /// When the floor is zero or above the ceiling.
    pub fn new(config: CongestionConfig) -> Self {
        let CongestionConfig { mode, rate_min_bytes_s, rate_max_bytes_s } = config;
        assert!(rate_min_bytes_s > 0 && rate_min_bytes_s <= rate_max_bytes_s, "a floor below a ceiling");
        match mode {
            Mode::Copa => Control::Copa(Copa::new(rate_min_bytes_s, rate_max_bytes_s)),
            Mode::Fixed => Control::Fixed(FixedRate::new(rate_max_bytes_s)),
        }
    }
}

/// Hands each call on to the one that is there.
macro_rules! each {
    ($self:ident, $controller:ident => $call:expr) => {
        match $self {
            Control::Copa($controller) => $call,
            Control::Fixed($controller) => $call,
        }
    };
}

impl Controller for Control {
    fn on_sent(&mut self, at: Instant, bytes: u64, in_flight_bytes: u64) {
        each!(self, c => c.on_sent(at, bytes, in_flight_bytes));
    }

    fn on_ack(&mut self, ack: &AckSample) {
        each!(self, c => c.on_ack(ack));
    }

    fn on_lost(&mut self, loss: &LossSample) {
        each!(self, c => c.on_lost(loss));
    }

    fn on_silence(&mut self, now: Instant) {
        each!(self, c => c.on_silence(now));
    }

    fn rate_bytes_s(&self) -> u64 {
        each!(self, c => c.rate_bytes_s())
    }

    fn knows_line(&self) -> bool {
        each!(self, c => c.knows_line())
    }

    fn window_bytes(&self) -> u64 {
        each!(self, c => c.window_bytes())
    }

    fn standing_rtt(&self) -> Option<Duration> {
        each!(self, c => c.standing_rtt())
    }
}
