//! Keys and tokens from the command line: the real binary makes them, and a real server takes them.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration as StdDuration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ninefold::clock::Monotonic;
use ninefold::server::unix_s;
use ninefold_client::protocol::connection::{
    Client, ClientState, ConnectToken, DATAGRAM_BYTES_MAX, Extensions,
};
use ninefold_client::protocol::time::Duration;

const MISTAKE: Option<i32> = Some(2);
const STEP: StdDuration = StdDuration::from_millis(5);

/// The binary in an environment that says nothing of ninefold.
fn ninefold(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ninefold"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NINEFOLD_")) {
        command.env_remove(name);
    }
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    ninefold(args).output().expect("the binary can be run")
}

fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

/// The one line on standard error of a run that must fail with exit code 2.
fn mistake(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8(output.stderr).expect("errors are UTF-8");
    assert_eq!(output.status.code(), MISTAKE, "{args:?}: {stderr}");
    assert!(stderr.starts_with("ninefold: ") && stderr.lines().count() == 1, "{stderr}");
    assert!(output.stdout.is_empty(), "nothing but the error is told");
    stderr.trim_end().to_owned()
}

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the test directory can be written to");
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("the test directory's name is UTF-8").to_owned()
    }

    /// A new key file.
    fn key(&self, name: &str) -> String {
        let path = self.file(name);
        stdout(&["key", &path]);
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server process on a free port of the loopback interface.
struct ServerProcess {
    process: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl ServerProcess {
    fn start(flags: &[&str]) -> ServerProcess {
        ServerProcess::start_at("127.0.0.1:0", flags)
    }

    fn start_at(listen: &str, flags: &[&str]) -> ServerProcess {
        let mut command = ninefold(&["--listen", listen, "--log=off"]);
        let mut process = command.args(flags).stdout(Stdio::piped()).spawn().expect("the binary can be run");
        let mut stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it tells its address");
        let address = line.trim_end().strip_prefix("listening on ").expect("it listens");
        let address = address.parse().expect("an address");
        ServerProcess { process, stdout, address }
    }

    /// Ends it; returns its summary.
    fn stop(mut self) -> String {
        let status = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        assert!(status.expect("kill can be run").success());
        let mut summary = String::new();
        self.stdout.read_to_string(&mut summary).expect("the summary is UTF-8");
        assert!(self.process.wait().expect("it ends").success());
        summary
    }
}

/// Tries to connect with a token until that has succeeded or failed, or `for_s` have passed.
fn connect(token: &str, for_s: u64) -> ClientState {
    let bytes = BASE64_STANDARD.decode(token.trim_end()).expect("a token is base64");
    let token = ConnectToken::from_bytes(&bytes.try_into().expect("2,048 bytes")).expect("a token");
    let clock = Monotonic::start();
    let mut client = Client::new(clock.now(), unix_s(), &token).expect("it names a server");
    let own = if token.server_addresses[0].is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
    let socket = UdpSocket::bind(own).expect("a free port");
    socket.set_nonblocking(true).expect("a socket can be made non-blocking");
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let end = clock.now() + Duration::from_secs(for_s);
    while clock.now() < end && client.state() != ClientState::Connected && !client.state().is_final() {
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
            client.handle(clock.now(), from, &mut buffer[..bytes]);
        }
        client.handle_timeout(clock.now());
        while let Some(transmit) = client.poll_transmit(clock.now(), &mut buffer) {
            socket.send_to(&buffer[..transmit.bytes], transmit.to).expect("loopback takes it");
        }
        std::thread::sleep(STEP);
    }
    client.state()
}

#[cfg(unix)]
fn mode(path: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("it was made").permissions().mode() & 0o777
}

#[test]
fn a_key_is_64_digits_for_its_owner_alone_and_never_overwritten() {
    let folder = Folder::new("key");
    let [first, second] = ["a.key", "b.key"].map(|name| folder.file(name));
    let told = stdout(&["key", &first]);
    assert!(told.contains(&first) && told.contains("--private-key-file"), "{told}");
    let text = std::fs::read_to_string(&first).unwrap();
    assert!(text.len() == 65 && text.trim_end().bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
    #[cfg(unix)]
    assert_eq!(mode(&first), 0o600);
    let line = mistake(&["key", &first]);
    assert!(line.contains(&first) && line.contains("exists already"), "{line}");
    assert_eq!(std::fs::read_to_string(&first).unwrap(), text);
    stdout(&["key", &second]);
    assert_ne!(std::fs::read_to_string(&second).unwrap(), text);
    let line = mistake(&["key", &folder.file("no-such-folder/a.key")]);
    assert!(line.contains("no-such-folder"), "{line}");
}

#[test]
fn a_minted_token_lets_a_client_in_once_and_from_a_file_as_well() {
    let folder = Folder::new("let-in");
    let key = folder.key("server.key");
    let key_flag = format!("--private-key-file={key}");
    let server = ServerProcess::start(&[&key_flag, "--protocol-id=0x1234"]);
    let address = server.address.to_string();
    let mint = ["token", &key_flag, "--protocol-id=0x1234", "--server", &address];
    let token = stdout(&[&mint[..], &["--client-id=1"]].concat());
    assert_eq!(connect(&token, 5), ClientState::Connected);
    // From another port, while the first session stands.
    assert_eq!(connect(&token, 1), ClientState::SendingRequest);
    let file = folder.file("token.txt");
    let told = stdout(&[&mint[..], &["--client-id=2", "--out", &file]].concat());
    assert!(told.contains("client 2") && told.contains(&file), "{told}");
    #[cfg(unix)]
    assert_eq!(mode(&file), 0o600);
    assert_eq!(connect(&std::fs::read_to_string(&file).unwrap(), 5), ClientState::Connected);
    let line = mistake(&[&mint[..], &["--client-id=3", "--out", &file]].concat());
    assert!(line.contains("exists already"), "{line}");
    let summary = server.stop();
    assert!(
        summary.contains("connection.connected 2") && summary.contains("request_used_token"),
        "{summary}"
    );
}

#[test]
fn a_token_for_an_ipv6_address_lets_a_client_in_over_it() {
    let folder = Folder::new("ipv6");
    let key_flag = format!("--private-key-file={}", folder.key("server.key"));
    let server = ServerProcess::start_at("[::1]:0", &[&key_flag]);
    let address = server.address.to_string();
    assert!(address.starts_with("[::1]:"), "{address}");
    let mint = |server: &str| stdout(&["token", &key_flag, "--client-id=1", "--server", server]);
    let state = connect(&mint(&address), 5);
    let summary = server.stop();
    assert_eq!(state, ClientState::Connected);
    assert!(summary.contains("connection.connected 1"), "{summary}");
}

#[test]
fn another_key_or_protocol_and_an_expired_token_are_refused_and_counted() {
    let folder = Folder::new("refused");
    let keys = ["server.key", "other.key"].map(|name| format!("--private-key-file={}", folder.key(name)));
    let server = ServerProcess::start(&[&keys[0]]);
    let address = server.address.to_string();
    let mint = |args: &[&str]| stdout(&[&["token", "--client-id=1", "--server", &address], args].concat());
    assert_eq!(connect(&mint(&[&keys[1]]), 1), ClientState::SendingRequest);
    assert_eq!(connect(&mint(&[&keys[0], "--protocol-id=1"]), 1), ClientState::SendingRequest);
    let expired = mint(&[&keys[0], "--expires-in-s=1"]);
    std::thread::sleep(StdDuration::from_millis(2_100));
    // The client goes by the token's lifetime; the server says nothing until then.
    assert_eq!(connect(&expired, 5), ClientState::TokenExpired);
    let summary = server.stop();
    for counter in ["request_forged", "request_protocol", "request_expired"] {
        assert!(summary.contains(&format!("connection.{counter} ")), "{counter} not in {summary}");
    }
    assert!(!summary.contains("connection.connected"), "{summary}");
}

#[test]
fn a_token_follows_the_servers_own_configuration_file() {
    let folder = Folder::new("from-config");
    let key = folder.key("server.key");
    let config = folder.file("server.toml");
    let text = format!(
        "private_key_file = \"{key}\"\nprotocol_id = 7\npublic_addrs = [\"127.0.0.1:9\", \"[::1]:9\"]\n"
    );
    std::fs::write(&config, text).unwrap();
    let text =
        stdout(&["token", "--config", &config, "--client-id=0", "--timeout-s=0", "--expires-in-s=86400"]);
    let bytes = BASE64_STANDARD.decode(text.trim_end()).unwrap();
    let token = ConnectToken::from_bytes(&bytes.try_into().unwrap()).unwrap();
    assert_eq!((token.protocol_id, token.timeout_s, token.extensions), (7, -1, Extensions::ALL));
    assert_eq!(token.expire_unix_s - token.create_unix_s, 86_400);
    assert_eq!(token.server_addresses, ["127.0.0.1:9", "[::1]:9"].map(|a| a.parse().unwrap()));
    let text = stdout(&["token", "--config", &config, "--client-id=0", "--standard"]);
    let bytes = BASE64_STANDARD.decode(text.trim_end()).unwrap();
    let token = ConnectToken::from_bytes(&bytes.try_into().unwrap()).unwrap();
    assert_eq!(token.extensions, Extensions::default());
}

/// Without a key file, a token is one of the development mode.
#[test]
fn the_published_key_is_good_for_loopback_alone() {
    let server = ServerProcess::start(&[]);
    let token = stdout(&["token", "--client-id=1", "--server", &server.address.to_string()]);
    assert_eq!(connect(&token, 5), ClientState::Connected);
    server.stop();
    let line = mistake(&["token", "--client-id=1", "--server=203.0.113.9:40000"]);
    assert!(line.contains("203.0.113.9:40000") && line.contains("ninefold key"), "{line}");
}

#[test]
fn mistakes_are_told_in_one_line_with_exit_code_2() {
    let folder = Folder::new("mistakes");
    let short = folder.file("short.key");
    std::fs::write(&short, "abcd").unwrap();
    let missing = folder.file("missing.key");
    let many = ["127.0.0.1:1"; 33].join(",");
    let cases = [
        (&["--private-key-file", &short][..], "64 hexadecimal digits expected, 4 characters found"),
        (&["--private-key-file", &missing], "missing.key: there is no such file"),
        (&["--server=127.0.0.1:0"], "127.0.0.1:0 cannot be connected to"),
        (&["--server=0.0.0.0:1"], "0.0.0.0:1 cannot be connected to"),
        (&["--server=localhost:1"], "'localhost:1'"),
        (&["--server", &many], "33"),
        (&["--expires-in-s=86401"], "86401 s, more than the 86400 s"),
        (&["--expires-in-s=soon"], "'soon'"),
        (&["--protocol-id=x"], "`protocol_id` must be a whole number"),
        (&["--out", "no-such-folder/token"], "no-such-folder/token"),
        (&["--server-key=x"], "--server-key"),
    ];
    for (args, expected) in cases {
        let line = mistake(&[&["token", "--client-id=1"], args].concat());
        assert!(line.contains(expected), "{args:?}: {line}");
    }
    assert!(mistake(&["token"]).contains("--client-id"));
    assert!(mistake(&["token", "--client-id=me"]).contains("'me'"));
    assert!(mistake(&["key"]).contains("FILE"));
}
