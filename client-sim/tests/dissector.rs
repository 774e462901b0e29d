//! tools/ninefold.lua, run by tshark over captures: it opens sealed packets, names frames and shows their fields.
//!
//! Where tshark is not installed the tests say so and pass; in CI it must be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ninefold_client::protocol::connection::{
    Client, ConnectToken, DATAGRAM_BYTES_MAX, Extensions, HandshakeLimits, Server, ServerConfig, TokenParams,
};
use ninefold_client::protocol::dictionary::{FRAMES, From, MESSAGES, REFUSALS, Unit};
use ninefold_client::protocol::frame::{PROTOCOL_VERSION, frame_header, kind};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_sim::capture::{Capture, key_log_beside};
use ninefold_sim::demo::Demo;
use ninefold_sim::swarm::Carrier;

const UNIX_S: u64 = 1_700_000_000;
const SERVER: &str = "127.0.0.1:45678";
const CLIENT: &str = "127.0.0.1:5000";
/// Between two packets, so that no limit of a client's packets is met.
const STEP: Duration = Duration::from_ms(20);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether tshark is there. In CI (where the variable `CI` is set) it must be.
fn tshark_is_missing() -> bool {
    let is_missing = Command::new("tshark").arg("-v").output().is_err();
    assert!(!is_missing || std::env::var_os("CI").is_none(), "tshark is not installed");
    if is_missing {
        eprintln!("skipped: tshark is not installed");
    }
    is_missing
}

/// A file of this test run that goes away with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("ninefold-{name}-{}.pcap", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(key_log_beside(&self.0));
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The packets of a capture that the filter lets through: of each the values of the fields that it has.
fn tshark(capture: &Path, filter: &str, fields: &[String]) -> Vec<BTreeMap<String, String>> {
    let script = repository().join("tools/ninefold.lua");
    let mut command = Command::new("tshark");
    command.arg("-X").arg(format!("lua_script:{}", script.display()));
    command.arg("-o").arg(format!("ninefold.key_log:{}", key_log_beside(capture).display()));
    command.arg("-r").arg(capture).args(["-Y", filter, "-T", "fields", "-E", "separator=|"]);
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    let output = command.output().expect("tshark runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("Lua"), "tshark: {errors}");
    let text = String::from_utf8(output.stdout).expect("tshark writes text");
    let packet = |line: &str| {
        let values = fields.iter().zip(line.split('|')).filter(|(_, value)| !value.is_empty());
        values.map(|(name, value)| (name.clone(), value.to_owned())).collect()
    };
    text.lines().map(packet).collect()
}

/// A body of a frame or message of the golden bytes.
struct Golden {
    unit: &'static Unit,
    bytes: Vec<u8>,
}

fn golden() -> Vec<Golden> {
    let mut all = Vec::new();
    for file in ["link.txt", "frames.txt", "moving.txt"] {
        let path = repository().join("protocol/vectors").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        for block in text.split("\n\n").filter(|b| b.starts_with("vector ") && !b.contains("\nrefused ")) {
            let name = block["vector ".len()..].split(", ").next().unwrap();
            // Those carry messages, which come by themselves.
            if name == "RELIABLE" {
                continue;
            }
            let Some(unit) = FRAMES.iter().chain(MESSAGES).find(|unit| unit.name == name) else { continue };
            let digits: Vec<u32> =
                block.rsplit("0x").next().unwrap().trim().chars().map(|c| c.to_digit(16).unwrap()).collect();
            let bytes = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
            all.push(Golden { unit, bytes });
        }
    }
    assert!(all.len() > 30, "the golden bytes were found");
    all
}

impl Golden {
    fn is_message(&self) -> bool {
        MESSAGES.iter().any(|unit| std::ptr::eq(unit, self.unit))
    }

    /// A packet of the link with this in it.
    fn packet(&self, number: u32) -> Vec<u8> {
        let mut packet = number.to_le_bytes().to_vec();
        if self.is_message() {
            packet.extend(frame_header(kind::RELIABLE, 5 + self.bytes.len()));
            packet.extend(number.to_le_bytes());
            packet.push(self.unit.number);
        } else {
            packet.extend(frame_header(self.unit.number, self.bytes.len()));
        }
        packet.extend(&self.bytes);
        packet
    }

    /// What must be shown of it.
    fn expected(&self, number: u32) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([("ninefold.number".to_owned(), number.to_string())]);
        let mut add = |prefix: &str, unit: &Unit, mut bytes: &[u8]| {
            for field in unit.fields {
                let value = field.scalar.read(bytes).expect("golden bytes are long enough");
                bytes = &bytes[field.scalar.bytes()..];
                all.insert(path(prefix, unit, field.name), value.to_string());
            }
        };
        add("", self.unit, &self.bytes);
        if self.unit.name == "REFUSE" {
            let reason = REFUSALS.iter().find(|reason| reason.number == self.bytes[0]).unwrap();
            add("refuse.", reason, &self.bytes[1..]);
        }
        let frame = if self.is_message() {
            all.insert("ninefold.message".to_owned(), self.unit.number.to_string());
            all.insert("ninefold.reliable.sequence".to_owned(), number.to_string());
            all.insert("ninefold.reliable.kind".to_owned(), self.unit.number.to_string());
            kind::RELIABLE
        } else {
            self.unit.number
        };
        all.insert("ninefold.frame".to_owned(), format!("{frame:#04x}"));
        all
    }
}

