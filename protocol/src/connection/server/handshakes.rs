//! Who was sent a challenge and has not answered it yet.
//!
//! NETCODE seals a response with a key that only the request carried, so something has to be remembered
//! between the two: the keys, for an address, for a few seconds. Nothing outlives that. What one token, one
//! network and all of them may hold is bounded, so that nobody who can lie about an address fills the table
//! with a token of its own.

use std::net::SocketAddr;

use ahash::{AHashMap, RandomState};
use smallvec::SmallVec;

use crate::connection::crypto::{Key, Tag};
use crate::connection::extension::Extensions;
use crate::connection::limits::{HANDSHAKES_MAX, HANDSHAKES_PER_NETWORK_MAX, HANDSHAKES_PER_TOKEN_MAX};
use crate::connection::rate::{Network, Spent};
use crate::time::{Duration, Instant};

/// An address that was sent a challenge.
pub(super) struct Handshake {
    pub client_id: u64,
    pub tag: Tag,
    pub expire_unix_s: u64,
    pub extensions: Extensions,
    pub client_to_server: Key,
    pub server_to_client: Key,
    pub challenge_sequence: u64,
    /// `None` for a token that names no timeout.
    pub timeout: Option<Duration>,
    /// When it is forgotten.
    pub ends_at: Instant,
    /// Responses that were opened.
    pub responses: Spent,
}

impl Handshake {
    pub fn has_ended(&self, now: Instant) -> bool {
        now >= self.ends_at
    }
}

/// Why there is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowded {
    /// In the table.
    All,
    /// For this network.
    Network,
    /// For this token: other addresses have shown it and not answered.
    Token,
}

/// The handshakes under way.
pub(super) struct Handshakes {
    by_address: AHashMap<SocketAddr, Handshake>,
    /// The same, by token.
    by_tag: AHashMap<Tag, SmallVec<[SocketAddr; HANDSHAKES_PER_TOKEN_MAX]>>,
    /// How many each network has.
    by_network: AHashMap<Network, u16>,
}

impl Handshakes {
    pub fn new(hasher: RandomState) -> Self {
        Handshakes {
            by_address: AHashMap::with_hasher(hasher.clone()),
            by_tag: AHashMap::with_hasher(hasher.clone()),
            by_network: AHashMap::with_hasher(hasher),
        }
    }

    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    /// That of an address, unless its time is over.
    pub fn get_mut(&mut self, now: Instant, address: SocketAddr) -> Option<&mut Handshake> {
        self.by_address.get_mut(&address).filter(|h| !h.has_ended(now))
    }

    /// Whether there is room for one with this token. An address that has one already gives up its own.
    pub fn room(&self, address: SocketAddr, tag: &Tag) -> Result<(), Crowded> {
        let own = self.by_address.get(&address);
        let has_own_of_token = own.is_some_and(|h| h.tag == *tag);
        let of_token = self.by_tag.get(tag).map_or(0, SmallVec::len) - usize::from(has_own_of_token);
        if of_token >= HANDSHAKES_PER_TOKEN_MAX {
            return Err(Crowded::Token);
        }
        if own.is_some() {
            return Ok(());
        }
        if self.len() >= HANDSHAKES_MAX {
            return Err(Crowded::All);
        }
        let of_network = Network::of(address).and_then(|n| self.by_network.get(&n).copied()).unwrap_or(0);
        if of_network >= HANDSHAKES_PER_NETWORK_MAX { Err(Crowded::Network) } else { Ok(()) }
    }

    /// Takes one in, for which there is [`Handshakes::room`]; it replaces that of the same address.
    pub fn insert(&mut self, address: SocketAddr, handshake: Handshake) {
        debug_assert_eq!(self.room(address, &handshake.tag), Ok(()));
        self.remove(address);
        self.by_tag.entry(handshake.tag).or_default().push(address);
        if let Some(network) = Network::of(address) {
            *self.by_network.entry(network).or_default() += 1;
        }
        self.by_address.insert(address, handshake);
    }

