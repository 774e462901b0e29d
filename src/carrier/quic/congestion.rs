//! Our congestion control under QUIC: one flow of the link's own kind as quinn's controller, so that both carriers
//! treat a line alike.
//!
//! quinn paces and counts; the flow says the window. Three things quinn does not tell, and how they are had:
//! what a packet knew of the delivery when it left (kept here, by the time at which it left), the last round trip
//! without the peer's delay (from two values of quinn's smoothed one), and whether the tick held fragments back for want
//! of [`Room`](crate::carrier::Arrival::Room) (quinn's queue is empty then, and the flow is limited all the same).

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration as StdDuration, Instant as StdInstant};

use ninefold_protocol::link::congestion::{
    AckedPacket, CongestionConfig, Flow, INITIAL_WINDOW_BYTES, PacketState,
};
use ninefold_protocol::time::{Duration, Instant};
use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics};
use quinn_proto::RttEstimator;

use super::transport::INITIAL_RTT;
use crate::clock::Monotonic;

/// Acknowledgements of so long are one sample, as those of a tick are on UDP.
const SAMPLE_EVERY: Duration = Duration::from_ms(12);
/// Times at which packets left that are remembered; beyond, the oldest are forgotten and make no sample.
const DEPARTURES_MAX: usize = 1_024;

/// Until when the tick holds fragments back, microseconds of the server's clock. Shared by the controller, which is
/// quinn's, and the peer, which hears of the tick.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldBack(Arc<AtomicU64>);

impl HeldBack {
    /// There was more to send than room for it.
    pub fn until(&self, then: Instant) {
        self.0.store(then.as_us(), Ordering::Relaxed);
    }

    fn get(&self) -> Instant {
        Instant::from_us(self.0.load(Ordering::Relaxed))
    }
}

/// Makes controllers.
#[derive(Debug)]
pub(super) struct FlowFactory {
    /// The server's clock: flows that share a bottleneck drain it at the same times of it.
    pub clock: Monotonic,
    /// What the link's flows go by.
    pub config: CongestionConfig,
}

impl ControllerFactory for FlowFactory {
    fn build(self: Arc<Self>, now: StdInstant, _: u16) -> Box<dyn Controller> {
        let at = self.clock.at(now);
        Box::new(FlowController {
            flow: Flow::new(at, self.config),
            clock: self.clock,
            departures: VecDeque::new(),
            in_flight: 0,
            smoothed: INITIAL_RTT,
            sampled_at: at,
            held_back: HeldBack::default(),
        })
    }
}

/// The controller of one path.
#[derive(Debug, Clone)]
pub(super) struct FlowController {
    flow: Flow,
    clock: Monotonic,
    /// When packets left, in order, and what they knew then.
    departures: VecDeque<(StdInstant, PacketState)>,
    /// As quinn last said, and what has left since.
    in_flight: u64,
    /// quinn's smoothed round trip.
    smoothed: StdDuration,
    sampled_at: Instant,
    held_back: HeldBack,
}

impl FlowController {
    /// The other end of what a connection's controller hears from the tick; `None` if it is not one of these.
    pub fn held_back(connection: &quinn::Connection) -> Option<HeldBack> {
        let controller = connection.congestion_state().into_any().downcast::<FlowController>().ok()?;
        Some(controller.shared())
    }

    /// What it hears from the tick.
    pub fn shared(&self) -> HeldBack {
        self.held_back.clone()
    }

    /// Learns the round trip that changed quinn's smoothed one: 7/8 of it and 1/8 of the last (RFC 9002 §5.3).
    fn learn_rtt(&mut self, now: Instant, smoothed: StdDuration) {
        let before = std::mem::replace(&mut self.smoothed, smoothed);
        if before == smoothed {
            return;
        }
        let last = if before == INITIAL_RTT { smoothed } else { (8 * smoothed).saturating_sub(7 * before) };
        self.flow.on_rtt(now, last.into(), Duration::ZERO);
    }

    /// Forgets what left long before a packet that has arrived.
    fn forget_before(&mut self, arrived: StdInstant) {
        let keep = 2 * self.smoothed;
        while self.departures.front().is_some_and(|(at, _)| *at + keep < arrived) {
            self.departures.pop_front();
        }
    }
}

impl Controller for FlowController {
    fn on_sent(&mut self, now: StdInstant, bytes: u64, _: u64) {
        // quinn counts all packets of one call together; the size matters to no window here.
        let at = self.clock.at(now);
        let state = self.flow.on_sent(at, at, bytes, self.in_flight);
        self.in_flight += bytes;
        if self.departures.back().is_none_or(|(at, _)| *at < now) {
            if self.departures.len() >= DEPARTURES_MAX {
                self.departures.pop_front();
            }
            self.departures.push_back((now, state));
        }
    }

    fn on_ack(&mut self, now: StdInstant, sent: StdInstant, bytes: u64, _: bool, rtt: &RttEstimator) {
        let at = self.clock.at(now);
        self.learn_rtt(at, rtt.get());
        if let Ok(found) = self.departures.binary_search_by_key(&sent, |(at, _)| *at) {
            let state = self.departures[found].1;
            let packet = AckedPacket { sent_at: self.clock.at(sent), bytes, state };
            self.flow.on_acked(at, Duration::ZERO, &packet);
        }
        self.forget_before(sent);
    }

    fn on_end_acks(&mut self, now: StdInstant, in_flight: u64, app_limited: bool, _: Option<u64>) {
        let at = self.clock.at(now);
        self.in_flight = in_flight;
        let held_back = self.held_back.get();
        if !app_limited || held_back >= at {
            self.flow.on_limited(held_back.max(at));
        } else {
            self.flow.on_app_limited(in_flight);
        }
        if at.since(self.sampled_at) >= SAMPLE_EVERY {
            self.sampled_at = at;
            self.flow.on_tick(at, self.smoothed.into(), in_flight);
        }
    }

    fn on_congestion_event(
        &mut self,
        now: StdInstant,
        sent: StdInstant,
        is_persistent: bool,
        lost_bytes: u64,
    ) {
        self.in_flight = self.in_flight.saturating_sub(lost_bytes);
        self.flow.on_lost(self.clock.at(sent), lost_bytes);
        if is_persistent {
            self.flow.start_again(self.clock.at(now), self.in_flight);
        }
    }

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        self.flow.window_bytes()
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.window();
        metrics.pacing_rate = Some(8 * self.flow.stats().rate_bytes_s);
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        INITIAL_WINDOW_BYTES
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