fn path(prefix: &str, unit: &Unit, field: &str) -> String {
    format!("ninefold.{prefix}{}.{field}", unit.name.to_lowercase())
}

/// The fields of all units.
fn paths() -> Vec<String> {
    let of = |prefix: &'static str, units: &'static [Unit]| {
        units.iter().flat_map(move |unit| unit.fields.iter().map(move |f| path(prefix, unit, f.name)))
    };
    let plain = ["number", "frame", "message"].map(|name| format!("ninefold.{name}"));
    plain.into_iter().chain(of("", FRAMES)).chain(of("", MESSAGES)).chain(of("refuse.", REFUSALS)).collect()
}

/// A connection between two ends in memory, all of whose datagrams are captured.
struct Wire {
    server: Server,
    client: Client,
    capture: Capture,
    now: Instant,
}

impl Wire {
    fn connect(capture: &Path, extensions: Extensions) -> Wire {
        let server: SocketAddr = SERVER.parse().unwrap();
        let config = ServerConfig {
            protocol_id: 1,
            private_key: [1; 32],
            public_addresses: vec![server],
            clients_max: 1,
            unix_s_at_origin: UNIX_S,
            challenge_key: [2; 32],
            hash_seed: [3; 32],
            limits: HandshakeLimits::default(),
        };
        let params = TokenParams {
            protocol_id: 1,
            client_id: 1,
            create_unix_s: UNIX_S,
            expire_unix_s: UNIX_S + 60,
            timeout_s: 0,
            server_addresses: vec![server],
            user_data: [0; 256],
        };
        let token =
            ConnectToken::mint_extended(&params, extensions, &[1; 32], [4; 24], [5; 32], [6; 32]).unwrap();
        let now = Instant::ZERO;
        let capture = Capture::create(capture, UNIX_S, std::slice::from_ref(&token)).unwrap();
        let client = Client::new(now, UNIX_S, &token).unwrap();
        let mut wire = Wire { server: Server::new(config, now), client, capture, now };
        (0..4).for_each(|_| wire.talk());
        assert_eq!(wire.server.connected(), 1);
        wire
    }

    /// What both ends have to say of themselves.
    fn talk(&mut self) {
        let (server, client): (SocketAddr, SocketAddr) = (SERVER.parse().unwrap(), CLIENT.parse().unwrap());
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(t) = self.client.poll_transmit(self.now, &mut buffer) {
            self.capture.datagram(self.now, client, server, &buffer[..t.bytes]);
            self.server.handle(self.now, client, &mut buffer[..t.bytes]);
        }
        while let Some(t) = self.server.poll_transmit(self.now, &mut buffer) {
            self.capture.datagram(self.now, server, client, &buffer[..t.bytes]);
            self.client.handle(self.now, server, &mut buffer[..t.bytes]);
        }
        self.now += STEP;
    }

