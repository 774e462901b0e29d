//! A server in a process of its own, as an operator runs it: what it says of QUIC, and what a client costs.
#![cfg(target_os = "linux")]

mod common;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use common::quic::{RUNTIME, Setup, endpoint, show};
use ninefold::config::Config;
use ninefold::server::unix_s;
use ninefold_client::protocol::connection::{ConnectToken, DEVELOPMENT_KEY, Fingerprint, TokenParams};

/// Idle clients whose cost is measured.
const CLIENTS: u64 = 500;
/// What one of them may cost: all of quinn's and our state, in the ordinary allocator. The page of numbers
/// has the figure.
const CLIENT_KIB_MAX: u64 = 64;

struct Served {
    process: Child,
    udp: SocketAddr,
    quic: SocketAddr,
    fingerprint: Fingerprint,
}

impl Served {
    fn start() -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ninefold"));
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("NINEFOLD_")) {
            command.env_remove(name);
        }
        command.args(["--listen", "127.0.0.1:0", "--quic-listen", "127.0.0.1:0", "--log", "off"]);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut line = || lines.next().expect("it says where it listens").expect("in text");
        let udp = line().strip_prefix("listening on ").unwrap().parse().unwrap();
        let said = line();
        let said = said.strip_prefix("listening for QUIC on ").unwrap_or_else(|| panic!("{said}"));
        let (quic, hex) = said.split_once(", certificate SHA-256 ").unwrap();
        let fingerprint: Fingerprint = hex.parse().unwrap();
        Served { process, udp, quic: quic.parse().unwrap(), fingerprint }
    }

    fn token(&self, client_id: u64) -> ConnectToken {
        let mut secrets = [[0; 32]; 3];
        secrets.iter_mut().for_each(|secret| getrandom::fill(secret).unwrap());
        let params = TokenParams {
            protocol_id: Config::default().protocol_id,
            client_id,
            create_unix_s: unix_s(),
            expire_unix_s: unix_s() + 60,
            timeout_s: 60,
            server_addresses: vec![self.udp],
            user_data: [0; 256],
        };
        let [nonce, up, down] = secrets;
        ConnectToken::mint(&params, &DEVELOPMENT_KEY, *nonce.first_chunk().unwrap(), up, down).unwrap()
    }

    /// Resident memory, KiB.
    fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_idle_quic_client_costs_the_server_little_memory() {
    let served = Served::start();
    let endpoint = endpoint(served.fingerprint, Setup::default());
    let join = |client_id| {
        let (endpoint, shown) = (endpoint.clone(), served.token(client_id).shown());
        let to = served.quic;
        async move {
            let connection = endpoint.connect(to, "localhost").unwrap().await.unwrap();
            show(&connection, &shown).await.unwrap();
            connection
        }
    };
    // What the first ones cost is the process's own.
    let mut connections: Vec<_> = (0..20).map(|id| RUNTIME.block_on(join(id))).collect();
    let before = served.memory_kib();
    connections.extend((20..20 + CLIENTS).map(|id| RUNTIME.block_on(join(id))));
    std::thread::sleep(std::time::Duration::from_millis(500));
    let each_kib = served.memory_kib().saturating_sub(before) as f64 / CLIENTS as f64;
    println!("{each_kib:.1} KiB for each of {CLIENTS} idle clients over QUIC");
    assert!(connections.iter().all(|c| c.close_reason().is_none()));
    assert!(each_kib <= CLIENT_KIB_MAX as f64, "{each_kib:.1} KiB");
}
