//! Which connections are attended to at all.
//!
//! ```text
//!   somebody begins ─▶ too many under way? ─▶ its network over its rate? ─▶ too many at once? ─▶ attended
//!                      refused, or proof      proof first; with it,        not answered
//!                      of the address first   not answered
//! ```
//!
//! Networks are counted in the same cells as requests are on UDP. An address can be a lie until it was proven, which
//! costs us nothing to ask for (RFC 9000 §8.1.2): who has not proven it gets no more than half of its network's burst. So
//! nobody who lies about where he is keeps those out who are there.

use std::net::SocketAddr;

use ahash::RandomState;
use ninefold_protocol::connection::{NetworkRates, REQUESTS_BURST_S, Rate};
use ninefold_protocol::time::{Duration, Instant};

use super::QuicReport;

/// Connections that may begin within [`BEGIN_WINDOW`]; a handshake costs the thread some 200 us.
const BEGINS_MAX: u32 = 200;
/// How long [`BEGINS_MAX`] must last.
const BEGIN_WINDOW: Duration = Duration::from_ms(100);
/// With so many handshakes of the allowed ones under way, whoever begins has to prove its address first:
/// one in this many.
const RETRY_SHARE: usize = 4;

/// How many connections are attended to.
#[derive(Debug, Clone, Copy)]
pub struct GateConfig {
    /// Connections on their way in at once; further ones are refused.
    pub handshakes_max: usize,
    /// Connections that may begin each second from one network, an IPv4 address or an IPv6 /64, and four times so many at
    /// once. Loopback is not limited.
    pub begins_per_network_s: u32,
}

/// Decides which connections are attended to.
#[derive(Debug)]
pub(super) struct Gate {
    handshakes_max: usize,
    begins_left: u32,
    until: Instant,
    networks: NetworkRates,
    /// What a network has as long as its addresses are not proven.
    unproven: Rate,
}

/// Who begins a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comer {
    /// Where it says that it is.
    pub address: SocketAddr,
    /// It has not proven that yet, and can be asked to.
    pub may_retry: bool,
}

/// What becomes of a connection that somebody begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Attend,
    Refuse,
    /// It has to prove its address first.
    Retry,
    /// Not a word: it begins again by itself in a while.
    Ignore,
}

/// Chooses the cells of networks from a seed.
pub(super) fn seeded_hasher(seed: [u8; 32]) -> RandomState {
    let [a, b, c, d] =
        std::array::from_fn(|n| u64::from_le_bytes(std::array::from_fn(|at| seed[8 * n + at])));
    RandomState::with_seeds(a, b, c, d)
}

impl Gate {
    /// Nobody has come.
    pub fn new(config: GateConfig, hasher: RandomState, now: Instant) -> Self {
        let GateConfig { handshakes_max, begins_per_network_s } = config;
        let burst = begins_per_network_s.saturating_mul(REQUESTS_BURST_S);
        Gate {
            handshakes_max,
            begins_left: BEGINS_MAX,
            until: now + BEGIN_WINDOW,
            networks: NetworkRates::new(Rate::new(begins_per_network_s, burst), hasher),
            unproven: Rate::new(begins_per_network_s, burst / 2),
        }
    }

