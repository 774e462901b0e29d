//! How fast the path delivers (draft-cheng-iccrg-delivery-rate-estimation).
//!
//! Each packet remembers how much had been delivered when it left. When it is acknowledged, what was
//! delivered since, divided by the time that took, is a sample; the time is the longer of sending and of
//! delivering, so that neither a burst out nor acknowledgements in a bunch make it too large. Samples
//! of times in which the sender had nothing more to send are marked: they say what was sent, not what the path
//! carries.

use crate::time::{Duration, Instant};

/// A packet's own memory of the delivery when it left. There is one for each packet that is in flight, so times are kept
/// as how long before it left they were; an hour is more than any of them can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PacketState {
    delivered: u64,
    delivered_before_us: u32,
    first_sent_before_us: u32,
    app_limited: bool,
}

/// How long before `at` this was.
fn before_us(at: Instant, this: Instant) -> u32 {
    u32::try_from(at.since(this).as_us()).unwrap_or(u32::MAX)
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliverySample {
    /// Bytes a second.
    pub rate_bytes_s: u64,
    /// Whether the sender had nothing more to send at some time in it.
    pub app_limited: bool,
}

/// The estimator of one flow.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryRate {
    /// Bytes delivered so far.
    delivered: u64,
    /// When the last of them was.
    delivered_at: Instant,
    /// When the packet left that was acknowledged last.
    first_sent_at: Instant,
    /// Until more than this is delivered, packets leave marked: those that left before the first of them was
    /// answered found a line that was not full.
    app_limited_until: Option<u64>,
    /// The newest packet that was acknowledged since the last sample.
    newest: Option<(PacketState, Instant)>,
}

impl DeliveryRate {
    /// Nothing was delivered.
    pub fn new(now: Instant) -> Self {
        DeliveryRate {
            delivered: 0,
            delivered_at: now,
            first_sent_at: now,
            app_limited_until: None,
            newest: None,
        }
    }

    /// A packet leaves; says what it has to remember. `was_idle`: nothing was in flight.
    pub fn on_sent(&mut self, at: Instant, was_idle: bool) -> PacketState {
        if was_idle {
            self.first_sent_at = at;
            self.delivered_at = at;
        }
        PacketState {
            delivered: self.delivered,
            delivered_before_us: before_us(at, self.delivered_at),
            first_sent_before_us: before_us(at, self.first_sent_at),
            app_limited: self.app_limited_until.is_some_and(|until| self.delivered <= until),
        }
    }

    /// A packet of `bytes` was acknowledged for the first time; the peer received it at `received_at`, give or
    /// take a constant.
    pub fn on_acked(&mut self, packet: &PacketState, sent_at: Instant, bytes: u64, received_at: Instant) {
        self.delivered += bytes;
        self.delivered_at = self.delivered_at.max(received_at);
        let is_newer = self.newest.is_none_or(|(newest, at)| {
            (packet.delivered, sent_at) >= (newest.delivered, at) // the later it left, the fresher
        });
        if is_newer {
            self.newest = Some((*packet, sent_at));
        }
    }

    /// A packet was acknowledged that left too long ago to make a sample.
    pub fn on_acked_late(&mut self, bytes: u64, received_at: Instant) {
        self.delivered += bytes;
        self.delivered_at = self.delivered_at.max(received_at);
    }

    /// The sender has nothing more to send although it could.
    pub fn on_app_limited(&mut self, in_flight_bytes: u64) {
        self.app_limited_until = Some(self.delivered + in_flight_bytes);
    }

    /// The sample of what was acknowledged since the last one. Shorter than `interval_min` there is none.
    pub fn sample(&mut self, interval_min: Duration) -> Option<DeliverySample> {
        let (packet, sent_at) = self.newest.take()?;
        let sending = Duration::from_us(packet.first_sent_before_us.into());
        let delivered_at =
            Instant::from_us(sent_at.as_us().saturating_sub(packet.delivered_before_us.into()));
        let delivering = self.delivered_at.since(delivered_at);
        self.first_sent_at = sent_at;
        let interval_us = sending.max(delivering).as_us();
        if interval_us == 0 || interval_us < interval_min.as_us() {
            return None;
        }
        let bytes = self.delivered - packet.delivered;
        let rate_bytes_s = bytes.saturating_mul(1_000_000) / interval_us;
        Some(DeliverySample { rate_bytes_s, app_limited: packet.app_limited })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_ms(ms)
    }

