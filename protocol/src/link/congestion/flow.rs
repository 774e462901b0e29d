//! [`Flow`]: a sender's side of congestion control. It gathers what a tick's acknowledgements and losses tell
//! and hands it to the controller once. It knows no link, so that another transport can drive it as well.

use super::controller::{AckSample, CongestionConfig, Control, Controller, LossSample};
use super::delivery::{DeliveryRate, PacketState};
use super::loss::{LossMeter, PacketLoss};
use super::pacer::{Budget, Pacer};
use crate::link::rtt::ACK_DELAY_MAX;
use crate::time::{Duration, Instant};

/// Without any acknowledgement for so many probe timeouts the line is taken for dead.
const SILENCE_PROBE_TIMEOUTS: u64 = 2;
/// With twice so much loss, of a thousand, a silence has to last twice as long, with thrice as much thrice.
const SILENCE_LOSS_PERMILLE: u64 = 50;

/// What a line that has never held anything back is taken to carry: 20 Mbit/s.
const ORDINARY_LINE_BYTES_S: u64 = 2_500_000;

/// What is known of a flow, to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowStats {
    /// The path's round trip as last measured, the peer's delay taken off.
    pub path_rtt: Option<Duration>,
    /// The smallest of late: what the path and its queues take.
    pub standing_rtt: Option<Duration>,
    /// Bytes a second that packets are paced at.
    pub rate_bytes_s: u64,
    /// Bytes that may be in flight.
    pub window_bytes: u64,
    /// The last delivery rate that was measured, in bytes a second.
    pub delivery_rate_bytes_s: u64,
    /// Loss of the last few hundred packets, of a thousand.
    pub loss_permille: u64,
}

/// A packet that was acknowledged for the first time.
#[derive(Debug, Clone, Copy)]
pub struct AckedPacket {
    /// When it left.
    pub sent_at: Instant,
    /// Its bytes.
    pub bytes: u64,
    /// What [`Flow::on_sent`] gave for it.
    pub state: PacketState,
}

/// One sender's flow. The owner tells of each packet with [`Flow::on_sent`], [`Flow::on_acked`] and
/// [`Flow::on_lost`], and of each tick with [`Flow::on_tick`]; then it plans within [`Flow::budget`].
#[derive(Debug, Clone)]
pub struct Flow {
    config: CongestionConfig,
    controller: Control,
    delivery: DeliveryRate,
    pacer: Pacer,
    batch: Batch,
    /// Until when the owner last had more to send than it was allowed.
    limited_until: Option<Instant>,
    /// When the peer last acknowledged something new, or the first packet left after it had acknowledged all.
    heard_at: Instant,
    silent: bool,
    /// What left before says nothing of the line as it is now: there was a silence.
    restarted_at: Instant,
    /// What repair goes by; its parity changes nothing here, since what it made up for was lost all the same.
    packet_loss: PacketLoss,
    // to be shown
    loss: LossMeter,
    path_rtt: Option<Duration>,
    delivery_rate_bytes_s: u64,
}

/// Acknowledgements since the last tick.
#[derive(Debug, Clone, Copy, Default)]
struct Batch {
    acked_bytes: u64,
    /// Sum over those of when they left, in byte-microseconds.
    left_at_sum: u128,
    newest_sent_at: Instant,
    path_rtt: Option<Duration>,
}

impl Flow {
    /// A flow of which nothing is known.
    ///
    /// # Panics
    /// When the configuration's floor is zero or above its ceiling.
    pub fn new(now: Instant, config: CongestionConfig) -> Self {
        Flow {
            config,
            controller: Control::new(config),
            delivery: DeliveryRate::new(now),
            pacer: Pacer::new(now),
            batch: Batch::default(),
            limited_until: None,
            heard_at: now,
            silent: false,
            restarted_at: now,
            packet_loss: PacketLoss::default(),
            loss: LossMeter::default(),
            path_rtt: None,
            delivery_rate_bytes_s: 0,
        }
    }

    /// What may be planned for the time from now to `until`.
    pub fn budget(&self, now: Instant, until: Instant, in_flight_bytes: u64) -> Budget {
        Budget {
            paced_bytes: self.pacer.budget_bytes(now, until, self.controller.rate_bytes_s()),
            window_bytes: self.controller.window_bytes().saturating_sub(in_flight_bytes),
        }
    }

    /// When a packet leaves that is decided on now.
    pub fn departure(&self, now: Instant) -> Instant {
        self.pacer.departure(now)
    }

    /// How long the line takes for what has left and so many bytes more: at the rate of the flow, or that of an ordinary line
    /// while nothing was learnt of this one. That is no rate to send at for long, but a few packets may go by it.
    pub fn time_for(&self, now: Instant, bytes: u64) -> Duration {
        let rate = self.controller.rate_bytes_s();
        let rate = if self.controller.knows_line() { rate } else { rate.max(ORDINARY_LINE_BYTES_S) };
        self.pacer.time_for(now, bytes, rate)
    }

    /// The owner has more to send until then than the budget allows.
    pub fn on_limited(&mut self, until: Instant) {
        self.limited_until = Some(until);
    }

