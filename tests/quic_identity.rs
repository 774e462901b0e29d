//! Who the server is on QUIC, and what its development switch writes.

mod common;

use std::path::{Path, PathBuf};

use common::quic::{RUNTIME, Setup, connect, join};
use common::{Player, config_with_quic, start, token, until};
use ninefold::config::Config;
use ninefold::server::Server;
use ninefold_client::net::quic::{self, Trust};
use ninefold_client::protocol::connection::Fingerprint;
use ninefold_client::world::BspWorld;

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start_error(config: &Config) -> String {
    let world = std::sync::Arc::new(BspWorld::new(config.world_seed));
    Server::start(config, world).map(drop).unwrap_err().to_string()
}

#[test]
fn an_operators_certificate_is_what_clients_see() {
    let folder = Folder::new("operators-certificate");
    let made = rcgen::generate_simple_self_signed(vec!["play.example".to_owned()]).unwrap();
    let certificate = folder.write("chain.pem", &made.cert.pem());
    let key = folder.write("key.pem", &made.signing_key.serialize_pem());
    let config = Config { quic_certificate_file: certificate, quic_key_file: key, ..config_with_quic() };
    let server = start(&config);
    let (address, fingerprint) = server.quic().unwrap();
    assert_eq!(fingerprint, Fingerprint::of(made.cert.der()));
    // A client that has the certificate as its authority, and checks the name.
    let roots = vec![made.cert.der().to_vec()];
    let connect = |name: &str| {
        let trust = Trust::Authorities { name: name.to_owned(), roots: roots.clone() };
        let shown = token(&server, &config, 1).shown();
        RUNTIME.block_on(async {
            let endpoint = quic::endpoint(address, &trust, 1 << 20, None).unwrap();
            quic::connect(&endpoint, address, &trust, &shown).await
        })
    };
    assert!(connect("play.example").is_ok());
    assert!(connect("other.example").is_err());
    server.stop().unwrap();
}

#[test]
fn certificate_files_that_cannot_be_used_are_named() {
    let folder = Folder::new("bad-certificate");
    let (one, other) = (
        rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap(),
        rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap(),
    );
    let certificate = folder.write("chain.pem", &one.cert.pem());
    let foreign_key = folder.write("key.pem", &other.signing_key.serialize_pem());
    let empty = folder.write("empty.pem", "");
    let missing = folder.0.join("missing.pem");
    for (certificate, key, expected) in [
        (&empty, &foreign_key, "empty.pem: no PEM section CERTIFICATE"),
        (&missing, &foreign_key, "missing.pem"),
        (&certificate, &empty, "quic_key_file"),
        (&certificate, &foreign_key, "quic_certificate_file and quic_key_file"),
    ] {
        let (quic_certificate_file, quic_key_file) = (certificate.clone(), key.clone());
        let error = start_error(&Config { quic_certificate_file, quic_key_file, ..config_with_quic() });
        assert!(error.contains(expected) && error.lines().count() == 1, "{expected}: {error}");
    }
}

#[test]
fn the_development_switch_writes_keys_and_qlogs() {
    let folder = Folder::new("debug-dir");
    let config = Config { quic_debug_dir: folder.0.clone(), ..config_with_quic() };
    let server = start(&config);
    let mut players = [Player::join_quic(&server, &config, 1)];
    until("it plays", 5, &mut players, |p| p[0].has_ring());
    players[0].leave();
    server.stop().unwrap();
    let keys = std::fs::read_to_string(folder.0.join("keys.log")).unwrap();
    for label in ["SERVER_HANDSHAKE_TRAFFIC_SECRET ", "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "]
    {
        let line = keys.lines().find_map(|line| line.strip_prefix(label)).expect(label);
        let (random, secret) = line.split_once(' ').unwrap();
        assert!(random.len() == 64 && secret.len() >= 64, "{line}");
        assert!(line.bytes().all(|b| b == b' ' || b.is_ascii_hexdigit()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.0.join("keys.log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let qlog = std::fs::read_to_string(folder.0.join("connection-001.sqlog")).unwrap();
    assert!(qlog.contains("\"qlog_version\"") && qlog.lines().count() > 10, "{} lines", qlog.lines().count());
}

#[test]
fn without_the_switch_nothing_is_written_and_a_folder_that_is_not_there_is_named() {
    let config = Config { quic_debug_dir: "no/such/folder".into(), ..config_with_quic() };
    let error = start_error(&config);
    assert!(error.contains("quic_debug_dir no/such/folder"), "{error}");
    let server = start(&config_with_quic());
    let (_endpoint, _connection) = join(&server, &token(&server, &config, 1)).unwrap();
    assert!(connect(&server, Setup::default()).is_ok());
    server.stop().unwrap();
}

#[test]
fn without_an_address_there_is_no_quic() {
    let config = common::config();
    let server = start(&config);
    assert!(server.quic().is_none());
    let mut players = [Player::join(&server, &config, 1)];
    until("UDP plays", 5, &mut players, |p| p[0].client.is_playable());
    assert!(server.stop().unwrap().quic.is_none());
}
