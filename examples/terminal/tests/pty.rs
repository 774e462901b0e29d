//! The whole client in a terminal of its own, against a server on loopback.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ninefold::config::Config;
use ninefold::server::Server;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

const PATIENCE: Duration = Duration::from_secs(20);
/// Asks whether the terminal knows the kitty keyboard protocol; then what it is.
const ASKS_KEYBOARD: &str = "\x1b[?u\x1b[c";
const ALTERNATE_OFF: &str = "\x1b[?1049l";

/// A client in a terminal of 100 x 30.
struct Session {
    child: Child,
    keys: File,
    terminal: OwnedFd,
    written: Receiver<Vec<u8>>,
    seen: String,
}

impl Session {
    fn start(arguments: &[String]) -> Session {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap();
        let terminal =
            rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
                .unwrap();
        tcsetwinsize(&terminal, Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let stdio = || Stdio::from(terminal.try_clone().unwrap());
        // As from a shell: its controlling terminal, which tells it when it goes.
        let child = Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_ninefold-terminal")])
            .args(arguments)
            .env("TERM", "xterm-256color")
            .env("COLORTERM", "truecolor")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        let keys = File::from(keys);
        let (sender, written) = mpsc::channel();
        let mut reads = keys.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(bytes) = reads.read(&mut buffer) {
                if sender.send(buffer[..bytes].to_vec()).is_err() {
                    break;
                }
            }
        });
        Session { child, keys, terminal, written, seen: String::new() }
    }

    /// Waits until something has been written since the last time.
    fn until(&mut self, what: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.seen.contains(what) {
            let left = end.saturating_duration_since(Instant::now());
            match self.written.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => panic!("{what:?} was not written:\n{}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("the terminal is gone"),
            }
        }
        let at = self.seen.find(what).unwrap() + what.len();
        self.seen.drain(..at);
    }

    /// Answers as a terminal that does not tell when a key is let go.
    fn answer(&mut self) {
        self.until(ASKS_KEYBOARD);
        self.press("\x1b[?62c");
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for its end; tells whether it ended well. The terminal is as it was before.
    fn end(mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO), "{modes:?}");
        status.success()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn serve() -> (Server, Vec<String>) {
    let config =
        Config { listen: "127.0.0.1:0".parse().unwrap(), spawn_radius_chunks: 0, ..Config::default() };
    let server = Server::start(&config, config.generator.world(config.world_seed)).unwrap();
    let arguments = vec!["--server".to_owned(), server.address().to_string()];
    (server, arguments)
}

#[test]
fn a_player_walks_in_a_terminal_and_gets_it_back() {
    let (server, arguments) = serve();
    let mut session = Session::start(&arguments);
    session.answer();
    // Its panels, and its own figure: it looks east, then where a key has turned it.
    session.until("round trip");
    session.until("→");
    session.press("s");
    session.until("↓");
    session.press("q");
    session.until(ALTERNATE_OFF);
    assert!(session.end());
    server.stop().unwrap();
}

#[test]
fn a_signal_gives_the_terminal_back_too() {
    let (server, arguments) = serve();
    let mut session = Session::start(&arguments);
    session.answer();
    session.until("→");
    let pid = rustix::process::Pid::from_child(&session.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    session.until(ALTERNATE_OFF);
    assert!(session.end());
    server.stop().unwrap();
}

/// One was seen that went on asking for keys, as fast as it could; that takes a hang-up in a bad moment, which this
/// does not bring about each time.
#[test]
fn a_terminal_that_has_gone_ends_it() {
    let (server, arguments) = serve();
    let mut session = Session::start(&arguments);
    session.answer();
    session.until("→");
    // All that this side has of the terminal; the thread that reads ends with the next picture, which a step brings.
    let nothing = || File::open("/dev/null").unwrap();
    session.written = mpsc::channel().1;
    session.press("s");
    std::thread::sleep(Duration::from_secs(1));
    (session.keys, session.terminal) = (nothing(), OwnedFd::from(nothing()));
    let end = Instant::now() + PATIENCE;
    while session.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    server.stop().unwrap();
}

#[test]
fn where_no_server_is_it_says_what_to_do() {
    // Bound by nobody from here on.
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut session = Session::start(&["--server".to_owned(), free.to_string()]);
    session.answer();
    session.until("knocking at");
    session.until(ALTERNATE_OFF);
    session.until("no server at");
    session.until("cargo run --release");
    assert!(!session.end());
}

#[test]
fn for_another_machine_it_asks_for_a_token() {
    let run = Command::new(env!("CARGO_BIN_EXE_ninefold-terminal"))
        .args(["--server", "203.0.113.1:1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && told.contains("--token"), "{told}");
}
