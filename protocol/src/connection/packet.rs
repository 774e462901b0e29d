//! Packets on the wire (NETCODE 1.02, Packets).
//!
//! ```text
//!  request    0, version 13, protocol u64, expiry u64, nonce 24, private token 1,024
//!  all others prefix u8, sequence 1 to 8 bytes, sealed body, tag 16
//!  prefix   = bytes of the sequence << 4 | kind
//!  with a connection id (ours): prefix u8, connection id 6, sequence, sealed body, tag 16
//! ```
//!
//! The associated data of a sealed body is version, protocol id and prefix; its nonce the sequence.

use std::ops::RangeInclusive;

use super::crypto::Cipher;
use super::extension::ConnectionIdBytes;
use super::limits::{
    CHALLENGE_TOKEN_LEN, CONNECTION_ID_LEN, DATAGRAM_LEN_MIN, PATH_TOKEN_LEN, PAYLOAD_LEN_MAX,
    PRIVATE_TOKEN_LEN, REQUEST_LEN, SEQUENCE_LEN_MAX, TAG_LEN, TOKEN_NONCE_LEN, VERSION,
};
use crate::codec::Writer;

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Request = 0,
    Denied = 1,
    Challenge = 2,
    Response = 3,
    KeepAlive = 4,
    Payload = 5,
    Disconnect = 6,
    // Ours, between ends that have agreed on them ([`super::extension`]).
    /// A payload sealed with AES.
    AesPayload = 7,
    /// To a new address of a client: are you there?
    PathChallenge = 8,
    /// Yes. From here on with a connection id.
    PathResponse = 9,
    NamedKeepAlive = 10,
    NamedPayload = 11,
    NamedAesPayload = 12,
    NamedDisconnect = 13,
}

impl Kind {
    fn from_number(number: u8) -> Option<Kind> {
        const KINDS: [Kind; 14] = [
            Kind::Request,
            Kind::Denied,
            Kind::Challenge,
            Kind::Response,
            Kind::KeepAlive,
            Kind::Payload,
            Kind::Disconnect,
            Kind::AesPayload,
            Kind::PathChallenge,
            Kind::PathResponse,
            Kind::NamedKeepAlive,
            Kind::NamedPayload,
            Kind::NamedAesPayload,
            Kind::NamedDisconnect,
        ];
        KINDS.get(usize::from(number)).copied()
    }

    /// Bytes that the body of such a packet may have (NETCODE 1.02, Reading Encrypted Packets).
    const fn body_len(self) -> RangeInclusive<usize> {
        match self {
            Kind::Request => REQUEST_LEN - 1..=REQUEST_LEN - 1,
            Kind::Denied | Kind::Disconnect | Kind::NamedDisconnect => 0..=0,
            Kind::Challenge | Kind::Response => 8 + CHALLENGE_TOKEN_LEN..=8 + CHALLENGE_TOKEN_LEN,
            Kind::KeepAlive | Kind::NamedKeepAlive => 8..=8,
            Kind::PathChallenge | Kind::PathResponse => PATH_TOKEN_LEN..=PATH_TOKEN_LEN,
            Kind::Payload | Kind::AesPayload | Kind::NamedPayload | Kind::NamedAesPayload => {
                1..=PAYLOAD_LEN_MAX
            }
        }
    }

    /// Whether a client sends it.
    pub const fn is_of_clients(self) -> bool {
        !matches!(self, Kind::Denied | Kind::Challenge | Kind::PathChallenge)
    }

    /// Whether a connection id stands behind the prefix.
    pub const fn is_named(self) -> bool {
        self as u8 >= Kind::PathResponse as u8
    }

    /// Whether it is sealed with AES.
    pub const fn is_aes(self) -> bool {
        matches!(self, Kind::AesPayload | Kind::NamedAesPayload)
    }

    /// The same with a connection id, for what a client sends.
    pub const fn named(self) -> Kind {
        match self {
            Kind::KeepAlive => Kind::NamedKeepAlive,
            Kind::Payload => Kind::NamedPayload,
            Kind::AesPayload => Kind::NamedAesPayload,
            Kind::Disconnect => Kind::NamedDisconnect,
            other => other,
        }
    }

