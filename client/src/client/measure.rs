//! [`Client::measures`]: gathered from the link, the player and the ring.

use ninefold_protocol::time::{Duration, Instant};

use super::Client;
use crate::measures::{Measures, Totals, seconds_to_edge};

impl Client {
    /// Each second, what was counted becomes rates.
    pub(super) fn measure(&mut self, now: Instant) {
        let link = self.link.stats();
        let totals = Totals {
            sent: link.packets_sent,
            lost: link.packets_lost,
            received: link.packets_received,
            expected: self.link.largest_received().map_or(0, |largest| largest + 1),
            bytes_out: self.stats.bytes_out,
            bytes_in: self.stats.bytes_in,
            packets_out: self.stats.datagrams_out,
            packets_in: self.stats.datagrams_in,
        };
        self.rates.update(now, totals);
    }

    /// How the session is now.
    pub fn measures(&self, now: Instant) -> Measures {
        let rtt = self.link.rtt();
        let mut measures = Measures {
            rtt: rtt.latest().map_or(Duration::ZERO, |_| rtt.smoothed()),
            rtt_jitter: rtt.latest().map_or(Duration::ZERO, |_| rtt.variation()),
            chunks_wanted: self.ring.wanted().len(),
            edge_s: self.own(now).and_then(|own| {
                let [x, _, z] = own.velocity;
                seconds_to_edge(|chunk| self.cache.peek(chunk).is_some(), own.position, [x, z])
            }),
            ..Measures::default()
        };
        self.rates.tell(&mut measures);
        self.play.tell(now, &mut measures);
        measures
    }
}
