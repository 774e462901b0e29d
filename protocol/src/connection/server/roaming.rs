//! What a session may do beyond the standard, and how it follows its client to a new address.
//!
//! ```text
//!   packet from a new address, authentic, newest of all  ->  challenge to that address, sealed
//!   its answer from there                                ->  the session is there
//! ```
//!
//! Until then everything still goes to the old address: who copies a client's packets, or lies about where
//! they come from, moves nothing. The challenge is no longer than what asked for it, there are a few a second
//! at most, and only the newest packet asks: what was merely late must not call the session back.

use std::net::{IpAddr, SocketAddr};
use std::slice;

use prefetch_index::prefetch_index;

use super::Event;
use super::sessions::{Answer, Sessions};
use super::slots::Session;
use crate::connection::crypto::{Cipher, Key};
use crate::connection::extension::{ConnectionIdBytes, Extensions, aes_key, connection_id};
use crate::connection::limits::{
    ANSWER_LEN_MAX, ANSWERS_MAX, KEEP_ALIVE, PATH_CHALLENGE_LEN, PATH_CHALLENGE_TIME_MAX,
    PATH_CHALLENGES_PER_S, PATH_TOKEN_LEN, SLOW_KEEP_ALIVE, SLOW_KEEP_ALIVES_PER_TIMEOUT,
};
use crate::connection::packet::{Kind, seal};
use crate::connection::rate::{Rate, Spent};
use crate::time::{Duration, Instant};

/// Challenges to new addresses, for one session.
const PATHS: Rate = Rate::new(PATH_CHALLENGES_PER_S, PATH_CHALLENGES_PER_S);

/// What a session's token allows, made ready.
pub(super) struct Extended {
    pub connection_id: Option<ConnectionIdBytes>,
    pub aes: Option<AesPair>,
    /// The client has sent a packet that only who knows the extensions sends.
    is_shown: bool,
    keep_alive: Duration,
    /// Where the session may be going.
    path: Option<Path>,
    challenges: Spent,
}

/// AES-128-GCM in both directions.
pub(super) struct AesPair {
    pub receive: Cipher,
    pub send: Cipher,
}

impl AesPair {
    pub fn new(receive: &Key, send: &Key) -> Self {
        AesPair { receive: Cipher::aes_128(&aes_key(receive)), send: Cipher::aes_128(&aes_key(send)) }
    }
}

/// An address that was sent a challenge.
#[derive(Debug, Clone, Copy)]
struct Path {
    address: SocketAddr,
    token: [u8; PATH_TOKEN_LEN],
    until: Instant,
}

/// How often a side says that it is there, where its token allows slow keep-alives.
pub(in crate::connection) fn slow_keep_alive(timeout: Option<Duration>) -> Duration {
    let often_enough = timeout.map_or(SLOW_KEEP_ALIVE, |t| t.scaled(1, SLOW_KEEP_ALIVES_PER_TIMEOUT));
    SLOW_KEEP_ALIVE.min(often_enough).max(KEEP_ALIVE)
}

impl Extended {
    /// Has what chooses the key fetched from memory.
    pub fn fetch(&self) {
        prefetch_index(slice::from_ref(&self.is_shown), 0);
        prefetch_index(slice::from_ref(&self.aes), 0);
    }

    /// `None` where nothing is allowed.
    pub fn new(
        extensions: Extensions,
        timeout: Option<Duration>,
        client_to_server: &Key,
        server_to_client: &Key,
    ) -> Option<Box<Extended>> {
        (extensions != Extensions::default()).then(|| {
            let Extensions { aes_payloads, connection_id: has_id, slow_keep_alives } = extensions;
            Box::new(Extended {
                connection_id: has_id.then(|| connection_id(client_to_server)),
                aes: aes_payloads.then(|| AesPair::new(client_to_server, server_to_client)),
                is_shown: false,
                keep_alive: if slow_keep_alives { slow_keep_alive(timeout) } else { KEEP_ALIVE },
                path: None,
                challenges: Spent::default(),
            })
        })
    }
}

impl Session {
    /// The cipher that opens what the client sends; `None` for AES where the token does not allow it.
    pub fn opener(&self, kind: Kind) -> Option<&Cipher> {
        if kind.is_aes() { Some(&self.extended.as_ref()?.aes.as_ref()?.receive) } else { Some(&self.receive) }
    }