    /// The same without.
    pub const fn unnamed(self) -> Kind {
        match self {
            Kind::NamedKeepAlive => Kind::KeepAlive,
            Kind::NamedPayload => Kind::Payload,
            Kind::NamedAesPayload => Kind::AesPayload,
            Kind::NamedDisconnect => Kind::Disconnect,
            other => other,
        }
    }

    /// Kinds that the replay window protects (NETCODE 1.02, Replay Protection).
    pub fn is_protected(self) -> bool {
        !matches!(self, Kind::Request | Kind::Denied | Kind::Challenge | Kind::Response)
    }
}

/// A sealed packet whose frame was read and whose body was not opened yet.
#[derive(Debug)]
pub(super) struct Sealed<'a> {
    pub kind: Kind,
    pub sequence: u64,
    /// Of kinds that have one.
    pub connection_id: Option<ConnectionIdBytes>,
    prefix: u8,
    body: &'a mut [u8],
}

impl<'a> Sealed<'a> {
    /// Reads the frame; `None` for a request and for what cannot be a packet: of no known kind, of no
    /// valid sequence, or of a length that its kind does not have.
    pub fn parse(datagram: &'a mut [u8]) -> Option<Sealed<'a>> {
        if datagram.len() < DATAGRAM_LEN_MIN {
            return None;
        }
        let (&mut prefix, rest) = datagram.split_first_mut()?;
        let kind = Kind::from_number(prefix & 0x0f).filter(|k| *k != Kind::Request)?;
        let (connection_id, rest) = if kind.is_named() {
            let (id, rest) = rest.split_first_chunk_mut::<CONNECTION_ID_LEN>()?;
            (Some(*id), rest)
        } else {
            (None, rest)
        };
        let sequence_bytes = usize::from(prefix >> 4);
        if !(1..=SEQUENCE_LEN_MAX).contains(&sequence_bytes) || rest.len() < sequence_bytes + TAG_LEN {
            return None;
        }
        if !kind.body_len().contains(&(rest.len() - sequence_bytes - TAG_LEN)) {
            return None;
        }
        let (head, body) = rest.split_at_mut(sequence_bytes);
        let mut sequence = [0; 8];
        sequence[..sequence_bytes].copy_from_slice(head);
        Some(Sealed { kind, sequence: u64::from_le_bytes(sequence), connection_id, prefix, body })
    }

    /// Opens the body in place.
    pub fn open(self, cipher: &Cipher, protocol_id: u64) -> Option<&'a mut [u8]> {
        cipher.open(self.sequence, &associated(protocol_id, self.prefix), self.body)
    }
}

/// Writes and seals a packet whose body is `parts`, one after the other, to the front of `out`. The
/// parts are copied once. The length is that of the body and [`super::limits::PACKET_OVERHEAD`], since
/// our sequences take eight bytes.
///
/// # Panics
/// When it does not fit into `out`.
pub(super) fn seal(
    kind: Kind,
    sequence: u64,
    cipher: &Cipher,
    protocol_id: u64,
    parts: &[&[u8]],
    out: &mut [u8],
) -> usize {
    debug_assert!(!kind.is_named());
    seal_named(kind, None, sequence, cipher, protocol_id, parts, out)
}

/// The same with a connection id, for the kinds that have one.
pub(super) fn seal_named(
    kind: Kind,
    connection_id: Option<&ConnectionIdBytes>,
    sequence: u64,
    cipher: &Cipher,
    protocol_id: u64,
    parts: &[&[u8]],
    out: &mut [u8],
) -> usize {
    debug_assert_eq!(kind.is_named(), connection_id.is_some());
    let prefix = (SEQUENCE_LEN_MAX as u8) << 4 | kind as u8;
    let mut w = Writer::new(out);
    w.u8(prefix).bytes(connection_id.map_or(&[], |id| &id[..])).u64(sequence);
    let start = w.written();
    for part in parts {
        w.bytes(part);
    }
    let end = w.written();
    let tag = cipher.seal(sequence, &associated(protocol_id, prefix), &mut out[start..end]);
    out[end..end + TAG_LEN].copy_from_slice(&tag);
    end + TAG_LEN
}

