//! How soon a server listens: its program is started, and its first line waited for.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// From the start of the process to its saying where it listens.
const LISTENING_WITHIN: Duration = Duration::from_millis(50);
/// Other tests run beside this one: the best of so many counts.
const STARTS_MAX: usize = 40;
/// Between two of them, so that not all fall into one busy moment.
const BETWEEN: Duration = Duration::from_millis(100);

/// Ends with the test, whatever becomes of it.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long a server with both carriers and its metrics takes to listen.
fn start() -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ninefold"));
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("NINEFOLD_")) {
        command.env_remove(name);
    }
    let any = "127.0.0.1:0";
    command.args(["serve", "--listen", any, "--quic-listen", any, "--metrics-listen", any, "--log", "off"]);
    let began = Instant::now();
    let mut served = Served(command.stdout(Stdio::piped()).spawn().expect("it runs"));
    let mut line = String::new();
    let mut words = BufReader::new(served.0.stdout.take().expect("it is piped"));
    words.read_line(&mut line).expect("it says where it listens");
    let took = began.elapsed();
    assert!(line.starts_with("listening on 127.0.0.1:"), "{line}");
    took
}

#[test]
fn a_server_listens_within_fifty_milliseconds() {
    let mut best = Duration::MAX;
    for _ in 0..STARTS_MAX {
        best = best.min(start());
        if best <= LISTENING_WITHIN {
            break;
        }
        std::thread::sleep(BETWEEN);
    }
    println!("listening after {best:?}");
    assert!(best <= LISTENING_WITHIN, "the best of {STARTS_MAX} starts took {best:?}");
}
