//! How often something may happen: a token bucket kept as one instant (the generic cell rate algorithm),
//! and a table of them for networks.
//!
//! A network is what one household or one attacker has: an IPv4 address or an IPv6 /64. The table never grows
//! and remembers no address: each network is counted in a cell that a keyed hash chooses. Two that share a
//! cell share its rate, which takes as many networks at once as there are cells; nobody outside can choose
//! whom to share with.

use std::net::{IpAddr, SocketAddr};

use ahash::RandomState;

use super::limits::RATE_CELLS;
use crate::time::{Duration, Instant};

/// A rate, and how much of it may come at once.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    interval: Duration,
    /// How far ahead of an even pace a burst may run.
    tolerance: Duration,
}

/// What has happened under a [`Rate`]: when an even pace would allow the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spent(Instant);

impl Rate {
    /// `per_s` a second on average, and `burst` at once after a pause. At least one of each.
    pub const fn new(per_s: u32, burst: u32) -> Self {
        let per_s = if per_s == 0 { 1 } else { per_s as u64 };
        let interval_us = if per_s > 1_000_000 { 1 } else { 1_000_000 / per_s };
        let ahead = burst.saturating_sub(1) as u64;
        Rate { interval: Duration::from_us(interval_us), tolerance: Duration::from_us(interval_us * ahead) }
    }

    /// Whether it may happen now; if so, it has.
    pub(super) fn take(self, spent: &mut Spent, now: Instant) -> bool {
        let may = self.allows(*spent, now);
        if may {
            spent.0 = spent.0.max(now) + self.interval;
        }
        may
    }

    /// Whether it may happen now.
    pub(super) fn allows(self, spent: Spent, now: Instant) -> bool {
        spent.0 <= now + self.tolerance
    }
}

/// An IPv4 address, or the 64 bits of an IPv6 address that name its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Network {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Network {
    /// The network of an address; `None` for this machine's own, which nobody else can send from.
    pub fn of(address: SocketAddr) -> Option<Network> {
        let ip = address.ip().to_canonical();
        match ip {
            _ if ip.is_loopback() => None,
            IpAddr::V4(ip) => Some(Network::V4(ip.octets())),
            IpAddr::V6(ip) => ip.octets().first_chunk().copied().map(Network::V6),
        }
    }
}

/// A network is over its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverRate;

/// A rate for each network.
#[derive(Debug)]
pub struct NetworkRates {
    rate: Rate,
    cells: Box<[Spent]>,
    hasher: RandomState,
}

impl NetworkRates {
    /// Nobody has done anything. Who knows the hasher's keys can choose whom to share a cell with.
    pub fn new(rate: Rate, hasher: RandomState) -> Self {
        NetworkRates { rate, cells: vec![Spent::default(); RATE_CELLS].into(), hasher }
    }

    /// Whether it may happen for this address now; if so and if `also`, which is asked only then, it has.
    /// This machine itself is not limited.
    pub fn take(
        &mut self,
        address: SocketAddr,
        now: Instant,
        also: impl FnOnce() -> bool,
    ) -> Result<bool, OverRate> {
        let Some(cell) = self.cell(address) else { return Ok(also()) };
        if !self.rate.allows(self.cells[cell], now) {
            return Err(OverRate);
        }
        Ok(also() && self.rate.take(&mut self.cells[cell], now))
    }

    /// Whether the network of this address is still under another rate of the same cells: one with a smaller burst
    /// leaves the rest of the burst to others.
    pub fn is_under(&self, rate: Rate, address: SocketAddr, now: Instant) -> bool {
        self.cell(address).is_none_or(|cell| rate.allows(self.cells[cell], now))
    }