fn associated(protocol_id: u64, prefix: u8) -> [u8; VERSION.len() + 9] {
    let mut bytes = [0; VERSION.len() + 9];
    bytes[..VERSION.len()].copy_from_slice(&VERSION);
    bytes[VERSION.len()..VERSION.len() + 8].copy_from_slice(&protocol_id.to_le_bytes());
    bytes[VERSION.len() + 8] = prefix;
    bytes
}

/// A connection request as it came.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub version: [u8; VERSION.len()],
    pub protocol_id: u64,
    pub expire_unix_s: u64,
    pub nonce: [u8; TOKEN_NONCE_LEN],
    pub private_token: &'a mut [u8; PRIVATE_TOKEN_LEN],
}

impl<'a> Request<'a> {
    /// Reads a request; `None` if it has not a request's length or kind.
    pub fn parse(datagram: &'a mut [u8]) -> Option<Request<'a>> {
        let bytes: &mut [u8; REQUEST_LEN] = datagram.try_into().ok()?;
        let mut rest = &mut bytes[..];
        let mut take = |count: usize| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(count);
            rest = tail;
            head
        };
        if take(1) != [Kind::Request as u8] {
            return None;
        }
        let version = (&*take(VERSION.len())).try_into().ok()?;
        let protocol_id = u64::from_le_bytes((&*take(8)).try_into().ok()?);
        let expire_unix_s = u64::from_le_bytes((&*take(8)).try_into().ok()?);
        let nonce = (&*take(TOKEN_NONCE_LEN)).try_into().ok()?;
        let private_token = take(PRIVATE_TOKEN_LEN).try_into().ok()?;
        Some(Request { version, protocol_id, expire_unix_s, nonce, private_token })
    }

    /// Writes a request to the front of `out`.
    pub fn write(
        protocol_id: u64,
        expire_unix_s: u64,
        nonce: &[u8; TOKEN_NONCE_LEN],
        private_token: &[u8; PRIVATE_TOKEN_LEN],
        out: &mut [u8],
    ) -> usize {
        let mut w = Writer::new(out);
        w.u8(Kind::Request as u8).bytes(&VERSION).u64(protocol_id).u64(expire_unix_s);
        w.bytes(nonce).bytes(private_token);
        w.written()
    }
}

#[cfg(test)]
mod tests {
    use super::super::crypto::Key;
    use super::*;
    use proptest::prelude::*;

    fn cipher() -> Cipher {
        Cipher::new(&Key([3; 32]))
    }

    #[test]
    fn a_packet_begins_with_its_kind_and_its_sequence() {
        let mut out = [0xa5; 64];
        let length = seal(Kind::Payload, 0x4000_0000_0000_0001, &cipher(), 7, &[b"ab", b"c"], &mut out);
        assert_eq!(length, 28);
        assert_eq!(out[..9], [0x85, 1, 0, 0, 0, 0, 0, 0, 0x40]);
        assert_eq!(out[length..], [0xa5; 36]);
        let sealed = Sealed::parse(&mut out[..length]).unwrap();
        assert_eq!((sealed.kind, sealed.sequence), (Kind::Payload, 0x4000_0000_0000_0001));
        assert_eq!(sealed.open(&cipher(), 7).unwrap(), b"abc");
    }

    #[test]
    fn a_kind_has_its_lengths_and_no_other() {
        let lengths = [(1, 0, 0), (2, 308, 308), (3, 308, 308), (4, 8, 8), (5, 1, 1_200), (6, 0, 0)];
        let ours =
            [(7, 1, 1_200), (8, 8, 8), (9, 8, 8), (10, 8, 8), (11, 1, 1_200), (12, 1, 1_200), (13, 0, 0)];
        for (kind, shortest, longest) in lengths.into_iter().chain(ours) {
            let overhead = if kind >= 9 { 31 } else { 25 };
            let fits = |body: usize| Sealed::parse(&mut vec![0x80 | kind; body + overhead]).is_some();
            assert!(fits(shortest) && fits(longest), "kind {kind}");
            assert!(!fits(longest + 1) && (shortest == 0 || !fits(shortest - 1)), "kind {kind}");
        }
        for kind in [0, 14, 15] {
            assert!(Sealed::parse(&mut [0x80 | kind; 33]).is_none(), "kind {kind}");
        }
    }

