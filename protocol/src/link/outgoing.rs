//! [`Outgoing`]: what was sent and what became of it, and the path's round trip and rate, which are learnt from that.
//!
//! A path has a beginning: when the peer has moved to another address, nothing that was learnt on the way to the old one
//! holds any more, and what had left before teaches nothing of the new one (RFC 9000 §9.4). It may arrive all the
//! same, and is acknowledged or lost as ever.

use std::collections::VecDeque;

use super::ack::{Ack, AckError};
use super::congestion::{CongestionConfig, Flow};
use super::endpoint::{LinkStats, Outcome};
use super::reliable;
use super::rtt::Rtt;
use super::sent::{Sent, SentPackets, Settled};
use crate::time::Instant;

/// Probes in a row double the wait at most this many times (4 x): who was not let in yet has nothing else to say, and
/// on a line that loses in bursts the next one may be the first to arrive.
const PROBE_BACKOFF_MAX: u32 = 2;

/// What went.
#[derive(Debug)]
pub(super) struct Outgoing<T> {
    pub sent: SentPackets<T>,
    pub outbox: reliable::Sender,
    pub outcomes: VecDeque<Outcome<T>>,
    pub rtt: Rtt,
    pub flow: Flow,
    /// When the last packet left that wants an answer.
    last_eliciting_at: Instant,
    /// Nothing was answered for so long that a packet has to ask.
    pub probe_due: bool,
    probes_in_a_row: u32,
}

impl<T> Outgoing<T> {
    pub fn new(now: Instant, congestion: CongestionConfig) -> Self {
        Outgoing {
            sent: SentPackets::default(),
            outbox: reliable::Sender::default(),
            outcomes: VecDeque::new(),
            rtt: Rtt::default(),
            flow: Flow::new(now, congestion),
            last_eliciting_at: now,
            probe_due: false,
            probes_in_a_row: 0,
        }
    }

    /// Bytes that are in flight on the path as it is now.
    pub fn bytes_on_path(&self) -> u64 {
        self.sent.bytes_on_path() as u64
    }

    pub fn memory_bytes(&self) -> usize {
        let outcomes = self.outcomes.capacity() * size_of::<Outcome<T>>();
        self.sent.memory_bytes() + self.outbox.memory_bytes() + outcomes
    }

    /// Takes an acknowledgement whose ranges were checked; `largest` is its newest number at full width. Says below which
    /// number the peer knows what we have received.
    pub fn handle_ack(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        largest: u64,
        stats: &mut LinkStats,
    ) -> Result<u64, AckError> {
        let mut peer_knows_below = 0;
        let mut sample = None;
        let Outgoing { sent, outbox, outcomes, flow, .. } = self;
        let path_from = sent.path_from();
        ack.each_range(largest, |start, end| {
            sent.ack(start, end, |settled| {
                let is_of_path = settled.sent.eliciting && settled.number >= path_from;
                if is_of_path {
                    flow.on_acked(now, ack.delay, &settled.sent.acked());
                }
                peer_knows_below = peer_knows_below.max(settled.sent.acks_below);
                if settled.number == largest && is_of_path {
                    sample = Some(now.since(settled.sent.at));
                }
                deliver(settled, outbox, outcomes, stats);
            });
        })?;
        if let Some(measured) = sample {
            self.rtt.sample(measured, ack.delay);
            self.flow.on_rtt(now, measured, ack.delay);
            self.probes_in_a_row = 0;
            self.probe_due = false;
        }
        self.detect_lost(now, stats);
        Ok(peer_knows_below)
    }

    fn detect_lost(&mut self, now: Instant, stats: &mut LinkStats) {
        let Outgoing { sent, outbox, outcomes, rtt, flow, .. } = self;
        let path_from = sent.path_from();
        sent.detect_lost(now, rtt.loss_delay(), |settled| {
            if settled.sent.eliciting && settled.number >= path_from {
                flow.on_lost(settled.sent.at, settled.sent.bytes.into());
            }
            deliver(settled, outbox, outcomes, stats);
        });
        sent.drop_settled_front();
    }

    pub fn handle_timeout(&mut self, now: Instant, stats: &mut LinkStats) {
        self.detect_lost(now, stats);
        self.flow.on_tick(now, self.rtt.probe_timeout(), self.bytes_on_path());
        let wait = self.rtt.probe_timeout().scaled(1 << self.probes_in_a_row.min(PROBE_BACKOFF_MAX), 1);
        if self.sent.packets_in_flight() > 0 && now.since(self.last_eliciting_at) >= wait {
            if !self.probe_due {
                self.outbox.repeat_oldest();
            }
            self.probe_due = true;
        }
    }

    /// A packet leaves that was due then.
    pub fn on_sent(&mut self, due: Instant, mut packet: Sent<T>, stats: &mut LinkStats) {
        stats.packets_sent += 1;
        stats.eliciting_sent += u64::from(packet.eliciting);
        if packet.eliciting {
            packet.delivery = self.flow.on_sent(due, packet.at, packet.bytes.into(), self.bytes_on_path());
            self.last_eliciting_at = packet.at;
            if std::mem::take(&mut self.probe_due) {
                stats.probes_sent += 1;
                self.probes_in_a_row += 1;
            }
        }
        if let Some(forced) = self.sent.push(packet) {
            if forced.sent.eliciting && forced.number >= self.sent.path_from() {
                self.flow.on_lost(forced.sent.at, forced.sent.bytes.into());
            }
            deliver(forced, &mut self.outbox, &mut self.outcomes, stats);
        }
    }

    /// From now on packets take another path.
    pub fn path_changed(&mut self, now: Instant) {
        self.rtt = Rtt::default();
        self.flow.path_changed(now);
        self.sent.path_changed();
        self.probes_in_a_row = 0;
    }
}

/// Tells of a settled packet: reliable messages to the channel, tokens to the owner.
fn deliver<T>(
    settled: Settled<T>,
    outbox: &mut reliable::Sender,
    outcomes: &mut VecDeque<Outcome<T>>,
    stats: &mut LinkStats,
) {
    stats.eliciting_settled += u64::from(settled.sent.eliciting);
    if settled.acked {
        stats.packets_acked += 1;
    } else if settled.sent.eliciting {
        stats.packets_lost += 1;
    }
    if settled.sent.reliable {
        let tell = if settled.acked { reliable::Sender::on_acked } else { reliable::Sender::on_lost };
        tell(outbox, settled.number);
    }
    let outcome = if settled.acked { Outcome::Acked } else { Outcome::Lost };
    outcomes.extend(settled.sent.token.map(outcome));
}
