//! ChaCha20-Poly1305 as NETCODE 1.02 uses it: in place, with explicit nonces. AES-128-GCM in the same shape.
//!
//! Packets and challenge tokens take a 64-bit sequence number, extended with zeros in front to a
//! 96-bit nonce. Private connect tokens take XChaCha20-Poly1305 with 24 random bytes. This module
//! seals what it is told to: that no key meets a nonce twice is what [`super::sequence`] is for.

use prefetch_index::prefetch_index;
use ring::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::hchacha::hchacha20;
use super::limits::{KEY_LEN, TAG_LEN, TOKEN_NONCE_LEN};

/// A Poly1305 tag.
pub type Tag = [u8; TAG_LEN];

/// A secret key. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; KEY_LEN]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(secret)")
    }
}

/// A key made ready for use, once for each direction of a session. Both ciphers take a nonce of 12 bytes and
/// make a tag of 16.
#[repr(C)]
pub(super) struct Cipher {
    start: [[u8; CACHE_LINE_BYTES]; 0],
    key: LessSafeKey,
}

/// What comes into the cache at once.
const CACHE_LINE_BYTES: usize = 64;

impl Cipher {
    /// Makes `key` ready.
    pub fn new(key: &Key) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key.0).expect("the key has ChaCha20's length");
        Cipher { start: [], key: LessSafeKey::new(key) }
    }

    /// Makes a key for AES-128-GCM ready.
    pub fn aes_128(key: &[u8; 16]) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, key).expect("the key has AES-128's length");
        Cipher { start: [], key: LessSafeKey::new(key) }
    }

    /// Has it fetched from memory, without waiting for it.
    pub fn fetch(&self) {
        let lines = size_of::<Cipher>().div_ceil(CACHE_LINE_BYTES);
        (0..lines).for_each(|line| prefetch_index(self.start.as_slice(), line));
    }

    /// Encrypts `bytes` in place; the tag belongs behind them.
    pub fn seal(&self, sequence: u64, associated: &[u8], bytes: &mut [u8]) -> Tag {
        let tag = self.key.seal_in_place_separate_tag(nonce(sequence), Aad::from(associated), bytes);
        let tag = tag.expect("a datagram is shorter than the 256 GiB that ChaCha20 can do");
        tag.as_ref().try_into().expect("the tag has Poly1305's length")
    }

    /// Decrypts `bytes`, whose last 16 are the tag, in place. `None` if they are not authentic; what
    /// they then hold is of no use.
    pub fn open<'a>(&self, sequence: u64, associated: &[u8], bytes: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.key.open_in_place(nonce(sequence), Aad::from(associated), bytes).ok()
    }
}

/// Encrypts `bytes` in place with XChaCha20-Poly1305; the tag belongs behind them.
pub(super) fn seal_extended(
    key: &Key,
    nonce: &[u8; TOKEN_NONCE_LEN],
    associated: &[u8],
    bytes: &mut [u8],
) -> Tag {
    let (cipher, sequence) = subcipher(key, nonce);
    cipher.seal(sequence, associated, bytes)
}

/// The inverse of [`seal_extended`]; the last 16 of `bytes` are the tag.
pub(super) fn open_extended<'a>(
    key: &Key,
    nonce: &[u8; TOKEN_NONCE_LEN],
    associated: &[u8],
    bytes: &'a mut [u8],
) -> Option<&'a mut [u8]> {
    let (cipher, sequence) = subcipher(key, nonce);
    cipher.open(sequence, associated, bytes)
}

/// The first 16 bytes of the nonce go into the subkey; the last 8 stand where a sequence number would.
fn subcipher(key: &Key, nonce: &[u8; TOKEN_NONCE_LEN]) -> (Cipher, u64) {
    let (head, tail) = nonce.split_first_chunk::<16>().expect("16 of 24 bytes");
    let tail: [u8; 8] = tail.try_into().expect("the other 8 of 24 bytes");
    (Cipher::new(&Key(hchacha20(&key.0, head))), u64::from_le_bytes(tail))
}

fn nonce(sequence: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&sequence.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8; 114] = b"Ladies and Gentlemen of the class of '99: \
        If I could offer you only one tip for the future, sunscreen would be it.";
    const ASSOCIATED: [u8; 12] = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
    const SEALED: &str = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb\
        731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
        2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
        21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// draft-irtf-cfrg-xchacha-03 A.3.1.
    #[test]
    fn an_extended_nonce_gives_the_published_bytes() {
        let key = Key(std::array::from_fn(|i| 0x80 + i as u8));
        let nonce = std::array::from_fn(|i| 0x40 + i as u8);
        let mut bytes = PLAIN.to_vec();
        let tag = seal_extended(&key, &nonce, &ASSOCIATED, &mut bytes);
        bytes.extend(tag);
        assert_eq!(hex(&bytes), SEALED);
        assert_eq!(open_extended(&key, &nonce, &ASSOCIATED, &mut bytes).unwrap(), PLAIN);
    }

    /// RFC 8439 A.5 uses nonce 00000000 0102030405060708.
    #[test]
    fn a_sequence_number_is_the_nonce_behind_four_zeros() {
        let key = Key([
            0x1c, 0x92, 0x40, 0xa5, 0xeb, 0x55, 0xd3, 0x8a, 0xf3, 0x33, 0x88, 0x86, 0x04, 0xf6, 0xb5, 0xf0,
            0x47, 0x39, 0x17, 0xc1, 0x40, 0x2b, 0x80, 0x09, 0x9d, 0xca, 0x5c, 0xbc, 0x20, 0x70, 0x75, 0xc0,
        ]);
        let associated = [0xf3, 0x33, 0x88, 0x86, 0, 0, 0, 0, 0, 0, 0x4e, 0x91];
        let mut bytes = *b"Internet-Drafts ";
        Cipher::new(&key).seal(0x0807_0605_0403_0201, &associated, &mut bytes);
        assert_eq!(hex(&bytes), "64a0861575861af460f062c79be643bd");
    }

    #[test]
    fn a_changed_bit_anywhere_is_refused() {
        let cipher = Cipher::new(&Key([7; KEY_LEN]));
        let mut sealed = [1, 2, 3].to_vec();
        let tag = cipher.seal(9, b"to", &mut sealed);
        sealed.extend(tag);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(cipher.open(9, b"to", &mut changed).is_none(), "bit {bit}");
        }
        assert!(cipher.open(8, b"to", &mut sealed.clone()).is_none());
        assert!(cipher.open(9, b"tp", &mut sealed.clone()).is_none());
        assert_eq!(cipher.open(9, b"to", &mut sealed).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", Key([0x41; KEY_LEN])), "Key(secret)");
    }
}
