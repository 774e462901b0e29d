//! `ninefold-sim run` from outside: the scenarios that ship, exit codes, and a generator that gets no core.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use ninefold_sim::outcome::{Outcome, Verdict};
use ninefold_sim::scenario::Scenario;

/// Busy loops beside a starved generator, and the CPU seconds after which each ends by itself.
const BUSY: usize = 24;
const BUSY_CPU_S: u32 = 20;

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn sim() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ninefold-sim"))
}

fn run(arguments: &[&str]) -> Output {
    sim().arg("run").arg(scenarios().join("smoke.toml")).args(arguments).output().unwrap()
}

/// A file name of the test's own; the file is removed at its end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        Place(std::env::temp_dir().join(format!("ninefold-run-{}-{name}", std::process::id())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Ends when it is dropped.
struct Busy(Child);

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_scenario_that_ships_can_be_read_and_says_what_it_is_for() {
    let shipped = [
        "smoke",
        "walk-200",
        "walk-1000",
        "crowd-500",
        "sprint",
        "teleport-storm",
        "churn",
        "bad-links",
        "soak",
        "soak-churn",
        "join-flood",
    ];
    for name in shipped {
        let scenario = Scenario::load(&scenarios().join(format!("{name}.toml"))).unwrap();
        assert_eq!(scenario.name, name);
        assert!(!scenario.about.is_empty() && !scenario.objectives.is_empty(), "{name}");
        let cast = scenario.cast();
        assert_eq!((cast.parts.len() as u64, cast.length), (scenario.clients(), scenario.length()), "{name}");
    }
    let files = std::fs::read_dir(scenarios()).unwrap();
    let found = files.filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "toml")).count();
    assert!(found >= shipped.len(), "{found} files");
}

#[test]
fn smoke_runs_in_full_and_all_that_the_machine_cannot_spoil_holds() {
    let place = Place::new("smoke.json");
    let output = run(&["--quiet", "--out", place.0.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    let outcome = Outcome::load(&place.0).unwrap();
    assert_eq!(output.status.code(), Some(outcome.verdict.exit_code().into()), "{text}");
    // On a machine that is busy with other tests the audit may say so, or the server in the same process may be late.
    let can_be_spoilt = |name: &str| name == "input_state_p99";
    for judged in outcome.objectives.iter().filter(|judged| !can_be_spoilt(&judged.name)) {
        assert!(judged.met, "{}: {text}", judged.objective);
    }
    let met = outcome.objectives.iter().all(|judged| judged.met);
    assert_eq!(outcome.verdict == Verdict::Passed, outcome.audit.ok && met, "{text}");
    for name in ["chunks_wrong", "clients_lost", "joins_failed"] {
        assert_eq!(outcome.figure(name), Some(0.0), "{name}: {text}");
    }
    assert_eq!((outcome.groups.len(), outcome.series.len()), (5, 10), "{text}");
    let visitors = outcome.groups.iter().find(|group| group.name == "visitors").unwrap();
    assert!(visitors.sessions > 2, "they come again: {}", visitors.sessions);
    assert!(outcome.figure("input_state_p50").unwrap() > 0.0 && outcome.figure("edge_p1").unwrap() > 0.0);
    assert!(outcome.server.unwrap().ticks > 300 && outcome.lines.len() == 2);
    let last = text.trim_end().lines().last().unwrap();
    assert!(["PASSED", "MISSED", "INVALID"].iter().any(|word| last.starts_with(word)), "{last}");
}

#[test]
fn an_objective_that_is_missed_or_not_measured_is_exit_code_99() {
    let output = run(&["--quiet", "--duration", "2s", "--clients", "5", "--slo", "input_state_p50 < 1us"]);
    let text = String::from_utf8(output.stdout).unwrap();
    // 98 where the machine is too busy to say anything.
    assert!(matches!(output.status.code(), Some(99 | 98)), "{text}");
    assert!(text.contains("✗ input_state_p50 < 1us"), "{text}");
}

#[test]
fn what_is_wrong_is_one_line_and_exit_code_2() {
    let missing = |arguments: &[&str]| {
        let output = run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        text
    };
    let one_line = |arguments: &[&str], words: &str| {
        let text = missing(arguments);
        assert!(text.contains(words) && text.trim_end().lines().count() == 1, "{arguments:?}: {text}");
    };
    one_line(&["--server", "127.0.0.1:9"], "QUIC");
    one_line(&["--clients", "1"], "5 groups");
    one_line(&["--out", "/nonexistent/run.json"], "/nonexistent/run.json");
    one_line(
        &[
            "--server",
            "203.0.113.1:9",
            "--quic-server",
            "203.0.113.1:9",
            "--quic-fingerprint",
            &"ab".repeat(32),
        ],
        "--key-file",
    );
    assert!(missing(&["--slo", "tickp99<8ms"]).contains("unknown figure"));
    assert!(missing(&["--ramp", "3 weeks"]).contains("30s"));
    let output = sim().args(["run", "/nonexistent.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("there is no such file"));
}

#[test]
fn the_help_tells_every_exit_code() {
    let output = sim().args(["run", "--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for code in ["  0  ", "  99 ", "  98 ", "  2  ", "  1  "] {
        assert!(text.contains(code), "{code}: {text}");
    }
}

/// The generator shares one core with loops that want all of it: its clients' ticks are late, whatever the server is.
#[test]
#[cfg(target_os = "linux")]
fn a_generator_that_is_starved_of_cpu_says_that_its_run_is_invalid() {
    let on_core_0 = |program: &Path| {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    };
    let busy = || {
        let loops = format!("ulimit -t {BUSY_CPU_S}; while :; do :; done");
        let child = on_core_0(Path::new("sh")).args(["-c", &loops]).stdin(Stdio::null()).spawn();
        Busy(child.expect("taskset is part of every Linux that this is tested on"))
    };
    let busy: Vec<Busy> = (0..BUSY).map(|_| busy()).collect();
    std::thread::sleep(Duration::from_millis(200));
    let mut command = on_core_0(Path::new(env!("CARGO_BIN_EXE_ninefold-sim")));
    command.arg("run").arg(scenarios().join("smoke.toml")).args(["--quiet", "--duration", "5s"]);
    let output = command.output().unwrap();
    drop(busy);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(98), "{text}");
    assert!(text.contains("✗ late_p99"), "{text}");
    assert!(text.trim_end().lines().last().unwrap().starts_with("INVALID"), "{text}");
}