    fn cell(&self, address: SocketAddr) -> Option<usize> {
        let network = Network::of(address)?;
        Some(self.hasher.hash_one(network) as usize % RATE_CELLS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_ms(ms)
    }

    fn taken(rate: Rate, spent: &mut Spent, now: Instant) -> usize {
        (0..1_000).take_while(|_| rate.take(spent, now)).count()
    }

    #[test]
    fn a_burst_and_then_an_even_pace() {
        let (rate, mut spent) = (Rate::new(100, 5), Spent::default());
        let counts = [0, 9, 10, 30, 31, 1_000, 1_009].map(|ms| taken(rate, &mut spent, at(ms)));
        assert_eq!(counts, [5, 0, 1, 2, 0, 5, 0]);
    }

    #[test]
    fn a_refusal_costs_nothing_and_a_clock_that_jumps_back_forgives_nothing() {
        let (rate, mut spent) = (Rate::new(1, 1), Spent::default());
        assert!(rate.take(&mut spent, at(5_000)));
        assert_eq!(taken(rate, &mut spent, at(5_500)), 0);
        assert_eq!(taken(rate, &mut spent, at(0)), 0);
        assert_eq!(taken(rate, &mut spent, at(6_000)), 1);
    }

    #[test]
    fn rates_that_cannot_be_are_the_nearest_that_can() {
        assert_eq!(taken(Rate::new(0, 0), &mut Spent::default(), at(0)), 1);
        let mut spent = Spent::default();
        assert_eq!(taken(Rate::new(u32::MAX, u32::MAX), &mut spent, at(0)), 1_000);
        assert_eq!(taken(Rate::new(1, u32::MAX), &mut Spent(Instant::from_us(u64::MAX)), at(0)), 0);
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_64() {
        let network = |address: &str| Network::of(address.parse().unwrap());
        assert_eq!(network("10.0.0.1:1"), network("10.0.0.1:2"));
        assert_eq!(network("10.0.0.1:1"), network("[::ffff:10.0.0.1]:1"));
        assert_ne!(network("10.0.0.1:1"), network("10.0.0.2:1"));
        assert_eq!(network("[2001:db8::1]:1"), network("[2001:db8:0:0:ffff::2]:9"));
        assert_ne!(network("[2001:db8::1]:1"), network("[2001:db8:0:1::1]:1"));
        for own in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(network(own), None, "{own}");
        }
    }

    #[test]
    fn each_network_has_its_own_rate() {
        let mut rates = NetworkRates::new(Rate::new(1, 3), RandomState::with_seeds(1, 2, 3, 4));
        let mut count = |address: &str| {
            let address = address.parse().unwrap();
            (0..10).filter(|_| rates.take(address, at(0), || true) == Ok(true)).count()
        };
        assert_eq!([count("10.0.0.1:1"), count("10.0.0.1:2"), count("10.0.0.2:1")], [3, 0, 3]);
        assert_eq!([count("[2001:db8::1]:1"), count("[2001:db8::2]:1"), count("127.0.0.1:1")], [3, 0, 10]);
    }

    #[test]
    fn a_smaller_burst_of_the_same_cells_leaves_the_rest_to_others() {
        let mut rates = NetworkRates::new(Rate::new(1, 4), RandomState::with_seeds(1, 2, 3, 4));
        let address = "10.0.0.1:1".parse().unwrap();
        let half = Rate::new(1, 2);
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push((rates.is_under(half, address, at(0)), rates.take(address, at(0), || true).is_ok()));
        }
        assert_eq!(seen, [(true, true), (true, true), (false, true), (false, true), (false, false)]);
        assert!(rates.is_under(half, "127.0.0.1:1".parse().unwrap(), at(0)));
    }

    #[test]
    fn what_another_limit_refuses_is_not_held_against_a_network() {
        let mut rates = NetworkRates::new(Rate::new(1, 1), RandomState::with_seeds(1, 2, 3, 4));
        let address = "10.0.0.1:1".parse().unwrap();
        assert_eq!(rates.take(address, at(0), || false), Ok(false));
        assert_eq!(rates.take(address, at(0), || true), Ok(true));
        assert_eq!(rates.take(address, at(0), || panic!("nobody else is asked")), Err(OverRate));
    }
}
