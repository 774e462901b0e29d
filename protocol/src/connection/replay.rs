//! The replay window: which of the latest sequence numbers have been received (NETCODE 1.02, Replay
//! Protection).
//!
//! A bit for each of the last numbers, in a ring of words that is cleared a word at a time as it is
//! entered (RFC 6479). A number is looked up before its packet is decrypted and entered only after:
//! who cannot seal a packet cannot move the window.

const WORDS: u64 = 32;
const WORD_BITS: u64 = 64;
/// Packets that may overtake another before it is refused: half a second at 4,000 a second.
pub const REPLAY_WINDOW: u64 = (WORDS - 1) * WORD_BITS;

/// The sequence numbers received from one sender.
#[derive(Debug, Clone)]
pub struct ReplayWindow {
    /// The highest number received.
    latest: Option<u64>,
    /// Bit `n % 64` of word `n / 64 % 32` is number `n`, for all `n` of the window.
    received: [u64; WORDS as usize],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        ReplayWindow::new()
    }
}

impl ReplayWindow {
    /// Nothing received yet.
    pub const fn new() -> Self {
        ReplayWindow { latest: None, received: [0; WORDS as usize] }
    }

    /// Whether `sequence` has been received, or is too old to tell.
    pub fn is_stale(&self, sequence: u64) -> bool {
        match self.latest {
            Some(latest) if sequence <= latest => {
                latest - sequence >= REPLAY_WINDOW || self.received[word(sequence)] & bit(sequence) != 0
            }
            _ => false,
        }
    }

    /// Whether `sequence` is higher than all received.
    pub fn is_newest(&self, sequence: u64) -> bool {
        self.latest.is_none_or(|latest| sequence > latest)
    }

    /// Enters `sequence`, whose packet was authentic.
    pub fn enter(&mut self, sequence: u64) {
        debug_assert!(!self.is_stale(sequence));
        match self.latest {
            None => self.latest = Some(sequence),
            Some(latest) if sequence > latest => {
                let entered = (sequence / WORD_BITS - latest / WORD_BITS).min(WORDS);
                for step in 0..entered {
                    self.received[((sequence / WORD_BITS - step) % WORDS) as usize] = 0;
                }
                self.latest = Some(sequence);
            }
            Some(_) => {}
        }
        self.received[word(sequence)] |= bit(sequence);
    }
}

const fn word(sequence: u64) -> usize {
    (sequence / WORD_BITS % WORDS) as usize
}

const fn bit(sequence: u64) -> u64 {
    1 << (sequence % WORD_BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn accept(window: &mut ReplayWindow, sequence: u64) -> bool {
        let fresh = !window.is_stale(sequence);
        if fresh {
            window.enter(sequence);
        }
        fresh
    }

    #[test]
    fn each_number_is_accepted_once() {
        let mut window = ReplayWindow::new();
        for sequence in [5, 0, 3, 4, 1, 2, 5_000, 4_999] {
            assert!(accept(&mut window, sequence), "{sequence}");
            assert!(!accept(&mut window, sequence), "{sequence} again");
        }
    }

    #[test]
    fn what_fell_out_of_the_window_is_refused() {
        let mut window = ReplayWindow::new();
        assert!(accept(&mut window, 10_000));
        assert!(!accept(&mut window, 10_000 - REPLAY_WINDOW));
        assert!(accept(&mut window, 10_001 - REPLAY_WINDOW));
    }

    #[test]
    fn looking_up_moves_nothing() {
        let mut window = ReplayWindow::new();
        assert!(accept(&mut window, 7));
        assert!(!window.is_stale(u64::MAX) && window.is_newest(u64::MAX));
        assert!(accept(&mut window, 8));
        assert!(!window.is_newest(8) && window.is_newest(9));
    }

    #[test]
    fn both_ends_of_the_sequence_space_are_ordinary_numbers() {
        let mut window = ReplayWindow::new();
        for sequence in [0, u64::MAX - 1, u64::MAX, u64::MAX - 2] {
            assert!(accept(&mut window, sequence));
            assert!(!accept(&mut window, sequence));
        }
        assert!(!accept(&mut window, 0) && !accept(&mut window, 1));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set_of_all_numbers(
            base in prop_oneof![Just(0), Just(1u64 << 62), Just(u64::MAX - 20_000), any::<u64>()],
            steps in prop::collection::vec(prop_oneof![0u64..70, 0u64..2_100, 0u64..20_000], 1..400),
        ) {
            let (mut window, mut seen) = (ReplayWindow::new(), BTreeSet::new());
            for step in steps {
                let sequence = base.saturating_add(step);
                let latest = seen.last().copied().unwrap_or(0);
                let fresh = !seen.contains(&sequence) && latest.saturating_sub(sequence) < REPLAY_WINDOW;
                prop_assert_eq!(accept(&mut window, sequence), fresh, "{} after {}", sequence, latest);
                if fresh {
                    seen.insert(sequence);
                }
            }
        }
    }
}
