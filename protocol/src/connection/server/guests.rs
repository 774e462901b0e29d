//! What is asked of a token on every carrier, and the slots of clients whom another carrier serves.

use std::net::SocketAddr;

use super::slots::Guest;
use super::used_tokens::Standing;
use super::{DisconnectReason, Server};
use crate::connection::admission::{Admitted, CloseReason};
use crate::connection::counters::Counters;
use crate::connection::crypto::Tag;
use crate::connection::limits::{FORGET_STEPS, TOKEN_LIFETIME_S_MAX, VERSION};
use crate::connection::packet::Request;
use crate::connection::token::{PrivateToken, TokenError, tag_of};
use crate::time::{Duration, Instant};

impl Server {
    /// Lets a client in that shows its token at `from` on another carrier. It has a slot like all others,
    /// until that carrier calls [`Server::release`] or an [`Event`](super::Event) says that the client has
    /// been replaced. Its token is spent.
    ///
    /// Drain [`Server::poll_event`] before the slot is used: the one who had it may have made way just now.
    pub fn admit(
        &mut self,
        now: Instant,
        from: SocketAddr,
        shown: &mut [u8],
    ) -> Result<Admitted, CloseReason> {
        let Some(request) = Request::parse(shown) else {
            self.counters.malformed += 1;
            return Err(CloseReason::Malformed);
        };
        let Examined { token, tag, expire_unix_s } = self.examine(now, from, request)?;
        let PrivateToken { client_id, timeout_s, user_data, .. } = token;
        let old = self.slots.of_client(client_id);
        if self.slots.is_full() && old.is_none() {
            self.counters.denied += 1;
            return Err(CloseReason::Full);
        }
        // Only now: who finds no room may come again with the same token, also from elsewhere.
        if !self.bind(tag, from, expire_unix_s) {
            return Err(CloseReason::Busy);
        }
        if let Some(old) = old {
            self.counters.replaced += 1;
            self.end(old, DisconnectReason::Replaced, true);
        }
        self.used.end(&tag);
        let slot = self.slots.insert_guest(Guest { client_id, tag });
        self.counters.connected += 1;
        let timeout = (timeout_s > 0).then(|| Duration::from_secs(timeout_s as u64));
        Ok(Admitted { slot, client_id, timeout, user_data })
    }

    /// Frees the slot of a client that [`Server::admit`] let in; says whether there was one.
    pub fn release(&mut self, slot: u32, reason: DisconnectReason) -> bool {
        let is_there = self.slots.guest(slot).is_some();
        if is_there {
            match reason {
                DisconnectReason::TimedOut => self.counters.timed_out += 1,
                DisconnectReason::ByPeer => self.counters.left += 1,
                DisconnectReason::Replaced | DisconnectReason::ByServer => {}
            }
            self.end(slot, reason, false);
        }
        is_there
    }

    /// Everything that is asked of a request on any carrier, the cheap checks first.
    pub(super) fn examine(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: Request<'_>,
    ) -> Result<Examined, CloseReason> {
        let unix_s = self.clock.unix_s(now);
        let Request { version, protocol_id, expire_unix_s, nonce, private_token } = request;
        if version != VERSION || protocol_id != self.config.protocol_id {
            self.counters.request_protocol += 1;
            return Err(CloseReason::Protocol);
        }
        if expire_unix_s <= unix_s || expire_unix_s - unix_s > TOKEN_LIFETIME_S_MAX {
            self.counters.request_expired += 1;
            return Err(CloseReason::Expired);
        }
        let tag = tag_of(private_token);
        if matches!(self.used.standing(&tag, from), Standing::Foreign | Standing::Ended) {
            self.counters.request_used_token += 1;
            return Err(CloseReason::Used);
        }
        if self.is_in_with(from, &tag) {
            self.counters.already_connected += 1;
            return Err(CloseReason::Used);
        }
        if !self.may_open(now) {
            self.counters.request_over_limit += 1;
            return Err(CloseReason::Busy);
        }
        let opened = PrivateToken::open(private_token, &self.private_key, protocol_id, expire_unix_s, &nonce);
        let token = opened.map_err(|error| count_unopened(&mut self.counters, error))?;
        if !token.server_addresses.iter().any(|a| self.config.public_addresses.contains(a)) {
            self.counters.request_other_server += 1;
            return Err(CloseReason::OtherServer);
        }
        self.used.forget_expired(unix_s, FORGET_STEPS);
        Ok(Examined { token, tag, expire_unix_s })
    }

    /// The token belongs to this address from now on; says whether that can be remembered.
    pub(super) fn bind(&mut self, tag: Tag, from: SocketAddr, expire_unix_s: u64) -> bool {
        let is_new = self.used.standing(&tag, from) == Standing::Unused;
        let is_bound = !is_new || self.used.enter(tag, from, expire_unix_s).is_ok();
        self.counters.used_tokens_over_limit += u64::from(!is_bound);
        is_bound
    }
}

/// A token that is good, and not bound to its address yet.
pub(super) struct Examined {
    pub token: PrivateToken,
    pub tag: Tag,
    pub expire_unix_s: u64,
}

