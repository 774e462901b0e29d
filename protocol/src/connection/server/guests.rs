//! What is asked of a token on every carrier, and the slots of clients whom another carrier serves.

use std::net::SocketAddr;

use super::handshakes::Crowded;
use super::slots::Guest;
use super::used_tokens::Standing;
use super::{DisconnectReason, Event, HandshakeLimits, Server};
use crate::connection::admission::{Admitted, CloseReason};
use crate::connection::counters::Counters;
use crate::connection::crypto::Tag;
use crate::connection::limits::{
    FORGET_STEPS, REQUEST_OPENS_BURST, REQUEST_OPENS_PER_S, TOKEN_LIFETIME_S_MAX, VERSION,
};
use crate::connection::packet::Request;
use crate::connection::rate::{OverRate, Rate};
use crate::connection::token::{PrivateToken, TokenError, tag_of};
use crate::time::{Duration, Instant};

/// Private tokens that are opened, for all.
const REQUEST_OPENS: Rate = Rate::new(REQUEST_OPENS_PER_S, REQUEST_OPENS_BURST);

/// How an address is shown to be its client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressProof {
    /// The carrier has seen to it.
    ByCarrier,
    /// A challenge will, and there must be room to remember it.
    ByChallenge,
}

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
            self.sessions.counters.malformed += 1;
            return Err(CloseReason::Malformed);
        };
        let Examined { token, tag, expire_unix_s } =
            self.examine(now, from, request, AddressProof::ByCarrier)?;
        let PrivateToken { client_id, timeout_s, user_data, .. } = token;
        let old = self.sessions.slots.of_client(client_id);
        if self.sessions.slots.is_full() && old.is_none() {
            self.sessions.counters.denied += 1;
            return Err(CloseReason::Full);
        }
        // Only now: who finds no room may come again with the same token, also from elsewhere.
        if !self.bind(tag, from, expire_unix_s) {
            return Err(CloseReason::Busy);
        }
        if let Some(old) = old {
            self.sessions.counters.replaced += 1;
            self.sessions.end(old, DisconnectReason::Replaced, true);
        }
        self.used.end(&tag);
        let slot = self.sessions.slots.insert_guest(Guest { client_id, tag, seat: None });
        self.sessions.counters.connected += 1;
        let timeout = (timeout_s > 0).then(|| Duration::from_secs(timeout_s as u64));
        Ok(Admitted { slot, client_id, timeout, user_data })
    }

    /// Frees the slot of a client that [`Server::admit`] or [`Server::poll_newcomer`] has given away; says whether there
    /// was one.
    pub fn release(&mut self, slot: u32, reason: DisconnectReason) -> bool {
        let Some(guest) = self.sessions.slots.guest(slot) else { return false };
        let counters = &mut self.sessions.counters;
        match reason {
            // Another shard counts those of its own.
            _ if guest.seat.is_some() => {}
            DisconnectReason::TimedOut => counters.timed_out += 1,
            DisconnectReason::ByPeer => counters.left += 1,
            DisconnectReason::Replaced | DisconnectReason::ByServer => {}
        }
        self.sessions.end(slot, reason, false);
        true
    }

    /// A session of another shard has followed its client to this address.
    pub fn follow(&mut self, slot: u32, to: SocketAddr) {
        if let Some((tag, from)) = self.sessions.slots.reseat(slot, to) {
            self.sessions.events.push_back((tag, Event::Moved { slot, from, to }));
        }
    }

    /// Everything that is asked of a request on any carrier, the cheap checks first.
    pub(super) fn examine(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: Request<'_>,
        proof: AddressProof,
    ) -> Result<Examined, CloseReason> {
        let Request { version, protocol_id, expire_unix_s, nonce, private_token } = request;
        if version != VERSION || protocol_id != self.config.protocol_id {
            self.sessions.counters.request_protocol += 1;
            return Err(CloseReason::Protocol);
        }
        let unix_s = self.sessions.clock.unix_s(now);
        self.examine_expiry(unix_s, expire_unix_s)?;
        let tag = tag_of(private_token);
        self.may_open(now, from, &tag, proof)?;
        let opened = PrivateToken::open(private_token, &self.private_key, protocol_id, expire_unix_s, &nonce);
        let token = opened.map_err(|error| count_unopened(&mut self.sessions.counters, error))?;
        if !token.server_addresses.iter().any(|a| self.config.public_addresses.contains(a)) {
            self.sessions.counters.request_other_server += 1;
            return Err(CloseReason::OtherServer);
        }
        self.used.forget_expired(unix_s, FORGET_STEPS);
        if token.block().is_some_and(|block| block.create_unix_s < self.started_unix_s) {
            self.sessions.counters.request_before_start += 1;
            return Err(CloseReason::BeforeStart);
        }
        if self.used.is_full() {
            self.sessions.counters.used_tokens_over_limit += 1;
            return Err(CloseReason::Busy);
        }
        Ok(Examined { token, tag, expire_unix_s })
    }

    /// What the expiry alone says; where all tokens live equally long, also when this one was made.
    fn examine_expiry(&mut self, unix_s: u64, expire_unix_s: u64) -> Result<(), CloseReason> {
        let HandshakeLimits { token_lifetime_s, .. } = self.config.limits;
        let lifetime_s_max = if token_lifetime_s == 0 { TOKEN_LIFETIME_S_MAX } else { token_lifetime_s };
        if expire_unix_s <= unix_s || expire_unix_s - unix_s > lifetime_s_max.min(TOKEN_LIFETIME_S_MAX) {
            self.sessions.counters.request_expired += 1;
            return Err(CloseReason::Expired);
        }
        if token_lifetime_s > 0 && expire_unix_s.saturating_sub(token_lifetime_s) < self.started_unix_s {
            self.sessions.counters.request_before_start += 1;
            return Err(CloseReason::BeforeStart);
        }
        Ok(())
    }

    /// Whether a private token is worth opening; if not, that is counted. The rates come last: only what
    /// would be opened is held against anybody.
    fn may_open(
        &mut self,
        now: Instant,
        from: SocketAddr,
        tag: &Tag,
        proof: AddressProof,
    ) -> Result<(), CloseReason> {
        let counters = &mut self.sessions.counters;
        let (counter, reason) = match self.used.standing(tag) {
            Standing::InUse(address) if address == from => {
                (&mut counters.already_connected, CloseReason::Used)
            }
            Standing::InUse(_) | Standing::Ended => (&mut counters.request_used_token, CloseReason::Used),
            Standing::Unused => {
                let room = match proof {
                    AddressProof::ByCarrier => Ok(()),
                    AddressProof::ByChallenge => self.handshakes.room(from, tag),
                };
                let opens = &mut self.request_opens;
                let rate = room.map(|()| self.requests.take(from, now, || REQUEST_OPENS.take(opens, now)));
                let counter = match rate {
                    Ok(Ok(true)) => return Ok(()),
                    Ok(Ok(false)) => &mut counters.request_over_limit,
                    Ok(Err(OverRate)) => &mut counters.request_network_over_limit,
                    Err(Crowded::All) => &mut counters.handshakes_over_limit,
                    Err(Crowded::Network) => &mut counters.handshakes_network_over_limit,
                    Err(Crowded::Token) => &mut counters.handshakes_token_over_limit,
                };
                (counter, CloseReason::Busy)
            }
        };
        *counter += 1;
        Err(reason)
    }

    /// The token belongs to this address from now on; says whether that can be remembered.
    pub(super) fn bind(&mut self, tag: Tag, from: SocketAddr, expire_unix_s: u64) -> bool {
        let is_bound = self.used.enter(tag, from, expire_unix_s).is_ok();
        self.sessions.counters.used_tokens_over_limit += u64::from(!is_bound);
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
    use crate::connection::limits::{HANDSHAKES_PER_TOKEN_MAX, REQUESTS_BURST_S, USER_DATA_LEN};
    use crate::connection::token::tests::{PRIVATE_KEY, mint, params};
    use crate::connection::{ConnectToken, Extensions, KEY_LEN, ServerConfig, TokenParams};

    const SERVER: &str = "127.0.0.1:40000";

    fn server(clients_max: u32) -> Server {
        server_with(clients_max, HandshakeLimits::default())
    }

    fn server_with(clients_max: u32, limits: HandshakeLimits) -> Server {
        let config = ServerConfig {
            protocol_id: 7,
            private_key: PRIVATE_KEY,
            public_addresses: vec![SERVER.parse().unwrap()],
            clients_max,
            unix_s_at_origin: 1_000,
            challenge_key: [5; KEY_LEN],
            hash_seed: [6; KEY_LEN],
            limits,
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

    #[test]
    fn a_guests_token_from_before_the_start_is_refused_where_its_making_can_be_told() {
        let mut server = server(4);
        let made_at = |create_unix_s| {
            let user_data = [0; USER_DATA_LEN];
            let params = TokenParams { create_unix_s, user_data, ..params(1, &[SERVER]) };
            let (nonce, up, down) = ([create_unix_s as u8; 24], [1; KEY_LEN], [2; KEY_LEN]);
            let token = ConnectToken::mint_extended(&params, Extensions::ALL, &PRIVATE_KEY, nonce, up, down);
            token.unwrap().shown().to_vec()
        };
        assert_eq!(admit(&mut server, 1, made_at(999)), Err(CloseReason::BeforeStart));
        assert_eq!(admit(&mut server, 1, made_at(1_000)), Ok(0));
        // A standard token tells it by its expiry alone, where all live equally long: here from 1,000 to 1,060.
        for (token_lifetime_s, expected) in
            [(60, Ok(1)), (61, Err(CloseReason::BeforeStart)), (59, Err(CloseReason::Expired))]
        {
            server.config.limits.token_lifetime_s = token_lifetime_s;
            assert_eq!(admit(&mut server, 2, shown(2, token_lifetime_s as u32)), expected);
        }
        assert_eq!((server.counters().request_before_start, server.counters().request_expired), (2, 1));
    }

    #[test]
    fn a_network_may_show_so_many_tokens_whatever_the_carrier() {
        let limits = HandshakeLimits { requests_per_network_s: 4, ..HandshakeLimits::default() };
        let mut server = server_with(4, limits);
        for serial in 0..4 * REQUESTS_BURST_S {
            let elsewhere = mint(&params(1, &["127.0.0.1:9"]), serial).shown().to_vec();
            assert_eq!(admit(&mut server, 1, elsewhere), Err(CloseReason::OtherServer));
        }
        assert_eq!(admit(&mut server, 1, shown(1, 1)), Err(CloseReason::Busy));
        server.handle(Instant::ZERO, address(2), &mut shown(1, 1));
        assert_eq!((server.counters().request_network_over_limit, server.handshakes()), (2, 0));
        let elsewhere = SocketAddr::from(([10, 0, 9, 1], 1));
        let admitted = server.admit(Instant::ZERO, elsewhere, &mut shown(1, 1));
        assert_eq!(admitted.map(|admitted| admitted.slot), Ok(0));
    }

    #[test]
    fn handshakes_with_its_token_elsewhere_do_not_keep_a_guest_out() {
        let mut server = server(4);
        for n in 0..HANDSHAKES_PER_TOKEN_MAX as u8 + 1 {
            let from = SocketAddr::from(([10, 0, n, 2], 1));
            server.handle(Instant::ZERO, from, &mut shown(42, 1));
        }
        assert_eq!(server.counters().handshakes_token_over_limit, 1);
        assert_eq!(admit(&mut server, 1, shown(42, 1)), Ok(0));
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
