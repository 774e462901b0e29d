//! Fragments and parity of chunks that never were.

use ninefold_fuzz::{records, target};

use super::at;
use crate::chunk::{Outcome, Reassembly};
use crate::frame::{Fragment, ParityFragment, is_parity};
use crate::limits::{CHUNK_BYTES_MAX, FRAGMENT_PAYLOAD_BYTES};

/// Bytes of unfinished chunks that the target allows: small, so that the bound is met.
const UNFINISHED_BYTES_MAX: usize = 60 * FRAGMENT_PAYLOAD_BYTES;

target! {
    /// Unfinished chunks stay within their bytes, what is whole has a length that can be, and nothing is left in
    /// the end.
    fragments_never_pass_the_bound(Script, 1_500) |script: &[u8]| {
        let mut reassembly = Reassembly::new(UNFINISHED_BYTES_MAX);
        let mut now_ms = 0;
        for record in records(script) {
            now_ms += u64::from(record.what % 16) * 100;
            let outcome = if is_parity(record.body) {
                ParityFragment::parse(record.body).map(|parity| reassembly.handle_parity(at(now_ms), &parity))
            } else {
                Fragment::parse(record.body).map(|fragment| reassembly.handle(at(now_ms), &fragment))
            };
            if let Ok(Outcome::Complete(whole)) = outcome {
                assert!((1..=CHUNK_BYTES_MAX).contains(&whole.bytes.len()), "{} bytes", whole.bytes.len());
                assert_eq!(reassembly.grew_at(whole.key), None);
            }
            if record.what >= 0xf0 {
                reassembly.expire(at(now_ms));
            }
            assert!(reassembly.bytes() <= UNFINISHED_BYTES_MAX, "{} bytes", reassembly.bytes());
            assert_eq!(reassembly.is_empty(), reassembly.bytes() == 0);
        }
        let unfinished = reassembly.len();
        assert_eq!(reassembly.expire(at(now_ms + 60_000)), unfinished);
        assert_eq!((reassembly.bytes(), reassembly.len()), (0, 0));
    }
}
