//! What our own clients may do beyond NETCODE 1.02, as a block of 24 bytes in the token says it.
//!
//! ```text
//!  block := "ninefold", flags u32, 0 u32, created u64
//! ```
//!
//! It stands at the end of the user data, where the server finds it, and at the end of the public token,
//! where the standard has zeros and our client looks. The server keeps to the standard until a packet in
//! an extended form has shown that the client knows it; a client that does not look never meets any of
//! this.

use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

use super::crypto::Key;
use super::limits::{CONNECTION_ID_LEN, KEY_LEN, USER_DATA_LEN};
use crate::codec::{Reader, Writer};

/// Bytes of the block.
pub const EXTENSION_LEN: usize = 24;
/// Bytes of user data that are left beside it.
pub const EXTENDED_USER_DATA_LEN: usize = USER_DATA_LEN - EXTENSION_LEN;
const MAGIC: [u8; 8] = *b"ninefold";
const AES_PAYLOADS: u32 = 1;
const CONNECTION_ID: u32 = 1 << 1;
const SLOW_KEEP_ALIVES: u32 = 1 << 2;

/// What a token allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Payloads are sealed with AES-128-GCM instead of ChaCha20-Poly1305: a quarter of the time where the
    /// processor knows AES.
    pub aes_payloads: bool,
    /// The client's packets carry a connection id, so that its session survives a change of its address.
    pub connection_id: bool,
    /// One keep-alive a second each way instead of ten.
    pub slow_keep_alives: bool,
}

impl Extensions {
    /// All that there are.
    pub const ALL: Extensions =
        Extensions { aes_payloads: true, connection_id: true, slow_keep_alives: true };

    fn flags(self) -> u32 {
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        flag(self.aes_payloads, AES_PAYLOADS)
            | flag(self.connection_id, CONNECTION_ID)
            | flag(self.slow_keep_alives, SLOW_KEEP_ALIVES)
    }
}

/// The block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub extensions: Extensions,
    /// When the token was made, seconds since the Unix epoch.
    pub create_unix_s: u64,
}

impl Block {
    /// The block at the end of `bytes`, if there is one. Flags that are not known are ignored.
    pub fn at_end_of(bytes: &[u8]) -> Option<Block> {
        let mut r = Reader::new(bytes.last_chunk::<EXTENSION_LEN>()?);
        if r.array("extension magic").ok()? != MAGIC {
            return None;
        }
        let flags = r.u32("extension flags").ok()?;
        r.u32("extension reserved").ok()?;
        let create_unix_s = r.u64("extension created").ok()?;
        let has = |flag: u32| flags & flag != 0;
        let extensions = Extensions {
            aes_payloads: has(AES_PAYLOADS),
            connection_id: has(CONNECTION_ID),
            slow_keep_alives: has(SLOW_KEEP_ALIVES),
        };
        Some(Block { extensions, create_unix_s })
    }

    /// Writes the block over the end of `bytes`, which is longer.
    pub fn write_at_end_of(self, bytes: &mut [u8]) {
        let start = bytes.len() - EXTENSION_LEN;
        let mut w = Writer::new(&mut bytes[start..]);
        w.bytes(&MAGIC).u32(self.extensions.flags()).u32(0).u64(self.create_unix_s);
    }
}

/// Names a session on the wire, whatever its address.
pub(super) type ConnectionIdBytes = [u8; CONNECTION_ID_LEN];

/// The AES key of one direction: never the key itself, so that two ciphers do not share one.
pub(super) fn aes_key(session_key: &Key) -> [u8; 16] {
    derive(session_key, b"ninefold 1 aes-128-gcm")
}

/// The connection id of the session with this key from client to server. Not a secret, and as hard to guess
/// as the key's hash.
pub(super) fn connection_id(client_to_server: &Key) -> ConnectionIdBytes {
    derive(client_to_server, b"ninefold 1 connection id")
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA256 (RFC 5869) without a salt: session keys are random.
fn derive<const N: usize>(key: &Key, purpose: &[u8]) -> [u8; N] {
    const { assert!(N <= KEY_LEN) };
    let mut bytes = [0; N];
    let purpose = [purpose];
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(&key.0);
    let expanded = extracted.expand(&purpose, Length(N)).expect("fewer bytes than 255 hashes");
    expanded.fill(&mut bytes).expect("the length is the one that was asked for");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_laid_out_as_described() {
        let mut bytes = [0xa5; 30];
        Block { extensions: Extensions::ALL, create_unix_s: 0x0102 }.write_at_end_of(&mut bytes);
        assert_eq!(bytes[..6], [0xa5; 6]);
        assert_eq!(&bytes[6..14], b"ninefold");
        assert_eq!(bytes[14..], [7, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
        let block = Block::at_end_of(&bytes).unwrap();
        assert_eq!((block.extensions, block.create_unix_s), (Extensions::ALL, 0x0102));
    }

    #[test]
    fn each_flag_is_its_own_and_unknown_ones_are_ignored() {
        let mut bytes = [0; EXTENSION_LEN];
        Block { extensions: Extensions::default(), create_unix_s: 0 }.write_at_end_of(&mut bytes);
        for flags in 0..=255_u8 {
            bytes[8] = flags;
            let Extensions { aes_payloads, connection_id, slow_keep_alives } =
                Block::at_end_of(&bytes).unwrap().extensions;
            let expected = [0, 1, 2].map(|bit| flags >> bit & 1 == 1);
            assert_eq!([aes_payloads, connection_id, slow_keep_alives], expected);
        }
    }

    #[test]
    fn what_does_not_begin_with_the_word_is_no_block() {
        assert_eq!(Block::at_end_of(&[0; 256]), None);
        assert_eq!(Block::at_end_of(b"ninefold"), None);
    }

    /// By Python's cryptography: HKDF(SHA256(), n, None, purpose).derive(bytes(range(32))).
    #[test]
    fn derived_keys_are_the_published_bytes() {
        let key = Key(std::array::from_fn(|i| i as u8));
        assert_eq!(
            aes_key(&key),
            [0x9d, 0x52, 0xf2, 0x4a, 0xcb, 0xe9, 0x72, 0x9c, 0x2c, 0x0a, 0x66, 0x33, 0xbd, 0x56, 0x6f, 0x49]
        );
        assert_eq!(connection_id(&key), [0x28, 0xfb, 0xd6, 0x05, 0x29, 0x98]);
    }
}