    /// Sends one packet of the link.
    fn send(&mut self, from: From, packet: &[u8]) {
        let (server, client): (SocketAddr, SocketAddr) = (SERVER.parse().unwrap(), CLIENT.parse().unwrap());
        let mut out = [0; DATAGRAM_BYTES_MAX];
        if from == From::Server {
            let (_, bytes) = self.server.seal(self.now, 0, &[packet], &mut out).unwrap();
            self.capture.datagram(self.now, server, client, &out[..bytes]);
        } else {
            let (_, bytes) = self.client.seal(self.now, &[packet], &mut out).unwrap();
            self.capture.datagram(self.now, client, server, &out[..bytes]);
            self.server.handle(self.now, client, &mut out[..bytes]);
        }
        self.talk();
    }
}

fn golden_frames_are_shown_as_they_were_sent(name: &str, extensions: Extensions) {
    if tshark_is_missing() {
        return;
    }
    let scratch = Scratch::new(name);
    let mut wire = Wire::connect(&scratch.0, extensions);
    let golden = golden();
    for (number, golden) in (0..).zip(&golden) {
        wire.send(golden.unit.from, &golden.packet(number));
    }
    wire.capture.finish().unwrap();
    let shown = tshark(&scratch.0, "ninefold.number", &paths());
    assert_eq!(shown.len(), golden.len(), "packets of the link");
    for ((number, golden), shown) in (0..).zip(&golden).zip(shown) {
        assert_eq!(shown, golden.expected(number), "{}", golden.unit.name);
    }
    let wrong = tshark(&scratch.0, "ninefold.cut || ninefold.no_keys || _ws.malformed", &paths());
    assert_eq!(wrong, []);
}

#[test]
fn frames_of_a_standard_session_are_shown_as_they_were_sent() {
    golden_frames_are_shown_as_they_were_sent("standard", Extensions::default());
}

#[test]
fn frames_of_a_session_with_aes_and_connection_ids_are_shown_as_they_were_sent() {
    golden_frames_are_shown_as_they_were_sent("extended", Extensions::ALL);
}

#[test]
fn a_session_without_its_keys_is_named_and_stays_closed() {
    if tshark_is_missing() {
        return;
    }
    let scratch = Scratch::new("closed");
    let mut wire = Wire::connect(&scratch.0, Extensions::ALL);
    wire.send(From::Client, &[0; 4]);
    wire.capture.finish().unwrap();
    std::fs::write(key_log_beside(&scratch.0), "").unwrap();
    assert_eq!(tshark(&scratch.0, "ninefold.number", &paths()), []);
    assert!(!tshark(&scratch.0, "ninefold.no_keys", &paths()).is_empty());
}

#[test]
fn a_capture_of_the_simulator_shows_whole_sessions() {
    if tshark_is_missing() {
        return;
    }
    let scratch = Scratch::new("demo");
    let demo = Demo {
        line: None,
        clients: 3,
        carrier: Carrier::Udp,
        seconds: 2,
        seed: 9,
        speed: 640,
        threads: 1,
        json: None,
        capture: Some(scratch.0.clone()),
        quiet: true,
    };
    let report = demo.run().unwrap();
    assert!(report.chunks_delivered > 0);
    let shown = tshark(&scratch.0, "ninefold.number", &paths());
    let with = |field: &str| shown.iter().filter(|packet| packet.contains_key(field)).count();
    let values =
        |field: &str| shown.iter().filter_map(|packet| packet.get(field)).cloned().collect::<Vec<_>>();
    // On a busy machine messages are sent again, and there is less of everything.
    for (field, value) in
        [("ninefold.hello.version_max", PROTOCOL_VERSION), ("ninefold.welcome.tick_rate_hz", 60)]
    {
        let values = values(field);
        assert!(values.len() >= 3 && values.iter().all(|v| *v == value.to_string()), "{field}: {values:?}");
    }
    assert!(with("ninefold.chunk_enter.cx") >= 3);
    assert!(with("ninefold.fragment.index") >= 9, "{} fragments", with("ninefold.fragment.index"));
    for field in ["ninefold.snapshot.tick", "ninefold.inputs.newest"] {
        assert!(with(field) > 50, "{} with {field}", with(field));
    }
    let wrong = tshark(&scratch.0, "ninefold.cut || ninefold.no_keys || _ws.malformed", &paths());
    assert_eq!(wrong, []);
    let addresses = tshark(&scratch.0, "ninefold.request.nonce", &["udp.dstport".to_owned()]);
    assert!(addresses.len() >= 3 && addresses.windows(2).all(|pair| pair[0] == pair[1]));
}
