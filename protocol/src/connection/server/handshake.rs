//! Requests and responses: the way in (NETCODE 1.02, Server-Side Connection Process).
//!
//! What a request costs before its private token is opened is a few comparisons and look-ups, and how
//! many are opened is limited for each network and in all. Then an address has at most one handshake: the
//! keys that its response will be sealed with, the challenge that it must repeat. A response that repeats
//! the challenge of another address is refused: who was not reached by ours does not get in. Only who has
//! answered has used its token.

use std::net::SocketAddr;

use super::guests::{AddressProof, Examined};
use super::handshakes::Handshake;
use super::roaming::Extended;
use super::sessions::{Answer, Newcomer};
use super::slots::{Guest, Seat, Session};
use super::used_tokens::Standing;
use super::{DisconnectReason, Event, Server, Shard};
use crate::connection::crypto::Cipher;
use crate::connection::limits::{
    ANSWER_LEN_MAX, ANSWERS_MAX, CHALLENGE_TOKEN_LEN, HANDSHAKE_TIME_MAX, RESPONSE_OPENS_BURST,
    RESPONSE_OPENS_PER_S, RESPONSES_PER_HANDSHAKE_S, USER_DATA_LEN,
};
use crate::connection::packet::{Kind, Request, Sealed, seal};
use crate::connection::rate::{Rate, Spent};
use crate::connection::replay::ReplayWindow;
use crate::connection::sequence::SessionSequence;
use crate::connection::token::{ChallengeToken, PrivateToken};
use crate::time::{Duration, Instant};

/// Responses that are opened, for all.
const RESPONSE_OPENS: Rate = Rate::new(RESPONSE_OPENS_PER_S, RESPONSE_OPENS_BURST);
/// Responses that are opened, for one handshake.
const OWN_RESPONSES: Rate = Rate::new(RESPONSES_PER_HANDSHAKE_S, RESPONSES_PER_HANDSHAKE_S);

impl Server {
    /// Processing Connection Requests: the cheap checks first.
    pub(super) fn handle_request(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let Some(request) = Request::parse(datagram) else {
            self.sessions.counters.malformed += 1;
            return;
        };
        if let Ok(examined) = self.examine(now, from, request, AddressProof::ByChallenge) {
            self.take_token(now, from, examined);
        }
    }

    fn take_token(&mut self, now: Instant, from: SocketAddr, examined: Examined) {
        let Examined { token, tag, expire_unix_s } = examined;
        let block = token.block();
        let cipher = Cipher::new(&token.server_to_client);
        if self.is_full_for(token.client_id, from) {
            self.sessions.counters.denied += 1;
            self.answer(now, from, Kind::Denied, &cipher, &[]);
            return;
        }
        let known = self.handshakes.get_mut(now, from).filter(|h| h.tag == tag);
        let known_sequence = known.map(|h| h.challenge_sequence);
        // Who asks again hears the same: one challenge for each handshake, and one handshake for each.
        let challenge_sequence = known_sequence.unwrap_or(self.sessions.challenge_sequence);
        let challenge = ChallengeToken { client_id: token.client_id, user_data: token.user_data };
        let sealed = challenge.seal(&self.sessions.challenge, challenge_sequence);
        self.answer(now, from, Kind::Challenge, &cipher, &[&challenge_sequence.to_le_bytes(), &sealed]);
        if known_sequence.is_none() {
            self.sessions.challenge_sequence += 1;
            let timeout = (token.timeout_s > 0).then(|| Duration::from_secs(token.timeout_s as u64));
            let ends_at = now + timeout.map_or(HANDSHAKE_TIME_MAX, |t| t.min(HANDSHAKE_TIME_MAX));
            let PrivateToken { client_id, client_to_server, server_to_client, .. } = token;
            let handshake = Handshake {
                client_id,
                tag,
                expire_unix_s,
                extensions: block.map(|b| b.extensions).unwrap_or_default(),
                client_to_server,
                server_to_client,
                challenge_sequence,
                timeout,
                ends_at,
                responses: Spent::default(),
            };
            self.handshakes.insert(from, handshake);
            self.sessions.wake_at(ends_at);
        }
    }

