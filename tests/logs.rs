//! The real binary as an operator runs it: what it logs under traffic, and what SIGUSR1 gives.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/trace.rs"]
mod trace;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use common::{Player, pass, until};
use ninefold::config::Config;
use ninefold::server::unix_s;
use ninefold_client::ClientConfig;
use ninefold_client::protocol::connection::{ConnectToken, DEVELOPMENT_KEY, TokenParams};
use trace::TraceFolder;

/// Lines that a server may log by itself while it starts, serves some clients and ends.
const QUIET_LINES_MAX: usize = 8;

struct Served {
    process: Child,
    udp: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Served {
    fn start(args: &[&str]) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ninefold"));
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("NINEFOLD_")) {
            command.env_remove(name);
        }
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let said = lines.next().expect("it says where it listens").expect("in text");
        let udp = said.strip_prefix("listening on ").unwrap().parse().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(process.stderr.take().expect("it is piped"));
        // What it prints at its end must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let kept = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line));
        });
        Served { process, udp, log, reader: Some(reader) }
    }

    fn join(&self, client_id: u64) -> Player {
        let mut secrets = [[0; 32]; 3];
        secrets.iter_mut().for_each(|secret| getrandom::fill(secret).unwrap());
        let params = TokenParams {
            protocol_id: Config::default().protocol_id,
            client_id,
            create_unix_s: unix_s(),
            expire_unix_s: unix_s() + 60,
            timeout_s: 10,
            server_addresses: vec![self.udp],
            user_data: [0; 256],
        };
        let [nonce, up, down] = secrets;
        let nonce = *nonce.first_chunk().unwrap();
        let token = ConnectToken::mint(&params, &DEVELOPMENT_KEY, nonce, up, down).unwrap();
        Player::join_udp(&token, &ClientConfig::new(unix_s()))
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(status.expect("kill can be run").success());
    }

    /// Ends it well and gives all that it logged.
    fn stop(mut self) -> Vec<String> {
        self.signal("-TERM");
        assert!(self.process.wait().expect("it ends").success());
        self.reader.take().unwrap().join().unwrap();
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn sigusr1_gives_a_trace_and_the_server_goes_on() {
    let folder = TraceFolder::new("sigusr1");
    let dir = folder.0.to_str().unwrap();
    let served = Served::start(&["--trace-dir", dir, "--log-format", "json"]);
    let mut players = [served.join(7)];
    until("it is in", 10, &mut players, |players| players[0].has_ring());
    // It may have come in within five ticks.
    pass(20, &mut players);
    served.signal("-USR1");
    let trace = folder.wait_for("one for the signal", |trace| trace.other["why"] == "SIGUSR1");
    assert!(trace.ticks().len() > 5);
    let joined = trace.instants("clients", "joined");
    assert_eq!(joined.iter().filter(|mark| mark.args["client_id"] == 7).count(), 1);
    let quoted = serde_json::to_string(dir).unwrap();
    assert_eq!(trace.other["config"]["trace_dir"].as_str(), Some(quoted.as_str()));
    let shown = |players: &[Player]| players[0].client.snapshot().map_or(0, |snapshot| snapshot.tick);
    let before = shown(&players);
    until("it goes on", 10, &mut players, |players| shown(players) > before + 20);

    let log: Vec<serde_json::Value> =
        served.stop().iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let written = log.iter().find(|line| line["message"] == "trace written" && line["why"] == "SIGUSR1");
    assert!(written.is_some_and(|line| line["path"].as_str().unwrap().starts_with(dir)), "{log:#?}");
    assert!(log.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()));
}

#[test]
fn traffic_is_not_in_the_log_whatever_it_is() {
    let folder = TraceFolder::new("quiet");
    let served =
        Served::start(&["--trace-dir", folder.0.to_str().unwrap(), "--trace-overrun-interval-s", "0"]);
    let mut players: Vec<Player> = (1..=4).map(|client_id| served.join(client_id)).collect();
    until("all are in", 10, &mut players, |players| players.iter().all(Player::has_ring));
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..60 {
        players.iter_mut().for_each(|player| player.wish = (1.0, if round % 20 < 10 { 1.0 } else { -1.0 }));
        for _ in 0..40 {
            let garbage: Vec<u8> = (0..random.usize(1..1_200)).map(|_| random.u8(..)).collect();
            stranger.send_to(&garbage, served.udp).unwrap();
        }
        pass(2, &mut players);
    }
    players.iter_mut().for_each(Player::leave);
    pass(10, &mut players);
    let log = served.stop();
    assert!((1..=QUIET_LINES_MAX).contains(&log.len()), "{log:#?}");
    assert!(log.iter().any(|line| line.contains(" INFO ninefold: serving")), "{log:#?}");
    assert!(log.iter().all(|line| !line.chars().any(char::is_control)), "{log:#?}");
}
