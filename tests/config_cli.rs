//! What a person sees of the configuration: the real binary, its output, its one line per mistake.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Output};

const MISTAKE: Option<i32> = Some(2);

/// The binary in an environment that says nothing of ninefold.
fn ninefold(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ninefold"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NINEFOLD_")) {
        command.env_remove(name);
    }
    command.args(args);
    command
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the binary can be run")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the output is UTF-8")
}

/// The one line on standard error of a run that must fail with exit code 2.
fn mistake(command: &mut Command) -> String {
    let output = run(command);
    let stderr = String::from_utf8(output.stderr.clone()).expect("errors are UTF-8");
    assert_eq!(output.status.code(), MISTAKE, "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty(), "{}", stdout(&output));
    assert!(stderr.starts_with("ninefold: "), "{stderr}");
    stderr.trim_end().to_owned()
}

/// A file of the test's own, removed at its end.
struct File(PathBuf);

impl File {
    fn new(name: &str, bytes: impl AsRef<[u8]>) -> File {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, bytes).expect("the test directory can be written to");
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the test directory's name is UTF-8")
    }

    /// What `ninefold config` says about it.
    fn mistake(&self) -> String {
        let line = mistake(&mut ninefold(&["config", "--config", self.path()]));
        let prefix = format!("ninefold: config file {}: ", self.path());
        line.strip_prefix(&prefix).unwrap_or_else(|| panic!("{line}")).to_owned()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The lines that are no comments.
fn values(toml: &str) -> Vec<&str> {
    toml.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

#[test]
fn config_prints_every_default_explained() {
    let output = run(&mut ninefold(&["config"]));
    assert!(output.status.success());
    let text = stdout(&output);
    assert!(values(&text).contains(&"listen = \"127.0.0.1:40000\""), "{text}");
    assert!(text.contains("# Default: 60. This is it.\ntick_rate_hz = 60\n"), "{text}");
}

#[test]
fn the_output_of_config_given_back_is_the_same_configuration() {
    let flags = [
        "--world-seed=18446744073709551615",
        "--public-addrs=203.0.113.9:1,[2001:db8::1]:2",
        "--private-key-file=a \"quoted\"\\path\nwith a line",
        "--log=info,ninefold::chunk=debug",
        "--tick-rate-hz=128",
    ];
    let first = stdout(&run(ninefold(&["config"]).args(flags)));
    assert!(first.contains("world_seed = \"18446744073709551615\""), "{first}");
    let file = File::new("given-back.toml", &first);
    let second = stdout(&run(&mut ninefold(&["config", "--config", file.path()])));
    assert_eq!(values(&first), values(&second));
    assert!(second.contains(&format!("From: config file {}: line ", file.path())), "{second}");
}

#[test]
fn a_flag_goes_before_the_environment_before_the_file_before_the_default() {
    let file = File::new("layers.toml", "tick_rate_hz = 10\nworld_seed = 10\nclients_max = 10\n");
    let mut command = ninefold(&["config", "--config", file.path(), "--tick-rate-hz", "30"]);
    command.env("NINEFOLD_TICK_RATE_HZ", "20").env("NINEFOLD_WORLD_SEED", "20");
    let text = stdout(&run(&mut command));
    for line in [
        "# Default: 60. From: flag --tick-rate-hz.\ntick_rate_hz = 30",
        "# Default: 9. From: environment variable NINEFOLD_WORLD_SEED.\nworld_seed = 20",
        "layers.toml: line 3.\nclients_max = 10",
        "# Default: 65536. This is it.\nqueued_max = 65536",
    ] {
        assert!(text.contains(line), "{line}\nnot in\n{text}");
    }
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line() {
    let cases = [
        ("\n\ntick_rate = 60\n", "line 3: unknown key `tick_rate`; did you mean `tick_rate_hz`?"),
        ("colour = 1", "line 1: unknown key `colour`; `ninefold config` lists all keys"),
        ("tick_rate_hz = \"60\"", "line 1: `tick_rate_hz` must be a whole number, not \"60\""),
        ("tick_rate_hz = 60.5", "line 1: `tick_rate_hz` must be a whole number, not 60.5"),
        ("tick_rate_hz = 241", "line 1: `tick_rate_hz` = 241 is out of range; allowed: 1 to 240"),
        ("making_max = -1", "line 1: `making_max` = -1 is out of range; allowed: 1 to 4096"),
        (
            "listen = true",
            "line 1: `listen` must be an IP address with a port, such as \"127.0.0.1:40000\", not true",
        ),
        (
            "[server]\nlisten = \"127.0.0.1:1\"",
            "line 1: unknown section [server]; all keys stand at the top, in no section",
        ),
        (
            "log = \"loud\"",
            "line 1: `log` = \"loud\": use off, error, warn, info, debug or trace, or part=level for some parts",
        ),
    ];
    for (n, (text, expected)) in cases.into_iter().enumerate() {
        assert_eq!(File::new(&format!("mistake-{n}.toml"), text).mistake(), expected, "{text}");
    }
}

#[test]
fn the_first_of_many_mistakes_is_told() {
    let file = File::new("many.toml", "world_seed = 1\nzzz = 1\naaa = 1\n");
    assert!(file.mistake().starts_with("line 2: unknown key `zzz`"));
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    for (n, text) in ["listen = \"127.0.0.1:1\"\nworld_seed 9\n", "log = \"info\nx", "a = 1\na = 2"]
        .into_iter()
        .enumerate()
    {
        let line = File::new(&format!("syntax-{n}.toml"), text).mistake();
        assert!(line.starts_with("line ") && line.contains(": not valid TOML: "), "{line}");
    }
    let line = File::new("not-utf-8.toml", b"listen = \"127.0.0.1:1\"\nlog = \"\xff\"\n").mistake();
    assert_eq!(line, "line 2: not UTF-8 text");
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let nowhere = mistake(&mut ninefold(&["--config", "no-such-file.toml"]));
    assert_eq!(nowhere, "ninefold: config file no-such-file.toml: there is no such file");
    let directory = mistake(&mut ninefold(&["config", "--config", env!("CARGO_TARGET_TMPDIR")]));
    assert!(directory.ends_with(": it is a directory, not a file"), "{directory}");
    let large = File::new("large.toml", vec![b'#'; (1 << 20) + 1]);
    assert!(large.mistake().contains("1 MiB"));
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let cases = [
        ("NINEFOLD_TICK_RATE_HZ", "fast", "`tick_rate_hz` must be a whole number, not \"fast\""),
        ("NINEFOLD_TICK_RATE_HZ", "0", "`tick_rate_hz` = 0 is out of range; allowed: 1 to 240"),
        ("NINEFOLD_TICKRATE_HZ", "30", "unknown key `tickrate_hz`; did you mean `NINEFOLD_TICK_RATE_HZ`?"),
    ];
    for (name, value, expected) in cases {
        let line = mistake(ninefold(&["config"]).env(name, value));
        assert_eq!(line, format!("ninefold: environment variable {name}: {expected}"));
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_told() {
    use std::os::unix::ffi::OsStrExt;
    let value = std::ffi::OsStr::from_bytes(b"\xff");
    let line = mistake(ninefold(&["config"]).env("NINEFOLD_LOG", value));
    assert_eq!(line, "ninefold: environment variable NINEFOLD_LOG: its value is not UTF-8 text");
}

#[test]
fn a_mistake_on_the_command_line_names_the_flag() {
    let line = mistake(&mut ninefold(&["--tick-rate-hz", "241"]));
    assert_eq!(
        line,
        "ninefold: flag --tick-rate-hz: `tick_rate_hz` = 241 is out of range; allowed: 1 to 240"
    );
    let line = mistake(&mut ninefold(&["serve", "--tick-rate", "3"]));
    assert!(line.contains("'--tick-rate'") && line.contains("did you mean `--tick-rate-hz`?"), "{line}");
    let line = mistake(&mut ninefold(&["sevre"]));
    assert!(line.contains("'sevre'") && line.contains("did you mean `serve`?"), "{line}");
}

#[test]
fn a_name_with_control_characters_stays_on_its_line() {
    let file = File::new("control.toml", "\"a\\nb\\u001b[31m\" = 1\n");
    assert!(file.mistake().starts_with("line 1: unknown key `a?b?[31m`"));
    let line = mistake(&mut ninefold(&["config", "--config", "no\nfile"]));
    assert_eq!(line, "ninefold: config file no?file: there is no such file");
    let line = mistake(ninefold(&["config"]).env("NINEFOLD_A\nB", "1"));
    assert!(line.contains("NINEFOLD_A?B"), "{line}");
}

#[test]
fn a_public_address_needs_a_key() {
    let line = mistake(&mut ninefold(&["serve", "--listen", "0.0.0.0:0"]));
    assert!(line.contains("flag --listen: `listen` = \"0.0.0.0:0\""), "{line}");
    assert!(line.contains("private_key_file"), "{line}");
}

#[test]
fn quic_in_public_needs_a_key_and_a_certificate() {
    let key = File::new("public.key", "0".repeat(64));
    let public = ["config", "--quic-listen", "0.0.0.0:4433"];
    let line = mistake(&mut ninefold(&public));
    assert!(line.contains("`quic_listen` = \"0.0.0.0:4433\"") && line.contains("private_key_file"), "{line}");
    let line = mistake(ninefold(&public).args(["--private-key-file", key.path()]));
    assert!(line.contains("quic_certificate_file and quic_key_file"), "{line}");
    let line = mistake(ninefold(&public).args(["--quic-certificate-file", "chain.pem"]));
    assert!(line.contains("set quic_key_file, too"), "{line}");
    let all =
        ["--private-key-file", key.path(), "--quic-certificate-file", "c.pem", "--quic-key-file", "k.pem"];
    let line = mistake(ninefold(&public).args(all));
    assert!(line.contains("set public_addrs"), "{line}");
    let output = run(ninefold(&public).args(all).args(["--public-addrs", "203.0.113.9:4433"]));
    assert!(stdout(&output).contains("quic_listen = \"0.0.0.0:4433\""));
    assert!(stdout(&run(&mut ninefold(&["config"]))).contains("\nquic_listen = \"\"\n"));
}

#[test]
fn a_port_in_use_is_told_with_its_remedy() {
    let other = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("it is bound").to_string();
    let line = mistake(ninefold(&["serve", "--listen", &address]).env("NINEFOLD_LOG", "off"));
    assert!(line.starts_with(&format!("ninefold: cannot listen on {address}: ")), "{line}");
    assert!(line.contains("in use") && line.contains("--listen"), "{line}");
}

#[test]
fn a_key_file_that_cannot_be_used_is_told() {
    let short = File::new("short.key", "abcd");
    for path in [short.path(), "no-such.key"] {
        let mut command = ninefold(&["--listen=127.0.0.1:0", "--private-key-file", path]);
        let line = mistake(command.env("NINEFOLD_LOG", "off"));
        assert!(line.contains(path) && line.contains("private_key_file"), "{line}");
    }
}

#[test]
fn help_and_version_are_no_mistakes() {
    for (args, expected) in [
        (&["--help"][..], "NINEFOLD_TICK_RATE_HZ"),
        (&["-h"], "--tick-rate-hz"),
        (&["config", "--help"], "--tick-rate-hz"),
        (&["--version"], "ninefold 0."),
    ] {
        let output = run(&mut ninefold(args));
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}");
        assert!(stdout(&output).contains(expected), "{args:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_running_server_ends_well_on_sigterm_and_sigint() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    for signal in ["-TERM", "-INT"] {
        let mut command = ninefold(&["--listen", "127.0.0.1:0", "--log", "info"]);
        let mut server = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut log = BufReader::new(server.stderr.take().expect("it is piped")).lines();
        let serving = log.find(|line| line.as_ref().is_ok_and(|line| line.contains("serving")));
        assert!(serving.is_some(), "it never served");
        let kill = Command::new("kill").args([signal, &server.id().to_string()]).status();
        assert!(kill.expect("kill can be run").success());
        log.for_each(drop);
        let output = server.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{signal}: {:?}", output.status);
        let said = stdout(&output);
        assert!(said.starts_with("listening on 127.0.0.1:") && said.contains("ticks"), "{signal}: {said}");
    }
}
