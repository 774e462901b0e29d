//! How much is lost, over enough packets to mean something.

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
    fn old_losses_are_forgotten() {
        let mut meter = after(0, 300);
        (0..3_000).for_each(|_| meter.on_acked(PACKET));
        assert!(meter.permille() < 10, "{}", meter.permille());
    }
}
