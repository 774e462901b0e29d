//! How much is lost, over enough packets to mean something: by bytes for the controller, by packets for repair.

use crate::limits::PACKET_BYTES_MAX;

/// Bytes over which loss is measured; older ones count ever less.
const MEASURED_BYTES: u64 = 256 * PACKET_BYTES_MAX as u64;
/// From so many bytes on, loss that is plain to see counts at once.
const MEASURED_BYTES_MIN: u64 = 32 * PACKET_BYTES_MAX as u64;

/// Loss of late.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LossMeter {
    acked: u64,
    lost: u64,
}

impl LossMeter {
    pub fn on_acked(&mut self, bytes: u64) {
        self.acked += bytes;
        self.age();
    }

    pub fn on_lost(&mut self, bytes: u64) {
        self.lost += bytes;
        self.age();
    }

    fn age(&mut self) {
        if self.acked + self.lost > 2 * MEASURED_BYTES {
            self.acked /= 2;
            self.lost /= 2;
        }
    }

    /// Of a thousand bytes, so many were lost.
    pub fn permille(&self) -> u64 {
        self.lost * 1_000 / (self.acked + self.lost).max(1)
    }

    /// Whether more than `permille` are lost beyond doubt: over many packets, or over few by a wide margin.
    pub fn exceeds(&self, permille: u64) -> bool {
        let measured = self.acked + self.lost;
        measured >= MEASURED_BYTES && self.permille() > permille
            || measured >= MEASURED_BYTES_MIN && self.permille() > 5 * permille / 2
    }
}

/// Packets over which repair measures loss, one to two times; older ones count ever less. At 5 % the measure is
/// then good to half a percent.
const LONG_PACKETS: u32 = 1_024;
/// The same for a line that has become worse.
const SHORT_PACKETS: u32 = 64;
/// A line counts as worse when the short measure has this much more than twice the long one, of a thousand.
const WORSE_PERMILLE: u32 = 50;

/// Loss of packets, whatever their size: what a fragment has to expect.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PacketLoss {
    long: Share,
    short: Share,
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    settled: u32,
    lost: u32,
}

impl Share {
    fn push(&mut self, is_lost: bool, packets: u32) {
        self.settled += 1;
        self.lost += u32::from(is_lost);
        if self.settled >= 2 * packets {
            self.settled /= 2;
            self.lost /= 2;
        }
    }

    /// Of a thousand; over few packets rather too little.
    fn permille(self) -> u32 {
        self.lost * 1_000 / self.settled.max(SHORT_PACKETS)
    }
}

impl PacketLoss {
    pub fn on_settled(&mut self, is_lost: bool) {
        self.long.push(is_lost, LONG_PACKETS);
        self.short.push(is_lost, SHORT_PACKETS);
    }

    /// Of a thousand packets, so many were lost.
    pub fn permille(&self) -> u32 {
        let (long, short) = (self.long.permille(), self.short.permille());
        if short > 2 * long + WORSE_PERMILLE { short } else { long }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = PACKET_BYTES_MAX as u64;

    fn after(acked: u64, lost: u64) -> LossMeter {
        let mut meter = LossMeter::default();
        (0..acked).for_each(|_| meter.on_acked(PACKET));
        (0..lost).for_each(|_| meter.on_lost(PACKET));
        meter
    }

    #[test]
    fn a_few_losses_of_a_few_packets_prove_nothing() {
        assert!(!after(0, 0).exceeds(100));
        assert!(!after(26, 6).exceeds(100)); // 19 %, which five lost of a hundred do now and then
        assert!(after(23, 9).exceeds(100)); // 28 % do not
        assert!(after(225, 31).exceeds(100));
        assert!(!after(235, 21).exceeds(100));
    }

    #[test]
    fn loss_of_packets_is_measured_over_many_and_found_soon_where_it_gets_worse() {
        let mut loss = PacketLoss::default();
        assert_eq!(loss.permille(), 0);
        loss.on_settled(true);
        assert!(loss.permille() < 20, "one of one proves nothing: {}", loss.permille());
        // One in twenty for long.
        (0..20_000).for_each(|n| loss.on_settled(n % 20 == 0));
        assert!((49..=51).contains(&loss.permille()), "{}", loss.permille());
        // Every fourth: seen within seconds of play, and gone in a minute of none.
        (0..128).for_each(|n| loss.on_settled(n % 4 == 0));
        assert!((170..=270).contains(&loss.permille()), "{}", loss.permille());
        (0..4_000).for_each(|_| loss.on_settled(false));
        assert!(loss.permille() < 20, "{}", loss.permille());
    }

    #[test]
    fn old_losses_are_forgotten() {
        let mut meter = after(0, 300);
        (0..3_000).for_each(|_| meter.on_acked(PACKET));
        assert!(meter.permille() < 10, "{}", meter.permille());
    }
}
