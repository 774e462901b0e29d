//! How fuzz targets run. The targets themselves stand beside what they try, in modules named `fuzz`.
//!
//! ```text
//!   corpus/NAME/*  --as they are-->        target(bytes)  --panics-->  shrunk, kept in crashes/NAME/
//!                  --changed by a seed-->
//!   noise          ------------------->
//! ```
//!
//! A target is a function of bytes that panics where something does not hold. As a plain test it gets its
//! corpus, and a fixed number of changed and random inputs that follow from a constant seed, so that it
//! says the same on every machine. With the feature `long` it runs for a time instead, from a fresh seed.
//! docs/fuzzing.md tells more, also of what an engine that is led by coverage would add.
#![forbid(unsafe_code)]

mod change;
mod corpus;
mod engine;
mod script;

pub use change::changed;
pub use corpus::{corpus_dir, load};
pub use engine::Seeded;
pub use script::{RECORDS_MAX, Record, records, write_record};

#[doc(hidden)]
pub use bolero;

/// Bytes of the longest input.
pub const INPUT_BYTES_MAX: usize = 1 << 16;

/// What an input consists of, so that changing it leaves something to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Plain bytes.
    Bytes,
    /// [`records`].
    Script,
}

/// A fuzz target: a test of this name that tries `body` with so many changed inputs.
///
/// ```
/// ninefold_fuzz::target! {
///     /// Lengths are never longer than what is there.
///     a_length_is_believed_only_if_it_is_there(Bytes, 1_000) |bytes: &[u8]| {
///         assert!(bytes.first().is_none_or(|n| bytes.get(..*n as usize).is_none_or(|b| b.len() <= bytes.len())));
///     }
/// }
/// ```
#[macro_export]
macro_rules! target {
    ($(#[$doc:meta])* $name:ident($shape:ident, $cases:expr) $body:expr) => {
        $(#[$doc])*
        #[test]
        fn $name() {
            #[cfg(fuzzing)]
            {
                use $crate::bolero;
                bolero::check!(name = stringify!($name)).with_max_len($crate::INPUT_BYTES_MAX).for_each($body);
            }
            #[cfg(not(fuzzing))]
            {
                let engine = $crate::Seeded::new(stringify!($name), $crate::Shape::$shape, $cases);
                $crate::bolero::TestTarget::new(engine).for_each($body);
            }
        }
    };
}