    /// Forgets that of an address.
    pub fn remove(&mut self, address: SocketAddr) -> Option<Handshake> {
        let handshake = self.by_address.remove(&address)?;
        if let Some(addresses) = self.by_tag.get_mut(&handshake.tag) {
            addresses.retain(|a| *a != address);
            if addresses.is_empty() {
                self.by_tag.remove(&handshake.tag);
            }
        }
        if let Some(network) = Network::of(address)
            && let Some(count) = self.by_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&network);
            }
        }
        Some(handshake)
    }

    /// Forgets all that were begun with a token.
    pub fn remove_token(&mut self, tag: &Tag) {
        for address in self.by_tag.get(tag).cloned().unwrap_or_default() {
            self.remove(address);
        }
    }

    /// Forgets those whose time is over; returns how many, and when the next one's is.
    pub fn forget_ended(&mut self, now: Instant) -> (usize, Option<Instant>) {
        let ended = self.by_address.iter().filter(|(_, h)| h.has_ended(now)).map(|(address, _)| *address);
        let ended: Vec<SocketAddr> = ended.collect();
        for address in &ended {
            self.remove(*address);
        }
        (ended.len(), self.by_address.values().map(|h| h.ends_at).min())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(tag: u32, ends_at_ms: u64) -> Handshake {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&tag.to_le_bytes());
        Handshake {
            client_id: 1,
            tag: bytes,
            expire_unix_s: 1,
            extensions: Extensions::default(),
            client_to_server: Key([1; 32]),
            server_to_client: Key([2; 32]),
            challenge_sequence: 0,
            timeout: None,
            ends_at: at(ends_at_ms),
            responses: Spent::default(),
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_ms(ms)
    }

    fn address(network: u16, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, (network >> 8) as u8, network as u8], port))
    }

    fn table() -> Handshakes {
        Handshakes::new(RandomState::with_seeds(1, 2, 3, 4))
    }

    fn insert(table: &mut Handshakes, address: SocketAddr, tag: u32) -> Result<(), Crowded> {
        let handshake = handshake(tag, 10_000);
        table.room(address, &handshake.tag)?;
        table.insert(address, handshake);
        Ok(())
    }

    fn is_empty(table: &Handshakes) -> bool {
        table.by_address.is_empty() && table.by_tag.is_empty() && table.by_network.is_empty()
    }

    #[test]
    fn a_token_holds_a_few_addresses_and_no_more() {
        let mut table = table();
        for n in 0..HANDSHAKES_PER_TOKEN_MAX as u16 {
            assert_eq!(insert(&mut table, address(n, 1), 7), Ok(()));
        }
        assert_eq!(insert(&mut table, address(99, 1), 7), Err(Crowded::Token));
        assert_eq!(insert(&mut table, address(0, 1), 7), Ok(()), "who is among them may begin anew");
        assert_eq!(insert(&mut table, address(99, 1), 8), Ok(()));
        table.remove_token(&handshake(7, 0).tag);
        assert_eq!(table.len(), 1);
        assert_eq!(insert(&mut table, address(98, 1), 7), Ok(()));
    }

    #[test]
    fn a_network_holds_a_part_of_the_table_and_this_machine_all_of_it() {
        let mut table = table();
        for port in 0..HANDSHAKES_PER_NETWORK_MAX {
            assert_eq!(insert(&mut table, address(0, port), port.into()), Ok(()));
        }
        assert_eq!(insert(&mut table, address(0, 60_000), 99_999), Err(Crowded::Network));
        assert_eq!(insert(&mut table, address(1, 60_000), 99_999), Ok(()));
        for n in table.len()..HANDSHAKES_MAX {
            let own = SocketAddr::from(([127, 0, 0, 1], n as u16));
            assert_eq!(insert(&mut table, own, 100_000 + n as u32), Ok(()));
        }
        assert_eq!(insert(&mut table, address(2, 1), 1), Err(Crowded::All));
        assert_eq!(insert(&mut table, address(1, 60_000), 2), Ok(()), "who is among them may begin anew");
    }

    #[test]
    fn an_address_has_one_and_a_newer_one_takes_its_place() {
        let mut table = table();
        insert(&mut table, address(1, 1), 1).unwrap();
        insert(&mut table, address(1, 1), 2).unwrap();
        assert_eq!((table.len(), table.by_tag.len()), (1, 1));
        assert_eq!(table.get_mut(at(0), address(1, 1)).unwrap().tag, handshake(2, 0).tag);
        assert!(table.remove(address(1, 1)).is_some() && table.remove(address(1, 1)).is_none());
        assert!(is_empty(&table));
    }

    #[test]
    fn what_has_ended_is_nobody_and_is_forgotten_whole() {
        let mut table = table();
        for n in 0..4_u16 {
            table.insert(address(n, 1), handshake(n.into(), 1_000 * u64::from(n)));
        }
        assert!(table.get_mut(at(1_000), address(1, 1)).is_none());
        assert_eq!(table.forget_ended(at(1_000)), (2, Some(at(2_000))));
        assert_eq!(table.forget_ended(at(9_000)), (2, None));
        assert!(is_empty(&table));
    }
}
