//! The comparison with the baseline, as CI runs it: it can fail, and says of what.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn baseline() -> String {
    std::fs::read_to_string(root().join("counts/baseline.txt")).unwrap()
}

/// The script's verdict on counts, compared with a baseline.
fn compared(name: &str, baseline: &str, counted: &str) -> (bool, String) {
    let file = |kind: &str, text: &str| {
        let file = format!("ninefold-counts-{}-{name}-{kind}.txt", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (before, now) = (file("before", baseline), file("now", counted));
    let mut script = Command::new(root().join(".ci/counts"));
    let Output { status, stdout, stderr } = script.arg("--compare").args([&before, &now]).output().unwrap();
    for path in [before, now] {
        std::fs::remove_file(path).unwrap();
    }
    (status.success(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

/// The baseline with one case's count changed to so many thousandths of what it was.
fn doctored(case: &str, thousandths: u64) -> String {
    let line = |line: &str| match line.split_once(' ') {
        Some((name, count)) if name == case => {
            format!("{name} {}\n", count.parse::<u64>().unwrap() * thousandths / 1_000)
        }
        _ => format!("{line}\n"),
    };
    baseline().lines().map(line).collect()
}

#[test]
fn the_baseline_holds_against_itself_and_within_three_percent() {
    for (n, thousandths) in [1_000, 975, 1_025].into_iter().enumerate() {
        let (holds, said) = compared(&format!("same-{n}"), &doctored("link.parse", thousandths), &baseline());
        assert!(holds && !said.contains("WORSE") && !said.contains("BETTER"), "{thousandths}: {said}");
    }
}

#[test]
fn more_than_three_percent_worse_fails_with_the_functions_name_and_both_counts() {
    let before = doctored("snapshot.encode", 960);
    let count = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("snapshot.encode "));
        line.unwrap().to_owned()
    };
    let (holds, said) = compared("worse", &before, &baseline());
    assert!(!holds, "{said}");
    let wrong: Vec<&str> = said.lines().filter(|line| line.starts_with("WORSE ")).collect();
    let [wrong] = wrong[..] else { panic!("one is worse: {said}") };
    for words in ["snapshot.encode", &count(&before), &count(&baseline())] {
        assert!(wrong.contains(words), "{words}: {wrong}");
    }
}

#[test]
fn more_than_three_percent_better_asks_for_a_new_baseline_and_does_not_fail() {
    let (holds, said) = compared("better", &doctored("slide.step", 1_050), &baseline());
    assert!(holds && said.contains("BETTER slide.step") && said.contains("--update"), "{said}");
}

#[test]
fn what_is_missing_on_either_side_fails() {
    let without: String = baseline()
        .lines()
        .filter(|line| !line.starts_with("trace.sight_300 "))
        .map(|l| format!("{l}\n"))
        .collect();
    let cases = [
        (baseline(), without.clone(), "trace.sight_300"),
        (without, baseline(), "trace.sight_300"),
        (baseline(), "# nothing\n".into(), "nothing was counted"),
        (baseline(), baseline() + "rubbish\n", "rubbish"),
    ];
    for (n, (before, now, words)) in cases.into_iter().enumerate() {
        let (holds, said) = compared(&format!("missing-{n}"), &before, &now);
        assert!(!holds && said.contains(words), "{words}: {said}");
    }
}

#[test]
fn every_case_is_in_the_baseline() {
    let output = Command::new(env!("CARGO_BIN_EXE_ninefold-counts")).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<&str> = listed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    names.sort_unstable();
    let kept = baseline();
    let kept: Vec<&str> =
        kept.lines().filter(|l| !l.starts_with('#')).map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(kept, names);
}
