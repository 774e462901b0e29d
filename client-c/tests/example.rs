//! The example in C, built with `cc` and run against a real server on loopback, as it is and under valgrind.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ninefold_client::protocol::connection::{ConnectToken, DEVELOPMENT_KEY, Extensions, TokenParams};
use ninefold_client::world::BspWorld;
use server::config::Config;
use server::server::{Server, unix_s};

/// What valgrind exits with when it has found something; the example never does.
const FOUND: i32 = 99;

/// A folder of the test's own with the example in it.
struct Example {
    folder: PathBuf,
    server: Option<Server>,
    config: Config,
}

impl Example {
    fn built(name: &str) -> Example {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let config = Config { listen: any, quic_listen: Some(any), ..Config::default() };
        let server = Server::start(&config, std::sync::Arc::new(BspWorld::new(config.world_seed))).unwrap();
        let example = Example { folder, server: Some(server), config };
        example.compile();
        example
    }

    /// As the Makefile does, against the library that was built for this test.
    fn compile(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let test = std::env::current_exe().unwrap();
        let libraries = test.parent().unwrap();
        let built = Command::new("cc")
            .args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
            .arg("-I")
            .arg(root.join("client-c/include"))
            .arg(root.join("examples/c/walk.c"))
            .arg("-o")
            .arg(self.folder.join("walk"))
            .arg(libraries.join("libninefold.so"))
            .arg(format!("-Wl,-rpath,{}", libraries.display()))
            .output()
            .expect("there is a C compiler");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// A token file for this client.
    fn token(&self, client_id: u64) -> PathBuf {
        let mut secrets = [[0; 32]; 3];
        secrets.iter_mut().for_each(|secret| getrandom::fill(secret).unwrap());
        let [nonce, up, down] = secrets;
        let params = TokenParams {
            protocol_id: self.config.protocol_id,
            client_id,
            create_unix_s: unix_s(),
            expire_unix_s: unix_s() + 60,
            timeout_s: 20,
            server_addresses: vec![self.server().address()],
            user_data: [0; 256],
        };
        let nonce = *nonce.first_chunk().unwrap();
        let token =
            ConnectToken::mint_extended(&params, Extensions::ALL, &DEVELOPMENT_KEY, nonce, up, down).unwrap();
        let path = self.folder.join(format!("token-{client_id}"));
        std::fs::write(&path, token.to_bytes()).unwrap();
        path
    }

    fn run(&self, with: &[&str], arguments: &[&Path], store: Option<&str>) -> (String, Output) {
        let walk = self.folder.join("walk");
        let mut command = match with.split_first() {
            Some((program, rest)) => {
                let mut command = Command::new(program);
                command.args(rest).arg(&walk);
                command
            }
            None => Command::new(&walk),
        };
        command.args(arguments).env_remove("WALK_STORE");
        if let Some(store) = store {
            command.env("WALK_STORE", self.folder.join(store));
        }
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (said, output)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.server.take().map(Server::stop);
    }
}

#[track_caller]
fn has_walked(said: &str, output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{errors}", output.status);
    for word in ["welcome: player", "entered chunk", " faces, ", "  face 4 of material", "walked to "] {
        assert!(said.contains(word), "{word:?} is missing\n{said}\n{errors}");
    }
}

#[test]
fn it_connects_gets_its_chunk_walks_and_leaves_on_either_carrier() {
    let example = Example::built("c-example");
    let (said, output) = example.run(&[], &[&example.token(1)], None);
    has_walked(&said, &output);
    let (address, fingerprint) = example.server().quic().unwrap();
    let (address, fingerprint) = (address.to_string(), fingerprint.to_string());
    let arguments = [&*example.token(2), Path::new(&address), Path::new(&fingerprint)];
    let (said, output) = example.run(&[], &arguments, None);
    has_walked(&said, &output);
}

#[test]
fn what_is_wrong_is_told_in_words() {
    let example = Example::built("c-example-mistakes");
    let no_token = example.folder.join("no-token");
    std::fs::write(&no_token, "nothing of the kind\n").unwrap();
    let (_, output) = example.run(&[], &[&no_token], None);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("cannot begin: ") && errors.contains("base64"), "{errors}");
    let token = example.token(1);
    let (_, output) = example.run(&[], &[&token, Path::new("127.0.0.1"), Path::new("00")], None);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && errors.contains("address"), "{errors}");
}

#[test]
fn valgrind_finds_nothing_on_either_carrier() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not installed: nothing was looked for");
        return;
    }
    let example = Example::built("c-example-valgrind");
    let error_code = format!("--error-exitcode={FOUND}");
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/c/valgrind.supp");
    let suppressions = format!("--suppressions={}", known.display());
    let valgrind = [
        "valgrind",
        &error_code,
        &suppressions,
        "--leak-check=full",
        // Possible is what the standard library keeps of the main thread's name.
        "--errors-for-leak-kinds=definite,indirect",
        "--quiet",
    ];
    let (address, fingerprint) = example.server().quic().unwrap();
    let (address, fingerprint) = (address.to_string(), fingerprint.to_string());
    let (udp, quic) = (example.token(1), example.token(2));
    for arguments in [&[&*udp][..], &[&*quic, Path::new(&address), Path::new(&fingerprint)]] {
        let (said, output) = example.run(&valgrind, arguments, Some("chunks"));
        assert_ne!(output.status.code(), Some(FOUND), "{}", String::from_utf8_lossy(&output.stderr));
        has_walked(&said, &output);
    }
    let files = std::fs::read_dir(example.folder.join("chunks")).unwrap().count();
    assert!(files > 9, "the chunks are kept: {files}");
}