    /// Packets of 1,000 bytes leave each `every_ms` and arrive each `arrive_every_ms`, 50 ms later.
    fn rates(every_ms: u64, arrive_every_ms: u64) -> Vec<u64> {
        let mut delivery = DeliveryRate::new(at(0));
        let mut under_way = std::collections::VecDeque::new();
        let mut rates = Vec::new();
        let (mut next_send, mut next_arrival) = (0, 50);
        for ms in 0..1_000 {
            if ms == next_arrival {
                if let Some((packet, sent_at)) = under_way.pop_front() {
                    delivery.on_acked(&packet, sent_at, 1_000, at(ms));
                    rates.extend(delivery.sample(Duration::from_ms(50)).map(|s| s.rate_bytes_s));
                }
                next_arrival += arrive_every_ms;
            }
            if ms == next_send {
                under_way.push_back((delivery.on_sent(at(ms), under_way.is_empty()), at(ms)));
                next_send += every_ms;
            }
        }
        rates
    }

    #[test]
    fn the_slower_of_sending_and_arriving_is_the_rate() {
        assert!((195_000..=200_000).contains(rates(5, 5).last().unwrap()));
        assert!((95_000..=100_000).contains(rates(5, 10).last().unwrap()));
        assert!((95_000..=100_000).contains(rates(10, 5).last().unwrap()), "{:?}", rates(10, 5));
    }

    #[test]
    fn acknowledgements_in_a_bunch_do_not_make_it_faster() {
        let mut delivery = DeliveryRate::new(at(0));
        let packets: Vec<_> = (0..20).map(|i| (delivery.on_sent(at(10 * i), i == 0), at(10 * i))).collect();
        for (packet, sent_at) in &packets {
            delivery.on_acked(packet, *sent_at, 1_000, at(200)); // all at once, after a hole in the line
        }
        let sample = delivery.sample(Duration::ZERO).unwrap();
        assert!(sample.rate_bytes_s <= 105_300, "{sample:?}");
    }

    #[test]
    fn what_left_while_there_was_nothing_more_to_send_is_marked() {
        let mut delivery = DeliveryRate::new(at(0));
        let first = delivery.on_sent(at(0), true);
        delivery.on_app_limited(1_000);
        let second = delivery.on_sent(at(10), false);
        delivery.on_acked(&first, at(0), 1_000, at(50));
        delivery.on_acked(&second, at(10), 1_000, at(60));
        assert!(delivery.sample(Duration::ZERO).unwrap().app_limited);
        let third = delivery.on_sent(at(60), false);
        let marks = [first, second, third].map(|p| p.app_limited);
        assert_eq!(marks, [false, true, false]);
    }

    #[test]
    fn the_first_packets_after_a_silence_are_marked_until_one_of_them_is_answered() {
        let mut delivery = DeliveryRate::new(at(0));
        let trickle = delivery.on_sent(at(0), true);
        delivery.on_app_limited(1_000);
        delivery.on_acked(&trickle, at(0), 1_000, at(50));
        assert_eq!(delivery.sample(Duration::ZERO).map(|s| s.app_limited), Some(false));
        // Nothing is in flight, and much is to be sent: what left 4 ms before says little of the line.
        let burst: Vec<_> = (0..4).map(|i| delivery.on_sent(at(100 + i), i == 0)).collect();
        assert!(burst.iter().all(|packet| packet.app_limited));
        delivery.on_acked(&burst[0], at(100), 1_000, at(150));
        assert!(!delivery.on_sent(at(151), false).app_limited);
    }

    #[test]
    fn nothing_new_and_no_time_give_no_sample() {
        let mut delivery = DeliveryRate::new(at(0));
        assert_eq!(delivery.sample(Duration::ZERO), None);
        let packet = delivery.on_sent(at(0), true);
        delivery.on_acked(&packet, at(0), 1_000, at(0));
        assert_eq!(delivery.sample(Duration::ZERO), None);
    }
}