    /// The owner has nothing more to send.
    pub fn on_app_limited(&mut self, in_flight_bytes: u64) {
        self.delivery.on_app_limited(in_flight_bytes);
    }

    /// A packet that the peer has to acknowledge leaves; `in_flight_bytes` do not count it yet.
    pub fn on_sent(&mut self, at: Instant, bytes: u64, in_flight_bytes: u64) -> PacketState {
        if in_flight_bytes == 0 {
            self.heard_at = self.heard_at.max(at);
        }
        self.pacer.on_sent(at, bytes, self.controller.rate_bytes_s());
        self.controller.on_sent(at, bytes, in_flight_bytes + bytes);
        self.delivery.on_sent(at, in_flight_bytes == 0)
    }

    /// A packet was acknowledged for the first time, in a frame that came at `now` and had waited for
    /// `ack_delay` at the peer.
    pub fn on_acked(&mut self, now: Instant, ack_delay: Duration, packet: &AckedPacket) {
        let AckedPacket { sent_at, bytes, ref state } = *packet;
        self.heard_at = self.heard_at.max(now);
        self.loss.on_acked(bytes);
        self.packet_loss.on_settled(false);
        let received_at = now - ack_delay.min(ACK_DELAY_MAX);
        if sent_at < self.restarted_at {
            self.delivery.on_acked_late(bytes, received_at);
            return;
        }
        self.delivery.on_acked(state, sent_at, bytes, received_at);
        self.batch.acked_bytes += bytes;
        self.batch.left_at_sum += u128::from(bytes) * u128::from(sent_at.as_us());
        self.batch.newest_sent_at = self.batch.newest_sent_at.max(sent_at);
    }

    /// A round trip was measured, that of an acknowledgement that came at `now`.
    pub fn on_rtt(&mut self, now: Instant, measured: Duration, ack_delay: Duration) {
        if now - measured < self.restarted_at {
            return;
        }
        let path = measured - ack_delay.min(ACK_DELAY_MAX);
        self.path_rtt = Some(path);
        self.batch.path_rtt = Some(self.batch.path_rtt.map_or(path, |rtt| rtt.min(path)));
    }

    /// A packet was found lost.
    pub fn on_lost(&mut self, sent_at: Instant, bytes: u64) {
        self.controller.on_lost(&LossSample { sent_at, bytes });
        self.loss.on_lost(bytes);
        self.packet_loss.on_settled(true);
    }

    /// Of a thousand packets of the last seconds, so many were lost.
    pub fn loss_permille(&self) -> u32 {
        self.packet_loss.permille()
    }

    /// Hands what the last tick brought to the controller. After `probe_timeout` without an answer the owner
    /// would ask whether anybody is there (RFC 9002 §6.2.1).
    pub fn on_tick(&mut self, now: Instant, probe_timeout: Duration, in_flight_bytes: u64) {
        let batch = std::mem::take(&mut self.batch);
        if batch.acked_bytes > 0 {
            self.silent = false;
            let left_at = Instant::from_us((batch.left_at_sum / u128::from(batch.acked_bytes)) as u64);
            let delivery = self.delivery.sample(batch.path_rtt.unwrap_or_default().scaled(1, 2));
            if let Some(sample) = delivery {
                self.delivery_rate_bytes_s = sample.rate_bytes_s;
            }
            self.controller.on_ack(&AckSample {
                now,
                acked_bytes: batch.acked_bytes,
                path_rtt: batch.path_rtt,
                loop_time: now.since(left_at),
                delivery,
                in_flight_bytes,
                is_limited: self.limited_until.is_some_and(|at| at >= batch.newest_sent_at),
            });
        } else if in_flight_bytes > 0 && !self.silent {
            // Where much is lost anyway, a silence says less.
            let patience = (u64::from(self.packet_loss.permille()) / SILENCE_LOSS_PERMILLE).max(1);
            let wait = probe_timeout.scaled(SILENCE_PROBE_TIMEOUTS * patience, 1);
            if now.since(self.heard_at) >= wait {
                self.start_again(now, in_flight_bytes);
            }
        }
    }

    /// Nothing was heard for long, or all of a long time was lost: what was known of the line is worth nothing any more.
    pub fn start_again(&mut self, now: Instant, in_flight_bytes: u64) {
        self.silent = true;
        self.restarted_at = now;
        self.delivery.on_app_limited(in_flight_bytes);
        self.controller.on_silence(now);
    }

    /// From now on packets take another path, of which nothing is known. The owner tells of none that left before.
    pub fn path_changed(&mut self, now: Instant) {
        *self = Flow::new(now, self.config);
    }

    /// Bytes that may be in flight.
    pub fn window_bytes(&self) -> u64 {
        self.controller.window_bytes()
    }

    /// What is known, to be shown.
    pub fn stats(&self) -> FlowStats {
        FlowStats {
            path_rtt: self.path_rtt,
            standing_rtt: self.controller.standing_rtt(),
            rate_bytes_s: self.controller.rate_bytes_s(),
            window_bytes: self.controller.window_bytes(),
            delivery_rate_bytes_s: self.delivery_rate_bytes_s,
            loss_permille: self.loss.permille(),
        }
    }
}