    /// Decides and counts, while so many connections are `under_way`.
    pub fn decide(&mut self, now: Instant, under_way: usize, comer: Comer, report: &mut QuicReport) -> Pass {
        if now >= self.until {
            (self.begins_left, self.until) = (BEGINS_MAX, now + BEGIN_WINDOW);
        }
        let Comer { address, may_retry } = comer;
        if under_way >= self.handshakes_max {
            report.handshakes_over_limit += 1;
            return Pass::Refuse;
        }
        let is_busy = under_way >= self.handshakes_max / RETRY_SHARE;
        if may_retry && (is_busy || !self.networks.is_under(self.unproven, address, now)) {
            report.retries += 1;
            return Pass::Retry;
        }
        let begins_left = &mut self.begins_left;
        match self.networks.take(address, now, || *begins_left > 0) {
            Ok(true) => {
                *begins_left -= 1;
                Pass::Attend
            }
            Ok(false) => {
                report.handshakes_over_rate += 1;
                Pass::Ignore
            }
            Err(_) => {
                report.handshakes_network_over_rate += 1;
                Pass::Ignore
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_NETWORK_S: u32 = 10;
    const BURST: usize = 40;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_ms(ms)
    }

    fn gate() -> Gate {
        let config = GateConfig { handshakes_max: 100, begins_per_network_s: PER_NETWORK_S };
        Gate::new(config, RandomState::with_seeds(1, 2, 3, 4), at(0))
    }

    fn comer(address: &str, may_retry: bool) -> Comer {
        Comer { address: address.parse().unwrap(), may_retry }
    }

    /// What becomes of so many at once: attended, asked for proof, not answered.
    fn come(
        gate: &mut Gate,
        now: Instant,
        count: usize,
        comer: Comer,
        report: &mut QuicReport,
    ) -> [usize; 3] {
        let passes: Vec<_> = (0..count).map(|_| gate.decide(now, 0, comer, report)).collect();
        [Pass::Attend, Pass::Retry, Pass::Ignore].map(|p| passes.iter().filter(|q| **q == p).count())
    }

    #[test]
    fn a_network_begins_so_many_at_once_and_then_so_many_a_second() {
        let (mut gate, mut report) = (gate(), QuicReport::default());
        let here = comer("192.0.2.1:1", false);
        assert_eq!(come(&mut gate, at(0), 100, here, &mut report), [BURST, 0, 60]);
        assert_eq!((report.handshakes_network_over_rate, report.handshakes_over_rate), (60, 0));
        // From another port, too; not from another network.
        assert_eq!(come(&mut gate, at(0), 1, comer("192.0.2.1:2", false), &mut report), [0, 0, 1]);
        assert_eq!(come(&mut gate, at(0), 1, comer("192.0.2.2:1", false), &mut report), [1, 0, 0]);
        assert_eq!(come(&mut gate, at(1_000), 100, here, &mut report), [10, 0, 90]);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_counts_as_one() {
        let (mut gate, mut report) = (gate(), QuicReport::default());
        let attended: usize = (0..100)
            .map(|n| comer(&format!("[2001:db8::{n:x}]:{}", n + 1), false))
            .map(|comer| come(&mut gate, at(0), 1, comer, &mut report)[0])
            .sum();
        assert_eq!(attended, BURST);
    }

    #[test]
    fn who_lies_about_its_address_keeps_nobody_out_who_is_there() {
        let (mut gate, mut report) = (gate(), QuicReport::default());
        let liar = comer("192.0.2.1:1", true);
        assert_eq!(come(&mut gate, at(0), 200, liar, &mut report), [BURST / 2, 200 - BURST / 2, 0]);
        // Who is there is asked for proof, brings it and is let in, however long it goes on.
        for second in 0..10 {
            come(&mut gate, at(1_000 * second), 200, liar, &mut report);
            let honest = comer("192.0.2.1:9", false);
            assert_eq!(come(&mut gate, at(1_000 * second), 2, honest, &mut report), [2, 0, 0], "{second}");
        }
        assert_eq!(report.handshakes_network_over_rate, 0);
    }

    #[test]
    fn many_networks_together_are_limited_as_well() {
        let (mut gate, mut report) = (gate(), QuicReport::default());
        let attended: usize = (0..1_000)
            .map(|n| comer(&format!("10.0.{}.{}:1", n / 250, n % 250), false))
            .map(|comer| come(&mut gate, at(0), 1, comer, &mut report)[0])
            .sum();
        assert_eq!(
            (attended as u32, report.handshakes_over_rate),
            (BEGINS_MAX, 1_000 - u64::from(BEGINS_MAX))
        );
    }

    #[test]
    fn this_machine_is_not_limited_by_its_network() {
        let (mut gate, mut report) = (gate(), QuicReport::default());
        assert_eq!(come(&mut gate, at(0), 100, comer("127.0.0.1:1", true), &mut report), [100, 0, 0]);
        assert_eq!(come(&mut gate, at(0), 100, comer("[::1]:1", true), &mut report), [100, 0, 0]);
    }

    #[test]
    fn with_many_under_way_proof_comes_first_and_with_too_many_all_are_refused() {
        let (mut gate, mut report) = (gate(), QuicReport::default());
        let passes = [(24, true), (25, true), (25, false), (100, false)].map(|(under_way, may_retry)| {
            gate.decide(at(0), under_way, comer("192.0.2.1:1", may_retry), &mut report)
        });
        assert_eq!(passes, [Pass::Attend, Pass::Retry, Pass::Attend, Pass::Refuse]);
        assert_eq!((report.retries, report.handshakes_over_limit), (1, 1));
    }
}
