//! HChaCha20: the function that turns a key and 16 bytes of a nonce into a subkey.
//!
//! XChaCha20-Poly1305 is ChaCha20-Poly1305 under that subkey (draft-irtf-cfrg-xchacha-03 §2.2, §2.3);
//! `ring` has the latter but not this. Constant time: additions, rotations and exclusive ors only.

const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
const DOUBLE_ROUNDS: usize = 10;

fn quarter_round(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(16);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(12);
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(8);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(7);
}

/// The subkey of `key` for the first 16 bytes of an extended nonce.
pub(super) fn hchacha20(key: &[u8; 32], nonce: &[u8; 16]) -> [u8; 32] {
    let mut state = [0u32; 16];
    state[..4].copy_from_slice(&CONSTANTS);
    let words = key.as_chunks::<4>().0.iter().chain(nonce.as_chunks::<4>().0);
    for (word, bytes) in state[4..].iter_mut().zip(words) {
        *word = u32::from_le_bytes(*bytes);
    }
    for _ in 0..DOUBLE_ROUNDS {
        for column in 0..4 {
            quarter_round(&mut state, column, 4 + column, 8 + column, 12 + column);
        }
        for column in 0..4 {
            let (b, c, d) = (4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4);
            quarter_round(&mut state, column, b, c, d);
        }
    }
    let mut subkey = [0; 32];
    for (bytes, word) in subkey.as_chunks_mut::<4>().0.iter_mut().zip(state[..4].iter().chain(&state[12..])) {
        *bytes = word.to_le_bytes();
    }
    subkey
}

#[cfg(test)]
mod tests {
    use super::*;

    /// draft-irtf-cfrg-xchacha-03 §2.2.1.
    #[test]
    fn the_subkey_is_the_published_one() {
        let key = std::array::from_fn(|i| i as u8);
        let nonce = [0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0, 0x31, 0x41, 0x59, 0x27];
        let expected = [
            0x82, 0x41, 0x3b, 0x42, 0x27, 0xb2, 0x7b, 0xfe, 0xd3, 0x0e, 0x42, 0x50, 0x8a, 0x87, 0x7d, 0x73,
            0xa0, 0xf9, 0xe4, 0xd5, 0x8a, 0x74, 0xa8, 0x53, 0xc1, 0x2e, 0xc4, 0x13, 0x26, 0xd3, 0xec, 0xdc,
        ];
        assert_eq!(hchacha20(&key, &nonce), expected);
    }
}