fn count_unopened(counters: &mut Counters, error: TokenError) -> CloseReason {
    match error {
        TokenError::NotAuthentic => {
            counters.request_forged += 1;
            CloseReason::Forged
        }
        _ => {
            counters.request_malformed_token += 1;
            CloseReason::MalformedToken
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::connection::token::tests::{PRIVATE_KEY, mint, params};
    use crate::connection::{Event, KEY_LEN, ServerConfig};

    const SERVER: &str = "127.0.0.1:40000";

    fn server(clients_max: u32) -> Server {
        let config = ServerConfig {
            protocol_id: 7,
            private_key: PRIVATE_KEY,
            public_addresses: vec![SERVER.parse().unwrap()],
            clients_max,
            unix_s_at_origin: 1_000,
            challenge_key: [5; KEY_LEN],
            hash_seed: [6; KEY_LEN],
        };
        Server::new(config, Instant::ZERO)
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn shown(client_id: u64, serial: u32) -> Vec<u8> {
        mint(&params(client_id, &[SERVER]), serial).shown().to_vec()
    }

    fn admit(server: &mut Server, from: u16, mut shown: Vec<u8>) -> Result<u32, CloseReason> {
        server.admit(Instant::ZERO, address(from), &mut shown).map(|admitted| admitted.slot)
    }

    #[test]
    fn a_token_lets_one_guest_in_once() {
        let mut server = server(4);
        let mut bytes = shown(42, 1);
        let admitted = server.admit(Instant::ZERO, address(1), &mut bytes).unwrap();
        assert_eq!((admitted.slot, admitted.client_id), (0, 42));
        assert!(admitted.timeout.is_some());
        // Not again, not from the same address, not when the session is over.
        for from in [1, 2] {
            assert_eq!(admit(&mut server, from, shown(42, 1)), Err(CloseReason::Used));
        }
        assert!(server.release(0, DisconnectReason::ByPeer));
        assert!(!server.release(0, DisconnectReason::ByPeer));
        assert_eq!(admit(&mut server, 1, shown(42, 1)), Err(CloseReason::Used));
        assert_eq!((server.connected(), server.counters().left), (0, 1));
        assert_eq!(server.counters().request_used_token, 3);
    }

    #[test]
    fn every_refusal_has_its_reason_and_its_counter() {
        let mut server = server(1);
        let mut other_protocol = shown(1, 1);
        other_protocol[14] ^= 1;
        let mut forged = shown(1, 1);
        forged[600] ^= 1;
        let elsewhere = mint(&params(1, &["127.0.0.1:9"]), 2).shown().to_vec();
        let mut late = shown(1, 1);
        late[22..30].copy_from_slice(&999u64.to_le_bytes());
        for (bytes, reason) in [
            (vec![0; 3], CloseReason::Malformed),
            (vec![9; 1_078], CloseReason::Malformed),
            (other_protocol, CloseReason::Protocol),
            (late, CloseReason::Expired),
            (forged, CloseReason::Forged),
            (elsewhere, CloseReason::OtherServer),
        ] {
            assert_eq!(admit(&mut server, 1, bytes), Err(reason));
        }
        assert_eq!(server.counters().refused(), 6);
        assert_eq!(admit(&mut server, 1, shown(1, 3)), Ok(0));
        // A refusal for want of room does not spend the token.
        assert_eq!(admit(&mut server, 2, shown(2, 4)), Err(CloseReason::Full));
        server.release(0, DisconnectReason::TimedOut);
        assert_eq!(admit(&mut server, 3, shown(2, 4)), Ok(0));
    }

    proptest! {
        #[test]
        fn random_bytes_are_refused_and_cost_nothing(
            mut bytes in prop::collection::vec(any::<u8>(), 1_078),
            length in 0..=1_078usize,
            looks_right in any::<bool>(),
        ) {
            let mut server = server(1);
            if looks_right {
                bytes[..30].copy_from_slice(&shown(1, 1)[..30]);
            }
            prop_assert!(server.admit(Instant::ZERO, address(1), &mut bytes[..length]).is_err());
            prop_assert_eq!((server.connected(), server.counters().refused()), (0, 1));
        }
    }

    #[test]
    fn a_guest_makes_way_for_its_own_next_session() {
        let mut server = server(1);
        admit(&mut server, 1, shown(42, 1)).unwrap();
        assert_eq!(admit(&mut server, 2, shown(42, 2)), Ok(0));
        let replaced = Event::Disconnected { slot: 0, client_id: 42, reason: DisconnectReason::Replaced };
        assert_eq!(server.poll_event(), Some(replaced));
        assert_eq!((server.poll_event(), server.connected()), (None, 1));
    }

    #[test]
    fn datagrams_from_a_guests_address_are_from_nobody() {
        let mut server = server(2);
        admit(&mut server, 1, shown(42, 1)).unwrap();
        server.handle(Instant::ZERO, address(1), &mut [0x15; 64]);
        assert_eq!(server.counters().from_nobody, 1);
        assert!(server.seal(Instant::ZERO, 0, &[b"x"], &mut [0; 2_000]).is_err());
        assert!(!server.disconnect(0));
    }
}
