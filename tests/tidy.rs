//! What no compiler checks: sizes, headers, directions.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code of a file before its tests.
const FILE_LINES_MAX: usize = 620;
/// Lines from a function's signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = [
        "src",
        "protocol/src",
        "world/src",
        "netem/src",
        "client/src",
        "client-c/src",
        "client-sim/src",
        "counts/src",
        "examples",
    ]
    .map(|f| root().join(f))
    .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 50, "the sources were found");
    files
}

/// The part before the tests.
fn code(text: &str) -> &str {
    text.split("\n#[cfg(test)]").next().unwrap_or(text)
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|s| s == "tests" || s == "model")
}

#[test]
fn every_module_says_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} has no header", path.display());
    }
}

#[test]
fn files_and_functions_stay_small() {
    for (path, text) in sources().iter().filter(|(path, _)| !is_test_file(path)) {
        let lines: Vec<&str> = code(text).lines().collect();
        assert!(lines.len() <= FILE_LINES_MAX, "{}: {} lines", path.display(), lines.len());
        for (start, line) in lines.iter().enumerate() {
            let body = line.trim_start();
            let is_function =
                body.starts_with("fn ") || body.starts_with("pub fn ") || body.starts_with("pub(");
            if !is_function || !body.contains("fn ") {
                continue;
            }
            let indent = line.len() - body.len();
            let close = format!("{}}}", " ".repeat(indent));
            let Some(length) = lines[start..].iter().position(|l| *l == close) else { continue };
            assert!(length < FUNCTION_LINES_MAX, "{}:{}: {length} lines", path.display(), start + 1);
        }
    }
}

/// Which of our crates a manifest may depend on outside its tests.
#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 9] = [
        ("protocol", &[]),
        ("world", &[]),
        ("netem", &[]),
        ("client", &["ninefold-protocol", "ninefold-world"]),
        (".", &["ninefold-protocol", "ninefold-world"]),
        ("client-c", &["ninefold-client"]),
        ("client-sim", &["ninefold", "ninefold-client", "ninefold-netem"]),
        ("counts", &["ninefold", "ninefold-client", "ninefold-netem"]),
        ("examples/terminal", &["ninefold-client"]),
    ];
    for (folder, allowed) in allowed {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let section = manifest.split("\n[dependencies]\n").nth(1).expect("it has dependencies");
        let section = section.split("\n[").next().unwrap();
        let ours: Vec<&str> = (section.lines())
            .filter_map(|l| l.split(['.', ' ', '=']).next())
            .filter(|name| name.starts_with("ninefold"))
            .collect();
        assert_eq!(ours, allowed, "{folder}/Cargo.toml");
    }
}

#[test]
fn unsafe_code_is_forbidden_and_nothing_is_silenced_file_wide() {
    for (path, text) in sources() {
        let name = path.strip_prefix(root()).unwrap();
        // The one crate that talks to C, and the one module that talks to the system.
        let is_border = name.starts_with("client-c");
        let lifts = name == Path::new("src/carrier/udp.rs");
        let level =
            if name == Path::new("src/lib.rs") { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        if !is_border && (name.ends_with("src/lib.rs") || name.ends_with("src/main.rs")) {
            assert!(text.contains(level), "{}", name.display());
        }
        let lifted = text.matches("allow(unsafe_code").count();
        assert!(is_border || lifted == usize::from(lifts), "{}", name.display());
        assert!(!text.contains("#![allow(unused"), "{}", name.display());
    }
}

#[test]
fn nothing_is_left_to_do() {
    for (path, text) in sources() {
        for word in ["todo!(", "unimplemented!(", "TODO", "FIXME", "XXX"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}