    /// How payloads to the client are sealed: with AES once it has shown that it knows it.
    pub fn payload_sealer(&self) -> (Kind, &Cipher) {
        let shown = self.extended.as_ref().filter(|e| e.is_shown);
        match shown.and_then(|e| e.aes.as_ref()) {
            Some(aes) => (Kind::AesPayload, &aes.send),
            None => (Kind::Payload, &self.send),
        }
    }

    /// The client has sent a packet of this kind.
    pub fn shown(&mut self, kind: Kind) {
        if let Some(extended) = self.extended.as_mut().filter(|_| kind.is_named() || kind.is_aes()) {
            extended.is_shown = true;
        }
    }

    /// How long the server may be silent.
    pub fn keep_alive(&self) -> Duration {
        let shown = self.extended.as_ref().filter(|e| e.is_shown && self.is_confirmed);
        shown.map_or(KEEP_ALIVE, |e| e.keep_alive)
    }
}

impl Sessions {
    /// Asks a new address of a session whether its client is there. `asked_len` bytes came from it.
    pub(super) fn challenge_path(&mut self, now: Instant, slot: u32, from: SocketAddr, asked_len: usize) {
        // Who sends so little sends more soon.
        if asked_len < PATH_CHALLENGE_LEN {
            return;
        }
        let Some(session) = self.slots.get_mut(slot) else { return };
        let Some(extended) = session.extended.as_mut() else { return };
        if !PATHS.take(&mut extended.challenges, now) || self.answers.len() >= ANSWERS_MAX {
            self.counters.paths_over_limit += 1;
            return;
        }
        let known = extended.path.filter(|p| p.address == from && now < p.until);
        let token = known.map_or_else(
            || {
                // A tag under a key and a nonce of our own: the client cannot guess it for an address at
                // which it is not.
                let tag = self.challenge.seal(self.challenge_sequence, &address_bytes(from), &mut []);
                self.challenge_sequence += 1;
                *tag.first_chunk().expect("a tag has 16 bytes")
            },
            |path| path.token,
        );
        extended.path = Some(Path { address: from, token, until: now + PATH_CHALLENGE_TIME_MAX });
        let Some(sequence) = session.sequence.take() else { return };
        let mut bytes = [0; ANSWER_LEN_MAX];
        let protocol_id = self.protocol_id;
        let length = seal(Kind::PathChallenge, sequence, &session.send, protocol_id, &[&token], &mut bytes);
        debug_assert_eq!(length, PATH_CHALLENGE_LEN);
        self.counters.paths_challenged += 1;
        self.answers.push_back(Answer { to: from, length: length as u16, bytes });
    }

    /// The answer to a challenge: the session moves if it is the right one, from where that was sent.
    pub(super) fn handle_path_response(&mut self, now: Instant, slot: u32, from: SocketAddr, token: &[u8]) {
        let Some(session) = self.slots.get_mut(slot) else { return };
        let before = session.address;
        let path = session.extended.as_mut().and_then(|extended| extended.path);
        let is_right = path.is_some_and(|p| p.address == from && p.token == token && now < p.until);
        let tag = session.tag;
        if !is_right || !self.slots.move_to(slot, from) {
            self.counters.paths_refused += 1;
            return;
        }
        if let Some(extended) = self.slots.get_mut(slot).and_then(|s| s.extended.as_mut()) {
            extended.path = None;
        }
        self.counters.moved += 1;
        self.events.push_back((tag, Event::Moved { slot, from: before, to: from }));
    }
}

fn address_bytes(address: SocketAddr) -> [u8; 18] {
    let mut bytes = [0; 18];
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_keep_alives_leave_room_before_the_timeout() {
        let slow = |timeout_s| slow_keep_alive(Some(Duration::from_secs(timeout_s))).as_ms();
        assert_eq!([1, 2, 4, 10].map(slow), [250, 500, 1_000, 1_000]);
        assert_eq!(slow_keep_alive(None), SLOW_KEEP_ALIVE);
        assert_eq!(slow_keep_alive(Some(Duration::from_ms(1))), KEEP_ALIVE);
    }
}
