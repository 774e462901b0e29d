//! How an input becomes another one: what fuzzers call havoc, and the like for whole records.

use fastrand::Rng;

use crate::script::{Record, records, write_record};
use crate::{INPUT_BYTES_MAX, Shape};

/// Changes to one input, at most.
const CHANGES_MAX: usize = 8;
/// Bytes that one change inserts, takes out or repeats, at most.
const RUN_BYTES_MAX: usize = 64;

/// An input made of `base`, with a part of `other` here and there.
pub fn changed(shape: Shape, base: &[u8], other: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut input = match shape {
        Shape::Bytes => base.to_vec(),
        Shape::Script => changed_script(base, other, random),
    };
    if shape == Shape::Bytes || random.u8(..8) == 0 {
        change_bytes(&mut input, other, random);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// One to eight changes, fewer oftener.
fn count(random: &mut Rng) -> usize {
    1 + random.usize(..CHANGES_MAX).min(random.usize(..CHANGES_MAX))
}

fn changed_script(base: &[u8], other: &[u8], random: &mut Rng) -> Vec<u8> {
    let own = |record: Record<'_>| (record.what, record.body.to_vec());
    let mut script: Vec<(u8, Vec<u8>)> = records(base).map(own).collect();
    let others: Vec<Record<'_>> = records(other).collect();
    for _ in 0..count(random) {
        let Some(at) = (!script.is_empty()).then(|| random.usize(..script.len())) else { break };
        match random.u8(..12) {
            0 => _ = script.remove(at),
            1 => script.insert(at, script[at].clone()),
            2 => script.swap(at, random.usize(..at + 1)),
            3 => script.truncate(at.max(1)),
            4 => script[at].0 = random.u8(..),
            5 => script[at].1.clear(),
            6 if !others.is_empty() => script.insert(at, own(others[random.usize(..others.len())])),
            _ => change_bytes(&mut script[at].1, other, random),
        }
    }
    let mut out = Vec::with_capacity(base.len());
    // What is beyond the longest input is left out.
    let _ = script.iter().all(|(what, body)| write_record(*what, body, &mut out));
    out
}

fn change_bytes(bytes: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    for _ in 0..count(random) {
        change_once(bytes, other, random);
    }
}

fn change_once(bytes: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    if bytes.is_empty() {
        bytes.resize(random.usize(1..RUN_BYTES_MAX), 0);
        bytes.iter_mut().for_each(|byte| *byte = random.u8(..));
        return;
    }
    let at = random.usize(..bytes.len());
    let run = random.usize(1..=RUN_BYTES_MAX);
    match random.u8(..10) {
        0 | 1 => bytes[at] ^= 1 << random.u8(..8),
        2 => bytes[at] = random.u8(..),
        3 => bytes[at] = bytes[at].wrapping_add(random.u8(..9)).wrapping_sub(4),
        4 => put_number(&mut bytes[at..], random),
        5 => _ = bytes.drain(at..(at + run).min(bytes.len())),
        6 => {
            let inserted: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(run).collect();
            bytes.splice(at..at, inserted);
        }
        7 => {
            let repeated = bytes[at..(at + run).min(bytes.len())].to_vec();
            bytes.splice(at..at, repeated);
        }
        8 if !other.is_empty() => {
            let from = random.usize(..other.len());
            let part = &other[from..(from + run).min(other.len())];
            let end = (at + part.len()).min(bytes.len());
            bytes.splice(at..end, part.iter().copied());
        }
        _ => bytes.truncate(at),
    }
}

/// The ends of what a number can be, and their neighbours, in any width.
fn put_number(bytes: &mut [u8], random: &mut Rng) {
    let width = [1, 2, 4, 8][random.usize(..4)].min(bytes.len());
    let bits = 8 * width as u32;
    let ends = [0, u64::MAX, 1 << (bits - 1), (1 << (bits - 1)) - 1, 1 << random.u32(..bits)];
    let number = ends[random.usize(..ends.len())].wrapping_add(random.u64(..3)).wrapping_sub(1);
    bytes[..width].copy_from_slice(&number.to_le_bytes()[..width]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_changes_the_same() {
        for shape in [Shape::Bytes, Shape::Script] {
            let make = |seed| changed(shape, &[3; 100], b"another one", &mut Rng::with_seed(seed));
            assert_eq!(make(1), make(1));
            assert!((0..100).filter(|seed| make(*seed) != [3; 100]).count() > 90);
        }
    }

    #[test]
    fn a_changed_script_keeps_most_of_its_records() {
        let mut script = Vec::new();
        (0..40).for_each(|n| assert!(write_record(n, &[n; 20], &mut script)));
        let mut random = Rng::with_seed(2);
        let whole = |record: &Record<'_>| record.body == [record.what; 20];
        let kept: usize = (0..200)
            .map(|_| records(&changed(Shape::Script, &script, &script, &mut random)).filter(whole).count())
            .sum();
        assert!(kept > 200 * 25, "{kept} of 8,000");
    }

    #[test]
    fn inputs_stay_within_their_bound() {
        let mut random = Rng::with_seed(3);
        let mut input = vec![7; INPUT_BYTES_MAX];
        for shape in [Shape::Bytes, Shape::Script] {
            for _ in 0..200 {
                input = changed(shape, &input, &[1; 999], &mut random);
                assert!(input.len() <= INPUT_BYTES_MAX);
                input.resize(INPUT_BYTES_MAX, 0);
            }
        }
        assert!(changed(Shape::Bytes, &[], &[], &mut random).len() <= CHANGES_MAX * RUN_BYTES_MAX);
    }
}