    /// Processing Connection Response Packets.
    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        shard: Shard,
        from: SocketAddr,
        sealed: Sealed<'_>,
    ) {
        let Some(handshake) = self.handshakes.get_mut(now, from) else {
            // A client that has not heard of its slot repeats itself; a keep-alive will tell it.
            let counter = match self.sessions.slots.of_address(from) {
                Some(_) => &mut self.sessions.counters.already_connected,
                None => &mut self.sessions.counters.from_nobody,
            };
            *counter += 1;
            return;
        };
        if self.used.standing(&handshake.tag) != Standing::Unused {
            // Shown on another carrier since: a token is for one session.
            self.sessions.counters.request_used_token += 1;
            return;
        }
        let own = OWN_RESPONSES.take(&mut handshake.responses, now);
        if !own || !RESPONSE_OPENS.take(&mut self.response_opens, now) {
            self.sessions.counters.response_over_limit += 1;
            return;
        }
        let receive = Cipher::new(&handshake.client_to_server);
        let opened = sealed.open(&receive, self.config.protocol_id).and_then(|body| {
            let (sequence, token) = body.split_first_chunk_mut::<8>()?;
            let token: &mut [u8; CHALLENGE_TOKEN_LEN] = token.try_into().ok()?;
            let sequence = u64::from_le_bytes(*sequence);
            let is_ours = sequence == handshake.challenge_sequence;
            ChallengeToken::open(token, &self.sessions.challenge, sequence).filter(|_| is_ours)
        });
        let Some(challenge) = opened.filter(|c| c.client_id == handshake.client_id) else {
            self.sessions.counters.response_forged += 1;
            return;
        };
        let (client_id, send) = (handshake.client_id, Cipher::new(&handshake.server_to_client));
        if self.is_full_for(client_id, from) {
            // The handshake stays: should the denial be lost, the next response is denied, too.
            self.sessions.counters.denied += 1;
            self.answer(now, from, Kind::Denied, &send, &[]);
            return;
        }
        let handshake = self.handshakes.remove(from).expect("it was just there");
        // From here on the token is this address's.
        self.handshakes.remove_token(&handshake.tag);
        if self.bind(handshake.tag, from, handshake.expire_unix_s) {
            self.connect(now, (shard, from), handshake, receive, challenge.user_data);
        }
    }

    /// A fresh token for a client, or from an address, that has a session replaces that.
    fn connect(
        &mut self,
        now: Instant,
        (shard, from): (Shard, SocketAddr),
        handshake: Handshake,
        receive: Cipher,
        user_data: Box<[u8; USER_DATA_LEN]>,
    ) {
        let Handshake { client_id, tag, client_to_server, server_to_client, timeout, extensions, .. } =
            handshake;
        let slots = &self.sessions.slots;
        for old in [slots.of_client(client_id), slots.of_address(from)].into_iter().flatten() {
            // Both may be the same session, which then has ended already.
            if !self.sessions.slots.is_taken(old) {
                continue;
            }
            let is_elsewhere = self.sessions.slots.get(old).is_some_and(|session| session.address != from);
            self.sessions.counters.replaced += 1;
            self.sessions.end(old, DisconnectReason::Replaced, is_elsewhere);
        }
        let session = Box::new(Session {
            address: from,
            client_id,
            tag,
            receive,
            send: Cipher::new(&server_to_client),
            sequence: SessionSequence::new(self.sessions.clock, now),
            replay: ReplayWindow::new(),
            packets: Spent::default(),
            extended: Extended::new(extensions, timeout, &client_to_server, &server_to_client),
            timeout,
            received_at: now,
            sent_at: now,
            is_confirmed: false,
            keep_alive_waits: false,
        });
        let slot = self.seat(now, shard, session);
        self.sessions.counters.connected += 1;
        self.sessions.events.push_back((tag, Event::Connected { slot, client_id, user_data }));
    }

    /// Gives a session its slot, and keeps it or sends it to the shard on whose socket it began.
    fn seat(&mut self, now: Instant, shard: Shard, session: Box<Session>) -> u32 {
        if shard == Shard::FIRST {
            let slot = self.sessions.slots.insert(session);
            self.sessions.greet(now, slot);
            return slot;
        }
        let (address, connection_id) = (session.address, session.connection_id());
        let seat = Seat { shard, address, connection_id };
        let guest = Guest { client_id: session.client_id, tag: session.tag, seat: Some(seat) };
        let slot = self.sessions.slots.insert_guest(guest);
        self.newcomers.push_back((slot, shard, Newcomer(session)));
        slot
    }

    /// Whether there is no slot for this client, which has room if it replaces somebody.
    fn is_full_for(&self, client_id: u64, from: SocketAddr) -> bool {
        self.sessions.slots.is_full()
            && self.sessions.slots.of_client(client_id).is_none()
            && self.sessions.slots.of_address(from).is_none()
    }

    fn answer(&mut self, now: Instant, to: SocketAddr, kind: Kind, cipher: &Cipher, parts: &[&[u8]]) {
        if self.sessions.answers.len() >= ANSWERS_MAX {
            self.sessions.counters.answers_over_limit += 1;
            return;
        }
        let Some(sequence) = self.before_slot.take(self.sessions.clock, now) else { return };
        let mut bytes = [0; ANSWER_LEN_MAX];
        let length = seal(kind, sequence, cipher, self.config.protocol_id, parts, &mut bytes) as u16;
        self.sessions.answers.push_back(Answer { to, length, bytes });
    }
}