    #[test]
    fn a_connection_id_stands_behind_the_prefix_and_its_kind_has_a_plain_one() {
        let mut out = [0xa5; 64];
        let id = [1, 2, 3, 4, 5, 6];
        let length = seal_named(Kind::NamedPayload, Some(&id), 7, &cipher(), 7, &[b"abc"], &mut out);
        assert_eq!(length, 34);
        assert_eq!(out[..15], [0x8b, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0]);
        let sealed = Sealed::parse(&mut out[..length]).unwrap();
        assert_eq!((sealed.connection_id, sealed.sequence), (Some(id), 7));
        assert_eq!(sealed.open(&cipher(), 7).unwrap(), b"abc");
        for number in 0..14 {
            let kind = Kind::from_number(number).unwrap();
            assert_eq!(kind.named().is_named(), kind.is_named() || kind.named() != kind, "{kind:?}");
            assert_eq!(kind.named().unnamed(), kind.unnamed(), "{kind:?}");
            assert_eq!(kind.named().is_aes(), kind.is_aes(), "{kind:?}");
        }
    }

    /// The sequence of the standard's example: 1000 takes two bytes, the lower one first.
    #[test]
    fn the_lowest_byte_of_a_sequence_comes_first() {
        let mut datagram = [0; 20];
        datagram[..3].copy_from_slice(&[0x25, 0xe8, 0x03]);
        assert_eq!(Sealed::parse(&mut datagram).unwrap().sequence, 1_000);
    }

    #[test]
    fn another_protocol_or_kind_is_not_authentic() {
        let mut out = [0; 64];
        let length = seal(Kind::Payload, 1, &cipher(), 7, &[b"12345678"], &mut out);
        assert!(Sealed::parse(&mut { out }[..length]).unwrap().open(&cipher(), 8).is_none());
        out[0] = 0x84; // a keep-alive has eight bytes, too
        assert!(Sealed::parse(&mut out[..length]).unwrap().open(&cipher(), 7).is_none());
    }

    #[test]
    fn short_sequences_of_others_are_read() {
        for bytes in 1..=8_u8 {
            let mut datagram = vec![bytes << 4 | 5];
            datagram.extend((1..=bytes).map(|b| b | 0x80));
            datagram.extend([0; 17]);
            let expected = (1..=bytes).rev().fold(0, |s, b| s << 8 | u64::from(b | 0x80));
            assert_eq!(Sealed::parse(&mut datagram).unwrap().sequence, expected);
        }
        for prefix in [0x05, 0x95, 0xf5, 0x1e, 0x10] {
            assert!(Sealed::parse(&mut [prefix; 40]).is_none(), "{prefix:#x}");
        }
    }

    #[test]
    fn a_request_survives_the_trip() {
        let mut out = [0xa5; REQUEST_LEN];
        assert_eq!(Request::write(1, 2, &[3; 24], &[4; 1024], &mut out), REQUEST_LEN);
        assert_eq!(out[..15], *b"\0NETCODE 1.02\0\x01");
        let request = Request::parse(&mut out).unwrap();
        assert_eq!((request.version, request.protocol_id, request.expire_unix_s), (VERSION, 1, 2));
        assert_eq!((request.nonce, *request.private_token), ([3; 24], [4; 1024]));
        assert!(Request::parse(&mut [0; REQUEST_LEN - 1]).is_none());
        assert!(Request::parse(&mut [1; REQUEST_LEN]).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..1300)) {
            let _ = Request::parse(&mut bytes);
            if let Some(sealed) = Sealed::parse(&mut bytes) {
                prop_assert!(sealed.open(&cipher(), 7).is_none());
            }
        }
    }
}
