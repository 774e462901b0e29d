//! The engine that needs nothing but stable Rust: the corpus, then changed and random inputs from a seed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bolero::bolero_engine::{Engine, Test, driver, panic};
use fastrand::Rng;

use crate::{Shape, changed, corpus};

/// What a plain test begins with: the same on every machine, so that a failure in CI fails here, too.
const SEED: u64 = 9;
/// How long a target runs with the feature `long` if nobody says otherwise.
const LONG_SECONDS: u64 = 60;
/// One of so many inputs is noise, the others are changed seeds.
const NOISE_ONE_IN: u8 = 8;
/// Bytes of the longest noise.
const NOISE_BYTES_MAX: usize = 2_048;
/// Shorter inputs that are tried once one has broken a target.
const SHRINK_ATTEMPTS_MAX: u32 = 5_000;

/// Runs a target from a seed.
#[derive(Debug, Clone)]
pub struct Seeded {
    target: &'static str,
    shape: Shape,
    extent: Extent,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
enum Extent {
    Cases(u64),
    For(Duration),
}

impl Seeded {
    /// A target of this name. A plain run tries so many inputs besides the corpus; `NINEFOLD_FUZZ_SEED` chooses others,
    /// `NINEFOLD_FUZZ_SECONDS` says for how long instead.
    ///
    /// # Panics
    /// When one of the two is set and no number.
    pub fn new(target: &'static str, shape: Shape, cases: u64) -> Seeded {
        let fresh = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.map_or(SEED, |since| since.as_nanos() as u64)
        };
        let long = cfg!(feature = "long");
        let seconds = number_of("NINEFOLD_FUZZ_SECONDS").or(long.then_some(LONG_SECONDS));
        let extent = seconds.map_or(Extent::Cases(cases), |s| Extent::For(Duration::from_secs(s)));
        let seed = number_of("NINEFOLD_FUZZ_SEED").unwrap_or_else(|| if long { fresh() } else { SEED });
        Seeded { target, shape, extent, seed }
    }

    /// Tries one input; what breaks is made smaller, kept and told of.
    fn attempt<T: Test>(&self, test: &mut T, input: &[u8], which: &str) {
        let Err(mut error) = test.test(&mut &*input) else { return };
        let smallest = smaller(input, |shorter| match test.test(&mut &*shorter) {
            Ok(_) => false,
            Err(other) => {
                error = other;
                true
            }
        });
        panic::forward_panic(true);
        let kept = match corpus::keep_crash(self.target, &smallest) {
            Ok(path) => format!("kept as {}; it is tried first from now on", path.display()),
            Err(error) => format!("it could not be kept: {error}"),
        };
        panic!(
            "{}: {which} of seed {} breaks it, {} bytes once made smaller, {kept}\n{error}",
            self.target,
            self.seed,
            smallest.len()
        );
    }
}

/// The input without what it breaks without, found by taking out ever smaller pieces.
fn smaller(input: &[u8], mut breaks: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let (mut input, mut attempts) = (input.to_vec(), 0);
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < input.len() && attempts < SHRINK_ATTEMPTS_MAX {
            let end = (at + piece).min(input.len());
            let shorter = [&input[..at], &input[end..]].concat();
            attempts += 1;
            if breaks(&shorter) {
                input = shorter;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    input
}

fn number_of(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is `{value}`, not a whole number")))
}

impl<T: Test> Engine<T> for Seeded {
    type Output = ();

    fn run(self, mut test: T, _: driver::Options) {
        panic::set_hook();
        panic::forward_panic(false);
        let began = Instant::now();
        for (path, input) in corpus::load(&corpus::crashes_dir(self.target)) {
            self.attempt(&mut test, &input, &path.display().to_string());
        }
        let seeds = corpus::load(&corpus::corpus_dir(self.target));
        for (path, input) in &seeds {
            self.attempt(&mut test, input, &path.display().to_string());
        }
        let mut random = Rng::with_seed(self.seed);
        let mut case = 0;
        while match self.extent {
            Extent::Cases(cases) => case < cases,
            Extent::For(time) => began.elapsed() < time,
        } {
            let input = if seeds.is_empty() || random.u8(..NOISE_ONE_IN) == 0 {
                let bytes = random.usize(..NOISE_BYTES_MAX);
                std::iter::repeat_with(|| random.u8(..)).take(bytes).collect()
            } else {
                let [base, other] = [(); 2].map(|()| &seeds[random.usize(..seeds.len())].1);
                changed(self.shape, base, other, &mut random)
            };
            self.attempt(&mut test, &input, &format!("case {case}"));
            case += 1;
        }
        panic::forward_panic(true);
        println!("{}: {} seeds, {case} cases from seed {}", self.target, seeds.len(), self.seed);
    }
}

#[cfg(test)]
mod tests {
    use bolero::TestTarget;

    use super::*;

    fn seeded(cases: u64) -> Seeded {
        Seeded { target: "of_the_engine", shape: Shape::Bytes, extent: Extent::Cases(cases), seed: 1 }
    }

    #[test]
    fn what_breaks_is_made_smaller_and_kept() {
        let folder = corpus::crashes_dir("of_the_engine");
        let _ = std::fs::remove_dir_all(&folder);
        let broken = std::panic::catch_unwind(|| {
            TestTarget::new(seeded(200)).for_each(|bytes: &[u8]| assert!(bytes.len() < 300, "too long"));
        });
        let told = broken.unwrap_err();
        let told = told.downcast_ref::<String>().unwrap();
        assert!(told.contains("of seed 1 breaks it, 300 bytes") && told.contains("too long"), "{told}");
        let kept = corpus::load(&folder);
        assert_eq!(kept.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), [300]);
        // It is tried first from now on.
        let again = std::panic::catch_unwind(|| {
            TestTarget::new(seeded(0)).for_each(|bytes: &[u8]| assert!(bytes.len() < 300, "too long"));
        });
        assert!(again.is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
