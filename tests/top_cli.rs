//! What a person or a script gets of `ninefold top`: the real binary, against a server in this process.

mod common;

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Player, config, start, until};
use ninefold::config::Config;

fn top(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ninefold"));
    command.arg("top").args(args).stdin(Stdio::null()).output().expect("the binary can be run")
}

/// The one line of a run that must fail with this code.
fn failure(args: &[&str], code: i32) -> String {
    let output = top(args);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(code), 1), "{line}");
    assert!(output.stdout.is_empty() && line.starts_with("ninefold: "), "{line}");
    line
}

#[test]
fn one_picture_is_printed_as_text() {
    let config = Config { metrics_listen: Some("127.0.0.1:0".parse().unwrap()), ..config() };
    let server = start(&config);
    let mut players = [Player::join(&server, &config, 4_711)];
    until("it has its ring", 10, &mut players, |players| players.iter().all(Player::has_ring));
    // It goes on playing while somebody looks.
    let address = server.metrics().unwrap().to_string();
    let asked = address.clone();
    let looking = std::thread::spawn(move || top(&[&asked, "--once"]));
    until("it was looked at", 10, &mut players, |_| looking.is_finished());
    let output = looking.join().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let picture = String::from_utf8(output.stdout).unwrap();
    for what in
        [&format!("ninefold {address}  1 clients"), "simulate", "4711 udp", "arrivals udp", "lanes", "● live"]
    {
        assert!(picture.contains(what), "no {what:?} in\n{picture}");
    }
    assert!(!picture.contains('\u{1b}'), "it is plain");
    server.stop().unwrap();
}

#[test]
fn a_wrong_address_is_a_mistake_and_a_dead_one_is_told_in_time() {
    assert!(failure(&["127.0.0.1"], 2).contains("it has no port"));
    assert!(failure(&["nobody.invalid:1", "--once"], 2).contains("is no address"));
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert!(failure(&[&dead, "--once"], 1).contains("refused"));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    assert!(failure(&[&silent.local_addr().unwrap().to_string(), "--once"], 1).contains("no answer within"));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    assert!(failure(&["127.0.0.1:1"], 2).contains("--once"));
}
